"""What a work tree holds right now, untracked files included, as one tree object that the repository never sees.

Built with an index and an object store of our own, so that neither the developer's index nor the repository changes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

from orchgate.git import diff
from orchgate.git.call import NO_HOOKS, Git, names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from orchgate.git.repository import Repository
    from orchgate.model import Change

LARGEST = 64 * 1024 * 1024  # bytes of a file that is still looked into; larger untracked ones do not count
_LISTED = ("ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard")


class Footprints:
    """Takes footprints of one work tree; `store` is a folder for what that needs, removed before and after."""

    def __init__(self, repository: Repository, store: str, ignored: Collection[str]) -> None:
        """`ignored` are folders at the top that do not count. Raises GitError, OSError."""
        self._repository = repository
        self._ignored = tuple(f"{name}/" for name in ignored)
        self._store = store
        objects = os.path.join(store, "objects")
        shutil.rmtree(store, ignore_errors=True)  # of a process that was killed
        os.makedirs(objects)
        real = os.path.join(repository.root, os.fsdecode(repository.git("rev-parse", "--git-path", "objects"))[:-1])
        known = repository.git.env.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "")
        self._index = os.path.join(store, "index")
        self._git = Git(repository.root, {**repository.git.env, **self._environ(objects, f"{real}:{known}")}, NO_HOOKS)

    def _environ(self, objects: str, real: str) -> Mapping[str, str]:
        return {
            "GIT_INDEX_FILE": self._index,
            "GIT_OBJECT_DIRECTORY": objects,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": real.rstrip(":"),
        }

    def close(self) -> None:
        shutil.rmtree(self._store, ignore_errors=True)

    def take(self) -> str:
        """Hex id of a tree with every file that git does not ignore. Raises GitError, OSError."""
        source = self._repository.git.env.get("GIT_INDEX_FILE") or os.path.join(self._repository.git_dir, "index")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._index)
        with contextlib.suppress(FileNotFoundError):  # nothing was ever added
            shutil.copy2(source, self._index)  # what it knows of files saves reading them; its age tells how far
        listed = (name for name in names(self._git(*_LISTED)) if not name.startswith(self._ignored))
        chosen = [name for name in dict.fromkeys(listed) if self._is_readable(name)]
        self._git("update-index", "--add", "--remove", "--replace", "-z", "--stdin", input=_joined(chosen))
        return self._git("write-tree").decode("ascii").strip()

    def _is_readable(self, name: str) -> bool:
        path = os.path.join(self._repository.root, name)
        try:
            found = os.lstat(path)
        except OSError:
            return True  # it was removed
        if not stat.S_ISREG(found.st_mode):
            return stat.S_ISLNK(found.st_mode)
        return found.st_size <= LARGEST and os.access(path, os.R_OK)

    def changes(self, before: str, after: str) -> tuple[Change, ...]:
        """What differs between two footprints. Raises GitError."""
        return diff.changes(self._git, before, after)

    def status(self) -> str:
        """`git status` in its short form, untracked files not counted one by one. Raises GitError."""
        options = ("--porcelain=v1", "--branch", "--untracked-files=normal")
        return self._repository.git("status", *options).decode("utf-8", "replace")

    def listing(self) -> list[str]:
        """Every path that git tracks or would. Raises GitError."""
        found = names(self._repository.git("ls-files", "-z", "--cached", "--others", "--exclude-standard"))
        return sorted({name for name in found if not name.startswith(self._ignored)})


def _joined(paths: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)
