"""What a pipeline costs is what its successes cost; the others are counted, with their time, on a line of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.cli import main
from orchgate.lib import files
from orchgate.metrics.update import VERSION
from orchgate.runner.writer import entry_of
from orchgate.runs.run import from_manifest
from tests.metrics_lines import append, foreign, own, write
from tests.published import closed
from tests.runs import TASK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

WHY = "a child left its session"


@pytest.fixture
def task(repo: Repo) -> Path:
    folder = repo.root / ".runs" / TASK
    folder.mkdir(parents=True)
    return folder


def asked(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The pipelines of the only task, in JSON that keeps its schema."""
    assert main(["metrics", "--output-format", "json"]) == 0
    read = json.loads(capsys.readouterr().out)
    jsonschema.validate(read, closed("metrics"))
    found: list[dict[str, Any]] = read["tasks"][0]["pipelines"]
    return found


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["metrics"]) == 0
    return capsys.readouterr().out


def state(task: Path) -> dict[str, Any]:
    read = json.loads((task.parent.parent / "out" / task.name / "state.json").read_text())
    jsonschema.validate(read, json.loads(files.read_data("schemas", "state.json")))
    found: dict[str, Any] = read["pipelines"][0]
    return found


def ended(status: str, *numbers: int, wall: float = 0.01, **more: Any) -> list[bytes]:
    return [own(number, status=status, wall_seconds=wall, **more) for number in numbers]


GOOD = ended("succeeded", 1, 2, 3, wall=0.4)
BAD = ended("failed", 4, 5, 6, 7, 8, 9)
CANCELLED = ended("cancelled", 10, 11)
VARIANTS = {
    "failures last": [*GOOD, *BAD],
    "failures first": [*BAD, *GOOD],
    "in turn": [GOOD[0], *BAD[:3], GOOD[1], *BAD[3:], GOOD[2]],
    "slow failures": [*GOOD, *ended("failed", 4, 5, 6, 7, 8, 9, wall=30.0)],
    "cancelled ones too": [*CANCELLED, *GOOD, *BAD],
}


@pytest.mark.slow
@pytest.mark.parametrize("lines", VARIANTS.values(), ids=VARIANTS)
def test_failures_move_no_quantile(task: Path, capsys: pytest.CaptureFixture[str], lines: list[bytes]) -> None:
    write(task, *lines)

    wall = asked(capsys)[0]["costs"]["wall_seconds"]

    assert [wall[key] for key in ("count", "sum", "min", "max", "p50", "p90", "p99")] == [3, 1.2, *[0.4] * 5]


@pytest.mark.slow
@pytest.mark.parametrize("lines", VARIANTS.values(), ids=VARIANTS)
def test_failures_move_no_median_of_the_snapshot(
    task: Path, capsys: pytest.CaptureFixture[str], lines: list[bytes]
) -> None:
    write(task, *lines)
    asked(capsys)

    assert (state(task)["median"]["wall_seconds"], state(task)["failed"]["runs"]) == (0.4, 6)


@pytest.mark.slow
def test_failures_that_come_later_are_no_costs_either(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, *GOOD)
    asked(capsys)
    append(task, *BAD)

    told = asked(capsys)[0]

    assert (told["costs"]["wall_seconds"]["count"], told["failed"]["runs"]) == (3, 6)


ENDS = ("failed", "cancelled")


