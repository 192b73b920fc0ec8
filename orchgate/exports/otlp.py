"""An `ExportTraceServiceRequest` of OpenTelemetry in its JSON form, which Jaeger, Tempo and collectors take as it is.

It is one line: as such, receivers that read files take it, too.

What OpenTelemetry has a name for is called so (`cicd.*`, `process.*`, `vcs.*`), everything else `orchgate.*`.
"""

from __future__ import annotations

from orchgate import __version__
from orchgate.exports.recorded import LATEST, UnreadRun
from orchgate.exports.spans import SpanKind, SpanStatus
from orchgate.exports.text import is_number, json_of
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.exports.recorded import RunExport
    from orchgate.exports.spans import Facts, Span

_INTERNAL, _SERVER = 1, 2
_STATUS = {SpanStatus.SUCCEEDED: 1, SpanStatus.FAILED: 2, SpanStatus.OPEN: 0}
_RESULTS = {"succeeded": "success", "failed": "failure", "cancelled": "cancellation", "skipped": "skip"}
_SHARED = {  # by our name for it
    "command": "process.command_line",
    "exit_code": "process.exit.code",
    "git.commit": "vcs.ref.head.revision",
    "git.branch": "vcs.ref.head.name",
    "machine.cpu_model": "host.cpu.model.name",
    "hosted.address": "cicd.pipeline.run.url.full",
}


def chunks(items: Iterable[RunExport | UnreadRun]) -> Iterator[str]:
    yield '{"resourceSpans":['
    between = ""
    for item in items:
        if isinstance(item, UnreadRun):
            continue
        yield f'{between}{{"resource":{json_of(_resource(item))},"scopeSpans":[{{"scope":{json_of(_SCOPE)},"spans":['
        for position, span in enumerate(item.spans):
            yield ("," if position else "") + json_of(_span(span, item))
        yield "]}]}"
        between = ","
    yield "]}\n"


_SCOPE = {"name": "orchgate", "version": __version__}


def _resource(item: RunExport) -> Mapping[str, object]:
    named = {"service.name": "orchgate", "service.namespace": item.run.task_id}
    return {"attributes": _attributes(named)}


def _span(span: Span, item: RunExport) -> Mapping[str, object]:
    whole: dict[str, object] = {"traceId": item.trace.trace_id, "spanId": span.span_id}
    if span.parent_id:
        whole["parentSpanId"] = span.parent_id
    is_run = span.kind is SpanKind.RUN
    whole |= {"name": span.name or "?", "kind": _SERVER if is_run else _INTERNAL}
    whole |= {"startTimeUnixNano": _time(span.start), "endTimeUnixNano": _time(span.end)}
    whole["attributes"] = _attributes({"orchgate.kind": span.kind.value, **_named(span, item)})
    if span.marks:
        whole["events"] = [{"timeUnixNano": _time(at), "name": name} for at, name in span.marks]
    if links := _links(span, item):
        whole["links"] = links
    if status := _status(span, item):
        whole["status"] = status
    return whole


def _time(nanoseconds: int) -> str:
    return str(min(max(0, nanoseconds), LATEST))


def _status(span: Span, item: RunExport) -> Mapping[str, object]:
    """A run whose record is not in order has not succeeded, whatever it says."""
    if span.kind is SpanKind.RUN and item.faults:
        return {"code": 2, "message": "; ".join(item.faults)}
    code = _STATUS[span.outcome]
    return {"code": code, **({"message": span.detail} if code == 2 and span.detail else {})} if code else {}


def _links(span: Span, item: RunExport) -> list[Mapping[str, object]]:
    links: list[Mapping[str, object]] = [
        {"traceId": item.trace.trace_id, "spanId": other, "attributes": _attributes({"orchgate.link": "needs"})}
        for other in span.links
    ]
    if item.link and span.kind is SpanKind.RUN:
        named = {"traceId": item.link.trace_id, "spanId": item.link.span_id}
        links.append({**named, "attributes": _attributes({"orchgate.link": "recorded within"})})
    return links


def _named(span: Span, item: RunExport) -> Facts:
    run, facts = item.run, {_SHARED.get(key, f"orchgate.{key}"): value for key, value in span.facts.items()}
    facts |= {"cicd.pipeline.name": run.pipeline_id, "cicd.pipeline.run.id": run.run_id}
    if span.kind is SpanKind.RUN:
        facts["cicd.pipeline.result"] = "error" if item.faults else _RESULTS.get(run.status, "error")
        facts |= {f"orchgate.fault.{number}": what for number, what in enumerate(item.faults, 1)}
        facts |= {f"orchgate.note.{number}": what for number, what in enumerate(item.notes, 1)}
    if span.kind in (SpanKind.STAGE, SpanKind.ATTEMPT):
        status = str(span.facts.get("status", ""))
        result = "timeout" if span.facts.get("timed_out") else _RESULTS.get(status, "error")
        identity = f"{run.run_id}/{span.stage}"
        facts |= {"cicd.pipeline.task.name": run.stages[span.stage - 1].id}
        facts |= {"cicd.pipeline.task.run.id": identity, "cicd.pipeline.task.run.result": result}
    return facts


def _attributes(facts: Facts) -> list[Mapping[str, object]]:
    found = ((key, _value(value)) for key, value in facts.items())
    return [{"key": key, "value": value} for key, value in found if value is not None]


def _value(value: object) -> Mapping[str, object] | None:
    """None for a number that is none."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if not is_number(value):
        return None
    return {"intValue": str(value)} if isinstance(value, int) else {"doubleValue": value}
