"""One run of a pipeline: which stage starts next, what the end of a stage leads to, and what is recorded."""

from __future__ import annotations

import contextlib
import os
from functools import partial

from orchgate.lib.forks import cores
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runner import environment, stage_run, writer
from orchgate.runner.session import Session, used_tools
from orchgate.runner.stage_run import LONGEST_DETAIL, StageAttempt
from orchgate.runs import ids, state
from orchgate.runs.run import outcome
from orchgate.runs.stages import Schedule
from orchgate.runs.usage import AWAY
from orchgate.secrets.redact import redacted, redacted_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from orchgate.runner.session import RunSettings
    from orchgate.runner.stage_cache import StageCache
    from orchgate.runner.stage_run import StageOutcome
    from orchgate.runner.writer import Recorder
    from orchgate.runs.ids import SpanContext
    from orchgate.runs.stages import Pipeline, Stage
    from orchgate.runs.state import Event
    from orchgate.runs.used_tools import Facts


PARALLEL = 4  # stages at once where the pipeline does not say; fewer with fewer cores


class Finished(NamedTuple):
    """A run that came to an end, and its manifest."""

    folder: str
    manifest: Mapping[str, Any]

    @property
    def status(self) -> str:
        return str(self.manifest["status"])


def run(settings: RunSettings, pipeline: Pipeline, limit: float | None = None) -> Finished:
    """Runs a pipeline to its end, for `limit` seconds at most. Raises OrchgateError when that could not be recorded."""
    tools = used_tools(settings)
    with Session(settings) as session:
        session.tools = tools
        recorder = writer.create(settings.records, settings.task, session.clock, settings.reporter.seen)
        with contextlib.closing(recorder):
            session.guard(recorder.journal.descriptor)
            run_ = PipelineRun(session, pipeline, recorder)
            if limit is not None:
                session.loop.later(limit, partial(run_.stop, "timeout"))
            return drive(run_)


def drive(run_: PipelineRun, resumed: Mapping[str, Any] | None = None) -> Finished:
    """Drives a run to its end. `resumed` is the event with which an earlier process's run is resumed."""
    run_.begin(resumed)
    while run_.document is None:
        if not run_.session.loop.busy:
            raise AssertionError("the run is not over, and nothing is left to wait for")
        run_.session.step()
        run_.go_on()
    return Finished(run_.recorder.folder, run_.document)


class Caller(NamedTuple):
    """The run that a sub-pipeline's run is part of, the environment its stage hands down, and that attempt's span."""

    run_id: str
    env: Mapping[str, str]
    span: SpanContext


