"""The runs that an observed program recorded itself, found by what they say, or by time and folder.

A run of orchgate names the run that observes it. Those of other programs are the ones that began, or were resumed,
while the program ran, and whose files changed meanwhile.
"""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import ids, locate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from orchgate.runs.run import Run
    from orchgate.runs.state import Document

MOST = 1_000
SLACK = 2.0  # seconds by which the time of a file system may differ from ours
GRAIN = 0.05  # the same for the times that programs of one machine write down
PROCESS, TIME = "process", "time and folder"


class Observation(NamedTuple):
    """An observation that is over: its run's id and folder, when the program began and ended (seconds since the epoch).

    `folders` are those that were watched, `touched` the files that something happened to; all absolute. Where processes
    can be told `apart`, these are the program's own, and `others` are files that only other programs touched.
    """

    run_id: str
    folder: str
    began: float
    ended: float
    folders: tuple[str, ...]
    touched: Collection[str]
    apart: bool = False
    others: Collection[str] = ()


class InnerRuns(NamedTuple):
    """The links, as the journal holds them, and what to say about those that are left out."""

    links: list[Document]
    notes: tuple[str, ...]


def find(observation: Observation) -> InnerRuns:
    """The runs that were recorded within an observation, oldest first, without those that another of them called."""
    found: dict[str, tuple[Run, str]] = {}
    notes: list[str] = []
    for folder in sorted(_candidates(observation), key=os.path.basename):
        try:
            run, how = _judged(folder, observation)
        except OrchgateError as error:
            notes.append(f"run {os.path.basename(folder)} is not linked: {error.message}")
            continue
        if how:
            found[folder] = run, how
    called = {run.run_id for run, _ in found.values()}
    own = [(folder, *one) for folder, one in found.items() if one[0].parent_run_id not in called]
    if len(own) > MOST:
        notes.append(f"{len(own) - MOST} more runs were recorded inside; the first {MOST} are linked")
    links = [_linked(folder, run, how, observation.folder) for folder, run, how in own[:MOST]]
    return InnerRuns(links, tuple(notes))


def _linked(folder: str, run: Run, how: str, outer: str) -> Document:
    manifest = os.path.relpath(os.path.join(folder, ids.MANIFEST), os.path.realpath(outer))
    named = {"run_id": run.run_id, "task_id": run.task_id, "pipeline_id": run.pipeline_id}
    return {**named, "manifest": manifest, "linked_by": how}


def _candidates(observation: Observation) -> set[str]:
    """Folders of runs, links resolved, in which something happened since the program began."""
    named = {
        os.path.dirname(path) for path in observation.touched if os.path.basename(path) in (ids.MANIFEST, ids.JOURNAL)
    }
    listed = (run for folder in observation.folders for run in _below(os.path.realpath(folder)))
    found = {run for run in (*named, *listed) if _is_run(run)}
    own = os.path.realpath(observation.folder)
    return {run for run in found if run != own and _changed(run) >= observation.began - SLACK}


def _below(folder: str) -> Iterator[str]:
    """What may be runs in a folder of tasks, of one task, or of a repository. Links are left out."""
    for cli in (os.path.join(folder, "cli"), *(os.path.join(task, "cli") for task in _folders(folder))):
        yield from _folders(cli)
    for task in _folders(os.path.join(folder, ids.RUNS)):
        yield from _folders(os.path.join(task, "cli"))


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _is_run(folder: str) -> bool:
    """Whether a run is recorded there: summaries and redirects of other programs are elsewhere."""
    parent, name = os.path.split(folder)
    return ids.RUN_ID.fullmatch(name) is not None and os.path.basename(parent) == "cli" and not os.path.islink(folder)


def _changed(folder: str) -> float:
    """When a run last wrote its manifest, 0 where it has none."""
    try:
        return os.lstat(os.path.join(folder, ids.MANIFEST)).st_mtime
    except OSError:
        return 0.0


def _judged(folder: str, observation: Observation) -> tuple[Run, str]:
    """A run, and how it is known to have been recorded within an observation; "" for one that was not."""
    from orchgate.runs.run import load

    path = os.path.join(folder, ids.MANIFEST)
    run = load(path)
    if run.run_id != os.path.basename(folder):
        raise OrchgateError(f"its manifest is that of run {run.run_id[:60]}")
    if run.format == locate.OURS:
        return run, _own(run, observation)
    return run, _foreign(run, observation)


def _foreign(run: Run, observation: Observation) -> str:
    if not _in_time(run, [run.started_at.timestamp(), *_resumed(run)], observation):
        return ""
    if observation.apart and run.path in observation.others:
        return ""  # another program wrote it
    return PROCESS if observation.apart and run.path in observation.touched else TIME


def _own(run: Run, observation: Observation) -> str:
    from orchgate.runs import journal

    events = journal.read(os.path.join(run.folder, ids.JOURNAL)).events
    began = [event for event in events if event["event"] in ("run", "resume")]
    if any(event.get("observed_by") == observation.run_id for event in began):
        return PROCESS
    if all("observed_by" in event for event in began):
        return ""  # it would have known
    return TIME if _in_time(run, [ids.seconds(event["at"]) for event in began], observation) else ""


def _resumed(run: Run) -> Iterator[float]:
    """When another program resumed its run, as far as recorded."""
    for one in run.resumptions:
        if one.timestamp and one.outcome == "accepted":
            yield one.timestamp.timestamp()


def _in_time(run: Run, begins: Iterable[float], observation: Observation) -> bool:
    """Whether a run began or was resumed while the program ran, and did not outlive it."""
    if run.completed_at and run.completed_at.timestamp() > observation.ended + GRAIN:
        return False
    return any(observation.began - GRAIN <= begin <= observation.ended + GRAIN for begin in begins)
