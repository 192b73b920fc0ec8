"""A program that runs: its first process, the processes below that one, what all of them cost, and how it ended."""

from __future__ import annotations

import os
import signal
import time

from orchgate.lib import working_time
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runner import process_tree
from orchgate.runner.process_tree import TreeIdentity
from orchgate.runner.start_and_reap import Costs
from orchgate.runs import usage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Mapping, Sequence
    from typing import Any

    from orchgate.runner.meter import Meter
    from orchgate.runner.output import Output
    from orchgate.runner.process_tree import Numbers
    from orchgate.runner.start_and_reap import DeadChild
    from orchgate.runs.usage import Cost

STILL_THERE = "a process could not be ended, and goes on"
NOT_OURS = "a process outlived its parent, and this system does not hand it to us"
UNSEEN = "there is no /proc to find processes in that left their parents"
LOST = "the kernel lost count of some"
_FIRST, _GROWTH, _LONGEST = 0.01, 1.5, 0.25  # seconds between two samples of memory
_SHARE = 100  # a sample that took long is not taken again before that many times as long
_LEAST_AWAY = 0.001  # seconds


class Program(NamedTuple):
    """What to run and where its output goes, `screened` without its secrets. `timeout` in seconds; `mark` is unique to
    this attempt.

    `source` is a file that becomes its standard input, "" for none: a program that does not read it blocks nothing.
    """

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    log: str
    mark: str
    timeout: float | None = None
    source: str = ""
    screened: bool = False


class Birth(NamedTuple):
    """The first process of a program: its id, which of `numbers` it hands down, and what counts its time, if any.

    `floor` and `at` as `starting` has them; `away` is what the clock of `working_time` had left out then.
    """

    pid: int
    number: int
    numbers: Numbers
    meter: Meter | None
    floor: int
    at: float | None = None
    away: float | None = None


class Result(NamedTuple):
    """How it ended. `code` is None when a signal (its name in `signal`) or a refusal to start ended it."""

    code: int | None
    signal: str | None
    timed_out: bool
    cancelled: bool
    refused: str  # why it could not be started
    last_line: str
    recent: bytes  # the end of the output
    output_bytes: int
    left_out: int
    left_behind: int  # processes that had to be ended after it
    immortal: int  # of those, the ones that could not be
    usage: Cost | None


class Stopwatch:
    """How long one program worked, from `begin` (of the clock of `working_time`), or else now, until `end`."""

    def __init__(self, begin: float | None = None, away: float | None = None) -> None:
        self._begin = working_time.now() if begin is None else begin
        self._before = working_time.away() if away is None else away
        self._held = 0.0  # seconds in which it alone was stopped
        self._since: float | None = None  # it is stopped since then
        self._bound = ""  # why it may have worked for longer
        self._wall: float | None = None
        self._away = 0.0

    @property
    def held(self) -> bool:
        return self._since is not None

    @property
    def since(self) -> float:
        """When it was stopped, by the clock of `working_time`; now, if it is not."""
        return working_time.now() if self._since is None else self._since

    def hold(self, since: float) -> None:
        """It alone was stopped, at a moment of the clock of `working_time`."""
        self._since = since
        working_time.note()

    def release(self) -> None:
        """It goes on."""
        if self._since is not None:
            self._held += working_time.now() - self._since
        self._since = None

    def leave_out(self, seconds: float) -> None:
        """It did not work in the last `seconds`, though others did."""
        self._held += seconds
        working_time.note()

    def at_least(self, moment: float, why: str) -> None:
        """It ended at some unknown time after this moment of `now`."""
        self._wall, self._bound = moment - self._begin - self._held, why

    def end(self) -> float:
        """It has ended: the seconds it worked."""
        self.release()
        passed = working_time.now() - self._begin
        wall = passed - self._held if self._wall is None else self._wall
        self._wall = min(passed, max(0.0, wall))
        self._away = passed - self._wall + working_time.away() - self._before
        return self._wall

    def recorded(self, cost: Mapping[str, Any]) -> Cost:
        """A cost, with what was left out of its wall time."""
        known = dict(cost)
        if self._away >= _LEAST_AWAY:
            known["away_seconds"] = round(self._away, 3)
        return usage.at_least(known, {"wall_seconds": self._bound}) if self._bound else known


class MemorySampler:
    """The memory of all processes of a stage together, looked at now and then. `most` is the largest sum in bytes, None
    before there is any; `due` is when the next sample is to be taken.

    Resident sets are added up: pages that processes share count for each of them. What the kernel could say of shared
    pages (`smaps_rollup`) it finds out page by page, under a lock that the measured program needs itself.
    """

    def __init__(self, tree: TreeIdentity, visit: Callable[[int], object]) -> None:
        """`visit` is called with every process that is met."""
        self._tree = tree
        self._visit = visit
        self._pause = _FIRST
        self.due = working_time.now() + _FIRST
        self.most: int | None = None

    def take(self, others: Collection[int]) -> None:
        """Takes a sample. `others` lead stages that still run."""
        began = time.thread_time()
        found = 0
        for pid in process_tree.everyone_of(self._tree, others=others):
            self._visit(pid)
            found += process_tree.resident(pid)
        if found:
            self.most = max(self.most or 0, found)
        spent = time.thread_time() - began
        self._pause = min(_LONGEST, self._pause * _GROWTH)
        self.due = working_time.now() + max(self._pause, _SHARE * spent * (1 + len(others)))


