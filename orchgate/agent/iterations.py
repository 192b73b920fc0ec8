"""What an agent loop has done so far, as a pure function of its journal; the `state.json` and the prompt made from it.

A prompt holds the goal, the state of the work, and the last output of the validator, each of them bounded.
"""

from __future__ import annotations

import contextlib
import os
from itertools import islice

from orchgate.errors import OrchgateError
from orchgate.lib import files, working_time
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs.run import stage_of, timestamp
from orchgate.secrets.redact import is_redacted, redacted, redacted_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.agent.workspace import Workspace
    from orchgate.runs.run import StageRun
    from orchgate.runs.state import Event, Fold


STATE = "artifacts/state.json"
SETTLED = ("succeeded", "failed")
_SHORT = 100  # iterations; in a shorter loop `state.json` is written after each of them
_SHARE = 20  # in a longer one, after that many times as long as writing it took
PATIENCE = 5  # iterations without a change and with the same exit code, whatever the validator prints
ERROR = 10


class LoopPlan(NamedTuple):
    """What was asked for. No `validator` is an empty one; `max_iterations` 0 and `max_minutes` None are no limit."""

    goal: str
    agent: tuple[str, ...]
    validator: tuple[str, ...]
    max_iterations: int
    max_minutes: float | None

    @property
    def endless(self) -> bool:
        """Whether nothing would end it but the agent making no progress."""
        return not self.validator and not self.max_iterations and self.max_minutes is None

    @property
    def validator_line(self) -> str:
        """The validator as a person would type it, "" for none."""
        import shlex

        return shlex.join(self.validator)


class LoopEnding(NamedTuple):
    """How a loop ended: a word for people and programs, and the exit code."""

    status: str
    code: int


class Iteration(NamedTuple):
    """One run of the agent, and the result of the validator after it. `verdict` is a digest of that result."""

    number: int
    started_at: str | None
    summary: str | None
    agent_status: str
    complete: bool
    changed: bool
    diff: Mapping[str, Any] | None
    verdict: str
    agent_refused: bool  # it could not be started
    validator_refused: bool
    validator_exit: int | None
    validator_log: str | None
    passed: bool
    tree: str = ""  # the state of the workspace that was validated, "" where unknown
    flaky: bool = False  # the validator passed and failed on it
    asked: int = 0  # how often the validator gave a result
    outside: tuple[str, ...] = ()  # what the agent changed outside of the workspace
    outside_count: int = 0


def shown(plan: LoopPlan) -> LoopPlan:
    """A plan as it is written down: without secrets."""
    agent, validator = redacted_words(plan.agent), redacted_words(plan.validator)
    return plan._replace(goal=redacted(plan.goal), agent=agent, validator=validator)


def require_whole(plan: LoopPlan) -> None:
    """Raises OrchgateError for a recorded plan that had secrets in it: its commands are no longer known."""
    if is_redacted((plan.goal, *plan.agent, *plan.validator)):
        raise OrchgateError(
            "the goal or the commands of this run were recorded without their secrets, so it cannot be resumed",
            "start it again with `orchgate rlm`, and pass secrets in the environment: those are not recorded",
        )


def plan_of(events: Iterable[Mapping[str, Any]]) -> LoopPlan:
    """What was asked for, from the journal; later events win. Raises OrchgateError for a run of another kind."""
    asked: Event = {}
    for event in events:
        asked |= event.get("agent_loop") or {}
    try:
        agent, validator = tuple(asked["agent"]), tuple(asked["validator"])
        return LoopPlan(asked["goal"], agent, validator, asked["max_iterations"], asked["max_minutes"])
    except KeyError as error:
        raise OrchgateError("this run is not an agent loop", "resume a pipeline with `orchgate resume RUN`") from error


class Iterations:
    """Of a loop whose events are listed and added to a fold. What came before the last one is looked at once."""

    def __init__(self, fold: Fold, events: Sequence[Event], *, validated: bool) -> None:
        self._fold = fold
        self._events = events
        self._size = 2 if validated else 1
        self._seen = 0  # events
        self._ends: dict[int, Mapping[str, Any]] = {}  # the last one of each stage
        self._begun: list[Iteration] = []
        self._due = 0.0  # when `state.json` may be written again, by the clock of `working_time`
        self._texts: list[str] = []  # of all but the last, as `state.json` has them

    def begun(self) -> list[Iteration]:
        """Every iteration that has begun."""
        new = islice(self._events, self._seen, None)
        self._ends |= {event["stage"]: event for event in new if event["event"] == "end"}
        self._seen = len(self._events)
        del self._begun[-1:]
        for first in range(len(self._begun) * self._size + 1, self._fold.stage_count + 1, self._size):
            last = min(first + self._size - 1, self._fold.stage_count)
            stages = [stage_of(self._fold.stage(number)) for number in range(first, last + 1)]
            self._begun.append(_iteration(len(self._begun) + 1, stages, self._ends, self._size))
        return list(self._begun)

    def write(self, folder: str, plan: LoopPlan, ending: LoopEnding | None) -> None:
        """Puts `state.json` into the folder of a run. Raises WriteError.

        All of it is written anew: in a long loop that goes on, only as often as takes a small part of the time.
        """
        began = working_time.now()
        if ending is None and len(self._begun) > _SHORT and began < self._due:
            return
        done = self.begun()
        self._texts += map(_text, done[len(self._texts) : -1])
        data = _document(shown(plan), done, [*self._texts, *map(_text, done[-1:])], ending)
        files.replace(os.path.join(folder, STATE), data.encode("utf-8", "replace"))
        ended = working_time.now()
        self._due = ended + _SHARE * (ended - began)


