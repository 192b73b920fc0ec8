"""Which tasks may be behind a change: those that a name such as a branch's holds, and those that are in work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.packets.tasks import normal_status

if TYPE_CHECKING:
    from orchgate.config.settings import Documents
    from orchgate.packets.packet import Packet


def named_in(text: str, packets: tuple[Packet, ...]) -> tuple[Packet, ...]:
    """Packets whose task, slug or four-digit id stands in a text, between anything but letters and digits.

    The longest name counts: a branch `0007-faster-start-again` is not of the task `faster-start`.
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


def in_work(settings: Documents, packets: tuple[Packet, ...]) -> tuple[Packet, ...]:
    """Packets whose status in the task list is neither finished nor inactive nor still to begin."""
    over = {normal_status(status) for status in (*settings.finished_statuses, *settings.inactive_statuses)}
    waiting = ("backlog", "planned", "todo", "not-started", "blocked")
    return tuple(
        packet
        for packet in packets
        if packet.item is not None
        and packet.item.status
        and packet.item.status not in over
        and not packet.item.status.startswith(waiting)
    )
