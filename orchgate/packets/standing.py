"""How far a packet says it is."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from orchgate.packets.tasks import normal_status

if TYPE_CHECKING:
    from orchgate.markdown.document import Document
    from orchgate.packets.packet import Packet


class Standing(Enum):
    """OPEN is in work; FINISHED is said to be done; CLAIMED has every box ticked while its status says otherwise."""

    OPEN = "open"
    CLAIMED = "claimed"
    FINISHED = "finished"


def standing(packet: Packet, checklist: Document | None, finished_statuses: tuple[str, ...]) -> Standing:
    """By the status in the task list; where that is silent, by the boxes of the checklist."""
    status = packet.item.status if packet.item else ""
    if status and status in _normal(finished_statuses):
        return Standing.FINISHED
    if not status and packet.item is not None and packet.item.completed:
        return Standing.FINISHED
    if checklist is None or not _all_ticked(checklist):
        return Standing.OPEN
    return Standing.CLAIMED if status else Standing.FINISHED


@lru_cache(maxsize=4)
def _normal(statuses: tuple[str, ...]) -> frozenset[str]:
    return frozenset(normal_status(status) for status in statuses)


def _all_ticked(checklist: Document) -> bool:
    boxes = [item.checked for item in checklist.items if item.checked is not None]
    return bool(boxes) and all(boxes)
