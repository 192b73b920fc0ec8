"""`orchgate metrics` as its users meet it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.cli import main
from orchgate.lib import files
from tests.metrics_lines import append, foreign, own, write
from tests.published import closed
from tests.repo import ORCHGATE
from tests.runs import TASK, Project

if TYPE_CHECKING:
    from tests.repo import Repo

CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus")


@pytest.fixture
def task(repo: Repo) -> Path:
    """The folder of a task, in a repository that is the current folder."""
    folder = repo.root / ".runs" / TASK
    folder.mkdir(parents=True)
    return folder


def shown(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    assert main(["metrics", *args]) == code
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(shown(capsys, *args, "--output-format", "json", code=code))
    jsonschema.validate(read, closed("metrics"))
    return read


def state(task: Path) -> dict[str, Any]:
    path = task.parent.parent / "out" / task.name / "state.json"
    read: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(read, json.loads(files.read_data("schemas", "state.json")))
    return read


@pytest.mark.slow
def test_runs_that_were_recorded_are_shown(repo: Repo) -> None:
    project = Project(repo)
    project.define("demo", {"id": "one", "shell": "test -e ok || { touch ok; exit 1; }", "retries": 1})
    project.run()
    project.run()
    told = json.loads(repo.orchgate("metrics", "--output-format", "json").out)["tasks"][0]["pipelines"][0]
    assert (told["runs"], told["flaky_runs"], told["statuses"]) == (2, 1, {"succeeded": 2})
    assert (told["costs"]["manifest_writes"]["p50"], told["stages"][0]["costs"]["cpu_seconds"]["count"]) == (2, 2)


def test_metrics_read_like_this(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [{"id": "b", "status": "failed", "wall_seconds": 0.0123}]
    write(
        task,
        own(1),
        own(2, flaky=["test"]),
        own(3, status="failed", stages=stages),
        b"null",
        own(1),
        own(4)[:9],
        end=b"",
    )
    assert (
        shown(capsys)
        == """\
task 0001-demo: 3 runs in 5 lines
  read 5 lines this time (2,043 bytes), full rebuild: there was no checkpoint
  ignored 2 lines: 1 duplicate run; 1 not an entry
  left 9 bytes of an unfinished last line for the next time
  snapshot: out/0001-demo/state.json
machine type 0123456789abcdef
  pipeline  runs  success  flaky  tests    wall  wall p90     cpu   max RSS  read  written  writes    last end (UTC)
  demo         3    66.7%  33.3%  27/30   2.5 s     2.5 s  1.25 s  19.1 MiB   0 B  4.0 KiB       2  2026-02-01 12:00
    test       2   100.0%      -  18/20  2.25 s    2.25 s       -         -     -        -       -                 -
    b          1     0.0%      -      -       -         -       -         -     -        -       -                 -
  demo: 1 failed, 2.5 s in all
  newest successes, oldest first:
    demo  wall time  ▅▅  2.500 s
          CPU time   ▅▅  1.250 s
          memory     ▅▅  19.1 MiB
