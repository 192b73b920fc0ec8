"""The mission's loop with real parts: run, summarize, pin, commit, push; then a clone that has never run anything."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.repo import ORCHGATE, PRE_COMMIT, Repo, clone
from tests.runs import Project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

TASK = "0001-demo"
PLAN = "docs/ACTION_PLAN-demo.md"
CHECKLIST = f"tasks/tasks-{TASK}.md"
LOCK = ".orchgate/evidence.lock"
HOOKS = f"""\
repos:
  - repo: local
    hooks:
      - id: orchgate
        name: orchgate
        entry: {ORCHGATE} check
        language: system
        pass_filenames: false
        always_run: true
        verbose: true
"""


class Clone:
    """A fresh clone of a repository whose evidence was pinned and pushed; it has no `.runs/`."""

    def __init__(self, repo: Repo, home: Path) -> None:
        self.repo = repo
        self._env = {"PRE_COMMIT_HOME": str(home)}

    def judge(self) -> tuple[int, str]:
        """What CI would say of what is staged here."""
        self.repo.git("add", "--all")
        done = self.repo.attempt(PRE_COMMIT, "run", "--all-files", env=self._env)
        return done.code, done.out

    def rewrite(self, path: str, pattern: str, replacement: str) -> None:
        text = (self.repo.root / path).read_text()
        changed, count = re.subn(pattern, replacement, text, count=1)
        assert count == 1, text
        self.repo.write(path, changed)


@pytest.fixture
def author(new_repo: Callable[[str], Repo], tmp_path: Path) -> Repo:
    """Somebody's clone in which the loop has been walked."""
    seed = new_repo("seed")
    seed.commit("start", {".gitignore": ".runs/\nout/\n", ".pre-commit-config.yaml": HOOKS})
    repo = clone(clone(seed, tmp_path / "remote.git", "--bare"), tmp_path / "author")
    project = Project(repo)
    project.define("diagnostics", {"id": "work", "run": ["true"]})
    repo.orchgate("new", "demo", "--task", TASK)
    for _ in range(2):
        assert project.run("diagnostics").code == 0
    before, after = (folder.name for folder in project.folders())
    manifest = f".runs/{TASK}/cli/{after}/manifest.json"
    with (repo.root / CHECKLIST).open("a") as checklist:
        checklist.write(f"- [x] Diagnostics pass. Evidence: `{manifest}`\n")
    assert repo.orchgate("evidence", "summarize", "--task", TASK, "--before", before, "--after", after).code == 0
    assert repo.orchgate("evidence", "pin").code == 0
    repo.git("add", "--all")
    repo.commit("evidence")
    pushed = repo.orchgate("evidence", "push")
    assert pushed.code == 0, pushed.out
    repo.git("push", "--quiet", "--no-verify")
    return repo


@pytest.fixture
def fresh(author: Repo, tmp_path: Path) -> Clone:
    made = clone(Repo(tmp_path / "remote.git"), tmp_path / "fresh")
    assert not (made.root / ".runs").exists()
    return Clone(made, tmp_path / "pre-commit")


def test_a_clone_that_never_ran_anything_passes(fresh: Clone) -> None:
    code, out = fresh.judge()

    assert (code, "6 pins" in out) == (0, True), out


def test_an_edited_number_is_caught(fresh: Clone) -> None:
    fresh.rewrite(PLAN, r"(\| wall time +\| +)[0-9.]+ s", r"\g<1>9.999 s")

    code, out = fresh.judge()
    assert (code, "EVD011 wall time, before: says 9.999 s" in out) == (1, True), out


def test_an_edited_byte_of_an_artifact_is_caught(fresh: Clone) -> None:
    assert fresh.repo.orchgate("evidence", "fetch").code == 0
    manifest = next(fresh.repo.root.glob(f".runs/{TASK}/cli/*/manifest.json"))
    manifest.write_bytes(manifest.read_bytes().replace(b'"diagnostics"', b'"diagnostica"', 1))

    code, out = fresh.judge()
    assert (code, "EVD008" in out) == (1, True), out


def test_an_edited_status_is_caught(fresh: Clone) -> None:
    fresh.rewrite(LOCK, r'(?s)(.*)"status": "succeeded"', r'\1"status": "failed"')  # of the run after the change

    code, out = fresh.judge()
    assert (code, "EVD007" in out) == (1, True), out


def test_an_edited_link_is_caught(fresh: Clone) -> None:
    fresh.rewrite(CHECKLIST, r"Z-[0-9a-f]{8}/manifest", "Z-00000000/manifest")

    code, out = fresh.judge()
    assert (code, "EVD001" in out) == (1, True), out


def test_an_edited_hash_is_caught(fresh: Clone) -> None:
    fresh.rewrite(LOCK, r'("sha256": ")[0-9a-f]{4}', r"\g<1>")

    code, out = fresh.judge()
    assert (code, "expected 64 hexadecimal digits" in out) == (1, True), out  # pre-commit itself exits 1, whatever ours


def test_a_reviewer_clicks_through(fresh: Clone) -> None:
    link = re.search(r"`(\.runs/[^`]+)`", (fresh.repo.root / CHECKLIST).read_text())
    assert link
    assert "neither" not in fresh.repo.orchgate("evidence", "fetch").out
    shutil.rmtree(fresh.repo.root / ".runs")

    assert json.loads(fresh.repo.orchgate("evidence", "show", link[1]).out)["status"] == "succeeded"
