"""The tree being judged: the index of this commit, a revision, or a folder in a test.

Never "whatever is on disk": a snapshot of the index reads the index's blobs.
"""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect_left

from orchgate.errors import KeptElsewhere, TooLarge, Unreadable
from orchgate.git.objects import NoContent
from orchgate.lib import files
from orchgate.lib.files import sha256_hex
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol, cached_property

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import Any, TypeVar

    from orchgate.git.objects import Blobs
    from orchgate.git.paths import ChosenPaths, PathChoice
    from orchgate.lib.cache import Cache

    Derived = TypeVar("Derived")

MAX_BYTES = 64 * 1024 * 1024
MANY_NAMES = 50  # git compares every line with every name; beyond this, reading the documents is cheaper
SYMLINK = "120000"
SUBMODULE = "160000"
LFS_BEGINNING = b"version https://git-lfs"  # of a pointer of Git LFS; what is not one is not asked further


class TreeEntry(NamedTuple):
    """One path of a tree: git's mode as six octal digits, and the object id ("" in a folder)."""

    mode: str
    oid: str


class Snapshot(Protocol):
    """A tree that can be listed and read."""

    @property
    def entries(self) -> Mapping[str, TreeEntry]:
        """Every file, symlink and submodule by path, in git's order."""

    @property
    def folders(self) -> Collection[str]:
        """Every folder that holds an entry, without trailing slash; the top level is ""."""

    @property
    def cache(self) -> Cache | None:
        """What was worked out before from what is in the tree; None where nothing is to be taken from there."""

    @property
    def indirect(self) -> Collection[str]:
        """The symbolic links and submodules among the entries, in git's order: a path may lead elsewhere by them."""

    def chosen(self, choice: PathChoice) -> ChosenPaths | None:
        """The paths of a choice, where they are known without a look at every entry."""

    def blob(self, oid: str, limit: int) -> bytes | None:
        """The bytes of a blob of the repository, in this tree or another; None where it is not here, or larger."""

    def find(self, path: str, limit: int = MAX_BYTES) -> bytes | None:
        """As `read`, but None when the path is not in the tree; does not list the tree for it."""

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        """The bytes of one file (of a symlink: its target).

        Raises Unreadable when it is not in the tree, is no file, is larger than `limit` bytes, or has vanished.
        """

    def read_many(self, paths: Iterable[str], limit: int = MAX_BYTES) -> Iterator[tuple[str, bytes | Unreadable]]:
        """As `read`, for many at once, in the given order; what cannot be read comes back as the error."""

    def mentioning(self, names: Iterable[str]) -> frozenset[str]:
        """Paths of files whose bytes contain one of the strings; for very many strings, of all that may."""

    def starting(self, text: str) -> Iterator[str]:
        """The paths and folders that start with a text, sorted."""

    def derived(self, make: Callable[[Snapshot], Derived]) -> Derived:
        """What follows from the tree, worked out once."""


def folders_of(paths: Iterable[str]) -> frozenset[str]:
    """Every ancestor folder of the paths."""
    seen = {""}
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent not in seen:
            seen.add(parent)
            parent = parent.rpartition("/")[0]
    return frozenset(seen)


def indirect_of(entries: Mapping[str, TreeEntry]) -> Collection[str]:
    """The symbolic links and submodules among some entries, in their order."""
    return dict.fromkeys(path for path, entry in entries.items() if entry.mode in (SYMLINK, SUBMODULE))


class DerivedFacts:
    """What follows from the entries of a tree, worked out once; those that know more say it themselves."""

    @cached_property
    def folders(self: Snapshot) -> Collection[str]:
        return folders_of(self.entries)

    @cached_property
    def indirect(self: Snapshot) -> Collection[str]:
        return indirect_of(self.entries)

    @property
    def cache(self) -> Cache | None:
        return None

    def chosen(self, choice: PathChoice) -> ChosenPaths | None:  # noqa: ARG002 -- as the others that know more
        return None

    @cached_property
    def _made(self) -> dict[object, Any]:
        return {}

    def derived(self: Snapshot, make: Callable[[Snapshot], Derived]) -> Derived:
        made: dict[object, Any] = self._made  # type: ignore[attr-defined]
        if make not in made:
            made[make] = make(self)
        found: Derived = made[make]
        return found

    def starting(self: Snapshot, text: str) -> Iterator[str]:
        found = self.derived(_sorted)
        for at in range(bisect_left(found, text), len(found)):
            if not found[at].startswith(text):
                return
            yield found[at]


