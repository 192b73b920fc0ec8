"""What being observed costs programs that write much, with fanotify and without, and whether they are counted right."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from operator import le
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common import ORCHGATE, Row, environment, main

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = 10_000
ROUNDS = 21
STORM_ROUNDS = 7
# What a pipeline does: results in JSON, a hundred in each folder. The command says how long its own work took: what
# observing adds before it starts and after it has ended is a row of its own.
COMMAND = """
import json, os, sys, time
start, used = time.perf_counter(), time.process_time()
for run in range(100):
    os.makedirs(f"out/{run}")
    for number in range(100):
        results = [{"name": f"test_{n}", "outcome": "passed", "seconds": n / 7} for n in range(20)]
        with open(f"out/{run}/{number}.json", "w") as file:
            json.dump(results, file, indent=1)
print(time.perf_counter() - start, time.process_time() - used)
"""
# Programs that do hardly anything else than to make folders and files, and how many writes and renames they make.
STORMS = {
    "2,000 short-lived folders": (
        """
for i in range(2000):
    os.mkdir(f"out/{i}"); write(f"out/{i}/a"); shutil.rmtree(f"out/{i}")
""",
        (2000, 0),
    ),
    "a folder of 100 files made anew 20 times": (
        """
for i in range(20):
    shutil.rmtree("out/all", True); os.makedirs("out/all")
    for n in range(100): write(f"out/all/{n}")
""",
        (2000, 0),
    ),
    "300 new run folders with 5 atomic writes each": (
        """
for i in range(300):
    os.makedirs(f"out/{i}/run")
    for n in range(5): write(f"out/{i}/run/new"); os.rename(f"out/{i}/run/new", f"out/{i}/run/manifest.json")
""",
        (1500, 1500),
    ),
    "64 folders of 20 files written 60 times": (
        """
for i in range(64): os.mkdir(f"out/{i}")
for n in range(60):
    for i in range(64):
        for k in range(20): write(f"out/{i}/{k}")
""",
        (76800, 0),
    ),
}
AROUND = """
import os, shutil, time
def write(path):
    with open(path, "w") as file: file.write("x")
os.makedirs("out", exist_ok=True)
start, used = time.perf_counter(), time.process_time()
{storm}
print(time.perf_counter() - start, time.process_time() - used)
"""
WRITE_OPEN = re.compile(rb'openat\([^"]*"out/[^"]*", [^)]*O_(?:WRONLY|RDWR)[^)]*\) = \d')
RENAME = re.compile(rb'rename\("out/[^"]*", "out/[^"]*"\) += 0')
# The superuser's right to fanotify, given up.
WITHOUT_FANOTIFY = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]


def script(command: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", command]


def observed_by(argv: list[str]) -> dict[str, list[str]]:
    """The commands that observe a program, by who counts."""
    plain = [ORCHGATE, "observe", "--watch", "out", "--", *argv]
    return {"inotify": plain} if os.geteuid() else {"fanotify": plain, "inotify": [*WITHOUT_FANOTIFY, *plain]}


class Cost(NamedTuple):
    """Seconds: the command's own wall and CPU time, and those of everything around it."""

    wall: float
    cpu: float
    whole: float


def rows() -> Iterator[Row]:
    places = [(tempfile.gettempdir(), "on disk"), ("/dev/shm", "in memory")]
    for place, where in places:
        if os.path.isdir(place):
            yield from _ordinary(place, where)
    for what, (storm, truth) in STORMS.items():
        for place, where in places:
            if os.path.isdir(place):
                yield from _storm(place, f"{what} {where}", storm, truth)