class ChildProcess:
    """The first process of a program, and what is known of the program while it runs."""

    def __init__(self, birth: Birth, mark: str) -> None:
        self.pid = birth.pid
        self.tree = TreeIdentity(birth.pid, birth.number, mark, birth.numbers)
        self.memory = MemorySampler(self.tree, self.seen)
        self.watch = Stopwatch(birth.at, birth.away)
        self.status: int | None = None  # as wait4 has it; set once the first process is dead
        self.costs = Costs(birth.floor)
        self._meter = birth.meter

    def seen(self, pid: int) -> None:
        """One of its living processes was found: what /proc shows of it may be gone in a moment."""
        if process_tree.ignores_children(pid):
            self.costs.careless()

    def reaped(self, dead: DeadChild) -> None:
        """One of its processes is dead, perhaps the first."""
        own = dead.pid == self.pid
        self.costs.add(dead, self.watch.end() if own else None)
        if own:
            self.status = dead.status

    def cost(self, processes: int | None, *, lost: bool, bound: str = "") -> Cost:
        """What it cost, once no more of its processes are reaped.

        `processes` is how many there were, at least so many when some were `lost`. `bound` is why more may come.
        """
        if process_tree.blind():
            self.costs.at_least(UNSEEN)
        if bound:
            self.costs.at_least(bound)
        if lost:
            self.costs.at_least(LOST, ["processes"])
        spent = self.costs.total(self._meter.read() if self._meter else None, processes)
        self.close()
        return self.watch.recorded(usage.with_tree(spent, self.memory.most))

    def close(self) -> None:
        """Stops counting."""
        if self._meter:
            self._meter.close()


class Running(ChildProcess):
    """One program whose output is recorded, from its start to the end of the last process it left behind."""

    def __init__(self, program: Program, birth: Birth, output: Output, done: Callable[[Result], None]) -> None:
        super().__init__(birth, program.mark)
        self.program = program
        self.output = output
        self.done = done
        self.deadline = None if program.timeout is None else working_time.now() + program.timeout
        self.timed_out = False
        self.cancelled = False
        self.asked = False  # to end
        self.killed = False
        self.usage: Cost | None = None  # once nothing more is reaped
        self.left_behind = 0  # processes that had not been asked to end before
        self.asked_left: set[int] = set()  # processes left behind that were asked to end
        self.found: set[int] = set()  # all processes that were seen to belong to it
        self.immortal = 0

    def seen(self, pid: int) -> None:
        self.found.add(pid)
        super().seen(pid)

    def settle(self, processes: int | None, *, lost: bool) -> None:
        """Nothing more is reaped; `processes` and `lost` as `cost` has them."""
        self.usage = self.cost(processes, lost=lost, bound=STILL_THERE if self.immortal else "")

    def result(self) -> Result:
        status = os.waitstatus_to_exitcode(self.status or 0)
        # A program that was asked to end may well exit 0, which says nothing about its work.
        stopped = self.timed_out or self.cancelled
        return Result(
            code=None if status < 0 or (stopped and status == 0) else status,
            signal=signal_name(-status) if status < 0 else None,
            timed_out=self.timed_out,
            cancelled=self.cancelled,
            refused="",
            last_line=self.output.last_line(),
            recent=self.output.recent,
            output_bytes=self.output.total,
            left_out=self.output.left_out,
            left_behind=self.left_behind,
            immortal=self.immortal,
            usage=self.usage,
        )


class CostOwners:
    """Finds the program that a dead process belonged to. `numbers` are those that this runner hands out."""

    def __init__(self, numbers: Container[int]) -> None:
        self._numbers = numbers
        self._strays: set[int] = set()  # orphans that were met beside several programs, and may be of any of them

    def credit(self, dead: DeadChild, running: Mapping[int, Running]) -> None:
        """Adds the cost of a process to its program; where that is unknown, every candidate has an incomplete cost."""
        if one := running.get(dead.pid):
            one.reaped(dead)
            return
        owners = _of(dead, running, self._numbers)
        stray = dead.pid in self._strays
        self._strays.discard(dead.pid)
        for one in owners:
            if len(owners) == 1 and not stray:
                one.reaped(dead)
            else:
                one.costs.doubtful()

    def look(self, running: Mapping[int, Running]) -> None:
        """Notes orphans that may belong to any of several programs: one of those may soon be over."""
        if len(running) < 2:
            return
        trees = [one.tree for one in running.values()]
        for pid in process_tree.children_of(os.getpid()):
            if pid not in running and not any(process_tree.belongs(pid, tree) for tree in trees):
                self._strays.add(pid)
                for one in running.values():
                    one.costs.doubtful()


def _of(dead: DeadChild, running: Mapping[int, Running], numbers: Container[int]) -> list[Running]:
    """The program that an orphan belonged to; several where that is unknown."""
    programs = list(running.values())
    if dead.number in numbers:  # which decides, although its program may be gone
        return [one for one in programs if one.tree.number == dead.number]
    known = [one for one in programs if dead.session == one.pid or dead.pid in one.found]
    return known or programs


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIG{number}"


def refused(reason: str) -> Result:
    """A program that could not be started."""
    return Result(None, None, False, False, reason, "", b"", 0, 0, 0, 0, None)
