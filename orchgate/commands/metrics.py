"""`orchgate metrics`: what the runs of each task cost, how often they succeed, and how that changes."""

from __future__ import annotations

import os
import sys

from orchgate.commands.shared import options, screen, servers, work_tree
from orchgate.commands.shared.options import output_format
from orchgate.errors import OrchgateError, UsageError
from orchgate.lib.text import aligned, counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.measures import declared
from orchgate.model import Verdict
from orchgate.outputs._escape import escape
from orchgate.runs import ids
from orchgate.verdict import words
from orchgate.verdict.words import AT_LEAST

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.screen import Screen
    from orchgate.metrics.lines import Entry
    from orchgate.metrics.update import Updated

    Series = dict[tuple[str, str], dict[str, list[float]]]


SUMMARY = "bring the metrics of the runs up to date and show them"
ABOUT = "Without --task, of all tasks that have recorded runs."
EXAMPLES = (
    "orchgate metrics",
    "orchgate metrics --task 0001-faster-start --output-format json",
    "orchgate metrics --from s3://bucket/history --scheduler tcp://10.0.0.5:8786",
)
EXIT_CODES = {
    0: "shown",
    3: "metrics cannot be read or their snapshot not be written; with --from, a server, a part or a worker failed",
}
VERSION = 1
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
# A narrow terminal goes without these, this one first.
_LEAST_FIRST = (
    "last end (UTC)",
    "writes",
    "tree RSS",
    "read",
    "written",
    "wall p90",
    "tests",
    "flaky",
    "max RSS",
    "cpu",
)
_DRAWN = ("wall_seconds", "cpu_seconds", "max_rss_bytes")
_GAP = 3  # characters between columns of a drawn table
_NEWEST = 24  # runs that a sparkline shows at most
_NAMES = 1  # columns that are text, from the left
_NONE = "-"


def arguments(parser: Parser) -> None:
    work_tree.task_option(parser, "only this task's runs (all)")
    what = "of a history, not of this clone: git asks the remote; URL or folder: that store"
    parser.add_argument("--from", dest="source", default="", metavar="STORE", help=what)
    options.scheduler(parser, "with --from: add it up on the workers of this Dask scheduler")
    servers.add_arguments(parser)
    output_format(parser, "metrics")


def run(args: argparse.Namespace) -> Verdict:
    if args.source:
        from orchgate.commands.history import totals

        return totals.run(args, lambda pipelines: _show_tables(pipelines, {}))
    if args.scheduler:
        raise UsageError("--scheduler adds up a history", "orchgate metrics --from STORE --scheduler ADDRESS")
    root = work_tree.root()
    wanted = [work_tree.task_with_runs(root, args.task)] if args.task else _tasks(root)
    newest: dict[str, Sequence[Entry]] = {}
    found = [_task(root, task, newest) for task in wanted]
    if args.output_format == "json":
        from orchgate.metrics.sketch import QUANTILE_ERROR
        from orchgate.outputs._document import headed, problem

        unread = [
            problem("unreadable", str(task["problem"]), str(task["hint"] or ""), (str(task["path"]), 0, 0))
            for task in found
            if task["problem"]
        ]
        facts = {"quantile_error": QUANTILE_ERROR, "tasks": found, "problems": unread}
        work_tree.print_json(headed("metrics", facts, VERSION))
    else:
        _print(found, newest)
    return Verdict.BROKEN if any(task["problem"] or _unwritten(task) for task in found) else Verdict.PASS


def _unwritten(task: Mapping[str, Any]) -> bool:
    """Whether a task has metrics and yet no snapshot for people."""
    return bool(task["lines"]) and task["state"] is None


def _tasks(root: str) -> list[str]:
    """Every task that has metrics. Raises OrchgateError."""
    runs = os.path.join(root, ids.RUNS)
    try:
        names = sorted(os.listdir(runs))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OrchgateError(f"cannot list {runs}: {error.strerror}") from error
    return [name for name in names if os.path.lexists(os.path.join(runs, name, ids.METRICS))]


