"""What ends a query: a signal, which DuckDB does not look for, and the time that one has. Imports DuckDB."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from time import monotonic

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DONE = b"\0"
_AGAIN = 0.2  # seconds; what comes between two queries is not interrupted


class QueryOutOfTime(OrchgateError):
    """A query took longer than it may."""


class _Ends:
    """What ended it: a signal, the time, or neither."""

    signalled = late = False


@contextlib.contextmanager
def bounded(database: DuckDBPyConnection, seconds: float | None = None) -> Iterator[None]:
    """Lets a signal end what a database does, and a limit of time. Raises QueryOutOfTime."""
    if threading.current_thread() is not threading.main_thread():  # signals are somebody else's
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    ends = _Ends()
    watch = threading.Thread(target=_watch, args=(database, reading, seconds, ends), daemon=True)
    watch.start()
    try:
        yield
    except Exception as error:
        if ends.late and not ends.signalled:
            raise QueryOutOfTime(
                f"the query took longer than {seconds:g} s, and was stopped", "--max-time 10m"
            ) from error
        if ends.signalled or is_interrupt(error):
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.set_wakeup_fd(before)
        os.write(writing, _DONE)
        watch.join()
        os.close(reading)
        os.close(writing)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Around what DuckDB does soon: a signal that it did see is one."""
    try:
        yield
    except RuntimeError as error:
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        raise


def is_interrupt(error: BaseException) -> bool:
    """Whether DuckDB was interrupted. Where it looks for signals itself, it says so by an error of its own."""
    import duckdb

    told = error.__cause__ or error
    return isinstance(told, duckdb.InterruptException) or (
        type(told) is RuntimeError and str(told) == "Query interrupted"
    )


def _watch(database: DuckDBPyConnection, reading: int, seconds: float | None, ends: _Ends) -> None:
    """Interrupts, and again and again, until it is told that all is over."""
    limit = None if seconds is None else monotonic() + seconds
    while True:
        over = ends.signalled or ends.late
        left = _AGAIN if over else None if limit is None else max(0.0, limit - monotonic())
        ready, _, _ = select.select([reading], [], [], left)
        said = os.read(reading, 64) if ready else b""
        if _DONE in said:
            return
        ends.late |= not ready and not over
        ends.signalled |= any(number in said for number in _ENDING)
        if ends.late or ends.signalled:
            database.interrupt()
