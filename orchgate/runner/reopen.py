"""What a run's journal tells, and how the run it belongs to is opened again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.runner import gaps, writer
from orchgate.runs import ids, journal, sittings, state
from orchgate.runs.liveness import Self, is_alive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.runner.session import Session
    from orchgate.runner.writer import Recorder
    from orchgate.runs.stages import Pipeline


class Told(NamedTuple):
    """What a run's journal tells, and whether somebody runs it right now."""

    folder: str
    manifest: state.Document
    torn: tuple[int, ...]
    alive: bool
    times: sittings.Times
    stopped: bool = False  # alive, but somebody stopped it

    @property
    def status(self) -> str:
        """The manifest's status; `abandoned` for a run that was killed before it could say how it ended."""
        status = str(self.manifest["status"])
        return "abandoned" if status == "in_progress" and not self.alive else status


def tell(folder: str) -> Told:
    """What is known of the run in a folder. Raises OrchgateError when its journal cannot be read."""
    recorded = journal.read(os.path.join(folder, ids.JOURNAL))
    document = state.manifest(recorded.events)
    name = os.path.basename(folder)
    if document["run_id"] != name:
        raise OrchgateError(f"its journal tells of another run, {document['run_id'][:60]}", f"put back what {name} was")
    process = document["process"]
    known = process and Self(*(process[field] for field in Self._fields))
    alive = document["status"] == "in_progress" and known is not None and is_alive(known)
    stopped = alive and known is not None and gaps.stopped(known.pid)
    return Told(folder, document, recorded.torn, alive, sittings.of(recorded.events), stopped)


def reopen_child(session: Session, pipeline: Pipeline, run_id: str) -> tuple[Recorder, Mapping[str, Any]] | None:
    """The unfinished run of a sub-pipeline, to be taken up; None when it has to begin anew."""
    folder = ids.run_folder(session.setting.root, session.setting.task, run_id)
    try:
        told = tell(folder)
        events = journal.read(os.path.join(folder, ids.JOURNAL)).events
    except OrchgateError:  # it was killed before its first event, or is damaged; it stays as it is
        return None
    if told.alive or digest(events) != pipeline.digest:
        return None
    recorder = writer.Recorder(folder, session.clock, session.setting.reporter.seen)
    recorder.journal.own()
    recorder.carry_on(events)
    return recorder, event(session, told)


def event(session: Session, told: Told) -> dict[str, Any]:
    """The event with which a run is taken up again."""
    taken_up = {"event": "resume", "reason": f"the run was {told.status}", **session.identity()}
    if told.torn:
        taken_up["detail"] = f"unfinished lines in the journal: {', '.join(map(str, told.torn[:20]))}"
    return taken_up


def digest(events: tuple[dict[str, Any], ...]) -> str:
    """The definition of the pipeline that a run was made by. Raises OrchgateError for a run that never began."""
    if not events:
        raise OrchgateError("the journal is empty: the run never began", "delete its folder")
    return str(events[0]["pipeline"].get("digest"))
