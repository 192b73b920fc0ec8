"""What the metrics entry of a run says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.runs.run import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.runs.run import Run, StageRun, Usage


def entry(run: Run) -> dict[str, Any]:
    """The entry of a finished run. What is null, zero or false by default is left out."""
    git, usage = run.git, run.usage
    line: dict[str, Any] = {
        "entry": 1,
        "run_id": run.run_id,
        "task_id": run.task_id,
        "parent_run_id": run.parent_run_id,
        "pipeline_id": run.pipeline_id,
        "status": run.status,
        "started_at": timestamp(run.started_at),
        "completed_at": run.completed_at and timestamp(run.completed_at),
        "resumes": len(run.resumptions),
    }
    line |= {"commit": git.commit, "tree": git.tree, "dirty": git.dirty} if git else {}
    line |= {"machine": run.machine.fingerprint if run.machine else None, **_costs(usage)}
    line |= run.writes.asdict() if run.writes else {}
    line |= {
        "away_seconds": run.away_seconds,
        "tests": run.tests.counts() if run.tests else None,
        "metrics": run.metrics,
        "flaky": run.flaky,
    }
    line["inside"] = sorted({inner.pipeline_id for inner in run.inner_runs if inner.task_id == run.task_id})
    return _told(line, usage) | {"stages": [_stage(stage) for stage in run.stages]}


def _stage(stage: StageRun) -> dict[str, Any]:
    tries = len(stage.attempts)
    line = {"id": stage.id, "status": stage.status, **_costs(stage.usage), "flaky": stage.flaky, "cached": stage.cached}
    line |= {
        "tests": stage.tests.counts() if stage.tests else None,
        "metrics": stage.metrics,
        "attempts": tries if tries > 1 else None,
    }
    return _told(line, stage.usage)


def _costs(usage: Usage | None) -> dict[str, Any]:
    return usage.asdict() if usage else {}


def _told(line: Mapping[str, Any], usage: Usage | None) -> dict[str, Any]:
    """Without defaults: that a cost is complete is one, and that it is not has to be said."""
    rest = {key: value for key, value in line.items() if key != "complete"}
    incomplete = usage is not None and usage.complete is False
    return _without_defaults(rest) | ({"complete": False} if incomplete else {})


def _without_defaults(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in line.items() if value is not None and value is not False and value not in ([], {})
    }
