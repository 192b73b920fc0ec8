"""What is wrong with the manifest of a recorded run: by itself, at its path, beside its files and its journal."""

from __future__ import annotations

import os
from itertools import islice

from orchgate.errors import OrchgateError, quoted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Location, Severity
from orchgate.runs import locate
from orchgate.runs.decode import (
    HINTS,
    SCHEMAS,
    Flaw,
    ManifestError,
    Problem,
    dotted,
    explain,
    format_of,
    is_valid,
    lines_of,
    parse,
    shorten,
)

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterator

    from orchgate.config.settings import Manifests
    from orchgate.git.snapshot import Snapshot
    from orchgate.references.artifacts import Artifacts
    from orchgate.runs.run import Run, StageRun

MOST = 10  # contradictions, or missing files, of one manifest that are reported
_NO_JOURNAL = "its journal is missing, and a manifest alone proves nothing"


class Surroundings(NamedTuple):
    """What manifests are inspected with.

    `root` is the top level of the work tree, "" without one. `journal` gives the content of the journal at a repository
    path, None for what is not there, and raises OrchgateError. `pinned` says whether the evidence lock pins a manifest
    together with its journal, which then may be elsewhere.
    """

    limits: Manifests
    snapshot: Snapshot
    artifacts: Artifacts
    presence: Presence
    root: str
    now: datetime.datetime
    journal: Callable[[str], bytes | None]
    pinned: Callable[[str], bool]


def inspect(around: Surroundings, path: str, content: bytes | ManifestError) -> Iterator[Finding]:
    """Findings about the manifest at a path, or about why it cannot be read."""
    if isinstance(content, ManifestError):
        yield Finding("MAN001", Location(path), content.message, content.hint)
        return
    try:
        document = parse(content, around.limits.max_bytes, around.limits.max_depth)
    except ManifestError as error:
        yield Finding("MAN001", Location(path, error.line), error.message, error.hint)
        return
    kind = format_of(document)
    if not kind:
        yield Finding("MAN002", Location(path), "is in no known format", 'it has neither "format" nor "runner"')
        return
    if not is_valid(document, kind):
        hint = f"orchgate schema {SCHEMAS[kind].removesuffix('.json')}"
        yield from _located("MAN002", path, content, [explain(document, kind)], hint)
        return
    from orchgate.runs.run import checked  # most changes touch no run

    try:
        recorded = checked(document, path)
    except ManifestError as error:
        yield Finding("MAN002", Location(path), error.message, error.hint)
        return
    yield from _of_run(around, recorded, content)
    yield from _against_journal(around, path, content, document)


def _of_run(around: Surroundings, run: Run, content: bytes) -> Iterator[Finding]:
    if wrong := list(islice(contradictions(run), MOST)):
        yield from _located("MAN003", run.path, content, wrong, HINTS[Flaw.SCHEMA])
    if strays := list(_strays(run, around.artifacts.roots)):
        hint = f"keep a run in the folder it was recorded in: …/{shorten(run.task_id)}/cli/{shorten(run.run_id)}/"
        yield from _located("MAN004", run.path, content, strays, hint)
    if lost := list(islice(_lost(around.presence, run), MOST)):
        severity, hint = _weigh(around, run)
        for finding in _located("MAN005", run.path, content, lost, hint):
            yield finding._replace(severity=severity)
    if not run.finished and (problem := _abandoned(around, run)):
        own = run.format == "orchgate"
        hint = f"orchgate resume {quoted(run.run_id)}" if own else f"delete {run.folder}, or let its runner finish it"
        yield from _located("MAN006", run.path, content, [problem], hint)


def _against_journal(around: Surroundings, path: str, content: bytes, document: dict[str, object]) -> Iterator[Finding]:
    ours = locate.is_derived(document)
    try:
        data = around.journal(locate.journal_of(path))
    except OrchgateError as error:
        if ours:
            yield Finding("MAN007", Location(path), f"its journal {error.message}", error.hint)
        return
    if not ours and (data is None or not data.startswith(locate.BEGINNING)):
        return
    from orchgate.runs import journal

    if not ours:
        yield Finding("MAN007", Location(path), journal.NOT_OURS, HINTS[Flaw.SCHEMA])
    elif data is None:
        if not around.pinned(path):
            yield Finding("MAN007", Location(path), _NO_JOURNAL, f"restore {locate.journal_of(path)}")
    elif problem := journal.difference(document, data):
        yield from _located("MAN007", path, content, [problem], HINTS[Flaw.SCHEMA])


def _located(rule: str, path: str, content: bytes, problems: list[Problem], hint: str) -> Iterator[Finding]:
    """Problems as findings on the line of what they blame."""
    lines = lines_of(content, [problem.path for problem in problems])
    for problem in problems:
        where = shorten(dotted(problem.path))
        message = f"{where}: {problem.message}" if where else problem.message
        yield Finding(rule, Location(path, lines.get(problem.path, 0)), message, hint)


