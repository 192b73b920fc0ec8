"""Where the runs of a metrics file are, by run id: found in a few steps and in little memory however many there are.

The index is beside the checkpoint, which says how much of it is valid. It is a random token, then segments that are
only ever appended: `count` keys, sorted, and as many offsets, eight bytes each. What came since the last segment is
kept in the checkpoint itself. Keys are hashes, spread evenly: where one is in a segment is known within a few hundred.
"""

from __future__ import annotations

import errno
import os
import sys
from array import array
from bisect import bisect_left, bisect_right
from itertools import chain, repeat
from operator import itemgetter
from struct import pack

from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Literal

TOKEN_BYTES = 16
WIDTH = 8
KEY_BITS, OFFSET_BITS = 62, 48
MOST_RECENT = 1024  # runs in the checkpoint
MOST_SMALL = 64  # segments that are not yet put together
LARGE = 1 << 16  # runs; a segment of so many is left alone, so that no update pays for the whole history
NEAR = 512  # keys before and after the place where one should be
LOOK_UP = 40  # keys that are compared in the time that one takes to be looked up in a segment

Run = int  # key << OFFSET_BITS | offset: numbers that sort by key

_LITTLE: repeat[Literal["little"]] = repeat("little")
_number: Callable[[bytes, Literal["little"]], int] = int.from_bytes


def hashes(run_ids: Iterable[str]) -> Iterator[int]:
    """64 bits with a sign for each, of which a key has 46. Two ids may share it: whoever finds one compares the ids.

    Both are Python's own, of a number and of a tuple: the first tells ids apart, the second spreads them. They do not
    depend on the process, but may on the version of Python: a checkpoint has a `sample`.
    """
    return map(hash, zip(map(_number, map(str.encode, run_ids), _LITTLE), strict=True))


def sample() -> int:
    """What `hashes` makes of an id, by which a checkpoint of another Python is known."""
    return next(hashes(["2025-01-01T00-00-00-000Z-01234567"]))


class Index(NamedTuple):
    """An index as the checkpoint describes it: where segments begin, and their runs. `stamp` is that of the file."""

    token: str
    stamp: tuple[int, int, int]
    segments: tuple[tuple[int, int], ...]
    recent: tuple[tuple[int, int], ...] = ()  # key and offset


class IndexPart(NamedTuple):
    """Sorted runs: in a file from `start` on, or as the same bytes in memory."""

    size: int  # runs
    data: bytes = b""
    descriptor: int = -1
    start: int = 0

    def numbers(self, first: int, last: int) -> array[int]:
        """Those at some places: below `count` they are keys, then offsets. Raises OSError."""
        begin, size = WIDTH * first, WIDTH * (last - first)
        if self.data:
            return array("Q", self.data[begin : begin + size])
        found = os.pread(self.descriptor, size, self.start + begin)
        if len(found) < size:
            raise OSError(errno.EIO, "the index was cut")
        return array("Q", found)

    def runs(self) -> Iterator[tuple[int, int]]:
        """Keys and offsets. Raises OSError."""
        return zip(self.numbers(0, self.size), self.numbers(self.size, 2 * self.size), strict=True)

    def blocks(self) -> Iterator[bytes]:
        """All of its bytes. Raises OSError."""
        for place in range(0, 2 * self.size, LARGE):
            yield self.numbers(place, min(place + LARGE, 2 * self.size)).tobytes()

    def places(self, key: int) -> tuple[int, int]:
        """Where runs with a key begin and end. Raises OSError."""
        near = self.size * key >> KEY_BITS
        first, last = max(0, near - NEAR), min(self.size, near + NEAR)
        keys = self.numbers(first, last)
        if (first and keys[0] >= key) or (last < self.size and keys[-1] <= key):
            return bisect_left(_Keys(self), key), bisect_right(_Keys(self), key)
        return first + bisect_left(keys, key), first + bisect_right(keys, key)

    def offsets(self, key: int) -> array[int]:
        """Those of the runs with a key. Raises OSError."""
        first, last = self.places(key)
        return self.numbers(self.size + first, self.size + last) if first < last else array("Q")


