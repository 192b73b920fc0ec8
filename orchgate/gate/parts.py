"""Parts of a whole tree: a few documents that are judged by themselves, and the names of all that they asked about.

What is found in a document follows from itself and from what its part asked about. Where both are in the tree before
as they are now, the same was found there, and the tree before is not judged for it. A name is a path, for what is
there, or one of the prefixes with what it is about. Nothing has to be remembered by whoever writes a check: a part is
judged by views that note every question, and what they do not know keeps a part from being taken for the same.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Collection, Mapping

from orchgate.evidence.facts import CitedRuns
from orchgate.evidence.lock_checks import PinComparison
from orchgate.evidence.packet_evidence import Owners, names_of
from orchgate.git.snapshot import SUBMODULE, SYMLINK, TreeEntry, folders_of
from orchgate.lib.hashes import digest
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol
from orchgate.runs.locate import journal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeVar

    from orchgate.evidence.lock import Pinned, RunFacts
    from orchgate.gate.documents import ParsedDocuments
    from orchgate.git.snapshot import Derived, Snapshot
    from orchgate.markdown.document import Document
    from orchgate.model import Diagnostic
    from orchgate.packets.catalog import Packets
    from orchgate.packets.layout import Packet, PacketDocument

    Thing = TypeVar("Thing")
    Found = TypeVar("Found")


CONTENT = "\0content "  # of a file
PACKETS = "\0packets "  # of a document
TASK = "\0task "  # whether a task has this name
ID = "\0id "  # whether a task has this one
LISTED = "\0listed "  # the paths and folders below a folder at the top; all of them for ""
NEVER = "\0never"  # what nobody can say of two trees
SIZE = 16  # documents of a part


class Judged(Protocol):
    """What of a judgement's context is about its tree."""

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def documents(self) -> ParsedDocuments: ...
    @property
    def packets(self) -> Packets: ...
    def noting(self, names: set[str]) -> None: ...


class TreeState(NamedTuple):
    """A tree as parts may ask about it: `owners` are digests of the packets of each document."""

    entries: Mapping[str, TreeEntry]
    owners: Mapping[str, str]
    tasks: frozenset[str]
    ids: frozenset[str]


def state_of(ctx: Judged) -> TreeState:
    """Raises OrchgateError."""
    packets = ctx.packets
    digests = {id(packet): _digest(packet) for packet in packets.all}
    owners = {path: " ".join(digests[id(one)] for one in those) for path, those in packets.owners.items()}
    tasks = frozenset(name for packet in packets.all for name in names_of(packet))
    return TreeState(ctx.snapshot.entries, owners, tasks, packets.ids)


def _digest(packet: Packet) -> str:
    fields = (*packet._replace(names=frozenset()), sorted(packet.names))
    return digest("sha256", repr(fields).encode("utf-8", "surrogateescape")).hex()


class Part(NamedTuple):
    """What was judged together: things by their documents, each with its numbers, and the names of all they rest on."""

    things: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]
    names: bytes


def packed(names: Iterable[str]) -> bytes:
    """Names as numbers, of which two may have one: then a part is judged that need not be."""
    return array("I", {zlib.crc32(name.encode("utf-8", "surrogateescape")) for name in names}).tobytes()


class Recalled(Protocol):
    """What was kept of one check's parts."""

    @property
    def any(self) -> bool: ...
    def take(
        self, documents: tuple[str, ...], count: int, without: frozenset[str] | None
    ) -> tuple[bool, tuple[int, ...]] | None:
        """The `count` numbers of a thing whose outcome still holds, and whether it rests on none of some names."""

    def diagnostics(self) -> Iterator[Diagnostic]:
        """What was found in the things that were taken."""


