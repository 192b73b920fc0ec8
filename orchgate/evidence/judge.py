"""Judges what documents point at: one finding at most for each reference."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from orchgate.documents.links import BareForms, Reference, Sentences, Statement, Written
from orchgate.documents.markdown import Document
from orchgate.documents.resolve import Resolver, Where
from orchgate.documents.targets import RUN_ID, Kind, Reader, is_unfilled, of_this_user, unquoted
from orchgate.errors import OrchgateError, Unreadable
from orchgate.evidence.cited import FAILURE, SUCCEEDED, Runs
from orchgate.model import Finding, Location, Severity, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.documents.artifacts import Artifacts
    from orchgate.documents.nearest import Nearest
    from orchgate.documents.resolve import Resolution
    from orchgate.documents.targets import Target
    from orchgate.evidence.owners import Owners
    from orchgate.git.snapshot import Snapshot

_RESULT = re.compile(r"\b(?:manifest|evidence|log|metric|summar|proof|result|report|transcript)", re.IGNORECASE)
_FILE = re.compile(r"^(?![\w-]+\.(?:com|org|io|net|dev)/)[^/]*/.*[^./]\.[A-Za-z][A-Za-z0-9]{0,7}$", re.DOTALL)
_LINE_ANCHOR = re.compile(r"L\d+|:~:|user-content-|top$|$", re.IGNORECASE)
_MARKDOWN = (".md", ".markdown")


class Place(NamedTuple):
    """A reference in its document, with the sentence around it."""

    document: Document
    reference: Reference
    said: Statement

    @property
    def location(self) -> Location:
        return self.document.location(self.reference.offset)

    @property
    def link(self) -> bool:
        return self.reference.written is Written.LINK


class Judge:
    """Findings of references. `links` counts those that name a path; `troubles` are documents that cannot be read."""

    def __init__(
        self,
        snapshot: Snapshot,
        artifacts: Artifacts,
        packets: Owners,
        runs: Runs,
        document: Callable[[str], Document],
    ) -> None:
        self._entries = snapshot.entries
        self._artifacts = artifacts
        self._packets = packets
        self._runs = runs
        self._document = document
        self._roots = tuple(root + "/" for root in artifacts.roots)
        self._reader = Reader(artifacts.roots)
        self._bare = BareForms(artifacts.roots)
        self._resolver = Resolver(snapshot, artifacts)
        self._snapshot = snapshot
        self._sentences: tuple[Document | None, Sentences] = (None, Sentences(Document("", b"")))
        self.links = 0
        self.troubles: dict[str, Trouble] = {}

    def findings(self, document: Document) -> Iterator[Finding]:
        entries, known, roots = self._entries, self._reader.known, self._roots
        for span in document.spans:
            text = span.text
            if text in entries and not text.startswith(roots):  # most paths are, as they stand
                self.links += 1
                continue
            target = known[text] if text in known else self._reader.span(text)
            if target is not None:
                yield from self._reference(document, Reference(text, span.offset, Written.SPAN), target)
        for link in document.links:
            target = self._reader.link(link.target)
            if target is not None:
                yield from self._reference(document, Reference(link.target, link.offset, Written.LINK), target)
        for bare in self._bare.find(document):
            target = self._reader.span(bare.text)
            if target is not None:
                yield from self._reference(document, bare, target)

    def vanished(self, document: Document, gone: frozenset[str]) -> Iterator[Finding]:
        """Findings about targets that this change took away, in a document that it does not touch."""
        for span in document.spans:
            target = self._reader.span(span.text)
            if target is None or target.kind is not Kind.PATH:
                continue
            found = self._resolver.span(target, document.path)
            if found.path in gone:
                self.links += 1
                yield from self._missing(
                    self._place(document, Reference(span.text, span.offset, Written.SPAN)), target, found
                )
        for link in document.links:
            target = self._reader.link(link.target)
            if target is None or target.kind is not Kind.PATH:
                continue
            found = self._resolver.link(target, document.path)
            if found.path in gone:
                self.links += 1
                yield from self._missing(
                    self._place(document, Reference(link.target, link.offset, Written.LINK)), target, found
                )

    def _place(self, document: Document, reference: Reference) -> Place:
        return Place(document, reference, self._said(document, reference.offset))

    def _said(self, document: Document, offset: int) -> Statement:
        if self._sentences[0] is not document:
            self._sentences = (document, Sentences(document))
        return self._sentences[1].at(offset)

    def _reference(self, document: Document, reference: Reference, target: Target) -> Iterator[Finding]:
        match target.kind:
            case Kind.LOCAL:
                yield from self._local(self._place(document, reference))
                return
            case Kind.UNFILLED:
                if target.artifact:
                    yield from self._unfilled(self._place(document, reference), target)
                return
            case Kind.ANCHOR:
                self.links += 1
                yield from self._anchor(document, reference, document.path, target.anchor)
                return
        link = reference.written is Written.LINK
        if target.kind is Kind.PATTERN and not link and self._weight(self._place(document, reference), target) is None:
            return  # a pattern in an explanation; looking for its matches would take long
        found = self._resolver.link(target, document.path) if link else self._resolver.span(target, document.path)
        if not (link or found.where is Where.HERE or target.artifact or self._meant(document, reference, target)):
            return
        self.links += 1
        if found.where is Where.MISSING:
            yield from self._missing(self._place(document, reference), target, found)
        elif found.where is Where.OUTSIDE:
            yield from self._outside(self._place(document, reference), target)
        elif target.anchor and found.path.endswith(_MARKDOWN):
            yield from self._anchor(document, reference, found.path, target.anchor)
        elif target.kind is Kind.PATH and self._artifacts.owns(found.path):
            yield from self._cited(document, reference, found.path)

    @cached_property
    def _nearest(self) -> Nearest:
        from orchgate.documents.nearest import Nearest

        return Nearest(self._snapshot, self._artifacts)

    def _meant(self, document: Document, reference: Reference, target: Target) -> bool:
        """Whether a code span that leads nowhere is meant as a path at all, and not as `text/html` or `owner/name`."""
        if self._resolver.begins_here(target.path, document.path):
            return True
        return _FILE.search(target.path) is not None and self._said(document, reference.offset).evidence

    # -- EVD001, EVD004: there is nothing there ------------------------------------------------

    def _missing(self, place: Place, target: Target, found: Resolution) -> Iterator[Finding]:
        severity = self._weight(place, target)
        if severity is None:
            return
        text = place.reference.text
        folder = place.document.path.rpartition("/")[0]
        if target.kind is not Kind.PATTERN:
            beside = place.link and folder and not target.path.startswith((".", "/"))
            what = f"does not exist in {folder}/" if beside else "does not exist"
        elif found.path in text:
            what = "matches nothing"
        else:
            what = f"does not exist: {found.path}"
        hint = self._nearest.hint(found.path)
        if place.link and not target.artifact and target.path.strip("/") in self._entries:
            hint = f"GitHub reads it from the document's folder: write {self._relative(place, target.path.strip('/'))}"
        yield Finding("EVD001", place.location, f"{text} {what}", hint, severity)

    @staticmethod
    def _relative(place: Place, path: str) -> str:
        import posixpath

        return posixpath.relpath(path, place.document.path.rpartition("/")[0] or ".")

    def _weight(self, place: Place, target: Target) -> Severity | None:
        """How much a target that is not there weighs; None where the text does not claim that it is."""
        if place.link:
            return Severity.ERROR
        if target.artifact:
            return self._artifact_weight(place, target)
        return self._file_weight(place, target)

    def _artifact_weight(self, place: Place, target: Target) -> Severity | None:
        said, recorded = place.said, RUN_ID.search(target.path) is not None
        if recorded:
            return Severity.ERROR
        if said.checked is False or _is_template(place.document.path):
            return None  # still to be made
        if said.evidence or (said.checked and not said.gone):
            return Severity.ERROR
        if said.gone:
            return None
        if not self._packets.places(place.document.path) or place.reference.written is Written.BARE:
            return None  # a guide that explains where artifacts go
        if said.status:
            return Severity.ERROR
        in_passing = target.kind is Kind.PATTERN or "." not in target.path.rpartition("/")[2]
        return None if in_passing else Severity.WARNING

    def _file_weight(self, place: Place, target: Target) -> Severity | None:
        said = place.said
        if said.checked is False or said.gone or target.kind is Kind.PATTERN or _is_template(place.document.path):
            return None
        claimed = said.evidence or (said.status and bool(self._packets.places(place.document.path)))
        return Severity.WARNING if claimed and _FILE.search(target.path) else None

    def _outside(self, place: Place, target: Target) -> Iterator[Finding]:
        if not place.link and not target.artifact and self._file_weight(place, target) is None:
            return
        yield Finding(
            "EVD004",
            place.location,
            f"{place.reference.text} leads out of the repository",
            "write the path from the repository's top level, and copy what lies elsewhere into it",
        )

    # -- EVD002, EVD003: nobody else can open it ----------------------------------------------

    def _unfilled(self, place: Place, target: Target) -> Iterator[Finding]:
        said, path = place.said, place.document.path
        if said.checked is False or _is_template(path):
            return
        folder = target.path.strip("./").split("/")[1]
        # With the task left open as well it usually explains a layout, unless the label asks for a manifest.
        manifest = target.path.endswith("/manifest.json") and said.says(_RESULT)
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

    def _local(self, place: Place) -> Iterator[Finding]:
        text, said = place.reference.text, place.said
        if is_unfilled(text) or "..." in text or "…" in text or _is_template(place.document.path):
            return
        packet = bool(self._packets.places(place.document.path))
        stated = said.status and packet and (not of_this_user(text) or said.says(_RESULT))
        claimed = place.link or said.evidence or stated
        if not claimed and (of_this_user(text) or not packet or said.gone):
            return  # where a tool keeps its settings, or how to use it
        self.links += 1
        yield Finding(
            "EVD003",
            place.location,
            f"{text} exists on one machine only",
            "copy it into the repository or under a run's folder, and link that",
            Severity.ERROR if claimed else Severity.WARNING,
        )

    # -- EVD006, EVD007: there is something, but it does not support the claim ----------------

    def _cited(self, document: Document, reference: Reference, path: str) -> Iterator[Finding]:
        root = next(root for root in self._roots if path.startswith(root)) if path.startswith(self._roots) else path
        folder = path[len(root) :].partition("/")[0]
        other = self._packets.foreign(document.path, folder) if folder else ""
        ended = self._ended(reference, path) if path.endswith("/manifest.json") else None
        if not other and ended is None:
            return
        place = self._place(document, reference)
        said = place.said
        if said.checked is False or not (said.evidence or said.status or said.checked or place.link):
            return
        if other:
            yield Finding(
                "EVD006",
                place.location,
                f"{reference.text} is evidence of another task, {other}",
                "link a run of this task, or say in the text why the other one counts",
            )
        if ended and not said.says(FAILURE) and not FAILURE.search(_rest(place)):
            yield Finding("EVD007", place.location, *ended)

    def _ended(self, reference: Reference, path: str) -> tuple[str, str] | None:
        """Message and hint when a cited run did not succeed."""
        try:
            status = self._runs.status(path)
        except OrchgateError as error:
            hint = error.hint or "restore the file as its runner wrote it, or run the pipeline again"
            return f"how {reference.text} ended cannot be read: it {error.message}", hint
        if not status or status.casefold() in SUCCEEDED:
            return None
        hint = "link a run that succeeded, or say in the text that this one did not"
        return f"{reference.text} is a run whose status is {status}", hint

    # -- EVD013 --------------------------------------------------------------------------------

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
        from difflib import get_close_matches

        near = get_close_matches(wanted[:200], sorted(aim.anchors)[:300], n=1, cutoff=0.5)
        where = "this document" if path == document.path else path
        yield Finding(
            "EVD013",
            document.location(reference.offset),
            f"{reference.text}: {where} has no heading or anchor #{wanted}",
            f"did you mean #{near[0]}?" if near else "correct the anchor, or drop it",
        )


def _is_template(path: str) -> bool:
    return "template" in path.casefold()


def _rest(place: Place) -> str:
    """What follows the reference on its line, up to the next reference."""
    line_end = place.document.text.find("\n", place.reference.offset)
    start = place.reference.offset + len(place.reference.text) + 2
    rest = place.document.text[start : line_end if line_end >= 0 else None]
    return rest.partition("`")[0][:200]
