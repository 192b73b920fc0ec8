"""How many lines a file has that a document names a line of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.errors import Unreadable
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.files import open_regular

if TYPE_CHECKING:
    from orchgate.git.snapshot import Snapshot
    from orchgate.references.artifacts import Artifacts

CHUNK = 1 << 20
MAX_BYTES = 64 * 1024 * 1024  # of a file of the tree; larger ones are no text that anybody cites by line
TEXT = 8_000  # first bytes in which git looks for NUL before it takes a file for text


class Lines:
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
