"""Head against stored runs of base: where base cannot be run again.

The machine may have been another one that day in all but name, so times block only where they changed by a quarter or
more, and nothing here is a test that holds under drift. Median and MAD (Hampel 1974) over one value a run; logarithms,
normal approximation. The caller sees to it that both sides come from one machine class.

One run of head against recorded runs never gives a verdict, only a suspicion that pairs should look at. Fewer than ten
recorded runs show no spread: then, and against the runs of one tree alone, only a gross excess over the slowest of them
is suspicious.
"""

from __future__ import annotations

from math import erfc, exp, expm1, isfinite, log, pi, sqrt

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures.declared import MIB, MetricKind, title
from orchgate.model import Verdict, worst
from orchgate.verdict import exact, samples
from orchgate.verdict.exact import EXACT
from orchgate.verdict.gross import FACTOR
from orchgate.verdict.values import Compared, ComparedCounter, Judgement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.verdict.exact import LowerBounds
    from orchgate.verdict.values import Metric, Policy

MIN_RUNS = 10  # of base
BLOCK = 0.25  # a change of time or memory below this warns at most
SURE = 3.0  # standard errors beyond which a change is one
ODD = 2.0  # the same for a suspicion, which pairs will confirm or clear
_SLACK = {MetricKind.TIME: 0.1, MetricKind.MEMORY: 8.0 * MIB}  # seconds and bytes that are too few to matter


class _Change(NamedTuple):
    """Head's change as a fraction of base, positive where it is worse, with its 95 % interval."""

    worse: float
    estimate: float
    low: float
    high: float
    sigmas: float
    smallest: float


def judge_stored(
    baseline: Mapping[str, Sequence[float]],
    head: Mapping[str, Sequence[float]],
    policy: Policy,
    known: LowerBounds = EXACT,
) -> Judgement:
    """The verdict on head's runs (one is enough) by stored runs of base; values by metric, one for each run.

    `known` says which of them are lower bounds.
    """
    metrics: list[Compared] = []
    counters: list[ComparedCounter] = []
    for metric in _measured(baseline, head, policy):
        base_values, head_values = baseline.get(metric.name, ()), head.get(metric.name, ())
        problem = _unreadable(metric, base_values, head_values)
        if problem:
            return Judgement(Verdict.BROKEN, decided=True, reason=problem)
        counter = _counted(metric, base_values, head_values)
        if counter:
            counters.append(exact.decided(exact.within_knowledge(counter, metric, known), policy.inconclusive))
        else:
            metrics.append(exact.within_knowledge(_compared(metric, base_values, head_values), metric, known))
    if not metrics and not counters:
        return Judgement(Verdict.BROKEN, decided=True, reason="no metric that is judged was both stored and measured")
    verdict = worst([one.verdict for one in metrics] + [one.verdict for one in counters])
    return Judgement(verdict, tuple(metrics), tuple(counters), decided=True)


def suspicious(
    baseline: Mapping[str, Sequence[float]],
    head: Mapping[str, Sequence[float]],
    policy: Policy,
    known: LowerBounds = EXACT,
) -> tuple[str, ...]:
    """The metrics in which head's runs, one is enough, look worse than stored runs of base, or cannot be screened.

    Counters by any change for the worse; times by what blocks *and* lies outside the spread that the baseline shows.
    """
    return tuple(
        metric.name
        for metric in _measured(baseline, head, policy)
        if not exact.holds(metric, Verdict.PASS, known)
        or _odd(metric, baseline.get(metric.name, ()), head.get(metric.name, ()))
    )


def _odd(metric: Metric, base: Sequence[float], head: Sequence[float]) -> bool:
    if _unreadable(metric, base, head):
        return True
    counter = _counted(metric, base, head)
    if counter:  # a suspicion is worth a measurement only where one may refuse
        return counter.verdict is not Verdict.PASS and metric.refuses
    if len(base) < MIN_RUNS or _out_of_bounds(metric, head):
        return True
    change = _change(metric, base, head)
    return change.worse >= _block(metric, base) and change.sigmas >= ODD


def _measured(
    baseline: Mapping[str, Sequence[float]], head: Mapping[str, Sequence[float]], policy: Policy
) -> list[Metric]:
    """What head measured, and what it lacks although base did. What only head measures has nothing to be held to."""
    return [
        metric
        for name, metric in policy.metrics.items()
        if baseline.get(name) or (head.get(name) and (metric.most is not None or metric.least is not None))
    ]


def _unreadable(metric: Metric, base: Sequence[float], head: Sequence[float]) -> str:
    for arm, values in (("stored run", base), ("run of head", head)):
        for number, value in enumerate(values, 1):
            if not isfinite(value) or value < 0 or not (value or metric.kind.exact):
                return f"{title(metric.name)} of {arm} {number} is {value:g}"
    if not head:
        return f"{title(metric.name)} was not measured in head, and stored runs have it"
    return "" if metric.kind.exact or not base else samples.jump(metric.name, median(base), median(head))


