"""The base of a change, by the order of `scope`: nobody chooses what their change is compared with.

A push is compared with what no remote has yet. Where changes land is the default branch, as the remote names it and
never as the judged change does.
"""

from __future__ import annotations

from orchgate.errors import GitError, WrongCheckout
from orchgate.git import ci
from orchgate.git.history import CUT, NAME_IT, ChangeBase, connected_bases, merge_bases, no_common_ancestor
from orchgate.git.refs import TRACKING
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Push, holds_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchgate.git.ci import CiBase, CiReport, Event
    from orchgate.git.refs import Refs
    from orchgate.git.repository import Repository
    from orchgate.model import ScopeTarget

USUAL = ("main", "master", "trunk", "develop")
# Branches that live for years: a push to one adds to what the remote's branch holds, and is no branch of its own.
_LONG_LIVED = lazy(
    r"(release|releases|stable|maint|maintenance|support|lts)([/-].+)?"  # release/1.2, stable-4.x, maint
    r"|v?\d+(\.\d+)*\.x|v?\d+([.-]\d+)*-(stable|lts|maint)"  # 1.x, v2.4.x, 7-1-stable
)


class BranchSettings(NamedTuple):
    """What the configuration of a branch that changes land on says about branches."""

    default_branch: str = ""
    orphan_branches: tuple[str, ...] = ()


class JudgedBranch(NamedTuple):
    """The judged branch as far as it is known, what CI calls the default branch, and whether this is CI at all."""

    branch: str = ""
    remote: str = ""
    named_by_ci: str = ""
    in_ci: bool = False


class Tip(NamedTuple):
    """A branch that changes land on; `remote` is "" for one of a repository without remotes."""

    remote: str
    branch: str
    commit: str

    @property
    def name(self) -> str:
        return f"{self.remote}/{self.branch}" if self.remote else self.branch


def is_long_lived(branch: str) -> bool:
    """Whether a branch is one of those that live for years, by its name."""
    return branch in USUAL or _LONG_LIVED.fullmatch(branch) is not None


def default_tip(repository: Repository, judged: JudgedBranch, wishes: Callable[[str], BranchSettings]) -> Tip:
    """The default branch: what a remote's HEAD says, then CI, then a usual branch's configuration, then its name.

    `wishes` reads the configuration of a commit. Raises GitError with the command that brings what is missing.
    """
    refs = repository.refs
    if not refs.tracking:
        return _local_tip(repository, judged, wishes)
    order = _remote_order(refs, judged)
    for remote in order:
        if remote in refs.heads:
            return _tip_of(refs, remote, refs.heads[remote], f"{remote}'s HEAD")
    if judged.named_by_ci:
        return _tip_of(refs, order[0], judged.named_by_ci, "CI")
    for remote, name in ((remote, name) for remote in order for name in USUAL):
        commit = refs.tracking.get(remote, {}).get(name)
        if commit is None:
            continue
        wished = wishes(commit).default_branch
        if wished and wished != name:
            return _tip_of(refs, remote, wished, f"the configuration of {remote}/{name}")
        own = name == judged.branch or (not judged.branch and commit == repository.head)
        if own and refs.is_narrow(remote):
            break  # a clone of this one branch: whether it is the default one, only the remote knows
        return Tip(remote, name, commit)
    raise _unknown_default(repository, order[0])


def upstream_tip(refs: Refs, default: Tip) -> str | None:
    """The same branch of a remote called `upstream`, which a fork's own copy follows late."""
    found = refs.tracking.get("upstream", {})
    return found.get(refs.heads.get("upstream", default.branch)) if default.remote not in ("", "upstream") else None


def _remote_order(refs: Refs, judged: JudgedBranch) -> list[str]:
    own = judged.remote or refs.remote_of(judged.branch)
    return list(dict.fromkeys((*((own,) if own else ()), *refs.remotes)))


