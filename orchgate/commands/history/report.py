"""What a history answers, as people read it and as programs do."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from orchgate.commands.shared import screen
from orchgate.errors import quoted
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.measures.declared import title
from orchgate.outputs._document import unit_of
from orchgate.outputs._escape import escape
from orchgate.verdict import baseline, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.trends.answers import Answers, Known
    from orchgate.trends.changes import Change, CommitRange, Moved
    from orchgate.trends.classes import ClassRatio, FlakyStage
    from orchgate.trends.drift import Drift
    from orchgate.trends.streams import StreamKey

MOST = 10  # of a section
_SHORT = 7  # characters of a commit
_CLASS = 8  # characters of a class of machines


def write(answers: Answers) -> None:
    """Prints sections of what there is to say, and nothing where there is nothing."""
    width = screen.here().width
    for line in lines(answers):
        indent = len(line) - len(line.lstrip()) + 2
        sys.stdout.writelines(f"{part}\n" for part in screen.wrapped(escape(line), width, indent))


def notes(known: Known) -> Iterator[str]:
    """What could not be looked at."""
    if known.problem:
        yield f"{baseline.PATH}: {known.problem.message}; how far runs are from it is not told"


def lines(answers: Answers) -> Iterator[str]:
    name = _Names(answers)
    where = f" on {answers.line.name}" if answers.line else ""
    yield from _section(f"changes{where}:", [_change(one, name) for one in answers.changes])
    if command := bisection(answers):
        yield f"  hint: {command}"
    yield from _section("against the baseline:", [_drift(one, name, answers.described) for one in answers.drifts])
    yield from _section("flaky stages (95 % interval):", [_flaky(one, name) for one in answers.flaky])
    yield from _section(
        "classes of machines, by runs of the same commits:", [_ratio(one, name) for one in answers.classes]
    )


def _section(heading: str, told: Sequence[Sequence[str]]) -> Iterator[str]:
    if told:
        yield heading
    for first, *others in told[:MOST]:
        yield f"  {first}"
        yield from (f"    {line}" for line in others)
    if more := told[MOST:]:
        yield f"  and {len(more):,} more, with --output-format json"


class _Names:
    """Says of what something is told, with the repository and the class of machines where there are several."""

    def __init__(self, answers: Answers) -> None:
        keys = [one.key for one in answers.changes]
        keys += [*(one.key for one in answers.drifts), *(one.key for one in answers.classes)]
        repositories = {*(key.repository for key in keys), *(one.repository for one in answers.flaky)}
        self._several = len(repositories) > 1
        self._machines = len({key.machine for key in keys}) > 1

    def pipeline(self, repository: str, pipeline: str) -> str:
        return f"{repository} {pipeline}" if self._several else pipeline

    def __call__(self, key: StreamKey) -> str:
        inner = " ".join(filter(None, (key.stage, key.benchmark)))
        name = self.pipeline(key.repository, key.pipeline) + (f" {inner}" if inner else "")
        return f"{name} on {key.machine[:_CLASS]}" if self._machines else name


def _change(one: Change, name: _Names) -> Sequence[str]:
    metric = one.key.metric
    what = "" if one.key.benchmark else f"{title(metric)} "
    amount = _amount_of_benchmark if one.key.benchmark else words.amount
    moved = f"{amount(metric, one.before)} -> {amount(metric, one.after)}"
    also = "; ".join(filter(None, (_stages(one), _also(one))))
    told = [
        f"{name(one.key)}: {what}{words.percent(one.by)}, {moved}",
        f"since {day(one.since)}, {place(one)}; {sure(one.confidence)}",
    ]
    return [*told, also] if also else told


def _amount_of_benchmark(metric: str, value: float) -> str:
    from orchgate.verdict import reported_benchmarks

    return reported_benchmarks.duration(value) if metric.endswith("_seconds") else words.amount("", value)


def sure(confidence: float) -> str:
    return "over 99.9 % sure" if confidence > 0.9995 else f"{100 * confidence:.1f} % sure"


def day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


def place(one: Change) -> str:
    """Which commits may have made it."""
    if one.same_commit:
        return f"in runs of {one.same_commit[:_SHORT]} as well: the machines changed, not the code"
    return _range(one.range)


def _range(range_: CommitRange) -> str:
    old, new = ((commit or "no commit")[:_SHORT] for commit in range_[:2])
    if range_.commits == 1:
        return f"by {new}, after {old}"
    number = "" if range_.commits is None else f" ({counted(range_.commits, 'commit')})"
    return f"after {old}, up to {new}{number}"


def _stages(one: Change) -> str:
    listed = [f"{moved.name} {_by(moved)}" for moved in one.stages[:2]]
    return f"stage {', '.join(listed)}" if listed else ""


def _also(one: Change) -> str:
    return ", ".join(f"{title(moved.name)} {_by(moved)}" for moved in one.also)


def _by(moved: Moved) -> str:
    return words.percent(moved.after / moved.before - 1)


def _drift(one: Drift, name: _Names, described: Mapping[str, str]) -> Sequence[str]:
    record = one.record
    which = described.get(record.commit or "") or f"the baseline of {record.recorded_at[:10]}"
    interval = f"{words.percent(one.low)} to {words.percent(one.high)}"
    since = counted(one.runs, "run") if one.commits is None else counted(one.commits, "commit")
    steps = f"{counted(one.steps, 'change')} of it above" if one.steps else "no single one of them shows it"
    first = f"{name(one.key)}: {title(one.key.metric)} {words.percent(one.change)} ({interval})"
    return [first, f"since {which}, in {since}; {steps}"]


def _flaky(one: FlakyStage, name: _Names) -> Sequence[str]:
    interval = rate(one.rate, one.low, one.high)
    return [f"{name.pipeline(one.repository, one.pipeline)} {one.stage}: {interval} of {counted(one.runs, 'run')}"]


def rate(share: float, low: object, high: object) -> str:
    """`3.1 % (1-8)`."""
    ends = [f"{100 * end:.{int(end < 0.01)}f}" for end in (low, high) if isinstance(end, int | float)]
    return f"{words.share(share)} ({'-'.join(ends)})"


def _ratio(one: ClassRatio, name: _Names) -> Sequence[str]:
    where = name.pipeline(one.key.repository, one.key.pipeline)
    what = (
        f"{one.ratio:.2f} ({one.low:.2f} to {one.high:.2f}) times the {title(one.key.metric)} of {one.other[:_CLASS]}"
    )
    return [f"{where}: {one.key.machine[:_CLASS]} takes {what}"]


def bisection(answers: Answers) -> str:
    """The command that finds the commit of the newest change for the worse; "" where one is known, or none is here."""
    for one in sorted(answers.changes, key=lambda change: -change.since):
        old, new, number = one.range
        if number and number > 1 and one.by > 0 and old and new:
            return f"orchgate bisect --good {old[:12]} --bad {new[:12]} {quoted(one.key.pipeline)}"
    return ""


# For programs


def document(answers: Answers) -> Mapping[str, object]:
    return {
        "changes": [_change_facts(one) for one in answers.changes],
        "drifts": [_drift_facts(one, answers.described) for one in answers.drifts],
        "flaky_stages": [_flaky_facts(one) for one in answers.flaky],
        "machine_ratios": [_ratio_facts(one) for one in answers.classes],
    }


def _key(key: StreamKey) -> dict[str, object]:
    return {
        "repository": key.repository,
        "pipeline": key.pipeline,
        "stage": key.stage or None,
        "benchmark": key.benchmark or None,
        "machine": key.machine,
        "metric": key.metric,
    }


def _change_facts(one: Change) -> dict[str, object]:
    return {
        **_key(one.key),
        "unit": unit_of(one.key.metric),
        "before": one.before,
        "after": one.after,
        "change_fraction": one.by,
        "confidence_fraction": one.confidence,
        "since": _moment(one.since),
        "first_run": one.run_id,
        "run_count": one.runs,
        "last_commit_before": one.range.last_before,
        "first_commit_after": one.range.first_after,
        "commit_count": one.range.commits,
        "same_commit": one.same_commit,
        "also": [{"metric": moved.name, **_moved_facts(moved, moved.name)} for moved in one.also],
        "stages": [{"stage": moved.name, **_moved_facts(moved, one.key.metric)} for moved in one.stages],
    }


def _moved_facts(moved: Moved, metric: str) -> dict[str, object]:
    change = moved.after / moved.before - 1
    return {"unit": unit_of(metric), "before": moved.before, "after": moved.after, "change_fraction": change}


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _drift_facts(one: Drift, described: Mapping[str, str]) -> dict[str, object]:
    return {
        **_key(one.key),
        "unit": unit_of(one.key.metric),
        "before": one.before,
        "after": one.after,
        "change_fraction": one.change,
        "low_fraction": one.low,
        "high_fraction": one.high,
        "baseline_commit": one.record.commit,
        "baseline_name": described.get(one.record.commit or "") or None,
        "baseline_recorded_at": one.record.recorded_at,
        "run_count": one.runs,
        "commit_count": one.commits,
        "change_count": one.steps,
    }


def _flaky_facts(one: FlakyStage) -> dict[str, object]:
    return {
        "repository": one.repository,
        "pipeline": one.pipeline,
        "stage": one.stage,
        "run_count": one.runs,
        "flaky_count": one.flaky,
        "flaky_rate": one.rate,
        "low_flaky_rate": one.low,
        "high_flaky_rate": one.high,
    }


def _ratio_facts(one: ClassRatio) -> dict[str, object]:
    return {
        **_key(one.key),
        "other_machine": one.other,
        "cost_fraction": one.ratio,
        "low_fraction": one.low,
        "high_fraction": one.high,
        "commit_count": one.commits,
    }
