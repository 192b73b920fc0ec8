"""Files of recorded runs in the work tree that git does not hold: under `.runs/`, `out/` and the like."""

from __future__ import annotations

import os
import stat

from orchgate.lib.lazy import lazy
from orchgate.lib.paths import git_name, is_git_name, links
from orchgate.lib.typed import TYPE_CHECKING, Protocol, cached_property, suppress

if TYPE_CHECKING:
    from collections.abc import Iterator

    class Pins(Protocol):
        """The paths that a lock pins."""

        def get(self, path: str) -> object | None:
            """None where the file is not pinned."""

        def holds(self, folder: str) -> bool:
            """Whether something in the folder is pinned."""

        def starting(self, text: str) -> Iterator[str]:
            """The pinned paths that start with a text."""


_MAGIC = lazy(r"[*?\[{\\]")  # what is not itself in a glob


class Artifacts:
    """The runs and out folders of one work tree, as they are on disk.

    A path counts only when it is reached without leaving the repository; symbolic links inside it are followed.
    What is pinned, and the folders that hold it, count as present wherever their content is.
    """

    def __init__(self, root: str, roots: tuple[str, ...], pins: Pins | None = None) -> None:
        self._root = root
        self._pins = pins
        self.roots = tuple(folder.strip("/") for folder in roots)
        self._below = tuple(folder + "/" for folder in self.roots)
        self._known: dict[str, bool] = {}
        self._plain: dict[str, bool] = {"": True}

    @property
    def root(self) -> str:
        """The top of the work tree."""
        return self._root

    def owns(self, path: str) -> bool:
        """Whether a repository path is under one of the roots."""
        return path.startswith(self._below) or path in self.roots

    def exists(self, path: str) -> bool:
        """Whether the artifact (a file or a folder) is pinned, or on disk inside the repository. Never raises."""
        return self.is_pinned(path) or self.on_disk(path)

    def is_pinned(self, path: str) -> bool:
        """Whether a file, or something in a folder, is pinned."""
        return self._pins is not None and (self._pins.get(path) is not None or self._pins.holds(path))

    def on_disk(self, path: str) -> bool:
        """Whether the artifact (a file or a folder) is on disk, inside the repository. Never raises."""
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = self._look(path)
        return known

    def _look(self, path: str) -> bool:
        if not self._root or not self.owns(path) or "\0" in path or is_git_name(path.rpartition("/")[2]):
            return False
        full = self.full(path)
        try:
            if self.is_plain(path.rpartition("/")[0]) and not stat.S_ISLNK(os.lstat(full).st_mode):
                return True
        except (OSError, ValueError):
            return False
        return os.path.exists(full) and self.inside(os.path.realpath(full))

    def is_plain(self, folder: str) -> bool:
        """Whether there is no symbolic link on the way to a folder, so that what is in it needs no resolving.

        Raises OSError when the folder is not there.
        """
        if folder not in self._plain:
            above, _, name = folder.rpartition("/")
            named = name in ("", ".", "..") or is_git_name(name)
            real = not named and not stat.S_ISLNK(os.lstat(self.full(folder)).st_mode)
            self._plain[folder] = real and self.is_plain(above)
        return self._plain[folder]

    def inside(self, real: str) -> bool:
        """Whether a resolved path is in the repository and not in a git directory."""
        below = self._real_root + os.sep
        return real == self._real_root or (real.startswith(below) and not git_name(real.removeprefix(below)))

    @cached_property
    def _real_root(self) -> str:
        return os.path.realpath(self._root)

    def full(self, path: str) -> str:
        """The path of an artifact on disk, whether it exists or not."""
        return os.path.join(self._root, path)

    def is_named(self, path: str) -> bool:
        """Whether there is anything at a path, a link that leads nowhere included."""
        return os.path.lexists(self.full(path))

    def linked_at(self, path: str) -> str:
        """The first symbolic link on the way to a path, as a repository path; "" where there is none."""
        return next(links(self._root, path), "")

    def within(self, real: str) -> str:
        """A resolved path as seen from the top of the work tree."""
        return os.path.relpath(real, self._real_root)

    def leads_out(self, path: str) -> bool:
        """Whether what is at a path is outside of the repository."""
        full = self.full(path)
        return "\0" not in path and os.path.lexists(full) and not self.inside(os.path.realpath(full))

    def names(self, folder: str) -> tuple[str, ...]:
        """The names in a folder under the roots, sorted; empty when it does not exist or cannot be listed."""
        names = set(self.listed(folder))
        if self._pins is not None:
            below = folder + "/"
            names |= {path[len(below) :].partition("/")[0] for path in self._pins.starting(below)}
        return tuple(sorted(names))

    def listed(self, folder: str) -> tuple[str, ...]:
        """As `names`, of what is on disk alone."""
        names: list[str] = []
        if self.on_disk(folder):
            with suppress(OSError):
                names = os.listdir(self.full(folder))
        return tuple(sorted(names))

    def matching(self, pattern: str) -> bool:
        """Whether a glob (`*`, `?`, `**`, `[…]`) under the roots matches something that counts as present."""
        if not self.owns(pattern):
            return False
        return self._matches_pin(pattern) or next(self.found(pattern), None) is not None

    def _matches_pin(self, pattern: str) -> bool:
        return next(self._pinned(pattern), None) is not None

    def _pinned(self, pattern: str) -> Iterator[str]:
        from orchgate.git.snapshot import folders_of
        from orchgate.lib.paths import compile_glob

        if self._pins is None:
            return
        matches, plain = compile_glob(pattern).fullmatch, _MAGIC.split(pattern, 1)[0].rstrip("/")
        paths = list(self._pins.starting(plain))
        yield from filter(matches, paths)
        yield from filter(matches, folders_of(paths) - {""})

    def present(self, pattern: str) -> Iterator[str]:
        """What a glob under the roots matches that counts as present; some of it twice."""
        if self.owns(pattern):
            yield from self._pinned(pattern)
            yield from self.found(pattern)

    def found(self, pattern: str) -> Iterator[str]:
        """What a glob under the roots matches on disk, inside the repository.

        A folder that several links lead to is visited once: links that lead back would never end.
        """
        parts = pattern.split("/")
        waiting = [("", 0)] if self._root and self.owns(pattern) else []
        seen: set[tuple[int, int, int]] = set()
        while waiting:
            path, at = waiting.pop()
            if at == len(parts):
                if self.on_disk(path):
                    yield path
            elif (folder := self._folder(path)) and (at, *folder) not in seen:
                seen.add((at, *folder))
                waiting.extend(self._steps(path, parts, at))

    def _folder(self, path: str) -> tuple[int, int] | None:
        """The device and inode of a folder; None for what is not a folder, or not in the repository."""
        full = self.full(path)
        try:
            status = os.stat(full)
        except (OSError, ValueError):
            return None
        if not stat.S_ISDIR(status.st_mode) or (os.path.islink(full) and not self.inside(os.path.realpath(full))):
            return None
        return status.st_dev, status.st_ino

    def _steps(self, folder: str, parts: list[str], at: int) -> Iterator[tuple[str, int]]:
        """The paths that one part of a pattern leads to, last name first, each with the index of the next part."""
        import fnmatch
        import glob

        part, below = parts[at], f"{folder}/".lstrip("/")
        if part != "**" and not glob.has_magic(part):
            yield below + part, at + 1
            return
        try:
            names = sorted(os.listdir(self.full(folder)), reverse=True)
        except OSError:
            names = []
        if part != "**":
            yield from ((below + name, at + 1) for name in fnmatch.filter(names, part))
            return
        ends = at + 1 == len(parts)
        for path in (below + name for name in names):
            yield path, at + 1 if ends and not self._folder(path) else at
        yield folder, at + 1
