"""A run as it travels: what of its entry may leave the machine, the same bytes wherever they are written.

Only the fields of `HistoryEntry` do: what a run cost, what it measured and how it ended, never a host, a user, a path,
a command line or a message. Fields that a reader does not know it ignores, so that a later version may add some.
Imports msgspec.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from orchgate.lib.codec import Meta, MsgspecError, Struct, json
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics import lines
from orchgate.metrics.aggregate import COSTS, UNKNOWN
from orchgate.metrics.lines import Count, EntryLine, ForeignLine, LineFault, Name, ProgramMetrics, StageLine, TestsLine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.metrics.lines import Entry

VERSION = 1  # of an entry, as `orchgate run` writes it
MOST_BENCHMARKS = 500  # of one run that travel; a segment that a later version wrote may hold more
Figure = Annotated[float, Meta(ge=-1e308, le=1e308)]
# What may stand in the name of a segment.
RUN = lazy(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MACHINE = lazy(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# A tool may call a benchmark by the command it runs.
_HOME = lazy(r"(?<![\w.~+-])/(?:home|Users|root)/[^\s/]|(?<![\w.~+/-])~/[^\s/]")
NEVER = datetime(1, 1, 1, tzinfo=UTC)


class HistoryTests(TestsLine, gc=False, omit_defaults=True):
    """Tests of a run or of a stage; written are those that there were."""


class HistoryMetrics(ProgramMetrics, gc=False, omit_defaults=True):
    """What a program reported under the name of a declared measure."""


class HistoryBenchmark(Struct, gc=False, kw_only=True, omit_defaults=True):
    """What a named benchmark took in a run. `stage` is the one that measured it, None where several may have."""

    name: Name
    value: Figure
    unit: Name = "s"
    stage: Name | None = None


class HistoryStage(StageLine, gc=False, kw_only=True, omit_defaults=True, rename={"counters": "metrics"}):
    """`counters` are the figures that the stage itself reported, by name: `metrics` of an entry, and as written."""

    tests: HistoryTests | None = None
    counters: dict[Name, Figure] = {}


class HistoryEntry(EntryLine, gc=False, kw_only=True, omit_defaults=True):
    """A run; `foreign` is one that another program recorded, of which only its end and its duration are known.

    Why a cost is a lower bound stays where the run was recorded: `lower_bounds` say which ones are.
    """

    entry: Count = VERSION
    task_id: Name | None = None
    commit: Name | None = None
    tree: Name | None = None
    dirty: bool = False
    foreign: bool = False
    tests: HistoryTests | None = None
    metrics: HistoryMetrics | None = None
    benchmarks: list[HistoryBenchmark] = []
    stages: list[HistoryStage] = []  # type: ignore[assignment]  # narrower, and nobody changes it

    @property
    def month(self) -> str:
        return f"{self.started_at:%Y-%m}"

    @property
    def machine_class(self) -> str:
        return self.machine or UNKNOWN


class LeftOut(NamedTuple):
    """A run, or what may be one, that does not count: which one, and why."""

    run: str
    why: str


decode_entry = json.Decoder(HistoryEntry).decode
decode_entries = json.Decoder(HistoryEntry).decode_lines
encode = json.Encoder(order="sorted").encode  # the same bytes, however a version orders its fields


def rank(entry: HistoryEntry, line: bytes) -> tuple[int, datetime, bytes]:
    """Of several entries of a run the one with the largest rank counts; no two that differ have the same."""
    return *end_of(entry), line


def end_of(entry: HistoryEntry) -> tuple[int, datetime]:
    """How far a run had come: of two entries of it, the one with the larger end tells more."""
    return entry.resumes, entry.completed_at or NEVER


def is_later(entry: HistoryEntry, than: HistoryEntry) -> bool:
    """Whether an entry tells more of a run than another one; how a version writes it is no news."""
    return end_of(entry) > end_of(than)


def read_line(line: bytes) -> HistoryEntry | LineFault:
    """A line of a metrics file, without its break, as it may travel; or why it is no run."""
    if line.startswith(lines.OWN):
        try:
            entry = decode_entry(line)
            return lines.fault_of(entry) or _travelling(entry)
        except (MsgspecError, RecursionError, ValueError):
            pass
    found = lines.checked(line)
    if isinstance(found, LineFault):
        return found
    if isinstance(found, ForeignLine):
        return _of_foreign(found, line)
    return _written_anew(line)


def _written_anew(line: bytes) -> HistoryEntry | LineFault:
    """One of ours that begins otherwise than we write it, or of whose values one that travels is none."""
    try:
        return _travelling(decode_entry(line))
    except (MsgspecError, RecursionError, ValueError):
        return LineFault.BAD_VALUE


def _travelling(entry: HistoryEntry) -> HistoryEntry:
    entry.started_at = entry.started_at.astimezone(UTC)
    entry.completed_at = entry.completed_at and entry.completed_at.astimezone(UTC)
    entry.inside = []
    if len(entry.benchmarks) > MOST_BENCHMARKS:
        entry.benchmarks = entry.benchmarks[:MOST_BENCHMARKS]
    for cost in (entry, *entry.stages):
        if cost.lower_bounds is not None:
            cost.lower_bounds = {name: "" for name in COSTS if name in cost.lower_bounds}
    return entry


def without_homes(entry: HistoryEntry) -> int:
    """Takes out the figures whose names hold a path of somebody's home; how many there were."""
    benchmarks = [one for one in entry.benchmarks if not _HOME.search(one.name)]
    gone = len(entry.benchmarks) - len(benchmarks)
    entry.benchmarks = benchmarks
    for stage in entry.stages:
        for name in [name for name in stage.counters if _HOME.search(name)]:
            del stage.counters[name]
            gone += 1
    return gone


def _of_foreign(found: ForeignLine, line: bytes) -> HistoryEntry:
    """An entry of codex-orchestrator, which knows neither machine nor tree."""
    task = json.decode(line).get("task_id")
    return HistoryEntry(
        run_id=found.run_id,
        pipeline_id=found.pipeline_id,
        status=found.status,
        started_at=found.started_at.astimezone(UTC),
        completed_at=found.completed_at and found.completed_at.astimezone(UTC),
        wall_seconds=found.duration_seconds,
        task_id=task if isinstance(task, str) and 0 < len(task) <= 300 else None,
        foreign=True,
    )


def refusal(entry: HistoryEntry, ahead: datetime) -> str:
    """Why a run may not be counted by now, "" where it may; `ahead` is what no clock in order says yet."""
    if entry.entry != VERSION:
        return f"is an {LineFault.OTHER_VERSION.value} ({entry.entry})"
    if entry.started_at >= ahead or (entry.completed_at or entry.started_at) >= ahead:
        return f"is dated in the future ({entry.started_at:%Y-%m-%d %H:%M} UTC): a clock is wrong"
    if entry.completed_at is not None and entry.completed_at < entry.started_at:
        return "ended before it began"
    return ""


def as_counted(entry: HistoryEntry) -> Entry:
    """The entry as `metrics.fold` takes it."""
    if not entry.foreign:
        return entry
    return ForeignLine(
        run_id=entry.run_id,
        pipeline_id=entry.pipeline_id,
        status=entry.status,
        started_at=entry.started_at,
        completed_at=entry.completed_at,
        duration_seconds=entry.wall_seconds,
    )


def counts_of(found: Sequence[LineFault]) -> Mapping[str, int]:
    """How many lines are no runs, by why."""
    return {fault.value: found.count(fault) for fault in LineFault if fault in found}
