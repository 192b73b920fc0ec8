"""What documents point at: at most one finding for each reference, and better hints.

Of what is missing or cannot be opened (EVD001 to EVD004, EVD013), and of what is there: whether an artifact supports
the claim that cites it (EVD006, EVD007), and whether others will find it (EVD008, EVD009).
"""

from __future__ import annotations

import re

from orchgate.errors import KeptElsewhere, OrchgateError, Unreadable
from orchgate.evidence.facts import FAILURE, SUCCEEDED
from orchgate.evidence.references import (
    RESULT,
    LineCounts,
    Mention,
    file_weight,
    is_dead_path,
    is_file,
    task_folder,
    weight,
)
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, cached_property
from orchgate.markdown.parts import is_markdown
from orchgate.model import Finding, Location, Severity, Trouble
from orchgate.references.resolve import Where
from orchgate.references.targets import Notation, Reference, TargetKind, is_unfilled, of_this_user, unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.evidence.facts import CitedRuns
    from orchgate.evidence.lock_checks import LockChecks
    from orchgate.evidence.packet_evidence import Owners
    from orchgate.evidence.references import References
    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.references.artifacts import Artifacts
    from orchgate.references.resolve import Resolution
    from orchgate.references.targets import ReferenceTarget


class Support:
    """Findings about references that lead to something.

    `kept` is None where the tree keeps no lock: then nothing is said about pins.
    """

    def __init__(
        self,
        references: References,
        packets: Owners,
        runs: CitedRuns,
        artifacts: Artifacts,
        *,
        kept: LockChecks | None = None,
    ) -> None:
        self._references = references
        self._packets = packets
        self._runs = runs
        self._artifacts = artifacts
        self._kept = kept
        self._roots = tuple(root + "/" for root in artifacts.roots)
        self.troubles: dict[str, Trouble] = {}  # manifests that nobody here can judge

    def findings(
        self, document: Document, reference: Reference, target: ReferenceTarget, found: Resolution
    ) -> Iterator[Finding]:
        if target.kind is TargetKind.PATH and self._artifacts.owns(found.path):
            yield from self._cited(document, reference, found.path)
        if self._kept is not None:
            yield from self._kept.findings(self._references.place(document, reference), target, found.path)

    # -- EVD006, EVD007: it does not support the claim -----------------------------------------

    def _cited(self, document: Document, reference: Reference, path: str) -> Iterator[Finding]:
        folder = task_folder(path, self._roots)
        manifest = path.endswith("/manifest.json")
        other = self._packets.foreign(document.path, folder) if folder else ""
        ended = self._ended(reference, path) if manifest else None
        if not other and ended is None:
            return
        place = self._references.place(document, reference)
        if not place.claimed:
            return
        if other:
            yield Finding(
                "EVD006",
                place.location,
                f"{reference.text} is evidence of another task, {other}",
                "link a run of this task, or say in the text why the other one counts",
                about=(reference.text,),
            )
        if ended and not place.statement.says(FAILURE) and not FAILURE.search(place.rest()):
            yield Finding("EVD007", place.location, *ended, about=(reference.text,))

    def _ended(self, reference: Reference, path: str) -> tuple[str, str] | None:
        """Message and hint when a cited run did not succeed."""
        try:
            status = self._runs.status(path)
        except KeptElsewhere as error:
            self.troubles[path] = Trouble(Location(path), error.message, error.hint)
            return None
        except OrchgateError as error:
            hint = error.hint or "restore the file as its runner wrote it, or run the pipeline again"
            return f"{reference.text}: status unknown, the file {error.message}", hint
        if not status or status.casefold() in SUCCEEDED:
            return None
        hint = "link a run that succeeded, or say in the text that this one did not"
        if tools := self._runs.other_tools(path):
            hint += f"; {tools}"
        return f"{reference.text} is a run whose status is {status}", hint


# Places in a file that need no heading: lines, the top, and routes of a site that is one page.
_NO_HEADING = lazy(r"(?:L\d+(?:C\d+)?(?:-L?\d+(?:C\d+)?)?|top)?|[/!?].*", re.IGNORECASE)


_NOT_SERVED = "leads to no page of the site"
_ROOTS_HINT = "correct the path; if the site serves it from elsewhere, list that folder in evidence.link-roots"


