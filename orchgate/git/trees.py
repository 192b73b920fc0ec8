"""Trees as git keeps them, a folder at a time: what a few paths of a large repository are, without listing it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping

from orchgate.git.paths import PathChoice
from orchgate.git.snapshot import SUBMODULE, SYMLINK, GitSnapshot, TreeEntry, folders_of, indirect_of
from orchgate.lib.typed import TYPE_CHECKING, cached_property

if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView

    from orchgate.git.objects import Blobs
    from orchgate.git.paths import ChosenPaths
    from orchgate.git.snapshot import Lfs
    from orchgate.lib.cache import Cache


FOLDER = "040000"
INDIRECT = PathChoice(b"indirect", lambda _, mode: mode in (SYMLINK, SUBMODULE))
_LARGEST = 256 * 1024 * 1024  # bytes of one folder's tree
_MOST_KEPT = 8 * 1024 * 1024  # bytes of all trees, which a change and its base share; each ref of a push brings some
_SEARCHES = 16  # times that a whole folder is searched; from then on reading it once is cheaper
_OCTAL = b"01234567"


class _Folder:
    """The content of one tree object: for each entry its mode, a space, its name, a zero byte, and its binary id."""

    def __init__(self, raw: bytes, id_bytes: int) -> None:
        self._raw = raw
        self._id_bytes = id_bytes
        self._searched = 0
        self._known: dict[bytes, TreeEntry | None] = {}
        self._entries: dict[bytes, tuple[bytes, bytes]] | None = None

    def get(self, name: bytes) -> TreeEntry | None:
        """An entry by its name. Raises ValueError for what is no tree."""
        if name not in self._known:
            self._known[name] = self._looked_up(name)
        return self._known[name]

    def _looked_up(self, name: bytes) -> TreeEntry | None:
        if self._entries is None and self._searched < _SEARCHES * len(self._raw):
            found, certain = self._found(name)
            if certain:
                return found
        values = self._read().get(name)
        return _entry(*values) if values is not None else None

    def _found(self, name: bytes) -> tuple[TreeEntry | None, bool]:
        """What a search for a name finds, and whether that is certain.

        The end of one entry's name may look like a whole other entry: what is taken for one follows a zero byte and
        an id that no mode is part of, so that no name reaches from before it to here.
        """
        raw, size = self._raw, self._id_bytes
        at = raw.find(b" " + name + b"\0")
        self._searched += at if at >= 0 else len(raw)
        if at < 0:
            return None, True
        for start in (at - 6, at - 5):
            before = start - size
            follows = before > 0 and raw[before - 1] == 0 and not _holds_mode(raw[before:start])
            if (start == 0 or follows) and not raw[start:at].strip(_OCTAL):
                end = at + len(name) + 2
                return _entry(raw[start:at], raw[end : end + size]), True
        return None, False

    @property
    def size(self) -> int:
        return len(self._raw)

    def names(self) -> list[str]:
        """The name of every entry. Raises ValueError for what is no tree."""
        return os.fsdecode(b"\0".join(self._read())).split("\0") if self._raw else []

    def entries(self) -> Iterator[tuple[bytes, TreeEntry]]:
        """Every entry with its name. Raises ValueError for what is no tree."""
        return ((name, _entry(*values)) for name, values in self._read().items())

    def _read(self) -> dict[bytes, tuple[bytes, bytes]]:
        """Mode and binary id of every entry by its name. Raises ValueError for what is no tree."""
        if self._entries is None:
            found = re.findall(rb"([0-7]{5,6}) ([^\0]+)\0(.{%d})" % self._id_bytes, self._raw, re.DOTALL)
            marks = 2 + self._id_bytes  # what is skipped because it is no entry is missing from the sum
            if sum(len(mode) + len(name) for mode, name, _ in found) + marks * len(found) != len(self._raw):
                raise ValueError("not a tree")
            self._entries = {name: (mode, oid) for mode, name, oid in found}
        return self._entries


def _holds_mode(oid: bytes) -> bool:
    """Whether five octal digits and a space, as a mode ends, are part of a binary id."""
    at = oid.find(b" ", 5)
    while at >= 0 and oid[at - 5 : at].strip(_OCTAL):
        at = oid.find(b" ", at + 1)
    return at >= 0


def _entry(mode: bytes, oid: bytes) -> TreeEntry:
    return TreeEntry(_canonical(mode), oid.hex())


def _canonical(mode: bytes) -> str:
    """A mode as git shows it, which once kept more bits of it."""
    number = int(mode, 8)
    kind = number & 0o170000
    if kind == 0o100000:
        return "100755" if number & 0o100 else "100644"
    return {0o040000: FOLDER, 0o120000: SYMLINK}.get(kind, SUBMODULE)


class Trees:
    """The tree objects of a repository, each read once as long as there is room for it."""

    def __init__(self, blobs: Blobs, id_digits: int) -> None:
        self._blobs = blobs
        self._id_bytes = id_digits // 2
        self._known: dict[str, _Folder] = {}
        self._size = 0  # bytes

    def folder(self, name: str) -> _Folder:
        """The tree that an id or an expression names. Raises ValueError where it is not here, or is none."""
        if name not in self._known:
            found = self._blobs.resolve(name, _LARGEST)
            if found is None or found.kind != "tree" or found.size > _LARGEST:
                raise ValueError("not a tree")
            while self._known and self._size + found.size > _MOST_KEPT:
                self._size -= self._known.pop(next(iter(self._known))).size
            self._known[name] = _Folder(found.content, self._id_bytes)
            self._size += found.size
        return self._known[name]


class LookedUp(Mapping[str, TreeEntry]):
    """The entries of a tree, or of an index that differs from one: a path is looked up, and all are listed for all."""

    def __init__(
        self,
        trees: Trees,
        tree: str,
        changed: Mapping[str, TreeEntry | None],
        list_all: Callable[[], dict[str, TreeEntry]],
        list_paths: Callable[[], str],
    ) -> None:
        """`changed` is what differs from the tree by path: another entry, or None."""
        self.tree = tree
        self.changed = changed
        self._trees = trees
        self._list_all = list_all
        self._list_paths = list_paths
        self._all: dict[str, TreeEntry] | None = None
        self._folders: dict[str, _Folder | None] = {}

    def __getitem__(self, path: str) -> TreeEntry:
        found = self.get(path)
        if found is None:
            raise KeyError(path)
        return found

    def get(self, path: str, default: TreeEntry | None = None) -> TreeEntry | None:  # type: ignore[override]
        found = self._entry(path)
        return default if found is None or found.mode == FOLDER else found

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self.get(path) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.all)

    def keys(self) -> KeysView[str]:
        return super().keys() if self._all is None else self._all.keys()  # which asks for nothing one by one

    def items(self) -> ItemsView[str, TreeEntry]:
        return self.all.items()

    def values(self) -> ValuesView[TreeEntry]:
        return self.all.values()

    def __len__(self) -> int:
        return len(self.all)

    @property
    def all(self) -> dict[str, TreeEntry]:
        """Every entry, in git's order."""
        if self._all is None:
            self._all = self._list_all()
        return self._all

    def paths(self) -> str:
        """Every path, a zero byte after each; one that the next commit will not have may be among them."""
        return self._list_paths() if self._all is None else "\0".join([*self._all, ""])

    @property
    def listed(self) -> bool:
        """Whether somebody needed them all."""
        return self._all is not None

    def _entry(self, path: str) -> TreeEntry | None:
        """What is at a path; a folder of the tree that this starts from is something, too."""
        if self._all is None:
            try:
                if path in self.changed:
                    return self.changed[path]
                above, _, name = path.rpartition("/")
                folder = self.folder(above) if not path.startswith("/") else None
                return folder.get(_encoded(name)) if folder is not None else None
            except ValueError:  # what is not here is said by who lists it
                self._all = self._list_all()
        return self._all.get(path)

    def names(self, path: str) -> Collection[str]:
        """The names of the files and folders that a folder holds, each once. Raises ValueError for what is not here."""
        folder = self.folder(path)
        found, below = dict.fromkeys(folder.names() if folder is not None else ()), f"{path}/" if path else ""
        changed = [(one.removeprefix(below), entry) for one, entry in self.changed.items() if one.startswith(below)]
        left = FoldersLookedUp(self)
        for inner in {one for one, entry in changed if entry is None}:
            name = inner.partition("/")[0]
            if name == inner or below + name not in left:
                found.pop(name, None)
        return found | dict.fromkeys(one.partition("/")[0] for one, entry in changed if entry is not None)

    def folder(self, path: str) -> _Folder | None:
        """A folder of the tree that this starts from; None where it has none there. Raises ValueError."""
        found: _Folder | None = self._trees.folder(self.tree)
        if not path or path in self._folders:
            return self._folders[path] if path else found
        at = ""
        for part in path.split("/"):
            assert found is not None
            at = f"{at}/{part}" if at else part
            if at not in self._folders:
                entry = found.get(_encoded(part))
                inner = entry is not None and entry.mode == FOLDER
                self._folders[at] = self._trees.folder(entry.oid) if entry is not None and inner else None
            found = self._folders[at]
            if found is None:
                break
        self._folders[path] = found
        return found


