"""What others do to tell whether head is slower, as their own documentation has it, in plain Python.

Every rule is a number that grows with the slow-down, from a window of pairs and stored earlier runs, and the threshold
above which it alarms: so that each can also be given the threshold at which it alarms falsely as rarely as ours.
"""

from __future__ import annotations

from math import erfc, expm1, log, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

from orchgate.verdict.sign_flip import Sample, centre

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Runs(NamedTuple):
    """Base and head of a window, pair by pair, and runs of base from another block."""

    base: Sequence[float]
    head: Sequence[float]
    stored: Sequence[float]


class Rival(NamedTuple):
    name: str
    score: Callable[[Runs], float]
    threshold: float  # alarms where the score is above it
    runs: int  # of head and of base, where base is run at all


def mean_against_stored(runs: Runs) -> float:
    """pytest-benchmark --benchmark-compare-fail=mean:N%, github-action-benchmark: now against what was kept."""
    return fmean(runs.head[:10]) / fmean(runs.stored[:10]) - 1


def mean_in_blocks(runs: Runs) -> float:
    """Hyperfine: ten runs of one command, then ten of the other."""
    return fmean(runs.head[10:20]) / fmean(runs.base[:10]) - 1


def ranks_in_blocks(runs: Runs) -> float:
    return mann_whitney(runs.base[:10], runs.head[10:20])


def ranks_interleaved(runs: Runs) -> float:
    """Benchstat on runs that were taken in turn."""
    return mann_whitney(runs.base[:10], runs.head[:10])


def ranks_of_many(runs: Runs) -> float:
    """The same with as many runs as ours may take."""
    return mann_whitney(runs.base[:64], runs.head[:64])


def mann_whitney(base: Sequence[float], head: Sequence[float]) -> float:
    """1 - p of the two-sided test, normal approximation with its continuity correction, signed by the direction."""
    above = sum((y > x) + 0.5 * (y == x) for x in base for y in head)
    middle = len(base) * len(head) / 2
    error = sqrt(len(base) * len(head) * (len(base) + len(head) + 1) / 12)
    z = max(abs(above - middle) - 0.5, 0.0) / error
    return (1 - erfc(z / sqrt(2))) * (1 if above > middle else -1)


def least_of_twenty(runs: Runs) -> float:
    return min(runs.head[:20]) / min(runs.base[:20]) - 1


def paired_t_with_retries(runs: Runs) -> float:
    """Ten pairs; an alarm is measured again, up to twice, and holds only if every time says so."""
    return min(_paired_t(runs.base[n : n + 10], runs.head[n : n + 10]) for n in (0, 10, 20))


def _paired_t(base: Sequence[float], head: Sequence[float]) -> float:
    differences = [y - x for x, y in zip(base, head, strict=True)]
    return fmean(differences) / ((stdev(differences) or 1e-12) / sqrt(len(differences)))


def lowest_quarter(runs: Runs) -> float:
    """Our own first design: the means of the lowest quarter of each arm."""
    return sum(sorted(runs.head[:32])[:8]) / sum(sorted(runs.base[:32])[:8]) - 1


def our_estimate(runs: Runs) -> float:
    """Our estimate without our test and looks: what it is worth at equal numbers of runs."""
    base, head = (tuple(map(log, side[:32])) for side in (runs.base, runs.head))
    return expm1(centre(Sample(base, head)))


RIVALS = (
    Rival("pytest-benchmark, mean:5% against stored", mean_against_stored, 0.05, 10),
    Rival("pytest-benchmark, mean:10% against stored", mean_against_stored, 0.10, 10),
    Rival("github-action-benchmark, 110%", mean_against_stored, 0.10, 10),
    Rival("github-action-benchmark, 200%", mean_against_stored, 1.00, 10),
    Rival("hyperfine 10 v 10, mean 5%", mean_in_blocks, 0.05, 20),
    Rival("Mann-Whitney 10 v 10 in blocks, p < 0.05", ranks_in_blocks, 0.95, 20),
    Rival("Mann-Whitney 10 v 10 in turn, p < 0.05", ranks_interleaved, 0.95, 20),
    Rival("Mann-Whitney 64 v 64 in turn, p < 0.05", ranks_of_many, 0.95, 128),
    Rival("least of 20 in turn, 3%", least_of_twenty, 0.03, 40),
    # 1.833 is the one-sided 5 % point of Student's t with 9 degrees of freedom.
    Rival("paired t-test 10 v 10, two retries", paired_t_with_retries, 1.833, 60),
    Rival("lowest quarters of 32 in turn, 5%", lowest_quarter, 0.05, 64),
    Rival("orchgate's estimate after 32 pairs, 5%", our_estimate, 0.05, 64),
)
