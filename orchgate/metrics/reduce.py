"""One pass over a metrics file, on two cores, in little memory. Imports msgspec.

A line belongs to the range in which it begins. What a range adds up to does not depend on the others, so that ranges
can be shared out and put together in any order. Of several lines of one run the one with the most `resumes` counts; of
equal ones the last, wherever the file was divided.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from zlib import adler32, crc32

from orchgate.errors import OrchgateError
from orchgate.lib.parallel import shares, spread
from orchgate.metrics import fold
from orchgate.metrics.aggregate import Aggregate, merge
from orchgate.metrics.lines import LONGEST, OWN, ForeignLine, LineFault, checked, decode, resumes

if TYPE_CHECKING:
    from array import array
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from orchgate.metrics.lines import Entry

    Line = tuple[int, int]  # resumes, offset: the largest counts

BLOCK = 1 << 17  # bytes read at once: as much as stays in the processor's cache
PROCESSES = 2  # each costs 20 MB of memory
WORTH_IT = 8 << 20  # bytes; below that, a second process costs more than it saves
MOST_RANGES = 256
OFFSET_BITS = 48
MOST_WAITING = 2000  # entries that are added together: lists are faster than one at a time


class RangeTotals(NamedTuple):
    """What some ranges add up to, and where their runs are: two arrays of equal length, sorted by key."""

    aggregate: Aggregate
    keys: array[int]
    offsets: array[int]


class Pass:
    """What is gathered on the way: runs as `key << OFFSET_BITS | offset`, and foreign entries until they are many."""

    def __init__(self, descriptor: int, end: int, excluded: Collection[int] = ()) -> None:
        self.descriptor = descriptor
        self.end = end
        self.excluded = excluded
        self.aggregate = Aggregate()
        self.runs: list[int] = []
        self.foreign: list[ForeignLine] = []
        self.offsets: list[int] = []  # of the foreign ones

    def settle(self) -> None:
        """Adds the foreign entries that are waiting."""
        fold.add_foreign(self.aggregate, self.foreign)
        ids = [entry.run_id.encode() for entry in self.foreign]
        self.runs += [
            (crc32(data) << 32 | adler32(data)) << OFFSET_BITS | offset
            for data, offset in zip(ids, self.offsets, strict=True)
        ]
        self.foreign.clear()
        self.offsets.clear()

    def part(self) -> RangeTotals:
        from array import array

        self.settle()
        self.runs.sort()
        mask = (1 << OFFSET_BITS) - 1
        keys = array("Q", (run >> OFFSET_BITS for run in self.runs))
        return RangeTotals(self.aggregate, keys, array("Q", (run & mask for run in self.runs)))


def key(run_id: str) -> int:
    """64 bits that stand for a run id. Two ids may share them: whoever finds a key compares the ids."""
    data = run_id.encode("utf-8", "surrogatepass")
    return crc32(data) << 32 | adler32(data)


def reduce(descriptor: int, start: int, end: int, excluded: Collection[int] = ()) -> list[RangeTotals]:
    """What the lines between two line starts add up to, without those at the `excluded` offsets.

    One part for each process that took part. Raises OSError, and OrchgateError when a process was killed.
    """
    count = min(MOST_RANGES, max(1, (end - start) // (WORTH_IT // 2)))
    bounds = [start + (end - start) * number // count for number in range(count + 1)]
    if count == 1:
        alone = Pass(descriptor, end, excluded)
        read(alone, start, end)
        return [alone.part()]
    take = shares(count)

    def work(_: Sequence[int]) -> RangeTotals:
        gathered = Pass(descriptor, end, excluded)
        while (number := take()) is not None:
            read(gathered, bounds[number], bounds[number + 1])
        return gathered.part()

    return spread(work, range(PROCESSES), worth_it=1, most=PROCESSES)


def united(parts: Sequence[RangeTotals]) -> Aggregate:
    total = Aggregate()
    for part in parts:
        total = merge(total, part.aggregate)
    return total


def runs(parts: Iterable[RangeTotals]) -> Iterator[tuple[int, int]]:
    """Key and offset of every run."""
    for part in parts:
        yield from zip(part.keys, part.offsets, strict=True)


def entry_at(descriptor: int, offset: int) -> Entry | LineFault:
    """The line that begins at an offset. Raises OSError."""
    size = 1 << 14
    while True:
        block = os.pread(descriptor, size, offset)
        end = block.find(b"\n")
        if end >= 0 or len(block) < size or size > LONGEST:
            return checked(block[:end] if end >= 0 else block)
        size *= 4


def entries(descriptor: int, start: int, end: int) -> Iterator[Entry]:
    """The entries whose lines begin after `start`, or at it where the file begins. Raises OSError."""
    begin = start if start == 0 else line_after(descriptor, start - 1, end)
    for line in os.pread(descriptor, end - begin, begin).split(b"\n"):
        if line and not isinstance(entry := checked(line), LineFault):
            yield entry


def read(gathered: Pass, start: int, stop: int) -> None:
    """Adds the lines that begin at `start` or later, and before `stop`. Raises OSError."""
    position = start if start == 0 else line_after(gathered.descriptor, start - 1, gathered.end)
    buffer = bytearray(BLOCK)
    while position < stop:
        size = min(len(buffer), gathered.end - position)
        got = os.preadv(gathered.descriptor, [memoryview(buffer)[:size]], position)
        whole = buffer.rfind(b"\n", 0, got) + 1
        if whole:
            _add(gathered, buffer, position, min(whole, stop - position))
            position += whole
        elif not got:  # the file was cut while it was read; whoever called finds out by its size
            return
        elif len(buffer) < LONGEST:
            buffer = bytearray(4 * len(buffer))
        else:
            gathered.aggregate.lines += 1
            fold.ignore(gathered.aggregate, LineFault.TOO_LONG)
            position = line_after(gathered.descriptor, position + got, gathered.end)


def line_after(descriptor: int, position: int, end: int) -> int:
    """Where the line after the one that holds a position begins; `end` if there is none."""
    while position < end:
        block = os.pread(descriptor, min(BLOCK, end - position), position)
        if not block:
            break
        found = block.find(b"\n")
        if found >= 0:
            return position + found + 1
        position += len(block)
    return end


def _add(gathered: Pass, buffer: bytearray, position: int, stop: int) -> None:
    """The lines that begin before `stop`, an index into the buffer, which holds the file from `position` on."""
    aggregate, excluded, foreign, offsets = gathered.aggregate, gathered.excluded, gathered.foreign, gathered.offsets
    view, find, ours = memoryview(buffer), buffer.find, buffer.startswith
    plain = buffer.isascii()
    begin = lines = 0
    while begin < stop:
        end = find(b"\n", begin)
        if end > begin:  # empty lines are nobody's
            lines += 1
            line = view[begin:end]
            entry = decode(line, own=ours(OWN, begin)) if plain else checked(bytes(line))
            if isinstance(entry, LineFault):
                fold.ignore(aggregate, entry)
            elif excluded and position + begin in excluded:
                pass
            elif isinstance(entry, ForeignLine):
                foreign.append(entry)
                offsets.append(position + begin)
            else:
                fold.add(aggregate, entry)
                gathered.runs.append(key(entry.run_id) << OFFSET_BITS | position + begin)
        begin = end + 1
    aggregate.lines += lines
    if len(foreign) > MOST_WAITING:
        gathered.settle()


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
        for key, offset in runs(parts):
            if key in twice:
                places.setdefault(key, []).append(offset)
        yield from (Group((), offsets) for offsets in places.values())


def since(parts: Sequence[RangeTotals], old: Mapping[int, Sequence[int]]) -> Iterator[Group]:
    """The keys of new runs that occur more than once, or among the old runs already."""
    places: dict[int, list[int]] = {}
    for key, offset in runs(parts):
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
                entry = entry_at(descriptor, offset)
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
        entry = entry_at(descriptor, offset)
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
