"""The packets and the task list of one tree, computed on first use, and the packets that a change touches."""

from __future__ import annotations

import functools

from orchgate.errors import Unreadable
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.model import Location, Trouble
from orchgate.packets.layout import layout_of, stem
from orchgate.packets.tasks import MAX_BYTES, TaskEntry, TaskList, normal_status, read_task_list

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orchgate.config.settings import Documents
    from orchgate.git.snapshot import Snapshot, TreeEntry
    from orchgate.model import Change
    from orchgate.packets.joining import Reader
    from orchgate.packets.kept_packets import KeptPackets
    from orchgate.packets.kept_tasks import KeptTasks
    from orchgate.packets.layout import Layout, Packet
    from orchgate.packets.naming import NamesInDocument

MANY_NAMES = 40  # with more names than this, looking at all packets is cheaper


class Packets:
    """All packets of a tree. A change of a few documents does not look at all of them."""

    def __init__(
        self,
        settings: Documents,
        tree: Snapshot,
        layout: Layout | None = None,
        *,
        as_finished: bool = False,
        beside: Packets | None = None,
    ) -> None:
        """`as_finished`: every packet is looked at as if somebody had called it finished.

        `beside` are those of another tree: where both hold the same documents of packets, they are not found twice.
        """
        self._as_finished = as_finished
        self._beside = beside
        self._said: set[str] = set()  # documents that were asked for what they say
        self.layout = layout or layout_of(settings)
        self.tree = tree
        self.settings = settings

    @cached_property
    def _read(self) -> tuple[TaskList | KeptTasks | None, tuple[Trouble, ...]]:
        beside = self._beside
        if beside is not None and self._lists_like(beside) and isinstance(beside.tasks, TaskList):
            return beside.tasks, ()
        return task_list_of(self.settings.task_index, self.tree)

    @property
    def tasks(self) -> TaskList | KeptTasks | None:
        """The task list; None when there is none, or it cannot be read."""
        return self._read[0]

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        return self._read[1]

    @property
    def items(self) -> tuple[TaskEntry, ...]:
        return self.tasks.items if self.tasks else ()

    @property
    def task_list(self) -> str:
        """The path of the task list; "" when there is none, or it cannot be read."""
        return self.tasks.path if self.tasks is not None else ""

    def line_of_task(self, path: str) -> int:
        """Where the task list names a path first, as `TaskList.line_of`."""
        return self.tasks.line_of(path) if self.tasks is not None else 0

    @property
    def has_tasks(self) -> bool:
        """Whether the task list has any."""
        return self.tasks is not None and self.tasks.lists_any

    def has_documents(self, tree: Snapshot) -> bool:
        """Whether a tree has any document of a packet."""
        return next(self.layout.documents_among(self._paths_of(tree)), None) is not None

    @cached_property
    def all(self) -> tuple[Packet, ...]:
        if self._beside is not None and self._is_like(self._beside):
            return self._beside.all
        from orchgate.packets.joining import find_packets  # a change without packets joins none

        found = find_packets(self._paths_of(self.tree), self.layout, self.items, self.reader())
        return tuple(packet._replace(as_finished=True) for packet in found) if self._as_finished else found

    def _is_like(self, other: Packets) -> bool:
        """Whether all that packets follow from is the same as in another tree, in which they are known."""
        now, then = self.tree.entries, other.tree.entries
        if "all" not in vars(other) or self._as_finished != other._as_finished:
            return False
        if other.troubles or not self._lists_like(other) or self.layout.identity != other.layout.identity:
            return False
        if not all(_is_same_file(path, now, then) for path in other._said):
            return False
        return next(self.layout.documents_among(now.keys() ^ then.keys()), None) is None

    def _lists_like(self, other: Packets) -> bool:
        """Whether the task list is the same as in another tree."""
        path = self.settings.task_index
        return path == other.settings.task_index and _is_same_file(path, self.tree.entries, other.tree.entries)

    def _paths_of(self, tree: Snapshot) -> Iterable[str]:
        """The paths of a tree among which its documents are, in git's order."""
        chosen = tree.chosen(self.layout.choice)
        return tree.entries if chosen is None else chosen.all()

    def with_lost(self, gone: Iterable[str], base: Snapshot) -> tuple[Packet, ...]:
        """All packets as if documents that are gone were still there. What they said is read in the base."""
        from orchgate.packets.joining import find_packets

        return find_packets([*self._paths_of(self.tree), *gone], self.layout, self.items, self.reader(base))

    def reader(self, *others: Snapshot) -> Reader:
        """What finds out which packets documents name, of this tree or of the others."""

        def read(paths: Collection[str]) -> Mapping[str, NamesInDocument]:
            from orchgate.packets.naming import names_in

            self._said.update(paths)
            return names_in((self.tree, *others), paths, frozenset(paths))

        return read

    @cached_property
    def owners(self) -> Mapping[str, tuple[Packet, ...]]:
        """The packets of each document, whether they are checked or not."""
        owners: dict[str, tuple[Packet, ...]] = {}
        for packet in self.all:
            for path in packet.paths:
                owners[path] = (*owners.get(path, ()), packet)
        return owners

    def owners_of(self, path: str) -> tuple[Packet, ...]:
        """As `owners`, of one document."""
        if "all" in self.__dict__ or self.tree.cache is None:
            return self.owners.get(path, ())
        return self.of((path,))

    def has_id(self, name: str) -> bool:
        """Whether a task of the tree has a four-digit id."""
        kept = self._kept()
        return kept.has_id(name) if kept is not None else name in self.ids

    @cached_property
    def ids(self) -> frozenset[str]:
        """Four-digit ids of the tree's tasks."""
        names = {packet.task[:4] for packet in self.all}
        return frozenset(name for name in names if len(name) == 4 and name.isdigit())

    def active(self, packet: Packet) -> bool:
        """Whether the task list does not call the packet inactive."""
        return packet.entry is None or not self.is_inactive(packet.entry.status)

    def is_inactive(self, status: str) -> bool:
        return status in self._inactive

    @cached_property
    def _inactive(self) -> frozenset[str]:
        return frozenset(normal_status(status) for status in self.settings.status.inactive)

    def of(self, paths: Collection[str], items: Collection[TaskEntry] = ()) -> tuple[Packet, ...]:
        """The packets of some documents and some entries of the task list."""
        near = None if "all" in self.__dict__ or self._as_finished else self._near(paths, items)
        if near is None:
            kept = self._kept()
            return kept.of(paths, {item.number for item in items}) if kept else self._among_all(paths, items)
        return near

    def _kept(self) -> KeptPackets | None:
        """All packets as they were found before; None where they have to be found now, or were."""
        from orchgate.packets.kept_tasks import KeptTasks

        known = isinstance(self.tasks, KeptTasks) or self.tasks is None
        if self.tree.cache is None or not known or "all" in self.__dict__ or self._as_finished:
            return None
        from orchgate.packets import kept_packets

        tasks = self.tasks if isinstance(self.tasks, KeptTasks) else None
        return kept_packets.of(self.tree, self.layout, tasks, self.reader())

    def _among_all(self, paths: Iterable[str], items: Iterable[TaskEntry]) -> tuple[Packet, ...]:
        """As `of`, by looking up each document and entry among all packets."""
        found = {id(packet): packet for path in paths for packet in self.owners.get(path, ())}
        found |= {id(packet): packet for item in items for packet in self._by_item.get(item.number, ())}
        return tuple(sorted(found.values(), key=lambda packet: self._places[id(packet)]))

    @cached_property
    def _by_item(self) -> Mapping[int, list[Packet]]:
        found: dict[int, list[Packet]] = {}
        for packet in self.all:
            if packet.entry is not None:
                found.setdefault(packet.entry.number, []).append(packet)
        return found

    @cached_property
    def _places(self) -> Mapping[int, int]:
        """The position of each packet among all."""
        return {id(packet): place for place, packet in enumerate(self.all)}

    def _near(self, paths: Collection[str], items: Collection[TaskEntry]) -> tuple[Packet, ...] | None:
        """As `of`, from what is near in name; None where only all packets can tell.

        Names are followed through the task list until nothing is added. Packets that are complete before any are joined
        are the same as among all: only incomplete ones are joined, by what they say or by similar names.
        """
        names = {stem(place.task or place.slug) for place in self.layout.documents_among(paths)}
        names |= {stem(name) for item in items for name in item.names}
        related: dict[int, TaskEntry] = {}
        asked: set[str] = set()
        while True:
            if len(names) > MANY_NAMES:
                return None
            mentioning = self.tasks.mentioning(names - asked) if self.tasks else ()
            asked = set(names)
            more = [item for item in mentioning if item.number not in related]
            if not more:
                break
            related.update((item.number, item) for item in more)
            listed = self.layout.documents_among(path for item in more for _, path in item.paths)
            names |= {stem(place.task or place.slug) for place in listed}
            names |= {stem(name) for item in more for name in item.names}
        chosen = self.tree.chosen(self.layout.choice)
        entries = self.tree.entries if chosen is None else ()
        nearby = (
            chosen.containing(names) if chosen else [path for path in entries if any(name in path for name in names)]
        )
        # In the order of the list, as `all` would see them.
        from orchgate.packets.joining import unjoined_packets

        found = unjoined_packets(nearby, self.layout, tuple(related[number] for number in sorted(related)))
        wanted = {item.number for item in items}
        concerned = tuple(
            packet
            for packet in found
            if not packet.paths_set.isdisjoint(paths) or (packet.entry is not None and packet.entry.number in wanted)
        )
        return concerned if all(self.layout.core <= set(packet.documents) for packet in concerned) else None


