"""What a test has to say about one metric, in fractions and in the metric's own unit."""

from __future__ import annotations

from math import expm1
from typing import TYPE_CHECKING

from orchgate.metrics import estimate, samples
from orchgate.metrics.sequential import LOOKS
from orchgate.metrics.values import Compared
from orchgate.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.metrics.sequential import State
    from orchgate.metrics.values import Metric, Pair


def compared(pairs: Sequence[Pair], metric: Metric, state: State | None) -> Compared:
    """The result of a metric, of what is known so far."""
    if state is None:
        return _early(pairs, metric)
    scale, sample = state.test.scale, state.test.scale.sample
    middle = state.test.estimate
    low, high = estimate.interval(sample, middle)
    effect = estimate.smallest_effect(sample, middle, scale.tolerance, state.level)
    edges = sorted((_fraction(scale, low), _fraction(scale, high)))
    return Compared(
        metric.name,
        state.verdict,
        _fraction(scale, middle),
        edges[0],
        edges[1],
        len(sample.base),
        state.p,
        None if effect is None else abs(_fraction(scale, effect)),
        scale.value(estimate.median(sample.base)),
        scale.value(estimate.median(sample.head)),
        "; ".join(filter(None, (_demoted(metric), state.reason or _open(state, edges)))),
    )


def _early(pairs: Sequence[Pair], metric: Metric) -> Compared:
    scale = samples.scale(pairs, metric)
    return Compared(
        metric.name,
        Verdict.INCONCLUSIVE,
        _fraction(scale, estimate.centre(scale.sample)),
        None,
        None,
        len(pairs),
        None,
        None,
        scale.value(estimate.median(scale.sample.base)),
        scale.value(estimate.median(scale.sample.head)),
        "; ".join(filter(None, (_demoted(metric), f"{len(pairs)} pairs of at least {LOOKS[0]}"))),
    )


def _demoted(metric: Metric) -> str:
    return "counts differ between runs of the same tree, so they are compared like times" if metric.kind.exact else ""


def _open(state: State, edges: Sequence[float]) -> str:
    if state.verdict is not Verdict.INCONCLUSIVE:
        return ""
    return f"between {edges[0]:+.1%} and {edges[1]:+.1%} after {len(state.test.scale.sample.base)} pairs"


def _fraction(scale: samples.Scale, change: float) -> float:
    """A change on the test's scale as a fraction of what base typically has."""
    with_offset = expm1(min(scale.sign * change, 700.0))
    if not scale.offset:
        return with_offset
    base = scale.value(estimate.median(scale.sample.base))
    return with_offset * (base + scale.offset) / base if base > 0 else with_offset
