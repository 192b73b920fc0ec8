"""Whether a tree has a run of the gate, by what the metrics of all tasks tell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.lib import files
from orchgate.runs.ids import METRICS, RUNS, ahead_from
from orchgate.runs.implementation_gate import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.git.state import WorkTreeState

LONGEST = 8 << 20  # bytes of a line that is read at once; no entry is that long


class Gate(NamedTuple):
    """`status`: passed, failed, absent (no run of this tree), or changed (no commit holds what lies here)."""

    status: str
    tree: str | None
    run_id: str | None = None
    task_id: str | None = None


def of(root: str, state: WorkTreeState | None) -> Gate:
    """The gate's last word on the tree that is checked out. No errors: what cannot be read has said nothing."""
    if state is None or state.tree is None:
        return Gate("absent", None)
    if state.dirty:
        return Gate("changed", state.tree)
    runs = [entry for entry in _entries(root) if entry.get("tree") == state.tree and not entry.get("dirty")]
    if not runs:
        return Gate("absent", state.tree)
    # Run ids begin with the time, which a wrong clock may have put into the future; a run that was taken up again has
    # two entries, the later one further down.
    limit = ahead_from()
    ids = [str(entry.get("run_id")) for entry in runs]
    last = runs[max(range(len(runs)), key=lambda at: (ids[at] <= limit, ids[at], at))]
    status = "passed" if last.get("status") == "succeeded" else "failed"
    return Gate(status, state.tree, last.get("run_id"), last.get("task_id"))


def _entries(root: str) -> Iterator[dict[str, Any]]:
    """Entries of the gate's runs. Only lines that name it are looked into."""
    folder = os.path.join(root, RUNS)
    try:
        tasks = sorted(os.listdir(folder))
    except OSError:
        return
    named = f'"pipeline_id":"{NAME}"'.encode()
    for task in tasks:
        try:
            with open(files.open_regular(os.path.join(folder, task, METRICS)), "rb") as file:
                for line in iter(lambda: file.readline(LONGEST), b""):
                    if named in line and line.endswith(b"\n"):
                        yield from _parsed(line)
        except OSError:
            continue


def _parsed(line: bytes) -> Iterator[dict[str, Any]]:
    import json

    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict) and value.get("entry") == 1:
        yield value
