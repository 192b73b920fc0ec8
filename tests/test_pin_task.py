"""Pinning without naming artifacts: whose documents are meant, and who is asked before very much is pinned."""

from __future__ import annotations

import os
import pty
import subprocess

import pytest

from orchgate.cli import main
from orchgate.evidence import lock as locks
from orchgate.evidence.lock import parse
from tests.repo import ORCHGATE, Repo

START, SPEED = "0001-start", "0002-speed"


def plan(task: str, *files: str) -> str:
    return f"# ACTION_PLAN - {task}\n\n## Progress\n\n" + "".join(f"- [x] Done. Evidence: `{file}`\n" for file in files)


def path(task: str) -> str:
    return f"docs/ACTION_PLAN-{task[5:]}.md"


def pinned(repo: Repo) -> set[str]:
    there = repo.root / locks.PATH
    return set(parse(there.read_bytes()).pins) if there.exists() else set()


@pytest.fixture
def tasks(repo: Repo) -> Repo:
    """Two tasks, whose plans cite one artifact each, and a note that cites a third; all of it is committed."""
    repo.write(".gitignore", "/.runs/\n/out/\n")
    for task in (START, SPEED):
        repo.write(path(task), plan(task, f"out/{task}/log.txt"))
        repo.write(f"out/{task}/log.txt", task)
        repo.write(f"tasks/tasks-{task}.md", f"# Task Checklist - {task}\n")
    repo.write("docs/notes.md", "- [x] Seen. Evidence: `out/notes.txt`\n")
    repo.write("out/notes.txt")
    repo.git("add", "--all")
    repo.commit("two tasks")
    return repo


def test_a_named_task_pins_what_its_documents_cite(tasks: Repo) -> None:
    assert (main(["evidence", "pin", "--task", START]), pinned(tasks)) == (0, {f"out/{START}/log.txt"})


def test_where_nothing_is_cited_the_next_step_is_said(tasks: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.write(path(START), plan(START))

    assert (main(["evidence", "pin", "--task", START]), pinned(tasks)) == (0, set())
    assert "no document of the task cites a run" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("word", ["start", "0001"])
def test_a_task_is_named_by_its_slug_or_number_as_well(tasks: Repo, word: str) -> None:
    assert (main(["evidence", "pin", "--task", word]), pinned(tasks)) == (0, {f"out/{START}/log.txt"})


def test_the_branch_names_the_task(tasks: Repo) -> None:
    tasks.git("switch", "--quiet", "--create", f"task/{SPEED}")

    assert (main(["evidence", "pin"]), pinned(tasks)) == (0, {f"out/{SPEED}/log.txt"})


@pytest.mark.slow
def test_so_does_a_trailer_of_the_change(tasks: Repo) -> None:
    tasks.git("switch", "--quiet", "--create", "anything")
    tasks.commit(f"more\n\nTask: {SPEED}", {"code.py": "x = 1\n"})

    assert (main(["evidence", "pin"]), pinned(tasks)) == (0, {f"out/{SPEED}/log.txt"})


@pytest.mark.slow
def test_and_so_do_documents_that_are_being_changed(tasks: Repo) -> None:
    tasks.write(path(START), plan(START, f"out/{START}/log.txt") + "\nMore.\n")

    assert (main(["evidence", "pin"]), pinned(tasks)) == (0, {f"out/{START}/log.txt"})


@pytest.mark.slow
def test_the_only_task_in_work_is_meant(tasks: Repo) -> None:
    item = '{{"id": "{}", "slug": "{}", "title": "x", "status": "{}"}}'
    items = ", ".join(
        (item.format(START[:4], START[5:], "completed"), item.format(SPEED[:4], SPEED[5:], "in_progress"))
    )
    tasks.commit("list", {"tasks/index.json": f'{{"items": [{items}]}}\n'})

    assert (main(["evidence", "pin"]), pinned(tasks)) == (0, {f"out/{SPEED}/log.txt"})


@pytest.mark.slow
def test_where_several_may_be_meant_nothing_is_pinned(tasks: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["evidence", "pin"])

    assert (code, pinned(tasks), f"orchgate evidence pin --task {START}" in capsys.readouterr().err) == (2, set(), True)


def test_a_task_that_is_not_there_is_named_with_the_nearest(tasks: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["evidence", "pin", "--task", "0002-sped"])

    assert (code, f"unknown task 0002-sped; did you mean {SPEED}?" in capsys.readouterr().err) == (2, True)


@pytest.mark.slow
def test_all_documents_are_meant_where_that_is_said(tasks: Repo) -> None:
    main(["evidence", "pin", "--all"])

    assert pinned(tasks) == {f"out/{START}/log.txt", f"out/{SPEED}/log.txt", "out/notes.txt"}


@pytest.mark.slow
def test_pins_of_other_tasks_stay(tasks: Repo) -> None:
    main(["evidence", "pin", "--all"])
    main(["evidence", "pin", "--task", START])

    assert len(pinned(tasks)) == 3


@pytest.mark.slow
def test_checking_looks_at_all_documents(tasks: Repo) -> None:
    main(["evidence", "pin", "--task", START])

    assert main(["evidence", "pin", "--check"]) == 1


@pytest.mark.parametrize("words", [("--all", "--task", START), ("--all", "out/notes.txt"), ("--task", START, "out/x")])
def test_one_thing_says_what_is_pinned(tasks: Repo, words: tuple[str, ...]) -> None:
    assert main(["evidence", "pin", *words]) == 2


# Before very much is pinned


@pytest.fixture
def much(tasks: Repo) -> Repo:
    files = [f"out/{START}/{number:02}.txt" for number in range(21)]
    for file in files:
        tasks.write(file)
    tasks.write(path(START), plan(START, *files))
    return tasks


@pytest.mark.slow
def test_more_than_twenty_are_listed_and_not_pinned(much: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["evidence", "pin", "--task", START])
    said = capsys.readouterr()

    assert (code, pinned(much)) == (2, set())
    assert "21 artifacts would be pinned: 21 other artifacts" in said.out


@pytest.mark.slow
def test_the_command_to_go_on_is_said(much: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evidence", "pin"])

    assert "orchgate evidence pin --yes" in capsys.readouterr().err


@pytest.mark.slow
def test_whoever_says_yes_is_not_asked(much: Repo) -> None:
    assert (main(["evidence", "pin", "--task", START, "--yes"]), len(pinned(much))) == (0, 21)


@pytest.mark.slow
def test_what_is_named_is_pinned_without_a_question(much: Repo) -> None:
    names = sorted(str(file.relative_to(much.root)) for file in (much.root / "out" / START).iterdir())

    assert (main(["evidence", "pin", *names]), len(pinned(much))) == (0, 22)


@pytest.mark.slow
def test_what_is_pinned_already_asks_no_more(much: Repo) -> None:
    main(["evidence", "pin", "--yes"])

    assert main(["evidence", "pin"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "pins"), [(b"y\n", 21), (b"\n", 0)])
def test_on_a_terminal_somebody_is_asked(much: Repo, answer: bytes, pins: int) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    child = subprocess.Popen([ORCHGATE, "evidence", "pin"], cwd=much.root, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        while os.read(ours, 65536):
            pass
    except OSError:  # the other end is closed
        pass
    os.close(ours)

    assert (child.wait() == 0, len(pinned(much))) == (pins > 0, pins)
