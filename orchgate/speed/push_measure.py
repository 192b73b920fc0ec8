"""Measures a push within its budget: in pairs where enough of them fit, else head alone against the stored baseline."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import ConfigError, OrchgateError, Unreadable
from orchgate.metrics import baseline
from orchgate.metrics.baseline import stale
from orchgate.metrics.comparison import LOOKS
from orchgate.metrics.lower_bounds import Known
from orchgate.metrics.policy import policy as policy_of
from orchgate.metrics.stored import judge_stored, suspicious
from orchgate.model import Verdict
from orchgate.runs import worked
from orchgate.runs.environment import unhooked
from orchgate.speed import benchmark_findings, defined, differences, explanation, sampling
from orchgate.speed import push_words as words
from orchgate.speed import sides as work_trees
from orchgate.speed.failures import BothFail
from orchgate.speed.paired import measure
from orchgate.speed.unrunnable import head_failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.metrics.baseline import Record
    from orchgate.metrics.values import Policy
    from orchgate.speed.measurement import Measurement
    from orchgate.speed.question import Question
    from orchgate.speed.remembered import Turn
    from orchgate.speed.sampling import Sample, Side
    from orchgate.speed.verdicts import Ran, Said

MOST_SECONDS = 240.0  # servers drop connections that are idle for longer


class Found(NamedTuple):
    """What a measurement brought. `conclusive`: measuring the same trees again would bring nothing new.

    `runs` counts runs of head that were compared with the stored baseline. `measurement` is that by pairs which was
    judged, and `ran` says how long a run of each tree took.
    """

    said: tuple[Said, ...]
    pairs: int = 0
    runs: int = 0
    pair_seconds: float = 0.0
    conclusive: bool = False
    facts: Mapping[str, object] = {}
    measurement: Measurement | None = None
    ran: tuple[Ran, ...] = ()


class Job(NamedTuple):
    """A question with what every measurement for it needs.

    `budget` is in seconds. `stored` is the baseline of this pipeline for this class of machines, None where there is
    none; `unread` says why it cannot be read. `turn` is what measuring in pairs goes on with.
    """

    question: Question
    policy: Policy
    budget: float
    environ: Mapping[str, str]
    stored: Record | None
    unread: str
    turn: Turn


class _OutOfTime(Exception):
    """Not even the first runs fit into the budget."""


def measured(question: Question, machine: str, pair_seconds: float | None, turn: Turn) -> Found:
    """Measures; `pair_seconds` is what a pair took before, None when nobody knows. Raises OrchgateError."""
    job = _job(question, machine, turn)
    question.tell(words.announcement(question, job.budget))
    found = _found(job, fits=pair_seconds is None or pair_seconds <= job.budget)
    if job.unread:
        said = (*found.said, words.no_baseline(question, job.unread))
        return found._replace(said=said, conclusive=False)
    return found


def _job(question: Question, machine: str, turn: Turn) -> Job:
    performance = question.config.performance
    budget = min(performance.budget_seconds, MOST_SECONDS)
    try:
        stored, unread = _baseline(question, machine), ""
    except Unreadable as error:  # the change that mends it must not be refused for it
        stored, unread = None, f"{error.path} at the base {error.message}"
    return Job(question, policy_of(performance), budget, unhooked(question.environ), stored, unread, turn)


def _baseline(question: Question, machine: str) -> Record | None:
    """Raises Unreadable."""
    data = question.tree.find(baseline.PATH, baseline.MAX_BYTES)
    return None if data is None else baseline.parse(data).of(question.pipeline, machine)


def _found(job: Job, *, fits: bool) -> Found:
    with _sides(job) as (sides, without_base):
        if without_base:
            return _without_base(job, sides[-1], without_base)
        seconds = job.budget
        try:
            if fits:
                return _in_pairs(job, sides)
        except _OutOfTime:
            seconds = min(job.budget, MOST_SECONDS - job.budget)
        return _alone(job, sides[-1], seconds) if job.stored and seconds > 0 else _too_long(job)


@contextlib.contextmanager
def _sides(job: Job) -> Iterator[tuple[tuple[Side, ...], str]]:
    """Base and head; or head alone, and why base cannot be run. Raises ConfigError for head, GitError for either."""
    question = job.question
    assert question.base is not None
    opened = functools.partial(
        work_trees.opened,
        question.repository,
        environ=job.environ,
        pipeline=question.pipeline,
        prepare=question.config.performance.prepare,
    )
    with contextlib.ExitStack() as stack:
        try:
            sides = stack.enter_context(opened({"base": question.base, "head": question.head}))
            without_base = ""
        except ConfigError as error:
            sides = stack.enter_context(opened({"head": question.head}))
            without_base = error.message
        yield sides, without_base


# In pairs


def _in_pairs(job: Job, sides: tuple[Side, ...]) -> Found:
    """Raises _OutOfTime."""
    # Without a baseline to ask, the few pairs that fit tell at least what the counters say.
    measurement = _compared(job, sides, job.budget, partial=job.stored is None)
    failed = {one.side: one for one in measurement.failures}
    if "head" in failed:
        return _of(measurement, (head_failed(job.question, failed["head"]),), conclusive=False)
    if failed:
        return _without_base(job, sides[1], words.failure(failed["base"]))
    pairs = len(measurement.earlier) + len(measurement.pairs)
    few = measurement.stopped == "budget" and pairs < LOOKS[0]
    if few and job.stored and measurement.warm_up and measurement.judgement.verdict is not Verdict.FAIL:
        return _screened_first(job, sides, measurement, measurement.warm_up[1])
    return _judged(job, measurement)


def _compared(job: Job, sides: tuple[Side, ...], seconds: float, *, partial: bool) -> Measurement:
    """Base and head in turn. Raises _OutOfTime; OrchgateError where both fail or nothing can be compared."""
    performance = job.question.config.performance
    base, head = sides
    # What measures ends every process below it, git's answering one too. It is started again when it is needed.
    job.question.repository.blobs.close()
    measurement = measure(
        (base, head),
        job.policy,
        budget_seconds=seconds,
        environ=job.environ,
        partial=partial,
        prepare=performance.prepare,
        prepare_seconds=MOST_SECONDS,
        watch=performance.watch,
        earlier=job.turn.earlier,
        sittings=job.turn.sittings,
        share=job.turn.share,
        benchmarks=performance.benchmarks if performance.benchmarks.file else None,
    )
    if measurement.stopped == "budget" and measurement.warm_up is None:
        raise _OutOfTime
    measurement = _with_differences(job, (base, head), measurement)
    failed = {one.side: one for one in measurement.failures}
    if len(failed) == 2:
        message = f"{job.question.pipeline} fails at base too: {words.failure(failed['head'])}"
        raise BothFail(message, job.question.reproduce, base.stages)
    if measurement.judgement.verdict is Verdict.BROKEN and not failed:
        raise OrchgateError(measurement.judgement.reason, job.question.reproduce)
    return measurement


def _with_differences(job: Job, sides: tuple[Side, Side], measurement: Measurement) -> Measurement:
    """With what else than the code differs, where it may explain what was found."""
    if measurement.judgement.verdict is Verdict.PASS:
        return measurement
    question = job.question
    names = question.redefined.variables if question.redefined else ()
    found = (
        *differences.between(question.repository, sides, job.environ),
        *differences.variables(names),
        *differences.machine(question.repository, sides[0].commit, question.pipeline),
    )
    return measurement._replace(differs=found)


def _judged(job: Job, measurement: Measurement) -> Found:
    basis = f"; {explanation.how_measured(measurement)}"
    named = benchmark_findings.findings(job.question, job.policy, measurement, basis)
    found = (*words.findings(job.question, job.policy, measurement), *named)
    said = words.with_differences(found, measurement)
    return _of(measurement, said, conclusive=not words.may_change(said, measurement.judgement))


def _screened_first(job: Job, sides: tuple[Side, ...], first: Measurement, run: Sample) -> Found:
    """Too few pairs fit for a verdict: head's run is screened, and a suspicion confirmed by as many pairs as do fit."""
    found = _screened(job, run)
    left = job.budget - first.seconds
    if (found.conclusive and not found.said) or left < first.pair_seconds:
        return found._replace(pair_seconds=first.pair_seconds)
    try:
        second = _compared(job, sides, left, partial=True)
    except _OutOfTime:
        return found._replace(pair_seconds=first.pair_seconds)
    if second.failures or not second.pairs:
        return found._replace(pair_seconds=first.pair_seconds)
    return _judged(job, second)


