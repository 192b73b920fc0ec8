"""Observed orchestrators: what a program recorded itself is linked with the run that was seen from outside."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema
import pytest

from orchgate.lib import files
from orchgate.observe import inner_runs
from orchgate.runs import ids, journal
from tests import repo as repositories
from tests.foreign_runs import FOREIGN, RUN, START, foreign
from tests.manifest_samples import encoded, january
from tests.published import closed
from tests.repo import ORCHGATE
from tests.runs import manifest

if TYPE_CHECKING:
    from tests.repo import Repo

pytestmark = pytest.mark.slow

HELPER, OLD, CALLED = (f"2026-01-06T09-26-2{number}-129Z-c2f9cb47" for number in (3, 4, 5))
BROKEN = "2026-01-06T09-26-26-129Z-c2f9cb47"
BEFORE = "2026-01-05T10:00:00.000Z"

# Another orchestrator: it waits before a stage's command, calls a pipeline within one, takes an old run up again, and
# leaves a manifest that it did not get to finish. Meanwhile somebody else records a run of ours.
PROGRAM = f"""
import datetime, json, os, subprocess, sys, time
sys.path.insert(0, {os.getcwd()!r})
from tests.manifest_samples import encoded, january

def now():
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

def put(task, run, document):
    os.makedirs(f".runs/{{task}}/cli/{{run}}", exist_ok=True)
    with open(f".runs/{{task}}/cli/{{run}}/manifest.json", "wb") as file:
        file.write(document)

def record(task, run, began, stages=(), **more):
    ended = now()
    times = dict(started_at=began, completed_at=ended, updated_at=ended, heartbeat_at=ended, log_path=None)
    names = dict(task_id=task, run_id=run, status="succeeded", pipeline_id="diagnostics")
    put(task, run, encoded(january(**times, **names, commands=list(stages), **more)))

