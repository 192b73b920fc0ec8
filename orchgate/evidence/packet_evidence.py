"""What packets mean for evidence: whose document one is, whether its packet claims to be done, and what that requires.

A packet owes evidence for its ticked items (EVD005), and links to the runs that are required of it (EVD010).
"""

from __future__ import annotations

import re
from bisect import bisect_left

from orchgate.errors import KeptElsewhere, OrchgateError, Unreadable, quoted
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, cached_property, suppress
from orchgate.markdown.parts import covered, merged
from orchgate.model import Finding, Location, Severity
from orchgate.packets.progress import PacketProgress, progress_of, stated_status
from orchgate.runs.locate import mentioned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchgate.config.settings import Config
    from orchgate.evidence.facts import CitedRuns
    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import ListItem
    from orchgate.packets.catalog import Packets
    from orchgate.packets.layout import Packet, PacketDocument
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


# Headings of lists in which a tick says that something was kept in mind, and shows nothing.
_KEPT_IN_MIND = lazy(
    r"\b(?:non[- ]?goals?|out[- ]of[- ]scope|not done if|rejected|(?:protected|reserved)\b.{0,40}\bterms|glossary)\b",
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
    about = (item.text.strip(),)
    none = whole.isascii() and "evidence" not in whole.lower()  # several times faster than a search in any case
    marker = None if none else _MARKER.search(item.text) or _NESTED_MARKER.search(whole)
    nested = whole[len(item.text) :]
    if marker and _EMPTY.fullmatch(marker["value"]) and not _NAMED.search(nested):
        value = marker["value"].strip(" .*_")
        return Finding(
            "EVD005",
            document.location(item.offset),
            f"ticked, but its evidence is {value}" if value else "ticked, but its evidence is empty",
            "link the run or file that shows it, or untick the item",
            Severity.ERROR,
            about=about,
        )
    if marker or _NAMED.search(whole):
        return None
    return Finding(
        "EVD005",
        document.location(item.offset),
        "ticked without naming evidence",
        "add `Evidence:` and the run or file that shows it",
        _weight(document, item, checklist, finished),
        about=about,
    )


def _weight(document: Document, item: ListItem, checklist: bool, finished: Callable[[], bool]) -> Severity:
    states_result = _RESULT.search(item.text) is not None
    result = states_result or (checklist and not _PAPERWORK.search(item.text))
    if result and not _KEPT_IN_MIND.search(_heading_above(document, item.offset)) and finished():
        return Severity.ERROR
    return Severity.WARNING if checklist else Severity.NOTE


def _heading_above(document: Document, offset: int) -> str:
    headings = document.headings
    above = bisect_left(headings, offset, key=lambda one: one.offset)
    return headings[above - 1].title if above else ""


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
    linked = linked_runs(packet, document, artifacts, runs)
    for kind in required if linked is not None else ():
        pipeline, _, phase = kind.partition(":")
        lines = linked.get(pipeline, {}) if linked is not None else {}
        if not lines or (phase and not has_phase(lines, phase)):
            yield Finding(
                "EVD010",
                Location(packet.anchor),
                f"the packet is finished but links no run of {pipeline}"
                + (f" from {phase} the change" if phase else ""),
                f"`orchgate run {quoted(pipeline)} --task {quoted(packet.task or packet.name)}`, then link its manifest"
                + (f" on a line with the word {phase!r}" if phase else ""),
                about=(kind,),
                documents=packet.paths,
            )


def linked_runs(
    packet: Packet, document: Callable[[str], Document], artifacts: Artifacts, runs: CitedRuns
) -> dict[str, dict[str, str]] | None:
    """The manifests that a packet links with the lines that do, by pipeline; None where one is kept elsewhere."""
    linked: dict[str, dict[str, str]] = {}
    for path, line in _linked(packet, document, artifacts):
        try:
            pipeline = runs.facts(path).pipeline
        except KeptElsewhere:
            return None
        except OrchgateError:
            continue  # EVD007 and the manifests check say that it cannot be read
        lines = linked.setdefault(pipeline, {})
        lines[path] = lines.get(path, "") + "\n" + line
    return linked


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


def has_phase(lines: dict[str, str], phase: str) -> bool:
    """Whether one of the lines of some runs is of a phase, or all of them may be of both."""
    words = PHASES.get(phase)
    if words is not None and any(words.search(line) for line in lines.values()):
        return True
    named = any(other.search(line) for other in PHASES.values() for line in lines.values())
    return not named and len(lines) > 1


_LEADING_ID = lazy(r"\d+(?=-)")


class Owners:
    """Answers about documents; finding packets is put off until names alone cannot answer."""

    def __init__(self, packets: Packets, document: Callable[[str], Document], *, whole: bool) -> None:
        self._packets = packets
        self._document = document
        self._whole = whole  # the tree is judged, so that all packets are found at once
        self._places: dict[str, tuple[PacketDocument, ...]] = {}
        self._placed = not whole  # whether all of the tree are known
        self._owners: dict[str, tuple[Packet, ...]] = {}
        self._finished: dict[object, bool] = {}
        self._foreign: dict[tuple[str, str], str] = {}

    def places(self, path: str) -> tuple[PacketDocument, ...]:
        """The kinds of packet document that a path is; none for other documents."""
        if not self._placed:
            self._placed = True
            entries = self._packets.tree.entries
            self._places = dict.fromkeys(entries, ())
            for place in self._packets.layout.documents_among(entries):
                self._places[place.path] += (place,)
        if path not in self._places:
            self._places[path] = tuple(self._packets.layout.documents_among((path,)))
        return self._places[path]

    def kinds(self, path: str) -> frozenset[str]:
        return frozenset(place.kind for place in self.places(path))

    def of(self, path: str) -> tuple[Packet, ...]:
        """The packets that a document belongs to."""
        if not self.places(path):
            return ()
        if path not in self._owners:
            self._owners[path] = self._packets.owners.get(path, ()) if self._whole else self._packets.of((path,))
        return self._owners[path]

    @cached_property
    def _tasks(self) -> frozenset[str]:
        return frozenset(name for packet in self._packets.all for name in names_of(packet))

    def finished(self, path: str) -> bool:
        """Whether the packet of a document is done, or has every box of its checklist ticked."""
        return any(self.is_finished(packet) for packet in self.of(path))

    def is_finished(self, packet: Packet) -> bool:
        key = packet.identity
        if key not in self._finished:
            status = self._packets.settings.status
            stating = self._documents(packet.paths) if status.lines else ()
            boxes = next(iter(self._documents([packet.documents.get("checklist", "")])), None)
            how = progress_of(packet, boxes, status, stated_status(stating, status.lines))
            self._finished[key] = how is not PacketProgress.OPEN
        return self._finished[key]

    def _documents(self, paths: Iterable[str]) -> Iterator[Document]:
        for path in filter(None, paths):
            with suppress(Unreadable):
                yield self._document(path)

    def foreign(self, path: str, folder: str) -> str:
        """The task that a run folder's name belongs to when it is another than the document's; "" otherwise.

        `<task>-scout` and everything else that begins with the task's name or number is its own.
        """
        key = (path, folder)
        if key not in self._foreign:
            self._foreign[key] = self._find_foreign(path, folder)
        return self._foreign[key]

    def _find_foreign(self, path: str, folder: str) -> str:
        places = self.places(path)
        if not places or any(_is_own(name, folder) for place in places for name in (place.task, place.slug) if name):
            return ""
        packets = self.of(path)
        if not packets or any(_is_own(name, folder) for packet in packets for name in names_of(packet)):
            return ""
        return folder if folder in self._tasks else ""


def names_of(packet: Packet) -> tuple[str, ...]:
    listed = packet.entry.names if packet.entry else ()
    return tuple(name for name in (packet.task, packet.slug, *listed) if name)


def _is_own(name: str, folder: str) -> bool:
    if folder == name or folder.startswith(name + "-"):
        return True
    number, other = _LEADING_ID.match(name), _LEADING_ID.match(folder)
    if number and other:
        return number[0] == other[0]
    bare = folder[other.end() + 1 :] if other else folder
    return bare == name or bare.startswith(name + "-")
