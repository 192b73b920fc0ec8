"""What base and head are compared by: each measure declared once, with its title, limits and where its value is from.

Those that every repository has are in `standard`; any other file of this folder may hold more, in `MEASURES`.
"""

from __future__ import annotations

import functools
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STANDARD = "standard"
_OTHER_MODULES = (STANDARD, "declared")


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
    others = [name for name in registry.plugins("measures") if name not in _OTHER_MODULES]
    return tuple(one for name in (STANDARD, *others) for one in registry.load("measures", name).MEASURES)


def title(name: str) -> str:
    """`CPU time` of `cpu_seconds`, `manifest writes` of `manifest_writes`."""
    return _titles().get(name) or name.replace("_", " ")


@functools.cache
def _titles() -> Mapping[str, str]:
    return {one.name: one.title for one in every()}
