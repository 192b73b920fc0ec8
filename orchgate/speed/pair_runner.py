"""One pair at a time: a run of each side, repeated where it says nothing, and ended where head is far too slow."""

from __future__ import annotations

from orchgate.lib import working_time
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.speed import sampling
from orchgate.speed.sampling import TooSlow
from orchgate.verdict import gross, words
from orchgate.verdict.values import Pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.speed.sampling import Failure, Harness, MeasuredRun, Side
    from orchgate.verdict.values import Policy

_GIVE_UP = 3  # failures in a row of what has worked before
_REFUSED = 2  # runs of head that are ended one after the other
_PATIENCE = 10.0  # seconds for head's first run, or a part of the budget if that is less:
_PATIENT = 1 / 3
LATE = 30.0  # seconds beyond the budget in which what looks grossly slower is confirmed
_COLD = 4.0  # how much slower a first run may be than those that follow
_QUARTER = 4
_OFTEN = 0.5  # seconds between two reports of progress
_QUICK = 0.1  # of the budget: where base takes less, head may be ended after it


class HeadUnfinished(Exception):
    """Head was ended twice, far beyond what base takes."""

    def __init__(self, found: gross.Unfinished) -> None:
        super().__init__(found)
        self.found = found


class RunPair(NamedTuple):
    """A run of each, which took so many `seconds`.

    Unless it is `whole`, head was ended before and finished only when it was run again. `machine` says where, as in
    `Pair`.
    """

    base: MeasuredRun
    head: MeasuredRun
    whole: bool
    seconds: float
    head_first: bool = False
    machine: str = ""


def pair_of(ran: RunPair) -> Pair:
    """Two runs as a pair; of memory that neither side is known of, nothing is said."""
    base, head = ran.base, ran.head
    metrics = base.metrics, head.metrics
    if base.hidden_memory and head.hidden_memory:
        metrics = base.without_hidden(), head.without_hidden()
    bounds = base.lower_bounds, head.lower_bounds
    return Pair(*metrics, ran.head_first, *bounds, base.unread, head.unread, ran.machine)


class _Order(NamedTuple):
    """How to run a pair: in which order, `late` if need be, and for how many seconds head may run in any case."""

    head_first: bool = False
    late: bool = False
    patience: float = 0.0


