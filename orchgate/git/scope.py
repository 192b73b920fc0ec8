"""Which change is judged: flags, then the hook runner's variables, then CI's, then the default branch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import GitError, OrchgateError, UsageError
from orchgate.git.ci import base_of_change
from orchgate.git.diff import merged
from orchgate.model import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.ci import CiBase
    from orchgate.git.repository import Repository

SET_BRANCH = 'set default-branch = "…" in orchgate.toml'
UNRELATED_HINT = (
    "judge it by hand: orchgate check --from-ref BASE --to-ref HEAD; git push --no-verify leaves the hook out"
)
NO_HOOK_HINT = "name it yourself: orchgate check --from-ref BASE --to-ref HEAD"


class Request(NamedTuple):
    """What the command line asked for; all empty means "find out"."""

    staged: bool = False
    all_files: bool = False
    from_ref: str = ""
    to_ref: str = ""
    commit: str = ""


class Target(NamedTuple):
    """A change before its base is looked up: `head` is None for the index."""

    kind: str
    head: str | None
    from_ref: str = ""
    push: Push | None = None


class Push(NamedTuple):
    """One ref of a push, from git's own protocol or from the hook runner's variables; zeros are absent objects."""

    remote: str
    remote_ref: str
    remote_oid: str
    local_oid: str


def target(repository: Repository, request: Request, environ: Mapping[str, str]) -> Target:
    """Which tree is judged, by the precedence of the module's first line. Raises UsageError, GitError."""
    chosen = [flag for flag, given in zip(_FLAGS, _given(request), strict=True) if given]
    if len(chosen) > 1:
        raise UsageError(f"{chosen[0]} and {chosen[1]} exclude each other")
    if request.staged:
        return _staged(repository, environ)
    if request.all_files:
        return Target("tree", _tree_head(repository))
    if request.commit:
        return Target("commit", repository.require_commit(request.commit))
    if request.from_ref or request.to_ref:
        if not request.from_ref:
            raise UsageError("--to-ref needs --from-ref", NO_HOOK_HINT)
        return Target("range", repository.require_commit(request.to_ref or "HEAD"), request.from_ref)
    return _from_environment(repository, environ)


_FLAGS = ("--staged", "--all-files", "--commit", "--from-ref/--to-ref")


def _given(request: Request) -> tuple[bool, ...]:
    return (request.staged, request.all_files, bool(request.commit), bool(request.from_ref or request.to_ref))


def _staged(repository: Repository, environ: Mapping[str, str]) -> Target:
    if not repository.root and not environ.get("GIT_INDEX_FILE"):
        raise GitError("a bare repository has no index", NO_HOOK_HINT)
    return Target("staged", None)


def _tree_head(repository: Repository) -> str | None:
    # A bare repository has no index worth judging.
    return None if repository.root else repository.require_commit("HEAD")


def _from_environment(repository: Repository, environ: Mapping[str, str]) -> Target:
    source, to = environ.get("PRE_COMMIT_FROM_REF", ""), environ.get("PRE_COMMIT_TO_REF", "")
    remote_branch = environ.get("PRE_COMMIT_REMOTE_BRANCH")
    # For the first push of a history pre-commit names neither end, only the branch.
    pushed = to or environ.get("PRE_COMMIT_LOCAL_BRANCH", "")
    if remote_branch and pushed:
        head = repository.require_commit(pushed)
        push = Push(environ.get("PRE_COMMIT_REMOTE_NAME", ""), remote_branch, source or "0", head)
        return Target("range" if to else "tree", head, push=push)
    if to:
        head = repository.require_commit(to)
        return Target("range", head, source) if source else Target("range", head, push=Push("", "", "0", head))
    if environ.get("GIT_INDEX_FILE"):  # git sets it for every hook of a commit
        return _staged(repository, environ)
    if environ.get("PRE_COMMIT"):
        # A manual run or `--all-files` in CI: pre-commit does not say which, so the wider one.
        return Target("tree", _tree_head(repository))
    if base_of_change(environ) is not None or not repository.root:
        return Target("range", repository.require_commit("HEAD"))
    return Target("range", None)


