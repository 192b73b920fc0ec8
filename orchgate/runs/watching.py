"""Counts what happens to the files below some folders while something else runs.

On Linux the kernel tells every create, close after writing, rename, removal and close after reading (inotify). A thread
takes its bytes in batches and leaves them unparsed until they are asked for, so that the observed program keeps the
processors to itself. Elsewhere nothing is counted, and that is said.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Self

from orchgate.runs import tally
from orchgate.runs.ids import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.runs.watched import Watched

# An event that wakes this thread costs the program some microseconds, and this thread some more: few of them do,
# `_WAKES` a second, saved up to `_SAVED`. After that it naps between two looks, which take 1 to 3 % of a processor. The
# kernel's queue holds ten times what several processes can do in that time.
_WAKES, _SAVED = 50.0, 32.0
_NAP = 0.005  # seconds
_PLENTY = 64 * 1024  # bytes, a tenth of what the queue holds: no nap before the next look
_MOST_RAW = 64 * 1024 * 1024
_MOST_READS = 1_000  # many times what the queue holds

# What nobody can see, whatever the machine.
BLIND = (
    "changes through mapped memory and by truncate(2)",
    "writes of other machines to a network file system",
    "reads and writes of a file that was open before and stays open afterwards",
    "one of several opens of one file in the same moment",
)
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "gpfs", "glusterfs", "afs", "fuse.sshfs")


class FileActivity(NamedTuple):
    """How often each thing happened to one file.

    `written` counts closes after it was opened for writing, `renamed` renames to this name (over an older file or not),
    `read` closes after it was opened for reading only.
    """

    created: int = 0
    written: int = 0
    renamed: int = 0
    removed: int = 0
    read: int = 0

    @property
    def writes(self) -> int:
        """How often the file got new content."""
        return self.written + self.renamed


class Activity(NamedTuple):
    """What happened to the files by absolute path. When some of it was `lost`, the counts are lower bounds.

    `early` files were there before the new folder they are in could be watched, some 0.2 ms after it was made: each is
    counted as created and written once, whatever else it may have seen until then.
    """

    files: Mapping[str, FileActivity]
    lost: bool
    notes: tuple[str, ...]
    early: int = 0


def counters(activity: Activity) -> Mapping[str, float]:
    """The counts that are exact: none when some events were lost."""
    if activity.lost:
        return {}
    files = activity.files
    return {
        "manifest_writes": sum(one.writes for path, one in files.items() if os.path.basename(path) == MANIFEST),
        "files_written": sum(1 for one in files.values() if one.writes),
        "file_writes": sum(one.written for one in files.values()),
        "file_renames": sum(one.renamed for one in files.values()),
        "files_created": sum(one.created for one in files.values()),
        "files_removed": sum(one.removed for one in files.values()),
        "file_reads": sum(one.read for one in files.values()),
    }


def watch(folders: Iterable[str], exclude: Iterable[str] = ()) -> Watch:
    """Watches folders, whether they are there yet or not, and all below them but `exclude`. No errors.

    To be used as a context manager, or closed. Whoever forks must do so before.
    """
    return Watch(folders, exclude)


class Watch:
    """An open watch: `take` returns what happened since the last time, `finish` the same, and ends it."""

    def __init__(self, folders: Iterable[str], exclude: Iterable[str]) -> None:
        self._tally = tally.Tally()
        self._lock = threading.Lock()
        self._notes: list[str] = []
        self._watched: Watched | None = None
        self._ending = False
        roots = [os.path.realpath(folder) for folder in folders]
        try:
            from orchgate.runs.watched import Watched

            self._watched = Watched(
                [os.fsencode(root) for root in roots],
                [os.fsencode(os.path.realpath(folder)) for folder in exclude],
                self._tally,
            )
        except (ImportError, OSError) as error:
            self._notes.append(_why_blind(error))
            return
        self._notes += _network(roots)
        self._wakeup, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._look, args=(self._watched,), name="orchgate-watch", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self) -> Activity:
        """What happened since the last time. To be called when the programs have ended: then nothing is on its way."""
        watched = self._watched
        if watched is None:
            return Activity({}, lost=True, notes=tuple(self._notes))
        with self._lock:
            for _ in range(_MOST_READS):  # somebody left behind may write for ever
                if not watched.read():
                    break
                watched.parse()
            watched.parse()
            self._tally.settle()
            notes = (*self._notes, *_losses(watched), *_overfull(self._tally))
            lost = len(notes) > len(self._notes)
            files = {os.fsdecode(path): FileActivity(*row) for path, row in self._tally.counts.items()}
            early = self._tally.early
            self._tally.clear()
            watched.overflowed = False
        return Activity(files, lost, notes, early)

    def finish(self) -> Activity:
        """The same as `take`, and the end of the watch."""
        try:
            return self.take()
        finally:
            self.close()

    def close(self) -> None:
        watched, self._watched = self._watched, None
        if watched is None:
            return
        self._ending = True
        os.close(self._waker)
        self._thread.join()
        os.close(self._wakeup)
        watched.close()

    def _look(self, watched: Watched) -> None:
        """The thread: takes the kernel's bytes before its queue is full."""
        poller = select.poll()
        for descriptor in (watched.descriptor, self._wakeup):
            poller.register(descriptor, select.POLLIN)
        credit, last, taken = _SAVED, time.monotonic(), 0
        while not self._ending and (taken or poller.poll()):
            taken = self._empty(watched)
            now = time.monotonic()
            credit, last = min(_SAVED, credit + (now - last) * _WAKES) - 1, now
            if credit < 0:
                credit = 0.0
                if taken < _PLENTY:
                    time.sleep(_NAP)

    def _empty(self, watched: Watched) -> int:
        """Takes what the kernel's queue holds, in bytes."""
        from orchgate.runs.watched import MUCH

        with self._lock:
            taken = more = watched.read()
            while more > MUCH:
                more = watched.read()
                taken += more
            if watched.raw_bytes > _MOST_RAW:
                watched.parse()
        return taken


