"""Hashes of contents, small ones by Python's own code: to load OpenSSL takes longer than a document does."""

from __future__ import annotations

import sys

_SMALL = 2 * 1024 * 1024  # bytes
_OWN = {"sha1": "_sha1", "sha256": "_sha2" if sys.version_info >= (3, 12) else "_sha256"}


def fingerprint(*parts: bytes | memoryview) -> bytes:
    """32 bytes for what nobody else has to work out: as sound as SHA-256, at a third of the instructions."""
    try:
        from _blake2 import blake2b
    except ImportError:
        return digest("sha256", b"".join(parts))
    hashed = blake2b(digest_size=32)
    for part in parts:
        hashed.update(part)
    return hashed.digest()


def digest(name: str, content: bytes) -> bytes:
    """By `sha1` or `sha256`; the former as git names objects, which secures nothing."""
    if len(content) < _SMALL:
        try:
            return bytes(getattr(__import__(_OWN[name]), name)(content).digest())
        except ImportError:  # built without it
            pass
    import hashlib

    return hashlib.new(name, content, usedforsecurity=False).digest()
