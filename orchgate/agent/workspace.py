"""The folder an agent works in: what it contains, and what an iteration changed inside and outside of it.

Outside are git's hooks, configuration and refs, other runs, artifacts, and orchgate's own folder, looked at before and
after. What lies outside of the repository, such as a home folder, is not.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from itertools import islice
from typing import Any

from orchgate.errors import OrchgateError
from orchgate.git.call import common_dir
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from orchgate.git.repository import Repository
    from orchgate.git.worktree import Footprints
    from orchgate.model import Change
    from orchgate.runs.state import Document


NAMED = 50  # changed files that a summary names
_WALKED = 20_000  # files looked at where there is no repository
_LONGEST = 200


class Workspace:
    """A work tree, or a plain folder, about which less is known."""

    def __init__(self, root: str, repository: Repository | None, store: str) -> None:
        self._root = root
        self._footprints: Footprints | None = None
        if repository:
            from orchgate.git.worktree import Footprints

            self._footprints = Footprints(repository, store, (ids.RUNS,))

    def close(self) -> None:
        if self._footprints:
            self._footprints.close()

    def state(self) -> str:
        """Equal for equal contents; begins with `tree:` when `difference` can compare it."""
        if self._footprints:
            try:
                return f"tree:{self._footprints.take()}"
            except (OrchgateError, OSError):  # a file vanished or came meanwhile, an unmerged index …
                pass
        known = hashlib.sha256()
        for path in self._walk():
            known.update(repr((path, *_stamp(os.path.join(self._root, path)))).encode("ascii", "backslashreplace"))
        return f"files:{known.hexdigest()}"

    def difference(self, before: str, after: str) -> Document | None:
        """What changed between two states, in numbers and names; None where that is unknown."""
        if self._footprints is None or not (before.startswith("tree:") and after.startswith("tree:")):
            return None
        try:
            return summary(self._footprints.changes(before.removeprefix("tree:"), after.removeprefix("tree:")))
        except OrchgateError:
            return None

    def status(self) -> str:
        """The output of git status; "" outside of a repository."""
        if self._footprints is None:
            return ""
        try:
            return self._footprints.status()
        except OrchgateError as error:
            return error.message

    def files(self) -> list[str]:
        if self._footprints:
            try:
                return self._footprints.listing()
            except OrchgateError:
                pass
        return sorted(self._walk())

    def _walk(self) -> Iterator[str]:
        return islice(_files(self._root), _WALKED)


def _files(root: str) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in (".git", ids.RUNS))
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), root)


def _stamp(path: str) -> tuple[int, ...]:
    try:
        found = os.lstat(path)
    except OSError:
        return ()
    return found.st_mode, found.st_size, found.st_mtime_ns


def summary(changes: Iterable[Change]) -> Document:
    """Changes in numbers, as `git diff --shortstat` has them, and the first names."""
    listed = sorted(changes, key=lambda change: change.path)
    return {
        "files": len(listed),
        "insertions": sum(change.added or 0 for change in listed),
        "deletions": sum(change.removed or 0 for change in listed),
        "names": [_written(change.path) for change in listed[:NAMED]],
    }


def _written(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")[:_LONGEST]


NAMED_OUTSIDE = 20  # changes that are named
_MOST_FILES = 5_000  # looked at in each place
_HASHED = 64 * 1024  # bytes of a file of git's that are read
_IN_GIT = ("hooks", "info")
_OF_GIT = ("config", "config.worktree", "objects/info/alternates")
_IGNORED = ("info/refs",)  # git writes it by itself

Seen = dict[str, tuple[Any, ...]]
_FOOTPRINTS = ".footprints"  # the loop's own, in `artifacts`


class WatchedPlaces(NamedTuple):
    """Where to look. `own` is the folder of the loop's own run, `folders` other ones at the top of the repository.

    `written` are the files that the last turns left in `own`: all of them would be more in each turn.
    """

    root: str
    repository: Repository | None
    own: str
    folders: tuple[str, ...]
    written: Collection[str] = ()


def look(places: WatchedPlaces) -> Seen:
    """What is there, by repository path; the content of a file as far as its stamps show it."""
    found: Seen = {}
    if places.repository:
        found |= _git(places.repository)
    for folder in places.folders:
        for path in _walked(os.path.normpath(os.path.join(places.root, folder))):
            found[_inside(path, places.root)] = _inode_stamp(path)
    for path in _runs(places):
        found[_inside(path, places.root)] = _inode_stamp(path)
    return found


def _inside(path: str, root: str) -> str:
    """The repository path of a file; thousands of them are asked for twice in each turn."""
    return path[len(root) + 1 :] if path.startswith(f"{root}/") else os.path.relpath(path, root)


def changes(places: WatchedPlaces, before: Seen, log: str) -> list[str]:
    """What differs from before, in words; `log` is the repository path of the program's own output."""
    after = look(places)
    own = os.path.relpath(places.own, places.root) + "/"
    # An agent commits to its own branch.
    ignored = (log, f"ref {before.get('HEAD', ('',))[0]}")
    listed = []
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path, ()), after.get(path, ())
        if path in ignored or was == now or not (path.startswith(own) or not _goes_on(path, before, after)):
            continue
        listed.append(f"{path} ({'changed' if was and now else 'new' if now else 'gone'})")
    return listed


