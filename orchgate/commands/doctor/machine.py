"""What `orchgate doctor` measures of the machine: its load, and how much the same work differs from run to run."""

from __future__ import annotations

import os
import sys
import time

from orchgate.lib import process
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS = 24
WORK = "for _ in range(400_000): pass"  # some 20 ms


class Noise(NamedTuple):
    """How much the same work differs from run to run: the middle half of the runs, as shares of their median."""

    cpu: float
    wall: float


def noise() -> Noise:
    samples = [_sample() for _ in range(RUNS)]
    return Noise(*(_spread([one[at] for one in samples]) for at in (0, 1)))


def load() -> float:
    """Programs that wanted a core, in the mean of the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _sample() -> tuple[float, float]:
    """CPU and wall time of one run, in seconds."""
    start = time.perf_counter()
    output = os.open(os.devnull, os.O_WRONLY)
    try:
        child = process.spawn([sys.executable, "-I", "-S", "-c", WORK], cwd=os.getcwd(), env={}, output=output)
        _, _, usage = os.wait4(child, 0)
    finally:
        os.close(output)
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - start


def _spread(values: Sequence[float]) -> float:
    """The width of the middle half, as a share of the median."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return (ordered[-1 - quarter] - ordered[quarter]) / ordered[len(ordered) // 2]
