"""What being observed costs a command that writes 10,000 files, and whether any of them goes uncounted."""

from __future__ import annotations

import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from common import ORCHGATE, Row, environment, main, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = 10_000
ROUNDS = 21
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
SCRIPT = [sys.executable, "-S", "-E", "-c", COMMAND]
OBSERVED = [ORCHGATE, "observe", "--watch", "out", "--", *SCRIPT]


class Cost(NamedTuple):
    """Seconds: the command's own wall and CPU time, and those of everything around it."""

    wall: float
    cpu: float
    whole: float


def rows() -> Iterator[Row]:
    with scratch() as root:
        yield from _judged(root, "on disk", limit=True)
    memory = Path("/dev/shm")
    if memory.is_dir():
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            yield from _judged(Path(folder), "in memory", limit=False)


def _judged(root: Path, where: str, *, limit: bool) -> Iterator[Row]:
    bare: list[Cost] = []
    observed: list[Cost] = []
    uncounted = 0
    for _ in range(ROUNDS):
        for with_us in random.sample([False, True], 2):
            (observed if with_us else bare).append(_run(root, OBSERVED if with_us else SCRIPT))
            uncounted += _uncounted(root) if with_us else 0
            shutil.rmtree(root / "out")
            shutil.rmtree(root / ".runs", ignore_errors=True)
    for name, ratio in (("wall", _ratio(bare, observed, 0)), ("CPU", _ratio(bare, observed, 1))):
        what = f"{FILES:,} files {where}, {name} time of the command when observed"
        yield Row(what, f"{ratio - 1:+.1%}", "+3 %" if limit else "", ratio <= 1.03 if limit else None)
    each = statistics.median(one.cpu for one in bare) / FILES * 1e6
    around = statistics.median(one.whole - one.wall for one in observed)
    yield Row("  events uncounted", str(uncounted), "0", uncounted == 0)
    yield Row("  before and after it", f"{around * 1000:.0f} ms ({each:.0f} us a file unobserved)", "", None)


def _ratio(bare: list[Cost], observed: list[Cost], field: int) -> float:
    return statistics.median(one[field] for one in observed) / statistics.median(one[field] for one in bare)


def _run(root: Path, argv: list[str]) -> Cost:
    start = time.perf_counter()
    done = subprocess.run(argv, cwd=root, env=environment(), capture_output=True, check=True)
    whole = time.perf_counter() - start
    wall, cpu = map(float, done.stdout.split())
    return Cost(wall, cpu, whole)


def _uncounted(root: Path) -> int:
    """Files whose creation or whose one write was not told, or told twice."""
    (path,) = root.glob(".runs/observed/cli/*/artifacts/activity.json")
    totals = json.loads(path.read_text())["totals"]
    return sum(abs(FILES - totals[key]) for key in ("files", "created", "written"))


if __name__ == "__main__":
    main(rows)
