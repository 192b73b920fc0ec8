"""Three ways to count the lines of a change: git's numstat, orchgate's facts, and unidiff's reading of the patch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orchgate.gate import session
from orchgate.git import objects
from tests.scoping import budget_of

if TYPE_CHECKING:
    from tests.repo import Repo

Counts = dict[str, tuple[int, int]]


def numstat(repo: Repo, *trees: str) -> Counts:
    """`git diff --numstat -z -M` by path, binary files as (0, 0), with the environment's and repository's settings."""
    # git's own words are read here a second time, on purpose: a test must not trust the parser it tests.
    fields = repo.git("diff", "--numstat", "-z", "-M", *(trees or ("--cached",))).split("\0")
    found: Counts = {}
    while fields and fields[0]:
        added, removed, path = fields.pop(0).split("\t", 2)
        if not path:
            _, path = fields.pop(0), fields.pop(0)
        found[path] = (0, 0) if added == "-" else (int(added), int(removed))
    return found


def facts(**flags: Any) -> Counts:
    """What diff-budget counted and ignored, by path."""
    told: Any = budget_of(**(flags or {"staged": True})).facts
    rows = [*told["counted"], *told["ignored"]]
    return {row["path"]: (row["added"], row["removed"]) for row in rows}


def by_unidiff(base: str | None, head: str | None = None) -> tuple[Counts, Counts]:
    """unidiff's counts and git's, of every path whose lines git shows.

    A type change is left out: git's own patch shows it as a removal and an addition, its numstat as an edit.
    """
    with session.opened(dict(os.environ)) as repository:
        changes = repository.changes(base, head)
        counts = objects.read_patch(repository.patch(base, head), changes).counts
    shown = {
        c.path: (c.added, c.removed)
        for c in changes
        if c.added is not None and c.removed is not None and c.status != "T"
    }
    return {path: counts.get(path, (0, 0)) for path in shown}, shown
