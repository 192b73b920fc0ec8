"""Where work trees of our own are kept: a folder of this user's, a cache for each repository, a slot for each tree.

They lie outside the repository, in a folder without a dot in its name: many test runners and linters ignore what is
below `.git` or `.cache`. All paths have the same length, for the length of a path can change what a program costs.

A slot is a folder with its lock, its notes, the work tree and a scratch folder. Whoever holds the lock owns all of it;
a lock ends with its process. A tree that was left half made, or dirty, is made again or cleaned before it is used. No
hook runs, nothing is fetched, and of the developer's repository nothing changes but the list of its work trees.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time

from orchgate.errors import GitError, OrchgateError
from orchgate.git import worktree
from orchgate.git.call import Git, common_dir, failed, names, scrubbed
from orchgate.lib import files, json_data, locks
from orchgate.lib.files import sha256_hex
from orchgate.lib.temporary import is_at
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from orchgate.git.repository import Repository

VARIABLE = "ORCHGATE_TREES"
SLOTS = 10  # of one tree at the same time
MOST_SLOTS = 8
MOST_BYTES = 8 << 30
MOST_DAYS = 14
TRIES, PAUSE_SECONDS = 20, 0.05  # of what fails only because several do it at once
_LOCK, _NOTES, _SCRATCH, _OWNER = "lock", "made.json", "scratch", "repository"
_DAY = 86_400.0
_MOST_NOTED = 1 << 26  # bytes


class CacheFolder(NamedTuple):
    """The folder of one repository; `name` is what a work tree is called in its slot."""

    folder: str
    name: str


class Slot(NamedTuple):
    folder: str
    lock: int

    @property
    def scratch(self) -> str:
        return os.path.join(self.folder, _SCRATCH)


def _temporary(environ: Mapping[str, str]) -> str:
    """Where temporary files go. Raises OrchgateError for a TMPDIR that would put them just anywhere."""
    folder = environ.get("TMPDIR") or "/var/tmp"  # noqa: S108 -- what is made there is checked to be ours
    if not os.path.isabs(folder) or not os.path.isdir(folder):
        raise OrchgateError(
            f"TMPDIR is {folder}, which is not the absolute path of a directory", "export TMPDIR=/var/tmp"
        )
    return folder


def folder_of(environ: Mapping[str, str], common_dir: str, name: str) -> CacheFolder:
    """The cache of a repository, made if it is not there. Raises OrchgateError where it cannot be ours alone."""
    home = environ.get(VARIABLE) or os.path.join(_temporary(environ), f"orchgate-{os.getuid()}")
    home = os.path.realpath(os.path.dirname(os.path.abspath(home))) + os.sep + os.path.basename(os.path.abspath(home))
    _claim(home)
    folder = os.path.join(home, sha256_hex(common_dir)[:12])
    _own(folder, common_dir)
    return CacheFolder(folder, "tree" if name in (_LOCK, _NOTES, _SCRATCH) else name)


def _own(folder: str, common_dir: str) -> None:
    """Makes a cache and says whose it is; another process may be doing so, or taking an empty cache away."""
    owner = os.path.join(folder, _OWNER)
    while not os.path.exists(owner):
        files.make_folders(folder)
        try:
            files.create(owner, os.fsencode(common_dir))
        except files.WriteError as error:
            if error.code not in (errno.EEXIST, errno.ENOENT):
                raise


def _claim(home: str) -> None:
    """Makes sure that a folder is ours and that nobody else can write there: programs will be run in it."""
    hint = f"name another folder: {VARIABLE}=… in the environment"
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
        found = os.lstat(home)
    except OSError as error:
        raise OrchgateError(f"cannot make a folder for work trees, {home}: {error.strerror}", hint) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise OrchgateError(f"{home} is not a folder that only this user can write to", hint)


def key(tree: str, variant: str) -> str:
    return sha256_hex(f"{tree}\0{variant}")[:16]


@contextlib.contextmanager
def taken(cache: CacheFolder, name: str) -> Iterator[Slot]:
    """A slot of that key that nobody else uses. Raises GitError when all are in use."""
    for number in range(SLOTS):
        folder = os.path.join(cache.folder, f"{name}-{number}")
        lock = _lock(folder)
        if lock is not None:
            try:
                yield Slot(folder, lock)
            finally:
                with contextlib.suppress(OSError):
                    os.utime(lock)
                os.close(lock)
            return
    raise GitError(f"{SLOTS} other measurements use this tree right now", "wait for one of them to end")


def _lock(folder: str) -> int | None:
    """A descriptor that holds a slot's lock; None when somebody else does."""
    path = os.path.join(folder, _LOCK)
    while True:
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            lock = locks.open_lock(path, 0o600)
        except FileNotFoundError:  # just being removed
            continue
        except OSError as error:
            raise files.failure(path, error) from error
        ours = False
        try:
            if not locks.try_lock(lock, path):
                return None
            ours = is_at(lock, path)  # or it was removed between the opening and the locking
            if ours:
                _sign(lock)
                return lock
        finally:
            if not ours:
                os.close(lock)