def _strays(run: Run, roots: tuple[str, ...]) -> Iterator[Problem]:
    place = locate.place_of(run.path, roots)
    if place is None:
        return
    if run.task_id != place.task:
        yield Problem(("task_id",), f'"{shorten(run.task_id)}" in the folder of task "{shorten(place.task)}"')
    if run.run_id != place.run_id:
        yield Problem(("run_id",), f'"{shorten(run.run_id)}" in the folder of run "{shorten(place.run_id)}"')
    if not locate.RUN_ID.fullmatch(run.run_id):
        yield Problem(("run_id",), f'"{shorten(run.run_id)}" is not a time and eight hexadecimal digits')


def _lost(presence: Presence, run: Run) -> Iterator[Problem]:
    """Recorded paths that lead nowhere. A stage that has not ended may not have written its files yet."""
    folder = run.folder
    for position, stage in enumerate(run.stages):
        if not stage.finished:
            continue
        for key, recorded in (("log_path", stage.log_path), ("error_file", stage.error_file)):
            if recorded and (message := _missing(presence, run, folder, recorded)):
                yield Problem(("commands", position, key), message)
    for position, child in enumerate(run.child_runs):
        if message := _missing(presence, run, folder, child.manifest):
            yield Problem(("child_runs", position, "manifest"), message)


def _missing(presence: Presence, run: Run, folder: str, recorded: str) -> str:
    meant = targets(run, folder, recorded)
    if any(presence.exists(path) for path in meant):
        return ""
    return f"{shorten(recorded, 200)} {'does not exist' if meant else 'is outside the repository'}"


def _weigh(around: Surroundings, run: Run) -> tuple[Severity | None, str]:
    """A tracked manifest whose logs were never tracked is the author's choice, to be seen but not to be blocked."""
    if run.path in around.snapshot.entries and not any(
        around.presence.has_folder(f"{run.folder}/{name}") for name in ("commands", "stages")
    ):
        return Severity.WARNING, f"git add -f {quoted(run.folder)}"
    return None, "restore the file, or run the pipeline again"


def _abandoned(around: Surroundings, run: Run) -> Problem | None:
    from orchgate.runs.machine import silence

    most = around.limits.abandoned_after_minutes * 60
    quiet = silence(run, around.artifacts.full(run.folder) if around.root else "", around.now)
    if quiet is None or -most <= quiet.total_seconds() <= min(most, run.heartbeat_stale_after_seconds or most):
        return None
    last = (around.now - quiet).isoformat(timespec="seconds")
    if quiet.total_seconds() < 0:
        return Problem(("status",), f"{run.status}, but its last sign of life, {last}, is in the future")
    return Problem(("status",), f"{run.status}, but abandoned since {last}")


