"""Where the reads and writes of runs go: stages by bytes, the runner's own files, and of observed runs single files."""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.hotspots.ranking import Hotspot, HotspotKind, grouped
from orchgate.hotspots.replay import by_name
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs import ids
from orchgate.runs.decode import parse
from orchgate.runs.locate import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.hotspots.timeline import Timeline

ACTIVITY = "artifacts/activity.json"  # what `observe` leaves behind
_METRICS = {"written": "file_writes", "read": "file_reads"}
MAX_BYTES = 64 * 1024 * 1024


def rank(runs: Sequence[Timeline]) -> tuple[list[Hotspot], list[tuple[str, str]]]:
    """Reads and writes of all runs, those of files first, the most of each first; and what cannot be read, by path."""
    found: list[Hotspot] = []
    problems: list[tuple[str, str]] = []
    for pipeline, group in grouped(runs).items():
        found += _files(pipeline, group, problems)
        found += _stages(pipeline, group)
        found += _runner(pipeline, group)
    found.sort(key=lambda one: (one.times is None, -(one.times or 0), -(one.bytes or 0)))
    return found, problems


def _stages(pipeline: str, runs: Sequence[Timeline]) -> Iterator[Hotspot]:
    for name, placed in by_name(runs).items():
        times = [one.time for one in placed if not one.time.inner]  # what a pipeline moved, its stages moved
        for kind, key, verb in (
            (HotspotKind.WRITE, "written_bytes", "wrote"),
            (HotspotKind.READ, "read_bytes", "read"),
        ):
            known = [value for stage in times if (value := getattr(stage.cost, key)) is not None]
            if total := sum(known):
                detail = f"{verb} {size(total)}" + (f" in {len(known)} runs" if len(known) > 1 else "")
                yield Hotspot(kind, pipeline, name, None, None, detail, bytes=total)


def _runner(pipeline: str, runs: Sequence[Timeline]) -> Iterator[Hotspot]:
    totals = {
        key: sum(run.writes.get(key, 0) for run in runs) for key in ("manifest_writes", "journal_writes", "bytes")
    }
    if totals["bytes"] > 0:
        writes = counted(totals["manifest_writes"], "manifest write")
        detail = f"the runner itself: {writes}, {counted(totals['journal_writes'], 'journal write')}"
        yield Hotspot(
            HotspotKind.WRITE, pipeline, "", None, None, f"{detail}, {size(totals['bytes'])}", bytes=totals["bytes"]
        )


def _files(pipeline: str, runs: Sequence[Timeline], problems: list[tuple[str, str]]) -> Iterator[Hotspot]:
    """The files that one run wrote or read more than once, and how often files were touched altogether."""
    writes: dict[str, list[int]] = {}
    reads: dict[str, list[int]] = {}
    sizes: dict[str, int] = {}
    bounds: set[str] = set()
    for run in runs:
        activity = _activity(run, problems)
        bounds |= _bounds(activity)
        for path, counts in activity.get("files", {}).items():
            # The runs of an orchestrator write the same files, each in a folder of its own.
            name = ids.RUN_ID.sub("<run-id>", path) if len(runs) > 1 else path
            writes.setdefault(name, []).append(_count(counts, "written") + _count(counts, "renamed"))
            reads.setdefault(name, []).append(_count(counts, "read"))
            sizes[name] = max(sizes.get(name, 0), _count(counts, "size"))
    for kind, verb, table in ((HotspotKind.WRITE, "written", writes), (HotspotKind.READ, "read", reads)):
        least = "at least " if verb in bounds else ""
        again = {path: sum(counts) for path, counts in table.items() if max(counts) > 1}
        if again:
            touched, total = sum(any(counts) for counts in table.values()), sum(map(sum, table.values()))
            each = f"{total / touched:.1f} times each"
            detail = f"{counted(touched, 'file')} {verb} {least}{counted(total, 'time')}, {each}"
            yield Hotspot(kind, pipeline, "", None, None, detail, times=total)
        for path, times in again.items():
            about = f", about {size(times * sizes[path])} by its size now" if sizes[path] else ""
            yield Hotspot(kind, pipeline, "", None, None, f"{verb} {least}{times} times{about}", times=times, path=path)


def _bounds(activity: Mapping[str, Any]) -> set[str]:
    """Which of `written` and `read` are lower bounds in a run."""
    if activity.get("lost"):
        return {"written", "read"}
    named = activity.get("lower_bound_of")
    return {verb for verb, name in _METRICS.items() if isinstance(named, list) and name in named}


def _count(counts: Mapping[str, Any], key: str) -> int:
    value = counts.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def _activity(run: Timeline, problems: list[tuple[str, str]]) -> Mapping[str, Any]:
    """What `observe` counted, with `files` by path; nothing for a run that was not observed."""
    path = os.path.join(os.path.dirname(run.path), ACTIVITY)
    if not os.path.lexists(path):
        return {}
    try:
        activity = parse(read_file(path, MAX_BYTES), MAX_BYTES)
    except OrchgateError as error:
        problems.append((path, error.message))
        return {}
    files = activity.get("files")
    if not isinstance(files, dict):
        problems.append((path, "does not say what happened to which file"))
        return {}
    notes = activity.get("notes")
    problems.extend((path, str(note)) for note in (notes if isinstance(notes, list) else ()))
    where = activity.get("lower_bound_where")
    if isinstance(where, dict) and where:
        folder, why = next(iter(where.items()))
        problems.append((path, f"counts are lower bounds: {folder}{_and_more(activity, len(where))}: {why}"))
    return activity | {"files": {name: counts for name, counts in files.items() if isinstance(counts, dict)}}


def _and_more(activity: Mapping[str, Any], named: int) -> str:
    more = max(_count(activity, "lower_bound_folders"), named) - 1
    return f" and {counted(more, 'more folder')}" if more else ""


def size(number: int) -> str:
    """Bytes for people: `512 bytes`, `3.4 MB`."""
    if number < 1000:
        return f"{number} bytes"
    for power, unit in enumerate(("kB", "MB", "GB"), 1):
        if number < 999.5 * 1000**power:
            return f"{number / 1000**power:.1f} {unit}"
    return f"{number / 1000**4:,.1f} TB"
