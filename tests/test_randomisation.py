"""The sign-flip test, its estimate and its interval."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.verdict.sign_flip import (
    STEPS,
    Sample,
    amounts,
    centre,
    interval,
    p_above,
    p_below,
    p_value,
    smallest_effect,
)

whole = st.lists(st.integers(-50, 50), min_size=1, max_size=9)


@pytest.mark.slow
@given(whole)
def test_the_p_value_is_the_share_of_all_sign_combinations_with_as_large_a_sum(values: list[int]) -> None:
    values = [*values, STEPS - sum(map(abs, values))]  # so that all lie on the test's own grid
    sums = [sum(sign * abs(v) for sign, v in zip(signs, values, strict=True)) for signs in sign_combinations(values)]

    assert p_value(values) == sum(one >= sum(values) for one in sums) / len(sums)


def sign_combinations(values: list[int]) -> list[tuple[int, ...]]:
    return list(itertools.product((1, -1), repeat=len(values)))


def test_pairs_that_all_say_slower_are_as_rare_as_one_outcome_of_the_coins() -> None:
    assert p_value([0.3, 2.0, 0.01, 1.0, 5.0]) == 1 / 32


def test_nothing_said_is_no_evidence() -> None:
    assert p_value([0.0] * 8) == 1.0


def test_no_pairs_are_no_evidence() -> None:
    assert p_value([]) == 1.0


@pytest.mark.slow
@given(st.integers(0, 10_000), st.floats(-0.5, 0.5))
def test_weights_do_not_depend_on_which_run_is_called_head(seed: int, shift: float) -> None:
    sample = noisy(seed, 9)
    # The arms of every other pair change places, head being rid of the shift.
    mixed = [
        (base, head) if number % 2 else (head - shift, base + shift)
        for number, (base, head) in enumerate(zip(sample.base, sample.head, strict=True))
    ]
    swapped = Sample(*zip(*mixed, strict=True))

    ours, theirs = ([abs(one) for one in amounts(each, shift)] for each in (sample, swapped))

    assert theirs == pytest.approx(ours, abs=1e-6)


@pytest.mark.slow
@given(st.integers(0, 10_000))
def test_changing_the_arms_mirrors_the_estimate(seed: int) -> None:
    sample = noisy(seed, 12)

    assert centre(Sample(sample.head, sample.base)) == pytest.approx(-centre(sample), abs=1e-5)


@pytest.mark.slow
@given(st.integers(0, 10_000), st.floats(-5, 5))
def test_scaling_both_arms_changes_nothing(seed: int, scale: float) -> None:
    sample = noisy(seed, 12)
    scaled = Sample(tuple(v + scale for v in sample.base), tuple(v + scale for v in sample.head))

    assert centre(scaled) == pytest.approx(centre(sample), abs=1e-5)


def noisy(seed: int, pairs: int, change: float = 0.0, noise: float = 0.05) -> Sample:
    draw = random.Random(seed)
    base = tuple(draw.gauss(0, noise) for _ in range(pairs))
    return Sample(base, tuple(change + draw.gauss(0, noise) for _ in range(pairs)))


def test_the_estimate_finds_the_change() -> None:
    assert centre(noisy(1, 200, change=0.1, noise=0.02)) == pytest.approx(0.1, abs=0.005)


def test_the_estimate_of_equal_runs_is_zero() -> None:
    assert centre(Sample((0.5,) * 8, (0.5,) * 8)) == 0.0


def test_a_single_disturbed_run_hardly_moves_the_estimate() -> None:
    sample = noisy(2, 16)
    disturbed = Sample(sample.base, (*sample.head[:-1], 3.0))

    assert centre(disturbed) == pytest.approx(centre(sample), abs=0.02)


@pytest.mark.slow
def test_the_interval_covers_the_change_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        sample = noisy(seed, 16, change=0.05)
        found = interval(sample, centre(sample), 0.025)
        covered += found is not None and found[0] <= 0.05 <= found[1]

    assert covered >= 184  # 95 % of 200, less three standard deviations


def test_both_sides_of_the_test_agree_about_the_middle() -> None:
    sample = noisy(3, 16)

    assert p_above(sample, centre(sample)) == pytest.approx(p_below(sample, centre(sample)), abs=0.05)


def test_the_smallest_effect_shrinks_with_more_pairs() -> None:
    few, many = (smallest_effect(s, centre(s), 0.01, 0.001) for s in (noisy(4, 16), noisy(4, 64)))

    assert few is not None
    assert many is not None
    assert 0.01 < many < few


def test_too_few_pairs_can_show_no_effect() -> None:
    sample = noisy(5, 8)

    assert smallest_effect(sample, centre(sample), 0.01, 0.001) is None


@pytest.mark.parametrize("noise", ["independent", "drift", "autocorrelated", "bursts"])
def test_the_same_work_is_rarely_called_slower_whatever_the_machine_does(noise: str) -> None:
    draw = random.Random(noise)
    alarms = sum(p_above(same_work(draw, noise), 0.0) <= 0.05 for _ in range(400))

    assert alarms <= 34  # 5 % of 400, and three standard deviations


def same_work(draw: random.Random, noise: str, pairs: int = 16) -> Sample:
    """Two arms of the same work, in an order that coins decided."""
    level, runs = 0.0, []
    for number in range(2 * pairs):
        level = 0.9 * level + draw.gauss(0, 0.05)
        runs.append(
            {
                "independent": draw.gauss(0, 0.05),
                "drift": number * 0.02 + draw.gauss(0, 0.01),
                "autocorrelated": level,
                "bursts": draw.expovariate(2) if draw.random() < 0.3 else draw.gauss(0, 0.01),
            }[noise]
        )
    coins = [draw.random() < 0.5 for _ in range(pairs)]
    base = tuple(runs[2 * n + (not coin)] for n, coin in enumerate(coins))
    head = tuple(runs[2 * n + coin] for n, coin in enumerate(coins))
    assert math.isclose(sum(base) + sum(head), sum(runs), abs_tol=1e-9)
    return Sample(base, head)