def _tip_of(refs: Refs, remote: str, branch: str, who: str) -> Tip:
    commit = refs.tracking.get(remote, {}).get(branch)
    if commit is None:
        raise GitError(f"{who} names {branch} as the default branch, which is not here", refs.bring(remote, branch))
    return Tip(remote, branch, commit)


def _unknown_default(repository: Repository, remote: str) -> GitError:
    refs = repository.refs
    here = sorted(refs.tracking.get(remote, {}))
    shown = ", ".join(here[:3]) + (f" and {len(here) - 3} more" if len(here) > 3 else "")
    known = f"of {remote} only {shown} is here" if here else f"of {remote} no branch is here"
    return GitError(f"no base to compare with: {known}, and its default branch is not known", refs.bring(remote))


def _local_tip(repository: Repository, judged: JudgedBranch, wishes: Callable[[str], BranchSettings]) -> Tip:
    """The default branch of a repository that has never heard of another one: a usual name, or the only branch."""
    refs = repository.refs
    if refs.remotes and judged.in_ci:  # it was fetched without a name: whatever branch it was put on says nothing
        raise _unknown_default(repository, refs.remotes[0])
    for name in (*USUAL, *refs.settings.get("init.defaultbranch", ())):
        commit = refs.local.get(name)
        if commit is not None:
            wished = wishes(commit).default_branch
            return Tip("", wished, refs.local[wished]) if wished in refs.local else Tip("", name, commit)
    if len(refs.local) == 1:
        return Tip("", *next(iter(refs.local.items())))
    raise GitError("no base to compare with: no default branch is known here", NAME_IT)


# Events of a change whose checkout is GitHub's merge of it with the branch it goes to.
ON_MERGE = ("pull_request", "pull_request_review", "pull_request_review_comment")


def find(
    repository: Repository, wanted: ScopeTarget, environ: Mapping[str, str], wishes: Callable[[str], BranchSettings]
) -> ChangeBase:
    """The bases of a range or of a whole tree's change. Raises WrongCheckout, GitError."""
    head = wanted.head or repository.head
    if wanted.push is not None:
        return push_base(repository, wanted.push, wishes)
    if wanted.base:
        return ChangeBase(
            connected_bases(repository, head or "", (repository.require_commit(wanted.base),)), wanted.base
        )
    if head is None:
        return ChangeBase((), "first commit")
    if wanted.kind == "tree" and (ref := environ.get("PRE_COMMIT_FROM_REF")):
        source = repository.require_commit(ref)
        if source != head:
            return ChangeBase(connected_bases(repository, head, (source,)), "PRE_COMMIT_FROM_REF")
    ci_report = ci.report(environ)
    _proposed_is_here(repository, ci_report, head)
    branch = repository.branch or ci_report.branch
    judged = JudgedBranch(
        branch,
        named_by_ci=ci_report.default_branch,
        in_ci=bool(environ.get("CI") or ci_report.bases or ci_report.event),
    )
    named = _named(repository, ci_report, head, judged, wishes)
    return named or _of_default(repository, head, judged, wishes)


def cut_off(repository: Repository, base: str) -> GitError:
    """A shallow clone whose last commit is all there is."""
    return GitError(f"a shallow clone that ends at {base[:12]} shows no change: {CUT}", repository.deepen)


def _of_default(
    repository: Repository, head: str, judged: JudgedBranch, wishes: Callable[[str], BranchSettings]
) -> ChangeBase:
    tip = default_tip(repository, judged, wishes)
    return ChangeBase(_landed(repository, head, tip, judged.branch), f"merge base with {tip.name}")


def _landed(repository: Repository, head: str, tip: Tip, own: str) -> tuple[str, ...]:
    """Where a commit left the default branch, or another branch that changes land on, whatever is nearer."""
    refs = repository.refs
    defaults = (tip.commit, *filter(None, (upstream_tip(refs, tip),)))
    lines = [
        commit
        for name, commit in refs.tracking.get(tip.remote, {}).items()
        if is_long_lived(name) and name not in (own, tip.branch)
    ]
    found = merge_bases(repository, head, (*defaults, *lines)) if lines else ()
    # A line that has all of it may be the judged branch itself, under a name that nobody told us.
    return found if found and found != (head,) else connected_bases(repository, head, defaults)


