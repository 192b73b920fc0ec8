"""`orchgate status`: which runs there are, how they ended, and what those that still run are doing."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from itertools import islice

from orchgate.commands.shared import run_rows, screen, work_tree
from orchgate.commands.shared.lines import (
    broken_rows,
    failed_tests,
    grouped,
    lower_bounds,
    replay_lines,
    tests,
)
from orchgate.commands.shared.options import Renamed, output_format, whole_number
from orchgate.errors import OrchgateError, quoted
from orchgate.lib.text import aligned, clip, short_seconds
from orchgate.lib.typed import TYPE_CHECKING, suppress
from orchgate.model import Verdict
from orchgate.outputs._escape import escape
from orchgate.runs import ids, usage

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.screen import Screen
    from orchgate.git.repository import Repository
    from orchgate.runs.implementation_gate import Gate
    from orchgate.runs.run import Run

SUMMARY = "show the runs: how they ended, and what those in progress are doing"
ABOUT = "Without RUN, lists the newest runs of all tasks, and the result of the gate's own run for this commit."
EXAMPLES = ("orchgate status", "orchgate status latest --follow", "orchgate status --task 0001-faster-start --limit 5")
EXIT_CODES = {0: "shown, however the runs ended", 3: "the run that was asked for cannot be read"}
VERSION = 1
LISTED = 20
REFRESH_SECONDS = 0.5
_NAME = 28  # characters of a stage's id on a terminal
_BAR, _LEAST_BAR = 40, 8  # characters of the longest bar, and of one that still says something
_CUT = {1: 8, 2: 8, 6: 6}  # columns that may be cut, and to what
_STAGES = 4  # the column of how many are done
# What only some rows tell.
_UNKNOWN = (
    *("parent_run_id", "started_at", "completed_at", "status_detail", "seconds", "away_seconds", "stopped", "flaky"),
    *("tests", "resumes", "observed_by", "inner_runs", "replays_run_id", "tools", "other_tools"),
)
_COLUMNS = ("run", "task", "pipeline", "status", "stages", "seconds", "now")


def arguments(parser: Parser) -> None:
    parser.add_argument("run", nargs="?", default="", metavar="RUN", help="a run id, `latest`, or a manifest's path")
    work_tree.task_option(parser, "only this task's runs (all)")
    what = "at most this many runs (%(default)s)"
    parser.add_argument("--limit", type=whole_number(0), default=LISTED, metavar="N", help=what)
    parser.add_argument("--follow", action="store_true", help="keep showing them until no run is in progress")
    parser.old_names = {"--watch": Renamed("--follow")}
    output_format(parser, "status")


def run(args: argparse.Namespace) -> Verdict:
    repository = work_tree.around_here()
    root = repository.root if repository else work_tree.here()
    args.task = args.task and work_tree.task_with_runs(root, args.task)
    gate = _gate(root, repository)
    before: list[str] = []
    while True:
        troubles: list[str] = []
        rows = _rows(root, args, troubles)
        if args.output_format == "json":
            before = _print_json(_document(root, rows, gate, troubles), before, args)
        else:
            shown = grouped(rows, run_rows.row)
            seen = screen.here()
            lines = _text(shown, seen, detailed=True) if args.run else (*_text(shown, seen), *_gate_line(gate))
            before = _print([*lines, *map(escape, troubles)], before)
        if not args.follow or not _in_progress(rows):
            return Verdict.BROKEN if args.run and rows[0]["status"] == run_rows.UNREADABLE else Verdict.PASS
        time.sleep(REFRESH_SECONDS)


def _document(root: str, rows: Sequence[Mapping[str, Any]], gate: Gate, troubles: Sequence[str]) -> dict[str, object]:
    from orchgate.outputs._document import headed, problem

    unread = [problem("unreadable", one) for one in troubles]
    for row in rows:
        if row["problem"]:
            code = "unreadable" if row["status"] == run_rows.UNREADABLE else "doubtful"
            unread.append(problem(code, row["problem"], place=(work_tree.shown(root, _folder(row)), 0, 0)))
    shown = [_row_json(root, row) for row in rows]
    facts = {"runs": shown, "gate": gate._asdict(), "troubles": list(troubles), "problems": unread}
    return headed("status", facts, VERSION)


def _folder(row: Mapping[str, Any]) -> str:
    return os.path.dirname(str(row["manifest_path"]))


def _row_json(root: str, row: Mapping[str, Any]) -> dict[str, object]:
    """A row with every field that a run may have, and paths of the repository."""
    inner = [{**one, "manifest_path": work_tree.shown(root, _folder(one))} for one in row.get("inner_runs", ())]
    where = {"manifest_path": work_tree.shown(root, _folder(row)), "pipeline_id": row["pipeline_id"] or None}
    known = {name: row[name] for name in ("run_id", "task_id", "status")}
    return {**known, **where, **dict.fromkeys(_UNKNOWN), **row, **where, "inner_runs": inner}


def _print_json(document: Mapping[str, Any], before: list[str], args: argparse.Namespace) -> list[str]:
    """The document; while runs are followed a line each time that something changed, but for the clock."""
    steady = {key: [{**row, "seconds": 0} for row in one] if key == "runs" else one for key, one in document.items()}
    now = [repr(steady)]
    if now != before:
        work_tree.print_json(document, indent=None if args.follow else 2)
        sys.stdout.flush()
    return now


def _gate(root: str, repository: Repository | None) -> Gate:
    from orchgate.git.state import PendingStatus
    from orchgate.runs import implementation_gate

    with PendingStatus(repository, filters=False) as question:
        pass
    return implementation_gate.gate_of(root, question.answer())


def _gate_line(gate: Gate) -> Iterator[str]:
    """The result of the gate's own run for the tree that is checked out; nothing where there is no commit yet."""
    tree = (gate.tree or "")[:12]
    if gate.status in ("passed", "failed"):
        yield escape(f"gate: tree {tree} {gate.status} in run {gate.run_id} of {gate.task_id}")
    elif gate.status == "changed":
        yield "gate: the work tree differs from its commit, so no run covers it"
        yield "  hint: commit, then run the implementation-gate"
    elif gate.tree:
        yield f"gate: no run of tree {tree}"
        yield "  hint: orchgate run implementation-gate --task ID"