def _counted(metric: Metric, base: Sequence[float], head: Sequence[float]) -> ComparedCounter | None:
    if metric.settles:
        return exact.settled(metric, base, head)
    if not base:
        return max((exact.within_bounds(metric, value) for value in head), key=lambda one: one.verdict is Verdict.FAIL)
    if not metric.kind.exact or len({*base}) > 1 or len({*head}) > 1:
        return None
    # That base repeats, the stored runs show; head may still be one that varies.
    return exact.compared(metric, base[0], head[0], min(len(base), len(head)))


def _compared(metric: Metric, base: Sequence[float], head: Sequence[float]) -> Compared:
    result = Compared(
        metric.name, Verdict.INCONCLUSIVE, None, None, None, len(head), None, None, median(base), median(head)
    )
    bounds = _out_of_bounds(metric, head)
    if bounds:
        return result._replace(verdict=Verdict.FAIL, reason=bounds)
    if len(base) < MIN_RUNS:
        return result._replace(reason=f"{len(base)} stored runs; at least {MIN_RUNS} are needed to know the spread")
    change, block = _change(metric, base, head), _block(metric, base)
    verdict, reason = Verdict.PASS, ""
    if change.worse >= block and change.sigmas < SURE:
        verdict, reason = Verdict.INCONCLUSIVE, "within the spread of the stored runs"
    elif change.worse >= block:
        verdict = Verdict.FAIL if change.worse >= max(BLOCK, block) else Verdict.WARN
    return result._replace(
        verdict=verdict,
        reason=reason,
        estimate=change.estimate,
        low=change.low,
        high=change.high,
        p=erfc(change.sigmas / sqrt(2)) / 2,
        smallest_effect=change.smallest,
    )


def _out_of_bounds(metric: Metric, head: Sequence[float]) -> str:
    return exact.within_bounds(metric, median(head)).reason


def _block(metric: Metric, base: Sequence[float]) -> float:
    block = metric.block or (samples.DEMOTED if metric.kind.exact else 0.0)
    return block + (metric.slack / median(base) if median(base) else 0.0)


def _change(metric: Metric, base: Sequence[float], head: Sequence[float]) -> _Change:
    sign = 1.0 if metric.more_is_worse else -1.0
    offset = max(metric.slack, 1.0) if metric.kind.exact else 0.0
    before, after = ([log(value + offset) for value in values] for values in (base, head))
    typical = median(base)
    scale = (typical + offset) / typical if typical else 1.0  # a fraction of what base has, not of that and the offset
    middle = median(before)
    # Stored values that all agree do not mean that time stands still: at least the tolerance is taken for spread.
    spread = max(1.4826 * median([abs(value - middle) for value in before]), metric.tolerance, 0.001)
    # The variance of a median of n > 2 normal values is π/2n times theirs, that of one value or two is 1/n times.
    error = spread * sqrt(sum((pi / 2 if len(side) > 2 else 1.0) / len(side) for side in (before, after)))
    change = median(after) - middle
    return _Change(
        sign * expm1(min(change, 700.0)),
        scale * expm1(min(change, 700.0)),
        scale * expm1(change - 1.96 * error),
        scale * expm1(min(change + 1.96 * error, 700.0)),
        sign * change / error,
        exp(SURE * error) - 1,
    )


def suspects(recorded: Mapping[str, Sequence[float]], head: Mapping[str, float], policy: Policy) -> tuple[str, ...]:
    """The times and memory metrics in which a run of head is out of what the recorded runs cost."""
    found = dict.fromkeys((*grossly_beyond(recorded, head, policy), *_beyond_bounds(head, policy)))
    many = {name: values for name, values in recorded.items() if len(values) >= MIN_RUNS and name in head}
    ran = {name: (head[name],) for name in many}
    return (*found, *(name for name in suspicious(many, ran, policy) if name not in found))


def grossly_beyond(
    recorded: Mapping[str, Sequence[float]], head: Mapping[str, float], policy: Policy
) -> tuple[str, ...]:
    """The metrics in which a run of head is beyond FACTOR times the worst recorded one."""
    return tuple(
        name
        for name, values in recorded.items()
        if name in policy.metrics
        and name in head
        and policy.metrics[name].kind in _SLACK
        and head[name] > FACTOR * max(values) + _SLACK[policy.metrics[name].kind]
    )


def _beyond_bounds(head: Mapping[str, float], policy: Policy) -> Iterator[str]:
    for name, value in head.items():
        if name in policy.metrics and exact.within_bounds(policy.metrics[name], value).verdict is Verdict.FAIL:
            yield name


def shows_spread(recorded: Mapping[str, Sequence[float]]) -> bool:
    """Whether there are enough runs to see less than a gross excess."""
    return max(map(len, recorded.values()), default=0) >= MIN_RUNS
