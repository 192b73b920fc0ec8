"""The runs of this clone that may join a history, and those of them that a store lacks."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from orchgate.errors import OrchgateError
from orchgate.history import segments
from orchgate.history.entries import (
    MACHINE,
    RUN,
    HistoryEntry,
    LeftOut,
    counts_of,
    end_of,
    is_later,
    read_line,
    refusal,
    without_homes,
)
from orchgate.history.repositories import of_head
from orchgate.history.store import Within
from orchgate.lib import files
from orchgate.lib.files import NotRegularFileError
from orchgate.lib.paths import require_inside
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics.lines import LONGEST, LineFault
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from orchgate.history.repositories import RepositoryIdentity
    from orchgate.history.segments import HistorySegment, Line
    from orchgate.history.store import SegmentStore
    from orchgate.secrets.search import Patterns

_SHOWN = 60  # characters of what stands in a line
_CLOCKS = 3600.0  # seconds by which a store's clock may be behind ours; beyond, runs are sent again and count once


class Collected(NamedTuple):
    """The runs of a clone, each once, by id. `left_out` are those that do not count, and `unreadable` whole files.

    `uncommitted` counts runs that were recorded before there was a commit.
    """

    runs: Mapping[str, Line]
    left_out: tuple[LeftOut, ...] = ()
    uncommitted: int = 0
    unreadable: tuple[OrchgateError, ...] = ()


def ahead() -> datetime:
    """From when on a run is one of the future, for this machine's clock."""
    return datetime.now(UTC) + timedelta(seconds=ids.AHEAD_SECONDS)


def collect(root: str, limit: datetime) -> Collected:
    """What the metrics of all tasks say; `limit` is when the future begins."""
    found: list[Line] = []
    left_out: list[LeftOut] = []
    unreadable: list[OrchgateError] = []
    uncommitted = 0
    for path in _files(root):
        faults: list[LineFault] = []
        homes = 0
        try:
            require_inside(root, os.path.join(root, path))  # another project's runs are not ours to send
            for line in _lines(os.path.join(root, path)):
                entry = read_line(line)
                if entry is LineFault.BAD_TIME:
                    left_out.append(LeftOut(_run_of(line), "has a time that cannot be: a clock is wrong"))
                elif isinstance(entry, LineFault):
                    faults.append(entry)
                elif why := _refusal(entry, limit):
                    left_out.append(LeftOut(entry.run_id[:_SHOWN], why))
                elif entry.commit is None and not entry.foreign:
                    uncommitted += 1
                else:
                    homes += without_homes(entry)
                    found.append(segments.line_of(entry))
        except OrchgateError as error:
            unreadable.append(error)
        if homes:
            left_out.append(LeftOut("", f"{homes:,} figures of {path}: the name holds a path of somebody's home"))
        left_out += [
            LeftOut("", f"{number:,} of the lines of {path}: {kind}") for kind, number in counts_of(faults).items()
        ]
    return Collected(segments.best(found), tuple(left_out), uncommitted, tuple(unreadable))


def _refusal(entry: HistoryEntry, limit: datetime) -> str:
    if RUN.fullmatch(entry.run_id) is None:
        return "has an id that cannot be one"
    if MACHINE.fullmatch(entry.machine_class) is None:
        return "names no class of machines"
    return refusal(entry, limit)


def _run_of(line: bytes) -> str:
    """The id of what could not be read as a run, as far as it has one."""
    from orchgate.lib.codec import json

    value = json.decode(line)
    return str(value.get("run_id", ""))[:_SHOWN] if isinstance(value, dict) else ""


def _files(root: str) -> Iterator[str]:
    """The metrics of all tasks, by their paths. Raises OrchgateError."""
    runs = os.path.join(root, ids.RUNS)
    try:
        names = sorted(os.listdir(runs))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise OrchgateError(f"cannot list {runs}: {error.strerror}") from error
    for name in names:
        if os.path.lexists(os.path.join(runs, name, ids.METRICS)):
            yield f"{ids.RUNS}/{name}/{ids.METRICS}"


def _lines(path: str) -> Iterator[bytes]:
    """Whole lines, without their breaks; what nobody has finished writing is not one yet. Raises OrchgateError."""
    try:
        with open(files.open_regular(path), "rb") as file:
            while line := file.readline(LONGEST):
                if line.endswith(b"\n"):
                    if line != b"\n":
                        yield line[:-1]
                elif len(line) == LONGEST:
                    while line and not line.endswith(b"\n"):
                        line = file.readline(LONGEST)
                    yield b""
    except NotRegularFileError as error:
        raise OrchgateError(f"{path} is {error.kind}, not a regular file", "remove it") from error
    except OSError as error:
        raise OrchgateError(f"cannot read {path}: {error.strerror}", "ls -l shows who may read it") from error


def secrets_of(runs: Iterable[Line], patterns: Patterns) -> Mapping[str, str]:
    """The kind of secret that a name of a run looks like, by the run's id: all else that travels is numbers."""
    from orchgate.secrets import search

    known: dict[str, str] = {}
    found = {}
    for entry, _ in runs:
        for name in _names(entry):
            if name not in known:
                match = search.first(name.encode(errors="replace"), patterns)
                known[name] = match.pattern if match else ""
            if known[name]:
                found[entry.run_id] = known[name]
    return found


def _names(entry: HistoryEntry) -> Iterator[str]:
    """Every name in a run that somebody chose."""
    yield from (entry.task_id or "", entry.pipeline_id, *entry.flaky)
    for stage in entry.stages:
        yield from (stage.id, *stage.counters)
    for benchmark in entry.benchmarks:
        yield from (benchmark.name, benchmark.unit, benchmark.stage or "")


class Sent(NamedTuple):
    """Runs that a store lacked, the segments that they were put into, and their bytes; `stored` runs it had."""

    runs: int
    stored: int
    segments: int
    bytes: int


def send(store: SegmentStore, identity: RepositoryIdentity, runs: Collection[Line], *, dry_run: bool = False) -> Sent:
    """Adds what a store lacks of some runs of a repository; only counts it for a dry run. Raises OrchgateError."""
    first = min((entry.started_at.timestamp() for entry, _ in runs), default=0.0)
    within = Within(identity.name, frozenset(entry.month for entry, _ in runs), written=first - _CLOCKS)
    names = segments.concerned(store.names(within), (entry for entry, _ in runs)) if runs else ()
    ends = store.ends(names, lambda head: of_head(head).is_also(identity), {entry.run_id for entry, _ in runs})
    fresh = [line for line in runs if line[0].run_id not in ends or end_of(line[0]) > ends[line[0].run_id]]
    made = segments.made(identity.name, identity.roots, fresh, form=store.form)
    if made and not dry_run:
        store.add(made)
    return Sent(len(fresh), len(runs) - len(fresh), len(made), sum(map(len, made.values())))


def lacking(runs: Iterable[Line], stored: Sequence[HistorySegment]) -> list[Line]:
    """The runs that no segment has, or none as they ended."""
    known = segments.best(line for one in stored for line in one.runs)
    return [line for line in runs if line[0].run_id not in known or is_later(line[0], known[line[0].run_id][0])]
