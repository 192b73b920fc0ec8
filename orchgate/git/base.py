"""The base of a change, by the order of `scope`: nobody chooses what he is judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.errors import GitError, WrongCheckout
from orchgate.git import ci
from orchgate.git.fork import CUT, Found, fork, left
from orchgate.git.landing import NAME_IT, Judged, default_tip, is_lasting, upstream_tip
from orchgate.git.push import push_base

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchgate.git.ci import Said
    from orchgate.git.events import CiBase, Event
    from orchgate.git.landing import Tip, Wishes
    from orchgate.git.repository import Repository
    from orchgate.git.target import Target

# Events of a change whose checkout is GitHub's merge of it with the branch it goes to.
ON_MERGE = ("pull_request", "pull_request_review", "pull_request_review_comment")


def find(repository: Repository, wanted: Target, environ: Mapping[str, str], wishes: Callable[[str], Wishes]) -> Found:
    """The bases of a range or of a whole tree's change. Raises WrongCheckout, GitError."""
    head = wanted.head or repository.head
    if wanted.push is not None:
        return push_base(repository, wanted.push, wishes)
    if wanted.base:
        return Found(fork(repository, head or "", (repository.require_commit(wanted.base),)), wanted.base)
    if head is None:
        return Found((), "first commit")
    if wanted.kind == "tree" and (ref := environ.get("PRE_COMMIT_FROM_REF")):
        source = repository.require_commit(ref)
        if source != head:
            return Found(fork(repository, head, (source,)), "PRE_COMMIT_FROM_REF")
    heard = ci.said(environ)
    _proposed_is_here(repository, heard, head)
    branch = repository.branch or heard.branch
    judged = Judged(branch, said=heard.default_branch, in_ci=bool(environ.get("CI") or heard.bases or heard.event))
    named = _named(repository, heard, head, judged, wishes)
    return named or _of_default(repository, head, judged, wishes)


def cut_off(repository: Repository, base: str) -> GitError:
    """A shallow clone whose last commit is all there is."""
    return GitError(f"a shallow clone that ends at {base[:12]} shows no change: {CUT}", repository.deepen)


def _of_default(repository: Repository, head: str, judged: Judged, wishes: Callable[[str], Wishes]) -> Found:
    tip = default_tip(repository, judged, wishes)
    return Found(_landed(repository, head, tip, judged.branch), f"merge base with {tip.name}")


def _landed(repository: Repository, head: str, tip: Tip, own: str) -> tuple[str, ...]:
    """Where a commit left the default branch, or another branch that changes land on, whatever is nearer."""
    refs = repository.refs
    defaults = (tip.commit, *filter(None, (upstream_tip(refs, tip),)))
    lines = [
        commit
        for name, commit in refs.tracking.get(tip.remote, {}).items()
        if is_lasting(name) and name not in (own, tip.branch)
    ]
    found = left(repository, head, (*defaults, *lines)) if lines else ()
    # A line that has all of it may be the judged branch itself, under a name that nobody told us.
    return found if found and found != (head,) else fork(repository, head, defaults)


def _proposed_is_here(repository: Repository, heard: Said, head: str) -> None:
    """Raises WrongCheckout when the event is about a commit that is not part of the checked-out one."""
    event = heard.event
    if event is None or not event.proposed:
        return
    if event.proposed == "?":
        if head == event.checked_out or not event.checked_out:
            message = f"{event.name} is about a change, and what is checked out is the branch it goes to"
            raise WrongCheckout(message, "check out the head of the pull request before orchgate runs")
        return
    if _holds(repository, event, head):
        return
    take = f"git checkout --detach {event.proposed}"
    if repository.here(event.proposed) is None:
        remote = next(iter(repository.refs.remotes), "origin")
        take = f"{repository.refs.bring_commit(remote, event.proposed)} && {take}"
    raise WrongCheckout(f"{event.name} is about {event.proposed[:12]}, and {head[:12]} is checked out without it", take)


