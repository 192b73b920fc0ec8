"""Whether a manifest keeps its schema and agrees with itself: decided fast, explained only when it does not."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib import resources
from orchgate.runs.decode import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import jsonschema_rs
    from jsonschema.exceptions import ValidationError

    from orchgate.runs.run import Run, StageRun

SCHEMAS = {
    "orchgate": "manifest-v1.json",
    "codex-2026-01": "codex-manifest-2026-01.json",
    "codex-2026-06": "codex-manifest-2026-06.json",
}
RUNTIME_KEYS = ("runtime_mode_requested", "runtime_mode", "runtime_provider", "runtime_fallback")
CODEX_KEYS = ("resume_token", "compat_path", "artifact_root", "heartbeat_interval_seconds")


class Problem(NamedTuple):
    """What is wrong and where: `path` leads to the offending value, or to its parent when a key is missing."""

    path: tuple[str | int, ...]
    message: str


def format_of(document: Mapping[str, Any]) -> str:
    """Which key of SCHEMAS a manifest follows, judged by its content ("version" is 1 in all); "" for none of them."""
    if document.get("format") == "orchgate":
        return "orchgate"
    if document.get("runner") == "codex-cli" or any(key in document for key in CODEX_KEYS):
        return "codex-2026-06" if any(key in document for key in RUNTIME_KEYS) else "codex-2026-01"
    return ""


def is_valid(document: Mapping[str, Any], kind: str) -> bool:
    return _fast(kind).is_valid(document)


def explain(document: Mapping[str, Any], kind: str) -> Problem:
    """The most telling violation, in few words however large the document. References never reach the network."""
    import jsonschema
    from jsonschema.exceptions import best_match
    from referencing import Registry

    validator = jsonschema.Draft202012Validator(_schema(kind), registry=Registry())
    error = best_match(validator.iter_errors(document))
    if error is None:
        return Problem((), "breaks its schema in a way that cannot be explained")
    return Problem(*_describe(error))


@lru_cache(maxsize=8)
def _schema(kind: str) -> Any:
    import json

    return json.loads(resources.read("schemas", SCHEMAS[kind]))


@lru_cache(maxsize=8)
def _fast(kind: str) -> jsonschema_rs.Validator:
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(_schema(kind))
    except ValueError as error:
        raise OrchgateError(f"schemas/{SCHEMAS[kind]}: {error}", "pip install --force-reinstall orchgate") from error


def _describe(error: ValidationError) -> tuple[tuple[str | int, ...], str]:
    path = tuple(error.absolute_path)
    value: Any = error.instance
    expected: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "required":
            missing = [key for key in expected if key not in value]
            return path, f"{_listed(missing)} missing"
        case "additionalProperties":
            unknown = sorted(key for key in value if key not in schema.get("properties", ()))
            return (*path, unknown[0]), f"unknown key {_shown(unknown[0])}" + _more(unknown)
        case "type":
            kinds = [expected] if isinstance(expected, str) else expected
            return path, f"expected {' or '.join(kinds)}, got {_shown(value)}"
        case "enum":
            return path, f"expected one of {', '.join(_shown(option) for option in expected)}, got {_shown(value)}"
        case "const":
            return path, f"expected {_shown(expected)}, got {_shown(value)}"
        case "minLength" | "minItems":
            return path, "must not be empty"
        case "minimum" | "exclusiveMinimum":
            return path, f"expected at least {expected}, got {_shown(value)}"
        case _:
            return path, f"expected {_form(schema.get('description', ''))}, got {_shown(value)}"


def _form(description: str) -> str:
    """The first sentence of a schema's description as part of another sentence."""
    sentence = description.partition(". ")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:] if sentence else "another form"


def _listed(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names[:5]) + _more(names[4:])
    return f"{quoted} {'is' if len(names) == 1 else 'are'}"


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _shown(value: object) -> str:
    """A value in JSON's words, never longer than a line."""
    import json

    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    if isinstance(value, str):
        value = shorten(value)
    return shorten(json.dumps(value, ensure_ascii=False), 80)


def contradictions(run: Run) -> Iterator[Problem]:
    """Each pair of statements that exclude each other, in the order of the document."""
    yield from _run_times(run)
    ids: set[str] = set()
    looped = any(stage.kind == "agent" for stage in run.stages)
    for position, stage in enumerate(run.stages):
        if stage.number != position + 1:
            yield _at(position, "index", f"is {stage.number} where {position + 1} comes next")
        if stage.id in ids:
            yield _at(position, "id", f'"{shorten(stage.id)}" is the id of an earlier stage too')
        ids.add(stage.id)
        yield from _exit_code(position, stage)
        yield from _output(position, stage)
        yield from _stage_times(position, stage, run)
        if stage.attempts or stage.flaky:
            yield from _attempts(position, stage, looped=looped)
        if run.finished:
            yield from _against_run(position, stage, run)
    yield from _outcome(run)
    yield from _children(run)


