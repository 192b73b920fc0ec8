"""What the kernel's fanotify reports of watched folders, in addition to inotify: that a folder was untouched before its
watch.

inotify counts exactly, but a folder made during the run is under watch only some 0.2 ms later. fanotify reports the
names of a whole file system from their first moment, with folders as handles and who did it. It merges what one process
does to one file in a short time, so that a record says *at least once*. Only the superuser gets these events, and not
on every file system: OSError is the usual answer elsewhere.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.observe import activity
from orchgate.runs.ids import MANIFEST as MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x08, 0x40, 0x80, 0x100, 0x200
OVERFLOW, FOLDER = 0x4000, 0x40000000
_MASK = CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | FOLDER
# Close on exec, not blocking, and as many file systems as there are; then the folder, the name and the file itself.
_FLAGS = 0x1 | 0x2 | 0x20 | 0x400 | 0x800 | 0x200 | 0x1000
_ADD_FILE_SYSTEM = 0x001 | 0x100
_HERE = -100
_BUFFER = 64 * 1024
_EVENT = struct.Struct("=IBBHQii")  # length, version, reserved, length of this, mask, descriptor, process
_INFO = struct.Struct("=BBH")  # kind, padding, length with this
_SIZE_AND_KIND = struct.Struct("=Ii")  # of a handle
_NAMED, _FILE = 2, 1
_ID = 8  # bytes that name the file system, in front of a handle
_LONGEST = 128  # bytes of a handle
EARLY = "used before it could be watched: a file that was written again at once counts once, and reads are unknown"
UNREAD = "used before it could be watched: what was read in that moment is unknown"
RENAMED_BACK = "renamed back and forth: what happened under which name is not known"
_COLUMNS = (
    (CREATE, activity.CREATED),
    (CLOSE_WRITE, activity.WRITTEN),
    (MOVED_TO, activity.RENAMED),
    (DELETE, activity.REMOVED),
)
_BOTH_WAYS = MOVED_FROM | MOVED_TO
_UNKNOWN = (b"", b"")
_MISSING = (errno.ENOENT, errno.ENOTDIR)


class NameEvent(NamedTuple):
    """What one process did to one name, each kind at least once. `folder` and `file` are keys as `key` makes them."""

    mask: int
    process: int
    folder: bytes
    name: bytes
    file: bytes


class EventQueue:
    """The queue of unread events. Raises OSError where the kernel gives none."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        try:
            self._mark, self._handle = self._library.fanotify_mark, self._library.name_to_handle_at
            self.descriptor = self._checked(self._library.fanotify_init(_FLAGS, 0))
        except AttributeError as error:  # another C library, or another system
            raise OSError(str(error)) from error
        self._mark.argtypes = (ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)
        self._handle.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
        self._handle_buffer = ctypes.create_string_buffer(_SIZE_AND_KIND.size + _LONGEST)
        self._mount = ctypes.c_int()
        self._places = ctypes.addressof(self._handle_buffer), ctypes.addressof(self._mount)
        self._systems: dict[int, bytes] = {}  # by mount: its file system, which is marked

    def close(self) -> None:
        os.close(self.descriptor)

    def read(self) -> bytes:
        try:
            return os.read(self.descriptor, _BUFFER)
        except BlockingIOError:
            return b""

    def key(self, folder: bytes) -> bytes:
        """What a folder is called in records. Its file system is listened to from now on. Raises OSError."""
        _SIZE_AND_KIND.pack_into(self._handle_buffer, 0, _LONGEST, 0)
        self._checked(self._handle(_HERE, folder, *self._places, 0))
        handle = self._handle_buffer.raw
        system = self._systems.get(self._mount.value)
        if system is None:
            self._checked(self._mark(self.descriptor, _ADD_FILE_SYSTEM, _MASK, _HERE, folder))
            system = self._systems[self._mount.value] = struct.pack("=Q", os.statvfs(folder).f_fsid)
        return system + handle[: _SIZE_AND_KIND.size + _SIZE_AND_KIND.unpack_from(handle)[0]]

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def records(data: bytes) -> Iterator[NameEvent]:
    """The records of what was read; an overflow has no folder."""
    position, end = 0, len(data)
    while position < end:
        length, _, _, start, mask, _, process = _EVENT.unpack_from(data, position)
        folder = name = file = b""
        at, position = position + start, position + length
        while at < position:
            kind, _, size = _INFO.unpack_from(data, at)
            body = at + _INFO.size
            inner = body + _ID + _SIZE_AND_KIND.size + _SIZE_AND_KIND.unpack_from(data, body + _ID)[0]
            if kind == _NAMED:
                folder, name = data[body:inner], data[inner : at + size].partition(b"\0")[0]
            elif kind == _FILE:
                file = data[body:inner]
            at += size
        yield NameEvent(mask, process, folder, name, file)


