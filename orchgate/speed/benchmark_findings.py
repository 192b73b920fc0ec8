"""What the gate says about the named benchmarks of a push: pure text from a judgement."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from orchgate.model import Severity, Verdict
from orchgate.speed.verdicts import Said
from orchgate.verdict import benchmark_names, words
from orchgate.verdict import benchmark_words as told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.speed.measurement import Measurement
    from orchgate.speed.question import Question
    from orchgate.verdict.values import Compared, Named, Policy

_WEIGHTS = {Verdict.FAIL: Severity.ERROR, Verdict.WARN: Severity.WARNING}
_GONE = "a benchmark is compared from the push on after the one that brings its name"


def findings(question: Question, policy: Policy, measurement: Measurement, basis: str) -> Iterator[Said]:
    """Those that moved, worst first, then those that failed, then what only one side has, and what stayed open."""
    named = measurement.judgement.benchmarks
    if named is None:
        return
    if named.verdict is Verdict.BROKEN:
        hint = f"{question.reproduce} shows it again"
        yield Said("PRF004", f"{question.pipeline}: {named.reason}", hint, Severity.ERROR)
        return
    if named.verdict is Verdict.FAIL and not named.judged:
        yield _said(question, "PRF005", Severity.ERROR, named.reason)
        return
    movers = told.movers(named)
    where = f" in stage {stage}" if (stage := _reporter(measurement)) else ""
    for one in movers[: told.MOST]:
        limit = _limit(one, policy)
        yield _said(question, *_weight((one,), policy), f"{told.moved(one)}{where}{basis}{limit}")
    if more := movers[told.MOST :]:
        what = f"{len(more)} more benchmark{'s' * (len(more) != 1)} got slower{where}"
        yield _said(question, *_weight(more, policy), what)
    yield from _failed(question, named)
    yield from _changed(question, named)
    yield from _open(question, policy, named, measurement)


def _weight(movers: Sequence[Compared], policy: Policy) -> tuple[str, Severity]:
    """The rule and the weight of benchmarks that moved, worst first. Where what is undecided blocks, so is probable."""
    if policy.inconclusive == "block" and movers[0].verdict is Verdict.WARN and any(one.probably for one in movers):
        return "PRF004", Severity.ERROR
    return "PRF001", _WEIGHTS[movers[0].verdict]


def _said(question: Question, rule: str, severity: Severity, message: str) -> Said:
    return Said(rule, f"{question.pipeline}: {message}", f"{question.reproduce} repeats it", severity)


def _limit(one: Compared, policy: Policy) -> str:
    """From where on what is a warning now would be refused."""
    if one.verdict is not Verdict.WARN or one.probably:
        return ""
    metric = benchmark_names.limit(one.name, policy.benchmarks.limits)
    return f"; from {words.percent(metric.block)} on it is refused"


def _reporter(measurement: Measurement) -> str:
    """The stage that wrote the results, where there are several."""
    if len(measurement.stages) < 2:
        return ""
    return next((ran.reporter for pair in reversed(measurement.samples) for ran in pair if ran.reporter), "")


def _failed(question: Question, named: Named) -> Iterator[Said]:
    charged = [one for one in named.failed if one.verdict in _WEIGHTS]
    for one in charged[: told.MOST]:
        yield _said(question, "PRF005", _WEIGHTS[one.verdict], told.failed(one))
    if more := charged[told.MOST :]:
        worst = Severity.ERROR if any(one.verdict is Verdict.FAIL for one in more) else Severity.WARNING
        what = "1 more benchmark has no result" if len(more) == 1 else f"{len(more)} more benchmarks have no result"
        yield _said(question, "PRF005", worst, what)
    others = [one for one in named.failed if one.verdict not in _WEIGHTS]
    for line in told.first([told.failed(one) for one in others]):
        yield Said("PRF004", f"{question.pipeline}: {line}", "", Severity.NOTE)


def _changed(question: Question, named: Named) -> Iterator[Said]:
    severity = Severity.WARNING if named.only_on_base else Severity.NOTE
    for line in told.changed(named):
        yield Said("PRF007", f"{question.pipeline}: {line}", _GONE, severity)


def _open(question: Question, policy: Policy, named: Named, measurement: Measurement) -> Iterator[Said]:
    """Some of many always stay open: a line. All of them, or where that blocks: what more runs would settle."""
    if any(one.verdict is Verdict.INCONCLUSIVE for one in named.judged):
        blocks = Severity.ERROR if policy.inconclusive == "block" else Severity.WARNING
        settles = named.verdict is Verdict.INCONCLUSIVE or policy.inconclusive == "block"
        hint = f"{_with_time(question, named, measurement)} settles it" if settles else ""
        yield Said("PRF004", f"{question.pipeline}: {told.rest(named)}", hint, blocks if settles else Severity.NOTE)


def _with_time(question: Question, named: Named, measurement: Measurement) -> str:
    """The command that repeats the measurement, with a budget for the pairs that all benchmarks need."""
    if not named.reason or not measurement.pair_seconds:
        return question.reproduce
    budget = ceil((named.needed + 2) * measurement.pair_seconds)
    return question.reproduce.replace("orchgate perf", f"orchgate perf --budget {budget}", 1)
