"""Runs a pipeline from its beginning to its end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.runner import writer
from orchgate.runner.pipeline_run import Execution
from orchgate.runner.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.runner.session import Setting
    from orchgate.runs.stages import Pipeline


class Finished(NamedTuple):
    """A run that came to an end, and its manifest."""

    folder: str
    manifest: Mapping[str, Any]

    @property
    def status(self) -> str:
        return str(self.manifest["status"])


def run(setting: Setting, pipeline: Pipeline) -> Finished:
    """Runs a pipeline to its end. Raises OrchgateError when that could not be recorded."""
    with Session(setting) as session:
        recorder = writer.create(setting.root, setting.task, session.clock, setting.reporter.seen)
        with contextlib.closing(recorder):
            session.guard(recorder.journal.descriptor)
            return drive(Execution(session, pipeline, recorder))


def drive(execution: Execution, resumed: Mapping[str, Any] | None = None) -> Finished:
    """Lets an execution happen until it has ended. `resumed` is the event with which an earlier one is taken up."""
    execution.begin(resumed)
    while execution.document is None:
        if not execution.session.loop.busy:
            raise AssertionError("a run waits for nothing")
        execution.session.turn()
        execution.go_on()
    return Finished(execution.recorder.folder, execution.document)
