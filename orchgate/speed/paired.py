"""Runs base and head in turn, and stops as soon as the comparison is decided or the budget is used up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError
from orchgate.metrics.comparison import LOOKS, judge, next_look
from orchgate.metrics.values import Judgement, Pair, Sitting
from orchgate.model import Verdict
from orchgate.runs import worked
from orchgate.speed import failures, sampling
from orchgate.speed.attribution import changes, spread
from orchgate.speed.measurement import Measurement, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchgate.metrics.values import Policy
    from orchgate.speed.sampling import Failure, Sample, Side

MOST_PAIRS = LOOKS[-1]
_COLD = 4.0  # how much slower a first run may be than those that follow
_TELLING = 0.5  # seconds between two words about how far it is
_GIVE_UP = 3  # failures in a row of what has worked before


def measure(
    sides: tuple[Side, Side],
    policy: Policy,
    *,
    budget_seconds: float,
    environ: Mapping[str, str],
    most_pairs: int = MOST_PAIRS,
    partial: bool = False,
    prepare: Sequence[str] = (),
    prepare_seconds: float | None = None,
    watch: Sequence[str] = (),
    tell: Callable[[Progress], None] | None = None,
    earlier: Sequence[Pair] = (),  # noqa: ARG001
    sittings: Sequence[Sitting] = (),  # noqa: ARG001
    share: float = 1.0,  # noqa: ARG001
) -> Measurement:
    """Compares base and head. The budget, in seconds, does not count what `prepare` takes, which has its own limit.

    `earlier` are the pairs of former `sittings` of the same comparison, which this one goes on with, spending `share`
    of the error budgets. With `partial`, pairs are run as long as one fits, even where not enough fit for a verdict.
    Raises OrchgateError; KeyboardInterrupt when a signal asked for an end, with nothing left running.
    """
    course = _Course(sides, policy, budget_seconds, most_pairs, partial=partial, tell=tell)
    if not course.common:
        reason = "the pipelines of base and head have no stage in common"
        return course.ended(Judgement(Verdict.BROKEN, decided=True, reason=reason), "failed")
    counters = sampling.COUNTERS | policy.metrics.keys()
    with sampling.rig(sides, environ, watch, judged=course.common, counters=counters, tick=course.tick) as rig:
        course.rig = rig
        measurement = course.prepared(prepare, prepare_seconds) or course.run()
        if rig.session.loop.signals:
            raise KeyboardInterrupt
        return measurement


def sample(
    side: Side,
    runs: int,
    *,
    environ: Mapping[str, str],
    warm_up: bool = True,
    budget_seconds: float | None = None,
    prepare: Sequence[str] = (),
    watch: Sequence[str] = (),
    tell: Callable[[Progress], None] = lambda _: None,
) -> tuple[Sample, ...]:
    """Runs of one side alone, after one that warms up and does not count; a failure among them ends them.

    Fewer than asked for where the budget, in seconds, ends before them.
    Raises OrchgateError where it cannot be prepared; KeyboardInterrupt as `measure`.
    """
    with sampling.rig([side], environ, watch) as rig:
        if failed := sampling.prepare(rig, side, prepare):
            raise OrchgateError(f"{failed.stage} failed on {side.label}: {failed.detail}: {failed.said}")
        start = worked.now()
        deadline = None if budget_seconds is None else start + budget_seconds
        samples: list[Sample] = []
        for number in range(0 if warm_up else 1, runs + 1):
            doing = f"run {number} of {runs}" if number else "warming up"
            tell(Progress(doing, len(samples), runs, worked.now() - start, budget_seconds or 0.0))
            try:
                ran = sampling.undisturbed(rig, side, deadline)
            except sampling.OutOfTime:
                break
            if ran.failure:
                return (*samples, ran)
            samples += [ran._replace(metrics=ran.without_hidden())] if number else []
        return tuple(samples)


def _pair(base: Sample, head: Sample, *, head_first: bool) -> Pair:
    bounds = (base.lower_bounds, head.lower_bounds)
    if base.hidden_memory and head.hidden_memory:
        return Pair(base.without_hidden(), head.without_hidden(), head_first, *bounds)
    return Pair(base.metrics, head.metrics, head_first, *bounds)


class _Course:
    """A measurement under way."""

    rig: sampling.Rig

    def __init__(
        self,
        sides: tuple[Side, Side],
        policy: Policy,
        budget: float,
        most: int,
        *,
        partial: bool,
        tell: Callable[[Progress], None] | None,
    ) -> None:
        import random

        self._sides = sides
        self._policy = policy
        self._budget = budget
        self._most = most
        self._partial = partial
        self._tell = tell
        self._seed = os.urandom(8).hex()
        self._flips = random.Random(self._seed)  # noqa: S311 -- a coin, not a secret
        self._start = worked.now()
        self._since = self._start  # the budget's own start
        self._doing, self._told = "", 0.0
        self._pairs: list[Pair] = []
        self._samples: list[tuple[Sample, Sample]] = []
        self._warm_up: tuple[Sample, Sample] | None = None
        self._warm_seconds = 0.0
        self._first_pair = 0.0  # when it began
        self._thrown_away = 0  # pairs
        self._failed: dict[str, list[Failure]] = {side.label: [] for side in sides}  # in a row
        self._prepared: set[str] = set()
        self._passed: set[str] = set()
        base, head = ({stage.id for stage in side.stages} for side in sides)
        self.common = frozenset(base & head)

    def tick(self) -> float | None:
        """Tells how far it is; in how many seconds to do so again."""
        if self._tell is None:
            return None
        now = worked.now()
        if now - self._told >= _TELLING:
            self._told = now
            self._tell(Progress(self._doing, len(self._pairs), self._most, now - self._since, self._budget))
        return self._told + _TELLING - now

    def _now(self, doing: str) -> None:
        self._doing, self._told = doing, 0.0
        self.tick()

    def prepared(self, command: Sequence[str], timeout: float | None) -> Measurement | None:
        """Readies both trees; the end of it all where that fails."""
        for side in self._sides:
            if command and side.keep:
                self._now(f"preparing {side.label}")
            failure = sampling.prepare(self.rig, side, command, timeout)
            if failure:
                self._failed[side.label].append(failure)
            else:
                self._prepared.add(side.label)
        self._since = worked.now()
        if found := self._broken():
            return self.ended(failures.judgement(found, self._prepared), "failed")
        return None

    def run(self) -> Measurement:
        self._now("warming up")
        try:
            self._warm_up = self._both(head_first=False)
        except sampling.OutOfTime:
            return self.ended(self._so_far(), "budget")
        self._warm_seconds = worked.now() - self._since
        self._first_pair = worked.now()
        while not self._broken():
            if len(self._pairs) >= self._most:
                return self.ended(self._so_far(), "looked")
            target = min(next_look(len(self._pairs)) or self._most, self._most)
            if not self._pairs_up_to(target):
                break
            judgement = judge(self._pairs, self._policy, (Sitting(0, self._most),), ended=False)
            if judgement.decided:
                return self.ended(judgement, "decided")
        if found := self._broken():
            return self.ended(failures.judgement(found, self._passed), "failed")
        return self.ended(self._so_far(), "budget")

    def _pairs_up_to(self, target: int) -> bool:
        """Runs pairs until there are so many; False when the budget does not allow it, or something fails."""
        while len(self._pairs) < target:
            # Before the first look half of its pairs say nothing; later ones count wherever the budget ends.
            wanted = 1 if self._partial or self._pairs_enough() else target - len(self._pairs)
            if not self._fits(wanted):
                return False
            self._now(f"pair {len(self._pairs) + 1}")
            head_first = self._flips.random() < 0.5
            try:
                base, head = self._both(head_first=head_first)
            except sampling.OutOfTime:
                return False
            if self._broken():
                return False
            self._samples.append((base, head))
            self._pairs.append(_pair(base, head, head_first=head_first))
        return True

    def _pairs_enough(self) -> bool:
        return len(self._pairs) >= LOOKS[0]

    def _fits(self, pairs: int) -> bool:
        seconds = self._pair_seconds() if self._pairs else self._warm_seconds / _COLD
        return worked.now() - self._since + pairs * seconds <= self._budget

    def _pair_seconds(self) -> float:
        if not self._pairs:
            return self._warm_seconds
        return (worked.now() - self._first_pair) / len(self._pairs)

    def _both(self, *, head_first: bool) -> tuple[Sample, Sample]:
        """One run of each. Where either was stopped, or the machine slept, neither says anything: once more."""
        for _ in range(sampling.MOST_DISTURBED):
            begun = worked.mark()
            failed, passed = {label: list(known) for label, known in self._failed.items()}, set(self._passed)
            pair = self._in_turn(head_first=head_first)
            if not begun.disturbed:
                return pair
            self._failed, self._passed = failed, passed
            self._thrown_away += 1
        raise sampling.disturbed()

    def _in_turn(self, *, head_first: bool) -> tuple[Sample, Sample]:
        base, head = self._sides
        if head_first:
            ran = self._one(head)
            return self._one(base), ran
        ran = self._one(base)
        return ran, self._one(head)

    def _one(self, side: Side) -> Sample:
        """One run; what fails and has never passed is tried a second time, to tell the broken from the flaky."""
        deadline = self._since + self._budget
        ran = sampling.once(self.rig, side, deadline)
        self._noted(side, ran)
        if ran.failure and side.label not in self._passed:
            self._noted(side, sampling.once(self.rig, side, deadline))
        return ran

    def _noted(self, side: Side, ran: Sample) -> None:
        if ran.failure:
            self._failed[side.label].append(ran.failure)
        else:
            self._failed[side.label].clear()
            self._passed.add(side.label)

    def _broken(self) -> tuple[Failure, ...]:
        """The failures of sides that cannot be measured."""
        return tuple(
            failed[-1]
            for label, failed in self._failed.items()
            if failed and (label not in self._passed or len(failed) >= _GIVE_UP)
        )

    def _so_far(self) -> Judgement:
        if self._pairs:
            return judge(self._pairs, self._policy, (Sitting(0, self._most),))
        return Judgement(Verdict.INCONCLUSIVE, reason="the budget cannot hold enough pairs")

    def ended(self, judgement: Judgement, stopped: str) -> Measurement:
        broken = self._broken() if stopped == "failed" else ()
        notes = failures.notes(self._samples)
        if self._thrown_away:
            pairs = "1 pair was" if self._thrown_away == 1 else f"{self._thrown_away} pairs were"
            notes.append(f"{pairs} thrown away and measured again: stopped meanwhile, or the machine slept")
        return Measurement(
            tuple(self._pairs),
            tuple(self._samples),
            judgement,
            changes(self._sides, self._samples or ([self._warm_up] if self._warm_up else [])),
            broken,
            stopped,
            worked.now() - self._start,
            self._pair_seconds(),
            spread([base.metrics["cpu_seconds"] for base, _ in self._samples if "cpu_seconds" in base.metrics]),
            self._seed,
            self._warm_up,
            (*notes, *filter(None, [failures.advice(broken)])),
        )