def _proposed_is_here(repository: Repository, ci_report: CiReport, head: str) -> None:
    """Raises WrongCheckout when the event is about a commit that is not part of the checked-out one."""
    event = ci_report.event
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
    return repository.here(event.proposed) is not None and merge_bases(repository, event.proposed, (head,)) == (
        event.proposed,
    )


def _named(
    repository: Repository,
    ci_report: CiReport,
    head: str,
    judged: JudgedBranch,
    wishes: Callable[[str], BranchSettings],
) -> ChangeBase | None:
    """The base that CI names; None where it names none. Raises GitError where two systems name different ones."""
    agreed: ChangeBase | None = None
    for one in ci_report.bases:
        found = (_before if one.pushed else _proposed)(repository, one, head, judged, wishes)
        if found is None:
            continue
        if agreed is not None and set(found.bases) != set(agreed.bases):
            both = " and ".join(f"{name} {bases[0][:12]}" for bases, name in (agreed[:2], found[:2]))
            raise GitError(f"CI variables name different bases: {both}", NAME_IT)
        agreed = found
    return agreed


def _proposed(
    repository: Repository, named: CiBase, head: str, judged: JudgedBranch, _: Callable[[str], BranchSettings]
) -> ChangeBase | None:
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
    bases = connected_bases(repository, head, tips)
    if bases == (head,):  # merged meanwhile; where it started is what CI said when it began
        earlier = [tip for tip in tips if merge_bases(repository, head, (tip,)) != (head,)]
        bases = connected_bases(repository, head, earlier) if earlier else bases
    if bases != (head,):
        return ChangeBase(bases, named.source)
    if not named.proposed:
        return None
    what = named.branch or named.commits[0][:12]
    message = f"{named.source} names {what}, which {head[:12]} is part of: the proposed change is not checked out"
    raise WrongCheckout(message, "check out the head of the proposed change before orchgate runs")


def _before(
    repository: Repository, named: CiBase, head: str, judged: JudgedBranch, wishes: Callable[[str], BranchSettings]
) -> ChangeBase:
    """The base of a push as CI sees it afterwards: where head left the default branch.

    When head is on a branch that changes land on, it is what that branch was before.
    """
    if not judged.branch or not (is_long_lived(judged.branch) or judged.branch == judged.named_by_ci):
        tip = default_tip(repository, judged, wishes)
        landed = () if tip.branch == judged.branch else _landed_of(repository, head, tip, judged.branch)
        if landed and landed != (head,):
            return ChangeBase(landed, f"merge base with {tip.name}")
    old = repository.commit(named.commits[0])
    if old is None:  # a forced push took it away, or the clone is too shallow
        hint = repository.refs.bring_commit(next(iter(repository.refs.remotes), ""), named.commits[0])
        where = f" ({CUT})" if repository.shallow else ""
        raise GitError(f"{named.source} names {named.commits[0]}, which is not here{where}", hint)
    return ChangeBase(connected_bases(repository, head, (old,)), named.source)


def _landed_of(repository: Repository, head: str, tip: Tip, own: str) -> tuple[str, ...]:
    """As `_landed`; none for a history that has nothing in common with the default branch."""
    try:
        return _landed(repository, head, tip, own)
    except GitError:
        return ()


