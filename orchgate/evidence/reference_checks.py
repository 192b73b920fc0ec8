"""What documents point at: one finding at most for each reference (EVD001 to EVD004, EVD013), and better hints."""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import TYPE_CHECKING

from orchgate.errors import Unreadable
from orchgate.evidence.references import RESULT, Mention, file_weight, is_file, task_folder, weight
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.files import open_regular
from orchgate.lib.patterns import lazy
from orchgate.markdown.names import is_markdown, is_mdx
from orchgate.model import Finding, Location, Severity, Trouble
from orchgate.references.links import Notation, Reference
from orchgate.references.resolve import Where
from orchgate.references.targets import TargetKind, is_unfilled, of_this_user, unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.evidence.owners import Owners
    from orchgate.evidence.references import References
    from orchgate.evidence.support import Support
    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.references.artifacts import Artifacts
    from orchgate.references.resolve import Resolution
    from orchgate.references.targets import ReferenceTarget


_LINE_ANCHOR = lazy(r"L\d+|:~:|user-content-|top$|$", re.IGNORECASE)


class ReferenceChecks:
    """Findings of references. `links` counts those that name a path; `troubles` are documents that cannot be read."""

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
        self.links = 0
        self.troubles: dict[str, Trouble] = {}

    def findings(self, document: Document) -> Iterator[Finding]:
        reader = self._references.reader
        entries, known, roots = self._entries, reader.known, self._roots
        for span in document.spans:
            text = span.text
            if text in entries and not text.startswith(roots):  # most paths are, as they stand
                self.links += 1
                continue
            target = known[text] if text in known else reader.span(text)
            if target is not None:
                yield from self._reference(document, Reference(text, span.offset, Notation.SPAN), target)
        for reference, target in self._references.links_and_bare(document):
            yield from self._reference(document, reference, target)

    def vanished(self, document: Document, gone: frozenset[str]) -> Iterator[Finding]:
        """Findings about targets that this change took away, in a document that it does not touch."""
        for reference, target in self._references.all(document):
            if target.kind is not TargetKind.PATH or reference.written is Notation.BARE:
                continue
            found = self._references.find(document, reference, target)
            if found.path in gone or (is_mdx(document.path) and self._was_served(document, target, found, gone)):
                self.links += 1
                yield from self._missing(self._place(document, reference), target, found)

    @staticmethod
    def _was_served(document: Document, target: ReferenceTarget, found: Resolution, gone: frozenset[str]) -> bool:
        from orchgate.references.resolve import page_on_site

        lost = page_on_site(gone, target.path, document.path.rpartition("/")[0])
        return found.where is Where.MISSING and lost != ""

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
        self.links += 1
        if found.where is Where.MISSING:
            yield from self._missing(self._place(document, reference), target, found)
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

        for use in document.undefined:
            reference = Reference(use.written, use.offset, Notation.LINK)
            place = self._place(document, reference)
            said = place.said
            if said.checked is False or place.template or (use.shortcut and not said.evidence):
                continue
            claimed = said.evidence or said.checked or (said.status and place.packet) or says_success(place)
            yield Finding(
                "EVD001",
                place.location,
                f"{use.written} has no definition in this document",
                f"add the line [{use.label}]: PATH, or write the path itself",
                Severity.ERROR if claimed else Severity.WARNING,
            )

    def _meant(self, document: Document, reference: Reference, target: ReferenceTarget) -> bool:
        """Whether a code span that leads nowhere is meant as a path at all, and not as `text/html` or `owner/name`."""
        if self._references.resolver.begins_here(target.path, document.path):
            return True
        return is_file(target.path) and self._references.said(document, reference.offset).evidence

    # -- EVD001, EVD004: there is nothing there ------------------------------------------------

    def _missing(self, place: Mention, target: ReferenceTarget, found: Resolution) -> Iterator[Finding]:
        severity = weight(place, target)
        if severity is None:
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
        yield Finding("EVD001", place.location, f"{text} {what}", hint, severity, sought=sought)

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
        )

    # -- EVD002, EVD003: nobody else can open it ----------------------------------------------

    def _unfilled(self, place: Mention, target: ReferenceTarget) -> Iterator[Finding]:
        said, path = place.said, place.document.path
        if said.checked is False or place.template:
            return
        folder = task_folder(target.path, self._roots)
        # With the task left open as well it usually explains a layout, unless the label asks for a manifest.
        manifest = target.path.endswith("/manifest.json") and said.says(RESULT)
        stated = said.evidence or (said.status and (not is_unfilled(folder) or manifest))
        ticked = bool(said.checked) and (said.evidence or (not is_unfilled(folder) and bool(self._own(path, folder))))
        if ticked or (stated and self._packets.finished(path)):
            yield Finding(
                "EVD002",
                place.location,
                f"{place.reference.text} was never filled in",
                "name the run that the claim rests on, or untick the item until there is one",
            )

    def _own(self, path: str, folder: str) -> bool:
        return bool(self._packets.places(path)) and not self._packets.foreign(path, folder)

    def _local(self, place: Mention) -> Iterator[Finding]:
        text, said = place.reference.text, place.said
        if is_unfilled(text) or "..." in text or "…" in text or place.template:
            return
        stated = said.status and ((place.packet and not of_this_user(text)) or said.says(RESULT))
        claimed = place.link or said.evidence or stated
        if not claimed and (of_this_user(text) or said.gone):
            return  # where a tool keeps its settings, or how to use it
        self.links += 1
        yield Finding(
            "EVD003",
            place.location,
            f"{text}: {'path in a home folder' if text.startswith('~') else 'absolute path'}; others cannot open it",
            "copy it into the repository or under a run's folder, and link that",
            Severity.ERROR if claimed else Severity.WARNING,
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
            )

    def _anchor(self, document: Document, reference: Reference, path: str, anchor: str) -> Iterator[Finding]:
        wanted = unquoted(anchor)
        if _LINE_ANCHOR.match(wanted):
            return
        try:
            aim = document if path == document.path else self._document(path)
        except Unreadable as error:
            self.troubles[path] = Trouble(Location(path), error.message, error.hint)
            return
        if wanted in aim.anchors or wanted.casefold() in aim.anchors:
            return
        where = "this document" if path == document.path else path
        yield Finding(
            "EVD013",
            document.location(reference.offset),
            f"{reference.text}: {where} has no heading or anchor #{wanted}",
            PLAIN[ANCHOR],
            sought=(ANCHOR, path, wanted),
        )


