"""Git LFS: a file of the tree that only names another one, and where that may lie on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import KeptElsewhere, TooLarge
from orchgate.lib import files
from orchgate.lib.digest import sha256_hex
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEGINNING = b"version https://git-lfs.github.com/spec/v1\n"
_POINTER = lazy(_BEGINNING + rb"(?:ext-\d-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n?")
_LONGEST = 1024  # bytes of a pointer


class Pointer(NamedTuple):
    """What a pointer names: SHA-256 in hex digits, and bytes."""

    sha256: str
    size: int


def pointer(content: bytes) -> Pointer | None:
    """What a file's content points at, when it is a pointer of Git LFS."""
    if not content.startswith(_BEGINNING) or len(content) >= _LONGEST:
        return None
    match = _POINTER.fullmatch(content)
    return Pointer(match[1].decode("ascii"), int(match[2])) if match else None


class Lfs:
    """Finds what pointers name: in the store of Git LFS, or where the work tree has it. `root` is "" for none."""

    def __init__(self, root: str, common_dir: str) -> None:
        self._root = root
        self._objects = os.path.join(common_dir, "lfs", "objects")

    def content(self, path: str, named: Pointer, limit: int) -> bytes:
        """The content that the pointer at a path names. `limit` in bytes. Raises Unreadable."""
        if named.size > limit:
            raise TooLarge(path, f"is larger than {limit} bytes")
        for place in self._places(path, named):
            content = _read(place, named)
            if content is not None:
                return content
        raise elsewhere(path)

    def _places(self, path: str, named: Pointer) -> Iterator[str]:
        yield os.path.join(self._objects, named.sha256[:2], named.sha256[2:4], named.sha256)
        if self._root and "\0" not in path:
            yield os.path.join(self._root, path)


def elsewhere(path: str) -> KeptElsewhere:
    import shlex

    return KeptElsewhere(
        path, "is a Git LFS pointer, and the file is not here", f"git lfs pull --include={shlex.quote(path)}"
    )


def _read(place: str, named: Pointer) -> bytes | None:
    """A file that is what a pointer names; None for anything else."""
    try:
        content = files.read(place, named.size, follow=False)
    except OSError:
        return None
    return content if len(content) == named.size and sha256_hex(content) == named.sha256 else None
