"""`orchgate tasks`: the packets of this repository, how far each is, what it still owes, and its last run."""

from __future__ import annotations

import sys

from orchgate.commands.shared import command_line, options, screen, work_tree
from orchgate.errors import quoted
from orchgate.lib.text import aligned, clip, counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._document import headed, problem
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import Any

    from orchgate.acceptance.writing import TickedDocument
    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.screen import Screen
    from orchgate.commands.tasks.accepting import Waiting
    from orchgate.commands.tasks.standing import Ledger, Owed, TaskStanding

SUMMARY = "show the tasks: how far each is, what it still owes, its last run"
ABOUT = """\
Lists the tasks that are not finished, and finished ones that owe something, the
oldest first. What a task owes is what the gate would refuse or warn about if the
task were called finished today. Like the gate, it reads what is staged."""
EXAMPLES = ("orchgate tasks", "orchgate tasks --task 0001-faster-start", "orchgate tasks close 0001-faster-start")
EXIT_CODES = {
    0: "shown, whatever is owed; `check`: nothing is owed; `close`: finished",
    1: "`check` and `close`: something is still missing",
    3: "the task list or a document cannot be read",
    130: "`check`: a command was cancelled",
}
VERSION = 1
LISTED = 20
_COLUMNS = ("task", "status", "boxes", "owes", "last run")
_WIDEST = {0: 34, 1: 14, 3: 26}  # characters of a column, so that a row fits on 80 and a run's date
_NARROWEST = {0: 16, 1: 8, 3: 8, 4: 10}  # to which a narrow terminal cuts columns
_BAR, _ROOM = 8, 72  # characters of the bar of ticked boxes, and of a terminal that has room for it
TIMEOUT, LONGEST = 600.0, 86_400.0  # seconds
_STAMP = len("2026-11-29T10-20")


def _named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="its id, or a beginning of it that no other task has")
    options.output_format(parser, "tasks")


def _checked(parser: Parser) -> None:
    _named(parser)
    parser.add_argument("--no-run", action="store_true", help="run no command that an item names; only show them")
    parser.add_argument(
        "--write", action="store_true", help="tick the items whose commands succeeded, and cite the runs"
    )
    what = "for each command: 30s, 5m, 1h (10m)"
    parser.add_argument("--timeout", type=options.up_to(LONGEST), default=TIMEOUT, metavar="TIME", help=what)


VERBS = {
    "check": command_line.Verb(
        "say what is missing before a task may be called finished, and run what proves its items",
        "Judges the task's documents as those of a finished one, and counts the open boxes of its checklist. "
        "Runs the commands that its items name by `accept:` and that no run of this tree has proven yet.",
        (
            "orchgate tasks check 0001-faster-start",
            "orchgate tasks check 0001 --no-run",
            "orchgate tasks check 0001 --write",
        ),
        _checked,
        {1: "something is still missing", 3: EXIT_CODES[3], 130: "a command was cancelled"},
    ),
    "close": command_line.Verb(
        "call a task finished, if nothing is missing",
        "Ticks nothing. Sets the status in the task list and in the documents' status lines; stages nothing.",
        ("orchgate tasks close 0001-faster-start",),
        _named,
        {1: "something is still missing; nothing was written", 3: EXIT_CODES[3]},
    ),
}


def arguments(parser: Parser) -> None:
    work_tree.task_option(parser, "only this task, with each thing it owes")
    parser.add_argument("--all", action="store_true", help="also finished tasks that owe nothing, and inactive ones")
    what = "at most this many tasks, 0 for all (%(default)s)"
    parser.add_argument("--limit", type=options.whole_number(0), default=LISTED, metavar="N", help=what)
    options.output_format(parser, "tasks")
    command_line.add_verbs(parser, VERBS, required=False)


def run(args: argparse.Namespace) -> Verdict | int:
    waiting = _judged(args, running=args.verb == "check" and not args.no_run)
    if isinstance(waiting, Verdict):
        return waiting
    from orchgate.commands.tasks.accepting import prove_all

    # Outside of the judgement: the runner ends every process that is left, and the judgement's git would be one.
    cancelled = prove_all(waiting, output=args.output_format, seconds=args.timeout)
    verdict = _judged(args, running=False)
    assert isinstance(verdict, Verdict)
    return work_tree.CANCELLED if cancelled else verdict


