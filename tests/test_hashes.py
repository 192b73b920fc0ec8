from __future__ import annotations

import hashlib
import sys

import pytest

from orchgate.lib import hashes


@pytest.mark.parametrize("name", ["sha1", "sha256"])
@pytest.mark.parametrize("content", [b"", b"blob 2\0x\n", bytes(3 << 20)])
def test_a_hash_is_the_same_by_whatever_code(name: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = hashlib.new(name, content).digest()

    assert hashes.digest(name, content) == expected
    for own in ("_sha1", "_sha2", "_sha256"):
        monkeypatch.setitem(sys.modules, own, None)
    assert hashes.digest(name, content) == expected


def test_a_fingerprint_needs_no_module_that_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hashes.fingerprint(b"one") == hashlib.blake2b(b"one", digest_size=32).digest()
    monkeypatch.setitem(sys.modules, "_blake2", None)
    assert hashes.fingerprint(b"one") == hashlib.sha256(b"one").digest()
