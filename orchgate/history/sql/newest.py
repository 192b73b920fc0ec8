"""The newest runs of each pipeline on each class of machines, of `counted`: those that trends are made of.

What can be compared at all is `trends.streams.counts` to say; here is left out what surely cannot, so that enough is
left. Imports DuckDB.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from orchgate.history import parquet_rows
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.metrics.aggregate import FAILED, SUCCEEDED, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from orchgate.history.entries import HistoryEntry

LEAST = 64  # runs of each kind; fewer show nothing
_INSERTED = 10_000
_COMPARABLE = f"""
SELECT label, pipeline, machine, part, run_id, started_at, coalesce(nth, 0) AS nth
FROM counted LEFT JOIN lines USING (label, "commit")
WHERE kind = 'run' AND status = '{SUCCEEDED}' AND NOT (is_foreign OR dirty OR cached) AND resumes = 0
    AND len(flaky_stages) = 0 AND machine <> '{UNKNOWN}' AND "commit" IS NOT NULL
    AND label IN (SELECT label FROM wanted)
    AND (nth IS NOT NULL OR label NOT IN (SELECT label FROM lines))
"""


def entries(
    database: DuckDBPyConnection,
    labels: Sequence[str],
    lines: Mapping[str, Mapping[str, int]],
    most: int,
    together: int,
) -> Iterator[tuple[str, list[HistoryEntry]]]:
    """Runs of some repositories by their names, in no order: of each kind at most `most`, and about `together` in all.

    `lines` are places of commits, where these are known.
    """
    _place(database, lines)
    database.execute("CREATE OR REPLACE TEMP TABLE wanted AS SELECT unnest($labels) AS label", {"labels": list(labels)})
    database.execute(f"CREATE OR REPLACE TEMP VIEW comparable AS {_COMPARABLE}")
    kinds = database.execute("SELECT count(DISTINCT (label, pipeline, machine)) FROM comparable").fetchone()
    database.execute(_newest(max(LEAST, min(most, together // max(1, kinds[0] if kinds else 1)))))
    found = database.execute(
        f"SELECT label, {parquet_rows.SELECTED} FROM laid SEMI JOIN newest USING (part, run_id)"
        " ORDER BY label, part, place"
    )
    for label, some in groupby(iter(found.fetchone, None), key=itemgetter(0)):
        made = parquet_rows.entries_of(row[1:] for row in some)
        if not isinstance(made, str):
            yield label, list(made)


def _place(database: DuckDBPyConnection, lines: Mapping[str, Mapping[str, int]]) -> None:
    database.execute('CREATE OR REPLACE TEMP TABLE lines (label VARCHAR, "commit" VARCHAR, nth BIGINT)')
    for label, places in lines.items():
        known = list(places.items())
        for at in range(0, len(known), _INSERTED):
            commits, numbers = zip(*known[at : at + _INSERTED], strict=True)
            database.execute(
                "INSERT INTO lines SELECT $label, unnest($commits), unnest($numbers)",
                {"label": label, "commits": list(commits), "numbers": list(numbers)},
            )


def _newest(most: int) -> str:
    # The heaps of an aggregate, and no window, which would sort every run.
    run, order = "{'part': part, 'run_id': run_id}", "{'a': nth, 'b': epoch_us(started_at), 'c': run_id}"
    return f"""
CREATE OR REPLACE TEMP TABLE newest AS
SELECT unnest(arg_max({run}, {order}, {most}), recursive := true) FROM comparable GROUP BY label, pipeline, machine
"""


def flaky_stages(database: DuckDBPyConnection, least: int) -> list[tuple[str, str, str, int, int]]:
    """Repository, pipeline and stage of those that were so often flaky, how often they ended, and were flaky."""
    return database.execute(f"""
SELECT label, pipeline, stage, count_if(NOT cached AND status IN ('{SUCCEEDED}', '{FAILED}')), count_if(flaky)
FROM counted WHERE kind = 'stage' GROUP BY ALL HAVING count_if(flaky) >= {least} ORDER BY ALL
""").fetchall()
