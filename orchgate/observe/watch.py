"""Counts what happens to the files below some folders while something else runs.

On Linux the kernel reports every create, close after writing, rename, removal and close after reading (inotify). A
thread takes its bytes in batches and leaves them unparsed until they are asked for, so that the observed program keeps
the processors to itself. Elsewhere nothing is counted, which a note says.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
import time

from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.observe import activity
from orchgate.observe.activity import Activity, FileActivity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Self

    from orchgate.observe.activity import EventCounts
    from orchgate.observe.fanotify import Witness
    from orchgate.observe.watched_tree import WatchedTree

# An event that wakes this thread costs the program some microseconds, and this thread some more: few of them do,
# `_WAKES` a second, saved up to `_SAVED`. After that it naps between two looks, which take 1 to 3 % of a processor. The
# kernel's queue holds ten times what several processes can do in that time.
_WAKES, _SAVED = 50.0, 32.0
_NAP = 0.005  # seconds
_PLENTY = 64 * 1024  # bytes, a tenth of what the queue holds: no nap before the next look
_MOST_RAW = 64 * 1024 * 1024
_MOST_READS = 1_000  # many times what the queue holds
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "gpfs", "glusterfs", "afs", "fuse.sshfs")


def watch(folders: Iterable[str], exclude: Iterable[str] = (), *, privileged: bool = True) -> Watch:
    """Watches folders, whether they are there yet or not, and all below them but `exclude`. No errors.

    To be used as a context manager, or closed. Whoever forks must do so before. Unless `privileged`, what only the
    superuser may use is left alone.
    """
    return Watch(folders, exclude, privileged=privileged)


class Watch:
    """An open watch: `take` returns what happened since the last time, `finish` the same, and ends it."""

    def __init__(self, folders: Iterable[str], exclude: Iterable[str], *, privileged: bool) -> None:
        self._counts = activity.EventCounts()
        self._lock = threading.Lock()
        self._notes: list[str] = []
        self._watched: WatchedTree | None = None
        self._witness: Witness | None = None
        self._ending = False
        named = [os.path.realpath(folder) for folder in folders]
        excluded = [os.fsencode(os.path.realpath(folder)) for folder in exclude]
        self._roots = _outermost([os.fsencode(root) for root in named])
        try:
            self._begin(self._roots, excluded, privileged=privileged)
        except (ImportError, OSError) as error:
            self._notes.append(_why_blind(error))
            return
        self._notes += _on_network(named)
        self._wakeup, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._look, args=(self._watched,), name="orchgate-watch", daemon=True)
        self._thread.start()

    def _begin(self, roots: Collection[bytes], excluded: Collection[bytes], *, privileged: bool) -> None:
        """Raises ImportError, OSError where the kernel gives no queue of events."""
        from orchgate.observe.watched_tree import WatchedTree

        if privileged:
            self._witness = _witness(roots, excluded)
        try:
            self._watched = WatchedTree(roots, excluded, self._counts, self._witness)
        except (ImportError, OSError):
            self._dismiss()
            raise
        if self._witness:
            try:
                self._witness.start()
            except OSError:  # a file system below reports nothing
                self._watched.witness = None
                self._dismiss()
            else:
                self._counts.known = self._witness.early

    def _dismiss(self) -> None:
        if self._witness:
            self._witness.close()
        self._witness = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, ours: Callable[[int], bool] | None = None) -> Activity:
        """What happened since the last time. To be called when the programs have ended: then nothing is on its way.

        `ours` takes the number of a process: whether it is one of the watched ones. None: everything counts.
        """
        watched = self._watched
        if watched is None:
            return Activity({}, lost=True, notes=tuple(self._notes))
        with self._lock:
            for _ in range(_MOST_READS):  # a process left behind may write for ever
                if not watched.read():
                    break
                watched.parse()
            watched.parse()
            self._counts.settle()
            taken = self._added_up(watched, ours)
            self._counts.clear()
            watched.clear()
            if self._witness:
                self._witness.clear()
                self._counts.known = self._witness.early if self._witness.trusted else None
        return taken

    def _added_up(self, watched: WatchedTree, ours: Callable[[int], bool] | None) -> Activity:
        witness = self._witness
        if witness and witness.trusted:
            unsure, late = witness.unsure, sorted(witness.bounds)
        else:
            unsure, late = watched.unsure, list(activity.METRICS if watched.unsure else ())
        others, shared = witness.others(ours) if witness and ours else (set(), set())
        if witness:
            self._counts.merge(witness.counts, by_name=not witness.renames)
        counts = {path: FileActivity(*row) for path, row in self._counts.counts.items() if any(row)}
        losses = (*_losses(watched), *_overfull(self._counts))
        files = {os.fsdecode(path): row for path, row in counts.items() if path not in others}
        at_once = [path for path in map(os.fsdecode, sorted(self._counts.at_once)) if path in files]
        merged = {name for path in at_once for name in activity.merged(path, files[path])}
        return Activity(
            files=files,
            lost=bool(losses),
            notes=(*self._notes, *losses),
            early=self._counts.early,
            unsure={os.fsdecode(path): why for path, why in sorted(unsure.items())}
            | dict.fromkeys(at_once, activity.AT_ONCE),
            bounds=dict.fromkeys(sorted(merged), activity.MERGED) | dict.fromkeys(late, activity.LATE),
            watched_by=activity.FANOTIFY if witness else activity.INOTIFY,
            apart=bool(witness and ours),
            others={os.fsdecode(path): row for path, row in counts.items() if path in others},
            shared=tuple(sorted(os.fsdecode(path) for path in shared if path in counts)),
            absent=tuple(map(os.fsdecode, watched.absent())),
            links={os.fsdecode(path): os.fsdecode(target) for path, target in self._outward(watched)},
        )

    def _outward(self, watched: WatchedTree) -> Iterator[tuple[bytes, bytes]]:
        """The links to folders that are not watched, and where they lead; those made during the run included."""
        from orchgate.observe.watched_tree import MOST_LINKS

        found = dict(watched.links)
        for path in self._counts.unopened():
            if len(found) < MOST_LINKS and os.path.islink(path) and os.path.isdir(path):
                found[path] = os.path.realpath(path)
        for path, target in found.items():
            if _outermost((*self._roots, target)) != self._roots:
                yield path, target

    def finish(self, ours: Callable[[int], bool] | None = None) -> Activity:
        """The same as `take`, and the end of the watch."""
        try:
            return self.take(ours)
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
        self._dismiss()

    def _look(self, watched: WatchedTree) -> None:
        """The thread: takes the kernel's bytes before its queue is full."""
        poller = select.poll()
        for descriptor in (watched.descriptor, self._wakeup, *([self._witness.descriptor] if self._witness else [])):
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

    def _empty(self, watched: WatchedTree) -> int:
        """Takes what the kernel's queue holds, in bytes."""
        from orchgate.observe.watched_tree import MUCH

        with self._lock:
            taken = more = watched.read()
            while more > MUCH:
                more = watched.read()
                taken += more
            if watched.raw_bytes > _MOST_RAW:
                watched.parse()
        return taken


