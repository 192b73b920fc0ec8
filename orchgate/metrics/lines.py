"""Lines of a metrics file as values: our own entries and those of codex-orchestrator. Imports msgspec.

Both are checked while they are decoded; whatever else a line may be has a name in `LineFault`, and is no run.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal

from msgspec import Meta, MsgspecError, Struct, ValidationError, json

MOST_SECONDS = 366 * 86400
MOST_BYTES = 1 << 44
LONGEST = 8 << 20  # bytes of a line with its break; no entry is that long, and a line has to fit into memory
TORN = b"\x18"  # ends what a writer never finished, see files.CANCEL
OWN = b'{"entry":1,'  # as `entries` writes them
_FIRST_DAY, _LAST_DAY = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

Name = Annotated[str, Meta(min_length=1, max_length=300)]
Moment = Annotated[datetime, Meta(tz=True)]
Seconds = Annotated[float, Meta(ge=0, le=MOST_SECONDS)]
Bytes = Annotated[int, Meta(ge=0, le=MOST_BYTES)]
Count = Annotated[int, Meta(ge=0, le=1 << 32)]
Status = Literal["succeeded", "failed", "cancelled"]


class LineFault(Enum):
    """Why a line does not count as a run."""

    TORN = "torn"
    NOT_UTF8 = "not UTF-8"
    NOT_JSON = "not JSON"
    TOO_LONG = "too long"
    NOT_AN_ENTRY = "not an entry"
    OTHER_VERSION = "entry of another version"
    INCOMPLETE = "missing field"
    BAD_VALUE = "impossible value"
    BAD_TIME = "impossible time"
    DUPLICATE = "duplicate run"
    SUPERSEDED = "superseded by a resumed run"
    OUTSIDE = "observed from outside, where the run inside counts"


class TestsLine(Struct, gc=False):
    passed: Count = 0
    failed: Count = 0
    skipped: Count = 0
    errors: Count = 0


class CostLine(Struct, gc=False, kw_only=True):
    """What a run or a stage cost, as entries write it. None: not measured.

    `lower_bounds` says which metrics the kernel did not give in full, and why; where `complete` is False and it
    names none, that is all of them.
    """

    wall_seconds: Seconds | None = None
    user_seconds: Seconds | None = None
    system_seconds: Seconds | None = None
    max_rss_bytes: Bytes | None = None
    tree_rss_bytes: Bytes | None = None
    read_bytes: Bytes | None = None
    written_bytes: Bytes | None = None
    processes: Count | None = None
    complete: bool | None = None
    lower_bounds: dict[str, str] | None = None
    tests: TestsLine | None = None


class StageLine(CostLine, gc=False, kw_only=True):
    id: Name
    status: Name
    flaky: bool = False
    cached: bool = False


class ForeignLine(Struct, gc=False, kw_only=True):
    """An entry of codex-orchestrator; it records neither stages nor machine nor what a run cost besides time."""

    run_id: Name
    pipeline_id: Name
    status: Status
    started_at: Moment
    completed_at: Moment | None = None
    duration_seconds: Seconds | None = None
    entry: int | None = None


class ProgramMetrics(Struct, gc=False):
    """What a program said of itself, or was observed doing; of that, what has a name here."""

    manifest_writes: float | None = None


class EntryLine(CostLine, gc=False, kw_only=True):
    """One of our own, see `entries`."""

    run_id: Name
    pipeline_id: Name
    status: Status
    started_at: Moment
    completed_at: Moment | None = None
    resumes: Count = 0
    away_seconds: Seconds | None = None  # left out of wall_seconds; older entries of resumed runs do not say
    machine: Name | None = None
    manifest_writes: Count | None = None  # the runner's own
    metrics: ProgramMetrics | None = None
    flaky: list[Name] = []
    inside: list[Name] = []  # pipelines of which the observed program recorded runs itself, in this file
    stages: list[StageLine] = []


Entry = EntryLine | ForeignLine

_foreign = json.Decoder(ForeignLine).decode
_own = json.Decoder(EntryLine).decode
_FIELDS = frozenset({"run_id", "pipeline_id", "status", "started_at"})


def decode(line: bytes | memoryview, *, own: bool) -> Entry | LineFault:
    """A line without its line break, which is known to be UTF-8. `own`: whether it begins as we write it."""
    try:
        if own:
            entry: Entry = _own(line)
        else:
            entry = _foreign(line)
            if entry.entry is not None:
                if entry.entry != 1:
                    return LineFault.OTHER_VERSION
                entry = _own(line)  # ours, written anew by somebody
    except (MsgspecError, RecursionError, ValueError):
        return _why(bytes(line))
    started = entry.started_at
    if started < _FIRST_DAY or not started <= (entry.completed_at or started) < _LAST_DAY:
        return LineFault.BAD_TIME
    if isinstance(entry, EntryLine) and entry.pipeline_id in entry.inside:
        return LineFault.OUTSIDE
    return entry


def checked(line: bytes) -> Entry | LineFault:
    """As `decode`, of a line of any bytes."""
    if _undecodable(line) and not line.endswith(TORN):
        return LineFault.NOT_UTF8
    return decode(line, own=line.startswith(OWN))


def resumes(entry: Entry) -> int:
    return entry.resumes if isinstance(entry, EntryLine) else 0


def _undecodable(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return True
    return False


def _why(line: bytes) -> LineFault:
    if line.endswith(TORN):
        return LineFault.TORN
    try:
        value: Any = json.decode(line)
    except ValidationError:  # JSON, but a number that no machine holds
        return LineFault.BAD_VALUE
    except (MsgspecError, RecursionError, ValueError):
        return LineFault.NOT_JSON
    if not isinstance(value, dict) or not _FIELDS & value.keys():
        return LineFault.NOT_AN_ENTRY
    if value.get("entry", 1) != 1:
        return LineFault.OTHER_VERSION
    if not value.keys() >= _FIELDS:
        return LineFault.INCOMPLETE
    return LineFault.BAD_TIME if _bad_time(line) else LineFault.BAD_VALUE


class _Times(Struct, gc=False):
    started_at: Moment
    completed_at: Moment | None = None


def _bad_time(line: bytes) -> bool:
    try:
        json.decode(line, type=_Times)
    except ValidationError:
        return True
    return False