def _iteration(number: int, stages: Sequence[StageRun], ends: Mapping[int, Mapping[str, Any]], size: int) -> Iteration:
    agent, last = stages[0], stages[-1]
    complete = len(stages) == size and last.status in SETTLED
    about = ends.get(agent.number, {}).get("iteration", {})
    result = ends.get(last.number, {}).get("iteration", {})
    validator = last if size > 1 and len(stages) > 1 else None
    return Iteration(
        number=number,
        started_at=timestamp(agent.started_at) if agent.started_at else None,
        summary=agent.summary or agent.status_detail,
        agent_status=agent.status,
        complete=complete,
        changed=about.get("changed", True),
        diff=about.get("diff"),
        verdict=result.get("verdict", "") if complete else "",
        agent_refused=bool(about.get("refused")),
        validator_refused=validator is not None and complete and bool(result.get("refused")),
        validator_exit=validator.exit_code if validator else None,
        validator_log=validator.log_path if validator else None,
        passed=validator is not None and validator.status == "succeeded",
        tree=about.get("tree", ""),
        flaky=validator is not None and validator.flaky,
        asked=sum(one.status in SETTLED for one in validator.attempts) if validator else 0,
        outside=tuple(about.get("outside", ())),
        outside_count=about.get("outside_count", 0),
    )


def used_up(plan: LoopPlan, last: Iteration, *, late: bool) -> LoopEnding:
    """How a loop ends after its last iteration; `late` when its time is up as well."""
    if plan.validator:
        return LoopEnding("max-iterations", 3)
    if last.agent_status == "succeeded":
        return LoopEnding("complete", 0)
    return LoopEnding("max-minutes", 3) if late else LoopEnding("agent-failed", ERROR)


def stands_still(plan: LoopPlan, complete: Sequence[Iteration]) -> bool:
    """Nothing changed, and the validator's result was the same twice; or nothing changed for long.

    A fixed number of iterations without a validator all take place.
    """
    if not plan.validator and plan.max_iterations:
        return False
    recent = complete[-PATIENCE:]
    if len(recent) == PATIENCE and not any(one.changed for one in recent):
        return len({one.validator_exit for one in recent}) == 1
    return len(recent) > 1 and not recent[-1].changed and recent[-1].verdict == recent[-2].verdict


_NONE = '\n  "iterations": []'


def _document(plan: LoopPlan, done: Sequence[Iteration], texts: Sequence[str], ending: LoopEnding | None) -> str:
    """`state.json`, with the text of each iteration. Paths are relative to the run's folder."""
    import json

    facts: dict[str, object] = {
        "goal": plan.goal,
        "validator": plan.validator_line or None,
        "maxIterations": plan.max_iterations,
        "maxMinutes": plan.max_minutes,
        "iterations": [],
        "flaky": any(one.flaky for one in done),
        "final": {"status": ending.status, "exitCode": ending.code} if ending else None,
    }
    text = json.dumps(facts, ensure_ascii=False, indent=2) + "\n"
    return text.replace(_NONE, f"{_NONE[:-1]}{','.join(texts)}\n  ]", 1) if texts else text


def _text(one: Iteration) -> str:
    import json

    said = {
        "n": one.number,
        "startedAt": one.started_at,
        "summary": one.summary,
        "validatorExitCode": one.validator_exit,
        "validatorLogPath": one.validator_log,
        "diffSummary": one.diff,
        **({"flaky": True, "validatorAsked": one.asked} if one.flaky else {}),
        **({"outside": one.outside, "outsideCount": one.outside_count} if one.outside else {}),
    }
    return ("\n" + json.dumps(said, ensure_ascii=False, indent=2)).replace("\n", "\n    ")


