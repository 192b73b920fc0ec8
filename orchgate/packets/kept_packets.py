"""All packets of a tree as they were found before: those of a few documents, where only all packets tell.

Which packets there are follows from the paths of documents, the patterns, the task list, and what the documents say
that are joined by their own words. It is found anew where any of these is another.
"""

from __future__ import annotations

import json

from orchgate.errors import Unreadable
from orchgate.git.objects import is_blob
from orchgate.git.snapshot import SUBMODULE
from orchgate.lib.hashes import fingerprint
from orchgate.lib.pages import Damaged, lines_of, write_lines
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.markdown.document import Document
from orchgate.packets.joining import find_packets
from orchgate.packets.layout import Packet
from orchgate.packets.naming import MAX_BYTES, NamesInDocument, names_of_document

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from orchgate.git.paths import ChosenPaths
    from orchgate.git.snapshot import Snapshot
    from orchgate.lib.cache import Cache
    from orchgate.lib.pages import Lines
    from orchgate.packets.joining import Reader
    from orchgate.packets.kept_tasks import KeptTasks
    from orchgate.packets.layout import Layout

    Names = Mapping[str, NamesInDocument | None]

_ASKED, _NAMES, _PACKETS = "documents-asked", "names", "packets"


class KeptPackets:
    """All packets of a tree, a line for each in their order."""

    def __init__(self, lines: Lines, tasks: KeptTasks | None, anew: Callable[[], Lines]) -> None:
        """`anew` finds them where what was kept is damaged."""
        self._lines = lines
        self._tasks = tasks
        self._anew = anew

    def of(self, paths: Collection[str], numbers: Collection[int]) -> tuple[Packet, ...]:
        """The packets of some documents, and of some tasks of the list by their numbers."""
        words = [json.dumps(path).encode("ascii") for path in paths] + [b"[%d, " % number for number in numbers]
        return tuple(
            packet
            for packet in self._near(words)
            if not packet.paths_set.isdisjoint(paths) or (packet.entry is not None and packet.entry.number in numbers)
        )

    def has_id(self, name: str) -> bool:
        """Whether a task has a four-digit id."""
        return any(packet.task[:4] == name for packet in self._near([json.dumps(name)[:-1].encode("ascii")]))

    def _near(self, words: Collection[bytes]) -> list[Packet]:
        """The packets in whose lines one of some words is."""
        try:
            found = self._lines.containing(words)
        except Damaged:
            self._lines = self._anew()
            found = self._lines.containing(words)
        return [*map(self._packet, found.values())]

    def _packet(self, line: bytes) -> Packet:
        number, task, slug, documents, by_name, is_mini, names = json.loads(line)
        entry = self._tasks.numbered(number) if self._tasks is not None and number >= 0 else None
        return Packet(task, slug, documents, entry, tuple(by_name), is_mini, frozenset(names))


def _line(packet: Packet) -> bytes:
    number = packet.entry.number if packet.entry is not None else -1
    more = (packet.grouped_by_name, packet.mini_spec_as_tech_spec, sorted(packet.names))
    return json.dumps((number, packet.task, packet.slug, packet.documents, *more)).encode("ascii")


def of(tree: Snapshot, layout: Layout, tasks: KeptTasks | None, read: Reader) -> KeptPackets | None:
    """All packets of a tree, whose documents are read by `read` otherwise; None where nothing can be kept of them."""
    kept, chosen = tree.cache, tree.chosen(layout.choice)
    if kept is None or chosen is None:
        return None
    state = _digest(layout.identity, chosen.digest(), tasks.oid.encode("ascii") if tasks is not None else b"")

    def anew() -> Lines:
        return _Finding(kept, tree, read).found(layout, chosen, tasks, state)

    return KeptPackets(_known(kept, tree, state) or anew(), tasks, anew)


def _known(kept: Cache, tree: Snapshot, state: bytes) -> Lines | None:
    asked = kept.read(_ASKED, state)
    names = _names_of(kept, tree, json.loads(asked)) if asked is not None else None
    try:
        return lines_of(kept, _PACKETS, _digest(state, _dumped(names))) if names is not None else None
    except Damaged:
        return None


class _Finding:
    """Finds packets, and notes which documents were asked for that."""

    def __init__(self, kept: Cache, tree: Snapshot, read: Reader) -> None:
        self._kept = kept
        self._tree = tree
        self._read = read
        self._asked: list[str] = []
        self._names: Names | None = {}

    def found(self, layout: Layout, chosen: ChosenPaths, tasks: KeptTasks | None, state: bytes) -> Lines:
        items = tuple(tasks.all()) if tasks is not None else ()
        packets = find_packets(chosen.all(), layout, items, self._names_in)
        lines = [*map(_line, packets)]
        if self._names is None:
            return write_lines(None, _PACKETS, b"", lines)
        self._kept.write(_ASKED, state, json.dumps(self._asked).encode("ascii"))
        return write_lines(self._kept, _PACKETS, _digest(state, _dumped(self._names)), lines)

    def _names_in(self, paths: Collection[str]) -> Mapping[str, NamesInDocument]:
        self._asked = list(paths)
        self._names = _names_of(self._kept, self._tree, self._asked)
        if self._names is None:
            return self._read(paths)
        return {path: names for path, names in self._names.items() if names is not None}


# -- What documents say -------------------------------------------------------------------------------


def _names_of(kept: Cache, tree: Snapshot, paths: Sequence[str]) -> Names | None:
    """What some documents say by their blobs, None for a submodule; None where one cannot be read from its blob."""
    entries = {path: entry for path in paths if (entry := tree.entries.get(path)) is not None}
    key = _digest(json.dumps(paths).encode("ascii"))
    earlier = json.loads(kept.read(_NAMES, key) or b"{}")
    known = {path: one for path, one in earlier.items() if path in entries and one[0] == entries[path].oid}
    new = [path for path, entry in entries.items() if path not in known and entry.mode != SUBMODULE]
    for path, content in tree.read_many(new, MAX_BYTES):
        if isinstance(content, Unreadable) or not is_blob(content, entries[path].oid):
            return None
        known[path] = [entries[path].oid, *names_of_document(Document(path, content), frozenset(paths))]
    if new:
        kept.write(_NAMES, key, json.dumps(known).encode("ascii"))
    return {path: _names(known[path]) if path in known else None for path in entries}


def _names(values: list[Any]) -> NamesInDocument:
    _, title, tasks, declared, cited = values
    return NamesInDocument(title, tuple(tasks), tuple(declared), tuple(cited))


def _dumped(names: Names) -> bytes:
    return json.dumps(list(names.items())).encode("ascii")


def _digest(*parts: bytes) -> bytes:
    return fingerprint(b"".join(b"%d\n%b" % (len(part), part) for part in parts))
