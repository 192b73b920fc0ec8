"""What pages say, made up: every kind of value, with one name in all places."""

from __future__ import annotations

from orchgate.report import values
from orchgate.trends.answers import Answers
from orchgate.trends.changes import CommitRange, MovedLevel, TrendChange
from orchgate.trends.classes import ClassRatio, FlakyStage
from orchgate.trends.drift import Drift
from orchgate.trends.streams import CommitLine, StreamKey
from tests.trending import accepted

HOSTILE = "</script><img src=x onerror=alert(1)>"


def everything(name: str) -> values.Page:
    """A page with something in each of its sections, all of it called by one name."""
    row = values.RunRow(name, "run-1", name, name, name, name, name, {"wall_seconds": 1.0}, problem=name)
    finding = values.FindingRow(name, name, "error", name, 1, name, name)
    stage = values.StageRow(name, name, 0.5, (values.StageSpan(1.0, 2.0, "executing"),))
    change = values.ChangeRow(name, 1.0, 2.0, 1.0, 0.5, 1.5, 0.05, "fail", name)
    samples = values.Samples("wall_seconds", "fail", (1.0, 2.0), (3.0, 4.0), paired=True)
    point = values.TrendPoint("run-1", name, name, 1.0)
    band = values.BaselineBand(1.0, 2.0, 3.0, 4, name, name)
    mark = values.TrendMark("run-1", name)
    trend = values.MetricTrend(name, name, "wall_seconds", (point, point), band, 1.0, 0.1, 2, (mark,))
    pipeline = values.PipelineState(name, name, 1, 1, 1, (trend,), {name: 1.0})
    gate = values.GateState(
        "fail", name, name, name, name, (values.CheckRow(name, "fail", {name: 1}, name),), (finding,)
    )
    return values.Page(
        name,
        name,
        name,
        gate,
        (values.TaskState(name, "task-1", name, name, {name: name}, 2, 1, (finding,), 1, 1, name, name, (pipeline,)),),
        1,
        (row,),
        1,
        stage_times=(
            values.StageTimes(
                name, "stages-1", "run-1", name, name, name, 2.0, 0.5, (stage,), (name,), failed_tests=(name,)
            ),
        ),
        comparisons=(
            values.BeforeAfter("perf", name, name, name, name, name, 2, 2, "fail", name, (change,), (samples,)),
        ),
        evidence=values.EvidenceSection(
            1, {name: 1}, (values.Artifact(name, True, values.EvidenceMark.CHANGED, 1, name, name),)
        ),
        problems=(values.ReadProblem(name, name, name),),
        left_out=(name,),
        history=_history(name),
        hosted=values.PageJob(name, name, name, name, name, name, name),
    )


def _history(name: str) -> values.HistorySection:
    key = StreamKey(name, name, name, "cpu_seconds", name)
    at = 0, 1.0, name
    with_it = (MovedLevel(name, 1.0, 2.0),)
    change = TrendChange(
        key, 1.0, 2.0, 0.999, 1.0, name, 9, CommitRange(name, name, 3), at, at, also=with_it, stages=with_it
    )
    (record,) = accepted(name).records.values()
    found = Answers(
        (change, change._replace(same_commit=name)),
        (Drift(key, record, 1.0, 2.0, 1.0, 0.9, 1.1, 30, 20, 0),),
        (FlakyStage(name, name, name, 100, 3, 0.01, 0.09),),
        (ClassRatio(key, name, 2.0, 1.9, 2.1, 9),),
        CommitLine(name, {}),
        0,
        {name: name},
    )
    points = tuple((float(nth), 1.0 + nth) for nth in range(3))
    return values.HistorySection(found, (values.HistoryTrend(key, points, ((1, name),)),), 100)