LIMIT = 32 * 1024  # bytes of a whole prompt: one argument of a program may have 128 KiB on Linux
GOAL_LIMIT = 8 * 1024
_STATUS_LIMIT = 4 * 1024
_FILES_LIMIT = 6 * 1024
_OUTPUT_LIMIT = 10 * 1024
_HEADER = 2 * 1024
_SECRET = 4 * 1024  # more than is shown, so that no secret is cut in the middle


class LastValidation(NamedTuple):
    """How the validator ended last, in words, and the end of its output."""

    ended: str
    output: str


class Situation(NamedTuple):
    """What a prompt is made of. `most` is 0 for any number of iterations."""

    goal: str
    number: int
    most: int
    seconds_left: float | None
    validator: str
    status: str
    files: Sequence[str]
    last: LastValidation | None


def situation(
    plan: LoopPlan, number: int, seconds_left: float | None, workspace: Workspace, last: LastValidation | None
) -> Situation:
    """The state of the work before an iteration."""
    return Situation(
        goal=plan.goal,
        number=number,
        most=plan.max_iterations,
        seconds_left=seconds_left,
        validator=plan.validator_line,
        status=redacted(workspace.status()),
        files=workspace.files(),
        last=last,
    )


def last_validation(folder: str, done: Sequence[Iteration]) -> LastValidation | None:
    """The validator's last result, from its log in the folder of the run; None when it has not run yet."""
    one = next((one for one in reversed(done) if one.complete and one.validator_log), None)
    if one is None or one.validator_log is None:
        return None
    code = "did not exit by itself" if one.validator_exit is None else f"exited {one.validator_exit}"
    if one.flaky:
        code = f"is flaky: it passed on the same work tree, and then {code}"
    ended = f"After iteration {one.number} the validator {code}. The end of its output:"
    return LastValidation(ended, last_output(os.path.join(folder, one.validator_log)))


def build_prompt(now: Situation) -> str:
    """The prompt, at most `LIMIT` bytes of UTF-8, without NUL."""
    parts = [
        f"# Goal\n\n{head(now.goal, GOAL_LIMIT)}",
        f"# Iteration\n\n{_iteration_text(now)}",
        f"# Workspace\n\n{_workspace_text(now)}",
    ]
    if now.last:
        parts.append(f"# Last validation\n\n{now.last.ended}\n\n{tail(now.last.output, _OUTPUT_LIMIT)}")
    return head("\n\n".join(parts).replace("\0", "\ufffd"), LIMIT - 1) + "\n"


@contextlib.contextmanager
def unredacted(text: str, path: str) -> Iterator[str]:
    """A file with the whole prompt: the one at `path` is recorded, and has no secrets."""
    if redacted(text) == text:
        yield path
        return
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="orchgate-") as file:
        file.write(text.encode())
        file.flush()
        yield file.name


def _iteration_text(now: Situation) -> str:
    of = f" of {now.most}" if now.most else ""
    lines = [f"This is iteration {now.number}{of}."]
    if now.seconds_left is not None:
        lines.append(f"{now.seconds_left / 60:.1f} minutes are left.")
    if now.validator:
        command = head(now.validator, _HEADER)
        lines.append(f"Your work is done when this command, which runs after you, exits 0: {command}")
    return "\n".join(lines)


def _workspace_text(now: Situation) -> str:
    parts = [f"git status:\n{head(now.status.rstrip(), _STATUS_LIMIT)}"] if now.status else []
    return "\n\n".join([*parts, _listing(now.files)])


def _listing(files: Sequence[str]) -> str:
    shown: list[str] = []
    left_over = _FILES_LIMIT
    for path in files:
        line = redacted(ascii(path)[1:-1] if not path.isprintable() else path)
        left_over -= len(line.encode()) + 1
        if left_over < 0:
            break
        shown.append(line)
    left = f"\n… and {len(files) - len(shown)} more" if len(shown) < len(files) else ""
    return f"{counted(len(files), 'file')}:\n" + "\n".join(shown) + left


def head(text: str, limit: int) -> str:
    """The beginning of a text, at most so many bytes of UTF-8."""
    data = text.encode("utf-8", "replace")
    return data.decode() if len(data) <= limit else data[: limit - 4].decode("utf-8", "ignore") + " …"


def tail(text: str, limit: int) -> str:
    """The end of a text, at most so many bytes of UTF-8."""
    data = text.encode("utf-8", "replace")
    return data.decode() if len(data) <= limit else "… " + data[4 - limit :].decode("utf-8", "ignore")


def last_output(path: str) -> str:
    """The end of a log without secrets, "" when there is none. Older versions wrote logs as they came."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _OUTPUT_LIMIT - _SECRET))
            return redacted(file.read(_OUTPUT_LIMIT + _SECRET).decode("utf-8", "replace"))
    except OSError:
        return ""
