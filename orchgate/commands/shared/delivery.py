"""`--output-format` and `--output-file`: one judgement, on standard output and in as many files as somebody wants.

Where a file can go is looked at before anything is judged. Files are written first, whole or not at all: a reader that
closed standard output takes nothing from them. A command that ends in an error leaves documents that say so.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys

from orchgate import registry
from orchgate.errors import OrchgateError, UsageError, quoted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import About, CheckResult, Location, Report, Scope, Trouble, Verdict
from orchgate.outputs import _document
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TextIO

    from orchgate.git.repository import Repository

    Own = Mapping[str, Callable[[TextIO], None]]  # how a command itself writes a format

SUMMARY = "GITHUB_STEP_SUMMARY"
COMMANDS = ("check", "perf")
_APART = "\n\n"  # what stands below an element of HTML, such as our own last line, is no Markdown until a line is empty
_CONFIGURATIONS = ("orchgate.toml", "pyproject.toml")
_delivered: list[bool] = []  # whether the files of this call are written


class Target(NamedTuple):
    """A document that somebody asked for; `path` is "" for standard output."""

    format: str
    path: str = ""


def target(text: str) -> Target:
    """A type for argparse."""
    name, equals, path = text.partition("=")
    formats = registry.plugins("outputs")
    if name not in formats:
        raise argparse.ArgumentTypeError(f"unknown format {escape(name[:40])}; {registry.nearest(name, formats)}")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"expected FORMAT=PATH, such as {name}=reports/{name}.txt")
    if path == "-":
        raise argparse.ArgumentTypeError(f"standard output is what --output-format {name} is for")
    return Target(name, path)


def require(targets: Sequence[Target]) -> None:
    """Raises UsageError where a file cannot be written, or would be written twice."""
    seen: dict[str, Target] = {}
    for one in targets:
        if why := _unwritable(one.path):
            raise UsageError(f"--output-file {one.format}: {one.path}: {why[0]}", why[1])
        place = os.path.realpath(one.path)
        if place in seen:
            raise UsageError(f"--output-file: {one.path}: {seen[place].format} and {one.format} go to the same file")
        seen[place] = one


def _unwritable(path: str) -> tuple[str, str] | None:
    """Why a file cannot go there, and what to do; None where it can."""
    folder = os.path.dirname(path) or os.curdir
    if not os.path.isdir(folder):
        return f"there is no folder {folder}", f"mkdir -p {quoted(folder)}"
    if os.path.isdir(path):
        return "is a directory", ""
    if os.path.exists(path) and not os.path.isfile(path):
        return "is not a regular file", ""
    _, inside, own = f"{os.sep}{os.path.realpath(path)}".lower().rpartition(f"{os.sep}.git{os.sep}")
    if inside and not own.startswith(f"orchgate{os.sep}"):  # its index, a hook
        return "is git's own", ""
    if not os.access(folder, os.W_OK | os.X_OK):
        return "nobody may write there", f"ls -ld {quoted(folder)}"
    return None


def deliver(report: Report, output: str, targets: Sequence[Target], own: Own) -> int:
    """Writes the report everywhere, and returns the exit code: 3 where a file was not written and all else was well.

    `own` writes text and whatever else the command has its own form of.
    """
    code = report.about.exit_code
    _delivered.append(True)
    for one in targets:
        if not _filed(report, one, own):
            code = code or Verdict.BROKEN.exit_code
    if output == "github":
        _summarised(report)
    if output in own:
        own[output](sys.stdout)
    else:
        made = _made(report, output, own)
        _document.begin()
        sys.stdout.write(made)
    return code


def forget() -> None:
    """A new call begins."""
    _delivered.clear()


def _made(report: Report, name: str, own: Own) -> str:
    """A whole document. Below GitHub's annotations is what people read in the log."""
    stream = io.StringIO()
    if name in own:
        own[name](stream)
    else:
        registry.load("outputs", name).render(report, stream)
    if name == "github" and "text" in own:
        own["text"](stream)
    return stream.getvalue()


def _filed(report: Report, one: Target, own: Own) -> bool:
    from orchgate.lib import files

    try:
        files.replace(os.path.abspath(one.path), _made(report, one.format, own).encode("utf-8", "backslashreplace"))
    except files.WriteError as error:
        _complain(error.message, error.hint)
        return False
    return True


