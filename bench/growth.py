"""How the cost grows from n to 4 n of everything that a stranger can have many of: python bench/growth.py [WORD]

The exponent is log(t(4n) / t(n)) / log 4, in CPU time without what a start costs: 1 is linear, 2 a square.
"""

from __future__ import annotations

import math
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import ORCHGATE, Row, environment, git, main
from hostile import MOST_BYTES, Shape, shapes

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 1.1
TIMES = 4
FIRST = 250  # as many of a thing are tried first
ENOUGH = 0.25  # seconds of CPU above the start, which noise does not drown
MOST = 16_000  # files are slow to make
MOST_IN_A_DOCUMENT = 4_000_000
LONGEST = 300  # seconds after which a run is given up
BROKEN = (2, 4)  # wrong usage, and an internal error
ROUNDS = int(os.environ.get("ROUNDS", "3"))


def spent(shape: Shape, number: int, times: int) -> float:
    """CPU seconds of the quickest of several runs over so many of the thing; infinite when it did not end."""
    with tempfile.TemporaryDirectory(prefix="orchgate-growth-") as folder:
        root = Path(folder)
        git(root, "init", "--quiet", "--initial-branch=main")
        shape.make(root, number)
        told = shape.stdin(root, number)
        return min(_run(shape, root, told) for _ in range(times))


def _run(shape: Shape, root: Path, told: bytes) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    argv = [ORCHGATE, *shape.argv]
    try:
        done = subprocess.run(
            argv, cwd=root, env=environment(), input=told, capture_output=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return math.inf
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode in BROKEN:  # quick, and no answer
        sys.exit(f"{shape.name}: exit {done.returncode}: {os.fsdecode(done.stderr[:500])}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(shape: Shape) -> tuple[int, float, float]:
    """How many of it, and the seconds that so many and four times as many cost above a start."""
    start = spent(shape, 1, 3)
    most = min(MOST_IN_A_DOCUMENT, MOST_BYTES // shape.bytes_each // TIMES) if shape.bytes_each else MOST // TIMES
    number = min(FIRST, most)
    while (cost := spent(shape, number, 1) - start) < ENOUGH and number < most:
        number = min(number * (TIMES if cost < ENOUGH / TIMES else 2), most)
    return number, spent(shape, number, ROUNDS) - start, spent(shape, number * TIMES, ROUNDS if cost < 1 else 1) - start


def rows(word: str = "") -> Iterator[Row]:
    for shape in shapes():
        if word in shape.name:
            yield _row(shape)


def _row(shape: Shape) -> Row:
    number, small, large = measured(shape)
    what = f"growth, {shape.name}: {number:,} and {number * TIMES:,}"
    if small < ENOUGH / 10 or large <= 0:
        return Row(what, f"{small:.2f} s and {large:.2f} s", "too little to tell", large < ENOUGH or None)
    exponent = math.log(large / small) / math.log(TIMES)
    return Row(what, f"{exponent:.2f} ({small:.2f} s and {large:.2f} s)", f"<= {LIMIT}", exponent <= LIMIT)


if __name__ == "__main__":
    main(lambda: rows(*sys.argv[1:2]))
