"""The sign-flip test: is head slower than base, how sure is that, and by how much? And the e-value of several heads.

If head did exactly `shift` times base's work, each pair would have shown the same two numbers the other way round had
its coin fallen differently. So all 2**n ways the coins could have fallen are equally likely, whatever drifts, and
whatever one run leaves behind for the next (Fisher's randomisation test). The statistic is a sum over pairs, so its
whole distribution is counted exactly: nothing is drawn at random, and the same pairs always give the same answer.

Changes are logarithms of ratios here: 0 is "the same", log(1.05) is "5 % more". All is one test turned round: the
estimate is the change at which it balances, the interval holds the changes that it does not refute.
"""

from __future__ import annotations

import bisect
from functools import cache
from itertools import pairwise
from math import exp, log, log1p

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchgate.verdict.values import Metric, Pair

_SAME = 1e-9  # values this near to each other tie: head is rid of a change by subtraction, which rounds
_FINE = 20  # halvings of an estimate
_STEPS = 12  # of an interval: to a 4,000th of where it began
STEPS = 2048  # resolution of the statistic: the sum of all amounts
MANY = 32  # pairs from which on a quarter of it is as good, and four times as fast


class Sample(NamedTuple):
    """One metric over pairs: logarithms of both arms, turned so that more is worse.

    `groups` are the machines on which the pairs ran, by number; () where all ran on one.
    """

    base: tuple[float, ...]
    head: tuple[float, ...]
    groups: tuple[int, ...] = ()

    def shifted(self, change: float) -> Sample:
        return Sample(self.base, tuple([value + change for value in self.head]), self.groups)

    @property
    def differences(self) -> list[float]:
        return [head - base for base, head in zip(self.base, self.head, strict=True)]


def amounts(sample: Sample, shift: float) -> list[float]:
    """What each pair says about "head is `shift` slower than base": positive where it was slower than that.

    Head is rid of the shift, all runs are ranked together, and each scores -ln(rank / (runs + 1)), so that the fastest
    tell most (Savage 1956, turned round): what a machine can do shows in them, and its neighbours in the slow ones. A
    pair says base's score less head's. Which runs there were does not depend on which of a pair is called head, so
    neither do the scores, or the sign-flip test would not hold.
    Of several machines each has its own level: runs are ranked by how far they are from the middle of all runs of their
    machine, which does not depend on that either (aligned ranks, Hodges and Lehmann 1962).
    """
    count = len(sample.base)
    pooled = [*sample.base, *[value - shift for value in sample.head]]
    if sample.groups:
        pooled = _aligned(pooled, (*sample.groups, *sample.groups))
    scores, given = _scores(2 * count), [0.0] * (2 * count)
    order = sorted(range(2 * count), key=pooled.__getitem__)
    ordered = [pooled[run] for run in order]
    ends = [place for place, (a, b) in enumerate(pairwise(ordered), 1) if b - a > _SAME]
    for start, end in pairwise((0, *ends, 2 * count)):
        score = scores[start + end - 1]  # of the middle of ranks start + 1 to end
        for run in order[start:end]:
            given[run] = score
    return [base - head for base, head in zip(given[:count], given[count:], strict=True)]


