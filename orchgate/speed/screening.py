"""One run of head, held to recorded runs of base: for pipelines of which too few pairs fit. A screening is no proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib import working_time
from orchgate.model import Severity, Verdict
from orchgate.speed import push_words as words
from orchgate.speed import reference, sampling
from orchgate.speed.limits import OutOfTime
from orchgate.verdict import gross, outliers
from orchgate.verdict.baseline import stale
from orchgate.verdict.comparison import LOOKS
from orchgate.verdict.estimate import median
from orchgate.verdict.lower_bounds import Known
from orchgate.verdict.stored import judge_stored, suspicious

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.speed.question import Question
    from orchgate.speed.reference import Reference
    from orchgate.speed.sampling import Sample, Side
    from orchgate.speed.verdicts import Said
    from orchgate.verdict.baseline import Record
    from orchgate.verdict.values import Pair, Policy


CLEARING = 3  # pairs
MOST_CONFIRMING = 32  # pairs, which find nearly every slow-down that is refused


class Held(NamedTuple):
    """What a run of head is held to: recorded runs, and the stored baseline, None where there is none.

    `old` says why the baseline should be recorded anew.
    """

    policy: Policy
    recorded: Reference
    stored: Record | None
    old: tuple[Said, ...] = ()

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
        return self.stored is not None or outliers.shows_spread(reference.samples(self.recorded.runs))

    @property
    def told(self) -> str:
        """`14 recorded runs of base's tree and the stored baseline of 0a1b2c3d4e5f`; "" where there is neither."""
        parts = [reference.told(self.recorded)] if self.recorded.runs else []
        if self.stored:
            parts.append(f"the stored baseline of {(self.stored.commit or 'no commit')[:12]}")
        return " and ".join(parts)


def held(question: Question, policy: Policy, recorded: Reference, stored: Record | None) -> Held:
    """What there is to hold a run to. A baseline of another definition than base's is none."""
    if stored is None:
        return Held(policy, recorded, None)
    days = question.config.performance.baseline_days
    age = stale(stored, question.now.timestamp(), pipeline_hash=recorded.definition, max_days=days)
    old = (words.no_baseline(question, f"the stored baseline {age}"),) if age else ()
    other = recorded.definition not in ("", stored.pipeline_hash)
    return Held(policy, recorded, None if other else stored, old)


class Suspicion(NamedTuple):
    """What is suspicious, as half a sentence, and the metrics it is about; none where head's run failed."""

    why: str
    names: tuple[str, ...] = ()


class Screened(NamedTuple):
    """What one run of head tells: what is refused or not known, and the metrics that pairs should look at."""

    said: tuple[Said, ...]
    suspects: tuple[str, ...]


def alone(
    question: Question, head: Side, environ: Mapping[str, str], seconds: float, prepare_seconds: float
) -> tuple[Sample | None, float]:
    """One run of head, and how long it took; None where it was ended after so many seconds. Raises OrchgateError."""
    performance = question.config.performance
    question.repository.blobs.close()  # what measures ends every process below it; git's is started again when needed
    with sampling.rig([head], environ, performance.watch) as rig:
        if failed := sampling.prepare(rig, head, performance.prepare, prepare_seconds):
            raise OrchgateError(words.failure(failed), question.reproduce)
        started = working_time.now()
        try:
            run = sampling.undisturbed(rig, head, started + seconds)
        except OutOfTime:
            return None, working_time.now() - started
        return run, working_time.now() - started


def screened(question: Question, against: Held, run: Sample | None) -> Screened:
    """What a run of head says by what is on record. Only counters can be refused for it; the rest is a suspicion.

    A run that is None was ended, being far beyond all of them.
    """
    if run is None:
        return Screened((), ("wall_seconds",))
    suspects = dict.fromkeys(_out(against, run.without_hidden()))
    said: tuple[Said, ...] = ()
    if against.stored is not None:
        said, odd = _by_baseline(question, against.policy, against.stored, run)
        suspects |= dict.fromkeys(odd)
    return Screened(said, tuple(suspects))


def _out(against: Held, ran: Mapping[str, float]) -> Sequence[str]:
    runs = against.recorded.runs
    # An ancestor may have been slower: what is far beyond the runs of the nearest tree alone is suspicious too.
    near = outliers.gross(reference.samples(runs[: against.recorded.nearest]), ran, against.policy)
    return (*near, *outliers.suspects(reference.samples(runs), ran, against.policy))


def _by_baseline(
    question: Question, policy: Policy, stored: Record, run: Sample
) -> tuple[tuple[Said, ...], tuple[str, ...]]:
    values = {name: (value,) for name, value in run.without_hidden().items()}  # as the baseline was recorded
    known = Known(stored.lower_bounds, run.lower_bounds)
    judgement = judge_stored(stored.samples, values, policy, known)
    if judgement.verdict is Verdict.BROKEN:
        raise OrchgateError(f"the stored baseline: {judgement.reason}", question.reproduce)
    odd = suspicious(stored.samples, values, policy, known)
    unsure = {one.name for one in judgement.metrics if one.head_lower_bound is not None}
    unsure |= {one.name for one in judgement.counters if one.head_lower_bound is not None and not one.runs_missing}
    said = words.stored_findings(question, policy, judgement, stored.commit)
    # Counts that went up in one run of head alone are confirmed in pairs where those fit.
    told = {one.name for one in judgement.counters if one.verdict in words.WEIGHTS and not one.runs_missing}
    bounds = [name for name in odd if name in unsure - told]
    if bounds:
        said = (*said, words.suspected(question, judgement, bounds, policy.inconclusive))
    return said, tuple(name for name in odd if name not in told and name not in bounds)


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


def refuses(said: Sequence[Said]) -> bool:
    return any(one.severity is Severity.ERROR for one in said)
