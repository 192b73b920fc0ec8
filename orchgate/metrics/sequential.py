"""Deciding on times and memory while the pairs come in, at a few looks.

Each look spends a part of two error budgets. ALARM bounds the chance that *any* metric is called slower at *any* look
although none is by more than its tolerance; MISS, metric by metric, the chance that one which reached its blocking
threshold passes. Both hold by adding up (Bonferroni over looks, weighted Holm over metrics), so nothing is assumed of
how runs, looks or metrics depend on each other.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

from orchgate.metrics import estimate, exact, samples
from orchgate.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.metrics.values import Metric, Pair

LOOKS = (8, 12, 16, 22, 32, 46, 66, 94, 128, 180, 256)  # pairs
ALARM = 0.005
MISS = 0.05
PRIMARY = "cpu_seconds"  # of several metrics it holds half of ALARM
SECOND = "wall_seconds"
FIRST_ALARM = 12  # pairs: with fewer, no outcome of the coins is rare enough
AT_FIRST = 0.25  # share of a budget that the first look spends which can use it
HINT = 0.05  # p-value of being slower below which a metric that would pass is looked at again


class State(NamedTuple):
    """What the looks so far say of a metric. Once `settled` it stays as it is.

    `below`: it was shown to be slower by less than blocks. `test` is that of the look that settled it, or of the last
    one; `level` is what its p-value had to reach.
    """

    verdict: Verdict
    settled: bool
    below: bool
    test: Test
    p: float
    level: float
    reason: str = ""


class Test(NamedTuple):
    """One metric at one look. The p-values of `slower than tolerated` and of `slower by less than blocks`."""

    scale: samples.Scale
    estimate: float
    p_slower: float
    p_less: float


class Spending(NamedTuple):
    """One look, and what was spent before it. Numbers of pairs."""

    before: int
    now: int

    def part(self, first: int) -> float:
        """The part of a budget for this look: AT_FIRST by the first that can use it, then evenly over the logarithm."""
        return _spent(self.now, first) - _spent(self.before, first)


def _spent(pairs: int, first: int) -> float:
    if pairs < first:
        return 0.0
    return AT_FIRST + (1 - AT_FIRST) * min(1.0, log(pairs / first) / log(LOOKS[-1] / first))


def settle(pairs: Sequence[Pair], metrics: Sequence[Metric], states: dict[str, State], spending: Spending) -> None:
    """Takes one look at all pairs so far: brings `states` up to date."""
    open_ = [metric for metric in metrics if metric.name not in states or not states[metric.name].settled]
    if not open_:
        return
    tests = {metric.name: _test(samples.scale(pairs, metric)) for metric in open_}
    levels = _levels(metrics, tests, states, ALARM * spending.part(FIRST_ALARM))
    for metric in open_:
        states[metric.name] = _state(
            metric,
            tests[metric.name],
            levels[metric.name],
            states.get(metric.name),
            MISS * spending.part(LOOKS[0]),
        )


def _state(metric: Metric, test: Test, level: float, before: State | None, miss: float) -> State:
    below = test.p_less <= miss or (before is not None and before.below)
    state = State(Verdict.INCONCLUSIVE, False, below, test, test.p_slower, level)
    bounds = exact.within_bounds(metric, test.scale.value(estimate.median(test.scale.sample.head)))
    if bounds.verdict is Verdict.FAIL:
        return state._replace(verdict=Verdict.FAIL, settled=True, reason=bounds.reason)
    if test.p_slower <= level or _called_slower(before):
        blocked = test.estimate >= test.scale.block
        # Slower, and less than what blocks: it may still turn out to block, until that is ruled out.
        return state._replace(verdict=Verdict.FAIL if blocked else Verdict.WARN, settled=blocked or below)
    if below:
        return state._replace(verdict=Verdict.PASS, settled=test.p_slower > HINT, p=test.p_less)
    return state


def _called_slower(state: State | None) -> bool:
    return state is not None and state.verdict in (Verdict.WARN, Verdict.FAIL)


def _test(scale: samples.Scale) -> Test:
    sample = scale.sample
    return Test(
        scale,
        estimate.centre(sample),
        estimate.p_above(sample, scale.tolerance),
        estimate.p_below(sample, scale.block),
    )


def _levels(
    metrics: Sequence[Metric], tests: Mapping[str, Test], states: Mapping[str, State], alarm: float
) -> dict[str, float]:
    """What each open metric's p-value must reach at this look: Holm's method with weights.

    A metric that was called slower leaves its share to the others.
    """
    weights = _weights(metrics)
    left = sum(weight for name, weight in weights.items() if not _called_slower(states.get(name)))
    levels = {}
    for name in sorted(tests, key=lambda name: tests[name].p_slower / weights[name]):
        levels[name] = alarm * weights[name] / max(left, weights[name])
        # Once one does not reach its level, none after it does: they come in the order of p-value by weight.
        if not _called_slower(states.get(name)) and tests[name].p_slower <= levels[name]:
            left -= weights[name]
    return levels


def _weights(metrics: Sequence[Metric]) -> dict[str, float]:
    names = [metric.name for metric in metrics]
    if PRIMARY not in names or len(names) == 1:
        return dict.fromkeys(names, 1.0 / len(names))
    return {name: 0.5 if name == PRIMARY else 0.5 / (len(names) - 1) for name in names}
