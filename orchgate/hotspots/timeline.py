"""What the seconds of a run were spent on, every one of them on exactly one thing, and how a figure moves between runs.

Times are whole microseconds since the run's start, so that parts add up to the wall time exactly.

The slope of a figure is that of Theil (1950) and Sen (1968): the median of the slopes of all pairs, so that a few odd
runs do not matter. Whether there is one at all is judged after Mann (1945) and Kendall (1975): how many of the pairs
rise, against what chance gives. Pure.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from operator import attrgetter

from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


MICROSECONDS = 1_000_000


class Phase(Enum):
    """What time goes to, in the order in which one outranks the other where stages overlap.

    As long as any stage does its work, the others' repeating and waiting cost nobody anything.
    """

    AWAY = "away"  # nobody worked: it was killed and not yet resumed, it was stopped, the machine slept
    EXECUTING = "executing"
    SILENT = "silent"  # executing too, but between two outputs that are far apart
    RETRYING = "retrying"  # an attempt that did not count, and the delay after it
    RECORDING = "recording"  # between a command's end and the moment its stage was over
    WAITING = "waiting"  # nothing of the above: before a stage's command starts


_RANK = {part: rank for rank, part in enumerate(Phase)}
_BY_TIME = attrgetter("begin", "end", "stage")
_OWN = tuple(part for part in Phase if part is not Phase.AWAY)
_COMMANDS = (Phase.EXECUTING, Phase.SILENT, Phase.RETRYING)


class BusySpan(NamedTuple):
    """From `begin` to `end`, in microseconds, a stage was busy with `part`. Spans of several stages may overlap.

    `stage` is its number from 1: its id may be another's too. 0 is not a stage.
    """

    begin: int
    end: int
    part: Phase
    stage: int


class StageCost(NamedTuple):
    """What a stage cost beyond time, in seconds and bytes. None: not measured.

    Bytes are those that were asked of the system where that was counted, otherwise those that the storage saw.
    """

    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None


class StageTime(NamedTuple):
    """One stage. `spent` are microseconds by part, `silences` (begin, end) in microseconds between two outputs.

    `own` are microseconds by part as well, but its own: what others did meanwhile takes nothing from it. Empty where
    that is the same. `inner` is the run of its sub-pipeline, where that is known.
    """

    id: str
    status: str
    spent: Mapping[Phase, int] = {}
    cost: StageCost = StageCost()
    attempts: int = 0
    cached: bool = False
    silences: tuple[tuple[int, int], ...] = ()
    child: str = ""  # the id of the run of a sub-pipeline
    outside: bool = False  # of an observed program: only what it did beside the runs that it recorded itself
    own: Mapping[Phase, int] = {}
    inner: Timeline | None = None
    failed_tests: tuple[str, ...] = ()  # the first of their names
    failed_test_count: int = 0

    def lasted(self, *parts: Phase) -> int:
        """Its own microseconds; waiting is nobody's but that of the stage that came next."""
        own = self.own or self.spent
        return sum((self.spent if part is Phase.WAITING else own).get(part, 0) for part in parts or _OWN)

    def seconds(self, *parts: Phase) -> float:
        return sum(self.spent.get(part, 0) for part in parts or Phase) / MICROSECONDS


class Timeline(NamedTuple):
    """One run. `wall` is in microseconds, `started` in seconds since the epoch.

    The stages' `spent` add up to `wall`; what belongs to no stage is a stage without a name. `missing` says in words
    what could not be read, and so is not in the numbers. `inner` are the manifests of the runs that an observed
    program recorded itself; the microseconds that count there are left out here, and are `inside`.
    `tail` are microseconds after the last stage's end. `needs` are by the stages' numbers, None where nobody recorded
    them; `slots` is how many stages could run at once. `spans` are when each was busy, in microseconds.
    """

    path: str
    task: str
    run_id: str
    pipeline: str
    status: str
    started: float
    wall: int
    stages: tuple[StageTime, ...]
    missing: tuple[str, ...] = ()
    writes: Mapping[str, int] = {}  # the runner's own: manifest_writes, journal_writes, files, bytes
    inner: tuple[str, ...] = ()
    inside: int = 0
    tail: int = 0
    needs: Mapping[int, tuple[int, ...]] | None = None
    slots: int = 0
    measured: bool = False
    spans: tuple[BusySpan, ...] = ()

    def seconds(self, *parts: Phase) -> float:
        return sum(stage.seconds(*parts) for stage in self.stages)

    @property
    def wall_seconds(self) -> float:
        return self.wall / MICROSECONDS

    @property
    def worked_seconds(self) -> float:
        """Without what nobody spent on it."""
        return self.wall_seconds - self.seconds(Phase.AWAY)


