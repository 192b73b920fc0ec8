"""What the evidence check needs to know of packets: whose document one is, and whether its packet claims to be done."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from orchgate.errors import Unreadable
from orchgate.lib.patterns import lazy
from orchgate.packets.progress import PacketProgress, progress_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.markdown.document import Document
    from orchgate.packets.catalog import Packets
    from orchgate.packets.layout import PacketDocument
    from orchgate.packets.packet import Packet

_LEADING_ID = lazy(r"\d+(?=-)")


class Owners:
    """Answers about documents; finding packets is put off until names alone cannot answer."""

    def __init__(self, packets: Packets, document: Callable[[str], Document], *, whole: bool) -> None:
        self._packets = packets
        self._document = document
        self._whole = whole  # the tree is judged, so that all packets are found at once
        self._places: dict[str, tuple[PacketDocument, ...]] = {}
        self._owners: dict[str, tuple[Packet, ...]] = {}
        self._finished: dict[str, bool] = {}
        self._foreign: dict[tuple[str, str], str] = {}

    def places(self, path: str) -> tuple[PacketDocument, ...]:
        """The kinds of packet document that a path is; none for other documents."""
        if path not in self._places:
            self._places[path] = tuple(self._packets.layout.documents_among((path,)))
        return self._places[path]

    def kinds(self, path: str) -> frozenset[str]:
        return frozenset(place.kind for place in self.places(path))

    def of(self, path: str) -> tuple[Packet, ...]:
        """The packets that a document belongs to."""
        if not self.places(path):
            return ()
        if path not in self._owners:
            self._owners[path] = self._packets.owners.get(path, ()) if self._whole else self._packets.of((path,))
        return self._owners[path]

    @cached_property
    def _tasks(self) -> frozenset[str]:
        return frozenset(name for packet in self._packets.all for name in _names(packet))

    def finished(self, path: str) -> bool:
        """Whether the packet of a document is done, or has every box of its checklist ticked."""
        return any(self.is_finished(packet) for packet in self.of(path))

    def is_finished(self, packet: Packet) -> bool:
        if packet.anchor not in self._finished:
            checklist = packet.documents.get("checklist")
            try:
                boxes = self._document(checklist) if checklist else None
            except Unreadable:
                boxes = None
            how = progress_of(packet, boxes, self._packets.settings.status.finished)
            self._finished[packet.anchor] = how is not PacketProgress.OPEN
        return self._finished[packet.anchor]

    def foreign(self, path: str, folder: str) -> str:
        """The task that a run folder's name belongs to when it is another than the document's; "" otherwise.

        `<task>-scout` and everything else that begins with the task's name or number is its own.
        """
        key = (path, folder)
        if key not in self._foreign:
            self._foreign[key] = self._find_foreign(path, folder)
        return self._foreign[key]

    def _find_foreign(self, path: str, folder: str) -> str:
        places = self.places(path)
        if not places or any(_own(name, folder) for place in places for name in (place.task, place.slug) if name):
            return ""
        packets = self.of(path)
        if not packets or any(_own(name, folder) for packet in packets for name in _names(packet)):
            return ""
        return folder if folder in self._tasks else ""


def _names(packet: Packet) -> tuple[str, ...]:
    listed = packet.entry.names if packet.entry else ()
    return tuple(name for name in (packet.task, packet.slug, *listed) if name)


def _own(name: str, folder: str) -> bool:
    if folder == name or folder.startswith(name + "-"):
        return True
    number, other = _LEADING_ID.match(name), _LEADING_ID.match(folder)
    if number and other:
        return number[0] == other[0]
    bare = folder[other.end() + 1 :] if other else folder
    return bare == name or bare.startswith(name + "-")
