"""What is true of the rows of a part that counts, in SQL: nothing of it that `segments.parse` would refuse passes."""

from __future__ import annotations

from orchgate.history.entries import RUN as RUN_ID
from orchgate.history.parquet import BENCHMARK, COLUMNS, COSTS, COUNTER, KINDS, RUN, SHARED, STAGE, TESTS, quoted
from orchgate.history.parquet_rows import text_of
from orchgate.metrics.aggregate import CANCELLED, FAILED, SUCCEEDED, UNKNOWN
from orchgate.metrics.lines import MOST_BYTES, MOST_SECONDS

MOST_COUNT = 1 << 32  # see `lines.Count`
_TYPES = {column.name: column.type for column in COLUMNS}


def _name(column: str) -> str:
    return f"length({column}) BETWEEN 1 AND {_LONGEST}"


def _perhaps(column: str, true: str) -> str:
    return f"({column} IS NULL OR {true})"


def _all(column: str, true: str) -> str:
    return f"coalesce(list_bool_and(list_transform({column}, lambda one: one IS NOT NULL AND {true})), true)"


def _number(column: str) -> str:
    most = {"DOUBLE": MOST_SECONDS, "BIGINT": MOST_COUNT}[_TYPES[column]]
    return _perhaps(column, f"{column} BETWEEN 0 AND {MOST_BYTES if column.endswith('_bytes') else most}")


_FIRST_MOMENT, _LAST_MOMENT = "TIMESTAMPTZ '0001-01-01 00:00:00+00'", "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"
_LONGEST = 300  # characters, see `lines.Name`
_FIGURE = "value BETWEEN -1e308 AND 1e308"
_COST = (
    *(_number(name) for name, _ in COSTS if name != "complete"),
    *(_number(f"tests_{name}") for name in TESTS),
    _all("lower_bounds", "true"),
)
# What is true of the rows of each kind; the first are of every kind. A row that is none of a run belongs to the run
# before it.
TRUE = {
    "": (
        f"regexp_full_match(run_id, '{RUN_ID.pattern}')",
        "repository IS NOT DISTINCT FROM claimed_repository",
        "roots IS NOT DISTINCT FROM claimed_roots",
        f"coalesce(machine, '{UNKNOWN}') = claimed_machine",
        "started_at >= claimed_month AND started_at < claimed_month + INTERVAL 1 MONTH",
        _perhaps("completed_at", f"completed_at BETWEEN {_FIRST_MOMENT} AND {_LAST_MOMENT}"),
        _name("pipeline"),
        *(_perhaps(column, _name(column)) for column in ("task", '"commit"', "tree")),
        _number("entry"),
        _number("resumes"),
        f"if(kind = '{RUN}', before.part IS DISTINCT FROM part OR before.run_id < run_id, before.shared = shared)",
    ),
    RUN: (
        f"status IN ('{SUCCEEDED}', '{FAILED}', '{CANCELLED}')",
        _number("away_seconds"),
        _number("manifest_writes"),
        _perhaps("reported_manifest_writes", "isfinite(reported_manifest_writes)"),
        _all("flaky_stages", _name("one")),
        *_COST,
    ),
    STAGE: (_name("stage"), _name("status"), f"before.kind <> '{BENCHMARK}'", *_COST),
    COUNTER: (
        _name("name"),
        _FIGURE,
        f"before.kind IN ('{STAGE}', '{COUNTER}') AND before.stage = stage AND before.status = status",
        f"(before.kind = '{STAGE}' OR before.name < name) AND before.cached = cached",
    ),
    BENCHMARK: (_name("name"), _FIGURE, _perhaps("unit", _name("unit")), _perhaps("stage", _name("stage"))),
}


def _right() -> str:
    common, *others = (" AND ".join(f"({one})" for one in true) for true in TRUE.values())
    kinds = " ".join(f"WHEN '{kind}' THEN {true}" for kind, true in zip(KINDS, others, strict=True))
    return f"kind IS NOT NULL AND {common} AND CASE kind {kinds} ELSE true END"


_BEFORE = ", ".join(
    f"'{name}': lag({name}) OVER ()"
    for name in ("kind", "part", "run_id", "stage", "name", "status", "cached", "shared")
)
_SHARED = ", ".join(f'"{column.name}"' for column in SHARED)
_TEXT = text_of({name: f'"{name}"' for name in _TYPES})
_KINDS = ", ".join(map(quoted, KINDS))


def sums_of(rows: str) -> str:
    # A window without an order runs over the rows as they stand, and holds one of them.
    return f"""
WITH rows AS (SELECT *, hash(part, {_SHARED}) AS shared FROM ({rows}) WHERE coalesce(kind IN ({_KINDS}), true)),
following AS (SELECT *, {{{_BEFORE}}} AS before FROM rows)
SELECT part, count_if(NOT coalesce({_right()}, false)), count_if(kind = '{RUN}'), min(run_id),
    sum({_TEXT}), count_if(kind = '{BENCHMARK}'),
    count_if(kind = '{RUN}' AND cached),
    count(DISTINCT run_id) FILTER (kind = '{STAGE}' AND cached),
    count(DISTINCT run_id) FILTER (kind IN ('{RUN}', '{STAGE}') AND cached),
    bool_or(flaky), bool_or(complete)  -- for them to be read at all
FROM following JOIN claims USING (part)
GROUP BY part
"""


def wrong_of(rows: str) -> str:
    """Of parts that hold benchmarks: how many of these tell of their stage, or of their run, what that does not."""
    of = f"part, run_id, if(kind = '{RUN}', NULL, stage) AS stage"
    return f"""
WITH rows AS ({rows}),
ended AS (
    SELECT {of}, arg_max(status, place) AS status, arg_max(kind = '{STAGE}' AND cached, place) AS cached
    FROM rows WHERE kind IN ('{RUN}', '{STAGE}') GROUP BY ALL
)
SELECT one.part, count(*) FROM (FROM rows WHERE kind = '{BENCHMARK}') AS one LEFT JOIN ended
    ON one.part = ended.part AND one.run_id = ended.run_id AND one.stage IS NOT DISTINCT FROM ended.stage
WHERE one.status IS DISTINCT FROM ended.status OR one.cached IS DISTINCT FROM coalesce(ended.cached, false)
GROUP BY ALL
"""
