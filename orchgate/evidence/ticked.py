"""Ticked items of a packet and the evidence they name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchgate.lib.patterns import lazy
from orchgate.markdown.parts import covered, merged
from orchgate.model import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import ListItem

_TICKED_LINE = lazy(r"\[[xX]\][ \t][^\n]*")
_NAMED = lazy(r"`[^`]+`|\]\(|\b[a-z]{2,}://|<https?:|#\d+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{7,40}\b|\w/\w[\w./-]{0,200}\.\w")
_MARKER = lazy(r"\bEvidence\b[^:`\n]{0,24}:[*_]{0,3}(?P<value>.*)", re.IGNORECASE | re.DOTALL)
_NESTED_MARKER = lazy(r"\n[ \t]+[-*+][ \t]+[*_]{0,2}Evidence\b[^:`\n]{0,24}:(?P<value>[^\n]*)", re.IGNORECASE)
_EMPTY = lazy(r"[\s.*_]*(?:(?:TBD|TODO|TBC|pending|none yet|\?+|-+|…|\.\.\.)[\s.*_]*)?", re.IGNORECASE)


# What a ticked step of paperwork says, and what a result says; a step that says neither is taken for a result.
_PAPERWORK = lazy(
    r"\b(?:approv|sign(?:ed)?[- ]?off|review|draft|fill(?:ed)? in|PRDs?\b|tech[_ -]?specs?\b|mini[- ]?specs?\b|"
    r"action[_ -]?plans?\b|checklists?\b|docs?\b|document|index|hand-?off|not applicable|n/a\b)",
    re.IGNORECASE,
)
_RESULT = lazy(
    r"\b(?:pass|green|succe|test|verif|validat|measur|benchmark|lint|build|built|implement|regress|"
    r"improv|faster|reduc|fix)",
    re.IGNORECASE,
)


def ticked_findings(
    document: Document, kinds: frozenset[str], finished: Callable[[], bool] = lambda: False
) -> Iterator[Finding]:
    """Findings about the ticked items of a checklist, or of an action plan's Progress.

    `finished` says whether their packet is: then a result that names nothing is refused.
    """
    checklist = "checklist" in kinds
    if not (checklist or "action-plan" in kinds):
        return
    ranges = [(0, len(document.text))] if checklist else merged(_progress(document))
    supported: list[tuple[int, int]] = []  # ranges of items that name evidence, for what is nested in them
    for item in document.items:
        if not covered(ranges, item.offset):
            continue
        while supported and supported[-1][1] <= item.offset:
            supported.pop()
        finding = None if supported else _judge(document, item, checklist, finished)
        if finding is None:
            if item.checked and _NAMED.search(item.text):
                supported.append((item.offset, item.end))
        else:
            yield finding


def may_lack_evidence(text: str) -> bool:
    """Whether some ticked line names nothing, or ends in an empty marker. Most documents are done with here."""
    for match in _TICKED_LINE.finditer(text):
        line = match[0]
        if line.endswith(("`", "`.")):
            continue  # it ends by naming something
        if "`" not in line or line.rstrip(" .*_").endswith(":") or _ends_empty(line):
            return True
    return False


def _ends_empty(line: str) -> bool:
    marker = _MARKER.search(line)
    return marker is not None and _EMPTY.fullmatch(marker["value"]) is not None


def _progress(document: Document) -> Iterator[tuple[int, int]]:
    for section in document.sections:
        if section.heading.title.casefold().startswith("progress"):
            yield section.start, section.end


def _judge(document: Document, item: ListItem, checklist: bool, finished: Callable[[], bool]) -> Finding | None:
    if not item.checked:
        return None
    whole = document.text[item.offset : item.end]
    marker = _MARKER.search(item.text) or _NESTED_MARKER.search(whole)
    nested = whole[len(item.text) :]
    if marker and _EMPTY.fullmatch(marker["value"]) and not _NAMED.search(nested):
        value = marker["value"].strip(" .*_")
        return Finding(
            "EVD005",
            document.location(item.offset),
            f"ticked, but its evidence is {value}" if value else "ticked, but its evidence is empty",
            "link the run or file that shows it, or untick the item",
            Severity.ERROR,
        )
    if marker or _NAMED.search(whole):
        return None
    return Finding(
        "EVD005",
        document.location(item.offset),
        "ticked without naming evidence",
        "add `Evidence:` and the run or file that shows it",
        _weight(item, checklist, finished),
    )


def _weight(item: ListItem, checklist: bool, finished: Callable[[], bool]) -> Severity:
    said = _RESULT.search(item.text) is not None
    if (said or (checklist and not _PAPERWORK.search(item.text))) and finished():
        return Severity.ERROR
    return Severity.WARNING if checklist else Severity.NOTE
