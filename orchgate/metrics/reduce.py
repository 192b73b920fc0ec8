"""One pass over a metrics file, on two cores, in little memory. Imports msgspec.

A line belongs to the range in which it begins. What a range adds up to does not depend on the others, so that ranges
can be shared out and put together in any order. Of several lines of one run the one with the most `resumes` counts; of
equal ones the last, wherever the file was divided.
"""

from __future__ import annotations

import os
from itertools import pairwise

from orchgate.errors import OrchgateError
from orchgate.lib.forks import shares, spread
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics import fold
from orchgate.metrics.aggregate import Aggregate, difference, merge
from orchgate.metrics.index import Collector
from orchgate.metrics.lines import LONGEST, OWN, LineFault, checked, decode, decoded, resumes

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Collection, Iterable, Sequence

    from orchgate.metrics.index import IndexPart
    from orchgate.metrics.lines import Entry, Table

    Line = tuple[int, int]  # resumes, offset: the largest counts

BLOCK = 1 << 18  # bytes read at once: as much as stays in the processor's cache
PROCESSES = 2  # each costs 20 MB of memory
WORTH_IT = 8 << 20  # bytes; below that, a second process costs more than it saves
SPILL_FROM = 64 << 20  # bytes; the runs of a smaller file have room in memory
MOST_RANGES = 256


class RangeTotals(NamedTuple):
    """What some ranges add up to, and where their runs are."""

    aggregate: Aggregate
    segments: list[IndexPart]


class Pass:
    """What one process gathers on its way. `spill` is where it may put what is too much for memory, see `Collector`."""

    def __init__(self, descriptor: int, end: int, excluded: Collection[int] = (), spill: int = -1) -> None:
        self.descriptor = descriptor
        self.end = end
        self.excluded = excluded
        self.sums = fold.Sums()
        self.runs = Collector(spill)
        self.plain = True  # whether entries of ours have been so far, see `decoded`

    def part(self) -> RangeTotals:
        return RangeTotals(self.sums.total(), self.runs.segments())


