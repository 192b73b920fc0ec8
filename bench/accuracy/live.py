"""Decisions of the real program: `python bench/accuracy/live.py [DECISIONS] [PERCENT ...]` (100, and 0 and 10 percent).

Each is one `orchgate perf` on a repository whose head does so much more work than its base: a Python loop whose
command takes 0.12 s of CPU time, the interpreter's start included. Prints the verdicts on CPU time and of the whole,
with Wilson intervals, and how long the program took.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from common import ORCHGATE, commit, cost, environment, scratch, write  # noqa: E402
from perf import WORK, _calibrated  # noqa: E402
from table import share  # noqa: E402

BUDGET = "30"


class Decision(NamedTuple):
    cpu: str
    whole: str
    code: int
    seconds: float


def decide(root: Path) -> Decision:
    argv = [ORCHGATE, "perf", "--base", "HEAD~1", "--budget", BUDGET, "--output-format", "json", "--"]
    start = time.perf_counter()
    done = subprocess.run(
        [*argv, sys.executable, "-S", "work.py"], cwd=root, env=environment(), capture_output=True, check=False
    )
    seconds = time.perf_counter() - start
    document = json.loads(done.stdout)
    cpu = next((one["verdict"] for one in document["metrics"] if one["name"] == "cpu_seconds"), "none")
    return Decision(cpu, document["verdict"], done.returncode, seconds)


def main(decisions: int, percentages: list[int]) -> None:
    with scratch() as root:
        loops = _calibrated(root)
        write(root, "work.py", WORK.format(loops=loops))
        commit(root, "base")
        for percent in percentages:
            # What grows is the whole command, not only its loop.
            more = 0 if not percent else round(loops * percent / 100 * _whole(root))
            write(root, "work.py", WORK.format(loops=loops + more))
            write(root, "README.md", f"{percent}\n")
            commit(root, f"{percent} % more")
            report(percent, [decide(root) for _ in range(decisions)])
            subprocess.run(["git", "reset", "-q", "--hard", "HEAD~1"], cwd=root, env=environment(), check=True)


def _whole(root: Path) -> float:
    """The command's CPU time by that of its loop."""
    whole = cost([sys.executable, "-S", "work.py"], root, 15).cpu
    start = cost([sys.executable, "-S", "-c", "0"], root, 15).cpu
    return whole / (whole - start)


def report(percent: int, found: list[Decision]) -> None:
    count = len(found)
    print(f"{percent} % more work: {count} decisions")
    for name, verdicts in (("CPU time", [one.cpu for one in found]), ("all", [one.whole for one in found])):
        listed = ", ".join(f"{verdict} {number}" for verdict, number in sorted(Counter(verdicts).items()))
        print(f"  {name:<9} {listed}; refused {share(verdicts.count('fail'), count)}")
    seconds = [one.seconds for one in found]
    print(f"  exit codes {dict(Counter(one.code for one in found))}; ", end="")
    print(f"median {statistics.median(seconds):.2f} s, longest {max(seconds):.1f} s", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, [int(word) for word in sys.argv[2:]] or [0, 10])
