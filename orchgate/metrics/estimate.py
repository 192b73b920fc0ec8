"""How much slower is head, and how sure is that: the statistic over pairs, its estimate and its interval.

Changes are logarithms of ratios here: 0 is "the same", log(1.05) is "5 % more".
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from orchgate.metrics.randomisation import p_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COVERAGE = 0.95  # of an interval, at the look it was taken at
_CLIP = 2.0  # medians; a pair further off counts as that far
_STEPS = 12  # halvings of an interval: to a 4,000th of where it began


class Sample(NamedTuple):
    """One metric over pairs: logarithms of both arms, turned so that more is worse."""

    base: tuple[float, ...]
    head: tuple[float, ...]

    def shifted(self, change: float) -> Sample:
        return Sample(self.base, tuple([value + change for value in self.head]))


def amounts(sample: Sample, shift: float) -> list[float]:
    """What each pair says about "head is `shift` slower than base": positive where it was slower than that.

    A pair in which a neighbour disturbed either run says little: it weighs less the further its slower run lies above
    the middle of all slower runs. Weights and limits stay what they are when the arms of a pair change places, head
    being rid of `shift` first, or the sign-flip test would not hold.
    """
    heads = [value - shift for value in sample.head]
    slower = list(map(max, sample.base, heads))
    middle = median(slower)
    spread = 1.4826 * median([abs(value - middle) for value in slower])
    differences = [head - base for base, head in zip(sample.base, heads, strict=True)]
    limit = _CLIP * median(list(map(abs, differences))) or inf
    clipped = [min(max(value, -limit), limit) for value in differences]
    if not spread:
        return clipped
    above = [max(run - middle, 0.0) / spread for run in slower]
    return [value / (1.0 + far * far) for value, far in zip(clipped, above, strict=True)]


def centre(sample: Sample) -> float:
    """The change at which what the pairs say balances."""
    differences = [head - base for base, head in zip(sample.base, sample.head, strict=True)]
    lowest, highest = min(differences), max(differences)
    # Where it balances over a whole stretch, its middle: so that changing the arms changes the sign, and nothing else.
    left = _root(lambda shift: sum(amounts(sample, shift)) > 0, lowest, highest, 2 * _STEPS)
    right = _root(lambda shift: sum(amounts(sample, shift)) >= 0, lowest, highest, 2 * _STEPS)
    return (left + right) / 2


def p_above(sample: Sample, change: float) -> float:
    """How likely pairs like these are where head is slower by `change` or less."""
    return p_value(amounts(sample, change))


def p_below(sample: Sample, change: float) -> float:
    """How likely pairs like these are where head is slower by `change` or more."""
    return p_value([-amount for amount in amounts(sample, change)])


def interval(sample: Sample, middle: float) -> tuple[float, float]:
    """All changes that the test does not refute at the 5 % level, both sides together."""
    each = (1.0 - COVERAGE) / 2
    differences = [head - base for base, head in zip(sample.base, sample.head, strict=True)]
    lowest, highest = min(differences), max(differences)
    low = _root(lambda shift: p_above(sample, shift) <= each, lowest, middle, _STEPS)
    high = _root(lambda shift: p_below(sample, shift) > each, middle, highest, _STEPS)
    return low, high


def smallest_effect(sample: Sample, middle: float, tolerance: float, level: float) -> float | None:
    """The smallest change that pairs as scattered as these would have shown; None: so few pairs cannot show any."""
    if 2.0 ** -len(sample.base) > level:
        return None
    differences = [head - base - middle for base, head in zip(sample.base, sample.head, strict=True)]
    widest = max(map(abs, differences)) + 1e-9
    return _root(
        lambda change: p_above(sample.shifted(change - middle), tolerance) > level,
        tolerance,
        tolerance + widest * 1.001,
        _STEPS,
    )


def _root(holds: Callable[[float], bool], low: float, high: float, steps: int) -> float:
    """Where a condition that holds at `low` and not at `high` changes."""
    for _ in range(steps):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
