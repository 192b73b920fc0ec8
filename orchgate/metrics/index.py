"""Where the runs of a metrics file are, by run id: found in a few steps however many there are.

The index is beside the checkpoint, which says how much of it is valid. It is a random token, then segments that are
only ever appended: `count` keys, sorted, and as many offsets, eight bytes each. What came since the last segment is
kept in the checkpoint itself.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib import files

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator, Mapping, Sequence

TOKEN_BYTES = 16
WIDTH = 8
MOST_RECENT = 1024  # runs in the checkpoint
MOST_SMALL = 64  # segments that are not yet put together
LARGE = 1 << 16  # runs; a segment of so many is left alone, so that no update pays for the whole history

Segment = tuple[int, int]  # where it begins, and its runs


class Index(NamedTuple):
    """An index as the checkpoint describes it. `stamp` is what the system says of the file as we left it."""

    token: str
    stamp: tuple[int, int, int]
    segments: tuple[Segment, ...]
    recent: tuple[tuple[int, int], ...] = ()  # key and offset


def stamp(path: str) -> tuple[int, int, int]:
    """Inode, size and time of last change. Raises OSError."""
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def intact(path: str, known: Index) -> bool:
    """Whether the file is the one that was left there, untouched."""
    try:
        if stamp(path) != known.stamp:
            return False
        with open(path, "rb") as file:
            return file.read(TOKEN_BYTES).hex() == known.token
    except OSError:
        return False


def create(path: str, parts: Iterable[tuple[array[int], array[int]]]) -> Index:
    """A new index in place of an old one, from pairs of keys and offsets, sorted by key. Raises WriteError, OSError."""
    token = os.urandom(TOKEN_BYTES)
    data, segments = [token], []
    end = TOKEN_BYTES
    for keys, offsets in parts:
        if keys:
            data += [keys.tobytes(), offsets.tobytes()]
            segments.append((end, len(keys)))
            end += 2 * WIDTH * len(keys)
    files.replace(path, b"".join(data))
    return Index(token.hex(), stamp(path), tuple(segments))


def extended(path: str, known: Index, runs: Sequence[tuple[int, int]]) -> Index:
    """The index with more runs. Raises WriteError, OSError; what a crash leaves behind is written over next time."""
    recent = (*known.recent, *runs)
    if len(recent) <= MOST_RECENT:
        return known._replace(recent=recent)
    kept, merged = list(known.segments), [recent]
    small = _trailing_small(kept)
    if small >= MOST_SMALL:
        merged += [tuple(_runs(path, segment)) for segment in kept[-small:]]
        del kept[-small:]
    end = max((start + 2 * WIDTH * count for start, count in known.segments), default=TOKEN_BYTES)
    together = sorted(run for some in merged for run in some)
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.lseek(descriptor, end, os.SEEK_SET)
        files.write_all(descriptor, _packed(together), path)
        os.ftruncate(descriptor, end + 2 * WIDTH * len(together))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Index(known.token, stamp(path), (*kept, (end, len(together))))


def _trailing_small(segments: Sequence[Segment]) -> int:
    small = 0
    while small < len(segments) and segments[-1 - small][1] < LARGE:
        small += 1
    return small


def _packed(runs: Sequence[tuple[int, int]]) -> bytes:
    from array import array

    return array("Q", [key for key, _ in runs]).tobytes() + array("Q", [offset for _, offset in runs]).tobytes()


def _runs(path: str, segment: Segment) -> Iterator[tuple[int, int]]:
    from array import array

    start, count = segment
    with open(path, "rb") as file:
        file.seek(start)
        keys, offsets = array("Q", file.read(WIDTH * count)), array("Q", file.read(WIDTH * count))
    return zip(keys, offsets, strict=True)


def find(path: str, known: Index, keys: Iterable[int]) -> Mapping[int, list[int]]:
    """The offsets of the runs that have these keys; those of which there are none are left out. Raises OSError."""
    recent: dict[int, list[int]] = {}
    for key, offset in known.recent:
        recent.setdefault(key, []).append(offset)
    wanted = list(keys)
    found = {key: list(recent[key]) for key in wanted if key in recent}
    if known.segments and wanted:
        import mmap

        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            for segment in known.segments:
                for key, offset in _search(memoryview(mapped), segment, wanted):
                    found.setdefault(key, []).append(offset)
    return found


def _search(data: memoryview, segment: Segment, wanted: Iterable[int]) -> Iterator[tuple[int, int]]:
    from bisect import bisect_left

    start, count = segment
    with data, data[start : start + 2 * WIDTH * count].cast("Q") as numbers:
        for key in wanted:
            place = bisect_left(numbers, key, 0, count)
            while place < count and numbers[place] == key:
                yield key, numbers[count + place]
                place += 1
