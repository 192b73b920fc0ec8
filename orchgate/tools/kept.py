"""What is known of files of tools, kept in orchgate's cache: digests, and answers to `--version`, in one small table.

A file is known by path, device, inode, size and both times; one that changed within the last two seconds is not kept,
since it may change once more without any of these telling. What is damaged, or of another form, is not there.
"""

from __future__ import annotations

import json
import os
import time

from orchgate.lib.typed import TYPE_CHECKING, suppress
from orchgate.runs.used_tools import KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.lib.cache import Cache
    from orchgate.runs.used_tools import ProgramFile

MOST = 100  # files; those that were learnt first go first
PARTS = 64  # of a large file, spread over it, with its beginning and its end
PART_BYTES = 64 * 1024
SETTLED_SECONDS = 2.0
_CHUNK = 1 << 20


def keep(cache: Cache, key: str, value: str) -> None:
    """Learns something, and what others have learnt meanwhile. No errors."""
    table: dict[str, object] = {}
    with suppress(ValueError):
        known = json.loads(cache.read("tools", KEPT) or b"{}")
        table = known if isinstance(known, dict) else {}
    table.pop(key, None)
    table[key] = value
    cache.write("tools", KEPT, json.dumps(dict(list(table.items())[-MOST:])).encode())


def is_settled(file: ProgramFile) -> bool:
    """Whether a file would tell by its times that it changed once more."""
    *_, modified, changed = file.identity
    return time.time() - max(modified, changed) / 1e9 > SETTLED_SECONDS


def parts(descriptor: int, size: int, whole: int) -> Iterator[bytes]:
    """The contents of a file of at most `whole` bytes; of a larger one its size, and parts of it."""
    if size <= whole:
        yield from (os.pread(descriptor, _CHUNK, start) for start in range(0, size, _CHUNK))
        return
    yield b"%d\n" % size
    for number in range(PARTS):
        yield os.pread(descriptor, PART_BYTES, number * (size - PART_BYTES) // (PARTS - 1))
