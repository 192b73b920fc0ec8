"""Documents of the judged tree, each read and parsed once a judgement, whichever checks ask for it."""

from __future__ import annotations

from orchgate.errors import Unreadable
from orchgate.git.snapshot import SYMLINK
from orchgate.lib.typed import TYPE_CHECKING, cached_property
from orchgate.markdown.document import Document
from orchgate.model import Location, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.git.snapshot import Snapshot

MAX_BYTES = 8 * 1024 * 1024


class ParsedDocuments:
    """Documents of one tree. They are the same under any configuration, so that judgements of one change share them."""

    def __init__(self, snapshot: Snapshot, beside: ParsedDocuments | None = None) -> None:
        """`beside` are those of another tree: a document that is the same in both is parsed once."""
        self._snapshot = snapshot
        self._beside = beside
        self._known: dict[str, Document | Unreadable] = {}

    def read(self, paths: Iterable[str]) -> tuple[list[Document], list[Trouble]]:
        """Parsed documents in the given order, and what could not be read."""
        wanted = list(paths)
        if self._beside is not None:
            self._known.update(self._same_as_beside(wanted, self._beside))
        sources = self._sources([path for path in wanted if path not in self._known])
        contents = self._snapshot.read_many(sources.values(), MAX_BYTES)
        for path, (_, content) in zip(sources, contents, strict=True):
            self._known[path] = content if isinstance(content, Unreadable) else Document(path, content)
        documents: list[Document] = []
        troubles: list[Trouble] = []
        for path in wanted:
            document = self._known[path]
            if isinstance(document, Document):
                documents.append(document)
            else:
                troubles.append(Trouble(Location(path), document.message, document.hint))
        return documents, troubles

    def _same_as_beside(self, paths: Iterable[str], beside: ParsedDocuments) -> Iterator[tuple[str, Document]]:
        mine, theirs = self._snapshot.entries, beside._snapshot.entries
        for path in paths:
            entry = mine.get(path)
            if entry is not None and entry.oid and entry.mode != SYMLINK and entry == theirs.get(path):
                document = beside.parsed(path)
                if document is not None:
                    yield path, document

    def _sources(self, paths: Iterable[str]) -> dict[str, str]:
        """What is read for each path: itself, or what its symbolic link leads to; where that cannot be is kept."""
        found: dict[str, str] = {}
        entries = self._snapshot.entries
        for path in paths:
            if path not in entries or entries[path].mode != SYMLINK:
                found[path] = path
                continue
            from orchgate.references import symlinks

            try:
                found[path] = symlinks.target(self._snapshot, path)
            except Unreadable as error:
                self._known[path] = error
        return found

    def one(self, path: str) -> Document:
        """One parsed document. Raises Unreadable."""
        self.read([path])
        document = self._known[path]
        if isinstance(document, Unreadable):
            raise document
        return document

    @property
    def parsed_paths(self) -> tuple[str, ...]:
        """Documents that some check has looked at so far."""
        return tuple(path for path, document in self._known.items() if isinstance(document, Document))

    def parsed(self, path: str) -> Document | None:
        """A document that some check has looked at, or None."""
        document = self._known.get(path)
        return document if isinstance(document, Document) else None

    @cached_property
    def links(self) -> Mapping[str, list[str]]:
        """Documents that are symbolic links, by the file of the tree that they lead to."""
        if not self._snapshot.indirect:
            return {}
        from orchgate.references import symlinks

        return symlinks.by_target(self._snapshot)
