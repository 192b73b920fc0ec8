"""Trends of runs: what counts for one, in which order, and that what is no change of the code is none."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchgate.commands.history import report
from orchgate.commands.shared.screen import ASCII
from orchgate.history.entries import HistoryEntry, read_line
from orchgate.history.query import Runs
from orchgate.history.repositories import RepositoryIdentity
from orchgate.report import history, values
from orchgate.trends import answers, changes, classes, drift, facts, streams
from orchgate.trends.streams import CommitLine
from orchgate.verdict.baseline import Baseline
from tests import trending
from tests.trending import MACHINE, OTHER, START, noise, run_of, runs_of, shuffled, step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchgate.trends.changes import TrendChange
    from orchgate.trends.streams import Stream

OURS = RepositoryIdentity("owner/name", "a" * 16)
LINE = [f"{nth:040x}" for nth in range(1, 201)]
MAIN = CommitLine("main", {commit: nth for nth, commit in enumerate(LINE)})


def entries(runs: Iterable[Mapping[str, Any]]) -> tuple[HistoryEntry, ...]:
    found = [read_line(json.dumps(run, separators=(",", ":")).encode()) for run in runs]
    assert all(isinstance(one, HistoryEntry) for one in found)
    return tuple(one for one in found if isinstance(one, HistoryEntry))


def of_runs(runs: Iterable[Mapping[str, Any]], line: CommitLine | None = MAIN) -> list[Stream]:
    return streams.of_runs([Runs(OURS, entries(runs), {})], {OURS.name: line} if line else {})


def changed_in(runs: Iterable[Mapping[str, Any]], line: CommitLine | None = MAIN) -> Sequence[TrendChange]:
    return changes.of_streams(of_runs(runs, line)).changes


def test_a_step_is_one_change_with_its_metrics_its_stage_and_its_commits() -> None:
    (change,) = changed_in(runs_of(LINE, step(120)))

    assert (change.key.pipeline, change.key.stage, change.key.metric) == ("demo", "", "cpu_seconds")
    assert [moved.name for moved in change.also] == ["wall_seconds"]
    assert [moved.name for moved in change.stages] == ["test"]
    assert change.range.last_before is not None
    assert LINE.index(change.range.last_before) < 120 <= LINE.index(change.range.first_after or "")
    assert change.range.commits is not None
    assert 1 <= change.range.commits <= 5


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_in_which_order_runs_come_does_not_matter(source: Any) -> None:
    runs = runs_of(LINE, step(120))
    mixed = list(runs)
    source.shuffle(mixed)
    cut = source.randrange(len(mixed))
    parts = [Runs(OURS, entries(mixed[:cut]), {}), Runs(OURS, entries(mixed[cut:]), {})]

    assert changed_in(mixed) == changed_in(runs)
    whole = Runs(OURS, tuple(one for part in parts for one in part.entries), {})
    assert changes.of_streams(streams.of_runs([whole], {OURS.name: MAIN})).changes == changed_in(runs)
    assert changed_in(mixed, None) == changed_in(runs, None)


def test_two_classes_of_machines_in_turn_are_no_change() -> None:
    fast = runs_of(LINE, lambda _: 0.3)
    slow = runs_of(LINE, lambda _: 0.6, seed=2, machine=OTHER)

    assert changed_in([*fast[:120], *slow[120:]]) == ()
    assert changed_in([run for both in zip(fast, slow, strict=True) for run in both]) == ()


def odd(**fields: Any) -> list[dict[str, Any]]:
    """Runs of which each from the 120th on took twice as long, and is odd in some way."""
    runs = runs_of(LINE, step(120, by=1.0))
    return [*runs[:120], *({**run, **fields} for run in runs[120:]), *runs_of(LINE[120:], lambda _: 0.3, seed=3)]


def test_a_stage_that_is_slow_for_days_and_fast_again_is_no_change_and_a_revert_is_one() -> None:
    to_and_fro = runs_of(LINE, lambda nth: 0.3 if nth // 50 % 2 else 0.42)
    there_and_back = runs_of(LINE, lambda nth: 0.42 if 70 <= nth < 130 else 0.3)

    assert changed_in(to_and_fro) == ()
    assert [one.by > 0 for one in changed_in(there_and_back)] == [False, True]


@pytest.mark.parametrize("slow", [range(60, 75), range(100, 125), [*range(40, 58), *range(120, 140)]])
def test_what_was_soon_as_before_is_no_change(slow: Sequence[int]) -> None:
    """As where a neighbour needs the machine for some runs."""
    assert changed_in(runs_of(LINE, lambda nth: 0.36 if nth in slow else 0.3, spread=0.003)) == ()


def test_a_change_has_to_last_longer_than_what_was_none() -> None:
    slow = {*range(60, 85), *range(185, 200)}

    assert changed_in(runs_of(LINE, lambda nth: 0.36 if nth in slow else 0.3, spread=0.003)) == ()
    assert len(changed_in(runs_of(LINE, lambda nth: 0.36 if nth in slow or nth > 150 else 0.3, spread=0.003))) == 1


def test_steps_that_do_not_return_are_all_told() -> None:
    assert len(changed_in(runs_of(LINE, lambda nth: (0.3, 0.42, 0.36, 0.5)[nth // 50]))) == 3


def test_runs_that_cannot_be_compared_are_no_change() -> None:
    stages = [{"id": "build", "status": "succeeded", "wall_seconds": 0.9, "cached": True}]

    assert changed_in(odd(status="failed")) == ()
    assert changed_in(odd(resumes=1, away_seconds=5.0)) == ()
    assert changed_in(odd(dirty=True)) == ()
    assert changed_in(odd(flaky=["test"])) == ()
    assert changed_in(odd(commit=None)) == ()
    assert changed_in(odd(machine=None)) == ()
    assert changed_in(odd(stages=stages)) == ()
    assert changed_in(odd(commit="b" * 40)) == ()  # of a branch that is not part of the line
    assert changed_in(odd(complete=False, stages=[])) == ()


def test_the_more_streams_are_looked_at_the_surer_has_a_change_to_be() -> None:
    (change,) = changed_in(runs_of(LINE, step(120)))
    barely = change._replace(confidence=0.995)

    assert changes.sure([barely], 9) == [barely]
    assert changes.sure([barely], 11) == []
    assert changes.sure([barely, change], 19) == [change, barely]  # beside one that is beyond doubt
    assert changes.sure([], 0) == []


def test_a_lower_bound_is_no_value_and_the_other_metrics_count() -> None:
    runs = [{**run, "complete": False, "lower_bounds": {"cpu_seconds": "x"}} for run in runs_of(LINE, step(120))]

    (first, *_) = changed_in(runs)
    assert first.key.metric == "wall_seconds"


def test_a_clock_that_is_wrong_by_days_changes_nothing_where_the_commits_are_known() -> None:
    runs = runs_of(LINE, step(120))
    wrong = [
        run_of(run["commit"], nth, run["user_seconds"] / 0.9, START + timedelta(hours=nth - 200 * (nth % 2)))
        for nth, run in enumerate(runs)
    ]

    (right,), (other,) = changed_in(runs), changed_in(wrong)
    assert right.range == other.range


def test_commits_that_are_not_known_are_in_the_order_of_the_clocks() -> None:
    (change,) = changed_in(runs_of(LINE, step(120)), None)

    assert LINE.index(change.range.last_before or "") < 120 <= LINE.index(change.range.first_after or "")
    assert change.range.commits is None


def test_a_clock_that_is_wrong_by_a_day_makes_a_range_wide_where_the_commits_are_not_known() -> None:
    runs = runs_of(LINE, step(120))
    late = timedelta(days=1)
    wrong = [
        run_of(run["commit"], nth, run["user_seconds"] / 0.9, START + timedelta(hours=nth) - late * (nth % 3 == 0))
        for nth, run in enumerate(runs)
    ]

    for change in changed_in(wrong, None):
        assert LINE.index(change.range.last_before or "") < 120 <= LINE.index(change.range.first_after or "")


def test_a_machine_that_got_slower_is_no_change_of_a_commit() -> None:
    runs = [
        run_of(LINE[nth // 60], nth, 0.3 * factor * (1 + 0.2 * (nth >= 90))) for nth, factor in enumerate(noise(4, 180))
    ]

    (change,) = changed_in(runs)
    assert change.same_commit == LINE[1]
    assert change.range == changes.CommitRange(None, None, None)


def test_a_change_between_runs_of_one_commit_is_one_of_the_machines() -> None:
    runs = [
        run_of(LINE[min(nth, 100)], nth, 0.3 * factor * (1 + 0.2 * (nth >= 102)))
        for nth, factor in enumerate(noise(4, 180))
    ]

    (change,) = changed_in(runs)
    assert change.same_commit == LINE[100]


def test_a_noisy_metric_that_moved_a_few_runs_later_is_the_same_change() -> None:
    runs = runs_of(LINE, step(120))
    for run in runs[120:123]:
        run["wall_seconds"] = 0.33

    (change,) = changed_in(runs)
    assert [moved.name for moved in change.also] == ["wall_seconds"]


def test_a_commit_that_is_run_once_more_later_does_not_hide_which_one_it_was() -> None:
    runs = runs_of(LINE, step(120))
    later = run_of(LINE[5], 900, 0.3)

    (change,) = changed_in([*runs, later], None)
    assert change.same_commit is None
    assert LINE.index(change.range.last_before or "") < 120 <= LINE.index(change.range.first_after or "")


def test_the_runs_around_a_change_are_drawn_with_a_mark_where_it_is() -> None:
    runs = Runs(OURS, entries(runs_of(LINE, step(120))), {})
    found = answers.of_runs([runs], answers.TrendContext(OURS, MAIN, Baseline(), {}, {}))

    (drawn,) = [line for line in report.lines(found, ASCII) if "around it" in line]
    before, after = drawn.split()[0].split(ASCII.zero)
    assert (len(before), len(after), set(before) & set(after)) == (20, 20, set())
    assert [line for line in report.lines(found) if "around it" in line] == []


def test_branches_that_are_merged_are_not_mixed_into_the_line() -> None:
    branch = [f"{nth:040x}" for nth in range(900, 960)]
    slow = [run_of(commit, 300 + nth, 0.6, START + timedelta(hours=2 * nth)) for nth, commit in enumerate(branch)]

    assert changed_in([*runs_of(LINE, lambda _: 0.3), *slow]) == ()
    assert changed_in([*runs_of(LINE, step(120)), *slow]) == changed_in(runs_of(LINE, step(120)))


def test_only_the_newest_runs_of_a_stream_are_looked_at() -> None:
    line = [f"{nth:040x}" for nth in range(1, 1201)]
    places = CommitLine("main", {commit: nth for nth, commit in enumerate(line)})

    found = of_runs(shuffled(runs_of(line, step(300))), places)

    assert {len(stream.values) for stream in found} == {streams.MOST_RUNS}
    assert found[0].runs[-1].commit == line[-1]
    assert changes.of_streams(found).changes == ()


def test_named_benchmarks_have_streams_of_their_own() -> None:
    runs = runs_of(LINE, lambda _: 0.3)
    for nth, (run, factor) in enumerate(zip(runs, noise(9, len(runs)), strict=True)):
        run["benchmarks"] = [{"name": "parse", "value": 0.01 * factor * (1 + 0.3 * (nth >= 120)), "stage": "test"}]

    (change,) = changed_in(runs)
    assert (change.key.benchmark, change.key.stage, change.key.metric) == ("parse", "test", "benchmark_seconds")


def test_what_a_benchmark_of_nanoseconds_took_is_told_in_them() -> None:
    found = facts._values("benchmark_seconds", 12e-9, 15e-9)

    assert (found["unit"], found["before"], found["after"]) == ("ns", pytest.approx(12), pytest.approx(15))


# Against the baseline


def changed(**fields: Any) -> Baseline:
    """A baseline of which some is otherwise."""
    return Baseline().put(trending.accepted(LINE[0]).records["demo", MACHINE]._replace(**fields))


def drifts(runs: Iterable[Mapping[str, Any]], baseline: Baseline, line: CommitLine | None = MAIN) -> list[drift.Drift]:
    found = of_runs(runs, line)
    return list(drift.drifts(found, baseline, changes.of_streams(found).changes, {"cpu_seconds": 0.01}))


def test_small_steps_that_no_push_shows_add_up_to_a_drift() -> None:
    (one,) = drifts(runs_of(LINE, lambda nth: 0.3 * (1 + 0.12 * nth / 200)), trending.accepted(LINE[0]))

    assert 0.07 < one.low < one.change < one.high < 0.15
    assert (one.commits, one.runs, one.steps) == (199, 199, 0)


def test_no_drift_is_told_where_noise_explains_it_or_too_little_is_known() -> None:
    flat = runs_of(LINE, lambda _: 0.3)

    assert drifts(flat, trending.accepted(LINE[0])) == []
    assert drifts(runs_of(LINE, lambda _: 0.33, spread=0.2), trending.accepted(LINE[0])) == []
    slower = runs_of(LINE, lambda _: 0.36)
    assert drifts(slower[:8], trending.accepted(LINE[0])) == []
    assert drifts(slower, changed(lower_bounds={"cpu_seconds": "not whole"})) == []
    assert drifts(slower, changed(fingerprint=OTHER)) == []
    one_sitting = [{**run, "started_at": flat[0]["started_at"], "completed_at": None} for run in slower]
    assert drifts(one_sitting, trending.accepted(LINE[0])) == []


def test_machines_whose_level_differs_from_sitting_to_sitting_do_not_drift() -> None:
    levels = [0.3 * factor for factor in noise(21, 20, 0.05)]
    runs = [
        run_of(commit, nth, levels[nth // 10] * factor, START + timedelta(days=nth // 10, seconds=30 * nth))
        for nth, (commit, factor) in enumerate(zip(LINE, noise(22, 200, 0.002), strict=True))
    ]

    assert drifts(runs, changed(samples={"cpu_seconds": tuple(0.285 * factor for factor in noise(8, 12))})) == []


def test_a_change_that_shows_is_counted_beside_the_drift() -> None:
    (one,) = drifts(runs_of(LINE, step(120)), trending.accepted(LINE[0]))

    assert one.steps == 1
    assert 0.17 < one.change < 0.23


def test_a_change_is_accepted_once_a_baseline_was_recorded_after_it() -> None:
    runs = [Runs(OURS, entries(runs_of(LINE, step(120))), {})]

    def accepted(baseline: Baseline, line: CommitLine | None = MAIN) -> list[bool]:
        found = answers.of_runs(runs, answers.TrendContext(OURS, line, baseline, {"cpu_seconds": 0.01}, {}))
        return [one.is_accepted for one in found.changes]

    assert accepted(Baseline()) == [False]
    assert accepted(trending.accepted(LINE[119])) == [False]
    assert accepted(trending.accepted(LINE[125])) == [True]
    assert accepted(changed(commit="e" * 40)) == [False]  # recorded before them all, by the clock
    assert accepted(changed(recorded_at="2026-03-20T00:00:00Z"), None) == [True]


# Stages and classes


def test_a_stage_that_often_needs_several_attempts_has_a_rate_with_its_interval() -> None:
    runs = runs_of(LINE[:100], lambda _: 0.3)
    for run in runs[::25]:
        run["stages"][1]["flaky"] = True
        run["flaky"] = ["test"]
    runs[1]["stages"][0]["flaky"] = True  # once may happen to anybody

    (stage,) = classes.flaky_stages([Runs(OURS, entries(runs), {})])
    assert (stage.stage, stage.runs, stage.flaky) == ("test", 100, 4)
    assert 0.01 < stage.low < 0.04 < stage.high < 0.11


def test_classes_are_compared_by_runs_of_the_same_commits() -> None:
    fast = runs_of(LINE, step(100))
    slow = runs_of(LINE, lambda nth: 1.9 * step(100)(nth), seed=2, machine=OTHER)

    (ratio,) = classes.compared(of_runs([*fast, *slow[60:140]]))
    assert (ratio.key.machine, ratio.other, ratio.commits) == (OTHER, MACHINE, 80)
    assert 1.85 < ratio.low < ratio.ratio < ratio.high < 1.95
    assert list(classes.compared(of_runs([*fast[:100], *slow[100:]]))) == []  # no commit that both ran
    assert list(classes.compared(of_runs([*fast, *slow[:5]]))) == []


def test_what_is_known_of_one_repository_says_nothing_of_another() -> None:
    other = RepositoryIdentity("owner/other", "b" * 16)
    runs = [Runs(OURS, entries(runs_of(LINE, step(120))), {}), Runs(other, entries(runs_of(LINE, step(60))), {})]
    here = answers.TrendContext(OURS, MAIN, trending.accepted(LINE[0]), {"cpu_seconds": 0.01}, {})

    found = answers.of_runs(runs, here)

    assert [(one.key.repository, one.range.commits is None) for one in found.changes] == [
        ("owner/name", False),
        ("owner/other", True),
    ]
    assert [one.key.repository for one in found.drifts] == ["owner/name"]
    assert [one.key.repository for one in answers.of_runs(runs, here._replace(line=None)).drifts] == ["owner/name"]


@pytest.mark.parametrize("later", [120, 130])
def test_charts_of_tasks_are_marked_where_the_history_changed(later: int) -> None:
    found = answers.of_runs(
        [Runs(OURS, entries(runs_of(LINE, step(120))), {})], answers.TrendContext(OURS, MAIN, Baseline(), {}, {})
    )
    times = [f"{START + timedelta(hours=nth):%Y-%m-%dT%H:%M:%S}.000Z" for nth in (100, 110, later, 140)]
    points = tuple(values.TrendPoint(f"run-{nth}", at, "succeeded", 1.0) for nth, at in enumerate(times))
    trends = tuple(values.MetricTrend("demo", MACHINE, metric, points) for metric in ("cpu_seconds", "read_bytes"))
    others = values.PipelineState("demo", OTHER, 4, 4, 0, trends)
    task = values.TaskState("0001-a", "task-1", pipelines=(others._replace(machine_id=MACHINE), others))

    (marked,) = history.marked([task], values.HistorySection(found, (), 200))

    marks = [[[mark.anchor for mark in trend.marks] for trend in one.trends] for one in marked.pipelines]
    assert marks == [[["run-2"], []], [[], []]]
    assert list(history.marked([task], None)) == [task]
