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
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from orchgate.git.snapshot import Snapshot
    from orchgate.lib.cache import Cache

KIND = "lock"
MANY = 500  # pins, from which on a lock is kept: fewer are read as fast
PAGE = 32 * 1024  # bytes of a page, about
_HEAD = 100  # bytes: the length of the table, its digest
_START = b'\n{"path": '


class _LockPage(NamedTuple):
    """`first` is the first path in it, as it is written; `start` counts from the end of the table, in bytes."""

    first: str
    start: int
    size: int
    digest: str


class _Damaged(Exception):
    """What was kept is not whole any more."""


def of(snapshot: Snapshot, kept: Cache | None) -> Lock | None:
    """As `lock.of`, by what is kept where there is something. Raises LockError."""
    entry = snapshot.entries.get(PATH)
    if kept is None or entry is None or not entry.oid:
        return lock.of(snapshot)
    key = entry.oid.encode("ascii")
    try:
        return KeptLock(kept, key, lambda: lock.of(snapshot) or Lock())
    except _Damaged:
        pass
    found = lock.of(snapshot)
    if found is not None and found.count >= MANY and not _is_elsewhere(snapshot, entry.oid):
        kept.write(KIND, key, _content(found))
    return found


def _is_elsewhere(snapshot: Snapshot, oid: str) -> bool:
    """Whether git holds a pointer of Git LFS instead of the lock: what that names may be gone tomorrow."""
    content = snapshot.blob(oid, LONGEST_POINTER)
    return content is not None and pointer(content) is not None


def _content(found: Lock) -> bytes:
    lines = sorted((written(path), pin) for path, pin in found.pins.items())
    pages, parts, start = [], [], 0
    while lines:
        at = size = 0
        part = []
        while at < len(lines) and size < PAGE:
            part.append(b"\n" + line_of(lines[at][1]))
            size += len(part[-1])
            at += 1
        page = b"".join(part)
        pages.append(_LockPage(lines[0][0], start, len(page), sha256_hex(page)))
        parts.append(page)
        start += len(page)
        del lines[:at]
    table = json.dumps([found.count, pages]).encode("ascii")
    head = f"{len(table)} {sha256_hex(table)}".ljust(_HEAD).encode("ascii")
    return b"".join((head, table, *parts))


class KeptLock(Lock):
    """Answers as the lock that was kept."""

    def __init__(self, kept: Cache, key: bytes, read: Callable[[], Lock]) -> None:
        """`read` reads it from the tree. Raises _Damaged where nothing is kept."""
        self._kept, self._key, self._read = kept, key, read
        fields = (kept.part(KIND, key, 0, _HEAD) or b"").split()
        if len(fields) != 2 or not fields[0].isdigit():
            raise _Damaged
        self._start = _HEAD + int(fields[0])
        table = kept.part(KIND, key, _HEAD, int(fields[0]))
        if table is None or sha256_hex(table).encode("ascii") != fields[1]:
            raise _Damaged
        try:
            self._count, pages = json.loads(table)
            self.pages = [_LockPage(*page) for page in pages]
        except (ValueError, TypeError):
            raise _Damaged from None
        self._firsts = [page.first for page in self.pages]
        self._loaded: dict[int, bytes] = {}
        self._known: dict[str, Pinned | None] = {}
        self._held: dict[str, bool] = {}

    @property
    def count(self) -> int:
        return int(self._count)

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
            except _Damaged:
                self._known[path] = self._whole.get(path)
        return self._known[path]

    def holds(self, folder: str) -> bool:
        if folder not in self._held:
            try:
                self._held[folder] = next(self._starting(written(folder + "/")[:-1]), None) is not None
            except _Damaged:
                self._held[folder] = self._whole.holds(folder)
        return self._held[folder]

    def differing(self, other: Lock) -> set[str]:
        if not isinstance(other, KeptLock):
            return super().differing(other)
        try:
            here, there = self.lines_beside(other), other.lines_beside(self)
        except _Damaged:
            return super().differing(other)
        theirs = {pin["path"]: pin for pin in map(json.loads, there - here)}
        mine = map(json.loads, here - there)  # 1 and 1.0 are two lines, and one number
        return {pin["path"] for pin in mine if theirs.get(pin["path"]) != pin}

    def lines_beside(self, other: KeptLock) -> set[bytes]:
        """The lines of the pages that another lock has not."""
        known = {page.digest for page in other.pages}
        numbers = (number for number, page in enumerate(self.pages) if page.digest not in known)
        return {line for number in numbers for line in self._page(number).split(b"\n")[1:]}

    def starting(self, text: str) -> Iterator[str]:
        try:
            yield from [*self._starting(written(text)[:-1])]
        except _Damaged:
            yield from self._whole.starting(text)

    def _found(self, path: str) -> Pinned | None:
        number = bisect_right(self._firsts, path) - 1
        if number < 0:
            return None
        page = self._page(number)
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
            page = self._page(number)
            at = page.find(wanted)
            while at >= 0:
                yield decoder.raw_decode(_line_at(page, at).decode("ascii"), len(_START) - 1)[0]
                at = page.find(wanted, at + 1)

    def _page(self, number: int) -> bytes:
        """Raises _Damaged."""
        if number not in self._loaded:
            page = self.pages[number]
            data = self._kept.part(KIND, self._key, self._start + page.start, page.size)
            if data is None or sha256_hex(data) != page.digest:
                raise _Damaged
            self._loaded[number] = data
        return self._loaded[number]


def _line_at(page: bytes, at: int) -> bytes:
    """The line that follows a line break."""
    end = page.find(b"\n", at + 1)
    return page[at + 1 : end if end >= 0 else len(page)]
