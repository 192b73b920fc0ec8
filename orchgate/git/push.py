"""The base of a pushed commit: a push counts what no remote has yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import GitError
from orchgate.git.fork import Found, apart, left
from orchgate.git.landing import Judged, default_tip, is_lasting
from orchgate.git.refs import TRACKING
from orchgate.lib.globs import matches
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.git.landing import Wishes
    from orchgate.git.repository import Repository

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


def push_base(repository: Repository, push: Push, wishes: Callable[[str], Wishes]) -> Found:
    """The bases of a pushed commit. Raises GitError.

    The nearest ones that any remote is known to have. The pushed branch's own old tip is left out, so that a branch
    pushed in instalments stays one change; a branch that changes land on starts where the remote's ended.
    """
    if nothing := holds_nothing(push.remote_ref):
        return Found((push.local_oid,), push.remote_ref, nothing)
    refs = repository.refs
    old = repository.here(push.remote_oid)
    own = _own(repository, push, old)
    lasting = bool(push.branch) and (is_lasting(push.branch) or push.branch == _default(repository, push, wishes))
    hidden = () if lasting and old is None else own
    others = any(ref not in own for ref in _tracking(repository))
    known = (
        *(f"--exclude={ref.removeprefix(TRACKING)}" for ref in hidden),
        "--remotes",
        *((old,) if lasting and old else ()),
        *push.beside,
    )
    found = left(repository, push.local_oid, known)
    remote = refs.named(push.remote) or push.remote or "the remote"
    if found == (push.local_oid,):
        return Found(found, remote, f"nothing new: {remote} or another remote has {push.local_oid[:12]} already")
    if found:
        return Found(found, f"{remote}'s {push.branch}" if found == (old,) else "what remotes have")
    return _unconnected(repository, push, wishes, old=old, others=others)


def _tracking(repository: Repository) -> set[str]:
    return {f"{TRACKING}{remote}/{name}" for remote, names in repository.refs.tracking.items() for name in names}


def _own(repository: Repository, push: Push, old: str | None) -> tuple[str, ...]:
    """Tracking refs of the pushed branch itself, under every remote that has the same address."""
    refs = repository.refs
    if not push.branch:
        return ()
    remotes = refs.twins(refs.named(push.remote) or push.remote)
    heads = (f"{TRACKING}{remote}/HEAD" for remote in remotes if refs.heads.get(remote) == push.branch)
    proposed = (ref for remote in remotes for ref in refs.proposals(remote, old))
    return (*(f"{TRACKING}{remote}/{push.branch}" for remote in remotes), *heads, *proposed)


def _default(repository: Repository, push: Push, wishes: Callable[[str], Wishes]) -> str:
    """The name of the remote's default branch, "" when nobody knows it."""
    refs = repository.refs
    remote = refs.named(push.remote)
    if remote in refs.heads:
        return refs.heads[remote]
    try:
        return default_tip(repository, Judged(push.branch, remote), wishes).branch
    except GitError:
        return ""


def _unconnected(
    repository: Repository, push: Push, wishes: Callable[[str], Wishes], *, old: str | None, others: bool
) -> Found:
    """The base of a commit that has nothing in common with what other refs hold."""
    refs = repository.refs
    remote = refs.named(push.remote)
    if old is not None and (others or not refs.is_narrow(remote)):
        # A history of its own that the remote has already, such as gh-pages.
        found = left(repository, push.local_oid, (old,))
        if found:
            return Found(found, f"{push.remote or 'the remote'}'s {push.remote_ref}")
    if others and not repository.shallow:
        return _orphan(repository, push, wishes)
    if refs.tracking or repository.shallow:
        shown = f"the only branch of {remote or 'a remote'} that is here is the pushed one"
        raise GitError(f"no base to compare with: {shown}", refs.bring(remote or next(iter(refs.remotes), "")))
    if push.remote_oid.strip("0"):
        missing = f"{push.remote or 'the remote'} has {push.remote_oid[:12]}, which is not here"
        raise GitError(missing, refs.bring(remote or next(iter(refs.remotes), "")))
    return _first(repository, push, wishes)


def _orphan(repository: Repository, push: Push, wishes: Callable[[str], Wishes]) -> Found:
    """The first push of a history of its own, which the default branch's configuration may allow."""
    tip = default_tip(repository, Judged(push.branch, repository.refs.named(push.remote)), wishes)
    if push.branch and matches(push.branch, wishes(tip.commit).orphan_branches):
        return Found((), f"first push of {push.branch}, which orphan-branches names in {tip.name}")
    error = apart(repository, tip.commit, push.local_oid)
    hint = f'if it is meant to be: orphan-branches = ["{push.branch}"] in the configuration of {tip.name}'
    raise GitError(error.message, hint if push.branch else error.hint)


def _first(repository: Repository, push: Push, wishes: Callable[[str], Wishes]) -> Found:
    """The first push of a repository; a branch of it starts at the local default branch."""
    try:
        tip = default_tip(repository, Judged(), wishes)
    except GitError:
        tip = None
    found = () if tip is None or tip.branch == push.branch else left(repository, push.local_oid, (tip.commit,))
    if tip is not None and found and found != (push.local_oid,):
        return Found(found, f"merge base with {tip.name}")
    return Found((), "first push: the remote has nothing to compare with")
