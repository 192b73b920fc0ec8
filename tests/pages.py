"""What pages say, made up: every kind of value, with one name in all places."""

from __future__ import annotations

from orchgate.report import values

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
    trend = values.MetricTrend(name, name, "wall_seconds", (point, point), band, 1.0, 0.1, 2)
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
        stage_times=(values.StageTimes(name, "stages-1", "run-1", name, name, name, 2.0, 0.5, (stage,), (name,)),),
        comparisons=(
            values.BeforeAfter("perf", name, name, name, name, name, 2, 2, "fail", name, (change,), (samples,)),
        ),
        evidence=values.EvidenceSection(
            1, {name: 1}, (values.Artifact(name, True, values.EvidenceMark.CHANGED, 1, name, name),)
        ),
        problems=(values.ReadProblem(name, name, name),),
        left_out=(name,),
    )
