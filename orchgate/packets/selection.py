"""Which packets a run of the gate judges: those a change touches, or all that are active."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.packets.packet import Packet, find_packets
from orchgate.packets.task_documents import Packets, read_tasks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Change, Trouble
    from orchgate.packets.tasks import Item


class Selection(NamedTuple):
    """Packets to judge. `lost` are documents the change took away, by packet name: (kind, old path, new path or "")."""

    packets: tuple[Packet, ...] = ()
    lost: Mapping[str, tuple[tuple[str, str, str], ...]] = {}
    troubles: tuple[Trouble, ...] = ()


def select(known: Packets, base: Snapshot, changes: tuple[Change, ...] | None, also: Iterable[str] = ()) -> Selection:
    """The packets that `changes` touch; all of the tree for None. Those the task list calls inactive are left alone.

    `also` are paths that count as touched, such as symbolic links to what was changed.
    """
    lost: dict[str, tuple[tuple[str, str, str], ...]] = {}
    if changes is None:
        wanted = known.all
    else:
        touched = _touched(changes).union(also)
        listed = known.settings.task_index in touched
        if not listed and next(known.layout.places(touched), None) is None:
            return Selection()
        lost, bereaved = _lost(changes, known)
        wanted = known.of(touched | bereaved, _changed_entries(known, base) if listed else ())
    return Selection(tuple(packet for packet in wanted if known.active(packet)), lost, known.troubles)


def _touched(changes: tuple[Change, ...]) -> frozenset[str]:
    old = (change.old_path for change in changes if change.old_path)
    return frozenset([*(change.path for change in changes), *old])


def _lost(
    changes: tuple[Change, ...], known: Packets
) -> tuple[dict[str, tuple[tuple[str, str, str], ...]], frozenset[str]]:
    """Documents deleted or renamed away from packets of which something remains, and what remains.

    The packet a lost document belonged to is found by putting the lost ones back among the others.
    """
    moved = [(change.old_path, change.path) for change in changes if change.old_path]
    deleted = [(change.path, "") for change in changes if change.deleted]
    gone = {path: to for path, to in [*moved, *deleted] if path not in known.tree.entries}
    if not gone or next(known.layout.places(gone), None) is None:
        return {}, frozenset()
    lost: dict[str, tuple[tuple[str, str, str], ...]] = {}
    remains: set[str] = set()
    for packet in find_packets([*known.tree.entries, *gone], known.layout, known.items):
        missing = tuple((kind, path, gone[path]) for kind, path in packet.documents.items() if path in gone)
        remaining = [path for path in packet.paths if path not in gone and path not in gone.values()]
        if missing and remaining:
            remains.update(remaining)
            for heir in known.owners.get(remaining[0], ()):
                lost[heir.name] = missing
    return lost, frozenset(remains)


def _changed_entries(known: Packets, base: Snapshot) -> Collection[Item]:
    """The entries that the base's list does not hold in the same form.

    A base whose list cannot be read says nothing about which entries changed: the change that mends it is not
    blamed for all of them.
    """
    before, troubles = read_tasks(known.settings.task_index, base)
    if troubles:
        return ()
    old = {item.names: item.raw for item in before.items} if before else {}
    return [item for item in known.items if old.get(item.names) != item.raw]
