"""When a run is ended, how many pairs the budget holds, and progress for whoever waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib import working_time

if TYPE_CHECKING:
    from collections.abc import Callable

_PRESSURE = "/proc/pressure/cpu"
LATE = 30.0  # seconds beyond the budget in which what looks grossly slower is confirmed
_COLD = 4.0  # how much slower a first run may be than those that follow
_QUARTER = 4
_OFTEN = 0.5  # seconds between two words


class OutOfTime(Exception):
    """A run was ended because it was not over at the deadline."""


class TooSlow(Exception):
    """A run was ended, in `stage`, because its judged stages were not over within their limit in `seconds`."""

    def __init__(self, stage: str, seconds: float) -> None:
        super().__init__(stage, seconds)
        self.stage = stage
        self.seconds = seconds


class RunLimits(NamedTuple):
    """When a run is ended: at a `deadline` of the clock of `worked`, or once its judged stages took so many seconds."""

    deadline: float | None = None
    seconds: float | None = None

    def after(self, spent: float) -> RunLimits:
        """What is left once judged stages took so many seconds."""
        return self if self.seconds is None else self._replace(seconds=max(0.001, self.seconds - spent))


UNLIMITED = RunLimits()


def waited_for_cpu() -> float | None:
    """Seconds since the machine began in which some process waited for a CPU; None where the kernel does not say.

    https://docs.kernel.org/accounting/psi.html
    """
    try:
        with open(_PRESSURE, "rb") as file:
            line = file.readline(200)
        return int(line.partition(b"total=")[2]) / 1e6
    except (OSError, ValueError):
        return None


class Timing:
    """The clock of one sitting. All times are seconds of the clock of `worked`."""

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self._start = working_time.now()
        self._since = self._start  # the budget's own start
        self._warm: float | None = None  # what the warm-up took
        self._pairs: list[float] = []  # what each took

    def begin(self) -> None:
        """The budget begins here: what came before is not counted."""
        self._since = working_time.now()

    def warmed_up(self, seconds: float) -> None:
        """The first run of each took so long."""
        self._warm = seconds

    def paired(self, seconds: float) -> None:
        """Another pair took so long."""
        self._pairs.append(seconds)

    @property
    def whole(self) -> float:
        """Seconds since it began, preparations included."""
        return working_time.now() - self._start

    @property
    def spent(self) -> float:
        """Seconds of the budget."""
        return working_time.now() - self._since

    def deadline(self, *, late: bool = False) -> float:
        return self._since + self.budget + (LATE if late else 0.0)

    @property
    def pair_seconds(self) -> float:
        """What one pair took; the warm-up when no other was run, 0.0 when none was."""
        return sum(self._pairs) / len(self._pairs) if self._pairs else self._warm or 0.0

    def fits(self, pairs: int, *, late: bool = False) -> bool:
        """Whether so many pairs more are over before the deadline. Of the first, only the cold warm-up is known."""
        seconds = self.pair_seconds if self._pairs or late else self.pair_seconds / _COLD
        return working_time.now() + pairs * seconds <= self.deadline(late=late)

    def plan(self) -> int:
        """How many pairs more the budget will hold, at most.

        From the quicker ones of those that were run: what is planned and does not fit costs nothing, what is not
        planned is not run. How long both runs of a pair took says nothing about which of them is head.
        """
        quick = sorted(self._pairs)[len(self._pairs) // _QUARTER]
        return max(0, int((self.deadline() - working_time.now()) / quick)) if quick > 0 else 0


class Progress(NamedTuple):
    """What is happening: `doing` in words, and how many of at most `most` pairs are done."""

    doing: str
    pairs: int
    most: int
    seconds: float
    budget_seconds: float


class ProgressReporter:
    """Says what is being done: when that changes, and now and then; `tell` is None where nobody listens."""

    def __init__(self, tell: Callable[[Progress], None] | None, timing: Timing, most: int) -> None:
        self._tell = tell
        self._timing = timing
        self._most = most
        self._doing, self._pairs, self._told = "", 0, 0.0

    def now(self, doing: str, pairs: int = 0) -> None:
        self._doing, self._pairs, self._told = doing, pairs, 0.0
        self.tick()

    def tick(self) -> float | None:
        """Tells how far it is; in how many seconds to do so again."""
        if self._tell is None:
            return None
        now = working_time.now()
        if now - self._told >= _OFTEN:
            self._told = now
            self._tell(Progress(self._doing, self._pairs, self._most, self._timing.spent, self._timing.budget))
        return self._told + _OFTEN - now
