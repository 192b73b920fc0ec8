"""`orchgate init` under the hook runners that people have, as they run them: what is refused, what lands, and where.

Each story starts in a repository that its runner serves already, with a hook of somebody else's.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.repo import Repo, clone, init

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
HUSKY = "husky@9"
LINES = "line\n" * 900  # more than a change may have


class Story(NamedTuple):
    """A runner: its files with a hook of its own, the command that a clone needs, and whether it sees every ref."""

    files: Mapping[str, str]
    install: Callable[[], tuple[str, ...]]
    every_ref: bool = True
    config: str = ""


@functools.cache
def husky() -> str:
    """husky's program, from npm; "" where that is not to be had. Fetched once for all tests, of all processes."""
    npm, node = shutil.which("npm"), shutil.which("node")
    folder = Path(tempfile.gettempdir()) / f"orchgate-tests-husky-{os.getuid()}"
    program = folder / "node_modules" / "husky" / "bin.js"
    if npm and node and not program.exists():
        own = Path(tempfile.mkdtemp())
        subprocess.run([npm, "install", "--prefix", str(own), HUSKY], capture_output=True, check=False, timeout=300)
        if (own / "node_modules" / "husky" / "bin.js").exists():
            with contextlib.suppress(OSError):  # another process was faster
                own.rename(folder)
        shutil.rmtree(own, ignore_errors=True)
    return str(program) if node and program.exists() else ""


