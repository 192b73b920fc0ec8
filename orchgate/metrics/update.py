"""Bringing the aggregate of a metrics file up to date: what is new is read, or everything where that is not enough.

A run may have several lines: it was resumed, or lines were copied. The one with the most `resumes` counts,
of equal ones the last. Lines are added first; then those that do not count are read again, by their offsets, and taken
out. Where that would leave an extreme unknown, the file is read once more without them.

A metrics file is only ever appended to. Anything else (rewritten, cut, replaced, edited) makes the checkpoint invalid:
it is another file, or shorter, or what is before the offset is not what was read. Files up to 256 KiB are compared
whole; of larger ones the beginning, the bytes before the offset and 30 samples between them. An edit in place of a
larger file that keeps its size is noticed by the file's time; only if the file has grown since, by the samples alone.
Imports msgspec.
"""

from __future__ import annotations

import contextlib
import os
import sys
from zlib import crc32

from orchgate.errors import OrchgateError
from orchgate.lib import files, locks
from orchgate.lib.codec import MsgspecError, Raw, Struct, json
from orchgate.lib.files import NotRegularFileError, open_regular
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics import index, reduce
from orchgate.metrics.aggregate import Aggregate, merge
from orchgate.metrics.index import Index  # noqa: TC001 -- msgspec reads the annotations
from orchgate.metrics.sketch import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchgate.metrics.index import IndexPart
    from orchgate.metrics.lines import Entry

METRICS = "metrics.json"
NEWEST = 1 << 19  # bytes at the end of a file in which the newest runs are looked for
PATIENCE = 10.0  # seconds that another process may hold the checkpoint


class Updated(NamedTuple):
    """An aggregate that is up to date, and how that was done.

    `rebuilt` says why everything was read, "" when the checkpoint held. `lines` and `bytes` were read this time.
    `unfinished` are the bytes of a last line that somebody may still be writing; it is left for the next time.
    `not_kept` says why there is no new checkpoint, "" when there is one. `newest` reads the entries at the end of the
    file, before the block of `updated` is left: whoever only wants sums does not pay for them.
    """

    aggregate: Aggregate
    ignored: dict[str, int]
    lines: int
    bytes: int
    rebuilt: str
    unfinished: int
    not_kept: str
    newest: Callable[[], Sequence[Entry]]


class _Reduction(NamedTuple):
    """What was read: everything into `aggregate`, this time's lines also into `fresh`. `segments` hold their runs."""

    aggregate: Aggregate
    fresh: Aggregate
    segments: Sequence[IndexPart]
    begin: int
    was: Checkpoint | None
    rebuilt: str


def update(folder: str) -> Updated:
    """Reads what is new in the metrics file of a folder. Raises OrchgateError when it is none that can be read."""
    with updated(folder) as found:
        return found