class _Keys:
    """The keys of a segment, each read when it is asked for."""

    def __init__(self, segment: IndexPart) -> None:
        self._segment = segment

    def __len__(self) -> int:
        return self._segment.size

    def __getitem__(self, place: int) -> int:
        return self._segment.numbers(place, place + 1)[0]


class Collector:
    """Runs as they are found. `spill` is an empty file for those that are many, -1 for none."""

    def __init__(self, spill: int = -1) -> None:
        self._spill = spill
        self._keys = bytearray()  # hashes, eight bytes each
        self._offsets: list[int] = []
        self._segments: list[IndexPart] = []

    def add(self, run_ids: Sequence[str], places: Sequence[int], base: int) -> None:
        """Runs whose lines begin at some places behind `base`."""
        self._keys += pack(f"{len(run_ids)}q", *hashes(run_ids))
        self._offsets += [base + place for place in places]
        while len(self._offsets) >= LARGE:
            self._pack(LARGE)

    def segments(self) -> list[IndexPart]:
        if self._offsets:
            self._pack(len(self._offsets))
        return self._segments

    def _pack(self, count: int) -> None:
        segment = _ordered(self._keys[: WIDTH * count], self._offsets[:count])
        del self._keys[: WIDTH * count], self._offsets[:count]
        if self._spill >= 0:
            try:
                start = os.lseek(self._spill, 0, os.SEEK_CUR)
                files.write_all(self._spill, segment.data, "")
                segment = IndexPart(segment.size, b"", self._spill, start)
            except (files.WriteError, OSError):
                self._spill = -1  # the disk is full: memory has to do
        self._segments.append(segment)


# The two lowest bytes of numbers from 0 on.
_LOW, _HIGH = bytes(range(256)) * 256, b"".join(bytes((number,)) * 256 for number in range(256))
_WITHOUT_TOP = bytes(byte & 0x3F for byte in range(256))


