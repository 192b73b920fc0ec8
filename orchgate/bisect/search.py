"""A search for the commit that made it slower, pair by pair: which pair of runs is wanted next, and when it is over.

First the ends are compared, by the test of every comparison; then commits between them are visited; and the one that
is found is compared with the commit before it, in pairs that had no part in finding it, by that test again. Everything
follows from the pairs and from what could not be measured, so a search that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from math import log

from orchgate.bisect import likelihood
from orchgate.bisect.likelihood import CommitChange
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple
from orchgate.verdict.comparison import LOOKS, judge
from orchgate.verdict.sign_flip import centre
from orchgate.verdict.values import Answer, Pair, Policy, Sitting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.bisect.likelihood import Belief, Segment
    from orchgate.verdict.values import Compared, Metric

SURE = 0.95
MOST_PAIRS = 2000
_ENDS = 256  # pairs
_TRIAL = 256
_VISIT = (4, 16)  # pairs: as few, and as many where it stays open
_ENOUGH = 192  # pairs of a commit after which another one tells more
_TRIALS = 3
_CREDIBLE = 0.95


class Why(Enum):
    ENDS = "ends"
    VISIT = "visit"
    TRIAL = "trial"


class Ask(NamedTuple):
    """The pair of runs that is wanted next: which commits, and what for."""

    why: Why
    older: int
    newer: int


class How(Enum):
    """What a search ends in; the values are the words of the JSON output."""

    FOUND = "found"
    RANGE = "found among skipped commits"
    SAME = "ends do not differ"
    FASTER = "bad is faster"
    CANNOT_TELL = "cannot tell whether the ends differ"
    UNCONFIRMED = "not confirmed"
    OPEN = "not decided"
    SPENT = "not decided by the most pairs"


class BisectionEnding(NamedTuple):
    """How it ended. What is likeliest is one of the commits after `after`, up to `last`."""

    how: How
    after: int
    last: int
    probability: float


class Search:
    """A search under way over the commits 0 to `len(possible) - 1`; `possible` as in `bisect.likelihood`."""

    def __init__(self, possible: Sequence[bool], metric: Metric, sure: float = SURE) -> None:
        self.last = len(possible) - 1
        self.sure = sure
        self.changes: list[CommitChange] = []
        self.skipped: dict[int, str] = {}
        self.ends: Compared | None = None
        self.trial: Compared | None = None  # the last one that came to an end
        self._possible = possible
        self._metric = metric
        self._compared: list[Pair] = []  # those of the ends, then those of one trial after the other
        self._asked: list[Ask] = []
        self._trials = 0
        self._whole: Segment | None = None
        self._known: tuple[Segment, Belief, tuple[int, ...]] | None = None

    def add(self, ask: Ask, pair: Pair) -> None:
        """Takes in a pair, whose `base` is the older commit. Raises OrchgateError for one that cannot be."""
        self._known = None
        base, head = pair.base[self._metric.name], pair.head[self._metric.name]
        self.changes.append(CommitChange(ask.older, ask.newer, log(base), log(head)))
        if ask.why is Why.VISIT:
            self._asked.append(ask)
            return
        if not self._asked or self._asked[-1] != ask:
            self._compared = []
        self._asked.append(ask)
        self._compared.append(pair)
        most = _ENDS if ask.why is Why.ENDS else _TRIAL
        if len(self._compared) in LOOKS or len(self._compared) >= most:
            self._look(ask, most)

    def _look(self, ask: Ask, most: int) -> None:
        found, decided = _judged(self._compared, self._metric, most)
        if found.answer is not Answer.SLOWER and not decided and len(self._compared) < most:
            return
        if ask.why is Why.ENDS:
            self.ends = found
        else:
            self.trial = found
            self._trials += 1
        self._compared = []

    def skip(self, commit: int, why: str) -> None:
        """A commit cannot be measured."""
        self._known = None
        self.skipped[commit] = why

    def next(self) -> Ask | BisectionEnding:
        """The pair that is wanted, or how the search ended."""
        if self.ends is None:
            return Ask(Why.ENDS, 0, self.last)
        if self.ends.answer is not Answer.SLOWER:
            return self._unequal(self.ends)
        after, last = self.likeliest
        if self.trial is not None and self._asked[-1].why is Why.TRIAL and not self._compared:
            if self.trial.answer is Answer.SLOWER:
                return self._found(*self._asked[-1][1:])
            if self.trial.answer is not Answer.NOT_SLOWER or self._trials >= _TRIALS:
                return self.standing(How.UNCONFIRMED)
        if len(self.changes) >= MOST_PAIRS:
            return self.standing(How.SPENT)
        return self._going_on() or self._next_visit(after, last)

    def _unequal(self, ends: Compared) -> BisectionEnding:
        if ends.high is not None and ends.high < 0:
            return BisectionEnding(How.FASTER, 0, self.last, 0.0)
        same = ends.answer is Answer.NOT_SLOWER
        return BisectionEnding(How.SAME if same else How.CANNOT_TELL, 0, self.last, 0.0)

    def _found(self, after: int, last: int) -> BisectionEnding:
        return BisectionEnding(
            How.FOUND if self._is_one(after, last) else How.RANGE, after, last, self.belief.of(after, last)
        )

    def _is_one(self, after: int, last: int) -> bool:
        return sum(self._possible[after + 1 : last + 1]) == 1

    def _going_on(self) -> Ask | None:
        """What was asked last, as long as it is not answered."""
        asked = self._asked[-1]
        if self.skipped.keys() & {asked.older, asked.newer}:
            return None
        if asked.why is Why.TRIAL:
            return asked if self._compared else None
        least, most = _VISIT
        count = next((number for number, one in enumerate(reversed(self._asked)) if one != asked), len(self._asked))
        is_open = 1 - self.sure < self.belief.up_to(asked.newer) < self.sure
        goes_on = asked.why is Why.VISIT and (count < least or (count < most and is_open))
        return asked if goes_on else None

    def _next_visit(self, after: int, last: int) -> Ask | BisectionEnding:
        if self.belief.of(after, last) >= self.sure:
            if (after, last) == (0, self.last):
                return self._found(after, last)  # the ends are these two: they were compared
            return Ask(Why.TRIAL, after, last)
        counts: dict[int, int] = {}
        for change in self.changes:
            counts[change.newer] = counts.get(change.newer, 0) + (change.older == 0)
        tired = {commit for commit, count in counts.items() if count >= _ENOUGH}
        commit = likelihood.halving(self.belief, self.segment, tired | self.skipped.keys())
        return self.standing(How.SPENT) if commit is None else Ask(Why.VISIT, 0, commit)

    def standing(self, how: How) -> BisectionEnding:
        """Where a search that ends without an answer stands."""
        if self.ends is None:
            return BisectionEnding(how, 0, self.last, 0.0)
        return BisectionEnding(how, *self.likeliest, self.belief.of(*self.likeliest))

    @property
    def segment(self) -> Segment:
        """Where the step is looked for; the ends have to be compared."""
        return self._now()[0]

    @property
    def belief(self) -> Belief:
        return self._now()[1]

    @property
    def between(self) -> tuple[int, ...]:
        """Commits that are neither as fast as the good one nor as slow as the last."""
        return self._now()[2]

    def _now(self) -> tuple[Segment, Belief, tuple[int, ...]]:
        if self._known is None:
            self._whole = self._whole or likelihood.whole(self.changes, self.last)
            segment, passed = likelihood.narrowed(self.changes, self._whole)
            self._known = segment, likelihood.belief(self.changes, segment, self._possible), passed
        return self._known

    @property
    def likeliest(self) -> tuple[int, int]:
        return likelihood.likeliest(self.belief, self.segment, self.skipped)

    @property
    def rest(self) -> tuple[float, float] | None:
        """What became slower before and after the step that was confirmed, as logarithms; None where nothing did."""
        ends, trial = self.ends, self.trial
        if ends is None or ends.low is None or trial is None or trial.high is None or trial.high >= ends.low:
            return None
        step, whole = (log(1 + (one.estimate or 0.0)) for one in (trial, ends))
        visited = [change.newer for change in self.changes if change.older == 0 and change.newer <= self.likeliest[0]]
        before = centre(likelihood.sample(self.changes, max(visited))) if visited else 0.0
        return before, whole - step - before

    @property
    def credible(self) -> tuple[int, int]:
        """`(after, last)` that hold the first slow commit with a probability of 95 %."""
        tail = (1 - _CREDIBLE) / 2
        inner = range(self.segment.first, self.segment.last + 1)
        after = max(commit for commit in inner if self.belief.up_to(commit) <= tail)
        return after, min(commit for commit in inner if self.belief.up_to(commit) >= 1 - tail - 1e-9)


def _judged(pairs: Sequence[Pair], metric: Metric, planned: int) -> tuple[Compared, bool]:
    """What the test says so far, and whether more pairs could not change it.

    Raises OrchgateError where pairs cannot be judged.
    """
    judgement = judge(pairs, Policy({metric.name: metric}), (Sitting(0, planned),))
    if not judgement.metrics:
        raise OrchgateError(judgement.reason or "nothing was measured")
    return judgement.metrics[0], judgement.decided