def _is_same_file(path: str, now: Mapping[str, TreeEntry], then: Mapping[str, TreeEntry]) -> bool:
    """Whether there is the same in two trees, or nothing in both; what is behind a link is not told from its entry."""
    entry = now.get(path)
    if entry is None or not entry.oid or entry.mode in (SYMLINK, SUBMODULE):
        return entry is None and path not in then
    return entry == then.get(path)


def task_list_of(path: str, tree: Snapshot) -> tuple[TaskList | KeptTasks | None, tuple[Trouble, ...]]:
    """The task list of a tree, None when it has none; trouble when it cannot be read."""
    if not path or path not in tree.entries:
        return None, ()
    from orchgate.packets import kept_tasks

    try:
        kept = kept_tasks.of(path, tree) if tree.cache is not None else None
        return kept or _task_list(path, tree.read(path, MAX_BYTES)), ()
    except Unreadable as error:
        hint = "fix the file; until then the status of its tasks is unknown"
        return None, (Trouble(Location(path), error.message, error.hint or hint),)


@functools.lru_cache(maxsize=2)
def _task_list(path: str, content: bytes) -> TaskList:
    """A task list from its bytes: most changes leave it alone, and a commit's is that of the next one's base.

    Raises Unreadable.
    """
    return read_task_list(path, content)


