"""The folders under watch: which there are, which come and go, and what the kernel reports of the files in them.

A folder that is made during the run is put under watch and then looked into: whatever was faster than the watch is
found there. A folder that is not there yet is awaited in the nearest one above it that is.
"""

from __future__ import annotations

import errno
import os
import struct

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.observe import activity
from orchgate.observe.activity import ALL_EVENTS, CREATE, DELETE, MOVED_FROM, MOVED_TO, OPEN, RENAMED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from orchgate.observe.activity import EventCounts
    from orchgate.observe.fanotify import Witness

_ONLY_FOLDERS, _FOLDER = 0x01000000, 0x40000000
_DELETE_SELF, _OVERFLOW, _IGNORED = 0x400, 0x4000, 0x8000
_AWAITED = CREATE | MOVED_TO | _DELETE_SELF | _ONLY_FOLDERS
_SPECIAL = _FOLDER | _OVERFLOW | _IGNORED | _DELETE_SELF
_MOVE = MOVED_FROM | MOVED_TO
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_BUFFER = 64 * 1024
MOST_LINKS = 100
MUCH = _BUFFER // 2  # bytes; where a read brings fewer there was no more to be had
# How the events look in the kernel's bytes that cannot wait: a search for them is a thousand times faster than parsing.
_NEW_FOLDER = struct.pack("I", _FOLDER | CREATE)
_UPHEAVAL = tuple(struct.pack("I", _FOLDER | kind) for kind in (MOVED_TO, MOVED_FROM, DELETE))


