"""Change points of recorded streams: found where the level moved for good, and nowhere else."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.verdict.before_after import share_interval
from orchgate.verdict.change_points import ChangePoint, find, smallest_visible


def noise(runs: int, spread: float = 0.01, seed: int = 1, level: float = 1.0) -> list[float]:
    draw = random.Random(seed)
    return [level * math.exp(draw.gauss(0, spread)) for _ in range(runs)]


def step(before: int, after: int, change: float, spread: float = 0.01, seed: int = 1) -> list[float]:
    return [
        value * (1 if run < before else 1 + change) for run, value in enumerate(noise(before + after, spread, seed))
    ]


@pytest.mark.parametrize("change", [0.05, -0.05, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_step_is_found_ten_runs_later(change: float, seed: int) -> None:
    (found,) = find(step(200, 10, change, seed=seed))

    assert found.first <= 200 <= found.last
    assert abs(found.index - 200) <= 2
    assert found.confidence >= 0.99
    assert found.change == pytest.approx(change, abs=0.02)


def test_a_step_is_found_in_noise_that_nothing_but_chance_explains() -> None:
    """5 % where single runs scatter by 2 %: within 30 runs that is ten standard errors."""
    found = [find(step(400, 30, 0.05, spread=0.02, seed=seed)) for seed in range(20)]

    assert sum(any(abs(one.index - 400) <= 5 for one in each) for each in found) >= 16


@pytest.mark.parametrize("keep", [0.3, 0.6])
def test_none_is_found_where_each_run_resembles_the_one_before(keep: float) -> None:
    for seed in range(20):
        values, level = [], 0.0
        for value in noise(500, spread=0.02, seed=seed):
            level = keep * level + math.log(value)
            values.append(math.exp(level))

        assert find(values) == ()


def test_two_steps_are_two_points() -> None:
    values = [value * (1.05 if 100 <= run < 200 else 1) for run, value in enumerate(noise(300))]

    up, down = find(values)

    assert (abs(up.index - 100) <= 2, abs(down.index - 200) <= 2) == (True, True)
    assert up.after == pytest.approx(down.before, rel=0.01)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="no runs"),
        pytest.param([1.0], id="one run"),
        pytest.param([1.0, 2.0] * 4, id="a few runs"),
        pytest.param([3.0] * 300, id="all the same"),
        pytest.param([0.0] * 300, id="all zero"),
        pytest.param([None] * 300, id="nothing known"),
        pytest.param([math.nan] * 300, id="no numbers"),
        pytest.param([math.inf] * 300, id="endless"),
        pytest.param([*noise(150), 9.0, *noise(150, seed=2)], id="one outlier"),
        pytest.param([*noise(150), 9.0, 9.0, *noise(150, seed=2)], id="two outliers"),
        pytest.param([*noise(150), 9.0], id="an outlier last"),
        pytest.param([*noise(150), 9.0, 9.0], id="two outliers last"),
        pytest.param([*noise(150), 0.1, 0.1, *noise(150, seed=2)], id="two outliers below"),
        pytest.param([*noise(150), 0.1, 0.1], id="two outliers below last"),
        pytest.param([5.0] * 150 + [6.0] + [5.0] * 150, id="an outlier among equals"),
        pytest.param([value * (1 + run / 2000) for run, value in enumerate(noise(500))], id="a slow drift"),
        pytest.param(step(200, 300, 0.005), id="a step that does not matter"),
        pytest.param(noise(500, spread=0.3), id="much noise"),
        pytest.param([3.0, 4.0, 3.0, 3.0, 4.0] * 100, id="a small counter"),
    ],
)
def test_there_is_none(values: list[float | None]) -> None:
    assert find(values) == ()


def test_a_reversed_stream_has_the_same_points_from_the_other_end() -> None:
    values = step(250, 250, 0.1)

    (one,) = find(values)
    (other,) = find(values[::-1])

    assert abs((len(values) - other.index) - one.index) <= 1
    assert other.change == pytest.approx(1 / (1 + one.change) - 1, abs=0.01)


def test_many_steps_are_found_where_there_is_no_noise() -> None:
    values = [float(100 + 10 * (run // 60)) for run in range(420)]

    assert [one.index for one in find(values)] == [60, 120, 180, 240, 300, 360]


@given(st.lists(st.tuples(st.sampled_from([1.0, 1.1, 1.5, 4.0]), st.integers(5, 60)), max_size=20), st.integers(0, 99))
def test_however_many_steps_there_are_they_are_in_order(steps: list[tuple[float, int]], seed: int) -> None:
    levels = [level for level, runs in steps for _ in range(runs)]
    values = [level * value for level, value in zip(levels, noise(len(levels), seed=seed), strict=True)]

    found = find(values)

    assert all(one.index < other.index for one, other in pairwise(found))
    assert all(0 < one.first <= one.index <= one.last < len(values) for one in found)


def test_an_outlier_hides_no_step() -> None:
    values = step(300, 10, 0.05)
    values[100] = 0.01
    values[200] = 50.0

    assert [abs(one.index - 300) <= 2 for one in find(values)] == [True]


def test_a_step_far_back_in_a_long_stream_is_found() -> None:
    found = find(step(3000, 4000, 0.05))

    assert [abs(one.index - 3000) <= 2 for one in found] == [True]


def test_what_would_be_seen_follows_the_noise() -> None:
    quiet, loud = smallest_visible(noise(400, spread=0.005)), smallest_visible(noise(400, spread=0.05))

    assert quiet is not None
    assert loud is not None
    assert 0.02 <= quiet < 0.04
    assert 0.15 < loud < 0.4
    assert smallest_visible(noise(40)) is None
    assert smallest_visible([]) is None


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.05])
def test_what_would_be_seen_is_seen(spread: float) -> None:
    found = 0
    for seed in range(20):
        before = noise(300, spread, seed)
        visible = smallest_visible(before)
        assert visible is not None
        after = [value * (1 + visible) for value in noise(10, spread, 1000 + seed)]
        found += any(abs(one.index - 300) <= 10 for one in find([*before, *after]))

    assert found >= 17


def test_equal_values_before_and_after_need_no_spread() -> None:
    (found,) = find([100.0] * 100 + [103.0] * 10)

    assert (found.index, found.before, found.after) == (100, 100.0, 103.0)


def test_runs_without_a_value_are_passed_over() -> None:
    known = step(100, 20, 0.1)
    values: list[float | None] = []
    for value in known:
        values += [None, value, math.nan]

    (plain,) = find(known)
    (found,) = find(values)

    assert found == ChangePoint(plain.index * 3 + 1, plain.first * 3 + 1, plain.last * 3 + 1, *plain[3:])


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-3, 3).map(float)), max_size=120))
def test_whatever_the_values_it_answers(values: list[float | None]) -> None:
    found = find(values)

    assert list(found) == sorted(found)
    for one in found:
        assert 0 < one.first <= one.index <= one.last < len(values)
        assert 0 <= one.confidence <= 1


@pytest.mark.parametrize(
    "values",
    [
        [1e308, -1e308, 5e-324, 0.0, -5e-324] * 40,
        [5e-324] * 100 + [1e308] * 100,
        [5e-324, 1e308] * 100,
        [-5e-324] * 100 + [1e308] * 100,
        [10.0**run for run in range(-300, 300)],
    ],
)
def test_the_largest_and_smallest_numbers_are_numbers(values: list[float]) -> None:
    assert all(0 < one.first <= one.index <= one.last < len(values) for one in find(values))
    smallest_visible(values)


@given(st.integers(0, 2**32), st.sampled_from([1e-9, 0.01, 3.0, 1e12]))
def test_the_unit_does_not_matter(seed: int, unit: float) -> None:
    values = step(60, 30, 0.2, seed=seed)

    assert [one.index for one in find([value * unit for value in values])] == [one.index for one in find(values)]


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.278), (10, 10, 0.722, 1), (5, 10, 0.237, 0.763), (1, 100, 0.0018, 0.0545)],
)
def test_a_share_has_an_interval(hits: int, total: int, low: float, high: float) -> None:
    assert share_interval(hits, total) == pytest.approx((low, high), abs=0.001)
