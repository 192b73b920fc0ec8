"""Which commit of a line made it slower: how likely each one is, and where to measure next. Pure functions.

Commits are numbers: 0 is the good one, then one after the other up to the last, which is slow. What is asked for is
the first slow one; before anything was measured every commit from 1 on is as likely as any other. A pair of runs of two
commits says how much slower the newer one was, with noise. Bayes' rule weighs each commit by how well all pairs
together fit it, and the one that halves what is left is measured next (Horstein, "Sequential transmission using
noiseless feedback", 1963; Waeber, Frazier and Henderson, "Bisection search with noisy responses", 2013). So no wrong
turn is final: more pairs lead back.

Run times have heavy tails, so the noise is Student's t with few degrees of freedom: a run that a neighbour disturbed
says next to nothing. Neither the size of the step nor the scale of the noise is known: both are averaged over.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from math import exp, log, prod

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.verdict.sign_flip import Sample, centre, p_above, p_below

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

_FREEDOM = 2.0  # degrees of it
_STEPS = tuple(0.4 + 0.15 * number for number in range(9))  # of what the ends say of the step
_SCALES = (0.6, 1.0, 1.6)  # of what pairs of the same two commits say of the noise
_LEAST_SCALE = 0.002  # a fraction; nobody measures more exactly
_TO_SCALE = 1.2  # the scale of that t, in medians of its distance from the middle
_AT_ONCE = 24
_BETWEEN = 12  # pairs of a commit from which on it may turn out to lie between the two levels
_RARE = 0.01  # p-value of both sides, then
_QUARTER = 0.25


class CommitChange(NamedTuple):
    """One pair of runs: logarithms of what the older and the newer commit took."""

    older: int
    newer: int
    before: float
    after: float


class Segment(NamedTuple):
    """Where the step is looked for: after `first`, not after `last`. `low` and `high` are the levels before and after.

    A level is the logarithm of how much slower a commit is than the good one.
    """

    first: int
    last: int
    low: float
    high: float


class Belief(NamedTuple):
    """How likely it is that the first slow commit is one of those up to `first + i`, for each i."""

    first: int
    cumulative: Sequence[float]

    def up_to(self, commit: int) -> float:
        """The probability that the first slow commit is this one or an earlier one: that this one is slow."""
        return self.cumulative[min(max(commit - self.first, 0), len(self.cumulative) - 1)]

    def of(self, after: int, last: int) -> float:
        """The probability that it is one of those after `after`, up to `last`."""
        return max(0.0, self.up_to(last) - self.up_to(after))


def whole(changes: Sequence[CommitChange], last: int) -> Segment:
    """The segment that is the whole line, whose ends were compared."""
    return Segment(0, last, 0.0, centre(sample(changes, last)))


def sample(changes: Sequence[CommitChange], commit: int) -> Sample:
    """All pairs of a commit with the good one."""
    found = [change for change in changes if (change.older, change.newer) == (0, commit)]
    return Sample(tuple(change.before for change in found), tuple(change.after for change in found))


def belief(changes: Sequence[CommitChange], segment: Segment, possible: Sequence[bool]) -> Belief:
    """What all pairs say of where the step of a segment is.

    `possible[i]`: commit i can be the one at all; one that changed no file cannot. Entry 0, the good one's, is unused.
    """
    groups = _groups(changes, segment)
    cuts = sorted({segment.first, segment.last, *(end for pair in groups for end in pair)})
    cells = list(pairwise(cuts))
    tables = list(_tables(groups, cells, segment))
    best = max((value for table in tables for value in table), default=0.0)
    likely = [sum(exp(table[number] - best) for table in tables) for number in range(len(cells))]
    cumulative = [0.0]
    for (after, last), mass in zip(cells, likely, strict=True):
        # Within a cell nothing was measured, so its commits are equally likely.
        for commit in range(after + 1, last + 1):
            cumulative.append(cumulative[-1] + mass * possible[commit])
    total = cumulative[-1] or 1.0
    return Belief(segment.first, [mass / total for mass in cumulative])


def _groups(changes: Sequence[CommitChange], segment: Segment) -> dict[tuple[int, int], list[float]]:
    """Pairs by what was compared, as far as they tell of a segment; those with the good commit without its level."""
    groups: dict[tuple[int, int], list[float]] = {}
    for older, newer, before, after in changes:
        value = after - before
        if not segment.first < newer <= segment.last:
            continue
        if older == 0:
            groups.setdefault((segment.first, newer), []).append(value - segment.low)
        elif older >= segment.first:
            groups.setdefault((older, newer), []).append(value)
    return groups


def _tables(
    groups: Mapping[tuple[int, int], Sequence[float]], cells: Sequence[tuple[int, int]], segment: Segment
) -> Iterator[list[float]]:
    """The log-likelihood of each cell, for each size of the step and each scale of the noise."""
    scale = _noise(groups.values())
    ends = {pair: (bisect_left(cells, (pair[0],)), bisect_left(cells, (pair[1],))) for pair in groups}
    for share in _SCALES:
        density = _student(scale * share)
        still = {pair: density(values, 0.0) for pair, values in groups.items()}
        for size in _STEPS:
            table = [sum(still.values())] * len(cells)
            for pair, values in groups.items():
                begin, end = ends[pair]
                gain = density(values, (segment.high - segment.low) * size) - still[pair]
                # A pair shows the step where that lies between its two commits.
                for number in range(begin, end):
                    table[number] += gain
            yield table


def _noise(groups: Collection[Sequence[float]]) -> float:
    """The scale of pairs around the middle of their group."""
    far = [abs(value - median(values)) for values in groups if len(values) > 2 for value in values]
    return max(_TO_SCALE * median(far) if far else 0.0, _LEAST_SCALE)


def _student(scale: float) -> Callable[[Sequence[float], float], float]:
    """The log-density of Student's t around a place, summed over values; without what is always the same."""
    power = -(_FREEDOM + 1.0) / 2.0
    factor = 1.0 / (_FREEDOM * scale * scale)
    constant = log(scale)

    def density(values: Sequence[float], place: float) -> float:
        parts = [1.0 + (value - place) ** 2 * factor for value in values]
        # One logarithm for many: no product of so few overflows.
        logs = sum(log(prod(parts[begin : begin + _AT_ONCE])) for begin in range(0, len(parts), _AT_ONCE))
        return power * logs - constant * len(values)

    return density


