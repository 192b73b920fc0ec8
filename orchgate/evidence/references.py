"""References of documents: where they lead, what their sentence claims about it, and how much that weighs."""

from __future__ import annotations

import os
import re

from orchgate.errors import Unreadable
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.files import open_regular
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.markdown.document import Document
from orchgate.model import Severity
from orchgate.references.resolve import Resolver
from orchgate.references.targets import RUN_ID, BarePaths, Notation, Reference, Sentences, TargetKind, TargetReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.evidence.packet_evidence import Owners
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Location
    from orchgate.references.artifacts import Artifacts
    from orchgate.references.resolve import Resolution
    from orchgate.references.targets import ReferenceTarget, Statement


SUMMARY = "<!-- orchgate summary"  # how a managed block begins, see `summary`
# Labels under which a path is a result somebody is meant to open.
RESULT = lazy(r"\b(?:manifest|evidence|log|metric|summar|proof|result|report|transcript)", re.IGNORECASE)
# Words of a sentence about files that are to be made, or that are only an example.
_NOT_YET = lazy(
    r"\b(?:new|add(?:s|ed|ing)?|creat\w*|introduc\w*|will|would|should|may|might|could|plan(?:s|ned)?|propos\w*|generat\w*|"
    r"writes?|written|future|later|optional\w*|example|e\.g\.|such as|like|if|when|unless|instead|or|"
    r"copy|copies|rename|repositor(?:y|ies))\b",
    re.IGNORECASE,
)
_OF_THE_PAST = lazy(
    r"(?:^|/)[^/]*(?:change|release|history|news)[^/]*$|(?:^|/)(?:changelogs?|releases?)/", re.IGNORECASE
)
_FILE = lazy(r"^(?![\w-]+\.(?:com|org|io|net|dev)/)[^/]*/.*[^./]\.[A-Za-z][A-Za-z0-9]{0,7}$", re.DOTALL)


class Mention(NamedTuple):
    """A reference in its document, with the sentence around it; `packet`: the document is part of a packet."""

    document: Document
    reference: Reference
    sentences: Sentences
    packet: bool

    @property
    def statement(self) -> Statement:
        """What the sentence says; many references are judged without reading it."""
        return self.sentences.at(self.reference.offset)

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
        statement = self.statement
        return statement.checked is not False and bool(
            statement.evidence or statement.status or statement.checked or self.link
        )

    def rest(self) -> str:
        """What follows the reference on its line, up to the next reference."""
        start = self.reference.offset + len(self.reference.text) + 2
        return self.document.text[start : start + 200].partition("\n")[0].partition("`")[0]


def weight(place: Mention, target: ReferenceTarget) -> Severity | None:
    """How much a target that is not there weighs; None where the text does not claim that it is."""
    if place.link:
        return Severity.WARNING if place.template else Severity.ERROR  # a copy of it has another place
    return artifact_weight(place, target) if target.artifact else file_weight(place, target)


def artifact_weight(place: Mention, target: ReferenceTarget) -> Severity | None:
    """A recorded run weighs wherever it is named; other artifacts where they are claimed, not planned."""
    if "Z-" in target.path and RUN_ID.search(target.path):
        return Severity.ERROR
    statement = place.statement
    if statement.checked is False or place.template:
        return None  # still to be made
    if statement.evidence or (statement.checked and not statement.gone):
        return Severity.ERROR
    if statement.gone or not place.packet or place.reference.written is Notation.BARE:
        return None  # said to be gone, or a guide that explains where artifacts go
    if statement.status:
        return Severity.ERROR
    in_passing = target.kind is TargetKind.PATTERN or "." not in target.path.rpartition("/")[2]
    return None if in_passing else Severity.WARNING


def file_weight(place: Mention, target: ReferenceTarget) -> Severity | None:
    """Code spans name files that were deleted, renamed or are planned all the time: only claims weigh."""
    statement = place.statement
    if statement.checked is False or statement.gone or target.kind is TargetKind.PATTERN or place.template:
        return None
    claimed = statement.evidence or (statement.status and place.packet)
    return Severity.WARNING if claimed and is_file(target.path) else None


def is_dead_path(place: Mention, target: ReferenceTarget) -> bool:
    """Whether a code span that leads nowhere reads like a path of today, not of the past, the future or elsewhere."""
    statement = place.statement
    if target.artifact or target.kind is not TargetKind.PATH or place.template or statement.checked is False:
        return False
    text, offset = place.document.text, place.reference.offset
    if text[max(offset - 1, 0) : offset] == "[" or _OF_THE_PAST.search(place.document.path):
        return False  # the text of a link, which is judged itself
    return is_file(target.path) and not statement.sentence.gone and not statement.sentence.holds(_NOT_YET)


def is_file(path: str) -> bool:
    """Whether a text can hardly be anything but a path: folders, and a name with an extension."""
    return _FILE.search(path) is not None


def task_folder(path: str, roots: tuple[str, ...]) -> str:
    """The folder right below the root of an artifact, which is named after its task. `roots` end in slashes."""
    below = next((path.partition(root)[2] for root in roots if root in path), "")
    return below.partition("/")[0]


class References:
    """The references of one tree's documents."""

    def __init__(
        self,
        snapshot: Snapshot,
        artifacts: Artifacts,
        packets: Owners,
        link_roots: tuple[str, ...] = (),
        reader: TargetReader | None = None,
    ) -> None:
        """`reader` is one that has read texts before."""
        self.reader = reader or TargetReader(artifacts.roots)
        self.resolver = Resolver(snapshot, artifacts, link_roots)
        self.present = artifacts.present
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
        return Mention(document, reference, self._sentences_of(document), packet)

    def statement(self, document: Document, offset: int) -> Statement:
        return self._sentences_of(document).at(offset)

    def _sentences_of(self, document: Document) -> Sentences:
        if self._sentences[0] is not document:
            self._sentences = (document, Sentences(document))
        return self._sentences[1]


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
