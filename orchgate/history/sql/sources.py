"""Runs as DuckDB is asked about them, wherever they come from: parts of a store, or runs that were read one by one."""

from __future__ import annotations

import contextlib
import os

from orchgate.history import parquet
from orchgate.history.parquet import COLUMNS, written
from orchgate.history.segments import VERSION, Head, best
from orchgate.history.sql import parts
from orchgate.history.sql.bounds import bounded, interruptible
from orchgate.history.sql.relations import GoodPart, connected, lay, lock, settle
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from duckdb import DuckDBPyConnection

    from orchgate.history.objects.part_store import PartStore
    from orchgate.history.repositories import RepositoryIdentity
    from orchgate.history.segments import Line, SegmentFault
    from orchgate.history.sql.relations import Settled
    from orchgate.history.store import Within

_MOST_RUNS = 50_000  # of a part that is made here


class Bounds(NamedTuple):
    """What counts and what may be spent: `limit` is when the future begins."""

    limit: datetime
    since: datetime | None
    memory: str
    seconds: float | None = None


class HistoryDatabase(NamedTuple):
    """A database in which each run is once; no query of it can read anything else."""

    database: DuckDBPyConnection
    settled: Settled
    faults: Sequence[SegmentFault] = ()
    where: str = ""


@contextlib.contextmanager
def of_store(there: PartStore, within: Within, bounds: Bounds) -> Iterator[HistoryDatabase]:
    """The parts of a store that may hold what is asked for. Raises OrchgateError."""
    with parquet.scratch() as scratch:
        good, faults = parts.good(there, there.names(within), there.memory, scratch)
        with _settled(good, bounds, scratch) as asked:
            yield asked._replace(faults=faults, where=there.where)


@contextlib.contextmanager
def of_lines(found: Iterable[tuple[RepositoryIdentity, Sequence[Line]]], bounds: Bounds) -> Iterator[HistoryDatabase]:
    """Runs of repositories. Raises OrchgateError."""
    with parquet.scratch() as scratch:
        with interruptible():
            made = [part for at, (one, lines) in enumerate(_joined(found)) for part in _made(scratch, at, one, lines)]
        with _settled(made, bounds, scratch) as asked:
            yield asked


@contextlib.contextmanager
def _settled(good: Sequence[GoodPart], bounds: Bounds, scratch: str) -> Iterator[HistoryDatabase]:
    with connected(scratch, bounds.memory) as database, bounded(database, bounds.seconds):
        lay(database, good)
        settled = settle(database, bounds.limit, bounds.since)
        lock(database, [part.path for part in good])
        yield HistoryDatabase(database, settled)


def _joined(
    found: Iterable[tuple[RepositoryIdentity, Sequence[Line]]],
) -> Iterator[tuple[RepositoryIdentity, Sequence[Line]]]:
    """The lines of each repository together, as a part for each of many segments takes a multiple; each run once."""
    every: dict[RepositoryIdentity, list[Line]] = {}
    for identity, lines in found:
        every.setdefault(identity, []).extend(lines)
    for identity, lines in every.items():
        yield identity, list(best(lines).values())


def _made(scratch: str, at: int, identity: RepositoryIdentity, lines: Sequence[Line]) -> Iterator[GoodPart]:
    for start in range(0, len(lines), _MOST_RUNS):
        some = lines[start : start + _MOST_RUNS]
        head = Head(
            history=VERSION, repository=identity.name, roots=identity.roots, machine="-", month="-", runs=len(some)
        )
        path = os.path.join(scratch, f"made-{at}-{start}.parquet")
        files.replace_beside(path, written(head, some))
        yield GoodPart(path, head, frozenset(column.name for column in COLUMNS))
