"""What the commands about runs share: where they are, what the runs are made of, and which run is meant."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from orchgate.commands.shared import tasks
from orchgate.errors import OrchgateError, UsageError
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.repository import Repository
    from orchgate.runner.session import Reporter, RunSettings

CANCELLED = 130
CODES = {"succeeded": 0, "failed": 1, "cancelled": CANCELLED}


def here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise OrchgateError("the current directory no longer exists") from error


def setting(
    task: str, reporter: Reporter, *, cache: bool = True, measured: bool = False, is_known: bool = False
) -> RunSettings:
    """What a run of a task here is made of. Raises UsageError, ConfigError, GitError.

    `task` is as somebody named it, unless `is_known`.
    """
    from orchgate.config.load import load_work_tree
    from orchgate.git.state import PendingStatus, around

    at = here()
    repository = around(at, os.environ)
    root = repository.root if repository else at
    with PendingStatus(repository, contents=True) as question:  # git looks while we read
        from orchgate.runner.session import RunSettings
        from orchgate.runs.machine import fingerprint
        from orchgate.runs.pipeline import load_all

        first = not os.path.lexists(os.path.join(root, ids.RUNS))
        config = load_work_tree(root)
        task = task if is_known else tasks.recorded(root, config, task)
        ids.task_folder(root, task)
        pipelines = load_all(root, config)
        machine = fingerprint()
    artifacts = (ids.RUNS, *config.evidence.roots)
    state = question.answer(artifacts)
    if first and repository:
        _tell_of_git(repository)
    environ = dict(os.environ)
    return RunSettings(root, task, pipelines, environ, repository, state, machine, reporter, cache, measured, artifacts)


def _tell_of_git(repository: Repository) -> None:
    """Says once, before the first run is recorded, that git would take it."""
    from orchgate.commands.shared import gitignore

    if gitignore.open_folders(repository, (ids.RUNS,)):
        sys.stderr.write(
            f"orchgate: git does not ignore {ids.RUNS}/, where runs are recorded\n  hint: {gitignore.COMMAND}\n"
        )


def root() -> str:
    """The top of the work tree around the current folder, or that folder itself outside of any. Raises GitError."""
    repository = around_here()
    return repository.root if repository else here()


def around_here() -> Repository | None:
    """The repository around the current folder; None outside of any. Raises GitError."""
    from orchgate.git.state import around

    return around(here(), os.environ)


def locate(root: str, run: str, task: str) -> tuple[str, str]:
    """Task and folder of the run that is meant: a run id, `latest`, or the path of a manifest or of its folder.

    Raises UsageError when there is none, or when several tasks have one of that id.
    """
    if task:
        task = tasks.with_runs(root, task)
    if not ids.RUN_ID.fullmatch(run) and run != "latest":
        return _by_path(run)
    found = [(name, run_id) for name, run_id in ids.all_runs(root, task) if run in (run_id, "latest")]
    if run == "latest":
        found = found[:1]
    where = f" of task {task}" if task else ""
    if not found:
        raise UsageError(f"unknown run {run}{where}", "orchgate status")
    if len(found) > 1:
        raise UsageError(f"{len(found)} tasks have a run {run}", f"name the task: --task {found[0][0]}")
    return found[0][0], ids.run_folder(root, *found[0])


def _by_path(path: str) -> tuple[str, str]:
    folder = os.path.abspath(path if os.path.isdir(path) else os.path.dirname(path) or os.curdir)
    cli, run_id = os.path.split(folder)
    if not os.path.exists(path) or not ids.RUN_ID.fullmatch(run_id):
        raise UsageError(f"{path!r} is neither a run id nor a run's manifest", "orchgate status")
    return os.path.basename(os.path.dirname(cli)), folder


def shown(root: str, folder: str) -> str:
    """A run's manifest as a path people can use."""
    path = os.path.join(folder, ids.MANIFEST)
    return os.path.relpath(path, root) if path.startswith(root + os.sep) else path


def reporter(output: str) -> Reporter:
    """Who tells what happens: nobody for a program, a live tree on a terminal, lines elsewhere."""
    from orchgate.runner.session import Silent

    if output == "json":
        return Silent()
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from orchgate.commands.shared.live import LiveReporter

        return LiveReporter()
    from orchgate.commands.shared.lines import PlainReporter

    return PlainReporter()


def print_json(document: Mapping[str, Any]) -> None:
    sys.stdout.write(as_json(document) + "\n")


def as_json(value: Any, depth: int = 0) -> str:
    """A value as JSON for people, as it stands so many levels down in a document."""
    import json
    import textwrap

    return textwrap.indent(json.dumps(value, indent=2), "  " * depth)
