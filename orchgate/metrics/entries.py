"""One line of `.runs/<task>/metrics.json` for each finished run: what it cost, small enough to be read by the million.

Lines are appended by many processes at once. Each is one write under a lock on the file itself, which the system lets
go of when its holder dies. A run that is taken up again and ends a second time leaves a second line with the same
`run_id` and a higher `resumes`: the last one counts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.lib import files, locks

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAME = ("run_id", "task_id", "parent_run_id", "pipeline_id", "status", "started_at", "completed_at")


def entry(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a finished run, from its manifest. What is null, zero or false by default is left out."""
    git, machine = manifest["git"] or {}, manifest["machine"] or {}
    line = {"entry": 1, **{key: manifest[key] for key in _SAME}, "resumes": len(manifest["resume_events"])}
    line |= {"commit": git.get("commit"), "tree": git.get("tree"), "dirty": git.get("dirty")}
    line |= {"machine": machine.get("fingerprint"), **(manifest["usage"] or {}), **(manifest["writes"] or {})}
    line |= {key: manifest.get(key) for key in ("away_seconds", "tests", "metrics", "flaky")}
    line["inside"] = _inside(manifest)
    return _told(line, manifest["usage"]) | {"stages": [_stage(stage) for stage in manifest["commands"]]}


def _inside(manifest: Mapping[str, Any]) -> list[str]:
    """The pipelines of which an observed program recorded runs itself, in the same task."""
    inner = manifest.get("inner_runs") or ()
    return sorted({one["pipeline_id"] for one in inner if one["task_id"] == manifest["task_id"]})


def _stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    tries = len(stage["attempts"])
    line = {"id": stage["id"], "status": stage["status"], **(stage["usage"] or {})}
    line |= {key: stage.get(key) for key in ("flaky", "cached", "tests", "metrics")}
    return _told(line | {"attempts": tries if tries > 1 else None}, stage["usage"])


def _told(line: Mapping[str, Any], usage: Mapping[str, Any] | None) -> dict[str, Any]:
    """Without defaults: that a cost is complete is one, and that it is not has to be said."""
    complete = (usage or {}).get("complete")
    rest = {key: value for key, value in line.items() if key != "complete"}
    return _without_defaults(rest) | ({"complete": False} if complete is False else {})


def _without_defaults(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in line.items() if value is not None and value is not False and value not in ([], {})
    }


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
