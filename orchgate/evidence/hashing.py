"""Artifacts as they are on disk: read once, hashed, and refused by name where they are not regular files of ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orchgate.errors import OrchgateError, Unreadable
from orchgate.evidence.lock import Pinned
from orchgate.lib.digest import sha256_hex, sha256_of_chunks
from orchgate.lib.files import NotRegularFileError, open_regular
from orchgate.lib.inside import links
from orchgate.runs.locate import journal_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

    from orchgate.references.artifacts import Artifacts

MANIFEST = "/manifest.json"
CHUNK = 1 << 20


class Refused(Unreadable):
    """An artifact that is on disk and cannot be pinned; the message continues the sentence "The artifact …".

    `certain`: it never could have been pinned as it is, so that no pin can be of it. `large`: only for its size.
    """

    def __init__(self, path: str, reason: str, hint: str = "", *, certain: bool = False, large: bool = False) -> None:
        super().__init__(path, reason, hint)
        self.certain = certain
        self.large = large


def measure(
    artifacts: Artifacts, path: str, limit: int, manifest_limit: int, *, pinned: Pinned | None = None
) -> Pinned | None:
    """An artifact as a pin of it would be; None when it is not on disk.

    `limit` and `manifest_limit` are in bytes. A manifest has to be readable, because its facts are pinned too, and has
    to be what its journal adds up to; without the journal only what a pin vouches for is taken. Raises Refused.
    """
    full = artifacts.full(path)
    if not os.path.lexists(full):
        return None
    _refuse_links(artifacts, path)
    try:
        # Opened without following: a link that is put there meanwhile is an error, not a leak.
        descriptor = open_regular(full, follow=False)
    except NotRegularFileError as error:
        raise Refused(path, f"is {error.kind}, not a regular file", "name a file", certain=True) from None
    except OSError as error:
        raise Refused(path, f"cannot be opened: {error.strerror}", "ls -l shows who may read it") from None
    try:
        found, document = _read(path, descriptor, limit, manifest_limit)
    except OSError as error:
        raise Refused(path, f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if document is not None and not (found == pinned and not artifacts.on_disk(journal_of(path))):
        _hold_against_journal(artifacts, path, document)
    return found


def _hold_against_journal(artifacts: Artifacts, path: str, document: dict[str, Any]) -> None:
    from orchgate.runs import derivation

    def journal() -> bytes | None:
        # One that a link brings in from elsewhere is not here: the gate does not see it either.
        return derivation.beside(artifacts.full(path)) if artifacts.on_disk(journal_of(path)) else None

    try:
        derivation.require(document, journal)
    except OrchgateError as error:
        raise Refused(path, error.message, error.hint, certain=True) from None


def _refuse_links(artifacts: Artifacts, path: str) -> None:
    """A pin is of a file at its own path: elsewhere the link may lead to something else. Raises Refused."""
    real = os.path.realpath(artifacts.full(path))
    link = next(links(artifacts.root, path), None)
    if link is not None and not os.path.exists(real):
        raise Refused(path, "is a link that leads nowhere", certain=True)
    if not artifacts.inside(real):
        hint = "copy what it leads to into the run's folder"
        raise Refused(path, "leads out of the repository", hint, certain=True)
    if link is not None:
        there = os.path.relpath(real, os.path.realpath(artifacts.root))
        raise Refused(path, f"is reached through a symbolic link, {link}", f"link and pin {there}", certain=True)


def _read(path: str, descriptor: int, limit: int, manifest_limit: int) -> tuple[Pinned, dict[str, Any] | None]:
    """The pin of an open file, and what a manifest holds."""
    status = os.fstat(descriptor)
    if status.st_size > limit:
        hint = "keep a smaller extract of it, or raise evidence.max-artifact-bytes"
        raise Refused(path, f"is {status.st_size} bytes long, limit {limit}", hint, large=True)
    if not path.endswith(MANIFEST):
        size, found = _hash(path, descriptor, status.st_size)
        return Pinned(path, found, size), None
    from orchgate.evidence.facts import facts_of
    from orchgate.runs.decode import parse
    from orchgate.runs.run import from_manifest

    data = os.read(descriptor, min(status.st_size, manifest_limit) + 1)
    if len(data) != status.st_size and len(data) <= manifest_limit:
        raise Refused(path, "changed while it was read", "wait for the run to end")
    try:
        document = parse(data, manifest_limit)
    except OrchgateError as error:
        raise Refused(path, error.message, error.hint, certain=True) from None
    return Pinned(path, sha256_hex(data), len(data), facts_of(from_manifest(document))), document


def _hash(path: str, descriptor: int, size: int) -> tuple[int, str]:
    found, read = sha256_of_chunks(iter(lambda: os.read(descriptor, CHUNK), b""))
    if read != size:
        raise Refused(path, "changed while it was read", "wait until whoever writes it is done")
    return read, found


def prefix_hash(full: str, size: int) -> str:
    """The hash of the first `size` bytes of a file. Raises OSError."""
    with open(full, "rb", buffering=0) as file:
        return sha256_of_chunks(_first(file, size))[0]


def _first(file: FileIO, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(size, CHUNK))):
        yield chunk
        size -= len(chunk)
