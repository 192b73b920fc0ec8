"""`orchgate plan`: what a pipeline would run, in which order; nothing is run."""

from __future__ import annotations

import sys

from orchgate.commands.shared.options import output_format
from orchgate.config.load import load_work_tree
from orchgate.errors import OrchgateError
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._escape import escape
from orchgate.runner import inputs
from orchgate.runs.pipeline import find, load_all, order

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.runs.stages import Pipeline, Stage

SUMMARY = "show what a pipeline would run, and in which order"
ABOUT = "Without PIPELINE, lists the pipelines of this repository. Nothing is run."
EXAMPLES = ("orchgate plan", "orchgate plan implementation-gate")
VERSION = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", nargs="?", default="", metavar="PIPELINE", help="its id (all of them)")
    output_format(parser, "plan")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.gate import session

    with session.opened() as repository:
        root = repository.root
    if not root:
        raise OrchgateError("a bare repository has no work tree to run anything in", "run it in a clone")
    pipelines = load_all(root, load_work_tree(root))
    if args.pipeline:
        document = planned(pipelines, find(pipelines, args.pipeline))
        lines = plan_lines(document)
    else:
        listed = [_listed(pipeline) for pipeline in pipelines.values()]
        document = {"pipelines": listed}
        lines = _rows(listed)
    if args.output_format == "json":
        from orchgate.outputs import _document

        _document.write(_document.headed("plan", document, VERSION), sys.stdout)
    else:
        sys.stdout.writelines(escape(line) + "\n" for line in lines)
    return Verdict.PASS


def _listed(pipeline: Pipeline) -> dict[str, object]:
    stages = [stage.id for stage in pipeline.stages]
    return {
        "pipeline_id": pipeline.id,
        "id": pipeline.id,
        "title": pipeline.title,
        "source": pipeline.source,
        "stages": stages,
    }


def _rows(pipelines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    width = max(len(pipeline["id"]) for pipeline in pipelines)
    for pipeline in pipelines:
        count = counted(len(pipeline["stages"]), "stage")
        yield f"{pipeline['id']:<{width}}  {pipeline['title']}  ({count}; {pipeline['source']})"


def planned(pipelines: Mapping[str, Pipeline], pipeline: Pipeline) -> dict[str, object]:
    """What running a pipeline would do, JSON-able, the pipelines it calls unfolded in their stages."""
    levels = {stage.id: level for level, stages in enumerate(order(pipeline), 1) for stage in stages}
    return {
        **_listed(pipeline),
        "sequential": pipeline.sequential,
        "max_parallel": 1 if pipeline.sequential else pipeline.max_parallel,
        "digest": pipeline.digest,
        "stages": [
            {"index": index, "level": levels[stage.id], **_stage(pipelines, stage)}
            for index, stage in enumerate(pipeline.stages, 1)
        ],
    }


def _stage(pipelines: Mapping[str, Pipeline], stage: Stage) -> dict[str, object]:
    never = inputs.why_never(stage)
    return {
        "stage_id": stage.id,
        "id": stage.id,
        "title": stage.title,
        "kind": stage.kind,
        "command": stage.command,
        "argv": list(stage.argv) or None,
        "env": dict(stage.env),
        "cwd": stage.cwd or None,
        "timeout_seconds": stage.timeout_seconds,
        "retry_count": stage.retries,
        "retries": stage.retries,
        "retry_delay_seconds": stage.retry_delay_seconds,
        "allow_failure": stage.allow_failure,
        "needs": list(stage.needs),
        "inputs": list(stage.inputs),
        "outputs": list(stage.outputs),
        "junit": stage.results[0].path if len(stage.results) == 1 else None,
        "results": [{"path": one.path, "format": one.format or None} for one in stage.results],
        "metrics": stage.metrics or None,
        "cacheable": not never,
        "not_cacheable_because": never or None,
        "pipeline": planned(pipelines, pipelines[stage.pipeline]) if stage.pipeline else None,
    }


def plan_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """A plan as lines for people."""
    how = "one after another" if document["sequential"] else "in parallel as far as needs allow"
    count = counted(len(document["stages"]), "stage")
    yield f"{document['id']}: {document['title']} ({count}, {how}; {document['source']})"
    yield from _steps(document, "")


def _steps(document: Mapping[str, Any], prefix: str) -> Iterator[str]:
    indent = "  " * (prefix.count(".") + 1)
    last = max(stage["level"] for stage in document["stages"])
    shown = 0
    for stage in sorted(document["stages"], key=lambda stage: (stage["level"], stage["index"])):
        if stage["level"] > shown and last > 1 and not document["sequential"]:
            shown = stage["level"]
            yield f"{indent}step {shown} of {last}:"
        number = f"{prefix}{stage['index']}"
        called = stage["pipeline"]
        what = f"pipeline {called['id']}: {called['title']}" if called else stage["command"]
        yield f"{indent}{number}. {stage['id']}: {what}"
        details = "; ".join(_details(stage))
        if details:
            yield f"{indent}{' ' * len(number)}  {details}"
        if called:
            yield from _steps(called, f"{number}.")


def _details(stage: Mapping[str, Any]) -> Iterator[str]:
    if stage["title"] not in (stage["id"], stage["command"]):
        yield stage["title"]
    if stage["needs"]:
        yield f"after {', '.join(stage['needs'])}"
    if stage["env"]:
        yield "with " + " ".join(f"{name}={_quoted(value)}" for name, value in stage["env"].items())
    if stage["cwd"]:
        yield f"in {stage['cwd']}"
    if stage["timeout_seconds"] is not None:
        yield f"at most {stage['timeout_seconds']:g} s"
    if stage["retries"]:
        delay = f" after {stage['retry_delay_seconds']:g} s" if stage["retry_delay_seconds"] else ""
        yield f"{counted(stage['retries'], 'retry', 'retries')}{delay}"
    if stage["allow_failure"]:
        yield "may fail"
    if stage["cacheable"]:
        yield f"cached while {', '.join(stage['inputs'])} stay the same"
    if stage["outputs"]:
        yield f"leaves {', '.join(stage['outputs'])}"
    if stage["results"]:
        yield f"results from {', '.join(map(_result, stage['results']))}"
    if stage["metrics"]:
        yield f"metrics from {stage['metrics']}"


def _result(one: Mapping[str, Any]) -> str:
    return f"{one['path']} ({one['format']})" if one["format"] else str(one["path"])


def _quoted(value: str) -> str:
    import shlex

    return shlex.quote(value)
