"""`orchgate report`: a page that shows what the gate says, what the runs cost and what the claims rest on."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from orchgate.commands.shared import work_tree
from orchgate.commands.shared.options import output_format
from orchgate.errors import OrchgateError, UsageError
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from orchgate.commands.tasks.standing import Owed, TaskStanding
    from orchgate.gate.context import Context
    from orchgate.git.repository import Repository
    from orchgate.report.values import FindingRow, GateState, Page, ReadProblem, TaskState
    from orchgate.verdict.baseline import BaselineRecord

SUMMARY = "write a page (HTML) that shows the verdict, the runs, their speed and the evidence"
ABOUT = """\
One file, which opens anywhere: it loads nothing and runs nothing. What the gate
says is what `orchgate check` would say here; nothing is measured for it. A page
is no gate: whatever it says, it was written."""
EXAMPLES = (
    "orchgate report",
    "orchgate report --task 0001-faster-start -o public/index.html",
    "orchgate report --output-format json",
)
EXIT_CODES = {
    0: "written, whatever the page says",
    3: "something could not be read or judged, and the page says what; or it could not be written",
}
NAME = "orchgate-report.html"
MOST_RUNS = 200  # whose manifests are judged with the whole tree: each is held against its journal
NOT_JUDGED = f"more than {MOST_RUNS} runs; `orchgate check manifests --all-files` judges them"
MOST_DOCUMENTS = 2000  # of a tree that is judged as a whole, which takes seconds where there are more
OWES = 12  # things that a task owes, of which more would hide the others
_LOOKED = 4096  # bytes at the beginning of a file in which our mark is


def arguments(parser: argparse.ArgumentParser) -> None:
    what = f"the file to write, - for standard output ({NAME})"
    parser.add_argument("-o", "--output", metavar="FILE", help=what)
    work_tree.task_option(parser, "only this task")
    parser.add_argument("--force", action="store_true", help="replace FILE also where it is no page of ours")
    what = "json: print what the page says, and write the page only where -o names a file (%(default)s)"
    output_format(parser, "page", about=what)


class Judged(NamedTuple):
    """What the gate says, and the tasks as they stand."""

    root: str
    gate: GateState
    ctx: Context | None = None
    tasks: tuple[TaskState, ...] = ()
    problems: tuple[ReadProblem, ...] = ()


def run(args: argparse.Namespace) -> Verdict:
    as_json = args.output_format == "json"
    if args.output is not None and not args.output.strip():
        raise UsageError("-o names no file", f"orchgate report -o {NAME}")
    path = args.output or ("" if as_json else NAME)
    if path not in ("", "-"):
        _require_ours(path, force=args.force)
    said = _said(args.task)
    if as_json:
        from orchgate.outputs import _document
        from orchgate.report import values

        _document.write(values.document(said), sys.stdout)
    if path:
        _write(path, said, quiet=as_json or path == "-")
    for problem in said.problems:
        sys.stderr.write(escape(f"orchgate: {problem.message}") + "\n")
    unknown = said.gate.verdict in (Verdict.BROKEN.value, Verdict.INCONCLUSIVE.value)
    return Verdict.BROKEN if said.problems or unknown else Verdict.PASS


def _require_ours(path: str, *, force: bool) -> None:
    """Raises UsageError where something stands that nobody wants replaced by a page."""
    from orchgate.report.page import MARK

    if os.path.isdir(path) or path.endswith("/"):
        raise UsageError(f"{path} is a directory", "name a file in it")
    if force or not os.path.lexists(path):
        return
    if os.path.islink(path):
        raise UsageError(f"{path} is a symbolic link", "name the file itself, or add --force to replace the link")
    from orchgate.lib import files

    try:
        descriptor = files.open_regular(path)
        try:
            beginning = os.read(descriptor, _LOOKED)
        finally:
            os.close(descriptor)
    except OSError as error:
        why = error.strerror or f"it is {getattr(error, 'kind', 'not a regular file')}"
        raise UsageError(f"{path} cannot be replaced: {why}", "name another file") from error
    if beginning and MARK.encode() not in beginning:
        raise UsageError(f"{path} is there already and is no page of orchgate", "name another file, or add --force")


def _said(task: str) -> Page:
    """What can be said without a judgement is said without one: why there is none is the page's first line, then."""
    from orchgate.gate import session
    from orchgate.report import gate

    with contextlib.ExitStack() as stack:
        try:
            repository = stack.enter_context(session.opened())
        except OrchgateError as error:
            judged = Judged(work_tree.here(), gate.nobody(error))
        else:
            judged = _judged(repository)
        return _page(judged, work_tree.task_with_runs(judged.root, task) if task else "")


