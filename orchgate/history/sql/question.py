"""One query of somebody's own: `runs`, `stages`, `counters` and `benchmarks` as tables, and nothing else.

It may read what these are made of, and change nothing: no file, no setting, no extension. Imports DuckDB.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite

from orchgate.errors import UsageError
from orchgate.history.sql.rows import ABSENT, KEYS
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

# Of a query as a tree; within a text of it, each of these quotes has a backslash.
_WRITING = lazy(r'"type":"(INSERT|UPDATE|DELETE|MERGE)_[A-Z_]*NODE"')
_MOST_BYTES = 256 << 20  # of an answer
_FRAME = 32  # bytes of any value
_BATCH = 1_000  # rows
_LONGEST = 400  # characters of what DuckDB says
_COMMON = {
    "repository": KEYS["repository"],
    "run_id": "run_id",
    "task": "task",
    "pipeline": "pipeline",
    "machine": KEYS["machine"],
    "commit": '"commit"',
    "tree": "tree",
    "dirty": "dirty",
    "started_at": "make_timestamp(epoch_us(started_at))",
    "completed_at": "make_timestamp(epoch_us(completed_at))",
}
_COSTS = {
    "wall_seconds": f"if({ABSENT}, NULL, wall_seconds)",
    "cpu_seconds": "user_seconds + system_seconds",
    **{
        name: name
        for name in (
            *("user_seconds", "system_seconds", "max_rss_bytes", "tree_rss_bytes", "read_bytes", "written_bytes"),
            *("processes", "complete", "lower_bounds"),
            *("tests_passed", "tests_failed", "tests_skipped", "tests_errors"),
        )
    },
}
_FIGURE = {name: name for name in ("stage", "name", "value", "unit", "status", "cached")}
# Columns by table; documented in docs/guide/history.md.
TABLES = {
    "runs": {
        **_COMMON,
        "is_foreign": "is_foreign",
        "status": "status",
        "resumes": "resumes",
        "away_seconds": "away_seconds",
        "flaky": "if(is_foreign, NULL, len(flaky_stages) > 0)",
        "flaky_stages": "flaky_stages",
        "cached": "cached",
        **_COSTS,
        "manifest_writes": "manifest_writes",
    },
    "stages": {**_COMMON, "stage": "stage", "status": "status", "flaky": "flaky", "cached": "cached", **_COSTS},
    "counters": {**_COMMON, **{name: name for name in _FIGURE if name != "unit"}},
    "benchmarks": {**_COMMON, **_FIGURE},
}
_KINDS = {"runs": "run", "stages": "stage", "counters": "counter", "benchmarks": "benchmark"}


class QueryResult(NamedTuple):
    """`is_cut`: there are more rows than may be shown."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    is_cut: bool


def lay_tables(database: DuckDBPyConnection) -> None:
    """Makes the tables of `counted`, each run once."""
    for table, columns in TABLES.items():
        own = "" if table == "runs" else " AND NOT is_foreign"
        values = ", ".join(f'{value} AS "{name}"' for name, value in columns.items())
        database.execute(
            f"CREATE TEMP VIEW {table} AS SELECT {values} FROM counted WHERE kind = '{_KINDS[table]}'{own}"
        )


def ask(database: DuckDBPyConnection, text: str, most: int) -> QueryResult:
    """The first rows of an answer. Raises UsageError for what is no query, or none that DuckDB understands."""
    import duckdb

    try:
        statements = database.extract_statements(text)
        is_one = len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT
        if not is_one or _writes(database, text):
            hint = "such as: SELECT pipeline, count(*) FROM runs GROUP BY ALL"
            raise UsageError("--sql takes one SELECT, and nothing else", hint)
        found = database.execute(statements[0])
        columns = [column[0] for column in found.description or ()]
        rows = _fetched(found, most + 1)
    except (duckdb.InterruptException, duckdb.OutOfMemoryException):
        raise
    except (duckdb.Error, ArithmeticError, RuntimeError, ValueError) as error:
        if "Out of Memory" in str(error):  # told while a row is fetched
            raise duckdb.OutOfMemoryException(str(error)) from error
        tables = "the tables are runs, stages, counters and benchmarks; --sql 'DESCRIBE runs' lists columns"
        raise UsageError(f"--sql: {_told(error)}", tables) from error
    plain = [[_plain(value) for value in row] for row in rows[:most]]
    return QueryResult(columns, plain, len(rows) > most)


def _fetched(found: DuckDBPyConnection, most: int) -> list[Sequence[object]]:
    """The first rows: what they take is memory that DuckDB knows nothing of."""
    rows: list[Sequence[object]] = []
    left = _MOST_BYTES
    while len(rows) < most and (some := found.fetchmany(min(_BATCH, most - len(rows)))):
        rows += some
        left -= sum(map(_size, some))
        if left < 0:
            hint = "ask for fewer rows, or for less of each; --limit N shows the first N"
            raise UsageError(f"--sql: the answer is larger than {_MOST_BYTES >> 20} MB", hint)
    return rows


def _size(value: object) -> int:
    """About how many bytes a value takes, at least."""
    match value:
        case str() | bytes():
            return _FRAME + len(value)
        case list() | tuple():
            return _FRAME + sum(map(_size, value))
        case dict():
            return _FRAME + sum(map(_size, value.values()))
        case _:
            return _FRAME


def _writes(database: DuckDBPyConnection, text: str) -> bool:
    """Whether something is written on the way to an answer: WITH x AS (INSERT ... RETURNING ...) SELECT ..."""
    found = database.execute("SELECT json_serialize_sql($text)", {"text": text}).fetchone()
    return bool(found and _WRITING.search(found[0]))


def _told(error: Exception) -> str:
    """What DuckDB says on one line, without the picture of the place."""
    said, _, _ = str(error).partition("\nLINE ")
    return " ".join(said.split())[:_LONGEST] or type(error).__name__


def _plain(value: object) -> object:
    """A value as JSON has it; times in UTC, as everywhere."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else None
        case datetime():
            zoned = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
            return zoned.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return float(value) if value.is_finite() else None
        case list() | tuple():
            return [_plain(one) for one in value]
        case dict():
            return {str(name): _plain(one) for name, one in value.items()}
        case bytes():
            return value.hex()
        case _:
            return str(value)
