"""Reads runs for an export, whichever program recorded them and whatever state their files are in.

A journal is the truth where there is one. What is wrong with a record is a fault, which no export passes over: it is
named, and formats that know of success say that there is none. What a record never held is a note.
"""

from __future__ import annotations

import os
from itertools import islice

from orchgate.errors import OrchgateError
from orchgate.exports.timing import JournalTimes, forward, from_manifest, nanoseconds
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import decode, ids, journal, locate
from orchgate.runs.inspection import contradictions
from orchgate.runs.run import checked, from_journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from orchgate.exports.spans import ChildSpan, Span
    from orchgate.runs.ids import RunTrace, SpanContext
    from orchgate.runs.journal import JournalEvents
    from orchgate.runs.run import Run

LATEST = 2**63 - 1  # nanoseconds since 1970, which is in 2262
_NESTED = 16  # runs call each other no deeper
_LISTED = 5  # contradictions, of which more would say no more
_FOREIGN = "another program recorded it: what attempts, waits and stages cost is not known"
_UNENDED = "the run has not ended: times end with its last sign of life"


class RunExport(NamedTuple):
    """A run with its spans, its own first. `running` are moments with how many stages ran from then on.

    `link` is the span within which it was made, where that is of another trace.
    """

    run: Run
    trace: RunTrace
    spans: tuple[Span, ...]
    running: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    link: SpanContext | None = None


class UnreadRun(NamedTuple):
    """A run of which nothing can be said but why."""

    path: str
    message: str
    hint: str = ""


class _Record(NamedTuple):
    run: Run
    found: JournalEvents | None
    notes: tuple[str, ...]
    faults: tuple[str, ...]


def exports(folders: Iterable[str]) -> Iterator[RunExport | UnreadRun]:
    """The runs in some folders, each followed by those that it called or that were recorded within it; each once."""
    seen: set[str] = set()
    for folder in sorted(folders, key=os.path.basename):  # who calls began before who is called
        if os.path.realpath(folder) not in seen:
            yield from _with_children(folder, None, seen, _NESTED)


class _Around(NamedTuple):
    span: SpanContext
    called: bool


def _with_children(folder: str, around: _Around | None, seen: set[str], depth: int) -> Iterator[RunExport | UnreadRun]:
    seen.add(os.path.realpath(folder))
    try:
        record = _read(folder)
    except OrchgateError as error:
        yield UnreadRun(folder, error.message, error.hint)
        return
    item, children = _export(record, around)
    yield item
    for child in children:
        place = os.path.dirname(os.path.join(folder, child.path))
        if depth and os.path.realpath(place) not in seen:
            yield from _with_children(place, _Around(child.around, child.called), seen, depth - 1)


def _export(record: _Record, around: _Around | None) -> tuple[RunExport, tuple[ChildSpan, ...]]:
    """A run, and those that it called or that were recorded within it."""
    run, events = record.run, record.found.events if record.found else ()
    trace, notes = _trace(run, around)
    if events:
        times, back = forward(nanoseconds(event["at"]) for event in events)
        timings = JournalTimes(run, trace, events, times).of(events)
        notes += (f"the clock went back by {back / 1e9:.1f} s; times after that are too short",) if back else ()
    else:
        timings = from_manifest(run, trace)
    whole = timings.spans[0]
    if whole.start < 0 or whole.end > LATEST:
        notes += ("it has times before 1970 or after 2262, which not every format can hold",)
    link = around.span if around and around.span.trace_id != trace.trace_id else None
    notes = (*record.notes, *notes)
    return RunExport(run, trace, timings.spans, timings.running, notes, record.faults, link), timings.children


def _trace(run: Run, around: _Around | None) -> tuple[RunTrace, tuple[str, ...]]:
    """The trace that a run is part of: older versions did not record it for the runs of sub-pipelines."""
    named = ids.span_context(run.traceparent) if run.traceparent else None
    notes = (f"its traceparent is malformed: {run.traceparent[:80]}",) if run.traceparent and named is None else ()
    return ids.run_trace(run.run_id, named or (around.span if around and around.called else None)), notes


def _read(folder: str) -> _Record:
    """Raises OrchgateError when neither a manifest nor a journal of ours can be read."""
    path = os.path.join(folder, ids.MANIFEST)
    faults: list[str] = []
    document = _document(path, faults)
    if document is not None and not locate.is_derived(document):
        return _foreign(document, path)
    try:
        data = journal.beside(path)
        if data is None:
            raise OrchgateError("it is not there, and alone a manifest proves nothing")
        found = journal.parse(data)
        run = from_journal(found.events, path)
    except OrchgateError as error:
        if document is None:
            raise OrchgateError(f"{faults[0]}; its journal cannot be used: {error.message}", error.hint) from error
        return _of_manifest(document, path, f"its journal cannot be used: {error.message}")
    if document is not None and (problem := journal.difference_from(document, found.events)):
        faults.append(f"its manifest contradicts its journal: {journal.sentence(problem)}")
    torn = ", ".join(map(str, found.torn[:20]))
    notes = (f"lines of its journal that were never finished: {torn}",) if torn else ()
    return _Record(run, found, notes, (*faults, *_flaws(run)))


def _document(path: str, faults: list[str]) -> Mapping[str, Any] | None:
    try:
        return decode.parse(locate.read_file(path, decode.MAX_BYTES))
    except OrchgateError as error:
        faults.append(f"its manifest cannot be used: {error.message}")
        return None


def _flaws(run: Run) -> tuple[str, ...]:
    """What in a record cannot all be true, and that its run has not ended."""
    found = islice(contradictions(run), _LISTED)
    unended = () if run.finished and run.completed_at else (_UNENDED,)
    return (*(f"its record contradicts itself: {journal.sentence(problem)}" for problem in found), *unended)


def _of_manifest(document: Mapping[str, Any], path: str, fault: str) -> _Record:
    run = checked(document, path)
    return _Record(run, None, (), (fault, *_flaws(run)))


def _foreign(document: Mapping[str, Any], path: str) -> _Record:
    """A run of another program: as far as its manifest goes, and without secrets, which nobody looked for."""
    from orchgate.secrets.redact import redacted

    run = checked(document, path)
    faults = list(_flaws(run))
    try:
        journal.require(document, lambda: journal.beside(path))
    except OrchgateError as error:
        faults.append(f"its manifest {error.message}")
    shown = ("title", "command", "summary", "status_detail")
    stages = []
    for stage in run.stages:
        clean = {key: redacted(value) for key in shown if (value := getattr(stage, key))}
        stages.append(type(stage)(**{**stage.asdict(), **clean}))
    clean = {key: redacted(value) for key in ("summary", "status_detail") if (value := getattr(run, key))}
    run = type(run)(**{**run.asdict(), **clean, "stages": tuple(stages)})
    return _Record(run, None, (_FOREIGN,), tuple(faults))
