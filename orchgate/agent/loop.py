"""Lets an agent work towards a goal as one recorded run: until success, a limit, or a standstill.

Every iteration is a stage of kind `agent`, followed by one of the validator, the command that decides whether the agent
has done its work. All of them may fail: the end counts.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque

from orchgate.agent import iterations, workspace
from orchgate.agent.iterations import Iterations, LoopEnding
from orchgate.agent.workspace import Workspace
from orchgate.errors import UsageError
from orchgate.git import state as git_state
from orchgate.lib import files, working_time
from orchgate.lib.files import sha256_hex
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runner import environment, output, stage_run, writer
from orchgate.runner.session import Session, reopened
from orchgate.runner.session import resume_event as taken_up
from orchgate.runner.stage_run import StageAttempt
from orchgate.runs import ids
from orchgate.runs.stages import Stage
from orchgate.secrets.redact import redacted, redacted_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from orchgate.agent.iterations import Iteration, LoopPlan
    from orchgate.runner.child import Result
    from orchgate.runner.session import RunSettings
    from orchgate.runner.stage_run import StageOutcome
    from orchgate.runner.writer import Recorder
    from orchgate.runs.run import StageRun
    from orchgate.runs.state import Event


PIPELINE = "rlm"
PLACEHOLDER = "{prompt}"
CANCELLED = 130
ORCHGATE = ".orchgate"
_SUCCEEDED = ("passed", "complete")
_WATCHED = 100  # files of the loop's own run that are looked at in each turn, of the last twenty-five turns or more


def run(settings: RunSettings, plan: LoopPlan) -> tuple[str, LoopEnding]:
    """Runs a loop to its end; its folder and its ending. Raises OrchgateError when it could not be recorded."""
    with Session(settings) as session:
        recorder = writer.create(settings.root, settings.task, session.clock, settings.reporter.seen)
        with contextlib.closing(recorder):
            session.guard(recorder.journal.descriptor)
            return recorder.folder, _AgentLoop(session, recorder, plan).drive(None)


def resume(settings: RunSettings, folder: str, budget: Mapping[str, Any]) -> tuple[str, LoopEnding]:
    """Goes on with a loop that was killed, cancelled or out of its budget, with the limits in `budget` instead."""
    with reopened(settings, folder) as (session, recorder, known):
        plan = iterations.plan_of(recorder.events)._replace(**budget)
        if plan.endless:
            raise UsageError("unlimited iterations need a validator or a time limit", "add --max-time 30m")
        if known.run.status == "succeeded":
            ending = LoopEnding("passed" if plan.validator else "complete", 0)
            recorder.settle()
            Iterations(recorder.fold, recorder.events, validated=bool(plan.validator)).write(folder, plan, ending)
            return folder, ending
        iterations.require_whole(plan)
        session.guard(recorder.journal.descriptor)
        return folder, _AgentLoop(session, recorder, plan).drive(taken_up(session, known))


class _AgentLoop:
    """One process's part of a loop."""

    def __init__(self, session: Session, recorder: Recorder, plan: LoopPlan) -> None:
        self._session = session
        self._recorder = recorder
        self._plan = plan
        settings = session.settings
        self._root = settings.root
        self._trace = environment.trace_of(recorder.run_id, settings.environ, recorder.events)
        environ = environment.untraced(settings.environ, self._trace)
        self._base = environment.of_run(environ, settings.task, recorder.run_id, recorder.folder)
        self._deadline: float | None = None
        folders = tuple(dict.fromkeys((*(name for name in settings.artifacts if name != ids.RUNS), ORCHGATE)))
        self._written = _last_logs(recorder)
        self._places = workspace.WatchedPlaces(self._root, settings.repository, recorder.folder, folders, self._written)
        self._before: workspace.Seen = {}
        self._iterations = Iterations(recorder.fold, recorder.events, validated=bool(plan.validator))
        self._broken = ""  # what happened to the run's own record, where that ends the loop

    def drive(self, resumed: Mapping[str, Any] | None) -> LoopEnding:
        """From the first event of this process to the last of the run."""
        store = os.path.join(self._recorder.folder, "artifacts", ".footprints")
        self._recorder.begin({**(resumed or self._first_event()), "agent_loop": iterations.shown(self._plan)._asdict()})
        try:
            self._workspace = Workspace(self._root, self._session.settings.repository, store)
            with contextlib.closing(self._workspace):
                self._start_clock()
                self._write_state(None)
                ending = self._until_ended()
            self._finish(ending)
            self._write_state(ending)
        except Exception:
            with contextlib.suppress(Exception):
                self._write_state(LoopEnding("error", iterations.ERROR))
            raise
        return ending

    def _write_state(self, ending: LoopEnding | None) -> None:
        self._iterations.write(self._recorder.folder, self._plan, ending)

    def _first_event(self) -> Event:
        return {
            "event": "run",
            "task_id": self._session.settings.task,
            "run_id": self._recorder.run_id,
            "parent_run_id": None,
            "pipeline": {"id": PIPELINE, "title": iterations.head(" ".join(redacted(self._plan.goal).split()), 200)},
            "stages": [],
            "detail": self._session.note or None,
            **environment.in_trace(self._trace),
            **self._session.identity(),
        }

    def _finish(self, ending: LoopEnding) -> None:
        self._recorder.other_files = (
            len(self._iterations.begun()) + 1
        )  # files beside the logs: the prompts, and the state
        if ending.status == "cancelled":
            self._recorder.finish("cancelled", f"signal:{self._session.stopping}")
        elif ending.status in _SUCCEEDED:
            made = git_state.of(self._session.settings.repository, self._session.settings.artifacts)
            self._recorder.record({"event": "tree", "git": made._asdict() if made else None})
            self._recorder.finish("succeeded", None)
        else:
            self._recorder.finish("failed", f"agent:{ending.status}")

    def _start_clock(self) -> None:
        if self._plan.max_minutes is None:
            return
        spent = sum(stage.usage.wall_seconds or 0.0 for stage in self._recorder.stages if stage.usage)
        self._deadline = working_time.now() + self._plan.max_minutes * 60 - spent

    @property
    def _seconds_left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - working_time.now())

    def _until_ended(self) -> LoopEnding:
        fresh = False
        while True:
            self._session.step()  # handles a signal that came while no program ran
            done = self._iterations.begun()
            if ending := self._ended(done, fresh=fresh):
                self._drop_unconfirmed()
                return ending
            self._step(done)
            fresh = True
            if (done := self._iterations.begun())[-1].complete:
                self._write_state(None)

    def _drop_unconfirmed(self) -> None:
        """A pass that was to be confirmed, and cannot be any more, does not count."""
        count = self._recorder.fold.stage_count
        if count and (stage := self._recorder.stage(count)).status == "running":
            event = {"event": "end", "stage": stage.number, "attempt": len(stage.attempts)}
            event |= {"status": "cancelled", "exit_code": None, "summary": None, "usage": None}
            self._recorder.record({**event, "detail": "passed once, and was not run again"}, sync=True)

    def _ended(self, done: Sequence[Iteration], *, fresh: bool) -> LoopEnding | None:
        """Why there is no next step. What only this process can judge, or may try once more, counts when `fresh`."""
        last = done[-1] if done else None
        if self._broken:
            return LoopEnding(self._broken, iterations.ERROR)
        if last and last.passed:
            return LoopEnding("passed", 0)
        if self._session.stopping:
            return LoopEnding("cancelled", CANCELLED)
        if fresh and last and last.agent_refused:
            return LoopEnding("agent-not-started", 5)
        if fresh and last and last.validator_refused:
            return LoopEnding("validator-not-started", 4)
        complete = [one for one in done if one.complete]
        if self._plan.max_iterations and len(complete) >= self._plan.max_iterations:
            return iterations.used_up(self._plan, complete[-1], late=self._seconds_left == 0.0)
        if self._seconds_left == 0.0:
            return LoopEnding("max-minutes", 3)
        if fresh and last and last.complete and iterations.stands_still(self._plan, complete):
            return LoopEnding("no-progress", 3)
        return None

    def _step(self, done: Sequence[Iteration]) -> None:
        """Runs the next program: one that was interrupted, the validator, or the agent."""
        count = self._recorder.fold.stage_count
        last = self._recorder.stage(count) if count else None
        if last and last.status not in iterations.SETTLED:
            kind, number = last.kind, done[-1].number
        else:
            validating = bool(done) and not done[-1].complete
            kind, number = ("command", done[-1].number) if validating else ("agent", len(done) + 1)
            last = self._add(kind, number)
        if kind == "agent":
            self._agent(last.number, number, done)
        else:
            outcome = self._program(last.number, self._plan.validator)
            flaky = outcome.result.code == 0 and failed_on_it(done)
            self._end(last.number, outcome, {"flaky": flaky}, doubtful=in_doubt(done))

    def _add(self, kind: str, number: int) -> StageRun:
        import shlex

        name = f"iteration-{number}" if kind == "agent" else f"validator-{number}"
        argv = redacted_words(self._plan.agent if kind == "agent" else self._plan.validator)
        stage = {"id": name, "title": name, "command": shlex.join(argv), "argv": list(argv), "kind": kind}
        self._recorder.record({"event": "stage", "stage": {**stage, "allow_failure": True}})
        return self._recorder.stage(self._recorder.fold.stage_count)

    def _agent(self, index: int, number: int, done: Sequence[Iteration]) -> None:
        last = iterations.last_validation(self._recorder.folder, done)
        text = iterations.build_prompt(
            iterations.situation(self._plan, number, self._seconds_left, self._workspace, last)
        )
        path = os.path.join(self._recorder.folder, "artifacts", f"prompt-{number:02d}.txt")
        files.replace(path, redacted(text).encode())
        self._written += (path, os.path.join(self._recorder.folder, iterations.STATE))
        inline = any(PLACEHOLDER in word for word in self._plan.agent)
        argv = tuple(word.replace(PLACEHOLDER, text) for word in self._plan.agent)
        before = self._workspace.state()
        with iterations.unredacted(text, path) as source:
            outcome = self._program(index, argv, "" if inline else source)
        after = self._workspace.state()
        difference = self._workspace.difference(before, after)
        about = {"changed": before != after, "diff": difference, "tree": after}
        self._end(index, outcome, about | self._beyond(index))

    def _beyond(self, index: int) -> Event:
        """What the agent changed outside of the workspace, as its `end` event has it."""
        folder = os.path.relpath(self._recorder.folder, self._root)
        found = workspace.changes(self._places, self._before, f"{folder}/{self._recorder.stage(index).log_path}")
        if self._broken:  # all of it is gone, which is reported already
            found = [name for name in found if not name.startswith(f"{folder}/")]
        elif any(name.startswith((f"{folder}/{ids.JOURNAL} ", f"{folder}/{ids.MANIFEST} ")) for name in found):
            self._broken = "record-changed"
        named = [redacted(name) for name in found[: workspace.NAMED_OUTSIDE]]
        return {"outside": named, "outside_count": len(found)} if found else {}

    def _program(self, index: int, argv: tuple[str, ...], source: str = "") -> StageOutcome:
        """Runs the program of a stage to its end, within the time that is left."""
        known = self._recorder.stage(index)
        number = len(known.attempts) + 1
        log = ids.log_path(index, known.id)
        self._recorder.record({"event": "start", "stage": index, "attempt": number, "log_path": log})
        stage = Stage(known.id, known.title, argv, timeout_seconds=self._seconds_left)
        path = os.path.join(self._recorder.folder, log)
        output.begin(path)  # whether files came into its folder is looked at from here on
        self._written.append(path)
        self._before = workspace.look(self._places) if known.kind == "agent" else {}
        environ = {**self._base, environment.TRACEPARENT: self._trace.attempt(index, number).traceparent}
        attempt = StageAttempt(stage, self._root, environ, path, number, source, screened=True)
        outcome = stage_run.run(self._session, attempt)
        if self._recorder.is_lost:  # by `git clean -fdx`, say
            ids.run_folder(self._root, self._session.settings.task, self._recorder.run_id)  # refuses links
            self._recorder.restore()
            self._broken = "record-removed"
        return outcome

    def _end(self, index: int, outcome: StageOutcome, about: Mapping[str, Any], *, doubtful: bool = False) -> None:
        """Records how the program of a stage ended; a validator whose pass is `doubtful` runs again."""
        known = self._recorder.stage(index)
        result, event = outcome
        if result.timed_out:
            event["detail"] = f"the limit of {self._plan.max_minutes:g} minutes was reached"
        if named := about.get("outside"):
            elsewhere = workspace.outside_summary(named, about["outside_count"])
            event["detail"] = "; ".join(filter(None, (event["detail"], elsewhere)))
        if asks_again(known, passed=outcome.succeeded, doubtful=doubtful):
            event["again"] = True
        extra = {**about, "verdict": result_digest(result), "refused": bool(result.refused)}
        ended = {"event": "end", "stage": index, "attempt": len(known.attempts), **event, "iteration": extra}
        self._recorder.record(ended, sync=True)


