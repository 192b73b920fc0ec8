"""The metrics of pipelines and their stages as a table: aligned text in a pipe, drawn on a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from orchgate.outputs._escape import escape
from orchgate.verdict.words import AT_LEAST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KIB = 1 << 10
MIB = 1 << 20
_COLUMNS = (
    "pipeline",
    "runs",
    "success",
    "flaky",
    "tests",
    "wall",
    "wall p90",
    "cpu",
    "max RSS",
    "tree RSS",
    "read",
    "written",
    "writes",
    "last end (UTC)",
)
_NAMES = 1  # columns that are text, from the left
_NONE = "-"


def show(pipelines: Sequence[Mapping[str, Any]]) -> None:
    """Prints a table for each class of machines."""
    for machine in dict.fromkeys(pipeline["machine"] for pipeline in pipelines):
        sys.stdout.write(f"machine class {escape(machine)}\n")
        rows = [row for pipeline in pipelines if pipeline["machine"] == machine for row in _rows(pipeline)]
        used = [place for place in range(len(_COLUMNS)) if place < _NAMES or any(row[place] != _NONE for row in rows)]
        table = [[row[place] for place in used] for row in (_COLUMNS, *rows)]
        if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            _draw(table)
        else:
            _align(table)
        for pipeline in pipelines:
            if pipeline["machine"] == machine and (told := "; ".join(_left_out(pipeline))):
                sys.stdout.write(escape(f"  {pipeline['pipeline']}: {told}") + "\n")
    from orchgate.metrics.sketch import ERROR

    sys.stdout.write(f"costs are medians of successes, within {ERROR:.0%} of a real one\n")
    if any(cost["lower_bounds"] for one in _all(pipelines) for cost in one["costs"].values()):
        sys.stdout.write(f"{AT_LEAST}at least: some of these runs could not be measured whole\n")


def _all(pipelines: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for pipeline in pipelines:
        yield pipeline
        yield from pipeline["stages"]


def _left_out(pipeline: Mapping[str, Any]) -> Iterator[str]:
    """What is not among the costs of a pipeline: how many runs, and how long those took that did not succeed."""
    if not pipeline["statuses"].get("succeeded"):
        yield "no successful run, so no costs"
    elif not pipeline["costs"]:
        yield "no successful run without stages from the cache, so no costs"
    for how in ("failed", "cancelled"):
        ended = pipeline[how]
        if ended["runs"]:
            times = f", {_told(ended['wall_seconds'])} in all" if ended["wall_seconds"] is not None else ""
            middle = f" ({_told(ended['wall_seconds_p50'])} each, median)" if times and ended["runs"] > 1 else ""
            yield f"{ended['runs']:,} {how}{times}{middle}"
    if pipeline["cached_runs"]:
        yield f"{pipeline['cached_runs']:,} with stages from the cache"


def _rows(pipeline: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield (escape(pipeline["pipeline"]), *_cells(pipeline))
    for stage in pipeline["stages"]:
        yield (f"  {escape(stage['stage'])}", *_cells(stage))


def _cells(totals: Mapping[str, Any]) -> Iterator[str]:
    rates, costs, tests = totals["rates"], totals["costs"], totals["tests"]
    yield f"{totals['runs']:,}"
    yield _percent(rates.get("success_rate"))
    yield _percent(rates.get("flaky_rate")) if totals["flaky_runs"] else _NONE
    yield f"{tests['passed']:,}/{tests['passed'] + tests['failed']:,}" if tests else _NONE
    yield _seconds(costs.get("wall_seconds"), "p50")
    yield _seconds(costs.get("wall_seconds"), "p90")
    yield _seconds(costs.get("cpu_seconds"), "p50")
    for name in ("max_rss_bytes", "tree_rss_bytes", "read_bytes", "written_bytes"):
        yield _size(costs.get(name))
    yield str(costs["manifest_writes"]["p50"]) if "manifest_writes" in costs else _NONE
    yield (totals["last_completed_at"] or _NONE)[:16].replace("T", " ")


def _percent(rate: float | None) -> str:
    """A share that is not whole is never shown as 0 % or 100 %."""
    if rate is None:
        return _NONE
    return f"{rate:.1%}" if rate in (0, 1) else f"{min(max(rate, 0.001), 0.999):.1%}"


def _seconds(cost: Mapping[str, Any] | None, quantile: str) -> str:
    if cost is None:
        return _NONE
    return (AT_LEAST if cost["lower_bounds"] else "") + _told(cost[quantile])


def _told(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 100 else f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def _size(cost: Mapping[str, Any] | None) -> str:
    if cost is None:
        return _NONE
    size, least = cost["p50"], AT_LEAST if cost["lower_bounds"] else ""
    told = f"{size / MIB:.1f} MiB" if size >= MIB else f"{size / KIB:.1f} KiB" if size >= KIB else f"{size} B"
    return least + told


def _align(table: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    for row in table:
        cells = (
            cell.ljust(width) if place < _NAMES else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        sys.stdout.write("  " + "  ".join(cells).rstrip() + "\n")


def _draw(table: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD)
    for place, name in enumerate(table[0]):
        drawn.add_column(name, justify="left" if place < _NAMES else "right", overflow="fold")
    for row in table[1:]:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(markup=False, emoji=False, highlight=False).print(drawn)
