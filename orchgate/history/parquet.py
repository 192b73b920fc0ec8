"""Runs as Parquet: one table, in which a run, a stage, a counter and a benchmark are rows. Imports DuckDB.

A row of a stage says again which run it is of, so that questions need no join; such columns take next to nothing. Rows
stand in the order of the ids of their runs, each run before what is part of it, and that in the order of its entry.
What `segments.Head` says is in the metadata of the file. A later version may add columns and kinds of rows, which a
reader of this one ignores; a column that is not there reads as NULL.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile

from orchgate.errors import OrchgateError
from orchgate.history.entries import VERSION, encode
from orchgate.history.segments import encode_head
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from orchgate.history.segments import Head, Line

MEMORY = "512MB"  # that DuckDB may use, by default
HEAD = "orchgate"  # the key of the head in the metadata
ROOM = "make room, or name another folder by TMPDIR"
_GROUP = 122_880  # rows
_ENTRIES = 2_000  # that are handed over at once
_TEXT, _WHOLE, _REAL, _YES, _TEXTS = "VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR[]"
TIME = "TIMESTAMP WITH TIME ZONE"


class Column(NamedTuple):
    """A column, and what of an entry stands in it in rows of each kind; "" for nothing."""

    name: str
    type: str
    run: str = ""
    stage: str = ""
    counter: str = ""
    benchmark: str = ""


def _of_all(name: str, type_: str, value: str = "") -> Column:
    return Column(name, type_, *[value or f"e.{name}"] * 4)


def _of_each(name: str, type_: str) -> Column:
    return Column(name, type_, f"e.{name}", f"s.{name}")


# What all rows of a run say alike.
SHARED = (
    _of_all("entry", _WHOLE, f"coalesce(e.entry, {VERSION})"),
    _of_all("repository", _TEXT, "$repository"),
    _of_all("roots", _TEXT, "$roots"),
    _of_all("machine", _TEXT),
    _of_all("run_id", _TEXT),
    _of_all("task", _TEXT, "e.task_id"),
    _of_all("pipeline", _TEXT, "e.pipeline_id"),
    _of_all("commit", _TEXT),
    _of_all("tree", _TEXT),
    _of_all("dirty", _YES, "coalesce(e.dirty, false)"),
    _of_all("is_foreign", _YES, 'coalesce(e."foreign", false)'),
    _of_all("started_at", TIME),
    _of_all("completed_at", TIME),
    _of_all("resumes", _WHOLE, "coalesce(e.resumes, 0)"),
)
COSTS = (
    ("wall_seconds", _REAL),
    ("user_seconds", _REAL),
    ("system_seconds", _REAL),
    ("max_rss_bytes", _WHOLE),
    ("tree_rss_bytes", _WHOLE),
    ("read_bytes", _WHOLE),
    ("written_bytes", _WHOLE),
    ("processes", _WHOLE),
    ("complete", _YES),
)
_MEASURED = "list_filter(e.stages, lambda one: one.id = b.stage)[-1]"  # the stage that a benchmark is of
TESTS = ("passed", "failed", "skipped", "errors")
OWN = (
    # Of a figure: how the stage ended that it is of, or the run.
    Column("status", _TEXT, "e.status", "s.status", "s.status", f"if(b.stage IS NULL, e.status, {_MEASURED}.status)"),
    Column("away_seconds", _REAL, "e.away_seconds"),
    Column("stage", _TEXT, stage="s.id", counter="s.id", benchmark="b.stage"),
    Column("name", _TEXT, counter="m.key", benchmark="b.name"),
    Column("value", _REAL, counter="m.value", benchmark="b.value"),
    Column("unit", _TEXT, benchmark="coalesce(b.unit, 's')"),
    *(_of_each(name, type_) for name, type_ in COSTS),
    Column("lower_bounds", _TEXTS, "map_keys(e.lower_bounds)", "map_keys(s.lower_bounds)"),
    Column("flaky", _YES, stage="coalesce(s.flaky, false)"),
    Column("flaky_stages", _TEXTS, "coalesce(e.flaky, [])"),
    # Of a run: whether one of its stages was; of a figure: whether the stage was that it is of.
    Column(
        "cached",
        _YES,
        "coalesce(list_bool_or(list_transform(e.stages, lambda one: one.cached)), false)",
        "coalesce(s.cached, false)",
        "coalesce(s.cached, false)",
        f"coalesce({_MEASURED}.cached, false)",
    ),
    # Written are those that there were: where there are tests, none is 0.
    *(
        Column(
            f"tests_{name}",
            _WHOLE,
            *(f"if({of}.tests is null, null, coalesce({of}.tests.{name}, 0))" for of in ("e", "s")),
        )
        for name in TESTS
    ),
    Column("manifest_writes", _WHOLE, "e.manifest_writes"),
    Column("reported_manifest_writes", _REAL, "e.metrics.manifest_writes"),
)
KINDS = RUN, STAGE, COUNTER, BENCHMARK = "run", "stage", "counter", "benchmark"
COLUMNS = (Column("kind", _TEXT, *(f"'{kind}'" for kind in KINDS)), *SHARED, *OWN)


def _structure() -> Mapping[str, object]:
    """An entry as `encode` writes it, for DuckDB's reader of JSON."""
    named = {"entry": _WHOLE, "run_id": _TEXT, "pipeline_id": _TEXT, "task_id": _TEXT, "machine": _TEXT}
    of = {"commit": _TEXT, "tree": _TEXT, "dirty": _YES, "foreign": _YES}
    times = {"started_at": TIME, "completed_at": TIME, "resumes": _WHOLE, "away_seconds": _REAL}
    tests = dict.fromkeys(TESTS, _WHOLE)
    cost = {**dict(COSTS), "status": _TEXT, "lower_bounds": f"MAP({_TEXT}, {_TEXT})", "tests": tests}
    stage = {**cost, "id": _TEXT, "flaky": _YES, "cached": _YES, "metrics": f"MAP({_TEXT}, {_REAL})"}
    benchmark = {"name": _TEXT, "value": _REAL, "unit": _TEXT, "stage": _TEXT}
    own = {"flaky": [_TEXT], "manifest_writes": _WHOLE, "metrics": {"manifest_writes": _REAL}}
    return {**named, **of, **times, **cost, **own, "stages": [stage], "benchmarks": [benchmark]}


