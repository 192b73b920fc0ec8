"""Where segments are kept: what every store can do, and what of its segments counts.

What cannot be read, or is not what it says, is a problem with a name; the others count all the same.
"""

from __future__ import annotations

from datetime import UTC

from orchgate.history.entries import end_of
from orchgate.history.segments import Head, HistorySegment, SegmentFault, best, covered, head_of, sha256_of
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from orchgate.errors import OrchgateError
    from orchgate.history.segments import SegmentFormat

    End = tuple[int, datetime]


class Within(NamedTuple):
    """Of which repository and months segments are wanted; a source may name more. Empty: of all.

    `written` is when the oldest run that is looked for was recorded, in seconds since 1970: what was written before
    cannot hold it.
    """

    repository: str = ""
    months: frozenset[str] = frozenset()
    since: str = ""  # the first month
    written: float = 0.0

    def may_hold(self, name: str) -> bool:
        """By the name of a segment."""
        _, _, month, _ = name.split("/")
        month = month.removeprefix("month=")
        return month >= self.since and (not self.months or month in self.months)


ALL = Within()


def since(start: datetime | None) -> Within:
    """Segments whose month does not end before a moment; without one, all."""
    return Within(since=f"{start.astimezone(UTC):%Y-%m}") if start else ALL


class SegmentSource(Protocol):
    """Segments of one format that can be read. `where` says in words whose they are."""

    where: str
    form: SegmentFormat

    def names(self, within: Within = ALL) -> Collection[str]:
        """The names of all that may hold what is asked for. Raises OrchgateError."""

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | OrchgateError]]:
        """Contents by name, each checked against the SHA-256 that its name says; or what is wrong with one."""


class SegmentStore(SegmentSource, Protocol):
    """Segments that others can read, too. What one call does is done as a whole or not at all."""

    def add(self, segments: Mapping[str, bytes]) -> frozenset[str]:
        """Those that were not there before. Raises OrchgateError."""

    def remove(self, names: Collection[str]) -> None:
        """Takes segments out, once others are there that stand for them. Raises OrchgateError."""

    def ends(self, names: Iterable[str], whose: Callable[[Head], bool], runs: Collection[str]) -> Mapping[str, End]:
        """How far some runs had come by segments of one repository; those that are in none are not named.

        Raises OrchgateError.
        """

    def batches(self) -> Iterable[Collection[str]]:
        """Names of segments that may become few, no more at a time than can be held. Raises OrchgateError."""


def ends(loaded: Loaded, whose: Callable[[Head], bool]) -> dict[str, End]:
    """How far each run had come by the segments of one repository."""
    found = best(line for one in loaded.segments if whose(one.head) for line in one.runs)
    return {run_id: end_of(entry) for run_id, (entry, _) in found.items()}


class Learned(NamedTuple):
    """What a repository has learned from a remote: segments that are new here, and those that others stand for now.

    `there` is how many it holds.
    """

    new: frozenset[str]
    gone: frozenset[str]
    there: int


class Loaded(NamedTuple):
    segments: tuple[HistorySegment, ...]
    faults: tuple[SegmentFault, ...] = ()

    def joined(self, other: Loaded) -> Loaded:
        """What both hold, each segment once."""
        known = {one.name for one in self.segments}
        more = tuple(one for one in other.segments if one.name not in known)
        return Loaded(self.segments + more, tuple(dict.fromkeys(self.faults + other.faults)))


def load(source: SegmentSource, names: Iterable[str] | None = None) -> Loaded:
    """All segments of a source, or some of them. Raises OrchgateError."""
    found: list[HistorySegment] = []
    faults: list[SegmentFault] = []
    for one in source.form.parsed(source.read(sorted(source.names() if names is None else names))):
        if isinstance(one, HistorySegment):
            found.append(one)
        else:
            faults.append(one)
    return Loaded(tuple(found), tuple(faults))


def superseded(source: SegmentSource) -> frozenset[str]:
    """The segments of a source whose runs others of it have, and that say so. Raises OrchgateError.

    Their first lines say which may be; whether it is true, their runs do.
    """
    names = source.names()
    by_hash = {sha256_of(name): name for name in names}
    concerned: set[str] = set()
    for name, content in source.read(sorted(names)):
        head = head_of(content) if isinstance(content, bytes) else ""
        targets = {by_hash[one] for one in head.replaces if one in by_hash} if isinstance(head, Head) else set()
        if targets:
            concerned |= {name, *targets}
    segments = load(source, concerned).segments if concerned else ()
    return covered(segments)
