"""Runs base and head alternately, and stops as soon as the comparison is decided or the budget is used up."""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.lib import working_time
from orchgate.lib.typed import TYPE_CHECKING, Protocol
from orchgate.model import Verdict
from orchgate.speed import measurements, sampling
from orchgate.speed.measurements import EarlierPairs, Measurement, Stopped, changes, spread
from orchgate.speed.pair_runner import (
    HeadUnfinished,
    PairRunner,
    Progress,
    ProgressReporter,
    RunPair,
    Timing,
    pair_of,
)
from orchgate.speed.sampling import OutOfTime
from orchgate.verdict import gross
from orchgate.verdict.comparison import LOOKS, judge, next_look
from orchgate.verdict.values import Judgement, Sitting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchgate.config.settings import Benchmarks
    from orchgate.speed.sampling import Failure, Harness, MeasuredRun, Side
    from orchgate.verdict.values import Compared, Pair, Policy

MOST_PAIRS = LOOKS[-1]
_PLANNING = LOOKS[0]  # pairs of a sitting after which the rest of it is planned, and before which nobody looks
_STOPS = (gross.PAIRS, gross.MORE_PAIRS, _PLANNING)
_UNSTEADY = 3  # pairs that may be without a verdict because head was ended in them


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
    benchmarks: Benchmarks | None = None,
    tell: Callable[[Progress], None] | None = None,
    earlier: Sequence[Pair] = (),
    sittings: Sequence[Sitting] = (),
    share: float = 1.0,
    exact: bool = False,
) -> Measurement:
    """Compares base and head. The budget, in seconds, does not count what `prepare` takes, which has its own limit.

    `earlier` are the pairs of earlier `sittings` of the same comparison, which this one continues, spending `share`
    of the error budgets. With `partial`, pairs are run as long as one fits, even where not enough fit for a verdict.
    `exact`: where CPU time is left open, instructions are counted, which has its own limit.
    Raises OrchgateError; KeyboardInterrupt when a signal asked for an end, with nothing left running.
    """
    continued = EarlierPairs(tuple(earlier), tuple(sittings), share)
    run = PairedRun(sides, policy, Timing(budget_seconds), continued, most_pairs, partial=partial, tell=tell)
    if not run.common:
        reason = "the pipelines of base and head have no stage in common"
        return run.ended(Judgement(Verdict.BROKEN, decided=True, reason=reason), Stopped.FAILED)
    counters = sampling.COUNTERS | policy.metrics.keys()
    tick = run.reporter.tick
    with sampling.open_harness(
        sides, environ, watch, judged=run.common, counters=counters, benchmarks=benchmarks, tick=tick
    ) as harness:
        measurement = run.prepared(harness, prepare, prepare_seconds) or run.run()
        if exact and not harness.session.loop.signals:
            from orchgate.speed.instruction_counts import decided

            run.reporter.now("counting instructions", len(measurement.pairs))
            measurement = decided(harness, sides, policy, measurement)
        if harness.session.loop.signals:
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
) -> tuple[MeasuredRun, ...]:
    """Runs of one side alone, after one that warms up and does not count; a failure among them ends them.

    Fewer than asked for where the budget, in seconds, ends before them.
    Raises OrchgateError where it cannot be prepared; KeyboardInterrupt as `measure`.
    """
    with sampling.open_harness([side], environ, watch) as harness:
        if failed := sampling.prepare(harness, side, prepare):
            raise OrchgateError(f"{failed.subject} failed on {side.label}: {failed.detail}: {failed.last_line}")
        start = working_time.now()
        deadline = None if budget_seconds is None else start + budget_seconds
        samples: list[MeasuredRun] = []
        for number in range(0 if warm_up else 1, runs + 1):
            doing = f"run {number} of {runs}" if number else "warming up"
            tell(Progress(doing, len(samples), runs, working_time.now() - start, budget_seconds or 0.0))
            try:
                ran = sampling.undisturbed(harness, side, deadline)
            except OutOfTime:
                break
            if ran.failure:
                return (*samples, ran)
            samples += [ran._replace(metrics=ran.without_hidden())] if number else []
        return tuple(samples)