class Witness:
    """A second record of what happens in the folders below some roots. Paths are absolute, as bytes."""

    def __init__(self, roots: Collection[bytes], excluded: Collection[bytes]) -> None:
        """Raises OSError where the kernel does not report these events, or not for one of the file systems."""
        self._roots, self._excluded = tuple(roots), frozenset(excluded)
        self._queue = EventQueue()
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
        return self._queue.descriptor

    def close(self) -> None:
        self._queue.close()

    def start(self) -> None:
        """From now on what comes under watch is new. Raises OSError where a file system reports nothing."""
        if not self.trusted:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self._started = True

    def key(self, folder: bytes) -> bytes:
        """The key of a folder; empty when it is gone, or unknown."""
        try:
            return self._queue.key(folder)
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
        """Reads the queue; returns the bytes. What is reported later happened after all present watches."""
        taken = 0
        while data := self._queue.read():
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
            for record in records(data):
                if record.mask & OVERFLOW:
                    self.trusted = False
                elif (folder := self._path(record.folder)) is None:
                    if record.mask & FOLDER and record.mask & MOVED_TO:
                        self._lose(record.file)
                elif record.mask & FOLDER:
                    self._folder(record, folder + b"/" + record.name)
                elif self._inside(folder):
                    self._file(record, number, folder)
        for key in self._leaving:
            self._above.pop(key, None)
        self._leaving.clear()
        # Folders that came inside another one, without a record: what is reported from now on happened here.
        for key in [key for key in self._place if key in self._since]:
            self._above.setdefault(key, (b"", self._place.pop(key)))

    def moved_in(self, folder: bytes) -> bool:
        """Whether a folder that turned up came from outside of the watched folders."""
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
                self._above.setdefault(self._queue.key(above), (b"", above))

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

    def _folder(self, record: NameEvent, path: bytes) -> None:
        inside = self._inside(path)
        if path in self._excluded or not (inside or any(root.startswith(path + b"/") for root in self._roots)):
            self._lose(record.file)
            return
        key, mask = record.file, record.mask
        known = key in self._above or key in self._left
        self.renames = self.renames or bool(mask & _BOTH_WAYS)
        if mask & _BOTH_WAYS == _BOTH_WAYS:
            self._doubt(path, RENAMED_BACK)
        elif mask & (CREATE | MOVED_TO):
            self._above[key] = (record.folder, record.name)
            self._place.pop(key, None)
            self._left.discard(key)
            self._leaving.discard(key)
        if mask & CREATE:
            self._new.add(key)
        elif mask & MOVED_TO and not known:
            self._new.add(key)
            if inside:
                self._doubt(path, activity.MOVED_IN)
        if mask & _BOTH_WAYS == MOVED_FROM:
            self._leave(key, later=bool(mask & CREATE))
        if mask & DELETE:
            self._dead.add(key)

    def _doubt(self, path: bytes, why: str) -> None:
        self.unsure[path] = why
        self.bounds.update(activity.METRICS)

    def _lose(self, key: bytes) -> None:
        """A folder left the watched ones: should it come back, it counts as a new one."""
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

    def _file(self, record: NameEvent, number: int, folder: bytes) -> None:
        path = folder + b"/" + record.name
        row = self.counts.setdefault(path, [0, 0, 0, 0, 0])
        for bit, column in _COLUMNS:
            if record.mask & bit:
                row[column] += 1
        self.processes.setdefault(path, set()).add(record.process)
        since = self._since.get(record.folder)
        if record.folder in self._new and (since is None or number <= since):
            first = self._early_file.setdefault(path, record.file)
            # Of several files that had one name one after the other, it is unknown which was found there.
            self.early[path] = self.early.get(path, 0) | record.mask if first == record.file else 0
            self.unsure.setdefault(folder, UNREAD)
            self.bounds.add(activity.READS)
            if record.mask & CLOSE_WRITE:
                if self.unsure[folder] == UNREAD:
                    self.unsure[folder] = EARLY
                self.bounds.add(activity.WRITES)
                if record.name == MANIFEST_NAME.encode():
                    self.bounds.add(activity.MANIFESTS)
