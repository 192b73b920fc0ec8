"""What a history shows as facts for programs: `schemas/history.json` says what each is."""

from __future__ import annotations

from orchgate.history.figures import NANO
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.trends import told
from orchgate.trends.streams import OF_BENCHMARKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.trends.answers import Answers
    from orchgate.trends.changes import MovedLevel, TrendChange
    from orchgate.trends.classes import ClassRatio, FlakyStage
    from orchgate.trends.drift import Drift
    from orchgate.trends.streams import StreamKey


def unit(metric: str) -> str:
    """`seconds`, `bytes`, `count`; `other` where only the benchmark itself knows."""
    last = metric.rpartition("_")[2]
    return last if last in ("seconds", "bytes") else "other"


def of_answers(answers: Answers) -> Mapping[str, object]:
    return {
        "changes": [_change_facts(one) for one in answers.changes],
        "drifts": [_drift_facts(one, answers.described) for one in answers.drifts],
        "flaky_stages": [_flaky_facts(one) for one in answers.flaky],
        "machine_ratios": [_ratio_facts(one) for one in answers.classes],
    }


def _key(key: StreamKey) -> dict[str, object]:
    return {
        "repository": key.repository,
        "pipeline": key.pipeline,
        "stage": key.stage or None,
        "benchmark": key.benchmark or None,
        "machine": key.machine,
        "metric": key.metric,
    }


def _change_facts(one: TrendChange) -> dict[str, object]:
    return {
        **_key(one.key),
        **_values(one.key.metric, one.before, one.after),
        "change_fraction": one.by,
        "confidence_fraction": one.confidence,
        "since": told.moment(one.since),
        "first_run": one.run_id,
        "run_count": one.runs,
        "last_commit_before": one.range.last_before,
        "first_commit_after": one.range.first_after,
        "commit_count": one.range.commits,
        "same_commit": one.same_commit,
        "is_accepted": one.is_accepted,
        "also": [{"metric": moved.name, **_moved_facts(moved, moved.name)} for moved in one.also],
        "stages": [{"stage": moved.name, **_moved_facts(moved, one.key.metric)} for moved in one.stages],
    }


def _moved_facts(moved: MovedLevel, metric: str) -> dict[str, object]:
    change = moved.after / moved.before - 1
    return {**_values(metric, moved.before, moved.after), "change_fraction": change}


def _values(metric: str, before: float, after: float) -> dict[str, object]:
    if metric == OF_BENCHMARKS:  # JSON has six decimals, and some take a few nanoseconds
        return {"unit": "ns", "before": before * NANO, "after": after * NANO}
    return {"unit": unit(metric), "before": before, "after": after}


def _drift_facts(one: Drift, described: Mapping[str, str]) -> dict[str, object]:
    return {
        **_key(one.key),
        **_values(one.key.metric, one.before, one.after),
        "change_fraction": one.change,
        "low_fraction": one.low,
        "high_fraction": one.high,
        "baseline_commit": one.record.commit,
        "baseline_name": described.get(one.record.commit or "") or None,
        "baseline_recorded_at": one.record.recorded_at,
        "run_count": one.runs,
        "commit_count": one.commits,
        "change_count": one.steps,
    }


def _flaky_facts(one: FlakyStage) -> dict[str, object]:
    return {
        "repository": one.repository,
        "pipeline": one.pipeline,
        "stage": one.stage,
        "run_count": one.runs,
        "flaky_count": one.flaky,
        "flaky_rate": one.rate,
        "low_flaky_rate": one.low,
        "high_flaky_rate": one.high,
    }


def _ratio_facts(one: ClassRatio) -> dict[str, object]:
    return {
        **_key(one.key),
        "other_machine": one.other,
        "cost_fraction": one.ratio,
        "low_fraction": one.low,
        "high_fraction": one.high,
        "commit_count": one.commits,
    }
