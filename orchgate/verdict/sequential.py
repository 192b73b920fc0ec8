"""Deciding on times and memory while the pairs come in, at a few looks.

Each look spends a part of two error budgets. ALARM bounds the chance that *any* metric is called slower at *any* look
although none is by more than its tolerance; MISS, metric by metric, the chance that one which reached its blocking
threshold passes. Both hold by adding up (Bonferroni over looks, weighted Holm over metrics), so nothing is assumed of
how runs, looks or metrics depend on each other.

A sitting spends its share evenly over the logarithm of the pairs, towards the number that it was planned to hold; of
what refuses, half is held back for the last look, which has seen most. That one spends all that is left, also where the
clock ended the sitting early. When it ends does not depend on which run of a pair is called head, so neither does what
a look may spend.
"""

from __future__ import annotations

from math import log

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures.declared import MetricKind
from orchgate.model import Verdict
from orchgate.verdict import exact, samples, sign_flip
from orchgate.verdict.values import LOOKS, Sitting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.verdict.values import Metric, Pair

ALARM = 0.005
MISS = 0.05
UNSURE = 0.05  # of all intervals of a metric, look by look, the chance that any leaves the truth out
PRIMARY = "cpu_seconds"
SECOND = "wall_seconds"
LEADING = 0.8  # of ALARM: what PRIMARY holds of it beside other metrics
PROBABLE = 0.025  # p-value up to which head is probably slower, and what was called slower stays so
HINT = 0.05  # p-value of being slower up to which a metric that would pass is looked at again
DOUBT = 0.25  # the same of PRIMARY where something else was refused already, and of a rate that varies


class Test(NamedTuple):
    """One metric at one look. The p-values of `slower than tolerated` and of `slower by less than blocks`."""

    scale: samples.Scale
    p_slower: float
    p_less: float
    blocked: bool  # the estimate reaches what blocks

    @property
    def pairs(self) -> int:
        return len(self.scale.sample.base)


class MetricState(NamedTuple):
    """What the looks so far say of a metric; once `settled`, more pairs are not asked for.

    `called`: it was shown to be slower, `below`: to be so by less than blocks. `test` is that of the last look, `level`
    what its p-value had to reach, `unsure` the part of UNSURE that its interval has. Up to the fractions `alarm` and
    `miss` of the budgets it has spent: a look at which no outcome of the coins would have been rare enough spends none.
    """

    verdict: Verdict
    test: Test
    level: float
    unsure: float
    alarm: float
    miss: float
    called: bool = False
    below: bool = False
    settled: bool = False
    reason: str = ""

    @property
    def probably(self) -> bool:
        return self.verdict is Verdict.WARN and not self.called

    @property
    def p(self) -> float:
        """The p-value that carries the verdict."""
        return self.test.p_less if self.verdict is Verdict.PASS else self.test.p_slower


def settle(
    pairs: Sequence[Pair], metrics: Sequence[Metric], states: dict[str, MetricState], look: Look, before: Look
) -> None:
    """Takes a look at all pairs so far, `before` being the one before it: brings `states` up to date."""
    tests = {metric.name: _test(pairs, metric) for metric in metrics if _enough(pairs, metric)}
    spent = {
        name: (state.alarm, state.miss) if (state := states.get(name)) else (before.alarm, before.miss)
        for name in tests
    }
    weights = _weights(metrics)
    parts = {name: ALARM * weights[name] * (look.alarm - alarm) for name, (alarm, _) in spent.items()}
    called = {name for name, state in states.items() if state.called}
    levels = _levels(tests, parts, called)
    for metric in (one for one in metrics if one.name in tests):
        name, (alarm, miss) = metric.name, spent[metric.name]
        rarest = 2.0 ** -tests[name].pairs
        refuted = MISS * (look.miss - miss)
        fresh = MetricState(
            Verdict.INCONCLUSIVE,
            tests[name],
            levels[name],
            UNSURE * (look.miss - before.miss),
            look.alarm if levels[name] >= rarest or name in called else alarm,
            look.miss if refuted >= rarest else miss,
        )
        states[name] = _decided(metric, fresh, states.get(name), tests[name].p_less <= refuted)


def _decided(metric: Metric, fresh: MetricState, before: MetricState | None, below: bool) -> MetricState:
    test = fresh.test
    called = test.p_slower <= fresh.level or (before is not None and before.called)
    below = below or (before is not None and before.below)
    bounds = exact.within_bounds(metric, test.scale.value(median(test.scale.sample.head)))
    if bounds.verdict is Verdict.FAIL:
        return fresh._replace(verdict=Verdict.FAIL, settled=True, reason=bounds.reason)
    verdict = _verdict(test, called, below)
    settled = (called and (test.blocked or below)) or (verdict is Verdict.PASS and test.p_slower > HINT)
    # Times are settled for good; a rate that turns out to be worse after all is looked at further.
    settled = settled or (
        before is not None and before.settled and (metric.kind is not MetricKind.RATE or not test.blocked)
    )
    return fresh._replace(verdict=verdict, called=called, below=below, settled=settled)


