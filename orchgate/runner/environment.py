"""The environment of the programs of a stage: they cannot ask a question, and know which run they belong to."""

from __future__ import annotations

import os

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs.ids import RUN_ID, run_trace, span_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.runs.ids import RunTrace, SpanContext
    from orchgate.runs.stages import Stage
    from orchgate.runs.state import Event
    from orchgate.runs.used_tools import Facts, UsedTools

# Programs that would ask a question, or open an editor or a pager, learn that no user is there. TERM=dumb keeps cursor
# movements out of the log. PYTHONUNBUFFERED is left alone: it would slow down what is being measured.
NON_INTERACTIVE = {
    "CI": "1",
    "DEBIAN_FRONTEND": "noninteractive",
    "GIT_EDITOR": "true",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "PAGER": "cat",
    "PIP_NO_INPUT": "1",
    "TERM": "dumb",
}

OBSERVED_BY = (
    "ORCHGATE_OBSERVED_BY"  # the id of the run that observes the programs that inherit it, see observe/inner_runs.py
)

TRACEPARENT, TRACESTATE = "TRACEPARENT", "TRACESTATE"

_INSTALLED = (".install_state_v2", ".install_state_v1")  # what pre-commit leaves in the environments it makes


def of_run(environ: Mapping[str, str], task: str, run_id: str, folder: str) -> dict[str, str]:
    """The environment every stage of a run starts from. A `CI` that says which one is kept."""
    return {
        **environ,
        **NON_INTERACTIVE,
        "CI": environ.get("CI") or NON_INTERACTIVE["CI"],
        "ORCHGATE_TASK_ID": task,
        "ORCHGATE_RUN_ID": run_id,
        "ORCHGATE_ARTIFACTS": os.path.join(folder, "artifacts"),
    }


def trace_of(
    run_id: str, environ: Mapping[str, str], recorded: Sequence[Event], caller: SpanContext | None = None
) -> RunTrace:
    """The trace that a run belongs to: as its first event has it, otherwise of who called it, or of the environment."""
    if recorded:
        return run_trace(run_id, span_context(str(recorded[0].get("traceparent", ""))))
    named = environ.get(TRACEPARENT, "")
    return run_trace(run_id, caller or (span_context(named) if named else None))


def untraced(environ: Mapping[str, str], trace: RunTrace | None = None) -> Mapping[str, str]:
    """The environment without the span that it names; what goes with one stays where that is of the same trace."""
    if TRACEPARENT not in environ and TRACESTATE not in environ:
        return environ
    around = span_context(environ.get(TRACEPARENT, ""))
    same = trace is not None and around is not None and around.trace_id == trace.trace_id
    dropped = (TRACEPARENT,) if same else (TRACEPARENT, TRACESTATE)
    return {name: value for name, value in environ.items() if name not in dropped}


def in_trace(trace: RunTrace) -> dict[str, str]:
    """The key of a run's first event that says under which span it began, where there is one."""
    return {"traceparent": trace.parent.traceparent} if trace.parent else {}


def observer(environ: Mapping[str, str]) -> str | None:
    """The id of the run that observes this process from outside, None for none."""
    named = environ.get(OBSERVED_BY, "")
    return named if RUN_ID.fullmatch(named) else None


def of_stage(base: Mapping[str, str], root: str, stage: Stage) -> tuple[str, dict[str, str]]:
    """Working folder and environment of a stage."""
    return folder(root, stage), {**base, "ORCHGATE_STAGE_ID": stage.id, **stage.env}


def folder(root: str, stage: Stage) -> str:
    """The folder that a stage works in."""
    return os.path.join(root, stage.cwd) if stage.cwd else root


def unhooked(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the one that pre-commit made for us.

    pre-commit puts the environment it installed this program into before everything else on PATH: a stage that says
    `python` would get that one, and not the developer's.
    """
    import sys

    own = os.path.join(sys.prefix, "bin")
    if not environ.get("PRE_COMMIT") or not any(os.path.exists(os.path.join(sys.prefix, mark)) for mark in _INSTALLED):
        return dict(environ)
    path = os.pathsep.join(part for part in environ.get("PATH", "").split(os.pathsep) if part != own)
    return {name: value for name, value in environ.items() if name != "VIRTUAL_ENV"} | {"PATH": path}


def tools_of(stage: Stage, used: UsedTools, cwd: str, environ: Mapping[str, str]) -> Sequence[Facts]:
    """The tools that a stage starts, as far as they can be told."""
    known = used.known(stage.argv, cwd, environ)
    if known is None:
        from orchgate.tools.programs import of_stage

        return of_stage(stage.argv, stage.shell, used, cwd, environ)
    return known