def _aligned(values: Sequence[float], groups: Sequence[int]) -> list[float]:
    """The values less the middle one of their group."""
    of_group: dict[int, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        of_group.setdefault(group, []).append(value)
    middles = {group: median(found) for group, found in of_group.items()}
    return [value - middles[group] for value, group in zip(values, groups, strict=True)]


@cache
def _scores(runs: int) -> list[float]:
    """The scores of the ranks 1, 1.5, 2, 2.5 ... of so many runs."""
    return [log((runs + 1) / (1 + half / 2)) for half in range(2 * runs - 1)]


def centre(sample: Sample) -> float:
    """The change at which what the pairs say balances."""
    differences = sample.differences
    lowest, highest = min(differences), max(differences)
    # Where it balances over a whole stretch, its middle: so that changing the arms changes the sign, and nothing else.
    left = _root(lambda shift: leaning(sample, shift) > 0, lowest, highest, _FINE)
    if leaning(sample, left + (highest - lowest) / (1 << _FINE)) < 0:
        return left
    return (left + _root(lambda shift: leaning(sample, shift) >= 0, left, highest, _FINE)) / 2


def leaning(sample: Sample, change: float) -> float:
    """Positive where head looks slower than by `change`, negative where it looks faster than that."""
    total = sum(amounts(sample, change))
    return total if abs(total) > _SAME else 0.0


def p_above(sample: Sample, change: float) -> float:
    """How likely pairs like these are where head is slower by `change` or less."""
    return p_value(amounts(sample, change))


def p_below(sample: Sample, change: float) -> float:
    """How likely pairs like these are where head is slower by `change` or more."""
    return p_value([-amount for amount in amounts(sample, change)])


def interval(sample: Sample, middle: float, each: float) -> tuple[float, float] | None:
    """All changes that the test does not refute, at the level `each` on either side; None: so few refute nothing."""
    if 2.0 ** -len(sample.base) > each:
        return None
    differences = sample.differences
    low = _root(lambda shift: p_above(sample, shift) <= each, min(differences) - _SAME, middle, _STEPS)
    high = _root(lambda shift: p_below(sample, shift) > each, middle, max(differences) + _SAME, _STEPS)
    return low, high


def smallest_effect(sample: Sample, middle: float, tolerance: float, level: float) -> float | None:
    """The smallest change that pairs as scattered as these would have shown; None: so few pairs cannot show any."""
    if 2.0 ** -len(sample.base) > level:
        return None
    widest = max(abs(difference - middle) for difference in sample.differences) + 1e-9
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


def p_value(amounts: Sequence[float]) -> float:
    """The share of all sign combinations whose sum is at least that of `amounts`, which are finite.

    Small where the amounts are mostly positive; 1.0 where none is. Never below 2**-n.
    """
    total = sum(map(abs, amounts))
    if not total:
        return 1.0
    # On a grid the test is one of a slightly different statistic, and as exact.
    scale = (STEPS if len(amounts) <= MANY else STEPS // 4) / total
    steps = [round(amount * scale) for amount in amounts]
    whole, against = sum(map(abs, steps)), -sum(step for step in steps if step < 0)
    # As much for as was seen is no more against than was seen. The rest is counted where that is the smaller part.
    rest = whole - against - 1
    rare = _counted(steps, min(against, rest))
    return (rare if against <= rest else (1 << len(steps)) - rare) / float(1 << len(steps))


def _counted(steps: Sequence[int], most: int) -> int:
    """How many of all sign combinations have no more than `most` against them."""
    # Coefficient k of the product of (1 + x**step) counts the combinations with sum k. The polynomial lives in one
    # integer; n bits hold every coefficient, and one more all of them added up, which is the remainder below. It stays
    # short for long where small steps come first; what lies beyond `most` is of no use.
    width = len(steps) + 1
    length = (most + 1) * width
    needed = (1 << length) - 1
    counts = 1
    for step in sorted(map(abs, steps)):
        counts += counts << (step * width)
        if counts.bit_length() > length:
            counts &= needed
    return counts % ((1 << width) - 1)


# Betting: what several comparisons say together, a bet against "not slower than tolerated", pair by pair
#
# Whoever bets starts with 1 and wins where head was slower, pair by pair. If no head is slower by more than its
# tolerance, each pair might as well have come out the other way round, whatever came before, so no way of betting gains
# anything on average: what he owns is an e-value, at whatever moment somebody looks, and a product of such for other
# pairs is one too. It reaches 40 with a chance of at most 1/40 (Ville's inequality). Of heads that share a base the
# runs of base are fresh each time, so nothing is bet on twice.
#
# Method: Shafer, "Testing by betting" (2021); Vovk and Wang, "E-values: calibration, combination and applications"
# (2021); Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024).


WARNS = 40.0  # the e-value of several heads from which on it is said: one in 40 would reach it by chance
_STAKES = tuple(step / 16 for step in range(1, 16))  # fractions of what one owns; the mean of all these ways counts
_DIGITS = 9
_MOST = 2.0  # how far apart the scores of a pair count


def log_e_value(pairs: Sequence[Pair], metric: Metric) -> float:
    """The logarithm of the e-value; 0.0 where a metric was not measured, or base's is only a lower bound."""
    if not metric.more_is_worse or not all(_is_known(pair, metric.name) for pair in pairs):
        return 0.0
    owned = [0.0] * len(_STAKES)  # logarithms
    for win in _wins(pairs, metric):
        owned = [one + log1p(stake * win) for one, stake in zip(owned, _STAKES, strict=True)]
    most = max(owned)
    return most + log(sum(exp(one - most) for one in owned) / len(owned))


def _is_known(pair: Pair, name: str) -> bool:
    return pair.base.get(name, 0.0) > 0 and pair.head.get(name, 0.0) > 0 and name not in pair.base_bounds


def _wins(pairs: Sequence[Pair], metric: Metric) -> Iterator[float]:
    """For each pair from -1 to 1 how much it speaks for slower.

    It is the difference of the scores of `amounts`, by the ranks among this pair and those before it: had the pair
    come out the other way round, the same number would have the other sign.
    """
    seen: list[float] = []
    for pair in pairs:
        base, head = log(pair.base[metric.name]), log(pair.head[metric.name]) - log1p(metric.tolerance)
        # What is equal but for the last bits is equal: no pair may be won by rounding.
        base, head = round(base, _DIGITS), round(head, _DIGITS)
        for value in (base, head):
            bisect.insort(seen, value)
        yield max(-1.0, min(1.0, (_score(seen, base) - _score(seen, head)) / _MOST))


def _score(ordered: Sequence[float], value: float) -> float:
    """Much for a fast run: a slow one may have been disturbed. Ties share their middle rank."""
    rank = (bisect.bisect_left(ordered, value) + bisect.bisect_right(ordered, value) + 1) / 2
    return -log(rank / (len(ordered) + 1))