class Selection(NamedTuple):
    """Packets to check. `lost` are documents that the change removed: (kind, old path, new path or ""), by packet."""

    packets: tuple[Packet, ...] = ()
    lost: Mapping[str, tuple[tuple[str, str, str], ...]] = {}
    troubles: tuple[Trouble, ...] = ()


def select(known: Packets, base: Snapshot, changes: tuple[Change, ...] | None, also: Iterable[str] = ()) -> Selection:
    """The packets that `changes` touch; for None, all packets of the tree. Inactive ones are left out.

    `also` are paths that count as touched, such as symbolic links to changed files.
    """
    lost: dict[str, tuple[tuple[str, str, str], ...]] = {}
    if changes is None:
        wanted = known.all
    else:
        touched = _touched(changes).union(also)
        listed = known.settings.task_index in touched
        if not listed and next(known.layout.documents_among(touched), None) is None:
            return Selection()
        lost, bereaved = _lost(changes, known, base)
        wanted = known.of(touched | bereaved, changed_entries(known, base) if listed else ())
    return Selection(tuple(packet for packet in wanted if known.active(packet)), lost, known.troubles)


def _touched(changes: tuple[Change, ...]) -> frozenset[str]:
    old = (change.old_path for change in changes if change.old_path)
    return frozenset([*(change.path for change in changes), *old])


def _lost(
    changes: tuple[Change, ...], known: Packets, base: Snapshot
) -> tuple[dict[str, tuple[tuple[str, str, str], ...]], frozenset[str]]:
    """Documents deleted or renamed away from packets with documents left, and what is left.

    The packet of a lost document is found by grouping the lost documents together with the others.
    """
    moved = [(change.old_path, change.path) for change in changes if change.old_path]
    deleted = [(change.path, "") for change in changes if change.deleted]
    gone = {path: to for path, to in [*moved, *deleted] if path not in known.tree.entries}
    if not gone or next(known.layout.documents_among(gone), None) is None:
        return {}, frozenset()
    lost: dict[str, tuple[tuple[str, str, str], ...]] = {}
    remains: set[str] = set()
    for packet in known.with_lost(gone, base):
        missing = tuple((kind, path, gone[path]) for kind, path in packet.documents.items() if path in gone)
        remaining = [path for path in packet.paths if path not in gone and path not in gone.values()]
        if missing and remaining:
            remains.update(remaining)
            for heir in known.owners.get(remaining[0], ()):
                lost[heir.name] = missing
    return lost, frozenset(remains)


def changed_entries(known: Packets, base: Snapshot) -> Collection[TaskEntry]:
    """The entries that are not the same in the base's list.

    Where the base's list cannot be read nobody knows which entries changed: the change that repairs it is not
    blamed for all of them.
    """
    itself = base is known.tree
    before, troubles = (known.tasks, known.troubles) if itself else task_list_of(known.settings.task_index, base)
    if troubles:
        return ()
    from orchgate.packets import kept_tasks

    if isinstance(before, kept_tasks.KeptTasks) and isinstance(known.tasks, kept_tasks.KeptTasks):
        changed = kept_tasks.changed(known.tasks, before)
        if changed is not None:
            return changed
    old = {item.names: item.raw for item in before.items} if before else {}
    return [item for item in known.items if old.get(item.names) != item.raw]