def _holds(repository: Repository, event: Event, head: str) -> bool:
    """Whether a commit is the proposed one, or has it in its history."""
    if event.proposed in (head, *repository.named_parents(head)):
        return True
    if event.name in ON_MERGE and head == event.checked_out:
        return True  # GitHub's own merge of the change, cut off at its parents
    return repository.here(event.proposed) is not None and left(repository, event.proposed, (head,)) == (
        event.proposed,
    )


def _named(
    repository: Repository, heard: Said, head: str, judged: Judged, wishes: Callable[[str], Wishes]
) -> Found | None:
    """The base that CI names; None where it names none. Raises GitError where two systems name different ones."""
    agreed: Found | None = None
    for one in heard.bases:
        found = (_before if one.pushed else _proposed)(repository, one, head, judged, wishes)
        if found is None:
            continue
        if agreed is not None and set(found.bases) != set(agreed.bases):
            both = " and ".join(f"{name} {bases[0][:12]}" for bases, name in (agreed[:2], found[:2]))
            raise GitError(f"CI variables name different bases: {both}", NAME_IT)
        agreed = found
    return agreed


def _proposed(
    repository: Repository, named: CiBase, head: str, judged: Judged, _: Callable[[str], Wishes]
) -> Found | None:
    """Where a proposed change left the branch that it goes to."""
    refs = repository.refs
    order = list(dict.fromkeys(filter(None, (refs.remote_of(judged.branch), *refs.remotes))))
    branches = (refs.tracking.get(remote, {}).get(named.branch) for remote in order)
    # A local branch of that name may be what CI put the merged change on; it counts where nothing was ever fetched.
    branch = next(filter(None, branches), None) or (None if refs.tracking else refs.local.get(named.branch))
    tips = [tip for tip in (*map(repository.commit, named.commits), branch) if tip is not None]
    if not tips:
        remote = order[0] if order else ""
        hint = refs.bring(remote, named.branch) if named.branch else refs.bring_commit(remote, named.commits[0])
        where = f" ({CUT})" if repository.shallow else ""
        raise GitError(f"{named.source} names {named.branch or named.commits[0]}, which is not here{where}", hint)
    bases = fork(repository, head, tips)
    if bases == (head,):  # merged meanwhile; where it started is what CI said when it began
        earlier = [tip for tip in tips if left(repository, head, (tip,)) != (head,)]
        bases = fork(repository, head, earlier) if earlier else bases
    if bases != (head,):
        return Found(bases, named.source)
    if not named.proposed:
        return None
    what = named.branch or named.commits[0][:12]
    message = f"{named.source} names {what}, which {head[:12]} is part of: the proposed change is not checked out"
    raise WrongCheckout(message, "check out the head of the proposed change before orchgate runs")


def _before(repository: Repository, named: CiBase, head: str, judged: Judged, wishes: Callable[[str], Wishes]) -> Found:
    """The base of a push as CI sees it afterwards: where head left the default branch.

    When head is on a branch that changes land on, it is what that branch was before.
    """
    if not judged.branch or not (is_lasting(judged.branch) or judged.branch == judged.said):
        tip = default_tip(repository, judged, wishes)
        landed = () if tip.branch == judged.branch else _landed_of(repository, head, tip, judged.branch)
        if landed and landed != (head,):
            return Found(landed, f"merge base with {tip.name}")
    old = repository.commit(named.commits[0])
    if old is None:  # a forced push took it away, or the clone is too shallow
        hint = repository.refs.bring_commit(next(iter(repository.refs.remotes), ""), named.commits[0])
        where = f" ({CUT})" if repository.shallow else ""
        raise GitError(f"{named.source} names {named.commits[0]}, which is not here{where}", hint)
    return Found(fork(repository, head, (old,)), named.source)


def _landed_of(repository: Repository, head: str, tip: Tip, own: str) -> tuple[str, ...]:
    """As `_landed`; none for a history that has nothing in common with the default branch."""
    try:
        return _landed(repository, head, tip, own)
    except GitError:
        return ()