class WatchedTree:
    """Watches on folders and all below them. Paths are absolute, as bytes."""

    def __init__(
        self,
        roots: Collection[bytes],
        excluded: Collection[bytes],
        counts: EventCounts,
        witness: Witness | None,
    ) -> None:
        """`roots` lie in no other one of them. Raises OSError where the kernel gives no queue of events."""
        import inotify_simple

        self._inotify = inotify_simple.INotify(nonblocking=True)
        self._roots = tuple(roots)
        self.witness = witness
        self._excluded = frozenset(excluded)
        self._counts = counts
        self._folders: dict[int, bytes] = {}
        self._awaiting: dict[int, bytes] = {}
        self._appeared: set[bytes] = set()  # the roots that were there at some time
        self._moved: dict[int, bytes] = {}  # by cookie: folders that left one name and may turn up under another
        # New folders whose first event is still to come, with the number of the last read before their watch.
        self._fresh: dict[int, int] = {}
        self._ahead: set[bytes] = set()  # those whose making has been acted upon, and is still to be parsed
        self._raw: list[tuple[int, bytes]] = []
        self._reads = 0
        self.raw_bytes = 0
        self.overflowed = False
        self.unwatched: dict[int, int] = {}  # folders that could not be watched, by error number
        self.unsure: dict[bytes, str] = {}  # folders that may have been used before their watch, and why
        self.links: dict[bytes, bytes] = {}  # links to folders, which are not followed, and where they lead
        for root in self._roots:
            self._await(root, None)

    @property
    def descriptor(self) -> int:
        return int(self._inotify.fileno())

    def absent(self) -> list[bytes]:
        """The roots that are not there, and of which nothing was ever seen."""
        return [root for root in self._roots if root not in self._appeared and not os.path.lexists(root)]

    def close(self) -> None:
        self._inotify.close()

    def read(self) -> int:
        """Reads the events that the kernel has queued. New folders are watched at once, files are counted later.

        Returns the number of bytes.
        """
        try:
            data = os.read(self.descriptor, _BUFFER)
        except BlockingIOError:
            data = b""
        else:
            self._take(data)
        if self.witness:  # only now: what it reports from here on happened after the watches
            self.witness.read()
        return len(data)

    def _take(self, data: bytes) -> None:
        self._reads += 1
        self._raw.append((self._reads, data))
        self.raw_bytes += len(data)
        if any(sign in data for sign in _UPHEAVAL) or not self._folders:
            self.parse()
        elif _NEW_FOLDER in data:
            self._add_new(data)

    def clear(self) -> None:
        """Begins another measurement of the same folders."""
        self.overflowed = False
        self.unsure.clear()

    def _add_new(self, data: bytes) -> None:
        """Watches new folders ahead of parsing. Other bytes that look like one name no folder, so they do no harm."""
        position = data.find(_NEW_FOLDER)
        while position >= 0:
            start = position - 4
            if start >= 0 and position + 12 <= len(data):
                watch, _, _, length = _EVENT.unpack_from(data, start)
                name = data[position + 12 : position + 12 + length].rstrip(b"\0")
                folder = self._folders.get(watch)
                if folder is not None and 0 < len(name) < 256 and b"\0" not in name and b"/" not in name:
                    path = folder + b"/" + name
                    if self._add(path, self._counts.stands):
                        self._ahead.add(path)
            position = data.find(_NEW_FOLDER, position + 4)

    def parse(self) -> None:
        """Counts what has been read."""
        if self.witness:  # first: it knows what happened to the files that were found in new folders
            self.witness.read()
            self.witness.parse()
        raw, self._raw, self.raw_bytes = self._raw, [], 0
        left = dict(self._moved)
        for number, data in raw:
            self._count(data, number)
        for cookie, path in left.items():
            if self._moved.pop(cookie, None):
                self._forget(path)

    def _count(self, data: bytes, number: int) -> None:
        position, end, folders, fresh, event = 0, len(data), self._folders, self._fresh, self._counts.event
        while position < end:
            watch, mask, cookie, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size + length
            name = data[position - length : position].rstrip(b"\0")
            if mask & _SPECIAL or watch in self._awaiting:
                self._special(watch, mask, cookie, name)
            elif (folder := folders.get(watch)) is not None and name:
                path = folder + b"/" + name
                if mask & _MOVE:
                    (self._counts.left.add if mask & MOVED_FROM else self._counts.left.discard)(cookie)
                # A watch may begin between the two events of one call, the file's creation and its opening.
                if watch in fresh and fresh.pop(watch) == number - 1 and mask == OPEN and self._counts.own(path):
                    continue
                event(path, mask)

    def _special(self, watch: int, mask: int, cookie: int, name: bytes) -> None:
        if mask & _OVERFLOW:
            self.overflowed = True
            for root in self._roots:
                self._add(root, None, again=True)
        elif mask & _IGNORED:
            self._gone(watch)
        elif watch in self._awaiting:
            self._came(self._awaiting[watch] + b"/" + name)
        elif (folder := self._folders.get(watch)) is not None and mask & _FOLDER and name:
            self._folder_event(folder + b"/" + name, mask & ALL_EVENTS, cookie)

    def _folder_event(self, path: bytes, mask: int, cookie: int) -> None:
        if mask == CREATE:
            if path in self._ahead:
                self._ahead.discard(path)
            else:
                self._add(path, self._counts.stands)
            self._doubt(path, activity.NEW)
        elif mask == MOVED_FROM:
            self._moved[cookie] = path
        elif mask == MOVED_TO and (old := self._moved.pop(cookie, None)):
            moved = [(watch, one) for watch, one in self._folders.items() if one == old or one.startswith(old + b"/")]
            for watch, folder in moved:
                self._folders[watch] = path + folder[len(old) :]
            # It may have been faster than its watch, and so may folders in it.
            self._add(path, None if moved else self._counts.stands, again=True)
            if not moved:
                self._doubt(path, activity.NEW)
        elif mask == MOVED_TO:  # it was filled outside of the watched folders
            # Unless it came from a folder that is younger than its watch: there, its files may have been counted.
            strange = self.witness.moved_in(path) if self.witness and self.witness.trusted else not self.unsure
            self._add(path, (lambda file: self._counts.count(file, RENAMED)) if strange else None)
            self._doubt(path, activity.MOVED_IN)

    def _doubt(self, path: bytes, why: str) -> None:
        """Notes a folder, unless one above it is noted already."""
        above = path
        while above not in self.unsure and above != b"/":
            above = os.path.dirname(above)
        if above == b"/" and path not in self._excluded:
            self.unsure[path] = why

    def _add(self, top: bytes, found: Callable[[bytes], None] | None, *, again: bool = False) -> bool:
        """Puts a folder and those below it under watch; the files that stand in them already go to `found`.

        Returns whether the folder was there.
        """
        waiting, added = [top], False
        while waiting:
            folder = waiting.pop()
            if folder in self._excluded or (new := self._watch(folder, again=again)) is None:
                continue
            added, report = True, found if new else None
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                            continue
                        if report == self._counts.stands and not entry.is_file(follow_symlinks=False):
                            self._counts.stands_empty(entry.path)
                        elif report:
                            report(entry.path)
                        if entry.is_symlink() and len(self.links) < MOST_LINKS and os.path.isdir(entry.path):
                            self.links[entry.path] = os.path.realpath(entry.path)
            except OSError as error:
                self._refused(error)
        return added

    def _watch(self, folder: bytes, *, again: bool) -> bool | None:
        """Whether the folder is new to us, and not only its name; None where there is nothing to look for in it."""
        key = self.witness.key(folder) if self.witness else b""
        try:
            watch = self._inotify.add_watch(folder, ALL_EVENTS | _ONLY_FOLDERS)
        except OSError as error:
            self._refused(error)
            return None
        if self.witness:
            self.witness.watched(folder, key)
        before = self._folders.get(watch)
        self._folders[watch] = folder
        if before is None and self._reads:
            self._fresh[watch] = self._reads
        return None if before == folder and not again else before is None

    def _refused(self, error: OSError) -> None:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):  # gone again
            number = error.errno or 0
            self.unwatched[number] = self.unwatched.get(number, 0) + 1

    def _await(self, root: bytes, found: Callable[[bytes], None] | None) -> None:
        """Watches for a folder where it is, or will be; it may appear at any moment while we look."""
        reached = b""
        while True:
            above = os.path.dirname(root)
            while not self._await_in(above) and above != b"/":
                above = os.path.dirname(above)
            here = _step(above, root)
            if here == root:
                self._add(root, found)
                if os.path.isdir(root):
                    self._appeared.add(root)
                    if found:
                        self._doubt(root, activity.NEW)
            if here == root or above == reached or not os.path.isdir(here):
                return
            reached = above

    def _await_in(self, folder: bytes) -> bool:
        try:
            self._awaiting[self._inotify.add_watch(folder, _AWAITED)] = folder.rstrip(b"/")
        except OSError as error:
            self._refused(error)
            return False
        return True

    def _came(self, path: bytes) -> None:
        for root in self._roots:
            if root == path or root.startswith(path + b"/"):
                self._await(root, self._counts.stands)

    def _gone(self, watch: int) -> None:
        self._folders.pop(watch, None)
        self._fresh.pop(watch, None)
        if (above := self._awaiting.pop(watch, None)) is not None:
            for root in self._roots:
                if root.startswith(above + b"/"):
                    self._await(root, self._counts.stands)

    def _forget(self, path: bytes) -> None:
        """A folder was moved out of the watched ones."""
        for watch in [
            watch for watch, folder in self._folders.items() if folder == path or folder.startswith(path + b"/")
        ]:
            del self._folders[watch]
            try:
                self._inotify.rm_watch(watch)
            except OSError as error:
                self._refused(error)


def _step(above: bytes, root: bytes) -> bytes:
    """The folder on the way from one to another directly below the first."""
    start = above.rstrip(b"/") + b"/"
    return start + root[len(start) :].partition(b"/")[0]