began = now()
time.sleep(0.1)
command = now()
time.sleep(0.1)
stage = january()["commands"][0] | dict(index=1, id="build", kind="command", status="succeeded", exit_code=0)
record("{FOREIGN}", "{RUN}", began, [stage | dict(started_at=command, completed_at=now(), log_path=None)])
record("{FOREIGN}-scout", "{HELPER}", began)
record("{FOREIGN}", "{CALLED}", began, parent_run_id="{RUN}")
resumed = dict(timestamp=now(), actor="cli", reason="again", outcome="accepted")
record("{FOREIGN}", "{OLD}", "{BEFORE}", resume_events=[resumed])
put("{FOREIGN}", "{BROKEN}", b'{{"task_id": ')
os.utime(".runs/{FOREIGN}/cli/2025-01-01T00-00-00-000Z-00000000/manifest.json")
run = [{ORCHGATE!r}, "run", "p", "--task", "0001-own"]
subprocess.run(run, check=True)
subprocess.run(["env", "-u", "ORCHGATE_OBSERVED_BY", *run[:-1], "0002-theirs"], check=True)
"""


class Observed(NamedTuple):
    repo: Repo
    folder: Path
    said: str

    @property
    def manifest(self) -> dict[str, Any]:
        return manifest(self.folder)

    def linked(self, key: str) -> list[str]:
        return [one[key] for one in self.manifest["inner_runs"]]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    repo = repositories.init(tmp_path_factory.mktemp("observed") / "repo")
    repo.write(".git/info/exclude", ".runs/\nout/\n")
    repo.commit(files={"orchgate.toml": '[[pipelines.p.stages]]\nid = "a"\nrun = ["true"]\n'})
    long_ago = "2025-01-01T00-00-00-000Z-00000000"
    times = dict.fromkeys(("started_at", "completed_at", "updated_at", "heartbeat_at"), "2025-01-01T00:00:00.000Z")
    old = january(**times, task_id=FOREIGN, run_id=long_ago, status="succeeded", commands=[])
    repo.write(f".runs/{FOREIGN}/cli/{long_ago}/manifest.json", encoded(old))
    result = repo.orchgate("observe", "--task", FOREIGN, "--name", "start", "--", sys.executable, "-c", PROGRAM)
    assert result.code == 0, result.out
    (folder,) = (one for one in (repo.root / ".runs" / FOREIGN / "cli").iterdir() if (one / "events.jsonl").exists())
    return Observed(repo, folder, result.out)


def test_the_runs_that_the_program_recorded_are_linked(observed: Observed) -> None:
    assert {RUN, HELPER, OLD} <= set(observed.linked("run_id"))


def test_so_is_a_run_of_ours_which_says_so_itself(observed: Observed) -> None:
    by = dict(zip(observed.linked("task_id"), observed.linked("linked_by"), strict=True))

    assert by["0001-own"] == inner_runs.PROCESS


def test_what_another_program_recorded_is_linked_by_less_unless_the_kernel_names_it(observed: Observed) -> None:
    by = dict(zip(observed.linked("run_id"), observed.linked("linked_by"), strict=True))
    activity = json.loads((observed.folder / "artifacts" / "activity.json").read_text())

    # Processes are told apart only where both can be seen: who wrote, and who started whom.
    assert by[RUN] in (
        {inner_runs.PROCESS, inner_runs.TIME} if activity["watched_by"] == "fanotify" else {inner_runs.TIME}
    )


def test_a_run_that_somebody_else_recorded_meanwhile_is_not(observed: Observed) -> None:
    assert "0002-theirs" not in observed.linked("task_id")


def test_nor_one_that_was_only_touched(observed: Observed) -> None:
    assert len(observed.linked("run_id")) == 4


def test_a_run_that_another_one_called_is_reached_through_that(observed: Observed) -> None:
    assert CALLED not in observed.linked("run_id")


def test_a_run_that_cannot_be_read_is_said_to_be_left_out(observed: Observed) -> None:
    assert f"run {BROKEN} is not linked: is truncated" in observed.manifest["commands"][0]["status_detail"]


def test_the_links_lead_to_the_manifests(observed: Observed) -> None:
    places = [os.path.join(observed.folder, one) for one in observed.linked("manifest")]

    assert [manifest(Path(place).parent)["run_id"] for place in places] == observed.linked("run_id")


def test_the_inner_run_names_the_one_around_it(observed: Observed) -> None:
    (own,) = (observed.repo.root / ".runs" / "0001-own" / "cli").iterdir()

    assert manifest(own)["observed_by"] == observed.folder.name


def test_the_manifest_keeps_its_schema(observed: Observed) -> None:
    jsonschema.validate(observed.manifest, json.loads(files.read_data("schemas", "manifest-v1.json")))


def test_it_is_what_its_journal_adds_up_to(observed: Observed) -> None:
    assert journal.require_file(str(observed.folder / "manifest.json"), 1 << 20) == observed.manifest


def test_what_is_said_at_the_end_names_them(observed: Observed) -> None:
    assert f"inside: diagnostics succeeded: .runs/{FOREIGN}/cli/{RUN}/manifest.json" in observed.said


def test_status_shows_them_below_the_run_around_them(observed: Observed) -> None:
    lines = observed.repo.orchgate("status").out.splitlines()
    outer = next(number for number, line in enumerate(lines) if line.startswith(observed.folder.name))

    assert {line.split()[0] for line in lines[outer + 1 : outer + 5] if line.startswith("  ")} == set(
        observed.linked("run_id")
    )


def test_and_each_of_them_once(observed: Observed) -> None:
    assert observed.repo.orchgate("status").out.count(RUN) == 1


def test_showing_the_manifest_names_them_beside_it(observed: Observed) -> None:
    shown = observed.repo.orchgate("evidence", "show", f".runs/{FOREIGN}/cli/{observed.folder.name}/manifest.json")

    assert f"diagnostics: .runs/{FOREIGN}/cli/{RUN}/manifest.json" in shown.out


# Who wrote it is asked where the kernel tells


@pytest.mark.parametrize(
    ("by", "expected"), [("touched", [inner_runs.PROCESS]), ("others", []), ("neither", [inner_runs.TIME])]
)
def test_a_run_that_only_somebody_else_wrote_is_not_linked(tmp_path: Path, by: str, expected: list[str]) -> None:
    run = foreign(tmp_path)
    wrote = {by: [str(run / "manifest.json")]}
    seen = inner_runs.Observation("own", str(tmp_path), START.timestamp(), START.timestamp() + 20, (str(tmp_path),), ())
    seen = seen._replace(apart=True, touched=wrote.get("touched", ()), others=wrote.get("others", ()))

    assert [link["linked_by"] for link in inner_runs.find(seen).links] == expected


def test_a_run_that_went_on_after_the_program_is_not_its_own(tmp_path: Path) -> None:
    foreign(tmp_path)
    seen = inner_runs.Observation("own", str(tmp_path), START.timestamp(), START.timestamp() + 5, (str(tmp_path),), ())

    assert inner_runs.find(seen).links == []


# Where the time went is told by the inner runs, and told once


@pytest.fixture(scope="module")
def hotspots(observed: Observed) -> dict[str, Any]:
    told = observed.repo.orchgate("hotspots", str(observed.folder), "--output-format", "json")
    document: dict[str, Any] = json.loads(told.out[: told.out.rindex("}") + 1])
    jsonschema.validate(document, closed("hotspots"))
    return document


def test_the_inner_runs_come_with_the_one_around_them(observed: Observed, hotspots: dict[str, Any]) -> None:
    assert {run["run_id"] for run in hotspots["runs"]} == {observed.folder.name, *observed.linked("run_id")}


def test_the_stages_inside_are_ranked(hotspots: dict[str, Any]) -> None:
    assert "build" in {one["stage"] for one in hotspots["hotspots"] if one["pipeline_id"] == "diagnostics"}


def test_what_passed_inside_is_not_told_again(observed: Observed, hotspots: dict[str, Any]) -> None:
    (outer,) = (run for run in hotspots["runs"] if run["run_id"] == observed.folder.name)
    began, ended = (ids.seconds(observed.manifest[key]) for key in ("started_at", "completed_at"))

    assert outer["wall_seconds"] + outer["inside_seconds"] == pytest.approx(ended - began, abs=0.05)


def test_a_black_box_whose_inside_is_known_saves_nothing(hotspots: dict[str, Any]) -> None:
    assert not any(one["savable_seconds"] for one in hotspots["hotspots"] if one["stage"] == "observed")


def test_the_files_are_those_of_the_run_around_them(hotspots: dict[str, Any]) -> None:
    assert any(one["times"] for one in hotspots["hotspots"] if one["pipeline_id"] == "start")


# Metrics count what was done once


def line(name: str, pipeline: str, **more: object) -> str:
    times = {"started_at": "2026-02-01T12:00:00.000Z", "completed_at": "2026-02-01T12:00:01.000Z"}
    fields = {"entry": 1, "run_id": name, "pipeline_id": pipeline, "status": "succeeded", **times, **more}
    return json.dumps(fields, separators=(",", ":")) + "\n"


def test_an_observed_run_of_the_same_pipeline_as_the_one_inside_does_not_count(repo: Repo) -> None:
    repo.write(".runs/t/metrics.json", line("a", "p", inside=["p"]) + line("b", "p"))
    (task,) = json.loads(repo.orchgate("metrics", "--output-format", "json").out)["tasks"]

    assert (task["runs"], task["ignored"]) == (1, {"observed from outside, where the run inside counts": 1})


def test_one_of_another_pipeline_counts_and_is_explained(repo: Repo) -> None:
    repo.write(".runs/t/metrics.json", line("a", "start", inside=["p"]) + line("b", "p"))

    assert "start is observed from outside; the runs it recorded itself count as p" in repo.orchgate("metrics").out


def test_the_entry_of_an_observed_run_names_what_was_inside(observed: Observed) -> None:
    (entry,) = (observed.repo.root / ".runs" / FOREIGN / "metrics.json").read_text().splitlines()

    assert json.loads(entry)["inside"] == ["diagnostics"]