def _sign(lock: int) -> None:
    """Says who has it, for people."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"pid {os.getpid()} on {os.uname().nodename} since {time.time():.0f}\n".encode(), 0)


def notes(slot: Slot) -> dict[str, Any] | None:
    """What was noted about a slot once its work tree was complete; None before that, or when it cannot be read."""
    try:
        read = json_data.read(os.path.join(slot.folder, _NOTES), _MOST_NOTED)
    except (OSError, ValueError):
        return None
    whole = isinstance(read, dict) and isinstance(read.get("kept"), list) and "prepared" in read
    return read if whole else None


def note(slot: Slot, noted: Mapping[str, Any]) -> None:
    """Raises WriteError."""
    import json

    files.replace(os.path.join(slot.folder, _NOTES), json.dumps(noted).encode("ascii"))


def prune(cache: CacheFolder, remove: Callable[[str], None]) -> None:
    """Takes away what was not used for long, or is too much; what somebody uses stays. `remove` takes a work tree."""
    _prune_caches(os.path.dirname(cache.folder), cache.folder)
    newest_first = sorted(_slots(cache.folder), reverse=True)
    total = 0
    for number, (used, folder) in enumerate(newest_first, 1):
        total += size(folder) if number <= MOST_SLOTS else 0
        if number > MOST_SLOTS or total > MOST_BYTES or time.time() - used > MOST_DAYS * _DAY:
            _clear(folder, lambda tree: remove(os.path.join(tree, cache.name)))


def _slots(folder: str) -> Iterator[tuple[float, str]]:
    """When each slot was used last, and its folder."""
    with os.scandir(folder) as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    yield os.stat(os.path.join(entry.path, _LOCK)).st_mtime, entry.path


def _prune_caches(home: str, own: str) -> None:
    """Takes away the caches of repositories that are gone."""
    with os.scandir(home) as found:
        caches = [entry.path for entry in found if entry.is_dir(follow_symlinks=False) and entry.path != own]
    for folder in caches:
        try:
            with open(os.path.join(folder, _OWNER), "rb") as file:
                common_dir = file.read()
        except OSError:
            continue
        if not os.path.exists(common_dir):
            for _, old in list(_slots(folder)):
                _clear(old, lambda _: None)
            with contextlib.suppress(OSError):  # somebody is still there
                if not [name for name in os.listdir(folder) if name != _OWNER]:
                    erase(folder)


def _clear(folder: str, remove: Callable[[str], None]) -> None:
    lock = _lock(folder)
    if lock is None:
        return
    try:
        remove(folder)
        erase(folder)
    finally:
        os.close(lock)


def size(folder: str) -> int:
    """Bytes of all files below a folder, as far as they can be seen; a prepared slot has noted them."""
    noted = notes(Slot(folder, -1)) or {}
    if isinstance(noted.get("bytes"), int):
        return int(noted["bytes"])
    total = 0
    for inner, _, found in os.walk(folder):
        for name in found:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(inner, name)).st_size
    return total


def erase(path: str) -> None:
    """Takes away a file or a folder with all in it, also where its writer forbade that. No errors: it may stay."""
    import shutil

    if not os.path.isdir(path) or os.path.islink(path.rstrip(os.sep)):
        with contextlib.suppress(OSError):
            os.unlink(path.rstrip(os.sep))
        return
    shutil.rmtree(path, onerror=_insist)


def _insist(_act: Callable[[str], object], path: str, _: object) -> None:
    """Some programs make their folders read-only."""
    with contextlib.suppress(OSError):
        for folder in (os.path.dirname(path), path):
            if not os.path.islink(folder):
                os.chmod(folder, 0o700)
        if os.path.isdir(path) and not os.path.islink(path):
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


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
    cache = folder_of(environ, common_dir(repository.git_dir), _folder_name(repository))
    with taken(cache, key(tree, variant)) as slot:
        yield _prepared(repository, cache, slot, commit, tree)


def _new_bytes(repository: Repository, root: str) -> int:
    """As `size` of a work tree that was just made; its index saves a look at each of seventy thousand files."""
    try:
        return worktree.indexed_bytes(root, len(repository.empty_tree) // 2)
    except (OSError, ValueError, IndexError):
        return size(root)


def _folder_name(repository: Repository) -> str:
    """What the work tree's folder is called: as the developer's, because programs name projects after it."""
    name = os.path.basename(repository.root)
    return name if name.isascii() and name.replace("-", "").replace("_", "").replace(".", "x").isalnum() else "tree"


def _prepared(repository: Repository, cache: CacheFolder, slot: Slot, commit: str, tree: str) -> Checkout:
    root = os.path.join(slot.folder, cache.name)
    made = notes(slot)
    if made is not None:
        try:
            _reset(repository, root, commit, made["kept"])
        except OrchgateError:
            made = None
    if made is None:
        remove(repository, root)
        prune(cache, lambda folder: remove(repository, folder))
        try:
            _add_tree(repository, root, commit)
        except BaseException:
            remove(repository, root)
            raise
        made = {"kept": [], "prepared": False, "bytes": _new_bytes(repository, root)}
        note(slot, made)
    files.make_folders(slot.scratch)
    return Checkout(root, slot.scratch, commit, tree, slot.lock, made["prepared"] is True)


def keep(repository: Repository, found: Checkout) -> None:
    """Declares that what lies in the work tree now, tracked or not, belongs to it: `prepare` has put it there."""
    slot = Slot(os.path.dirname(found.scratch), found.lock)
    kept: dict[str, Any] = {"kept": _untracked_files(repository, found.root), "prepared": True}
    note(slot, kept | {"bytes": size(slot.folder)})


def _add_tree(repository: Repository, root: str, commit: str) -> None:
    at = Git(repository.git_dir, {**unbound(repository), "GIT_DIR": repository.git_dir})
    # `--force`: a folder that somebody has removed is still on git's list.
    _added(at, "worktree", "add", "--quiet", "--force", "--detach", "--no-checkout", root, commit)
    _checked(_git_inside(repository, root), "reset", "--quiet", "--hard", commit)


def _added(git: Git, *args: str) -> None:
    """Adds to git's list of work trees. Raises GitError."""
    for left in reversed(range(TRIES)):
        completed = git.attempt(*_OPTIONS, *args)
        if completed.code == 0:
            return
        # git reads all of its list first, and dies at an entry that another process is just writing.
        if not left or b"commondir" not in completed.stderr:
            raise failed(args, completed.stderr)
        time.sleep(PAUSE_SECONDS)


