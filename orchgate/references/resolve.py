"""Where the targets of references are: in the tree, among the artifacts, on a site, or nowhere."""

from __future__ import annotations

import os
import re
from posixpath import join, normpath

from orchgate.errors import Unreadable
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.paths import compile_glob, expand_braces
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple, cached_property
from orchgate.markdown.parts import is_mdx
from orchgate.references.targets import TargetKind, unquoted

if TYPE_CHECKING:
    from collections.abc import Collection, Container

    from orchgate.git.snapshot import Snapshot
    from orchgate.references.artifacts import Artifacts
    from orchgate.references.sites import Sites
    from orchgate.references.targets import ReferenceTarget

_MOST_LINKS = 40  # symbolic links in a row, as the kernel counts them


class Where(Enum):
    HERE = "here"
    MISSING = "missing"
    SITE = "site"  # on a site, where only its generator knows what it serves
    OUTSIDE = "outside"  # above the top level, or through a symbolic link that leaves the repository


class Resolution(NamedTuple):
    """`path` is the repository path that was found, or the first one that a reader would try."""

    where: Where
    path: str


class Resolver:
    """Looks targets up. Paths count case-exactly, as they do in git."""

    def __init__(self, snapshot: Snapshot, artifacts: Artifacts, link_roots: tuple[str, ...] = ()) -> None:
        self._link_roots = link_roots
        self._entries = snapshot.entries
        self._folders = snapshot.folders
        self._snapshot = snapshot
        self._artifacts = artifacts
        self._patterns: dict[str, Resolution] = {}
        self._spans: dict[tuple[str, str], Resolution] = {}

    @cached_property
    def sites(self) -> Sites:
        """The sites of the tree; few changes have a link that only a site could serve."""
        from orchgate.references.sites import Sites

        return Sites(self._snapshot, self._link_roots)

    def span(self, target: ReferenceTarget, document: str) -> Resolution:
        """A code span is read from the top level first, then from the document's folder."""
        folder = document.rpartition("/")[0]
        key = (target.path, folder)
        if key not in self._spans:
            self._spans[key] = self._first(target, ("", folder) if folder else ("",))
        return self._spans[key]

    def begins_here(self, path: str, document: str) -> bool:
        """Whether a path begins with a name at the top of the repository, so that it is meant as a path in it."""
        folder, first = document.rpartition("/")[0], path.partition("/")[0]
        if first in (".", ".."):
            return True
        return first != path and (first in self._folders or (bool(folder) and f"{folder}/{first}" in self._folders))

    def link(self, target: ReferenceTarget, document: str) -> Resolution:
        """A Markdown link is read from the document's folder, as GitHub does; artifacts also from the top level.

        What a site serves counts, too: in the pages of one, in MDX, which is made for them, and by `link-roots`.
        """
        folder = document.rpartition("/")[0]
        if target.path.startswith("/"):
            found = self._first(target._replace(path=target.path.lstrip("/")), ("",))
        else:
            found = self._first(target, (folder, "") if target.artifact and folder else (folder,))
        if found.where is Where.HERE or target.kind is not TargetKind.PATH or target.artifact or not target.path:
            return found
        if found.where is Where.OUTSIDE and target.path.startswith("/"):
            return found  # a browser would stop at the top; whoever writes this means something else
        if not self._may_be_served(target, document):
            page = self.sites.elsewhere(target.path)
            return Resolution(Where.HERE, page) if page else found
        if page := self.sites.page(self._entries, target.path, document):
            return Resolution(Where.HERE, page)
        unknown = found.where is not Where.OUTSIDE and self.sites.unknown(target.path, document)
        return Resolution(Where.SITE, found.path) if unknown else found

    def _may_be_served(self, target: ReferenceTarget, document: str) -> bool:
        by_key = bool(self.sites.roots) and target.path.startswith("/")
        return by_key or is_mdx(document) or self.sites.covers(document)

    def was_served(self, target: ReferenceTarget, document: str, gone: Container[str]) -> bool:
        """Whether a link that leads nowhere led to one of the files that are gone."""
        meant = target.kind is TargetKind.PATH and target.path != "" and self._may_be_served(target, document)
        return meant and self.sites.page(gone, target.path, document) != ""

    def _first(self, target: ReferenceTarget, bases: tuple[str, ...]) -> Resolution:
        look = self._match if target.kind is TargetKind.PATTERN else self._look
        results: list[Resolution] = []
        for written in self._spellings(target.path):
            for base in bases:
                path = _joined(base, written)
                result = Resolution(Where.OUTSIDE, path) if path[:2] == ".." and _climbs(path) else look(path)
                if result.where is Where.HERE:
                    return result
                results.append(result)
        # What leaves by a symbolic link exists for its author; what climbs above the top may be meant from elsewhere.
        return next((result for result in results if not _climbs(result.path)), results[0])

    @staticmethod
    def _spellings(path: str) -> tuple[str, ...]:
        decoded = (unquoted(path),) if "%" in path else ()
        shorter = (path.rstrip(".,:"),) if path.endswith((".", ",", ":")) and path.strip("./") else ()
        return (path, *decoded, *shorter) if decoded or shorter else (path,)

    def _look(self, path: str) -> Resolution:
        where = self._where(path)
        return Resolution(where, path)

    def _where(self, path: str, links: int = 0) -> Where:
        if path in (".", ""):
            return Where.HERE
        entry = self._entries.get(path)
        if entry is not None and entry.mode != SYMLINK:
            return Where.HERE
        if path in self._folders:
            return Where.HERE
        behind = self._behind_link(path) if self._links else None
        if behind is not None:
            if behind.startswith(("../", "/")) or behind == "..":
                return Where.OUTSIDE
            return self._where(behind, links + 1) if links < _MOST_LINKS else Where.MISSING
        if self._artifacts.owns(path):
            return self._on_disk(path)
        return Where.MISSING

    def _on_disk(self, path: str) -> Where:
        if self._artifacts.is_pinned(path):
            return Where.HERE
        if path.partition("/")[0] in self._absent:
            return Where.MISSING
        if self._artifacts.on_disk(path):
            return Where.HERE
        return Where.OUTSIDE if self._artifacts.leads_out(path) else Where.MISSING

    @cached_property
    def _links(self) -> Collection[str]:
        """Symbolic links and submodules of the tree."""
        return self._snapshot.indirect

    @cached_property
    def _absent(self) -> frozenset[str]:
        """First folders of the roots that are not on disk: nothing below them has to be looked up."""
        first = {root.partition("/")[0] for root in self._artifacts.roots}
        return frozenset(name for name in first if not self._artifacts.is_named(name))

    def _behind_link(self, path: str) -> str | None:
        """The path with its first symbolic link replaced; "." for the unknown content of a submodule."""
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            head = "/".join(parts[:count])
            if head not in self._links:
                continue
            if self._entries[head].mode == SUBMODULE:
                return "."
            try:
                pointed = os.fsdecode(self._snapshot.read(head))
            except Unreadable:
                return None
            return normpath(join("/".join(parts[: count - 1]), pointed, *parts[count:]))
        return None

    def real(self, path: str) -> str:
        """A path without the symbolic links that the tree has."""
        for _ in range(_MOST_LINKS if self._links else 0):
            behind = self._behind_link(path)
            if behind is None:
                break
            path = behind
        return path

    def _match(self, pattern: str) -> Resolution:
        if pattern not in self._patterns:
            missing = [part for part in expand_braces(pattern) if not self._matches(part.rstrip("/"))]
            self._patterns[pattern] = (
                Resolution(Where.MISSING, missing[0]) if missing else Resolution(Where.HERE, pattern)
            )
        return self._patterns[pattern]

    def _matches(self, pattern: str) -> bool:
        if not re.search(r"[*?\[]", pattern):
            return self._where(pattern) is Where.HERE
        literal = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        matches = compile_glob(pattern).fullmatch
        if any(map(matches, self._snapshot.starting(literal))):
            return True
        return self._artifacts.owns(literal + "x") and self._artifacts.matching(pattern)


def _joined(base: str, path: str) -> str:
    """A written path below a folder, normalised; most need no normalising."""
    whole = f"{base}/{path}" if base else path
    return normpath(whole) if "./" in whole or "//" in whole or whole.endswith(("/", ".")) else whole


def _climbs(path: str) -> bool:
    return path == ".." or path.startswith("../")
