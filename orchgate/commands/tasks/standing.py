"""What each task of a repository still owes: its packet, judged as if it were called finished today."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict

from orchgate.commands import status
from orchgate.commands.shared import work_tree
from orchgate.errors import OrchgateError, Unreadable
from orchgate.gate import session
from orchgate.git import scope
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Location, Scope, ScopeRequest, Severity, Trouble
from orchgate.packets.progress import PacketProgress, progress_of, stated_status
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from orchgate.gate.context import Context
    from orchgate.markdown.document import Document
    from orchgate.model import Diagnostic
    from orchgate.packets.packet import Packet

JUDGING = ("documents", "evidence")  # the checks whose findings are about a task's documents
INACTIVE = "inactive"


class Owed(NamedTuple):
    """One thing that is missing. `rule` is "" for an open box of the checklist."""

    rule: str
    path: str
    line: int
    column: int
    message: str
    hint: str


class TaskStanding(NamedTuple):
    """A task. `boxes` are those of its checklist; `runs` are (task folder, run id), newest first, on this disk."""

    name: str
    status: str
    standing: str
    documents: Mapping[str, str]
    boxes: int
    ticked: int
    owes: tuple[Owed, ...]
    runs: tuple[tuple[str, str], ...]
    last_run: Mapping[str, Any] | None
    packet: Packet

    @property
    def finished(self) -> bool:
        return self.standing == PacketProgress.FINISHED.value

    @property
    def inactive(self) -> bool:
        return self.standing == INACTIVE


class Ledger(NamedTuple):
    """All tasks of one tree, the oldest first, and what could not be read."""

    context: Context
    tasks: tuple[TaskStanding, ...]
    troubles: tuple[Trouble, ...]

    def task(self, given: str) -> TaskStanding:
        """The task that somebody names. Raises UsageError."""
        packet = work_tree.packet_of_task([one.packet for one in self.tasks], given)
        return next(one for one in self.tasks if one.packet is packet)


@contextlib.contextmanager
def read() -> Iterator[Ledger]:
    """The tasks of the repository around the current folder, by what is staged. Raises GitError, ConfigError."""
    with session.opened() as repository:
        target = scope.target(repository, ScopeRequest(all_files=True), os.environ)
        yield of(session.context(repository, target, os.environ))


def of(judged: Context) -> Ledger:
    """The tasks of a tree that may have been judged already: what was read for that is not read again."""
    # No change is judged: what a packet owes does not depend on who wrote it.
    ctx = judged._replace(scope=Scope("tree", None, None))
    report = session.judge(ctx._replace(as_finished=True), JUDGING, strict=True)
    troubles = tuple(dict.fromkeys(one for check in report.checks for one in check.troubles))
    owed = _by_document([one for one in report.diagnostics if one.suppressed is None])
    runs, unlisted = _runs(ctx.root)
    found = [_standing(ctx, packet, owed, runs) for packet in ctx.packets.all]
    ordered = tuple(sorted(found, key=lambda one: _age(one.name)))
    return Ledger(ctx, ordered, (*troubles, *unlisted))


def _age(name: str) -> tuple[int, str]:
    """By number, which tasks are given in order; a date in front of it is part of no number."""
    parts = name.split("-")
    numbers = [part for part in parts[:2] if part.isdigit()]
    number = numbers[-1] if numbers else ""
    return (int(number[:9]) if number else 10**9, name)


def _by_document(shown: list[Diagnostic]) -> Mapping[str, list[Diagnostic]]:
    found: dict[str, list[Diagnostic]] = defaultdict(list)
    for diagnostic in shown:
        if diagnostic.severity is not Severity.NOTE:
            found[diagnostic.finding.location.path].append(diagnostic)
    return found


def _standing(
    ctx: Context,
    packet: Packet,
    found: Mapping[str, list[Diagnostic]],
    runs: Mapping[str, list[tuple[str, str]]],
) -> TaskStanding:
    checklist = _checklist(ctx, packet)
    boxes = [item for item in checklist.items if item.checked is not None] if checklist else []
    owes = [_owed(one) for path in packet.paths for one in found.get(path, ())]
    owes += [_open_box(checklist, item.offset, item.text) for item in boxes if not item.checked] if checklist else []
    known = packet.names | set(packet.entry.names if packet.entry else ())
    own = sorted({run for name in known for run in runs.get(name, ())}, key=lambda run: run[1], reverse=True)
    last = own[0] if own else None
    inactive = not ctx.packets.active(packet)
    rules = ctx.config.documents.status
    read = ctx.documents.read(packet.paths)[0] if rules.lines else ()
    progress = progress_of(packet, checklist, rules, stated_status(read, rules.lines))
    return TaskStanding(
        packet.name,
        packet.entry.status if packet.entry else "",
        INACTIVE if inactive else progress.value,
        packet.documents,
        len(boxes),
        sum(bool(item.checked) for item in boxes),
        () if inactive else tuple(owes),
        tuple(own),
        _run(ctx.root, *last) if last else None,
        packet,
    )


def _checklist(ctx: Context, packet: Packet) -> Document | None:
    """None also for one that cannot be read, which the checks have said."""
    path = packet.documents.get("checklist")
    with contextlib.suppress(Unreadable):
        return ctx.documents.one(path) if path else None
    return None


def _owed(diagnostic: Diagnostic) -> Owed:
    found = diagnostic.finding
    hint = found.hint or next((step.command for step in found.steps), "")
    return Owed(found.rule, *found.location, found.message, hint)


def _open_box(checklist: Document, offset: int, text: str) -> Owed:
    return Owed("", *checklist.location(offset), f"not ticked: {clip(' '.join(text.split()), 100)}", "")


def _runs(root: str) -> tuple[Mapping[str, list[tuple[str, str]]], list[Trouble]]:
    """The runs on disk by the name of their task's folder."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    troubles: list[Trouble] = []
    if root:
        unread = lambda error: troubles.append(Trouble(Location(ids.RUNS), error.message, error.hint))  # noqa: E731
        for task, run in ids.all_runs(root, failed=unread):
            found[task].append((task, run))
    return found, troubles


def _run(root: str, task: str, run: str) -> Mapping[str, Any]:
    try:
        row = status.row(task, ids.run_folder(root, task, run))
    except OrchgateError as error:
        return {
            "run_id": run,
            "task_id": task,
            "pipeline_id": "",
            "status": status.UNREADABLE,
            "problem": error.message,
        }
    return {key: row.get(key) for key in ("run_id", "task_id", "pipeline_id", "status", "problem")}
