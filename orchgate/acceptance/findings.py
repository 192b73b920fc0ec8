"""Whether ticked items cite a run of the command that they name; and whether a change takes it away (EVD016)."""

from __future__ import annotations

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
    from orchgate.markdown.document import Document

LONGEST_ITEM = 300  # characters of an item's words that its runs record
SHOWN = 80
PROVE = "orchgate tasks check TASK --write"
_UNTICK = "name a command that fails when the item does not hold, or untick it"


def recorded_words(item: AcceptedItem) -> tuple[str, str]:
    """The words and the command of an item as its runs record them: without secrets."""
    return redacted(item.title)[:LONGEST_ITEM], redacted(item.command)


def unproven(document: Document, packets: Owners, runs: CitedRuns, roots: tuple[str, ...]) -> Iterator[Finding]:
    """Findings about the items that a document of a packet claims; those without a box once the packet is finished."""
    if not may_hold_any(document.text) or not packets.kinds(document.path):
        return
    for item in accepted_items(document):
        claimed = packets.finished(document.path) if item.checked is None else item.checked
        if claimed and item.command:
            task = next((one.task or one.name for one in packets.of(document.path)), "TASK")
            yield from _judged(document, item, runs, roots, task)


def _judged(
    document: Document, item: AcceptedItem, runs: CitedRuns, roots: tuple[str, ...], task: str
) -> Iterator[Finding]:
    if why := why_unusable(item.command):
        yield _finding(document, item, f"{_shown(item.command)} {why}", _UNTICK)
        return
    cited = list(_facts(document, item, runs, roots))
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
    claimed = "ticked" if item.checked else "its packet is finished"
    if right:
        return f"{claimed}, but {_shown(item.command)} did not succeed in the run that it cites: {right[-1].status}"
    other = next((one.accepts["command"] for one in cited if one.accepts), "")
    if other:
        return f"{claimed}, but the run that it cites is of {_shown(other)}, not of {_shown(item.command)}"
    what = "none of the runs that it cites is" if cited else "it cites no run"
    return f"{claimed}, but {what} of its command, {_shown(item.command)}"


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


def given_up(now: Iterable[Document], before: Iterable[Document], packets: Owners) -> Iterator[Finding]:
    """Findings about ticked items whose command a change takes away or rewrites, in documents of the same path."""
    old = {document.path: document for document in before if may_hold_any(document.text)}
    for document in now if old else ():
        if document.path in old and packets.kinds(document.path):
            yield from _given_up(document, old[document.path])


def _given_up(document: Document, before: Document) -> Iterator[Finding]:
    held: dict[str, set[str]] = {}
    for item in accepted_items(before):
        if item.command and item.checked is not None:
            held.setdefault(item.title, set()).add(item.command)
    named: dict[str, list[AcceptedItem]] = {}
    for item in accepted_items(document):
        if item.command:
            named.setdefault(item.title, []).append(item)
    for box in document.items if held else ():
        if not box.checked or (commands := held.pop(title_of(box.text), None)) is None:
            continue
        rewritten = named.get(title_of(box.text), [])
        lost = sorted(commands - {item.command for item in rewritten})
        if lost and rewritten:
            message = f"the command that proves it was {_shown(lost[0])}, and is {_shown(rewritten[0].command)} now"
            hint = "a reviewer decides whether it still proves the item"
            yield _finding(document, rewritten[0], message, hint, Severity.WARNING)._replace(own=True)
        elif lost:
            message = f"ticked, and no longer held to {_shown(lost[0])}"
            hint = "name the command again, or untick the item"
            yield Finding("EVD016", document.location(box.offset), message, hint, own=True)
