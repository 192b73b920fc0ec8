"""Runs that were made while the clock was wrong: listed and named, and never the latest."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cli import main
from orchgate.runs import ids, implementation_gate
from orchgate.runs.ids import AHEAD_SECONDS, new_run_id
from tests.runs import TASK, Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow

HOUR = 3600.0
YEARS = 73 * 365 * 24 * HOUR


@pytest.fixture
def project(repo: Repo) -> Project:
    repo.write(".git/info/exclude", ".runs/\n")
    made = Project(repo)
    made.define("demo", {"id": "one", "run": ["true"]})
    made.run()
    return made


def stamped(project: Project, ahead: float) -> str:
    """A copy of the project's first run as a clock would have stamped it that is `ahead` seconds fast."""
    source = project.folders()[0]
    name = new_run_id(time.time() + ahead)
    target = source.with_name(name)
    shutil.copytree(source, target)
    for file in ("events.jsonl", "manifest.json"):
        (target / file).write_text((target / file).read_text().replace(source.name, name))
    return name


def listed(capsys: pytest.CaptureFixture[str], *args: str) -> list[dict[str, Any]]:
    main(["status", "--output-format", "json", *args])
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["runs"]
    return rows


@pytest.mark.parametrize("ahead", [600.0, HOUR, 48 * HOUR, YEARS])
def test_latest_is_the_newest_run_of_a_clock_in_order(
    project: Project, ahead: float, capsys: pytest.CaptureFixture[str]
) -> None:
    real = project.folders()[0].name
    stamped(project, ahead)
    assert [row["run_id"] for row in listed(capsys, "latest")] == [real]


def test_a_run_made_after_the_clock_was_set_right_is_the_latest(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stamped(project, YEARS)
    project.run()
    assert [row["run_id"] for row in listed(capsys, "latest")] == [project.folders()[1].name]


def test_another_machine_s_clock_may_be_a_little_fast(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    name = stamped(project, AHEAD_SECONDS / 2)
    assert [row["run_id"] for row in listed(capsys, "latest")] == [name]


def test_where_every_clock_was_wrong_the_newest_of_them_is_the_latest(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [stamped(project, ahead) for ahead in (HOUR, YEARS)]
    shutil.rmtree(project.folders()[0])
    assert [row["run_id"] for row in listed(capsys, "latest")] == names[1:]


def test_status_lists_it_last_and_names_the_clock(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    name = stamped(project, YEARS)
    rows = listed(capsys)
    assert (rows[-1]["run_id"], "the clock was wrong" in rows[-1]["problem"]) == (name, True)


def test_status_names_it_where_it_is_not_listed(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    name = stamped(project, YEARS)
    main(["status", "--limit", "1"])
    assert f"run {name}, not listed here: dated in the future" in capsys.readouterr().out


def test_hotspots_show_the_newest_real_run_of_a_pipeline(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    real = project.folders()[0].name
    stamped(project, YEARS)
    main(["hotspots", "--output-format", "json"])
    assert [run["run_id"] for run in json.loads(capsys.readouterr().out)["runs"]] == [real]


def test_a_task_s_trend_does_not_end_with_it(project: Project) -> None:
    from orchgate.hotspots.ranking import grouped
    from orchgate.hotspots.timing import read

    stamped(project, YEARS)
    (runs,) = grouped(read(str(folder)) for folder in project.folders()).values()
    assert [run.run_id for run in runs] == [folder.name for folder in reversed(project.folders())]


def test_resume_latest_takes_the_newest_real_run(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    real = project.folders()[0].name
    stamped(project, YEARS)
    main(["resume", "latest"])
    assert real in capsys.readouterr().out


def test_the_gate_s_last_word_is_the_newest_real_run_s(tmp_path: Path) -> None:
    from orchgate.git.state import WorkTreeState

    task = tmp_path / ".runs" / TASK
    task.mkdir(parents=True)
    entry = {"entry": 1, "tree": "a" * 40, "dirty": False, "task_id": TASK, "pipeline_id": "implementation-gate"}
    runs = [("failed", time.time()), ("succeeded", time.time() + YEARS)]
    lines = [{**entry, "status": status, "run_id": new_run_id(at)} for status, at in runs]
    (task / "metrics.json").write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    assert implementation_gate.gate_of(str(tmp_path), WorkTreeState("c" * 40, "a" * 40, False, None)).status == "failed"


def test_a_clock_that_was_set_back_to_its_beginning_still_finds_its_own_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = stamped(project, -time.time() + HOUR)
    monkeypatch.setattr("time.time", lambda: 2 * HOUR)
    assert next(ids.all_runs(str(project.root))) == (TASK, early)


def test_a_folder_of_runs_that_cannot_be_listed_does_not_hide_the_others(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.root / ".runs" / "0002-loop").mkdir()
    (project.root / ".runs" / "0002-loop" / "cli").symlink_to("cli")
    assert (main(["status"]), project.folders()[0].name in (out := capsys.readouterr().out)) == (0, True)
    assert "cannot list" in out
