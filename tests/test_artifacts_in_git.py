"""Files of runs belong on disk and into pins, not into git: who puts them there is told once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from tests.support import checked

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

LOG = ".runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47/stages/01-build.log"


def told(*args: str) -> list[tuple[str, str, str]]:
    return [(one["rule"], one["severity"], one["message"]) for one in checked("evidence", *args)["diagnostics"]]


def test_artifacts_that_get_tracked_are_noted_once_a_folder(repo: Repo) -> None:
    for path in (LOG, LOG.replace("01", "02"), "out/0001-demo/state.json"):
        repo.stage(path, "{}\n")

    assert told("--staged") == [
        ("EVD015", "note", f"{LOG} and 1 more: run artifacts are being added to git"),
        ("EVD015", "note", "out/0001-demo/state.json: run artifacts are being added to git"),
    ]


def test_artifacts_that_git_tracks_already_are_not_noted(repo: Repo) -> None:
    repo.commit(files={LOG: "one\n"})
    repo.stage(LOG, "two\n")

    assert told("--staged") == []


def test_a_note_does_not_stop_the_commit(repo: Repo) -> None:
    repo.stage(LOG)

    assert checked("--staged", "evidence")["verdict"] == "pass"


# .gitignore


@pytest.mark.slow
def test_the_first_run_says_that_git_would_take_it(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": '[[pipelines.p.stages]]\nid = "a"\nrun = ["true"]\n'})

    first, second = (repo.orchgate("run", "p", "--task", "t").out for _ in range(2))

    assert ("orchgate init --gitignore" in first, "orchgate init --gitignore" in second) == (True, False)
    assert not (repo.root / ".gitignore").exists()


@pytest.mark.slow
def test_a_run_that_git_ignores_says_nothing_of_it(repo: Repo) -> None:
    stage = '[[pipelines.p.stages]]\nid = "a"\nrun = ["true"]\n'
    repo.commit(files={"orchgate.toml": stage, ".gitignore": "**/.runs\n"})

    assert "gitignore" not in repo.orchgate("run", "p", "--task", "t").out


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "/.runs/\n/out/\n"),
        ("build/", "build/\n/.runs/\n/out/\n"),
        ("build/\r\n", "build/\r\n/.runs/\r\n/out/\r\n"),
        (".runs\n", ".runs\n/out/\n"),
        ("/.runs/\nout/\n", "/.runs/\nout/\n"),
    ],
)
def test_on_request_gitignore_is_completed(repo: Repo, before: str | None, after: str) -> None:
    if before is not None:
        repo.write(".gitignore", before)

    assert main(["init", "--gitignore"]) == 0
    there = (repo.root / ".gitignore").read_bytes().decode()
    assert (there, set(os.listdir(repo.root))) == (after, {".git", ".gitignore"})


def test_a_folder_that_is_tracked_on_purpose_is_left_to_git(repo: Repo) -> None:
    repo.commit(files={"out/report.md": "# R\n"})
    main(["init", "--gitignore"])

    assert (repo.root / ".gitignore").read_text() == "/.runs/\n"


def test_a_gitignore_that_leads_outside_is_not_written(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    (repo.root / ".gitignore").symlink_to(tmp_path / "elsewhere")

    assert (main(["init", "--gitignore"]), (tmp_path / "elsewhere").read_text()) == (3, "")
