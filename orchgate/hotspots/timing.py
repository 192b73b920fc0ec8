"""Reads where the time of a run went, whichever program recorded it and whatever state its files are in."""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.hotspots.timeline import (
    MICROSECONDS,
    BusySpan,
    Phase,
    StageCost,
    StageTime,
    Timeline,
    at_once,
    attribute,
    own,
)
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import ids
from orchgate.runs.usage import AWAY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.runs.run import Run, StageRun, Usage

_ENDLESS = float("inf")
_NESTED = 16  # pipelines call each other no deeper


class _RunSpans(NamedTuple):
    """A run's spans, and its end in microseconds since its start."""

    spans: Sequence[BusySpan]
    wall: int
    silences: Mapping[int, tuple[tuple[int, int], ...]]
    attempts: Mapping[int, int]
    missing: Sequence[str]
    needs: Mapping[int, tuple[int, ...]] | None = None
    slots: int = 0
    measured: bool = False


def read(folder: str) -> Timeline:
    """The timeline of the run in a folder, with those of the runs that it called.

    What cannot be read of it is listed in `missing`. Raises OrchgateError when neither a manifest nor a journal of ours
    can be read.
    """
    return _with_inner(_read(folder), folder, {os.path.basename(folder)}, _NESTED)


def _with_inner(run: Timeline, folder: str, seen: set[str], depth: int) -> Timeline:
    """`seen` are the runs that were read: whoever is called twice counts once."""
    stages, missing = [], list(run.missing)
    for stage in run.stages:
        inner = None
        if depth and ids.RUN_ID.fullmatch(stage.child) and stage.child not in seen:
            seen.add(stage.child)
            place = os.path.join(os.path.dirname(folder), stage.child)
            try:
                inner = _with_inner(_read(place), place, seen, depth - 1)
            except OrchgateError as error:
                missing.append(f"stage {stage.id}: its run {stage.child} cannot be read: {error.message}")
        stages.append(stage._replace(inner=inner))
    return run._replace(stages=tuple(stages), missing=tuple(missing))


def _read(folder: str) -> Timeline:
    path = os.path.join(folder, ids.MANIFEST)
    if not any(os.path.lexists(os.path.join(folder, name)) for name in (ids.MANIFEST, ids.JOURNAL)):
        raise OrchgateError("there is neither a manifest nor a journal", "a run that never began; delete its folder")
    missing: list[str] = []
    run, found = _journal(folder, path, missing)
    if run is None:
        if missing and not os.path.lexists(path):
            raise OrchgateError(missing[0], "there is no manifest either, so nothing shows what happened")
        from orchgate.runs.run import load

        run = load(path)
    if run.format != "orchgate":
        found = _foreign(run)
        missing.clear()  # the journal beside it is not one of ours
    elif found is None:
        missing = missing or ["the journal is not there"]
        found = _from_manifest(run)
    return _timeline(run, found, (*missing, *found.missing))


def _journal(folder: str, path: str, missing: list[str]) -> tuple[Run | None, _RunSpans | None]:
    """The times in a journal of ours; nothing when there is none that can be used."""
    from orchgate.runs import journal
    from orchgate.runs.run import from_journal

    place = os.path.join(folder, ids.JOURNAL)
    if not os.path.isfile(place):
        return None, None
    try:
        recorded = journal.read(place)
        if not recorded.events:
            raise OrchgateError("it is empty")
        run = from_journal(recorded.events, path)
        found = _own(run, recorded.events)
        if recorded.torn:
            missing.append(f"the journal has lines that were never finished: {', '.join(map(str, recorded.torn[:20]))}")
        return run, found
    except OrchgateError as error:
        missing.append(f"the journal cannot be used: {error.message}")
    return None, None


def _own(run: Run, events: Sequence[Mapping[str, Any]]) -> _RunSpans:
    from orchgate.hotspots.logs import forward

    times, back = forward([round(ids.seconds(event["at"]) * 1e6) for event in events])
    missing = [f"the clock went back by {back / 1e6:.1f} s; times after that are too short"] if back else []
    missing += _unended(run)
    spans = spans_of(events, times)
    found = _RunSpans(spans, times[-1] - times[0], {}, {}, missing)
    pipeline, stages = events[0]["pipeline"], events[0]["stages"]
    if not pipeline.get("slots") or len(stages) != len(run.stages):
        return found
    needs = {index: tuple(stage.get("needs", ())) for index, stage in enumerate(stages, 1)}
    slots = max(pipeline["slots"], at_once(span for span in spans if span.stage))  # it went on with more cores
    return found._replace(needs=needs, slots=slots, measured=bool(pipeline.get("measured")))


