"""Records streams of pairs on this machine: `python bench/accuracy/record.py idle FILE.jsonl [SECONDS]`.

Each block of a stream is 128 pairs in a row of one workload, both arms doing the same work (`same`) or head doing 2, 5,
10 or 20 % more of it. Conditions: `idle`, and `busy`, with neighbours that use the processors in bursts. The lines are
those that `orchgate perf --replay` reads.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

HERE = os.path.dirname(os.path.abspath(__file__))
PAIRS = 128
UNITS = {"cpu": 2600, "files": 450, "processes": 60, "memory": 420}
LEVELS = (0, 5, 10, 20, 0, 5, 2, 10)  # percent
CALIBRATIONS = 80
SEED = 20261123


def measure(workload: str, units: int, folder: str) -> dict[str, float]:
    """CPU and wall seconds and peak memory of one run, everything below it included."""
    argv = [sys.executable, "-I", "-S", os.path.join(HERE, "workloads.py"), workload, str(units)]
    environ = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", "TMPDIR": folder}
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, environ)
    _, status, spent = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{workload} failed: {status}")
    return {
        "cpu_seconds": round(spent.ru_utime + spent.ru_stime, 6),
        "wall_seconds": round(wall, 6),
        "max_rss_bytes": spent.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def extra_units(workload: str, folder: str) -> dict[int, int]:
    """Units that make the whole command, its start included, slower by each percentage.

    What one more unit costs is seen between once and twice the work: the first ones pay for what is done once.
    """
    units = UNITS[workload]
    runs = [(measure(workload, units, folder), measure(workload, 2 * units, folder)) for _ in range(CALIBRATIONS)]
    whole, twice = (statistics.median(run["cpu_seconds"] for run in side) for side in zip(*runs, strict=True))
    return {level: round(units * (1 + level / 100 * whole / (twice - whole))) for level in set(LEVELS)}


def pairs(workload: str, head: int, flips: random.Random, folder: str) -> Iterator[dict[str, object]]:
    for pair in range(PAIRS):
        arms = ["base", "head"] if flips.random() < 0.5 else ["head", "base"]
        for order, arm in enumerate(arms):
            units = UNITS[workload] if arm == "base" else head
            yield {"pair": pair, "arm": arm, "order": order, "metrics": measure(workload, units, folder)}


def record(condition: str, out: TextIO, seconds: float) -> None:
    flips = random.Random(SEED)
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="orchgate-accuracy-") as folder:
        heads = {workload: extra_units(workload, folder) for workload in WORKLOADS}
        block = 0
        while True:
            for level in LEVELS:
                if time.monotonic() > end:
                    return
                block += 1
                for workload in WORKLOADS:
                    stream = f"{condition}/{workload}/{level}/{block}"
                    lines = pairs(workload, heads[workload][level], flips, folder)
                    out.writelines(json.dumps({"stream": stream, **line}) + "\n" for line in lines)
                    out.flush()


def neighbours() -> Iterator[None]:
    """Processes that each use a processor in bursts of up to three seconds, until told to stop."""
    code = (
        "import random, time\n"
        "while True:\n"
        "    end = time.monotonic() + random.uniform(0.1, 3)\n"
        "    while time.monotonic() < end: sum(range(10000))\n"
        "    time.sleep(random.uniform(0.1, 3))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range((os.cpu_count() or 1) + 1)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main(condition: str, path: str, seconds: float) -> None:
    with open(path, "w", encoding="utf-8") as out:
        if condition == "busy":
            for _ in neighbours():
                record(condition, out, seconds)
        else:
            record(condition, out, seconds)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 600.0)
