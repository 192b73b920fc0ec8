"""One run of head compared with recorded runs of base, for pipelines of which too few pairs fit. It proves nothing."""

from __future__ import annotations

import shlex

from orchgate.errors import OrchgateError
from orchgate.lib import working_time
from orchgate.lib.text import counted, median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures import declared
from orchgate.model import Severity, Step, Verdict
from orchgate.speed import sampling
from orchgate.speed.push import findings, recorded_runs
from orchgate.speed.push.findings import failed_stage, undecided
from orchgate.speed.sampling import OutOfTime
from orchgate.verdict import gross, stored, words
from orchgate.verdict.baseline import stale
from orchgate.verdict.comparison import LOOKS
from orchgate.verdict.exact import LowerBounds
from orchgate.verdict.stored import judge_stored, suspicious

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.model import Finding
    from orchgate.speed.push.bounds import PushRequest
    from orchgate.speed.push.recorded_runs import RecordedRuns
    from orchgate.speed.push.verdict_record import RunDuration
    from orchgate.speed.sampling import Failure, MeasuredRun, Side
    from orchgate.verdict.baseline import BaselineRecord
    from orchgate.verdict.values import Pair, Policy

CLEARING = 3  # pairs
MOST_CONFIRMING = 32  # pairs, which find nearly every slow-down that is refused
FILE_COUNTS = ("manifest_writes", "files_written")  # of file events, which not every machine reports
JOB = Step("to decide in CI", "orchgate perf --print-job github")  # or gitlab


class ScreeningReference(NamedTuple):
    """What a run of head is held to: recorded runs, and the stored baseline, None where there is none.

    `old` says why the baseline should be recorded anew.
    """

    policy: Policy
    recorded: RecordedRuns
    stored: BaselineRecord | None
    old: tuple[Finding, ...] = ()

    @property
    def seconds(self) -> float | None:
        """What a run of base takes."""
        walls = self.stored.samples.get("wall_seconds") if self.stored else None
        return self.recorded.seconds or (median(walls) if walls else None)

    @property
    def slowest(self) -> float | None:
        """Seconds of the slowest run on record."""
        stored = max(self.stored.samples.get("wall_seconds", ()), default=None) if self.stored else None
        return max((one for one in (self.recorded.slowest, stored) if one is not None), default=None)

    @property
    def shows_spread(self) -> bool:
        return self.stored is not None or stored.shows_spread(recorded_runs.samples(self.recorded.runs))

    @property
    def description(self) -> str:
        """`14 recorded runs of base's tree and the stored baseline of 0a1b2c3d4e5f`; "" where there is neither."""
        parts = [recorded_runs.description(self.recorded)] if self.recorded.runs else []
        if self.stored:
            parts.append(f"the stored baseline of {(self.stored.commit or 'no commit')[:12]}")
        return " and ".join(parts)


def held(
    request: PushRequest, policy: Policy, recorded: RecordedRuns, stored: BaselineRecord | None
) -> ScreeningReference:
    """What there is to hold a run to. A baseline of another definition than base's is none."""
    if stored is None:
        return ScreeningReference(policy, recorded, None)
    days = request.config.performance.baseline_max_age_days
    age = stale(stored, request.now.timestamp(), pipeline_hash=recorded.definition, max_days=days)
    old = (findings.no_baseline(request, f"the stored baseline {age}"),) if age else ()
    other = recorded.definition not in ("", stored.pipeline_hash)
    return ScreeningReference(policy, recorded, None if other else stored, old)


class Suspicion(NamedTuple):
    """What is suspicious, as half a sentence, and the metrics it is about; none where head's run failed."""

    why: str
    names: tuple[str, ...] = ()


class ScreeningResult(NamedTuple):
    """What one run of head tells: what is refused or not known, and the metrics that pairs should look at."""

    findings: tuple[Finding, ...]
    suspects: tuple[str, ...]


def alone(
    request: PushRequest, head: Side, environ: Mapping[str, str], seconds: float, prepare_seconds: float
) -> tuple[MeasuredRun | None, float]:
    """One run of head, and how long it took; None where it was ended after so many seconds. Raises OrchgateError."""
    performance = request.config.performance
    request.repository.blobs.close()  # what measures ends every process below it; git's is started again when needed
    with sampling.open_harness([head], environ, performance.watch) as harness:
        if failed := sampling.prepare(harness, head, performance.setup, prepare_seconds):
            raise OrchgateError(findings.failed_stage(failed), request.command())
        started = working_time.now()
        try:
            run = sampling.undisturbed(harness, head, started + seconds)
        except OutOfTime:
            return None, working_time.now() - started
        return run, working_time.now() - started


