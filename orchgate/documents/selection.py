"""Which packets a run of the gate judges: those a change touches, or all that are active."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.documents.layout import Layout, layout_of
from orchgate.documents.packet import Packet, find_packets
from orchgate.documents.tasks import MAX_BYTES, Index, normal_status, read_index
from orchgate.errors import Unreadable
from orchgate.model import Location, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.config.settings import Documents
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Change


class Selection(NamedTuple):
    """Packets to judge, and what is needed to judge them.

    `lost` are documents the change took away, by packet name: (kind, old path, new path or "").
    `owner` is the packet of every document of the tree; `edited` are the documents the change rewrote.
    """

    layout: Layout
    packets: tuple[Packet, ...] = ()
    owners: Mapping[str, tuple[Packet, ...]] = {}
    lost: Mapping[str, tuple[tuple[str, str, str], ...]] = {}
    tasks: Index | None = None
    troubles: tuple[Trouble, ...] = ()


def select(settings: Documents, tree: Snapshot, base: Snapshot, changes: tuple[Change, ...] | None) -> Selection:
    """The packets that `changes` touch; all of the tree for None. Those the index calls inactive are left alone."""
    layout = layout_of(settings)
    touched = None if changes is None else _touched(changes)
    listed = settings.index in touched if touched is not None else True
    if touched is not None and not listed and next(layout.places(touched), None) is None:
        return Selection(layout)
    index, troubles = read_tasks(settings.index, tree)
    items = index.items if index else ()
    packets = find_packets(tree.entries, layout, items)
    owners: dict[str, tuple[Packet, ...]] = {}
    for packet in packets:
        for path in packet.paths:
            owners[path] = (*owners.get(path, ()), packet)
    wanted: tuple[Packet, ...] = packets
    lost: dict[str, tuple[tuple[str, str, str], ...]] = {}
    if touched is not None:
        assert changes is not None
        lost = _lost(changes, tree, layout, index, owners)
        fresh = _changed_entries(settings.index, index, base) if listed else frozenset()
        wanted = tuple(
            packet
            for packet in packets
            if packet.name in lost or not touched.isdisjoint(packet.paths) or (packet.item and id(packet.item) in fresh)
        )
    inactive = {normal_status(status) for status in settings.inactive_statuses}
    active = tuple(packet for packet in wanted if packet.item is None or packet.item.status not in inactive)
    return Selection(layout, active, owners, lost, index, troubles)


def read_tasks(path: str, tree: Snapshot) -> tuple[Index | None, tuple[Trouble, ...]]:
    """The task list of a tree, None when it has none; trouble when it is there and cannot be read."""
    if not path or path not in tree.entries:
        return None, ()
    try:
        return read_index(path, tree.read(path, MAX_BYTES)), ()
    except Unreadable as error:
        hint = "tasks' statuses are unknown until it can be read: mend the file"
        return None, (Trouble(Location(path), error.message, error.hint or hint),)


def _touched(changes: tuple[Change, ...]) -> frozenset[str]:
    old = (change.old_path for change in changes if change.old_path)
    return frozenset([*(change.path for change in changes), *old])


def _lost(
    changes: tuple[Change, ...],
    tree: Snapshot,
    layout: Layout,
    index: Index | None,
    owners: Mapping[str, tuple[Packet, ...]],
) -> dict[str, tuple[tuple[str, str, str], ...]]:
    """Documents deleted or renamed away from packets of which something remains.

    The packet a lost document belonged to is found by putting the lost ones back among the others.
    """
    gone = {(change.old_path or change.path): ("" if change.deleted else change.path) for change in changes if change.deleted or change.old_path}
    gone = {path: to for path, to in gone.items() if path not in tree.entries}
    if not gone or next(layout.places(gone), None) is None:
        return {}
    lost: dict[str, tuple[tuple[str, str, str], ...]] = {}
    for packet in find_packets([*tree.entries, *gone], layout, index.items if index else ()):
        missing = tuple((kind, path, gone[path]) for kind, path in packet.documents.items() if path in gone)
        remaining = [path for path in packet.paths if path not in gone and path not in gone.values()]
        if missing and remaining:
            for heir in owners.get(remaining[0], ()):
                lost[heir.name] = missing
    return lost


def _changed_entries(path: str, index: Index | None, base: Snapshot) -> frozenset[int]:
    """Identities of the entries that the base's list does not hold in the same form.

    A base whose list cannot be read says nothing about which entries changed: the change that mends it is not
    blamed for all of them.
    """
    if index is None:
        return frozenset()
    before, troubles = read_tasks(path, base)
    if troubles:
        return frozenset()
    known = {item.names: item.raw for item in before.items} if before else {}
    return frozenset(id(item) for item in index.items if known.get(item.names) != item.raw)