CHUNK = 1 << 20
MAX_BYTES = 64 * 1024 * 1024  # of a file of the tree; larger ones are no text that anybody cites by line
TEXT = 8_000  # first bytes in which git looks for NUL before it takes a file for text


class LineCounts:
    """Counts the lines of files of the judged tree, and of artifacts on disk."""

    def __init__(self, snapshot: Snapshot, artifacts: Artifacts) -> None:
        self._snapshot = snapshot
        self._artifacts = artifacts
        self._known: dict[str, int | None] = {}

    def of(self, path: str, wanted: int) -> int | None:
        """How many lines a file has, or at least `wanted`; None for a folder, a binary, or what is not here.

        Raises Unreadable when the file is there and cannot be read, or is larger than any text that is cited by line.
        """
        entry = self._snapshot.entries.get(path)
        if entry is None:
            return self._on_disk(path, wanted)
        if entry.mode in (SYMLINK, SUBMODULE):
            return None
        if path not in self._known:
            self._known[path] = _count(self._snapshot.read(path, MAX_BYTES))
        return self._known[path]

    def _on_disk(self, path: str, wanted: int) -> int | None:
        """As `of`; a log may be very long, so that it is read as far as the wanted line."""
        if not self._artifacts.on_disk(path) or not os.path.isfile(self._artifacts.full(path)):
            return None
        count, last = 0, b""
        try:
            with open(open_regular(self._artifacts.full(path)), "rb", buffering=0) as file:
                while count < wanted and (chunk := file.read(CHUNK)):
                    count, last = count + chunk.count(b"\n"), chunk
        except OSError as error:
            raise Unreadable(path, f"cannot be read: {error.strerror}") from error
        return count + (not last.endswith(b"\n") and bool(last))


def _count(content: bytes) -> int | None:
    if b"\0" in content[:TEXT]:
        return None
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


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
