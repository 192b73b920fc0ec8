"""What was found in a metrics file up to an offset, kept beside it, and whether it still holds. Imports msgspec.

A metrics file is only ever appended to. Anything else (rewritten, cut, replaced, edited) makes the checkpoint invalid:
it is another file, or shorter, or what lies before the offset is not what was read. Files up to 256 KiB are compared
whole; of larger ones the beginning, the bytes before the offset and 30 samples between them. An edit in place of a
larger file that keeps its size is seen by the file's time; only if the file has grown since, by the samples alone.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING
from zlib import crc32

from msgspec import MsgspecError, Raw, Struct, json

from orchgate.lib import files
from orchgate.metrics.aggregate import Aggregate  # noqa: TC001 -- msgspec reads the annotations
from orchgate.metrics.index import Index  # noqa: TC001 -- msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 2  # 1 counted what failed runs cost among the others
NAME, INDEX = "aggregate.json", "aggregate.index"
SAMPLES, SAMPLE = 32, 8192
MAX_BYTES = 64 << 20
WHOLE = SAMPLES * SAMPLE  # bytes that are compared completely


class Identity(Struct, gc=False):
    """The file as it was. `offset` is how far it was read, a line's end; `digest` is of what lies before that."""

    device: int
    inode: int
    size: int
    modified: int  # nanoseconds
    offset: int
    digest: int


class Checkpoint(Struct, gc=False):
    identity: Identity
    known: Index
    aggregate: Aggregate
    byteorder: str = sys.byteorder  # the index is written as the machine holds it


class _Envelope(Struct):
    version: int
    check: int
    state: Raw


def digest(descriptor: int, offset: int) -> int:
    """Of what lies before an offset: see above. Raises OSError."""
    value = offset & 0xFFFFFFFF
    for start, size in _samples(offset):
        value = crc32(os.pread(descriptor, size, start), value)
    return value


def _samples(offset: int) -> Iterator[tuple[int, int]]:
    if offset <= WHOLE:
        yield 0, offset
        return
    for number in range(SAMPLES):
        yield (offset - SAMPLE) * number // (SAMPLES - 1), SAMPLE


def identity(descriptor: int, status: os.stat_result, offset: int) -> Identity:
    """Raises OSError."""
    found = digest(descriptor, offset)
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, offset, found)


def why_invalid(was: Identity, descriptor: int, status: os.stat_result) -> str:
    """Why what was read before cannot be relied on, "" if it can. Raises OSError."""
    if (was.device, was.inode) != (status.st_dev, status.st_ino):
        return "the file was replaced"
    if status.st_size < was.size:
        return "the file was cut"
    # Even if nothing seems to have happened: the time of a change is only as exact as the kernel's tick.
    if digest(descriptor, was.offset) != was.digest:
        return "the file was rewritten"
    if was.size == status.st_size and was.modified != status.st_mtime_ns and was.offset > WHOLE:
        return "the file was written to without growing"
    return ""


def load(folder: str) -> Checkpoint | str:
    """The checkpoint of a folder, or why there is none that can be used."""
    try:
        data = files.read(os.path.join(folder, NAME), MAX_BYTES)
    except FileNotFoundError:
        return "there was no checkpoint"
    except OSError as error:
        return f"the checkpoint cannot be read: {error.strerror}"
    try:
        envelope = json.decode(data, type=_Envelope)
        if envelope.version != VERSION:
            return f"the checkpoint is of version {envelope.version}"
        if crc32(envelope.state) != envelope.check:
            return "the checkpoint is damaged"
        state = json.decode(envelope.state, type=Checkpoint)
    except (MsgspecError, RecursionError, ValueError):
        return "the checkpoint is damaged"
    return state if state.byteorder == sys.byteorder else "the checkpoint is of another kind of machine"


def save(folder: str, state: Checkpoint) -> None:
    """Raises WriteError."""
    data = json.encode(state)
    # Not synced: one that a power cut takes is found to be damaged, and made anew.
    files.replace(
        os.path.join(folder, NAME), json.encode(_Envelope(VERSION, crc32(data), Raw(data))) + b"\n", sync=False
    )
