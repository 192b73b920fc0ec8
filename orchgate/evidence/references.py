"""References of documents: where they lead, what their sentence claims about it, and how much that weighs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib.patterns import lazy
from orchgate.markdown.document import Document
from orchgate.model import Severity
from orchgate.references.links import BarePaths, Notation, Reference, Sentences
from orchgate.references.resolve import Resolver
from orchgate.references.targets import RUN_ID, TargetKind, TargetReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.evidence.owners import Owners
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Location
    from orchgate.references.artifacts import Artifacts
    from orchgate.references.links import Statement
    from orchgate.references.resolve import Resolution
    from orchgate.references.targets import ReferenceTarget


SUMMARY = "<!-- orchgate summary"  # how a managed block begins, see `summary`
# Labels under which a path is a result somebody is meant to open.
RESULT = lazy(r"\b(?:manifest|evidence|log|metric|summar|proof|result|report|transcript)", re.IGNORECASE)
_FILE = lazy(r"^(?![\w-]+\.(?:com|org|io|net|dev)/)[^/]*/.*[^./]\.[A-Za-z][A-Za-z0-9]{0,7}$", re.DOTALL)


class Mention(NamedTuple):
    """A reference in its document, with the sentence around it; `packet`: the document is part of a packet."""

    document: Document
    reference: Reference
    said: Statement
    packet: bool

    @property
    def location(self) -> Location:
        return self.document.location(self.reference.offset)

    @property
    def link(self) -> bool:
        return self.reference.written is Notation.LINK

    @property
    def template(self) -> bool:
        return "template" in self.document.path.casefold()

    @property
    def claimed(self) -> bool:
        """Whether somebody relies on it: evidence, a status line, a ticked item, a link."""
        return self.said.checked is not False and bool(
            self.said.evidence or self.said.status or self.said.checked or self.link
        )

    def rest(self) -> str:
        """What follows the reference on its line, up to the next reference."""
        start = self.reference.offset + len(self.reference.text) + 2
        return self.document.text[start : start + 200].partition("\n")[0].partition("`")[0]


def weight(place: Mention, target: ReferenceTarget) -> Severity | None:
    """How much a target that is not there weighs; None where the text does not claim that it is."""
    if place.link:
        return Severity.ERROR
    return artifact_weight(place, target) if target.artifact else file_weight(place, target)


def artifact_weight(place: Mention, target: ReferenceTarget) -> Severity | None:
    """A recorded run weighs wherever it is named; other artifacts where they are claimed, not planned."""
    said = place.said
    if RUN_ID.search(target.path):
        return Severity.ERROR
    if said.checked is False or place.template:
        return None  # still to be made
    if said.evidence or (said.checked and not said.gone):
        return Severity.ERROR
    if said.gone or not place.packet or place.reference.written is Notation.BARE:
        return None  # said to be gone, or a guide that explains where artifacts go
    if said.status:
        return Severity.ERROR
    in_passing = target.kind is TargetKind.PATTERN or "." not in target.path.rpartition("/")[2]
    return None if in_passing else Severity.WARNING


def file_weight(place: Mention, target: ReferenceTarget) -> Severity | None:
    """Code spans name files that were deleted, renamed or are planned all the time: only claims weigh."""
    said = place.said
    if said.checked is False or said.gone or target.kind is TargetKind.PATTERN or place.template:
        return None
    claimed = said.evidence or (said.status and place.packet)
    return Severity.WARNING if claimed and is_file(target.path) else None


def is_file(path: str) -> bool:
    """Whether a text can hardly be anything but a path: folders, and a name with an extension."""
    return _FILE.search(path) is not None


def task_folder(path: str, roots: tuple[str, ...]) -> str:
    """The folder right below the root of an artifact, which is named after its task. `roots` end in slashes."""
    below = next((path.partition(root)[2] for root in roots if root in path), "")
    return below.partition("/")[0]


class References:
    """The references of one tree's documents."""

    def __init__(self, snapshot: Snapshot, artifacts: Artifacts, packets: Owners) -> None:
        self.reader = TargetReader(artifacts.roots)
        self.resolver = Resolver(snapshot, artifacts)
        self._bare = BarePaths(artifacts.roots)
        self._packets = packets
        self._sentences: tuple[Document | None, Sentences] = (None, Sentences(Document("", b"")))

    def all(self, document: Document) -> Iterator[tuple[Reference, ReferenceTarget]]:
        """Everything that names something, in the order of code spans, links, and paths in prose."""
        for span in document.spans:
            target = self.reader.span(span.text)
            if target is not None:
                yield Reference(span.text, span.offset, Notation.SPAN), target
        yield from self.links_and_bare(document)

    def links_and_bare(self, document: Document) -> Iterator[tuple[Reference, ReferenceTarget]]:
        for link in document.links:
            target = self.reader.link(link.target)
            if target is not None:
                yield Reference(link.target, link.offset, Notation.LINK), target
        for bare in self._bare.find(document):
            target = self.reader.span(bare.text)
            if target is not None:
                yield bare, target

    def find(
        self, document: Document, reference: Reference, target: ReferenceTarget, resolver: Resolver | None = None
    ) -> Resolution:
        """Where a reference leads, by the tree's own resolver or another one."""
        resolver = resolver or self.resolver
        look = resolver.link if reference.written is Notation.LINK else resolver.span
        return look(target, document.path)

    def place(self, document: Document, reference: Reference) -> Mention:
        packet = bool(self._packets.places(document.path))
        return Mention(document, reference, self.said(document, reference.offset), packet)

    def said(self, document: Document, offset: int) -> Statement:
        if self._sentences[0] is not document:
            self._sentences = (document, Sentences(document))
        return self._sentences[1].at(offset)
