"""What is on record of base and its ancestors: how long a run takes, and what runs cost that head's can be held to."""

from __future__ import annotations

import os
from itertools import islice

from orchgate.config.load import load
from orchgate.errors import OrchgateError
from orchgate.git import history
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.runs import ids, pipeline
from orchgate.runs.stages import pipeline_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.git.snapshot import Snapshot
    from orchgate.metrics.tail import HistoryRun
    from orchgate.speed.push.bounds import PushRequest
    from orchgate.speed.push.verdict_record import RunDuration

MOST_COMMITS = 64  # that are looked at, along the first parents of base
MOST_FILES = 32  # those that were written last
MOST_RUNS = 40
TREES = 3  # whose durations count: one of them may have met a busy machine
DAYS = 7  # for which the durations of earlier pushes hold


class RecordedRuns(NamedTuple):
    """What is known before anything is run.

    `seconds` is what a run of base takes, by the nearest of base and its ancestors of which that is known; None where
    it is not. `at_least` says that it was not over by then. `runs` are recorded ones with base's definition, the
    nearest first, of which `nearest` are of one tree, base's own where `is_base`. `problems` could not be read.
    `definition` is the hash of the pipeline as base defines it, "" where that is not known.
    """

    seconds: float | None = None
    at_least: bool = False
    runs: tuple[HistoryRun, ...] = ()
    nearest: int = 0
    is_base: bool = False
    problems: tuple[str, ...] = ()
    definition: str = ""

    @property
    def slowest(self) -> float | None:
        """Seconds of the recorded run that took longest."""
        return max((run.metrics["wall_seconds"] for run in self.runs if "wall_seconds" in run.metrics), default=None)


class _BaseHistory:
    """Base and its ancestors: the trees that count as base's, by how far away they are."""

    def __init__(self, request: PushRequest) -> None:
        assert request.base is not None
        self._request = request
        self._definitions: dict[str, str] = {}
        trees = history.first_parents(request.repository, request.base, MOST_COMMITS)
        head = request.repository.blobs.resolve(request.head + "^{tree}", 0)
        # Head's own runs say nothing of base, also where an ancestor held the same files.
        own = head.oid if head else ""
        self.distance = {tree: at for at, tree in reversed(list(enumerate(trees))) if tree != own}

    @cached_property
    def definition(self) -> str:
        """Of base; "" where it cannot be told."""
        return definition(self._request.tree, self._request.pipeline)

    def counts(self, tree: str) -> bool:
        """Whether a tree is one of them and defines the pipeline as base does."""
        if tree not in self.distance or not self.definition:
            return False
        if tree not in self._definitions:
            snapshot = self._request.repository.tree(tree)
            self._definitions[tree] = definition(snapshot, self._request.pipeline)
        return self._definitions[tree] == self.definition


def definition(snapshot: Snapshot, name: str) -> str:
    """The hash of a pipeline as a tree's files define it; "" where they do not, or cannot be read."""
    try:
        known = pipeline.load_tree(snapshot, load(snapshot))
        return pipeline_hash(known, pipeline.find(known, name))
    except OrchgateError:
        return ""


def gather(request: PushRequest, machine: str, ran: Sequence[RunDuration]) -> RecordedRuns:
    """What is on record; `ran` is how long runs took at earlier pushes. Raises GitError."""
    line = _BaseHistory(request)
    runs, problems = _recorded(request, machine, line)
    timed = [*_timed(request, ran, line), *((line.distance[run.tree], _wall(run)) for run in runs)]
    seconds, at_least = _typical(timed)
    near = line.distance[runs[0].tree] if runs else -1
    count = sum(line.distance[run.tree] == near for run in runs)
    return RecordedRuns(seconds, at_least, tuple(runs), count, near == 0, tuple(problems), line.definition)


def _wall(run: HistoryRun) -> tuple[bool, float]:
    return False, run.metrics.get("wall_seconds", 0.0)


