"""A git that is older than what we call, or set up to use another hash."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.commands.playground.scratch import Scratch
from orchgate.errors import GitError
from orchgate.git.call import failed
from orchgate.git.repository import open_repository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

# Says its version, and of everything else that it does not know it; `rev-parse` repeats options that it does not know.
GIT = """\
#!/bin/sh
case "$*" in
--version) echo "git version {version}" ;;
*rev-parse*) printf 'false\\nfalse\\n--show-object-format\\n{root}/.git\\n{root}\\n' ;;
*) echo "unknown option: --no-write-fetch-head" >&2; echo "usage: git [--version]" >&2; exit 129 ;;
esac
"""


def old_git(monkeypatch: pytest.MonkeyPatch, folder: Path, root: Path, version: str) -> None:
    folder.mkdir()
    (folder / "git").write_text(GIT.format(version=version, root=root))
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_an_option_that_git_does_not_know_yet_is_put_down_to_its_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_git(monkeypatch, tmp_path / "bin", tmp_path, "2.28.0")

    assert str(failed(("fetch",), b"usage: git fetch")) == "orchgate needs git 2.29 or newer; this is git 2.28.0"


def test_an_option_that_a_new_git_refuses_is_reported_as_git_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_git(monkeypatch, tmp_path / "bin", tmp_path, "2.45.1")

    assert str(failed(("fetch",), b"error: unknown option `x'")) == "git fetch: unknown option `x'"


def test_a_repository_cannot_be_opened_with_an_old_git(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_git(monkeypatch, tmp_path / "bin", repo.root, "2.20.1")

    with pytest.raises(GitError, match=r"orchgate needs git 2\.29 or newer; this is git 2\.20\.1"):
        open_repository(str(repo.root), dict(os.environ))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"GIT_DEFAULT_HASH": "sha256"}, {"GIT_DEFAULT_REF_FORMAT": "reftable"}])
def test_a_play_ground_shows_its_history_whatever_git_makes_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    scratch = Scratch(str(tmp_path / "play"), os.environ)
    scratch.write("a.txt", "a\n")
    scratch.run("git", "add", "--all")
    scratch.run("git", "commit", "--quiet", "--message", "One thing")

    ((oid, subject),) = scratch.history()

    assert (len(oid), subject) == (7, "One thing")
