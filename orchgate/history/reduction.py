"""A history added up part by part, wherever that is done and in whatever order, to the same numbers.

Sums of `metrics` are whole numbers, so that parts of a history can be merged in any order. What must not be divided is
a run, of which only one entry counts though several parts may hold one. So the parts of one repository and month are
one piece, and what a piece could not know is looked at afterwards: repositories that are one under two names, names
that several have, runs whose id says another month. Pieces of which that makes one are added up again, as one.
"""

from __future__ import annotations

import os
from itertools import chain

from orchgate.cluster.remote import Unfit
from orchgate.errors import OrchgateError
from orchgate.history import query
from orchgate.history.entries import as_counted
from orchgate.history.repositories import RepositoryIdentity, labels, of_head
from orchgate.history.segments import WRONG_BYTES, HistorySegment, sha256_of
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics.aggregate import Aggregate, Totals, merge
from orchgate.metrics.fold import Sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from orchgate.history.objects.addresses import StoreAddress
    from orchgate.history.segments import Line, SegmentFault
    from orchgate.metrics.lines import Entry

    Of = tuple[RepositoryIdentity, str]  # a repository and the id of a task, "" for none

_MONTH = 7  # characters of 2026-03, with which the id of a run begins
_ELSEWHEN = ""  # the month of ids that say none


class HistoryPiece(NamedTuple):
    """Parts that are added up together: each with its content, what is wrong with it, or None where it is to be read.

    `where` is the bucket to read from. `limit` is when the future begins. `identities` are repositories that others
    hold: of several that share a name each gets its own.
    """

    parts: tuple[tuple[str, bytes | str | None], ...]
    where: StoreAddress | None
    limit: datetime
    identities: frozenset[RepositoryIdentity] = frozenset()


class PieceTotals(NamedTuple):
    """What a piece adds up to. `strays` are the months that ids of its runs say and that are not those of its parts."""

    totals: Mapping[Of, Aggregate]
    identities: frozenset[RepositoryIdentity]
    strays: frozenset[str]
    faults: tuple[SegmentFault, ...]
    left_out: tuple[str, ...]


class Reduced(NamedTuple):
    totals: Mapping[Of, Aggregate]
    faults: tuple[SegmentFault, ...]
    left_out: tuple[str, ...]

    @property
    def runs(self) -> int:
        return sum(one.runs for one in self.totals.values())


