"""A part of Parquet that anybody may have written, as lines: the head, and then the runs that its rows add up to.

Sizes are asked for before anything is decoded, and whatever is not as `parquet` writes it has a name. That each value
may be one is for whoever reads the lines, as of any segment. Run as a program by `parquet_parts`. Imports DuckDB.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from operator import itemgetter

from orchgate.history.entries import VERSION, HistoryBenchmark, HistoryEntry, HistoryMetrics, HistoryStage, HistoryTests
from orchgate.history.parquet import (
    BENCHMARK,
    COLUMNS,
    COSTS,
    COUNTER,
    HEAD,
    KINDS,
    RUN,
    SHARED,
    STAGE,
    TESTS,
    TIME,
    connected,
    quoted,
)
from orchgate.history.segments import head_of, line_of, written
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.metrics.lines import is_cached

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import IO, Any

    from duckdb import DuckDBPyConnection

    from orchgate.history.segments import Head, Line

LINES, WHY = b"L", b"W"  # what an answer begins with, before its length
LENGTH = 8  # bytes
MOST_MEMORY = 4 << 30  # of the process, with what DuckDB keeps itself to
MOST_SECONDS = 60  # of CPU, for a part
MOST_ROWS = 5_000_000
MOST_TEXT = 512 << 20  # bytes of the text of a part, decoded
OTHERWISE = "says otherwise of a run than its rows do"
_MOST_COLUMNS = 1_000
_BATCH = 10_000
_TYPES = {column.name: column.type for column in COLUMNS}
_SHARED = [column.name for column in SHARED]
_COST_NAMES = tuple(name for name, _ in COSTS)
_AT = {name: at for at, name in enumerate(_TYPES)}
# Of a row, by place: this is asked of every row there ever was.
_BOUNDS = _AT["lower_bounds"]
_costs = itemgetter(*(_AT[name] for name in _COST_NAMES))
_tests = itemgetter(*(_AT[f"tests_{name}"] for name in TESTS))
_end = itemgetter(_AT["status"], _AT["cached"])
_STAGE = _AT["stage"]
_of_stage = itemgetter(*(_AT[name] for name in ("stage", "status", "flaky", "cached")))
_figure = itemgetter(*(_AT[name] for name in ("stage", "name", "value", "unit")))
_NO_TESTS = (None,) * len(TESTS)
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MAGIC = b"PAR1"
_FROM = "FROM read_parquet($path, hive_partitioning = false)"


def lines_of(database: DuckDBPyConnection, path: str) -> bytes | str:
    """The part at a path as JSON Lines, or why there are none."""
    import duckdb

    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC or file.seek(-len(_MAGIC), 2) < len(_MAGIC) or file.read() != _MAGIC:
            return "is not Parquet, or ends in the middle"
    try:
        return _lines_of(database, path)
    except (duckdb.OutOfMemoryException, MemoryError):
        return "is too large to be read"
    except (duckdb.Error, OverflowError, RuntimeError, TypeError, UnicodeError, ValueError):
        return "cannot be read as Parquet: it is damaged, or made to look like a part"


def _lines_of(database: DuckDBPyConnection, path: str) -> bytes | str:
    head = _head_of(database, path)
    if isinstance(head, str):
        return head
    columns = _columns(database, path)
    if isinstance(columns, str):
        return columns
    if why := _immoderate(database, path, columns, head):
        return why
    runs = _runs(database, path, columns)
    if isinstance(runs, str):
        return runs
    head.more = _holds_more(database, path)
    return written(head, runs)


def _head_of(database: DuckDBPyConnection, path: str) -> Head | str:
    query = "SELECT value FROM parquet_kv_metadata($path) WHERE key = $key::BLOB LIMIT 2"
    found = database.execute(query, {"path": path, "key": HEAD}).fetchall()
    return head_of(found[0][0] + b"\n") if len(found) == 1 else "does not begin as one"


def _columns(database: DuckDBPyConnection, path: str) -> Mapping[str, str] | str:
    """What of our columns is there, each as its own name in SQL."""
    found = database.execute(f"DESCRIBE SELECT * {_FROM}", {"path": path}).fetchmany(_MOST_COLUMNS)
    types = {name: type_ for name, type_, *_ in found}
    for name, type_ in _TYPES.items():
        if types.get(name, type_) != type_:
            return f"has a column {name} of another type"
    return {name: f'"{name}"' if name in types else f"NULL::{type_}" for name, type_ in _TYPES.items()}


def _holds_more(database: DuckDBPyConnection, path: str) -> bool:
    """Whether it has columns, or rows of a kind, that only a later version knows."""
    names = {row[0] for row in database.execute(f"DESCRIBE SELECT * {_FROM}", {"path": path}).fetchall()}
    if names - _TYPES.keys():
        return True
    known = ", ".join(quoted(kind) for kind in KINDS)
    found = database.execute(f"SELECT count_if(kind NOT IN ({known})) {_FROM}", {"path": path}).fetchone()
    return bool(found and found[0])


def _immoderate(database: DuckDBPyConnection, path: str, columns: Mapping[str, str], head: Head) -> str:
    """Whether it holds more than any part does, or is of two repositories; looked at without handing out a row."""
    claims = database.execute("SELECT sum(num_rows) FROM parquet_file_metadata($path)", {"path": path}).fetchone()
    claimed = (claims and claims[0]) or 0
    if not 0 < claimed <= MOST_ROWS:
        return f"says that it holds {claimed:,} rows; at most {MOST_ROWS:,} are read"
    known = _known(columns)
    bad = ", ".join(f"count_if({known} AND ({one}))" for one in (_strange(columns), _foreign(columns)))
    sums = f"count(*), sum(if({known}, {text_of(columns)}, 0)), {bad}"
    whose = {"repository": head.repository, "roots": head.roots}
    found = database.execute(f"SELECT {sums} {_FROM}", {"path": path, **whose}).fetchone()
    rows, text, strange, foreign = found or (0, 0, 0, 0)
    if rows != claimed:
        return "holds other rows than it says"
    if text > MOST_TEXT:
        return "holds more text than any part does"
    if strange:
        return "holds numbers that are none"
    return "holds rows of another repository than it says" if foreign else ""


def _known(columns: Mapping[str, str]) -> str:
    """Whether a row is of a kind that this version knows, in SQL; one of none is wrong, and no later version's."""
    return f"coalesce({columns['kind']} IN ({', '.join(map(quoted, KINDS))}), true)"


