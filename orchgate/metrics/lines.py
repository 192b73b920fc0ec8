"""Lines of a metrics file as values, what the run in each cost, and the runs at the end of a file. Imports msgspec.

Our own entries and those of codex-orchestrator are checked while they are decoded; whatever else a line may be has a
name in `LineFault`, and is no run.

What a run cost is in whole numbers by the names of an aggregate, times in microseconds. It counts among the costs of
its pipeline when the run succeeded and no stage was answered from the cache; its attempts that failed before one passed
are part of what the success cost. A stage that succeeded counts, whatever became of its run.
"""

from __future__ import annotations

from datetime import UTC, datetime
from operator import itemgetter, le
from typing import Annotated, Any, ClassVar, Literal

from orchgate.lib.codec import Meta, MsgspecError, Struct, ValidationError, astuple, json
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple
from orchgate.metrics.aggregate import MICRO, SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence


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


class PlainStage(Struct, gc=False, forbid_unknown_fields=True):
    """A stage of which an entry says what it nearly always says, in the order of `runner.writer`, and nothing else."""

    id: Name
    status: Name
    wall_seconds: Seconds
    user_seconds: Seconds
    system_seconds: Seconds
    max_rss_bytes: Bytes
    read_bytes: Bytes
    written_bytes: Bytes
    tree_rss_bytes: ClassVar[None] = None
    processes: ClassVar[None] = None
    complete: ClassVar[None] = None
    lower_bounds: ClassVar[None] = None
    tests: ClassVar[None] = None
    flaky: ClassVar[bool] = False
    cached: ClassVar[bool] = False


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
    """What a program reported of itself, or was observed doing; of that, what has a name here."""

    manifest_writes: float | None = None


class RunLine(CostLine, gc=False, kw_only=True):
    """What an entry of ours says of a run as a whole."""

    entry: int | None = None  # 1; what else it may be is for `decode`
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


class EntryLine(RunLine, gc=False, kw_only=True):
    """One of our own, see `runner.writer`."""

    stages: list[StageLine] = []


class PlainEntry(RunLine, gc=False, kw_only=True):
    """One whose stages are plain: read in two thirds of the time."""

    stages: list[PlainStage] = []


Entry = EntryLine | ForeignLine

_FOREIGN, _OWN, _PLAIN = json.Decoder(ForeignLine), json.Decoder(EntryLine), json.Decoder(PlainEntry)
_foreign, _own = _FOREIGN.decode, _OWN.decode
_OPEN, _CLOSE = b"{}"
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
    return fault_of(entry) or entry


def fault_of(entry: Entry) -> LineFault | None:
    """Why an entry does not count although each of its values may be; None where it does."""
    started = entry.started_at
    if started < _FIRST_DAY or not started <= (entry.completed_at or started) < _LAST_DAY:
        return LineFault.BAD_TIME
    if isinstance(entry, RunLine) and entry.pipeline_id in entry.inside:
        return LineFault.OUTSIDE
    return None


Columns = dict[str, tuple[Any, ...]]


class Table(NamedTuple):
    """Entries or stages of one kind, at least one, and the same by field: what many have in common costs a look."""

    rows: Sequence[Any]
    columns: Columns


def table(rows: Sequence[Struct]) -> Table:
    return Table(rows, dict(zip(rows[0].__struct_fields__, zip(*map(astuple, rows), strict=True), strict=True)))


def decoded(block: bytearray, begins: Sequence[int], *, plain: bool = False) -> Table | None:
    """Whole lines, each with its line break, as runs of one kind; None where they are not, and `checked` has to look.

    `plain`: those of ours as `PlainEntry`, where they are.
    That each line is one value follows from their number and from how they begin and end: within a value, nothing that
    closes an object stands before one that opens, and no string holds a line break.
    """
    if not (len(begins) > 1 and block.endswith(b"}\n") and block.isascii()):
        return None
    opened, closed = itemgetter(*begins)(block), itemgetter(*[at - 2 for at in begins])(block)
    if set(opened) != {_OPEN} or set(closed) != {_CLOSE}:
        return None
    own = block.startswith(OWN)
    decoder: Any = _FOREIGN if not own else _PLAIN if plain else _OWN
    try:
        entries = decoder.decode_lines(block)
    except (MsgspecError, RecursionError, ValueError):
        return None
    if len(entries) != len(begins):
        return None
    found = table(entries)
    return found if _are_runs(found.columns, own=own) else None


