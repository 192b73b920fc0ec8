"""What the journal of an existing run says, and how that run is opened again."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.runner import suspended, writer
from orchgate.runner.session import Session
from orchgate.runs import ids, journal, sittings
from orchgate.runs.liveness import is_alive
from orchgate.runs.run import from_journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.runner.session import RunSettings
    from orchgate.runner.writer import Recorder
    from orchgate.runs.run import Run
    from orchgate.runs.stages import Pipeline
    from orchgate.runs.state import Event


class RunStatus(NamedTuple):
    """What a run's journal says, and whether the run is going on right now."""

    folder: str
    run: Run
    torn: tuple[int, ...]
    alive: bool
    times: sittings.WorkTimes
    stopped: bool = False  # alive, but stopped by a signal

    @property
    def status(self) -> str:
        """The run's status; `abandoned` for a run that was killed before it could say how it ended."""
        status = self.run.status
        return "abandoned" if status == "in_progress" and not self.alive else status


def status_of(folder: str) -> RunStatus:
    """What is known of the run in a folder. Raises OrchgateError when its journal cannot be read."""
    recorded = journal.read(os.path.join(folder, ids.JOURNAL))
    run = from_journal(recorded.events, os.path.join(folder, ids.MANIFEST))
    name = os.path.basename(folder)
    if run.run_id != name:
        raise OrchgateError(f"its journal is that of another run, {run.run_id[:60]}", f"restore the folder of {name}")
    alive = run.status == "in_progress" and run.process is not None and is_alive(run.process)
    stopped = alive and run.process is not None and suspended.stopped(run.process.pid)
    return RunStatus(folder, run, recorded.torn, alive, sittings.of(recorded.events), stopped)


class Reopened(NamedTuple):
    """A run that this process has taken over."""

    session: Session
    recorder: Recorder
    known: RunStatus


@contextlib.contextmanager
def reopened(settings: RunSettings, folder: str) -> Iterator[Reopened]:
    """Takes over a run from a process that is gone. Raises OrchgateError for one that goes on, or cannot be read."""
    known = status_of(folder)
    run_id, process = known.run.run_id, known.run.process
    if known.alive and process:
        raise OrchgateError(f"run {run_id} is still running, as process {process.pid}", f"orchgate status {run_id}")
    with (
        Session(settings, not_before=known.run.last_sign_of_life.timestamp()) as session,
        contextlib.closing(writer.Recorder(folder, session.clock, settings.reporter.seen)) as recorder,
    ):
        recorder.journal.own()  # the processes of a killed runner are gone now
        known = status_of(folder)  # another process may have been faster
        recorder.carry_on(journal.read(recorder.journal.path).events)
        yield Reopened(session, recorder, known)


def reopen_child(session: Session, pipeline: Pipeline, run_id: str) -> tuple[Recorder, Mapping[str, Any]] | None:
    """The unfinished run of a sub-pipeline, to be resumed; None when it has to begin anew."""
    folder = ids.run_folder(session.settings.root, session.settings.task, run_id)
    try:
        known = status_of(folder)
        events = journal.read(os.path.join(folder, ids.JOURNAL)).events
    except OrchgateError:  # killed before its first event, or damaged: it stays as it is
        return None
    if known.alive or digest(events) != pipeline.digest:
        return None
    recorder = writer.Recorder(folder, session.clock, session.settings.reporter.seen)
    recorder.journal.own()
    recorder.carry_on(events)
    return recorder, event(session, known)


def event(session: Session, known: RunStatus) -> Event:
    """The event with which a run is resumed."""
    resumed = {"event": "resume", "reason": f"the run was {known.status}", **session.identity()}
    if known.torn:
        resumed["detail"] = f"unfinished lines in the journal: {', '.join(map(str, known.torn[:20]))}"
    return resumed


def digest(events: tuple[Event, ...]) -> str:
    """The definition of the pipeline that a run was made by. Raises OrchgateError for a run that never began."""
    if not events:
        raise OrchgateError("the journal is empty: the run never began", "delete its folder")
    return str(events[0]["pipeline"].get("digest"))