# Head alone


def _without_base(job: Job, head: Side, why: str) -> Found:
    """Base cannot be run."""
    if job.stored is None:
        none = "" if job.unread else ", and there is no stored baseline for this kind of machine"
        return Found((words.no_baseline(job.question, f"{why}{none}"),))
    return _alone(job, head, job.budget)


def _alone(job: Job, head: Side, seconds: float) -> Found:
    """One run of head, screened. Raises OrchgateError where it fails: what base does, nobody knows."""
    performance = job.question.config.performance
    started = worked.now()

    def tick() -> float:
        if worked.now() - started > seconds:
            raise _OutOfTime
        return 0.5

    job.question.repository.blobs.close()  # as above
    try:
        with sampling.rig([head], job.environ, performance.watch, tick=tick) as rig:
            if failed := sampling.prepare(rig, head, performance.prepare, MOST_SECONDS):
                raise OrchgateError(words.failure(failed), job.question.reproduce)
            started = worked.now()
            run = sampling.undisturbed(rig, head)
    except _OutOfTime:
        return _too_long(job)
    if run.failure:
        raise OrchgateError(words.failure(run.failure), job.question.reproduce)
    return _screened(job, run)._replace(pair_seconds=2 * (worked.now() - started))


def _screened(job: Job, run: Sample) -> Found:
    """One run of head by the stored baseline. Only counters can be refused for it; a slower time is a suspicion."""
    question, stored = job.question, job.stored
    assert stored is not None
    values = {name: (value,) for name, value in run.without_hidden().items()}  # as the baseline was recorded
    age = stale(
        stored,
        question.now.timestamp(),
        pipeline_hash=_hash(question),
        max_days=question.config.performance.baseline_days,
    )
    old = (words.no_baseline(question, f"the stored baseline {age}"),) if age else ()
    known = Known(stored.lower_bounds, run.lower_bounds)
    suspects = suspicious(stored.samples, values, job.policy, known)
    judgement = judge_stored(stored.samples, values, job.policy, known)
    facts = {"screened by the baseline of": stored.commit, "suspicious": list(suspects)}
    if judgement.verdict is Verdict.BROKEN:
        raise OrchgateError(f"the stored baseline: {judgement.reason}", question.reproduce)
    said = words.stored_findings(question, job.policy, judgement, stored.commit)
    open_ = set(suspects) - {one.name for one in judgement.counters if one.verdict in words.WEIGHTS}
    if open_:
        said = (*said, words.suspected(question, judgement, sorted(open_), job.policy.inconclusive))
    # Counts that went up in one run of head alone are confirmed in pairs where those fit.
    short = any(one.runs_missing for one in judgement.counters)
    return Found((*said, *old), 0, 1, 0.0, not (open_ or old or short), facts)


def _hash(question: Question) -> str:
    """Of what is run, which is what the base defines; head's own definition where the base's cannot be run."""
    assert question.base is not None
    try:
        return defined.read(question.repository, question.base, question.pipeline, "base").digest
    except ConfigError:
        return defined.read(question.repository, question.head, question.pipeline, "head").digest


def _of(measurement: Measurement, said: tuple[Said, ...], *, conclusive: bool) -> Found:
    facts = words.facts(measurement)
    return Found(said, len(measurement.pairs), 0, measurement.pair_seconds, conclusive, facts, measurement)


def _too_long(job: Job) -> Found:
    why = f"a run of each takes more than the {job.budget:g} s of performance.budget-seconds"
    said = words.undecided(job.question, why, job.policy.inconclusive)
    # Where there is a baseline, the next push runs head alone at once.
    return Found((said,), pair_seconds=job.budget * 1.001 if job.stored else 0.0)
