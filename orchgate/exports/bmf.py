"""Bencher's metric format: what stages that succeeded took and cost, and the benchmarks that they measured.

Of several runs, a value is the median, with the least and the most as its bounds. What was answered from the cache took
nothing, what failed took less than its work, and a lower bound is no value: none of it is here.
"""

from __future__ import annotations

from orchgate.exports.recorded import UnreadRun
from orchgate.exports.text import is_number, json_of, seconds
from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.exports.recorded import RunExport
    from orchgate.runs.run import StageRun, Usage

_COSTS = ("max_rss_bytes", "read_bytes", "written_bytes", "processes")
_Measured = tuple[str, str, float]  # of what, which measure, how much


def chunks(items: Iterable[RunExport | UnreadRun]) -> Iterator[str]:
    found: dict[str, dict[str, list[float]]] = {}
    for item in items:
        if isinstance(item, UnreadRun) or item.faults:
            continue
        for name, measure, value in _measured(item):
            if is_number(value) and value >= 0:
                found.setdefault(name, {}).setdefault(measure, []).append(value)
    yield "{"
    for position, (name, measures) in enumerate(found.items()):
        values = {measure: _metric(several) for measure, several in measures.items()}
        yield f"{',' if position else ''}\n{json_of(name)}:{json_of(values)}"
    yield "\n}\n"


def _metric(values: list[float]) -> Mapping[str, float]:
    value = {"value": median(values)}
    return value | ({"lower_value": min(values), "upper_value": max(values)} if len(values) > 1 else {})


def _measured(item: RunExport) -> Iterator[_Measured]:
    run = item.run
    if run.status == "succeeded" and run.usage and not any(stage.cached for stage in run.stages):
        yield from _costs(run.pipeline_id, run.usage)
    for name, each in run.benchmarks.items():
        yield name, "latency", each * 1e9
    for stage in run.stages:
        if stage.status == "succeeded" and not stage.cached:
            yield from _of_stage(f"{run.pipeline_id}/{stage.id}", stage)


def _of_stage(name: str, stage: StageRun) -> Iterator[_Measured]:
    if stage.usage and len(stage.attempts) == 1:
        yield from _costs(name, stage.usage)
    if stage.usage is None and (took := seconds(stage)):
        yield name, "latency", took * 1e9
    for measure, value in stage.metrics.items():
        yield name, measure, value
    for benchmark, each in stage.benchmarks.items():
        yield benchmark, "latency", each * 1e9


def _costs(name: str, usage: Usage) -> Iterator[_Measured]:
    bounds = usage.lower_bounds
    if usage.complete is False and not bounds:  # an older version did not record which
        return
    if usage.wall_seconds is not None and "wall_seconds" not in bounds:
        yield name, "latency", usage.wall_seconds * 1e9  # in nanoseconds, as Bencher has it
    if usage.user_seconds is not None and usage.system_seconds is not None and "cpu_seconds" not in bounds:
        yield name, "cpu_seconds", usage.user_seconds + usage.system_seconds
    for measure in _COSTS:
        value = getattr(usage, measure)
        if value is not None and measure not in bounds:
            yield name, measure, value