def _ordered(hashed: bytearray, offsets: list[int]) -> IndexPart:
    """Runs by key, at most `LARGE`.

    They are sorted as doubles, which is quicker than as whole numbers: without the highest two of its bits, a hash is
    neither negative nor infinite, and the lowest two bytes say which of the runs it is.
    """
    count = len(offsets)
    top, low, high = (7, 0, 1) if sys.byteorder == "little" else (0, 7, 6)
    hashed[top::WIDTH] = hashed[top::WIDTH].translate(_WITHOUT_TOP)
    hashed[low::WIDTH], hashed[high::WIDTH] = _LOW[:count], _HIGH[:count]
    keys = bytearray(pack(f"{count}d", *sorted(array("d", hashed))))
    order = array("H", keys)[0 if sys.byteorder == "little" else 3 :: WIDTH // 2]
    keys[low::WIDTH] = keys[high::WIDTH] = bytes(count)
    placed = itemgetter(*order, 0)(offsets)[:count]  # of a single one it makes no tuple
    return IndexPart(count, bytes(keys) + pack(f"{count}Q", *placed))


def packed(runs: list[Run]) -> IndexPart:
    """Sorts the runs."""
    runs.sort()
    mask = (1 << OFFSET_BITS) - 1
    keys, offsets = array("Q", [run >> OFFSET_BITS for run in runs]), array("Q", [run & mask for run in runs])
    return IndexPart(len(runs), keys.tobytes() + offsets.tobytes())


def repeated(segments: Sequence[IndexPart]) -> Mapping[int, list[int]]:
    """The keys that occur more than once, and their offsets. Looks at one range of keys after the other."""
    ranges = sum(segment.size for segment in segments) // LARGE + 1
    twice: set[int] = set()
    begins = [0] * len(segments)
    for number in range(1, ranges + 1):
        bound = (number << KEY_BITS) // ranges
        ends = [segment.places(bound)[0] if number < ranges else segment.size for segment in segments]
        parts = [segment.numbers(*some) for segment, *some in zip(segments, begins, ends, strict=True)]
        if len(seen := set().union(*parts)) < sum(map(len, parts)):
            twice.update(_repeated(chain.from_iterable(parts), seen))
        begins = ends
    return find(segments, twice)


def since(old: Sequence[IndexPart], new: Sequence[IndexPart]) -> Mapping[int, list[int]]:
    """As `repeated`, of all of them together, for keys that are new. Raises OSError."""
    number, total = (sum(segment.size for segment in some) for some in (new, old))
    if number * len(old) * LOOK_UP > total + number:
        return repeated([*old, *new])
    keys = {key for segment in new for key in segment.numbers(0, segment.size)}
    found = find([*old, *new], keys)
    return {key: offsets for key, offsets in found.items() if len(offsets) > 1}


def _repeated(keys: Iterable[int], seen: set[int]) -> Iterator[int]:
    for key in keys:
        if key in seen:
            seen.remove(key)
        else:
            yield key


def find(segments: Sequence[IndexPart], keys: Collection[int]) -> Mapping[int, list[int]]:
    """The offsets of the runs that have these keys; those of which there are none are left out. Raises OSError."""
    found: dict[int, list[int]] = {}
    for segment in segments:
        for key in keys:
            if offsets := segment.offsets(key):
                found.setdefault(key, []).extend(offsets)
    return found


def stamp(path: str) -> tuple[int, int, int]:
    """Inode, size and time of last change. Raises OSError."""
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def intact(path: str, known: Index) -> bool:
    """Whether the file is the one that was left there, untouched, and holds what is said of it."""
    try:
        if stamp(path) != known.stamp:
            return False
        with open(path, "rb") as file:
            token = file.read(TOKEN_BYTES).hex()
    except OSError:
        return False
    size = known.stamp[1]
    return token == known.token and all(
        0 < count <= size and TOKEN_BYTES <= start <= size - 2 * WIDTH * count for start, count in known.segments
    )


def segments(descriptor: int, known: Index) -> list[IndexPart]:
    """Those of an index that is open, and what the checkpoint holds."""
    found = [IndexPart(count, b"", descriptor, start) for start, count in known.segments]
    recent = [key << OFFSET_BITS | offset for key, offset in known.recent]
    return [*found, packed(recent)] if recent else found


def create(path: str, new: Sequence[IndexPart]) -> Index:
    """A new index in place of an old one. Raises WriteError, OSError."""
    token = os.urandom(TOKEN_BYTES)
    files.replace(path, _Content(token, new))
    return Index(token.hex(), stamp(path), _placed(new, TOKEN_BYTES))


class _Content:
    """What an index holds; may be read more than once."""

    def __init__(self, token: bytes, parts: Sequence[IndexPart]) -> None:
        self._token = token
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        yield self._token
        for part in self._parts:
            yield from part.blocks()


def _placed(parts: Iterable[IndexPart], begin: int) -> tuple[tuple[int, int], ...]:
    """Where segments begin, one after the other, and their runs."""
    found = []
    for part in parts:
        found.append((begin, part.size))
        begin += 2 * WIDTH * part.size
    return tuple(found)


def extended(path: str, known: Index, new: Sequence[IndexPart]) -> Index:
    """The index with more runs. Raises WriteError, OSError; what a crash leaves behind is written over next time."""
    large = [segment for segment in new if segment.size >= LARGE]
    recent = [*known.recent, *(run for segment in new if segment.size < LARGE for run in segment.runs())]
    if not large and len(recent) <= MOST_RECENT:
        return known._replace(recent=tuple(recent))
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        kept = list(known.segments)
        if len(recent) > MOST_RECENT:
            small = _trailing_small(kept)
            if small >= MOST_SMALL:
                for start, count in kept[-small:]:
                    recent += IndexPart(count, b"", descriptor, start).runs()
                del kept[-small:]
            large.append(packed([key << OFFSET_BITS | offset for key, offset in recent]))
            recent.clear()
        end = max((start + 2 * WIDTH * count for start, count in known.segments), default=TOKEN_BYTES)
        os.lseek(descriptor, end, os.SEEK_SET)
        for block in (block for segment in large for block in segment.blocks()):
            files.write_all(descriptor, block, path)
        placed = _placed(large, end)
        os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Index(known.token, stamp(path), (*kept, *placed), tuple(recent))


def _trailing_small(known: Sequence[tuple[int, int]]) -> int:
    small = 0
    while small < len(known) and known[-1 - small][1] < LARGE:
        small += 1
    return small
