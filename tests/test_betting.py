"""The e-value of a head: large where it was slower again and again, and never so by chance for long."""

from __future__ import annotations

import itertools
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.verdict.sign_flip import log_e_value
from orchgate.verdict.values import KNOWN, Pair

CPU = KNOWN[0]
TIMES = st.floats(0.01, 10.0)


def pairs(base: list[float], head: list[float]) -> list[Pair]:
    return [Pair({"cpu_seconds": one}, {"cpu_seconds": other}) for one, other in zip(base, head, strict=True)]


@pytest.mark.slow
@given(st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=6))
def test_over_all_ways_the_coins_may_fall_nothing_is_gained(runs: list[tuple[float, float]]) -> None:
    """Of a head that is slower by exactly what is tolerated."""
    factor = 1 + CPU.tolerance
    flips = list(itertools.product((False, True), repeat=len(runs)))
    gained = 0.0
    for flip in flips:
        base = [b if first else a for (a, b), first in zip(runs, flip, strict=True)]
        head = [factor * (a if first else b) for (a, b), first in zip(runs, flip, strict=True)]
        gained += exp(log_e_value(pairs(base, head), CPU))

    assert gained / len(flips) == pytest.approx(1.0)


@pytest.mark.slow
@given(st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=12), st.floats(0.5, 1.0))
def test_a_faster_head_never_says_more(runs: list[tuple[float, float]], factor: float) -> None:
    base, head = [a for a, _ in runs], [b for _, b in runs]
    last = [*head[:-1], head[-1] * factor]

    assert log_e_value(pairs(base, last), CPU) <= log_e_value(pairs(base, head), CPU) + 1e-9


def test_slower_by_three_percent_in_every_pair_says_much() -> None:
    base = [1.0 + 0.01 * (number % 3) for number in range(16)]

    assert log_e_value(pairs(base, [1.03 * one for one in base]), CPU) > log(5)


def test_the_same_again_and_again_says_the_contrary() -> None:
    assert log_e_value(pairs([1.0] * 16, [1.0] * 16), CPU) < 0


@pytest.mark.parametrize(
    "pair",
    [
        Pair({}, {}),
        Pair({"cpu_seconds": 0.0}, {"cpu_seconds": 1.0}),
        Pair({"cpu_seconds": 1.0}, {"wall_seconds": 1.0}),
        Pair({"cpu_seconds": 1.0}, {"cpu_seconds": 2.0}, False, {"cpu_seconds": "a child left its session"}),
    ],
)
def test_what_is_not_known_says_nothing(pair: Pair) -> None:
    assert log_e_value([*pairs([1.0] * 9, [2.0] * 9), pair], CPU) == 0.0


def test_no_pair_says_nothing() -> None:
    assert log_e_value([], CPU) == pytest.approx(0.0)
