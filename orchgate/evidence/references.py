"""Reads the references of documents and looks them up; what they are worth is for others to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.evidence.claims import Place
from orchgate.markdown.document import Document
from orchgate.references.links import BarePaths, Notation, Reference, Sentences
from orchgate.references.resolve import Resolver
from orchgate.references.targets import TargetReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.evidence.owners import Owners
    from orchgate.git.snapshot import Snapshot
    from orchgate.references.artifacts import Artifacts
    from orchgate.references.links import Statement
    from orchgate.references.resolve import Resolution
    from orchgate.references.targets import ReferenceTarget


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

    def place(self, document: Document, reference: Reference) -> Place:
        packet = bool(self._packets.places(document.path))
        return Place(document, reference, self.said(document, reference.offset), packet)

    def said(self, document: Document, offset: int) -> Statement:
        if self._sentences[0] is not document:
            self._sentences = (document, Sentences(document))
        return self._sentences[1].at(offset)
