"""What a part of a tree is judged by: views that note what was asked of them, by name.

A name is a path, for what is there, or one of the prefixes with what it is about. Nothing has to be remembered by
whoever writes a check: what the views do not know keeps a part from being taken for the same.
"""

from __future__ import annotations

from collections.abc import Collection, KeysView, Mapping

from orchgate.evidence.facts import CitedRuns
from orchgate.evidence.lock_checks import PinComparison
from orchgate.evidence.packet_evidence import Owners
from orchgate.git.snapshot import TreeEntry
from orchgate.lib.typed import TYPE_CHECKING, Protocol
from orchgate.runs.locate import journal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from orchgate.evidence.lock import Pinned, RunFacts
    from orchgate.gate.documents import ParsedDocuments
    from orchgate.git.snapshot import Derived, Snapshot
    from orchgate.markdown.document import Document
    from orchgate.packets.catalog import Packets
    from orchgate.packets.layout import Packet, PacketDocument

    Found = TypeVar("Found")

CONTENT = "\0content "  # of a file
PACKETS = "\0packets "  # of a document
TASK = "\0task "  # whether a task has this name
ID = "\0id "  # whether a task has this one
LISTED = "\0listed "  # the paths and folders below a folder at the top; all of them for ""
NEVER = "\0never"  # what nobody can say of two trees


class JudgedTree(Protocol):
    """What of a judgement's context is about its tree."""

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def documents(self) -> ParsedDocuments: ...
    @property
    def packets(self) -> Packets: ...
    def noting(self, names: set[str]) -> None: ...


class Noted:
    """What one part is judged by, and the names of what it asked about."""

    def __init__(self, ctx: JudgedTree, memo: dict[object, tuple[Any, frozenset[str]]]) -> None:
        self._ctx = ctx
        self._memo = memo
        self.names: set[str] = set()
        self.things: list[tuple[tuple[str, ...], tuple[int, ...] | None]] = []
        self.tree: Snapshot = NotedTree(ctx.snapshot, self.names)

    def add(self, documents: tuple[str, ...], numbers: tuple[int, ...] | None) -> None:
        """Something of the part has been judged, or is about to be; without numbers, it is judged each time."""
        self.things.append((documents, numbers))

    def once(self, key: object, find: Callable[[], Found]) -> Found:
        """What is found out once for all parts: each of them rests on what it rests on."""
        if key not in self._memo:
            names = set[str]()
            self._ctx.noting(names)
            try:
                found = find()
            finally:
                self._ctx.noting(self.names)
                self.names |= names
            self._memo[key] = found, frozenset(names)
        known: Found
        known, rests_on = self._memo[key]
        self.names |= rests_on
        return known

    def is_plain(self, path: str) -> bool:
        """Whether a document is a file of its own."""
        return path not in self._ctx.snapshot.indirect

    def document(self, path: str) -> Document:
        """As `ParsedDocuments.one`."""
        self.names.update((path, CONTENT + path) if self.is_plain(path) else (NEVER,))
        return self._ctx.documents.one(path)

    def content(self, path: str) -> None:
        self.names.add(CONTENT + path)

    def never(self) -> None:
        """What this part says is not said of another tree."""
        self.names.add(NEVER)

    def packets(self, packets: Packets) -> NotedPackets:
        return NotedPackets(packets, self)

    def owners(self, owners: Owners) -> NotedOwners:
        return NotedOwners(owners, self.names)

    def pins(self, comparison: PinComparison) -> NotedPins:
        return NotedPins(comparison, self)

    def runs(self, runs: CitedRuns) -> NotedRuns:
        return NotedRuns(runs, self)


class NotedTree:
    """A tree of which it is noted what is asked."""

    def __init__(self, tree: Snapshot, names: set[str]) -> None:
        self._tree = tree
        self._names = names
        self.entries = _Entries(tree.entries, names)
        self.folders = _Folders(tree.folders, names)
        self.indirect = tree.indirect  # of trees that differ in these, nothing is the same

    def starting(self, text: str) -> Iterator[str]:
        top, slash, _ = text.partition("/")
        self._names.add(LISTED + top if slash else LISTED)
        return self._tree.starting(text)

    def derived(self, make: Callable[[Snapshot], Derived]) -> Derived:
        self._names.add(LISTED)
        return self._tree.derived(make)

    def read(self, path: str, limit: int = -1) -> bytes:
        self._names.update((path, CONTENT + path))
        return self._tree.read(path, limit) if limit >= 0 else self._tree.read(path)

    def __getattr__(self, name: str) -> Any:
        self._names.add(NEVER)
        return getattr(self._tree, name)


