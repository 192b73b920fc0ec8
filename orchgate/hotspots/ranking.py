"""Where the time of runs goes, ranked by what could be saved. Pure: timelines in, values out."""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.hotspots import replay
from orchgate.hotspots.replay import by_name
from orchgate.hotspots.timeline import MICROSECONDS, Phase, Series, series
from orchgate.lib.text import counted, short_seconds
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple
from orchgate.runs import ids
from orchgate.runs.decode import parse
from orchgate.runs.ids import ahead_from
from orchgate.runs.locate import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.hotspots.replay import Placed
    from orchgate.hotspots.timeline import StageTime, Timeline


_WORK = (Phase.EXECUTING, Phase.SILENT)
_BUSY = 0.1  # a stage that lets this share of its time pass without the processor is as busy as any


class HotspotKind(Enum):
    WAITING = "waiting"
    STAGE = "stage"
    RETRY = "retry"
    RECORDING = "recording"
    WRITE = "write"
    READ = "read"


class Hotspot(NamedTuple):
    """One thing that takes time, or bytes, in all runs of one pipeline together.

    `stage` is "" for what concerns the whole run; one of a sub-pipeline has its caller's name before it. `share` is the
    fraction of the wall time of all runs looked at. `savable` is by how much the runs could have been shorter at most
    without what of `seconds` is thought to be of no use, `without` without all of it. `seconds` and `share` are None
    for reads and writes, which have `times` or `bytes` instead, and a `path` where one file is meant. `gaps` are the
    stages' own seconds. `beside` are stages that it could run beside if they had a slot.
    """

    kind: HotspotKind
    pipeline: str
    stage: str
    seconds: float | None
    share: float | None
    detail: str
    savable: float = 0.0
    gaps: tuple[tuple[str, float], ...] = ()
    times: int | None = None
    bytes: int | None = None
    path: str = ""
    without: float = 0.0
    beside: tuple[str, ...] = ()
    opaque: bool = False  # what is in it is ranked itself


class StageSummary(NamedTuple):
    """Medians of one stage over the runs that have it: seconds by part, and the sum of all parts as a series."""

    id: str
    parts: Mapping[Phase, float]
    total: Series


class Summary(NamedTuple):
    """The runs of one pipeline that count, oldest first, and those that do not."""

    pipeline: str
    runs: tuple[Timeline, ...]
    wall: Series
    parts: Mapping[Phase, Series]
    stages: tuple[StageSummary, ...]
    left_out: tuple[Timeline, ...] = ()


def rank(runs: Sequence[Timeline]) -> list[Hotspot]:
    """All hotspots in time: what could save most comes first, then what takes longest."""
    wall = sum(run.worked_seconds for run in runs)
    found = [one for group in grouped(runs).values() for one in _of_pipeline(group)]
    found.sort(key=lambda one: (one.opaque, -one.savable, -one.without, -(one.seconds or 0.0)))
    return [one._replace(share=(one.seconds or 0.0) / wall if wall else 0.0) for one in found]


def grouped(runs: Iterable[Timeline]) -> dict[str, list[Timeline]]:
    """The runs by pipeline, oldest first. What is dated in the future is not the newest: the clock was wrong."""
    groups: dict[str, list[Timeline]] = {}
    limit = ahead_from()
    for run in sorted(runs, key=lambda run: (run.run_id <= limit, run.started, run.run_id)):
        groups.setdefault(run.pipeline, []).append(run)
    return groups


def outermost(runs: Sequence[Timeline]) -> list[Timeline]:
    """The runs that none of the others called: those count as a part of it."""
    inside = {inner.run_id for run in runs for inner in _called(run)}
    return [run for run in runs if run.run_id not in inside]


def _called(run: Timeline) -> Iterator[Timeline]:
    for stage in run.stages:
        if stage.inner:
            yield stage.inner
            yield from _called(stage.inner)


