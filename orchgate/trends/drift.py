"""How far the level of a stream is from the baseline that was accepted for it, in steps that no push had to show.

A baseline is recorded in one go, and the level of a machine differs from hour to hour without any change of code. So
the stream itself says how much sittings differ, and what they explain is no drift.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from math import expm1, log, pi, sqrt

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.trends.changes import TrendChange
    from orchgate.trends.streams import CommitLine, RunPlace, Stream, StreamKey
    from orchgate.verdict.baseline import Baseline, BaselineRecord

    Valued = tuple[RunPlace, float]

RECENT = 20  # runs that are the level of today
LEAST_RUNS = 10
LEAST_SITTINGS = 6  # fewer do not say how much they differ
SITTING = 3600.0  # seconds that one lasts: CI never stops
SURE = 2.5758  # standard errors: 99 of 100 intervals hold
_NORMAL = 1.4826  # deviations from the median in units of a standard deviation


class Drift(NamedTuple):
    """`change` is a fraction of the baseline's level, with its interval; `runs` and `commits` are those since then.

    `commits` is None where they are not known. `steps` counts changes since then that show by themselves.
    """

    key: StreamKey
    record: BaselineRecord
    before: float
    after: float
    change: float
    low: float
    high: float
    runs: int
    commits: int | None
    steps: int


def drifts(
    streams: Iterable[Stream], accepted: Baseline, changes: Sequence[TrendChange], tolerances: Mapping[str, float]
) -> Iterator[Drift]:
    """What is further from its baseline than is tolerated, and than noise explains; of a pipeline its first metric."""
    told: set[tuple[str, ...]] = set()
    for stream in streams:
        key = stream.key
        record = None if key.stage or key.benchmark else accepted.of(key.pipeline, key.machine)
        if record is None or key.metric not in tolerances or key[:3] in told:
            continue
        found = _drift(stream, record, changes)
        if found and (found.low > tolerances[key.metric] or found.high < -tolerances[key.metric]):
            told.add(key[:3])
            yield found


def _drift(stream: Stream, record: BaselineRecord, changes: Sequence[TrendChange]) -> Drift | None:
    samples = record.samples.get(stream.key.metric, ())
    since = list(_since(stream, record))
    steps = [one for one in changes if one.key[:3] == stream.key[:3] and since and one.since >= since[0][0].moment]
    recent = since[-min([RECENT, *(one.runs for one in steps)]) :]
    if not samples or min(samples) <= 0 or stream.key.metric in record.lower_bounds or len(recent) < LEAST_RUNS:
        return None
    spread = _of_sittings(since)
    if spread is None:
        return None
    base, now = ([log(value) for value in values] for values in (samples, [value for _, value in recent]))
    moved = median(now) - median(base)
    within = _NORMAL * median([abs(value - median(base)) for value in base])
    sittings = 1 + 1 / len(list(_sittings(recent)))
    error = SURE * sqrt(spread**2 * sittings + within**2 * pi / 2 / len(base))
    commits = stream.line.between(record.commit, recent[-1][0].commit) if stream.line else None
    return Drift(
        stream.key,
        record,
        median(samples),
        median([value for _, value in recent]),
        expm1(moved),
        expm1(moved - error),
        expm1(moved + error),
        len(since),
        commits,
        len(steps),
    )


def accepts(record: BaselineRecord, one: TrendChange, line: CommitLine | None) -> bool:
    """Whether a baseline is of runs after a change, by the commits where these are known."""
    places = line.places if line else {}
    place, end = places.get(record.commit or ""), places.get(one.range.first_after or "")
    if place is None or end is None:
        return datetime.fromisoformat(record.recorded_at).timestamp() >= one.since
    return place >= end


def _since(stream: Stream, record: BaselineRecord) -> Iterator[Valued]:
    """The runs after a baseline: of later commits where these are known, else later ones."""
    places = stream.line.places if stream.line else {}
    place = places.get(record.commit or "")
    recorded = datetime.fromisoformat(record.recorded_at).timestamp()
    for run, value in zip(stream.runs, stream.values, strict=True):
        later = run.moment > recorded if place is None else places[run.commit or ""] > place
        if later and run.run_id not in record.run_ids:
            yield run, value


def _sittings(points: Iterable[Valued]) -> Iterator[float]:
    """The levels of runs that were made in one go, as logarithms."""
    values: list[float] = []
    began = 0.0
    for run, value in sorted(points):
        if not values or run.moment - began >= SITTING:
            if values:
                yield median(values)
            values, began = [], run.moment
        values.append(log(value))
    if values:
        yield median(values)


def _of_sittings(points: Iterable[Valued]) -> float | None:
    """How much the levels of sittings differ, as a standard deviation; what drifts slowly adds little to it."""
    levels = list(_sittings(points))
    if len(levels) < LEAST_SITTINGS:
        return None
    return _NORMAL * median([abs(after - before) for before, after in pairwise(levels)]) / sqrt(2)