class Parts:
    """The parts of one judgement. `unlike` are the names of what is otherwise in the tree before; None: everything.

    `same` are the documents, by check, of what says the same of the tree before; `other` those of what may not. `done`
    are the parts that were judged, and `recalled` what was kept of others, by check.
    """

    def __init__(self) -> None:
        self.unlike: frozenset[str] | None = None
        self.same: dict[str, set[str]] = {}
        self.other: dict[str, set[str]] = {}
        self.done: dict[str, list[Part]] = {}
        self.recalled: Mapping[str, Recalled] = {}
        self._memo: dict[object, tuple[Any, frozenset[str]]] = {}

    def compare(self, now: TreeState, before: TreeState) -> None:
        self.unlike = unlike(now, before)

    def recall(self, check: str, documents: tuple[str, ...], count: int) -> tuple[int, ...] | None:
        """The numbers of a thing that needs no judging; None where it does."""
        recalled = self.recalled.get(check)
        found = recalled.take(documents, count, self.unlike) if recalled is not None else None
        if found is None:
            return None
        same, numbers = found
        (self.same if same else self.other).setdefault(check, set()).update(documents)
        return numbers

    def each(self, check: str, ctx: Judged, things: Sequence[Thing]) -> Iterator[tuple[Sequence[Thing], Noted]]:
        """Parts of what is judged, with what each is to be judged by before the next one is taken."""
        for at in range(0, len(things), SIZE):
            part, noted = things[at : at + SIZE], Noted(ctx, self._memo)
            ctx.noting(noted.names)
            yield part, noted
            ctx.noting(set())
            self._judged(check, noted)

    def _judged(self, check: str, noted: Noted) -> None:
        known = self.unlike is not None and noted.names.isdisjoint(self.unlike)
        for documents, _ in noted.things:
            same = known and all(self._is_same(noted, path) for path in documents)
            (self.same if same else self.other).setdefault(check, set()).update(documents)
        if check in self.recalled and NEVER not in noted.names:
            kept = [
                (documents, numbers)
                for documents, numbers in noted.things
                if numbers is not None and all(map(noted.is_plain, documents))
            ]
            self.done.setdefault(check, []).append(Part(tuple(kept), packed(noted.names)))

    def _is_same(self, noted: Noted, path: str) -> bool:
        return self.unlike is not None and noted.is_plain(path) and CONTENT + path not in self.unlike

    def same_in(self, check: str) -> Collection[str]:
        """Documents in which the tree before has the same findings."""
        return self.same.get(check, set()) - self.other.get(check, set())

    def result(self) -> Parts:
        """What was done, for another process."""
        made = Parts()
        made.same, made.other, made.done = self.same, self.other, self.done
        return made

    def join(self, other: Parts) -> None:
        """Adds what another process did."""
        for mine, theirs in ((self.same, other.same), (self.other, other.other)):
            for check, documents in theirs.items():
                mine.setdefault(check, set()).update(documents)
        for check, parts in other.done.items():
            self.done.setdefault(check, []).extend(parts)


def unlike(one: TreeState, other: TreeState) -> frozenset[str] | None:
    """Names of what is not the same in two trees; None where that is everything."""
    now, then, owners, owned = one.entries, other.entries, one.owners, other.owners
    changed = {path for path, _ in now.items() ^ then.items()}
    if any(_mode(tree, path) in (SYMLINK, SUBMODULE) for path in changed for tree in (now, then)):
        return None  # a path may lead elsewhere
    come = {path for path in changed if _mode(now, path) != _mode(then, path)}
    come |= folders_of(now) ^ folders_of(then) if come else set()
    return frozenset(
        (
            NEVER,
            *come,
            *(CONTENT + path for path in changed),
            *([LISTED] if come else []),
            *(LISTED + path.partition("/")[0] for path in come),
            *(PACKETS + path for path in owners.keys() | owned.keys() if owners.get(path) != owned.get(path)),
            *(TASK + name for name in one.tasks ^ other.tasks),
            *(ID + name for name in one.ids ^ other.ids),
        )
    )


def _mode(entries: Mapping[str, TreeEntry], path: str) -> str:
    entry = entries.get(path)
    return "" if entry is None else entry.mode


class Noted:
    """What one part is judged by, and the names of what it asked about."""

    def __init__(self, ctx: Judged, memo: dict[object, tuple[Any, frozenset[str]]]) -> None:
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


class _Entries(Mapping[str, TreeEntry]):
    """Entries without their object ids: who wants the content reads it."""

    def __init__(self, entries: Mapping[str, TreeEntry], names: set[str]) -> None:
        self._entries = entries
        self._names = names

    def __contains__(self, path: object) -> bool:
        self._names.add(path)  # type: ignore[arg-type]
        return path in self._entries

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
        self._noted.content(self._packets.task_list)
        return self._packets.line_of_task(path)


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
