"""The budget of a comparison: what is left of it, and how many pairs it holds."""

from __future__ import annotations

from orchgate.lib import working_time

LATE = 30.0  # seconds beyond the budget in which what looks grossly slower is confirmed
_COLD = 4.0  # how much slower a first run may be than those that follow
_QUARTER = 4


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
