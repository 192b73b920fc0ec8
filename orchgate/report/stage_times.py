"""Where the time of the newest run of every pipeline went, and of some others: its stages, and how long each waited."""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.hotspots.timeline import MICROSECONDS, Phase
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.report.values import ReadProblem, StageRow, StageSpan, StageTimes
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.hotspots.timeline import BusySpan, Timeline
    from orchgate.report.values import RunRow

NEWEST = 8  # pipelines whose newest run is shown
OTHERS = 6  # further runs
MOST_STAGES = 40  # of a run
MOST_SPANS = 200  # of a run: attempts without end would be a page without end


def read(root: str, rows: Iterable[RunRow]) -> tuple[tuple[StageTimes, ...], tuple[ReadProblem, ...], int]:
    """The timelines of runs whose folders are here, what could not be read, and how many such runs there are.

    The newest of each pipeline come first, then the newest of the rest.
    """
    here = [row for row in rows if row.status != "unreadable" and _folder(root, row)]
    newest = list({row.pipeline_id: row for row in reversed(here)}.values())[::-1]
    chosen = newest[:NEWEST]
    chosen += [row for row in here if row not in chosen][:OTHERS]
    found, problems = [], []
    for row in chosen:
        try:
            found.append(_times(root, row, newest=row in newest))
        except OrchgateError as error:
            where = f"{ids.RUNS}/{row.task_id}/cli/{row.run_id}"
            problems.append(ReadProblem("run-unreadable", f"{where}: {error.message}", error.hint))
    return tuple(found), tuple(problems), len(here)


def _folder(root: str, row: RunRow) -> str:
    """Where a run is on disk; "" where it is not, or outside of the repository."""
    try:
        folder = ids.run_folder(root, row.task_id, row.run_id)
    except OrchgateError:
        return ""
    return folder if ids.RUN_ID.fullmatch(row.run_id) and os.path.isdir(folder) else ""


def _times(root: str, row: RunRow, *, newest: bool) -> StageTimes:
    """Raises OrchgateError."""
    from orchgate.hotspots.timing import read as read_timeline

    timeline = read_timeline(_folder(root, row))
    lines = tuple(_lines(timeline))
    waited = (one.spans[0].begin_seconds - one.ready_seconds for one in lines if one.ready_seconds is not None)
    return StageTimes(
        row.run_id,
        f"stages-{row.anchor.removeprefix('r')}",
        row.anchor,
        row.task_id,
        timeline.pipeline,
        timeline.status,
        timeline.wall_seconds,
        sum(max(0.0, one) for one in waited),
        lines,
        timeline.missing,
        newest,
    )


def _lines(timeline: Timeline) -> Iterator[StageRow]:
    spans: dict[int, list[BusySpan]] = {}
    for span in timeline.spans[:MOST_SPANS]:
        if span.part is not Phase.AWAY:
            spans.setdefault(span.stage, []).append(span)
    ends = {number: max(span.end for span in found) for number, found in spans.items()}
    for number, stage in enumerate(timeline.stages[:MOST_STAGES], 1):
        if not stage.id:  # time that belongs to none
            continue
        busy = list(_attempts(sorted(spans.get(number, ()), key=lambda span: span.begin)))
        ready = _ready(number, timeline.needs, ends) if busy else None
        yield StageRow(stage.id, stage.status, ready, tuple(busy), stage.attempts, stage.cached)


def _attempts(spans: Iterable[BusySpan]) -> Iterator[StageSpan]:
    """One span for each attempt: what a stage did one after the other, recording its end included."""
    begin, end, phase = 0, -1, Phase.EXECUTING
    for span in spans:
        kind = Phase.RETRYING if span.part is Phase.RETRYING else Phase.EXECUTING
        if span.begin == end and kind is phase:
            end = span.end
            continue
        if end >= 0:
            yield StageSpan(begin / MICROSECONDS, end / MICROSECONDS, phase.value)
        begin, end, phase = span.begin, span.end, kind
    if end >= 0:
        yield StageSpan(begin / MICROSECONDS, end / MICROSECONDS, phase.value)


def _ready(number: int, needs: Mapping[int, Sequence[int]] | None, ends: Mapping[int, int]) -> float | None:
    """When all that a stage needs was done, in seconds since the run's start; None where nobody recorded that."""
    if needs is None:
        return None
    return max((ends[one] for one in needs.get(number, ()) if one in ends), default=0) / MICROSECONDS