def _verdict(test: Test, called: bool, below: bool) -> Verdict:
    """An early look may have met an odd stretch: what it called slower has to be probable still."""
    if test.p_slower <= PROBABLE:
        return Verdict.FAIL if called and test.blocked else Verdict.WARN
    return Verdict.PASS if below and not test.blocked else Verdict.INCONCLUSIVE


def _enough(pairs: Sequence[Pair], metric: Metric) -> bool:
    return len(samples.of(pairs, metric.name)) >= LOOKS[0]


def _test(pairs: Sequence[Pair], metric: Metric) -> Test:
    scale = samples.scale(pairs, metric)
    if metric.kind is MetricKind.RATE:
        p_slower = sign_flip.p_above(scale.sample, 0.0)
        blocked = p_slower <= DOUBT and _blocks(pairs, metric)  # one failure more is nobody's
        return Test(scale, p_slower, float(blocked), blocked)
    return Test(
        scale,
        sign_flip.p_above(scale.sample, scale.tolerance),
        sign_flip.p_below(scale.sample, scale.block),
        sign_flip.leaning(scale.sample, scale.block) >= 0,
    )


def _blocks(pairs: Sequence[Pair], metric: Metric) -> bool:
    """Whether a rate that differs from run to run is worse by what blocks, over all runs.

    Most runs succeed or fail, and nothing is in between: no shift makes head's runs comparable with base's.
    """
    base, head = samples.means(pairs, metric.name)
    worse = head - base if metric.more_is_worse else base - head
    return worse >= (metric.block or samples.DEMOTED) * base


def _levels(tests: Mapping[str, Test], parts: Mapping[str, float], called: set[str]) -> dict[str, float]:
    """What each metric's p-value must reach at this look, given its part of ALARM: Holm's method with weights.

    A metric that was called slower leaves its part to the others.
    """
    alarm = sum(parts.values())
    left = sum(part for name, part in parts.items() if name not in called)
    levels = {}
    for name in sorted(tests, key=lambda name: tests[name].p_slower / (parts[name] or 1e-300)):
        levels[name] = alarm * parts[name] / max(left, parts[name]) if parts[name] else 0.0
        # Once one does not reach its level, none after it does: they come in the order of p-value by weight.
        if name not in called and tests[name].p_slower <= levels[name]:
            left -= parts[name]
    return levels


def _weights(metrics: Sequence[Metric]) -> dict[str, float]:
    names = [metric.name for metric in metrics]
    if PRIMARY not in names or len(names) == 1:
        return {name: 1.0 / len(names) for name in names}
    return {name: LEADING if name == PRIMARY else (1 - LEADING) / (len(names) - 1) for name in names}


# At which pairs a comparison is looked at, and how much of its error budgets each look may have spent


ALARM_FROM = 8  # pairs: spending begins after them, so that the first look can refuse only if it is the last
MISS_FROM = 4  # pairs: eight that all say "less than what blocks" are enough to pass
_HELD = 0.5  # of the alarms of a sitting: what its last look has at least


class Look(NamedTuple):
    """After so many pairs, the fractions of the two budgets that may have been spent, this look included."""

    pairs: int
    alarm: float
    miss: float


NO_LOOK = Look(0, 0.0, 0.0)


def next_look(pairs: int) -> int | None:
    """The number of pairs after which to look again; None after the last."""
    return next((look for look in LOOKS if look > pairs), None)


def looks(pairs: int, sittings: Sequence[Sitting], *, ended: bool) -> Iterator[Look]:
    """All looks at so many pairs. Every sitting but the last ended where the next began; the last one if `ended`."""
    last = min(pairs, LOOKS[-1])
    sittings = sittings or (Sitting(0, last),)
    before = 0.0
    for number, sitting in enumerate(sittings):
        over = number + 1 < len(sittings)
        end = min(sittings[number + 1].begun, last) if over else last
        for now in sorted({*LOOKS, end}):
            at_end = now == end and (over or ended)
            if sitting.begun < now <= end and (now in LOOKS or at_end):
                yield _look(now, sitting, before, at_end=at_end)
        before += sitting.share


def _look(now: int, sitting: Sitting, before: float, *, at_end: bool) -> Look:
    alarm, miss = (1 - _HELD) * _part(now, sitting, ALARM_FROM), _part(now, sitting, MISS_FROM)
    if at_end or now >= sitting.planned:
        alarm = miss = 1.0
    # Whatever the shares add up to, no more than everything is spent.
    return Look(now, min(1.0, before + sitting.share * alarm), min(1.0, before + sitting.share * miss))


def _part(now: int, sitting: Sitting, first: int) -> float:
    begun = max(sitting.begun, first)
    return log(now / begun) / log(sitting.planned / begun) if begun < now < sitting.planned else 0.0
