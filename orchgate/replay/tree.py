"""The tree that a run was recorded at, in a work tree of its own: its commit, and what lay there beside it.

What a manifest names by object id is brought back from the repository; what that does not hold cannot be. Once it is
laid out, git is asked what is there: it is the recorded tree, or nothing is run.
"""

from __future__ import annotations

import os

from orchgate.errors import GitError
from orchgate.git import state, worktree_cache
from orchgate.git.call import FETCH_OBJECTS, NO_HOOKS, Git
from orchgate.git.snapshot import SUBMODULE
from orchgate.lib import files
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.replay.recorded import Contradicted, Unrepeatable

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from orchgate.git.repository import Repository
    from orchgate.git.state import WorkTreeState
    from orchgate.git.worktree_cache import Checkout
    from orchgate.runs.run import RecordedTree

_COMMIT_IT = "commit what a run is to show, and run it again"
_PREPARED = "prepared"
_CACHES = frozenset({"__pycache__", ".cache", ".pytest_cache", ".mypy_cache", ".ruff_cache"})
_HEX = frozenset("0123456789abcdef")


def commit_at(repository: Repository, git: RecordedTree) -> str:
    """A commit whose tree is the recorded one: the recorded commit, or another where that is not here.

    Raises Unrepeatable, and Contradicted where the recorded commit has another tree.
    """
    assert git.commit is not None
    assert git.tree is not None
    if not all(set(oid) <= _HEX and len(oid) == len(repository.empty_tree) for oid in (git.commit, git.tree)):
        raise Unrepeatable("its commit or its tree is no id of an object")
    if repository.kind(git.commit) == "commit":
        tree = repository.git("rev-parse", "--verify", git.commit + "^{tree}").decode("ascii").strip()
        if tree != git.tree:
            raise Contradicted(f"commit {git.commit[:12]} has tree {tree[:12]}, its manifest says {git.tree[:12]}")
        return git.commit
    for line in repository.git("log", "--all", "--format=%H %T").decode("ascii").splitlines():
        commit, _, tree = line.partition(" ")
        if tree == git.tree:
            return commit
    refs = repository.refs
    hint = refs.bring_commit(next(iter(refs.remotes), ""), git.commit)
    raise Unrepeatable(f"its commit {git.commit[:12]} is not in this repository", hint)


class LaidTree(NamedTuple):
    """The state of the work tree, and what could not be laid out and does not count, as documents do not."""

    state: WorkTreeState
    left_out: tuple[str, ...]


def lay(
    at: Repository,
    git: RecordedTree,
    artifacts: Iterable[str],
    uncounted: Sequence[str] = (),
    *,
    prepared: bool = False,
) -> LaidTree:
    """Puts what lay beside the commit into a work tree that is clean at it.

    `artifacts` are folders that belong to no tree, `uncounted` globs of what may be left as the commit has it. A tree
    that was `prepared` before has more files that nobody tracks. Raises Unrepeatable.
    """
    changed, untracked = git.changed or {}, git.untracked or {}
    there = {path: one for path, one in {**changed, **untracked}.items() if one is not None}
    missing = _missing(at, there)
    left_out = tuple(path for path in missing if matches(path, uncounted))
    for path, why in missing.items():
        if path not in left_out:
            raise Unrepeatable(why, _COMMIT_IT)
    there = {path: one for path, one in there.items() if path not in missing}
    try:
        gone = [path for path, one in changed.items() if one is None]
        _write(Git(at.root, at.git.env, NO_HOOKS), there, gone, untracked)
    except GitError as error:
        raise Unrepeatable(f"its uncommitted files cannot be laid out: {error.message}") from error
    found = state.of(at, artifacts)
    assert found is not None
    if prepared and found.untracked is not None:
        found = found._replace(untracked={path: one for path, one in found.untracked.items() if path in untracked})
    for was, now in ((changed, found.changed), (untracked, found.untracked)):
        other = sorted(path for path in {*was, *(now or {})} if was.get(path, "") != (now or {}).get(path, ""))
        if other := [path for path in other if path not in left_out]:
            raise Unrepeatable(f"{other[0]} cannot be laid out as it was", "the settings of git here may translate it")
    return LaidTree(found, left_out)


