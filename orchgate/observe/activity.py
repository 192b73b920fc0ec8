"""What happened to files while something ran: the events of the kernel added up by file, and how exact the counts are.

Pure: no files, no processes. The kernel reports an event only once when an identical one is the last in its queue.
Every write and every read is therefore counted at its close, with the open that preceded it asked for as well: the two
alternate, and nothing merges unless one file is open several times at once, which shows where something else comes
between two openings.
"""

from __future__ import annotations

import itertools
import os
from typing import TypeVar

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs.ids import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchgate.runs.state import Document


VERSION = 1
LISTED = 1_000  # files named in activity.json, those with most writes and reads first
MOST_NAMED = 20  # folders that are lower bounds, and files of other programs
_FIELDS = ("created", "written", "renamed", "removed", "read")
_Item = TypeVar("_Item")
# What cannot be seen on any machine.
BLIND = (
    "changes through mapped memory and by truncate(2)",
    "writes of other machines to a network file system",
    "reads and writes of a file that was open before and stays open afterwards",
    "one of several opens of one file in the same moment",
)
# What only the superuser can see.
UNTOLD = "which process it was: what other programs do in the same folders counts as well"
# Why the counts of a folder may be lower bounds.
NEW = "made during the run: what happened in it before it could be watched is not known"
MOVED_IN = "moved in from elsewhere: what happened in it before it could be watched is not known"
AT_ONCE = "open several times at once: closes in the same moment count once"
FANOTIFY, INOTIFY = "fanotify", "inotify"
WRITES, READS, MANIFESTS = "file_writes", "file_reads", "manifest_writes"
# The same of a metric.
LATE = "folders used before they could be watched"
MERGED = "files open several times at once"
METRICS = (MANIFESTS, "files_written", WRITES, "file_renames", "files_created", "files_removed", READS)


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

    So are those metrics that are in `bounds`, which says why, because of the folders and files in `unsure`: folders
    that were made or moved there, and used before they could be watched, some 0.2 ms later, and files that were open
    several times at once. `early` files were found in them, each
    counted as created and written once where nothing else is known. Where processes can be told `apart`, `others` are
    files that only programs other than the observed one touched (they are not among `files`), `shared` those that both
    did. `absent` folders were never there; `links` to folders, which were not followed, lead where they say.
    """

    files: Mapping[str, FileActivity]
    lost: bool
    notes: tuple[str, ...]
    early: int = 0
    unsure: Mapping[str, str] = {}
    bounds: Mapping[str, str] = {}
    watched_by: str | None = None
    apart: bool = False
    others: Mapping[str, FileActivity] = {}
    shared: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    links: Mapping[str, str] = {}

    @property
    def lower_bound(self) -> bool:
        return self.lost or bool(self.bounds)


def merged(path: str, one: FileActivity) -> tuple[str, ...]:
    """The metrics that are lower bounds where a file was open several times at once."""
    manifest = (MANIFESTS,) if os.path.basename(path) == MANIFEST else ()
    return (*((WRITES, *manifest) if one.written else ()), *((READS,) if one.read else ()))


def totals(activity: Activity) -> Mapping[str, float]:
    """The counts as metrics, whether they are exact or lower bounds."""
    files = activity.files
    counted = (
        sum(one.writes for path, one in files.items() if os.path.basename(path) == MANIFEST),
        sum(1 for one in files.values() if one.writes),
        sum(one.written for one in files.values()),
        sum(one.renamed for one in files.values()),
        sum(one.created for one in files.values()),
        sum(one.removed for one in files.values()),
        sum(one.read for one in files.values()),
    )
    return dict(zip(METRICS, counted, strict=True))


def counted(activity: Activity) -> Mapping[str, float]:
    """The counts, of which those in its `bounds` are lower bounds; none when some events were lost."""
    return {} if activity.lost else totals(activity)


def document(activity: Activity, watched: tuple[str, ...], root: str) -> Document:
    """The content of activity.json: totals, and the files with most writes and reads."""
    ranked = sorted(activity.files.items(), key=lambda item: (-item[1].writes - item[1].read, item[0]))
    return {
        "version": VERSION,
        "watched": [named(folder, root) for folder in watched],
        "watched_by": activity.watched_by,
        "lost": activity.lost,
        "lower_bound": activity.lower_bound,
        "lower_bound_of": sorted(METRICS if activity.lost else activity.bounds),
        "lower_bound_folders": len(activity.unsure),
        "lower_bound_where": {named(path, root): why for path, why in _first(activity.unsure.items())},
        "early": activity.early,
        "notes": list(activity.notes),
        "unseen": [*BLIND, *(() if activity.apart else (UNTOLD,))],
        "absent": [named(folder, root) for folder in activity.absent],
        "links": {named(path, root): named(target, root) for path, target in sorted(activity.links.items())},
        "totals": {"files": len(ranked), **_totals(activity)},
        "files": {named(path, root): _file(path, one) for path, one in ranked[:LISTED]},
        "others": len(activity.others),
        "others_files": {named(path, root): one._asdict() for path, one in _first(sorted(activity.others.items()))},
        "shared": len(activity.shared),
        "shared_files": [named(path, root) for path in _first(activity.shared)],
    }


def _first(items: Iterable[_Item]) -> list[_Item]:
    return list(itertools.islice(items, MOST_NAMED))


def _totals(activity: Activity) -> dict[str, int]:
    return {name: sum(getattr(one, name) for one in activity.files.values()) for name in _FIELDS}


def _file(path: str, one: FileActivity) -> dict[str, int | None]:
    """Its counts, and its size in bytes afterwards; None for what is gone."""
    try:
        size: int | None = os.lstat(path).st_size
    except (OSError, ValueError):
        size = None
    return {**one._asdict(), "size": size}


def named(path: str, root: str) -> str:
    """A path inside the repository relative to its top; bytes that are not UTF-8 are escaped."""
    shown = os.path.relpath(path, root) if path == root or path.startswith(root + os.sep) else path
    return os.fsencode(shown).decode("utf-8", "backslashreplace")


CLOSE_WRITE, CLOSE_NOWRITE, OPEN = 0x08, 0x10, 0x20
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
ALL_EVENTS = CLOSE_WRITE | CLOSE_NOWRITE | OPEN | MOVED_FROM | MOVED_TO | CREATE | DELETE

_CLOSE = CLOSE_WRITE | CLOSE_NOWRITE
CREATED, WRITTEN, RENAMED, REMOVED, READ = range(5)
_NOTHING = (0, 0, 0, 0, 0)
_COLUMN = {CREATE: CREATED, CLOSE_WRITE: WRITTEN, MOVED_TO: RENAMED, DELETE: REMOVED, CLOSE_NOWRITE: READ}
MOST_FILES = 500_000  # files counted one by one, some 150 MB


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
            if len(self.counts) >= MOST_FILES:
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
