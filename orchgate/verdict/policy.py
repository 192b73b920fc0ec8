"""What a comparison is held to: the known metrics, as the configuration changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.verdict.values import BENCHMARK, KNOWN, USUAL_BENCHMARK, WHEN_NAMED, Benchmarks, Kind, Metric, Policy

if TYPE_CHECKING:
    from orchgate.config import settings


def policy(performance: settings.Performance) -> Policy:
    """The policy of a configuration. A metric nobody knows is a counter that may not go up."""
    metrics = {metric.name: metric for metric in KNOWN}
    others = {metric.name: metric for metric in WHEN_NAMED}
    limits = []
    for key, configured in performance.metrics.items():
        if key.startswith(BENCHMARK):
            limits.append((key.removeprefix(BENCHMARK), _merged(USUAL_BENCHMARK, configured)))
            continue
        stage, dot, own = key.rpartition(".")  # a stage's id is written as it is
        name = f"{stage}{dot}{own.replace('-', '_')}"
        known = metrics.get(name) or others.get(name) or Metric(name, Kind.COUNTER, 0.0)
        metrics[name] = _merged(known, configured)
    named = Benchmarks(tuple(limits), required=bool(performance.benchmarks.file))
    return Policy(metrics, performance.inconclusive, named)


def _merged(metric: Metric, configured: settings.Metric) -> Metric:
    block = metric.block if configured.block is None else configured.block
    tolerance = metric.tolerance if configured.tolerance is None else configured.tolerance
    if metric.kind.exact:
        tolerance = min(tolerance, block)
    return metric._replace(
        # No measurement can show that a time did not move at all.
        block=max(block, tolerance),
        tolerance=tolerance,
        # Who says how far a metric may move means exactly that far.
        slack=metric.slack if configured.block is None else 0.0,
        most=configured.max,
        least=configured.min,
        refuses=metric.refuses or configured.block is not None,
    )
