"""Takes up a run that was killed, cancelled or failed: what succeeded is kept, the rest runs again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from orchgate.errors import OrchgateError, quoted
from orchgate.runner import writer
from orchgate.runner.pipeline_run import Execution
from orchgate.runner.reopen import digest, event, tell
from orchgate.runner.runner import Finished, drive
from orchgate.runner.session import Session
from orchgate.runs import ids, journal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.state import State
    from orchgate.runner.session import Setting
    from orchgate.runner.writer import Recorder
    from orchgate.runs.stages import Pipeline


def resume(setting: Setting, folder: str) -> Finished:
    """Runs to its end what is left of a run. Raises OrchgateError when that would not be the same run any more."""
    told = tell(folder)
    if told.alive:
        raise OrchgateError(
            f"run {told.manifest['run_id']} is still running, as process {told.manifest['process']['pid']}",
            "orchgate status --watch shows it; end it with kill",
        )
    with (
        Session(setting, not_before=ids.seconds(told.manifest["updated_at"])) as session,
        contextlib.closing(writer.Recorder(folder, session.clock, setting.reporter.seen)) as recorder,
    ):
        recorder.journal.own()  # the processes of the killed runner are gone now
        told = tell(folder)  # somebody else may have been faster
        recorder.carry_on(journal.read(recorder.journal.path).events)
        if told.manifest["status"] == "succeeded":
            return Finished(folder, recorder.settle())
        pipeline = _same_pipeline(setting, told.manifest, recorder)
        _same_tree(setting.git, told.manifest)
        session.guard(recorder.journal.descriptor)
        return drive(Execution(session, pipeline, recorder), event(session, told))


def _same_pipeline(setting: Setting, manifest: Mapping[str, Any], recorder: Recorder) -> Pipeline:
    name = manifest["pipeline_id"]
    if manifest["parent_run_id"]:
        raise OrchgateError(
            f"this is a part of run {manifest['parent_run_id']}", f"orchgate resume {manifest['parent_run_id']}"
        )
    if "agent_loop" in recorder.events[0]:
        raise OrchgateError("this run is an agent loop", f"orchgate rlm --resume {manifest['run_id']}")
    if "observed" in recorder.events[0]:
        raise OrchgateError(
            "this run was observed from outside: it cannot be taken up", f"orchgate observe -- {_command(manifest)}"
        )
    pipeline = setting.pipelines.get(name)
    known = pipeline is not None and pipeline.digest == digest(tuple(recorder.events))
    if pipeline is None or not known or len(pipeline.stages) != len(manifest["commands"]):
        raise OrchgateError(
            f"the pipeline {name} has changed since the run began: it would not be the same run any more",
            _again(manifest),
        )
    return pipeline


def _again(manifest: Mapping[str, Any]) -> str:
    return f"orchgate run {quoted(manifest['pipeline_id'])} --task {quoted(manifest['task_id'])}"


def _command(manifest: Mapping[str, Any]) -> str:
    return " ".join(str(stage["command"]) for stage in manifest["commands"][:1])[:200]


def _same_tree(now: State | None, manifest: Mapping[str, Any]) -> None:
    before = manifest["git"] or {}
    if (now.tree if now else None) != before.get("tree"):
        raise OrchgateError(
            f"the run began on tree {str(before.get('tree'))[:12]}, this is {str(now.tree if now else None)[:12]}: "
            "one run cannot speak for both",
            _again(manifest),
        )
