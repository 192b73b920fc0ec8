"""What a run was a run of: commit, tree, and whether tracked files differed from them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Self

from orchgate.errors import GitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.call import Git
    from orchgate.git.repository import Repository


class State(NamedTuple):
    """Hex ids, None before the first commit; `branch` is None when HEAD is detached."""

    commit: str | None
    tree: str | None
    dirty: bool
    branch: str | None


_STATUS = ("--porcelain=v2", "--branch", "--untracked-files=no", "--no-renames", "--no-ahead-behind", "-z")


class Question:
    """The state of a work tree, asked for now and answered when it is needed: git works meanwhile."""

    def __init__(self, repository: Repository | None) -> None:
        self._git = repository.git if repository else None
        self._status = self._git.converse("status", *_STATUS) if self._git else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._said = self._status.communicate()[0]

    def answer(self) -> State | None:
        """The state, once the block is left; None outside of a repository. Raises GitError."""
        if self._git is None or self._status is None:
            return None
        if self._status.returncode != 0:
            self._git("status", *_STATUS)  # says why
            raise GitError("git status failed, and then it did not", "run it again")
        return _state(self._git, self._said.split(b"\0"))


def _state(git: Git, lines: list[bytes]) -> State:
    told = dict(line[2:].split(b" ", 1) for line in lines if line.startswith(b"# branch."))
    commit = told.get(b"branch.oid", b"(initial)").decode("ascii")
    branch = os.fsdecode(told.get(b"branch.head", b"(detached)"))
    dirty = any(line[:2] in (b"1 ", b"2 ", b"u ") for line in lines)
    if commit == "(initial)":
        return State(None, None, dirty, branch)
    tree = git("rev-parse", "--verify", commit + "^{tree}").decode("ascii").strip()
    return State(commit, tree, dirty, None if branch == "(detached)" else branch)


def around(here: str, environ: Mapping[str, str]) -> Repository | None:
    """The repository whose work tree a folder is in; None outside of any.

    Raises GitError for one that git refuses, and for a bare one, which has no work tree.
    """
    from orchgate.git.repository import open_repository

    if not environ.get("GIT_DIR") and not _is_in_repository(here):
        return None
    repository = open_repository(here, environ)
    if not repository.root:
        raise GitError("a bare repository has no work tree to run anything in", "run this in a clone")
    return repository


def _is_in_repository(folder: str) -> bool:
    """Whether there may be a repository: whoever has none needs no git either."""
    while True:
        if any(os.path.lexists(os.path.join(folder, name)) for name in (".git", "HEAD")):
            return True
        above = os.path.dirname(folder)
        if above == folder:
            return False
        folder = above
