"""Lets an agent work towards a goal, turn by turn, as one recorded run: until success, a limit, or a standstill.

Every turn is a stage of kind `agent`, followed by one of the validator. All of them may fail: what counts is the end.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from orchgate.agent import iterations, prompt, validator
from orchgate.agent.iterations import Ending
from orchgate.agent.workspace import Workspace
from orchgate.errors import OrchgateError, UsageError
from orchgate.git import state as git_state
from orchgate.lib import files, working_time
from orchgate.runner import environment, output, outside, stage_end, writer
from orchgate.runner.child import Program
from orchgate.runner.reopen import event as taken_up
from orchgate.runner.reopen import tell
from orchgate.runner.session import Session
from orchgate.runs import ids, journal, state
from orchgate.runs.stages import Stage
from orchgate.secrets.redact import redacted, redacted_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.agent.iterations import Iteration, Plan
    from orchgate.runner.child import Result
    from orchgate.runner.session import Setting
    from orchgate.runner.writer import Recorder

PIPELINE = "rlm"
PLACEHOLDER = "{prompt}"
CANCELLED = 130
ORCHGATE = ".orchgate"
_SUCCEEDED = ("passed", "complete")


def run(setting: Setting, plan: Plan) -> tuple[str, Ending]:
    """Runs a loop to its end; its folder and its ending. Raises OrchgateError when it could not be recorded."""
    with Session(setting) as session:
        recorder = writer.create(setting.root, setting.task, session.clock, setting.reporter.seen)
        with contextlib.closing(recorder):
            session.guard(recorder.journal.descriptor)
            return recorder.folder, _AgentLoop(session, recorder, plan).drive(None)


def resume(setting: Setting, folder: str, budget: Mapping[str, Any]) -> tuple[str, Ending]:
    """Goes on with a loop that was killed, cancelled or out of its budget, with the limits in `budget` instead."""
    told = tell(folder)
    if told.alive:
        raise OrchgateError(f"run {told.manifest['run_id']} is still running", "orchgate status --watch shows it")
    with (
        Session(setting, not_before=ids.seconds(told.manifest["updated_at"])) as session,
        contextlib.closing(writer.Recorder(folder, session.clock, setting.reporter.seen)) as recorder,
    ):
        recorder.journal.own()
        told = tell(folder)  # somebody else may have been faster
        recorder.carry_on(journal.read(recorder.journal.path).events)
        plan = iterations.plan_of(recorder.events)._replace(**budget)
        if plan.endless:
            raise UsageError("any number of iterations needs a validator or a time limit", "--max-minutes 30")
        if told.manifest["status"] == "succeeded":
            ending = Ending("passed" if plan.validator else "complete", 0)
            recorder.settle()
            iterations.write(folder, recorder.events, plan, ending)
            return folder, ending
        iterations.require_whole(plan)
        session.guard(recorder.journal.descriptor)
        return folder, _AgentLoop(session, recorder, plan).drive(taken_up(session, told))


class _AgentLoop:
    """One process's part of a loop."""

    def __init__(self, session: Session, recorder: Recorder, plan: Plan) -> None:
        self._session = session
        self._recorder = recorder
        self._plan = plan
        setting = session.setting
        self._root = setting.root
        self._base = environment.of_run(setting.environ, setting.task, recorder.run_id, recorder.folder)
        self._deadline: float | None = None
        folders = tuple(dict.fromkeys((*(name for name in setting.artifacts if name != ids.RUNS), ORCHGATE)))
        self._places = outside.Places(self._root, setting.repository, recorder.folder, folders)
        self._before: outside.Seen = {}
        self._broken = ""  # what became of the run's own record, where that ends the loop

    def drive(self, resumed: Mapping[str, Any] | None) -> Ending:
        """From the first event of this process to the last of the run."""
        store = os.path.join(self._recorder.folder, "artifacts", ".footprints")
        self._recorder.begin({**(resumed or self._first_event()), "agent_loop": iterations.shown(self._plan)._asdict()})
        try:
            self._workspace = Workspace(self._root, self._session.setting.repository, store)
            with contextlib.closing(self._workspace):
                self._start_clock()
                self._write_state(None)
                ending = self._until_ended()
            self._finish(ending)
            self._write_state(ending)
        except Exception:
            with contextlib.suppress(Exception):
                self._write_state(Ending("error", iterations.ERROR))
            raise
        return ending

    def _write_state(self, ending: Ending | None) -> None:
        iterations.write(self._recorder.folder, self._recorder.events, self._plan, ending)

    def _first_event(self) -> dict[str, Any]:
        return {
            "event": "run",
            "task_id": self._session.setting.task,
            "run_id": self._recorder.run_id,
            "parent_run_id": None,
            "pipeline": {"id": PIPELINE, "title": prompt.head(" ".join(redacted(self._plan.goal).split()), 200)},
            "stages": [],
            "detail": self._session.note or None,
            **self._session.identity(),
        }

    def _finish(self, ending: Ending) -> None:
        self._recorder.cached = len(self._iterations()) + 1  # files beside the logs: the prompts, and the state
        if ending.status == "cancelled":
            self._recorder.finish("cancelled", f"signal:{self._session.stopping}")
        elif ending.status in _SUCCEEDED:
            made = git_state.of(self._session.setting.repository, self._session.setting.artifacts)
            self._recorder.record({"event": "tree", "git": made._asdict() if made else None})
            self._recorder.finish("succeeded", None)
        else:
            self._recorder.finish("failed", f"agent:{ending.status}")

    def _start_clock(self) -> None:
        if self._plan.max_minutes is None:
            return
        spent = sum(stage["usage"]["wall_seconds"] for stage in self._stages() if stage["usage"])
        self._deadline = working_time.now() + self._plan.max_minutes * 60 - spent

    @property
    def _seconds_left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - working_time.now())

    def _stages(self) -> list[dict[str, Any]]:
        stages: list[dict[str, Any]] = state.manifest(self._recorder.events)["commands"]
        return stages

    def _iterations(self) -> list[Iteration]:
        return iterations.iterations(self._recorder.events, validated=bool(self._plan.validator))

    def _until_ended(self) -> Ending:
        fresh = False
        while True:
            self._session.turn()  # passes on a signal that came while no program ran
            done = self._iterations()
            if ending := self._ended(done, fresh=fresh):
                self._give_up_asking()
                return ending
            self._step(done)
            fresh = True
            if (done := self._iterations())[-1].complete:
                self._write_state(None)

    def _give_up_asking(self) -> None:
        """A pass that was to be confirmed, and now cannot be, is none."""
        for stage in self._stages()[-1:]:
            if stage["status"] == "running":
                event = {"event": "end", "stage": stage["index"], "attempt": len(stage["attempts"])}
                event |= {"status": "cancelled", "exit_code": None, "summary": None, "usage": None}
                self._recorder.record({**event, "detail": "passed once, and was not asked again"}, sync=True)

    def _ended(self, done: Sequence[Iteration], *, fresh: bool) -> Ending | None:
        """Why there is no next turn. What only this process can judge, or may try once more, counts when `fresh`."""
        last = done[-1] if done else None
        if self._broken:
            return Ending(self._broken, iterations.ERROR)
        if last and last.passed:
            return Ending("passed", 0)
        if self._session.stopping:
            return Ending("cancelled", CANCELLED)
        if fresh and last and last.agent_refused:
            return Ending("agent-not-started", 5)
        if fresh and last and last.validator_refused:
            return Ending("validator-not-started", 4)
        complete = [one for one in done if one.complete]
        if self._plan.max_iterations and len(complete) >= self._plan.max_iterations:
            return iterations.used_up(self._plan, complete[-1], late=self._seconds_left == 0.0)
        if self._seconds_left == 0.0:
            return Ending("max-minutes", 3)
        if fresh and last and last.complete and iterations.stands_still(self._plan, complete):
            return Ending("no-progress", 3)
        return None

    def _step(self, done: Sequence[Iteration]) -> None:
        """Runs the next program: one that was interrupted, the validator, or the agent."""
        stages = self._stages()
        last = stages[-1] if stages else None
        if last and last["status"] not in iterations.SETTLED:
            kind, number = last["kind"], done[-1].number
        else:
            validating = bool(done) and not done[-1].complete
            kind, number = ("command", done[-1].number) if validating else ("agent", len(done) + 1)
            last = self._add(kind, number)
        if kind == "agent":
            self._agent(last["index"], number, done)
        else:
            result = self._program(last["index"], self._plan.validator, "")
            flaky = result.code == 0 and validator.failed_on_it(done)
            self._end(last["index"], result, {"flaky": flaky}, doubtful=validator.in_doubt(done))

    def _add(self, kind: str, number: int) -> dict[str, Any]:
        import shlex

        name = f"iteration-{number}" if kind == "agent" else f"validator-{number}"
        argv = redacted_words(self._plan.agent if kind == "agent" else self._plan.validator)
        stage = {"id": name, "title": name, "command": shlex.join(argv), "argv": list(argv), "kind": kind}
        self._recorder.record({"event": "stage", "stage": {**stage, "allow_failure": True}})
        return self._stages()[-1]

    def _agent(self, index: int, number: int, done: Sequence[Iteration]) -> None:
        said = prompt.last_said(self._recorder.folder, done)
        text = prompt.build(prompt.situation(self._plan, number, self._seconds_left, self._workspace, said))
        path = os.path.join(self._recorder.folder, "artifacts", f"prompt-{number:02d}.txt")
        files.replace(path, redacted(text).encode())
        inline = any(PLACEHOLDER in word for word in self._plan.agent)
        argv = tuple(word.replace(PLACEHOLDER, text) for word in self._plan.agent)
        before = self._workspace.state()
        with prompt.spoken(text, path) as spoken:
            result = self._program(index, argv, "" if inline else spoken)
        after = self._workspace.state()
        difference = self._workspace.difference(before, after)
        about = {"changed": before != after, "diff": difference, "tree": after}
        self._end(index, result, about | self._beyond(index))

    def _beyond(self, index: int) -> dict[str, Any]:
        """What the agent changed outside of the workspace, as its `end` event tells it."""
        folder = os.path.relpath(self._recorder.folder, self._root)
        found = outside.changes(self._places, self._before, f"{folder}/{self._stages()[index - 1]['log_path']}")
        if self._broken:  # all of it is gone, which is told already
            found = [name for name in found if not name.startswith(f"{folder}/")]
        elif any(name.startswith((f"{folder}/{ids.JOURNAL} ", f"{folder}/{ids.MANIFEST} ")) for name in found):
            self._broken = "record-changed"
        named = [redacted(name) for name in found[: outside.NAMED]]
        return {"outside": named, "outside_count": len(found)} if found else {}

    def _program(self, index: int, argv: tuple[str, ...], source: str) -> Result:
        """Runs the program of a stage to its end, within the time that is left."""
        known = self._stages()[index - 1]
        number = len(known["attempts"]) + 1
        log = ids.log_path(index, known["id"])
        path = os.path.join(self._recorder.folder, log)
        self._recorder.record({"event": "start", "stage": index, "attempt": number, "log_path": log})
        if number > 1:
            output.note(path, f"attempt {number}")
        cwd, environ = environment.of_stage(self._base, self._root, Stage(known["id"], known["title"]))
        results: list[Result] = []
        program = Program(argv, cwd, environ, path, self._session.mark(), self._seconds_left, source, screened=True)
        self._before = outside.look(self._places) if known["kind"] == "agent" else {}
        self._session.loop.start(program, results.append)
        while not results:
            self._session.turn()
        if self._recorder.is_lost:  # by `git clean -fdx`, say
            ids.run_folder(self._root, self._session.setting.task, self._recorder.run_id)  # refuses links
            self._recorder.restore()
            self._broken = "record-removed"
        (found,) = results
        return found._replace(recent=redacted(found.recent.decode("utf-8", "replace")).encode("utf-8", "replace"))

    def _end(self, index: int, result: Result, about: Mapping[str, Any], *, doubtful: bool = False) -> None:
        """Records how the program of a stage ended; a validator whose pass is `doubtful` is asked again."""
        known = self._stages()[index - 1]
        minutes = self._plan.max_minutes
        stage = Stage(known["id"], known["title"], timeout_seconds=None if minutes is None else minutes * 60)
        found = stage_end.found(stage, self._root, result, {})
        extra = {**about, "verdict": validator.digest(result), "refused": bool(result.refused)}
        described = stage_end.describe(stage, result, found)
        if result.timed_out:
            described["detail"] = f"the {minutes:g} minutes were used up"
        if named := about.get("outside"):
            described["detail"] = "; ".join(
                filter(None, (described["detail"], outside.summary(named, about["outside_count"])))
            )
        if validator.asks_again(known, passed=described["status"] == "succeeded", doubtful=doubtful):
            described["again"] = True
        ended = {"event": "end", "stage": index, "attempt": len(known["attempts"]), **described, "iteration": extra}
        self._recorder.record(ended, sync=True)