def _missing(at: Repository, named: Mapping[str, str]) -> dict[str, str]:
    """What the repository does not hold, by path, and why."""
    found: dict[str, str] = {}
    asked: dict[str, str] = {}
    for path, there in named.items():
        mode, _, oid = there.partition(" ")
        if mode == SUBMODULE:
            found[path] = f"{path} was a submodule with changes, which a work tree of ours does not have"
        elif not oid or not set(oid) <= _HEX:
            found[path] = f"what {path} held is not recorded"
        else:
            asked[path] = oid
    lines = "".join(f"{oid}\n" for oid in asked.values()).encode("ascii")
    answers = at.git("cat-file", "--batch-check", input=lines).splitlines() if asked else []
    for path, answer in zip(asked, answers, strict=True):
        if b" blob " not in answer:
            found[path] = f"what {path} held was never committed, and is not in this repository"
    return found


def _write(git: Git, contents: Mapping[str, str], gone: list[str], untracked: Iterable[str]) -> None:
    """Writes files by their object ids, and takes others away; all but the untracked ones are staged, as on a commit.

    A record does not say what was staged. New files, and renamed ones, git knew only where they were; and programs that
    ask git which files there are, or whether they made others (`git diff --exit-code`), passed on what was.
    git does both: it refuses paths that lead out of the work tree, follows no link and runs no hook. Raises GitError.
    """
    if gone:
        git("rm", "--quiet", "--force", "--ignore-unmatch", "--", *gone)
    if contents:
        lines = "".join(f"{there}\t{path}\0" for path, there in contents.items())
        git("update-index", "--add", "--replace", "-z", "--index-info", input=os.fsencode(lines))
        git("checkout-index", "--force", "--index", "-z", "--stdin", input=_listed(contents))
    if unknown := [path for path in untracked if path in contents]:
        git("update-index", "--force-remove", "-z", "--stdin", input=_listed(unknown))


def _listed(paths: Iterable[str]) -> bytes:
    return os.fsencode("".join(f"{path}\0" for path in paths))


def empty_submodule(at: Repository) -> str:
    """What to say of a submodule that the tree has and nobody fetched; "" where there is none."""
    if not os.path.exists(os.path.join(at.root, ".gitmodules")):
        return ""
    for line in at.git("ls-files", "--stage", "-z").decode("utf-8", "surrogateescape").split("\0"):
        entry, _, path = line.partition("\t")
        folder = os.path.join(at.root, path)
        if entry.startswith(SUBMODULE) and not (os.path.isdir(folder) and os.listdir(folder)):
            return f"submodule {path}"
    return ""


def missing_objects(error: GitError) -> Unrepeatable:
    """A commit of which git lacks what it needs to lay it out, as a partial clone does."""
    return Unrepeatable(f"its tree cannot be laid out: {error.message}", error.hint or FETCH_OBJECTS)


def note_prepared(found: Checkout, apart: Container[str]) -> None:
    """Remembers what a setup has put into a work tree. Raises WriteError."""
    files.replace(os.path.join(found.scratch, _PREPARED), _prepared(found, apart))


def is_as_prepared(found: Checkout, apart: Container[str]) -> bool:
    """Whether what a setup put there is what it was: git puts back what it tracks, and nobody what it ignores."""
    try:
        with open(os.path.join(found.scratch, _PREPARED), "rb") as file:
            return file.read() == _prepared(found, apart)
    except OSError:
        return False


def _prepared(found: Checkout, apart: Container[str]) -> bytes:
    noted = worktree_cache.notes(worktree_cache.Slot(os.path.dirname(found.scratch), found.lock)) or {}
    lines = []
    for path in sorted(_files_below(found.root, noted.get("kept", ()))):
        if os.path.relpath(path, found.root) not in apart:
            try:
                there = os.lstat(path)
                lines.append(f"{path} {there.st_mode} {there.st_size} {there.st_mtime_ns}")
            except OSError:
                lines.append(f"{path} is gone")
    return files.sha256_hex("\n".join(lines)).encode("ascii")


def _files_below(root: str, names: Iterable[str]) -> Iterator[str]:
    """The files of a tree that git does not track, apart from those that programs keep to be faster."""
    for name in names:
        if not name.endswith("/"):
            yield os.path.join(root, name)
        for folder, inner, found in os.walk(os.path.join(root, name)) if name.endswith("/") else ():
            inner[:] = [one for one in inner if one not in _CACHES]
            yield from (os.path.join(folder, one) for one in found)