def _encoded(name: str) -> bytes:
    """A name as git has it; a text that is not what git's bytes are read as is no name, and found nowhere."""
    if "\0" in name:
        return b""
    if name.isascii():
        return name.encode("ascii")
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        return b""
    return encoded if os.fsdecode(encoded) == name else b""


class FoldersLookedUp(Collection[str]):
    """The folders that hold entries."""

    def __init__(self, entries: LookedUp) -> None:
        self._entries = entries
        self._all: frozenset[str] | None = None
        self._added: frozenset[str] | None = None

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str) or path == "":
            return path == ""
        if self._entries.listed or self._all is not None:
            return path in self.all
        try:
            return path in self._new() or self._is_left(path)
        except ValueError:
            return path in self.all

    def __iter__(self) -> Iterator[str]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    @property
    def all(self) -> frozenset[str]:
        if self._all is None:
            self._all = folders_of(self._entries.all)
        return self._all

    def _new(self) -> frozenset[str]:
        """The folders of what is otherwise."""
        if self._added is None:
            self._added = folders_of(path for path, entry in self._entries.changed.items() if entry is not None)
        return self._added

    def _is_left(self, path: str) -> bool:
        """Whether a folder of the tree holds something that is not gone. Raises ValueError."""
        waiting = [path]
        while waiting:
            at = waiting.pop()
            folder = self._entries.folder(at)
            if folder is None:
                continue
            if folder.size and not any(one.startswith(at + "/") for one in self._entries.changed):
                return True  # git makes no empty folders
            for name, entry in folder.entries():
                inner = f"{at}/{os.fsdecode(name)}"
                if entry.mode == FOLDER:
                    waiting.append(inner)
                elif inner not in self._entries.changed:
                    return True
        return False


class LookedUpSnapshot(GitSnapshot):
    """A revision, or an index that differs from one: paths are looked up, and nothing is listed for a few."""

    entries: LookedUp

    def __init__(
        self,
        entries: LookedUp,
        blobs: Blobs,
        grep: Callable[[tuple[str, ...]], frozenset[str]],
        lfs: Callable[[], Lfs],
        *,
        choose: Callable[[PathChoice], ChosenPaths | None],
        kept: Cache | None,
    ) -> None:
        super().__init__(lambda: entries, blobs, grep, "", lfs)
        self._choose = choose
        self._kept = kept

    @property
    def cache(self) -> Cache | None:
        return self._kept

    @cached_property
    def folders(self) -> Collection[str]:
        return FoldersLookedUp(self.entries)

    @cached_property
    def indirect(self) -> Collection[str]:
        chosen = self.chosen(INDIRECT)
        return dict.fromkeys(chosen.all()) if chosen is not None else indirect_of(self.entries)

    def chosen(self, choice: PathChoice) -> ChosenPaths | None:
        return None if self.entries.listed else self._choose(choice)