@pytest.mark.slow
def test_failed_and_cancelled_runs_have_their_number_and_their_time(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(task, *VARIANTS["cancelled ones too"])

    told = asked(capsys)[0]

    shown = [[told[how][name] for name in ("run_count", "wall_seconds", "p50_wall_seconds")] for how in ENDS]
    assert shown == [[6, 0.06, 0.01], [2, 0.02, 0.01]]


def test_failed_runs_have_a_line_of_their_own(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, *VARIANTS["cancelled ones too"])

    line = "  demo: 6 failed, 60 ms in all (10 ms each, median); 2 cancelled, 20 ms in all (10 ms each, median)"
    assert line in shown(capsys).splitlines()


@pytest.mark.slow
def test_where_nothing_succeeded_no_cost_is_said(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, *BAD)

    assert "demo: no successful run, so no costs; 6 failed" in shown(capsys)
    assert (asked(capsys)[0]["costs"], state(task)["median"], state(task)["trend"]) == ({}, {}, None)


@pytest.mark.slow
def test_rates_count_all_runs(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, *GOOD, *BAD[:1], own(20, flaky=["test"]))

    assert asked(capsys)[0]["rates"] == {"success_rate": 0.8, "flaky_rate": 0.2, "test_pass_rate": 0.9}


@pytest.mark.slow
def test_a_stage_that_succeeded_counts_although_its_run_failed(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [
        {"id": "build", "status": "succeeded", "wall_seconds": 2.0},
        {"id": "test", "status": "failed", "wall_seconds": 0.5},
    ]
    write(task, *ended("failed", 1, 2, stages=stages))

    build, test = asked(capsys)[0]["stages"]

    assert (build["costs"]["wall_seconds"]["p50"], test["costs"], test["failed"]["wall_seconds"]) == (2.0, {}, 1.0)


@pytest.mark.slow
def test_a_stage_that_may_fail_fails_alone(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [{"id": "lint", "status": "failed", "wall_seconds": 0.5}]
    write(task, *ended("succeeded", 1, wall=0.6, stages=stages))

    told = asked(capsys)[0]

    assert (told["costs"]["wall_seconds"]["p50"], told["stages"][0]["costs"], told["failed"]["runs"]) == (0.6, {}, 0)


@pytest.mark.slow
def test_what_passed_at_the_second_attempt_is_a_success_with_all_it_cost(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = [{"id": "test", "status": "succeeded", "wall_seconds": 0.9, "flaky": True, "attempts": 2}]
    write(task, own(1, wall_seconds=1.0, flaky=["test"], stages=stages))

    told = asked(capsys)[0]

    assert (told["flaky_runs"], told["costs"]["wall_seconds"]["p50"]) == (1, 1.0)
    assert told["stages"][0]["costs"]["wall_seconds"]["p50"] == 0.9


@pytest.mark.slow
def test_a_foreign_failure_is_no_cost(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, foreign(1), foreign(2, status="failed", duration_seconds=15.0), foreign(3, status="cancelled"))

    told = asked(capsys)[0]

    assert (told["costs"]["wall_seconds"]["count"], told["failed"]["wall_seconds"]) == (1, 15.0)
    assert told["cancelled"]["runs"] == 1


@pytest.mark.slow
def test_a_line_without_a_status_is_no_run(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, own(1), own(2).replace(b'"status":"succeeded",', b"", 1), foreign(3, status=None))

    assert [told["runs"] for told in asked(capsys)] == [1]


@pytest.mark.slow
def test_a_run_with_a_stage_from_the_cache_is_of_another_kind(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cached = {"id": "test", "status": "succeeded", "cached": True, "wall_seconds": 0.001, "tests": {"passed": 9}}
    other = {"id": "lint", "status": "succeeded", "wall_seconds": 0.2, "tests": {"passed": 1, "failed": 1}}
    write(task, own(1, wall_seconds=0.4), own(2, wall_seconds=0.3, stages=[cached, other]))

    told = asked(capsys)[0]
    stages = {stage["stage"]: stage for stage in told["stages"]}

    assert (told["costs"]["wall_seconds"]["count"], told["costs"]["manifest_writes"]["count"]) == (1, 1)
    assert {name: stage["costs"]["wall_seconds"]["p50"] for name, stage in stages.items()} == {
        "test": 2.25,
        "lint": 0.2,
    }
    counts = ("run_count", "passed_count", "failed_count", "skipped_count")
    assert [told["tests"][name] for name in counts] == [2, 10, 2, 0]
    assert "demo: 1 with stages from the cache" in shown(capsys)


def test_where_every_success_came_from_the_cache_that_is_said(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, own(1, stages=[{"id": "test", "status": "succeeded", "cached": True}]))

    assert "demo: no successful run without stages from the cache, so no costs" in shown(capsys)


@pytest.mark.slow
@pytest.mark.parametrize(("known", "count"), [({"away_seconds": 7200.0}, 1), ({}, 0)], ids=["new", "old"])
def test_the_wall_time_of_a_resumed_run_counts_where_it_says_how_long_nobody_ran_it(
    task: Path, capsys: pytest.CaptureFixture[str], known: dict[str, float], count: int
) -> None:
    write(task, own(1, resumes=1, **known))

    costs = asked(capsys)[0]["costs"]

    assert (costs.get("wall_seconds", {"count": 0})["count"], costs["cpu_seconds"]["count"]) == (count, 1)


def test_a_checkpoint_of_before_is_made_anew(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, *GOOD, *BAD)
    shown(capsys)
    checkpoint = task / "aggregate.json"
    checkpoint.write_text(checkpoint.read_text().replace(f'"version":{VERSION}', '"version":1'))

    assert "full rebuild: the checkpoint is of version 1" in shown(capsys)


@pytest.mark.slow
def test_the_trend_is_of_the_last_successes(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = ended("succeeded", *range(30, 50), wall=2.0)
    write(task, *ended("succeeded", *range(30), wall=1.0), *slow, *ended("failed", *range(50, 80)))
    asked(capsys)

    trend = state(task)["trend"]

    assert (trend["runs"], round(trend["costs"]["wall_seconds"]["change"], 1)) == (20, 1.0)


# What could not be measured whole


@pytest.mark.slow
def test_a_median_of_lower_bounds_is_one(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bound = {"complete": False, "lower_bounds": {"cpu_seconds": WHY}}
    stage = {"id": "test", "status": "succeeded", "user_seconds": 1.0, "system_seconds": 0.0, **bound}
    write(task, own(1), own(2, **bound, stages=[stage]))

    told = asked(capsys)[0]

    assert {name: cost["lower_bounds"] for name, cost in told["costs"].items() if cost["lower_bounds"]} == {
        "cpu_seconds": 1
    }
    assert told["stages"][0]["costs"]["cpu_seconds"]["lower_bounds"] == 1
    assert (state(task)["lower_bounds"], "≥ 1.25 s" in shown(capsys)) == ({"cpu_seconds": 1}, True)


@pytest.mark.slow
def test_what_is_not_complete_and_says_no_more_is_all_lower_bounds(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(task, own(1, complete=False))

    bounds = {name: cost["lower_bounds"] for name, cost in asked(capsys)[0]["costs"].items()}

    assert set(bounds.values()) == {1}


@pytest.mark.slow
def test_no_trend_is_made_of_lower_bounds(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [own(number, complete=False, lower_bounds={"cpu_seconds": WHY}) for number in range(40)]
    write(task, *lines)
    asked(capsys)

    assert "cpu_seconds" not in state(task)["trend"]["costs"]


USAGE = {"wall_seconds": 1.0, "user_seconds": 0.5, "system_seconds": 0.1}


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({}, {}),
        ({"complete": True, "lower_bounds": {}}, {}),
        (
            {"complete": False, "lower_bounds": {"cpu_seconds": WHY}},
            {"complete": False, "lower_bounds": {"cpu_seconds": WHY}},
        ),
    ],
    ids=["unknown", "complete", "not"],
)
def test_an_entry_says_only_what_is_not_complete(known: dict[str, Any], told: dict[str, Any]) -> None:
    stage = {"id": "a", "status": "succeeded", "usage": USAGE | known, "attempts": [1]}
    manifest: dict[str, Any] = dict.fromkeys(("run_id", "task_id", "pipeline_id", "status", "started_at"))
    made = entry_of(from_manifest(manifest | {"usage": USAGE | known, "commands": [stage]}))

    for line in (made, made["stages"][0]):
        assert {key: line[key] for key in ("complete", "lower_bounds") if key in line} == told