def counting(runs: Iterable[Timeline]) -> tuple[list[Timeline], dict[str, list[Timeline]]]:
    """The runs that count, and by pipeline those that do not: a run that failed early would make everything look cheap.

    So would one with stages from the cache, where others ran every stage. Of a pipeline none of whose runs succeeded
    all count, and so does a run that stands alone.
    """
    counted_in: list[Timeline] = []
    left_out: dict[str, list[Timeline]] = {}
    for pipeline, group in grouped(runs).items():
        good = [run for run in group if run.status == "succeeded"]
        whole = [run for run in good if not any(stage.cached for stage in run.stages)]
        kept = whole or good or group
        counted_in += kept
        left_out[pipeline] = [run for run in group if all(run is not one for one in kept)]
    return counted_in, left_out


def summarize(pipeline: str, runs: Sequence[Timeline], left_out: Iterable[Timeline] = ()) -> Summary:
    """One or more runs of one pipeline, oldest first, as medians and growth."""
    return Summary(
        pipeline,
        tuple(runs),
        series([run.worked_seconds for run in runs]),
        {part: series([run.seconds(part) for run in runs]) for part in Phase},
        tuple(_summary(name, stages) for name, stages in by_stage(runs).items() if name),
        tuple(left_out),
    )


def _summary(name: str, stages: Sequence[StageTime]) -> StageSummary:
    stages = [stage for stage in stages if not stage.cached] or stages  # what was not run is no time it takes
    parts = {part: series([stage.seconds(part) for stage in stages]).median for part in Phase}
    return StageSummary(name, parts, series([stage.seconds() for stage in stages]))


def by_stage(runs: Sequence[Timeline]) -> dict[str, list[StageTime]]:
    """The stages of several runs by id, in the order of the newest run."""
    found: dict[str, list[StageTime]] = {stage.id: [] for run in reversed(runs) for stage in run.stages}
    for run in runs:
        for stage in run.stages:
            found[stage.id].append(stage)
    return found


def _of_pipeline(runs: Sequence[Timeline]) -> Iterator[Hotspot]:
    placed = replay.by_name(runs)
    pipeline = runs[0].pipeline
    if waiting := _waiting(pipeline, runs, placed):
        yield waiting
    for name, times in placed.items():
        if name:
            if retry := _retry(pipeline, name, times):
                yield retry
            if work := _work(pipeline, name, times):
                yield work
    recording = _total(run.seconds(Phase.RECORDING) for run in runs)
    if recording:
        detail = "between the end of a command and the end of its stage or run"
        saved = _total(replay.without(run, Phase.RECORDING) / MICROSECONDS for run in runs)
        yield Hotspot(HotspotKind.RECORDING, pipeline, "", recording, None, detail, saved, without=saved)


def _waiting(pipeline: str, runs: Sequence[Timeline], stages: Mapping[str, Sequence[Placed]]) -> Hotspot | None:
    """One hotspot for all stages: what holds one up usually holds up the others too."""
    found = {name: _total(one.time.seconds(Phase.WAITING) for one in times) for name, times in stages.items()}
    gaps = sorted(((name, seconds) for name, seconds in found.items() if seconds), key=lambda gap: -gap[1])
    if not gaps:
        return None
    total = _total(seconds for _, seconds in gaps)
    listed = ", ".join(f"{name or 'any stage'} {short_seconds(seconds / len(runs))}" for name, seconds in gaps)
    mean = " (mean of a run)" if len(runs) > 1 else ""
    detail = f"before the commands of {counted(len(gaps), 'stage')}{mean}: {listed}"
    saved = _total(replay.without(run, Phase.WAITING) / MICROSECONDS for run in runs)
    return Hotspot(HotspotKind.WAITING, pipeline, "", total, None, detail, saved, tuple(gaps), without=saved)


