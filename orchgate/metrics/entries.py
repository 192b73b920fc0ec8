"""One line of `.runs/<task>/metrics.json` for each finished run: what it cost, small enough to be read by the million.

Lines are appended by many processes at once. Each is one write under a lock on the file itself, which the system lets
go of when its holder dies. A run that is resumed and ends a second time leaves a second line with the same
`run_id` and a higher `resumes`: the last one counts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.lib import files, locks

if TYPE_CHECKING:
    from collections.abc import Mapping


def encode(entry_: Mapping[str, Any]) -> bytes:
    import json

    return json.dumps(entry_, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def append(path: str, line: bytes) -> int:
    """Appends one encoded entry, synced, and returns the bytes written. Raises WriteError, Busy, NoLocks."""
    descriptor = files.open_appending(path)
    try:
        # Only so that nobody's line starts in the middle of another's that is being written, or was never finished.
        locks.take(descriptor, path)
        return files.append(descriptor, line, path, sync=True, torn=files.ends_torn(descriptor))
    except OSError as error:
        raise files.failure(path, error) from error
    finally:
        os.close(descriptor)


class Entries(NamedTuple):
    """The entries of a file; `torn` counts lines that their writers never finished, `foreign` those of other tools."""

    entries: tuple[dict[str, Any], ...]
    torn: int
    foreign: int


def read(path: str) -> Entries:
    """Every entry of a task, none when there is no file. Raises OSError when it cannot be read."""
    import json

    try:
        with open(path, "rb") as file:
            lines = files.split(file.read())
    except FileNotFoundError:
        return Entries((), 0, 0)
    entries, foreign = [], 0
    for _, line in lines.whole:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            foreign += 1
            continue
        if isinstance(value, dict) and value.get("entry") == 1:
            entries.append(value)
        else:
            foreign += 1
    return Entries(tuple(entries), len(lines.torn), foreign)


def has(path: str, run_id: str, resumes: int) -> bool:
    """Whether a run's end is already recorded. Looks only at lines that name the run."""
    import json

    name = f'"run_id":"{run_id}"'.encode()
    try:
        with open(path, "rb") as file:
            for line in file:
                if name in line and line.endswith(b"\n"):
                    try:
                        value = json.loads(line)
                    except ValueError:
                        continue
                    if value.get("run_id") == run_id and value.get("resumes", 0) == resumes:
                        return True
    except FileNotFoundError:
        pass
    return False
