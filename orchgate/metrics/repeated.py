"""Runs with several lines in one file: which of the lines counts, and how the others are taken out. Imports msgspec.

The one with the most `resumes` counts; of equal ones the last, wherever the file was divided.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.metrics import fold, reduce
from orchgate.metrics.lines import LineFault, resumes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.metrics.aggregate import Aggregate
    from orchgate.metrics.reduce import RangeTotals

    Line = tuple[int, int]  # resumes, offset: the largest counts


class Changed(OrchgateError):
    """The file holds something else than was read there a moment ago."""

    def __init__(self) -> None:
        super().__init__("the metrics were changed while they were read", "run it again")


class Group(NamedTuple):
    """Offsets of lines whose runs have the same key. Of each run among the `old` ones, only one is counted by now."""

    old: Sequence[int]
    new: Sequence[int]


class Repeats(NamedTuple):
    """Offsets of lines that were added and do not count, and how many lines that makes of which kind."""

    losers: set[int]
    kinds: dict[LineFault, int]


def within(parts: Sequence[RangeTotals]) -> Iterator[Group]:
    """The keys that occur more than once."""
    twice = {key for part in parts for key, following in pairwise(part.keys) if key == following}
    seen: set[int] = set()
    for part in parts[:-1]:
        twice |= seen.intersection(part.keys)
        seen.update(part.keys)
    twice |= seen.intersection(parts[-1].keys)
    if twice:
        places: dict[int, list[int]] = {}
        for key, offset in reduce.runs(parts):
            if key in twice:
                places.setdefault(key, []).append(offset)
        yield from (Group((), offsets) for offsets in places.values())


def since(parts: Sequence[RangeTotals], old: Mapping[int, Sequence[int]]) -> Iterator[Group]:
    """The keys of new runs that occur more than once, or among the old runs already."""
    places: dict[int, list[int]] = {}
    for key, offset in reduce.runs(parts):
        places.setdefault(key, []).append(offset)
    for key, offsets in places.items():
        if key in old or len(offsets) > 1:
            yield Group(old.get(key, ()), offsets)


def judge(descriptor: int, groups: Iterable[Group]) -> Repeats:
    """Which of the lines of repeated runs count. Raises Changed when there are no runs where they were; OSError."""
    found = Repeats(set(), {LineFault.DUPLICATE: 0, LineFault.SUPERSEDED: 0})
    for group in groups:
        runs: dict[str, tuple[list[Line], list[Line]]] = {}
        for offsets, age in ((group.old, 0), (group.new, 1)):
            for offset in offsets:
                entry = reduce.entry_at(descriptor, offset)
                if isinstance(entry, LineFault):
                    raise Changed
                runs.setdefault(entry.run_id, ([], []))[age].append((resumes(entry), offset))
        for old, new in runs.values():
            _judge(found, old, new)
    return found


def _judge(found: Repeats, old: list[Line], new: list[Line]) -> None:
    counted = [*sorted(old)[-1:], *new]
    winner = max(counted)
    found.losers.update(offset for _, offset in counted if offset != winner[1])
    # Lines with the same number of resumes are copies of each other; each further number supersedes the one before.
    before, after = (len({times for times, _ in lines}) for lines in (old, [*old, *new]))
    found.kinds[LineFault.SUPERSEDED] += max(0, after - 1) - max(0, before - 1)
    found.kinds[LineFault.DUPLICATE] += len(old) + len(new) - after - (len(old) - before)


def take_out(descriptor: int, aggregate: Aggregate, repeats: Repeats) -> bool:
    """Takes lines out, in place, and counts them as ignored; False when what is left is not known: it is spoilt.

    Raises Changed, OSError.
    """
    for offset in repeats.losers:
        entry = reduce.entry_at(descriptor, offset)
        if isinstance(entry, LineFault):
            raise Changed
        if not fold.subtract(aggregate, entry):
            return False
    count(aggregate, repeats)
    return True


def count(aggregate: Aggregate, repeats: Repeats) -> None:
    """Counts as ignored what was never added, in place."""
    for kind, number in repeats.kinds.items():
        if number:
            fold.ignore(aggregate, kind, number)
