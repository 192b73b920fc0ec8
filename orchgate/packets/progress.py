"""How far a packet is, by its status in the task list and the boxes of its checklist."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from orchgate.packets.tasks import normal_status

if TYPE_CHECKING:
    from orchgate.config.settings import Documents
    from orchgate.markdown.document import Document
    from orchgate.packets.packet import Packet


class PacketProgress(Enum):
    """OPEN: in progress. FINISHED: called done. ALL_TICKED: every box is ticked, but the status is not finished."""

    OPEN = "open"
    ALL_TICKED = "all-ticked"
    FINISHED = "finished"


def progress_of(packet: Packet, checklist: Document | None, finished_statuses: tuple[str, ...]) -> PacketProgress:
    """By the status in the task list; without one, by the boxes of the checklist."""
    status = packet.entry.status if packet.entry else ""
    if status and status in _normal(finished_statuses):
        return PacketProgress.FINISHED
    if not status and packet.entry is not None and packet.entry.completed:
        return PacketProgress.FINISHED
    if checklist is None or not _all_ticked(checklist):
        return PacketProgress.OPEN
    return PacketProgress.ALL_TICKED if status else PacketProgress.FINISHED


@lru_cache(maxsize=4)
def _normal(statuses: tuple[str, ...]) -> frozenset[str]:
    return frozenset(normal_status(status) for status in statuses)


def _all_ticked(checklist: Document) -> bool:
    boxes = [item.checked for item in checklist.items if item.checked is not None]
    return bool(boxes) and all(boxes)


def packets_named_in(text: str, packets: tuple[Packet, ...]) -> tuple[Packet, ...]:
    """Packets whose task, slug or four-digit id occurs in a text, with no letter or digit next to it.

    The longest match counts: branch `0007-faster-start-again` does not belong to task `faster-start`.
    """
    import re

    best: list[Packet] = []
    longest = 0
    for packet in packets:
        ids = {name[:4] for name in packet.names if re.match(r"\d{4}-", name)}
        for name in packet.names | ids:
            size = len(name)
            if size < longest or name not in text:
                continue
            if not re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", text):
                continue
            best = [packet] if size > longest else [*best, packet]
            longest = size
    return tuple({packet.name: packet for packet in best}.values())


def packets_in_work(settings: Documents, packets: tuple[Packet, ...]) -> tuple[Packet, ...]:
    """Packets whose status in the task list is not finished, not inactive and not still to begin."""
    over = {normal_status(status) for status in (*settings.status.finished, *settings.status.inactive)}
    waiting = ("backlog", "planned", "todo", "not-started", "blocked")
    return tuple(
        packet
        for packet in packets
        if packet.entry is not None
        and packet.entry.status
        and packet.entry.status not in over
        and not packet.entry.status.startswith(waiting)
    )