OTHERS = """\
# ours
repos:
  - repo: local
    hooks:
      - id: theirs   # says so
        name: theirs
        entry: sh -c 'echo theirs >> "$(git rev-parse --git-common-dir)/theirs"'
        language: system
        always_run: true
        pass_filenames: false
"""
PREK = """\
# ours
[[repos]]
repo = "local"
hooks = [{ id = "theirs", name = "theirs", entry = "git --version", language = "system", pass_filenames = false }]
"""
STORIES = {
    "pre-commit": Story(
        {".pre-commit-config.yaml": OTHERS}, lambda: (str(BIN / "pre-commit"), "install"), every_ref=False
    ),
    "prek": Story({"prek.toml": PREK}, lambda: (str(BIN / "prek"), "install"), every_ref=False),
    "lefthook": Story(
        {"lefthook.yml": "# ours\npre-push:\n  commands:\n    theirs:\n      run: 'true'\n"},
        lambda: (str(BIN / "lefthook"), "install"),
    ),
    "husky": Story(
        {".husky/pre-commit": "true", ".husky/pre-push": "cat > .git/refs-pushed\n"}, lambda: ("node", husky())
    ),
    "git": Story({".hooks/pre-commit": "#!/bin/sh\ntrue\n"}, lambda: ("git", "config", "core.hooksPath", ".hooks")),
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name, folder in (("HOME", home), ("PRE_COMMIT_HOME", home / "pre-commit"), ("PREK_HOME", home / "prek")):
        monkeypatch.setenv(name, str(folder))
    home.mkdir()
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")


def story(name: str) -> Story:
    if name == "husky" and not husky():
        pytest.skip("husky is not here: it takes node, npm and its registry")
    if name in ("prek", "lefthook") and not (BIN / name).exists():
        pytest.skip(f"{name} is not installed beside this Python")
    return STORIES[name]


def adopted(name: str, tmp_path: Path) -> Repo:
    """A repository of a runner's that took up the gate, with what it wrote committed and pushed through the hooks."""
    told = story(name)
    init(tmp_path / "origin.git", "--bare")
    repo = clone(Repo(tmp_path / "origin.git"), tmp_path / "repo")
    repo.commit("base", {"a.txt": "a\n", **told.files})
    for path in told.files:
        if path.startswith("."):
            (repo.root / path).chmod(0o755)
    installed = repo.attempt(*told.install())
    assert installed.code == 0, installed.out
    made = repo.orchgate("init")
    assert made.code == 0, made.out
    repo.git("add", "--all")
    landed = repo.attempt("git", "commit", "-m", "Adopt the gate")
    assert landed.code == 0, landed.out
    pushed = repo.attempt("git", "push", "-u", "origin", "main")
    assert pushed.code == 0, pushed.out
    return repo


def large(repo: Repo, name: str) -> None:
    repo.stage(name, LINES)


def head(repo: Repo) -> str:
    return repo.git("log", "-1", "--format=%s")


@pytest.mark.parametrize("name", STORIES)
def test_everything_goes_through_the_gate_until_it_is_taken_out(name: str, tmp_path: Path) -> None:
    repo = adopted(name, tmp_path)
    commits_and_merges(repo)
    pushes(repo, every_ref=STORIES[name].every_ref)
    colleague = elsewhere(repo, name, tmp_path)
    for other in (repo, colleague):  # with a record of what was there before, and without
        removed = other.orchgate("init", "--remove")
        left = {path: (other.root / path).read_text() for path in STORIES[name].files}
        assert (removed.code, left) == (0, dict(STORIES[name].files)), removed.out


def commits_and_merges(repo: Repo) -> None:
    large(repo, "large.txt")
    refused = repo.attempt("git", "commit", "-m", "Large")
    assert (refused.code != 0, "DIF001" in refused.out, head(repo)) == (True, True, "Adopt the gate"), refused.out
    excused = repo.attempt("git", "commit", "-m", "Large\n\nDiff-Budget-Override: a fixture")
    assert (excused.code, head(repo)) == (0, "Large"), excused.out
    large(repo, "larger.txt")
    amended = repo.attempt("git", "commit", "--amend", "-m", "Larger")
    assert (amended.code != 0, head(repo)) == (True, "Large"), amended.out
    repo.git("reset", "--quiet", "--hard", "HEAD~")

    repo.git("checkout", "-q", "-b", "side")
    repo.commit("b", {"b.txt": "b\n"})
    repo.git("checkout", "-q", "main")
    merged = repo.attempt("git", "merge", "--no-ff", "-m", "Merge side", "side")
    assert (merged.code, head(repo)) == (0, "Merge side"), merged.out


def pushes(repo: Repo, *, every_ref: bool) -> None:
    repo.git("checkout", "-q", "-b", "wide", "main")
    repo.commit("Past the hooks", {"large.txt": LINES})  # --no-verify
    alone = repo.attempt("git", "push", "origin", "wide")
    assert (alone.code != 0, "DIF001" in alone.out) == (True, True), alone.out
    # pre-commit and prek hand on the first ref of a push only.
    both = repo.attempt("git", "push", "origin", "main", "wide")
    assert not every_ref or (both.code != 0, repo.git("ls-remote", "origin", "wide")) == (True, ""), both.out
    assert repo.attempt("git", "push", "origin", "main").code == 0
    repo.git("checkout", "-q", "main")


def elsewhere(repo: Repo, name: str, tmp_path: Path) -> Repo:
    """Commits in a linked work tree, and in a colleague's clone, which is returned."""
    repo.git("worktree", "add", "-q", "-b", "linked", "../linked")
    linked = Repo(tmp_path / "linked")
    if name == "husky":  # what it generates is in no commit, so each work tree generates its own
        linked.attempt(*STORIES[name].install())
    colleague = clone(Repo(tmp_path / "origin.git"), tmp_path / "colleague")
    installed = colleague.attempt(*STORIES[name].install())
    assert installed.code == 0, installed.out
    for other in (linked, colleague):
        large(other, "large.txt")
        refused = other.attempt("git", "commit", "-m", "Large")
        assert (refused.code != 0, "DIF001" in refused.out) == (True, True), refused.out
    missing = colleague.attempt("git", "commit", "-m", "c", env={"PATH": without_orchgate(tmp_path)})
    assert (missing.code != 0, "pipx install orchgate" in missing.out) == (True, True), missing.out
    colleague.git("reset", "--quiet", "--hard")
    return colleague


def without_orchgate(tmp_path: Path) -> str:
    """A PATH on which all runners are, and orchgate is not."""
    folder = tmp_path / "others"
    folder.mkdir()
    for name in ("pre-commit", "prek", "lefthook", "python", "python3"):
        if (BIN / name).exists():
            (folder / name).symlink_to(BIN / name)
    rest = [one for one in os.environ["PATH"].split(os.pathsep) if not (Path(one) / "orchgate").exists()]
    return os.pathsep.join([str(folder), *rest])
