"""A program that runs as if we were not there: on our terminal, in our process group, with our signals.

Its cost is what the kernel tells at the end of each process; memory of the whole tree is sampled while it runs. Nothing
small stands between us and it, as in `starting`: that would be in the way of the terminal. So its own largest resident
set is known only where it is above ours.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.lib import process, working_time
from orchgate.runner import memory, proc, process_tree, reaped
from orchgate.runner.beside import Beside
from orchgate.runner.child import LOST, UNSEEN, Birth, signal_name
from orchgate.runner.costs import Costs
from orchgate.runner.pausing import STOPPING
from orchgate.runner.stopwatch import Stopwatch
from orchgate.runs import usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.runner.loop import Loop

# Beside the ones that the loop handles anyway; a terminal sends the first to the program as well.
_ALSO = (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, *STOPPING)
_STOPPING = tuple(number.name for number in STOPPING)
_FROM_TERMINAL = ("SIGINT", "SIGQUIT")
_ENDING = (*_FROM_TERMINAL, "SIGTERM", "SIGHUP")
_ALMOST_OVER = 0.05  # seconds in which who has nothing left to do ends
_ANSWERED = 5.0  # seconds; a program that goes on longer than this has taken Ctrl-C for something else than its end


class Ended(NamedTuple):
    """How it ended. `code` is None when a signal ended it.

    `asked` is the signal that asked it to end, "" if none did.
    """

    code: int | None
    signal: str | None
    usage: Mapping[str, Any]
    storage: usage.Storage
    left: int  # processes that go on
    asked: str


class _Program:
    """The program that runs, and what its dead processes have cost so far."""

    def __init__(self, birth: Birth, mark: str) -> None:
        self.pid = birth.pid
        self.meter = birth.meter
        self.watch = Stopwatch(birth.at)
        self.origin = process_tree.Origin(birth.pid, birth.number, mark, birth.numbers)
        self.memory = memory.Sampler(self.origin, self.seen)
        self.status: int | None = None
        self.costs = Costs(birth.floor)

    def seen(self, pid: int) -> None:
        """One of its living processes was met."""
        if process_tree.ignores_children(pid):
            self.costs.careless()

    def bury(self) -> None:
        """Buries the program, and orphans of its that became our children."""
        while death := reaped.next_death():
            own = death.pid == self.pid
            self.costs.add(death, self.watch.end() if own else None)
            if own:
                self.status = death.status

    def usage(self, loop: Loop, left: int) -> dict[str, Any]:
        """What it has cost, once its first process is dead and `left` others go on."""
        if process_tree.blind():
            self.costs.at_least(UNSEEN)
        if left:
            self.costs.at_least(f"{left} {'process' if left == 1 else 'processes'} went on when it had ended")
        processes, lost = loop.forks.started_by(self.pid) if loop.forks else (None, False)
        if lost:
            self.costs.at_least(LOST, ["processes"])
        spent = self.costs.total(self.meter.read() if self.meter else None, processes)
        if self.meter:
            self.meter.close()
        return self.watch.told(usage.with_tree(spent, self.memory.most)) or {}


def run(loop: Loop, argv: Sequence[str], environ: Mapping[str, str]) -> Ended:
    """Runs a program to its end. Raises ProgramMissing, OrchgateError when it cannot be started."""
    asked, asked_at = "", 0.0
    floor = proc.own_peak()
    with _handled(loop):
        with loop.told_apart() as (number, meter):
            at = working_time.now()  # on a busy machine we may learn late that it has begun
            birth = Birth(process.attach(argv, env=environ), number, loop.numbers, meter, floor, at)
        program = _Program(birth, environ[process_tree.MARK])
        beside = Beside(program.origin, program.watch)
        while program.status is None:
            loop.wait(max(0.0, program.memory.due - working_time.now()))
            while loop.signals:
                name = loop.signals.pop(0)
                _pass_on(name, program.pid)
                if name in _STOPPING:
                    beside.ask(signal.Signals[name])
                if name in _ENDING:
                    asked, asked_at = name, working_time.now()
            beside.account(loop.gap)
            program.bury()
            if working_time.now() >= program.memory.due:
                program.memory.take(others=())
    if asked in _FROM_TERMINAL and working_time.now() - asked_at > _ANSWERED:
        asked = ""
    status = os.waitstatus_to_exitcode(program.status)
    left = _left(loop, program)
    return Ended(
        code=status if status >= 0 else None,
        signal=signal_name(-status) if status < 0 else None,
        usage=program.usage(loop, left),
        storage=program.costs.storage,
        left=left,
        asked=asked,
    )


@contextlib.contextmanager
def _handled(loop: Loop) -> Iterator[None]:
    """Signals that would end us are noted instead, unless we were told to ignore them."""
    before = {number: signal.getsignal(number) for number in _ALSO}
    try:
        for number in _ALSO:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, lambda received, _: loop.signals.append(signal_name(received)))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _left(loop: Loop, program: _Program) -> int:
    """Processes that go on, those set aside that are over in a moment."""
    end = working_time.now() + _ALMOST_OVER
    while True:
        program.bury()
        if reaped.childless():
            return 0
        if (seconds := end - working_time.now()) <= 0 or loop.signals:
            return len(process_tree.children_of(os.getpid()))
        loop.wait(seconds)


def _pass_on(name: str, pid: int) -> None:
    if name in ("SIGTTIN", "SIGTTOU") or (name in (*_FROM_TERMINAL, "SIGTSTP") and _in_foreground()):
        return  # the terminal has told everybody in our group
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
