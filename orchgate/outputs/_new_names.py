"""Fields of JSON documents that got a better name: documents hold both names for one more minor version.

By schema and place in the document (`*` is every item of a list, or every value of an object): the old name, and the
new one. The old ones are deprecated in the schemas. Whoever drops one renames it where the document is made.
"""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

_INTERVAL = {"low": "low_fraction", "high": "high_fraction", "p": "p_value"}
_COMPARED = {"estimate": "change_fraction", **_INTERVAL}
_RUNS = {"runs": "run_count"}
_TOTALS = {
    **_RUNS,
    "flaky_runs": "flaky_run_count",
    "cached_runs": "cached_run_count",
    "resumed_runs": "resumed_run_count",
}
_UNSUCCESSFUL = {**_RUNS, "wall_seconds_p50": "p50_wall_seconds"}
_TESTS = {**_RUNS, "passed": "passed_count", "failed": "failed_count", "skipped": "skipped_count"}
_FAILURE = {"stage": "stage_id", "said": "last_line"}


def _of_totals(place: str) -> dict[str, Mapping[str, str]]:
    return {
        f"{place}.failed": _UNSUCCESSFUL,
        f"{place}.cancelled": _UNSUCCESSFUL,
        f"{place}.tests": _TESTS,
        f"{place}.costs.*": {"lower_bounds": "lower_bound_count"},
    }


def _of_judgement(place: str) -> dict[str, Mapping[str, str]]:
    metric = {
        "pairs": "pair_count",
        "pairs_missing": "missing_pair_count",
        "smallest_effect": "smallest_effect_fraction",
    }
    return {
        f"{place}metrics.*": {**_COMPARED, **metric},
        f"{place}counters.*": {"runs_missing": "missing_run_count"},
        f"{place}benchmarks.*": {"change": "change_fraction", **_INTERVAL, "pairs": "pair_count"},
        f"{place}benchmarks_failed.*": {**_RUNS, "of": "all_run_count"},
    }


NEW_NAMES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "agent": {"": {"left_out": "left_out_count"}},
    "baseline-report": {
        "records.*": {
            **_RUNS,
            "pipeline": "pipeline_id",
            "fingerprint": "machine_id",
            "commits_behind": "behind_commit_count",
        },
        "records.*.metrics.*": {"least": "min", "most": "max"},
        "failure": {**_FAILURE, "run": "run_number"},
    },
    "bisect": {
        "step": _COMPARED,
        "ends": _COMPARED,
        "measured.*": {"change": "change_fraction"},
    },
    "hotspots": {
        "runs.*": {"parts": "part_seconds"},
        "hotspots.*": {"stage": "stage_id", "times": "operation_count"},
        "hotspots.*.gaps.*": {"stage": "stage_id"},
        "pipelines.*": {**_RUNS, "left_out_runs": "left_out_run_count"},
        "pipelines.*.wall": _RUNS,
        "pipelines.*.parts.*": _RUNS,
        "pipelines.*.stages.*": {"id": "stage_id", "median_parts": "median_part_seconds"},
        "pipelines.*.stages.*.total": _RUNS,
    },
    "metrics": {
        "": {"quantile_error": "quantile_error_fraction"},
        "tasks.*": {**_RUNS, "lines": "line_count", "state": "state_path"},
        "tasks.*.read": {"lines": "line_count"},
        "tasks.*.pipelines.*": {**_TOTALS, "pipeline": "pipeline_id", "machine": "machine_id"},
        "tasks.*.pipelines.*.stages.*": {**_TOTALS, "stage": "stage_id"},
        **_of_totals("tasks.*.pipelines.*"),
        **_of_totals("tasks.*.pipelines.*.stages.*"),
    },
    "perf": {
        "": {"pairs": "pair_count", "samples": "samples_path", "noise": "noise_fraction"},
        "environment": {"load": "load_average"},
        "stages.*": {"id": "stage_id"},
        "failures.*": _FAILURE,
        "definition.added.*": {"stage": "stage_id"},
        "instructions": {
            "base": "base_instruction_count",
            "head": "head_instruction_count",
            "change": "change_fraction",
        },
        **_of_judgement(""),
        **_of_judgement("streams.*."),
    },
    "report": {"checks.*": {"older": "older_count"}},
    "run": {
        "pass_rates.*": {
            **_RUNS,
            "id": "stage_id",
            "passed": "passed_count",
            "flaky": "flaky_count",
            "rate": "pass_rate",
        },
    },
    "status": {
        "runs.*": {"resumes": "resume_count"},
        "runs.*.stages.*": {"id": "stage_id"},
    },
    "tasks": {"tasks.*": {"boxes": "box_count", "ticked": "ticked_box_count"}},
}


def add(document: dict[str, Any], schema: str) -> None:
    """Puts each new name in front of the old one."""
    for place, names in NEW_NAMES.get(schema, {}).items():
        for table in _tables(document, place.split(".") if place else ()):
            known = list(table.items())
            table.clear()
            for name, value in known:
                table.update({names[name]: value, name: value} if name in names else {name: value})


def _tables(value: Any, place: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The objects at a place of a document."""
    if not place:
        yield from (value,) if isinstance(value, dict) else ()
    elif place[0] == "*":
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from _tables(one, place[1:])
    elif isinstance(value, dict):
        yield from _tables(value.get(place[0]), place[1:])
