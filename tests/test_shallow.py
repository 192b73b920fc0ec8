"""A clone whose history is cut off never passes because the base it found is the commit itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from tests.repo import ORCHGATE, Repo, clone

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Result

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


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["--all-files"]], ids=str)
def test_one_commit_of_the_default_branch_could_not_be_checked(
    source: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    monkeypatch.chdir(cut(source, tmp_path / "clone", "--depth=1").root)

    assert main([*BUDGET, *flags]) == 3


@pytest.mark.slow
def test_it_says_what_brings_the_rest(
    source: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = cut(source, tmp_path / "clone", "--depth=1")
    monkeypatch.chdir(made.root)
    main(BUDGET)

    said = capsys.readouterr().out
    assert ("git fetch --unshallow" in said, f"ends at {made.git('rev-parse', 'HEAD')[:12]}" in said) == (True, True)


@pytest.mark.slow
def test_a_change_made_in_such_a_clone_is_judged(source: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cut(source, tmp_path / "clone", "--depth=1")
    made.stage("c.txt")
    monkeypatch.chdir(made.root)

    assert main(BUDGET) == 0


@pytest.mark.slow
def test_a_whole_clone_without_a_change_passes(source: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone(source, tmp_path / "clone").root)

    assert main(BUDGET) == 0


def cut_off(source: Repo, root: Path, branch: str = "topic") -> Repo:
    """A clone of one commit of main with a branch that is cut off as well, so that nothing connects the two."""
    source.git("checkout", "--quiet", "-b", branch)
    source.commit("more", {"c.txt": "c\n"})
    source.git("checkout", "--quiet", "main")
    made = cut(source, root, "--depth=1")
    made.git("fetch", "--quiet", "--depth=1", "origin", f"{branch}:refs/heads/{branch}")
    made.git("checkout", "--quiet", branch)
    made.commit("yet more", {"d.txt": "d\n"})
    return made


def pushed(repo: Repo, branch: str = "topic") -> Result:
    """What the pre-push hook says of a branch that is new to the remote."""
    line = f"refs/heads/{branch} {repo.git('rev-parse', branch)} refs/heads/{branch} {'0' * 40}\n"
    return repo.attempt("sh", "-c", f"printf '{line}' | {ORCHGATE} hook pre-push origin x")


@pytest.mark.slow
def test_a_cut_off_branch_is_not_a_history_of_its_own(source: Repo, tmp_path: Path) -> None:
    source.commit("configure", {"orchgate.toml": 'orphan-branches = ["topic"]\n'})
    made = cut_off(source, tmp_path / "clone")

    told = pushed(made)

    assert (told.code, "git fetch --unshallow" in told.out) == (3, True), told.out


@pytest.mark.slow
def test_a_cut_off_branch_is_not_a_first_push(source: Repo, tmp_path: Path) -> None:
    made = cut_off(source, tmp_path / "clone")
    for ref in made.git("for-each-ref", "--format=%(refname)", "refs/remotes").split():
        made.git("update-ref", "--no-deref", "-d", ref)

    told = pushed(made)

    assert (told.code, "git fetch --unshallow" in told.out) == (3, True), told.out


@pytest.mark.slow
def test_a_single_commit_whose_parent_is_cut_off_could_not_be_checked(source: Repo, tmp_path: Path) -> None:
    told = cut(source, tmp_path / "clone", "--depth=1").orchgate("check", "--commit", "HEAD", "diff-budget")

    assert (told.code, "git fetch --unshallow" in told.out, "is not here" in told.out) == (3, True, True), told.out


@pytest.mark.slow
def test_a_commit_without_a_change_passes_where_its_base_is_there(
    source: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cut(source, tmp_path / "clone", "--depth=2", "--no-single-branch")
    made.git("checkout", "--quiet", "empty")
    monkeypatch.chdir(made.root)

    assert main(BUDGET) == 0
