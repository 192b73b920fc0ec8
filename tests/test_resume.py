"""`orchgate resume`: what was done stays done, the rest is done again, and the record tells both."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.runs import TASK, Project, events, manifest, stop, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo, Result

pytestmark = pytest.mark.slow


@pytest.fixture
def project(repo: Repo) -> Project:
    return Project(repo)


@pytest.fixture
def killed(project: Project) -> Project:
    """A run of three stages, killed in its second one; taken up again, that one ends at once."""
    project.define(
        "demo",
        {"id": "first", "shell": "echo x >> first-ran"},
        {"id": "second", "shell": "echo up; test -e go || sleep 60", "needs": ["first"]},
        {"id": "third", "run": ["true"], "needs": ["second"]},
    )
    child = project.start()
    project.wait_for_output(b"up")
    stop(child, signal.SIGKILL)
    (project.root / "go").touch()
    return project


def resume(project: Project, run: str = "latest", *options: str) -> Result:
    return project.repo.orchgate("resume", run, "--task", TASK, *options)


def test_a_killed_run_goes_on_to_its_end(killed: Project) -> None:
    assert (resume(killed).code, killed.manifest()["status"]) == (0, "succeeded")


def test_stages_that_succeeded_do_not_run_again(killed: Project) -> None:
    resume(killed)
    assert (killed.root / "first-ran").read_text() == "x\n"


def test_the_interrupted_stage_has_a_new_attempt(killed: Project) -> None:
    resume(killed)
    attempts = killed.stages()["second"]["attempts"]
    assert [(attempt["number"], attempt["status"]) for attempt in attempts] == [(1, "cancelled"), (2, "succeeded")]


def test_an_interruption_is_not_a_flake(killed: Project) -> None:
    resume(killed)
    assert killed.manifest()["flaky"] == []


def test_that_the_run_was_taken_up_is_recorded(killed: Project) -> None:
    resume(killed)
    (event,) = killed.manifest()["resume_events"]
    assert (event["reason"], event["outcome"]) == ("the run was abandoned", "accepted")


def test_a_resumed_run_stays_in_its_folder(killed: Project) -> None:
    resume(killed)
    assert len(killed.folders()) == 1


def test_a_resumed_run_passes_the_manifests_check(killed: Project) -> None:
    resume(killed)
    checked = killed.repo.orchgate("check", "manifests", "--all-files")
    assert checked.code == 0, checked.out


def test_a_resumed_run_has_one_entry_which_says_so(killed: Project) -> None:
    resume(killed)
    assert [(entry["status"], entry["resumes"]) for entry in killed.entries()] == [("succeeded", 1)]


def test_a_run_is_found_by_its_manifest_s_path(killed: Project) -> None:
    assert resume(killed, str(killed.folders()[0] / "manifest.json")).code == 0


def test_a_run_that_succeeded_is_left_alone(killed: Project) -> None:
    resume(killed)
    before = (killed.folders()[0] / "events.jsonl").read_bytes()
    assert resume(killed).code == 0
    assert (killed.folders()[0] / "events.jsonl").read_bytes() == before


def test_a_run_whose_manifest_was_never_finished_gets_it(killed: Project) -> None:
    resume(killed)
    path = killed.folders()[0] / "manifest.json"
    path.write_text(
        path.read_text().replace(
            '"status": "succeeded",\n  "status_detail": null,\n  "st',
            '"status": "in_progress",\n  "status_detail": null,\n  "st',
        )
    )
    (killed.root / ".runs" / TASK / "metrics.json").unlink()
    resume(killed)
    assert (killed.manifest()["status"], len(killed.entries())) == ("succeeded", 1)


def test_a_run_that_is_alive_is_never_taken_over(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "echo up; sleep 60"})
    child = project.start()
    project.wait_for_output(b"up")
    result = resume(project)
    stop(child, signal.SIGTERM)
    assert (result.code, "still running" in result.out) == (3, True)


def test_a_cancelled_run_can_be_taken_up(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "echo up; test -e go || sleep 60"})
    child = project.start()
    project.wait_for_output(b"up")
    stop(child, signal.SIGTERM)
    (project.root / "go").touch()
    assert (resume(project).code, [entry["status"] for entry in project.entries()]) == (0, ["cancelled", "succeeded"])


def test_a_failed_run_can_be_taken_up(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "test -e go"}, {"id": "two", "run": ["true"], "needs": ["one"]})
    project.run()
    (project.root / "go").touch()
    assert (resume(project).code, project.stages()["two"]["status"]) == (0, "succeeded")


def test_a_run_of_another_tree_is_refused(killed: Project) -> None:
    killed.repo.commit("other", {"new.txt": "x\n"})
    result = resume(killed)
    assert (result.code, "the run cannot be resumed" in result.out) == (3, True)


def test_a_run_of_a_changed_pipeline_is_refused(killed: Project) -> None:
    path = killed.root / "orchgate.toml"
    path.write_text(path.read_text().replace('"true"', '"false"'))
    assert "has changed since the run began" in resume(killed).out


def test_files_that_were_dirty_at_either_time_make_it_dirty(killed: Project) -> None:
    path = killed.root / "orchgate.toml"
    path.write_text(path.read_text() + "# changed\n")
    resume(killed)
    assert killed.manifest()["git"]["dirty"] is True


def test_an_unfinished_last_line_is_kept_aside_and_reported(killed: Project) -> None:
    journal = killed.folders()[0] / "events.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"event":"end","stage":2,"status":"succ')
    assert resume(killed).code == 0
    assert b'{"event":"end","stage":2,"status":"succ\x18\n{' in journal.read_bytes()
    assert "unfinished lines in the journal" in killed.manifest()["resume_events"][0]["detail"]


def test_a_whole_event_without_its_line_break_never_happened(killed: Project) -> None:
    from orchgate.runs import journal

    path = killed.folders()[0] / "events.jsonl"
    before = len(events(killed.folders()[0]))
    with path.open("ab") as file:
        file.write(json.dumps({"event": "finish", "at": "2026-01-01T00:00:00.000Z"}).encode())
    resume(killed)
    recorded = journal.read(str(path))
    assert (recorded.events[before]["event"], len(recorded.torn)) == ("resume", 1)


def test_a_damaged_journal_is_refused_with_its_line(killed: Project) -> None:
    path = killed.folders()[0] / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "garbage\n", *lines[1:]]))
    result = resume(killed)
    assert (result.code, "line 2 is not JSON" in result.out) == (3, True)


def test_an_unknown_run_is_a_usage_error(project: Project) -> None:
    assert resume(project, "2026-01-01T00-00-00-000Z-00000000").code == 2


def test_the_called_run_is_taken_up_with_its_caller(project: Project) -> None:
    project.define(
        "inner",
        {"id": "a", "shell": "echo x >> ran"},
        {"id": "b", "shell": "echo up; test -e go || sleep 60", "needs": ["a"]},
    )
    project.define("demo", {"id": "call", "pipeline": "inner"})
    child = project.start()
    project.wait_for_output(b"up")
    stop(child, signal.SIGKILL)
    (project.root / "go").touch()
    outer = project.folders()[0].name
    assert resume(project, outer).code == 0
    assert ((project.root / "ran").read_text(), [manifest(f)["status"] for f in project.folders()]) == (
        "x\n",
        ["succeeded"] * 2,
    )
    assert project.repo.orchgate("check", "manifests", "--all-files").code == 0


def test_a_called_run_is_not_taken_up_alone(project: Project) -> None:
    project.define("inner", {"id": "a", "run": ["false"]})
    project.define("demo", {"id": "call", "pipeline": "inner"})
    project.run()
    result = resume(project, project.folders()[1].name)
    assert (result.code, project.folders()[0].name in result.out) == (3, True)


def test_of_two_that_take_up_a_run_one_wins(killed: Project) -> None:
    import subprocess

    from tests.repo import ORCHGATE

    argv = [ORCHGATE, "resume", killed.folders()[0].name]
    children = [
        subprocess.Popen(argv, cwd=killed.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)
    ]
    codes = sorted(child.wait() for child in children)
    assert codes[0] == 0
    assert set(codes) <= {0, 3}
    assert [event["event"] for event in events(killed.folders()[0])].count("finish") == 1


def test_a_run_killed_before_its_first_event_is_refused_clearly(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()
    (project.folders()[0] / "events.jsonl").write_text("")
    result = resume(project)
    assert (result.code, "the run never began" in result.out) == (3, True)


def test_a_run_can_be_killed_and_taken_up_again_and_again(killed: Project) -> None:
    (killed.root / "go").unlink()
    import subprocess

    from tests.repo import ORCHGATE

    for _ in range(2):
        log = killed.folders()[0] / "stages" / "02-second.log"
        before = log.read_bytes().count(b"up")
        child = subprocess.Popen(
            [ORCHGATE, "resume", "latest"], cwd=killed.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        until(lambda: log.read_bytes().count(b"up") > before)  # noqa: B023 -- called before the next round
        stop(child, signal.SIGKILL)
    (killed.root / "go").touch()
    assert resume(killed).code == 0
    assert [attempt["status"] for attempt in killed.stages()["second"]["attempts"]] == ["cancelled"] * 3 + ["succeeded"]


def test_the_path_of_a_run_elsewhere_is_refused(killed: Project, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy" / TASK / "cli" / killed.folders()[0].name
    shutil.copytree(killed.folders()[0], copy)
    assert resume(killed, str(copy / "manifest.json")).code == 3
