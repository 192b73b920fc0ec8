"""Work trees of our own at a commit, beside each other, made once for each tree and kept for the next time.

They lie outside the repository, in a folder without a dot in its name: many test runners and linters ignore what is
below `.git` or `.cache`. All paths have the same length, for the length of a path can change what a program costs.
A lock that ends with its process tells who uses a tree; one that was left half made, or dirty, is made again or cleaned
before it is used. No hook runs, nothing is fetched, and of the developer's repository nothing changes but the list of
its work trees.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.git import worktree_cache
from orchgate.git.call import Git, common_dir, failed, names, scrubbed
from orchgate.lib import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.git.repository import Repository

# A hook of the developer's has no slot in a tree that is none of theirs, and what they do not want to see may be run
# all the same; sub-repositories would have to be fetched; git-lfs takes what is here and otherwise meets a closed door.
# Of whom the folder is, we know: it is ours.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.sparseCheckout=false",
    "submodule.recurse=false",
    "lfs.url=http://127.0.0.1:9",
    "lfs.transfer.maxretries=1",
    "safe.directory=*",
)
_OPTIONS = tuple(word for setting in _SETTINGS for word in ("-c", setting))
_LFS = {"GIT_LFS_SKIP_DOWNLOAD_ERRORS": "1"}


class Checkout(NamedTuple):
    """A work tree at `root`, clean at a commit; `scratch` is a folder of ours beside it.

    `lock` is a descriptor: as long as anybody holds it open, nobody else uses this work tree. `prepared` says that
    somebody has called `keep` since it was made.
    """

    root: str
    scratch: str
    commit: str
    tree: str
    lock: int
    prepared: bool


@contextlib.contextmanager
def checkout(repository: Repository, commit: str, variant: str, environ: Mapping[str, str]) -> Iterator[Checkout]:
    """A work tree at a commit that nobody else uses. `variant` keeps apart what was prepared in different ways.

    Raises GitError, WriteError.
    """
    tree = repository.git("rev-parse", "--verify", commit + "^{tree}").decode("ascii").strip()
    cache = worktree_cache.folder_of(environ, common_dir(repository.git_dir), _name(repository))
    with worktree_cache.taken(cache, worktree_cache.key(tree, variant)) as slot:
        yield _ready(repository, cache, slot, commit, tree)


def _name(repository: Repository) -> str:
    """What the work tree's folder is called: as the developer's, because programs name projects after it."""
    name = os.path.basename(repository.root)
    return name if name.isascii() and name.replace("-", "").replace("_", "").replace(".", "x").isalnum() else "tree"


def _ready(
    repository: Repository, cache: worktree_cache.CacheFolder, slot: worktree_cache.Slot, commit: str, tree: str
) -> Checkout:
    root = os.path.join(slot.folder, cache.name)
    made = worktree_cache.notes(slot)
    if made is not None:
        try:
            _restore(repository, root, commit, made["kept"])
        except OrchgateError:
            made = None
    if made is None:
        remove(repository, root)
        worktree_cache.prune(cache, lambda folder: remove(repository, folder))
        try:
            _make(repository, root, commit)
        except BaseException:
            remove(repository, root)
            raise
        made = {"kept": [], "prepared": False, "bytes": worktree_cache.size(root)}
        worktree_cache.note(slot, made)
    files.make_folders(slot.scratch)
    return Checkout(root, slot.scratch, commit, tree, slot.lock, made["prepared"] is True)


def keep(repository: Repository, found: Checkout) -> None:
    """Declares that what lies in the work tree now, tracked or not, belongs to it: `prepare` has put it there."""
    slot = worktree_cache.Slot(os.path.dirname(found.scratch), found.lock)
    kept: dict[str, Any] = {"kept": _untracked(repository, found.root), "prepared": True}
    worktree_cache.note(slot, kept | {"bytes": worktree_cache.size(slot.folder)})


def _make(repository: Repository, root: str, commit: str) -> None:
    at = Git(repository.git_dir, {**_environ(repository), "GIT_DIR": repository.git_dir})
    # `--force`: a folder that somebody has removed is still on git's list.
    _run(at, "worktree", "add", "--quiet", "--force", "--detach", "--no-checkout", root, commit)
    _run(_inside(repository, root), "reset", "--quiet", "--hard", commit)


def _restore(repository: Repository, root: str, commit: str, kept: list[str]) -> None:
    """Makes a work tree as it was after it was made or prepared. Raises GitError."""
    _run(_inside(repository, root), "reset", "--quiet", "--hard", commit)
    for name in set(_untracked(repository, root)) - set(kept):
        worktree_cache.erase(os.path.join(root, name))


def _untracked(repository: Repository, root: str) -> list[str]:
    """Everything that git does not track, ignored or not; of a folder without tracked files its name with a slash."""
    return names(_run(_inside(repository, root), "ls-files", "-z", "--others", "--directory"))


def remove(repository: Repository, root: str) -> None:
    """Takes a work tree of ours away, and off git's list."""
    if os.path.lexists(root):
        at = Git(repository.git_dir, {**_environ(repository), "GIT_DIR": repository.git_dir})
        at.attempt(*_OPTIONS, "worktree", "remove", "--force", "--force", root)  # refused when it never was on the list
        worktree_cache.erase(root)


def _inside(repository: Repository, root: str) -> Git:
    # Bound to the folder: a work tree without its `.git` must not lead to a repository further up.
    return Git(root, {**_environ(repository), "GIT_CEILING_DIRECTORIES": os.path.dirname(root)})


def _environ(repository: Repository) -> dict[str, str]:
    """Nothing that binds git to a repository or an index; settings from the command line stay."""
    environ = repository.git.env
    settings = {name: value for name, value in environ.items() if name.startswith("GIT_CONFIG_")}
    return {**scrubbed(environ), **settings, **_LFS}


def _run(git: Git, *args: str) -> bytes:
    completed = git.attempt(*_OPTIONS, *args)
    if completed.code != 0:
        raise failed(args, completed.stderr)
    return completed.stdout
