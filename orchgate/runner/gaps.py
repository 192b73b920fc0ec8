"""Whether this process was kept from going on while it waited: by SIGSTOP, a frozen control group, a paused machine.

None of these can be caught. A wait that took too long proves nothing, the machine may be busy: then the kernel counts
how long we were ready and not given a processor. What is left of the wait counts only after SIGCONT has come, or where
it is long and we were not even ready.
"""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from typing import Any, NamedTuple

from orchgate.lib import working_time

BEAT = 0.1  # seconds of the longest wait: by so much a stop may have begun before it is taken to have
_LEAST = 0.02  # seconds of a stop that is taken for one
_BUSY = 0.2  # the same, between two waits: reading and writing takes its time, too
_FROZEN = 1.0  # the same, where nobody told us to go on …
_READY = 0.05  # … and we were ready for no more than this fraction of it

DEAD = ("Z", "X", "")  # states of processes that are no more


class Gap(NamedTuple):
    """This process was stopped for at least `seconds`, at some moment after `begin` (of the clock of `worked`).

    `frozen`: not by a signal, and so together with everything that it has started.
    """

    begin: float
    seconds: float
    frozen: bool


class Waits:
    """Of one process's main thread, which works for a moment between two of them."""

    def __init__(self) -> None:
        self._continued = False
        self._begin = self._due = self._ended = working_time.now()
        self._cpu = time.thread_time()
        self._between: Gap | None = None  # found before the wait that is under way
        try:
            self._schedule = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._schedule = -1
        self._before = self._kept()

    def close(self) -> None:
        if self._schedule >= 0:
            os.close(self._schedule)

    def continued(self, *_: Any) -> None:
        """SIGCONT has come."""
        self._continued = True

    def begin(self, seconds: float) -> None:
        """A wait begins that takes at most so long."""
        now, kept = working_time.now(), self._kept()
        self._between = None
        if self._continued:
            lost = now - self._ended - (time.thread_time() - self._cpu) - (kept[0] - self._before[0])
            self._between = Gap(self._ended, lost, frozen=False) if lost >= _BUSY else None
        self._continued = False
        self._before, self._begin, self._due = kept, now, now + seconds

    def over(self) -> Gap | None:
        """It is over: what kept us from noticing earlier, unless that was the machine."""
        self._ended, self._cpu = working_time.now(), time.thread_time()
        late = self._ended - self._due
        if late < (_LEAST if self._continued else _FROZEN):
            return self._between
        kept = self._kept()
        ready, faults = kept[0] - self._before[0], kept[1] - self._before[1]
        frozen = not self._continued
        self._before, self._continued = kept, False
        if frozen and (self._schedule < 0 or faults or ready > _READY * late):
            return self._between
        return Gap(self._begin, late - ready, frozen) if late - ready >= _LEAST else self._between

    def _kept(self) -> tuple[float, int]:
        """Seconds in which we were ready and had to wait for a processor, and how often for a page from a disk."""
        ready = 0.0
        if self._schedule >= 0:
            ready = int(os.pread(self._schedule, 64, 0).split()[1]) / 1e9
        return ready, resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def stopped(pid: int) -> bool:
    """Whether a process stands still because of a signal."""
    return state(pid) in ("T", "t")


def state(pid: int) -> str:
    """A process's state, as a letter of /proc; "" for one that is not there."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split(None, 1)[0].decode("ascii")
    except (OSError, IndexError, ValueError):
        return ""


def changes() -> dict[int, bool]:
    """Children that were stopped (True) or continued (False) since they were last asked for."""
    found: dict[int, bool] = {}
    if not hasattr(os, "waitid"):
        return found
    try:
        while told := os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WCONTINUED | os.WNOHANG):
            found[told.si_pid] = told.si_code != os.CLD_CONTINUED
    except ChildProcessError:
        pass
    return found


def stop_ourselves(number: int) -> float:
    """Lets a signal that stops do so, as if nobody handled it; how many seconds it was until somebody continued us.

    In a group that nobody could continue, the kernel ignores it.
    """
    begin = time.monotonic()
    before = signal.signal(number, signal.SIG_DFL)
    signal.pthread_kill(threading.get_ident(), number)  # to this thread: on the way back it is dealt with
    signal.signal(number, before)
    return time.monotonic() - begin