def _from_manifest(run: Run) -> _RunSpans:

    start, end, missing = _bounds(run)
    return _RunSpans(from_attempts(run, start, end), end - start, {}, {}, missing)


def _foreign(run: Run) -> _RunSpans:
    from orchgate.hotspots.logs import read_logs

    start, end, missing = _bounds(run)
    logs = read_logs(run, start, end, _resumed(run))
    end = end if run.completed_at and end > start else max(end, logs.latest)
    found = _RunSpans(logs.spans, end - start, logs.silences, logs.attempts, (*missing, *logs.missing))
    # That orchestrator runs its stages strictly in order.
    in_order = {index: (index - 1,) if index > 1 else () for index in range(1, len(run.stages) + 1)}
    return found._replace(needs=in_order, slots=1)


def _resumed(run: Run) -> list[int]:
    """When a run of the other orchestrator was resumed, in microseconds since the epoch, as far as recorded."""
    from orchgate.hotspots.logs import microseconds

    return sorted(microseconds(one.timestamp) for one in run.resumptions if one.timestamp)


def _bounds(run: Run) -> tuple[int, int, list[str]]:
    """Start and end by the manifest, in microseconds since the epoch, and what is wrong with them."""
    from orchgate.hotspots.logs import microseconds

    start = microseconds(run.started_at)
    if run.completed_at is None:
        return start, microseconds(run.last_sign_of_life), _unended(run)
    end = microseconds(run.completed_at)
    if end >= start:
        return start, end, []
    return start, start, [f"the clock went back: the run ended {(start - end) / 1e6:.1f} s before it started"]


def _unended(run: Run) -> list[str]:
    if run.finished and run.completed_at:
        return []
    return ["the run has not ended: times end with its last sign of life"]


def _timeline(run: Run, found: _RunSpans, missing: Sequence[str]) -> Timeline:
    spent = attribute(found.wall, found.spans)
    real = os.path.realpath(run.folder)
    lasted, tail = own(found.wall, found.spans)
    stages = [
        _stage(stage, spent.pop(stage.number, {}), found)._replace(own=lasted.get(stage.number, {}))
        for stage in run.stages
    ]
    stages += [StageTime("", "", parts) for parts in spent.values()]  # no stage's, or of one nobody knows
    return Timeline(
        path=run.path,
        task=run.task_id,
        run_id=run.run_id,
        pipeline=run.pipeline_id,
        status=run.status,
        started=run.started_at.timestamp(),
        wall=found.wall,
        stages=tuple(stages),
        missing=tuple(missing),
        writes={name: count for name, count in run.writes.asdict().items() if count is not None} if run.writes else {},
        inner=tuple(os.path.normpath(os.path.join(real, link.manifest)) for link in run.inner_runs),
        tail=tail,
        needs=found.needs,
        slots=found.slots,
        measured=found.measured,
        spans=tuple(found.spans),
    )


def _stage(stage: StageRun, spent: Mapping[Phase, int], found: _RunSpans) -> StageTime:
    cost = _cost(stage.usage, stage.metrics) if stage.usage else StageCost()
    attempts = found.attempts.get(stage.number, len(stage.attempts))
    silences = found.silences.get(stage.number, ())
    timed = StageTime(stage.id, stage.status, spent, cost, attempts, stage.cached, silences, stage.sub_run_id or "")
    failed = stage.tests.failed + stage.tests.errors if stage.tests else 0
    return timed._replace(failed_tests=stage.failed_tests, failed_test_count=failed)


def _cost(usage: Usage, metrics: Mapping[str, float]) -> StageCost:
    """What a stage cost; a value that cannot be, such as a negative one, is unknown."""
    moved = (metrics.get(f"asked_{key}", getattr(usage, key)) for key in ("read_bytes", "written_bytes"))
    values = (usage.user_seconds, usage.system_seconds, usage.wall_seconds, *moved)
    user, system, wall, read_, written = (one if one is not None and 0 <= one < _ENDLESS else None for one in values)
    cpu = None if user is None or system is None else user + system
    return StageCost(cpu, wall, *(None if one is None else int(one) for one in (read_, written)))


class _OpenAttempt(NamedTuple):
    """An attempt that has not ended, or one that has and will be repeated."""

    begin: int
    end: int | None = None


