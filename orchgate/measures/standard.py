"""The measures that every repository has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.measures.declared import Measure, MetricKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MIB = 1024 * 1024


def _cost(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda spent: spent[name]


def _cpu(spent: Mapping[str, Any]) -> float:
    user, system = float(spent["user_seconds"]), float(spent["system_seconds"])
    return round(user + system, 6)


def _tree(spent: Mapping[str, Any]) -> float | None:
    """At some moment all processes held at least what the largest did, whether a sample met it or not."""
    largest: float | None = spent["max_rss_bytes"]
    return None if largest is None or "tree_rss_bytes" not in spent else max(spent["tree_rss_bytes"] or 0, largest)


MEASURES = (
    Measure("cpu_seconds", MetricKind.TIME, 0.05, 0.01, title="CPU time", of=_cpu),
    Measure("wall_seconds", MetricKind.TIME, 0.10, 0.01, title="wall time", of=_cost("wall_seconds")),
    Measure("max_rss_bytes", MetricKind.MEMORY, 0.03, 0.01, slack=MIB, title="memory", of=_cost("max_rss_bytes")),
    Measure("manifest_writes", MetricKind.COUNTER, 0.0),
    Measure("files_written", MetricKind.COUNTER, 0.0),
    Measure(
        "written_bytes",
        MetricKind.COUNTER,
        0.05,
        0.01,
        slack=64 * 1024,
        title="bytes written",
        of=_cost("written_bytes"),
    ),
    Measure(
        "read_bytes",
        MetricKind.COUNTER,
        0.10,
        0.01,
        slack=MIB,
        settles=True,
        refuses=False,
        title="bytes read",
        of=_cost("read_bytes"),
    ),
    Measure("processes", MetricKind.COUNTER, 0.0, of=_cost("processes")),
    Measure("tests_passed", MetricKind.COUNTER, 0.0, more_is_worse=False),
    Measure("success_rate", MetricKind.RATE, 0.0, more_is_worse=False),
    Measure("test_pass_rate", MetricKind.RATE, 0.0, more_is_worse=False),
    # Only where it is asked for: a sampled peak moves with the moments of the samples.
    Measure(
        "tree_rss_bytes",
        MetricKind.MEMORY,
        0.03,
        0.01,
        slack=MIB,
        title="memory of all processes",
        when_named=True,
        of=_tree,
    ),
)
