"""Which runs are meant by the words of a command line: run ids, tasks, and paths inside or outside the repository."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError, UsageError
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOOKED = 200  # of the newest runs, when nobody says which are meant
_HINT = "orchgate status"


def latest(root: str) -> list[str]:
    """The folders of the newest run of every pipeline, among the newest `LOOKED`, newest first.

    Runs that another run called do not count. Those that do not say what they are of are all there, for the caller to
    find out why.
    """
    from orchgate.runs.run import load

    pipelines: set[str] = set()
    found = []
    for task, run in islice(ids.all_runs(root), LOOKED):
        folder = _folder(root, task, run)
        try:
            run_here = load(os.path.join(folder, ids.MANIFEST))
        except OrchgateError:
            found.append(folder)
            continue
        if run_here.parent_run_id is None and run_here.pipeline_id not in pipelines:
            pipelines.add(run_here.pipeline_id)
            found.append(folder)
    return found


def folders(root: str, words: Iterable[str]) -> list[str]:
    """The folders of the runs that are meant, each once, in the order of the words. Raises UsageError."""
    known: list[tuple[str, str]] = []  # listed once, and only if a word is no path
    found: dict[str, None] = {}
    for word in words:
        if os.path.lexists(word):
            found |= dict.fromkeys(_by_path(word))
        else:
            known = known or list(ids.all_runs(root))
            found |= dict.fromkeys(_named(root, word, known))
    return list(found)


def _named(root: str, word: str, known: list[tuple[str, str]]) -> list[str]:
    if word == "latest":
        found = [_folder(root, *run) for run in known[:1]]
    else:
        found = [_folder(root, task, run) for task, run in known if word in (task, run)]
    if not found:
        raise UsageError(f"{word!r} is neither a run, nor a task with runs, nor a path", _HINT)
    return found


def _folder(root: str, task: str, run: str) -> str:
    """Where a run that was found is. It is only read: it may be a link to wherever runs are kept."""
    return os.path.join(root, ids.RUNS, task, "cli", run)


def _by_path(path: str) -> list[str]:
    """The runs at a path: of a file in a run's folder, of that folder, of a task's folder or of all tasks' folder."""
    folder = os.path.abspath(path if os.path.isdir(path) else os.path.dirname(path))
    if run := _run_around(folder):
        return [run]
    for pattern in ("cli", "*/cli", ""):
        if found := sorted(_runs_below(folder, pattern)):
            return found
    raise UsageError(f"there are no runs in {path!r}", _HINT)


def _run_around(folder: str) -> str | None:
    """The run that a folder is, is in, or stands for: summaries and redirects are beside the real one."""
    for level in range(3):
        parent, name = os.path.split(folder)
        if ids.RUN_ID.fullmatch(name):
            task = os.path.dirname(parent) if os.path.basename(parent) in ("cli", "mcp", "local-mcp") else parent
            real = os.path.join(task, "cli", name)
            return real if _is_run(real) else folder
        if level == 0 and _is_run(folder):  # moved, under another name
            return folder
        folder = parent
    return None


def _runs_below(folder: str, pattern: str) -> Iterator[str]:
    import glob

    for run in glob.iglob(os.path.join(glob.escape(folder), pattern, "*")):
        if ids.RUN_ID.fullmatch(os.path.basename(run)) and os.path.isdir(run):
            yield run


def _is_run(folder: str) -> bool:
    return any(os.path.lexists(os.path.join(folder, name)) for name in (ids.MANIFEST, ids.JOURNAL))
