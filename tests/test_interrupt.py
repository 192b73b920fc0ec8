"""Signals to the runner: everything it started ends, and the record says so."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.runs import Project, living, manifest, stop, until

if TYPE_CHECKING:
    from tests.repo import Repo

pytestmark = pytest.mark.slow


@pytest.fixture
def project(repo: Repo) -> Project:
    return Project(repo)


def interrupted(project: Project, number: int) -> int:
    child = project.start()
    project.wait_for_output(b"up")
    return stop(child, number).code


SLEEPER = {"id": "sleepy", "shell": "echo up; sleep 223.6 & sleep 223.6"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_run(project: Project, number: signal.Signals) -> None:
    project.define("demo", SLEEPER, {"id": "after", "run": ["true"], "needs": ["sleepy"]})
    assert interrupted(project, number) == 130
    made = project.manifest()
    assert (made["status"], made["status_detail"]) == ("cancelled", f"signal:{number.name}")


def test_a_signal_ends_the_children(project: Project) -> None:
    project.define("demo", SLEEPER)
    interrupted(project, signal.SIGTERM)
    assert living("223.6") == []


def test_the_stage_that_ran_is_cancelled_and_the_others_never_began(project: Project) -> None:
    project.define("demo", SLEEPER, {"id": "after", "run": ["true"], "needs": ["sleepy"]})
    interrupted(project, signal.SIGTERM)
    assert {name: stage["status"] for name, stage in project.stages().items()} == {
        "sleepy": "cancelled",
        "after": "pending",
    }


def test_a_stage_that_may_fail_does_not_make_a_cancelled_run_succeed(project: Project) -> None:
    project.define("demo", SLEEPER | {"allow-failure": True})
    assert interrupted(project, signal.SIGTERM) == 130


def test_a_cancelled_run_has_a_metrics_entry(project: Project) -> None:
    project.define("demo", SLEEPER)
    interrupted(project, signal.SIGTERM)
    assert [entry["status"] for entry in project.entries()] == ["cancelled"]


def test_a_cancelled_run_passes_the_manifests_check(project: Project) -> None:
    project.define("demo", SLEEPER, {"id": "after", "run": ["true"], "needs": ["sleepy"]})
    interrupted(project, signal.SIGTERM)
    checked = project.repo.orchgate("check", "manifests", "--all-files")
    assert checked.code == 0, checked.out


def test_a_stage_that_waits_to_be_repeated_stays_failed(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "echo up; exit 1", "retries": 3, "retry-delay-seconds": 60})
    child = project.start()
    project.wait_for_output(b"up")
    until(lambda: b'"again":true' in (project.folders()[0] / "events.jsonl").read_bytes())
    assert stop(child, signal.SIGTERM).code == 130
    assert (project.stages()["one"]["status"], project.manifest()["status"]) == ("failed", "cancelled")
    assert project.repo.orchgate("check", "manifests", "--all-files").code == 0


def test_a_sub_pipeline_is_cancelled_with_its_caller(project: Project) -> None:
    project.define("inner", SLEEPER)
    project.define("demo", {"id": "call", "pipeline": "inner"})
    interrupted(project, signal.SIGTERM)
    assert [manifest(folder)["status"] for folder in project.folders()] == ["cancelled", "cancelled"]
    assert project.repo.orchgate("check", "manifests", "--all-files").code == 0


def test_a_second_signal_kills_at_once(project: Project) -> None:
    project.define("demo", {"id": "deaf", "shell": "trap '' TERM; echo up; while :; do sleep 0.05; done"})
    child = project.start()
    project.wait_for_output(b"up")
    child.send_signal(signal.SIGTERM)
    assert stop(child, signal.SIGTERM).code == 130
    assert project.stages()["deaf"]["attempts"][0]["signal"] == "SIGKILL"


def test_repeating_stops_when_it_is_interrupted(project: Project) -> None:
    project.define("demo", SLEEPER)
    child = project.start("demo", "--runs", "5")
    project.wait_for_output(b"up")
    assert (stop(child, signal.SIGINT).code, len(project.folders())) == (130, 1)


def test_a_killed_runner_takes_its_stages_along(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "setsid sleep 264.5 & sleep 264.5 & echo up; sleep 264.5"})
    interrupted(project, signal.SIGKILL)
    until(lambda: not living("264.5"))
    assert manifest(project.folders()[0])["status"] == "in_progress"


def test_stages_outlive_neither_a_killed_runner_nor_its_group(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "env -i sleep 282.8 & echo up; env -i sleep 282.8"})
    interrupted(project, signal.SIGKILL)
    until(lambda: not living("282.8"))


def test_a_daemon_without_environment_outlives_a_killed_runner_no_more(project: Project) -> None:
    hidden = "(env -i setsid sleep 291.7 > /dev/null 2>&1 < /dev/null &)"
    project.define("demo", {"id": "one", "shell": f"{hidden}; echo up; sleep 291.7"})
    interrupted(project, signal.SIGKILL)
    until(lambda: not living("291.7"))


def test_nohup_is_respected(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "echo up; sleep 0.3"})
    child = project.start_ignoring_hangups()
    project.wait_for_output(b"up")
    assert stop(child, signal.SIGHUP).code == 0
