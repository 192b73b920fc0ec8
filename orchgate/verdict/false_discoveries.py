"""Which of many tests to believe, so that of those believed only so many are expected to be wrong, as a fraction.

The step-up procedure of Benjamini and Hochberg assumes that tests depend on each other in no bad way. Benchmarks of one
run share its coin flip and its neighbours, in ways nobody knows, so the thresholds are those that hold under any
dependence (Blanchard and Roquain, "Two simple sufficient conditions for FDR control", 2008): the one of the k smallest
p-values is `level * reshaped(k) / m`, where `reshaped(k)` is the sum of i * weight(i) up to k for weights that add up
to 1. Benjamini and Yekutieli's are the weights in proportion to 1 / i; here they make a part, and the rest lies on
i = 1: a change mostly moves few benchmarks, and for the first it takes fewer pairs.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, log2
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ON_THE_FIRST = 0.8


def believed(p_values: Mapping[str, float], level: float) -> frozenset[str]:
    """The tests to believe at a false discovery rate of `level`."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    many = len(ordered)
    for rank in range(many, 0, -1):
        if p_values[ordered[rank - 1]] <= threshold(rank, many, level):
            return frozenset(ordered[:rank])
    return frozenset()


def threshold(rank: int, many: int, level: float) -> float:
    """What the p-value of that rank must not exceed, of so many tests."""
    reshaped = _ON_THE_FIRST + (1 - _ON_THE_FIRST) * rank / _harmonic(many)
    return level * reshaped / many


@lru_cache(maxsize=8)
def _harmonic(many: int) -> float:
    return sum(1 / rank for rank in range(1, many + 1))


def pairs_needed(many: int, level: float) -> int:
    """Pairs of runs from which on a sign-flip test can be believed, alone among so many."""
    return ceil(-log2(threshold(1, many, level)))
