"""What base and head are compared by: each measure declared once, with its title, limits and where its value is from.

Those that every repository has stand here; any other file of this folder may hold more, in `MEASURES`.
"""

from __future__ import annotations

import functools

from orchgate import registry
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

_HERE = "declared"


class MetricKind(Enum):
    """How a metric is judged: by a statistical test, or exactly."""

    TIME = "time"
    MEMORY = "memory"
    COUNTER = "counter"
    RATE = "rate"  # a fraction from 0 to 1, judged exactly

    @property
    def exact(self) -> bool:
        return self in (MetricKind.COUNTER, MetricKind.RATE)


class Measure(NamedTuple):
    """One measure; the limits are the defaults, and mean what they mean in `verdict.values.Metric`.

    The suffix of the name is the unit: `_seconds`, `_bytes`, `_rate`; a count has none. `title` is what people read,
    the name's words where it is "". One with `when_named` is judged only where the configuration names it. `of` takes
    what processes cost, as the kernel said it (`runs.usage.Cost`), and gives the value, None where it is not known;
    measures without it are filled in by whoever counts them.
    """

    name: str
    kind: MetricKind
    block: float
    tolerance: float = 0.0
    slack: float = 0.0
    more_is_worse: bool = True
    settles: bool = False
    refuses: bool = True
    title: str = ""
    when_named: bool = False
    of: Callable[[Mapping[str, Any]], float | None] | None = None


@functools.cache
def every() -> tuple[Measure, ...]:
    """All measures, the standard ones first, in the order of the report."""
    others = [name for name in registry.plugins("measures") if name != _HERE]
    return (*MEASURES, *(one for name in others for one in registry.load("measures", name).MEASURES))


def title(name: str) -> str:
    """`CPU time` of `cpu_seconds`, `manifest writes` of `manifest_writes`."""
    return _titles().get(name) or name.replace("_", " ")


@functools.cache
def _titles() -> Mapping[str, str]:
    return {one.name: one.title for one in every()}


def costs_of(spent: Mapping[str, Any]) -> dict[str, float]:
    """What processes cost, under the names of metrics; what was not measured is left out."""
    found = {one.name: one.of(spent) for one in every() if one.of is not None}
    return {name: value for name, value in found.items() if value is not None}


def tests_of(counted: Sequence[Mapping[str, int]]) -> dict[str, float]:
    """Tests passed, and the fraction of those that could have; nothing where none were counted."""
    if not counted:
        return {}
    passed = sum(one.get("passed", 0) for one in counted)
    failed = sum(one.get("failed", 0) + one.get("errors", 0) for one in counted)
    return {"tests_passed": passed, **({"test_pass_rate": passed / (passed + failed)} if passed + failed else {})}


# The measures that every repository has


MIB = 1024 * 1024


def _as_measured(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda spent: spent[name]


def _cpu_seconds(spent: Mapping[str, Any]) -> float:
    user, system = float(spent["user_seconds"]), float(spent["system_seconds"])
    return round(user + system, 6)


def _tree_memory(spent: Mapping[str, Any]) -> float | None:
    """At some moment all processes held at least what the largest did, whether a sample met it or not."""
    largest: float | None = spent["max_rss_bytes"]
    return None if largest is None or "tree_rss_bytes" not in spent else max(spent["tree_rss_bytes"] or 0, largest)


MEASURES = (
    Measure("cpu_seconds", MetricKind.TIME, 0.05, 0.01, title="CPU time", of=_cpu_seconds),
    Measure("wall_seconds", MetricKind.TIME, 0.10, 0.01, title="wall time", of=_as_measured("wall_seconds")),
    Measure(
        "max_rss_bytes", MetricKind.MEMORY, 0.03, 0.01, slack=MIB, title="memory", of=_as_measured("max_rss_bytes")
    ),
    Measure("manifest_writes", MetricKind.COUNTER, 0.0),
    Measure("files_written", MetricKind.COUNTER, 0.0),
    Measure(
        "written_bytes",
        MetricKind.COUNTER,
        0.05,
        0.01,
        slack=64 * 1024,
        title="bytes written",
        of=_as_measured("written_bytes"),
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
        of=_as_measured("read_bytes"),
    ),
    Measure("processes", MetricKind.COUNTER, 0.0, of=_as_measured("processes")),
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
        of=_tree_memory,
    ),
)
