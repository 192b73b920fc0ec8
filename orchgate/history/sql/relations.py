"""The runs of many Parquet parts as a relation of DuckDB, each run once: no value of Python is made of a run.

`laid` are the rows of all parts as they are, `counted` those of the runs that count, of each the entry that does: by
the order of `entries.rank`, as in a history that is read run by run. Imports DuckDB.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter

from orchgate.errors import OrchgateError
from orchgate.history import parquet_rows
from orchgate.history.entries import NEVER, VERSION, HistoryEntry, encode, refusal
from orchgate.history.parquet import COLUMNS, quoted, settings
from orchgate.history.repositories import RepositoryIdentity, labels, of_head
from orchgate.history.sql.bounds import interruptible
from orchgate.lib.forks import cores
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from duckdb import DuckDBPyConnection

    from orchgate.history.parquet import Column
    from orchgate.history.segments import Head

MEMORY = "1GB"  # that DuckDB may use, by default; what does not fit goes to disk
_MOST_THREADS = 8  # each takes memory of its own
NAMED = 1_000  # runs that do not count, one by one
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = -62_135_596_800_000_000  # the time of a run that has no end, as `entries.rank` takes it
_INSERTED = 10_000


class GoodPart(NamedTuple):
    """A part that was found good: where it is, what it says of itself, and the columns of ours that it has."""

    path: str
    head: Head
    columns: frozenset[str]


class Settled(NamedTuple):
    """How many runs count, of which repositories, and by id and why those that do not."""

    runs: int
    repositories: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    more_left_out: int = 0


@contextlib.contextmanager
def connected(scratch: str, memory: str = MEMORY, *, ordered: bool = False) -> Iterator[DuckDBPyConnection]:
    """A database in memory, which fetches no extension and knows no value of Python. Raises OrchgateError."""
    import duckdb

    config = settings(scratch, memory, min(_MOST_THREADS, cores())) | {"preserve_insertion_order": ordered}
    with interruptible(), duckdb.connect(config=config) as database:
        database.execute("SET TimeZone = 'UTC'")
        try:
            yield database
        except duckdb.OutOfMemoryException as error:
            hint = "ask for fewer rows (--since), or allow more: --max-memory 4GB"
            raise OrchgateError(f"this takes more than {memory} of memory", hint) from error
        except duckdb.IOException as error:
            raise OrchgateError(f"a part cannot be read: {first_line(error)}", "ask again") from error


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


def lock(database: DuckDBPyConnection, paths: Iterable[str]) -> None:
    """From here on nothing but these files can be read, and no setting be changed."""
    database.execute("SET allowed_paths = $paths", {"paths": list(paths)})
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")


def lay(database: DuckDBPyConnection, parts: Sequence[GoodPart]) -> None:
    """Makes `laid`: all rows, with `part`, `label` and `identity`, by which a run is known together with its id."""
    ordered = sorted(parts, key=lambda part: sorted(part.columns))
    known = labels(of_head(part.head) for part in ordered)
    database.execute("CREATE TEMP TABLE parts (part BIGINT, label VARCHAR, identity VARCHAR)")
    found = [known[of_head(part.head)] for part in ordered]
    for at in range(0, len(found), _INSERTED):
        some = found[at : at + _INSERTED]
        database.execute(
            "INSERT INTO parts SELECT unnest($parts), unnest($labels), unnest($identities)",
            {
                "parts": list(range(at, at + len(some))),
                "labels": [one.name for one in some],
                "identities": [one.roots or one.name for one in some],
            },
        )
    union = " UNION ALL ".join(reads(ordered)) or _nothing()
    database.execute(f"CREATE TEMP VIEW laid AS SELECT * FROM ({union}) JOIN parts USING (part)")


def repositories(database: DuckDBPyConnection) -> list[RepositoryIdentity]:
    """Of which repositories there are runs, as they are shown."""
    found = database.execute("SELECT DISTINCT label, identity FROM parts ORDER BY ALL").fetchall()
    return [RepositoryIdentity(label, identity if identity != label else None) for label, identity in found]


def reads(ordered: Sequence[GoodPart]) -> Iterator[str]:
    """A query for all parts that have the same columns: what another version adds is in nobody's way."""
    at = 0
    while at < len(ordered):
        columns, start = ordered[at].columns, at
        while at < len(ordered) and ordered[at].columns == columns:
            at += 1
        paths = ", ".join(quoted(part.path) for part in ordered[start:at])
        names = ", ".join(_value(one, there=one.name in columns) for one in COLUMNS)
        yield (
            f"SELECT {names}, file_index::BIGINT + {start} AS part, file_row_number AS place"
            f" FROM read_parquet([{paths}], hive_partitioning = false)"
        )


