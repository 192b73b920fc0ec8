"""A run's folder appears with its first event: no kill leaves a folder that nobody can take up again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchgate.lib import files
from orchgate.runner import writer
from orchgate.runs import ids
from orchgate.runs.ids import Clock
from tests.journals import events_of
from tests.manifest_samples import own
from tests.runs import TASK, Project, events, stop, until

if TYPE_CHECKING:
    from orchgate.runner.writer import Recorder
    from tests.repo import Repo, Result

pytestmark = pytest.mark.slow

# Runs a command line and dies at the n-th step that makes, opens or renames something below .runs/.
DIES = """
import os, signal, sys
left = int(sys.argv[1])
def watch(event, args):
    global left
    if event in ("os.mkdir", "open", "os.rename", "os.rmdir") and ".runs/" in str(args[0]):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
from orchgate.cli import main
sys.addaudithook(watch)
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def project(repo: Repo) -> Project:
    repo.write(".git/info/exclude", ".runs/\n")
    made = Project(repo)
    made.define("inner", {"id": "one", "run": ["true"]})
    made.define("demo", {"id": "one", "run": ["true"]}, {"id": "call", "pipeline": "inner", "needs": ["one"]})
    return made


COMMANDS = {
    "run": ("run", "demo", "--task", TASK),
    "rlm": ("rlm", "--goal", "g", "--agent", "true", "--validator", "true", "--task", TASK),
    "observe": ("observe", "--task", TASK, "--", "true"),
}


def dies(project: Project, step: int, verb: str) -> Result:
    return project.repo.attempt(sys.executable, "-c", DIES, str(step), *COMMANDS[verb])


def aside(project: Project) -> Path:
    return project.root / ".runs" / TASK / ".new"


def test_whenever_the_runner_dies_every_folder_is_one_that_has_begun(project: Project) -> None:
    step = 1
    codes: list[int] = []
    while not codes or codes[-1] == -signal.SIGKILL:
        codes.append(dies(project, step, "run").code)
        assert all(events(folder)[0]["event"] == "run" for folder in project.folders()), step
        step += 1
    assert (len(codes) > 10, codes[-1], aside(project).exists()) == (True, 0, False)


@pytest.mark.parametrize(("verb", "code"), [("run", 0), ("rlm", 0), ("observe", 3)])
def test_a_run_that_died_while_it_appeared_has_begun(project: Project, verb: str, code: int) -> None:
    step = 1
    while not project.folders():
        assert dies(project, step, verb).code == -signal.SIGKILL
        step += 1
    argv = ("rlm", "--resume") if verb == "rlm" else ("resume",)
    assert project.repo.orchgate(*argv, project.folders()[0].name).code == code


def test_a_called_run_that_died_before_it_appeared_leaves_nothing_that_is_not_there(project: Project) -> None:
    step = 1
    while not any(b'"child"' in (folder / "events.jsonl").read_bytes() for folder in project.folders()):
        shutil.rmtree(project.root / ".runs", ignore_errors=True)
        assert dies(project, step, "run").code == -signal.SIGKILL
        step += 1
    assert len(project.folders()) == 1
    project.repo.orchgate("resume", project.folders()[0].name)
    assert (len(project.folders()), project.repo.orchgate("check", "manifests", "--all-files").code) == (2, 0)


@pytest.fixture
def begun(project: Project) -> Recorder:
    """A run of this process that has not begun yet."""
    return writer.create(str(project.root), TASK, Clock(), lambda *_: None)


def test_what_is_recorded_together_is_on_disk_before_anybody_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    to_disk = files.sync_content

    def noted(descriptor: int, path: str) -> None:
        to_disk(descriptor, path)
        order.append("disk")

    monkeypatch.setattr(files, "sync_content", noted)
    recorder = writer.create(str(project.root), TASK, Clock(), lambda _, event: order.append(event["event"]))
    with contextlib.closing(recorder):
        recorder.begin(next(iter(events_of(own()))))
        with recorder.together():
            recorder.record({"event": "skip", "stages": [], "status": "skipped", "detail": None}, sync=True)
            recorder.record({"event": "tree", "git": None})
            assert order == ["run"]
        recorder.record({"event": "tree", "git": None})
        with contextlib.suppress(KeyboardInterrupt), recorder.together():
            recorder.record({"event": "resume", "reason": "", "process": None, "git": None}, sync=True)
            raise KeyboardInterrupt
    told = ["run", "skip", "tree", "tree", "resume"]

    assert order == ["run", "disk", "skip", "tree", "tree", "disk", "resume"]
    assert [event["event"] for event in events(Path(recorder.folder))] == told