def _retry(pipeline: str, name: str, times: Sequence[Placed]) -> Hotspot | None:
    spent = [one.time.lasted(Phase.RETRYING) for one in times]
    if not any(spent):
        return None
    again = sum(max(0, one.time.attempts - 1) for one in times)
    detail = f"{counted(again, 'attempt')} that did not count" if again else "an attempt that did not count"
    if len(times) > 1:
        detail += f", in {sum(map(bool, spent))} of {len(times)} runs"
    saved = _saved(times, spent)
    seconds = _total(one / MICROSECONDS for one in spent)
    return Hotspot(HotspotKind.RETRY, pipeline, name, seconds, None, detail, saved, times=again, without=saved)


def _work(pipeline: str, name: str, times: Sequence[Placed]) -> Hotspot | None:
    """The stage's own work. Of that, what passed without the processor might be saved; what was not measured, not."""
    seconds = _total(one.time.seconds(*_WORK) for one in times)
    if not any(one.time.lasted(*_WORK) for one in times):
        return None
    opaque = any(one.time.inner for one in times)
    own = sum(one.time.lasted(*_WORK) for one in times)
    idle = [0 if opaque else _idle(one.time) for one in times]
    idle = idle if sum(idle) >= _BUSY * own else [0] * len(times)
    details = list(_about([one.time for one in times], sum(idle), own))
    without = _saved(times, [one.time.lasted() for one in times])
    if not any(idle) and _total((own / MICROSECONDS,)) != seconds:  # its own time is not what would be gained
        details.append(f"without it at most {short_seconds(without)} less")
    return Hotspot(
        HotspotKind.STAGE,
        pipeline,
        name,
        seconds,
        None,
        "; ".join(details) or "its command",
        _saved(times, idle),
        without=without,
        beside=() if opaque else times[-1].beside(),
        opaque=opaque,
    )


def _saved(times: Sequence[Placed], less: Sequence[int]) -> float:
    """By how many seconds all runs could have been shorter at most, had a stage taken so many microseconds less."""
    return _total(one.saved(spent) / MICROSECONDS if spent else 0 for one, spent in zip(times, less, strict=True))


def _idle(stage: StageTime) -> int:
    """Microseconds of a stage's work in which none of its processes used the processor, as far as that was measured."""
    cpu, wall = stage.cost.cpu_seconds, stage.cost.wall_seconds
    if cpu is None or not wall or stage.child:
        return 0
    return round(stage.lasted(*_WORK) * max(0.0, 1.0 - cpu / wall))


def _about(times: Sequence[StageTime], idle: int, spent: int) -> Iterator[str]:
    if idle:
        yield f"{idle / spent:.0%} of it off the processor: waiting for a disk, the network, a timer, a busy machine"
    elif any(stage.cost.cpu_seconds is not None and not stage.child for stage in times):
        yield "busy all the time"
    silences = [(end - begin) / MICROSECONDS for stage in times for begin, end in stage.silences]
    if silences:
        often = f" {len(silences)} times, {short_seconds(sum(silences))} in all" if len(silences) > 1 else ""
        yield f"no output{often}, for up to {short_seconds(max(silences))}"
    if child := next((stage.child for stage in reversed(times) if stage.child), ""):
        yield f"a pipeline of its own, run {child}"
    if any(stage.outside for stage in times):
        yield "beside the runs that it recorded itself"
    if cached := sum(stage.cached for stage in times):
        yield f"answered from the cache in {cached} of {len(times)} runs"


def _total(seconds: Iterable[float]) -> float:
    return round(sum(seconds), 6)


# Where the reads and writes of runs go: stages by bytes, the runner's own files, and of observed runs single files


ACTIVITY = "artifacts/activity.json"  # what `observe` leaves behind
_METRICS = {"written": "file_writes", "read": "file_reads"}
MAX_BYTES = 64 * 1024 * 1024


def rank_traffic(runs: Sequence[Timeline]) -> tuple[list[Hotspot], list[tuple[str, str]]]:
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
