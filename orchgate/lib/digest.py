"""SHA-256, in hex digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def sha256_hex(content: bytes | str) -> str:
    """Of bytes, or of a text in UTF-8; a file name that is not UTF-8 counts with the bytes it has on disk."""
    import hashlib

    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()


def sha256_of_chunks(chunks: Iterable[bytes]) -> tuple[str, int]:
    """Of what comes in pieces, and how many bytes that were."""
    import hashlib

    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size
