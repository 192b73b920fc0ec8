"""Where the level of a recorded stream changed for good: one value a run, oldest first.

Runs of a history lie hours apart, on a machine whose level drifts and jumps by itself, so that neighbouring values
resemble each other and a test that takes them for independent finds changes everywhere. Here the stream itself says how
much it moves without a reason: at every place the level of the runs after it is compared with that of the runs before,
and a change point is one where they differ far more than at other places of the stream, more than the noise on the spot
explains, and by enough to matter. A slow drift moves every place alike, so it is none; nor is what returns at once.

Levels are medians of logarithms (of plain values, in parts of the middle one, where some are not above zero).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import pairwise
from math import exp, inf, isfinite, log, sqrt

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST = 0.02  # a fraction: what changes by less does not matter
WIDTHS = (8, 10, 20, 40)  # runs after a place; before it as many, or three times as many
FAR = 5.0  # scales of the stream's own movement
REACH = 60  # runs around a place that say where it is
LIKELY = 4.0  # logarithms of a likelihood
NORMAL = 1.4826  # deviations from the median in units of a standard deviation
SURE = 3.5  # standard errors of the ranks on the spot


class ChangePoint(NamedTuple):
    """`index` is the first run after the change, which lies with 95 % confidence in [first, last]; medians around it.

    `confidence` is the share of streams without any change that show none as clear as this.
    """

    index: int  # type: ignore[assignment]  # nobody asks a change point where it holds a value
    first: int
    last: int
    before: float
    after: float
    confidence: float

    @property
    def change(self) -> float:
        """As a fraction of what was before."""
        return self.after / self.before - 1 if self.before else inf


class _Jump(NamedTuple):
    index: int  # type: ignore[assignment]  # as above
    runs: int
    size: float
    clear: float


def find(values: Sequence[float | None], smallest: float = SMALLEST) -> tuple[ChangePoint, ...]:
    """All of them, oldest first; what is no number counts as if there had been no such run."""
    places = [place for place, value in enumerate(values) if value is not None and isfinite(value)]
    known = [float(value) for value in values if value is not None and isfinite(value)]
    levels = _levels(known)
    if len(levels) < 4 * WIDTHS[0]:
        return ()
    jumps = _chosen(_jumps(levels, smallest))
    ends = [0, *[jump.index for jump in jumps], len(known)]
    located = [
        _located(levels, max(start, jump.index - REACH), jump, min(end, jump.index + REACH))
        for jump, start, end in zip(jumps, ends, ends[2:], strict=False)
    ]
    ends = [0, *[index for _, index, _ in located], len(known)]
    return tuple(
        ChangePoint(
            places[index],
            places[first],
            places[last],
            median(known[start:index]),
            median(known[index:end]),
            1 - exp(-jump.clear),
        )
        for jump, (first, index, last), start, end in zip(jumps, located, ends, ends[2:], strict=False)
    )


def _levels(known: Sequence[float]) -> list[float]:
    if not known:
        return []
    if min(known) > 0:
        return [log(value) for value in known]
    middle = median([abs(value) for value in known]) or max(abs(value) for value in known)
    return [value / middle for value in known] if middle else []


def _jumps(levels: Sequence[float], smallest: float) -> list[_Jump]:
    least = log(1 + smallest)
    noise = NORMAL * median([abs(b - a) for a, b in pairwise(levels)]) / sqrt(2)
    found = []
    for runs in WIDTHS:
        after = _medians(levels, runs)
        for before_runs in (runs, 3 * runs):
            before = _medians(levels, before_runs)
            if len(levels) < before_runs + runs:
                continue
            # place k: before is [k - before_runs, k), after is [k, k + runs)
            moves = [a - b for a, b in zip(after[before_runs:], before, strict=False)]
            scale = max(_scale(moves), 1.2533 * noise * sqrt(1 / runs + 1 / before_runs), least / FAR)
            for offset, move in enumerate(moves):
                place = offset + before_runs
                if abs(move) >= FAR * scale and _ranks(levels, place, before_runs, runs) >= SURE:
                    found.append(_Jump(place, runs, move, abs(move) / scale))
    return found


def _scale(moves: Sequence[float]) -> float:
    """How far the level moves without a reason, as a standard deviation: by the smaller three quarters."""
    sizes = sorted(map(abs, moves))
    return sizes[3 * len(sizes) // 4] / 1.1503


def _ranks(levels: Sequence[float], place: int, before_runs: int, runs: int) -> float:
    """Mann-Whitney's statistic in standard errors; ties count half."""
    before = sorted(levels[place - before_runs : place])
    below = sum(
        bisect_left(before, value) + (bisect_left(before, value + 1e-12) - bisect_left(before, value)) / 2
        for value in levels[place : place + runs]
    )
    middle = before_runs * runs / 2
    return abs(below - middle) / sqrt(before_runs * runs * (before_runs + runs + 1) / 12)


def _medians(levels: Sequence[float], width: int) -> list[float]:
    """The median of each `width` values in a row."""
    if len(levels) < width:
        return []
    window = sorted(levels[:width])
    low, high = (width - 1) // 2, width // 2
    found = [(window[low] + window[high]) / 2]
    for gone, new in zip(levels, levels[width:], strict=False):
        del window[bisect_left(window, gone)]
        insort(window, new)
        found.append((window[low] + window[high]) / 2)
    return found


def _chosen(jumps: Sequence[_Jump]) -> list[_Jump]:
    """The clearest one of those that see the same change."""
    chosen: list[_Jump] = []
    for jump in sorted(jumps, key=lambda one: (-one.clear, one.index, one.runs)):
        if all(abs(jump.index - other.index) >= max(jump.runs, other.runs) for other in chosen):
            chosen.append(jump)
    return sorted(chosen)


def _located(levels: Sequence[float], start: int, jump: _Jump, end: int) -> tuple[int, int, int]:
    """First, likeliest and last place of a change: by the distances from the medians on both sides."""
    before, after = median(levels[start : jump.index]), median(levels[jump.index : end])
    costs = [0.0]
    for level in levels[start:end]:
        costs.append(costs[-1] + abs(level - before) - abs(level - after))
    inner = costs[1:-1]  # costs[n]: n values belong to what was before
    least = min(inner)
    index = inner.index(least)
    spread = (
        sum(abs(level - before) for level in levels[start : start + index + 1])
        + sum(abs(level - after) for level in levels[start + index + 1 : end])
    ) / (end - start)
    likely = [place for place, cost in enumerate(inner) if cost - least <= LIKELY * spread]
    return start + 1 + likely[0], start + 1 + index, start + 1 + likely[-1]
