"""`orchgate status`: which runs there are, how they ended, and what those that still run are doing."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from orchgate.commands.shared import inner_runs, progress_bar, running, tasks
from orchgate.commands.shared.lines import lower_bounds
from orchgate.commands.shared.options import Renamed, output_format, whole_number
from orchgate.errors import OrchgateError, quoted
from orchgate.lib import files
from orchgate.lib.text import aligned
from orchgate.model import Verdict
from orchgate.outputs._escape import escape
from orchgate.runs import ids, sittings
from orchgate.runs.run import timestamp

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.commands.shared.options import Parser
    from orchgate.git.repository import Repository
    from orchgate.runner.reopen import RunStatus
    from orchgate.runs.implementation_gate import Gate
    from orchgate.runs.run import StageRun

SUMMARY = "show the runs: how they ended, and what those in progress are doing"
ABOUT = "Without RUN, lists the newest runs of all tasks, and says what the gate's own run says of this commit."
EXAMPLES = ("orchgate status", "orchgate status latest --follow", "orchgate status --task 0001-faster-start --limit 5")
EXIT_CODES = {0: "shown, however the runs ended", 3: "the run that was asked for cannot be read"}
VERSION = 1
LISTED = 20
REFRESH_SECONDS = 0.5
UNREADABLE = "unreadable"
AHEAD = "dated in the future, so the clock was wrong; it does not count as the latest"
_OURS = b'{"event":'  # how our journals begin
_COLUMNS = ("run", "task", "pipeline", "status", "stages", "seconds", "now")


def arguments(parser: Parser) -> None:
    parser.add_argument("run", nargs="?", default="", metavar="RUN", help="a run id, `latest`, or a manifest's path")
    tasks.option(parser, "only this task's runs (all)")
    what = "at most this many runs (%(default)s)"
    parser.add_argument("--limit", type=whole_number(0), default=LISTED, metavar="N", help=what)
    parser.add_argument("--follow", action="store_true", help="keep showing them until no run is in progress")
    parser.old_names = {"--watch": Renamed("--follow")}
    output_format(parser)


def run(args: argparse.Namespace) -> Verdict:
    repository = running.around_here()
    root = repository.root if repository else running.here()
    args.task = args.task and tasks.with_runs(root, args.task)
    gate = _gate(root, repository)
    before: list[str] = []
    while True:
        troubles: list[str] = []
        rows = _rows(root, args, troubles)
        if args.output_format == "json":
            document = {"version": VERSION, "runs": rows, "gate": gate._asdict(), "troubles": troubles}
            if not args.follow or not _in_progress(rows):
                running.print_json(document)
        else:
            shown = inner_runs.grouped(rows, row)
            lines = _text(shown, detailed=True) if args.run else (*_text(shown, detailed=False), *_gate_line(gate))
            before = _print([*lines, *map(escape, troubles)], before)
        if not args.follow or not _in_progress(rows):
            return Verdict.BROKEN if args.run and rows[0]["status"] == UNREADABLE else Verdict.PASS
        time.sleep(REFRESH_SECONDS)


def _gate(root: str, repository: Repository | None) -> Gate:
    from orchgate.git.state import PendingStatus
    from orchgate.runs import implementation_gate

    with PendingStatus(repository, filters=False) as question:
        pass
    return implementation_gate.gate_of(root, question.answer())


def _gate_line(gate: Gate) -> Iterator[str]:
    """What the gate's own run says of the tree that is checked out; nothing where there is no commit yet."""
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
        rows = len(before) + progress_bar.broken_rows(
            map(len, before), os.get_terminal_size(sys.stdout.fileno()).columns
        )
        sys.stdout.write(f"\x1b[{rows}F\x1b[J")
    sys.stdout.writelines(line + "\n" for line in lines)
    sys.stdout.flush()
    return lines


def _rows(root: str, args: argparse.Namespace, troubles: list[str]) -> list[dict[str, Any]]:
    """The runs that are meant. What cannot be listed, or is left out although it is odd, goes to `troubles`."""
    if args.run:
        task, folder = running.locate(root, args.run, args.task)
        return [row(task, folder)]
    runs = list(ids.all_runs(root, args.task, lambda error: troubles.append(error.message)))
    limit, most = ids.ahead_from(), args.limit
    odd = [run for _, run in runs[most:] if run > limit]
    if odd:
        also = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        troubles.append(f"run {odd[-1]}{also}, not listed here: {AHEAD}")
    return [_listed(root, task, run) for task, run in runs[:most]]


def _listed(root: str, task: str, run: str) -> dict[str, Any]:
    """The row of a run that was found on disk, whatever is there under its name."""
    try:
        return row(task, ids.run_folder(root, task, run))
    except OrchgateError as error:
        return _unreadable(task, os.path.join(root, ids.RUNS, task, "cli", run), error)


def row(task: str, folder: str) -> dict[str, Any]:
    """What is known of one run. A journal that cannot be read is a row that says so."""
    from orchgate.runner.reopen import status_of

    known = _known(task, folder)
    try:
        if _is_foreign(folder):
            return known | {**_foreign(folder), "problem": _clock(folder)}
        status = status_of(folder)
    except OrchgateError as error:
        return _unreadable(task, folder, error)
    torn = f"unfinished lines in the journal: {', '.join(map(str, status.torn[:20]))}" if status.torn else None
    problem = _all_of(_contradiction(folder), torn, _clock(folder))
    facts = _facts(status) | inner_runs.facts(status.run)
    return known | {**facts, "status": status.status, "problem": problem}


