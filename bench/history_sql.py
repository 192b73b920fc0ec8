"""What DuckDB is asked about a store of many runs: CPU and wall time of the whole program, and its memory.

Runs of five stages, of ten repositories, two classes of machines and a year, in parts as compaction leaves them; they
are fetched and looked at once, which has a row of its own. `BENCH_ROWS=100000000` asks for another number of rows.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

import history_parts
from common import ORCHGATE, Row, commit, environment, exponent, main, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ROWS = (1_000_000, 10_000_000)
ROUNDS = 3
MOST_SECONDS, MOST_MEMORY = 10.0, 512  # of CPU, and MiB, of any question about 10 M rows
TREND = """
SELECT date_trunc('week', started_at) AS week, median(wall_seconds)
FROM stages WHERE stage = 'stage-1' AND status = 'succeeded' AND NOT cached GROUP BY ALL ORDER BY ALL
"""
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "show --by pipeline": ("--by", "pipeline"),
    "show --by week": ("--by", "week"),
    "show --by repository,pipeline,stage,machine": ("--by", "repository,pipeline,stage,machine"),
    "show --by pipeline --since, a month": ("--by", "pipeline", "--since", "2025-12-01"),
    "show --sql, a trend": ("--sql", TREND),
}


class Spent(NamedTuple):
    """Seconds, and MiB of the largest process."""

    cpu: float
    wall: float
    memory: int

    def __str__(self) -> str:
        return f"{self.cpu:.2f} s of CPU, {self.wall:.2f} s, {self.memory:,} MiB"


def rows() -> Iterator[Row]:
    numbers = (int(os.environ["BENCH_ROWS"]),) if "BENCH_ROWS" in os.environ else ROWS
    found: list[dict[str, Spent]] = []
    for number in numbers:
        found.append(asked(number))
        for what, spent in found[-1].items():
            met = spent.cpu <= MOST_SECONDS and spent.memory <= MOST_MEMORY
            limited = number == ROWS[-1] and what in QUESTIONS
            limit = f"{MOST_SECONDS:g} s of CPU, {MOST_MEMORY:,} MiB" if limited else ""
            yield Row(f"history of {number:,} rows in a store, {what}", str(spent), limit, met if limited else None)
    for what in QUESTIONS if len(found) > 1 else ():
        grown = exponent(found[0][what].cpu, found[-1][what].cpu, numbers[-1] / numbers[0])
        yield Row(f"history in a store, {what}: growth from {numbers[0]:,}", f"{grown:.2f}", "<= 1.1", grown <= 1.1)


def asked(number: int) -> dict[str, Spent]:
    with scratch() as root:
        write(root, "orchgate.toml", "")
        commit(root, "start")
        store = root / "store"
        store.mkdir()
        history_parts.make(store, number // (history_parts.STAGES + 1))
        found = {"fetched and looked at": spent(root, store, "--by", "pipeline")}
        for what, words in QUESTIONS.items():
            found[what] = min((spent(root, store, *words) for _ in range(ROUNDS)), key=lambda one: one.cpu)
        return found


def spent(cwd: Path, store: Path, *words: str) -> Spent:
    started = time.perf_counter()
    argv = [ORCHGATE, "history", "show", "--from", str(store), *words, "--output-format", "json"]
    with subprocess.Popen(argv, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL) as program:
        _, status, usage = os.wait4(program.pid, 0)
        program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode:
        raise SystemExit(f"{' '.join(argv)}: {program.returncode}")
    return Spent(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss >> 10)


if __name__ == "__main__":
    main(rows)
