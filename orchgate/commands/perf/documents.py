"""A measurement as a report of the gate: what formats for CI are made of. Its findings have the rules of a push."""

from __future__ import annotations

import contextlib

from orchgate.commands.perf.report import judged
from orchgate.errors import GitError
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import (
    About,
    CheckResult,
    Diagnostic,
    Finding,
    Location,
    Report,
    Scope,
    Severity,
    Step,
    Trouble,
    Verdict,
    worst,
)
from orchgate.speed import measurements
from orchgate.speed.push import findings
from orchgate.verdict import reported_benchmarks, words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.commands.perf.report import PerfReport
    from orchgate.commands.shared.delivery import Own
    from orchgate.verdict.values import Compared, ComparedCounter, Judgement, Policy

CHECK = "performance"
PAIRS = "measured pairs"


def of_measurement(shown: PerfReport, held_to: Policy) -> Report:
    """What was measured, judged as it was printed."""
    measurement, subject = shown.measurement, shown.asked.subject
    step = Step("reproduce", shown.reproduce)
    explained = "; ".join((*measurements.carriers(measurement), *measurements.also(measurement)))
    found = [one._replace(hint=explained, steps=(step,)) for one in _findings(subject, measurement.judgement, held_to)]
    redefined = shown.redefined.findings if shown.redefined else ()
    pairs = len(measurement.pairs)
    check = _check(found, [measurement.judgement], held_to, {PAIRS: pairs}, findings.facts(measurement))
    noted = tuple(Diagnostic(CHECK, Severity.NOTE, one) for one in redefined)
    check = check._replace(
        diagnostics=(*check.diagnostics, *noted),
        seconds=measurement.seconds,
        headline=measurements.how_measured(measurement),
        troubles=tuple(one._replace(steps=(step,)) for one in check.troubles),
    )
    return Report(_scope(shown), (check,))


def of_new_pipeline(shown: PerfReport) -> Report:
    """A pipeline that base does not have: there is nothing to compare it with."""
    why = shown.measurement.judgement.reason
    note = Diagnostic(CHECK, Severity.NOTE, Finding("PRF007", Location(""), why))
    check = CheckResult(CHECK, Verdict.PASS, (note,), {PAIRS: 0}, {}, (), 0.0)
    return Report(_scope(shown)._replace(settled="nothing was measured"), (check,))


def of_streams(judgements: Mapping[str, Judgement], held_to: Policy) -> Report:
    """Recorded samples, stream by stream."""
    found = [one for name, judgement in judgements.items() for one in _findings(name, judgement, held_to)]
    streams = list(judgements.values())
    facts = judged(streams[0]) if len(streams) == 1 else {}
    check = _check(found, streams, held_to, {"streams": len(streams)}, facts)
    return Report(Scope("", None, None, origin="recorded samples"), (check,))


def delivered(args: argparse.Namespace, made: Report, own: Own, code: int) -> int:
    """Writes every document that was asked for; the exit code."""
    from orchgate.commands.shared import delivery

    known = About("perf", code)
    if args.output_file or args.output_format not in own:
        from orchgate.gate import session

        with contextlib.suppress(GitError), session.opened() as repository:  # samples can be judged without
            known = delivery.about(repository, "perf", made, code)
    return delivery.deliver(made._replace(about=known), args.output_format, args.output_file, own)


def _scope(shown: PerfReport) -> Scope:
    return Scope("range", shown.asked.base, shown.asked.head, origin=shown.asked.origin)


def _check(
    found: Sequence[Finding],
    judgements: Sequence[Judgement],
    held_to: Policy,
    examined: Mapping[str, int],
    facts: Mapping[str, object],
) -> CheckResult:
    verdict = worst(one.verdict for one in judgements)
    if verdict is Verdict.INCONCLUSIVE and held_to.inconclusive == "warn":
        verdict = Verdict.WARN
    broken = [one for one in judgements if one.verdict is Verdict.BROKEN]
    troubles = tuple(Trouble(Location(""), one.reason or next(words.headlines(one), "")) for one in broken)
    diagnostics = tuple(Diagnostic(CHECK, one.severity or Severity.ERROR, one) for one in found)
    return CheckResult(CHECK, verdict, diagnostics, examined, facts, troubles, 0.0)


def _findings(subject: str, judgement: Judgement, held_to: Policy) -> Iterator[Finding]:
    """What got worse, one by one, then what stayed open; at least one wherever the verdict is not a pass."""
    found = [*_worse(judgement, held_to), *_benchmarks(judgement)]
    severity = findings.WEIGHTS.get(judgement.verdict)
    if severity and severity not in {weight for _, weight, _ in found}:
        rule = "PRF005" if judgement.reason else "PRF001"
        found.append((rule, severity, judgement.reason or next(words.headlines(judgement), "")))
    if judgement.verdict is Verdict.INCONCLUSIVE:
        weight = Severity.ERROR if held_to.inconclusive == "block" else Severity.WARNING
        found.append(("PRF004", weight, "; ".join(words.headlines(judgement)) or "cannot tell"))
    for rule, weight, message in found:
        yield Finding(rule, Location(""), f"{subject}: {message}", severity=weight)


def _worse(judgement: Judgement, held_to: Policy) -> Iterator[tuple[str, Severity, str]]:
    told: list[tuple[Compared | ComparedCounter, str]] = [(one, words.compared(one)) for one in judgement.metrics]
    told += [(one, words.counted(one)) for one in judgement.counters]
    for one, said in told:
        if one.verdict in findings.WEIGHTS:
            yield findings.RULES[held_to.metrics[one.name].kind], findings.WEIGHTS[one.verdict], said


def _benchmarks(judgement: Judgement) -> Iterator[tuple[str, Severity, str]]:
    named = judgement.benchmarks
    if named is None:
        return
    movers = reported_benchmarks.movers(named)
    for one in movers[: reported_benchmarks.MOST]:
        yield "PRF001", findings.WEIGHTS[one.verdict], reported_benchmarks.moved(one)
    if more := movers[reported_benchmarks.MOST :]:
        yield "PRF001", findings.WEIGHTS[more[0].verdict], f"{counted(len(more), 'more benchmark')} got slower"
    for failed in named.failed[: reported_benchmarks.MOST]:
        if failed.verdict in findings.WEIGHTS:
            yield "PRF005", findings.WEIGHTS[failed.verdict], reported_benchmarks.failed(failed)
