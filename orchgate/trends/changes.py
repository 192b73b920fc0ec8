"""Where the level of a stream changed: between which commits, by how much, how sure that is, and since when.

What moved together is one change: a pipeline's is told by its first metric, with the other ones and the stages that
moved with it. A machine that got slower is no change of the code: where runs of one commit are on both sides, each at
the level of its side, that is told instead of a range of commits.
"""

from __future__ import annotations

from math import log, sqrt

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.trends.streams import told_order
from orchgate.verdict import change_points

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.trends.streams import Order, Stream, StreamKey
    from orchgate.verdict.change_points import ChangePoint

WRONG = 0.05  # of what is told, and how often something is where nothing changed, however much is looked at
SMALLEST = 0.02  # a fraction; what changed by less has not
LEAST_RUNS = 32  # fewer show no change
NEAR = 20  # runs before and after a change that say how large it is
BRIEF = 30  # runs, within which what a stream left and came back to was no change for good
RETURN = 3  # times as large as what is left of a change is the change that was undone
NEARBY = 5  # runs by which two streams may disagree about where a change is
ENOUGH = 3  # runs that say how much a commit takes
MOST_STREAMS = 200  # that are looked at, whole runs first, then those with most runs


class MovedLevel(NamedTuple):
    """What changed with something else: a metric of the same runs, or a stage by the same metric."""

    name: str
    before: float
    after: float


class CommitRange(NamedTuple):
    """The last commit before a change, and the first one after it; `commits` may have made it, None if unknown."""

    last_before: str | None
    first_after: str | None
    commits: int | None


class TrendChange(NamedTuple):
    """A change of a stream, whose values have the metric's unit. `since` is when the first run after it began.

    `runs` are those since then. Within `begin` and `end`, what moved as well is the same change. `same_commit` is one
    that has runs on both sides, so that no commit made the change. `is_accepted`: a baseline was recorded since.
    `around` are the values of the runs near it.
    """

    key: StreamKey
    before: float
    after: float
    confidence: float
    since: float
    run_id: str
    runs: int
    range: CommitRange
    begin: Order
    end: Order
    same_commit: str | None = None
    is_accepted: bool = False
    around: tuple[Sequence[float], Sequence[float]] = ((), ())
    also: tuple[MovedLevel, ...] = ()
    stages: tuple[MovedLevel, ...] = ()

    @property
    def by(self) -> float:
        """As a fraction of what was before."""
        return self.after / self.before - 1


class Found(NamedTuple):
    """All changes, the newest first of each pipeline; `left_out` streams were too many to be looked at."""

    changes: tuple[TrendChange, ...]
    left_out: int = 0


def of_streams(streams: Sequence[Stream]) -> Found:
    """What changed in some streams."""
    long = [stream for stream in streams if len(stream.values) >= LEAST_RUNS]
    chosen = sorted(long, key=lambda stream: (_is_part_of_run(stream.key), -len(stream.values), stream.key))
    looked_at = chosen[:MOST_STREAMS]
    each = sure([change for stream in looked_at for change in of_stream(stream)], len(looked_at))
    return Found(tuple(_together(each)), len(chosen) - len(looked_at))


def _is_part_of_run(key: StreamKey) -> bool:
    return bool(key.stage or key.benchmark)


def sure(found: Iterable[TrendChange], streams: int) -> list[TrendChange]:
    """Those of so many streams of which few are wrong (Benjamini & Hochberg 1995): chance tries each of them."""
    surest = sorted(found, key=lambda one: (-one.confidence, one.key, one.since))
    kept = max((nth for nth, one in enumerate(surest, 1) if 1 - one.confidence <= WRONG * nth / streams), default=0)
    return surest[:kept]


def of_stream(stream: Stream) -> Iterator[TrendChange]:
    """What changed in one stream, looked at alone."""
    values = stream.values
    found = _for_good(change_points.find(values, SMALLEST), len(values))
    ends = [0, *[one.index for one in found], len(values)]
    for one, start, end in zip(found, ends, ends[2:], strict=False):
        # Far from it the level may be another one for other reasons: what is told is how large the step is.
        around = values[max(start, one.index - NEAR) : one.index], values[one.index : min(end, one.index + NEAR)]
        before, after = map(median, around)
        if abs(after / before - 1) >= SMALLEST and _lasts(one, before, after):
            yield _change(stream, one._replace(before=before, after=after))._replace(around=around)


