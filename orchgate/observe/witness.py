"""What fanotify tells of watched folders, beside inotify which counts: that a folder was untouched before its watch.

inotify counts exactly, but a folder made during the run is under watch only some 0.2 ms later. fanotify has seen it
from its first moment, with the names in it and the processes; it merges what one process does to one file in a short
time, so what it alone has seen is a lower bound. Folders are known by their handles, which no other one ever has again.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from orchgate.observe import event_counts, fanotify
from orchgate.runner import activity
from orchgate.runs.ids import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

EARLY = "used before it could be watched: a file that was written again at once counts once, and reads are unknown"
UNREAD = "used before it could be watched: what was read in that moment is unknown"
TO_AND_FRO = "renamed to and fro: what happened under which name is not known"
_COLUMNS = (
    (fanotify.CREATE, event_counts.CREATED),
    (fanotify.CLOSE_WRITE, event_counts.WRITTEN),
    (fanotify.MOVED_TO, event_counts.RENAMED),
    (fanotify.DELETE, event_counts.REMOVED),
)
_BOTH_WAYS = fanotify.MOVED_FROM | fanotify.MOVED_TO
_UNKNOWN = (b"", b"")
_MISSING = (errno.ENOENT, errno.ENOTDIR)


class Witness:
    """A second pair of eyes on the folders below some roots. Paths are absolute, as bytes."""

    def __init__(self, roots: Collection[bytes], excluded: Collection[bytes]) -> None:
        """Raises OSError where the kernel does not tell us, or not of one of the file systems."""
        self._roots, self._excluded = tuple(roots), frozenset(excluded)
        self._group = fanotify.Group()
        self._above: dict[bytes, tuple[bytes, bytes]] = {}  # by key of a folder: that above it ("" if none), its name
        self._keys: dict[bytes, bytes] = {}  # by path, of the folders that were there at the start
        self._new: set[bytes] = set()
        self._since: dict[bytes, int] = {}  # new folders under watch, with the number of the last read before that
        self._place: dict[bytes, bytes] = {}  # where those were
        self._waiting: list[bytes] = []  # new ones under watch, where the queue is still to be emptied
        self._left: set[bytes] = set()  # those that left their names, and may turn up under others
        self._leaving: set[bytes] = set()
        self._dead: set[bytes] = set()
        self._raw: list[tuple[int, bytes]] = []
        self._reads = self.raw_bytes = 0
        self._started = False
        self.trusted = True  # False once something may have been missed
        self.clear()
        try:
            for root in self._roots:
                self._look_above(root)
        except OSError:
            self.close()
            raise

    def clear(self) -> None:
        """Begins another measurement of the same folders."""
        for key in self._dead:
            self._new.discard(key)
            for table in (self._above, self._since, self._place):
                table.pop(key, None)
        self._dead.clear()
        self.counts: dict[bytes, list[int]] = {}
        self.processes: dict[bytes, set[int]] = {}  # by file: who did something to it
        self.early: dict[bytes, int] = {}  # what happened to files before their folder was under watch
        self._early_file: dict[bytes, bytes] = {}
        self.renames = False  # whether any folder was renamed
        self.unsure: dict[bytes, str] = {}  # folders because of which counts are lower bounds, and why
        self.bounds: set[str] = set()  # the metrics that are

    @property
    def descriptor(self) -> int:
        return self._group.descriptor

    def close(self) -> None:
        self._group.close()

    def start(self) -> None:
        """From now on what comes under watch is new. Raises OSError where a file system tells nothing."""
        if not self.trusted:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self._started = True

    def key(self, folder: bytes) -> bytes:
        """What a folder is known by; empty when it is gone, or nobody can tell."""
        try:
            return self._group.key(folder)
        except OSError as error:
            self.trusted = self.trusted and error.errno in _MISSING
            return b""

    def watched(self, folder: bytes, before: bytes) -> None:
        """A folder has come under watch; `before` is its key from before that."""
        key = self.key(folder)
        if not key or key != before:
            return  # another one has its name by now
        if self._started:
            self._waiting.append(key)
            if key not in self._above:
                self._place.setdefault(key, folder)
            return
        self._keys[folder] = key
        above = self._keys.get(os.path.dirname(folder), b"")
        self._above[key] = (above, os.path.basename(folder) if above else folder)

    def read(self) -> int:
        """Takes what the kernel has to tell, in bytes. What it tells later happened after all watches of now."""
        taken = 0
        while data := self._group.read():
            self._reads += 1
            self._raw.append((self._reads, data))
            taken += len(data)
        self.raw_bytes += taken
        for key in self._waiting:
            self._since.setdefault(key, self._reads)
        self._waiting.clear()
        return taken

    def parse(self) -> None:
        """Counts what has been read."""
        raw, self._raw, self.raw_bytes = self._raw, [], 0
        for number, data in raw:
            for record in fanotify.records(data):
                if record.mask & fanotify.OVERFLOW:
                    self.trusted = False
                elif (folder := self._path(record.folder)) is None:
                    if record.mask & fanotify.FOLDER and record.mask & fanotify.MOVED_TO:
                        self._lose(record.file)
                elif record.mask & fanotify.FOLDER:
                    self._folder(record, folder + b"/" + record.name)
                elif self._inside(folder):
                    self._file(record, number, folder)
        for key in self._leaving:
            self._above.pop(key, None)
        self._leaving.clear()
        # Folders that came inside another one, of which no record told: what is told from now on happened in them here.
        for key in [key for key in self._place if key in self._since]:
            self._above.setdefault(key, (b"", self._place.pop(key)))

    def moved_in(self, folder: bytes) -> bool:
        """Whether a folder that turned up came from where nobody watches."""
        return self.unsure.get(folder) == activity.MOVED_IN

    def others(self, ours: Callable[[int], bool]) -> tuple[set[bytes], set[bytes]]:
        """The files that only processes other than `ours` touched, and those that both did."""
        mine = {pid for pid in set().union(*self.processes.values()) if ours(pid)}
        others = {path for path, pids in self.processes.items() if not pids & mine}
        return others, {path for path, pids in self.processes.items() if path not in others and pids - mine}

    def _look_above(self, root: bytes) -> None:
        """Notes the folders on the way to a root: it may be made, or made again."""
        above = root
        while above != b"/":
            above = os.path.dirname(above)
            if os.path.isdir(above):
                self._above.setdefault(self._group.key(above), (b"", above))

    def _path(self, key: bytes) -> bytes | None:
        """Where a folder is by now, as far as the records have been followed; None for what is not ours."""
        names: list[bytes] = []
        while True:
            above, name = self._above.get(key, _UNKNOWN)
            if not above:
                return b"/".join([name.rstrip(b"/"), *reversed(names)]) if name else None
            names.append(name)
            key = above

    def _inside(self, path: bytes) -> bool:
        return any(path == root or path.startswith(root.rstrip(b"/") + b"/") for root in self._roots)

    def _folder(self, record: fanotify.Record, path: bytes) -> None:
        inside = self._inside(path)
        if path in self._excluded or not (inside or any(root.startswith(path + b"/") for root in self._roots)):
            self._lose(record.file)
            return
        key, mask = record.file, record.mask
        known = key in self._above or key in self._left
        self.renames = self.renames or bool(mask & _BOTH_WAYS)
        if mask & _BOTH_WAYS == _BOTH_WAYS:
            self._doubt(path, TO_AND_FRO)
        elif mask & (fanotify.CREATE | fanotify.MOVED_TO):
            self._above[key] = (record.folder, record.name)
            self._place.pop(key, None)
            self._left.discard(key)
            self._leaving.discard(key)
        if mask & fanotify.CREATE:
            self._new.add(key)
        elif mask & fanotify.MOVED_TO and not known:
            self._new.add(key)
            if inside:
                self._doubt(path, activity.MOVED_IN)
        if mask & _BOTH_WAYS == fanotify.MOVED_FROM:
            self._leave(key, later=bool(mask & fanotify.CREATE))
        if mask & fanotify.DELETE:
            self._dead.add(key)

    def _doubt(self, path: bytes, why: str) -> None:
        self.unsure[path] = why
        self.bounds.update(activity.METRICS)

    def _lose(self, key: bytes) -> None:
        """A folder is where nobody watches: should it come back, it is a stranger."""
        self._above.pop(key, None)
        self._left.discard(key)

    def _leave(self, key: bytes, *, later: bool) -> None:
        """A folder left its name: `later`, where one record has that and its making, after the records that follow."""
        self._left.add(key)
        if later:
            self._leaving.add(key)
        else:
            self._above.pop(key, None)
            self._place.pop(key, None)

    def _file(self, record: fanotify.Record, number: int, folder: bytes) -> None:
        path = folder + b"/" + record.name
        row = self.counts.setdefault(path, [0, 0, 0, 0, 0])
        for bit, column in _COLUMNS:
            if record.mask & bit:
                row[column] += 1
        self.processes.setdefault(path, set()).add(record.process)
        since = self._since.get(record.folder)
        if record.folder in self._new and (since is None or number <= since):
            first = self._early_file.setdefault(path, record.file)
            # Of several files that had one name one after the other, nobody knows which was found there.
            self.early[path] = self.early.get(path, 0) | record.mask if first == record.file else 0
            self.unsure.setdefault(folder, UNREAD)
            self.bounds.add(activity.READS)
            if record.mask & fanotify.CLOSE_WRITE:
                if self.unsure[folder] == UNREAD:
                    self.unsure[folder] = EARLY
                self.bounds.add(activity.WRITES)
                if record.name == MANIFEST.encode():
                    self.bounds.add(activity.MANIFESTS)