def _ordinary(place: str, where: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        costs, seen = _alternated(Path(folder), COMMAND, ROUNDS)
        for by in seen:
            for name, field in (("wall", 0), ("CPU", 1)):
                ratio = _ratio(costs[""], costs[by], field)
                what = f"{FILES:,} files {where}, {name} time of the command, {by}"
                yield Row(what, f"{ratio - 1:+.1%}", "+5 %", ratio <= 1.05)
            uncounted = sum(abs(FILES - totals[key]) for totals in seen[by] for key in ("files", "created", "written"))
            # What is written twice before the watch is unknown; that everything is written at all is not.
            yield Row("  events uncounted", str(uncounted), "0", uncounted == 0)
            around = statistics.median(one.whole - one.wall for one in costs[by])
            yield Row("  before and after it", f"{around * 1000:.0f} ms", "", None)


def _storm(place: str, what: str, storm: str, truth: tuple[int, int]) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        root, command = Path(folder), AROUND.format(storm=storm)
        traced = _traced(root, command)
        yield Row(f"{what}, by strace", f"{traced[0]:,} writes, {traced[1]:,} renames", "", traced == truth)
        costs, seen = _alternated(root, command, STORM_ROUNDS)
        for by, found in seen.items():
            wall, cpu = (_ratio(costs[""], costs[by], field) for field in (0, 1))
            yield Row(
                f"  observed with {by}: wall and CPU time", f"{wall:.2f} x, {cpu:.2f} x", "1.2 x", max(wall, cpu) <= 1.2
            )
            yield _said(found, traced)


def _said(found: list[dict[str, Any]], traced: tuple[int, int]) -> Row:
    """Whether every count was that of strace, or said that it is a lower bound and was below."""
    counts = [(totals["written"], totals["renamed"]) for totals in found]
    bounds = sum(totals["lower_bound"] for totals in found)
    good = all(
        count == traced or (totals["lower_bound"] and all(map(le, count, traced)))
        for count, totals in zip(counts, found, strict=True)
    )
    exact = sum(count == traced for count in counts)
    return Row("  counts as by strace", f"{exact} of {len(found)}, {bounds} 'at least'", "or 'at least'", good)


def _alternated(root: Path, command: str, rounds: int) -> tuple[dict[str, list[Cost]], dict[str, list[dict[str, Any]]]]:
    """Costs by who observed it ("": nobody) and what they counted, in rounds of random order."""
    watched = observed_by(script(command))
    commands = {"": script(command), **watched}
    costs: dict[str, list[Cost]] = {by: [] for by in commands}
    seen: dict[str, list[dict[str, Any]]] = {by: [] for by in watched}
    for _ in range(rounds):
        for by in random.sample(list(commands), len(commands)):
            costs[by].append(_run(root, commands[by]))
            if by:
                seen[by].append(_seen(root))
            shutil.rmtree(root / "out")
            shutil.rmtree(root / ".runs", ignore_errors=True)
    return costs, seen


def _traced(root: Path, command: str) -> tuple[int, int]:
    """Openings for writing and renames below `out`, as strace sees them."""
    argv = ["strace", "-f", "-qq", "-e", "trace=openat,rename", "-s", "300", *script(command)]
    done = subprocess.run(argv, cwd=root, env=environment(), capture_output=True, check=True)
    shutil.rmtree(root / "out")
    return len(WRITE_OPEN.findall(done.stderr)), len(RENAME.findall(done.stderr))


def _ratio(bare: list[Cost], observed: list[Cost], field: int) -> float:
    return statistics.median(one[field] for one in observed) / statistics.median(one[field] for one in bare)


def _run(root: Path, argv: list[str]) -> Cost:
    start = time.perf_counter()
    done = subprocess.run(argv, cwd=root, env=environment(), capture_output=True, check=True)
    whole = time.perf_counter() - start
    wall, cpu = map(float, done.stdout.split())
    return Cost(wall, cpu, whole)


def _seen(root: Path) -> dict[str, Any]:
    """What an observation counted, and whether it says that this is a lower bound."""
    (path,) = root.glob(".runs/observed/cli/*/artifacts/activity.json")
    found = json.loads(path.read_text())
    return {**found["totals"], "lower_bound": found["lower_bound"]}


if __name__ == "__main__":
    main(rows)
