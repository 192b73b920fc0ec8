"""The work tree that a command is called in: which task and which run are meant there, and what a run of it is made of.

`--task` takes, in every command, the full id of a task or a unique beginning of it, its slug, or its number. Whether
git ignores the folders of artifacts, and the `.gitignore` that makes it so, is a matter of the work tree, too.
"""

from __future__ import annotations

import os
import re
import sys

from orchgate.errors import OrchgateError, Unreadable, UsageError
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import ids

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import Any

    from orchgate.config.settings import Config, Documents
    from orchgate.git.repository import Repository
    from orchgate.packets.layout import Layout, Packet
    from orchgate.runner.session import Reporter, RunSettings


CANCELLED = 130
CODES = {"succeeded": 0, "failed": 1, "cancelled": CANCELLED}


def here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise OrchgateError("the current directory no longer exists") from error


def setting(
    task: str,
    reporter: Reporter,
    *,
    pipeline: str = "",
    cache: bool = True,
    measured: bool = False,
    is_known: bool = False,
) -> RunSettings:
    """What a run of a task here is made of. Raises UsageError, ConfigError, GitError.

    `task` is as somebody named it, unless `is_known`. `pipeline` is the only one that is to run, "" for any.
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
        task = task if is_known else recorded_task(root, config, task)
        ids.task_folder(root, task)
        pipelines = load_all(root, config, pipeline)
        machine = fingerprint()
    artifacts = (ids.RUNS, *config.evidence.roots)
    state = question.answer(artifacts)
    if first and repository:
        _tell_of_git(repository)
    environ = dict(os.environ)
    known = RunSettings(
        root, task, pipelines, environ, repository, state, machine, reporter, cache, measured, artifacts
    )
    named = config.performance.benchmarks
    return known._replace(benchmarks=named if named.file else None, tools=config.top.tools)


def _tell_of_git(repository: Repository) -> None:
    """Says once, before the first run is recorded, that git would take it."""
    if unignored_folders(repository, (ids.RUNS,)):
        sys.stderr.write(
            f"orchgate: git does not ignore {ids.RUNS}/, where runs are recorded\n  hint: {GITIGNORE_COMMAND}\n"
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
        task = task_with_runs(root, task)
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
    return inside(root, os.path.join(folder, ids.MANIFEST))


def inside(root: str, path: str) -> str:
    """The path as the repository has it; what lies outside of it stays absolute."""
    return os.path.relpath(path, root) if root and path.startswith(root + os.sep) else path


def reporter(output: str) -> Reporter:
    """Who reports what happens: nobody for a program, a live tree on a terminal, lines elsewhere."""
    from orchgate.runner.session import Silent

    if output == "json":
        return Silent()
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from orchgate.commands.shared.live import LiveReporter

        return LiveReporter()
    from orchgate.commands.shared.lines import PlainReporter

    return PlainReporter()


def print_json(document: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """One document of its own on standard output; without `indent` on one line."""
    from orchgate.outputs import _document

    _document.write(document, sys.stdout, indent=indent)


def write_file(path: str, content: bytes, *, force: bool) -> None:
    """Writes the file of an option; replaces one that is there by `force` only. Raises OrchgateError, WriteError."""
    if force:
        files.replace(os.path.abspath(path), content)
        return
    if os.path.lexists(path):
        raise OrchgateError(f"cannot write {path}: it exists already", "name another file, or add --force")
    files.create(path, content)


LISTED = 5
_NUMBER = re.compile(r"\d+-(?=.)", re.ASCII)  # what stands before the slug in a task's id


def task_option(parser: argparse.ArgumentParser, what: str, *, required: bool = False, default: str = "") -> None:
    what += "; its id, or a beginning of it that no other task has"
    parser.add_argument("--task", required=required, default=default, metavar="ID", help=what)


class KnownTasks(NamedTuple):
    """Tasks by their full ids, and slugs that documents carry without one."""

    tasks: Collection[str]
    slugs: Collection[str] = ()

    @property
    def names(self) -> list[str]:
        own = {_slug(task) for task in self.tasks}
        return sorted({*self.tasks, *(slug for slug in self.slugs if slug not in own)})


def recorded_task(root: str, config: Config, given: str) -> str:
    """The task whose run is about to be recorded. Where there are packets it is one of theirs, or a helper of one.

    Raises UsageError, which names the likeliest.
    """
    ids.check_task(given)
    if os.path.isdir(os.path.join(root, ids.RUNS, given)):
        return given
    known = _of_documents(root, config.documents)
    if not known.names:
        return given
    return resolved(given, known, helpers=True)


def task_with_runs(root: str, given: str) -> str:
    """The task that is asked for, by what is recorded here and by the packets of this work tree. Raises UsageError."""
    ids.check_task(given)
    recorded_ = _folders(os.path.join(root, ids.RUNS))
    if given in recorded_:
        return given
    from orchgate.config.load import load_work_tree

    task_documents = _of_documents(root, load_work_tree(root).documents)
    return resolved(given, KnownTasks({*recorded_, *task_documents.tasks}, task_documents.slugs))


def resolved(given: str, known: KnownTasks, *, helpers: bool = False) -> str:
    """The full id of a task, from whatever names it. Raises UsageError where none does, or several do."""
    names = known.names
    slug = _slug(given)
    exact = [name for name in names if given in (name, _slug(name))]
    if len(exact) == 1:
        return exact[0]
    if not exact and slug in known.slugs and slug in names:  # its documents carry no number
        return given
    if helpers and any(given.startswith(f"{name}-") for name in names):
        return given
    found = exact or [name for name in names if name.startswith(given) or _slug(name).startswith(given)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"several tasks begin with {given}: {listed_names(found)}", "name one of them")
    raise unknown(given, names)


def unknown(given: str, names: Collection[str]) -> UsageError:
    import difflib

    near = difflib.get_close_matches(given[:200], names, n=1, cutoff=0.6)
    if near:
        return UsageError(f"unknown task {given}; did you mean {near[0]}?")
    there = f"there {'is only' if len(names) == 1 else 'are'} {listed_names(names)}" if names else "there is none here"
    return UsageError(f"unknown task {given}; {there}", "`orchgate new SLUG` begins a task")


def packet_of_task(packets: Iterable[Packet], given: str) -> Packet:
    """The packet of a task that is named as `--task` names one. Raises UsageError."""
    known = tuple(packets)
    exact = [one for one in known if given in one.names]
    found = exact or [one for one in known if any(name.startswith(given) for name in one.names)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{given} may be {listed_names(one.name for one in found)}", "name one of them")
    raise unknown(given, [one.name for one in known])


def listed_names(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:LISTED]) + (f" and {len(shown) - LISTED} more" if len(shown) > LISTED else "")


def task_documents(root: str, layout: Layout) -> Iterator[str]:
    """The repository paths at which the documents of tasks are on disk; a file that cannot be one is none."""
    import glob

    for pattern in layout.patterns:
        parts = re.split(r"\{slug\}|\{task\}", pattern.text)
        yield from glob.iglob("*".join(glob.escape(part) for part in parts), root_dir=root)


def _of_documents(root: str, settings: Documents) -> KnownTasks:
    from orchgate.packets.layout import layout_of

    layout = layout_of(settings)
    places = list(layout.documents_among(task_documents(root, layout)))
    tasks = {place.task for place in places if place.task}
    slugs = {place.slug for place in places if place.slug}
    if settings.task_index:
        for names in _of_index(root, settings.task_index):
            tasks.add(names[0])
            slugs.update(names[1:2])
    return KnownTasks(tasks, slugs)


def _of_index(root: str, path: str) -> Iterator[tuple[str, ...]]:
    """The names of every task in the list; none of one that cannot be read, which is for the checks to say."""
    from orchgate.packets.tasks import MAX_BYTES, read_task_list

    try:
        index = read_task_list(path, files.read(os.path.join(root, path), MAX_BYTES))
    except (OSError, OrchgateError):
        return
    yield from (item.names for item in index.items if item.names)


def _folders(path: str) -> set[str]:
    try:
        with os.scandir(path) as entries:
            return {entry.name for entry in entries if entry.is_dir()}
    except OSError:
        return set()


def _slug(task: str) -> str:
    return _NUMBER.sub("", task, count=1)


GITIGNORE = ".gitignore"
GITIGNORE_COMMAND = "orchgate init --gitignore"
GITIGNORE_MAX_BYTES = 1024 * 1024


def unignored_folders(repository: Repository, roots: Iterable[str]) -> tuple[str, ...]:
    """The folders that git neither ignores nor tracks anything in: the next `git add .` would take what they hold."""
    wanted = [root.strip("/") for root in roots]
    ignored = repository.git.ignored(f"{root}/x" for root in wanted)
    tracked = os.fsdecode(repository.git("ls-files", "-z", "--", *wanted)).split("\0") if wanted else []
    return tuple(
        root
        for root in wanted
        if f"{root}/x" not in ignored and not any(path.startswith(f"{root}/") for path in tracked)
    )


def completed_gitignore(root: str, folders: Iterable[str]) -> str:
    """The text of `.gitignore` with lines for the folders. Raises OrchgateError where it is not plain text."""
    from orchgate.git.snapshot import WorkTree

    path = os.path.join(root, GITIGNORE)
    if os.path.islink(path):  # it may lead out of the repository, and git does not follow it either
        raise OrchgateError(f"{GITIGNORE} is a symbolic link", f"put the file itself there, then: {GITIGNORE_COMMAND}")
    try:
        text = (WorkTree(root).find(GITIGNORE, GITIGNORE_MAX_BYTES) or b"").decode("utf-8")
    except (Unreadable, UnicodeDecodeError) as error:
        raise OrchgateError(f"{GITIGNORE} cannot be read: {error}", "add the lines by hand") from error
    end = "\r\n" if "\r\n" in text else "\n"
    start = text if not text or text.endswith("\n") else text + end
    return start + "".join(f"/{folder}/{end}" for folder in folders)
