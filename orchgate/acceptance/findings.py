"""Whether ticked items cite a run of the command that they name; and whether a change takes it away (EVD016)."""

from __future__ import annotations

from collections import Counter, defaultdict

from orchgate.acceptance.clauses import accepted_items, may_hold_any, title_of
from orchgate.acceptance.commands import why_unusable
from orchgate.errors import OrchgateError, quoted
from orchgate.evidence.facts import SUCCEEDED
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Finding, Severity
from orchgate.runs.locate import mentioned
from orchgate.secrets.redact import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.acceptance.clauses import AcceptedItem
    from orchgate.evidence.facts import CitedRuns
    from orchgate.evidence.lock import RunFacts
    from orchgate.evidence.packet_evidence import Owners
    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document

LONGEST_ITEM = 300  # characters of an item's words that its runs record
SHOWN = 80
PROVE = "orchgate tasks check TASK --write"
_UNTICK = "name a command that fails when the item does not hold, or untick it"


def recorded_words(item: AcceptedItem) -> tuple[str, str]:
    """The words and the command of an item as its runs record them: without secrets."""
    return redacted(item.title)[:LONGEST_ITEM], redacted(item.command)


def unproven(
    document: Document, packets: Owners, runs: CitedRuns, roots: tuple[str, ...], tree: Snapshot
) -> Iterator[Finding]:
    """Findings about the items that a document of a packet claims; those without a box once the packet is finished."""
    items = [item for item in accepted_items(document) if item.command]
    place = place_in_packet(document.path, packets, tree) if items else ""
    cited: dict[int, list[RunFacts]] = {}  # by items: one may name many commands
    for item in items if place else ():
        if packets.finished(place) if item.checked is None else item.checked:
            task = next((one.task or one.name for one in packets.of(place)), "TASK")
            if item.offset not in cited:
                cited[item.offset] = list(_facts(document, item, runs, roots))
            yield from _judged(document, item, cited[item.offset], task)


def place_in_packet(path: str, packets: Owners, tree: Snapshot) -> str:
    """A document of the packet that another one belongs to: itself, or one of a packet that has the folder to itself.

    "" for a document of no packet.
    """
    if packets.kinds(path):
        return path
    folder = path
    while folder := folder.rpartition("/")[0]:
        beside = [one for one in tree.starting(folder + "/") if one.count("/") == folder.count("/") + 1]
        for place in beside:
            if packets.kinds(place) and any(folder.rpartition("/")[2] in one.names for one in packets.of(place)):
                return place
    return ""


def _judged(document: Document, item: AcceptedItem, cited: list[RunFacts], task: str) -> Iterator[Finding]:
    if why := why_unusable(item.command):
        yield _finding(document, item, f"{_shown(item.command)} {why}", _UNTICK)
        return
    words, command = recorded_words(item)
    right = [one for one in cited if one.accepts.get("command") == command]
    passed = [one for one in right if one.status.casefold() in SUCCEEDED]
    hint = PROVE.replace("TASK", quoted(task))
    if not passed:
        yield _finding(document, item, _why_unproven(item, cited, right), hint)
    elif all(one.accepts["item"] != words for one in passed):
        about = f"the run of {_shown(item.command)} was made for another item: {clip(passed[0].accepts['item'], SHOWN)}"
        yield _finding(document, item, about, hint, Severity.WARNING)


def _why_unproven(item: AcceptedItem, cited: list[RunFacts], right: list[RunFacts]) -> str:
    who = "ticked, but it" if item.checked else clip(item.title, SHOWN)
    if right:
        return f"{who} cites a run in which {_shown(item.command)} did not succeed: {right[-1].status}"
    other = next((one.accepts["command"] for one in cited if one.accepts), "")
    if other:
        return f"{who} cites a run of {_shown(other)}, not of {_shown(item.command)}"
    return f"{who} cites {'other runs, and none' if cited else 'no run'} of its command, {_shown(item.command)}"


def _facts(document: Document, item: AcceptedItem, runs: CitedRuns, roots: tuple[str, ...]) -> Iterator[RunFacts]:
    for path in mentioned(document.text[item.offset : item.end], roots):
        try:
            yield runs.facts(path)
        except OrchgateError:
            continue  # it shows nothing; EVD001 or EVD007 says what is the matter with it


def _finding(
    document: Document, item: AcceptedItem, message: str, hint: str, severity: Severity | None = None
) -> Finding:
    return Finding(
        "EVD016", document.location(item.offset), message, hint, severity, about=(f"{item.title}: {message}",)
    )


def _shown(command: str) -> str:
    return f"`{clip(redacted(command), SHOWN)}`"


def given_up(now: Iterable[Document], before: Iterable[Document], packets: Owners, tree: Snapshot) -> Iterator[Finding]:
    """Findings about ticked items whose command a change takes away or rewrites, in documents of the same path."""
    old = {document.path: document for document in before if may_hold_any(document.text)}
    for document in now if old else ():
        if document.path in old and place_in_packet(document.path, packets, tree):
            yield from _given_up(document, old[document.path])


def _given_up(document: Document, before: Document) -> Iterator[Finding]:
    held = _commands(item for item in accepted_items(before) if item.checked is not None)
    now = [item for item in accepted_items(document) if item.checked is not None]
    named = _commands(now)
    for box in document.items if held else ():
        title = title_of(box.text) if box.checked else ""
        lost = sorted(held.pop(title, Counter[str]()) - named[title])
        if not lost:
            continue
        rewritten = next((item for item in now if item.offset == box.offset and item.command), None)
        if rewritten:
            message = f"the command that proves it was {_shown(lost[0])}, and is {_shown(rewritten.command)} now"
            hint = "a reviewer decides whether it still proves the item"
            yield _finding(document, rewritten, message, hint, Severity.WARNING)._replace(own=True)
        else:
            message = f"ticked, and no longer held to {_shown(lost[0])}"
            hint = "name the command again, or untick the item"
            yield Finding("EVD016", document.location(box.offset), message, hint, own=True)


def _commands(items: Iterable[AcceptedItem]) -> dict[str, Counter[str]]:
    """The commands of items by their words."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        if item.command:
            found[item.title][item.command] += 1
    return found