class PairRunner:
    """The runs of a measurement, and what is known of each side from them."""

    def __init__(self, sides: tuple[Side, Side], policy: Policy, timing: Timing) -> None:
        self.harness: Harness | None = None
        self.thrown_away = 0  # pairs
        self.ended = 0  # pairs in which head was ended, and finished when it ran again
        self.failed: dict[str, list[Failure]] = {side.label: [] for side in sides}  # in a row
        self.passed: set[str] = set()
        self._base, self._head = sides
        self._policy = policy
        self._timing = timing
        self.took: dict[str, float] = {}  # the last whole run of each, in seconds
        self._seconds: dict[str, float] = {}  # what the last run of each took
        self._slowest: float | None = None  # of base's runs, in seconds; None: not known whole

    def warm_up(self) -> RunPair:
        """The first run of each, base's first; head's may have to fill what base's filled another day."""
        return self._undisturbed(_Order(patience=min(_PATIENCE, _PATIENT * self._timing.budget)))

    def pair(self, coin: Callable[[], bool], *, late: bool) -> RunPair:
        """A run of each, head's first where the coin says so; `late`, also beyond the budget.

        Raises OutOfTime, Unfinished; OrchgateError where they are stopped again and again.
        """
        ran = self._undisturbed(_Order(coin(), late))
        self.ended += not ran.whole
        return ran

    def _undisturbed(self, how: _Order) -> RunPair:
        """Where either was stopped, or the machine slept, neither says anything: once more."""
        for _ in range(sampling.MOST_DISTURBED):
            begun = working_time.mark()
            failed, passed = {label: list(known) for label, known in self.failed.items()}, set(self.passed)
            slowest = self._slowest
            try:
                ran = self._both(how)
            except HeadUnfinished:
                if not begun.disturbed:
                    raise
            else:
                if not begun.disturbed:
                    return ran
            self.failed, self.passed, self._slowest = failed, passed, slowest
            self.thrown_away += 1
        raise sampling.disturbed()

    def _both(self, how: _Order) -> RunPair:
        if how.head_first:
            head, whole = self._of_head(how)
            base = self._of_base(late=how.late or not whole)
        else:
            base = self._of_base(late=how.late)
            head, whole = self._of_head(how)
        return RunPair(base, head, whole, sum(self._seconds.values()), how.head_first)

    def _of_base(self, *, late: bool) -> MeasuredRun:
        ran = self._one(self._base, late=late)
        wall = ran.metrics.get("wall_seconds")
        if wall is not None and "wall_seconds" not in ran.lower_bounds:
            self._slowest = max(wall, self._slowest or 0.0)
        return ran

    def _of_head(self, how: _Order) -> tuple[MeasuredRun, bool]:
        """A run of head, and whether none was ended before it. Raises Unfinished.

        A first run that was given more time than others is not held against it.
        """
        quick = self._slowest is not None and self._slowest <= _QUICK * self._timing.budget
        limit, late = self._limit(), how.late or (quick and how.patience > 0.0)
        ended: list[float] = []
        allowed = None if limit is None else max(limit, how.patience)
        whole = True
        while True:
            try:
                return self._one(self._head, limit=allowed, late=late), whole
            except TooSlow as slow:
                whole, late = False, True
                ended += [slow.seconds] if slow.seconds == limit else []
                if len(ended) == _REFUSED:
                    raise HeadUnfinished(gross.Unfinished(self._slowest or 0.0, min(ended), slow.stage)) from None
            self._of_base(late=True)
            before, limit = limit, self._limit()
            allowed = limit
            if before is None or limit is None or limit > gross.FACTOR * before:
                ended = []  # it is the machine: base takes far longer now, too

    def _limit(self) -> float | None:
        """For how many seconds a run of head may go on."""
        return None if self._slowest is None else gross.limit(self._slowest, self._policy)

    def _one(self, side: Side, *, limit: float | None = None, late: bool = False) -> MeasuredRun:
        """One run; what fails and has never passed is tried a second time, to tell the broken from the flaky."""
        assert self.harness is not None
        deadline = self._timing.deadline(late=late)
        begun = working_time.now()
        ran = sampling.once(self.harness, side, deadline, limit)
        self._seconds[side.label] = working_time.now() - begun
        if not ran.failure:
            self.took[side.label] = self._seconds[side.label]
        self._noted(side, ran)
        if ran.failure and side.label not in self.passed:
            self._noted(side, sampling.once(self.harness, side, deadline, limit))
        return ran

    def _noted(self, side: Side, ran: MeasuredRun) -> None:
        if ran.failure:
            self.failed[side.label].append(ran.failure)
        else:
            self.failed[side.label].clear()
            self.passed.add(side.label)

    def broken(self) -> tuple[Failure, ...]:
        """The failures of sides that cannot be measured."""
        return tuple(
            failed[-1]
            for label, failed in self.failed.items()
            if failed and (label not in self.passed or len(failed) >= _GIVE_UP)
        )

    def notes(self) -> list[str]:
        """Lines for people about runs that do not count."""
        lines = []
        if self.thrown_away:
            pairs = "1 pair was" if self.thrown_away == 1 else f"{self.thrown_away} pairs were"
            lines.append(f"{pairs} discarded and measured again: something was stopped meanwhile, or the machine slept")
        if self.ended:
            pairs = "1 pair does" if self.ended == 1 else f"{self.ended} pairs do"
            limit = words.seconds(self._limit() or 0.0)
            lines.append(f"{pairs} not count: head was ended after {limit}, and finished when it ran again")
        return lines


# The clock, and progress for whoever waits


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

    def grant(self, seconds: float) -> None:
        """The budget ends in so many seconds from now, however much of it was used."""
        self._since = working_time.now() + seconds - self.budget

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
        self._doing, self._pairs, self._reported = "", 0, 0.0

    def now(self, doing: str, pairs: int = 0) -> None:
        self._doing, self._pairs, self._reported = doing, pairs, 0.0
        self.tick()

    def tick(self) -> float | None:
        """Tells how far it is; in how many seconds to do so again."""
        if self._tell is None:
            return None
        now = working_time.now()
        if now - self._reported >= _OFTEN:
            self._reported = now
            self._tell(Progress(self._doing, self._pairs, self._most, self._timing.spent, self._timing.budget))
        return self._reported + _OFTEN - now
