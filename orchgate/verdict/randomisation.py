"""The sign-flip test: is head slower than base in pairs whose order was decided by coin flips?

If head did exactly `shift` times base's work, each pair would have shown the same two numbers the other way round had
its coin fallen differently. So all 2**n ways the coins could have fallen are equally likely, whatever drifts, and
whatever one run leaves behind for the next (Fisher's randomisation test). The statistic is a sum over pairs, so its
whole distribution is counted exactly: nothing is drawn at random, and the same pairs give the same answer always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = 2048  # resolution of the statistic: the sum of all amounts
MANY = 32  # pairs from which on a quarter of it is as good, and four times as fast


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