def _sorted(tree: Snapshot) -> list[str]:
    return sorted([*tree.entries, *tree.folders])


class GitSnapshot(DerivedFacts):
    """The index or a revision. The listing is made by `list_entries` on first use; blobs come through one process."""

    def __init__(
        self,
        list_entries: Callable[[], Mapping[str, TreeEntry]],
        blobs: Blobs,
        grep: Callable[[tuple[str, ...]], frozenset[str]],
        prefix: str,
        lfs: Callable[[], Lfs],
    ) -> None:
        self._list_entries = list_entries
        self._blobs = blobs
        self._grep = grep
        self._lfs = lfs
        self._prefix = prefix  # what turns a path into an object's name for git: "<commit>:", ":0:" for the index

    @cached_property
    def entries(self) -> Mapping[str, TreeEntry]:
        return self._list_entries()

    def blob(self, oid: str, limit: int) -> bytes | None:
        found = self._blobs.resolve(oid, limit)
        return found.content if found is not None and found.kind == "blob" and found.size <= limit else None

    def find(self, path: str, limit: int = MAX_BYTES) -> bytes | None:
        # git would take "./" and "../" as relative to the current folder, and end over one that leads out.
        if "entries" in self.__dict__ or not self._prefix or "\n" in path or path.startswith(("./", "../")):
            return self.read(path, limit) if path in self.entries else None
        found = self._blobs.resolve(self._prefix + path, limit)
        if found is None or found.kind != "blob":
            # Not in the tree, or a folder; but a file whose object is missing from the repository looks the same.
            return self.read(path, limit) if path in self.entries else None
        if found.size > limit:
            raise TooLarge(path, f"is larger than {limit} bytes")
        return self._whole(path, found.content, limit)

    def _whole(self, path: str, content: bytes, limit: int) -> bytes:
        """What a pointer of Git LFS names, and every other content as it is. Raises Unreadable."""
        if not content.startswith(LFS_BEGINNING):
            return content

        named = pointer(content)
        if named is None:
            return content
        self._blobs.settled = False
        return self._lfs().content(path, named, limit)

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        ((_, content),) = self.read_many([path], limit)
        if isinstance(content, Unreadable):
            raise content
        return content

    def read_many(self, paths: Iterable[str], limit: int = MAX_BYTES) -> Iterator[tuple[str, bytes | Unreadable]]:
        wanted: list[tuple[str, str]] = []
        for path in paths:
            entry = self.entries.get(path)
            readable = entry is not None and entry.mode != SUBMODULE
            wanted.append((path, entry.oid if entry is not None and readable else ""))
        contents = self._blobs.read_many([oid for _, oid in wanted if oid], limit)
        for path, oid in wanted:
            if not oid:
                yield path, Unreadable(path, "is not a file of this tree")
                continue
            content = next(contents)
            if isinstance(content, NoContent):
                yield path, (TooLarge if content.too_large else Unreadable)(path, content.why)
            else:
                yield path, self._told(path, content, limit)

    def _told(self, path: str, content: bytes, limit: int) -> bytes | Unreadable:
        try:
            return self._whole(path, content, limit)
        except Unreadable as error:
            return error

    def mentioning(self, names: Iterable[str]) -> frozenset[str]:
        wanted = tuple(names)
        if len(wanted) > MANY_NAMES:
            return frozenset(self.entries)
        return self._grep(wanted)


