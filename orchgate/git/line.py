"""The line of commits from a good one to a bad one, first parents only, and what is to be said of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import GitError, UsageError
from orchgate.git.fork import CUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.git.repository import Repository

_PLAIN = ("--no-show-signature", "--encoding=UTF-8", "--no-color")  # whatever the user's settings say
_LONGEST = 200  # characters of a subject


class Commit(NamedTuple):
    """A commit of a line, as hex ids."""

    oid: str
    tree: str
    parents: tuple[str, ...]


def between(repository: Repository, good: str, bad: str) -> tuple[Commit, ...]:
    """The commits from `good` to `bad`, hex ids, both among them.

    Raises UsageError where they are the same, or `good` is not on the line of first parents that ends in `bad`.
    """
    if good == bad:
        raise UsageError(f"good and bad are the same commit, {good[:12]}", "--bad HEAD --good the last fast release")
    if repository.git.attempt("merge-base", "--is-ancestor", good, bad).code != 0:
        raise _apart(repository, good, bad)
    shape = "--format=%H %T %P"
    listed = repository.git("log", *_PLAIN, "--first-parent", "--reverse", shape, f"{good}..{bad}", "--").decode(
        "ascii"
    )
    line = [Commit(oid, tree, tuple(parents)) for oid, tree, *parents in map(str.split, listed.splitlines())]
    parent = line[0].parents[0] if line[0].parents else ""
    if parent != good:
        if repository.shallow and not parent:
            raise GitError(f"the commits between {good[:12]} and {bad[:12]} are cut off: {CUT}", repository.deepen)
        hint = f"--good {parent[:12]} is the last commit of that line before {good[:12]}" if parent else ""
        raise UsageError(
            f"good, {good[:12]}, came into {bad[:12]} by a merge: it is not on its first-parent line", hint
        )
    tree = repository.git("rev-parse", "--verify", good + "^{tree}").decode("ascii").strip()
    return (Commit(good, tree, ()), *line)


def _apart(repository: Repository, good: str, bad: str) -> UsageError | GitError:
    if repository.git.attempt("merge-base", "--is-ancestor", bad, good).code == 0:
        return UsageError(
            f"good, {good[:12]}, comes after bad, {bad[:12]}: are they the wrong way round?",
            f"--good {bad[:12]} --bad {good[:12]}",
        )
    if repository.shallow:
        return GitError(f"{good[:12]} is not known to be an ancestor of {bad[:12]}: {CUT}", repository.deepen)
    found = repository.git.attempt("merge-base", good, bad)
    base = found.stdout.decode("ascii", "replace").strip()[:12] if found.code == 0 else ""
    hint = f"--good {base} is where they parted" if base else "name two commits of one branch"
    return UsageError(f"good, {good[:12]}, is not an ancestor of bad, {bad[:12]}", hint)


def subjects(repository: Repository, commits: Sequence[str]) -> dict[str, str]:
    """The first line of each commit's message, by hex id, as it was written: not to be trusted. Raises GitError."""
    if not commits:
        return {}
    asked = "".join(f"{commit}\n" for commit in commits).encode("ascii")
    output = repository.git("log", *_PLAIN, "--no-walk=unsorted", "--stdin", "-z", "--format=%H %s", input=asked)
    lines = (os.fsdecode(line) for line in output.split(b"\0") if line)
    return {oid: subject[:_LONGEST] for oid, _, subject in (line.partition(" ") for line in lines)}


def brought(repository: Repository, merge: Commit) -> tuple[int, tuple[str, ...]]:
    """How many commits a merge brought, and the ends of the line that they lie on; 0 and none where it is no merge."""
    if len(merge.parents) < 2:
        return 0, ()
    ours, theirs = merge.parents[:2]
    listed = repository.git.attempt("rev-list", "--count", f"{ours}..{theirs}", "--")
    count = listed.stdout.decode("ascii", "replace").strip()
    base = repository.git.attempt("merge-base", ours, theirs).stdout.decode("ascii", "replace").split()
    return int(count) if listed.code == 0 and count.isdigit() else 0, (base[0], theirs) if base else ()
