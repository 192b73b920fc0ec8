"""The rows of `history show`, added up by DuckDB over `counted`: what `query.rows` says of the same runs.

DuckDB counts values in the buckets of `metrics.sketch`; which number a quantile is, and what a row says, the same
functions decide for both. Imports DuckDB.
"""

from __future__ import annotations

from math import floor

from orchgate.history import query
from orchgate.history.parquet_rows import moment
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.metrics import fold, sketch
from orchgate.metrics.aggregate import CANCELLED, FAILED, SUCCEEDED, TIMES, UNKNOWN, Totals
from orchgate.metrics.sketch import Spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb import DuckDBPyConnection

    from orchgate.history.query import Key

_STARTED = "make_timestamp(epoch_us(started_at))"
# What rows are told apart by. Months and weeks by their first moment: their names are made for rows, not for runs.
KEYS = {
    "repository": "label",
    "month": f"date_trunc('month', {_STARTED})",
    "week": f"date_trunc('week', {_STARTED})",
    "task": "task",
    "pipeline": "pipeline",
    "stage": "stage",
    "machine": f"if(is_foreign, '{UNKNOWN}', coalesce(machine, '{UNKNOWN}'))",
}
_FORMS = {"month": "{0:%Y-%m}", "week": "{0:%G-W%V}"}
_OF_RUNS = "kind = 'run'"
_OF_STAGES = "kind = 'stage' AND NOT is_foreign"
# What costs count, and where they say nothing: see `lines.costs_of_run`.
_DONE = f"status = '{SUCCEEDED}' AND (is_foreign OR NOT cached)"
ABSENT = f"{_OF_RUNS} AND NOT is_foreign AND resumes > 0 AND away_seconds IS NULL"
_SECONDS = {
    "wall_seconds": f"if({ABSENT}, NULL, wall_seconds)",
    "cpu_seconds": "if(is_foreign, NULL, user_seconds + system_seconds)",
}
WHOLE = f"{fold.WHOLE!r}::DOUBLE"  # added and taken away, it leaves the nearest whole number


def rows(database: DuckDBPyConnection, by: Sequence[str]) -> list[dict[str, object]]:
    """As `query.rows`, of what counts."""
    wanted = [name for name in query.BY if name in by]
    found = dict(_totals(database, wanted))
    for name, shares in query.COSTS:
        for key, spread in _spreads(database, wanted, name, shares):
            found[key].costs[name] = spread
    return query.listed(wanted, {named(wanted, key): totals for key, totals in found.items()})


def named(wanted: Sequence[str], key: Sequence[object]) -> Key:
    return tuple(
        _FORMS[name].format(value) if name in _FORMS else value  # type: ignore[misc]  # all others are texts
        for name, value in zip(wanted, key, strict=True)
    )


def _source(wanted: Sequence[str]) -> tuple[str, str]:
    """What is wanted, in SQL, and of which rows."""
    keys = "".join(f"{KEYS[name]} AS k{at}, " for at, name in enumerate(wanted))
    return keys, _OF_STAGES if "stage" in wanted else _OF_RUNS


def _totals(database: DuckDBPyConnection, wanted: Sequence[str]) -> Iterator[tuple[tuple[object, ...], Totals]]:
    keys, kind = _source(wanted)
    flaky = "flaky" if "stage" in wanted else "NOT is_foreign AND coalesce(len(flaky_stages) > 0, false)"
    statuses = (SUCCEEDED, FAILED, CANCELLED)
    ends = ", ".join(f"count_if(status = '{status}')" for status in statuses)
    found = database.execute(
        f"SELECT {keys} count(*), count_if(NOT is_foreign), count_if({flaky}),"
        f" epoch_us(min(started_at)), epoch_us(max(coalesce(completed_at, started_at))), {ends}"
        f" FROM counted WHERE {kind} GROUP BY ALL"
    )
    while row := found.fetchone():
        key, (runs, ours, flaky, first, last, *numbers) = row[: len(wanted)], row[len(wanted) :]
        totals = Totals(runs=runs, ours=ours, flaky=flaky, statuses=dict(zip(statuses, numbers, strict=True)))
        if "stage" not in wanted:
            totals.first, totals.last = map(moment, (first, last))
        yield key, totals


def _spreads(
    database: DuckDBPyConnection, wanted: Sequence[str], cost: str, shares: Sequence[float]
) -> Iterator[tuple[tuple[object, ...], Spread]]:
    """What a cost adds up to, as far as it takes to say some quantiles."""
    keys, kind = _source(wanted)
    names = "".join(f"k{at}, " for at in range(len(wanted)))
    value = _SECONDS.get(cost, f"if(is_foreign, NULL, {cost})")
    whole = f"({value}) * 1e6 + {WHOLE} - {WHOLE}" if cost in TIMES else f"({value})::DOUBLE"
    picked = ", ".join(f"min(bucket) FILTER (upto > {_rank('number', share)})" for share in shares)
    found = database.execute(f"""
WITH told AS (
    SELECT {keys} {whole} AS value FROM counted WHERE {kind} AND {_DONE}
), filled AS (
    SELECT {names} {BUCKET} AS bucket, count(*) AS n, min(value) AS low, max(value) AS high,
        sum(value::BIGINT) AS total
    FROM told WHERE value IS NOT NULL GROUP BY ALL
), ranked AS (
    SELECT *, sum(n) OVER (PARTITION BY {names} 0 ORDER BY bucket ROWS UNBOUNDED PRECEDING) AS upto,
        sum(n) OVER (PARTITION BY {names} 0) AS number
    FROM filled
)
SELECT {names} number::BIGINT, sum(total)::HUGEINT, min(low)::BIGINT, max(high)::BIGINT, {picked}
FROM ranked GROUP BY {names} number
""")
    while row := found.fetchone():
        key, (number, total, low, high, *buckets) = row[: len(wanted)], row[len(wanted) :]
        yield key, Spread(number, total, low, 0, high, 0, _condensed(number, shares, buckets))


# As `sketch` puts a number into its bucket.
BUCKET = f"if(value > 0, ceil(ln(value) * {sketch.SCALE!r}::DOUBLE)::BIGINT, {sketch.ZERO})"


def _rank(number: str, share: float) -> str:
    """How many values are below a quantile, see `sketch.quantile`, in SQL."""
    return f"floor({share!r}::DOUBLE * ({number} - 1))"


def _condensed(number: int, shares: Sequence[float], buckets: Sequence[int]) -> dict[int, int]:
    """Counts that have these quantiles in the buckets in which they are; all else is put into one of those."""
    found: dict[int, int] = {}
    before = 0
    for share, bucket in zip(shares, buckets, strict=True):
        upto = number if share == shares[-1] else floor(share * (number - 1)) + 1
        found[bucket] = found.get(bucket, 0) + upto - before
        before = upto
    return found
