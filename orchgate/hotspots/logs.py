"""When the commands of a codex-orchestrator run began, spoke and ended: `runner.ndjson` and `commands/*.ndjson`.

The first is the whole run, the second one stage each, with the same lines. Both may be cut off, or of another version.
Imports msgspec.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 -- msgspec looks at it when it runs
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec

from orchgate.hotspots import log_lines
from orchgate.hotspots.timeline import BusySpan, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchgate.runs.run import Run, StageRun

QUIET = 1_000_000  # microseconds without output that count as a silence
_JUMP = 50_000  # microseconds; two writers of one log may be off by that much
_KNOWN = ("command:start", "exec:begin", "exec:chunk", "exec:retry", "exec:end", "command:end")


class LogLine(msgspec.Struct, frozen=True):
    type: str
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    index: int


class Heard(NamedTuple):
    """What the logs say of one stage, in microseconds since the epoch; one `begins` for each attempt."""

    begins: tuple[int, ...] = ()
    spoke: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    @property
    def whole(self) -> bool:
        return bool(self.begins) and len(self.ends) >= len(self.begins)


class LogTimes(NamedTuple):
    """The stages' spans in microseconds since the run's start, the latest moment in any log since the epoch, and by
    the number of the stage its silences and how often its command was started.
    """

    spans: tuple[BusySpan, ...]
    latest: int
    silences: dict[int, tuple[tuple[int, int], ...]]
    attempts: dict[int, int]
    missing: tuple[str, ...]


def read_logs(run: Run, start: int, end: int, resumes: Sequence[int] = ()) -> LogTimes:
    """What the logs of a run say.

    `start` and `end` are the manifest's, `resumes` when the run was resumed, in microseconds since the epoch.
    """
    decoder = msgspec.json.Decoder(LogLine)
    missing: list[str] = []
    heard: dict[int, Heard] = {}
    if run.log_path:
        heard = _hear(run.place(run.log_path), decoder, "the run's log", missing)
    spans: list[BusySpan] = []
    silences: dict[int, tuple[tuple[int, int], ...]] = {}
    attempts: dict[int, int] = {}
    moments = sorted(moment for one in heard.values() for moment in (*one.begins, *one.spoke, *one.ends))
    latest = moments[-1] if moments else start
    for stage in run.stages:
        one = heard.get(stage.number, Heard())
        if stage.started_at and stage.kind == "command" and not one.whole and stage.log_path:
            one = _better(one, run, stage, decoder, missing)
        found = _spans(stage, one, start, max(end, latest), missing, known=bool(heard))
        spans += found
        silences[stage.number] = tuple((span.begin, span.end) for span in found if span.part is Phase.SILENT)
        attempts[stage.number] = max(len(one.begins), 1 if stage.started_at else 0)
    spans += _away(resumes, moments, start)
    return LogTimes(tuple(spans), latest, silences, attempts, tuple(missing))


def _away(resumes: Sequence[int], moments: Sequence[int], start: int) -> Iterable[BusySpan]:
    """Nobody ran the run between the last thing that was logged and the moment it was resumed."""
    for resume in resumes:
        left = max((moment for moment in moments if moment <= resume), default=start)
        yield BusySpan(left - start, resume - start, Phase.AWAY, 0)


def _better(one: Heard, run: Run, stage: StageRun, decoder: msgspec.json.Decoder[LogLine], missing: list[str]) -> Heard:
    """What the stage's own log knows, where the run's log broke off before its end."""
    problems: list[str] = []
    own = _hear(run.log(stage) or "", decoder, f"the log of stage {stage.id}", problems).get(stage.number, Heard())
    if not one.begins and (stage.finished or not problems[:1]):
        missing.extend(problems)
    return own if own.whole or len(own.begins) + len(own.ends) > len(one.begins) + len(one.ends) else one


def _hear(path: str, decoder: msgspec.json.Decoder[LogLine], what: str, missing: list[str]) -> dict[int, Heard]:
    """A log's moments by stage. A clock that goes back stands still until it is where it was."""
    lines, problem = log_lines.read(path, decoder)
    if problem:
        missing.append(f"{what} {problem}")
    times, back = log_lines.forward([log_lines.microseconds(line.timestamp) for line in lines])
    if back > _JUMP:
        missing.append(f"{what}: the clock went back by {back / 1e6:.1f} s; times after that are too short")
    foreign = sum(line.type not in _KNOWN for line in lines)
    if lines and foreign == len(lines):
        missing.append(f"{what} is of another version: none of its {len(lines)} lines is of a known kind")
    found: dict[int, dict[str, list[int]]] = {}
    for line, time in zip(lines, times, strict=True):
        found.setdefault(line.index, {}).setdefault(line.type, []).append(time)
    return {index: _sorted(kinds) for index, kinds in found.items() if kinds.keys() & set(_KNOWN)}


def _sorted(kinds: dict[str, list[int]]) -> Heard:
    # Some versions know only the outer pair of lines.
    begins = kinds.get("exec:begin") or kinds.get("command:start") or []
    ends = kinds.get("exec:end") or kinds.get("command:end") or []
    return Heard(tuple(begins), tuple(kinds.get("exec:chunk", ())), tuple(ends))


def _spans(stage: StageRun, one: Heard, start: int, end: int, missing: list[str], *, known: bool) -> list[BusySpan]:
    """What is known of one stage; `known`: the logs mention other stages at least."""
    if not stage.started_at:
        return []
    started = log_lines.microseconds(stage.started_at)
    over = log_lines.microseconds(stage.completed_at) if stage.completed_at else end
    if not one.begins:
        if known and not stage.finished:  # killed while it still waited for its command
            return [BusySpan(end - start, end - start, Phase.EXECUTING, stage.number)]
        if stage.kind == "command" and stage.log_path:
            missing.append(f"stage {stage.id}: how long it waited before its command is not in the logs")
        return [BusySpan(started - start, over - start, Phase.EXECUTING, stage.number)]
    last = one.begins[-1]
    ended = next((moment for moment in one.ends if moment >= last), None)
    if ended is None:
        ended = max(over, last)
        if stage.finished:
            missing.append(f"stage {stage.id}: the end of its command is not in the logs")
    spans = (
        [BusySpan(one.begins[0] - start, last - start, Phase.RETRYING, stage.number)] if last > one.begins[0] else []
    )
    moments = [last, *(moment for moment in one.spoke if last < moment < ended), ended]
    spans += _work(moments, start, stage.number)
    return [*spans, BusySpan(ended - start, max(over, ended) - start, Phase.RECORDING, stage.number)]


def _work(moments: Sequence[int], start: int, stage: int) -> Iterable[BusySpan]:
    """Executing, cut where there was no output for long. Silences count only where there was some output."""
    begin = moments[0]
    for one, other in pairwise(moments):
        if other - one >= QUIET and len(moments) > 2:
            if one > begin:
                yield BusySpan(begin - start, one - start, Phase.EXECUTING, stage)
            yield BusySpan(one - start, other - start, Phase.SILENT, stage)
            begin = other
    if moments[-1] > begin or begin == moments[0]:
        yield BusySpan(begin - start, moments[-1] - start, Phase.EXECUTING, stage)
