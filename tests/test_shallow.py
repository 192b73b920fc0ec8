"""A clone whose history is cut off never passes because the base it found is the commit itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from tests.repo import Repo, clone

if TYPE_CHECKING:
    from pathlib import Path

BUDGET = ["check", "diff-budget"]


@pytest.fixture
def source(repo: Repo) -> Repo:
    """Two commits on main, and a branch with a commit that changes no file."""
    repo.commit("base", {"a.txt": "a\n"})
    repo.commit("next", {"b.txt": "b\n"})
    repo.git("checkout", "--quiet", "-b", "empty")
    repo.commit("nothing but words")
    repo.git("checkout", "--quiet", "main")
    return repo


def cut(source: Repo, root: Path, *options: str) -> Repo:
    """A clone of some depth: git cuts only what it is given as a URL."""
    made = Repo(root)
    source.git("clone", "--quiet", "--template=", *options, f"file://{source.root}", str(root))
    return made


@pytest.mark.parametrize("flags", [[], ["--all-files"]], ids=str)
def test_one_commit_of_the_default_branch_could_not_be_checked(
    source: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    monkeypatch.chdir(cut(source, tmp_path / "clone", "--depth=1").root)

    assert main([*BUDGET, *flags]) == 3


def test_it_says_what_brings_the_rest(
    source: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = cut(source, tmp_path / "clone", "--depth=1")
    monkeypatch.chdir(made.root)
    main(BUDGET)

    said = capsys.readouterr().out
    assert ("git fetch --unshallow" in said, f"ends at {made.git('rev-parse', 'HEAD')[:12]}" in said) == (True, True)


def test_a_change_made_in_such_a_clone_is_judged(source: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cut(source, tmp_path / "clone", "--depth=1")
    made.stage("c.txt")
    monkeypatch.chdir(made.root)

    assert main(BUDGET) == 0


def test_a_whole_clone_without_a_change_passes(source: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone(source, tmp_path / "clone").root)

    assert main(BUDGET) == 0


def test_a_commit_without_a_change_passes_where_its_base_is_there(
    source: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cut(source, tmp_path / "clone", "--depth=2", "--no-single-branch")
    made.git("checkout", "--quiet", "empty")
    monkeypatch.chdir(made.root)

    assert main(BUDGET) == 0
