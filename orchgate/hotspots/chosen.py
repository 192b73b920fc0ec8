"""Which runs are looked at: those named on a command line, and those recorded inside them.

Runs are named by run ids, tasks, and paths inside or outside the repository. Of an observed run together with those
that its program recorded, each second counts once, for the inner run.
"""

from __future__ import annotations

import os
from itertools import islice

from orchgate.errors import OrchgateError, UsageError
from orchgate.hotspots.timeline import MICROSECONDS, Phase
from orchgate.hotspots.timing import read
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.hotspots.timeline import StageTime, Timeline


LOOKED = 200  # of the newest runs, when none is named
_HINT = "orchgate status"


def latest(root: str) -> list[str]:
    """The folders of the newest run of every pipeline, among the newest `LOOKED`, newest first.

    Runs that another run called do not count. Runs that do not name their pipeline are all there, for the caller to
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
    """The folders of the named runs, each once, in the order of the words. Raises UsageError."""
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


_WORK = (Phase.EXECUTING, Phase.SILENT)


def with_inner_runs(runs: Sequence[Timeline]) -> tuple[list[Timeline], list[tuple[str, OrchgateError]]]:
    """The runs and all that are inside of them, each once, and what cannot be read, by the folder.

    An observed run keeps what its program did beside the runs inside, and the files.
    """
    known = {os.path.realpath(run.path): run for run in runs}
    troubles: list[tuple[str, OrchgateError]] = []
    waiting = list(runs)
    while waiting:
        for path in waiting.pop().inner:
            if path not in known:
                try:
                    known[path] = read(os.path.dirname(path))
                except OrchgateError as error:
                    troubles.append((os.path.dirname(path), error))
                else:
                    waiting.append(known[path])
    return [_without(run, [known[path] for path in run.inner if path in known]) for run in known.values()], troubles


def _without(run: Timeline, inner: Sequence[Timeline]) -> Timeline:
    """A run without the time that passed while runs inside of it went on."""
    left = _covered(run, inner)
    stages, passed = [], 0
    for stage in run.stages if left else ():
        taken = min(left - passed, sum(stage.spent.get(part, 0) for part in _WORK))
        stages.append(_shortened(stage, taken) if taken else stage)
        passed += taken
    if any(one.pipeline == run.pipeline for one in inner):  # it would be taken for one of them
        run = run._replace(pipeline=f"{run.pipeline} (from outside)")
    return run._replace(stages=tuple(stages), wall=run.wall - passed, inside=passed) if passed else run


def _shortened(stage: StageTime, taken: int) -> StageTime:
    spent = dict(stage.spent)
    for part in _WORK:
        here = min(taken, spent.get(part, 0))
        spent[part] = spent.get(part, 0) - here
        taken -= here
    # How busy the processor was is known of the program as a whole only.
    cost = stage.cost._replace(cpu_seconds=None, wall_seconds=None)
    return stage._replace(spent=spent, cost=cost, outside=True)


def _covered(run: Timeline, inner: Iterable[Timeline]) -> int:
    """Microseconds of a run in which at least one run inside went on."""
    total = end = 0
    for begin, over in sorted(_within(run, inner)):
        total += max(0, over - max(begin, end))
        end = max(end, over)
    return total


def _within(run: Timeline, inner: Iterable[Timeline]) -> Iterator[tuple[int, int]]:
    for one in inner:
        begin = round((one.started - run.started) * MICROSECONDS)
        yield max(0, begin), min(run.wall, begin + one.wall)