def _judged(args: argparse.Namespace, *, running: bool) -> Verdict | Waiting:
    """Shows what is asked for; or with `running`, where commands are to be run first, gives these back instead."""
    from orchgate.commands.tasks import standing

    with standing.read() as ledger:
        if args.verb and args.task:
            return _one(ledger, args, running=running)
        rows = _selected(ledger, args)
        if args.output_format == "json":
            work_tree.print_json(_document(ledger, rows))
        else:
            _print(_listing(ledger, rows, args))
    return Verdict.BROKEN if ledger.troubles else Verdict.PASS


def _one(ledger: Ledger, args: argparse.Namespace, *, running: bool) -> Verdict | Waiting:
    """`check` and `close`, for one task."""
    from orchgate.commands.tasks import accepting, standing

    task = ledger.task(args.task)
    known = accepting.of(ledger, task)
    if running and known.to_run and not task.inactive:
        return accepting.waiting(ledger, task, known)
    task = task._replace(owes=(*task.owes, *accepting.owed(task, known)))
    ledger = ledger._replace(troubles=tuple(dict.fromkeys((*ledger.troubles, *known.troubles))))
    found = accepting.edits(ledger, known) if args.verb == "check" else []
    if found and args.write:
        accepting.write(ledger, found)
        task = task._replace(owes=tuple(accepting.ticked(task, found)))
    written = standing.close(ledger, task) if args.verb == "close" and not (task.owes or ledger.troubles) else ()
    if args.output_format == "json":
        proofs: dict[str, object] = {"acceptance": [accepting.as_json(one) for one in known.proofs]}
        proofs |= {"ticked_documents": [one.path for one in found if args.write]}
        proofs |= {"unstaged_documents": standing.unstaged(ledger, task)}
        work_tree.print_json(_document(ledger, [task]) | {"written": [one._asdict() for one in written]} | proofs)
    else:
        shown = (
            *_details(task),
            *accepting.lines(known),
            *_troubles(ledger),
            *_edited(ledger, task, found, written=bool(found) and args.write),
            *_unread(standing.unstaged(ledger, task), [one.path for one in found]),
        )
        _print((*shown, *_outcome(ledger, task, args.verb, written)))
    if ledger.troubles:
        return Verdict.BROKEN
    return Verdict.FAIL if task.owes else Verdict.PASS


def _edited(ledger: Ledger, task: TaskStanding, found: Sequence[TickedDocument], *, written: bool) -> Iterator[str]:
    """What was ticked, or what would be; and what is to be done with it."""
    for one in found:
        yield f"{'wrote' if written else 'proven, not written yet:'} {escape(one.path)}"
        yield from (f"  {number}: {escape(line)}" for number, line in one.lines)
    if found and written:
        yield f"  git add {escape(' '.join(quoted(one.path) for one in found))}"
        if ledger.context.lock is not None:
            yield f"  orchgate evidence pin --task {quoted(task.name)} && git add .orchgate"
    elif found:
        yield f"  hint: orchgate tasks check {quoted(task.name)} --write"


def _unread(paths: Sequence[str], told: Sequence[str]) -> Iterator[str]:
    """What was edited and not staged, and so not judged; without what we have just written and told."""
    if left := [path for path in paths if path not in told]:
        yield f"judged as staged, without the edits since: {escape(', '.join(left))}"
        yield f"  hint: git add {escape(' '.join(map(quoted, left)))}"


def _outcome(ledger: Ledger, task: TaskStanding, verb: str, written: Sequence[Any]) -> Iterator[str]:
    name = escape(task.name)
    if ledger.troubles:
        yield f"orchgate: could not check {name}"
    elif task.owes:
        yield f"orchgate: {name} is not finished: {counted(len(task.owes), 'thing')} to do"
    elif verb == "check":
        yield f"orchgate: {name} owes nothing" + ("" if task.finished else "; it may be closed")
        if not task.finished:
            yield f"  hint: orchgate tasks close {quoted(task.name)}"
    elif written:
        yield from (f"wrote {escape(one.path)}: status {escape(one.old)} -> {escape(one.new)}" for one in written)
        paths = " ".join(quoted(path) for path in dict.fromkeys(one.path for one in written))
        yield f"orchgate: {name} is finished; stage it:"
        yield f"  git add {escape(paths)}"
    else:
        yield f"orchgate: {name} is finished already; nothing to write"


def _selected(ledger: Ledger, args: argparse.Namespace) -> list[TaskStanding]:
    if args.task:
        return [ledger.task(args.task)]
    return [one for one in ledger.tasks if args.all or not (one.inactive or (one.finished and not one.owes))]


def _document(ledger: Ledger, rows: Sequence[TaskStanding]) -> dict[str, object]:
    problems = [problem("could_not_check", one.message, one.hint, one.location) for one in ledger.troubles]
    return headed("tasks", {"tasks": [_as_json(row) for row in rows], "problems": problems}, VERSION)