def settings(folder: str, memory: str, threads: int) -> dict[str, str | bool | int | float | list[str]]:
    """Of a database that fetches and loads no extension, knows no value of Python, and puts into a folder what is more.

    How DuckDB is opened wherever it is.
    """
    return {
        "threads": threads,
        "memory_limit": memory,
        "temp_directory": os.path.join(folder, "duckdb"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
    }


def connected(folder: str, memory: str = MEMORY) -> DuckDBPyConnection:
    """A database in memory that sees one folder and nothing else, and neither fetches nor loads an extension."""
    import duckdb

    database = duckdb.connect(config=settings(folder, memory, threads=1))
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET allowed_directories = [$folder]", {"folder": folder})
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """A folder that nobody else sees, gone afterwards. Raises OrchgateError."""
    try:
        folder = tempfile.mkdtemp(prefix="orchgate-")
    except OSError as error:
        raise OrchgateError(f"cannot write temporary files: {error.strerror}", ROOM) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def written(head: Head, lines: Sequence[Line]) -> bytes:
    """A part. The same runs give the same bytes as long as DuckDB is the same. Raises OrchgateError."""
    import duckdb

    with scratch() as folder:
        path = os.path.join(folder, "part")
        try:
            with connected(folder) as database:
                # As it was read: of a key that is there twice, or another way to write a time, each reader has a view.
                _fill(database, head, (encode(entry) for entry, _ in lines))
                database.execute(copy(path, encode_head(head).decode()))
            with open(path, "rb") as file:
                return file.read()
        except (OSError, duckdb.IOException) as error:
            raise OrchgateError(f"cannot write {path}: the disk is full, or broken", ROOM) from error


def _fill(database: DuckDBPyConnection, head: Head, lines: Iterable[bytes]) -> None:
    """Makes the table of the rows."""
    from orchgate.lib.codec import json

    columns = ", ".join(f'"{one.name}" {one.type}' for one in COLUMNS)
    database.execute(f"CREATE TEMP TABLE part ({columns})")
    texts = [line.decode() for line in lines]
    known = {"structure": json.encode(_structure()).decode(), "repository": head.repository, "roots": head.roots}
    for at in range(0, len(texts), _ENTRIES):
        database.execute(_INSERT, {"lines": texts[at : at + _ENTRIES], **known})


def _values(of: str) -> str:
    return ", ".join(f"{getattr(column, of) or 'NULL'} AS c{at}" for at, column in enumerate(COLUMNS))


# Of a run, then of each stage and after it of its counters, then of the benchmarks: each in the order of the entry.
_INSERT = f"""
INSERT INTO part
WITH entries AS (
    SELECT from_json(unnest($lines::VARCHAR[])::JSON, $structure) AS e,
        generate_subscripts($lines::VARCHAR[], 1) AS nth
), stages AS (
    SELECT nth, e, unnest(e.stages) AS s, generate_subscripts(e.stages, 1) AS place FROM entries
), rows AS (
    SELECT nth, 0 AS part, 0 AS place, 0 AS inner_place, {_values(RUN)} FROM entries
    UNION ALL
    SELECT nth, 1, place, 0, {_values(STAGE)} FROM stages
    UNION ALL
    SELECT nth, 1, place, inner_place, {_values(COUNTER)} FROM (
        SELECT *, unnest(map_entries(s.metrics)) AS m, generate_subscripts(map_entries(s.metrics), 1) AS inner_place
        FROM stages
    )
    UNION ALL
    SELECT nth, 2, place, 0, {_values(BENCHMARK)} FROM (
        SELECT nth, e, unnest(e.benchmarks) AS b, generate_subscripts(e.benchmarks, 1) AS place FROM entries
    )
)
SELECT {", ".join(f"c{at}" for at in range(len(COLUMNS)))} FROM rows ORDER BY nth, part, place, inner_place
"""  # noqa: S608 -- names of our own columns


def copy(path: str, head: str) -> str:
    # A row group is what a reader has to hold at once.
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP}, KV_METADATA {{{HEAD}: {quoted(head)}}}"
    return f"COPY part TO {quoted(path)} ({options})"


def quoted(text: str) -> str:
    """A text as DuckDB writes it, for where it takes no parameters."""
    return "'" + text.replace("'", "''") + "'"