def pieces(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of parts by what they have in common: `v1/repo=…/month=…`."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(name.rpartition("/")[0], []).append(name)
    return found


def add_up(piece: HistoryPiece) -> PieceTotals:
    """Each run of a piece once. Raises OrchgateError; Unfit where this machine cannot read from the bucket."""
    found = list(_segments(piece))
    segments = [one for one in found if isinstance(one, HistorySegment)]
    by_identity: dict[RepositoryIdentity, list[Line]] = {one: [] for one in piece.identities}
    strays: set[str] = set()
    for one in segments:
        identity = of_head(one.head)
        by_identity.setdefault(identity, []).extend(one.runs)
        strays.update(_said(entry.run_id) for entry, _ in one.runs if not entry.run_id.startswith(one.head.month))
    runs = query.counted(by_identity.items(), piece.limit, None)
    return PieceTotals(
        dict(chain.from_iterable(map(_totals, runs))),
        frozenset(of_head(one.head) for one in segments),
        frozenset(strays),
        tuple(one for one in found if not isinstance(one, HistorySegment)),
        tuple(f"run {run} {why}" for one in runs for run, why in one.left_out.items()),
    )


def _said(run_id: str) -> str:
    """The month that an id says."""
    month = run_id[:_MONTH]
    return month if month[:4].isdecimal() and month[4:5] == "-" and month[5:].isdecimal() else _ELSEWHEN


def _segments(piece: HistoryPiece) -> Iterator[HistorySegment | SegmentFault]:
    from orchgate.history.parquet_parts import PARQUET
    from orchgate.history.segments import JSONL

    read = _read_there(piece.where) if piece.where else None

    def contents(suffix: str) -> Iterator[tuple[str, bytes | OrchgateError]]:
        for name, content in piece.parts:
            if name.endswith(suffix):
                if content is None and read:
                    yield name, read(name)
                else:
                    yield name, content if isinstance(content, bytes) else OrchgateError(content or "was not read")

    for form in (JSONL, PARQUET):
        if any(name.endswith(form.suffix) for name, _ in piece.parts):
            yield from form.parsed(contents(form.suffix))


def _read_there(where: StoreAddress) -> Callable[[str], bytes | OrchgateError]:
    """What reads a part from a bucket, with the credentials of the environment here."""
    from orchgate.history.objects.buckets import BucketObjects
    from orchgate.history.objects.part_store import MOST_BYTES
    from orchgate.history.objects.shape import PartFault
    from orchgate.lib.files import sha256_hex

    objects = BucketObjects(where, None, os.environ)

    def read(name: str) -> bytes | OrchgateError:
        try:
            content = objects.get(name, MOST_BYTES)
        except PartFault as error:
            return error
        except OrchgateError as error:
            raise Unfit(error.message) from error
        known = sha256_hex(content) == sha256_of(name)
        return content if known else PartFault(WRONG_BYTES)

    return read


def _totals(runs: query.Runs) -> Iterator[tuple[Of, Aggregate]]:
    by_task: dict[str, list[Entry]] = {}
    for entry in runs.entries:
        by_task.setdefault(entry.task_id or "", []).append(as_counted(entry))
    for task, entries in by_task.items():
        sums = Sums()
        sums.add(entries)
        sums.count(len(entries))
        yield (runs.repository, task), sums.total()


def reduced(
    found: Mapping[str, Sequence[str]],
    make: Callable[[Sequence[str], frozenset[RepositoryIdentity]], HistoryPiece],
    run: Callable[[Iterable[HistoryPiece]], Iterator[PieceTotals]],
) -> Reduced:
    """What all `pieces` add up to. `make` reads the parts of one, `run` adds up several and keeps their order."""
    places = sorted(found)
    first = dict(zip(places, run(make(found[place], frozenset()) for place in places), strict=True))
    identities = frozenset(chain.from_iterable(one.identities for one in first.values()))
    groups = _together(first, labels(identities))
    again = [group for group in groups if len(group) > 1 or _is_renamed(first[group[0]], identities)]
    names = [[name for place in group for name in found[place]] for group in again]
    second = run(make(some, identities) for some in names) if again else iter(())
    kept = [first[group[0]] for group in groups if group not in again]
    return _merged([*kept, *second])


def _is_renamed(piece: PieceTotals, identities: frozenset[RepositoryIdentity]) -> bool:
    """Whether a repository of a piece is shown under another name once all repositories are known."""
    alone, all_ = labels(piece.identities), labels(identities)
    return any(alone[one] != all_[one] for one in piece.identities)


def _together(
    first: Mapping[str, PieceTotals], known: Mapping[RepositoryIdentity, RepositoryIdentity]
) -> list[tuple[str, ...]]:
    """Pieces that may hold the same run: of one repository, with runs of one month by their parts or their ids."""
    owner: dict[tuple[str, str], str] = {}
    parent = {place: place for place in first}

    def root(place: str) -> str:
        while parent[place] != place:
            place = parent[place]
        return place

    for place, piece in first.items():
        months = {place.rpartition("month=")[2], *piece.strays}
        repositories = {known[one].roots or known[one].name for one in piece.identities}
        for key in ((one, month) for one in sorted(repositories) for month in sorted(months)):
            parent[root(owner.setdefault(key, place))] = root(place)
    found: dict[str, list[str]] = {}
    for place in first:
        found.setdefault(root(place), []).append(place)
    return [tuple(group) for group in found.values()]


def _merged(totals: Iterable[PieceTotals]) -> Reduced:
    every = list(totals)
    found: dict[Of, Aggregate] = {}
    for of, aggregate in chain.from_iterable(one.totals.items() for one in every):
        found[of] = merge(found[of], aggregate) if of in found else aggregate
    faults = {fault.name: fault for one in every for fault in one.faults}
    return Reduced(
        {of: _ordered(found[of]) for of in sorted(found, key=lambda of: (of[0].name, of[0].roots or "", of[1]))},
        tuple(faults[name] for name in sorted(faults)),
        tuple(sorted(line for one in every for line in one.left_out)),
    )


def _ordered(aggregate: Aggregate) -> Aggregate:
    """The same with stages in the order of their names: which part was added first must not show."""
    for totals in chain.from_iterable(pipelines.values() for pipelines in aggregate.machines.values()):
        totals.stages = _sorted(totals.stages)
    return aggregate


def _sorted(stages: Mapping[str, Totals]) -> dict[str, Totals]:
    return {name: stages[name] for name in sorted(stages)}