def spans_of(events: Sequence[Mapping[str, Any]], times: Sequence[int]) -> list[BusySpan]:
    """The spans of a journal, in microseconds since its first event.

    `times` are the events' own in microseconds, never going back.
    """
    start, latest = times[0], times[-1] - times[0]
    spans: list[BusySpan] = []
    open_: dict[int, _OpenAttempt] = {}
    stopped = 0.0  # seconds in this sitting
    for position, (event, time) in enumerate(zip(events, times, strict=True)):
        at = time - start
        before, stopped = stopped, event.get(AWAY, stopped)
        if event["event"] == "resume":
            left = times[position - 1] - start
            spans += [_lost(attempt, left, number) for number, attempt in open_.items()]
            open_.clear()
            spans.append(BusySpan(left, at, Phase.AWAY, 0))
        elif stopped > before:  # since the event before; nobody worked then, whatever else was under way
            spans.append(BusySpan(at - round((stopped - before) * MICROSECONDS), at, Phase.AWAY, 0))
        if event["event"] in _STAGES:
            spans += _STAGES[event["event"]](event, at, open_)
    return spans + [_unfinished(attempt, latest, number) for number, attempt in open_.items()]


def _started(event: Mapping[str, Any], at: int, open_: dict[int, _OpenAttempt]) -> Iterator[BusySpan]:
    earlier = open_.pop(event["stage"], None)
    if earlier:
        yield BusySpan(earlier.begin, at, Phase.RETRYING, event["stage"])
    open_[event["stage"]] = _OpenAttempt(at)


def _ended(event: Mapping[str, Any], at: int, open_: dict[int, _OpenAttempt]) -> Iterator[BusySpan]:
    attempt = open_.pop(event["stage"], _OpenAttempt(at))
    if event.get("again"):
        open_[event["stage"]] = attempt._replace(end=at)
    elif attempt.end is not None:  # it was to be repeated, and then was not
        yield BusySpan(attempt.begin, attempt.end, Phase.EXECUTING, event["stage"])
        yield BusySpan(attempt.end, at, Phase.RETRYING, event["stage"])
    else:
        usage = event.get("usage") or {}
        spent = usage["wall_seconds"] + usage.get("away_seconds", 0.0) if usage else None
        end = at if spent is None else min(at, attempt.begin + round(spent * MICROSECONDS))
        yield BusySpan(attempt.begin, end, Phase.EXECUTING, event["stage"])
        yield BusySpan(end, at, Phase.RECORDING, event["stage"])


def _cached(event: Mapping[str, Any], at: int, _: dict[int, _OpenAttempt]) -> Iterator[BusySpan]:
    yield BusySpan(at, at, Phase.EXECUTING, event["stage"])


_STAGES = {"start": _started, "end": _ended, "cached": _cached}


def _lost(attempt: _OpenAttempt, left: int, number: int) -> BusySpan:
    """The work of an attempt that a kill made worthless."""
    return BusySpan(attempt.begin, left, Phase.RETRYING, number)


def _unfinished(attempt: _OpenAttempt, latest: int, number: int) -> BusySpan:
    part = Phase.EXECUTING if attempt.end is None else Phase.RETRYING
    return BusySpan(attempt.begin, latest, part, number)


def from_attempts(run: Run, start: int, end: int) -> list[BusySpan]:
    """The spans that a manifest alone gives. `start` and `end` in microseconds since the epoch."""
    return [span for stage in run.stages for span in _of_stage(stage, start, end)]


def _of_stage(stage: StageRun, start: int, end: int) -> Iterator[BusySpan]:
    from orchgate.hotspots.logs import microseconds

    begins = [microseconds(one.started_at) - start for one in stage.attempts if one.started_at]
    if not begins and stage.started_at:
        begins = [microseconds(stage.started_at) - start]
    if not begins:
        return
    over = microseconds(stage.completed_at) - start if stage.completed_at else end - start
    yield BusySpan(begins[0], begins[-1], Phase.RETRYING, stage.number)
    once = len(begins) == 1 and stage.usage is not None and stage.usage.wall_seconds is not None
    spent = (stage.usage.wall_seconds or 0.0) + (stage.usage.away_seconds or 0.0) if once and stage.usage else None
    done = over if spent is None else min(over, begins[-1] + round(spent * MICROSECONDS))
    yield BusySpan(begins[-1], done, Phase.EXECUTING, stage.number)
    yield BusySpan(done, over, Phase.RECORDING, stage.number)