def _task(root: str, task: str, newest: dict[str, Sequence[Entry]]) -> dict[str, object]:
    """A task's metrics, JSON-able, and its newest entries into `newest`. What cannot be read is a task that says so."""
    from orchgate.metrics import snapshot, update

    known: dict[str, object] = {"task_id": task, "path": f"{ids.RUNS}/{task}/{ids.METRICS}"}
    try:
        # Published before anybody else adds up: the older of two snapshots must not come last.
        with update.updated(ids.task_folder(root, task)) as updated:
            newest[task] = updated.newest()
            state, notes = _publish(root, task, updated, newest[task])
    except OrchgateError as error:
        return known | {"problem": error.message, "hint": error.hint or None}
    read = {"lines": updated.lines, "bytes": updated.bytes, "ignored": dict(sorted(updated.ignored.items()))}
    return known | {
        "problem": None,
        "hint": None,
        "runs": updated.aggregate.runs,
        "lines": updated.aggregate.lines,
        "ignored": dict(sorted(updated.aggregate.ignored.items())),
        "read": read | {"rebuilt_because": updated.rebuilt or None, "unfinished_bytes": updated.unfinished},
        "state": state,
        "notes": [*notes, *_outside(newest[task])],
        "pipelines": snapshot.pipelines(updated.aggregate),
    }


def _publish(root: str, task: str, updated: Updated, newest: Sequence[Entry]) -> tuple[str | None, list[str]]:
    """The path of the snapshot, None when there is none, and what to say about what was written."""
    from orchgate.metrics.snapshot import publish

    notes = [f"the checkpoint was not written: {updated.not_kept}"] if updated.not_kept else []
    if not updated.aggregate.lines:
        return None, notes
    try:
        path, kept = publish(root, task, updated, newest)
    except OrchgateError as error:
        return None, [*notes, f"the snapshot was not written: {error.message}"]
    state = os.path.relpath(path, root)
    return state, notes + ([f"another program's {state} is now {os.path.relpath(kept, root)}"] if kept else [])


def _outside(newest: Sequence[Entry]) -> Iterator[str]:
    """Which pipelines are programs that were observed while they recorded runs themselves, of the newest ones."""
    inner: dict[str, set[str]] = {}
    for entry in newest:
        if inside := getattr(entry, "inside", ()):
            inner.setdefault(entry.pipeline_id, set()).update(inside)
    for outer, pipelines in sorted(inner.items()):
        yield f"{outer} is observed from outside; the runs it recorded itself count as {', '.join(sorted(pipelines))}"


def _print(found: Sequence[Mapping[str, Any]], newest: Mapping[str, Sequence[Entry]]) -> None:
    if not found:
        sys.stdout.write("no metrics: no run is recorded here\n  hint: orchgate run PIPELINE --task ID\n")
    for number, task in enumerate(found):
        if number:
            sys.stdout.write("\n")
        if task["problem"]:
            _line(f"task {task['task_id']}: {task['problem']}")
            if task["hint"]:
                _line(f"  hint: {task['hint']}")
            continue
        _line(f"task {task['task_id']}: {counted(task['runs'], 'run')} in {counted(task['lines'], 'line')}")
        for line in _lines_of(task):
            _line(f"  {line}")
        if task["pipelines"]:
            _show_tables(task["pipelines"], _series(newest[task["task_id"]]))


def _lines_of(task: Mapping[str, Any]) -> Iterator[str]:
    """What was read, and everything in it that does not count."""
    read = task["read"]
    why = f", full rebuild: {read['rebuilt_because']}" if read["rebuilt_because"] else ""
    yield f"read {counted(read['lines'], 'line')} this time ({read['bytes']:,} bytes){why}"
    if task["ignored"]:
        kinds = "; ".join(f"{count} {kind}" for kind, count in task["ignored"].items())
        yield f"ignored {counted(sum(task['ignored'].values()), 'line')}: {kinds}"
    if read["unfinished_bytes"]:
        yield f"left {read['unfinished_bytes']:,} bytes of an unfinished last line for the next time"
    if not task["runs"]:
        yield f"no runs in {task['path']}"
    if task["state"]:
        yield f"snapshot: {task['state']}"
    yield from task["notes"]


def _line(text: str) -> None:
    sys.stdout.write(escape(text) + "\n")


