"""Runs before and after a change: what each metric was, is, and how far it moved."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.verdict.before_after import MetricChange, RecordedRun, _rank_sums, rows

VALUES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=6)


def runs(*seconds: float, **also: float) -> list[RecordedRun]:
    return [RecordedRun(True, {"wall_seconds": value, **also}) for value in seconds]


def wall(before: list[RecordedRun], after: list[RecordedRun]) -> MetricChange:
    return next(row for row in rows(before, after) if row.metric == "wall_seconds")


def test_values_are_medians() -> None:
    assert wall(runs(3.0, 1.0, 2.0), runs(1.0, 1.0))[1:3] == (2.0, 1.0)


def test_the_change_of_single_runs_has_no_interval() -> None:
    row = wall(runs(10.0), runs(5.0))

    assert (row.change, row.low, row.high) == (-0.5, None, None)


@pytest.mark.parametrize(("count", "confidence"), [(3, 0.9), (4, 0.971), (5, 0.968), (10, 0.957)])
def test_the_interval_says_which_confidence_so_few_runs_allow(count: int, confidence: float) -> None:
    row = wall(runs(*range(10, 10 + count)), runs(*range(10, 10 + count)))

    assert round(row.confidence or 0, 3) == confidence


@pytest.mark.parametrize("one", range(1, 7))
@pytest.mark.parametrize("other", range(1, 7))
def test_the_null_distribution_counts_every_order_once(one: int, other: int) -> None:
    assert sum(_rank_sums(one, other)) == comb(one + other, one)


@pytest.mark.slow
@given(VALUES, VALUES)
def test_the_interval_holds_the_change(before: list[float], after: list[float]) -> None:
    row = wall(runs(*before), runs(*after))

    assert row.change is not None
    assert row.low is None or row.low <= row.change <= (row.high or 0)


@pytest.mark.slow
@given(VALUES, VALUES)
def test_another_unit_changes_no_fraction(before: list[float], after: list[float]) -> None:
    one = wall(runs(*before), runs(*after))
    other = wall(runs(*(value * 1024 for value in before)), runs(*(value * 1024 for value in after)))

    assert other.change == pytest.approx(one.change, abs=1e-9)


def test_a_metric_that_one_run_did_not_measure_is_not_known() -> None:
    row = wall([*runs(1.0), RecordedRun(True, {})], runs(1.0))

    assert (row.before, row.change) == (None, None)


def test_times_come_from_runs_that_succeeded() -> None:
    assert wall([*runs(10.0), RecordedRun(False, {"wall_seconds": 1.0})], runs(5.0)).before == 10.0


def test_the_success_rate_counts_all_runs() -> None:
    found = rows([RecordedRun(True, {}), RecordedRun(False, {})], [RecordedRun(True, {})])

    assert [(row.metric, row.before, row.after) for row in found] == [("success_rate", 0.5, 1.0)]


def test_the_test_pass_rate_leaves_out_what_was_skipped() -> None:
    numbers = {"tests_passed": 3, "tests_failed": 1, "tests_skipped": 4}

    row = next(
        row for row in rows([RecordedRun(True, numbers)], [RecordedRun(True, {})]) if row.metric == "test_pass_rate"
    )

    assert (row.before, row.after) == (0.75, None)


def test_a_count_of_zero_has_no_ratio() -> None:
    found = rows(runs(1.0, manifest_writes=0), runs(1.0, manifest_writes=2))

    assert next(row.change for row in found if row.metric == "manifest_writes") is None
