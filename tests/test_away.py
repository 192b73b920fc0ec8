"""Stopped, killed and resumed runs with real signals: what nobody worked is no part of any wall time.

Stages wait for a named pipe, so that nothing here depends on how fast the machine is.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orchgate.commands.shared.run_rows import row
from orchgate.lib import working_time
from orchgate.runner import suspended
from orchgate.runs import ids
from tests import serving
from tests.repo import ORCHGATE, init
from tests.runs import PATIENCE, Project, events, manifest, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.repo import Repo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who was stopped"),
]

STOPPED = 0.6  # seconds
LEAST = 0.3  # of them that have to be noticed: a stop by SIGSTOP begins somewhere between two beats
HOURS = 2 * 3600.0
WAITS = "echo $$ > {0}.pid; read line < {0}.pipe"


class Run(NamedTuple):
    """One run that somebody stopped. `seen` is what the test saw meanwhile."""

    folder: Path
    seen: dict[str, Any]

    @property
    def manifest(self) -> dict[str, Any]:
        return manifest(self.folder)

    @property
    def stage(self) -> dict[str, Any]:
        usage: dict[str, Any] = self.manifest["commands"][0]["usage"]
        return usage

    @property
    def passed(self) -> float:
        made = self.manifest
        return ids.seconds(made["completed_at"]) - ids.seconds(made["started_at"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    """A repository for all of them, as the current folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}.items():
            patch.setenv(name, value)
        for name in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{name}_NAME", "Ada")
            patch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
        repo = init(tmp_path_factory.mktemp("away") / "repo")
        repo.commit(files={".gitignore": ".runs/\n*.pid\n*.pipe\n"})
        project = Project(repo)
        for name in NAMES:
            os.mkfifo(repo.root / f"{name}.pipe")
            project.define(name, {"id": "one", "shell": WAITS.format(name)})
        patch.chdir(repo.root)
        yield repo


def started(root: Path, name: str) -> tuple[subprocess.Popen[bytes], int]:
    """A run whose stage waits, and the stage's first process."""
    argv = [ORCHGATE, "run", name, "--task", name]
    # In a group of its own: in one that nobody could continue, as these tests may run in, no SIGTSTP stops anything.
    child = subprocess.Popen(
        argv,
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
    )
    return child, stage_of(root, name)


def stage_of(root: Path, name: str) -> int:
    until(lambda: (root / f"{name}.pid").exists() and (root / f"{name}.pid").read_text().strip())
    return int((root / f"{name}.pid").read_text())


def let_go(root: Path, name: str) -> None:
    """The stage ends."""
    with open(root / f"{name}.pipe", "w", encoding="ascii") as pipe:
        pipe.write("go\n")


def folder(root: Path, name: str) -> Path:
    (found,) = (root / ".runs" / name / "cli").iterdir()
    return found


def beats(runner: int) -> None:
    """Until the runner has looked around, however busy the machine is: it wakes up now and then."""

    def wakes() -> int:
        with open(f"/proc/{runner}/status", encoding="utf-8", errors="replace") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))

    enough = wakes() + 3
    until(lambda: wakes() >= enough)


def stop_stage(runner: int, stage: int) -> dict[str, Any]:
    os.killpg(stage, signal.SIGSTOP)
    beats(runner)
    time.sleep(STOPPED)
    os.killpg(stage, signal.SIGCONT)
    return {}


def stop_runner(runner: int, stage: int) -> dict[str, Any]:
    os.kill(runner, signal.SIGSTOP)
    time.sleep(STOPPED)
    os.kill(runner, signal.SIGCONT)
    return {}


def stop_both(runner: int, stage: int) -> dict[str, Any]:
    os.kill(runner, signal.SIGSTOP)
    os.killpg(stage, signal.SIGSTOP)
    time.sleep(STOPPED)
    os.killpg(stage, signal.SIGCONT)
    os.kill(runner, signal.SIGCONT)
    return {}


def end_unseen(runner: int, stage: int) -> dict[str, Any]:
    os.kill(runner, signal.SIGSTOP)
    let_go(PLACES[0], "unseen")
    time.sleep(STOPPED)
    os.kill(runner, signal.SIGCONT)
    return {}


def type_ctrl_z(runner: int, stage: int) -> dict[str, Any]:
    """As a terminal does, which knows the runner's group only."""
    os.kill(runner, signal.SIGTSTP)
    until(lambda: suspended.stopped(runner))
    seen = {"stage": suspended.stopped(stage), "row": row("typed", str(folder(PLACES[0], "typed")))}
    time.sleep(STOPPED)
    os.kill(runner, signal.SIGCONT)
    return seen


PLACES: list[Path] = []
NAMES = {
    "alone": stop_stage,
    "runner": stop_runner,
    "both": stop_both,
    "unseen": end_unseen,
    "typed": type_ctrl_z,
    "shell": None,
    "killed": None,
}


