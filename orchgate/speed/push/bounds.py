"""Bounds on what no run of base is needed for: the size of the change, and the rates of a task's recorded runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.config.metric_names import BENCHMARK
from orchgate.measures import declared
from orchgate.model import Finding, Location, Severity, Step, Verdict
from orchgate.speed.push.override import TRAILER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.config.settings import Performance
    from orchgate.speed.measurement import Measurement

_NOWHERE = Location("")
SIZES = ("diff_files", "diff_lines")
RATES = ("success_rate", "test_pass_rate", "flaky_rate")
MEMORY = ("max_rss_bytes", "tree_rss_bytes")  # not judged where a run takes less than orchgate itself
SPLIT = "split the change (`git diff --stat BASE HEAD` shows what counts)"


def bounded(performance: Performance, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the metrics whose own value the configuration bounds."""
    bounds = {name.replace("-", "_"): (one.max, one.min) for name, one in performance.metrics.items()}
    return tuple(name for name in names if any(bound is not None for bound in bounds.get(name, ())))


def of_size(performance: Performance, files: int, lines: int) -> Iterator[Finding]:
    """What is said of a change of so many files and lines."""
    for name, number in zip(SIZES, (files, lines), strict=True):
        if name in bounded(performance, SIZES) and (reason := _beyond(performance, name, number)):
            yield Finding("PRF002", _NOWHERE, f"{declared.title(name)}: {reason}", SPLIT, Severity.ERROR, TRAILER)


def _beyond(performance: Performance, name: str, value: float) -> str:
    """Why a value is out of its bounds; "" when it is not."""
    from orchgate.verdict.exact import within_bounds
    from orchgate.verdict.values import policy

    one = within_bounds(policy(performance).metrics[name], value)
    return "" if one.verdict is Verdict.PASS else one.reason


def unmeasured(performance: Performance, measurement: Measurement) -> Iterator[Finding]:
    """PRF004 for metrics that are configured and that no run of a comparison measured."""
    from orchgate.speed.measurement import Stopped

    if measurement.stopped in (Stopped.FAILED, Stopped.GROSS):  # which ends before all is measured
        return
    judgement = measurement.judgement
    judged = {*(one.name for one in judgement.metrics), *(one.name for one in judgement.counters)}
    elsewhere = (*SIZES, *MEMORY, "flaky_rate", *(RATES if performance.rates_from_task else ()))
    known = {name.replace("_", "-") for name in (*judged, *elsewhere)}
    named = [key for key in performance.metrics if not key.startswith(BENCHMARK)]
    if missing := [key for key in named if key.replace("_", "-") not in known]:
        message = f"{performance.pipeline}: no run measured {', '.join(missing)}, which performance.metrics names"
        yield Finding("PRF004", _NOWHERE, message, "remove it, or make a stage report it", Severity.WARNING)


def of_history(performance: Performance, root: str) -> Iterator[Finding]:
    """What is said of the rates of the configured task's recorded runs.

    Raises OrchgateError where they cannot be read.
    """
    wanted = bounded(performance, RATES) if performance.rates_from_task else ()
    if not wanted:
        return
    from orchgate.metrics.aggregate import rates
    from orchgate.metrics.update import update
    from orchgate.runs.ids import task_folder

    known = rates(update(task_folder(root, performance.rates_from_task)).aggregate, performance.pipeline)
    step = Step("to see the runs", f"orchgate metrics --task {performance.rates_from_task}")
    for name in wanted:
        where = (
            f"{declared.title(name)} of the recorded runs of {performance.pipeline} in {performance.rates_from_task}"
        )
        if name not in known:
            run = f"orchgate run {performance.pipeline} --task {performance.rates_from_task}"
            yield Finding("PRF005", _NOWHERE, f"{where} is not known: no run is here", run, Severity.NOTE)
            continue
        if reason := _beyond(performance, name, known[name]):
            yield Finding("PRF005", _NOWHERE, f"{where}: {reason}", severity=Severity.ERROR, steps=(step,))
