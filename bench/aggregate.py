"""What reading metrics costs: our entries and those of codex-orchestrator, beside DuckDB, up to ten million, one more.

`BENCH_DUCKDB` is a Python that can import duckdb (the one that runs this); `BENCH_ENTRIES` the largest file (1000000).
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import subprocess
import time
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import ORCHGATE, PYTHON, Row, cost, environment, instructions, main, missing, most_memory, scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TASK = "0001-bench"
ENTRIES = 200_000
LENGTH = 2_200  # bytes of a foreign entry on average, as in the orchestrator's own repository
MOST = int(os.environ.get("BENCH_ENTRIES", "1000000"))
SIZES = (200_000, 1_000_000, 4_000_000, 10_000_000)
RUNS = (1_000, 10_000, 50_000)
RATE = 150_000  # entries of ours a CPU-second
MEMORY = 64_000_000
ROUNDS = 5
FEW = (2_000, 8_000)  # entries whose instructions are counted
WRITERS, EACH = 64, 20
DUCKDB = os.environ.get("BENCH_DUCKDB") or PYTHON
CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus")

UPDATE = """
import gc, resource, sys, time
gc.disable()  # as the console script does
from orchgate.metrics.update import update
def spent():  # with the processes that it started
    own, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime
start, before = time.perf_counter(), spent()
found = update(sys.argv[1])
print(time.perf_counter() - start, spent() - before, found.aggregate.runs, found.lines)
"""
# What an aggregate has of such a file, and how many runs are not copies.
QUERY = """
import os, sys, duckdb
names = ("run_id", "pipeline_id", "status", "started_at", "completed_at")
columns = {**dict.fromkeys(names, "VARCHAR"), "duration_seconds": "DOUBLE"}
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")  # which would be among the answer
spent = sum(os.times()[:2])
found = connection.execute(f'''
    SELECT pipeline_id, status, count(*), count(DISTINCT run_id), min(started_at), max(completed_at),
        sum(duration_seconds), min(duration_seconds), max(duration_seconds),
        approx_quantile(duration_seconds, [0.5, 0.9, 0.99])
    FROM read_json('{sys.argv[1]}', format='newline_delimited', columns={columns}) GROUP BY ALL''').fetchall()
print(sum(os.times()[:2]) - spent, sum(row[2] for row in found))
"""
WRITER = """
import sys
from orchgate.runner.writer import append_entry
line = open(sys.argv[2], "rb").read()
for number in range(int(sys.argv[4])):
    append_entry(sys.argv[1], line.replace(b"RUN", b"%s-%d" % (sys.argv[3].encode(), number)))
