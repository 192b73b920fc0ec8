"""Change points of recorded streams: found where the level moved for good, and nowhere else."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.verdict.before_after import share_interval
from orchgate.verdict.change_points import ChangePoint, find


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


def test_two_steps_are_two_points() -> None:
    values = [value * (1.05 if 100 <= run < 200 else 1) for run, value in enumerate(noise(300))]

    up, down = find(values)

    assert (abs(up.index - 100) <= 2, abs(down.index - 200) <= 2) == (True, True)
    assert up.after == down.before


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
        pytest.param([5.0] * 150 + [6.0] + [5.0] * 150, id="an outlier among equals"),
        pytest.param([value * (1 + run / 2000) for run, value in enumerate(noise(500))], id="a slow drift"),
        pytest.param(step(200, 300, 0.005), id="a step that does not matter"),
        pytest.param(noise(500, spread=0.3), id="much noise"),
        pytest.param([3.0, 4.0, 3.0, 3.0, 4.0] * 100, id="a small counter"),
    ],
)
def test_there_is_none(values: list[float | None]) -> None:
    assert find(values) == ()


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
