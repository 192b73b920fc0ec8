"""Metrics, their values and what was judged of them, in words for people. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.metrics.values import Compared, Counted, Judgement

_TITLES = {
    "cpu_seconds": "CPU time",
    "wall_seconds": "wall time",
    "max_rss_bytes": "memory",
    "tree_rss_bytes": "memory of all processes at once",
    "read_bytes": "bytes read",
    "written_bytes": "bytes written",
}
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
UNKNOWN = "-"
AT_LEAST = "≥ "  # before what is a lower bound


def title(name: str) -> str:
    """`CPU time` of `cpu_seconds`, `manifest writes` of `manifest_writes`."""
    return _TITLES.get(name, name.replace("_", " "))


def amount(name: str, value: float | None) -> str:
    """A value of a metric with its unit."""
    if value is None:
        return UNKNOWN
    if name.endswith("_seconds"):
        return seconds(value)
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith("_rate"):
        return f"{value:.1%}".replace("%", " %")
    return f"{value:.0f}" if value == int(value) else f"{value:.6g}"


def seconds(value: float) -> str:
    if value < 0.1:
        return f"{value * 1000:.1f} ms"
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def size(value: float) -> str:
    for unit, name in _UNITS:
        if abs(value) >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:.0f} B"


def percent(change: float | None) -> str:
    """`+12.3 %`; very large changes as factors."""
    if change is None:
        return UNKNOWN
    if change >= 9:
        return f"x {change + 1:.1f}"
    return f"{change * 100:+.1f} %"


def interval(one: Compared) -> str:
    """`+10.1 % to +14.6 %`."""
    return UNKNOWN if one.low is None or one.high is None else f"{percent(one.low)} to {percent(one.high)}"


def compared(one: Compared) -> str:
    """What the test says of one metric, as half a sentence."""
    name = title(one.name)
    if one.verdict is Verdict.BROKEN:
        return f"{name} could not be judged" + (f": {one.reason}" if one.reason else "")
    if one.verdict is Verdict.INCONCLUSIVE:
        return f"{name}: cannot tell" + (f", {one.reason}" if one.reason else "") + _visible(one)
    if one.estimate is None:
        return f"{name}: {one.verdict.value}"
    values = "" if one.base is None or one.head is None else f"; {values_of(one)}"
    if one.verdict is Verdict.PASS:
        return f"{name} is not worse: {percent(one.estimate)} ({interval(one)}{values})"
    return f"{name} changed by {percent(one.estimate)} ({interval(one)}{values})"


def values_of(one: Compared | Counted) -> str:
    """`0.121 s -> 0.146 s`."""
    return f"{amount(one.name, one.base)} -> {amount(one.name, one.head)}"


def _visible(one: Compared) -> str:
    return "" if one.smallest_effect is None else f"; it could have seen {percent(one.smallest_effect)}"


def counted(one: Counted) -> str:
    """What the exact comparison says of one counter, as half a sentence."""
    if one.base is None or one.base == one.head:
        text = f"{title(one.name)}: {amount(one.name, one.head)}" + ("" if one.base is None else ", as before")
    else:
        text = f"{title(one.name)} {values_of(one)}"
    return text + (f" ({one.reason})" if one.reason else "")


def headlines(judgement: Judgement) -> Iterator[str]:
    """What decided the verdict: one line for each metric that did, or one that says that nothing got worse."""
    if judgement.reason:
        yield judgement.reason
    for metric in judgement.metrics:
        if metric.verdict is judgement.verdict and metric.verdict is not Verdict.PASS:
            yield compared(metric)
    for counter in judgement.counters:
        if counter.verdict is judgement.verdict and counter.verdict is not Verdict.PASS:
            yield counted(counter)
    if judgement.verdict is Verdict.PASS:
        yield _all_well(judgement)


def _all_well(judgement: Judgement) -> str:
    """The first time metric stands for all; what is in it is the widest change that the measurement leaves open."""
    first = next((one for one in judgement.metrics if one.estimate is not None), None)
    return "nothing got worse" if first is None else compared(first)
