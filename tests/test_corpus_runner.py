"""The small pipelines that another orchestrator recorded, run by this one."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.runs import Project, manifest, stop, until

if TYPE_CHECKING:
    from tests.repo import Repo

CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus")
SMALL = CORPUS / "small-runs"

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")


@pytest.fixture
def project(repo: Repo) -> Project:
    repo.commit("pipelines", {"codex.orchestrator.json": (SMALL / "codex.orchestrator.json").read_bytes()})
    return Project(repo)


@pytest.mark.slow
def test_the_no_op_pipeline_succeeds_in_a_fraction_of_its_time(project: Project) -> None:
    assert project.run("noop").code == 0
    assert project.manifest()["usage"]["wall_seconds"] < 5  # 25.2 s there


@pytest.mark.slow
def test_the_failing_pipeline_is_not_a_success(project: Project) -> None:
    assert project.run("failing").code == 1
    assert [stage["status"] for stage in project.stages().values()] == ["succeeded", "failed", "failed", "skipped"]


@pytest.mark.slow
def test_the_nested_pipeline_is_two_runs(project: Project) -> None:
    assert project.run("nested").code == 0
    outer, inner = (manifest(folder) for folder in project.folders())
    assert (outer["child_runs"][0]["run_id"], inner["parent_run_id"]) == (inner["run_id"], outer["run_id"])


@pytest.mark.slow
def test_the_slow_pipeline_can_be_killed_and_leaves_no_orphan(project: Project) -> None:
    child = project.start("slow")
    until(lambda: any(b'"stage":2' in path.read_bytes() for path in project.root.glob(".runs/*/cli/*/events.jsonl")))
    assert stop(child, signal.SIGKILL).code == -signal.SIGKILL
    rows = json.loads(project.repo.orchgate("status", "--output-format", "json").out)["runs"]
    assert [row["status"] for row in rows] == ["abandoned"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["noop", "failing", "nested"])
def test_what_is_recorded_can_be_read_back(project: Project, name: str) -> None:
    from orchgate.runs.run import load

    code = project.run(name).code
    runs = [load(str(folder / "manifest.json")) for folder in project.folders()]
    assert [run.status == "succeeded" for run in runs] == [code == 0] * len(runs)


@pytest.mark.slow
def test_what_is_recorded_passes_the_check(project: Project) -> None:
    for name in ("noop", "failing", "nested"):
        project.run(name)
    checked = project.repo.orchgate("check", "manifests", "--all-files")
    assert (checked.code, "4 manifests" in checked.out) == (0, True), checked.out


@pytest.mark.slow
def test_runs_of_the_other_orchestrator_are_listed(project: Project) -> None:
    shutil.copytree(SMALL / "jan" / ".runs", project.root / ".runs")
    rows = json.loads(project.repo.orchgate("status", "--output-format", "json").out)["runs"]
    assert {row["pipeline_id"]: row["status"] for row in rows} == {
        "noop": "succeeded",
        "failing": "failed",
        "slow": "in_progress",
    }
