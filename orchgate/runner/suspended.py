"""What stops this process or the programs it runs: Ctrl-Z, SIGSTOP, a frozen control group, a paused machine.

Only Ctrl-Z can be handled: the stages, which the terminal does not know, stop first and go on last. Of the others this
process learns afterwards, by a wait that took too long. That alone proves nothing, the machine may be busy: then the
kernel counts how long we were ready and not given a processor. What is left of the wait counts only after SIGCONT has
come, or where it is long and we were not even ready. None of that time counts as work.
"""

from __future__ import annotations

import os
import resource
import signal
import time

from orchgate.lib import working_time
from orchgate.lib.files import read_virtual
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runner import process_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from orchgate.runner.child import Running
    from orchgate.runner.process_tree import TreeIdentity

BEAT = 0.1  # seconds of the longest wait: by so much a stop may have begun before it is taken to have
_LEAST = 0.02  # seconds of a stop that is taken for one
_BUSY = 0.2  # the same, between two waits: reading and writing takes its time, too
_FROZEN = 1.0  # the same, where no SIGCONT came …
_READY = 0.05  # … and we were ready for no more than this fraction of it

DEAD = ("Z", "X", "")  # states of processes that are no more
# From a terminal: Ctrl-Z, and reading from or writing to one that belongs to another job just now.
STOPPING = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
UNSEEN = "the runner was stopped when it ended"
_LOOKS = 20  # a signal to a whole group reaches its processes one after the other
_ROUNDS = 200
_PAUSE = 0.001  # seconds
_LISTED = os.path.isdir("/proc/self")  # macOS: a process that left its group cannot be found
_GOING = ("R", "S", "D", "I")  # states of processes that a signal may yet stop


class Standstill(NamedTuple):
    """This process was stopped for at least `seconds`, at some moment after `begin` (of the clock of `working_time`).

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
        self._between: Standstill | None = None  # found before the wait that is under way
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
            self._between = Standstill(self._ended, lost, frozen=False) if lost >= _BUSY else None
        self._continued = False
        self._before, self._begin, self._due = kept, now, now + seconds

    def over(self) -> Standstill | None:
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
        return Standstill(self._begin, late - ready, frozen) if late - ready >= _LEAST else self._between

    def _kept(self) -> tuple[float, int]:
        """Seconds in which we were ready and had to wait for a processor, and how often for a page from a disk."""
        ready = 0.0
        if self._schedule >= 0:
            ready = int(os.pread(self._schedule, 64, 0).split()[1]) / 1e9
        return ready, resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    return state(pid) in ("T", "t")


def state(pid: int) -> str:
    """A process's state, as a letter of /proc; "" for one that is not there."""
    try:
        return read_virtual(f"/proc/{pid}/stat").rpartition(b")")[2].split(None, 1)[0].decode("ascii")
    except (OSError, IndexError, ValueError):
        return ""


def changes() -> dict[int, bool]:
    """Children that were stopped (True) or continued (False) since they were last asked for."""
    found: dict[int, bool] = {}
    if not hasattr(os, "waitid"):
        return found
    try:
        while change := os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WCONTINUED | os.WNOHANG):
            found[change.si_pid] = change.si_code != os.CLD_CONTINUED
    except ChildProcessError:
        pass
    return found


def stop_ourselves(number: int) -> float:
    """Lets a signal stop this process, as if it had no handler; returns the seconds until SIGCONT came.

    In an orphaned process group, which no shell could continue, the kernel ignores it.
    """
    import threading

    begin = time.monotonic()
    before = signal.signal(number, signal.SIG_DFL)
    signal.pthread_kill(threading.get_ident(), number)  # to this thread: on the way back it is dealt with
    signal.signal(number, before)
    return time.monotonic() - begin


