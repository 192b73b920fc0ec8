"""Measures a push within its budget: in pairs where enough of them fit, else one run of head against the record."""

from __future__ import annotations

import contextlib
import functools

from orchgate.errors import ConfigError, OrchgateError, Unreadable
from orchgate.lib import working_time
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.runner.environment import unhooked
from orchgate.speed import measurements, work_trees
from orchgate.speed.instruction_counts import LEAST_SECONDS
from orchgate.speed.measurements import Stopped
from orchgate.speed.pair_runner import LATE
from orchgate.speed.paired import MOST_PAIRS, measure
from orchgate.speed.push import findings, recorded_runs, screening
from orchgate.speed.push.bounds import BothFail
from orchgate.speed.push.findings import failed_at_head
from orchgate.speed.push.screening import Suspicion
from orchgate.speed.push.verdict_record import RunDuration
from orchgate.verdict import baseline, gross
from orchgate.verdict.comparison import LOOKS
from orchgate.verdict.sequential import SECOND
from orchgate.verdict.values import policy as policy_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.model import Finding
    from orchgate.speed.measurements import Measurement
    from orchgate.speed.push.bounds import PushRequest
    from orchgate.speed.push.screening import ScreeningReference
    from orchgate.speed.push.verdict_record import OpenSitting
    from orchgate.speed.sampling import MeasuredRun, Side
    from orchgate.verdict.baseline import BaselineRecord
    from orchgate.verdict.values import Policy

MOST_SECONDS = 240.0  # servers drop connections that are idle for longer


class PushMeasurement(NamedTuple):
    """What a measurement brought. `conclusive`: measuring the same trees again would bring nothing new.

    `runs` counts runs of head that were held to what is on record. `measurement` is that by pairs which was judged, and
    `ran` says how long a run of each tree took.
    """

    findings: tuple[Finding, ...]
    pairs: int = 0
    runs: int = 0
    conclusive: bool = False
    facts: Mapping[str, object] = {}
    measurement: Measurement | None = None
    ran: tuple[RunDuration, ...] = ()


class MeasurementJob(NamedTuple):
    """A request with what every measurement for it needs.

    `budget` is in seconds, `begun` a moment of the clock of `worked`. `against` is what a run of head can be held to;
    `unread` says why the stored baseline cannot be read. `sitting` is what measuring in pairs goes on with.
    """

    request: PushRequest
    policy: Policy
    budget: float
    environ: Mapping[str, str]
    against: ScreeningReference
    unread: str
    begun: float
    sitting: OpenSitting

    @property
    def left(self) -> float:
        """Seconds until a server may drop the connection."""
        return MOST_SECONDS - (working_time.now() - self.begun)


def prepared(request: PushRequest, machine: str, ran: Sequence[RunDuration], sitting: OpenSitting) -> MeasurementJob:
    """What is known before anything is run. Raises OrchgateError."""
    performance = request.config.performance
    budget = min(performance.max_seconds, MOST_SECONDS)
    try:
        stored, unread = _stored_baseline(request, machine), ""
    except Unreadable as error:  # the change that fixes it must not be refused for it
        stored, unread = None, f"{error.path} at the base {error.message}"
    policy = policy_of(performance, undecided_blocks=request.config.undecided_blocks)
    recorded = recorded_runs.gather(request, machine, ran)
    against = screening.held(request, policy, recorded, stored)
    return MeasurementJob(
        request, policy, budget, unhooked(request.environ), against, unread, working_time.now(), sitting
    )


def _stored_baseline(request: PushRequest, machine: str) -> BaselineRecord | None:
    """Raises Unreadable."""
    data = request.tree.find(baseline.PATH, baseline.MAX_BYTES)
    return None if data is None else baseline.parse(data).of(request.pipeline, machine)


class _OutOfTime(Exception):
    """Not even the first runs fit into the budget."""


def measured(request: PushRequest, machine: str, ran: Sequence[RunDuration], sitting: OpenSitting) -> PushMeasurement:
    """Measures, unless how long runs took, by `ran` of earlier pushes or by other records, says it would be in vain.

    `sitting` is what measuring in pairs goes on with. Raises OrchgateError.
    """
    job = prepared(request, machine, ran, sitting)
    found = _found(job)
    if job.unread:
        reported = (*found.findings, findings.no_baseline(request, job.unread))
        return found._replace(findings=reported, conclusive=False)
    return found


