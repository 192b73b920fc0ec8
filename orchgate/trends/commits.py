"""The commits that trends follow: one line of first parents, into which no branch that was merged is mixed."""

from __future__ import annotations

import os

from orchgate.config.branches import wishes
from orchgate.errors import GitError
from orchgate.git import base
from orchgate.git.base import JudgedBranch
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.trends.streams import CommitLine

if TYPE_CHECKING:
    from orchgate.git.repository import Repository

MOST_COMMITS = 20_000  # of a line; runs of older ones are no news


def main_line(repository: Repository) -> CommitLine | None:
    """What is checked out, where it is ahead of the default branch or nobody knows that one; else that branch.

    None where a clone does not have the commits, or there are none.
    """
    if repository.shallow:
        return None
    try:
        tip = base.default_tip(repository, JudgedBranch(repository.branch), wishes(repository))
        head = repository.head
    except GitError:
        tip, head = None, repository.commit("HEAD")
    own = line_to(repository, head, repository.branch or "HEAD") if head else None
    if tip is None or (own and tip.commit in own.places):
        return own
    return line_to(repository, tip.commit, tip.name)


def line_to(repository: Repository, commit: str, name: str, most: int = MOST_COMMITS) -> CommitLine | None:
    """A commit, a hex id, and its first parents; None where they cannot be listed."""
    options = ("--first-parent", f"--max-count={most}", "--end-of-options")
    listed = repository.git.attempt("rev-list", *options, commit)
    found = listed.stdout.decode("ascii", "replace").split()
    if listed.code or not found:
        return None
    return CommitLine(name, {oid: place for place, oid in enumerate(reversed(found))})


def described(repository: Repository, commit: str) -> str:
    """A commit by the nearest tag that it has behind it, such as `v1.2` or `v1.2-3-g1a2b3c4`; "" without one."""
    if repository.shallow or repository.here(commit) is None:
        return ""
    found = repository.git.attempt("describe", "--tags", "--end-of-options", commit)
    return os.fsdecode(found.stdout).strip()[:100] if found.code == 0 else ""