def push_base(repository: Repository, push: Push, wishes: Callable[[str], BranchSettings]) -> ChangeBase:
    """The bases of a pushed commit. Raises GitError.

    The nearest ones that any remote is known to have. The pushed branch's own old tip is left out, so that a branch
    pushed in instalments stays one change; a branch that changes land on starts where the remote's ended.
    """
    if nothing := holds_nothing(push.remote_ref):
        return ChangeBase((push.local_oid,), push.remote_ref, nothing)
    refs = repository.refs
    old = repository.here(push.remote_oid)
    own = _own(repository, push, old)
    lasting = bool(push.branch) and (is_long_lived(push.branch) or push.branch == _default(repository, push, wishes))
    hidden = () if lasting and old is None else own
    tracking = _tracking(repository)
    others = not tracking.issubset(own)
    # git reads every commit that it is given: of a hundred refs each would pay for all that came before it.
    apart = push.unrelated if tracking.isdisjoint(hidden) else ()
    known = (
        *(f"--exclude={ref.removeprefix(TRACKING)}" for ref in hidden),
        "--remotes",
        *((old,) if lasting and old else ()),
        *(commit for commit in push.beside if commit not in apart),
    )
    found = merge_bases(repository, push.local_oid, known)
    remote = refs.named(push.remote) or push.remote or "the remote"
    if found == (push.local_oid,):
        return ChangeBase(found, remote, f"nothing new: {remote} or another remote has {push.local_oid[:12]} already")
    if found:
        return ChangeBase(found, f"{remote}'s {push.branch}" if found == (old,) else "what remotes have")
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


def _default(repository: Repository, push: Push, wishes: Callable[[str], BranchSettings]) -> str:
    """The name of the remote's default branch, "" when nobody knows it."""
    refs = repository.refs
    remote = refs.named(push.remote)
    if remote in refs.heads:
        return refs.heads[remote]
    try:
        return default_tip(repository, JudgedBranch(push.branch, remote), wishes).branch
    except GitError:
        return ""


def _unconnected(
    repository: Repository, push: Push, wishes: Callable[[str], BranchSettings], *, old: str | None, others: bool
) -> ChangeBase:
    """The base of a commit that has nothing in common with what other refs hold."""
    refs = repository.refs
    remote = refs.named(push.remote)
    if old is not None and (others or not refs.is_narrow(remote)):
        # A history of its own that the remote has already, such as gh-pages.
        found = merge_bases(repository, push.local_oid, (old,))
        if found:
            return ChangeBase(found, f"{push.remote or 'the remote'}'s {push.remote_ref}")
    if others and not repository.shallow:
        return _orphan(repository, push, wishes)
    if refs.tracking or repository.shallow:
        shown = f"the only branch of {remote or 'a remote'} that is here is the pushed one"
        raise GitError(f"no base to compare with: {shown}", refs.bring(remote or next(iter(refs.remotes), "")))
    if push.remote_oid.strip("0"):
        missing = f"{push.remote or 'the remote'} has {push.remote_oid[:12]}, which is not here"
        raise GitError(missing, refs.bring(remote or next(iter(refs.remotes), "")))
    return _first(repository, push, wishes)


def _orphan(repository: Repository, push: Push, wishes: Callable[[str], BranchSettings]) -> ChangeBase:
    """The first push of a history of its own, which the default branch's configuration may allow."""
    tip = default_tip(repository, JudgedBranch(push.branch, repository.refs.named(push.remote)), wishes)
    if push.branch and matches(push.branch, wishes(tip.commit).orphan_branches):
        return ChangeBase((), f"first push of {push.branch}, which orphan-branches names in {tip.name}")
    error = no_common_ancestor(repository, tip.commit, push.local_oid)
    hint = f'if it is meant to be: orphan-branches = ["{push.branch}"] in the configuration of {tip.name}'
    raise GitError(error.message, hint if push.branch else error.hint)


def _first(repository: Repository, push: Push, wishes: Callable[[str], BranchSettings]) -> ChangeBase:
    """The first push of a repository; a branch of it starts at the local default branch."""
    try:
        tip = default_tip(repository, JudgedBranch(), wishes)
    except GitError:
        tip = None
    found = () if tip is None or tip.branch == push.branch else merge_bases(repository, push.local_oid, (tip.commit,))
    if tip is not None and found and found != (push.local_oid,):
        return ChangeBase(found, f"merge base with {tip.name}")
    return ChangeBase((), "first push: the remote has nothing to compare with")