def _found(job: MeasurementJob) -> PushMeasurement:
    seconds, against = job.against.seconds, job.against
    long = seconds is not None and 2 * LOOKS[0] * seconds > job.budget
    if seconds is not None and long and (not against.description or seconds > MOST_SECONDS):
        return _ended(job)
    tell = screening.announcement(job.request, against) if long else findings.announcement(job.request, job.budget)
    job.request.tell(tell)
    with _sides(job) as (sides, without_base):
        if without_base:
            return _without_base(job, sides[-1], without_base)
        return _screened(job, sides) if long else _in_pairs(job, sides)


@contextlib.contextmanager
def _sides(job: MeasurementJob) -> Iterator[tuple[tuple[Side, ...], str]]:
    """Base and head; or head alone, and why base cannot be run. Raises ConfigError for head, GitError for either."""
    request = job.request
    assert request.base is not None
    opened = functools.partial(
        work_trees.opened,
        request.repository,
        environ=job.environ,
        pipeline=request.pipeline,
        prepare=request.config.performance.setup,
    )
    with contextlib.ExitStack() as stack:
        try:
            sides = stack.enter_context(opened({"base": request.base, "head": request.head}))
            without_base = ""
        except ConfigError as error:
            sides = stack.enter_context(opened({"head": request.head}))
            without_base = error.message
        yield sides, without_base


# In pairs


def _in_pairs(job: MeasurementJob, sides: tuple[Side, ...]) -> PushMeasurement:
    # Without runs on record, the few pairs that fit tell at least what the counters say.
    try:
        measurement = _compared(job, sides, job.budget, partial=not job.against.description)
    except _OutOfTime:
        return _too_long(job, sides, {})
    if found := _by_failure(job, sides, measurement):
        return found
    few = measurement.stopped is Stopped.BUDGET and len(measurement.earlier) + len(measurement.pairs) < LOOKS[0]
    if not few or measurement.judgement.verdict is Verdict.FAIL:
        return _judged(job, sides, measurement)
    if job.against.description:
        if measurement.warm_up is None:  # base took longer than it ever did
            return _screened(job, sides)
        return _by_record(job, sides, measurement.warm_up[1], measurement.took)
    if measurement.pairs:
        return _judged(job, sides, measurement, few=True)
    return _unfinished(job, sides, measurement.took) or _too_long(job, sides, measurement.took)


def _by_failure(job: MeasurementJob, sides: tuple[Side, ...], measurement: Measurement) -> PushMeasurement | None:
    """What a side that fails says; None where none does."""
    failed = {one.side: one for one in measurement.failures}
    if "head" in failed:
        return _of(measurement, (failed_at_head(job.request, failed["head"]),), conclusive=False)
    return _without_base(job, sides[1], findings.failed_stage(failed["base"])) if failed else None


def _compared(
    job: MeasurementJob, sides: tuple[Side, ...], seconds: float, *, partial: bool, most_pairs: int = MOST_PAIRS
) -> Measurement:
    """Base and head in turn. Raises _OutOfTime; OrchgateError where both fail or nothing can be compared."""
    performance = job.request.config.performance
    base, head = sides
    # What measures ends every process below it, git's answering one too. It is started again when it is needed.
    job.request.repository.blobs.close()
    measurement = measure(
        (base, head),
        job.policy,
        budget_seconds=seconds,
        environ=job.environ,
        most_pairs=most_pairs,
        partial=partial,
        prepare=performance.setup,
        prepare_seconds=MOST_SECONDS,
        watch=performance.watch,
        exact=performance.exact and seconds + LEAST_SECONDS <= MOST_SECONDS,
        benchmarks=performance.benchmarks if performance.benchmarks.file else None,
        earlier=job.sitting.earlier,
        sittings=job.sitting.sittings,
        share=job.sitting.share,
    )
    if measurement.stopped is Stopped.BUDGET and measurement.warm_up is None and not measurement.took:
        raise _OutOfTime
    measurement = _with_differences(job, (base, head), measurement)
    failed = {one.side: one for one in measurement.failures}
    if len(failed) == 2:
        message = f"{job.request.pipeline} fails at base too: {findings.failed_stage(failed['head'])}"
        raise BothFail(message, job.request.command(), base.stages, measurements.command(head.stages, failed["head"]))
    broken = measurement.judgement.verdict is Verdict.BROKEN and not measurement.judgement.is_of_benchmarks
    if broken and not failed:
        raise OrchgateError(measurement.judgement.reason, job.request.command())
    return measurement


