"""A large lock that was read before, of which no more is read again than a change asks about.

It was read whole and found sound once, and its object id names its content: so what is kept holds. The pins lie in
pages, in the order of a lock's lines, below a table of the pages with the digest of each. Where a page cannot be read
any more, the lock is read as it is in the tree.
"""

from __future__ import annotations

import json
from bisect import bisect_right

from orchgate.evidence import lock
from orchgate.evidence.lock import PATH, Lock, Pinned, RunFacts, line_of, written
from orchgate.git.snapshot import LONGEST_POINTER, pointer
from orchgate.lib import pages
from orchgate.lib.pages import Damaged, Pages
from orchgate.lib.typed import TYPE_CHECKING, cached_property

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from orchgate.git.snapshot import Snapshot
    from orchgate.lib.cache import Cache

KIND = "lock"
MANY = 500  # pins, from which on a lock is kept: fewer are read as fast
PAGE = 32 * 1024  # bytes of a page, about
_START = b'\n{"path": '


def of(snapshot: Snapshot, kept: Cache | None) -> Lock | None:
    """As `lock.of`, by what is kept where there is something. Raises LockError."""
    entry = snapshot.entries.get(PATH)
    if kept is None or entry is None or not entry.oid:
        return lock.of(snapshot)
    key = entry.oid.encode("ascii")
    try:
        return KeptLock(Pages(kept, KIND, key), lambda: lock.of(snapshot) or Lock())
    except Damaged:
        pass
    found = lock.of(snapshot)
    if found is not None and found.count >= MANY and not _is_elsewhere(snapshot, entry.oid):
        _write(kept, key, found)
    return found


def _is_elsewhere(snapshot: Snapshot, oid: str) -> bool:
    """Whether git holds a pointer of Git LFS instead of the lock: what that names may be gone tomorrow."""
    content = snapshot.blob(oid, LONGEST_POINTER)
    return content is not None and pointer(content) is not None


def _write(kept: Cache, key: bytes, found: Lock) -> None:
    lines = sorted((written(path), pin) for path, pin in found.pins.items())
    firsts, parts = [], []
    at = 0
    while at < len(lines):
        firsts.append(lines[at][0])
        size, part = 0, []
        while at < len(lines) and size < PAGE:
            part.append(b"\n" + line_of(lines[at][1]))
            size += len(part[-1])
            at += 1
        parts.append(b"".join(part))
    head = "\n".join([str(found.count), *firsts]).encode("ascii")  # as they are written, they hold no line breaks
    pages.write(kept, KIND, key, head, parts)


class KeptLock(Lock):
    """Answers as the lock that was kept."""

    def __init__(self, kept: Pages, read: Callable[[], Lock]) -> None:
        """`read` reads it from the tree."""
        self._kept, self._read = kept, read
        count, *self._firsts = kept.head.decode("ascii").split("\n")
        self._count = int(count)
        self._known: dict[str, Pinned | None] = {}
        self._held: dict[str, bool] = {}

    @property
    def count(self) -> int:
        return self._count

    @cached_property
    def _whole(self) -> Lock:
        return self._read()

    @property
    def pins(self) -> Mapping[str, Pinned]:
        return self._whole.pins

    def get(self, path: str) -> Pinned | None:
        if "_whole" in self.__dict__:
            return self._whole.get(path)
        if path not in self._known:
            try:
                self._known[path] = self._found(written(path))
            except Damaged:
                self._known[path] = self._whole.get(path)
        return self._known[path]

    def holds(self, folder: str) -> bool:
        if folder not in self._held:
            try:
                self._held[folder] = next(self._starting(written(folder + "/")[:-1]), None) is not None
            except Damaged:
                self._held[folder] = self._whole.holds(folder)
        return self._held[folder]

    def differing(self, other: Lock) -> set[str]:
        if not isinstance(other, KeptLock):
            return super().differing(other)
        try:
            here, there = self.lines_beside(other), other.lines_beside(self)
        except Damaged:
            return super().differing(other)
        theirs = {pin["path"]: pin for pin in map(json.loads, there - here)}
        mine = map(json.loads, here - there)  # 1 and 1.0 are two lines, and one number
        return {pin["path"] for pin in mine if theirs.get(pin["path"]) != pin}

    def lines_beside(self, other: KeptLock) -> set[bytes]:
        """The lines of the pages that another lock has not."""
        known = set(other._kept.digests)
        numbers = (number for number, digest in enumerate(self._kept.digests) if digest not in known)
        return {line for number in numbers for line in self._kept.page(number).split(b"\n")[1:]}

    def starting(self, text: str) -> Iterator[str]:
        try:
            yield from [*self._starting(written(text)[:-1])]
        except Damaged:
            yield from self._whole.starting(text)

    def _found(self, path: str) -> Pinned | None:
        number = bisect_right(self._firsts, path) - 1
        if number < 0:
            return None
        page = self._kept.page(number)
        at = page.find(_START + path.encode("ascii") + b",")
        if at < 0:
            return None
        fields: dict[str, Any] = json.loads(_line_at(page, at))
        run = RunFacts(**fields["run"]) if "run" in fields else None
        return Pinned(fields["path"], fields["sha256"], fields["size"], run)

    def _starting(self, text: str) -> Iterator[str]:
        """The paths that start with a text as it is written, but for its last quote."""
        wanted, decoder = _START + text.encode("ascii"), json.JSONDecoder()
        begin = max(0, bisect_right(self._firsts, text) - 1)
        for number, first in enumerate(self._firsts[begin:], begin):
            if number > begin and not first.startswith(text):
                return
            page = self._kept.page(number)
            at = page.find(wanted)
            while at >= 0:
                yield decoder.raw_decode(_line_at(page, at).decode("ascii"), len(_START) - 1)[0]
                at = page.find(wanted, at + 1)


def _line_at(page: bytes, at: int) -> bytes:
    """The line that follows a line break."""
    end = page.find(b"\n", at + 1)
    return page[at + 1 : end if end >= 0 else len(page)]