def attribute(wall: int, spans: Iterable[BusySpan]) -> dict[int, dict[Phase, int]]:
    """Microseconds by the number of the stage and by part; all together they are `wall`.

    Where stages overlap, the first part in the order of `Phase` counts, shared equally among the stages that do it.
    Where nobody is busy, the time goes to the stage whose command starts next, as waiting; after the last one's end it
    goes to the stage that ended last, as recording. A run in which no command starts waits for stage 0.
    """
    inside = sorted((one for span in spans if (one := _clipped(span, wall))), key=_BY_TIME)
    starts = sorted((span.begin, span.stage) for span in inside if span.part in _COMMANDS)
    ends = sorted((span.end, span.stage) for span in inside)
    spent: dict[int, dict[Phase, int]] = {}
    for begin, end, busy in _slices(wall, inside):
        part, stages = _doing(busy) if busy else _idle(begin, end, starts, ends)
        for position, stage in enumerate(stages):
            of_stage = spent.setdefault(stage, {})
            share, rest = divmod(end - begin, len(stages))
            of_stage[part] = of_stage.get(part, 0) + share + (position < rest)
    return spent


def own(wall: int, spans: Sequence[BusySpan]) -> tuple[dict[int, dict[Phase, int]], int]:
    """Microseconds by stage and part, whatever the others did meanwhile, and how long nobody did anything at the end.

    Where nobody ran the run, no stage was busy.
    """
    inside = [one for span in spans if (one := _clipped(span, wall))]
    away = [one for one in inside if one.part is Phase.AWAY]
    found: dict[int, dict[Phase, int]] = {}
    for one in inside:
        if one.stage:
            lost = sum(max(0, min(one.end, other.end) - max(one.begin, other.begin)) for other in away)
            of_stage = found.setdefault(one.stage, {})
            of_stage[one.part] = of_stage.get(one.part, 0) + max(0, one.end - one.begin - lost)
    return found, wall - max(one.end for one in inside) if found else 0


def at_once(spans: Iterable[BusySpan]) -> int:
    """The most stages that were busy at one moment."""
    changes = [(span.begin, 1) for span in spans if span.end > span.begin]
    changes += [(span.end, -1) for span in spans if span.end > span.begin]
    return max(accumulate(change for _, change in sorted(changes)), default=0)


def _clipped(span: BusySpan, wall: int) -> BusySpan | None:
    """The part of a span inside the run; a start at the run's very end stays, it says what was waited for."""
    begin, end = max(0, span.begin), min(wall, span.end)
    if begin > wall or end < begin or span.end < 0:
        return None
    return span._replace(begin=begin, end=end)


def _slices(wall: int, spans: Sequence[BusySpan]) -> Iterable[tuple[int, int, tuple[BusySpan, ...]]]:
    """The run cut wherever a span begins or ends, and the spans that are open in each piece."""
    cuts = sorted({0, wall, *(span.begin for span in spans), *(span.end for span in spans)})
    open_: list[BusySpan] = []
    waiting = iter(spans)
    following = next(waiting, None)
    for begin, end in pairwise(cuts):
        open_ = [span for span in open_ if span.end > begin]
        while following is not None and following.begin <= begin:
            if following.end > begin:
                open_.append(following)
            following = next(waiting, None)
        yield begin, end, tuple(open_)


def _doing(busy: Sequence[BusySpan]) -> tuple[Phase, list[int]]:
    part = min((span.part for span in busy), key=_RANK.__getitem__)
    return part, sorted({span.stage for span in busy if span.part is part})


def _idle(
    begin: int, end: int, starts: Sequence[tuple[int, int]], ends: Sequence[tuple[int, int]]
) -> tuple[Phase, list[int]]:
    following = bisect_left(starts, (end, 0))
    if following < len(starts):
        return Phase.WAITING, [starts[following][1]]
    before = bisect_right(ends, (begin, sys.maxsize))
    return (Phase.RECORDING, [ends[before - 1][1]]) if before else (Phase.WAITING, [0])


LEAST_RUNS = 5  # with fewer runs even a strict order is no sign
_MOST_POINTS = 60  # of longer histories, as many medians of neighbours
_UNLIKELY = 1.96  # standard deviations: five in a hundred


class Series(NamedTuple):
    """A figure over several runs, oldest first, in the figure's own unit.

    `slope` is its change from one run to the next, None with fewer than `LEAST` runs. `clear`: chance alone would
    hardly give such an order.
    """

    runs: int
    median: float
    slope: float | None
    clear: bool = False


def series(values: Sequence[float]) -> Series:
    """What one or more values, oldest first, add up to."""
    from statistics import median

    if len(values) < LEAST_RUNS:
        return Series(len(values), median(values), None)
    points, apart = _thinned(values)
    pairs = [(i, j) for j in range(len(points)) for i in range(j)]
    slope = median((points[j] - points[i]) / (j - i) for i, j in pairs) / apart
    rises = sum((points[j] > points[i]) - (points[j] < points[i]) for i, j in pairs)
    count = len(points)
    spread = (count * (count - 1) * (2 * count + 5) / 18) ** 0.5
    return Series(len(values), median(values), slope, clear=(abs(rises) - 1) / spread > _UNLIKELY and slope != 0)


def _thinned(values: Sequence[float]) -> tuple[Sequence[float], float]:
    """At most `_MOST` points, and how many runs apart they are: all pairs of a thousand are half a million."""
    from statistics import median

    if len(values) <= _MOST_POINTS:
        return values, 1.0
    cuts = [len(values) * position // _MOST_POINTS for position in range(_MOST_POINTS + 1)]
    return [median(values[a:b]) for a, b in pairwise(cuts)], len(values) / _MOST_POINTS
