"""What reading metrics costs: 200,000 entries of codex-orchestrator, one more, and 64 writers at once."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import ORCHGATE, Row, cost, environment, main, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

TASK = "0001-bench"
ENTRIES = 200_000
LENGTH = 2_200  # bytes of an entry on average, as in the orchestrator's own repository
WRITERS, EACH = 64, 20
PYTHON = str(Path(ORCHGATE).with_name("python"))
CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus")

UPDATE = """
import gc, os, sys, time
gc.disable()  # as the console script does
from orchgate.metrics.update import update
start, spent = time.perf_counter(), sum(os.times()[:4])
found = update(sys.argv[1])
print(time.perf_counter() - start, sum(os.times()[:4]) - spent, found.aggregate.runs, found.lines)
"""
WRITER = """
import sys
from orchgate.metrics.entries import append
line = open(sys.argv[2], "rb").read()
for number in range(int(sys.argv[4])):
    append(sys.argv[1], line.replace(b"RUN", b"%s-%d" % (sys.argv[3].encode(), number)))
"""


def rows() -> Iterator[Row]:
    with scratch() as root:
        folder = root / ".runs" / TASK
        folder.mkdir(parents=True)
        few = root / ".runs" / "0002-few"
        few.mkdir()
        build(few, ENTRIES // 100)
        build(folder, ENTRIES)
        yield from from_scratch(root, folder)
        update(few)
        yield from one_more(root, folder, few)
        yield concurrent(root)


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


def from_scratch(root: Path, folder: Path) -> Iterator[Row]:
    size = (folder / "metrics.json").stat().st_size
    update(folder)  # warms the system's cache
    found = []
    for _ in range(7):
        (folder / "aggregate.json").unlink()
        found.append(update(folder))
    assert {(runs, lines) for _, _, runs, lines in found} == {(ENTRIES, ENTRIES)}
    best, middle = (size / take([wall for wall, *_ in found]) / 1e6 for take in (min, statistics.median))
    what = f"aggregation of {ENTRIES:,} entries, {size / 1e6:.0f} MB"
    yield Row(what, f"{best:.0f} MB/s (median {middle:.0f})", "600 MB/s", best >= 600)
    # What two free cores would make of it: says something on a busy machine as well.
    cores = 2 * size / min(cpu for _, cpu, *_ in found) / 1e6
    yield Row("  by CPU time, on two cores", f"{cores:.0f} MB/s", "", None)
    (folder / "aggregate.json").unlink()
    memory = most_memory([ORCHGATE, "metrics", "--task", TASK], root)
    yield Row("  memory of both processes together", f"{memory / 1e6:.0f} MB", "64 MB", memory <= 64_000_000)


def most_memory(argv: list[str], cwd: Path) -> int:
    """The most that a program and its children held at one time, in bytes; shared pages count for each."""
    child = subprocess.Popen(argv, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL)
    most = 0
    while child.poll() is None:
        most = max(most, sum(resident(pid) for pid in family(child.pid)))
        time.sleep(0.002)
    return most


def family(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from family(int(child))


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def one_more(root: Path, folder: Path, few: Path) -> Iterator[Row]:
    for name, where in ((f"{ENTRIES:,}", folder), (f"{ENTRIES // 100:,}", few)):
        found = []
        for _ in range(21):
            add(where)
            found.append(update(where))
        assert {lines for *_, lines in found} == {1}
        walls = [wall for wall, *_ in found]
        figure = f"{min(walls) * 1000:.1f} ms (median {statistics.median(walls) * 1000:.1f})"
        yield Row(f"  after one new entry, {name} before", figure, "10 ms", min(walls) <= 0.010)
    whole = cost([ORCHGATE, "metrics", "--task", TASK], root, before=lambda: add(folder)).wall
    bare = cost([PYTHON, "-c", "import msgspec, argparse"], root).wall
    yield Row("  whole command, one new entry", f"{whole * 1000:.0f} ms ({bare * 1000:.0f} imports)", "", None)


def add(folder: Path) -> None:
    with (folder / "metrics.json").open("ab") as file:
        file.write(next(shortened(real())).replace(b"@RUN", b"new-%d" % time.perf_counter_ns()) + b"\n")


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