def _witness(roots: Collection[bytes], excluded: Collection[bytes]) -> Witness | None:
    """None where the kernel, or one of the file systems, reports no more to us than to everybody."""
    from orchgate.observe.fanotify import Witness

    with contextlib.suppress(OSError):
        return Witness(roots, excluded)
    return None


def _outermost(roots: Collection[bytes]) -> tuple[bytes, ...]:
    """The folders that lie in no other one of them."""
    kept: list[bytes] = []
    for root in sorted(set(roots)):
        if not any(root.startswith(outer.rstrip(b"/") + b"/") for outer in kept):
            kept.append(root)
    return tuple(kept)


def _why_blind(error: ImportError | OSError) -> str:
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        limit = _limit("max_user_instances")
        return f"file events not counted: this user has all {limit} queues of events in use (max_user_instances)"
    return f"file events not counted: this system reports none ({error})"


def _losses(watched: WatchedTree) -> list[str]:
    notes = []
    if watched.overflowed:
        limit = _limit("max_queued_events")
        notes.append(f"counts are lower bounds: the kernel's queue of {limit} events overflowed (max_queued_events)")
    for number, folders in watched.unwatched.items():
        where = counted(folders, "folder")
        if number == errno.ENOSPC:
            why = f"this user's limit of {_limit('max_user_watches')} watches is reached (fs.inotify.max_user_watches)"
        else:
            why = os.strerror(number)
        notes.append(f"counts are lower bounds: {where} could not be watched: {why}")
    return notes


def _overfull(counts: EventCounts) -> list[str]:
    return [f"counts are lower bounds: more than {activity.MOST_FILES} files had events"] if counts.overfull else []


def _limit(name: str) -> str:
    with contextlib.suppress(OSError), open(f"/proc/sys/fs/inotify/{name}", encoding="ascii") as file:
        return file.read().strip()
    return "?"


def _on_network(roots: Iterable[str]) -> list[str]:
    """Which folders lie on file systems that other machines write to."""
    kinds: dict[str, str] = {}
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            mount, _, source = line.partition(" - ")
            if source and (kind := source.split(" ", 1)[0]) in _NETWORK:
                kinds[mount.split(" ")[4]] = kind
    return [
        f"{root} is on a network file system ({kind}): writes of other machines are not seen"
        for root in roots
        for mount, kind in kinds.items()
        if f"{root}/".startswith(f"{mount.rstrip('/')}/")
    ]
