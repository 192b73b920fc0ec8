"""What a test has to say about one metric, in fractions and in the metric's own unit."""

from __future__ import annotations

from math import ceil, expm1, log2
from typing import TYPE_CHECKING

from orchgate.model import Verdict
from orchgate.verdict import estimate, samples
from orchgate.verdict.spending import LOOKS
from orchgate.verdict.values import Compared, Kind
from orchgate.verdict.words import percent, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.verdict.sequential import State
    from orchgate.verdict.values import Metric, Pair

# A change as large as the smallest that can be seen is seen every second time, one larger by this factor four times of
# five: (2.9 + 0.85) / 2.9, the standard errors of the level that refuses and of 80 %.
SURELY = 1.3


def compared(pairs: Sequence[Pair], metric: Metric, state: State | None) -> Compared:
    """The result of a metric, of what is known so far."""
    if metric.kind is Kind.RATE:
        return _rate(pairs, metric, state)
    if state is None:
        return _early(pairs, metric)
    scale, sample = state.test.scale, state.test.scale.sample
    middle = estimate.centre(sample)
    # Each side of all intervals together may leave the truth out as often as half of UNSURE says, so that the one of
    # the look at which it stopped covers it whatever made it stop there.
    edges = sorted(_fraction(scale, edge) for edge in estimate.interval(sample, middle, state.unsure / 2) or ())
    effect = estimate.smallest_effect(sample, middle, scale.tolerance, state.level)
    low, high = edges or (None, None)
    return Compared(
        metric.name,
        state.verdict,
        _fraction(scale, middle),
        low,
        high,
        len(sample.base),
        state.p,
        None if effect is None else abs(_fraction(scale, effect)),
        scale.value(estimate.median(sample.base)),
        scale.value(estimate.median(sample.head)),
        "; ".join(filter(None, (_demoted(metric), state.reason or _open(state, edges)))),
        probably=state.probably,
        pairs_missing=_missing(state, effect, middle),
    )


def _rate(pairs: Sequence[Pair], metric: Metric, state: State | None) -> Compared:
    """Of a rate that differs from run to run what all runs together say: that of one is hardly ever the typical one."""
    base, head = samples.means(pairs, metric.name)
    verdict = Verdict.INCONCLUSIVE if state is None else state.verdict
    count = len(samples.of(pairs, metric.name))
    change = head / base - 1 if base else None
    p = state.test.p_slower if state and verdict is not Verdict.PASS else None
    reason = state.reason if state else _few(count)
    if state and verdict is Verdict.INCONCLUSIVE:
        reason = f"{share(base)} -> {share(head)} after {count} pairs"
    probably = state is not None and state.probably
    return Compared(metric.name, verdict, change, None, None, count, p, None, base, head, reason, probably=probably)


def _missing(state: State, effect: float | None, middle: float) -> int | None:
    """How many pairs more would probably decide: the effect that can be seen shrinks with the root of their number.

    What has to be seen is the change that is probable, or else what blocks.
    """
    if state.verdict is not Verdict.INCONCLUSIVE and not state.probably:
        return None
    count, scale = len(state.test.scale.sample.base), state.test.scale
    if effect is None:  # with so many, no outcome of the coins is rare enough
        return max(1, ceil(-log2(state.level)) - count) if state.level else None
    seen = SURELY * max(effect - scale.tolerance, 0.0)
    wanted = (middle if state.probably else scale.block) - scale.tolerance
    return max(1, ceil(count * (seen / wanted) ** 2) - count) if wanted > 0 else None


def _early(pairs: Sequence[Pair], metric: Metric) -> Compared:
    scale = samples.scale(pairs, metric)
    return Compared(
        metric.name,
        Verdict.INCONCLUSIVE,
        _fraction(scale, estimate.centre(scale.sample)),
        None,
        None,
        len(scale.sample.base),
        None,
        None,
        scale.value(estimate.median(scale.sample.base)),
        scale.value(estimate.median(scale.sample.head)),
        "; ".join(filter(None, (_demoted(metric), _few(len(scale.sample.base))))),
    )


def _few(pairs: int) -> str:
    return f"{pairs} of at least {LOOKS[0]} pairs"


def _demoted(metric: Metric) -> str:
    return "counts differ between runs of the same tree, so they are compared like times" if metric.kind.exact else ""


def _open(state: State, edges: Sequence[float]) -> str:
    if state.verdict is not Verdict.INCONCLUSIVE:
        return ""
    between = f"between {percent(edges[0])} and {percent(edges[1])} " if edges else ""
    return f"{between}after {state.test.pairs} pairs"


def _fraction(scale: samples.Scale, change: float) -> float:
    """A change on the test's scale as a fraction of what base typically has."""
    with_offset = expm1(min(scale.sign * change, 700.0))
    if not scale.offset:
        return with_offset
    base = scale.value(estimate.median(scale.sample.base))
    return with_offset * (base + scale.offset) / base if base > 0 else with_offset