def _clock(folder: str) -> str | None:
    return AHEAD if os.path.basename(folder) > ids.ahead_from() else None


def _all_of(*problems: str | None) -> str | None:
    return "; ".join(filter(None, problems)) or None


def _known(task: str, folder: str) -> dict[str, Any]:
    return {
        "run_id": os.path.basename(folder),
        "task_id": task,
        "manifest_path": os.path.join(folder, ids.MANIFEST),
    }


def _unreadable(task: str, folder: str, error: OrchgateError) -> dict[str, Any]:
    problem = _all_of(error.message, _clock(folder))
    return _known(task, folder) | {"status": UNREADABLE, "problem": problem, "pipeline_id": "", "stages": []}


def _contradiction(folder: str) -> str | None:
    """How the manifest that a reviewer opens differs from the journal, which counts here; None for not, or for none."""
    from orchgate.runs import derivation
    from orchgate.runs.decode import MAX_BYTES

    path = os.path.join(folder, ids.MANIFEST)
    if not os.path.lexists(path):  # killed before it was written
        return None
    try:
        derivation.require_file(path, MAX_BYTES)
    except OrchgateError as error:
        return f"manifest.json {error.message}"
    return None


def _is_foreign(folder: str) -> bool:
    """Whether another program recorded the run: one that keeps no journal, or a log of its own under that name."""
    try:
        with open(files.open_regular(os.path.join(folder, ids.JOURNAL)), "rb") as file:
            if file.read(len(_OURS)) == _OURS:
                return False
    except OSError:  # then the manifest tells whose run it is
        journal = os.path.lexists(os.path.join(folder, ids.JOURNAL))
    else:
        journal = True
    from orchgate.runs.run import load

    manifest = os.path.join(folder, ids.MANIFEST)
    try:
        return load(manifest).format != "orchgate"
    except OrchgateError:  # a journal of ours that was damaged is said to be that, and so is a manifest alone
        return not journal and os.path.lexists(manifest)


def _foreign(folder: str) -> dict[str, Any]:
    """What another program's manifest tells."""
    from orchgate.runs.run import load

    run = load(os.path.join(folder, ids.MANIFEST))
    end = run.completed_at or run.last_sign_of_life
    return {
        "pipeline_id": run.pipeline_id,
        "status": run.status,
        "seconds": (end - run.started_at).total_seconds(),
        "stages": [{"id": stage.id, "status": stage.status, "detail": stage.status_detail} for stage in run.stages],
    }


def _facts(known: RunStatus) -> dict[str, Any]:
    run = known.run
    going_on = known.alive and not known.stopped and run.updated_at is not None
    # A run that goes on is worked on since its last event.
    more = time.time() - run.updated_at.timestamp() if going_on and run.updated_at else 0.0
    return {
        "pipeline_id": run.pipeline_id,
        "parent_run_id": run.parent_run_id,
        "started_at": timestamp(run.started_at),
        "completed_at": timestamp(run.completed_at) if run.completed_at else None,
        "status_detail": run.status_detail,
        "seconds": round(known.times.worked + max(0.0, more), 3),
        "away_seconds": run.away_seconds,
        "stopped": known.stopped,
        "stages": [_stage_facts(stage) for stage in run.stages],
        "flaky": run.flaky,
        "tests": run.tests.counts() if run.tests else None,
        "resumes": len(run.resumptions),
    }


def _stage_facts(stage: StageRun) -> dict[str, Any]:
    """What a row says of a stage; which of its costs are lower bounds, and what it printed, where that is known."""
    bounds = stage.usage.lower_bounds if stage.usage else {}
    printed = {"output_bytes": stage.output_bytes, "output_left_out_bytes": stage.output_left_out_bytes}
    about = {"id": stage.id, "status": stage.status, "detail": stage.status_detail}
    return about | ({"lower_bounds": bounds} if bounds else {}) | {k: v for k, v in printed.items() if v is not None}


def _text(rows: Sequence[Mapping[str, Any]], *, detailed: bool) -> Iterator[str]:
    if not rows:
        yield "no runs here"
        yield "  hint: orchgate run PIPELINE --task ID"
        return
    for cells in aligned([_COLUMNS, *(_cells(row) for row in rows)]):
        yield "  ".join(cells).rstrip()
    for row in rows:
        if row["problem"]:
            yield escape(f"{row['run_id']}: {row['problem']}")
        if said := sittings.words(row.get("seconds", 0.0), row.get("away_seconds")):
            yield escape(f"{row['run_id']}: {said}")
        if detailed:
            if len(rows) > 1:
                yield escape(f"  {row['pipeline_id']} ({row['run_id']}):")
            yield from (f"  {_stage(stage)}" for stage in row["stages"])
        if row["status"] == "abandoned":
            yield escape(f"  hint: orchgate resume {row['run_id']} --task {quoted(row['task_id'])}")


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


def _stage(stage: Mapping[str, Any]) -> str:
    about = "; ".join([*([stage["detail"]] if stage["detail"] else []), *lower_bounds(stage)])
    return escape(f"{stage['id']}: {stage['status']}" + (f" ({about})" if about else ""))
