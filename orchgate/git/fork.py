"""Where a commit left what is known elsewhere: all best common ancestors at once, in one question to git."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import GitError
from orchgate.git.landing import NAME_IT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.git.repository import Repository

CUT = "this is a shallow clone (in GitHub Actions: fetch-depth: 0 for actions/checkout)"
MOST = 16  # bases that a change is compared with; beyond, it is counted as larger than it is
_ASKED = 500  # commits on one command line


class Found(NamedTuple):
    """The bases of a change and where they come from.

    Several where what it left was merged more than once: then a path counts that differs from all of them. None for
    a first push. `settled` says why there is nothing to judge.
    """

    bases: tuple[str, ...]
    origin: str
    settled: str = ""


def left(repository: Repository, head: str, known: Sequence[str]) -> tuple[str, ...]:
    """The best common ancestors of a commit and of all that is known; none for unrelated histories.

    `known` are commit ids and options of `git rev-list`. The commit itself is the answer when it adds nothing.
    """
    output = repository.git("rev-list", "--boundary", head, "--not", *known, "--").decode("ascii").split()
    if not output:
        return (head,)
    edge = [oid[1:] for oid in output if oid.startswith("-")]
    if len(edge) < 2:
        return tuple(edge)
    independent = repository.git("merge-base", "--independent", *edge[:_ASKED])
    return tuple(independent.decode("ascii").split()[:MOST])


def fork(repository: Repository, head: str, tips: Sequence[str]) -> tuple[str, ...]:
    """As `left`, of commits that must have something in common with the head. Raises GitError."""
    found = left(repository, head, tips)
    if not found:
        raise apart(repository, tips[0], head)
    return found


def apart(repository: Repository, one: str, other: str) -> GitError:
    """Why two commits have no common ancestor here."""
    if repository.shallow:
        return GitError(f"the common ancestor of {one[:12]} and {other[:12]} is cut off: {CUT}", repository.deepen)
    return GitError(f"{one[:12]} and {other[:12]} have no common ancestor: unrelated histories", NAME_IT)