def _with_differences(job: MeasurementJob, sides: tuple[Side, Side], measurement: Measurement) -> Measurement:
    """With what else than the code differs, where it may explain what was found."""
    if measurement.judgement.verdict is Verdict.PASS:
        return measurement
    request = job.request
    variables = request.redefined.variables if request.redefined else ()
    found = work_trees.differences(
        request.repository, sides, job.environ, pipeline=request.pipeline, variables=variables
    )
    return measurement._replace(differs=found)


def _judged(
    job: MeasurementJob, sides: tuple[Side, ...], measurement: Measurement, *, few: bool = False
) -> PushMeasurement:
    basis = f"; {measurements.how_measured(measurement)}"
    named = findings.of_benchmarks(job.request, job.policy, measurement, basis)
    found = (*findings.of_pairs(job.request, job.policy, measurement), *findings.tolerated(job.request, measurement))
    reported = findings.with_differences((*found, *named), measurement)
    ran = _ran(job, sides, measurement.took)
    if few:
        seconds = next((one.seconds for one in ran), None)
        reported = tuple(
            screening.in_ci(job.request, one, seconds) if findings.is_open(one) else one for one in reported
        )
        reported = (*reported, *job.against.old)
    _keep(job, sides, measurement)
    conclusive = not findings.may_change(reported, measurement.judgement)
    return _of(measurement, reported, conclusive=conclusive)._replace(ran=ran)


def _keep(job: MeasurementJob, sides: tuple[Side, ...], measurement: Measurement) -> None:
    """Leaves the samples for `orchgate report`, as `orchgate perf` does. That they cannot be kept refuses nobody."""
    from orchgate.git.call import common_dir
    from orchgate.lib import files
    from orchgate.runs import ids
    from orchgate.speed import kept

    request = job.request
    if measurement.pairs:
        samples = kept.encoded_samples(request.pipeline, (sides[0], sides[1]), measurement)
        name = ids.new_run_id(request.now.timestamp())
        with contextlib.suppress(files.WriteError):
            kept.keep(common_dir(request.repository.git_dir), name, samples, kept.encoded(measurement, job.policy))


# Head alone


def _without_base(job: MeasurementJob, head: Side, why: str) -> PushMeasurement:
    """Base cannot be run."""
    if not job.against.description:
        none = "" if job.unread else ", and nothing is on record of it on this machine type"
        return PushMeasurement((findings.no_baseline(job.request, f"{why}{none}"), *job.against.old))
    return _screened(job, (head,))


def _screened(job: MeasurementJob, sides: tuple[Side, ...]) -> PushMeasurement:
    """One run of head, held to what is on record. Raises OrchgateError where it fails and base cannot be asked."""
    head, slowest = sides[-1], job.against.slowest
    # Beyond that it is suspicious whatever it goes on to do.
    most = job.budget if slowest is None else min(job.left, gross.FACTOR * slowest + 1.0)
    run, took = screening.alone(job.request, head, job.environ, most, MOST_SECONDS)
    if run is None and slowest is None:
        return _too_long(job, sides, {})
    if run and run.failure and len(sides) == 1:
        raise OrchgateError(findings.failed_stage(run.failure), job.request.command())
    found = _by_record(job, sides, run, {"head": took})
    return found._replace(ran=(*found.ran, RunDuration(head.tree, took))) if run and not run.failure else found


def _by_record(
    job: MeasurementJob, sides: tuple[Side, ...], run: MeasuredRun | None, took: Mapping[str, float]
) -> PushMeasurement:
    """What a run of head says by what is on record; what is suspicious in it, pairs confirm or clear."""
    request, against, seconds = job.request, job.against, took.get("head", 0.0)
    if run and run.failure:
        return confirmed_in_pairs(job, sides, Suspicion(screening.failed_alone(run.failure)), took)
    one = screening.screened(request, against, run)
    facts = {
        "screened by": against.description,
        "suspicious": list(one.suspects),
        "problems": list(against.recorded.problems),
    }
    reported = (*one.findings, *against.old)
    found = PushMeasurement(reported, 0, 1, screening.refuses(one.findings), facts)
    if screening.refuses(one.findings):
        return found
    if one.suspects:
        why = screening.looks_suspicious(against, run, one.suspects, seconds)
        confirmed = confirmed_in_pairs(job, sides, Suspicion(why, one.suspects), took)
        rest = against.old if confirmed.pairs else reported  # pairs say it better
        return confirmed._replace(findings=(*rest, *confirmed.findings), facts={**facts, **confirmed.facts})
    if one.findings:
        return found
    # No proof, so it is not kept as one: whoever gives it more time, or repairs the record, is answered anew.
    return found._replace(
        findings=(*reported, screening.unsuspicious(request, against, seconds, job.policy.inconclusive))
    )


