"""The rows of benchmarks and counters, added up by DuckDB over `counted`: what `query.rows` says of the same runs.

DuckDB puts each value into the band of `history.figures` and the bucket of `metrics.sketch` that those put it into;
what a row says they decide for both. Imports DuckDB.
"""

from __future__ import annotations

from orchgate.history import figures, query
from orchgate.history.parquet_rows import moment
from orchgate.history.sql import rows as costs
from orchgate.history.sql.rows import BUCKET, KEYS, WHOLE, named
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.metrics.aggregate import CANCELLED, FAILED, SUCCEEDED, Totals
from orchgate.metrics.sketch import Spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from duckdb import DuckDBPyConnection

_RUN = "label, run_id, started_at, completed_at, task, pipeline, machine, is_foreign"
# What a figure is of, and whether its value counts: see `figures.benchmarks_of` and `figures.counters_of`.
_BENCHMARKS = f"""
SELECT {_RUN}, stage, name, coalesce(unit, 's') AS unit, value,
    coalesce(status = '{SUCCEEDED}' AND NOT cached, false) AS is_good
FROM counted WHERE kind = 'benchmark' AND NOT is_foreign
"""
_COUNTERS = f"""
SELECT {_RUN}, stage, name, '' AS unit, value, status = '{SUCCEEDED}' AS is_good
FROM counted WHERE kind = 'counter' AND NOT is_foreign AND NOT coalesce(cached, false)
UNION ALL
SELECT {_RUN}, NULL, 'manifest_writes', '', reported_manifest_writes,
    status = '{SUCCEEDED}' AND NOT coalesce(cached, false)
FROM counted AS whole
WHERE kind = 'run' AND NOT is_foreign AND reported_manifest_writes IS NOT NULL AND NOT EXISTS (
    FROM counted AS one
    WHERE kind = 'counter' AND name = 'manifest_writes' AND one.run_id = whole.run_id AND one.label = whole.label
)
"""
_OF = {figures.BENCHMARK: _BENCHMARKS, figures.COUNTER: _COUNTERS}


def rows(database: DuckDBPyConnection, by: Sequence[str]) -> list[dict[str, object]]:
    """As `query.rows`, of what counts, whatever it is asked by."""
    wanted = query.wanted(by)
    kind = next((name for name in figures.KINDS if name in wanted), "")
    return _of_figures(database, wanted, kind) if kind else costs.rows(database, by)


def _of_figures(database: DuckDBPyConnection, wanted: Sequence[str], kind: str) -> list[dict[str, object]]:
    known = {**KEYS, kind: "name", "unit": "unit"}
    keys = "".join(f"{known[name]} AS k{at}, " for at, name in enumerate(wanted))
    names = "".join(f"k{at}, " for at in range(len(wanted)))
    figure = f"WITH figure AS (SELECT {keys} * FROM ({_OF[kind]}))"
    found: dict[tuple[object, ...], Totals] = {}
    for key, (first, last, *ends) in _divided(database, figure + _RUNS.format(names=names), len(wanted)):
        found[key] = Totals(runs=sum(ends), statuses=dict(zip(_STATUSES, ends, strict=True)))
        found[key].first, found[key].last = map(moment, (first, last))
    for key, (band, bucket, number, *facts) in _divided(database, figure + _VALUES.format(names=names), len(wanted)):
        _count(found[key].costs.setdefault(band, Spread()), bucket, number, facts)
    return query.listed(wanted, {named(wanted, key): totals for key, totals in found.items()})


def _divided(
    database: DuckDBPyConnection, asked: str, width: int
) -> Iterator[tuple[tuple[object, ...], Sequence[Any]]]:
    """The rows of an answer, each as its key and the rest."""
    found = database.execute(asked)
    while row := found.fetchone():
        yield row[:width], row[width:]


def _count(spread: Spread, bucket: int, number: int, facts: Sequence[int]) -> None:
    total, low, high = facts
    spread.low = min(spread.low, low) if spread.count else low
    spread.high = max(spread.high, high)
    spread.count += number
    spread.total += total
    spread.buckets[bucket] = number


_STATUSES = (SUCCEEDED, FAILED, CANCELLED)
# A run counts once, however many of its stages have a figure of the name.
_RUNS = f"""
SELECT {{names}} epoch_us(min(started_at)), epoch_us(max(coalesce(completed_at, started_at))),
    {", ".join(f"count_if(ended = '{status}')" for status in _STATUSES)}
FROM (SELECT DISTINCT {{names}} label, run_id, started_at, completed_at FROM figure)
JOIN (SELECT label, run_id, status AS ended FROM counted WHERE kind = 'run') USING (label, run_id)
GROUP BY ALL
"""


def _banded() -> str:
    """A figure as the whole number that it is in its band, and which one that is, as `figures.whole` says it."""
    numbers, bands = "", ""
    for band, end in enumerate((*figures.ENDS, None)):
        power = figures.FINEST - figures.STEP * band
        size = f"size * {10.0**power!r}::DOUBLE" if power >= 0 else f"size / {10.0**-power!r}::DOUBLE"
        when = f"WHEN size < {end!r}::DOUBLE THEN" if end else "ELSE"
        numbers += f" {when} {size}"
        bands += f" {when} '{band}'"
    return f"(CASE{numbers} END) + {WHOLE} - {WHOLE} AS value, if(less, '-', '+') || CASE{bands} END AS band"


_VALUES = f"""
, sized AS (SELECT {{names}} abs(value) AS size, value < 0 AS less FROM figure WHERE is_good)
, placed AS (SELECT {{names}} {_banded()} FROM sized)
SELECT {{names}} band, {BUCKET} AS bucket, count(*), sum(value::BIGINT)::HUGEINT, min(value)::BIGINT, max(value)::BIGINT
FROM placed GROUP BY ALL
"""
