"""Head fails where base succeeds: because its code is broken, or because what base runs is not there any more."""

from __future__ import annotations

import posixpath
import shlex
from typing import TYPE_CHECKING

from orchgate.model import Severity
from orchgate.speed import defined, push_words, redefined
from orchgate.speed.verdicts import Said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.runs.stages import Stage
    from orchgate.speed.question import Question
    from orchgate.speed.sampling import Failure

HINT = "let head keep what the base's definition runs: the new definition judges from the next push on"
_NOT_FOUND = ("cannot run ", "exit 126", "exit 127")  # how the system and how shells say it


def head_failed(question: Question, failure: Failure) -> Said:
    """PRF007 where head can no longer run what the base defines, PRF005 where it runs and fails."""
    why = _why(question, failure)
    if not why:
        return push_words.head_failed(question, failure)
    message = f"{question.pipeline} cannot be run any more as the base defines it: {push_words.failure(failure)}; {why}"
    return Said("PRF007", message, HINT, Severity.ERROR)


def _why(question: Question, failure: Failure) -> str:
    change = question.redefined
    if change is not None and (change.prepared if failure.stage == "prepare" else change.staged):
        return f"this change {redefined.some(change.edits)}"
    if gone := next(_gone(question, failure.stage), ""):
        return f"this change removes {gone}"
    return "the command is not found" if failure.detail.startswith(_NOT_FOUND) else ""


def _gone(question: Question, name: str) -> Iterator[str]:
    """Files and folders that the command of a stage names, and that only base has."""
    assert question.base is not None
    if name == "prepare":
        words, folder = question.config.performance.prepare, ""
    else:
        stages = defined.read(question.repository, question.base, question.pipeline, "base").stages
        stage = next(one for one in stages if one.id == name)
        words, folder = _words(stage), stage.cwd
    left = question.repository.tree(question.head).entries
    gone = [path for path in question.tree.entries if path not in left]
    for path in _places(words, folder):
        # A shell may have gone to another folder first.
        yield from (one for one in gone if one == path or one.endswith(f"/{path}"))
        if path in question.tree.folders and any(one.startswith(f"{path}/") for one in gone):
            yield from () if any(one.startswith(f"{path}/") for one in left) else (path,)


def _places(words: Sequence[str], folder: str) -> Iterator[str]:
    """Paths that a command may name: the folder it runs in, its words, and the module that python is asked for."""
    if folder:
        yield posixpath.normpath(folder)
    for before, word in zip(("", *words), words, strict=False):
        path = posixpath.normpath(posixpath.join(folder, word))
        if path not in (".", "/") and not path.startswith("../"):
            yield path
        if before == "-m":
            module = posixpath.normpath(posixpath.join(folder, word.replace(".", "/")))
            yield from (f"{module}.py", f"{module}/__main__.py")


def _words(stage: Stage) -> tuple[str, ...]:
    if stage.argv:
        return stage.argv
    try:
        return tuple(shlex.split(stage.shell, comments=True))
    except ValueError:  # a quotation that does not end; the shell will have said so
        return tuple(stage.shell.split())