def _in_progress(rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(row["status"] == "in_progress" for row in rows)


def _print(lines: list[str], before: list[str]) -> list[str]:
    """Prints what changed: over the old lines on a terminal, below them elsewhere."""
    if lines == before:
        return before
    if before and sys.stdout.isatty():
        rows = len(before) + broken_rows(map(len, before), os.get_terminal_size(sys.stdout.fileno()).columns)
        sys.stdout.write(f"\x1b[{rows}F\x1b[J")
    sys.stdout.writelines(line + "\n" for line in lines)
    sys.stdout.flush()
    return lines


def _rows(root: str, args: argparse.Namespace, troubles: list[str]) -> list[dict[str, object]]:
    """The runs that are meant. What cannot be listed, or is left out although it is odd, goes to `troubles`."""
    if args.run:
        task, folder = work_tree.locate(root, args.run, args.task)
        return [{**run_rows.row(task, folder), "other_tools": _other_tools(root, task, folder)}]
    runs = list(ids.all_runs(root, args.task, lambda error: troubles.append(error.message)))
    limit, most = ids.ahead_from(), args.limit
    odd = [run for _, run in runs[most:] if run > limit]
    if odd:
        also = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        troubles.append(f"run {odd[-1]}{also}, not listed here: {run_rows.AHEAD}")
    return [_listed(root, task, run) for task, run in runs[:most]]


def _listed(root: str, task: str, run: str) -> dict[str, object]:
    """The row of a run that was found on disk, whatever is there under its name."""
    try:
        return run_rows.row(task, ids.run_folder(root, task, run))
    except OrchgateError as error:
        return run_rows.unreadable(task, os.path.join(root, ids.RUNS, task, "cli", run), error)


def _text(rows: Sequence[Mapping[str, Any]], seen: Screen, *, detailed: bool = False) -> Iterator[str]:
    if not rows:
        yield "no runs here"
        yield "  hint: orchgate run PIPELINE --task ID"
        return
    yield from _table([_COLUMNS, *(_cells(row) for row in rows)], seen.width)
    for row in rows:
        if row["problem"]:
            yield from screen.wrapped(escape(f"{row['run_id']}: {row['problem']}"), seen.width, 2)
        for line in replay_lines(row, detailed=detailed):
            yield from screen.wrapped(escape(line), seen.width, 2)
        if times := usage.away_words(row.get("seconds", 0.0), row.get("away_seconds")):
            yield escape(f"{row['run_id']}: {times}")
        if detailed:
            if len(rows) > 1:
                yield escape(f"  {row['pipeline_id']} ({row['run_id']}):")
            yield from _stages(row, seen)
            yield from _tools(row, seen)
        if row["status"] == "abandoned":
            again = row.get("replays_run_id")  # in a work tree that is gone
            resume = f"resume {row['run_id']} --task {quoted(row['task_id'])}"
            yield escape(f"  hint: orchgate {f'evidence replay {again}' if again else resume}")


def _table(table: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """A line a run; where a terminal is too narrow for that, two: the id, which can be copied, and the rest below."""
    for kept in _narrower(table, width):
        whole = ["  ".join(cells).rstrip() for cells in aligned(screen.fitted(kept, width, _CUT))]
        if width is None or max(map(len, whole)) <= width:
            yield from whole
            return
    rest = aligned(screen.fitted([row[1:] for row in table], (width or 0) - 2, {0: 8, 1: 8, 5: 6}))
    for row, cells in zip(table, rest, strict=True):
        yield from (row[0],) if row is not table[0] else ()
        yield f"  {'  '.join(cells)}".rstrip()


def _narrower(table: Sequence[Sequence[str]], width: int | None) -> Iterator[Sequence[Sequence[str]]]:
    """The table, then without the columns that say nothing here: what runs now, and how many stages are done."""
    yield table
    if width is not None and not any(row[-1] for row in table[1:]):
        yield [row[:-1] for row in table]
        if all(len({*row[_STAGES].split("/")}) == 1 for row in table[1:]):
            yield [(*row[:_STAGES], *row[_STAGES + 1 : -1]) for row in table]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    stages = row["stages"]
    done = sum(stage["status"] not in ("pending", "running") for stage in stages)
    now = (
        ", ".join(stage["id"] for stage in stages if stage["status"] == "running")
        if row["status"] == "in_progress"
        else ""
    )
    now = f"stopped ({now})" if row.get("stopped") else now
    seconds = f"{row['seconds']:.1f}" if "seconds" in row else "-"
    name = "  " * row.get("depth", 0) + row["run_id"]
    cells = (name, row["task_id"], row["pipeline_id"], row["status"], f"{done}/{len(stages)}", seconds, now)
    return tuple(escape(cell) for cell in cells)


def _stages(row: Mapping[str, Any], seen: Screen) -> Iterator[str]:
    """How each stage ended, how long it took and when, and below it what there is to say."""
    times = _times(row)
    whole = max((end for _, end in filter(None, times)), default=0.0)
    table = [
        [f"{_name(stage['id'], seen)}: {escape(stage['status'])}", short_seconds(span[1] - span[0]) if span else ""]
        for stage, span in zip(row["stages"], times, strict=True)
    ]
    used = sum(max(map(len, column)) + 2 for column in zip(*table, strict=True))
    cells = min(_BAR, (seen.width or 80) - used - 2)
    for stage, span, (named, took) in zip(row["stages"], times, aligned(table, right=(1,)), strict=True):
        bar = screen.stretch(*span, whole, cells, seen.glyphs) if span and cells >= _LEAST_BAR else ""
        yield f"  {named}  {took}  {bar}".rstrip()
        said = [stage["detail"], tests(stage["tests"]) if stage.get("tests") else "", *lower_bounds(stage)]
        about = ["; ".join(filter(None, said)), *failed_tests(stage)]
        for line in filter(None, about):
            yield from screen.wrapped(f"    {escape(line.strip())}", seen.width, 4)


def _tools(row: Mapping[str, Any], seen: Screen) -> Iterator[str]:
    """What is known of the tools of a run, and in what they differ from those of a run that ended otherwise."""
    if row.get("tools"):
        from orchgate.runs.run import Tool
        from orchgate.tools.differences import words_of

        known = ", ".join(words_of(Tool(**tool)) for tool in row["tools"])
        yield from screen.wrapped(f"  {escape(f'tools: {known}')}", seen.width, 4)
    if row.get("other_tools"):
        yield from screen.wrapped(f"  {escape(row['other_tools'])}", seen.width, 4)


def _other_tools(root: str, task: str, folder: str) -> str | None:
    """What may explain that a run ended otherwise than another one of its tree; None for nothing that is known."""
    from orchgate.runs.run import load
    from orchgate.tools.counterparts import MOST, told_apart

    def others() -> Iterator[Run]:
        runs = (run for name, run in ids.all_runs(root, task) if name == task and run != os.path.basename(folder))
        for run in islice(runs, MOST):
            with suppress(OrchgateError):
                yield load(os.path.join(ids.run_folder(root, task, run), ids.MANIFEST))

    try:
        return told_apart(run_rows.run_in(folder), others()) or None
    except OrchgateError:  # the row says so
        return None


def _name(stage: str, seen: Screen) -> str:
    return escape(stage if seen.width is None else clip(stage, _NAME))


def _times(row: Mapping[str, Any]) -> list[tuple[float, float] | None]:
    """From when to when each stage of a row ran, in seconds since the first began; None where that is not known."""
    unknown: list[tuple[float, float] | None] = [None] * len(row["stages"])
    try:
        run = run_rows.run_in(os.path.dirname(row["manifest_path"]))
    except OrchgateError:  # the row says so
        return unknown
    if len(run.stages) != len(unknown):  # it went on meanwhile
        return unknown
    # A stage that goes on has no end yet; one that was killed had it when the run was last heard of.
    now = datetime.now(UTC) if row["status"] == "in_progress" else run.last_sign_of_life
    spans = [(stage.started_at, stage.completed_at or now) if stage.started_at else None for stage in run.stages]
    first = min((start for start, _ in filter(None, spans)), default=now)
    found = [((span[0] - first).total_seconds(), (span[1] - first).total_seconds()) if span else None for span in spans]
    return [(span[0], max(span)) if span else None for span in found]