class PipelineRun:
    """One run of one pipeline. Stages are numbered from 1."""

    def __init__(self, session: Session, pipeline: Pipeline, recorder: Recorder, caller: Caller | None = None) -> None:
        self.session = session
        self.pipeline = pipeline
        self.recorder = recorder
        self.caller = caller
        self.document: state.Document | None = None  # the manifest, once the run has ended
        self.on_end: Callable[[PipelineRun], None] = lambda _: None
        settings = session.settings
        recorder.counts = settings.replays is None
        inherited = caller.env if caller else {}
        environ = {**settings.environ, **inherited}
        self._trace = environment.trace_of(recorder.run_id, environ, recorder.events, caller and caller.span)
        untraced = environment.untraced(environ, None if settings.measured else self._trace)
        self._base = environment.of_run(untraced, settings.task, recorder.run_id, recorder.folder)
        self._cache = _cache(settings, pipeline, inherited)
        self._limit = 1 if settings.measured else pipeline.max_parallel or min(PARALLEL, cores())
        self._schedule = Schedule(pipeline)
        self._active: set[int] = set()
        self._tries: dict[int, int] = {}  # in this process
        self._numbers: dict[int, int] = {}  # of the last attempt, over all processes
        self._delayed: dict[int, Event] = {}  # the ends of failed attempts that are to be repeated
        self._children: dict[int, PipelineRun] = {}
        self._marks: dict[int, str] = {}  # of the programs that run
        self._late: set[int] = set()  # stages whose sub-pipeline took too long
        self._stopped = ""
        self._earlier: dict[int, str] = {}  # runs of sub-pipelines that an earlier process left
        self._going_on = False
        self._told: set[tuple[str | None, ...]] = set()  # the tools that the journal of this process has

    def begin(self, resumed: Mapping[str, Any] | None = None) -> None:
        """Records that the run begins, or with `resumed` that it is resumed again, and starts what can start."""
        tools = self._news(self.session.tools.declared if self.session.tools else ())
        self.recorder.begin({**(resumed or self._first_event()), **tools})
        if resumed:
            stages = self.recorder.stages
            self._numbers = {stage.number: len(stage.attempts) for stage in stages}
            self._earlier = {stage.number: stage.sub_run_id for stage in stages if stage.sub_run_id}
            self._schedule.already({stage.number for stage in stages if stage.status != "pending"})
        self.go_on()

    def _first_event(self) -> Event:
        pipeline = self.pipeline
        return {
            "event": "run",
            "task_id": self.session.settings.task,
            "run_id": self.recorder.run_id,
            "parent_run_id": self.caller.run_id if self.caller else None,
            "pipeline": {
                "id": pipeline.id,
                "title": redacted(pipeline.title),
                "digest": pipeline.digest,
                "slots": self._limit,  # with the needs, what a schedule is replayed from
                **({"measured": True} if self.session.settings.measured else {}),
            },
            "stages": [_defined(stage, self._schedule.needs[index]) for index, stage in enumerate(pipeline.stages, 1)],
            "detail": self.session.note or None,
            **environment.in_trace(self._trace),
            **self._replayed(),
            **({"accepts": self.session.settings.accepts} if self.session.settings.accepts else {}),
            **self.session.identity(),
        }

    def _replayed(self) -> Event:
        """Which run is replayed; the runs of sub-pipelines are known by the one that calls them."""
        replays = self.session.settings.replays
        return {"replays": dict(replays)} if replays and self.caller is None else {}

    def go_on(self) -> None:
        """Starts what can start, and ends the run when nothing is left to do."""
        if self._going_on or self.document is not None:
            return
        self._going_on = True
        for child in list(self._children.values()):
            child.go_on()
        if self._ending:
            self._drop_delayed()
        ready = self._schedule.ready
        while ready and len(self._active) < self._limit and not self._ending:
            self._start(ready.popleft())
        self._going_on = False
        if not self._active:
            self._finish()

    @property
    def _ending(self) -> str:
        """Why no more stages are to start; "" as long as they may."""
        return f"signal:{self.session.stopping}" if self.session.stopping else self._stopped

    def stop(self, reason: str) -> None:
        """Ends this run and the runs it calls, but nothing else."""
        self._stopped = reason
        for child in list(self._children.values()):
            child.stop(reason)
        self.session.loop.end(tuple(self._marks.values()))
        self.go_on()

    def _drop_delayed(self) -> None:
        """Attempts that were to be repeated count as they ended."""
        for index, event in list(self._delayed.items()):
            self._delayed.pop(index)
            self.recorder.record({**event, "again": False, "usage": None}, sync=True)
            self._settle(index, done=False)

    def _finish(self) -> None:
        stages = self.recorder.stages
        status, detail = outcome(stages)
        if self._ending and status != "succeeded":
            status, detail = "cancelled", self._ending
        self.recorder.other_files = self._cache.written if self._cache else 0
        self.document = self.recorder.finish(status, detail, stages)
        self.on_end(self)

    def _start(self, index: int) -> None:
        stage = self.pipeline.stages[index - 1]
        self._active.add(index)
        self.session.loop.settle()  # the cache and sub-pipelines ask git, and what git leaves is no program of a stage
        if stage.pipeline:
            self._call(index)
        elif self._cache and (cached := self._cache.hit(index, self._schedule.needs[index])):
            self.recorder.record({"event": "cached", "stage": index, **cached}, sync=True)
            self._settle(index, done=True)
        else:
            self._attempt(index)

    def _attempt(self, index: int) -> None:
        stage = self.pipeline.stages[index - 1]
        log = ids.log_path(index, stage.id)
        number = self._count(index)
        event = {"event": "start", "stage": index, "attempt": number, "log_path": log}
        reason = self._cache.reasons.get(index) if self._cache else None
        if self._tries[index] == 1 and self.session.tools:
            where = environment.folder(self.session.settings.root, stage)
            environ = {**self._base, **stage.env} if stage.env else self._base
            event |= self._news(environment.tools_of(stage, self.session.tools, where, environ))
        self.recorder.record(event | ({"uncached": reason} if reason else {}))
        path = os.path.join(self.recorder.folder, log)
        attempt = StageAttempt(stage, self.session.settings.root, self._environ(index), path, number)
        if self.session.benchmarks:
            self.session.benchmarks.begin(self.recorder.folder, index)
        self._marks[index] = stage_run.start(self.session, attempt, partial(self._ended, index))

    def _environ(self, index: int) -> Mapping[str, str]:
        """What the programs of an attempt start from. One that sees a span to join may record its own, which costs."""
        if self.session.settings.measured:
            return self._base
        return {**self._base, environment.TRACEPARENT: self._span(index).traceparent}

    def _span(self, index: int) -> SpanContext:
        return self._trace.attempt(index, self._numbers[index])

    def _news(self, tools: Sequence[Facts]) -> Event:
        """The field of an event that tells of tools, as far as they were not told of."""
        if not tools:
            return {}
        from orchgate.runs.used_tools import each_once

        new = each_once(tools, self._told)
        return {"tools": new} if new else {}

    def _again(self, index: int) -> None:
        if index in self._delayed:  # and not given up meanwhile
            (self._call if self.pipeline.stages[index - 1].pipeline else self._attempt)(index)

    def _count(self, index: int) -> int:
        """The number of the attempt that begins now."""
        self._delayed.pop(index, None)
        self._tries[index] = self._tries.get(index, 0) + 1
        self._numbers[index] = self._numbers.get(index, 0) + 1
        return self._numbers[index]

    def _ended(self, index: int, outcome: StageOutcome) -> None:
        del self._marks[index]
        key = self._cache.key(index) if self._cache else ""
        event = {**outcome.event, "cache_key": key} if key else outcome.event
        self._judge(index, self._with_benchmarks(index, event) if self.session.benchmarks else event)

    def _with_benchmarks(self, index: int, event: Event) -> Event:
        """The end of an attempt, with what the benchmarks took that are to be recorded now."""
        found = self.session.benchmarks.end(self.recorder.folder) if self.session.benchmarks else None
        if found is None:
            return event
        detail = "; ".join(filter(None, (event["detail"], *found.problems)))[:LONGEST_DETAIL] or None
        # A stage that may run beside others gets none even where it did not: it would have them by chance.
        apart = found.of_stage and (self.pipeline.max_parallel == 1 or self._schedule.is_apart(index))
        key = "benchmarks" if apart else "run_benchmarks"
        return {**event, "detail": detail, **({key: found.beside(event.get(key, {}))} if found.seconds else {})}

    def _judge(self, index: int, fields: Mapping[str, Any]) -> None:
        """Records the end of an attempt: another one follows, or this one counts."""
        # Beside others, ends are noticed late anyway. The wall time of a stage alone holds no wait for the disk.
        with self.recorder.together() if self._marks else contextlib.nullcontext():
            self._conclude(index, fields)
            self.go_on()

    def _conclude(self, index: int, fields: Mapping[str, Any]) -> None:
        stage = self.pipeline.stages[index - 1]
        event = {"event": "end", "stage": index, "attempt": self._numbers[index], **fields}
        failed = event["status"] == "failed"
        if failed and self._tries[index] <= stage.retries and not self._ending:
            event["again"] = True
            self.recorder.record(event, sync=True)
            self._delayed[index] = event
            self.session.loop.later(stage.retry_delay_seconds, partial(self._again, index))
        else:
            self._record_last(index, event)
            self._settle(index, done=event["status"] == "succeeded" or (failed and stage.allow_failure))

    def _record_last(self, index: int, event: Event) -> None:
        """Records the end of the attempt that counts, also in the cache."""
        cache = self._cache
        if cache and (note := cache.ended(index, succeeded=event["status"] == "succeeded")):
            event["detail"] = f"{event['detail']}; {note}" if event["detail"] else note
        self.recorder.record(event, sync=True)
        if cache:
            self.recorder.flush()  # nobody finds in the cache what is not on disk
            cache.ran(index, event, self.session.settings.task, self.recorder.run_id)

    def _settle(self, index: int, *, done: bool) -> None:
        self._active.discard(index)
        if done:
            self._schedule.done(index)
        elif not self._ending and (skipped := self._schedule.failed(index)):
            detail = f"needs {self.pipeline.stages[index - 1].id}"
            self.recorder.record({"event": "skip", "stages": skipped, "status": "skipped", "detail": detail})

    def _call(self, index: int) -> None:
        """Runs a sub-pipeline as a run of its own, or resumes the one that an earlier process left unfinished."""
        stage = self.pipeline.stages[index - 1]
        self.recorder.record({"event": "start", "stage": index, "attempt": self._count(index)})
        self.recorder.flush()  # what comes first is told first
        pipeline = self.session.settings.pipelines[stage.pipeline]
        recorder, resumed = _child_recorder(self.session, pipeline, self._earlier.pop(index, ""))
        env = {**(self.caller.env if self.caller else {}), **stage.env}
        caller = Caller(self.recorder.run_id, env, self._span(index))
        child = self._children[index] = PipelineRun(self.session, pipeline, recorder, caller)
        self.recorder.record(_child_event(index, child, "in_progress"))
        child.on_end = partial(self._returned, index)
        if stage.timeout_seconds is not None:
            self.session.loop.later(stage.timeout_seconds, partial(self._too_late, index, child))
        child.begin(resumed)

    def _too_late(self, index: int, child: PipelineRun) -> None:
        if self._children.get(index) is child:
            self._late.add(index)
            child.stop("timeout")

    def _returned(self, index: int, child: PipelineRun) -> None:
        document = child.document
        assert document is not None
        del self._children[index]
        child.recorder.close()
        self.recorder.record(_child_event(index, child, document["status"]))
        fields = {key: document[key] for key in ("status", "summary", "usage")}
        if fields["usage"] and document.get(AWAY):
            fields["usage"] = {**fields["usage"], AWAY: document[AWAY]}
        fields |= {"exit_code": None, "detail": document["status_detail"]}
        if index in self._late:
            self._late.discard(index)
            seconds = self.pipeline.stages[index - 1].timeout_seconds
            fields |= {"status": "failed", "detail": f"timed out after {seconds:g} s", "timed_out": True}
        self._judge(index, fields)


