"""Searches for the commit that made it slower, on pairs that are made up."""

from __future__ import annotations

import random
from math import exp
from typing import TYPE_CHECKING, NamedTuple

from orchgate.bisect.search import MOST_PAIRS, Ask, BisectionEnding, How, Search
from orchgate.measures.declared import MetricKind
from orchgate.verdict.values import Metric, Pair

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

CPU = Metric("cpu_seconds", MetricKind.TIME, 0.02, 0.01)
LEVEL = 0.1  # seconds


class History(NamedTuple):
    """Commits by how slow they are, as logarithms, the good one first; the spread of a run, and what cannot run."""

    levels: Sequence[float]
    noise: float = 0.02
    broken: Collection[int] = ()


def step(commits: int, first_slow: int, size: float = 0.1) -> list[float]:
    return [size * (place >= first_slow) for place in range(commits)]


def pair(history: History, ask: Ask, coins: random.Random) -> Pair:
    """A pair with noise of heavy tails: one run in ten is disturbed."""
    base, head = (
        LEVEL * exp(history.levels[place] + coins.gauss(0, history.noise) + (coins.random() < 0.1) * coins.random())
        for place in ask[1:]
    )
    return Pair({CPU.name: base}, {CPU.name: head}, head_first=coins.random() < 0.5)


def searched(history: History, seed: int = 1, *, most_pairs: int = MOST_PAIRS) -> tuple[Search, BisectionEnding]:
    """A search to its end, or until it has so many pairs."""
    search, coins = Search([True] * len(history.levels), CPU), random.Random(seed)
    while isinstance(ask := search.next(), Ask):
        if len(search.changes) >= most_pairs:
            return search, search.standing(How.OPEN)
        broken = [place for place in ask[1:] if place in history.broken]
        if broken:
            search.skip(broken[0], "it cannot be built")
        else:
            search.add(ask, pair(history, ask, coins))
    return search, ask
