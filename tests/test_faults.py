"""The runner killed at any moment, and every place it writes to refusing.

`ORCHGATE_FAULTS=300` kills it 300 times.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from orchgate.runs import journal
from orchgate.runs.state import manifest as derived
from tests.metrics_lines import recorded_entries
from tests.repo import ORCHGATE
from tests.runs import PATIENCE, TASK, Project, living, manifest, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("ORCHGATE_FAULTS", "25"))
WRITERS = 8
STAGES = 5
ORPHAN = "987.654"  # seconds the daemons of the stages would sleep

WRITER = """
import sys
from orchgate.runner import writer

path, name, acknowledged = sys.argv[1:]
with open(acknowledged, "a", buffering=1) as said:
    for number in range(10**9):
        run = f"{name}-{number}"
        writer.append_entry(path, writer.encode_entry({"entry": 1, "run_id": run, "padding": "x" * (number % 5000)}))
        said.write(run + "\\n")
        if number % 50 == 49:
            sys.stdin.readline()
"""


@pytest.fixture
def project(repo: Repo) -> Project:
    return Project(repo)


@pytest.fixture
def writers(project: Project, tmp_path: Path) -> Iterator[list[Path]]:
    """Processes that append to the metrics of the same task, 50 lines and on, until they are killed mid-way."""
    folder = project.root / ".runs" / TASK
    folder.mkdir(parents=True)
    said = [tmp_path / f"said-{number}" for number in range(WRITERS)]
    for path in said:
        path.touch()
    argv = [sys.executable, "-c", WRITER, str(folder / "metrics.json")]
    children = [
        subprocess.Popen([*argv, f"w{number}", str(path)], stdin=subprocess.PIPE) for number, path in enumerate(said)
    ]
    feeding = [child.stdin for child in children if child.stdin]
    for pipe in feeding:
        pipe.write(b"\n" * 20)
        pipe.flush()
    until(lambda: all(path.stat().st_size for path in said))  # all are at it, or there is nothing to lose
    yield said
    for child in children:
        child.kill()
        child.communicate()


def start(project: Project) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [ORCHGATE, "run", "demo", "--task", TASK], cwd=project.root, stdout=subprocess.PIPE, start_new_session=True
    )


def usual_seconds(project: Project) -> float:
    """How long a run takes here and now, from its first line on."""
    child = start(project)
    assert child.stdout is not None
    child.stdout.readline()
    begun = time.monotonic()
    child.communicate()
    return time.monotonic() - begun


def killed_runs(project: Project) -> Iterator[tuple[Path, list[str]]]:
    """Runs that were killed before their end, with the stages their runner had acknowledged by then."""
    chance = random.Random(20260301)
    longest = usual_seconds(project)
    landed = 0
    for number in range(4 * ROUNDS):
        before = set(project.folders())
        child = start(project)
        assert child.stdout is not None
        # Now and then while it is being set up, mostly between its first line and its end.
        first = b"" if chance.random() < 0.1 else child.stdout.readline()
        time.sleep(chance.uniform(0.0, longest if first else 0.2))
        (os.killpg if number % 2 else os.kill)(child.pid, signal.SIGKILL)
        out = first + child.communicate(timeout=PATIENCE)[0]
        killed = child.returncode == -signal.SIGKILL
        landed += killed
        longest *= 1.0 if killed else 0.8  # the run that was timed was a slow one
        acknowledged = [line.partition(":")[0] for line in out.decode().splitlines() if ": succeeded (" in line]
        for folder in set(project.folders()) - before:
            yield folder, acknowledged
        if landed == ROUNDS:
            return
    raise AssertionError(f"only {landed} runs could be killed in time")


def test_nothing_acknowledged_is_lost_whenever_the_runner_is_killed(project: Project, writers: list[Path]) -> None:
    daemon = f"setsid sleep {ORPHAN} >/dev/null 2>&1 & sleep 0.01"
    project.define("demo", *({"id": f"s{n}", "shell": daemon} for n in range(STAGES)), **{"max-parallel": 2})
    runs = list(killed_runs(project))
    lost = [folder for folder, acknowledged in runs if not set(acknowledged) <= set(succeeded(folder))]
    torn = [folder for folder, _ in runs if not (parses(folder))]
    stuck = [folder for folder, _ in runs if began(folder) and not resumed(project, folder)]
    assert (lost, torn, stuck) == ([], [], [])
    until(lambda: not living(ORPHAN))
    # First what was acknowledged, then what is there: the writers may still be at it.
    expected = {line for path in writers for line in path.read_text().splitlines()[:-1]}
    expected |= {folder.name for folder, _ in runs if began(folder)}
    recorded = {entry["run_id"] for entry in recorded_entries(project.root / ".runs" / TASK / "metrics.json")}
    assert expected - recorded == set()
    checked = project.repo.orchgate("check", "manifests", "--all-files")
    assert checked.code == 0, checked.out


def began(folder: Path) -> bool:
    """Whether a run's first event was recorded."""
    path = folder / "events.jsonl"
    return path.exists() and bool(journal.read(str(path)).events)


