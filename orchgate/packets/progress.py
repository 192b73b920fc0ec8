"""How far a packet is, by its status in the task list and its boxes; and when a document was last reviewed."""

from __future__ import annotations

from functools import lru_cache

from orchgate.lib.lazy import dates, lazy
from orchgate.lib.typed import TYPE_CHECKING, Enum
from orchgate.model import Finding, Severity
from orchgate.packets.naming import normal
from orchgate.packets.tasks import normal_status

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator

    from orchgate.config.settings import Documents, Status
    from orchgate.markdown.document import Document
    from orchgate.packets.layout import Packet


HEADER = 4_000  # characters above the first section in which a status may stand
_STATUS = lazy(r"(?m)^[ \t>*_-]*(?P<word>[A-Za-z][A-Za-z -]{0,30}?)[*_]*[ \t]*:[*_]*[ \t]*(?P<value>\S.*)$")
_END_OF_STATUS = lazy(r"[(\[,;.:–—]| - |\bby\b|\bon\b|\d")  # noqa: RUF001


_OPEN_BOX = "\n- [ ] "


class PacketProgress(Enum):
    """OPEN: in progress. FINISHED: called done. ALL_TICKED: every box is ticked, but the status is not finished."""

    OPEN = "open"
    ALL_TICKED = "all-ticked"
    FINISHED = "finished"


def progress_of(packet: Packet, checklist: Document | None, status: Status, stated: str = "") -> PacketProgress:
    """By the status in the task list, else by what the documents state; without either, by the boxes of the checklist.

    A draft whose boxes are all ticked is finished: nobody goes back to that line. Some are judged as if finished.
    """
    if packet.as_finished:
        return PacketProgress.FINISHED
    listed = packet.entry.status if packet.entry else ""
    if (listed or stated) in _normal(status.finished):
        return PacketProgress.FINISHED
    if not listed and packet.entry is not None and packet.entry.completed:
        return PacketProgress.FINISHED
    if checklist is None or not _all_ticked(checklist):
        return PacketProgress.OPEN
    return PacketProgress.ALL_TICKED if listed or stated not in ("", "draft") else PacketProgress.FINISHED


def stated_status(documents: Iterable[Document], words: tuple[str, ...]) -> str:
    """The first status that documents state themselves, normalised; "" for none."""
    return next((status for document in documents if words and (status := _stated(document, words))), "")


def _stated(document: Document, words: tuple[str, ...]) -> str:
    keys = {word.casefold() for word in words}
    if document.text.startswith("---"):
        values = (value for key, value in document.front_matter.items() if key.casefold() in keys)
        if value := next((value for value in values if isinstance(value, str)), ""):
            return _first_words(value)
    first = next((heading.offset for heading in document.headings if heading.level > 1), len(document.text))
    for match in _STATUS.finditer(document.text, 0, min(first, HEADER)):
        if match["word"].casefold() in keys and not document.in_code(match.start("word")):
            return _first_words(match["value"])
    section = next((one for one in document.sections if normal(one.heading.title) in keys), None)
    if section is None:
        return ""
    lines = document.text[section.heading.body : section.end].split("\n", 20)[:20]
    return _first_words(next((line for line in lines if line.strip()), ""))


def _first_words(text: str) -> str:
    """`**Accepted** (2026-01-05)` as "accepted", `Superseded by [ADR-5](5.md)` as "superseded"; "" for a choice."""
    plain = text.strip().strip("\"'").lstrip("-*_> ✅☑").replace("*", "").replace("_", " ").strip()
    if plain.startswith(("{", "[", "<")) or "|" in plain:
        return ""
    return normal_status(_END_OF_STATUS.split(plain, maxsplit=1)[0].strip())


@lru_cache(maxsize=4)
def _normal(statuses: tuple[str, ...]) -> frozenset[str]:
    return frozenset(normal_status(status) for status in statuses)


def _all_ticked(checklist: Document) -> bool:
    open_box = checklist.text.find(_OPEN_BOX)
    if open_box >= 0 and not checklist.hidden(open_box + 1):
        return False  # as nearly every checklist that is not done, without a look at all of its items
    boxes = [item.checked for item in checklist.items if item.checked is not None]
    return bool(boxes) and all(boxes)


def packets_named_in(text: str, packets: tuple[Packet, ...]) -> tuple[Packet, ...]:
    """Packets whose task, slug or four-digit id occurs in a text, with no letter or digit next to it.

    The longest match counts: branch `0007-faster-start-again` does not belong to task `faster-start`. Case makes no
    difference, `_` is `-`, and a text that is only a number is an id without its zeros.
    """
    import re

    wanted = loose_name(text)
    number = wanted.strip(" #")
    best: list[Packet] = []
    longest = 0
    for packet in packets:
        names = {loose_name(name) for name in packet.names}
        numbers = {match[0] for name in names if (match := re.match(r"\d+(?=-)", name))}
        ids = {one for one in numbers if len(one) == 4}
        if number.isdigit() and any(one.lstrip("0") == number.lstrip("0") for one in numbers):
            ids.add(number)
        for name in names | ids:
            size = len(name)
            if size < longest or name not in wanted:
                continue
            if not re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", wanted):
                continue
            best = [packet] if size > longest else [*best, packet]
            longest = size
    return tuple({packet.name: packet for packet in best}.values())


def loose_name(text: str) -> str:
    """A name as it is compared where people type it: in branches and trailers."""
    return text.casefold().replace("_", "-")


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


# When a document was last reviewed, by its front matter


KEY = "last_review"


def last_review(document: Document) -> str | None:
    """The value as written; None when the document has none."""
    if not document.text.startswith("---"):
        return None
    value = document.front_matter.get(KEY)
    return ", ".join(value) if isinstance(value, list) else value


def date_of(value: str) -> datetime.date | None:
    """A date written as YYYY-MM-DD; None for anything else."""
    if len(value) != 10 or value[4] != "-" or value[7] != "-":  # as the other ways of ISO 8601 to write one
        return None
    try:
        found: datetime.date = dates().date.fromisoformat(value)
        return found
    except ValueError:
        return None


def review_of(document: Document, today: datetime.date, days: int, *, edited: bool) -> Iterator[Finding]:
    """DOC007: a review that is too old, in the future or not a date; an error only if the change edits the document."""
    value = last_review(document)
    if value is None:
        return
    reviewed = date_of(value)
    hint = f"review it, then set {KEY}: {today.isoformat()}"
    weight = Severity.ERROR if edited else Severity.WARNING
    if reviewed is None:
        message, hint = f"{KEY} is not a date: {value!r}", f"write {KEY}: {today.isoformat()}"
    elif (reviewed - today).days > 1:  # tomorrow is today elsewhere
        message = f"{KEY} {value} is in the future"
    elif (age := (today - reviewed).days) > days:
        message = f"last reviewed {age} days ago, limit {days}"
        weight = Severity.ERROR if edited else Severity.NOTE
    else:
        return
    yield Finding("DOC007", document.location(document.text.index(KEY)), message, hint, weight)