def _show_tables(pipelines: Sequence[Mapping[str, Any]], series: Series) -> None:
    """Prints a table for each class of machines, and how the newest runs went."""
    seen = screen.here()
    for machine in dict.fromkeys(pipeline["machine"] for pipeline in pipelines):
        sys.stdout.write(f"machine type {escape(machine)}\n")
        rows = [row for pipeline in pipelines if pipeline["machine"] == machine for row in _rows(pipeline)]
        used = [place for place in range(len(_COLUMNS)) if place < _NAMES or any(row[place] != _NONE for row in rows)]
        table = _fitted([[row[place] for place in used] for row in (_COLUMNS, *rows)], seen.width)
        if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            _draw(table)
        else:
            _align(table)
        for pipeline in pipelines:
            if pipeline["machine"] == machine and (notes := "; ".join(_left_out(pipeline))):
                _line(f"  {pipeline['pipeline']}: {notes}")
        for line in _sparklines(machine, series, seen):
            sys.stdout.write(line + "\n")
    from orchgate.metrics.sketch import QUANTILE_ERROR

    sys.stdout.write(f"costs are medians of successes, within {QUANTILE_ERROR:.0%} of a real one\n")
    if any(cost["lower_bounds"] for one in _all(pipelines) for cost in one["costs"].values()):
        sys.stdout.write(f"{AT_LEAST}at least: some of these runs could not be measured whole\n")


def _fitted(table: list[list[str]], width: int | None) -> list[list[str]]:
    """Without the columns that a terminal has no room for, the least asked for first; JSON has them all."""
    kept = screen.narrowed(table, width, _LEAST_FIRST, _GAP)
    return screen.fitted(kept, width and width - 2, {0: 12}, _GAP)


def _series(newest: Sequence[Entry]) -> Series:
    """What each of the newest runs cost that succeeded, by machine type, pipeline and metric, the oldest first."""
    from orchgate.metrics.fold import machine_of
    from orchgate.metrics.lines import costs_of_success
    from orchgate.metrics.snapshot import in_unit, latest

    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for entry in latest(newest):
        of_pipeline = found.setdefault((machine_of(entry), entry.pipeline_id), {})
        for name, value in costs_of_success(entry):
            of_pipeline.setdefault(name, []).append(in_unit(name, value) or 0.0)
    return found


def _sparklines(machine: str, series: Series, seen: Screen) -> Iterator[str]:
    """A line for each metric whose newest runs make one."""
    drawn = [
        (pipeline, declared.title(name), metrics[name][-_NEWEST:], name)
        for (where, pipeline), metrics in sorted(series.items())
        for name in _DRAWN
        if where == machine and len(metrics.get(name, ())) > 1
    ]
    if not drawn:
        return
    yield "  newest successes, oldest first:"
    before = ""
    table = []
    for pipeline, title, values, name in drawn:
        ends = " to ".join(dict.fromkeys(words.amount(name, value) for value in (min(values), max(values))))
        line = screen.sparkline(values, seen.glyphs)
        table.append([escape(pipeline) if pipeline != before else "", title, line, ends])
        before = pipeline
    for cells in aligned(screen.fitted(table, seen.width and seen.width - 4, {0: 8, 2: 8})):
        yield f"    {'  '.join(cells)}".rstrip()


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
            times = f", {_time(ended['wall_seconds'])} in all" if ended["wall_seconds"] is not None else ""
            middle = f" ({_time(ended['wall_seconds_p50'])} each, median)" if times and ended["runs"] > 1 else ""
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
    return (AT_LEAST if cost["lower_bounds"] else "") + _time(cost[quantile])


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 100 else f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def _size(cost: Mapping[str, Any] | None) -> str:
    if cost is None:
        return _NONE
    size, least = cost["p50"], AT_LEAST if cost["lower_bounds"] else ""
    text = f"{size / MIB:.1f} MiB" if size >= MIB else f"{size / KIB:.1f} KiB" if size >= KIB else f"{size} B"
    return least + text


def _align(table: Sequence[Sequence[str]]) -> None:
    for cells in aligned(table, range(_NAMES, len(table[0]))):
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