class ReferenceChecks:
    """Findings of references. `links` counts those that name a path; `troubles` are documents that cannot be read.

    `unjudged` counts links of pages of which only the generator of the site knows where they lead.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        artifacts: Artifacts,
        packets: Owners,
        *,
        references: References,
        support: Support,
        document: Callable[[str], Document],
    ) -> None:
        self._entries = snapshot.entries
        self._artifacts = artifacts
        self._packets = packets
        self._references = references
        self._place = references.place
        self._support = support
        self._document = document
        self._roots = tuple(root + "/" for root in artifacts.roots)
        self._snapshot = snapshot
        self._read: set[str] = set()
        self._paths: set[str] = set()  # texts of spans that are paths of the tree as they stand
        self._aims: dict[str, ReferenceTarget] = {}  # what others point at
        self.links = self.unjudged = 0
        self.troubles: dict[str, Trouble] = {}

    def findings(self, document: Document) -> Iterator[Finding]:
        texts, offsets = document.code
        self._look_up(texts)
        self.links += sum(map(self._paths.__contains__, texts))
        aims = self._aims
        if not aims.keys().isdisjoint(texts):
            for at, text in [(at, text) for at, text in enumerate(texts) if text in aims]:
                yield from self._reference(document, Reference(text, offsets[at], Notation.SPAN), aims[text])
        for reference, target in self._references.links_and_bare(document):
            yield from self._reference(document, reference, target)

    def _look_up(self, texts: list[str]) -> None:
        """Reads the texts of code spans that are new. Most of a large tree's are words, or were seen before."""
        new = set(texts) - self._read
        if not new:
            return
        self._read |= new
        here = self._entries.keys() & new
        paths = {text for text in here if not text.startswith(self._roots)}
        self._paths |= paths
        read = self._references.reader.span
        for text in new - paths if paths else new:
            if ("/" in text or ":" in text or "\\" in text) and (target := read(text)) is not None:
                self._aims[text] = target

    def vanished(self, document: Document, gone: frozenset[str]) -> Iterator[Finding]:
        """Findings about targets that this change took away, in a document that it does not touch."""
        for reference, target in self._references.all(document):
            if target.kind is not TargetKind.PATH or reference.written is Notation.BARE:
                continue
            found = self._references.find(document, reference, target)
            if found.path in gone or self._was_served(document, reference, target, found, gone):
                self.links += 1
                yield from self._missing(self._place(document, reference), target, found)

    def _was_served(
        self,
        document: Document,
        reference: Reference,
        target: ReferenceTarget,
        found: Resolution,
        gone: frozenset[str],
    ) -> bool:
        lost = found.where in (Where.MISSING, Where.SITE) and reference.written is Notation.LINK
        return lost and self._references.resolver.was_served(target, document.path, gone)

    def repinned(self, document: Document, changed: frozenset[str]) -> Iterator[Finding]:
        """Findings about artifacts whose pins this change took away or altered, in a document that it does not touch.

        `changed` holds the folders above them too.
        """
        for reference, target in self._references.all(document):
            if target.artifact and target.kind in (TargetKind.PATH, TargetKind.PATTERN):
                path = self._references.find(document, reference, target).path
                if target.kind is TargetKind.PATTERN or path in changed:
                    yield from self._reference(document, reference, target)

    def _reference(self, document: Document, reference: Reference, target: ReferenceTarget) -> Iterator[Finding]:
        match target.kind:
            case TargetKind.LOCAL:
                yield from self._local(self._place(document, reference))
                return
            case TargetKind.UNFILLED:
                if target.artifact:
                    yield from self._unfilled(self._place(document, reference), target)
                return
            case TargetKind.ANCHOR:
                self.links += 1
                yield from self._anchor(document, reference, document.path, target.anchor)
                return
        link = reference.written is Notation.LINK
        if target.kind is TargetKind.PATTERN and not link and weight(self._place(document, reference), target) is None:
            return  # a pattern in an explanation; looking for its matches would take long
        found = self._references.find(document, reference, target)
        if not (link or found.where is Where.HERE or target.artifact or self._meant(document, reference, target)):
            return
        if found.where is Where.SITE and not self._references.resolver.sites.near(target.path, document.path):
            self.unjudged += 1
            return
        self.links += 1
        if found.where in (Where.MISSING, Where.SITE):
            yield from self._missing(self._place(document, reference), target, found, whole=True)
        elif found.where is Where.OUTSIDE:
            yield from self._outside(self._place(document, reference), target)
        else:
            yield from self._found(document, reference, target, found)

    def _found(
        self, document: Document, reference: Reference, target: ReferenceTarget, found: Resolution
    ) -> Iterator[Finding]:
        if target.line and target.kind is TargetKind.PATH:
            yield from self._line(document, reference, target.line, found.path)
        if target.anchor and is_markdown(found.path):
            yield from self._anchor(document, reference, found.path, target.anchor)
        elif target.artifact or self._artifacts.owns(found.path):
            yield from self._support.findings(document, reference, target, found)

    def undefined(self, document: Document) -> Iterator[Finding]:
        """Findings about `[text][label]` whose label no line of the document defines: nobody can follow them."""
        if not document.undefined:
            return
        from orchgate.evidence.claims import says_success

        sites = self._references.resolver.sites

        for use in document.undefined:
            reference = Reference(use.written, use.offset, Notation.LINK)
            place = self._place(document, reference)
            statement = place.statement
            if statement.checked is False or place.template or (use.shortcut and not statement.evidence):
                continue
            claimed = (
                statement.evidence or statement.checked or (statement.status and place.packet) or says_success(place)
            )
            if not (statement.evidence or statement.checked) and sites.covers(document.path):
                continue  # plug-ins of generators define labels
            yield Finding(
                "EVD001",
                place.location,
                f"{use.written} has no definition in this document",
                f"add the line [{use.label}]: PATH, or write the path itself",
                Severity.ERROR if claimed else Severity.WARNING,
                about=(use.written,),
            )

    def _meant(self, document: Document, reference: Reference, target: ReferenceTarget) -> bool:
        """Whether a code span that leads nowhere is meant as a path at all, and not as `text/html` or `owner/name`."""
        if self._references.resolver.begins_here(target.path, document.path):
            return True
        return is_file(target.path) and self._references.statement(document, reference.offset).evidence

    # -- EVD001, EVD004: there is nothing there ------------------------------------------------

    def _missing(
        self, place: Mention, target: ReferenceTarget, found: Resolution, *, whole: bool = False
    ) -> Iterator[Finding]:
        """`whole`: the document is judged as a whole, and not for what a change took away from it."""
        severity = weight(place, target)
        if severity is None and whole and self._is_dead_path(place, target, found):
            severity = Severity.WARNING
        if severity is None:
            return
        if found.where is Where.SITE:
            yield Finding(
                "EVD001", place.location, f"{place.reference.text} {_NOT_SERVED}", _ROOTS_HINT, Severity.WARNING
            )
            return
        text = place.reference.text
        folder = place.document.path.rpartition("/")[0]
        if target.kind is not TargetKind.PATTERN:
            beside = place.link and folder and not target.path.startswith((".", "/"))
            what = f"does not exist in {folder}/" if beside else "does not exist"
        elif found.path in text:
            what = "matches nothing"
        else:
            what = f"does not exist: {found.path}"
        hint = PLAIN[PATH]
        sought: tuple[str, ...] = (PATH, found.path)
        if place.link and not target.artifact and target.path.strip("/") in self._entries:
            hint = f"GitHub reads it from the document's folder: write {self._relative(place, target.path.strip('/'))}"
            sought = ()
        yield Finding("EVD001", place.location, f"{text} {what}", hint, severity, sought=sought, about=(text,))

    def _is_dead_path(self, place: Mention, target: ReferenceTarget, found: Resolution) -> bool:
        """Whether a code span reads like a file of this repository; pages of a site speak of their readers' files."""
        if place.reference.written is not Notation.SPAN or found.path.partition("/")[0] not in self._snapshot.folders:
            return False
        return is_dead_path(place, target) and not self._references.resolver.sites.covers(place.document.path)

    @staticmethod
    def _relative(place: Mention, path: str) -> str:
        import posixpath

        return posixpath.relpath(path, place.document.path.rpartition("/")[0] or ".")

    def _outside(self, place: Mention, target: ReferenceTarget) -> Iterator[Finding]:
        if not place.link and not target.artifact and file_weight(place, target) is None:
            return
        yield Finding(
            "EVD004",
            place.location,
            f"{place.reference.text} leads out of the repository",
            "write the path from the repository's top level, and copy what is elsewhere into it",
            about=(place.reference.text,),
        )

    # -- EVD002, EVD003: nobody else can open it ----------------------------------------------

    def _unfilled(self, place: Mention, target: ReferenceTarget) -> Iterator[Finding]:
        statement, path = place.statement, place.document.path
        if statement.checked is False or place.template:
            return
        folder = task_folder(target.path, self._roots)
        # With the task left open as well it usually explains a layout, unless the label asks for a manifest.
        manifest = target.path.endswith("/manifest.json") and statement.says(RESULT)
        stated = statement.evidence or (statement.status and (not is_unfilled(folder) or manifest))
        ticked = bool(statement.checked) and (
            statement.evidence or (not is_unfilled(folder) and bool(self._own(path, folder)))
        )
        if ticked or (stated and self._packets.finished(path)):
            yield Finding(
                "EVD002",
                place.location,
                f"{place.reference.text} was never filled in",
                "name the run that the claim rests on, or untick the item until there is one",
                about=(place.reference.text,),
            )

    def _own(self, path: str, folder: str) -> bool:
        return bool(self._packets.places(path)) and not self._packets.foreign(path, folder)

    def _local(self, place: Mention) -> Iterator[Finding]:
        text, statement = place.reference.text, place.statement
        if is_unfilled(text) or "..." in text or "…" in text or place.template:
            return
        stated = statement.status and ((place.packet and not of_this_user(text)) or statement.says(RESULT))
        claimed = place.link or statement.evidence or stated
        if not claimed and (of_this_user(text) or statement.gone):
            return  # where a tool keeps its settings, or how to use it
        self.links += 1
        yield Finding(
            "EVD003",
            place.location,
            f"{text}: {'path in a home folder' if text.startswith('~') else 'absolute path'}; others cannot open it",
            "copy it into the repository or under a run's folder, and link that",
            Severity.ERROR if claimed else Severity.WARNING,
            about=(text,),
        )

    # -- EVD013 --------------------------------------------------------------------------------

    @cached_property
    def _lines(self) -> LineCounts:

        return LineCounts(self._snapshot, self._artifacts)

    def _line(self, document: Document, reference: Reference, line: int, path: str) -> Iterator[Finding]:
        try:
            lines = self._lines.of(path, line)
        except Unreadable as error:
            self.troubles[path] = Trouble(Location(path), error.message, error.hint)
            return
        if lines is not None and lines < line:
            yield Finding(
                "EVD013",
                document.location(reference.offset),
                f"{reference.text}: {path} has no line {line}, it {f'ends at line {lines}' if lines else 'is empty'}",
                "correct the line, or drop it",
                about=(reference.text,),
            )

    def _anchor(self, document: Document, reference: Reference, path: str, anchor: str) -> Iterator[Finding]:
        wanted = unquoted(anchor).partition(":~:")[0].removeprefix("user-content-")
        if _NO_HEADING.fullmatch(wanted) or (wanted == "readme" and path.casefold().endswith("readme.md")):
            return
        try:
            aim = document if path == document.path else self._document(path)
        except Unreadable as error:
            self.troubles[path] = Trouble(Location(path), error.message, error.hint)
            return
        if wanted in aim.anchors or wanted.casefold() in aim.anchors:
            return
        from orchgate.references.sites import may_have_anchor

        if self._references.resolver.sites.covers(path) and may_have_anchor(aim, wanted):
            return
        where = "this document" if path == document.path else path
        yield Finding(
            "EVD013",
            document.location(reference.offset),
            f"{reference.text}: {where} has no heading or anchor #{wanted}",
            PLAIN[ANCHOR],
            sought=(ANCHOR, path, wanted),
            about=(reference.text,),
        )


PATH, ANCHOR = "path", "anchor"
PLAIN = {PATH: "correct the path, or remove the link", ANCHOR: "correct the anchor, or drop it"}
_ALIKE = 0.5


def suggester(
    snapshot: Snapshot, artifacts: Artifacts, document: Callable[[str], Document]
) -> Callable[[tuple[str, ...]], str]:
    """Finds the hint for `(PATH, path)` or `(ANCHOR, path, anchor)`; "" where nothing is near. Raises Unreadable."""
    from orchgate.references.nearest import Nearest, closest

    nearest = Nearest(snapshot, artifacts)

    def suggest(sought: tuple[str, ...]) -> str:
        if sought[0] == PATH:
            return nearest.hint(sought[1])
        near = closest(sought[2], sorted(document(sought[1]).anchors), _ALIKE)
        return f"did you mean #{near}?" if near else ""

    return suggest