def resolve(repository: Repository, wanted: Target, environ: Mapping[str, str], default_branch: str = "") -> Scope:
    """The scope of a target: base, head and changes.

    A base that cannot be found is an error only to those checks that need one (`Scope.unknown`), because documents
    and manifests of a whole tree can be judged without.
    """
    if wanted.kind == "staged":
        parents = _merging(repository, environ)
        changes = merged([repository.changes(parent, None) for parent in (repository.head, *parents)])
        return Scope("staged", repository.head, None, changes, origin="HEAD" if repository.head else "first commit")
    if wanted.kind == "commit":
        return _of_commit(repository, wanted.head or "")
    try:
        base, origin = _base(repository, wanted, environ, default_branch)
    except OrchgateError as error:
        return Scope(wanted.kind, None, wanted.head, unknown=error)
    changes = repository.changes(base, wanted.head)
    if not changes and repository.shallow and base == (wanted.head or repository.head):
        # The one commit of a shallow clone is its own default branch: what CI was asked to judge is cut off.
        cut = GitError(f"a shallow clone that ends at {(base or '')[:12]} shows no change", repository.deepen)
        return Scope(wanted.kind, None, wanted.head, unknown=cut)
    return Scope(wanted.kind, base, wanted.head, changes, origin=origin)


def _of_commit(repository: Repository, commit: str) -> Scope:
    parents = repository.parents(commit)
    changes = merged([repository.changes(parent, commit) for parent in parents or (None,)])
    return Scope(
        "commit", parents[0] if parents else None, commit, changes, origin="first parent" if parents else "root"
    )