def text_of(columns: Mapping[str, str]) -> str:
    """How many bytes the texts of a row have, in SQL."""
    texts = [f"coalesce(strlen({columns[name]}), 0)" for name in _of("VARCHAR")]
    lists = [f"list_sum(list_transform({columns[name]}, lambda one: strlen(one) + 1))" for name in _of("VARCHAR[]")]
    return " + ".join([*texts, *(f"coalesce({one}, 0)" for one in lists)])


def _strange(columns: Mapping[str, str]) -> str:
    return " OR ".join(f"coalesce(NOT isfinite({columns[name]}), false)" for name in (*_of("DOUBLE"), "completed_at"))


def _foreign(columns: Mapping[str, str]) -> str:
    return " OR ".join(f"{columns[name]} IS DISTINCT FROM ${name}::VARCHAR" for name in ("repository", "roots"))


def _of(type_: str) -> list[str]:
    return [name for name, known in _TYPES.items() if known == type_]


def _runs(database: DuckDBPyConnection, path: str, columns: Mapping[str, str]) -> Sequence[Line] | str:
    # In the order in which they stand: with one thread and nothing to sort, DuckDB keeps it.
    rows = database.execute(f"SELECT {selected(columns)} {_FROM} WHERE {_known(columns)}", {"path": path})
    entries = entries_of(row for batch in iter(lambda: rows.fetchmany(_BATCH), []) for row in batch)
    return entries if isinstance(entries, str) else list(map(line_of, entries))


def selected(columns: Mapping[str, str]) -> str:
    """What `entries_of` takes, in SQL, of all columns by their names."""
    return ", ".join(f"epoch_us({sql})" if _TYPES[name] == TIME else sql for name, sql in columns.items())


SELECTED = selected({name: f'"{name}"' for name in _TYPES})