def _page(judged: Judged, only: str) -> Page:
    from orchgate.commands.shared import run_rows
    from orchgate.report import collect
    from orchgate.runs import ids

    tasks = [one for one in judged.tasks if not only or one.task_id == only]
    now, row_of = ids.moment(time.time()), run_rows.row
    return collect.page(
        collect.Sources(
            judged.root,
            now,
            judged.gate,
            judged.ctx,
            tasks,
            judged.problems,
            row_of,
            _stale(judged.ctx),
            only,
            os.environ,
        )
    )


def _stale(ctx: Context | None) -> Callable[[BaselineRecord], str]:
    """Why a record should be taken anew, as `orchgate baseline show` says it; nobody says it without a work tree."""
    from orchgate.commands.baseline import common
    from orchgate.runs import pipeline, stages

    if ctx is None or ctx.repository is None or not ctx.root:
        return lambda _: ""
    try:
        pipelines = pipeline.load_all(ctx.root, ctx.config)
        hashes = {name: stages.pipeline_hash(pipelines, one) for name, one in pipelines.items()}
    except OrchgateError:  # the judgement says so
        return lambda _: ""
    at = common.Here(ctx.repository, ctx.config, {}, hashes, time.time())
    return lambda record: common.why_stale(at, record)


def _judged(repository: Repository) -> Judged:
    """What `orchgate check` says here, and what `orchgate tasks` does."""
    from orchgate.commands.tasks import standing
    from orchgate.gate import session
    from orchgate.gate.engine import Narrowing
    from orchgate.git import scope
    from orchgate.markdown.parts import is_markdown
    from orchgate.model import ScopeRequest
    from orchgate.report import gate
    from orchgate.report.values import CheckRow
    from orchgate.runs import ids

    root = repository.root or work_tree.here()
    try:
        ctx = session.context(repository, scope.target(repository, ScopeRequest(), os.environ), os.environ)
        unchanged = _unchanged(ctx)
        if unchanged and sum(map(is_markdown, ctx.snapshot.entries)) <= MOST_DOCUMENTS:
            target = scope.target(repository, ScopeRequest(all_files=True), os.environ)
            ctx = session.context(repository, target, os.environ)
        left_out = ctx.scope.whole_tree and len(list(ids.all_runs(root, failed=lambda _: None))) > MOST_RUNS
        report = session.judge(ctx, recorded=True, narrowing=Narrowing(ignore=("MAN",)) if left_out else None)
        said, problems = gate.of(report)
        off = (CheckRow("manifests", Verdict.INCONCLUSIVE.value, {}, NOT_JUDGED),) if left_out else ()
        said = said._replace(unchanged_since=unchanged, checks=tuple(sorted((*said.checks, *off))))
    except OrchgateError as error:
        return Judged(root, gate.nobody(error))
    try:
        ledger = standing.of(ctx)
        tasks, others = tuple(map(_task, ledger.tasks)), gate.of_troubles(ledger.troubles, problems)
    except OrchgateError as error:
        tasks, others = (), (gate.of_error(error),)
    return Judged(root, said, ctx, tasks, (*problems, *others))


def _unchanged(ctx: Context) -> str:
    """Since what there is no change: then the whole tree is of more interest than nothing. "" where there is one."""
    here = ctx.scope
    if here.whole_tree or here.unknown or here.changes or not ctx.root:
        return ""
    return here.origin or "the base"


def _task(task: TaskStanding) -> TaskState:
    from orchgate.report.values import TaskState

    last = task.last_run
    return TaskState(
        task.name,
        "",
        task.status,
        task.standing,
        dict(task.documents),
        task.boxes,
        task.ticked,
        tuple(map(_owed, task.owes[:OWES])),
        len(task.owes),
        len(task.runs),
        str(last["run_id"]) if last else "",
        str(last["status"]) if last else "",
    )


def _owed(one: Owed) -> FindingRow:
    from orchgate.report.values import FindingRow

    return FindingRow("", one.rule, "", one.path, one.line, one.message, one.hint)


def _write(path: str, said: Page, *, quiet: bool) -> None:
    """Raises WriteError."""
    from orchgate.lib import files
    from orchgate.report import page, size

    data = size.fitted(said)
    if path == "-":
        sys.stdout.write(data.decode("utf-8"))
        return
    full = os.path.abspath(path)
    files.make_folders(os.path.dirname(full))
    files.replace(full, data)
    if not quiet:
        counts = f"{counted(said.run_count, 'run')}, {counted(said.task_count, 'task')}"
        sys.stdout.write(escape(f"wrote {path}: {page.headline(said)}; {counts}; {len(data) / 1000:,.0f} KB") + "\n")
