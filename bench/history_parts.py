"""Parts of Parquet as many machines write them, made by DuckDB: what takes seconds for a million rows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.history.parquet import COLUMNS, copy
from orchgate.history.parquet_parts import PARQUET
from orchgate.history.segments import VERSION, Head, encode_head, name_of
from orchgate.lib.files import sha256_hex

if TYPE_CHECKING:
    from pathlib import Path

STAGES, REPOSITORIES, MACHINES, MONTHS = 5, 10, 2, 12
_RUNS = f"""
CREATE TABLE runs AS
SELECT i, 'owner/name-' || hash(i, 1) % {REPOSITORIES} AS repository, left(md5(repository), 16) AS roots,
    left(md5('machine-' || (hash(i, 2) >> 16) % {MACHINES}), 16) AS machine,
    TIMESTAMPTZ '2025-01-01' + to_milliseconds(i * (365 * 86400000::BIGINT // $runs)) AS started_at,
    strftime(make_timestamp(epoch_us(started_at)), '%Y-%m') AS month,
    strftime(make_timestamp(epoch_us(started_at)), '%Y-%m-%dT%H-%M-%S-000Z-') || printf('%08x', i) AS run_id,
    'task-' || hash(i, 3) % 50 AS task, 'pipeline-' || hash(i, 4) % 8 AS pipeline,
    sha1('commit-' || i // 10) AS "commit", sha1('tree-' || i // 10) AS tree,
    CASE WHEN (hash(i, 5) >> 8) % 20 = 0 THEN 'failed' WHEN (hash(i, 6) >> 8) % 97 = 0
        THEN 'cancelled' ELSE 'succeeded' END AS status,
    10 + (hash(i, 7) % 10000) / 1000.0::DOUBLE AS seconds,
    if(hash(i, 8) % 50 = 0, 1 + hash(i, 9) % {STAGES}, 0) AS from_cache
FROM range($runs) AS numbers(i)
"""
# Of a run (k is 0) and of each of its stages.
_VALUES = {
    "kind": "if(k = 0, 'run', 'stage')",
    "entry": "1",
    **{
        name: f'"{name}"' for name in ("repository", "roots", "machine", "run_id", "task", "pipeline", "commit", "tree")
    },
    **dict.fromkeys(("dirty", "is_foreign"), "false"),
    "started_at": "started_at",
    "completed_at": "started_at + to_milliseconds((seconds * 1000)::BIGINT)",
    "resumes": "0",
    "status": f"if(k IN (0, {STAGES}), status, 'succeeded')",
    "stage": "if(k = 0, NULL, 'stage-' || k)",
    "wall_seconds": "round(seconds / (k + 1), 3)",
    "user_seconds": "round(0.7 * seconds / (k + 1), 2)",
    "system_seconds": "round(0.1 * seconds / (k + 1), 2)",
    "max_rss_bytes": "20_000_000 + hash(i, k, 10) % 4096 * 4096",
    "read_bytes": "hash(i, k, 11) % 100 * 4096",
    "written_bytes": "hash(i, k, 12) % 100 * 4096",
    "flaky": "if(k = 0, NULL, false)",
    "flaky_stages": "if(k = 0, [], NULL)",
    "cached": "if(k = 0, from_cache > 0, k = from_cache)",
    **{
        f"tests_{name}": f"if(k = {STAGES}, {number}, NULL)"
        for name, number in (("passed", 100), ("failed", 0), ("skipped", 3), ("errors", 0))
    },
}


def make(folder: Path, runs: int) -> dict[str, str]:
    """So many runs, each with its stages, of a year: paths by names."""
    import duckdb

    found = {}
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(_RUNS, {"runs": runs})
        groups = "SELECT repository, roots, machine, month, count(*), min(run_id) FROM runs GROUP BY ALL ORDER BY ALL"
        for repository, roots, machine, month, number, first in database.execute(groups).fetchall():
            head = Head(history=VERSION, repository=repository, roots=roots, machine=machine, month=month, runs=number)
            values = ", ".join(f'({_VALUES.get(one.name, "NULL")})::{one.type} AS "{one.name}"' for one in COLUMNS)
            of = "repository = $repository AND machine = $machine AND month = $month"
            database.execute(
                f"CREATE OR REPLACE TEMP TABLE part AS SELECT {values}"
                f" FROM (SELECT *, unnest(range({STAGES + 1})) AS k FROM runs WHERE {of})",  # as they stand: by time
                {"repository": repository, "machine": machine, "month": month},
            )
            path = str(folder / "part")
            database.execute(copy(path, encode_head(head).decode()))
            with open(path, "rb") as file:
                name = name_of(head, first, sha256_hex(file.read()), PARQUET.suffix)
            found[name] = os.path.join(folder, name)
            os.makedirs(os.path.dirname(found[name]), exist_ok=True)
            os.rename(path, found[name])
    return found
