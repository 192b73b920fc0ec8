"""Runs one stage: its program, in its folder, with its variables, within its limit, its output in a log.

Pipelines, agent loops and measurements run their stages here. The outcome has the fields of an event of the journal.
"""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runner import environment, output
from orchgate.runner.child import Program
from orchgate.secrets.redact import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from orchgate.runner.child import Result
    from orchgate.runner.results import ResultPlaces, StageResults
    from orchgate.runner.session import Session
    from orchgate.runs.stages import Stage
    from orchgate.runs.state import Event

_LONGEST = 200
LONGEST_DETAIL = 2 * _LONGEST
_LOOKED_AT = 4096  # characters, for a secret that the cut would leave half of


class StageAttempt(NamedTuple):
    """One attempt at a stage of a work tree whose top is `root`.

    `environ` is what the program starts from, before the stage's own variables; its output goes to the file `log`.
    `number` counts the attempts in that file. `source` is a file for its standard input, "" for none. What is
    `screened` is recorded without secrets.
    """

    stage: Stage
    root: str
    environ: Mapping[str, str]
    log: str
    number: int = 1
    source: str = ""
    screened: bool = False


class StageOutcome(NamedTuple):
    """How an attempt ended. `event` holds the fields of an `end` event, apart from which attempt it was."""

    result: Result
    event: Event

    @property
    def succeeded(self) -> bool:
        return bool(self.event["status"] == "succeeded")


def start(session: Session, attempt: StageAttempt, done: Callable[[StageOutcome], None]) -> str:
    """Starts an attempt; `done` is called once, from the session's `step`. Returns the mark to end it by.

    Raises WriteError when its log cannot be written.
    """
    stage = attempt.stage
    cwd, environ = environment.of_stage(attempt.environ, attempt.root, stage)
    places = _places(attempt, cwd)
    before = _stamps(stage, places)
    if attempt.number > 1:
        output.note(attempt.log, f"attempt {attempt.number}")

    def ended(result: Result) -> None:
        if attempt.screened:
            recent = redacted(result.recent.decode("utf-8", "replace")).encode("utf-8", "replace")
            result = result._replace(recent=recent)
        done(StageOutcome(result, _describe(stage, result, _results(stage, places, result, before))))

    mark = session.mark()
    argv = stage.argv or ("/bin/sh", "-c", stage.shell)
    limit = stage.timeout_seconds
    session.loop.start(Program(argv, cwd, environ, attempt.log, mark, limit, attempt.source, attempt.screened), ended)
    return mark


def run(session: Session, attempt: StageAttempt) -> StageOutcome:
    """Runs an attempt to its end, which a signal may ask for. Raises WriteError when its log cannot be written."""
    outcomes: list[StageOutcome] = []
    start(session, attempt, outcomes.append)
    while not outcomes:
        session.step()
    return outcomes[0]


def _places(attempt: StageAttempt, cwd: str) -> ResultPlaces | None:
    """Where the files are that an attempt leaves; None for a stage that names none."""
    if not attempt.stage.results and not attempt.stage.metrics:
        return None
    from orchgate.runner import results

    return results.ResultPlaces(cwd, attempt.root, attempt.environ.get("ORCHGATE_ARTIFACTS", ""))


def _stamps(stage: Stage, places: ResultPlaces | None) -> Mapping[str, Any]:
    """The files where a stage will put its results, before it starts."""
    if places is None:
        return {}
    from orchgate.runner import results

    return results.stamps(stage, places)


def _results(
    stage: Stage, places: ResultPlaces | None, result: Result, before: Mapping[str, Any]
) -> StageResults | None:
    """What a stage reported about itself; None when it plainly reported nothing."""
    if not (places or b" passed" in result.recent or b" failed" in result.recent):
        return None
    from orchgate.runner import results

    return results.collect(stage, places or results.ResultPlaces(""), result.recent, before)


def _describe(stage: Stage, result: Result, results: StageResults | None) -> Event:
    succeeded = result.code == 0 and not result.refused and not result.timed_out and not result.cancelled
    status = "succeeded" if succeeded else "cancelled" if result.cancelled else "failed"
    # What a program prints last may be a secret; its log is looked at before it travels.
    last_line = redacted(result.last_line[:_LOOKED_AT])[:_LONGEST] or None
    event: Event = {
        "status": status,
        "exit_code": result.code,
        "summary": (stage.summary_hint[:_LONGEST] or last_line) if succeeded else last_line,
        "detail": "; ".join(_details(stage, result, results))[:LONGEST_DETAIL] or None,
        "usage": result.usage,
        "output_bytes": result.output_bytes,
        "output_left_out_bytes": result.left_out,
    }
    if result.signal:
        event["signal"] = result.signal
    if result.timed_out:
        event["timed_out"] = True
    if results and results.tests:
        event |= results.tests.fields()
    if results and results.metrics:
        event["metrics"] = dict(results.metrics)
    if results and results.benchmarks:
        event["benchmarks"] = dict(results.benchmarks)
    return event


def _details(stage: Stage, result: Result, results: StageResults | None) -> list[str]:
    details = []
    if result.refused:
        details.append(result.refused)
    elif result.timed_out:
        details.append(f"timed out after {stage.timeout_seconds:g} s")
    elif result.cancelled:
        details.append("cancelled")
    elif ended := how_it_ended(result.code, result.signal):
        details.append(ended)
    if result.left_behind:
        ended = "was ended" if result.left_behind == 1 else "were ended"
        details.append(f"{_counted(result.left_behind, 'process', 'es')} left behind {ended}")
    if result.immortal:
        details.append(f"{_counted(result.immortal, 'process', 'es')} could not be ended")
    if result.left_out:
        details.append(f"{result.left_out} of {result.output_bytes} bytes of output left out of the log")
    if results and results.tests and result.code == 0 and (failed := results.tests.failed + results.tests.errors):
        details.append(f"exit 0, but {_counted(failed, 'test', 's')} failed")
    return details + list(results.problems if results else ())


def how_it_ended(code: int | None, signal: str | None) -> str:
    """`ended by SIGSEGV`, `exit 1`; "" for a program that ended well."""
    return f"ended by {signal}" if signal else f"exit {code}" if code else ""


def _counted(number: int, noun: str, plural: str) -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"