def _reset(repository: Repository, root: str, commit: str, kept: list[str]) -> None:
    """Makes a work tree as it was after it was made or prepared. Raises GitError."""
    # On a branch, as a program may have left it, `reset` would move that branch of the developer's.
    _checked(_git_inside(repository, root), "update-ref", "--no-deref", "HEAD", commit)
    _checked(_git_inside(repository, root), "reset", "--quiet", "--hard", commit)
    for name in set(_untracked_files(repository, root)) - set(kept):
        erase(os.path.join(root, name))


def _untracked_files(repository: Repository, root: str) -> list[str]:
    """Everything that git does not track, ignored or not; of a folder without tracked files its name with a slash."""
    return names(_checked(_git_inside(repository, root), "ls-files", "-z", "--others", "--directory"))


def remove(repository: Repository, root: str) -> None:
    """Takes a work tree of ours away, and off git's list."""
    if os.path.lexists(root):
        at = Git(repository.git_dir, {**unbound(repository), "GIT_DIR": repository.git_dir})
        at.attempt(*_OPTIONS, "worktree", "remove", "--force", "--force", root)  # refused when it never was on the list
        erase(root)


def _git_inside(repository: Repository, root: str) -> Git:
    # Bound to the folder: a work tree without its `.git` must not lead to a repository further up.
    return Git(root, {**unbound(repository), "GIT_CEILING_DIRECTORIES": os.path.dirname(root)})


def unbound(repository: Repository) -> dict[str, str]:
    """Nothing that binds git to a repository or an index; settings from the command line stay."""
    environ = repository.git.env
    settings = {name: value for name, value in environ.items() if name.startswith("GIT_CONFIG_")}
    return {**scrubbed(environ), **settings, **_LFS}


def discard(repository: Repository, found: Checkout) -> None:
    """Takes away a work tree that is not worth being kept, unless somebody uses it now."""
    _clear(os.path.dirname(found.scratch), lambda _: remove(repository, found.root))


def _checked(git: Git, *args: str) -> bytes:
    completed = git.attempt(*_OPTIONS, *args)
    if completed.code != 0:
        raise failed(args, completed.stderr)
    return completed.stdout
