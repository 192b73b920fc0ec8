"""When the commands of a codex-orchestrator run began, printed and ended: `runner.ndjson` and `commands/*.ndjson`.

The first is the whole run, the second one stage each, with the same lines. Logs of one JSON object a line, of any age
and in any state, are read as far as they can be. Imports msgspec; whoever reads no logs does not import this.
"""

from __future__ import annotations

from datetime import (
    UTC,
    datetime,
    timedelta,
)
from itertools import pairwise
from typing import Annotated, TypeVar

import msgspec

from orchgate.errors import Unreadable, Vanished
from orchgate.hotspots.timeline import BusySpan, Phase
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs.decode import ManifestError
from orchgate.runs.locate import read_file

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


class Moments(NamedTuple):
    """The moments that the logs record of one stage, in microseconds since the epoch; one `begins` for each attempt."""

    begins: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
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
    logged: dict[int, Moments] = {}
    if run.log_path:
        logged = _read(run.place(run.log_path), decoder, "the run's log", missing)
    spans: list[BusySpan] = []
    silences: dict[int, tuple[tuple[int, int], ...]] = {}
    attempts: dict[int, int] = {}
    moments = sorted(moment for one in logged.values() for moment in (*one.begins, *one.outputs, *one.ends))
    latest = moments[-1] if moments else start
    for stage in run.stages:
        one = logged.get(stage.number, Moments())
        if stage.started_at and stage.kind == "command" and not one.whole and stage.log_path:
            one = _better(one, run, stage, decoder, missing)
        found = _spans(stage, one, start, max(end, latest), missing, known=bool(logged))
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


def _better(
    one: Moments, run: Run, stage: StageRun, decoder: msgspec.json.Decoder[LogLine], missing: list[str]
) -> Moments:
    """What the stage's own log knows, where the run's log broke off before its end."""
    problems: list[str] = []
    own = _read(run.log(stage) or "", decoder, f"the log of stage {stage.id}", problems).get(stage.number, Moments())
    if not one.begins and (stage.finished or not problems[:1]):
        missing.extend(problems)
    return own if own.whole or len(own.begins) + len(own.ends) > len(one.begins) + len(one.ends) else one


def _read(path: str, decoder: msgspec.json.Decoder[LogLine], what: str, missing: list[str]) -> dict[int, Moments]:
    """A log's moments by stage. A clock that goes back stands still until it is where it was."""
    lines, problem = read_lines(path, decoder)
    if problem:
        missing.append(f"{what} {problem}")
    times, back = forward([microseconds(line.timestamp) for line in lines])
    if back > _JUMP:
        missing.append(f"{what}: the clock went back by {back / 1e6:.1f} s; times after that are too short")
    foreign = sum(line.type not in _KNOWN for line in lines)
    if lines and foreign == len(lines):
        missing.append(f"{what} is of another version: none of its {len(lines)} lines is of a known kind")
    found: dict[int, dict[str, list[int]]] = {}
    for line, time in zip(lines, times, strict=True):
        found.setdefault(line.index, {}).setdefault(line.type, []).append(time)
    return {index: _sorted(kinds) for index, kinds in found.items() if kinds.keys() & set(_KNOWN)}


def _sorted(kinds: dict[str, list[int]]) -> Moments:
    # Some versions know only the outer pair of lines.
    begins = kinds.get("exec:begin") or kinds.get("command:start") or []
    ends = kinds.get("exec:end") or kinds.get("command:end") or []
    return Moments(tuple(begins), tuple(kinds.get("exec:chunk", ())), tuple(ends))


def _spans(stage: StageRun, one: Moments, start: int, end: int, missing: list[str], *, known: bool) -> list[BusySpan]:
    """What is known of one stage; `known`: the logs mention other stages at least."""
    if not stage.started_at:
        return []
    started = microseconds(stage.started_at)
    over = microseconds(stage.completed_at) if stage.completed_at else end
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
    moments = [last, *(moment for moment in one.outputs if last < moment < ended), ended]
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


MAX_BYTES = 256 * 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Line = TypeVar("Line")


def read_lines(path: str, decoder: msgspec.json.Decoder[Line], max_bytes: int = MAX_BYTES) -> tuple[list[Line], str]:
    """The lines of a log that can be read, and in words what is wrong with the others, "" if nothing.

    A last line without a line break is whole if it can be read.
    """
    try:
        data = read_file(path, max_bytes)
    except ManifestError as error:
        return [], error.message
    except Vanished:
        return [], "is not there"
    except Unreadable as error:
        return [], error.message
    if not data.strip():
        return [], "is empty"
    try:
        return decoder.decode_lines(data), ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _one_by_one(data, decoder)


def _one_by_one(data: bytes, decoder: msgspec.json.Decoder[Line]) -> tuple[list[Line], str]:
    lines, bad = [], []
    numbered = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    for number, line in numbered:
        try:
            lines.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            bad.append(number)
    if bad == [numbered[-1][0]] and not data.endswith(b"\n"):
        return lines, "ends in the middle of a line"
    return lines, f"has {len(bad)} of {len(numbered)} lines that cannot be read, the first is line {bad[0]}"


def microseconds(moment: datetime) -> int:
    """Whole microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def forward(moments: Sequence[int]) -> tuple[list[int], int]:
    """Times in the order they were written, none before its predecessor, and the most that a clock went back.

    Both in microseconds.
    """
    latest, back, times = moments[0] if moments else 0, 0, []
    for moment in moments:
        back = max(back, latest - moment)
        latest = max(latest, moment)
        times.append(latest)
    return times, back
