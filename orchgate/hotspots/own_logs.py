"""When the stages of our own runs began and ended: from the journal, or without one from the manifest's attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.hotspots.timeline import MICROSECONDS, BusySpan, Phase
from orchgate.runs import sittings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.runs.run import Run, StageRun


class _OpenAttempt(NamedTuple):
    """An attempt that has not ended, or one that has and will be repeated."""

    begin: int
    end: int | None = None


def spans_of(events: Sequence[Mapping[str, Any]], times: Sequence[int]) -> list[BusySpan]:
    """The spans that a journal tells of, in microseconds since its first event.

    `times` are the events' own in microseconds, never going back.
    """
    start, latest = times[0], times[-1] - times[0]
    spans: list[BusySpan] = []
    open_: dict[int, _OpenAttempt] = {}
    stopped = 0.0  # seconds in this sitting
    for position, (event, time) in enumerate(zip(events, times, strict=True)):
        at = time - start
        before, stopped = stopped, event.get(sittings.KEY, stopped)
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
    """The spans that a manifest alone tells of. `start` and `end` in microseconds since the epoch."""
    return [span for stage in run.stages for span in _of_stage(stage, start, end)]


def _of_stage(stage: StageRun, start: int, end: int) -> Iterator[BusySpan]:
    from orchgate.hotspots.log_lines import microseconds

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
