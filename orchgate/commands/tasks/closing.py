"""The bookkeeping of a finished task: its entry in the task list, and the status lines of its documents."""

from __future__ import annotations

import os
import re
from collections import Counter

from orchgate.errors import OrchgateError, quoted
from orchgate.lib import files
from orchgate.lib.paths import require_inside
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.packets import tasks
from orchgate.packets.tasks import MAX_BYTES, normal_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.commands.tasks.standing import Ledger, TaskStanding
    from orchgate.packets.tasks import TaskList

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
        _require_staged(ledger, root, path)
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


def _require_staged(ledger: Ledger, root: str, path: str) -> None:
    full = os.path.join(root, path)
    require_inside(root, full)
    try:
        on_disk = files.read(full, MAX_BYTES, follow=False)
    except OSError as error:
        raise OrchgateError(f"{path}: cannot be read: {error.strerror}") from error
    if on_disk != ledger.context.snapshot.read(path, MAX_BYTES):
        raise OrchgateError(f"{path} has edits that are not staged; nothing was written", f"git add {quoted(path)}")
