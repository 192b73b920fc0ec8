"""What a history shows in words, and as facts for programs."""

from __future__ import annotations

from datetime import UTC, datetime

from orchgate.lib.text import clip, counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.measures.declared import title
from orchgate.metrics import snapshot
from orchgate.verdict import reported_benchmarks, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.trends.answers import Answers
    from orchgate.trends.changes import CommitRange, MovedLevel, TrendChange
    from orchgate.trends.classes import ClassRatio, FlakyStage
    from orchgate.trends.drift import Drift
    from orchgate.trends.streams import StreamKey

COMMIT = 7  # characters of one that are shown
CLASS = 8  # and of a class of machines
NAME = 40  # and of what somebody called a pipeline, a stage or a benchmark


def amount(key: StreamKey, value: float) -> str:
    """A value of a stream with its unit, as far as that is known."""
    if not key.benchmark:
        return words.amount(key.metric, value)
    return reported_benchmarks.duration(value) if key.metric.endswith("_seconds") else words.amount("", value)


def metric(key: StreamKey) -> str:
    """`CPU time`; "" for a benchmark, whose name says it."""
    return "" if key.benchmark else title(key.metric)


def sure(confidence: float) -> str:
    return "over 99.9 % sure" if confidence > 0.9995 else f"{100 * confidence:.1f} % sure"


def day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


def moment(seconds: float) -> str:
    """To the millisecond, as runs say when they began: the two are compared as texts."""
    return str(snapshot.moment(datetime.fromtimestamp(seconds, UTC)))


def place(one: TrendChange) -> str:
    """Which commits may have made it."""
    if one.same_commit:
        return f"in runs of {one.same_commit[:COMMIT]} as well: the machines changed, not the code"
    return _range(one.range)


def _range(range_: CommitRange) -> str:
    old, new = ((commit or "no commit")[:COMMIT] for commit in range_[:2])
    if range_.commits == 1:
        return f"by {new}, after {old}"
    number = "" if range_.commits is None else f" ({counted(range_.commits, 'commit')})"
    return f"after {old}, up to {new}{number}"


def rate(share: float, low: object, high: object) -> str:
    """`3.1 % (1-8)`."""
    ends = [f"{100 * end:.{int(end < 0.01)}f}" for end in (low, high) if isinstance(end, int | float)]
    return f"{words.share(share)} ({'-'.join(ends)})"


class Names:
    """Says of what something is told, with the repository and the class of machines where there are several."""

    def __init__(self, answers: Answers) -> None:
        keys = [one.key for one in answers.changes]
        keys += [*(one.key for one in answers.drifts), *(one.key for one in answers.classes)]
        repositories = {*(key.repository for key in keys), *(one.repository for one in answers.flaky)}
        self._several = len(repositories) > 1
        self._machines = len({key.machine for key in keys}) > 1

    def pipeline(self, repository: str, pipeline: str) -> str:
        short = clip(pipeline, NAME)
        return f"{repository} {short}" if self._several else short

    def __call__(self, key: StreamKey) -> str:
        inner = " ".join(clip(name, NAME) for name in (key.stage, key.benchmark) if name)
        name = self.pipeline(key.repository, key.pipeline) + (f" {inner}" if inner else "")
        return f"{name} on {key.machine[:CLASS]}" if self._machines else name


def change_lines(one: TrendChange, name: Names) -> Sequence[str]:
    what = f"{metric(one.key)} {words.percent(one.by)}".lstrip()
    moved = f"{amount(one.key, one.before)} -> {amount(one.key, one.after)}"
    also = "; ".join(filter(None, (_stages(one), _also(one))))
    lines = [
        f"{name(one.key)}: {what}, {moved}",
        f"since {day(one.since)}, {place(one)}; {sure(one.confidence)}",
    ]
    lines += [also] if also else []
    return [*lines, "accepted: a baseline was recorded since"] if one.is_accepted else lines


def _stages(one: TrendChange) -> str:
    listed = [f"{clip(moved.name, NAME)} {_by(moved)}" for moved in one.stages[:2]]
    return f"in {', '.join(listed)}" if listed else ""


def _also(one: TrendChange) -> str:
    return ", ".join(f"{title(moved.name)} {_by(moved)}" for moved in one.also)


def _by(moved: MovedLevel) -> str:
    return words.percent(moved.after / moved.before - 1)


def drift_lines(one: Drift, name: Names, described: Mapping[str, str]) -> Sequence[str]:
    record = one.record
    which = described.get(record.commit or "") or f"the baseline of {record.recorded_at[:10]}"
    interval = f"{words.percent(one.low)} to {words.percent(one.high)}"
    since = counted(one.runs, "run") if one.commits is None else counted(one.commits, "commit")
    steps = "no single one of them shows it"
    if one.steps:
        steps = "one change above is part of it" if one.steps == 1 else f"{one.steps} changes above are part of it"
    first = f"{name(one.key)}: {title(one.key.metric)} {words.percent(one.change)} ({interval})"
    return [first, f"since {which}, in {since}; {steps}"]


def flaky_lines(one: FlakyStage, name: Names) -> Sequence[str]:
    stage = f"{name.pipeline(one.repository, one.pipeline)} {clip(one.stage, NAME)}"
    return [f"{stage}: {rate(one.rate, one.low, one.high)} of {counted(one.runs, 'run')}"]


def ratio_lines(one: ClassRatio, name: Names) -> Sequence[str]:
    where = name.pipeline(one.key.repository, one.key.pipeline)
    times = f"{one.ratio:.2f} ({one.low:.2f} to {one.high:.2f}) times"
    return [f"{where}: {one.key.machine[:CLASS]} takes {times} the {title(one.key.metric)} of {one.other[:CLASS]}"]
