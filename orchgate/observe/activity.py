"""What happened to files while something ran: the counts of each, and how far they can be relied on."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from orchgate.runs.ids import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    """A path inside the repository relative to its top; bytes that are no UTF-8 are escaped."""
    shown = os.path.relpath(path, root) if path == root or path.startswith(root + os.sep) else path
    return os.fsencode(shown).decode("utf-8", "backslashreplace")