def ends(parts: Sequence[GoodPart], runs: Collection[str], scratch: str) -> dict[str, tuple[int, datetime]]:
    """As the ends that a store tells of some runs, by the rows of some parts. Raises OrchgateError."""
    if not parts:
        return {}
    rows = " UNION ALL ".join(reads(sorted(parts, key=lambda part: sorted(part.columns))))
    with connected(scratch) as database:
        lock(database, [part.path for part in parts])
        told = database.execute(
            f"SELECT run_id, resumes, epoch_us(completed_at) FROM ({rows})"
            " WHERE kind = 'run' AND run_id IN (SELECT unnest($runs))",
            {"runs": list(runs)},
        ).fetchall()
    found: dict[str, tuple[int, datetime]] = {}
    for run_id, resumes, completed in told:
        end = resumes, NEVER if completed is None else _BEGIN + timedelta(microseconds=completed)
        found[run_id] = max(end, found.get(run_id, end))
    return found


def _value(column: Column, *, there: bool) -> str:
    """A column as it is read: what is not there is what an entry has that does not say it."""
    value = f'"{column.name}"' if there else f"NULL::{column.type}"
    default = _DEFAULTS.get(column.name)
    return f'{value} AS "{column.name}"' if default is None else f'coalesce({value}, {default}) AS "{column.name}"'


_DEFAULTS = {"entry": VERSION, "resumes": 0, **dict.fromkeys(("dirty", "is_foreign", "flaky", "cached"), "false")}


def _nothing() -> str:
    names = ", ".join(f'NULL::{one.type} AS "{one.name}"' for one in COLUMNS)
    return f"SELECT {names}, 0::BIGINT AS part, 0::BIGINT AS place WHERE false"


