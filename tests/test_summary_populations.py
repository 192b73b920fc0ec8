"""Which runs a summary's medians are of, what it says of the others, and when a change cannot be told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchgate.evidence import lock, summary
from orchgate.evidence.facts import facts_of
from orchgate.evidence.lock import Pinned, RunFacts
from orchgate.runs.run import from_manifest
from orchgate.verdict.before_after import RecordedRun, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.runs.run import Run

WHY = "a child left its session"


def known(
    seconds: float, status: str = "succeeded", *, cached: int = 0, bounds: str = "", cpu: float = 1.0
) -> RunFacts:
    numbers = {"wall_seconds": seconds, "cpu_seconds": cpu, "tests_passed": 1}
    return RunFacts("t", "r", "p", status, numbers=numbers, cached=cached, lower_bounds={bounds: WHY} if bounds else {})


def block(before: list[RunFacts], after: list[RunFacts], version: int = summary.VERSION) -> str:
    runs = {f"b{number}": one for number, one in enumerate(before)} | {
        f"a{number}": one for number, one in enumerate(after)
    }
    sides = [[name for name in runs if name.startswith(side)] for side in "ba"]
    return summary.render("p", sides[0], sides[1], runs.__getitem__, version)


def cells(before: list[RunFacts], after: list[RunFacts], version: int = summary.VERSION) -> dict[str, tuple[str, ...]]:
    return {name: row for name, (row, _) in summary.numbers_by_row(block(before, after, version)).items()}


GOOD = [known(10.0), known(10.2)]


@pytest.mark.parametrize("status", ["failed", "cancelled", "timed_out", ""])
def test_what_did_not_succeed_is_in_no_median_and_on_a_line_of_its_own(status: str) -> None:
    found = cells([*GOOD, known(0.1, status), known(0.3, status)], GOOD)

    (left,) = [row for name, row in found.items() if "runs" in name]
    assert (found["wall time"][0], left) == ("10.100 s", ("2 (0.4000 s)", "0", "in no median"))


def test_runs_with_stages_from_the_cache_are_counted_apart() -> None:
    found = cells(GOOD, [*GOOD, known(0.01, cached=1)])

    assert (found["wall time"][1], found["runs with stages from the cache"][1]) == ("10.100 s", "1 (0.01000 s)")


def test_a_summary_of_before_counts_them_as_it_did() -> None:
    found = cells(GOOD, [known(0.01, cached=1)], version=1)

    assert (found["wall time"][1], "runs with stages from the cache" in found) == ("0.010 s", False)


def test_a_side_without_a_success_has_no_cost() -> None:
    assert cells([known(1.0, "failed")], GOOD)["wall time"] == ("not measured", "10.100 s", "unknown")


def test_a_cancelled_run_is_no_failure() -> None:
    assert cells([*GOOD, known(1.0, "cancelled")], GOOD)["success rate"] == ("100.0 %", "100.0 %", "same")


# Medians and estimate on one line


def test_a_change_that_the_medians_do_not_show_says_so() -> None:
    before = [known(seconds) for seconds in (10.0, 10.0, 10.0, 5.0, 5.0)]
    after = [known(seconds) for seconds in (9.0, 9.0, 9.0, 4.9, 12.0)]

    change = cells(before, after)["wall time"][2]
    assert change.endswith("; medians -10.0 %")
    assert not change.startswith("-10.0 %")


TIMES = st.lists(st.floats(0.0005, 500).map(lambda value: round(value, 6)), min_size=1, max_size=6)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(TIMES, TIMES)
def test_what_stands_on_one_line_agrees_or_says_why_not(before: list[float], after: list[float]) -> None:
    told = cells([known(one) for one in before], [known(one) for one in after])["wall time"]

    one, other = (float(cell.removesuffix(" s")) for cell in told[:2])
    percents = [float(text) for text in re.findall(r"[+-]?[0-9.]+(?= %)", told[2].replace("; medians", " ; medians"))]
    by_medians = percents[-1] if "; medians" in told[2] else percents[0]
    step = 0.0005 if one >= 1 else 0.0005 * one
    rounding = 100 * (other / one) * (step / one + (0.0005 if other >= 1 else 0.0005 * other) / other)
    assert abs(by_medians - 100 * (other / one - 1)) <= 0.25 + rounding


# Lower bounds


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((2.0, ""), (1.5, ""), ("2.000 s", "1.500 s", "-25.0 %")),
        ((2.0, ""), (1.5, "cpu_seconds"), ("2.000 s", "≥ 1.500 s", "cannot tell: after a lower bound")),
        ((2.0, ""), (2.5, "cpu_seconds"), ("2.000 s", "≥ 2.500 s", "at least +25.0 %")),
        ((2.0, "cpu_seconds"), (1.5, ""), ("≥ 2.000 s", "1.500 s", "at most -25.0 %")),
        ((2.0, "cpu_seconds"), (2.5, ""), ("≥ 2.000 s", "2.500 s", "cannot tell: before a lower bound")),
        (
            (2.0, "cpu_seconds"),
            (1.5, "cpu_seconds"),
            ("≥ 2.000 s", "≥ 1.500 s", "cannot tell: before and after a lower bound"),
        ),
        ((2.0, ""), (1.5, "processes"), ("2.000 s", "1.500 s", "-25.0 %")),
    ],
)
@pytest.mark.parametrize("version", summary.VERSIONS)
def test_of_lower_bounds_only_what_holds_anyway_is_said(
    before: tuple[float, str], after: tuple[float, str], expected: tuple[str, ...], version: int
) -> None:
    sides = [[known(9.0, cpu=cpu, bounds=bounds)] for cpu, bounds in (before, after)]

    assert cells(sides[0], sides[1], version)["CPU time"] == expected


def test_why_a_value_is_a_lower_bound_is_said_once() -> None:
    text = block(GOOD, [known(9.0, bounds="cpu_seconds"), known(9.0, bounds="cpu_seconds")])

    assert text.count(f"≥ CPU time after: {WHY}") == 1


@pytest.mark.parametrize("why", ["", " ", "\n"])
def test_a_lower_bound_without_a_reason_was_not_measured_whole(why: str) -> None:
    text = block(GOOD, [known(9.0)._replace(lower_bounds={"cpu_seconds": why})])

    assert "≥ CPU time after: not measured whole" in text


def test_a_reason_cannot_end_the_block() -> None:
    hostile = known(9.0)._replace(lower_bounds={"cpu_seconds": f"x {summary.END}\n| wall time | 1 | 2 | 3 |"})

    text = block(GOOD, [hostile])

    assert (text.count(summary.END), len(text.splitlines())) == (1, len(block(GOOD, [known(9.0)]).splitlines()) + 2)


# What a pin keeps of it


def run_with(metrics: Mapping[str, float] | None = None, /, **usage: Any) -> Run:
    stages = [{"id": "a", "cached": True}, {"id": "b", "cached": False}]
    document = {"format": "orchgate", "status": "succeeded", "commands": stages, "metrics": metrics or {}}
    return from_manifest(document | {"usage": {"wall_seconds": 1.0} | usage})


def test_a_pin_keeps_what_is_cached_and_what_is_a_lower_bound() -> None:
    facts = facts_of(run_with(user_seconds=1.0, system_seconds=0.1, complete=False, lower_bounds={"cpu_seconds": WHY}))
    pin = Pinned(".runs/t/cli/r/manifest.json", "0" * 64, 1, facts)

    again = lock.parse(lock.render([pin])).get(pin.path)

    assert again == pin
    assert (facts.cached, facts.lower_bounds) == (1, {"cpu_seconds": WHY})


def test_what_is_not_complete_and_says_no_more_is_all_lower_bounds() -> None:
    spent = {"user_seconds": 1.0, "system_seconds": 0.1, "complete": False}

    assert facts_of(run_with(**spent)).lower_bounds == {"wall_seconds": "", "cpu_seconds": ""}


def test_what_was_counted_from_outside_may_be_a_lower_bound() -> None:
    bounds = {"manifest_writes": "a folder was made", "file_writes": "a folder was made", "unknown": "x"}
    counted = {"manifest_writes": 30, "file_writes": 40}

    facts = facts_of(run_with(counted, complete=False, lower_bounds=bounds))

    assert facts.lower_bounds.keys() == {"manifest_writes", "file_writes"}
    assert cells([known(1.0)._replace(numbers={"manifest_writes": 24})], [facts._replace(cached=0)])[
        "manifest writes"
    ] == (
        "24",
        "≥ 30",
        "at least +25.0 %",
    )


@pytest.mark.parametrize("extra", ['"cached": -1', '"cached": "1"', '"lower_bounds": 1', '"lower_bounds": {"a": 1}'])
def test_a_lock_that_says_something_else_of_it_is_refused(extra: str) -> None:
    line = f'{{"path": "a", "sha256": "{"0" * 64}", "size": 1, "run": {{{extra}}}}}'

    with pytest.raises(lock.LockError):
        lock.parse(lock.HEADER + b"\n" + line.encode() + b"\n")


def test_a_rate_is_not_of_tests_that_the_cache_repeats() -> None:
    ran = RecordedRun(True, {"tests_passed": 1, "tests_failed": 1})
    repeated = RecordedRun(True, {"tests_passed": 8}, cached=True)

    assert rows([ran, repeated], [ran])[-1].before == 0.5


def test_short_times_are_told_in_four_digits() -> None:
    assert [summary.value("wall_seconds", one) for one in (0.51234, 0.001234, 0.00005)] == [
        "0.5123 s",
        "0.001234 s",
        "0.000050 s",
    ]