def _last_logs(recorder: Recorder) -> deque[str]:
    """What earlier processes left of the last turns; as many files follow as are looked at in each turn."""
    count = recorder.fold.stage_count
    logs = [recorder.fold.stage(number)["log_path"] for number in range(max(1, count - _WATCHED), count + 1)]
    return deque((os.path.join(recorder.folder, log) for log in logs if log), _WATCHED)


CONFIRMED = 3  # passes in a row needed after a failure on the same work tree
# Seconds, clock times and addresses differ from run to run although nothing else does.
_FLEETING = lazy(rb"0x[0-9a-f]+|\d+(?:[.:]\d+)+ *(?:m?s\b)?|\b\d+ *m?s\b")

_LOCK_FILES = (
    ("package-lock.json", "npm test"),
    ("npm-shrinkwrap.json", "npm test"),
    ("pnpm-lock.yaml", "pnpm test"),
    ("yarn.lock", "yarn test"),
)
_MARKERS = (
    ("pyproject.toml", "pytest"),
    ("pytest.ini", "pytest"),
    ("go.mod", "go test ./..."),
    ("Cargo.toml", "cargo test"),
)


class Candidate(NamedTuple):
    """A command, and the file that suggests it."""

    command: str
    because: str


def detect_validators(root: str) -> list[Candidate]:
    """Every command that the files at the top of a folder suggest, each once."""
    wanted = list(_MARKERS)
    if os.path.isfile(os.path.join(root, "package.json")):
        wanted = [*_LOCK_FILES, *wanted]
    found: dict[str, Candidate] = {}
    for name, command in wanted:
        if os.path.isfile(os.path.join(root, name)):
            found.setdefault(command, Candidate(command, name))
    return list(found.values())


def failed_on_it(done: Sequence[Iteration]) -> bool:
    """Whether the validator failed before on the work tree of the last iteration."""
    *earlier, last = done
    failed = [one for one in earlier if one.complete and not one.passed]
    idle = bool(failed) and not last.changed and failed[-1] is earlier[-1]
    return idle or (bool(last.tree) and any(one.tree == last.tree for one in failed))


def in_doubt(done: Sequence[Iteration]) -> bool:
    """Whether a pass in the last iteration does not count yet: it failed on the same work tree, or is flaky."""
    return failed_on_it(done) or any(one.flaky for one in done)


def asks_again(stage: StageRun, *, passed: bool, doubtful: bool) -> bool:
    """Whether the validator has to run once more; `stage` is as it was before this result."""
    if not (passed and doubtful):
        return False
    passes = [attempt for attempt in stage.attempts if attempt.status == "succeeded"]
    return len(passes) + 1 < CONFIRMED


def result_digest(result: Result) -> str:
    """The same for two results that differ only in when and how fast."""
    ended = repr((result.code, result.signal, result.refused)).encode("ascii", "backslashreplace")
    return sha256_hex(ended + _FLEETING.sub(b"#", result.recent))