@pytest.fixture(scope="module")
def runs(place: Repo) -> dict[str, Run]:
    """All of them at once, each stopped in its own way for as long."""
    PLACES[:] = [place.root]
    found: dict[str, Run] = {}

    def one(name: str) -> None:
        stop = NAMES[name]
        assert stop
        child, stage = started(place.root, name)
        beats(child.pid)
        seen = stop(child.pid, stage)
        if name != "unseen":
            beats(child.pid)
            let_go(place.root, name)
        child.communicate(timeout=PATIENCE)
        found[name] = Run(folder(place.root, name), seen)

    threads = [threading.Thread(target=one, args=(name,)) for name, stop in NAMES.items() if stop]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("name", ["alone", "both", "typed"])
def test_the_time_in_which_everything_was_stopped_is_kept_apart(runs: dict[str, Run], name: str) -> None:
    run = runs[name]
    assert run.manifest["away_seconds"] >= LEAST
    assert run.manifest["usage"]["wall_seconds"] + run.manifest["away_seconds"] == pytest.approx(run.passed, abs=0.02)


@pytest.mark.parametrize("name", ["alone", "both", "typed"])
def test_it_is_no_part_of_the_stage_s_time_either(runs: dict[str, Run], name: str) -> None:
    stage = runs[name].stage
    assert stage["away_seconds"] >= LEAST
    assert stage["wall_seconds"] + stage["away_seconds"] <= runs[name].passed + 0.01


def test_what_went_on_while_the_runner_was_stopped_is_work(runs: dict[str, Run]) -> None:
    assert (runs["runner"].manifest["away_seconds"], "away_seconds" in runs["runner"].stage) == (0.0, False)
    assert runs["runner"].stage["wall_seconds"] >= STOPPED


def test_of_what_ended_unseen_the_least_is_known_and_said(runs: dict[str, Run]) -> None:
    run = runs["unseen"]
    assert (run.stage["complete"], run.manifest["usage"]["complete"]) == (False, False)
    assert "wall_seconds" in run.manifest["usage"]["lower_bounds"]
    assert run.stage["wall_seconds"] + run.stage["away_seconds"] <= run.passed + 0.01


def test_ctrl_z_stops_the_stages(runs: dict[str, Run]) -> None:
    assert runs["typed"].seen["stage"]


def test_a_stopped_run_is_said_to_be_stopped(runs: dict[str, Run]) -> None:
    seen = runs["typed"].seen["row"]
    assert (seen["status"], seen["stopped"]) == ("in_progress", True)


@pytest.mark.parametrize("name", ["alone", "runner", "both", "unseen", "typed"])
def test_a_run_that_was_stopped_succeeds(runs: dict[str, Run], name: str) -> None:
    assert runs[name].manifest["status"] == "succeeded"


def test_runs_that_were_stopped_pass_the_manifests_check(runs: dict[str, Run], place: Repo) -> None:
    checked = place.orchgate("check", "manifests", "--all-files")
    assert (checked.code, len(runs)) == (0, 5), checked.out


def test_hotspots_take_no_stop_for_waiting_or_recording(runs: dict[str, Run]) -> None:
    from orchgate.hotspots.timeline import Phase
    from orchgate.hotspots.timing import read

    told = read(str(runs["typed"].folder))
    assert told.seconds(Phase.AWAY) == pytest.approx(runs["typed"].manifest["away_seconds"], abs=0.01)
    assert told.worked_seconds == pytest.approx(runs["typed"].manifest["usage"]["wall_seconds"], abs=0.02)


# In a shell


class Shell:
    """bash on a terminal of its own."""

    def __init__(self, root: Path) -> None:
        environ = {**os.environ, "PS1": "", "TERM": "dumb"}
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(root)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environ)
        self.said = b""

    def type(self, text: bytes) -> None:
        os.write(self.terminal, text)

    def hear(self, text: bytes) -> None:
        """Waits until something was said since the last time."""

        def heard() -> bool:
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.said += os.read(self.terminal, 65536)
            return text in self.said

        until(heard)
        self.said = self.said.partition(text)[2]

    def close(self) -> None:
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@pytest.fixture
def shell(place: Repo) -> Iterator[Shell]:
    made = Shell(place.root)
    yield made
    made.close()


def test_a_shell_sees_a_run_stop_and_go_on(shell: Shell, place: Repo) -> None:
    shell.type(f"{ORCHGATE} run shell --task shell\n".encode())
    stage = stage_of(place.root, "shell")
    shell.type(b"\x1a")
    shell.hear(b"Stopped")
    stopped = suspended.stopped(stage)
    time.sleep(LEAST)
    shell.type(b"fg\n")
    let_go(place.root, "shell")
    shell.hear(b"away ")
    shell.hear(b"manifest: ")
    made = manifest(folder(place.root, "shell"))
    assert (made["status"], stopped, made["away_seconds"] >= LEAST) == ("succeeded", True, True)