def _as_json(task: TaskStanding) -> dict[str, object]:
    return {
        "task_id": task.name,
        "status": task.status or None,
        "standing": task.standing,
        "documents": dict(task.documents),
        "boxes": task.boxes,
        "ticked": task.ticked,
        "owes": [{name: value or None for name, value in one._asdict().items()} for one in task.owes],
        "run_count": len(task.runs),
        "last_run": {**task.last_run, "pipeline_id": task.last_run["pipeline_id"] or None} if task.last_run else None,
    }


def _listing(ledger: Ledger, rows: list[TaskStanding], args: argparse.Namespace) -> Iterator[str]:
    if args.task:
        yield from _details(rows[0])
    else:
        shown = rows[: args.limit or None]
        seen = screen.here()
        cells = [tuple(column.upper() for column in _COLUMNS), *(_cells(one, seen) for one in shown)]
        table = screen.fitted(cells, seen.width, _NARROWEST) if shown else ()
        yield from ("  ".join(row).rstrip() for row in aligned(table, right=(2,))) if table else ()
        if rows[len(shown) :]:
            yield f"{counted(len(rows) - len(shown), 'task')} more; --limit 0 shows all"
    yield from _troubles(ledger)
    if not ledger.tasks and not args.task:
        yield from ("orchgate: no tasks here", "  hint: `orchgate new SLUG` begins one")
    elif not args.task:
        yield _sum(ledger, args)


def _troubles(ledger: Ledger) -> Iterator[str]:
    for one in ledger.troubles:
        yield f"{escape(one.location.path)}: could not check: {escape(one.message)}"
        yield from (f"  hint: {escape(one.hint)}",) if one.hint else ()


def _sum(ledger: Ledger, args: argparse.Namespace) -> str:
    finished = [one for one in ledger.tasks if one.finished]
    owing, inactive = sum(bool(one.owes) for one in finished), sum(one.inactive for one in ledger.tasks)
    parts = [f"{len(ledger.tasks) - len(finished) - inactive:,} open", f"{len(finished):,} finished"]
    parts[1] += f" ({owing:,} of them {'owes' if owing == 1 else 'owe'} something)" if owing else ""
    parts += [f"{inactive:,} inactive"] if inactive else []
    more = "; --all shows every task" if not args.all and (len(finished) > owing or inactive) else ""
    return f"orchgate: {counted(len(ledger.tasks), 'task')}: {', '.join(parts)}{more}"


def _cells(task: TaskStanding, seen: Screen) -> tuple[str, ...]:
    kinds = dict.fromkeys(one.rule for one in task.owes if one.rule)
    owes = str(len(task.owes)) + (f" ({', '.join(kinds)})" if kinds else "") if task.owes else "-"
    run = task.last_run
    last = f"{run['run_id'][:_STAMP]} {run['status']}" if run else "none"
    boxes = f"{_bar(task, seen)} {task.ticked}/{task.boxes}".strip()
    cells = (task.name, task.status or task.standing, boxes, owes, last)
    return tuple(escape(clip(cell, _WIDEST.get(at, len(cell)))) for at, cell in enumerate(cells))


def _bar(task: TaskStanding, seen: Screen) -> str:
    """Of the boxes; where there is so little room, their numbers say enough."""
    narrow = seen.width is not None and seen.width < _ROOM
    return "" if narrow or not task.boxes else screen.bar(task.ticked / task.boxes, _BAR, seen.glyphs)


def _details(task: TaskStanding) -> Iterator[str]:
    run = task.last_run
    bar = _bar(task, screen.here())
    ticked = f"{task.ticked} of {counted(task.boxes, 'box', 'boxes')}"
    yield escape(f"{task.name}: {task.status or task.standing}, {bar}{' ' * bool(bar)}{ticked}")
    for kind, path in task.documents.items():
        yield escape(f"  {kind}: {path}")
    if run is None:
        yield "  runs: none recorded here"
    else:
        more = f" ({len(task.runs)} in all)" if task.runs[1:] else ""
        yield escape(f"  last run: {run['run_id']} {run['pipeline_id']} {run['status']}{more}")
    for one in task.owes:
        yield from _owed(one)


def _owed(one: Owed) -> Iterator[str]:
    yield escape(f"{one.path}:{one.line or 1}:{one.column or 1}: {one.rule + ' ' if one.rule else ''}{one.message}")
    yield from (f"  hint: {escape(one.hint)}",) if one.hint else ()


def _print(lines: Sequence[str] | Iterator[str]) -> None:
    sys.stdout.writelines(line + "\n" for line in lines)