def _merging(repository: Repository, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The other parents of the merge being committed.

    MERGE_HEAD is there after a conflict. A clean merge runs its hook before git writes that file, but git then names
    the merged commits in GITHEAD_<id> variables.
    """
    try:
        with open(os.path.join(repository.git_dir, "MERGE_HEAD"), encoding="ascii") as file:
            return tuple(file.read().split())
    except (OSError, UnicodeDecodeError):
        named = (name.removeprefix("GITHEAD_") for name in environ if name.startswith("GITHEAD_"))
        return tuple(sorted(oid for oid in named if repository.commit(oid) not in (None, repository.head)))


def _base(
    repository: Repository, wanted: Target, environ: Mapping[str, str], default_branch: str
) -> tuple[str | None, str]:
    head = wanted.head or repository.head
    if wanted.push is not None:
        return push_base(repository, wanted.push, default_branch)
    if wanted.from_ref:
        return _fork_point(repository, repository.require_commit(wanted.from_ref), head or ""), wanted.from_ref
    if wanted.kind == "tree" and (ref := environ.get("PRE_COMMIT_FROM_REF")):
        return _fork_point(repository, repository.require_commit(ref), head or ""), "PRE_COMMIT_FROM_REF"
    if head is None:
        return None, "first commit"
    named = base_of_change(environ)
    if named is not None and named.pushed:
        return _before_push(repository, named, head, default_branch)
    if named is not None:
        return _fork_point(repository, _ci_tip(repository, named), head), named.source
    branch, tip = _default_tip(repository, default_branch)
    return _fork_point(repository, tip, head), f"merge base with {branch}"


def _ci_tip(repository: Repository, named: CiBase) -> str:
    """The commit CI compares with: the one it names, or the branch."""
    tip = repository.commit(named.commit) if named.commit else None
    if tip is None and named.branch:
        tip = _tip(repository, named.branch, "origin")
    if tip is None:
        raise GitError(f"{named.source} names {named.branch or named.commit}, which is not here", repository.deepen)
    return tip


def _before_push(repository: Repository, named: CiBase, head: str, default_branch: str) -> tuple[str, str]:
    """The base of a push as CI sees it afterwards: where head left the default branch.

    When head is on the default branch itself, it is what the branch was before.
    """
    try:
        branch, tip = _default_tip(repository, default_branch)
        fork = repository.merge_base(tip, head)
    except OrchgateError:
        fork = None
    if fork is not None and fork != head:
        return fork, f"merge base with {branch}"
    old = repository.commit(named.commit)
    if old is None:  # a forced push took it away, or the clone is too shallow
        hint = repository.deepen if repository.shallow else f"git fetch origin {named.commit}"
        raise GitError(f"{named.source} names {named.commit}, which is not here", hint)
    return _fork_point(repository, old, head), named.source


def _fork_point(repository: Repository, tip: str, head: str) -> str:
    """Where head left tip: what came in by merging tip is not this change's."""
    found = repository.merge_base(tip, head)
    if found is None:
        if repository.shallow:
            raise GitError(f"the common ancestor of {tip[:12]} and {head[:12]} is cut off", repository.deepen)
        raise GitError(f"{tip[:12]} and {head[:12]} have no common ancestor: unrelated histories", UNRELATED_HINT)
    return found


def push_base(repository: Repository, push: Push, default_branch: str) -> tuple[str | None, str]:
    """The base of a pushed commit and where it came from; None for the first push of a repository.

    The base is the fork point from the remote's default branch. For a push to that branch itself it is what the
    remote has, which git's protocol says more freshly than the tracking ref.
    """
    remote = push.remote or "origin"
    branch, tip = _remote_default(repository, remote, default_branch)
    old = repository.commit(push.remote_oid) if push.remote_oid.strip("0") else None
    if push.remote_ref.removeprefix("refs/heads/") == branch and old is not None:
        return _fork_point(repository, old, push.local_oid), f"{remote}'s {branch}"
    if tip is not None and (old is None or repository.merge_base(tip, push.local_oid)):
        return _fork_point(repository, tip, push.local_oid), f"merge base with {remote}/{branch}"
    if old is not None:  # also a branch with a history of its own, such as gh-pages
        return _fork_point(repository, old, push.local_oid), f"{remote}'s {push.remote_ref}"
    if push.remote_oid.strip("0"):
        raise GitError(f"{remote} has {push.remote_oid[:12]}, which is not here", f"git fetch {remote}")
    if repository.git("for-each-ref", "--count=1", f"refs/remotes/{remote}/"):
        raise GitError(
            f"{remote}'s default branch is not known here", f"git remote set-head {remote} --auto; or {SET_BRANCH}"
        )
    local = repository.commit(f"refs/heads/{branch}")
    fork = None if local is None else repository.merge_base(local, push.local_oid)
    if fork is not None and fork != push.local_oid:
        return fork, f"merge base with {branch}"
    return None, "first push: the remote has nothing to compare with"


def _remote_default(repository: Repository, remote: str, configured: str) -> tuple[str, str | None]:
    """The remote's default branch and its tip here; no tip when the remote has none of the candidates."""
    for branch in _candidates(repository, remote, configured):
        if tip := repository.commit(f"refs/remotes/{remote}/{branch}"):
            return branch, tip
    return _candidates(repository, remote, configured)[0], None


def _default_tip(repository: Repository, configured: str) -> tuple[str, str]:
    for branch in _candidates(repository, "origin", configured):
        if tip := _tip(repository, branch, "origin"):
            return branch, tip
    only = _only_branch(repository)
    if only and (tip := repository.commit(f"refs/heads/{only}")):
        return only, tip
    raise GitError(
        "no base to compare with: no default branch is known here",
        f"{repository.deepen}; or {SET_BRANCH}; or --from-ref BASE",
    )


def _candidates(repository: Repository, remote: str, configured: str) -> list[str]:
    if configured:
        return [configured]
    said = repository.git.attempt("symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD")
    named = os.fsdecode(said.stdout).strip().removeprefix(f"refs/remotes/{remote}/")
    return list(dict.fromkeys(name for name in (named, "main", "master", "trunk", "develop") if name))


def _tip(repository: Repository, branch: str, remote: str) -> str | None:
    tracked = repository.commit(f"refs/remotes/{remote}/{branch}") if remote else None
    return tracked or repository.commit(f"refs/heads/{branch}")


def _only_branch(repository: Repository) -> str:
    """The one local branch of a repository that has no other; then changes land on it."""
    listed = repository.git("for-each-ref", "--count=2", "--format=%(refname:lstrip=2)", "refs/heads/")
    branches = os.fsdecode(listed).split()
    return branches[0] if len(branches) == 1 else ""
