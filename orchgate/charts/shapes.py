"""What charts are drawn from: numbers and words, nothing of runs. Every chart is a value; drawing one is pure.

A number may be None, NaN or infinite: it is a gap. All text is untrusted; it is escaped where it is written. `id` is
unique on the page that the chart is on.
"""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Unit(Enum):
    """What a number counts; the values are the suffixes of the metrics' names. A rate is a fraction from 0 to 1."""

    SECONDS = "_seconds"
    BYTES = "_bytes"
    RATE = "_rate"
    COUNT = ""


def unit_of(metric: str) -> Unit:
    """`BYTES` of `max_rss_bytes`."""
    return next(unit for unit in Unit if metric.endswith(unit.value))


class State(Enum):
    """How something ended; each has a color and a shape of its own. The values are what people read."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    CACHED = "cached"
    RUNNING = "running"
    UNKNOWN = "unknown"


class Tone(Enum):
    """How good news is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    NEUTRAL = "neutral"


class ChartTable(NamedTuple):
    """What a chart shows, for those who cannot see it. `links` are addresses, one a row; "" leads nowhere."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    links: tuple[str, ...]


class Band(NamedTuple):
    """What is usual, in the chart's unit."""

    low: float | None
    center: float | None
    high: float | None
    label: str = "baseline"


class Point(NamedTuple):
    """One run. `label` names it (a tooltip), `link` is an address (`#run-12`), `at` seconds since 1970."""

    value: float | None
    label: str
    link: str = ""
    state: State = State.SUCCEEDED
    at: float | None = None


class ChangeMark(NamedTuple):
    """Something that happened before the point at this place, from 0."""

    place: int
    label: str
    link: str = ""


class Trend(NamedTuple):
    """A metric over runs, the oldest first. `by_time`: as far apart as their times, where each has one.

    `dated`: with the runs' dates below it; of charts of the same runs below each other the last one has them.
    """

    id: str
    title: str
    unit: Unit
    points: Sequence[Point]
    band: Band | None = None
    marks: Sequence[ChangeMark] = ()
    by_time: bool = False
    dated: bool = True


class Strips(NamedTuple):
    """What leads from trends of the same runs, which are below each other, to each run: its values are of no interest.

    The labels are tooltips and what a screen reader reads.
    """

    id: str
    title: str
    points: Sequence[Point]


class TimeSpan(NamedTuple):
    """One attempt of a stage, in seconds since the run's start; an open `end` is one that still goes on."""

    start: float | None
    end: float | None
    state: State


class StageBar(NamedTuple):
    """One stage. It waited from `ready`, in seconds since the run's start, to its first span's start."""

    name: str
    state: State
    ready: float | None = None
    spans: Sequence[TimeSpan] = ()
    note: str = ""
    link: str = ""


class Waterfall(NamedTuple):
    """The stages of a run, which took `seconds` in all (None: as long as the last stage)."""

    id: str
    title: str
    stages: Sequence[StageBar]
    seconds: float | None = None


class ChangeInterval(NamedTuple):
    """One metric before and after. Changes are fractions of before: 0.05 is +5 %.

    `limit` is the change from which it is refused: downwards where less is worse. `before` and `after` are words, with
    their unit; so is `outcome`.
    """

    name: str
    change: float | None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    before: str = ""
    after: str = ""
    outcome: str = ""
    tone: Tone = Tone.NEUTRAL
    link: str = ""
    more_is_worse: bool = True


class Intervals(NamedTuple):
    """Metrics before and after, on one axis in percent."""

    id: str
    title: str
    rows: Sequence[ChangeInterval]


class Distribution(NamedTuple):
    """The samples of two sides. `paired`: those at the same place were measured one right after the other."""

    id: str
    title: str
    unit: Unit
    base: Sequence[float | None]
    head: Sequence[float | None]
    names: tuple[str, str] = ("base", "head")
    paired: bool = False
    tone: Tone = Tone.NEUTRAL