class FolderSnapshot(DerivedFacts):
    """A folder on disk as if it were a tree; `ignored` names top-level folders that git would not track."""

    def __init__(self, root: str, ignored: tuple[str, ...] = ()) -> None:
        self._root = root
        self._ignored = ignored

    @cached_property
    def entries(self) -> Mapping[str, TreeEntry]:
        found: dict[str, TreeEntry] = {}
        for folder, names, others in os.walk(self._root):
            inner = os.path.relpath(folder, self._root)
            if inner == ".":
                names[:] = [name for name in names if name not in self._ignored and name != ".git"]
            links = [name for name in names if os.path.islink(os.path.join(folder, name))]
            for name in (*others, *links):
                mode = os.lstat(os.path.join(folder, name)).st_mode
                kind = SYMLINK if stat.S_ISLNK(mode) else "100755" if mode & 0o100 else "100644"
                found[os.path.normpath(os.path.join(inner, name))] = TreeEntry(kind, "")
        return dict(sorted(found.items()))

    def blob(self, oid: str, limit: int) -> bytes | None:  # noqa: ARG002 -- a folder has no others
        return None

    def find(self, path: str, limit: int = MAX_BYTES) -> bytes | None:
        return self.read(path, limit) if path in self.entries else None

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        if path not in self.entries:
            raise Unreadable(path, "is not a file of this tree")
        full = os.path.join(self._root, path)
        try:
            if self.entries[path].mode == SYMLINK:
                return os.fsencode(os.readlink(full))
        except OSError as error:
            raise Unreadable(path, f"cannot be read: {error.strerror}") from error
        content = _on_disk(full, path, limit)
        if content.startswith(LFS_BEGINNING) and pointer(content) is not None:
            raise elsewhere(path)
        return content

    def read_many(self, paths: Iterable[str], limit: int = MAX_BYTES) -> Iterator[tuple[str, bytes | Unreadable]]:
        for path in paths:
            try:
                yield path, self.read(path, limit)
            except Unreadable as error:
                yield path, error

    def mentioning(self, names: Iterable[str]) -> frozenset[str]:
        wanted = [os.fsencode(name) for name in names]
        return frozenset(
            path
            for path, content in self.read_many(self.entries)
            if isinstance(content, bytes) and any(name in content for name in wanted)
        )


class WorkTree(FolderSnapshot):
    """A work tree of which a few known files are wanted: `find` looks at the one file and lists nothing."""

    def find(self, path: str, limit: int = MAX_BYTES) -> bytes | None:
        full = os.path.join(self._root, path)
        return _on_disk(full, path, limit) if os.path.lexists(full) else None


def _on_disk(full: str, path: str, limit: int) -> bytes:
    try:
        return files.read(full, limit)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise TooLarge(path, f"is larger than {limit} bytes") from error
        raise Unreadable(path, f"cannot be read: {error.strerror}") from error


_BEGINNING = b"version https://git-lfs.github.com/spec/v1\n"
_POINTER = lazy(_BEGINNING + rb"(?:ext-\d-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n?")
LONGEST_POINTER = 1024  # bytes


class Pointer(NamedTuple):
    """What a pointer names: SHA-256 in hex digits, and bytes."""

    sha256: str
    size: int


def pointer(content: bytes) -> Pointer | None:
    """What a file's content points at, when it is a pointer of Git LFS."""
    if not content.startswith(_BEGINNING) or len(content) >= LONGEST_POINTER:
        return None
    match = _POINTER.fullmatch(content)
    return Pointer(match[1].decode("ascii"), int(match[2])) if match else None


class Lfs:
    """Finds what pointers name: in the store of Git LFS, or where the work tree has it. `root` is "" for none."""

    def __init__(self, root: str, common_dir: str) -> None:
        self._root = root
        self._objects = os.path.join(common_dir, "lfs", "objects")

    def content(self, path: str, named: Pointer, limit: int) -> bytes:
        """The content that the pointer at a path names. `limit` in bytes. Raises Unreadable."""
        if named.size > limit:
            raise TooLarge(path, f"is larger than {limit} bytes")
        for place in self._places(path, named):
            content = _content_at(place, named)
            if content is not None:
                return content
        raise elsewhere(path)

    def _places(self, path: str, named: Pointer) -> Iterator[str]:
        yield os.path.join(self._objects, named.sha256[:2], named.sha256[2:4], named.sha256)
        if self._root and "\0" not in path:
            yield os.path.join(self._root, path)


def elsewhere(path: str) -> KeptElsewhere:
    import shlex

    return KeptElsewhere(
        path, "is a Git LFS pointer, and the file is not here", f"git lfs pull --include={shlex.quote(path)}"
    )


def _content_at(place: str, named: Pointer) -> bytes | None:
    """A file that is what a pointer names; None for anything else."""
    try:
        content = files.read(place, named.size, follow=False)
    except OSError:
        return None
    return content if len(content) == named.size and sha256_hex(content) == named.sha256 else None