costs are medians of successes, within 1% of a real one
"""
    )


@pytest.mark.slow
def test_a_second_look_reads_only_what_is_new(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, own(1))
    shown(capsys)
    append(task, own(2))
    assert "read 1 line this time" in shown(capsys)


def test_no_runs_at_all_is_said(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no run is recorded here" in shown(capsys)


def test_no_runs_of_a_task_are_said(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "0 runs in 0 lines" in shown(capsys, "--task", TASK)


def test_no_entries_among_the_lines_are_said(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, b"null", b"5")
    assert f"no runs in .runs/{TASK}/metrics.json" in shown(capsys)


@pytest.mark.slow
def test_without_a_task_all_are_shown(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, own(1))
    other = task.parent / "0002-other"
    other.mkdir()
    write(other, foreign(1))
    assert [found["task_id"] for found in document(capsys)["tasks"]] == [TASK, "0002-other"]


@pytest.mark.slow
def test_a_task_that_cannot_be_read_does_not_hide_the_others(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, own(1))
    (task.parent / "0002-other" / "metrics.json").mkdir(parents=True)
    found = document(capsys, code=3)["tasks"]
    assert [bool(each["problem"]) for each in found] == [False, True]


def test_a_task_that_is_no_folder_name_is_wrong_usage(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    shown(capsys, "--task", "../x", code=2)


def test_hostile_names_move_no_cursor(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, own(1, pipeline_id="\x1b[2Jgone\n", machine="a\u202eb", stages=[{"id": "\x07", "status": "ok"}]))
    out = shown(capsys)
    assert "\\x1b[2Jgone\\n" in out
    assert not set(out) & set("\x1b\x07\u202e")


@pytest.mark.slow
def test_a_terminal_gets_a_drawn_table(task: Path) -> None:
    write(task, own(1, pipeline_id="[red]demo:5:"))
    reader, writer = os.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    child = subprocess.Popen([ORCHGATE, "metrics"], stdout=writer, env=environ)
    os.close(writer)
    out = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(reader, 1 << 16):
            out += data
    os.close(reader)
    assert child.wait() == 0
    assert "─" in out.decode()
    assert b"[red]demo:5:" in out


# The snapshot


@pytest.mark.slow
def test_the_snapshot_tells_rates_medians_and_the_last_run(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, own(1), own(2, status="failed", wall_seconds=3.5))
    shown(capsys)
    told = state(task)["pipelines"][0]
    assert (told["success_rate"], told["test_pass_rate"], told["median"]["wall_seconds"]) == (0.5, 0.9, 2.5)
    assert state(task)["last_run"]["status"] == "failed"


@pytest.mark.slow
def test_the_snapshot_sets_the_last_runs_against_those_before(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, *(own(number, wall_seconds=1.0 if number < 30 else 2.0) for number in range(50)))
    shown(capsys)
    trend = state(task)["pipelines"][0]["trend"]
    assert trend["runs"] == 20
    assert trend["costs"]["wall_seconds"]["change"] == pytest.approx(1.0, abs=0.03)
    assert trend["costs"]["cpu_seconds"]["change"] == pytest.approx(0.0, abs=0.02)


@pytest.mark.slow
def test_few_runs_have_no_trend(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, own(1), own(2))
    shown(capsys)
    assert state(task)["pipelines"][0]["trend"] is None


@pytest.mark.slow
def test_the_snapshot_is_written_only_when_it_says_something_new(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(task, own(1))
    shown(capsys)
    before = state(task)
    shown(capsys)
    assert state(task) == before


@pytest.mark.slow
def test_the_file_of_another_program_is_kept_beside_the_snapshot(
    task: Path, repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    write(task, own(1))
    repo.write(f"out/{TASK}/state.json", '{"throughput": {}}')
    assert "another program's" in shown(capsys)
    assert (repo.root / "out" / TASK / "state.other.json").read_text() == '{"throughput": {}}'
    assert state(task)["runs"] == 1


def test_a_snapshot_that_cannot_be_written_is_said(task: Path, repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    write(task, own(1))
    repo.write("out", "a file\n")
    assert "the snapshot was not written" in shown(capsys, code=3)


def test_a_link_out_of_the_repository_gets_no_snapshot(
    task: Path, repo: Repo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(task, own(1))
    (repo.root / "out").symlink_to(tmp_path)
    assert "out is a symbolic link that leads out of the repository" in shown(capsys, code=3)
    assert not (tmp_path / TASK).exists()


# Real entries


def wall(pipeline: dict[str, Any]) -> float:
    """The seconds of a pipeline's only run."""
    costs = pipeline["costs"]
    return float(costs["wall_seconds"]["sum"] if costs else pipeline["failed"]["wall_seconds"])


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded runs are not here")
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("jan-diagnostics", {"diagnostics": ({"succeeded": 1}, 120.346)}),
        ("small-runs/jan", {"noop": ({"succeeded": 1}, 25.043), "failing": ({"failed": 1}, 15.036)}),
        ("small-runs/june", {"noop": ({"succeeded": 1}, 0.116), "failing": ({"failed": 1}, 0.078)}),
    ],
)
def test_recorded_entries_of_codex_orchestrator_are_runs(
    repo: Repo, capsys: pytest.CaptureFixture[str], folder: str, expected: dict[str, Any]
) -> None:
    [source] = (CORPUS / folder / ".runs").glob("*/metrics.json")
    target = repo.root / ".runs" / source.parent.name
    target.mkdir(parents=True)
    shutil.copyfile(source, target / "metrics.json")
    [found] = document(capsys)["tasks"]
    assert found["ignored"] == {}
    told = {each["pipeline"]: (each["statuses"], wall(each)) for each in found["pipelines"]}
    assert told == expected
