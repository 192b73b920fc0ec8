"""Which tools the stages of a run start, and what is known of each. Only what is declared is started to find out.

A program of the work tree is part of the tree, and no tool; packages that are installed in it (`.venv`, `node_modules`)
are tools. Nothing here is an error: what is not known is not told. Each stage is looked at when it starts, because an
earlier one may have installed what it runs.

Every run loads this module, and nothing of tools/ while its programs are files of which a digest is kept.
"""

from __future__ import annotations

import json
import os
import stat

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property, suppress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchgate.git.repository import Repository
    from orchgate.lib.cache import Cache

    Facts = Mapping[str, str | None]  # the fields of `runs.run.Tool`
    Environ = Mapping[str, str]

MOST = 200  # tools of a stage, and of a run
MOST_FOLDERS = 500  # of PATH, that are looked through
KEPT = b"1"  # the form of what is kept
# How the names of those begin of which something else than their digest may be known, see tools/.
_TELLING = ("python", "pypy", "node", "go", "java", "jar", "cargo", "rust", "clippy")


class ProgramFile(NamedTuple):
    """A file that can be executed: where it was found, and which one it is as long as nobody changes it."""

    path: str
    identity: tuple[int, ...]

    @cached_property
    def real(self) -> str:
        """Its path by the end of all links."""
        return os.path.realpath(self.path)

    @property
    def key(self) -> str:
        """What a digest is kept by."""
        return ascii((self.real, *self.identity))


def find(name: str, cwd: str, folders: Sequence[str]) -> ProgramFile | None:
    """The file that a name starts in a folder; None where there is none, or too much to look through. No errors."""
    if "/" in name:
        folders = ("",)
    if not name or "\0" in name or len(folders) > MOST_FOLDERS:
        return None
    for folder in folders:
        path = f"{folder}/{name}" if folder[:1] == "/" else os.path.join(cwd, folder, name)
        if os.access(path, os.X_OK):
            try:
                status = os.stat(path)
            except OSError:  # it is gone by now
                continue
            if stat.S_ISREG(status.st_mode):
                return ProgramFile(path, identity(status))
    return None


def identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class UsedTools:
    """The tools that one process sees started in a work tree, whose top is `root`."""

    def __init__(self, root: str, repository: Repository | None) -> None:
        self.root = root
        self.declared: tuple[Facts, ...] = ()
        self.asked: dict[tuple[str, str], Facts] = {}  # by name and file
        self.files: dict[tuple[str, ProgramFile], Facts] = {}  # of which nothing but the digest is known
        self._repository = repository
        self._kept: Mapping[str, object] | None = None

    @property
    def cache(self) -> Cache | None:
        return self._repository.cache if self._repository else None

    def known(self, argv: Sequence[str], cwd: str, environ: Environ) -> list[Facts] | None:
        """The tool that a command of one word is, where nothing but its digest is to be known, and that is.

        None where tools/ has to look. No errors.
        """
        if len(argv) != 1 or self.asked:
            return None
        file = find(argv[0], cwd, environ.get("PATH", os.defpath).split(os.pathsep))
        if file is None:
            return []
        name = os.path.basename(argv[0])
        if (name, file) not in self.files:
            if os.path.basename(file.real) != name or name.startswith(_TELLING) or "/node_modules/" in file.real:
                return None
            source, _, digest = self.kept(file.key).partition(" ")
            if not digest:
                return None
            self.files[name, file] = {"name": name, "version": None, "sha256": digest, "source": source}
        return [self.files[name, file]]

    def kept(self, key: str) -> str:
        """What was kept under a key in the cache, see tools/kept.py; "" for nothing."""
        if self._kept is None:
            self._kept = {}
            with suppress(ValueError):
                known = json.loads((self.cache and self.cache.read("tools", KEPT)) or b"{}")
                self._kept = known if isinstance(known, dict) else {}
        known = self._kept.get(key, "")
        return known if isinstance(known, str) else ""

    def is_inside(self, path: str) -> bool:
        """Whether a path without links is in the work tree."""
        return path.startswith(os.path.realpath(self.root) + os.sep)


def each_once(tools: Iterable[Facts], told: set[tuple[str | None, ...]]) -> list[Facts]:
    """Those that were not told before, of which no run has very many."""
    new = []
    for tool in tools:
        known = tuple(tool.values())
        if known not in told and len(told) < MOST:
            told.add(known)
            new.append(tool)
    return new