def settle(database: DuckDBPyConnection, limit: datetime, since: datetime | None) -> Settled:
    """Makes `counted` of `laid`. `limit` is when the future begins."""
    lost = _lose(database)
    begun = f"started_at >= {_time(since)}" if since else "true"
    ended = "coalesce(completed_at, started_at)"
    counts = f"entry = {VERSION} AND started_at < {_time(limit)} AND {ended} < {_time(limit)} AND {ended} >= started_at"
    database.execute(f"CREATE TEMP VIEW kept AS SELECT * FROM laid WHERE {begun} AND {lost}")
    database.execute(f"CREATE TEMP VIEW counted AS SELECT * FROM kept WHERE {counts}")
    found = database.execute(
        f"SELECT label, count(*) FILTER ({counts}), count(*) FROM kept WHERE kind = 'run' GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    number, every = sum(row[1] for row in found), sum(row[2] for row in found)
    out = _left_out(database, counts, limit) if every > number else ()
    return Settled(number, tuple(row[0] for row in found), out, every - number - len(out))


def _time(moment: datetime) -> str:
    return f"TIMESTAMPTZ {quoted(moment.astimezone(UTC).isoformat())}"


def _left_out(database: DuckDBPyConnection, counts: str, limit: datetime) -> tuple[tuple[str, str], ...]:
    rows = database.execute(
        f"SELECT run_id, entry, started_at, completed_at FROM kept WHERE kind = 'run' AND NOT ({counts})"
        f" ORDER BY label, run_id LIMIT {NAMED}"
    ).fetchall()
    found = []
    for run_id, version, start, end in rows:
        entry = HistoryEntry(
            entry=version, run_id=run_id, pipeline_id="-", status="failed", started_at=start, completed_at=end
        )
        found.append((run_id, refusal(entry, limit)))
    return tuple(found)


# A run that is in several parts: hardly any is, and then mostly as the same entry


def _lose(database: DuckDBPyConnection) -> str:
    """Which rows are of the entry that counts of its run, in SQL."""
    database.execute(_TWICE)
    if _number(database, "twice") == 0:
        return "true"
    database.execute(_RIVALS)
    database.execute(_TIED)
    database.execute("CREATE TEMP TABLE ranked (part BIGINT, run_id VARCHAR, line BIGINT)")
    if _number(database, "tied"):
        _rank(database)
    database.execute(_LOSERS)
    return "NOT EXISTS (FROM losers WHERE losers.part = laid.part AND losers.run_id = laid.run_id)"


def _number(database: DuckDBPyConnection, table: str) -> int:
    found = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(found[0]) if found else 0


def _rank(database: DuckDBPyConnection) -> None:
    """Puts in order, by how they are written, the entries of which nothing else says which one is the later."""
    lines: dict[str, list[tuple[bytes, int]]] = {}
    for part, rows in groupby(database.execute(_ROWS_OF_TIED).fetchall(), key=itemgetter(0)):
        entries = parquet_rows.entries_of(row[1:] for row in rows)
        for entry in entries if isinstance(entries, list) else ():
            lines.setdefault(entry.run_id, []).append((encode(entry), part))
    found = [(part, run_id, at) for run_id, some in lines.items() for part, at in _places(some)]
    for at in range(0, len(found), _INSERTED):
        columns = zip("abc", map(list, zip(*found[at : at + _INSERTED], strict=True)), strict=True)
        database.execute("INSERT INTO ranked SELECT unnest($a), unnest($b), unnest($c)", dict(columns))


def _places(lines: Sequence[tuple[bytes, int]]) -> Iterator[tuple[int, int]]:
    """Parts, and where the line of each comes in their order; of equal ones the names decide."""
    nth = {line: at for at, line in enumerate(sorted({line for line, _ in lines}))}
    yield from ((part, nth[line]) for line, part in lines)


# By their hashes, which take a fraction of the memory: of a run that only shares one with another, no entry loses.
_KNOWN = "hash(identity, run_id)"
_TWICE = f"""
CREATE TEMP TABLE twice AS
SELECT known FROM (SELECT {_KNOWN} AS known FROM laid WHERE kind = 'run') GROUP BY ALL HAVING count(*) > 1
"""
_RIVALS = f"""
CREATE TEMP TABLE rivals AS
SELECT part, identity, run_id, label,
    rank() OVER (
        PARTITION BY identity, run_id ORDER BY resumes DESC, coalesce(epoch_us(completed_at), {_NEVER}) DESC
    ) AS nth
FROM laid
WHERE kind = 'run' AND {_KNOWN} IN (FROM twice)
"""
_WRITTEN = ", ".join(f"'{one.name}': \"{one.name}\"" for one in COLUMNS if one.name not in ("repository", "roots"))
# Those that are first in their run and not alone there, nor all alike.
_TIED = f"""
CREATE TEMP TABLE tied AS
WITH first AS (
    SELECT part, identity, run_id FROM rivals WHERE nth = 1
    QUALIFY count(*) OVER (PARTITION BY identity, run_id) > 1
), content AS (
    SELECT part, identity, run_id, sha256(string_agg(to_json({{{_WRITTEN}}}), chr(10) ORDER BY place)) AS hash
    FROM laid SEMI JOIN first USING (part, run_id)
    GROUP BY ALL
)
SELECT part, run_id FROM content QUALIFY min(hash) OVER (PARTITION BY identity, run_id) <> max(hash)
    OVER (PARTITION BY identity, run_id)
"""
_ROWS_OF_TIED = (
    f"SELECT part, {parquet_rows.SELECTED} FROM laid SEMI JOIN tied USING (part, run_id) ORDER BY part, place"
)
_LOSERS = """
CREATE TEMP TABLE losers AS
SELECT part, run_id FROM rivals LEFT JOIN ranked USING (part, run_id)
QUALIFY row_number() OVER (
    PARTITION BY identity, run_id ORDER BY nth, line DESC NULLS LAST, label DESC, part
) > 1
"""