@contextlib.contextmanager
def updated(folder: str) -> Iterator[Updated]:
    """As `update`; nobody else updates the folder before the block is left."""
    path = os.path.join(folder, METRICS)
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        yield Updated(Aggregate(), {}, 0, 0, "", 0, "", tuple)
        return
    except NotRegularFileError as error:
        message = f"{path} is {error.kind}, not a regular file"
        raise OrchgateError(message, "remove it; runs append their metrics there") from error
    except OSError as error:
        raise OrchgateError(f"cannot read {path}: {error.strerror}", "ls -l shows who may read it") from error
    try:
        with _alone(folder) as hindered:
            yield _update(folder, descriptor, hindered)
    except OSError as error:
        raise OrchgateError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[str]:
    """Keeps other updates of a folder waiting; why that did not work, "" if it did.

    The lock is on the folder itself, and the system lets go of it when its holder dies.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _hindrance(descriptor, folder)
    finally:
        os.close(descriptor)


def _hindrance(descriptor: int, folder: str) -> str:
    try:
        locks.take(descriptor, folder, PATIENCE)
    except locks.Busy:
        return "another process holds the checkpoint"
    except locks.NoLocks as error:
        return error.message
    return ""


def _update(folder: str, descriptor: int, hindered: str) -> Updated:
    status = os.fstat(descriptor)
    end = _end(descriptor, status.st_size)
    was = load_checkpoint(folder)
    if isinstance(was, Checkpoint):
        was = _why_unusable(folder, descriptor, status, was) or was
    with contextlib.ExitStack() as opened:
        done = _carry_on(folder, descriptor, was, end, opened) if isinstance(was, Checkpoint) else was
        if isinstance(done, str):
            done = _start_over(descriptor, end, done, opened)
        if os.fstat(descriptor).st_size < end:
            raise reduce.Changed
        problem = hindered or _keep(folder, descriptor, status, done, end)
    ignored = dict(done.fresh.ignored)

    def newest() -> Sequence[Entry]:
        return reduce.entries(descriptor, max(0, end - NEWEST), end)

    unfinished = status.st_size - end
    return Updated(
        done.aggregate, ignored, done.fresh.lines, end - done.begin, done.rebuilt, unfinished, problem, newest
    )


def _end(descriptor: int, size: int) -> int:
    """Where the last line break is passed."""
    position = size
    while position > 0:
        start = max(0, position - reduce.BLOCK)
        found = os.pread(descriptor, position - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _why_unusable(folder: str, descriptor: int, status: os.stat_result, was: Checkpoint) -> str:
    if not index.intact(os.path.join(folder, INDEX), was.known):
        return "the index beside the checkpoint is not its own"
    return _why_changed(was.identity, descriptor, status)


def _start_over(descriptor: int, end: int, why: str, opened: contextlib.ExitStack) -> _Reduction:
    parts = reduce.reduce(descriptor, 0, end, opened)
    segments = reduce.segments(parts)
    repeats = reduce.judge(descriptor, index.repeated(segments).values())
    try:
        total = reduce.without(descriptor, reduce.united(parts), repeats)
    except Unknown:
        total = reduce.united(reduce.reduce(descriptor, 0, end, opened, repeats.losers))
        reduce.count(total, repeats)
    return _Reduction(total, total, segments, 0, None, why)


def _carry_on(
    folder: str, descriptor: int, was: Checkpoint, end: int, opened: contextlib.ExitStack
) -> _Reduction | str:
    """What came since the checkpoint; or why that is not enough."""
    begin = was.identity.offset
    parts = reduce.reduce(descriptor, begin, end, opened)
    fresh, new = reduce.united(parts), reduce.segments(parts)
    if not new:
        return _Reduction(merge(was.aggregate, fresh), fresh, new, begin, was, "")
    before = os.open(os.path.join(folder, INDEX), os.O_RDONLY | os.O_CLOEXEC)
    opened.callback(os.close, before)
    groups = index.since(index.segments(before, was.known), new)
    try:
        repeats = reduce.judge(descriptor, groups.values(), begin)
    except reduce.Changed:
        return "the index does not fit the file"
    try:
        total = reduce.without(descriptor, merge(was.aggregate, fresh), repeats)
    except Unknown:
        return "a run that was superseded held an extreme"
    reduce.count(fresh, repeats)
    return _Reduction(total, fresh, new, begin, was, "")


def _keep(folder: str, descriptor: int, status: os.stat_result, done: _Reduction, end: int) -> str:
    """Writes the checkpoint; why that did not work, "" if it did."""
    was = done.was
    if was and end == was.identity.offset and status.st_mtime_ns == was.identity.modified:
        return ""
    path = os.path.join(folder, INDEX)
    try:
        known = index.extended(path, was.known, done.segments) if was else index.create(path, done.segments)
        _save(folder, Checkpoint(_identity(descriptor, status, end), known, done.aggregate, hashed=index.sample()))
    except OrchgateError as error:
        return error.message
    except OSError as error:
        return f"cannot write {path}: {error.strerror}"
    except OverflowError:
        return "a sum is too large to be kept"
    return ""


VERSION = 3  # 1 counted what failed runs cost among the others, 2 knew runs by other keys
CHECKPOINT, INDEX = "aggregate.json", "aggregate.index"
SAMPLES, SAMPLE = 32, 8192
MAX_BYTES = 64 << 20
WHOLE = SAMPLES * SAMPLE  # bytes that are compared completely


class Identity(Struct, gc=False):
    """The file as it was. `offset` is how far it was read, a line's end; `digest` is of what is before that."""

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
    hashed: int = 0  # an `index.sample`


class _Envelope(Struct):
    version: int
    check: int
    state: Raw


def _digest(descriptor: int, offset: int) -> int:
    """Of what is before an offset: see above. Raises OSError."""
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


def _identity(descriptor: int, status: os.stat_result, offset: int) -> Identity:
    """Raises OSError."""
    found = _digest(descriptor, offset)
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, offset, found)


def _why_changed(was: Identity, descriptor: int, status: os.stat_result) -> str:
    """Why what was read before cannot be relied on, "" if it can. Raises OSError."""
    if (was.device, was.inode) != (status.st_dev, status.st_ino):
        return "the file was replaced"
    if status.st_size < was.size:
        return "the file was cut"
    # Even if nothing seems to have happened: the time of a change is only as exact as the kernel's tick.
    if _digest(descriptor, was.offset) != was.digest:
        return "the file was rewritten"
    if was.size == status.st_size and was.modified != status.st_mtime_ns and was.offset > WHOLE:
        return "the file was written to without growing"
    return ""


def load_checkpoint(folder: str) -> Checkpoint | str:
    """The checkpoint of a folder, or why there is none that can be used."""
    try:
        data = files.read(os.path.join(folder, CHECKPOINT), MAX_BYTES)
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
    if (state.byteorder, state.hashed) != (sys.byteorder, index.sample()):
        return "the checkpoint is of another kind of machine or Python"
    return state


def _save(folder: str, state: Checkpoint) -> None:
    """Raises WriteError."""
    data = json.encode(state)
    # Not synced: one that a power cut takes is found to be damaged, and made anew.
    files.replace(
        os.path.join(folder, CHECKPOINT), json.encode(_Envelope(VERSION, crc32(data), Raw(data))) + b"\n", sync=False
    )
