"""What several comparisons say together: a bet against "not slower than tolerated", pair by pair.

Whoever bets starts with 1 and wins where head was slower, pair by pair. If no head is slower by more than its
tolerance, each pair might as well have come out the other way round, whatever came before, so no way of betting gains
anything on average: what he owns is an e-value, at whatever moment somebody looks, and a product of such for other
pairs is one too. It reaches 40 with a chance of at most 1/40 (Ville's inequality). Of heads that share a base the runs
of base are fresh each time, so nothing is bet on twice.

Method: Shafer, "Testing by betting" (2021); Vovk and Wang, "E-values: calibration, combination and applications"
(2021); Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024).
"""

from __future__ import annotations

import bisect
from math import exp, log, log1p
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.verdict.values import Metric, Pair

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

    It is the difference of the scores of `estimate`, by the ranks among this pair and those before it: had the pair
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
