"""The Trace Event Format in its object form, which Perfetto, chrome://tracing and speedscope open.

A run is a process. Its stages are on as few threads as hold them without overlap, what they waited for on others; an
arrow leads from a stage to those that need it, and from a stage to the run that it called.
"""

from __future__ import annotations

import heapq

from orchgate.exports.recorded import UnreadRun
from orchgate.exports.spans import SpanKind
from orchgate.exports.text import json_of
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.exports.recorded import RunExport
    from orchgate.exports.spans import Span

_MOST_WAITING = 64  # threads; of ten thousand stages that wait, more would be no picture
_WAITING = 1_000_000  # the first thread of waits


class _Place(NamedTuple):
    process: int
    thread: int
    at: int


def chunks(items: Iterable[RunExport | UnreadRun]) -> Iterator[str]:
    from orchgate import __version__

    yield '{"displayTimeUnit":"ms","traceEvents":['
    between, problems = "\n", []
    places: dict[str, _Place] = {}  # of attempts, which may have called a run
    flows = iter(range(1, 2**53))
    for process, item in enumerate(items, 1):
        if isinstance(item, UnreadRun):
            problems.append(f"{item.path}: {item.message}")
            continue
        problems += [f"{item.run.run_id}: {what}" for what in (*item.faults, *item.notes)]
        for event in _events(item, process, places, flows):
            yield between + json_of(event)
            between = ",\n"
    other = {"generator": f"orchgate {__version__}", **({"problems": "; ".join(problems)} if problems else {})}
    yield f'\n],"otherData":{json_of(other)}}}\n'


def _events(
    item: RunExport, process: int, places: dict[str, _Place], flows: Iterator[int]
) -> Iterator[Mapping[str, object]]:
    threads = _threads(item.spans)
    caller = places.get(item.spans[0].parent_id or "")
    if caller is None:
        places.clear()  # another run from outside: nothing that follows belongs to what came before
    yield from _names(item, process, threads)
    stages: dict[str, Span] = {}
    for span in sorted(item.spans, key=lambda one: (one.start, -one.end)):
        thread = threads.get(span.span_id)
        if thread is None:
            continue
        yield _slice(span, process, thread, item)
        if span.kind is SpanKind.STAGE:
            stages[span.span_id] = span
        if span.kind is SpanKind.ATTEMPT:
            places[span.span_id] = _Place(process, thread, span.start)
        for at, name in span.marks:
            yield {"ph": "i", "s": "p", "name": name, "pid": process, "tid": thread, "ts": _us(at)}
    yield from _counts(item, process)
    for span in stages.values():
        for needed in filter(None, map(stages.get, span.links)):
            end = _Place(process, threads[needed.span_id], max(needed.start, needed.end - 1000))
            yield from _flow("needs", next(flows), end, _Place(process, threads[span.span_id], span.start))
    if caller:
        yield from _flow("calls", next(flows), caller, _Place(process, 0, item.spans[0].start))


def _counts(item: RunExport, process: int) -> Iterator[Mapping[str, object]]:
    for at, number in item.running:
        counted = {"ph": "C", "name": "stages that run", "pid": process, "ts": _us(at)}
        yield {**counted, "args": {"stages": number}}


def _us(nanoseconds: int) -> int | float:
    return nanoseconds // 1000 if nanoseconds % 1000 == 0 else nanoseconds / 1000


def _slice(span: Span, process: int, thread: int, item: RunExport) -> Mapping[str, object]:
    args = {**span.facts, "span_id": span.span_id}
    if span.detail:
        args["detail"] = span.detail
    if span.kind is SpanKind.RUN:
        args |= {"trace_id": item.trace.trace_id}
        args |= {f"fault {number}": what for number, what in enumerate(item.faults, 1)}
        args |= {f"note {number}": what for number, what in enumerate(item.notes, 1)}
    times = {"ts": _us(span.start), "dur": _us(span.end - span.start)}
    kind = {"ph": "X", "name": span.name or "?", "cat": f"{span.kind.value},{span.outcome.value}"}
    return {**kind, "pid": process, "tid": thread, **times, "args": args}


def _flow(name: str, number: int, start: _Place, end: _Place) -> Iterator[Mapping[str, object]]:
    for phase, place in (("s", start), ("f", end)):
        event = {"ph": phase, "cat": name, "name": name, "id": number, "pid": place.process, "tid": place.thread}
        yield {**event, "ts": _us(place.at), **({"bp": "e"} if phase == "f" else {})}


def _names(item: RunExport, process: int, threads: Mapping[str, int]) -> Iterator[Mapping[str, object]]:
    def named(kind: str, thread: int, **args: object) -> Mapping[str, object]:
        return {"ph": "M", "name": kind, "pid": process, "tid": thread, "ts": 0, "args": args}

    run = item.run
    yield named("process_name", 0, name=f"{run.pipeline_id} of {run.task_id} ({run.run_id})")
    yield named("process_sort_index", 0, sort_index=process)
    for thread in sorted(set(threads.values())):
        name = (
            "run" if thread == 0 else f"waiting {thread - _WAITING + 1}" if thread >= _WAITING else f"stages {thread}"
        )
        yield named("thread_name", thread, name=name)
        yield named("thread_sort_index", thread, sort_index=thread)


def _threads(spans: Sequence[Span]) -> dict[str, int]:
    """The thread of each span: what belongs together is on one, and nothing else overlaps with it there."""
    top = spans[0].span_id
    by_id = {span.span_id: span for span in spans}
    threads = {span.span_id: 0 for span in spans if span.kind in (SpanKind.RUN, SpanKind.AWAY)}
    waits = [span for span in spans if span.kind is SpanKind.WAIT and span.parent_id == top]
    apart = threads.keys() | {span.span_id for span in waits}
    rest = [span for span in spans if span.span_id not in apart]
    return threads | _lanes(_groups(rest, by_id, top), 1) | _lanes(_by_stage(waits), _WAITING, _MOST_WAITING)


def _groups(spans: Iterable[Span], by_id: Mapping[str, Span], top: str) -> list[list[Span]]:
    """Spans by the outermost one around them, below the run's."""
    groups: dict[str, list[Span]] = {}
    for span in spans:
        outer = span
        while outer.parent_id and outer.parent_id != top:
            outer = by_id[outer.parent_id]
        groups.setdefault(outer.span_id, []).append(span)
    return list(groups.values())


def _by_stage(spans: Iterable[Span]) -> list[list[Span]]:
    groups: dict[int, list[Span]] = {}
    for span in spans:
        groups.setdefault(span.stage, []).append(span)
    return list(groups.values())


def _lanes(groups: Iterable[Sequence[Span]], first: int, most: int = 0) -> dict[str, int]:
    """A thread for each group, from `first` on: the lowest that is free. With `most`, what finds none has none."""
    busy: list[tuple[int, int]] = []  # until when, and the thread
    free: list[int] = []
    used, found = 0, {}
    for group in sorted(groups, key=lambda spans: min(one.start for one in spans)):
        start, end = min(one.start for one in group), max(one.end for one in group)
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free and most and used >= most:
            continue
        thread = heapq.heappop(free) if free else first + used
        used = max(used, thread - first + 1)
        heapq.heappush(busy, (end, thread))
        found.update(dict.fromkeys((one.span_id for one in group), thread))
    return found