def succeeded(folder: Path) -> list[str]:
    if not began(folder):
        return []
    stages = derived(journal.read(str(folder / "events.jsonl")).events)["commands"]
    return [stage["id"] for stage in stages if stage["status"] == "succeeded"]


def parses(folder: Path) -> bool:
    path = folder / "manifest.json"
    return not path.exists() or bool(manifest(folder))


def resumed(project: Project, folder: Path) -> bool:
    result = project.repo.orchgate("resume", folder.name, "--task", TASK)
    return result.code == 0 and manifest(folder)["status"] == "succeeded"


def limited(size: int) -> None:
    """In a child: no file may grow beyond `size` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def run_with_limit(project: Project, size: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ORCHGATE, "run", "demo", "--task", TASK],
        cwd=project.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: limited(size),
    )


# From the first byte of the journal to the last one of the manifest: wherever the disk is full, it ends the same way.
@pytest.mark.parametrize("size", [0, 10, 700, 1200, 1500, 1700, 1900, 2100, 2300, 2600, 3000])
def test_a_full_disk_is_said_and_nothing_earlier_is_lost(project: Project, size: int) -> None:
    project.define("demo", *({"id": f"s{n}", "run": ["true"]} for n in range(5)))
    project.run()
    path = project.root / ".runs" / TASK / "metrics.json"
    earlier, before = project.folders()[0], path.read_bytes()
    kept = {file: file.read_bytes() for file in earlier.rglob("*") if file.is_file()}
    result = run_with_limit(project, size)
    assert (result.returncode, "cannot write" in result.stderr and "make room" in result.stderr) == (3, True)
    assert {file: file.read_bytes() for file in kept} == kept
    assert path.read_bytes().startswith(before)


def test_after_a_full_disk_the_run_can_be_taken_up(project: Project) -> None:
    project.define("demo", *({"id": f"s{n}", "run": ["true"]} for n in range(5)))
    assert run_with_limit(project, 2000).returncode == 3
    assert resumed(project, project.folders()[0])


def test_a_log_that_cannot_grow_ends_the_run_and_the_stage(project: Project) -> None:
    project.define("demo", {"id": "loud", "shell": "while :; do echo 876.543; done"})
    result = run_with_limit(project, 100_000)
    assert (result.returncode, "01-loud.log" in result.stderr) == (3, True)
    until(lambda: not living("876.543"))


@pytest.mark.parametrize("place", [".runs", f".runs/{TASK}", f".runs/{TASK}/cli"])
def test_a_file_where_a_folder_belongs_is_said(project: Project, place: str) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.repo.write(place, "mine\n")
    result = project.run()
    assert (result.code, "cannot write" in result.out) == (3, True)
    assert (project.root / place).read_text() == "mine\n"


def test_metrics_that_cannot_be_appended_to_are_said_and_made_good_later(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    place = project.root / ".runs" / TASK / "metrics.json"
    place.mkdir(parents=True)
    assert project.run().code == 3
    place.rmdir()
    assert (resumed(project, project.folders()[0]), len(project.entries())) == (True, 1)


def test_a_stage_that_takes_away_the_run_s_folder_is_an_error(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "rm -rf .runs"}, {"id": "two", "run": ["true"], "needs": ["one"]})
    result = project.run()
    assert (result.code, "cannot write" in result.out) == (3, True)


def test_a_read_only_folder_is_said(project: Project) -> None:
    if os.geteuid() == 0:  # permissions do not bind root: a file system that cannot be written to does
        project.define("demo", {"id": "one", "run": ["true"]})
        (project.root / ".runs").symlink_to("/proc/self")
        assert project.run().code == 3
        return
    project.define("demo", {"id": "one", "run": ["true"]})
    (project.root / ".runs").mkdir(mode=0o500)
    assert "Permission denied" in project.run().out
