"""Reads hunks with unidiff: for the lines an attribute hides from git's own counts, and to check those counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.errors import GitError
from orchgate.git.diff import Patch, split_patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.git.repository import Repository
    from orchgate.model import Change, Scope

PATHS_AT_ONCE = 500  # on one command line; what the system takes is a matter of megabytes

# Stands in for the file names of each patch: unidiff stumbles over quoted names and over ` b/` inside them, and we
# know the names already, from NUL-terminated records in the same order.
HEADER = "--- a/file\n+++ b/file\n"


def counted(repository: Repository, scope: Scope, changes: Iterable[Change]) -> Patch:
    """Lines of some changes of a scope, counted from their patch with every file shown as text. Raises GitError."""
    counts: dict[str, tuple[int, int]] = {}
    wanted = list(changes)
    # Among a few paths git might pair a removal with an addition that it kept apart among all of them.
    for renames in (False, True):
        group = [change for change in wanted if (change.old_path is not None) == renames]
        for start in range(0, len(group), PATHS_AT_ONCE):
            part = group[start : start + PATHS_AT_ONCE]
            paths = [path for change in part for path in (change.old_path, change.path) if path]
            counts |= read(repository.patch(scope.base, scope.head, paths, renames=renames), part).counts
    return Patch(counts)


def read(patch: bytes, changes: Iterable[Change]) -> Patch:
    """Lines added and removed by path; `changes` are those of the patch, in git's order.

    Raises GitError when patch and changes do not fit together or a hunk is malformed.
    """
    counts: dict[str, tuple[int, int]] = {}
    sections = split_patch(patch)
    for change in changes:
        if not _has_section(change):
            continue
        added = removed = 0
        for _ in range(2 if change.status == "T" else 1):  # a type change is a removal and an addition
            more_added, more_removed = _count(_next(sections, change))
            added, removed = added + more_added, removed + more_removed
        counts[change.path] = (added, removed)
    if next(sections, None) is not None:
        raise GitError("git's patch shows more files than its list of changes")
    return Patch(counts)


def _has_section(change: Change) -> bool:
    return change.old_oid != change.new_oid or change.old_mode != change.new_mode or change.old_path is not None


def _next(sections: Iterator[bytes], change: Change) -> bytes:
    section = next(sections, None)
    if section is None:
        raise GitError(f"git's patch does not show {change.path}")
    return section


def _count(section: bytes) -> tuple[int, int]:
    start = section.find(b"\n@@ ")
    if start < 0:
        return (0, 0)
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    # Bytes decoded one to one and split at "\n" only: text mode would also split at form feeds, lone CRs and U+2028.
    hunks = HEADER + section[start + 1 :].decode("utf-8", "surrogateescape")
    try:
        (file,) = PatchSet(hunks, metadata_only=True)
    except (UnidiffParseError, ValueError) as error:
        raise GitError(f"git's patch cannot be read: {error}") from error
    return (file.added, file.removed)
