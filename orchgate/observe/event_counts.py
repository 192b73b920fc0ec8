"""What the kernel's file events add up to, per file. Pure: no files, no processes.

The kernel reports an event only once when an identical one is the last in its queue. Every write and every read is
therefore counted at its close, with the open that preceded it asked for as well: the two alternate, and nothing merges
unless one file is open several times at once, which shows where something else comes between two openings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLOSE_WRITE, CLOSE_NOWRITE, OPEN = 0x08, 0x10, 0x20
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
ALL = CLOSE_WRITE | CLOSE_NOWRITE | OPEN | MOVED_FROM | MOVED_TO | CREATE | DELETE

_CLOSE = CLOSE_WRITE | CLOSE_NOWRITE
CREATED, WRITTEN, RENAMED, REMOVED, READ = range(5)
_NOTHING = (0, 0, 0, 0, 0)
_COLUMN = {CREATE: CREATED, CLOSE_WRITE: WRITTEN, MOVED_TO: RENAMED, DELETE: REMOVED, CLOSE_NOWRITE: READ}
MOST = 500_000  # files counted one by one, some 150 MB


class EventCounts:
    """Counts by path: [created, written, renamed to, removed, opened for reading]."""

    def __init__(self) -> None:
        self.counts: dict[bytes, list[int]] = {}
        self.overfull = False
        # Files that stood in a new folder when it came under watch, and how often each was opened since. Whether one
        # was made before or after that moment shows in the events that follow.
        self.standing: dict[bytes, int] = {}
        self._empty: set[bytes] = set()
        self._open: dict[bytes, int] = {}  # how often each file is open
        self.at_once: set[bytes] = set()  # files that were open more than once at a time: some closes may be missing
        self.left: set[int] = set()  # renames of files out of sight, by cookie
        self.early = 0  # of those, the ones that had been there before: written once at least
        # What is known to have happened to each of them before, as a mask; None where that is not known.
        self.known: Mapping[bytes, int] | None = None

    def clear(self) -> None:
        self.counts.clear()
        self._empty.clear()
        self.at_once.clear()
        self.left.clear()
        self.overfull = False
        self.early = 0

    def count(self, path: bytes, column: int, times: int = 1) -> None:
        row = self.counts.get(path)
        if row is None:
            if len(self.counts) >= MOST:
                self.overfull = True
                path = b""
            row = self.counts.setdefault(path, [0, 0, 0, 0, 0])
        row[column] += times

    def stands(self, path: bytes) -> None:
        self.standing[path] = 0

    def stands_empty(self, path: bytes) -> None:
        """Something that is made without being written, such as a link."""
        self.standing[path] = 0
        self._empty.add(path)

    def own(self, path: bytes) -> bool:
        """Whether the opening of a file is its maker's own: then its close accounts for both."""
        return self.standing.get(path) == 0

    def event(self, path: bytes, mask: int) -> None:
        """One event of one file."""
        if path in self.standing and not self._place(path, mask):
            return
        if mask == OPEN:
            before = self._open.get(path, 0)
            self._open[path] = before + 1
            if before:
                self.at_once.add(path)
        elif (before := self._open.pop(path, 0)) > 1 and mask & _CLOSE:
            self._open[path] = before - 1
        if (column := _COLUMN.get(mask)) is not None:
            self.count(path, column)

    def _place(self, path: bytes, mask: int) -> bool:
        """Decides when a file that stood there was made; False when that accounts for the event."""
        if mask in (CREATE, MOVED_TO):  # it was this event that brought it
            del self.standing[path]
        elif mask == OPEN:
            self.standing[path] += 1
        elif mask in (CLOSE_WRITE, CLOSE_NOWRITE) and self.standing[path]:
            self.standing[path] -= 1
        elif mask == CLOSE_WRITE:  # its maker still had it open
            self._made(path, CLOSE_WRITE)
            return False
        elif mask in (DELETE, MOVED_FROM):
            self._made(path)
        return True

    def _made(self, path: bytes, seen: int = 0) -> None:
        del self.standing[path]
        self.early += 1
        if self.known is None and self.left:
            self.left.pop()  # it may be the one that was renamed out of a folder under watch, and is counted there
            return
        guess = CREATE if path in self._empty else CREATE | CLOSE_WRITE
        mask = guess if self.known is None else self.known.get(path, 0) | seen
        for bit, column in ((CREATE, CREATED), (CLOSE_WRITE, WRITTEN), (MOVED_TO, RENAMED)):
            if mask & bit:
                self.count(path, column)

    def merge(self, counts: Mapping[bytes, Sequence[int]], *, by_name: bool) -> None:
        """Somebody else has seen at least this much: the larger number holds, of each file where both go `by_name`.

        Folders that were renamed may have made one event two names: then it is the larger sum of each column.
        """
        for column in range(READ):
            own = sum(row[column] for row in self.counts.values())
            if not by_name and own >= sum(row[column] for row in counts.values()):
                continue
            for path in () if by_name else self.counts:
                self.counts[path][column] = 0
            for path, row in counts.items():
                lacking = row[column] - self.counts.get(path, _NOTHING)[column]
                if lacking > 0 and not (self.overfull and by_name and path not in self.counts):
                    self.count(path, column, lacking)

    def unopened(self) -> list[bytes]:
        """The names that came into being without anything being opened under them, as links to folders do."""
        return [
            path for path, row in self.counts.items() if row[CREATED] + row[RENAMED] and not row[WRITTEN] + row[READ]
        ]

    def settle(self) -> None:
        """No more events will come for now: what stood in new folders was made there, and written once."""
        for path in list(self.standing):
            self._made(path)
