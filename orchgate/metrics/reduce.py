"""One pass over a metrics file, on two cores, in little memory. Imports msgspec.

A line belongs to the range in which it begins. What a range adds up to does not depend on the others, so that ranges
can be shared out and put together in any order.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple
from zlib import adler32, crc32

from orchgate.lib.parallel import shares, spread
from orchgate.metrics import fold
from orchgate.metrics.aggregate import Aggregate, merge
from orchgate.metrics.lines import LONGEST, OWN, ForeignLine, LineFault, checked, decode

if TYPE_CHECKING:
    from array import array
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from orchgate.metrics.lines import Entry

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