def _at(position: int, key: str, message: str) -> Problem:
    return Problem(("commands", position, key), message)


def _run_times(run: Run) -> Iterator[Problem]:
    if run.finished and run.completed_at is None:
        yield Problem(("completed_at",), f"is empty, although the run is {run.status}")
    if run.completed_at is not None and not run.finished:
        yield Problem(("completed_at",), f"is set, although the run is {run.status}")
    if run.completed_at is not None and run.completed_at < run.started_at:
        yield Problem(("completed_at",), "lies before started_at")


def _exit_code(position: int, stage: StageRun) -> Iterator[Problem]:
    """A stage that may fail is `skipped` with its exit code in the older formats, so `skipped` goes with any code."""
    if stage.exit_code is None:
        if stage.status == "succeeded" and stage.kind == "command":
            yield _at(position, "exit_code", "is empty, although the stage is succeeded")
    elif stage.status == "succeeded" and stage.exit_code != 0:
        yield _at(position, "exit_code", f"is {stage.exit_code}, although the stage is succeeded")
    elif stage.status == "failed" and stage.exit_code == 0:
        yield _at(position, "exit_code", "is 0, although the stage is failed")


def _output(position: int, stage: StageRun) -> Iterator[Problem]:
    printed, left_out = stage.output_bytes, stage.output_left_out_bytes
    if printed is not None and left_out is not None and left_out > printed:
        yield _at(position, "output_left_out_bytes", f"is {left_out}, although the stage printed {printed}")


def _stage_times(position: int, stage: StageRun, run: Run) -> Iterator[Problem]:
    started, completed = stage.started_at, stage.completed_at
    if stage.status in ("succeeded", "failed"):
        if started is None:
            yield _at(position, "started_at", f"is empty, although the stage is {stage.status}")
        if completed is None:
            yield _at(position, "completed_at", f"is empty, although the stage is {stage.status}")
    # A pending stage may keep the end of the attempt before it: the run is being resumed.
    if started and completed and completed < started and stage.status != "pending":
        yield _at(position, "completed_at", "lies before started_at")
    if started and started < run.started_at:
        yield _at(position, "started_at", "lies before the start of the run")
    if completed and run.completed_at and completed > run.completed_at:
        yield _at(position, "completed_at", "lies after the end of the run")


def _attempts(position: int, stage: StageRun, *, looped: bool) -> Iterator[Problem]:
    """The validator of an agent loop is flaky too when it failed on the same work tree in an earlier turn."""
    numbers = [attempt.number for attempt in stage.attempts]
    if numbers != list(range(1, len(numbers) + 1)):
        yield _at(position, "attempts", "are not numbered 1, 2, 3, …")
    last = stage.attempts[-1].status if stage.attempts else ""
    if last and stage.finished and last != stage.status:
        yield _at(position, "attempts", f"end in one that is {last}, although the stage is {stage.status}")
    flaky = last == "succeeded" and any(attempt.status == "failed" for attempt in stage.attempts)
    if flaky and not stage.flaky:
        yield _at(position, "flaky", "is false, although an attempt failed and a later one succeeded")
    if stage.flaky and not flaky and not looped:
        yield _at(position, "flaky", "is true, although no attempt failed before one succeeded")


def _against_run(position: int, stage: StageRun, run: Run) -> Iterator[Problem]:
    if stage.status == "running":
        yield _at(position, "status", f"is running, although the run is {run.status}")
    elif run.status != "succeeded":
        return
    elif stage.status in ("pending", "cancelled"):
        yield _at(position, "status", f"is {stage.status}, although the run is succeeded")
    elif stage.status == "failed" and not stage.allow_failure:
        yield _at(position, "status", "is failed, although the run is succeeded")


def _outcome(run: Run) -> Iterator[Problem]:
    """A failure has a reason: a stage, a child, or a word about it."""
    blamed = run.status_detail or any(child.status != "succeeded" for child in run.child_runs)
    if run.status == "failed" and not blamed and all(stage.status == "succeeded" for stage in run.stages):
        yield Problem(("status",), "is failed, although every stage succeeded and status_detail gives no reason")


def _children(run: Run) -> Iterator[Problem]:
    """A resumed parent lists a child again; the stage names the one that counts."""
    if not run.child_runs:
        return
    children = {child.run_id: child.status for child in run.child_runs}
    for position, stage in enumerate(run.stages):
        status = children.get(stage.sub_run_id or "", stage.status)
        if stage.status == "succeeded" and status != "succeeded":
            yield _at(position, "status", f"is succeeded, although its child run is {status}")
