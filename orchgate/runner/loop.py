"""Runs programs: an event loop over their output, their ends, signals and deadlines. Only their memory is polled.

Deadlines use the clock of `working_time`, which stands still while everything is stopped with Ctrl-Z.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from functools import partial

from orchgate.errors import OrchgateError
from orchgate.lib import working_time
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runner import process_tree, start_and_reap, suspended
from orchgate.runner.child import NOT_OURS, Birth, CostOwners, Running, refused, signal_name
from orchgate.runner.meter import Forks, Meters
from orchgate.runner.output import Output
from orchgate.runner.start_and_reap import FirstProcess, Helper
from orchgate.runner.suspended import STOPPING, Absence, Pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any, Self

    from orchgate.runner.child import Program, Result
    from orchgate.runner.meter import Meter
    from orchgate.secrets.redact import Redactor

GRACE = 2.0  # seconds between asking a program to end and ending it
_BUFFER = 1024 * 1024
_LOOKS = 100  # at a list of processes that changes meanwhile
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Starting(NamedTuple):
    """A program that was started, whose first process has not been looked for yet. Ctrl-Z may come before that."""

    program: Program
    output: Output
    done: Callable[[Result], None]
    number: int
    meter: Meter | None
    begun: FirstProcess | Helper
    away: float


class Loop:
    """Waits for whatever can happen while stages run. A first signal asks programs to end, a second one kills them."""

    def __init__(self, watch: Callable[[int], None], forget: Callable[[int], None]) -> None:
        self._watch = watch
        self._forget = forget
        self._selector = selectors.DefaultSelector()
        self._started: dict[int, Running] = {}
        self._starting: _Starting | None = None  # a program that is on its way
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._soon: list[Callable[[], None]] = []
        self._buffer = memoryview(b"")
        self._previous: dict[signal.Signals, Any] = {}
        self.numbers = process_tree.Numbers()
        self.meters = Meters(self.numbers)
        self._owners = CostOwners(self.numbers)
        self.signals: list[str] = []
        self.adopts = False  # whether orphans below this process become its children
        self.forks: Forks | None = None  # counts processes, where that is wanted
        self.tick: Callable[[], float | None] = lambda: None  # draws; returns in how many seconds to draw again
        self.pauses = Pauses(self._started.keys())
        self._absence = Absence()
        self.gap: suspended.Standstill | None = None  # found during the last wait

    def __enter__(self) -> Self:
        self._buffer = memoryview(bytearray(_BUFFER))
        self._wakeup, self._waker = os.pipe()
        for end in (self._wakeup, self._waker):
            os.set_blocking(end, False)
        self._previous_fd = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._waits = suspended.Waits()
        handlers = dict.fromkeys(_HANDLED, self._signalled) | dict.fromkeys(STOPPING, self.pauses.handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*handlers, signal.SIGCHLD, signal.SIGCONT))
        for number, handler in handlers.items():
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish is respected
                self._previous[number] = signal.signal(number, handler)
        self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._previous[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._waits.continued)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end_everything()
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler or signal.SIG_DFL)
            self._buffer = memoryview(b"")  # a reference to this loop must not keep it alive
            signal.set_wakeup_fd(self._previous_fd)
            self._selector.close()
            self._waits.close()
            if self.forks:
                self.forks.close()
            os.close(self._wakeup)
            os.close(self._waker)

    def _signalled(self, number: int, _: object) -> None:
        self.signals.append(signal_name(number))

    @property
    def _running(self) -> dict[int, Running]:
        """Programs by their first processes. Whoever looks at them sees all that were started."""
        self.settle()
        return self._started

    @property
    def busy(self) -> bool:
        """Whether anything can still happen by itself."""
        return bool(self._running or self._timers or self._soon)

    def last_line(self, log: str) -> str:
        """The last line that the program writing to this log has printed; "" when none runs."""
        return next((one.output.last_line() for one in self._running.values() if one.program.log == log), "")

    def start(self, program: Program, done: Callable[[Result], None]) -> None:
        """Starts a program; `done` is called once, from `step`. Raises WriteError when its log cannot be made."""
        self.settle()
        output = Output(program.log, screen=_screen() if program.screened else None)
        with self._refusals(output, done), self.numbered() as (number, meter):
            begun = self._begin(program, output, number, adopts=self.adopts)
            self._starting = _Starting(program, output, done, number, meter, begun, working_time.away())

    def _begin(self, program: Program, output: Output, number: int, *, adopts: bool) -> FirstProcess | Helper:
        with _source(program.source) as source:
            return start_and_reap.begin(
                program.argv,
                cwd=program.cwd,
                env={**program.env, process_tree.MARK: program.mark},
                output=output.writer,
                source=source,
                adopts=adopts,
                handed=start_and_reap.Handed(number, self.numbers),
            )

    def settle(self) -> None:
        """Finds the first process of what was started last: needed before this process starts anything by itself."""
        if self._starting:
            self._complete(self._starting)

    def _complete(self, one: _Starting) -> None:
        """A program that was started has a first process from here on."""
        self._starting = None
        with self._refusals(one.output, one.done, one.meter):
            first = self._first(one)
            self._watch(first.pid)
            one.output.started()
            birth = Birth(first.pid, one.number, self.numbers, one.meter, first.floor, first.at, one.away)
            running = self._started[first.pid] = Running(one.program, birth, one.output, one.done)
            self._selector.register(one.output.reader, selectors.EVENT_READ, running)

    def _first(self, one: _Starting) -> FirstProcess:
        begun = one.begun
        if isinstance(begun, Helper):
            if first := start_and_reap.first_process(begun):
                if one.meter:
                    one.meter.leave_out(first.helped)
                return first
            # Without it, it goes well, or the reason names the program.
            with process_tree.handed_down(one.number):
                begun = self._begin(one.program, one.output, one.number, adopts=False)
        assert isinstance(begun, FirstProcess)
        return begun

    @contextlib.contextmanager
    def _refusals(self, output: Output, done: Callable[[Result], None], meter: Meter | None = None) -> Iterator[None]:
        """Whoever asked for a program that could not be started is told so, soon."""
        try:
            yield
        except BaseException as error:
            output.abandon()
            if meter:
                meter.close()
            if not isinstance(error, OrchgateError):
                raise
            self._soon.append(partial(done, refused(error.message)))

    @contextlib.contextmanager
    def numbered(self) -> Iterator[tuple[int, Meter | None]]:
        """Whatever is started in here hands down a number of its own, and has its own meter if there is one."""
        number = self.numbers.new()
        with self.meters.begun() as meter, process_tree.handed_down(number):
            yield number, meter

    def count(self) -> None:
        """Counts processes from here on, one program at a time, if the kernel lets us."""
        self.meters.measured = True
        with contextlib.suppress(OSError):
            self.forks = Forks()
            for descriptor in self.forks.descriptors:
                self._selector.register(descriptor, selectors.EVENT_READ, self.forks)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        self._timers.append((working_time.now() + seconds, act))

    def cancel(self, *, at_once: bool = False) -> None:
        """Asks every program to end, and drops what was to happen later."""
        self._timers.clear()
        self.end([running.program.mark for running in self._running.values()], at_once=at_once)

    def end(self, marks: Collection[str], *, at_once: bool = False) -> None:
        """Asks the programs with these marks to end."""
        for running in [one for one in self._running.values() if one.program.mark in marks]:
            running.cancelled = running.cancelled or not running.timed_out
            self._ask(running)
            if at_once:
                running.deadline = working_time.now()

    def step(self) -> None:
        """Waits for the next thing to happen, and lets it."""
        self.wait(self._patience())
        self._absence.account(self.gap, self._running)
        self._reap_all()
        self._keep_time()

    def wait(self, seconds: float | None) -> None:
        """Waits for a signal, a dead child, output, which it reads, or a beat; `gap` is how long we stood still."""
        seconds = suspended.BEAT if seconds is None else min(seconds, suspended.BEAT)
        self._waits.begin(seconds)
        ready = self._selector.select(seconds)
        self.gap = self._waits.over()
        for key, _ in ready:
            running = key.data
            if running is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 4096)
            elif self.forks is not None and running is self.forks:
                self.forks.drain()
            elif not running.output.pump(self._buffer):
                self._selector.unregister(key.fileobj)

    def _patience(self) -> float | None:
        """Seconds until the next deadline; None when only an event can help."""
        if self._soon:
            return 0.0
        moments = [running.deadline for running in self._running.values() if running.deadline is not None]
        moments += [running.memory.due for running in self._running.values() if running.status is None]
        moments += [moment for moment, _ in self._timers]
        now = working_time.now()
        draw = self.tick()
        waits = [max(0.0, moment - now) for moment in moments] + ([] if draw is None else [draw])
        return min(waits) if waits else None

    def _reap_all(self) -> None:
        """Waits for every dead child, our own and those we adopted."""
        self._reap()
        for running in [running for running in self._running.values() if running.status is not None]:
            self._settle(running)

    def _reap(self) -> bool:
        """Reaps the dead; returns whether there were any."""
        found = False
        while dead := start_and_reap.next_dead(self._running):
            found = True
            self._owners.credit(dead, self._running)
        return found

    def _settle(self, running: Running) -> None:
        """Its first process is dead: ends the others, then reports."""
        running.output.pump(self._buffer)
        left = self._left(running)
        if not left:
            self._report(running)
            return
        if not running.asked:
            running.left_behind = len(left)
            running.asked = True
            running.deadline = working_time.now() + GRACE
        if running.killed:
            process_tree.send(left, signal.SIGKILL)
        else:
            new = set(left) - running.asked_left
            running.asked_left |= new
            process_tree.send(new, signal.SIGTERM)
            process_tree.send(new, signal.SIGCONT)

    def _left(self, running: Running) -> list[int]:
        """Living processes that a program left behind."""
        others = self._running.keys() - {running.pid}  # also those whose first process is dead: they are not over yet
        if running.status is not None and (start_and_reap.childless() or self._all_are_first()):
            return []
        self._owners.look(self._running)
        for _ in range(_LOOKS):
            if start_and_reap.childless():
                return []
            left = process_tree.of_stage(running.tree, others=others)
            for pid in left:
                running.seen(pid)
            # A process that died meanwhile handed its children to us: the next look finds them.
            if not self._reap() and (left or others):
                return left
        return []

    def _all_are_first(self) -> bool:
        """Whether all children of ours are first processes: a program whose own one is reaped left nobody behind then.

        Whoever descends from it descends from a child of ours, living or dead, that would be listed, too.
        """
        if not process_tree.tells_children():
            return False
        return self._running.keys() >= set(process_tree.listed_children(os.getpid()))

    def _ask(self, running: Running) -> None:
        if not running.asked:
            running.asked = True
            running.deadline = working_time.now() + GRACE
            process_tree.send_group(running.pid, signal.SIGTERM)

    def _keep_time(self) -> None:
        now = working_time.now()
        for running in list(self._running.values()):
            if running.status is None and running.memory.due <= now:
                running.memory.take([pid for pid in self._running if pid != running.pid])
            if running.deadline is not None and running.deadline <= now:
                self._overdue(running)
        due = [act for moment, act in self._timers if moment <= now] + self._soon
        self._timers = [timer for timer in self._timers if timer[0] > now]
        self._soon = []
        for act in due:
            act()

    def _overdue(self, running: Running) -> None:
        if not running.asked:
            running.timed_out = True
            self._ask(running)
        elif not running.killed:
            running.killed = True
            running.deadline = working_time.now() + GRACE
            if running.status is None:
                process_tree.send_group(running.pid, signal.SIGKILL)
            process_tree.send(self._left(running), signal.SIGKILL)
        elif running.status is not None:
            running.immortal = len(self._left(running))  # another user's, or stuck in the kernel
            self._report(running)
        else:
            running.deadline = working_time.now() + GRACE

    def _report(self, running: Running) -> None:
        seen = -1
        while running.output.total != seen and running.output.open:  # an immortal process may hold it open
            seen = running.output.total
            running.output.pump(self._buffer)
        with contextlib.suppress(KeyError):
            self._selector.unregister(running.output.reader)
        del self._running[running.pid]
        self._forget(running.pid)
        # macOS: who left the group is not found.
        if not hasattr(os, "waitid") and process_tree.group_exists(running.pid):
            running.costs.at_least(NOT_OURS)
            process_tree.send_group(running.pid, signal.SIGKILL)
        processes, lost = self.forks.started_by(running.pid) if self.forks else (None, False)
        running.settle(processes, lost=lost)
        running.output.finish()
        running.done(running.result())

    def _end_everything(self) -> None:
        """The last resort, when an error leaves the loop: nothing of ours may outlive it."""
        for running in self._running.values():
            process_tree.send_group(running.pid, signal.SIGKILL)
            process_tree.send(process_tree.of_stage(running.tree, others=()), signal.SIGKILL)
            running.output.abandon()
            running.close()
            self._forget(running.pid)
        self._running.clear()


def _screen() -> Redactor:
    from orchgate.secrets.redact import Redactor

    return Redactor()


@contextlib.contextmanager
def _source(path: str) -> Iterator[int | None]:
    """A descriptor of the file a program reads, None for no file."""
    if not path:
        yield None
        return
    with open(path, "rb") as file:
        yield file.fileno()
