"""At which pairs a comparison is looked at, and how much of its error budgets each look may have spent.

A sitting spends its share evenly over the logarithm of the pairs, towards the number that it was planned to hold; of
what refuses, half is held back for the last look, which has seen most. That one spends all that is left, also where the
clock ended the sitting early. When it ends does not depend on which run of a pair is called head, so neither does what
a look may spend.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

from orchgate.verdict.values import Sitting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOOKS = (8, 12, 16, 22, 32, 46, 66, 94, 128, 180, 256)  # pairs
ALARM_FROM = 8  # pairs: spending begins after them, so that the first look can refuse only if it is the last
MISS_FROM = 4  # pairs: eight that all say "less than what blocks" are enough to pass
HELD = 0.5  # of the alarms of a sitting: what its last look has at least


class Look(NamedTuple):
    """After so many pairs, the fractions of the two budgets that may have been spent, this look included."""

    pairs: int
    alarm: float
    miss: float


NOTHING = Look(0, 0.0, 0.0)


def next_look(pairs: int) -> int | None:
    """The number of pairs after which to look again; None after the last."""
    return next((look for look in LOOKS if look > pairs), None)


def looks(pairs: int, sittings: Sequence[Sitting], *, ended: bool) -> Iterator[Look]:
    """All looks at so many pairs. Every sitting but the last ended where the next began; the last one if so told."""
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
    alarm, miss = (1 - HELD) * _part(now, sitting, ALARM_FROM), _part(now, sitting, MISS_FROM)
    if at_end or now >= sitting.planned:
        alarm = miss = 1.0
    # Whatever the shares add up to, no more than everything is spent.
    return Look(now, min(1.0, before + sitting.share * alarm), min(1.0, before + sitting.share * miss))


def _part(now: int, sitting: Sitting, first: int) -> float:
    begun = max(sitting.begun, first)
    return log(now / begun) / log(sitting.planned / begun) if begun < now < sitting.planned else 0.0
