"""What a run was a run of: commit, tree, and whether tracked files differed from them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import GitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.repository import Repository


class State(NamedTuple):
    """Hex ids, None before the first commit; `branch` is None when HEAD is detached."""

    commit: str | None
    tree: str | None
    dirty: bool
    branch: str | None


class WorkFolder(NamedTuple):
    """Where commands run: the top of a work tree with its state, or the current folder outside of any repository."""

    root: str
    repository: Repository | None
    state: State | None


def state(repository: Repository) -> State:
    """The state of a work tree. Raises GitError."""
    options = ("--porcelain=v2", "--branch", "--untracked-files=no", "--no-renames", "--no-ahead-behind", "-z")
    lines = repository.git("status", *options).split(b"\0")
    told = dict(line[2:].split(b" ", 1) for line in lines if line.startswith(b"# branch."))
    commit = told.get(b"branch.oid", b"(initial)").decode("ascii")
    branch = os.fsdecode(told.get(b"branch.head", b"(detached)"))
    dirty = any(line[:2] in (b"1 ", b"2 ", b"u ") for line in lines)
    if commit == "(initial)":
        return State(None, None, dirty, branch)
    tree = repository.git("rev-parse", "--verify", commit + "^{tree}").decode("ascii").strip()
    return State(commit, tree, dirty, None if branch == "(detached)" else branch)


def work_folder(here: str, environ: Mapping[str, str]) -> WorkFolder:
    """The work tree around a folder. Raises GitError for one that git refuses, and for a bare repository."""
    from orchgate.git.repository import open_repository

    if not environ.get("GIT_DIR") and not _is_in_repository(here):
        return WorkFolder(here, None, None)
    repository = open_repository(here, environ)
    if not repository.root:
        raise GitError("a bare repository has no work tree to run anything in", "run this in a clone")
    return WorkFolder(repository.root, repository, state(repository))


def _is_in_repository(folder: str) -> bool:
    """Whether there may be a repository: whoever has none needs no git either."""
    while True:
        if any(os.path.lexists(os.path.join(folder, name)) for name in (".git", "HEAD")):
            return True
        above = os.path.dirname(folder)
        if above == folder:
            return False
        folder = above


def top(here: str, environ: Mapping[str, str]) -> str:
    """The top of the work tree around a folder, or that folder itself outside of any. Raises GitError."""
    from orchgate.git.repository import open_repository

    if not environ.get("GIT_DIR") and not _is_in_repository(here):
        return here
    return open_repository(here, environ).root or here
