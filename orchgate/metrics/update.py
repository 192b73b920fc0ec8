"""Bringing the aggregate of a metrics file up to date: what is new is read, or everything where that is not enough.

A run may have several lines: it was taken up again, or somebody copied lines. The one with the most `resumes` counts,
of equal ones the last. Lines are added first; then those that do not count are read again, by their offsets, and taken
out. Where that would leave an extreme unknown, the file is read once more without them. Imports msgspec.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib import locks
from orchgate.lib.files import NotRegularFileError, open_regular
from orchgate.metrics import checkpoint, index, reduce, repeated
from orchgate.metrics.aggregate import Aggregate, merge
from orchgate.metrics.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.metrics.lines import Entry
    from orchgate.metrics.reduce import RangeTotals

METRICS = "metrics.json"
NEWEST = 1 << 19  # bytes at the end of a file in which the newest runs are looked for
PATIENCE = 10.0  # seconds that another process may hold the checkpoint


class Updated(NamedTuple):
    """An aggregate that is up to date, and how that was done.

    `rebuilt` says why everything was read, "" when the checkpoint held. `lines` and `bytes` were read this time.
    `unfinished` are the bytes of a last line that somebody may still be writing; it is left for the next time.
    `not_kept` says why there is no new checkpoint, "" when there is one.
    """

    aggregate: Aggregate
    ignored: dict[str, int]
    lines: int
    bytes: int
    rebuilt: str
    unfinished: int
    not_kept: str
    newest: tuple[Entry, ...]


class _Reduction(NamedTuple):
    """What was read: everything into `aggregate`, this time's lines also into `fresh`. `parts` hold their runs."""

    aggregate: Aggregate
    fresh: Aggregate
    parts: Sequence[RangeTotals]
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
        yield Updated(Aggregate(), {}, 0, 0, "", 0, "", ())
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
    was = checkpoint.load(folder)
    if isinstance(was, Checkpoint):
        was = _why_invalid(folder, descriptor, status, was) or was
    done = _carry_on(folder, descriptor, was, end) if isinstance(was, Checkpoint) else was
    if isinstance(done, str):
        done = _start_over(descriptor, end, done)
    if os.fstat(descriptor).st_size < end:
        raise repeated.Changed
    problem = hindered or _keep(folder, descriptor, status, done, end)
    ignored = dict(done.fresh.ignored)
    newest = tuple(reduce.entries(descriptor, max(0, end - NEWEST), end))
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


def _why_invalid(folder: str, descriptor: int, status: os.stat_result, was: Checkpoint) -> str:
    if not index.intact(os.path.join(folder, checkpoint.INDEX), was.known):
        return "the index beside the checkpoint is not its own"
    return checkpoint.why_invalid(was.identity, descriptor, status)


def _start_over(descriptor: int, end: int, why: str) -> _Reduction:
    parts = reduce.reduce(descriptor, 0, end)
    total = reduce.united(parts)
    repeats = repeated.judge(descriptor, repeated.within(parts))
    if not repeated.take_out(descriptor, total, repeats):
        total = reduce.united(reduce.reduce(descriptor, 0, end, repeats.losers))
        repeated.count(total, repeats)
    return _Reduction(total, total, parts, 0, None, why)


def _carry_on(folder: str, descriptor: int, was: Checkpoint, end: int) -> _Reduction | str:
    """What came since the checkpoint; or why that is not enough."""
    begin = was.identity.offset
    parts = reduce.reduce(descriptor, begin, end)
    fresh = reduce.united(parts)
    total = merge(was.aggregate, fresh)
    keys = {key for part in parts for key in part.keys}
    known = index.find(os.path.join(folder, checkpoint.INDEX), was.known, keys)
    try:
        repeats = repeated.judge(descriptor, repeated.since(parts, known))
    except repeated.Changed:
        return "the index does not fit the file"
    if not repeated.take_out(descriptor, total, repeats):
        return "a run that was superseded held an extreme"
    repeated.count(fresh, repeats)
    return _Reduction(total, fresh, parts, begin, was, "")


def _keep(folder: str, descriptor: int, status: os.stat_result, done: _Reduction, end: int) -> str:
    """Writes the checkpoint; why that did not work, "" if it did."""
    was = done.was
    if was and end == was.identity.offset and status.st_mtime_ns == was.identity.modified:
        return ""
    path = os.path.join(folder, checkpoint.INDEX)
    try:
        if was is None:
            known = index.create(path, [(part.keys, part.offsets) for part in done.parts])
        else:
            known = index.extended(path, was.known, list(reduce.runs(done.parts)))
        identity = checkpoint.identity(descriptor, status, end)
        checkpoint.save(folder, Checkpoint(identity, known, done.aggregate))
    except OrchgateError as error:
        return error.message
    except OSError as error:
        return f"cannot write {path}: {error.strerror}"
    except OverflowError:
        return "a sum is too large to be kept"
    return ""
