"""Which change is judged: flags, then the hook runner's variables, then CI's, then the default branch."""

from __future__ import annotations

import os

from orchgate.errors import GitError, OrchgateError, UsageError, WrongCheckout
from orchgate.git.objects import merged
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Push, Scope, ScopeRequest, ScopeTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchgate.git.base import BranchSettings
    from orchgate.git.history import ChangeBase
    from orchgate.git.repository import Repository
    from orchgate.model import Change


NO_HOOK_HINT = "orchgate check --base BASE --head HEAD"
MERGE_HINT = "git status says what is being merged; git merge --abort gives it up"
MAX_MERGE_HEAD = 64 * 1024  # bytes


def target(repository: Repository, request: ScopeRequest, environ: Mapping[str, str]) -> ScopeTarget:
    """Which tree is judged, by the precedence of the module's first line. Raises UsageError, GitError."""
    chosen = [flag for flag, given in zip(_FLAGS, _given(request), strict=True) if given]
    if len(chosen) > 1:
        raise UsageError(f"{chosen[0]} and {chosen[1]} exclude each other")
    if request.staged:
        return _staged(repository, environ)
    if request.all_files:
        return ScopeTarget("tree", _tree_head(repository))
    if request.commit:
        return ScopeTarget("commit", repository.require_commit(request.commit))
    if request.base or request.head:
        if not request.base:
            raise UsageError("--head needs --base", NO_HOOK_HINT)
        return ScopeTarget("range", repository.require_commit(request.head or "HEAD"), request.base)
    return _from_environment(repository, environ)


_FLAGS = ("--staged", "--all-files", "--commit", "--base/--head")


def _given(request: ScopeRequest) -> tuple[bool, ...]:
    return (request.staged, request.all_files, bool(request.commit), bool(request.base or request.head))


def _staged(repository: Repository, environ: Mapping[str, str]) -> ScopeTarget:
    if not repository.root and not environ.get("GIT_INDEX_FILE"):
        raise GitError("a bare repository has no index", NO_HOOK_HINT)
    return ScopeTarget("staged", None)


def _tree_head(repository: Repository) -> str | None:
    # A bare repository has no index worth judging.
    return None if repository.root else repository.require_commit("HEAD")


def _from_environment(repository: Repository, environ: Mapping[str, str]) -> ScopeTarget:
    remote_branch = environ.get("PRE_COMMIT_REMOTE_BRANCH")
    source, to = _range_of(repository, environ, pushed=bool(remote_branch))
    # For the first push of a history pre-commit names neither end, only the branch.
    pushed = to or environ.get("PRE_COMMIT_LOCAL_BRANCH", "")
    if remote_branch and pushed:
        head = repository.require_commit(pushed)
        push = Push(environ.get("PRE_COMMIT_REMOTE_NAME", ""), remote_branch, source or "0", head)
        return ScopeTarget("range" if to else "tree", head, push=push)
    if to:
        head = repository.require_commit(to)
        if source:
            return ScopeTarget("range", head, source)
        return ScopeTarget("range", head, push=Push("", "", "0", head))
    if environ.get("GIT_INDEX_FILE"):  # git sets it for every hook of a commit
        return _staged(repository, environ)
    if environ.get("PRE_COMMIT"):
        # A manual run or `--all-files` in CI: pre-commit does not say which, so the wider one.
        return ScopeTarget("tree", _tree_head(repository))
    from orchgate.git import ci

    if ci.names_base(environ) or not repository.root:
        return ScopeTarget("range", repository.require_commit("HEAD"))
    return ScopeTarget("range", None)


def _range_of(repository: Repository, environ: Mapping[str, str], *, pushed: bool) -> tuple[str, str]:
    """The two ends that a hook runner names. Twice the same one is no change that anybody asked about."""
    source, to = environ.get("PRE_COMMIT_FROM_REF", ""), environ.get("PRE_COMMIT_TO_REF", "")
    if source and to and not pushed and (same := repository.commit(source)) and same == repository.commit(to):
        return "", ""
    return source, to


def resolve(
    repository: Repository, wanted: ScopeTarget, environ: Mapping[str, str], wishes: Callable[[str], BranchSettings]
) -> Scope:
    """The scope of a target: base, head and changes. `wishes` reads the configuration of a commit.

    A base that cannot be found is an error only to those checks that need one (`Scope.unknown`), because documents
    and manifests of a whole tree can be judged without. Raises WrongCheckout, GitError.
    """
    if wanted.kind == "staged":
        parents = _merging(repository, environ)
        changes = merged([repository.changes(parent, None) for parent in (repository.head, *parents)])
        origin = "HEAD" if repository.head else "first commit"
        return Scope("staged", repository.head, None, changes, origin=origin, beside=parents)
    if wanted.kind == "commit":
        return _of_commit(repository, wanted.head or "")
    from orchgate.git import base

    try:
        found = base.find(repository, wanted, environ, wishes)
    except WrongCheckout:
        raise
    except OrchgateError as error:
        return Scope(wanted.kind, None, wanted.head, unknown=error)
    return since(repository, wanted, found)


def since(repository: Repository, wanted: ScopeTarget, found: ChangeBase) -> Scope:
    """What a target changes since its bases. Raises GitError."""
    nearest, changes = _compared(repository, found.bases, wanted.head)
    beside = tuple(commit for commit in found.bases if commit != nearest)
    if not changes and repository.shallow and nearest == (wanted.head or repository.head) and not found.settled:
        # The one commit of a shallow clone is its own default branch: what CI was asked to judge is cut off.
        from orchgate.git import base

        return Scope(wanted.kind, None, wanted.head, unknown=base.cut_off(repository, nearest or ""))
    return Scope(wanted.kind, nearest, wanted.head, changes, None, found.origin, beside, found.settled)


def _compared(
    repository: Repository, bases: tuple[str, ...], head: str | None
) -> tuple[str | None, tuple[Change, ...]]:
    """The base that the head is nearest to, and what differs from every base."""
    by_base = {base: repository.changes(base, head) for base in bases or (None,)}
    nearest = min(by_base, key=lambda base: len(by_base[base]))
    return nearest, merged([by_base[nearest], *(by_base[base] for base in by_base if base != nearest)])


def _of_commit(repository: Repository, commit: str) -> Scope:
    """What a commit changed on its own line: of a merge, all that it brought in."""
    base, *_ = (*repository.parents(commit), None)
    origin = "first parent" if base else "root"
    return Scope("commit", base, commit, repository.changes(base, commit), origin=origin)


def _merging(repository: Repository, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The other parents of the merge being committed.

    MERGE_HEAD is there after a conflict. A clean merge runs its hook before git writes that file, but git then names
    the merged commits in GITHEAD_<id> variables.
    """
    try:
        listed = files.read(os.path.join(repository.git_dir, "MERGE_HEAD"), MAX_MERGE_HEAD)
    except FileNotFoundError:
        named = (name.removeprefix("GITHEAD_") for name in environ if name.startswith("GITHEAD_"))
        return tuple(sorted(oid for oid in named if repository.commit(oid) not in (None, repository.head)))
    except OSError as error:
        raise GitError(f"MERGE_HEAD cannot be read: {error.strerror}", MERGE_HINT) from error
    found = [repository.blobs.resolve(os.fsdecode(name) + "^{commit}") for name in listed.split()]
    if None in found:
        raise GitError("MERGE_HEAD names what is not a commit here", MERGE_HINT)
    return tuple(commit.oid for commit in found if commit)
