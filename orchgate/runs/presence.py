"""Whether the paths that manifests record lead to something, cheaply for very many of them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchgate.git.snapshot import Snapshot
    from orchgate.references.artifacts import Artifacts
    from orchgate.runs.run import Run


class Presence:
    """What is in the judged tree, or on disk under the roots and reached without leaving the repository.

    Plain folders are walked down and listed once each; whatever meets a link takes the slow way through Artifacts.
    """

    def __init__(self, snapshot: Snapshot, artifacts: Artifacts) -> None:
        self._snapshot = snapshot
        self._artifacts = artifacts
        self._plain: dict[str, bool] = {"": True}
        self._listed = ""
        self._files: frozenset[str] = frozenset()

    def exists(self, path: str) -> bool:
        """Whether a file is there, tracked or as an artifact."""
        folder, _, name = path.rpartition("/")
        if folder != self._listed:
            self._listed, self._files = folder, self._list(folder)
        return name in self._files or path in self._snapshot.entries or self._artifacts.exists(path)

    def has_folder(self, path: str) -> bool:
        return path in self._snapshot.folders or self._artifacts.exists(path)

    def _list(self, folder: str) -> frozenset[str]:
        """Regular files of a folder that is reached without links; nothing for any other."""
        if not self._artifacts.owns(folder) or not self._is_plain(folder):
            return frozenset()
        try:
            with os.scandir(self._artifacts.full(folder)) as entries:
                return frozenset(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
        except OSError:
            return frozenset()

    def _is_plain(self, folder: str) -> bool:
        known = self._plain.get(folder)
        if known is None:
            known = self._is_plain(folder.rpartition("/")[0]) and self._is_real_folder(folder)
            self._plain[folder] = known
        return known

    def _is_real_folder(self, folder: str) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(self._artifacts.full(folder)).st_mode)
        except (OSError, ValueError):
            return False


def targets(run: Run, folder: str, recorded: str) -> tuple[str, ...]:
    """Repository paths that a recorded path may mean: as recorded, and within the run's folder where that has moved.

    `folder` is the run's folder now. Empty when the path leads out of the repository.
    """
    if recorded.startswith(folder + "/") and not _odd(recorded[len(folder) :]):
        return (recorded,)
    meant = []
    inner = run.within(recorded)
    if inner is not None:
        meant.append(f"{folder}/{inner}")
    plain = os.path.normpath(os.path.join(folder, recorded) if run.format == "orchgate" else recorded)
    if not plain.startswith(("/", "../")) and plain not in ("..", *meant):
        meant.append(plain)
    return tuple(meant)


def _odd(path: str) -> bool:
    return "/." in path or "//" in path
