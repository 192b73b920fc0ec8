"""Where the time of runs goes, ranked by what could be saved. Pure: timelines in, values out."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from orchgate.hotspots.growth import Series, series
from orchgate.hotspots.timeline import MICROSECONDS, Part
from orchgate.runs.ids import ahead_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.hotspots.timeline import StageTime, Timeline

_WORK = (Part.EXECUTING, Part.SILENT)
_BUSY = 0.1  # a stage that lets this share of its time pass without the processor is as busy as any


class Kind(Enum):
    WAITING = "waiting"
    STAGE = "stage"
    RETRY = "retry"
    RECORDING = "recording"
    WRITE = "write"
    READ = "read"


class Hotspot(NamedTuple):
    """One thing that takes time, or bytes, in all runs of one pipeline together.

    `stage` is "" for what concerns the whole run. `share` is the fraction of the wall time of all runs looked at.
    `savable` is how much of `seconds` could be saved at most. `seconds` and `share` are None for reads and writes,
    which have `times` or `bytes` instead, and a `path` where one file is meant. `gaps` are the stages' own seconds.
    """

    kind: Kind
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


class StageSummary(NamedTuple):
    """Medians of one stage over the runs that have it: seconds by part, and the sum of all parts as a series."""

    id: str
    parts: Mapping[Part, float]
    total: Series


class Summary(NamedTuple):
    """All runs of one pipeline, oldest first."""

    pipeline: str
    runs: tuple[Timeline, ...]
    wall: Series
    parts: Mapping[Part, Series]
    stages: tuple[StageSummary, ...]


def top(runs: Iterable[Timeline]) -> Hotspot | None:
    """What is to be worked on first; None when there is nothing to save."""
    return next((one for one in rank(tuple(runs)) if one.savable > 0), None)


def rank(runs: Sequence[Timeline]) -> list[Hotspot]:
    """All hotspots in time: what could save most comes first, then what takes longest."""
    wall = sum(run.worked_seconds for run in runs)
    found = [one for group in grouped(runs).values() for one in _of_pipeline(group)]
    found.sort(key=lambda one: (-one.savable, -(one.seconds or 0.0)))
    return [one._replace(share=(one.seconds or 0.0) / wall if wall else 0.0) for one in found]


def grouped(runs: Iterable[Timeline]) -> dict[str, list[Timeline]]:
    """The runs by pipeline, oldest first. What is dated in the future is not the newest: the clock was wrong."""
    groups: dict[str, list[Timeline]] = {}
    limit = ahead_from()
    for run in sorted(runs, key=lambda run: (run.run_id <= limit, run.started, run.run_id)):
        groups.setdefault(run.pipeline, []).append(run)
    return groups


def summarize(pipeline: str, runs: Sequence[Timeline]) -> Summary:
    """One or more runs of one pipeline, oldest first, as medians and growth."""
    return Summary(
        pipeline,
        tuple(runs),
        series([run.worked_seconds for run in runs]),
        {part: series([run.seconds(part) for run in runs]) for part in Part},
        tuple(_summary(name, stages) for name, stages in by_stage(runs).items() if name),
    )


def _summary(name: str, stages: Sequence[StageTime]) -> StageSummary:
    parts = {part: series([stage.seconds(part) for stage in stages]).median for part in Part}
    return StageSummary(name, parts, series([stage.seconds() for stage in stages]))


def by_stage(runs: Sequence[Timeline]) -> dict[str, list[StageTime]]:
    """The stages of several runs by id, in the order of the newest run."""
    found: dict[str, list[StageTime]] = {stage.id: [] for run in reversed(runs) for stage in run.stages}
    for run in runs:
        for stage in run.stages:
            found[stage.id].append(stage)
    return found


def _of_pipeline(runs: Sequence[Timeline]) -> Iterator[Hotspot]:
    stages = by_stage(runs)
    pipeline = runs[0].pipeline
    if waiting := _waiting(pipeline, stages, len(runs)):
        yield waiting
    for name, times in stages.items():
        if retry := _retry(pipeline, name, times):
            yield retry
        if work := _work(pipeline, name, times):
            yield work
    recording = _total(run.seconds(Part.RECORDING) for run in runs)
    if recording:
        detail = "between the end of a command and the end of its stage or run"
        yield Hotspot(Kind.RECORDING, pipeline, "", recording, None, detail, recording)


def _waiting(pipeline: str, stages: Mapping[str, Sequence[StageTime]], runs: int) -> Hotspot | None:
    """One hotspot for all stages: what holds one up usually holds up the others too."""
    found = {name: _total(stage.seconds(Part.WAITING) for stage in times) for name, times in stages.items()}
    gaps = sorted(((name, seconds) for name, seconds in found.items() if seconds), key=lambda gap: -gap[1])
    if not gaps:
        return None
    total = _total(seconds for _, seconds in gaps)
    listed = ", ".join(f"{name or 'any stage'} {short(seconds / runs)}" for name, seconds in gaps)
    detail = f"before the commands of {counted(len(gaps), 'stage')}{' (mean of a run)' if runs > 1 else ''}: {listed}"
    return Hotspot(Kind.WAITING, pipeline, "", total, None, detail, total, tuple(gaps))


def _retry(pipeline: str, name: str, times: Sequence[StageTime]) -> Hotspot | None:
    seconds = _total(stage.seconds(Part.RETRYING) for stage in times)
    if not seconds:
        return None
    again = sum(max(0, stage.attempts - 1) for stage in times)
    detail = f"{counted(again, 'attempt')} that did not count" if again else "an attempt that did not count"
    if len(times) > 1:
        retried = sum(stage.seconds(Part.RETRYING) > 0 for stage in times)
        detail += f", in {retried} of {len(times)} runs"
    return Hotspot(Kind.RETRY, pipeline, name, seconds, None, detail, seconds, times=again)


def _work(pipeline: str, name: str, times: Sequence[StageTime]) -> Hotspot | None:
    """The stage's own work. Of that, what passed without the processor might be saved; what was not measured, not."""
    seconds = _total(stage.seconds(*_WORK) for stage in times)
    if not seconds:
        return None
    idle = _total(_idle(stage) for stage in times)
    idle = idle if idle >= _BUSY * seconds else 0.0
    details = list(_about(times, idle, seconds))
    return Hotspot(Kind.STAGE, pipeline, name, seconds, None, "; ".join(details) or "its command", idle)