def halving(found: Belief, segment: Segment, left_out: Collection[int]) -> int | None:
    """The commit within a segment that halves what is left; None where there is none to measure."""
    inner = [commit for commit in range(segment.first + 1, segment.last) if commit not in left_out]
    return min(inner, key=lambda commit: abs(found.up_to(commit) - 0.5), default=None)


def likeliest(found: Belief, segment: Segment, skipped: Collection[int]) -> tuple[int, int]:
    """The most likely `(after, last)`: neighbours that can be measured, and what is between them cannot be."""
    ends = [commit for commit in range(segment.first + 1, segment.last) if commit not in skipped]
    return max(pairwise([segment.first, *ends, segment.last]), key=lambda block: found.of(*block))


def narrowed(changes: Sequence[CommitChange], segment: Segment) -> tuple[Segment, tuple[int, ...]]:
    """The part of a segment with the largest step, and the commits between two levels that were met on the way."""
    passed: list[int] = []
    while (commit := _between(changes, segment)) is not None:
        passed.append(commit)
        level = centre(sample(changes, commit))
        if level - segment.low > segment.high - level:
            segment = Segment(segment.first, commit, segment.low, level)
        else:
            segment = Segment(commit, segment.last, level, segment.high)
    return segment, tuple(passed)


def _between(changes: Sequence[CommitChange], segment: Segment) -> int | None:
    """A commit that is surely neither as fast as the one end nor as slow as the other: there is more than one step."""
    margin = _QUARTER * (segment.high - segment.low)
    for commit in sorted({change.newer for change in changes if change.older == 0}):
        if segment.first < commit < segment.last:
            seen = sample(changes, commit)
            middle = median([after - before for before, after in zip(seen.base, seen.head, strict=True)])
            if len(seen.head) < _BETWEEN or not segment.low + margin < middle < segment.high - margin:
                continue
            if p_above(seen, segment.low + margin) <= _RARE and p_below(seen, segment.high - margin) <= _RARE:
                return commit
    return None