def confirmed_in_pairs(
    job: MeasurementJob, sides: tuple[Side, ...], suspicion: Suspicion, took: Mapping[str, float]
) -> PushMeasurement:
    """What pairs make of a suspicion, in all the time that a push may take; open where they cannot tell."""
    request, left = job.request, job.left
    base = took.get("base") or job.against.seconds or took.get("head", 0.0)
    fit = functools.partial(screening.that_fit, job.policy, base, took.get("head", base))
    still_open = functools.partial(screening.still_open, request, suspicion.why, base, policy=job.policy.inconclusive)
    most = fit(left) if len(sides) > 1 else 0
    if not most:
        return PushMeasurement((still_open(0),), runs=1)
    request.tell(screening.confirming(request, suspicion.why, left))
    try:
        # What looks grossly slower may take a little longer than its budget.
        seconds = left - LATE if fit(left - LATE) == most else left
        measurement = _compared(job, sides, seconds, partial=True, most_pairs=most)
    except _OutOfTime:
        return PushMeasurement((still_open(0),), runs=1)
    if found := _by_failure(job, sides, measurement):
        return found._replace(runs=1)
    judged = _judged(job, sides, measurement)._replace(runs=1)
    decided = tuple(one for one in judged.findings if one.rule != "PRF004")
    pairs = len(measurement.earlier) + len(measurement.pairs)
    if screening.refuses(decided) or measurement.judgement.verdict is Verdict.BROKEN:
        return judged
    if not any(map(findings.is_open, judged.findings)):
        note = () if decided else (screening.cleared_by_pairs(request, suspicion.why, pairs),)
        return judged._replace(findings=(*judged.findings, *note))
    # Where what is undecided blocks, and where head did not even finish every time, so few pairs clear nothing.
    clears = job.policy.inconclusive != "block" and measurement.stopped is not Stopped.UNSTEADY
    if clears and not decided and screening.cleared(measurement.pairs, suspicion.names, job.policy):
        return judged._replace(findings=(screening.not_borne_out(request, suspicion.why, pairs),))
    return judged._replace(findings=(*decided, still_open(pairs)))


def _unfinished(job: MeasurementJob, sides: tuple[Side, ...], took: Mapping[str, float]) -> PushMeasurement | None:
    """What pairs make of a head that the budget ended when it had had far more time than base took; None of another."""
    base = took.get("base")
    if base is None or "head" in took or not screening.overdue(base, job.budget - base):
        return None
    suspicion = Suspicion(screening.unfinished(base, job.budget - base), (SECOND,))
    return confirmed_in_pairs(job, sides, suspicion, took)._replace(ran=_ran(job, sides, took))


def _of(measurement: Measurement, reported: tuple[Finding, ...], *, conclusive: bool) -> PushMeasurement:
    facts = findings.facts(measurement)
    return PushMeasurement(reported, len(measurement.pairs), 0, conclusive, facts, measurement)


def _ran(job: MeasurementJob, sides: tuple[Side, ...], took: Mapping[str, float]) -> tuple[RunDuration, ...]:
    """How long a run of each side took, base's first; that of base is known to be more than what it was given."""
    ran = tuple(RunDuration(side.tree, took[side.label]) for side in sides if took.get(side.label, 0.0) > 0)
    if "base" in took or sides[0].label != "base":
        return ran
    return (RunDuration(sides[0].tree, job.budget, at_least=True), *ran)


def _ended(job: MeasurementJob) -> PushMeasurement:
    """Nothing is run: it is known that it would be in vain."""
    reported = screening.not_measured(job.request, job.against, job.budget, job.policy.inconclusive)
    return PushMeasurement((reported, *job.against.old))


def _too_long(job: MeasurementJob, sides: tuple[Side, ...], took: Mapping[str, float]) -> PushMeasurement:
    """The first runs did not end within the budget."""
    ran = _ran(job, sides, took)
    reported = screening.too_long(job.request, ran[:1], job.budget, job.policy.inconclusive)
    return PushMeasurement((reported, *job.against.old), ran=ran)