def _child_recorder(session: Session, pipeline: Pipeline, earlier: str) -> tuple[Recorder, Mapping[str, Any] | None]:
    settings = session.settings
    if earlier:
        from orchgate.runner.session import reopen_child

        if found := reopen_child(session, pipeline, earlier):
            return found
        if os.path.lexists(ids.run_folder(settings.records, settings.task, earlier)):
            earlier = ""  # it stays as it is; otherwise the id was assigned and never used
    return writer.create(settings.records, settings.task, session.clock, settings.reporter.seen, earlier), None


def _child_event(index: int, child: PipelineRun, status: str) -> Event:
    run_id = child.recorder.run_id
    place = {"run_id": run_id, "manifest": f"../{run_id}/{ids.MANIFEST}"}
    return {"event": "child", "stage": index, "pipeline_id": child.pipeline.id, "status": status, **place}


def _defined(stage: Stage, needs: tuple[int, ...]) -> Event:
    """A stage as the first event lists it, without secrets: records of runs are shared."""
    shown = stage._replace(argv=redacted_words(stage.argv), shell=redacted(stage.shell))
    fields: Event = {
        "id": stage.id,
        "title": redacted(stage.title) or stage.id,
        "command": shown.command,
        "kind": stage.kind,
    }
    if shown.argv:
        fields["argv"] = shown.argv
    if stage.allow_failure:
        fields["allow_failure"] = True
    if needs:
        fields["needs"] = sorted(needs)
    return fields


def _cache(settings: RunSettings, pipeline: Pipeline, inherited: Mapping[str, str]) -> StageCache | None:
    """The cache as one run uses it; None where no stage declares inputs or outputs."""
    if not any(stage.inputs or stage.outputs for stage in pipeline.stages):
        return None
    from orchgate.runner.stage_cache import StageCache

    return StageCache(settings, pipeline, inherited)
