"""Whether a change takes the command of a ticked item away, or rewrites it (EVD016).

An item is known by its words. Where those changed as well, or it moved into another document, it is known by the run
that it cites; and where it cites none of the old ones, one that says nearly the same is shown to a reviewer.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from orchgate.acceptance.clauses import accepted_items, may_hold_any, title_of
from orchgate.acceptance.findings import SHOWN, finding, place_in_packet, shown
from orchgate.lib.lazy import lazy
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Severity
from orchgate.runs.ids import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.acceptance.clauses import AcceptedItem
    from orchgate.evidence.packet_evidence import Owners
    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import ListItem

_COMMENT = lazy(r"<!--(?:(?!-->).)*(?:-->|$)", re.DOTALL)
_WORD = lazy(r"\w+")
_STEM = 4  # letters by which a word is known in any of its forms
_ALIKE = 0.5  # of the words of two items
_MOST = 200  # items of a change that are compared with each other
_NAME_IT = "name the command again, or untick the item"


class _Lost(NamedTuple):
    """An item that had a command before the change, and whose words are in its document no longer."""

    path: str
    title: str
    command: str
    runs: frozenset[str]


def given_up(now: Iterable[Document], before: Iterable[Document], packets: Owners, tree: Snapshot) -> Iterator[Finding]:
    """Findings about ticked items of packets."""
    before = list(before)
    old = {document.path: document for document in before if may_hold_any(document.text)}
    if not old:
        return
    known = {document.path: {_key(title_of(box.text)) for box in document.items} for document in before}
    judged = {document.path: document for document in now}
    lost = [one for path, document in old.items() for one in _lost(document, judged.get(path))][:_MOST]
    for document in judged.values():
        if place_in_packet(document.path, packets, tree):
            if document.path in old:
                yield from _of_same_words(document, old[document.path])
            if lost:
                yield from _of_other_words(document, lost, known.get(document.path, set()))


def _of_same_words(document: Document, before: Document) -> Iterator[Finding]:
    held = _commands(item for item in accepted_items(before) if item.checked is not None)
    now = [item for item in accepted_items(document) if item.checked is not None]
    named = _commands(now)
    for box in document.items if held else ():
        key = _key(title_of(box.text)) if box.checked else ""
        lost = sorted(held.pop(key, Counter[str]()) - named[key])
        if not lost:
            continue
        rewritten = next((item for item in now if item.offset == box.offset and item.command), None)
        if rewritten:
            message = f"the command that proves it was {shown(lost[0])}, and is {shown(rewritten.command)} now"
            hint = "a reviewer decides whether it still proves the item"
            yield finding(document, rewritten, message, hint, Severity.WARNING)._replace(own=True)
        else:
            message = f"ticked, and no longer held to {shown(lost[0])}"
            yield Finding("EVD016", document.location(box.offset), message, _NAME_IT, own=True)


def _of_other_words(document: Document, lost: Sequence[_Lost], known: set[str]) -> Iterator[Finding]:
    """About new ticked items without a command that seem to be old ones which had one."""
    naming = {item.offset for item in accepted_items(document) if item.command}
    boxes = [box for box in document.items if box.checked and box.offset not in naming]
    for box in [box for box in boxes if _key(title_of(box.text)) not in known][:_MOST]:
        runs = _runs_in(document, box.offset, box.end)
        for one in lost:
            if severity := _kinship(document, box, runs, one):
                message = f"ticked, and not held to {shown(one.command)} as {clip(one.title, SHOWN)} was"
                yield Finding("EVD016", document.location(box.offset), message, _NAME_IT, severity, own=True)
                break


def _kinship(document: Document, box: ListItem, runs: frozenset[str], old: _Lost) -> Severity | None:
    """How surely an item is the old one: an error where it is, a warning where it may be, None where it is not."""
    title = title_of(box.text)
    if runs & old.runs or _key(title) == _key(old.title):
        return Severity.ERROR
    first, second = _stems(title), _stems(old.title)
    alike = len(first & second) >= _ALIKE * len(first | second) > 0
    return Severity.WARNING if document.path == old.path and alike else None


def _lost(before: Document, now: Document | None) -> Iterator[_Lost]:
    there = {_key(title_of(box.text)) for box in now.items} if now else set()
    for item in accepted_items(before):
        if item.command and item.checked and _key(item.title) not in there:
            yield _Lost(before.path, item.title, item.command, _runs_in(before, item.offset, item.end))


def _runs_in(document: Document, start: int, end: int) -> frozenset[str]:
    return frozenset(found[0] for found in RUN_ID.finditer(document.text, start, end))


def _commands(items: Iterable[AcceptedItem]) -> dict[str, Counter[str]]:
    """The commands of items by their words."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        if item.command:
            found[_key(item.title)][item.command] += 1
    return found


def _key(title: str) -> str:
    """The words of an item, whatever marks and comments are around them."""
    return " ".join(_WORD.findall(_COMMENT.sub("", title).casefold())) or title


def _stems(title: str) -> frozenset[str]:
    return frozenset(word[:_STEM] for word in _key(title).split())
