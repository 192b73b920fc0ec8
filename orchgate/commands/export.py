"""`orchgate export`: runs as files that other programs read."""

from __future__ import annotations

import os
import sys

from orchgate.commands.shared import work_tree
from orchgate.errors import OrchgateError, UsageError
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from orchgate.exports.recorded import RunExport, UnreadRun

    Items = Iterator[RunExport | UnreadRun]

SUMMARY = "write runs as files that trace viewers, dashboards and spreadsheets read"
ABOUT = """\
A run comes with the runs that its stages called and that were recorded within
it; a task with all its runs. A record that is damaged, or contradicts itself, is
exported as far as it can be read, and named: never as a success. What people
sign of a run is in `orchgate evidence export`."""
EXAMPLES = (
    "orchgate export latest --format chrome-trace -o trace.json",
    "orchgate export 0001-faster-start --format csv",
)
EXIT_CODES = {
    0: "written",
    1: "written, but a run has not ended, cannot be read, or its record contradicts itself: standard error says which",
    3: "no run can be read, or the file cannot be written",
}
FORMATS = {
    "chrome-trace": "chrome",
    "otlp-json": "otlp",
    "junit": "junit",
    "ctrf": "ctrf",
    "bmf": "bmf",
    "csv": "csv",
}
_NESTED = 16  # runs call each other no deeper
_CHUNK = 1 << 16  # characters that are written at once


def arguments(parser: argparse.ArgumentParser) -> None:
    what = "a run's id, `latest`, a task, or the path of a manifest or a folder of runs, anywhere"
    parser.add_argument("run", metavar="RUN|TASK", help=what)
    what = "chrome-trace and otlp-json: spans; junit and ctrf: stages as tests; bmf: what they cost; csv: a row a stage"
    parser.add_argument("--format", required=True, choices=tuple(FORMATS), help=what)
    parser.add_argument("-o", "--output", default="-", metavar="FILE", help="the file to replace (standard output)")


def run(args: argparse.Namespace) -> Verdict:
    if not args.output.strip():
        raise UsageError("-o names no file", "orchgate export latest --format csv -o runs.csv")
    from importlib import import_module

    writer = import_module(f"orchgate.exports.{FORMATS[args.format]}")
    export = _Export(_folders(work_tree.root(), args.run), writer.chunks)
    if args.output == "-":
        for part in export:
            sys.stdout.write(part.decode("utf-8"))
    else:
        _replace(args.output, export)
        sys.stdout.write(escape(f"wrote {args.output}: {counted(export.runs, 'run')}") + "\n")
    for line in export.notes:
        sys.stderr.write(escape(f"orchgate: {line}") + "\n")
    for line in export.faults:
        sys.stderr.write(escape(f"orchgate: {line}") + "\n")
    return Verdict.FAIL if export.faults else Verdict.PASS


def _folders(root: str, word: str) -> list[str]:
    """The folders of the runs that are meant. Raises UsageError."""
    from orchgate.hotspots import chosen
    from orchgate.runs.locate import RUN_ID

    if os.path.lexists(word) or RUN_ID.fullmatch(word):
        return chosen.folders(root, [word])
    if word == "latest":
        return list(map(_caller, chosen.folders(root, [word])))
    return chosen.folders(root, [work_tree.task_with_runs(root, word)])


def _caller(folder: str) -> str:
    """The run that the run in a folder was called by, or that run's caller: it began before what it called."""
    from orchgate.runs import ids
    from orchgate.runs.run import load

    for _ in range(_NESTED):
        try:
            parent = load(os.path.join(folder, ids.MANIFEST)).parent_run_id or ""
        except OrchgateError:
            break
        above = os.path.join(os.path.dirname(folder), parent)
        if not ids.RUN_ID.fullmatch(parent) or not os.path.isdir(above):
            break
        folder = above
    return folder


def _replace(path: str, export: _Export) -> None:
    """Raises UsageError, WriteError, and what the export raises: then the file is as it was."""
    from orchgate.lib import files

    if os.path.isdir(path) or path.endswith("/"):
        raise UsageError(f"{path} is a directory", "name a file in it")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise UsageError(f"{path} is not a regular file", "name another file, or leave -o out")
    full = os.path.abspath(path)
    if _is_record(full):
        raise UsageError(f"{path} is part of the record of a run", "name a file outside of its folder")
    files.make_folders(os.path.dirname(full))
    files.replace(full, export)


def _is_record(path: str) -> bool:
    """Whether a file is a run's own: all in its folder, but for what stages left in its folder of artifacts."""
    from orchgate.runs.locate import RUN_ID

    parts = (*os.path.realpath(os.path.dirname(path)).split(os.sep), os.path.basename(path))
    return any(RUN_ID.fullmatch(part) and parts[at + 1] != "artifacts" for at, part in enumerate(parts[:-1]))


class _Export:
    """A document that is made while it is written, anew each time, and what was found out about the runs in it."""

    def __init__(self, folders: list[str], chunks: Callable[[Items], Iterator[str]]) -> None:
        self._folders = folders
        self._chunks = chunks
        self._forget()

    def _forget(self) -> None:
        self.runs = 0
        self.notes: list[str] = []
        self.faults: list[str] = []

    def __iter__(self) -> Iterator[bytes]:
        self._forget()
        waiting: list[str] = []
        size = 0
        for text in self._chunks(self._seen()):
            waiting.append(text)
            size += len(text)
            if size >= _CHUNK:
                yield "".join(waiting).encode("utf-8", "replace")
                waiting, size = [], 0
        yield "".join(waiting).encode("utf-8", "replace")

    def _seen(self) -> Items:
        """The runs. Raises OrchgateError when none of them can be read."""
        from orchgate.exports.recorded import UnreadRun, exports

        unread: list[UnreadRun] = []
        for item in exports(self._folders):
            if isinstance(item, UnreadRun):
                unread.append(item)
                self.faults.append(f"{_shown(item.path)}: {item.message}")
                continue
            self.runs += 1
            self.faults += [f"{item.run.run_id}: {what}" for what in item.faults]
            self.notes += [f"{item.run.run_id}: {what}" for what in item.notes]
            yield item
        if not self.runs:
            more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
            first = unread[0]
            raise OrchgateError(f"no run can be read: {_shown(first.path)}: {first.message}{more}", first.hint)
        yield from unread


def _shown(path: str) -> str:
    inside = os.path.relpath(path)
    return path if inside.startswith("..") else inside
