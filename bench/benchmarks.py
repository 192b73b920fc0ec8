"""What judging the named benchmarks of a run costs, and how often it is wrong in made-up runs, whose truth is known."""

from __future__ import annotations

import random
import time
from math import exp
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from common import Row, main

from orchgate.model import Verdict
from orchgate.verdict.benchmarks import FALSE
from orchgate.verdict.comparison import judge
from orchgate.verdict.values import BENCHMARK, BenchmarkLimits, Pair, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POLICY = Policy({}, benchmarks=BenchmarkLimits(required=True))
TRIES = 200  # comparisons of each kind of noise


class Found(NamedTuple):
    """Of many comparisons: those in which any benchmark was refused or warned of wrongly, the mean fraction of wrong
    ones among all that were named, and the fraction of slower ones that were named."""

    wrong: int
    false: float
    seen: float


def rows() -> Iterator[Row]:
    for many, pairs in ((500, 16), (500, 64), (5000, 16)):
        seconds = median(cost(many, pairs) for _ in range(3))
        limit = "1 s" if (many, pairs) == (500, 16) else ""
        yield Row(
            f"{many} benchmarks judged over {pairs} pairs, CPU",
            f"{seconds:.2f} s",
            limit,
            seconds <= 1 if limit else None,
        )
    for noise in ("of its own", "shared", "opposed"):
        found = tried(noise, {})
        what = f"100 unchanged benchmarks, 16 pairs, noise {noise}: comparisons with a wrong name"
        yield Row(what, f"{found.wrong} of {TRIES}", f"{TRIES * 2.5 / 100:.0f}", found.wrong <= TRIES * 2.5 / 100)
        found = tried(noise, {f"b{number}": 0.1 for number in range(5)})
        what = f"5 of them 10 % slower: false among those named, noise {noise}"
        yield Row(what, f"{found.false:.2%}", "2.5 %", found.false <= 0.025)
        yield Row(f"5 of them 10 % slower: named, noise {noise}", f"{found.seen:.0%}", "", None)


def cost(many: int, pairs: int) -> float:
    """CPU seconds of a judgement in which a few have moved."""
    made = runs(random.Random(many), [f"b{number}" for number in range(many)], pairs, {"b3": 0.3}, "of its own")
    start = time.process_time()
    judge(made, POLICY)
    return time.process_time() - start


def tried(noise: str, slower: Mapping[str, float]) -> Found:
    draw, names = random.Random(noise), [f"b{number}" for number in range(100)]
    wrong, false, seen = 0, 0.0, 0.0
    for _ in range(TRIES):
        judgement = judge(runs(draw, names, 16, slower, noise), POLICY)
        assert judgement.benchmarks is not None
        named = {one.name for one in judgement.benchmarks.judged if one.verdict in (Verdict.FAIL, Verdict.WARN)}
        wrong += bool(named - slower.keys())
        false += len(named - slower.keys()) / max(len(named), 1)
        seen += len(named & slower.keys()) / max(len(slower), 1)
    return Found(wrong, false / TRIES, seen / TRIES)


def runs(draw: random.Random, names: list[str], pairs: int, slower: Mapping[str, float], noise: str) -> list[Pair]:
    """Runs with noise of 3 %: each benchmark has its own, all share one, or half has the opposite of the others'."""

    def run(factors: Mapping[str, float]) -> dict[str, float]:
        shared = draw.gauss(0, 0.03)
        times = {}
        for number, name in enumerate(names):
            common = {"of its own": 0.0, "shared": shared, "opposed": shared * (-1) ** number}[noise]
            own = draw.gauss(0, 0.03 if noise == "of its own" else 0.01)
            times[BENCHMARK + name] = 1e-3 * exp(common + own) * (1 + factors.get(name, 0))
        return times

    return [Pair(run({}), run(slower), draw.random() < 0.5) for _ in range(pairs)]


if __name__ == "__main__":
    assert FALSE == 0.01
    main(rows)