def _complain(message: str, hint: str = "") -> None:
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(f"orchgate: {escape(message)}\n" + (f"  hint: {escape(hint)}\n" if hint else ""))


def _summarised(report: Report) -> None:
    """Appends to the summary of the step, as far as there is room; nobody asked for it, and nothing depends on it."""
    from orchgate.lib import files
    from orchgate.outputs import github

    path = os.environ.get(SUMMARY)
    if not path:
        return
    try:
        descriptor = files.open_appending(path)
        try:
            room = github.SUMMARY_BYTES - os.fstat(descriptor).st_size
            page = github.summary(report, room - len(_APART) - 1) if room > len(_APART) else ""
            written = _APART + page if page and room < github.SUMMARY_BYTES else page
            files.write_all(descriptor, written.encode("utf-8", "backslashreplace"), path)
        finally:
            os.close(descriptor)
    except files.WriteError as error:
        _complain(f"no summary of the step: {error.message}")
    else:
        if not page:
            _complain(f"no summary of the step: there is no room left in {path}")


# What a document says besides the judgement


def about(repository: Repository, command: str, report: Report, exit_code: int) -> About:
    """What is known here; git has the last word only on what it knows."""
    known = About(command, exit_code)
    with contextlib.suppress(OrchgateError):
        known = known._replace(anchor=_anchor(repository, report.scope))
        known = known._replace(head=report.scope.head or repository.head or "", branch=repository.branch)
        known = known._replace(remote=repository.refs.address())
    return known


def _anchor(repository: Repository, scope: Scope) -> str:
    """The file that stands for the change as a whole: the configuration, else one that the change leaves."""
    entries = repository.index.entries if repository.root else {}
    changed = (change.path for change in scope.changes if not change.deleted)
    named = (name for name in _CONFIGURATIONS if name in entries)
    readme = (name for name in entries if name.upper().startswith("README"))
    return next(iter((*named, *changed, *readme)), "")


# Errors


def answer(argv: Sequence[str], problems: Sequence[Mapping[str, object]], exit_code: int) -> None:
    """Where a call that ends in an error was asked for documents, writes them: with the error, and not yet written."""
    if not argv or argv[0] not in COMMANDS or _delivered:
        return
    report = _failed(argv[0], problems, exit_code)
    own = {
        "text": lambda stream: _as_text(problems, stream),
        "json": lambda stream: _document.write(_document.error(problems, exit_code), stream),
    }
    targets = dict.fromkeys(_requested(argv[1:]))
    paths: set[str] = set()
    for one in targets:
        place = os.path.realpath(one.path)
        if one.path and place not in paths and not _unwritable(one.path):
            paths.add(place)
            _filed(report, one, own)
    for one in targets:
        if not one.path and one.format not in own:
            if one.format == "github":
                _summarised(report)
            with contextlib.suppress(OSError):
                sys.stdout.write(_made(report, one.format, {}))
                sys.stdout.flush()


def _failed(command: str, problems: Sequence[Mapping[str, object]], exit_code: int) -> Report:
    check = CheckResult("orchgate", Verdict.BROKEN, (), {}, {}, tuple(map(_trouble, problems)), 0.0)
    return Report(Scope("", None, None), (check,), About(command, exit_code, failed=str(problems[0]["code"])))


def _trouble(one: Mapping[str, object]) -> Trouble:
    path, line, column = str(one.get("path") or ""), *(int(str(one.get(name) or 0)) for name in ("line", "column"))
    message = str(one["message"])
    for place in (f"{path}:{line}:{column}: ", f"{path}: "):
        message = message.removeprefix(place)
    return Trouble(Location(path, line, column), message, str(one.get("hint") or ""))


def _as_text(problems: Sequence[Mapping[str, object]], stream: TextIO) -> None:
    """As on standard error."""
    for one in problems:
        stream.write(f"orchgate: {escape(str(one['message']))}\n")
        stream.write(f"  hint: {escape(str(one['hint']))}\n" if one.get("hint") else "")


def _requested(words: Sequence[str]) -> Iterator[Target]:
    """What a command line asks for, whatever else is wrong with it; the last format is that of standard output."""
    found, rest = "", iter(words)
    for word in rest:
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name not in ("--output-format", "--output-file"):
            continue
        value = value if equals else next(rest, "")
        if name == "--output-format":
            found = value
        else:
            with contextlib.suppress(argparse.ArgumentTypeError):
                yield target(value)
    if found in registry.plugins("outputs"):
        yield Target(found)