class PairSource(Protocol):
    """Where pairs come from: a `PairRunner` here, or workers."""

    ended: int
    passed: set[str]
    took: dict[str, float]

    def warm_up(self) -> RunPair: ...

    def pair(self, coin: Callable[[], bool], *, late: bool) -> RunPair: ...

    def broken(self) -> tuple[Failure, ...]: ...

    def notes(self) -> list[str]: ...


class PairedRun:
    """A measurement under way."""

    def __init__(
        self,
        sides: tuple[Side, Side],
        policy: Policy,
        timing: Timing,
        continued: EarlierPairs,
        most: int,
        *,
        partial: bool,
        tell: Callable[[Progress], None] | None,
    ) -> None:
        import random

        self._sides = sides
        self._policy = policy
        self._timing = timing
        self._continued = continued
        self._most = min(most, MOST_PAIRS - len(continued.pairs))
        self._partial = partial
        self._seed = os.urandom(8).hex()
        self._flips = random.Random(self._seed)  # noqa: S311 -- a coin, not a secret
        self._pairs: list[Pair] = []
        self._samples: list[tuple[MeasuredRun, MeasuredRun]] = []
        self._warm_up: tuple[MeasuredRun, MeasuredRun] | None = None
        self._planned: int | None = None  # pairs of this sitting, once it is known
        self._prepared: set[str] = set()
        self.runner: PairSource = PairRunner(sides, policy, timing)
        self.reporter = ProgressReporter(tell, timing, self._most)
        base, head = ({stage.id for stage in side.stages} for side in sides)
        self.common = frozenset(base & head)

    def prepared(self, harness: Harness, command: Sequence[str], timeout: float | None) -> Measurement | None:
        """Readies both trees; the end of it all where that fails."""
        assert isinstance(self.runner, PairRunner)
        self.runner.harness = harness
        for side in self._sides:
            if command and side.keep:
                self.reporter.now(f"preparing {side.label}")
            failure = sampling.prepare(harness, side, command, timeout)
            if failure:
                self.runner.failed[side.label].append(failure)
            else:
                self._prepared.add(side.label)
        self._timing.begin()
        if found := self.runner.broken():
            return self.ended(measurements.judgement(found, self._prepared), Stopped.FAILED)
        return None

    def coin(self) -> bool:
        """Whether head goes first."""
        return self._flips.random() < 0.5

    def run(self) -> Measurement:
        if self._most <= 0:
            return self.ended(self._judged(ended=True), Stopped.LOOKED)
        try:
            return self._run()
        except OutOfTime:
            # Who failed once in the warm-up has not been tried a second time.
            return self._over() if self._warm_up else self.ended(self._judged(ended=True), Stopped.BUDGET)
        except HeadUnfinished as found:
            return self._refused((gross.unfinished(found.found),))

    def _run(self) -> Measurement:
        self.reporter.now("warming up")
        ran = self.runner.warm_up()
        self._warm_up = ran.base, ran.head
        self._timing.warmed_up(ran.seconds)
        while not self.runner.broken():
            if not self._pairs_up_to(self._target()):
                break
            if found := self._excesses():
                return self._refused(found)
            if len(self._pairs) >= self._last():
                return self.ended(
                    self._judged(ended=True), Stopped.LOOKED if self._last() == self._most else Stopped.BUDGET
                )
            if self._is_look() and (judgement := self._judged(ended=False)).decided:
                return self.ended(judgement, Stopped.DECIDED)
        return self._over()

    def _target(self) -> int:
        """After how many pairs of this sitting to stop and think."""
        if len(self._pairs) < _PLANNING:
            return min(next(stop for stop in _STOPS if stop > len(self._pairs)), self._last())
        before = len(self._continued.pairs)
        look = next_look(before + len(self._pairs)) or MOST_PAIRS
        return min(look - before, self._last())

    def _is_look(self) -> bool:
        return len(self._pairs) >= _PLANNING and len(self._continued.pairs) + len(self._pairs) in LOOKS

    def _last(self) -> int:
        """How many pairs this sitting may have; once it is planned, how many it will."""
        if self._planned is None and len(self._pairs) >= _PLANNING:
            self._planned = min(self._most, len(self._pairs) + self._timing.plan())
        return self._most if self._planned is None else self._planned

    def _pairs_up_to(self, target: int) -> bool:
        """Runs pairs until there are so many; False when the budget does not allow it, or something fails."""
        while len(self._pairs) < target:
            late = self._is_late()
            if not (late or self._fits()) or self.runner.ended > _UNSTEADY:
                return False
            self.reporter.now(f"pair {len(self._pairs) + 1}", len(self._pairs))
            ran = self.runner.pair(self.coin, late=late)
            if self.runner.broken():
                return False
            if ran.whole:
                self._samples.append((ran.base, ran.head))
                self._pairs.append(pair_of(ran))
                self._timing.paired(ran.seconds)
        return True

    def _fits(self) -> bool:
        """Whether the budget holds another pair: before the first look half of its pairs say nothing.

        Later ones count wherever the budget ends.
        """
        count = len(self._pairs)
        some = self._partial or self._continued.pairs or count >= _PLANNING
        return self._timing.fits(1 if some else min(self._most, _PLANNING) - count)

    def _is_late(self) -> bool:
        """Whether head looks so slow that a few pairs are enough, which may be run beyond the budget."""
        wanted = next((stop for stop in _STOPS[:-1] if stop > len(self._pairs)), 0) - len(self._pairs)
        return 0 < wanted <= self._most and self._suspicious() and self._timing.fits(wanted, late=True)

    def _suspicious(self) -> bool:
        """Whether all runs so far, the first ones included, look as if head were far too slow."""
        first = [] if self._warm_up is None else [pair_of(RunPair(*self._warm_up, whole=True, seconds=0.0))]
        return gross.suspicious([*first, *self._pairs], self._policy)

    def _excesses(self) -> tuple[Compared, ...]:
        return gross.excesses(self._pairs, [head.waited for _, head in self._samples], self._policy)

    def _refused(self, found: Sequence[Compared]) -> Measurement:
        rest = self._judged(ended=True) if self._pairs else None
        return self.ended(gross.judgement(found, rest), Stopped.GROSS)

    def _over(self) -> Measurement:
        """The end before it was decided."""
        if found := self.runner.broken():
            return self.ended(measurements.judgement(found, self.runner.passed), Stopped.FAILED)
        judgement = self._judged(ended=True)
        if self.runner.ended > _UNSTEADY:
            return self.ended(measurements.unsteady(judgement, self.runner.ended), Stopped.UNSTEADY)
        return self.ended(judgement, Stopped.BUDGET)

    def _sitting(self) -> Sitting | None:
        if not self._pairs:
            return None
        before = len(self._continued.pairs)
        return Sitting(before, before + (self._planned or len(self._pairs)), self._continued.share)

    def _judged(self, *, ended: bool) -> Judgement:
        pairs = (*self._continued.pairs, *self._pairs)
        if not pairs:
            return Judgement(Verdict.INCONCLUSIVE, reason="the budget cannot hold enough pairs")
        sitting = self._sitting()
        sittings = (*self._continued.sittings, *([sitting] if sitting else []))
        return judge(pairs, self._policy, sittings, ended=ended)

    def ended(self, judgement: Judgement, stopped: Stopped) -> Measurement:
        broken = self.runner.broken() if stopped is Stopped.FAILED else ()
        notes = (*measurements.notes(self._samples), *self.runner.notes())
        return Measurement(
            tuple(self._pairs),
            tuple(self._samples),
            judgement,
            changes(self._sides, self._samples or ([self._warm_up] if self._warm_up else [])),
            broken,
            stopped,
            self._timing.whole,
            self._timing.pair_seconds,
            spread([base.metrics["cpu_seconds"] for base, _ in self._samples if "cpu_seconds" in base.metrics]),
            self._seed,
            self._warm_up,
            (*notes, *filter(None, [measurements.advice(broken)])),
            self._continued.pairs,
            self._sitting(),
            took=dict(self.runner.took),
        )
