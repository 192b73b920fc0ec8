"""Parts as they were read from a store, kept in the git folder under their names: none is read from afar twice.

The hash of each is asked for whenever it is read, and one that is damaged is fetched again. Several processes may use
one folder: files appear whole, and what one of them forgets another one fetches again. All of it may be deleted.
"""

from __future__ import annotations

import os
from contextlib import suppress

from orchgate.errors import OrchgateError
from orchgate.history.objects.folders import FolderObjects
from orchgate.history.segments import sha256_of
from orchgate.lib import files
from orchgate.lib.files import WriteError, sha256_hex
from orchgate.lib.paths import require_inside
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

FOLDER = ("orchgate", "history")  # in the git folder
ADDRESS = "address"  # the file that says whose parts a folder holds
_LONGEST = 4096


class PartCache:
    """What of one store is here. `trouble` is why something could not be kept, "" while everything could."""

    def __init__(self, git_folder: str, where: str) -> None:
        self.path = os.path.join(git_folder, *FOLDER, sha256_hex(where)[:16])
        self.trouble = ""
        self.where = where
        self.damaged: set[str] = set()  # parts of which there is nothing good here
        self._folder = FolderObjects(self.path)
        require_inside(git_folder, self.path)

    def names(self) -> frozenset[str]:
        return frozenset(one.name for one in self._folder.walk("v1/"))

    def get(self, name: str, limit: int) -> bytes | None:
        """A part whose hash is right; None, and it is forgotten, for any other."""
        try:
            content = self._folder.get(name, limit)
        except OrchgateError:
            return None
        if sha256_hex(content) == sha256_of(name):
            return content
        self.damaged.add(name)
        self.forget([name])
        return None

    def put(self, name: str, content: bytes) -> None:
        path = os.path.join(self.path, name)
        try:
            if not os.path.isdir(os.path.dirname(path)):
                files.make_folders(os.path.dirname(path), sync=False)
                files.replace_beside(os.path.join(self.path, ADDRESS), f"{self.where}\n".encode())
            files.replace_beside(path, content)
            self.damaged.discard(name)
        except WriteError as error:
            self.trouble = self.trouble or error.message

    def forget(self, names: Collection[str]) -> None:
        for name in names:
            with suppress(OrchgateError):
                self._folder.delete(name)


def caches(git_folder: str) -> Iterator[PartCache]:
    """Those of all stores that parts were read from."""
    above = os.path.join(git_folder, *FOLDER)
    try:
        found = sorted(os.listdir(above))
    except OSError:
        return
    for name in found:
        with suppress(OSError, OrchgateError, UnicodeDecodeError):
            where = files.read(os.path.join(above, name, ADDRESS), _LONGEST, follow=False).decode().rstrip("\n")
            if sha256_hex(where)[:16] == name:
                yield PartCache(git_folder, where)