def reduce(
    descriptor: int, start: int, end: int, spills: contextlib.ExitStack, excluded: Collection[int] = ()
) -> list[RangeTotals]:
    """What the lines between two line starts add up to, without those at the `excluded` offsets.

    One part for each process that took part; what it knows of the runs is good until `spills` is closed.
    Raises OSError, and OrchgateError when a process was killed.
    """
    count = min(MOST_RANGES, max(1, (end - start) // (WORTH_IT // 2)))
    bounds = [start + (end - start) * number // count for number in range(count + 1)]
    if count == 1:
        alone = Pass(descriptor, end, excluded)
        read(alone, start, end)
        return [alone.part()]
    files_ = [_spill(spills) if end - start >= SPILL_FROM else -1 for _ in range(PROCESSES)]
    take = shares(count)

    def work(numbers: Sequence[int]) -> RangeTotals:
        gathered = Pass(descriptor, end, excluded, files_[numbers[0]])
        while (number := take()) is not None:
            read(gathered, bounds[number], bounds[number + 1])
        return gathered.part()

    return spread(work, range(PROCESSES), worth_it=1, most=PROCESSES)


def _spill(spills: contextlib.ExitStack) -> int:
    """A file without a name; -1 where there is no room for one."""
    from tempfile import TemporaryFile

    try:
        return spills.enter_context(TemporaryFile()).fileno()
    except OSError:
        return -1


def united(parts: Sequence[RangeTotals]) -> Aggregate:
    total = Aggregate()
    for part in parts:
        total = merge(total, part.aggregate)
    return total


def segments(parts: Sequence[RangeTotals]) -> list[IndexPart]:
    return [segment for part in parts for segment in part.segments]


def entry_at(descriptor: int, offset: int) -> Entry | LineFault:
    """The line that begins at an offset. Raises OSError."""
    size = 1 << 14
    while True:
        block = os.pread(descriptor, size, offset)
        end = block.find(b"\n")
        if end >= 0 or len(block) < size or size > LONGEST:
            return checked(block[:end] if end >= 0 else block)
        size *= 4


def entries(descriptor: int, start: int, end: int) -> Sequence[Entry]:
    """The entries whose lines begin after `start`, or at it where the file begins. Raises OSError."""
    begin = start if start == 0 else line_after(descriptor, start - 1, end)
    block = bytearray(os.pread(descriptor, end - begin, begin))
    if found := decoded(block, _begins(block)):
        return found.rows
    lines = (checked(line) for line in bytes(block).split(b"\n") if line)
    return [entry for entry in lines if not isinstance(entry, LineFault)]


def read(gathered: Pass, start: int, stop: int) -> None:
    """Adds the lines that begin at `start` or later, and before `stop`. Raises OSError."""
    gathered.plain = True
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
            buffer = bytearray(min(LONGEST, 4 * len(buffer)))
        else:
            gathered.sums.count(1)
            gathered.sums.ignore(LineFault.TOO_LONG)
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
    block = buffer[: buffer.find(b"\n", stop - 1) + 1]
    places = _begins(block)
    found = _decoded(gathered, block, places)
    if found is not None:
        gathered.sums.count(len(places))
        gathered.sums.add_table(found)
        gathered.runs.add(found.columns["run_id"], places, position)
        return
    entries, places = _one_by_one(gathered, block, position, places)
    gathered.sums.add(entries)
    gathered.runs.add([entry.run_id for entry in entries], places, position)


def _decoded(gathered: Pass, block: bytearray, places: Sequence[int]) -> Table | None:
    if gathered.excluded:
        return None
    if gathered.plain and (found := decoded(block, places, plain=True)):
        return found
    gathered.plain = False  # where one entry is not, others are not
    return decoded(block, places)


def _begins(block: bytearray) -> list[int]:
    places, begin, find = [], 0, block.find
    while begin < len(block):
        places.append(begin)
        begin = find(b"\n", begin) + 1
    return places


def _one_by_one(
    gathered: Pass, block: bytearray, position: int, places: Sequence[int]
) -> tuple[list[Entry], list[int]]:
    """The entries among some lines, and where they begin; the others are counted for what they are."""
    entries, found = [], []
    view, plain = memoryview(block), block.isascii()
    for begin, after in pairwise((*places, len(block))):
        if after == begin + 1:  # empty lines are nobody's
            continue
        gathered.sums.count(1)
        line = view[begin : after - 1]
        entry = decode(line, own=block.startswith(OWN, begin)) if plain else checked(bytes(line))
        if isinstance(entry, LineFault):
            gathered.sums.ignore(entry)
        elif position + begin not in gathered.excluded:
            entries.append(entry)
            found.append(begin)
    return entries, found


class Changed(OrchgateError):
    """The file holds something else than was read there a moment ago."""

    def __init__(self) -> None:
        super().__init__("the metrics were changed while they were read", "run it again")


class Repeats(NamedTuple):
    """Offsets of lines that were added and do not count, and how many lines that makes of which kind."""

    losers: set[int]
    kinds: dict[LineFault, int]


def judge(descriptor: int, groups: Iterable[Sequence[int]], begin: int = 0) -> Repeats:
    """Which of the lines of repeated runs count: each group has the offsets of lines whose runs have the same key.

    Of each run among those before `begin`, only one line is counted by now. Raises Changed when there are no runs where
    they were; OSError.
    """
    found = Repeats(set(), {LineFault.DUPLICATE: 0, LineFault.SUPERSEDED: 0})
    for group in groups:
        runs: dict[str, tuple[list[Line], list[Line]]] = {}
        for offset in group:
            entry = entry_at(descriptor, offset)
            if isinstance(entry, LineFault):
                raise Changed
            runs.setdefault(entry.run_id, ([], []))[offset >= begin].append((resumes(entry), offset))
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


def without(descriptor: int, aggregate: Aggregate, repeats: Repeats) -> Aggregate:
    """The aggregate without lines that do not count, which are ignored. Raises Changed, Unknown, OSError."""
    sums = fold.Sums()
    for offset in repeats.losers:
        entry = entry_at(descriptor, offset)
        if isinstance(entry, LineFault):
            raise Changed
        sums.add([entry])
    left = difference(aggregate, sums.total()) if repeats.losers else aggregate
    count(left, repeats)
    return left


def count(aggregate: Aggregate, repeats: Repeats) -> None:
    """Counts as ignored what was never added, in place."""
    for kind, number in repeats.kinds.items():
        if number:
            fold.ignore(aggregate, kind, number)
