"""`orchgate metrics`: what the runs of each task cost, how often they succeed, and how that changes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from orchgate.commands.shared import running
from orchgate.errors import OrchgateError
from orchgate.model import Verdict
from orchgate.outputs._escape import escape
from orchgate.runs import ids

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from orchgate.metrics.update import Updated

SUMMARY = "bring the metrics of the runs up to date and show them"
VERSION = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", default="", metavar="ID", help="only this task's runs; all tasks without")
    parser.add_argument("--output-format", choices=("text", "json"), default="text", help="(%(default)s)")


def run(args: argparse.Namespace) -> Verdict:
    root = running.root()
    tasks = [ids.check_task(args.task)] if args.task else _tasks(root)
    found = [_task(root, task) for task in tasks]
    if args.output_format == "json":
        from orchgate.metrics.sketch import ERROR

        running.print_json({"version": VERSION, "quantile_error": ERROR, "tasks": found})
    else:
        _print(found)
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


def _task(root: str, task: str) -> dict[str, Any]:
    """A task's metrics, JSON-able. What cannot be read is a task that says so."""
    from orchgate.metrics import snapshot, update

    known: dict[str, Any] = {"task_id": task, "path": f"{ids.RUNS}/{task}/{ids.METRICS}"}
    try:
        # Published before anybody else adds up: the older of two snapshots must not come last.
        with update.updated(ids.task_folder(root, task)) as updated:
            state, notes = _publish(root, task, updated)
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
        "notes": [*notes, *_outside(updated)],
        "pipelines": snapshot.pipelines(updated.aggregate),
    }


def _publish(root: str, task: str, updated: Updated) -> tuple[str | None, list[str]]:
    """The path of the snapshot, None when there is none, and what to say about what was written."""
    from orchgate.metrics.publish import publish

    notes = [f"the checkpoint was not written: {updated.not_kept}"] if updated.not_kept else []
    if not updated.aggregate.lines:
        return None, notes
    try:
        path, kept = publish(root, task, updated)
    except OrchgateError as error:
        return None, [*notes, f"the snapshot was not written: {error.message}"]
    state = os.path.relpath(path, root)
    return state, notes + ([f"another program's {state} is now {os.path.relpath(kept, root)}"] if kept else [])


def _outside(updated: Updated) -> Iterator[str]:
    """Which pipelines are programs that were observed while they recorded runs themselves, of the newest ones."""
    inner: dict[str, set[str]] = {}
    for entry in updated.newest:
        if inside := getattr(entry, "inside", ()):
            inner.setdefault(entry.pipeline_id, set()).update(inside)
    for outer, pipelines in sorted(inner.items()):
        yield f"{outer} is seen from outside: what it recorded itself counts as {', '.join(sorted(pipelines))}"


def _print(tasks: list[dict[str, Any]]) -> None:
    if not tasks:
        sys.stdout.write("no metrics here: no run was recorded; orchgate run PIPELINE --task ID records one\n")
    for number, task in enumerate(tasks):
        if number:
            sys.stdout.write("\n")
        if task["problem"]:
            _line(f"task {task['task_id']}: {task['problem']}")
            if task["hint"]:
                _line(f"  hint: {task['hint']}")
            continue
        _line(f"task {task['task_id']}: {_counted(task['runs'], 'run')} in {_counted(task['lines'], 'line')}")
        for line in _told(task):
            _line(f"  {line}")
        if task["pipelines"]:
            from orchgate.commands.shared import metrics_table

            metrics_table.show(task["pipelines"])


def _told(task: Mapping[str, Any]) -> Iterator[str]:
    """What was read, and everything in it that does not count."""
    read = task["read"]
    why = f", all of them: {read['rebuilt_because']}" if read["rebuilt_because"] else ""
    yield f"read {_counted(read['lines'], 'line')} this time ({read['bytes']:,} bytes){why}"
    if task["ignored"]:
        kinds = "; ".join(f"{count} {kind}" for kind, count in task["ignored"].items())
        yield f"ignored {_counted(sum(task['ignored'].values()), 'line')}: {kinds}"
    if read["unfinished_bytes"]:
        yield f"left {read['unfinished_bytes']:,} bytes of an unfinished last line for the next time"
    if not task["runs"]:
        yield f"no runs in {task['path']}"
    if task["state"]:
        yield f"snapshot: {task['state']}"
    yield from task["notes"]


def _counted(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"


def _line(text: str) -> None:
    sys.stdout.write(escape(text) + "\n")