def _lasts(one: ChangePoint, before: float, after: float) -> bool:
    """Whether at least half of what the runs near it show is left further away."""
    return log(one.after / one.before) / log(after / before) >= 1 / 2


def _for_good(found: Sequence[ChangePoint], runs: int) -> Sequence[ChangePoint]:
    """Without levels that soon were left for the one before; the newest has to last longer than each of those did."""
    kept: list[ChangePoint] = []
    brief = 0
    for one in found:
        if kept and one.index - kept[-1].index <= BRIEF and _returns(kept[-1].before, kept[-1].after, one.after):
            brief = max(brief, one.index - kept.pop().index)
        else:
            kept.append(one)
    if kept and runs - kept[-1].index <= brief:
        kept.pop()
    return () if _goes_to_and_fro(kept) else kept


def _goes_to_and_fro(found: Sequence[ChangePoint]) -> bool:
    """Whether a stream returns to each of two levels, as with a cache that is warm or cold for days.

    Then no change is for good. A change and its revert are two.
    """
    levels = [found[0].before, *(one.after for one in found)] if len(found) > 2 else []
    return bool(levels) and all(map(_returns, levels, levels[1:], levels[2:]))


def _returns(before: float, between: float, after: float) -> bool:
    return abs(log(after / before)) < abs(log(between / before)) / RETURN


def _change(stream: Stream, one: ChangePoint) -> TrendChange:
    runs = stream.runs
    last, first = max(one.first - 1, 0), one.last
    old, new = runs[last].commit, runs[first].commit
    same = old if old == new else _same_commit(stream, one)
    commits = stream.line.between(old, new) if stream.line else None
    return TrendChange(
        stream.key,
        one.before,
        one.after,
        one.confidence,
        runs[one.index].moment,
        runs[one.index].run_id,
        len(runs) - one.index,
        CommitRange(None, None, None) if same else CommitRange(old, new, commits),
        stream.order(max(last - NEARBY, 0)),
        stream.order(min(first + NEARBY, len(runs) - 1)),
        same,
    )


def _same_commit(stream: Stream, one: ChangePoint) -> str | None:
    """A commit that has runs on both sides, where those of all such commits changed as the others did.

    One that is run again later, as it was before the change, says the opposite; a few runs say nothing.
    """
    sides = [_by_commit(stream, range(one.first)), _by_commit(stream, range(one.last, len(stream.values)))]
    both = [commit for commit in sides[0] if commit in sides[1]]
    before, after = ([value for commit in both for value in side[commit]] for side in sides)
    if min(len(before), len(after)) < ENOUGH:
        return None
    middle = sqrt(one.before * one.after)
    moved = [(median(values) > middle) == (one.after > one.before) for values in (before, after)]
    return max(both, key=lambda commit: (len(sides[1][commit]), commit)) if moved == [False, True] else None


def _by_commit(stream: Stream, places: Iterable[int]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for at in places:
        commit = stream.runs[at].commit
        if commit is not None:
            found.setdefault(commit, []).append(stream.values[at])
    return found


def _together(each: Iterable[TrendChange]) -> Iterator[TrendChange]:
    """Changes with what changed with them: first those of whole runs, by their first metric, then those of stages."""
    told: list[TrendChange] = []
    for one in sorted(each, key=lambda one: (told_order(one.key), one.since)):
        at = next((at for at, other in enumerate(told) if _is_part(one, other)), None)
        if at is None:
            told.append(one)
        elif one.key.metric == told[at].key.metric:
            moved = MovedLevel(one.key.stage or one.key.benchmark, one.before, one.after)
            told[at] = told[at]._replace(stages=(*told[at].stages, moved))
        elif one.key.stage == told[at].key.stage:
            told[at] = told[at]._replace(also=(*told[at].also, MovedLevel(one.key.metric, one.before, one.after)))
    told = [
        one._replace(stages=tuple(sorted(one.stages, key=lambda moved: -abs(moved.after - moved.before))))
        for one in told
    ]
    yield from sorted(told, key=lambda one: (one.key.repository, one.key.pipeline, -one.since, told_order(one.key)))


def _is_part(one: TrendChange, other: TrendChange) -> bool:
    """Whether a change is that of another one: of the same runs, at the same place, and by itself or its whole."""
    same = one.key[:3] == other.key[:3] and (one.key.stage == other.key.stage or not other.key.stage)
    return same and not other.key.benchmark and one.begin < other.end and other.begin < one.end
