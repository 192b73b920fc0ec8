"""A program that runs as if orchgate were not there: on its terminal, in its process group, with its signals.

Its cost is what the kernel reports at the end of each process; memory of the whole tree is sampled while it runs. No
helper starts it, as in `starting`: that would get in the way of the terminal. So its largest resident set is known only
where it is above ours.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.lib import process, working_time
from orchgate.lib.text import counted
from orchgate.runner import process_tree, reaped, suspended
from orchgate.runner.child import Birth, ChildProcess, signal_name
from orchgate.runner.suspended import STOPPING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.runner.loop import Loop
    from orchgate.runner.suspended import Standstill
    from orchgate.runs.usage import Storage

# In addition to those that the loop handles; a terminal sends the first one to the program as well.
_ALSO = (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, *STOPPING)
_STOPPING = tuple(number.name for number in STOPPING)
_FROM_TERMINAL = ("SIGINT", "SIGQUIT")
_ENDING = (*_FROM_TERMINAL, "SIGTERM", "SIGHUP")
_ALMOST_OVER = 0.05  # seconds; a process with nothing left to do ends within
_ENDS_WITHIN = 5.0  # seconds; a program that goes on longer uses Ctrl-C for something else
_STOPS_WITHIN = 5.0  # seconds; a program that stops later does so for another reason


class ForegroundResult(NamedTuple):
    """How it ended. `code` is None when a signal ended it.

    `asked` is the signal that asked it to end, "" if none did.
    """

    code: int | None
    signal: str | None
    usage: Mapping[str, Any]
    storage: Storage
    left: int  # processes that go on
    asked: str


def run(loop: Loop, argv: Sequence[str], environ: Mapping[str, str]) -> ForegroundResult:
    """Runs a program to its end. Raises ProgramMissing, OrchgateError when it cannot be started."""
    asked, asked_at = "", 0.0
    floor = process_tree.own_peak()
    with _handled(loop):
        with loop.numbered() as (number, meter):
            at = working_time.now()  # on a busy machine we may learn late that it has begun
            birth = Birth(process.attach(argv, env=environ), number, loop.numbers, meter, floor, at)
        program = ChildProcess(birth, environ[process_tree.MARK])
        stops = _Stops(program)
        while program.status is None:
            loop.wait(max(0.0, program.memory.due - working_time.now()))
            while loop.signals:
                name = loop.signals.pop(0)
                _pass_on(name, program.pid)
                if name in _STOPPING:
                    stops.ask(signal.Signals[name])
                if name in _ENDING:
                    asked, asked_at = name, working_time.now()
            stops.account(loop.gap)
            _reap(program)
            if working_time.now() >= program.memory.due:
                program.memory.take(others=())
    if asked in _FROM_TERMINAL and working_time.now() - asked_at > _ENDS_WITHIN:
        asked = ""
    return _result(loop, program, asked)


def _result(loop: Loop, program: ChildProcess, asked: str) -> ForegroundResult:
    assert program.status is not None
    status = os.waitstatus_to_exitcode(program.status)
    left = _left(loop, program)
    went_on = f"{counted(left, 'process', 'processes')} went on when it had ended" if left else ""
    processes, lost = loop.forks.started_by(program.pid) if loop.forks else (None, False)
    return ForegroundResult(
        code=status if status >= 0 else None,
        signal=signal_name(-status) if status < 0 else None,
        usage=program.cost(processes, lost=lost, bound=went_on),
        storage=program.costs.storage,
        left=left,
        asked=asked,
    )


def _reap(program: ChildProcess) -> None:
    """Reaps the program, and orphans of its that became our children."""
    while dead := reaped.next_dead():
        program.reaped(dead)


@contextlib.contextmanager
def _handled(loop: Loop) -> Iterator[None]:
    """Signals that would end us are collected instead, unless they were ignored from the start."""
    before = {number: signal.getsignal(number) for number in _ALSO}
    try:
        for number in _ALSO:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, lambda received, _: loop.signals.append(signal_name(received)))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _left(loop: Loop, program: ChildProcess) -> int:
    """How many processes go on, apart from those that end within a moment."""
    end = working_time.now() + _ALMOST_OVER
    while True:
        _reap(program)
        if reaped.childless():
            return 0
        if (seconds := end - working_time.now()) <= 0 or loop.signals:
            return len(process_tree.children_of(os.getpid()))
        loop.wait(seconds)


def _pass_on(name: str, pid: int) -> None:
    if name in ("SIGTTIN", "SIGTTOU") or (name in (*_FROM_TERMINAL, "SIGTSTP") and _in_foreground()):
        return  # the terminal has sent it to everybody in our group
    process_tree.send([pid], signal.Signals[name])


def _in_foreground() -> bool:
    """Whether a terminal sends its signals to our process group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


class _Stops:
    """Stops of a program on our own terminal: it gets Ctrl-Z as we do, and may use it for something else.

    Leaves out the time in which the program was stopped, and stops with it when we were asked to stop as well.
    """

    def __init__(self, program: ChildProcess) -> None:
        self._pid = program.pid
        self._tree = program.tree
        self._watch = program.watch
        self._since: float | None = None  # it is stopped since then
        self._asked = 0  # the signal that asked us to stop
        self._asked_at = 0.0

    def ask(self, number: int) -> None:
        """We were asked to stop, which happens once the program has stopped, if it ever does."""
        self._asked, self._asked_at = number, working_time.now()

    def account(self, gap: Standstill | None) -> None:
        """To be called whenever something has happened. `gap` is a time in which this process stood still."""
        changed = suspended.changes().get(self._pid)
        if self._since is not None and not suspended.stopped(self._pid):
            working_time.leave_out(working_time.now() - self._since)
            self._since = None
        if gap and self._since is None:
            self._settle(gap, stopped=changed is not None)
        stopped, since = bool(changed) and suspended.stopped(self._pid), working_time.now()
        if stopped and self._asked and working_time.now() - self._asked_at < _STOPS_WITHIN:
            self._stop()
        elif stopped and self._since is None and suspended.stand_still(self._tree, others=()):
            self._since = since

    def _settle(self, gap: Standstill, *, stopped: bool) -> None:
        if gap.frozen or stopped or suspended.stopped(self._pid):
            working_time.leave_out(gap.seconds)
        elif suspended.state(self._pid) in suspended.DEAD:
            self._watch.at_least(gap.begin, suspended.UNSEEN)

    def _stop(self) -> None:
        number, self._asked = self._asked, 0
        working_time.leave_out(suspended.stop_ourselves(number))
        if suspended.stopped(self._pid):  # SIGCONT for us alone is meant for the program as well
            process_tree.send(reversed(process_tree.descendants([os.getpid()])), signal.SIGCONT)
