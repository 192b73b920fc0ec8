"""What the end of an attempt means, in the words of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.secrets.redact import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.runner.child import Result
    from orchgate.runner.results import Results
    from orchgate.runs.stages import Stage

_LONGEST = 200
_LOOKED_AT = 4096  # characters, for a secret that the cut would leave half of


def stamps(stage: Stage, cwd: str) -> Mapping[str, Any]:
    """What lies where a stage will put its results, before it starts."""
    if not stage.junit and not stage.metrics:
        return {}
    from orchgate.runner import results

    return results.stamps(stage, cwd)


def found(stage: Stage, cwd: str, result: Result, before: Mapping[str, Any]) -> Results | None:
    """What a stage reported about itself; None when it plainly reported nothing."""
    if not (stage.junit or stage.metrics or b" passed" in result.recent or b" failed" in result.recent):
        return None
    from orchgate.runner import results

    return results.collect(stage, cwd, result.recent, before)


def describe(stage: Stage, result: Result, results: Results | None) -> dict[str, Any]:
    """The fields of an `end` event, apart from which attempt it is."""
    succeeded = result.code == 0 and not result.refused and not result.timed_out and not result.cancelled
    status = "succeeded" if succeeded else "cancelled" if result.cancelled else "failed"
    # What a program says last may be a secret; its log is looked at before it travels.
    said = redacted(result.last_line[:_LOOKED_AT])[:_LONGEST] or None
    event: dict[str, Any] = {
        "status": status,
        "exit_code": result.code,
        "summary": (stage.summary_hint[:_LONGEST] or said) if succeeded else said,
        "detail": "; ".join(_details(stage, result, results))[: 2 * _LONGEST] or None,
        "usage": result.usage,
        "output_bytes": result.output_bytes,
        "output_left_out_bytes": result.left_out,
    }
    if result.signal:
        event["signal"] = result.signal
    if result.timed_out:
        event["timed_out"] = True
    if results and results.tests:
        event["tests"] = {key: value for key, value in results.tests._asdict().items() if value is not None}
    if results and results.metrics:
        event["metrics"] = dict(results.metrics)
    return event


def _details(stage: Stage, result: Result, results: Results | None) -> list[str]:
    details = []
    if result.refused:
        details.append(result.refused)
    elif result.timed_out:
        details.append(f"timed out after {stage.timeout_seconds:g} s")
    elif result.cancelled:
        details.append("cancelled")
    elif result.signal:
        details.append(f"ended by {result.signal}")
    elif result.code:
        details.append(f"exit {result.code}")
    if result.left_behind:
        ended = "was ended" if result.left_behind == 1 else "were ended"
        details.append(f"{_counted(result.left_behind, 'process', 'es')} left behind {ended}")
    if result.immortal:
        details.append(f"{_counted(result.immortal, 'process', 'es')} could not be ended")
    if result.left_out:
        details.append(f"{result.left_out} of {result.output_bytes} bytes of output left out of the log")
    return details + list(results.problems if results else ())


def _counted(number: int, noun: str, plural: str) -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"