def _are_runs(columns: Columns, *, own: bool) -> bool:
    """Whether `decode` would find nothing wrong with them, and each is of the kind that it was taken for."""
    starts, ends = columns["started_at"], ends_of(columns)
    if min(starts) < _FIRST_DAY or max(ends) >= _LAST_DAY or not all(map(le, starts, ends)):
        return False
    return set(columns["entry"]) == {1 if own else None} and not (own and any(columns["inside"]))


def ends_of(columns: Columns) -> Sequence[datetime]:
    ends = columns["completed_at"]
    return ends if all(ends) else [end or start for end, start in zip(ends, columns["started_at"], strict=True)]


def checked(line: bytes) -> Entry | LineFault:
    """As `decode`, of a line of any bytes."""
    try:
        line.decode()
    except UnicodeDecodeError:
        if not line.endswith(TORN):
            return LineFault.NOT_UTF8
    return decode(line, own=line.startswith(OWN))


def resumes(entry: Entry) -> int:
    return entry.resumes if isinstance(entry, RunLine) else 0


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


MOST_WRITES = 1 << 32  # as many as an entry of ours may count itself


def is_cached(entry: EntryLine) -> bool:
    return any([stage.cached for stage in entry.stages])  # noqa: C419 -- a list is quicker here


def costs_of_success(entry: Entry) -> Iterator[tuple[str, int]]:
    """What a run adds to its pipeline's costs, by name; times in microseconds. Nothing where it is none of them."""
    if entry.status == SUCCEEDED:
        yield from costs_of_run(entry)


def costs_of_run(entry: Entry) -> Iterator[tuple[str, int]]:
    """As `of_success`, whether the run succeeded or not."""
    if isinstance(entry, ForeignLine):
        if entry.duration_seconds is not None:
            yield "wall_seconds", round(entry.duration_seconds * MICRO)
        return
    if is_cached(entry):
        return
    reported = entry.metrics.manifest_writes if entry.metrics else None
    # A program's own writes are what can change; the runner's are the same in every run.
    writes = round(reported) if reported is not None and 0 <= reported < MOST_WRITES else entry.manifest_writes
    if writes is not None:
        yield "manifest_writes", writes
    if not _absent(entry):
        yield from costs_of(entry)
        return
    yield from ((name, value) for name, value in costs_of(entry) if name != "wall_seconds")


def costs_of(cost: CostLine) -> Iterator[tuple[str, int]]:
    # One by one: this is asked of every stage there ever was.
    if cost.wall_seconds is not None:
        yield "wall_seconds", round(cost.wall_seconds * MICRO)
    if cost.user_seconds is not None and cost.system_seconds is not None:
        yield "cpu_seconds", round((cost.user_seconds + cost.system_seconds) * MICRO)
    if cost.max_rss_bytes is not None:
        yield "max_rss_bytes", cost.max_rss_bytes
    if cost.tree_rss_bytes is not None:
        yield "tree_rss_bytes", cost.tree_rss_bytes
    if cost.read_bytes is not None:
        yield "read_bytes", cost.read_bytes
    if cost.written_bytes is not None:
        yield "written_bytes", cost.written_bytes
    if cost.processes is not None:
        yield "processes", cost.processes


def wall_microseconds(cost: ForeignLine | CostLine) -> int | None:
    """Microseconds; None where nobody knows."""
    seconds = cost.duration_seconds if isinstance(cost, ForeignLine) else cost.wall_seconds
    return None if seconds is None or (isinstance(cost, RunLine) and _absent(cost)) else round(seconds * MICRO)


def _absent(entry: RunLine) -> bool:
    """Whether the wall time holds hours in which nobody ran it: older versions counted them, and did not say so."""
    return entry.resumes > 0 and entry.away_seconds is None


def is_bound(cost: ForeignLine | CostLine, name: str) -> bool:
    """Whether a cost is known only to be at least what is recorded."""
    known = bounded_costs(cost)
    return known is not None and (not known or name in known)


def bounded_costs(cost: ForeignLine | CostLine) -> Collection[str] | None:
    """The costs that are lower bounds; an empty one means all, None for none."""
    if isinstance(cost, ForeignLine):
        return None
    return cost.lower_bounds or (() if cost.complete is False else None)