def entries_of(rows: Iterable[Sequence[Any]]) -> list[HistoryEntry] | str:
    """Rows in their order as runs, or why they are none."""
    found: list[HistoryEntry] = []
    cached: list[bool] = []  # whether a run says that one of its stages was
    ends: dict[str | None, tuple[str | None, bool]] = {}  # of the run, and of its stages
    shared: Sequence[object] = ()
    for row in rows:
        kind = row[0]
        status, was_cached = _end(row)
        if kind == RUN:
            shared = row[1 : len(_SHARED) + 1]
            found.append(_run(row))
            cached.append(was_cached or False)
            ends = {None: (status, False)}
        elif kind is not None and kind not in KINDS:  # what a later version knows
            continue
        elif row[1 : len(_SHARED) + 1] != shared or not _add(found[-1], row):
            return "holds a part of a run that does not follow its run"
        elif kind == STAGE:
            ends[row[_STAGE]] = status, was_cached or False
        elif ends.get(row[_STAGE], (None, False)) != (status, was_cached or False):  # SQL looks at one row at a time
            return OTHERWISE
    return found if list(map(is_cached, found)) == cached else OTHERWISE


def _add(entry: HistoryEntry, row: Sequence[Any]) -> bool:
    """Whether a row may follow those of an entry; it is part of it from now on."""
    if row[0] == STAGE:
        entry.stages.append(_stage(row))
        return not entry.benchmarks
    if row[0] == COUNTER:
        stage, name, value, _ = _figure(row)
        if entry.benchmarks or not entry.stages or entry.stages[-1].id != stage:
            return False
        known = entry.stages[-1].counters
        if known and name <= next(reversed(known)):
            return False
        known[name] = value
    elif row[0] == BENCHMARK:
        stage, name, value, unit = _figure(row)
        unit = "s" if unit is None else unit
        entry.benchmarks.append(HistoryBenchmark(name=name, value=value, unit=unit, stage=stage))
    return True


def _run(values: Sequence[Any]) -> HistoryEntry:
    row = dict(zip(_TYPES, values, strict=True))
    reported = row["reported_manifest_writes"]
    return HistoryEntry(
        entry=VERSION if row["entry"] is None else row["entry"],
        run_id=row["run_id"],
        task_id=row["task"],
        pipeline_id=row["pipeline"],
        commit=row["commit"],
        tree=row["tree"],
        dirty=row["dirty"] or False,
        foreign=row["is_foreign"] or False,
        machine=row["machine"],
        started_at=moment(row["started_at"]),
        completed_at=None if row["completed_at"] is None else moment(row["completed_at"]),
        resumes=row["resumes"] or 0,
        status=row["status"],
        away_seconds=row["away_seconds"],
        flaky=row["flaky_stages"] or [],
        manifest_writes=row["manifest_writes"],
        metrics=None if reported is None else HistoryMetrics(manifest_writes=reported),
        stages=[],
        benchmarks=[],
        **_cost(values),
    )


def _stage(row: Sequence[Any]) -> HistoryStage:
    name, status, flaky, cached = _of_stage(row)
    cost = _cost(row)
    return HistoryStage(id=name, status=status, flaky=flaky or False, cached=cached or False, counters={}, **cost)


def _cost(row: Sequence[Any]) -> dict[str, Any]:
    found = dict(zip(_COST_NAMES, _costs(row), strict=True))
    if (bounds := row[_BOUNDS]) is not None:
        found["lower_bounds"] = dict.fromkeys(bounds, "")
    if (tests := _tests(row)) != _NO_TESTS:
        found["tests"] = HistoryTests(**{name: count or 0 for name, count in zip(TESTS, tests, strict=True)})
    return found


def moment(microseconds: int | None) -> datetime:
    """A moment by the microseconds since 1970. Raises ValueError, OverflowError for what is none."""
    if microseconds is None:  # a run that began never, or not within the years that there are
        raise ValueError
    return _BEGIN + timedelta(microseconds=microseconds)


def answering() -> IO[bytes]:
    """Bounds the memory of this process, which decodes what anybody may have written; where its answers go."""
    import os
    import resource

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed is no answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # macOS has no such bound
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    return answers


def main(folder: str) -> None:
    """Answers with the lines of each part of a folder that is asked for by its name."""
    import os
    import resource
    import sys

    answers = answering()
    with connected(folder) as database:
        for name in sys.stdin.buffer:
            used = resource.getrusage(resource.RUSAGE_SELF)
            limit = int(used.ru_utime + used.ru_stime) + MOST_SECONDS
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
            found = lines_of(database, os.path.join(folder, os.fsdecode(name[:-1])))
            kind, said = (WHY, found.encode()) if isinstance(found, str) else (LINES, found)
            answers.write(kind + len(said).to_bytes(LENGTH, "big") + said)
            answers.flush()


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