"""


def rows() -> Iterator[Row]:
    with scratch() as root:
        yield from own_entries(root)
        yield from foreign_entries(root)
        yield from growth(root)
        yield from one_more(root)
        yield concurrent(root)


def own_entries(root: Path) -> Iterator[Row]:
    for stages in (1, 5):
        folder = made(root, f"00{stages}0-own", partial(build_own, count=ENTRIES, stages=stages))
        rate = ENTRIES / statistics.median(cpu for _, cpu, *_ in (from_scratch(folder) for _ in range(ROUNDS)))
        size = (folder / "metrics.json").stat().st_size // ENTRIES
        what = f"{ENTRIES:,} entries of ours, {stages} stage{'s' if stages > 1 else ''}, {size:,} bytes each"
        yield Row(what, f"{rate:,.0f} a CPU-second", f"{RATE:,}", rate >= RATE)
        yield memory_row(folder, root)
        yield instructions_each(folder, root)


def memory_row(folder: Path, root: Path) -> Row:
    (folder / "aggregate.json").unlink(missing_ok=True)
    memory = most_memory([PYTHON, "-c", UPDATE, str(folder)], root)
    return Row("  memory of both processes", f"{memory / 1e6:.0f} MB", "64 MB", memory <= MEMORY)


def instructions_each(folder: Path, root: Path) -> Row:
    """What each further entry takes, in one process: the start of the program is in both sides."""
    found = []
    for number in FEW:
        some = root / "few" / str(number)
        some.mkdir(parents=True, exist_ok=True)
        with (folder / "metrics.json").open("rb") as file:
            (some / "metrics.json").write_bytes(b"".join(file.readline() for _ in range(number)))
        script = "import sys, orchgate.metrics.reduce as r; r.WORTH_IT = 1 << 60\n" + UPDATE
        found.append(
            instructions(
                [PYTHON, "-c", script, str(some)],
                before=partial((some / "aggregate.json").unlink, missing_ok=True),
            )
        )
    small, large = found
    if small is None or large is None:
        return missing("  instructions an entry", "valgrind is not installed")
    return Row("  instructions an entry", f"{(large - small) / (FEW[1] - FEW[0]):,.0f}")


def foreign_entries(root: Path) -> Iterator[Row]:
    folder = made(root, TASK, partial(build, count=ENTRIES))
    found, other = [], []
    for _ in range(ROUNDS):  # in alternation
        found.append(from_scratch(folder)[1])
        other.append(by_duckdb(folder))
    seconds = statistics.median(found)
    yield Row(f"{ENTRIES:,} entries of codex-orchestrator", f"{ENTRIES / seconds:,.0f} a CPU-second")
    yield memory_row(folder, root)
    yield instructions_each(folder, root)
    known = [cpu for cpu in other if cpu is not None]
    if not known:
        yield missing("  beside DuckDB", "duckdb is not installed", "1 x")
        return
    ratio = seconds / statistics.median(known)
    yield Row("  beside DuckDB, CPU time of both", f"{ratio:.2f} x", "1 x", ratio <= 1)


def by_duckdb(folder: Path) -> float | None:
    """CPU seconds of DuckDB over the same file; None where it is not installed."""
    argv = [DUCKDB, "-c", QUERY, str(folder / "metrics.json")]
    done = subprocess.run(argv, env=environment(), capture_output=True, check=False, text=True)
    if "No module named" in done.stderr:
        return None
    seconds, runs = done.stdout.split()
    assert int(runs) == ENTRIES, done.stderr
    return float(seconds)


def growth(root: Path) -> Iterator[Row]:
    """CPU time and memory from scratch, by the number of entries, and what one more costs then."""
    before: tuple[int, float] | None = None
    for number in [size for size in SIZES if size <= MOST]:
        folder = made(root, f"{number}-growth", partial(build_own, count=number, stages=1))
        (folder / "aggregate.json").unlink(missing_ok=True)
        memory = most_memory([PYTHON, "-c", UPDATE, str(folder)], root)
        (folder / "aggregate.json").unlink(missing_ok=True)
        seconds = update(folder)[1]
        what = f"{number:,} entries of ours"
        yield Row(f"{what}: memory of both processes", f"{memory / 1e6:.0f} MB", "64 MB", memory <= MEMORY)
        figure = f"{seconds:.1f} s of CPU"
        if before:
            exponent = math.log(seconds / before[1]) / math.log(number / before[0])
            yield Row(f"{what}: growth from {before[0]:,}", f"{exponent:.2f} ({figure})", "<= 1.1", exponent <= 1.1)
        else:
            yield Row(f"{what}: from scratch", figure, "", None)
        before = number, seconds
        yield another(folder, f"{what}: one more")
        (folder / "metrics.json").unlink()
    for number in [size for size in SIZES if size > MOST]:
        yield missing(f"{number:,} entries of ours", f"BENCH_ENTRIES={number}", "64 MB, n^1.1")


def one_more(root: Path) -> Iterator[Row]:
    """The whole command after one new entry."""
    for number in RUNS:
        task = f"{number}-runs"
        folder = made(root, task, partial(build_own, count=number, stages=5))
        yield another(folder, f"one new entry after {number:,}")
        whole = cost([ORCHGATE, "metrics", "--task", task], root, before=partial(add, folder)).cpu
        bare = cost([PYTHON, "-c", "pass"], root).cpu
        figure = f"{whole * 1000:.0f} ms of CPU ({whole / bare:.1f} x bare Python)"
        yield Row(f"  the whole command after {number:,}", figure, "70 ms", whole <= 0.070)


def another(folder: Path, what: str) -> Row:
    found = []
    update(folder)
    for _ in range(15):
        add(folder)
        found.append(update(folder))
    assert {lines for *_, lines in found} == {1}
    cpu = statistics.median(cpu for _, cpu, *_ in found)
    return Row(what, f"{cpu * 1000:.1f} ms of CPU", "5 ms", cpu <= 0.005)


def made(root: Path, task: str, fill: Callable[[Path], None]) -> Path:
    folder = root / ".runs" / task
    folder.mkdir(parents=True)
    fill(folder)
    return folder


def from_scratch(folder: Path) -> tuple[float, float, int, int]:
    (folder / "aggregate.json").unlink(missing_ok=True)
    found = update(folder)
    assert found[2:] == (ENTRIES, ENTRIES)
    return found


def build_own(folder: Path, count: int, stages: int) -> None:
    """Entries as `orchgate run` writes them. Past the first 50,000 the same figures come again in other runs."""
    chance = random.Random(1)
    with (folder / "metrics.json").open("wb") as file:
        block = b"".join(own_entry(chance, number, stages) for number in range(min(count, 50_000)))
        for copy in range(-(-count // 50_000)):
            data = block.replace(b"-@@@", b"-%03x" % copy)
            file.write(data if count - 50_000 * copy >= 50_000 else b"\n".join(data.split(b"\n", count)[:-1]) + b"\n")


def own_entry(chance: random.Random, number: int, stages: int) -> bytes:
    start = time.gmtime(1_735_700_000 + 60 * number)
    at, wall = time.strftime("%Y-%m-%dT%H:%M:%S", start), 1 + chance.expovariate(0.2)
    parts = [_spent(chance, wall / stages) for _ in range(stages)]
    both = {name: round(sum(part[name] for part in parts), 6) for name in parts[0]}
    entry = {
        "entry": 1,
        "run_id": f"{at.replace(':', '-')}-{number % 1000:03d}Z-@@@{number:05x}",
        "task_id": TASK,
        "pipeline_id": "tests",
        "status": "succeeded" if chance.random() < 0.93 else "failed",
        "started_at": f"{at}.000Z",
        "completed_at": f"{at}.999Z",
        "resumes": 0,
        "commit": f"{chance.getrandbits(160):040x}",
        "tree": f"{chance.getrandbits(160):040x}",
        "machine": "794f3ab6db7579f7",
        **both,
        "away_seconds": 0.0,
        "manifest_writes": 2,
        "journal_writes": 12,
        "files": 8,
        "bytes": 15_718,
        "stages": [{"id": f"stage-{place}", "status": "succeeded", **part} for place, part in enumerate(parts)],
    }
    return line(entry) + b"\n"


def _spent(chance: random.Random, wall: float) -> dict[str, float]:
    return {
        "wall_seconds": round(wall * chance.uniform(0.8, 1.2), 6),
        "user_seconds": round(wall * chance.random(), 6),
        "system_seconds": round(wall * chance.random() / 5, 6),
        "max_rss_bytes": 4096 * chance.randrange(200, 50_000),
        "read_bytes": 4096 * chance.randrange(300) if chance.random() < 0.3 else 0,
        "written_bytes": 4096 * chance.randrange(900),
    }


def build(folder: Path, count: int) -> None:
    """A metrics file of real entries, apart from run ids and durations."""
    templates = list(shortened(real()))
    start = time.mktime((2025, 1, 1, 0, 0, 0, 0, 1, 0))
    with (folder / "metrics.json").open("wb") as file:
        for number, template in zip(range(count), cycle(templates), strict=False):
            at = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(start + 60 * number))
            run_id = f"{at}-{number % 1000:03d}Z-{number * 2654435761 % 2**32:08x}".encode()
            file.write(
                template.replace(b"@RUN", run_id).replace(b"765.4321", b"%.3f" % (1 + number % 997 / 31)) + b"\n"
            )


def real() -> Iterator[dict[str, Any]]:
    """Entries as the orchestrator writes them, from the recorded runs where they are here."""
    found = [
        path for name in ("jan", "june") for path in (CORPUS / "small-runs" / name / ".runs").glob("*/metrics.json")
    ]
    for path in found:
        yield from map(json.loads, path.read_text().splitlines())
    if not found:
        event = {"handle_id": "e5113c34-93ec-431f-89c8-e78993567654", "sequence": 1, "action": "allow", "rule": None}
        yield {
            "run_id": "",
            "task_id": TASK,
            "pipeline_id": "diagnostics",
            "status": "succeeded",
            "started_at": "2026-11-23T04:04:20.463Z",
            "completed_at": "2026-11-23T04:04:45.506Z",
            "duration_seconds": 0,
            "commands_passed": 5,
            "commands_failed": 0,
            "control_plane_status": "passed",
            "privacy_events": [event | {"timestamp": "2026-11-23T04:04:25.488Z", "stage_id": "build"}] * 20,
            **{f"learning_figure_{number}": 0 for number in range(12)},
        }


def shortened(entries: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """The entries with as many events as make the usual length."""
    for entry in entries:
        entry |= {"run_id": "@RUN", "duration_seconds": 765.4321}
        while len(line(entry)) > LENGTH and entry["privacy_events"]:
            entry["privacy_events"].pop()
        yield line(entry)


def line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode()


def update(folder: Path) -> tuple[float, float, int, int]:
    """Wall and CPU seconds of an update in a process of its own, the runs in all, and the lines read."""
    argv = [PYTHON, "-c", UPDATE, str(folder)]
    out = subprocess.run(argv, env=environment(), capture_output=True, check=True, text=True).stdout.split()
    return float(out[0]), float(out[1]), int(out[2]), int(out[3])


def add(folder: Path) -> None:
    with (folder / "metrics.json").open("ab") as file:
        run = b"%d" % time.perf_counter_ns()
        file.write(own_entry(random.Random(1), 1, 5).replace(b"@@@", run))


def concurrent(root: Path) -> Row:
    folder = root / ".runs" / "0003-writers"
    folder.mkdir()
    template = root / "entry"
    template.write_bytes(next(shortened(real())).replace(b"@RUN", b"RUN"))
    argv = [PYTHON, "-c", WRITER, str(folder / "metrics.json"), str(template)]
    start = time.perf_counter()
    writers = [subprocess.Popen([*argv, str(number), str(EACH)], env=environment()) for number in range(WRITERS)]
    looks = 0
    while any(writer.poll() is None for writer in writers):
        update(folder)
        looks += 1
    seconds = time.perf_counter() - start
    lost = WRITERS * EACH - update(folder)[2]
    failed = sum(writer.returncode != 0 for writer in writers)
    figure = f"{lost} lost, {failed} failed ({looks} looks, {seconds:.1f} s)"
    return Row(f"{WRITERS} writers of {EACH} entries while others read", figure, "0 lost", not lost and not failed)


if __name__ == "__main__":
    main(rows)
