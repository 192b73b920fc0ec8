"""Artifacts that were measured before and are the same files still, by what git knows the files of its index by.

A file is known again by device, inode, size and both of its times: whoever writes it, puts another in its place or sets
its time back changes one of them. One that was written shortly before it was measured may be written again without
that, as long as the clock of the file system stands still: it is not remembered.
"""

from __future__ import annotations

import os
import stat
import struct

from orchgate.evidence.lock import line_of
from orchgate.evidence.lock_checks import MANIFEST
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.runs.locate import journal_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchgate.evidence.lock import Pinned
    from orchgate.evidence.lock_checks import SizeLimits
    from orchgate.lib.cache import Cache
    from orchgate.references.artifacts import Artifacts

KIND = "artifacts"
RACY_NS = 3_000_000_000  # the coarsest clock of a file system, FAT's, stands still for two seconds
_DIGITS = 32  # of a digest
_NUMBERS = struct.Struct(">QQQqq")
_ALSO = "\0+"  # between what two files are known by
_END = "\0\n"  # of an entry: no path holds a zero byte


class ArtifactIdentity(NamedTuple):
    """Which path and file it is, of a manifest also which journal; and when the youngest of them changed, in ns."""

    words: str
    changed: int


class KnownArtifacts:
    """What is known of the artifacts of one work tree: by path and identity the line that pins it, as its digest."""

    def __init__(self, kept: Cache, artifacts: Artifacts, limits: SizeLimits) -> None:
        self._kept = kept
        self._artifacts = artifacts
        self._below = artifacts.full("")
        self._key = os.fsencode(f"{os.path.realpath(artifacts.root)}\n{limits.artifact} {limits.manifest}")
        self._is_new = False

    @cached_property
    def _read(self) -> list[str]:
        """The digest of the last lock that was written, or left as it was; those of its lines; artifacts."""
        read = os.fsdecode(self._kept.read(KIND, self._key) or b"").split(_END)
        return read if len(read) > 1 and len(read[1]) == _DIGITS * (len(read) - 2) else ["", ""]

    @cached_property
    def _lines(self) -> dict[str, str]:
        _, digests, *known = self._read
        return {one: digests[at * _DIGITS : (at + 1) * _DIGITS] for at, one in enumerate(known)}

    def identity(self, path: str) -> ArtifactIdentity | None:
        """None for what is not a plain file, or is reached through a link: that is looked at closely."""
        words = self._words(path)
        files = [bytes.fromhex(file.rpartition("\0")[2]) for file in words.split(_ALSO)] if words else []
        return (
            ArtifactIdentity(words, max(time for file in files for time in _NUMBERS.unpack(file)[-2:]))
            if words
            else None
        )

    def _words(self, path: str) -> str | None:
        try:
            if not self._artifacts.is_plain(path.rpartition("/")[0]):
                return None
            found = os.lstat(self._below + path)
        except (OSError, ValueError):
            return None
        mode, inode, device, _, _, _, size, *_ = found
        if not stat.S_ISREG(mode):
            return None
        # Packed and not printed: of a hundred thousand this is what costs most, after asking for them.
        words = f"{path}\0{_NUMBERS.pack(device, inode, size, found.st_mtime_ns, found.st_ctime_ns).hex()}"
        if path.endswith(MANIFEST) and self._artifacts.on_disk(journal := journal_of(path)):
            beside = self._words(journal)
            return beside and words + _ALSO + beside
        return words

    def is_pinned_by(self, data: bytes, paths: Iterable[str]) -> bool:
        """Whether a lock is as it was left, and pins all of these as they are on disk: then nothing is new."""
        before, _, *listed = self._read
        if not before or sha256_hex(data) != before:
            return False
        known = set(listed)
        return known.issuperset(map(self._words, paths))

    def is_known(self, pin: Pinned, found: ArtifactIdentity | None) -> bool:
        """Whether the file of that identity is what the pin says."""
        line = self._lines.get(found.words) if found else None
        return line is not None and line == _digest(line_of(pin))

    def remember(self, pin: Pinned, before: ArtifactIdentity | None, started: int) -> None:
        """Notes a pin that was made of a file; `before` is its identity and `started` the time in ns before that."""
        if before is not None and before == self.identity(pin.path) and before.changed < started - RACY_NS:
            self._lines.pop(before.words, None)  # the last one of a path counts
            self._lines[before.words] = _digest(line_of(pin))
            self._is_new = True

    def save(self, data: bytes) -> None:
        """Keeps what is known of the artifacts that a lock pins, and that it was the last one. No errors."""
        digest = sha256_hex(data)
        if not self._is_new and digest == self._read[0]:
            return
        pinned = {_digest(line) for line in data.split(b"\n")}
        latest = {words.partition("\0")[0]: (words, line) for words, line in self._lines.items() if line in pinned}
        words, lines = zip(*latest.values(), strict=True) if latest else ((), ())
        self._kept.write(KIND, self._key, os.fsencode(_END.join((digest, "".join(lines), *words))))


def _digest(line: bytes) -> str:
    return sha256_hex(line)[:_DIGITS]
