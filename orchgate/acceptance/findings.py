"""Whether ticked items cite a run of the command that they name (EVD016)."""

from __future__ import annotations

from orchgate.acceptance.clauses import accepted_items
from orchgate.acceptance.commands import why_unusable
from orchgate.errors import OrchgateError, quoted
from orchgate.evidence.facts import SUCCEEDED
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Finding, Severity
from orchgate.runs.locate import mentioned
from orchgate.secrets.redact import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        yield finding(document, item, f"{shown(item.command)} {why}", _UNTICK)
        return
    words, command = recorded_words(item)
    right = [one for one in cited if one.accepts.get("command") == command]
    passed = [one for one in right if one.status.casefold() in SUCCEEDED]
    hint = PROVE.replace("TASK", quoted(task))
    if not passed:
        yield finding(document, item, _why_unproven(item, cited, right), hint)
    elif all(one.accepts["item"] != words for one in passed):
        about = f"the run of {shown(item.command)} was made for another item: {clip(passed[0].accepts['item'], SHOWN)}"
        yield finding(document, item, about, hint, Severity.WARNING)


def _why_unproven(item: AcceptedItem, cited: list[RunFacts], right: list[RunFacts]) -> str:
    who = "ticked, but it" if item.checked else clip(item.title, SHOWN)
    if right:
        return f"{who} cites a run in which {shown(item.command)} did not succeed: {right[-1].status}"
    other = next((one.accepts["command"] for one in cited if one.accepts), "")
    if other:
        return f"{who} cites a run of {shown(other)}, not of {shown(item.command)}"
    return f"{who} cites {'other runs, and none' if cited else 'no run'} of its command, {shown(item.command)}"


def _facts(document: Document, item: AcceptedItem, runs: CitedRuns, roots: tuple[str, ...]) -> Iterator[RunFacts]:
    for path in mentioned(document.text[item.offset : item.end], roots):
        try:
            yield runs.facts(path)
        except OrchgateError:
            continue  # it shows nothing; EVD001 or EVD007 says what is the matter with it


def finding(
    document: Document, item: AcceptedItem, message: str, hint: str, severity: Severity | None = None
) -> Finding:
    return Finding(
        "EVD016", document.location(item.offset), message, hint, severity, about=(f"{item.title}: {message}",)
    )


def shown(command: str) -> str:
    return f"`{clip(redacted(command), SHOWN)}`"