class Presence:
    """What is in the judged tree, or on disk under the roots and reached without leaving the repository.

    Folders without a link on the way are listed once each; whatever meets one takes the slow way through Artifacts.
    """

    def __init__(self, snapshot: Snapshot, artifacts: Artifacts) -> None:
        self._snapshot = snapshot
        self._artifacts = artifacts
        self._listed = ""
        self._files: frozenset[str] = frozenset()

    def exists(self, path: str) -> bool:
        """Whether a file is there, tracked or as an artifact."""
        folder, _, name = path.rpartition("/")
        if folder != self._listed:
            self._listed, self._files = folder, self._list(folder)
        return name in self._files or path in self._snapshot.entries or self._artifacts.exists(path)

    def has_folder(self, path: str) -> bool:
        return path in self._snapshot.folders or self._artifacts.exists(path)

    def _list(self, folder: str) -> frozenset[str]:
        """Regular files of a folder that is reached without links; nothing for any other."""
        try:
            if not self._artifacts.owns(folder) or not self._artifacts.is_plain(folder):
                return frozenset()
            with os.scandir(self._artifacts.full(folder)) as entries:
                return frozenset(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
        except (OSError, ValueError):
            return frozenset()


def targets(run: Run, folder: str, recorded: str) -> tuple[str, ...]:
    """Repository paths that a recorded path may mean: as recorded, and within the run's folder where that has moved.

    `folder` is the run's folder now. Empty when the path leads out of the repository.
    """
    if recorded.startswith(folder + "/") and not _odd(recorded[len(folder) :]):
        return (recorded,)
    meant = []
    inner = run.within(recorded)
    if inner is not None:
        meant.append(f"{folder}/{inner}")
    plain = os.path.normpath(os.path.join(folder, recorded) if run.format == "orchgate" else recorded)
    if not plain.startswith(("/", "../")) and plain not in ("..", *meant):
        meant.append(plain)
    return tuple(meant)


def _odd(path: str) -> bool:
    return "/." in path or "//" in path


def contradictions(run: Run) -> Iterator[Problem]:
    """Each pair of statements that exclude each other, in the order of the document."""
    yield from _run_times(run)
    ids: set[str] = set()
    looped = any(stage.kind == "agent" for stage in run.stages)
    for position, stage in enumerate(run.stages):
        if stage.number != position + 1:
            yield _at(position, "index", f"is {stage.number} where {position + 1} comes next")
        if stage.id in ids:
            yield _at(position, "id", f'"{shorten(stage.id)}" is the id of an earlier stage too')
        ids.add(stage.id)
        yield from _exit_code(position, stage)
        yield from _output(position, stage)
        yield from _stage_times(position, stage, run)
        if stage.attempts or stage.flaky:
            yield from _attempts(position, stage, looped=looped)
        if run.finished:
            yield from _against_run(position, stage, run)
    yield from _outcome(run)
    yield from _children(run)


def _at(position: int, key: str, message: str) -> Problem:
    return Problem(("commands", position, key), message)


def _run_times(run: Run) -> Iterator[Problem]:
    if run.finished and run.completed_at is None:
        yield Problem(("completed_at",), f"is empty, although the run is {run.status}")
    if run.completed_at is not None and not run.finished:
        yield Problem(("completed_at",), f"is set, although the run is {run.status}")
    if run.completed_at is not None and run.completed_at < run.started_at:
        yield Problem(("completed_at",), "is before started_at")


def _exit_code(position: int, stage: StageRun) -> Iterator[Problem]:
    """A stage that may fail is `skipped` with its exit code in the older formats, so `skipped` goes with any code."""
    if stage.exit_code is None:
        if stage.status == "succeeded" and stage.kind == "command":
            yield _at(position, "exit_code", "is empty, although the stage is succeeded")
    elif stage.status == "succeeded" and stage.exit_code != 0:
        yield _at(position, "exit_code", f"is {stage.exit_code}, although the stage is succeeded")
    elif stage.status == "failed" and stage.exit_code == 0:
        yield _at(position, "exit_code", "is 0, although the stage is failed")


def _output(position: int, stage: StageRun) -> Iterator[Problem]:
    printed, left_out = stage.output_bytes, stage.output_left_out_bytes
    if printed is not None and left_out is not None and left_out > printed:
        yield _at(position, "output_left_out_bytes", f"is {left_out}, although the stage printed {printed}")


def _stage_times(position: int, stage: StageRun, run: Run) -> Iterator[Problem]:
    started, completed = stage.started_at, stage.completed_at
    if stage.status in ("succeeded", "failed"):
        if started is None:
            yield _at(position, "started_at", f"is empty, although the stage is {stage.status}")
        if completed is None:
            yield _at(position, "completed_at", f"is empty, although the stage is {stage.status}")
    # A pending stage may keep the end of the attempt before it: the run is being resumed.
    if started and completed and completed < started and stage.status != "pending":
        yield _at(position, "completed_at", "is before started_at")
    if started and started < run.started_at:
        yield _at(position, "started_at", "is before the start of the run")
    if completed and run.completed_at and completed > run.completed_at:
        yield _at(position, "completed_at", "is after the end of the run")


def _attempts(position: int, stage: StageRun, *, looped: bool) -> Iterator[Problem]:
    """The validator of an agent loop is flaky too when it failed on the same work tree in an earlier iteration."""
    numbers = [attempt.number for attempt in stage.attempts]
    if numbers != list(range(1, len(numbers) + 1)):
        yield _at(position, "attempts", "are not numbered 1, 2, 3, …")
    last = stage.attempts[-1].status if stage.attempts else ""
    if last and stage.finished and last != stage.status:
        yield _at(position, "attempts", f"end in one that is {last}, although the stage is {stage.status}")
    flaky = last == "succeeded" and any(attempt.status == "failed" for attempt in stage.attempts)
    if flaky and not stage.flaky:
        yield _at(position, "flaky", "is false, although an attempt failed and a later one succeeded")
    if stage.flaky and not flaky and not looped:
        yield _at(position, "flaky", "is true, although no attempt failed before one succeeded")


def _against_run(position: int, stage: StageRun, run: Run) -> Iterator[Problem]:
    if stage.status == "running":
        yield _at(position, "status", f"is running, although the run is {run.status}")
    elif run.status != "succeeded":
        return
    elif stage.status in ("pending", "cancelled"):
        yield _at(position, "status", f"is {stage.status}, although the run is succeeded")
    elif stage.status == "failed" and not stage.allow_failure:
        yield _at(position, "status", "is failed, although the run is succeeded")


def _outcome(run: Run) -> Iterator[Problem]:
    """A failure has a reason: a stage, a child, or a word about it."""
    blamed = run.status_detail or any(child.status != "succeeded" for child in run.child_runs)
    if run.status == "failed" and not blamed and all(stage.status == "succeeded" for stage in run.stages):
        yield Problem(("status",), "is failed, although every stage succeeded and status_detail gives no reason")


def _children(run: Run) -> Iterator[Problem]:
    """A resumed parent lists a child again; the stage names the one that counts."""
    if not run.child_runs:
        return
    children = {child.run_id: child.status for child in run.child_runs}
    for position, stage in enumerate(run.stages):
        status = children.get(stage.sub_run_id or "", stage.status)
        if stage.status == "succeeded" and status != "succeeded":
            yield _at(position, "status", f"is succeeded, although its child run is {status}")
