"""`orchgate status`: what runs say about themselves, dead or alive."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.manifest_samples import encoded, june
from tests.repo import ORCHGATE
from tests.runs import PATIENCE, TASK, Project, stop

if TYPE_CHECKING:
    from tests.repo import Repo

pytestmark = pytest.mark.slow

SLEEPER = {"id": "sleepy", "shell": "echo up; sleep 60"}


@pytest.fixture
def project(repo: Repo) -> Project:
    return Project(repo)


def rows(project: Project, *args: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(project.repo.orchgate("status", "--output-format", "json", *args).out)[
        "runs"
    ]
    return found


def test_no_runs_is_said(project: Project) -> None:
    assert "no runs here" in project.repo.orchgate("status").out


def test_a_finished_run_is_listed_with_its_end(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["false"]})
    project.run()
    assert [(row["status"], row["task_id"]) for row in rows(project)] == [("failed", TASK)]


def test_the_newest_run_comes_first(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()
    project.run()
    assert [row["run_id"] for row in rows(project)] == [folder.name for folder in reversed(project.folders())]


def test_a_run_that_is_alive_is_in_progress(project: Project) -> None:
    project.define("demo", SLEEPER)
    child = project.start()
    project.wait_for_output(b"up")
    shown = project.repo.orchgate("status").out
    stop(child, signal.SIGTERM)
    assert "in_progress  0/1" in shown
    assert shown.splitlines()[1].endswith("sleepy")


def test_a_killed_run_is_abandoned_and_the_way_on_is_shown(project: Project) -> None:
    project.define("demo", SLEEPER)
    child = project.start()
    project.wait_for_output(b"up")
    stop(child, signal.SIGKILL)
    out = project.repo.orchgate("status").out
    assert f"orchgate resume {project.folders()[0].name} --task {TASK}" in out


def test_a_process_with_the_same_number_is_not_the_runner(project: Project) -> None:
    project.define("demo", SLEEPER)
    child = project.start()
    project.wait_for_output(b"up")
    stop(child, signal.SIGKILL)
    path = project.folders()[0] / "events.jsonl"
    path.write_text(path.read_text().replace(f'"pid":{child.pid}', '"pid":1'))
    assert rows(project)[0]["status"] == "abandoned"


def test_only_one_task_can_be_asked_for(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()
    project.run("demo", "--task", "other")
    assert [row["task_id"] for row in rows(project, "--task", "other")] == ["other"]


def test_one_run_shows_its_stages(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["false"]}, {"id": "two", "run": ["true"], "needs": ["one"]})
    project.run()
    lines = project.repo.orchgate("status", "latest").out.splitlines()
    named, bar = lines[2].rsplit("  ", 1)
    assert (named.split()[:2], set(bar)) == (["one:", "failed"], {"█"})
    assert lines[3:6] == ["    exit 1", "  two: skipped", "    needs one"]
    assert [line.split(" (")[0] for line in lines[6:]] == ["  tools: false"]


def test_an_unreadable_journal_is_a_row_of_its_own(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()
    (project.folders()[0] / "events.jsonl").write_text("x\n")
    assert (rows(project)[0]["status"], "line 1 is not JSON" in rows(project)[0]["problem"]) == ("unreadable", True)


def test_a_torn_line_is_reported(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()
    with (project.folders()[0] / "events.jsonl").open("a") as file:
        file.write('{"ev')
    assert "unfinished lines in the journal" in project.repo.orchgate("status").out


def test_watching_ends_with_the_run(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "echo up; until test -e go; do sleep 0.01; done"})
    child = project.start()
    project.wait_for_output(b"up")
    watching = subprocess.Popen(
        [ORCHGATE, "status", "--follow"],
        cwd=project.root,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert watching.stdout is not None
    assert any(b"in_progress" in line for line in iter(watching.stdout.readline, b""))
    (project.root / "go").touch()
    child.communicate()
    assert b"succeeded" in watching.communicate(timeout=PATIENCE)[0]


def test_hostile_text_does_not_reach_the_terminal(project: Project) -> None:
    project.define("demo", {"id": "o\x1b[31mne", "run": ["false"]})
    project.run()
    assert "\x1b" not in project.repo.orchgate("status", "latest").out


@pytest.mark.parametrize("task", ["..", "a/b", " "])
def test_a_task_that_is_no_folder_s_name_is_a_usage_error(project: Project, task: str) -> None:
    assert project.repo.orchgate("status", "--task", task).code == 2


def test_asking_writes_nothing(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.repo.orchgate("status")
    assert not (project.root / ".runs").exists()


def test_a_foreign_run_with_a_log_of_our_journals_name_is_shown(project: Project) -> None:
    run = "2026-01-06T09-26-22-129Z-c2f9cb47"
    folder = project.root / ".runs" / TASK / "cli" / run
    folder.mkdir(parents=True)
    folder.joinpath("events.jsonl").write_text('{"schema_version":1,"seq":1,"event":"run_started"}\n')
    folder.joinpath("manifest.json").write_bytes(encoded(june(task_id=TASK, run_id=run)))

    assert [(row["run_id"], row["problem"]) for row in rows(project)] == [(run, None)]
