"""What stands in a summary's table: the values of a metric with their units, and how far it moved, as far as known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.verdict.words import AT_LEAST

if TYPE_CHECKING:
    from orchgate.verdict.before_after import MetricChange

NEWEST = 2
HEAD = ("metric", "before", "after", "change")
NAMES = {
    "wall_seconds": "wall time",
    "cpu_seconds": "CPU time",
    "max_rss_bytes": "peak memory",
    "tree_rss_bytes": "peak memory, all at once",
    "manifest_writes": "manifest writes",
    "written_bytes": "bytes written",
    "read_bytes": "bytes read",
    "processes": "processes",
    "success_rate": "success rate",
    "test_pass_rate": "test pass rate",
}
_TOLERATED = 0.1 + 1e-9  # points by which two percentages differ that were only rounded otherwise


def cells_of(row: MetricChange, version: int = NEWEST) -> tuple[str, str, str, str]:
    """A row as its table shows it."""
    before, after = (
        (AT_LEAST if least and number is not None else "") + value(row.metric, number, version)
        for number, least in zip((row.before, row.after), row.least, strict=True)
    )
    return NAMES[row.metric], before, after, _change(row, version)


def value(metric: str, number: float | None, version: int = NEWEST) -> str:
    """A metric's value with its unit."""
    if number is None:
        return "not measured"
    if metric.endswith("_rate"):
        return f"{number * 100:.1f} %"
    if metric.endswith("_seconds"):
        return f"{number:.3f} s" if version == 1 or number >= 1 else f"{number:.{_places(number)}f} s"
    if metric.endswith("_bytes"):
        return _bytes(number, 1 if version == 1 else 2)
    return f"{number:.1f}".removesuffix(".0")


def _places(number: float) -> int:
    """Decimals that show four digits of a fraction of a second, down to the microseconds that are recorded."""
    places = 3
    while number < 1 and places < 6:
        number *= 10
        places += 1
    return places


def _bytes(number: float, places: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.{places}f} {unit}"
        number /= 1024
    return f"{number:.2f} GiB"


def _change(row: MetricChange, version: int) -> str:
    if row.before is None or row.after is None:
        return "unknown"
    if row.metric.endswith("_rate"):
        points = (row.after - row.before) * 100
        return "same" if points == 0 else f"{points:+.1f} points"
    if any(row.least):
        return _bounded(row)
    if row.change is None:
        return "unknown"
    change = _percent(row.change)
    if row.low is not None and row.high is not None and row.confidence is not None:
        change += f" ({_percent(row.low)} to {_percent(row.high)}; {row.confidence * 100:.0f} %)"
    if version == 1 or row.of_medians is None or not disagree(row):
        return change
    return f"{change}; medians {_percent(row.of_medians)}"


def disagree(row: MetricChange) -> bool:
    """Whether the medians of a row moved otherwise than its pairs."""
    if row.change is None or row.of_medians is None or any(row.least):
        return False
    return abs(round(100 * row.change, 1) - round(100 * row.of_medians, 1)) > _TOLERATED


def _bounded(row: MetricChange) -> str:
    """What can be said of a change one side of which is a lower bound: only what holds wherever the truth lies."""
    if row.change is not None and row.least == (False, True) and row.change > 0:
        return f"at least {_percent(row.change)}"
    if row.change is not None and row.least == (True, False) and row.change <= 0:
        return f"at most {_percent(row.change)}"
    sides = " and ".join(side for side, least in zip(HEAD[1:3], row.least, strict=True) if least)
    return f"cannot tell: {sides} a lower bound"


def _percent(fraction: float) -> str:
    shown = f"{fraction * 100:+.1f} %"
    return "0.0 %" if shown in ("+0.0 %", "-0.0 %") else shown
