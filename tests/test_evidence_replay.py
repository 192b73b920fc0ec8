"""What a run and its replay say differently, and what that means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.config.load import build
from orchgate.config.loosening import loosened
from orchgate.config.source import Source
from orchgate.errors import ConfigError
from orchgate.replay import chosen
from orchgate.replay.comparison import (
    ReplayVerdict,
    combined,
    differences,
    gross,
    is_time,
    machine_differences,
    verdict,
)
from orchgate.runs.run import Attempt, Machine, Replayed, Run, StageRun
from orchgate.runs.run import TestCounts as Counts

if TYPE_CHECKING:
    from orchgate.config.settings import Config

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONFIRMED, CONTRADICTED, UNREPEATABLE = (
    ReplayVerdict.CONFIRMED,
    ReplayVerdict.CONTRADICTED,
    ReplayVerdict.UNREPEATABLE,
)


def stage(status: str = "succeeded", name: str = "test", **more: Any) -> StageRun:
    return StageRun(number=1, id=name, title=name, kind="command", status=status, **more)


def run(*stages: StageRun, **more: Any) -> Run:
    failed = any(one.status not in ("succeeded", "skipped") and not one.allow_failure for one in stages)
    known = {"path": "/r/manifest.json", "format": "orchgate", "task_id": "t", "run_id": "r", "pipeline_id": "p"}
    status = {"status": "failed" if failed else "succeeded"}
    return Run(**{**known, **status, "started_at": NOW, "stages": stages, **more})


def tally(passed: int, failed: int = 0, skipped: int = 0) -> Counts:
    return Counts(passed=passed, failed=failed, skipped=skipped)


def judged(old: Run, *new: Run, same: bool = True) -> tuple[ReplayVerdict, list[str]]:
    found = combined([differences(old, one) for one in new], same)
    return verdict(found), [f"{one.stage} {one.what}: {one.recorded} -> {one.now}: {one.why}" for one in found]


def ended(**how: Any) -> tuple[Attempt, ...]:
    return (Attempt(number=1, status="failed", **how),)


FAILED = stage("failed", exit_code=1, attempts=ended(exit_code=1), status_detail="exit 1", summary="1 failed")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (stage(), stage(), CONFIRMED),
        (stage(), FAILED, CONTRADICTED),
        (FAILED, stage(), CONTRADICTED),
        (FAILED, FAILED, CONFIRMED),
        (FAILED, stage("failed", exit_code=2, attempts=ended(exit_code=2)), CONFIRMED),
        (stage(tests=tally(30)), stage(tests=tally(3)), CONTRADICTED),
        (stage(tests=tally(3)), stage(tests=tally(30)), CONTRADICTED),
        (stage(tests=tally(30)), stage(tests=tally(29, 1)), CONTRADICTED),
        (stage(tests=tally(30)), stage(), CONTRADICTED),
        (stage(), stage(tests=tally(30)), CONFIRMED),
        (stage(tests=tally(30)), stage(tests=tally(28, skipped=2)), UNREPEATABLE),
        (stage(tests=tally(28, skipped=2)), stage(tests=tally(30)), CONFIRMED),
        (stage(cached=True), stage(), CONFIRMED),
        (stage(), stage("failed", allow_failure=True, exit_code=1, attempts=ended(exit_code=1)), CONTRADICTED),
        # What a stage could not even try says nothing about what was recorded.
        (stage(), stage("failed", exit_code=127, attempts=ended(exit_code=127)), UNREPEATABLE),
        (stage(), stage("failed", exit_code=126, attempts=ended(exit_code=126)), UNREPEATABLE),
        (FAILED, stage("failed", exit_code=127, attempts=ended(exit_code=127)), UNREPEATABLE),
        (stage(), stage("failed", attempts=ended()), UNREPEATABLE),
        (stage(), stage("failed", exit_code=-15, attempts=ended(exit_code=-15, timed_out=True)), UNREPEATABLE),
        (stage(), stage("failed", exit_code=-9, attempts=ended(exit_code=-9, signal="SIGKILL")), UNREPEATABLE),
        (stage(), stage("failed", exit_code=-11, attempts=ended(exit_code=-11, signal="SIGSEGV")), CONTRADICTED),
        (stage(), stage("skipped"), UNREPEATABLE),
        (
            stage(),
            stage("failed", exit_code=6, attempts=ended(exit_code=6), summary="curl: (6) Could not resolve host: x"),
            UNREPEATABLE,
        ),
        # Tests are not compared where the stage could not run.
        (stage(tests=tally(3)), stage("failed", exit_code=127, attempts=ended(exit_code=127)), UNREPEATABLE),
    ],
)
def test_a_stage_is_judged_by_how_it_ended(old: StageRun, new: StageRun, expected: ReplayVerdict) -> None:
    assert judged(run(old), run(new))[0] is expected


def test_stages_that_are_not_there_and_stages_that_were_left_out_contradict() -> None:
    assert judged(run(stage(), stage(name="lint")), run(stage()))[0] is CONTRADICTED
    assert judged(run(stage()), run(stage(), stage(name="lint")))[0] is CONTRADICTED


def test_a_status_that_no_stage_explains_contradicts() -> None:
    assert judged(run(stage()), run(stage(), status="failed"))[0] is CONTRADICTED
    stopped = run(stage(), status="cancelled", status_detail="timeout")
    assert judged(run(stage()), stopped)[0] is UNREPEATABLE


def test_one_stage_that_contradicts_outweighs_one_that_could_not_run() -> None:
    not_found = stage("failed", "lint", exit_code=127, attempts=ended(exit_code=127))

    found, _ = judged(run(stage(), stage(name="lint")), run(FAILED, not_found))

    assert found is CONTRADICTED


def test_what_only_one_of_two_replays_shows_is_flaky() -> None:
    found, said = judged(run(stage()), run(FAILED), run(stage()))

    assert (found, "in 1 of 2 replays only: it is flaky" in said[0]) == (UNREPEATABLE, True)
    assert judged(run(stage()), run(FAILED), run(FAILED))[0] is CONTRADICTED


def with_metric(value: float, name: str = "files") -> Run:
    return run(stage(metrics={name: value}))


@pytest.mark.parametrize(
    ("old", "new", "same", "expected"),
    [
        (3, (3,), True, CONFIRMED),
        (3, (5, 5), True, CONTRADICTED),
        (95.5, (83.25, 83.25), True, CONTRADICTED),
        (3, (5, 5), False, UNREPEATABLE),  # another machine may well write more files
        (3, (5,), True, UNREPEATABLE),  # one replay does not tell whether it varies
        (3, (5, 4), True, CONFIRMED),  # it varies, as times do
        (3, (5, 3), True, CONFIRMED),
        (300, (5, 4), True, UNREPEATABLE),  # it varies, but nowhere near
    ],
)
def test_counters_are_compared_exactly_where_they_are_stable(
    old: float, new: tuple[float, ...], same: bool, expected: ReplayVerdict
) -> None:
    assert judged(with_metric(old), *map(with_metric, new), same=same)[0] is expected


def test_times_decide_nothing() -> None:
    assert judged(with_metric(0.1, "suite_seconds"), with_metric(99.5, "suite_seconds"))[0] is CONFIRMED
    assert gross(2.0, [1.0, 30.0]) == ""
    assert gross(2.0, [25.0, 30.0]) == "took 12 times as long as recorded"
    assert gross(0.01, [0.5]) == ""  # what takes no second is noise
    assert gross(None, [30.0]) == ""
    assert "15 times" in gross(30.0, [2.0])


def test_tests_that_failed_here_and_not_there_are_named() -> None:
    old = run(stage(tests=tally(28, 2), failed_tests=("a", "b")))
    new = run(stage(tests=tally(25, 5), failed_tests=("b", "c", "d", "e", "f")))

    assert judged(old, new, new) == (
        CONTRADICTED,
        ["test tests: 28 passed, 2 failed -> 25 passed, 5 failed: failed here: c, d, e and 1 more"],
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(
            (name, True)
            for name in ("wall_seconds", "p95Ms", "latency_us", "build.time", "time", "requests_per_second")
        ),
        *((name, False) for name in ("items", "assertions", "violations", "tokens", "columns", "status", "forms", "")),
    ],
)
def test_a_number_is_a_time_by_the_last_word_of_its_name(name: str, expected: bool) -> None:
    assert is_time(name) is expected


def test_failures_that_a_record_leaves_out_are_no_confirmation() -> None:
    assert judged(run(stage()), run(stage(tests=tally(3, 2))))[0] is UNREPEATABLE
    assert judged(run(stage()), run(stage(tests=tally(3))))[0] is CONFIRMED


def test_other_tests_that_failed_are_named_where_as_many_did() -> None:
    old, new = (run(stage(tests=tally(3, 1), failed_tests=(name,))) for name in "ab")

    assert judged(old, new) == (
        CONFIRMED,
        ["test failed tests: 3 passed, 1 failed -> 3 passed, 1 failed: failed here: b"],
    )


def test_with_other_tools_other_tests_may_be_there_but_none_may_fail() -> None:
    old, fewer, failing = (run(stage(tests=one)) for one in (tally(30), tally(25, skipped=1), tally(25, 2)))

    assert verdict(combined([differences(old, fewer)] * 2, same_place=False)) is CONTRADICTED
    assert verdict(combined([differences(old, fewer)] * 2, same_place=False, same_tools=False)) is UNREPEATABLE
    assert verdict(combined([differences(old, failing)] * 2, same_place=False, same_tools=False)) is CONTRADICTED


def test_a_replay_that_did_not_come_so_far_makes_nothing_flaky() -> None:
    late = run(stage("cancelled", status_detail="timed out"), status="cancelled")

    found, said = judged(run(stage()), run(FAILED), late)

    assert (found, said[0].partition(": ")[2]) == (
        UNREPEATABLE,
        "succeeded -> failed (exit 1): in 1 of 2 replays only: timed out",
    )


def test_what_differs_only_in_times_below_a_stage_hides_nothing_of_the_stage() -> None:
    old, new = run(stage(metrics={"wall_seconds": 1.0})), run(stage(metrics={"wall_seconds": 2.0}))
    before = run(stage(name="call", sub_run_id="a", allow_failure=True))
    after = run(stage("failed", name="call", sub_run_id="b", allow_failure=True))

    found = differences(before, after, lambda *_: (old, new))

    assert [(one.stage, one.what) for one in found] == [("call/test", "wall_seconds"), ("call", "status")]


def test_a_metric_that_is_not_reported_contradicts() -> None:
    assert judged(with_metric(3), run(stage()), run(stage()))[0] is CONTRADICTED


def test_a_variable_that_is_not_set_explains_a_failure_and_nothing_else() -> None:
    link = Replayed(run_id="r", manifest_sha256="0" * 64, lacking={"test": "$TOKEN"})

    assert judged(run(stage()), run(FAILED, replays=link))[0] is UNREPEATABLE
    assert judged(run(stage(tests=tally(30))), run(stage(tests=tally(3)), replays=link))[0] is CONTRADICTED


def test_runs_of_sub_pipelines_are_compared_where_both_are_here() -> None:
    old, new = run(stage(tests=tally(30))), run(stage(tests=tally(3)))
    before, after = (run(stage(name="call", sub_run_id=name)) for name in ("a", "b"))

    found = differences(before, after, lambda *_: (old, new))

    assert [(one.stage, one.what) for one in found] == [("call/test", "tests")]
    (untold,) = differences(before, after)
    assert (untold.what, untold.why) == ("its stages", "not compared: the record of one of these runs is not here")


def test_another_machine_is_named() -> None:
    old, new = Machine(fingerprint="a", python="3.12", cores=2.0), Machine(fingerprint="b", python="3.13", cores=2.0)

    assert machine_differences(old, new) == ["python 3.12 -> 3.13"]
    assert machine_differences(None, new) == []


MANY = [f".runs/t/cli/{number}/manifest.json" for number in range(20)]


def test_a_sample_is_the_same_for_its_seed_and_another_one_for_another() -> None:
    samples = [chosen.sample(MANY, "sample:3", str(seed)) for seed in range(40)]

    assert chosen.sample(reversed(MANY), "sample:3", "0") == samples[0]
    assert all(len(one) == 3 for one in samples)
    assert {path for one in samples for path in one} == set(MANY)
    assert chosen.sample(MANY, "cited", "") == sorted(MANY)
    assert chosen.sample(MANY, "never", "") == []
    assert chosen.sample(MANY[:2], "sample:3", "x") == MANY[:2]


def test_nobody_who_tries_a_job_again_gets_another_sample() -> None:
    assert chosen.seed({"GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1"}) == chosen.seed(
        {"GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2"}
    )
    assert chosen.seed({"GITHUB_RUN_ID": "7"}) != chosen.seed({"GITHUB_RUN_ID": "8"})
    # Numbers that count up are known before the push, the moment is not.
    drone = {"DRONE_BUILD_NUMBER": "7", "DRONE_BUILD_CREATED": "1767225600"}
    assert chosen.seed(drone) != chosen.seed({**drone, "DRONE_BUILD_CREATED": "1767225601"})
    assert chosen.seed({}) != chosen.seed({})


def config(policy: object) -> Config:
    return build(Source("orchgate.toml", {"evidence": {"replay": policy}}))


@pytest.mark.parametrize(
    ("before", "after", "looser"),
    [
        ("cited", "sample:3", True),
        ("cited", "never", True),
        ("sample:3", "sample:2", True),
        ("sample:3", "never", True),
        ("sample:3", "sample:10", False),
        ("sample:3", "cited", False),
        ("never", "sample:1", False),
    ],
)
def test_fewer_replays_are_looser(before: str, after: str, looser: bool) -> None:
    found = loosened(config(before), config(after), {})

    assert [one.key for one in found] == (["evidence.replay"] if looser else [])


@pytest.mark.parametrize("value", ["", "always", "sample", "sample:", "sample:0", "sample:-1", "sample:3x", "Cited", 3])
def test_a_policy_that_says_nothing_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match='expected "never", "cited" or "sample:N"'):
        config(value)
