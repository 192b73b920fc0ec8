"""Whether the trend of what is pushed has a change behind it: a note, from what is recorded or was fetched here.

Nobody is asked over the network, and nothing of it refuses a push. It looks at CPU time of the pipeline that pushes are
measured by, on this class of machines, and at no more runs than cost a few hundredths of a second.
"""

from __future__ import annotations

import os
from itertools import islice

from orchgate.errors import OrchgateError
from orchgate.git.store.reference import Store
from orchgate.history import git_store, segments
from orchgate.history.entries import HistoryEntry, read_line
from orchgate.history.segments import HistorySegment
from orchgate.lib.codec import json
from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.metrics.tail import lines_at_end
from orchgate.model import Severity, Step
from orchgate.speed.push import recorded_runs
from orchgate.speed.push.findings import that
from orchgate.trends import changes, commits, drift, streams, told
from orchgate.trends.streams import StreamKey
from orchgate.verdict import baseline, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.model import Finding
    from orchgate.speed.push.bounds import PushRequest
    from orchgate.trends.changes import TrendChange
    from orchgate.trends.streams import CommitLine, Stream

MOST_COMMITS = 2_000  # first parents of head
MOST_FILES = 16  # metrics of tasks, those that were written last
MOST_BYTES = 1 << 20  # at the end of each
MOST_SEGMENTS = 64  # that were fetched, the newest
NEWEST = 5  # runs that say whether a change still holds
NEAR = 20  # commits before the pushed ones: an older change is no news


def notes(request: PushRequest, machine: str) -> tuple[Finding, ...]:
    """At most one. Raises OrchgateError, OSError where what is recorded cannot be read."""
    line = commits.line_to(request.repository, request.head, "", MOST_COMMITS)
    if line is None or request.repository.shallow:
        return ()
    stream = _stream(request, machine, line)
    if stream is None:
        return ()
    recent = [one for one in changes.of_stream(stream) if _is_news(request, line, one)]
    if not recent or _is_undone(stream, recent[-1]) or _is_accepted(request, machine, line, recent[-1]):
        return ()
    return (_note(request, line, recent[-1]),)


def _stream(request: PushRequest, machine: str, line: CommitLine) -> Stream | None:
    key = StreamKey("", request.pipeline, machine, streams.METRICS[0])
    runs = {entry.run_id: entry for entry in islice(_runs(request, machine, line), streams.MOST_RUNS)}
    found = streams.of_entries("", runs.values(), line, parts=False)
    return next((stream for stream in found if stream.key == key), None)


def _runs(request: PushRequest, machine: str, line: CommitLine) -> Iterator[HistoryEntry]:
    """Those that count for the trend: own ones, then those that were fetched, the newest first of each."""
    for entry in _own(request, machine):
        if entry.commit in line.places and streams.counts(entry):
            yield entry
    for one in _fetched(request, machine):
        for entry, _ in reversed(one.runs):
            if entry.pipeline_id == request.pipeline and entry.commit in line.places and streams.counts(entry):
                yield entry


def _own(request: PushRequest, machine: str) -> Iterator[HistoryEntry]:
    named = [b'"pipeline_id":' + json.encode(request.pipeline), b'"machine":' + json.encode(machine)]
    for path in islice(recorded_runs.metrics_files(request, []), MOST_FILES):
        for line in reversed(list(lines_at_end(path, MOST_BYTES))):
            entry = read_line(line) if all(name in line for name in named) else None
            if isinstance(entry, HistoryEntry) and (entry.pipeline_id, entry.machine) == (request.pipeline, machine):
                yield entry


def _fetched(request: PushRequest, machine: str) -> Iterator[HistorySegment]:
    source, _ = git_store.fetched(Store(request.repository, request.environ, git_store.HISTORY))
    ours = [name.rsplit("/", 2) for name in source.names() if f"/{machine}-" in name]
    newest = sorted(ours, key=lambda parts: parts[1:], reverse=True)[:MOST_SEGMENTS]
    for name, content in source.read(["/".join(parts) for parts in newest]):
        one = segments.parse(name, content) if isinstance(content, bytes) else None
        if isinstance(one, HistorySegment):
            yield one


def _is_news(request: PushRequest, line: CommitLine, one: TrendChange) -> bool:
    """Whether it is for the worse, of a commit, and not long ago."""
    first_after = line.places.get(one.range.first_after or "")
    begin = line.places.get(request.base or "", 0)
    return one.by > 0 and first_after is not None and first_after > begin - NEAR


def _is_undone(stream: Stream, one: TrendChange) -> bool:
    """Whether the newest runs are nearer to what was before it, as after a revert."""
    return median(stream.values[-NEWEST:]) ** 2 < one.before * one.after


def _is_accepted(request: PushRequest, machine: str, line: CommitLine, one: TrendChange) -> bool:
    """Whether a baseline was recorded since, by which that is how much it takes."""
    record = baseline.load(request.repository.root).of(request.pipeline, machine)
    return record is not None and drift.accepts(record, one, line)


def _note(request: PushRequest, line: CommitLine, one: TrendChange) -> Finding:
    pushed = line.places[one.range.first_after or ""] > line.places.get(request.base or "", -1)
    moved = f"{told.amount(one.key, one.before)} -> {told.amount(one.key, one.after)}"
    whose = "in this push" if pushed else "before this push"
    said = f": recorded {told.metric(one.key)} {words.percent(one.by)} ({moved}), {told.place(one)}, {whose}"
    return that(request, "PRF009", Severity.NOTE, said, Step("to see more", "orchgate history show"))


def why_not(error: OrchgateError | OSError) -> str:
    """Why nothing could be said of the trend."""
    return error.message if isinstance(error, OrchgateError) else error.strerror or os.strerror(error.errno or 0)
