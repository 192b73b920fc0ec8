"""A program that runs, and how it ended."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.lib import working_time
from orchgate.runner import memory, process_tree
from orchgate.runner.costs import Costs
from orchgate.runner.stopwatch import Stopwatch
from orchgate.runs import usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchgate.runner.lineage import Numbers
    from orchgate.runner.meter import Meter
    from orchgate.runner.output import Output
    from orchgate.runner.reaped import Death


STILL_THERE = "a process could not be ended, and goes on"
NOT_OURS = "a process outlived its parent, and this system does not hand it to us"
UNSEEN = "there is no /proc to find processes in that left their parents"
LOST = "the kernel lost count of some"


class Program(NamedTuple):
    """What to run and where its output goes, `screened` without its secrets. `timeout` in seconds; `mark` is unique to
    this attempt.

    `source` is a file that becomes its standard input, "" for none: a program that does not read holds nobody up.
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

    `floor` and `at` as `starting` has them.
    """

    pid: int
    number: int
    numbers: Numbers
    meter: Meter | None
    floor: int
    at: float | None = None


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
    usage: dict[str, Any] | None


class Running:
    """One program, from its start to the end of the last process it left behind."""

    def __init__(self, program: Program, birth: Birth, output: Output, done: Callable[[Result], None]) -> None:
        self.program = program
        self.output = output
        self.pid = birth.pid
        self.origin = process_tree.Origin(birth.pid, birth.number, program.mark, birth.numbers)
        self.meter = birth.meter
        self.memory = memory.Sampler(self.origin, self.seen)
        self.done = done
        self.watch = Stopwatch(birth.at)
        self.deadline = None if program.timeout is None else working_time.now() + program.timeout
        self.timed_out = False
        self.cancelled = False
        self.asked = False  # to end
        self.killed = False
        self.status: int | None = None  # as wait4 has it; set once the first process is dead
        self.costs = Costs(birth.floor)
        self.usage: dict[str, Any] | None = None  # once it is settled
        self.left_behind = 0  # processes that nobody had told to end
        self.told: set[int] = set()  # processes left behind that were told to end
        self.found: set[int] = set()  # all that were seen to belong to it
        self.immortal = 0

    def buried(self, death: Death) -> None:
        """Its first process is dead."""
        self.status = death.status
        self.costs.add(death, self.watch.end())

    def seen(self, pid: int) -> None:
        """One of its living processes was met, on whatever errand: what it says of itself may be gone in a moment."""
        self.found.add(pid)
        if process_tree.ignores_children(pid):
            self.costs.careless()

    def settle(self, processes: int | None, lost: bool) -> None:
        """Nothing more is buried. `processes` is how many there were, at least so many when some were `lost`."""
        if process_tree.blind():
            self.costs.at_least(UNSEEN)
        if self.immortal:
            self.costs.at_least(STILL_THERE)
        if lost:
            self.costs.at_least(LOST, ["processes"])
        metered = self.meter.read() if self.meter else None
        self.usage = usage.with_tree(self.costs.total(metered, processes), self.memory.most)
        self.close()

    def close(self) -> None:
        if self.meter:
            self.meter.close()

    def result(self) -> Result:
        status = os.waitstatus_to_exitcode(self.status or 0)
        # What a program says after it was told to end is no verdict of its own: it may well say 0.
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
            usage=self.watch.told(self.usage),
        )


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIG{number}"


def refused(reason: str) -> Result:
    """A program that could not be started."""
    return Result(None, None, False, False, reason, "", b"", 0, 0, 0, 0, None)
