"""Documents that are symbolic links: followed inside the tree that is checked, reported where that is impossible."""

from __future__ import annotations

import contextlib
import os
from posixpath import dirname, join, normpath

from orchgate.errors import Unreadable
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.markdown.parts import is_markdown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.snapshot import Snapshot

MOST_LINKS = 40  # in a row, as the kernel counts them
LONGEST = 4096  # bytes of a path, as systems take them
HINT = "replace it with a file, or point it at a file in the repository"


class LeadsOut(Unreadable):
    """The link leads out of the repository."""


class InSubmodule(Unreadable):
    """The link leads into a submodule, whose content is unknown here."""


def is_link(tree: Snapshot, path: str) -> bool:
    entry = tree.entries.get(path)
    return entry is not None and entry.mode == SYMLINK


def target(tree: Snapshot, path: str) -> str:
    """The file of the tree that holds a document: itself, or what its symbolic link leads to.

    Raises Unreadable, LeadsOut.
    """
    if not is_link(tree, path):
        return path
    at = followed(tree, path)
    entry = tree.entries.get(at)
    if entry is not None and entry.mode != SUBMODULE:
        return at
    what = "a directory" if at in tree.folders else f"{at}, which is not in the repository"
    raise Unreadable(path, f"is a symbolic link to {what}", HINT)


def followed(tree: Snapshot, path: str) -> str:
    """A path of the tree with its symbolic links resolved, whether it exists or not.

    Raises Unreadable, LeadsOut.
    """
    at, passed = path, 0
    while (link := _first_link(tree, at, path)) is not None:
        passed += 1
        if passed > MOST_LINKS:
            raise Unreadable(path, "is a symbolic link that points back to itself", HINT)
        written = os.fsdecode(tree.read(link, LONGEST))
        at = normpath(join(dirname(link), written, at[len(link) + 1 :]))
        if at.startswith(("/", "../")) or at == "..":
            raise LeadsOut(path, f"is a symbolic link that leads out of the repository: {written}", HINT)
    return at


def _first_link(tree: Snapshot, path: str, document: str) -> str | None:
    """The first part of a path that is a symbolic link; None when none is. Raises InSubmodule for the document."""
    slash = path.find("/")
    while slash >= 0:
        head = path[:slash]
        entry = tree.entries.get(head)
        if entry is not None:
            if entry.mode == SUBMODULE:
                raise InSubmodule(document, "is a symbolic link into a submodule", HINT)
            return head if entry.mode == SYMLINK else None
        slash = path.find("/", slash + 1)
    return path if is_link(tree, path) else None


def by_target(tree: Snapshot) -> Mapping[str, list[str]]:
    """The Markdown documents of a tree that are symbolic links, by the files they lead to; others are left out."""
    found: dict[str, list[str]] = {}
    for path in tree.indirect:
        if is_markdown(path) and is_link(tree, path):
            with contextlib.suppress(Unreadable):
                found.setdefault(target(tree, path), []).append(path)
    return found
