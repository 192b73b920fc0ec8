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
    observed = sum(step for step in steps if step > 0)
    # Coefficient k of the product of (1 + x**step) counts the combinations with sum k. The polynomial lives in one
    # integer; n bits hold every coefficient, and one more all of them added up, which is the remainder below.
    width = len(steps) + 1
    counts = 1
    for step in steps:
        counts += counts << (abs(step) * width)
    return int((counts >> (observed * width)) % ((1 << width) - 1)) / float(1 << len(steps))
