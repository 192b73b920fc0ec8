"""Where changes land: the default branch, as the remote names it and never as the judged change does."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import GitError
from orchgate.git.history import NAME_IT
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.git.refs import Refs
    from orchgate.git.repository import Repository

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
    said: str = ""
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
        return _local(repository, judged, wishes)
    order = _order(refs, judged)
    for remote in order:
        if remote in refs.heads:
            return _tip(refs, remote, refs.heads[remote], f"{remote}'s HEAD")
    if judged.said:
        return _tip(refs, order[0], judged.said, "CI")
    for remote, name in ((remote, name) for remote in order for name in USUAL):
        commit = refs.tracking.get(remote, {}).get(name)
        if commit is None:
            continue
        wished = wishes(commit).default_branch
        if wished and wished != name:
            return _tip(refs, remote, wished, f"the configuration of {remote}/{name}")
        own = name == judged.branch or (not judged.branch and commit == repository.head)
        if own and refs.is_narrow(remote):
            break  # a clone of this one branch: whether it is the default one, only the remote knows
        return Tip(remote, name, commit)
    raise _unknown(repository, order[0])


def upstream_tip(refs: Refs, default: Tip) -> str | None:
    """The same branch of a remote called `upstream`, which a fork's own copy follows late."""
    found = refs.tracking.get("upstream", {})
    return found.get(refs.heads.get("upstream", default.branch)) if default.remote not in ("", "upstream") else None


def _order(refs: Refs, judged: JudgedBranch) -> list[str]:
    own = judged.remote or refs.remote_of(judged.branch)
    return list(dict.fromkeys((*((own,) if own else ()), *refs.remotes)))


def _tip(refs: Refs, remote: str, branch: str, who: str) -> Tip:
    commit = refs.tracking.get(remote, {}).get(branch)
    if commit is None:
        raise GitError(f"{who} names {branch} as the default branch, which is not here", refs.bring(remote, branch))
    return Tip(remote, branch, commit)


def _unknown(repository: Repository, remote: str) -> GitError:
    refs = repository.refs
    here = sorted(refs.tracking.get(remote, {}))
    shown = ", ".join(here[:3]) + (f" and {len(here) - 3} more" if len(here) > 3 else "")
    known = f"of {remote} only {shown} is here" if here else f"of {remote} no branch is here"
    return GitError(f"no base to compare with: {known}, and its default branch is not known", refs.bring(remote))


def _local(repository: Repository, judged: JudgedBranch, wishes: Callable[[str], BranchSettings]) -> Tip:
    """The default branch of a repository that has never heard of another one: a usual name, or the only branch."""
    refs = repository.refs
    if refs.remotes and judged.in_ci:  # it was fetched without a name: whatever branch it was put on says nothing
        raise _unknown(repository, refs.remotes[0])
    for name in (*USUAL, *refs.settings.get("init.defaultbranch", ())):
        commit = refs.local.get(name)
        if commit is not None:
            wished = wishes(commit).default_branch
            return Tip("", wished, refs.local[wished]) if wished in refs.local else Tip("", name, commit)
    if len(refs.local) == 1:
        return Tip("", *next(iter(refs.local.items())))
    raise GitError("no base to compare with: no default branch is known here", NAME_IT)
