"""What `orchgate perf` costs beyond the runs themselves, and how soon it knows that nothing got slower."""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

from common import ORCHGATE, Row, commit, cost, main, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMES = 9
WORK = "n = {loops}\nwhile n:\n    n -= 1\n"
SECONDS = 0.12  # of the command


def rows() -> Iterator[Row]:
    with scratch() as root:
        loops = _calibrated(root)
        write(root, "work.py", WORK.format(loops=loops))
        commit(root, "base")
        write(root, "README.md", "nothing to do with speed\n")
        commit(root, "head")
        yield _verdict(root)
        yield _overhead(root)
        yield _start(root)


def _calibrated(root: Path) -> int:
    """How often a loop goes round in the command's time, the interpreter's start included."""
    write(root, "work.py", WORK.format(loops=1_000_000))
    whole = cost([sys.executable, "-S", "work.py"], root, 9).cpu
    start = cost([sys.executable, "-S", "-c", "0"], root, 9).cpu
    return max(1, int(1_000_000 * (SECONDS - start) / (whole - start)))


def _perf(root: Path, *args: str) -> tuple[float, int]:
    """Wall seconds of the whole program, and its exit code."""
    found = cost([ORCHGATE, "perf", "--base", "HEAD~1", *args], root, 1)
    return found.wall, found.code


def _verdict(root: Path) -> Row:
    command = ("--", sys.executable, "-S", "work.py")
    found = [_perf(root, *command) for _ in range(TIMES)]
    wall, refused = statistics.median(seconds for seconds, _ in found), sum(code != 0 for _, code in found)
    figure = f"{wall:.2f} s, {refused} of {TIMES} refused"
    return Row(
        f"verdict on an unchanged command of {SECONDS} s, whole program", figure, "4 s", wall <= 4 and not refused
    )


def _overhead(root: Path) -> Row:
    """From the difference between many pairs and few of a command that does nothing."""
    few, many = 8, 32
    nothing = ("--max-time", "60", "--", "/bin/sh", "-c", "exit 0")
    seconds = {
        pairs: statistics.median(_perf(root, "--max-pairs", str(pairs), *nothing)[0] for _ in range(TIMES))
        for pairs in (1, few, many)
    }
    bare = cost(["/bin/sh", "-c", "exit 0"], root, 31).wall
    each = max(0.0, (seconds[few] - seconds[1]) / (few - 1) - 2 * bare)
    figure = f"{each * 1000:.1f} ms ({bare * 1000:.1f} each run itself)"
    return Row("  a pair, beyond its two runs", figure, "20 ms", each <= 0.020)


def _start(root: Path) -> Row:
    """A tree that was never seen, and the warm-up: everything but the pairs."""
    start = time.perf_counter()
    write(root, "README.md", f"{start}\n")
    commit(root, "another head")
    wall = cost(
        [ORCHGATE, "perf", "--base", "HEAD~1", "--max-pairs", "1", "--", "/bin/sh", "-c", "exit 0"], root, 5
    ).wall
    return Row("  start, work trees and warm-up", f"{wall * 1000:.0f} ms", "500 ms", wall <= 0.5)


if __name__ == "__main__":
    main(rows)
