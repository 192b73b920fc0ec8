"""A run that was killed, cancelled or failed goes on: what succeeded is kept, the rest runs again."""

from __future__ import annotations

from orchgate.errors import OrchgateError, quoted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runner.pipeline_run import Finished, PipelineRun, drive
from orchgate.runner.session import recorded_digest, reopened, resume_event, used_tools

if TYPE_CHECKING:
    from orchgate.git.state import WorkTreeState
    from orchgate.runner.session import RunSettings
    from orchgate.runner.writer import Recorder
    from orchgate.runs.run import Run
    from orchgate.runs.stages import Pipeline


def resume(settings: RunSettings, folder: str) -> Finished:
    """Runs what is left of a run. Raises OrchgateError when that would not be the same run any more."""
    tools = used_tools(settings)
    with reopened(settings, folder) as (session, recorder, known):
        session.tools = tools
        if known.run.status == "succeeded":
            return Finished(folder, recorder.settle())
        pipeline = _same_pipeline(settings, known.run, recorder)
        _same_tree(settings.git, known.run)
        session.guard(recorder.journal.descriptor)
        return drive(PipelineRun(session, pipeline, recorder), resume_event(session, known))


def _same_pipeline(settings: RunSettings, run: Run, recorder: Recorder) -> Pipeline:
    name = run.pipeline_id
    if run.parent_run_id:
        raise OrchgateError(f"this run is part of run {run.parent_run_id}", f"orchgate resume {run.parent_run_id}")
    if "agent_loop" in recorder.events[0]:
        raise OrchgateError("this run is an agent loop", f"orchgate rlm --resume {run.run_id}")
    if run.replays:
        hint = f"orchgate evidence replay {run.replays.run_id}"
        raise OrchgateError(f"this run replays run {run.replays.run_id}, in a work tree that is gone", hint)
    if "observed" in recorder.events[0]:
        raise OrchgateError(
            "this run was observed from outside and cannot be resumed", f"orchgate observe -- {_command(run)}"
        )
    if "accepts" in recorder.events[0]:
        command = f"orchgate tasks check {quoted(run.task_id)}"
        raise OrchgateError("this run is the proof of an item of a checklist, which is run anew", command)
    pipeline = settings.pipelines.get(name)
    known = pipeline is not None and pipeline.digest == recorded_digest(tuple(recorder.events))
    if pipeline is None or not known or len(pipeline.stages) != len(run.stages):
        raise OrchgateError(
            f"pipeline {name} has changed since the run began, so the run cannot be resumed",
            _run_anew(run),
        )
    return pipeline


def _run_anew(run: Run) -> str:
    return f"orchgate run {quoted(run.pipeline_id)} --task {quoted(run.task_id)}"


def _command(run: Run) -> str:
    return " ".join(str(stage.command) for stage in run.stages[:1])[:200]


def _same_tree(now: WorkTreeState | None, run: Run) -> None:
    before = run.git.tree if run.git else None
    if (now.tree if now else None) != before:
        raise OrchgateError(
            f"the run began on tree {str(before)[:12]}, the work tree is now "
            f"{str(now.tree if now else None)[:12]}: the run cannot be resumed",
            _run_anew(run),
        )