def outside_summary(names: Sequence[str], count: int) -> str:
    """So many changes in one line, the first of them named."""
    listed = [name.removeprefix("ref ") for name in names[:3]]
    more = f" and {count - len(listed)} more" if count > len(listed) else ""
    return f"changed outside of the workspace: {', '.join(listed)}{more}"


def _git(repository: Repository) -> Iterator[tuple[str, tuple[Any, ...]]]:
    git_dir = repository.git_dir
    shared = common_dir(git_dir)
    for folder in dict.fromkeys((shared, os.path.realpath(git_dir))):
        walked = [path for name in _IN_GIT for path in _walked(os.path.join(folder, name))]
        for path in [*walked, *(os.path.join(folder, name) for name in _OF_GIT)]:
            name = os.path.relpath(path, folder)
            if name not in _IGNORED and (content := _content(path)):
                yield f".git/{name}", content
    with contextlib.suppress(OrchgateError):
        yield "HEAD", (_branch(repository),)
        listed = repository.git("for-each-ref", "--format=%(refname) %(objectname)").decode("utf-8", "replace")
        for line in listed.splitlines():
            name, _, oid = line.rpartition(" ")
            yield f"ref {name}", (oid,)


def _branch(repository: Repository) -> str:
    """The full name of the branch that is checked out, also where it has no commit yet; "" for none."""
    try:
        return repository.git("symbolic-ref", "--quiet", "HEAD").decode("utf-8", "replace").strip()
    except OrchgateError:
        return ""


def _walked(folder: str) -> Iterator[str]:
    """The files below a folder."""
    seen = 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > _MOST_FILES:
                return
            yield os.path.join(parent, name)


def _runs(places: WatchedPlaces) -> Iterator[str]:
    """The files of the loop's own run that are looked at, and of other runs those that say how they went."""
    yield from _own(places)
    tasks: set[str] = set()
    with contextlib.suppress(OrchgateError):
        for number, (task, run) in enumerate(ids.all_runs(places.root, failed=lambda _: None)):
            if number * 2 > _MOST_FILES:
                return
            folder = os.path.join(places.root, ids.RUNS, task, "cli", run)
            if task not in tasks:
                tasks.add(task)
                yield os.path.join(places.root, ids.RUNS, task, ids.METRICS)
            if folder != places.own:
                yield from (os.path.join(folder, name) for name in (ids.MANIFEST, ids.JOURNAL))


def _own(places: WatchedPlaces) -> Iterator[str]:
    """Of the loop's own run: what is at its top, folders among it, whose stamps tell what came and went in them."""
    with contextlib.suppress(OSError):
        for path in sorted(os.path.join(places.own, name) for name in os.listdir(places.own)):
            yield path
            yield from _foreign(path)
    yield from places.written


def _foreign(folder: str) -> Iterator[str]:
    """The files in folders that the loop did not make, below one at the top of its run.

    A folder has a link for each folder in it, and two of its own: where it has no more, it need not be listed.
    """
    ours = os.path.isdir(os.path.join(folder, _FOOTPRINTS))
    with contextlib.suppress(OSError):
        if os.path.islink(folder) or not os.path.isdir(folder) or os.stat(folder).st_nlink == 2 + ours:
            return
        with os.scandir(folder) as entries:
            found = sorted(one.path for one in entries if one.is_dir(follow_symlinks=False) and one.name != _FOOTPRINTS)
        for path in found:
            yield from _walked(path)


def _inode_stamp(path: str) -> tuple[Any, ...]:
    try:
        found = os.lstat(path)
    except OSError:
        return ()
    return found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns


def _content(path: str) -> tuple[Any, ...]:
    """The content of a small file: git rewrites some of them without a change."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return found.st_mode, os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
        with open(path, "rb") as file:
            return found.st_mode, found.st_size, hashlib.sha256(file.read(_HASHED)).hexdigest()
    except OSError:
        return ()


def _goes_on(path: str, before: Seen, after: Seen) -> bool:
    """Whether a file of another run is new, or was only written on: an agent may run pipelines."""
    folder, name = os.path.split(path)
    if not path.startswith(f"{ids.RUNS}/") or name not in (ids.MANIFEST, ids.JOURNAL, ids.METRICS):
        return False
    log = path if name == ids.METRICS else f"{folder}/{ids.JOURNAL}"
    was, now = before.get(log, ()), after.get(log, ())
    if not was:
        return bool(now)
    return len(now) == len(was) and now[1] == was[1] and bool(now[2] > was[2])