def _timed(
    request: PushRequest, ran: Sequence[RunDuration], line: _BaseHistory
) -> Iterator[tuple[int, tuple[bool, float]]]:
    """How far away the trees are whose runs were timed by earlier pushes; whether a run was ended; how long it took."""
    since, recently = (ids.moment(request.now.timestamp() - days * 86400) for days in (DAYS, 1))
    for one in ran:
        # One that was ended may have met a busy moment; nobody should be left unmeasured for long for that.
        if one.at >= (recently if one.at_least else since) and line.counts(one.tree):
            yield line.distance[one.tree], (one.at_least, one.seconds)


def _typical(timed: Sequence[tuple[int, tuple[bool, float]]]) -> tuple[float | None, bool]:
    """The shortest run of the nearest few trees, None where no run was timed; and whether it was ended."""
    near = sorted({at for at, (_, seconds) in timed if seconds > 0})[:TREES]
    # Where a run took longer than another, something else had the machine; and what was ended took longer still.
    known = [took for at, took in timed if at in near and took[1] > 0]
    at_least, seconds = min(known, default=(False, None))
    return seconds, at_least


def _recorded(request: PushRequest, machine: str, line: _BaseHistory) -> tuple[list[HistoryRun], list[str]]:
    """The runs in the metrics of all tasks, the nearest first and of these the newest; and what could not be read."""
    from orchgate.metrics.tail import newest

    runs: dict[str, HistoryRun] = {}
    problems: list[str] = []
    for path in islice(metrics_files(request, problems), MOST_FILES):
        try:
            tail = newest(path, request.pipeline, machine, line.distance)
        except OSError as error:
            problems.append(f"{_short(request, path)} cannot be read: {error.strerror or error}")
            continue
        if tail.damaged:
            lines = counted(tail.damaged, "line")
            problems.append(f"{lines} of {_short(request, path)} cannot be read")
        runs |= {run.run_id: run for run in tail.runs if run.metrics}
        if sum(line.distance[run.tree] == 0 for run in runs.values()) >= MOST_RUNS:
            break  # nothing is nearer
    near = sorted(runs.values(), key=lambda run: (line.distance[run.tree], -run.started))
    return list(islice((run for run in near if line.counts(run.tree)), MOST_RUNS)), problems


def metrics_files(request: PushRequest, problems: list[str]) -> Iterator[str]:
    """The metrics files of all tasks that the change does not bring itself, the one that was written last first."""
    folder = os.path.join(request.repository.root, ids.RUNS)
    try:
        with os.scandir(folder) as entries:
            paths = [os.path.join(entry.path, ids.METRICS) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        problems.append(f"{ids.RUNS} cannot be listed: {error.strerror}")
        return
    written: dict[str, float] = {}
    for path in paths:
        try:
            written[path] = os.stat(path).st_mtime
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problems.append(f"{_short(request, path)} cannot be read: {error.strerror}")
    for path in sorted(written, key=lambda path: (-written[path], path)):
        if _is_brought(request, path):
            problems.append(f"{_short(request, path)} is part of the change")
        else:
            yield path


def _is_brought(request: PushRequest, path: str) -> bool:
    """Whether the change itself writes a file, under whichever name it is reached."""
    root = os.path.realpath(request.repository.root)
    inner = os.path.relpath(os.path.realpath(path), root)
    if inner.startswith(os.pardir):
        return False
    if "\n" in inner:  # a name that git could not be asked for
        return True
    blobs = request.repository.blobs
    base, head = (blobs.resolve(f"{commit}:{inner}", 0) for commit in (request.base, request.head))
    return head is not None and (base is None or base.oid != head.oid)


def _short(request: PushRequest, path: str) -> str:
    return os.path.relpath(path, request.repository.root)


def description(reference: RecordedRuns) -> str:
    """`14 recorded runs of base's tree`."""
    runs = len(reference.runs)
    if not reference.is_base:
        whose = "of ancestors of base"
    elif reference.nearest == runs:
        whose = "of base's tree"
    else:
        whose = "of base's tree and its ancestors"
    return f"{counted(runs, 'recorded run')} {whose}"


def samples(runs: Sequence[HistoryRun]) -> Mapping[str, tuple[float, ...]]:
    """Values by metric, one for each run that knows it."""
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    return {name: tuple(run.metrics[name] for run in runs if name in run.metrics) for name in names}