def screened(request: PushRequest, against: ScreeningReference, run: MeasuredRun | None) -> ScreeningResult:
    """What a run of head says by what is on record. Only counters can be refused for it; the rest is a suspicion.

    A run that is None was ended, being far beyond all of them.
    """
    if run is None:
        return ScreeningResult((), ("wall_seconds",))
    suspects = dict.fromkeys(_out(against, run.without_hidden()))
    reported: tuple[Finding, ...] = ()
    if against.stored is not None:
        reported, odd = _by_baseline(request, against.policy, against.stored, run)
        suspects |= dict.fromkeys(odd)
    return ScreeningResult(reported, tuple(suspects))


def _out(against: ScreeningReference, ran: Mapping[str, float]) -> Sequence[str]:
    runs = against.recorded.runs
    # An ancestor may have been slower: what is far beyond the runs of the nearest tree alone is suspicious too.
    near = stored.grossly_beyond(recorded_runs.samples(runs[: against.recorded.nearest]), ran, against.policy)
    return (*near, *stored.suspects(recorded_runs.samples(runs), ran, against.policy))


def _by_baseline(
    request: PushRequest, policy: Policy, stored: BaselineRecord, run: MeasuredRun
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    values = {name: (value,) for name, value in run.without_hidden().items()}  # as the baseline was recorded
    known = LowerBounds(stored.lower_bounds, run.lower_bounds)
    uncounted = [
        name for name in FILE_COUNTS if name in stored.samples and name in policy.metrics and name not in values
    ]
    samples = {name: found for name, found in stored.samples.items() if name not in uncounted}
    judgement = judge_stored(samples, values, policy, known)
    if judgement.verdict is Verdict.BROKEN:
        raise OrchgateError(f"the stored baseline: {judgement.reason}", request.command())
    odd = suspicious(samples, values, policy, known)
    unsure = {one.name for one in judgement.metrics if one.head_lower_bound is not None}
    unsure |= {one.name for one in judgement.counters if one.head_lower_bound is not None and not one.runs_missing}
    reported = findings.stored_findings(request, policy, judgement, stored.commit)
    # Counts that went up in one run of head alone are confirmed in pairs where those fit.
    reported_names = {
        one.name for one in judgement.counters if one.verdict in findings.WEIGHTS and not one.runs_missing
    }
    bounds = [name for name in odd if name in unsure - reported_names]
    if bounds:
        reported = (*reported, findings.suspected(request, judgement, bounds, policy.inconclusive))
    if uncounted:
        reported = (*reported, findings.uncounted(request, uncounted, run.notes, policy.inconclusive))
    return reported, tuple(name for name in odd if name not in reported_names and name not in bounds)


def overdue(base: float, head: float) -> bool:
    """Whether a run of head that is not over after so many seconds is suspicious, where base's slowest took `base`."""
    return head >= gross.FACTOR * base + 1.0


def that_fit(policy: Policy, base: float, head: float, left: float) -> int:
    """How many pairs to confirm a suspicion with: enough to be judged, or those that show a gross excess, or none."""
    limit = gross.limit(base, policy)
    pair = base + (head if limit is None else min(head, limit))  # then head is ended
    for enough, most in ((LOOKS[0], MOST_CONFIRMING), (gross.MORE_PAIRS, gross.MORE_PAIRS), (gross.PAIRS, gross.PAIRS)):
        if (1 + enough) * pair <= left:
            return most
    return 0


def cleared(pairs: Sequence[Pair], names: Sequence[str], policy: Policy) -> bool:
    """Whether base, run beside head, takes about as much: then what is on record was of a better day."""
    for name in names:
        ratios = [pair.head[name] / pair.base[name] for pair in pairs if pair.base.get(name) and name in pair.head]
        metric = policy.metrics[name]
        if len(ratios) < CLEARING or not metric.more_is_worse or median(ratios) > 1 + metric.block:
            return False
    return bool(names)


def refuses(reported: Sequence[Finding]) -> bool:
    return any(one.severity is Severity.ERROR for one in reported)


def span(seconds: float) -> str:
    """`0.521 s`, `26.1 s`, `7 min`, `2.5 h`."""
    if seconds < 100:
        return words.seconds(seconds)
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def needed(seconds: float, *, at_least: bool = False) -> str:
    """`a run takes 26.1 s, eight pairs need 7 min`."""
    more = "more than " if at_least else ""
    return f"a run takes {more}{span(seconds)}, eight pairs need {more}{span(2 * LOOKS[0] * seconds)}"


# Before and while head runs


def announcement(request: PushRequest, against: ScreeningReference) -> str:
    about = "" if against.seconds is None else f", about {span(against.seconds)}"
    run = f"one run of {request.pipeline} at {request.head[:7]}{about}"
    return f"{run}, compared with {against.description}: eight pairs do not fit"


def confirming(request: PushRequest, why: str, seconds: float) -> str:
    sides = f"{request.head[:7]} against {(request.base or '')[:7]}"
    return f"{why}: measuring {request.pipeline}, {sides}, for up to {seconds:.0f} s more"


# Suspicions: what is suspicious, as half a sentence


def looks_suspicious(against: ScreeningReference, run: MeasuredRun | None, names: Sequence[str], seconds: float) -> str:
    """`one run of head, 41.2 s, is beyond 14 recorded runs of base's tree in wall time (25.9 s to 26.4 s)`."""
    if run is None:
        slowest = (
            "" if against.slowest is None else f": the slowest of {against.description} took {span(against.slowest)}"
        )
        return f"one run of head was ended after {span(seconds)}{slowest}"
    metrics = "; ".join(_beyond(against, name, run.metrics.get(name)) for name in names)
    return f"one run of head, {span(seconds)}, looks worse than {against.description} in {metrics}"


def _beyond(against: ScreeningReference, name: str, value: float | None) -> str:
    """`wall time (41.2 s against 26.1 s)`."""
    known = recorded_runs.samples(against.recorded.runs).get(name) or (
        against.stored and against.stored.samples.get(name)
    )
    if not known or value is None:
        return declared.title(name)
    return f"{declared.title(name)} ({words.amount(name, value)} against {words.amount(name, median(known))})"


def failed_alone(one: Failure) -> str:
    return f"one run of head failed ({failed_stage(one)})"


def unfinished(base: float, head: float) -> str:
    return f"the first run of head was not over after {span(head)}, and base took {span(base)}"


# Answers


def unsuspicious(request: PushRequest, against: ScreeningReference, seconds: float, policy: str) -> Finding:
    """PRF004: a note where enough runs are on record to see a change that is refused, unless the undecided blocks."""
    run = f"one run of head, {span(seconds)}, screened against {against.description} on this machine type"
    lost = f" ({'; '.join(against.recorded.problems)})" if against.recorded.problems else ""
    if request.config.performance.benchmarks.file:
        lost += "; named benchmarks were not judged"
    if against.shows_spread:
        message = f"{run}: nothing suspicious (this is no proof){lost}"
        if policy == "block":
            return _open(request, message, against.seconds, policy)
        return findings.about(request, "PRF004", Severity.NOTE, message)
    seen = f"{gross.FACTOR:g} times the slowest of them would have been noticed; to notice less takes ten recorded runs"
    return _open(request, f"{run}: {seen}{lost}", against.seconds, policy)


def cleared_by_pairs(request: PushRequest, why: str, pairs: int) -> Finding:
    return findings.about(request, "PRF004", Severity.NOTE, f"{why}; {_pairs(pairs)} cleared it")


def not_borne_out(request: PushRequest, why: str, pairs: int) -> Finding:
    message = f"{why}; {_pairs(pairs)} did not confirm it: base takes as much now"
    return findings.about(request, "PRF004", Severity.NOTE, message)


def still_open(request: PushRequest, why: str, seconds: float, pairs: int, *, policy: str) -> Finding:
    tried = f"; {_pairs(pairs)} could neither confirm nor clear it" if pairs else ""
    return _open(request, f"{why}{tried}", seconds, policy)


def not_measured(request: PushRequest, against: ScreeningReference, budget: float, policy: str) -> Finding:
    """Nothing was run."""
    assert against.seconds is not None
    limit = f"performance.max-seconds allows {budget:g} s"
    more: tuple[Step, ...] = ()
    if against.description:
        why = "a run is longer than a push may take"
    else:
        more = (Step("to record a baseline", f"orchgate baseline record {shlex.quote(request.pipeline)}"),)
        lost = f" ({'; '.join(against.recorded.problems)})" if against.recorded.problems else ""
        why = f"no run of base is on record on this machine type to screen one of head against{lost}"
    found = _open(
        request, f"not measured: {limit}, and {why}", against.seconds, policy, at_least=against.recorded.at_least
    )
    return found._replace(steps=(*more, *found.steps))


def too_long(request: PushRequest, ran: Sequence[RunDuration], budget: float, policy: str) -> Finding:
    """The first runs did not end, or hardly."""
    why = f"too few runs fit into the {budget:g} s of performance.max-seconds"
    seconds, at_least = (ran[0].seconds, ran[0].at_least) if ran else (None, False)
    return _open(request, why, seconds, policy, at_least=at_least)


def in_ci(request: PushRequest, found: Finding, seconds: float | None) -> Finding:
    """A finding that a few pairs left open, with what decides it."""
    why = found.message if seconds is None else f"{found.message}; {needed(seconds)}"
    return found._replace(message=why, hint="", steps=(request.decide(seconds), JOB))


def _open(request: PushRequest, why: str, seconds: float | None, policy: str, *, at_least: bool = False) -> Finding:
    long = "" if seconds is None else f"; {needed(seconds, at_least=at_least)}"
    return undecided(request, f"{why}{long}", policy, request.decide(seconds), JOB)


def _pairs(count: int) -> str:
    return counted(count, "pair")