class _Paths(KeysView[str]):
    """The paths of entries; which of many there are is asked at once."""

    _mapping: _Entries

    def __and__(self, paths: Collection[str]) -> set[str]:  # type: ignore[override]
        return self._mapping.among(paths)


class _Entries(Mapping[str, TreeEntry]):
    """Entries without their object ids: who wants the content reads it."""

    def __init__(self, entries: Mapping[str, TreeEntry], names: set[str]) -> None:
        self._entries = entries
        self._names = names

    def __contains__(self, path: object) -> bool:
        self._names.add(path)  # type: ignore[arg-type]
        return path in self._entries

    def keys(self) -> KeysView[str]:
        return _Paths(self)

    def among(self, paths: Collection[str]) -> set[str]:
        self._names.update(paths)
        return self._entries.keys() & paths

    def get(self, path: str, default: TreeEntry | None = None) -> TreeEntry | None:  # type: ignore[override]
        self._names.add(path)
        entry = self._entries.get(path)
        return default if entry is None else TreeEntry(entry.mode, "")

    def __getitem__(self, path: str) -> TreeEntry:
        self._names.add(path)
        return TreeEntry(self._entries[path].mode, "")

    def __iter__(self) -> Iterator[str]:
        self._names.add(LISTED)
        return iter(self._entries)

    def __len__(self) -> int:
        self._names.add(LISTED)
        return len(self._entries)


class _Folders(Collection[str]):
    def __init__(self, folders: Collection[str], names: set[str]) -> None:
        self._folders = folders
        self._names = names

    def __contains__(self, path: object) -> bool:
        self._names.add(path)  # type: ignore[arg-type]
        return path in self._folders

    def __iter__(self) -> Iterator[str]:
        self._names.add(LISTED)
        return iter(self._folders)

    def __len__(self) -> int:
        self._names.add(LISTED)
        return len(self._folders)


class NotedOwners(Owners):
    """Whose documents are, of which it is noted about which was asked."""

    def __init__(self, owners: Owners, names: set[str]) -> None:
        self._known = owners
        self._names = names

    def places(self, path: str) -> tuple[PacketDocument, ...]:
        return self._known.places(path)  # it follows from the configuration

    def of(self, path: str) -> tuple[Packet, ...]:
        self._names.add(PACKETS + path)
        return self._known.of(path)

    def finished(self, path: str) -> bool:
        self._names.update(CONTENT + one for packet in self.of(path) for one in packet.paths)
        return self._known.finished(path)

    def foreign(self, path: str, folder: str) -> str:
        self._names.update((PACKETS + path, TASK + folder))
        return self._known.foreign(path, folder)


class NotedPackets:
    """All packets, of which it is noted about which was asked."""

    def __init__(self, packets: Packets, noted: Noted) -> None:
        self._packets = packets
        self._noted = noted
        self.tree = noted.tree

    def has_id(self, name: str) -> bool:
        self._noted.names.add(ID + name)
        return self._packets.has_id(name)

    def owners_of(self, path: str) -> tuple[Packet, ...]:
        self._noted.names.add(PACKETS + path)
        return self._packets.owners_of(path)

    @property
    def task_list(self) -> str:
        return self._packets.task_list

    def line_of_task(self, path: str) -> int:
        return self._packets.line_of_task(path)  # what stands in the list is kept of no document


class NotedRuns(CitedRuns):
    """Cited runs, of which it is noted which."""

    def __init__(self, runs: CitedRuns, noted: Noted) -> None:
        self._known = runs
        self._noted = noted

    def status(self, path: str) -> str:
        self._note(path)
        return self._noted.once(("status", path), lambda: self._known.status(path))

    def facts(self, path: str) -> RunFacts:
        self._note(path)
        return self._noted.once(("facts", path), lambda: self._known.facts(path))

    def other_tools(self, path: str) -> str:
        self._noted.never()  # it rests on whatever other runs of the tree are here
        return self._known.other_tools(path)

    def _note(self, path: str) -> None:
        for one in (path, journal_of(path)):
            self._noted.names.update((one, CONTENT + one))


class NotedPins(PinComparison):
    """What is on disk against its pins, of which it is noted which."""

    def __init__(self, comparison: PinComparison, noted: Noted) -> None:
        self._compared = comparison
        self._noted = noted

    def difference(self, pin: Pinned) -> str:
        return self._noted.once(("pin", pin.path), lambda: self._compared.difference(pin))
