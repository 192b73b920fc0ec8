"""What is to be judged, before anybody knows what it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

BRANCH = "refs/heads/"
# Names under which Gerrit and AGit servers take a change for review; what follows is the branch it is meant for.
_REVIEW = lazy(r"refs/(for|for-review|drafts|publish|changes)/")


class Push(NamedTuple):
    """One ref of a push, from git's own protocol or from the hook runner's variables; zeros are absent objects."""

    remote: str
    remote_ref: str
    remote_oid: str
    local_oid: str
    beside: tuple[str, ...] = ()  # commits of the same push that are judged on their own

    @property
    def branch(self) -> str:
        """The branch that is pushed, "" for anything else."""
        return self.remote_ref.removeprefix(BRANCH) if self.remote_ref.startswith(BRANCH) else ""


def holds_nothing(remote_ref: str) -> str:
    """Why a ref has no change to judge; "" for branches, tags and changes for review.

    Notes and the metadata of other tools are no part of the project's tree. No name at all is a branch: hook runners
    leave it out.
    """
    if not remote_ref or remote_ref.startswith((BRANCH, "refs/tags/")) or _REVIEW.match(remote_ref):
        return ""
    return f"{remote_ref} is neither a branch nor a tag: nothing to judge"


class ScopeRequest(NamedTuple):
    """What the command line asked for; all empty means "find out". `config` is a file to be judged by."""

    staged: bool = False
    all_files: bool = False
    base: str = ""
    head: str = ""
    commit: str = ""
    config: str = ""


class ScopeTarget(NamedTuple):
    """A change before its base is looked up: `head` is None for the index.

    `message` reads what the commit in the making will say; None where nobody knows.
    """

    kind: str
    head: str | None
    base: str = ""
    push: Push | None = None
    message: Callable[[], str] | None = None
