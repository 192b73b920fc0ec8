"""Evidence that a packet owes: for its ticked items (EVD005), and of the runs that are required of it (EVD010)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchgate.errors import KeptElsewhere, OrchgateError, quoted
from orchgate.lib.patterns import lazy
from orchgate.markdown.parts import covered, merged
from orchgate.model import Finding, Location, Severity
from orchgate.runs.locate import mentioned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.config.settings import Config
    from orchgate.evidence.facts import CitedRuns
    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import ListItem
    from orchgate.packets.packet import Packet
    from orchgate.references.artifacts import Artifacts


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


PHASES = {
    "before": lazy(r"\b(?:before|baseline|pre[- ]?change)\b", re.IGNORECASE),
    "after": lazy(r"\b(?:after|post[- ]?change|validation|re-?run)\b", re.IGNORECASE),
}


def required_runs(config: Config) -> tuple[str, ...]:
    """What the configuration asks for.

    Where it leaves that to the default, only pipelines count that the configuration defines: a repository that never
    ran them is not asked for their runs.
    """
    kinds = config.evidence.required_runs
    if config.origin("evidence.required-runs") != "default":
        return kinds
    return tuple(kind for kind in kinds if kind.partition(":")[0] in config.pipelines)


def missing_runs(
    packet: Packet,
    required: tuple[str, ...],
    document: Callable[[str], Document],
    artifacts: Artifacts,
    runs: CitedRuns,
) -> Iterator[Finding]:
    """A finding for every required kind that no document of the packet links.

    None where one of the linked runs is kept elsewhere, so that nobody here knows what it is of. A phase counts when
    the line of a linked run names it; where no line does, two runs of the pipeline count as both.
    """
    linked: dict[str, dict[str, str]] = {}
    for path, line in _linked(packet, document, artifacts):
        try:
            pipeline = runs.facts(path).pipeline
        except KeptElsewhere:
            return
        except OrchgateError:
            continue  # EVD007 and the manifests check say that it cannot be read
        lines = linked.setdefault(pipeline, {})
        lines[path] = lines.get(path, "") + "\n" + line
    for kind in required:
        pipeline, _, phase = kind.partition(":")
        lines = linked.get(pipeline, {})
        if not lines or (phase and not _has_phase(lines, phase)):
            yield Finding(
                "EVD010",
                Location(packet.anchor),
                f"the packet is finished but links no run of {pipeline}"
                + (f" from {phase} the change" if phase else ""),
                f"`orchgate run {quoted(pipeline)} --task {quoted(packet.task or packet.name)}`, then link its manifest"
                + (f" on a line with the word {phase!r}" if phase else ""),
            )


def _linked(packet: Packet, document: Callable[[str], Document], artifacts: Artifacts) -> Iterator[tuple[str, str]]:
    """Manifests that the packet's documents name and that are there or pinned, each with its line."""
    for path in packet.paths:
        text = document(path)
        for manifest in mentioned(text.text, artifacts.roots):
            if artifacts.exists(manifest):
                at = text.text.find(manifest)
                while at >= 0:
                    yield manifest, text.line(at)
                    at = text.text.find(manifest, at + 1)


def _has_phase(lines: dict[str, str], phase: str) -> bool:
    words = PHASES.get(phase)
    if words is not None and any(words.search(line) for line in lines.values()):
        return True
    named = any(other.search(line) for other in PHASES.values() for line in lines.values())
    return not named and len(lines) > 1
