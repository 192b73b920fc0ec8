"""What the runs of a history show besides how they moved: stages that need several attempts, and classes of machines.

Classes are compared by the runs of the same commits, so that what changed in between is not taken for the machine.
"""

from __future__ import annotations

from math import comb, exp, log

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics.aggregate import TIMES
from orchgate.verdict.before_after import share_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.history.query import Runs
    from orchgate.trends.streams import Stream, StreamKey

LEAST_FLAKY = 2  # attempts that failed before one passed: one may happen to anybody
LEAST_RUNS = 10  # of each of two classes
LEAST_COMMITS = 6  # fewer have no interval
_SURE = 0.05


class FlakyStage(NamedTuple):
    """How often a stage needed more than one attempt, of its `runs`, with the 95 % interval of the rate."""

    repository: str
    pipeline: str
    stage: str
    runs: int
    flaky: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        return self.flaky / self.runs


def flaky_stages(runs: Iterable[Runs]) -> list[FlakyStage]:
    """The flakiest first."""
    return flakiest(one for each in runs for one in _flaky_of(each))


def flakiest(stages: Iterable[FlakyStage]) -> list[FlakyStage]:
    return sorted(stages, key=lambda one: (-one.low, one[:3]))


def _flaky_of(runs: Runs) -> Iterator[FlakyStage]:
    counts: dict[tuple[str, str], int] = {}
    for entry in runs.entries:
        for stage in entry.stages:
            if stage.flaky:
                key = entry.pipeline_id, stage.id
                counts[key] = counts.get(key, 0) + 1
    often = {key: count for key, count in counts.items() if count >= LEAST_FLAKY}
    all_ = dict.fromkeys(often, 0)
    pipelines = {pipeline for pipeline, _ in often}
    for entry in runs.entries:
        for stage in entry.stages if entry.pipeline_id in pipelines else ():
            key = entry.pipeline_id, stage.id
            if key in all_ and not stage.cached and stage.status in _ENDED:
                all_[key] += 1
    for (pipeline, stage_id), count in often.items():
        whole = max(all_[pipeline, stage_id], count)
        yield FlakyStage(runs.repository.name, pipeline, stage_id, whole, count, *share_interval(count, whole))


_ENDED = ("succeeded", "failed")


class ClassRatio(NamedTuple):
    """What a class of machines takes of what another one does for the same commits; 2.0 is twice as much."""

    key: StreamKey  # of the class
    other: str
    ratio: float
    low: float
    high: float
    commits: int


def compared(streams: Sequence[Stream]) -> Iterator[ClassRatio]:
    """Each class against the one that has most runs of the pipeline, by its first metric that both have."""
    groups: dict[tuple[str, str, str], list[Stream]] = {}
    for stream in streams:
        whole = stream.key.metric in TIMES and not (stream.key.stage or stream.key.benchmark)
        if whole and len(stream.values) >= LEAST_RUNS:
            groups.setdefault((stream.key.repository, stream.key.pipeline, stream.key.metric), []).append(stream)
    told: set[tuple[str, str, str]] = set()
    for group in groups.values():
        first, *others = sorted(group, key=lambda one: (-len(one.values), one.key))
        for other in others:
            found = None if other.key[:3] in told else _ratio(other, first)
            if found:
                told.add(other.key[:3])
                yield found


def _ratio(one: Stream, other: Stream) -> ClassRatio | None:
    ours, theirs = (_by_commit(stream) for stream in (one, other))
    ratios = sorted(ours[commit] - theirs[commit] for commit in ours.keys() & theirs.keys())
    if len(ratios) < LEAST_COMMITS:
        return None
    low, high = (exp(ratios[at]) for at in _ends(len(ratios)))
    return ClassRatio(one.key, other.key.machine, exp(median(ratios)), low, high, len(ratios))


def _by_commit(stream: Stream) -> Mapping[str, float]:
    """The logarithm of what the runs of each commit took."""
    found: dict[str, list[float]] = {}
    for run, value in zip(stream.runs, stream.values, strict=True):
        if run.commit:
            found.setdefault(run.commit, []).append(value)
    return {commit: log(median(values)) for commit, values in found.items()}


def _ends(number: int) -> tuple[int, int]:
    """Between which of some sorted values, at least six, the middle of all lies, with 95 % confidence."""
    if number > 1000:
        half = round(0.98 * number**0.5)
        return number // 2 - half, (number + 1) // 2 - 1 + half
    tail, below = 0.0, 0
    while (tail := tail + comb(number, below) / 2**number) <= _SURE / 2:
        below += 1
    return below - 1, number - below
