"""The folder an agent works in: what it contains, and what an iteration changed."""

from __future__ import annotations

import hashlib
import os
from itertools import islice
from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