class Absence:
    """Leaves out the time in which everybody, or one program alone, was stopped."""

    def __init__(self) -> None:
        self._since: float | None = None  # all running programs have been stopped since then

    def account(self, gap: Standstill | None, running: Mapping[int, Running]) -> None:
        """To be called whenever something has happened. `gap` is a time in which this process stood still."""
        changed = changes()
        alive = {pid: one for pid, one in running.items() if one.status is None}
        if self._since is not None and not _all_held(alive, changed):
            working_time.leave_out(working_time.now() - self._since)
            self._since = None
        if gap:
            _settle(gap, changed, list(alive.values()))
        _follow(changed, alive)
        if self._since is None and _all_held(alive, {}):
            self._since = max(one.watch.since for one in alive.values())


def _all_held(alive: Mapping[int, Running], changed: Mapping[int, bool]) -> bool:
    """Whether something runs, and all of it is stopped."""
    held = (one.watch.held and changed.get(pid, True) and state(pid) not in DEAD for pid, one in alive.items())
    return bool(alive) and all(held)


def _settle(gap: Standstill, changed: Mapping[int, bool], alive: Sequence[Running]) -> None:
    """This process stood still. `changed` are children that were stopped or continued meanwhile.

    Where a program went on, that was work. Of one that ended meanwhile only the least is known.
    """
    ended = [one for one in alive if state(one.pid) in DEAD]
    halted = [one for one in alive if one not in ended and (one.pid in changed or stopped(one.pid))]
    if gap.frozen or len(halted) == len(alive):
        working_time.leave_out(gap.seconds)
        return
    for one in ended:
        one.watch.at_least(gap.begin, UNSEEN)
    if len(ended) + len(halted) == len(alive):
        working_time.leave_out(working_time.now() - gap.begin)
        return
    for one in halted:
        one.watch.leave_out(gap.seconds)
    working_time.note()


def _follow(changed: Mapping[int, bool], alive: Mapping[int, Running]) -> None:
    """Notes which programs were stopped, all of each, or continued."""
    for pid, one in alive.items():
        stopped, since = changed.get(pid), working_time.now()
        if stopped is False:
            one.watch.release()
        elif stopped and not one.watch.held and stand_still(one.tree, alive.keys() - {pid}):
            one.watch.hold(since)


def stand_still(tree: TreeIdentity, others: Collection[int]) -> bool:
    """Whether no process of a program goes on. `others` are the first ones of others that run."""
    for _ in range(_LOOKS):
        if not stopped(tree.leader):
            return False
        members = process_tree.everyone_of(tree, others=others)
        if all(stopped(pid) or state(pid) in DEAD for pid in members):
            return True
        time.sleep(_PAUSE)
    return False


class Pauses:
    """Handles the signals that stop. `shown` may be set: it is called before (True) and after (False) Ctrl-Z.

    `leaders` are the first processes of all that runs.
    """

    def __init__(self, leaders: Collection[int]) -> None:
        self._leaders = leaders
        self.shown: Callable[[bool], None] = lambda _: None
        self._under_way = False

    def handle(self, number: int, _: Any) -> None:
        """At once, wherever the program is: what wrote to a terminal in vain would try so again and again."""
        if self._under_way:
            return
        self._under_way = True
        try:
            if number == signal.SIGTSTP:
                self.shown(True)
            held = _hold()
            groups = () if _LISTED else tuple(self._leaders)
            for leader in groups:
                process_tree.send_group(leader, signal.SIGSTOP, wake=False)
            try:
                working_time.leave_out(stop_ourselves(number))
            finally:
                # Whoever waits for a child must find it running again, or would take it for stopped.
                process_tree.send(reversed(held), signal.SIGCONT)
                for leader in groups:
                    process_tree.send_group(leader, signal.SIGCONT)
            if number == signal.SIGTSTP:
                self.shown(False)
        finally:
            self._under_way = False


def _hold() -> list[int]:
    """Stops everything below us, parents before their children; who stood still already stays so later."""
    held: list[int] = []
    for _ in range(_ROUNDS):
        below = process_tree.descendants([os.getpid()])
        new = [pid for pid in below if pid not in held and state(pid) in (*_GOING, "t")]
        process_tree.send(new, signal.SIGSTOP)
        held += new
        if not new and all(state(pid) not in _GOING for pid in held):
            break
        time.sleep(_PAUSE)
    return held