def _idle(stage: StageTime) -> float:
    """Seconds of a stage's work in which none of its processes used the processor, as far as that was measured."""
    cpu, wall = stage.cost.cpu_seconds, stage.cost.wall_seconds
    if cpu is None or not wall or stage.child:
        return 0.0
    return stage.seconds(*_WORK) * max(0.0, 1.0 - cpu / wall)


def _about(times: Sequence[StageTime], idle: float, seconds: float) -> Iterator[str]:
    if idle:
        yield f"{idle / seconds:.0%} of it off the processor: waiting for a disk, the network, a timer, a busy machine"
    elif any(stage.cost.cpu_seconds is not None for stage in times):
        yield "busy all the time"
    silences = [(end - begin) / MICROSECONDS for stage in times for begin, end in stage.silences]
    if silences:
        said = "no output" if len(silences) == 1 else f"no output {len(silences)} times, {short(sum(silences))} in all"
        yield f"{said}, for up to {short(max(silences))}"
    if child := next((stage.child for stage in reversed(times) if stage.child), ""):
        yield f"a pipeline of its own, run {child}"
    if any(stage.outside for stage in times):
        yield "beside the runs that it recorded itself"
    if cached := sum(stage.cached for stage in times):
        yield f"answered from the cache in {cached} of {len(times)} runs"


def _total(seconds: Iterable[float]) -> float:
    return round(sum(seconds), 6)


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short(seconds: float) -> str:
    """Seconds in three digits or so: `95.4 s`, `0.55 s`, `3 ms`."""
    if seconds >= 1:
        return f"{seconds:,.1f} s"
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"