def _why_blind(error: ImportError | OSError) -> str:
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        limit = _limit("max_user_instances")
        return f"file events not counted: this user has all {limit} queues of events in use (max_user_instances)"
    return f"file events not counted: this system tells none ({error})"


def _losses(watched: Watched) -> list[str]:
    notes = []
    if watched.overflowed:
        limit = _limit("max_queued_events")
        notes.append(f"counts are lower bounds: the kernel's queue of {limit} events overflowed (max_queued_events)")
    for number, folders in watched.unwatched.items():
        where = f"{folders} {'folder' if folders == 1 else 'folders'}"
        if number == errno.ENOSPC:
            why = f"this user's limit of {_limit('max_user_watches')} watches is reached (fs.inotify.max_user_watches)"
        else:
            why = os.strerror(number)
        notes.append(f"counts are lower bounds: {where} could not be watched: {why}")
    return notes


def _overfull(counts: tally.Tally) -> list[str]:
    return [f"counts are lower bounds: more than {tally.MOST} files had events"] if counts.overfull else []


def _limit(name: str) -> str:
    with contextlib.suppress(OSError), open(f"/proc/sys/fs/inotify/{name}", encoding="ascii") as file:
        return file.read().strip()
    return "?"


def _network(roots: Iterable[str]) -> list[str]:
    """Which folders lie on file systems that other machines write to."""
    kinds: dict[str, str] = {}
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            mount, _, source = line.partition(" - ")
            if source and (kind := source.split(" ", 1)[0]) in _NETWORK:
                kinds[mount.split(" ")[4]] = kind
    return [
        f"{root} lies on a network file system ({kind}): writes of other machines are not seen"
        for root in roots
        for mount, kind in kinds.items()
        if f"{root}/".startswith(f"{mount.rstrip('/')}/")
    ]