def test_a_shell_sees_an_observed_program_stop_and_go_on(shell: Shell, place: Repo) -> None:
    os.mkfifo(place.root / "seen.pipe")
    shell.type(f"{ORCHGATE} observe --task seen -- sh -c '{WAITS.format('seen')}'\n".encode())
    stage_of(place.root, "seen")
    shell.type(b"\x1a")
    shell.hear(b"Stopped")
    time.sleep(LEAST)
    shell.type(b"fg\n")
    let_go(place.root, "seen")
    shell.hear(b"manifest: ")
    made = manifest(folder(place.root, "seen"))
    assert (made["status"], made["away_seconds"] >= LEAST) == ("succeeded", True)
    assert made["commands"][0]["usage"]["away_seconds"] >= LEAST


# Killed, and taken up hours later


@pytest.fixture(scope="module")
def killed(place: Repo) -> Run:
    child, _ = started(place.root, "killed")
    child.kill()
    child.communicate(timeout=PATIENCE)
    where = folder(place.root, "killed")
    earlier = [{**event, "at": ids.moment(ids.seconds(event["at"]) - HOURS)} for event in events(where)]
    (where / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in earlier))
    (place.root / "killed.pid").unlink()

    def go_on() -> None:
        stage_of(place.root, "killed")
        let_go(place.root, "killed")

    opener = threading.Thread(target=go_on)
    opener.start()
    result = place.orchgate("resume", where.name, "--task", "killed")
    opener.join()
    return Run(where, {"code": result.code, "out": result.out})


def test_a_resumed_run_took_as_long_as_somebody_worked_on_it(killed: Run) -> None:
    made = killed.manifest
    assert killed.seen["code"] == 0, killed.seen["out"]
    assert made["usage"]["wall_seconds"] < HOURS / 2
    assert made["away_seconds"] >= HOURS - 60


def test_what_a_killed_process_did_last_is_said_to_be_unknown(killed: Run) -> None:
    assert {"wall_seconds", "cpu_seconds"} <= killed.manifest["usage"]["lower_bounds"].keys()


def test_so_is_what_the_killed_attempt_of_a_stage_took(killed: Run) -> None:
    (stage,) = killed.manifest["commands"]
    assert {"wall_seconds", "cpu_seconds"} <= stage["usage"]["lower_bounds"].keys()


def test_people_are_told_how_long_nobody_worked(killed: Run) -> None:
    assert ", away 2 h" in killed.seen["out"]


def test_the_metrics_entry_keeps_both_apart(killed: Run) -> None:
    (entry,) = [json.loads(line) for line in (killed.folder.parent.parent / "metrics.json").read_text().splitlines()]
    assert (entry["wall_seconds"] < HOURS / 2, entry["away_seconds"] >= HOURS - 60) == (True, True)


def test_status_shows_working_time(killed: Run) -> None:
    shown: dict[str, Any] = row("killed", str(killed.folder))
    assert (shown["seconds"] < HOURS / 2, shown["away_seconds"] >= HOURS - 60) == (True, True)


# Measured


def test_a_measured_run_that_was_stopped_does_not_count(tmp_path: Path) -> None:
    from orchgate.runs.stages import Stage
    from orchgate.speed import sampling
    from orchgate.speed.sampling import Side

    serving.end()
    script = "echo $$ >> ran; test -e once || { touch once; kill -STOP $$; }"
    side = Side("head", "1" * 40, "2" * 40, str(tmp_path), str(tmp_path / "s"), (Stage("a", "a", shell=script),))

    def go_on() -> None:
        until((tmp_path / "once").exists)
        stage = int((tmp_path / "ran").read_text().split()[0])
        until(lambda: suspended.stopped(stage))
        time.sleep(0.2)
        os.kill(stage, signal.SIGCONT)

    helper = threading.Thread(target=go_on)
    helper.start()
    with sampling.open_harness([side], dict(os.environ)) as rig:
        ran = sampling.undisturbed(rig, side)
    helper.join()
    assert (ran.failure, len((tmp_path / "ran").read_text().split())) == (None, 2)


def test_a_clock_of_work_stands_still_while_everything_is_stopped() -> None:
    before, mark = working_time.now(), working_time.mark()
    working_time.leave_out(50.0)
    assert working_time.now() < before
    assert mark.disturbed


def test_a_long_wait_without_a_signal_proves_nothing() -> None:
    waits = suspended.Waits()
    waits.begin(0.0)
    sum(range(20_000_000))  # busy, as the machine may be with something else
    found = waits.over()
    waits.close()
    assert found is None


def test_a_signal_to_go_on_without_a_stop_proves_nothing() -> None:
    waits = suspended.Waits()
    waits.begin(60.0)
    waits.continued()
    found = waits.over()
    waits.close()
    assert found is None
