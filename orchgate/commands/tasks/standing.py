"""What each task of a repository still owes, judged as if it were finished today; and the bookkeeping when it is."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter, defaultdict

from orchgate.commands.shared import run_rows, work_tree
from orchgate.errors import OrchgateError, Unreadable, quoted
from orchgate.gate import session
from orchgate.git import scope
from orchgate.lib import files
from orchgate.lib.paths import require_inside
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Location, Scope, ScopeRequest, Severity, Trouble
from orchgate.packets import tasks
from orchgate.packets.progress import PacketProgress, progress_of, stated_status
from orchgate.packets.tasks import MAX_BYTES, normal_status
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from orchgate.gate.context import Context
    from orchgate.markdown.document import Document
    from orchgate.model import Diagnostic
    from orchgate.packets.layout import Packet
    from orchgate.packets.tasks import TaskList


JUDGING = ("documents", "evidence")  # the checks whose findings are about a task's documents
INACTIVE = "inactive"
OPEN = "not ticked: "  # of a box in a checklist


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
    return Owed("", *checklist.location(offset), f"{OPEN}{clip(' '.join(text.split()), 100)}", "")


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
        row = run_rows.row(task, ids.run_folder(root, task, run))
    except OrchgateError as error:
        return {
            "run_id": run,
            "task_id": task,
            "pipeline_id": "",
            "status": run_rows.UNREADABLE,
            "problem": error.message,
        }
    return {key: row.get(key) for key in ("run_id", "task_id", "pipeline_id", "status", "problem")}


# The bookkeeping of a finished task: its entry in the task list, and the status lines of its documents


FINISHED = "completed"  # where no other task of the list shows which word is used
_HEAD_LINES = 40  # of a document, among which its status is
_FENCE = re.compile(r"[ ]{0,3}(?:```|~~~)")
_STATUS = re.compile(
    r"(?P<head>[ ]{0,3}(?:[-*+][ ]+)?(?:\*\*|__)?status(?:\*\*|__)?:(?:\*\*|__)?[ \t]+)"
    r"(?P<value>[^\r\n]*?)(?P<tail>[ \t]*\r?)",
    re.IGNORECASE,
)


class Written(NamedTuple):
    """A status that was changed: in which file, from what to what."""

    path: str
    old: str
    new: str


def close(ledger: Ledger, task: TaskStanding) -> tuple[Written, ...]:
    """Writes the status of a task that owes nothing wherever it is not that of a finished one. Raises OrchgateError.

    Everything is worked out before the first file is written. Edits of the task's files that are not staged are in the
    way, as nobody has judged those.
    """
    root = ledger.context.root
    if not root:
        raise OrchgateError("a bare repository has no files to write", "close the task in a clone")
    changes = [*_in_list(ledger, task), *_in_documents(ledger, task)]
    listed = ledger.context.packets.tasks
    for path in (*([listed.path] if listed else ()), *task.documents.values()) if changes else ():
        require_staged(ledger, root, path)
    for text, written in changes:
        files.replace(os.path.join(root, written.path), text.encode("utf-8", "surrogateescape"))
    return tuple(written for _, written in changes)


def _finished(ledger: Ledger) -> frozenset[str]:
    return frozenset(map(normal_status, ledger.context.config.documents.status.finished))


def _in_list(ledger: Ledger, task: TaskStanding) -> Iterator[tuple[str, Written]]:
    listed, entry, over = ledger.context.packets.tasks, task.packet.entry, _finished(ledger)
    if listed is None or entry is None or entry.status in over or (entry.completed and not entry.status):
        return
    word = _usual_word(listed.whole, over)
    text = tasks.with_status(listed.whole, entry, word, ledger.context.today.isoformat())
    yield text, Written(listed.path, entry.status or "none", word)


def _usual_word(listed: TaskList, over: frozenset[str]) -> str:
    """The word that most finished tasks of the list have, as it is spelled there."""
    spelled = [str(item.raw["status"]) for item in listed.items if item.status and item.status in over]
    return Counter(spelled).most_common(1)[0][0] if spelled else FINISHED


def _in_documents(ledger: Ledger, task: TaskStanding) -> Iterator[tuple[str, Written]]:
    over = _finished(ledger)
    for path in task.documents.values():
        text = ledger.context.snapshot.read(path).decode("utf-8", "surrogateescape")
        line = _status_line(text)
        if line is None or normal_status(line["value"]) in over:
            continue
        old = line["value"]
        word = FINISHED.capitalize() if old[:1].isupper() else FINISHED
        yield text[: line.start("value")] + word + text[line.end("value") :], Written(path, old or "none", word)


def _status_line(text: str) -> re.Match[str] | None:
    """The first line such as `Status: draft` or `- **Status**: Draft` near a document's beginning, outside of code."""
    at, fenced = 0, False
    for line in text.split("\n")[:_HEAD_LINES]:
        fenced ^= _FENCE.match(line) is not None
        found = None if fenced else _STATUS.fullmatch(text, at, at + len(line))
        if found is not None:
            return found
        at += len(line) + 1
    return None


def unstaged(ledger: Ledger, task: TaskStanding) -> list[str]:
    """Documents of a task that somebody has edited since they were staged: what they say now was not read."""
    found = []
    for path in task.documents.values():
        with contextlib.suppress(OrchgateError):  # what cannot be read on disk is not what anybody edits
            if not _is_staged(ledger, ledger.context.root, path):
                found.append(path)
    return found


def _is_staged(ledger: Ledger, root: str, path: str) -> bool:
    """Whether a file on disk is what is judged. Raises OrchgateError."""
    full = os.path.join(root, path)
    require_inside(root, full)
    try:
        on_disk = files.read(full, MAX_BYTES, follow=False)
    except OSError as error:
        raise OrchgateError(f"{path}: cannot be read: {error.strerror}") from error
    staged: bytes = ledger.context.snapshot.read(path, MAX_BYTES)
    return on_disk == staged


def require_staged(ledger: Ledger, root: str, path: str) -> None:
    if not _is_staged(ledger, root, path):
        raise OrchgateError(f"{path} has edits that are not staged; nothing was written", f"git add {quoted(path)}")
