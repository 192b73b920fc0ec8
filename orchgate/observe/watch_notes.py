"""What is to be said of a watch: which events were lost or cannot be had, and why."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from orchgate.observe import event_counts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchgate.observe.watched_tree import Watched

_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "gpfs", "glusterfs", "afs", "fuse.sshfs")


def why_blind(error: ImportError | OSError) -> str:
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        limit = _limit("max_user_instances")
        return f"file events not counted: this user has all {limit} queues of events in use (max_user_instances)"
    return f"file events not counted: this system tells none ({error})"


def losses(watched: Watched) -> list[str]:
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


def overfull(counts: event_counts.Tally) -> list[str]:
    return [f"counts are lower bounds: more than {event_counts.MOST} files had events"] if counts.overfull else []


def _limit(name: str) -> str:
    with contextlib.suppress(OSError), open(f"/proc/sys/fs/inotify/{name}", encoding="ascii") as file:
        return file.read().strip()
    return "?"


def network(roots: Iterable[str]) -> list[str]:
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