def test_what_has_not_begun_is_no_run(project: Project, begun: Recorder) -> None:
    assert (list(ids.all_runs(str(project.root))), "no runs here" in project.repo.orchgate("status").out) == ([], True)


def test_nobody_sweeps_what_is_about_to_begin(project: Project, begun: Recorder) -> None:
    project.run("inner")
    assert os.listdir(aside(project)) == [begun.run_id]


def test_what_never_began_is_gone_when_it_is_closed(project: Project, begun: Recorder) -> None:
    begun.close()
    assert not aside(project).exists()


@pytest.mark.parametrize("journal", [True, False], ids=["with a journal", "without one"])
def test_what_a_dead_runner_left_is_swept_by_the_next_run(project: Project, journal: bool) -> None:
    left = aside(project) / "2026-01-01T00-00-00-000Z-00000001"
    left.mkdir(parents=True)
    if journal:
        (left / "events.jsonl").write_text('{"event":"ru')
    project.run("inner")
    assert not aside(project).exists()


def test_a_stranger_s_file_there_stays(project: Project) -> None:
    aside(project).mkdir(parents=True)
    (aside(project) / "notes").write_text("x")
    assert (project.run("inner").code, os.listdir(aside(project))) == (0, ["notes"])


def test_nothing_begins_behind_a_link(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    aside(project).parent.mkdir(parents=True)
    aside(project).symlink_to(tmp_path / "elsewhere")
    assert (project.run("inner").code, os.listdir(tmp_path / "elsewhere")) == (3, [])


def test_nobody_is_kept_waiting_by_a_named_pipe_there(project: Project) -> None:
    aside(project).parent.mkdir(parents=True)
    os.mkfifo(aside(project))
    assert project.run("inner").code == 3


def test_a_sweeper_waits_for_nobody(project: Project) -> None:
    aside(project).mkdir(parents=True)
    lock = os.open(aside(project), os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_SH)  # somebody is making a folder there
    assert project.run("inner").code == 0
    os.close(lock)


def test_many_at_once_all_begin(project: Project) -> None:
    made: list[str] = []

    def one() -> None:
        for _ in range(25):
            recorder = writer.create(str(project.root), TASK, Clock(), lambda *_: None)
            made.append(recorder.run_id)
            recorder.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(set(made)), aside(project).exists()) == (100, False)


def test_runs_of_the_same_millisecond_have_folders_of_their_own(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Clock, "now", lambda _: 1767225600.0)
    names = {writer.create(str(project.root), TASK, Clock(), lambda *_: None).run_id for _ in range(3)}
    assert len(names) == 3


def test_the_watch_dog_of_a_killed_run_holds_the_journal_that_is_resumed(project: Project) -> None:
    project.define("long", {"id": "one", "shell": "trap '' TERM; test -e .runs/go || sleep 60"})
    child = project.start("long")
    until(project.folders)
    until(lambda: b'"start"' in (project.folders()[0] / "events.jsonl").read_bytes())
    stop(child, signal.SIGKILL)
    project.repo.write(".runs/go")
    assert project.repo.orchgate("resume", project.folders()[0].name).code == 0


def test_a_full_disk_leaves_nothing_that_never_began(project: Project) -> None:
    import resource

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    argv = [sys.executable, "-B", "-c", DIES, "1000000", *COMMANDS["run"]]
    child = subprocess.run(argv, cwd=project.root, capture_output=True, check=False, preexec_fn=limited)
    assert (child.returncode, project.folders(), aside(project).exists()) == (3, [], False)
