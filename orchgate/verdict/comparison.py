"""Is head worse than base? The verdict over pairs of runs: counters exactly, times and memory by a sequential test."""

from __future__ import annotations

from math import ceil, expm1, log2

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures.declared import MetricKind
from orchgate.model import Verdict, worst
from orchgate.verdict import benchmarks, exact, samples, sign_flip
from orchgate.verdict.sequential import DOUBT, HINT, NO_LOOK, PRIMARY, SECOND, looks, next_look, settle
from orchgate.verdict.values import LOOKS, Answer, Compared, Judgement
from orchgate.verdict.words import percent, share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.verdict.exact import LowerBounds
    from orchgate.verdict.sequential import MetricState
    from orchgate.verdict.values import ComparedCounter, Metric, Pair, Policy, Sitting

__all__ = ["LOOKS", "judge", "next_look"]
# A change as large as the smallest that can be seen is seen every second time, one larger by this factor four times of
# five: (2.9 + 0.85) / 2.9, the standard errors of the level that refuses and of 80 %.
SURELY = 1.3


class _Kinds(NamedTuple):
    """The metrics of a policy by how they are judged in these pairs, and which of their values are lower bounds."""

    counters: tuple[ComparedCounter, ...]
    statistical: tuple[Metric, ...]
    known: LowerBounds


@benchmarks.added_to
def judge(pairs: Sequence[Pair], policy: Policy, sittings: Sequence[Sitting] = (), *, ended: bool = True) -> Judgement:
    """The verdict over all pairs so far; it depends on nothing else.

    `sittings` are the stretches in which they were measured; without them the pairs are all that there will be. While
    the last one goes on (`ended` is False) it is looked at where LOOKS says and nowhere else; its end is a look too,
    which spends what is left of its share. Metrics that no run measured are not judged; `notes` name those that were
    configured.
    """
    if not pairs:
        return Judgement(Verdict.BROKEN, reason="no pair was measured")
    notes = samples.notes(pairs, policy)
    reason = samples.unreadable(pairs, policy)
    if reason:
        return Judgement(Verdict.BROKEN, decided=True, reason=reason, notes=notes)
    seen, states, before = pairs[: LOOKS[-1]], dict[str, "MetricState"](), NO_LOOK
    kinds = _kinds(seen, policy)
    for look in looks(len(pairs), sittings, ended=ended):
        seen = pairs[: look.pairs]
        kinds = _kinds(seen, policy)
        if look.pairs >= LOOKS[0]:
            settle(seen, kinds.statistical, states, look, before)
            before = look
        if _decided(kinds, states, look.pairs, policy):
            break
    return _judgement(seen, kinds, states, policy)._replace(notes=notes)


def _decided(kinds: _Kinds, states: Mapping[str, MetricState], pairs: int, policy: Policy) -> bool:
    """Whether more pairs would change nothing that matters.

    One refusal is enough, except that a CPU time which may have grown too is waited for: both are then said at once.
    """
    if pairs >= LOOKS[-1] or not (kinds.counters or kinds.statistical):
        return True
    if _refused(kinds, states):
        first = states.get(PRIMARY)
        return first is None or first.settled or first.test.p_slower > DOUBT
    excused = {SECOND} if _is_second(kinds, states, policy) else set()
    settled = all(
        metric.name in states and (states[metric.name].settled or metric.name in excused)
        for metric in kinds.statistical
    )
    return settled and pairs >= exact.REPEATS


def _refused(kinds: _Kinds, states: Mapping[str, MetricState]) -> bool:
    failed = [metric for metric in kinds.statistical if _of(states, metric.name) is Verdict.FAIL]
    return any(one.verdict is Verdict.FAIL for one in kinds.counters) or any(
        exact.holds(metric, Verdict.FAIL, kinds.known) or states[metric.name].reason for metric in failed
    )


def _of(states: Mapping[str, MetricState], name: str) -> Verdict | None:
    return states[name].verdict if name in states else None


def _is_second(kinds: _Kinds, states: Mapping[str, MetricState], policy: Policy) -> bool:
    """Whether wall time, still open, does not keep the rest waiting.

    On a busy machine it stays open for ever: neighbours lengthen it, and CPU time knows nothing of them. Once CPU time
    has passed, and as long as nothing hints that wall time grew, the verdict is CPU time's; wall time stays undecided
    and says so. Not where the policy refuses what is undecided.
    """
    first, second = states.get(PRIMARY), states.get(SECOND)
    return (
        policy.inconclusive != "block"
        and PRIMARY not in kinds.known.head
        and first is not None
        and first.settled
        and first.verdict is Verdict.PASS
        and second is not None
        and second.verdict is Verdict.INCONCLUSIVE
        and second.test.p_slower > HINT
    )


def _judgement(pairs: Sequence[Pair], kinds: _Kinds, states: Mapping[str, MetricState], policy: Policy) -> Judgement:
    if not kinds.counters and not kinds.statistical:
        return Judgement(Verdict.BROKEN, decided=True, reason="no run measured any metric that is judged")
    metrics = tuple(
        exact.within_knowledge(summarised(pairs, metric, states.get(metric.name)), metric, kinds.known)
        for metric in kinds.statistical
    )
    left_open = {SECOND} if _is_second(kinds, states, policy) else set()
    verdicts = [_counts_as(one, policy) for one in metrics if one.name not in left_open]
    verdict = worst(verdicts + [one.verdict for one in kinds.counters])
    if verdict in (Verdict.PASS, Verdict.WARN) and not any(samples.succeeded(pair) for pair in pairs):
        return Judgement(Verdict.INCONCLUSIVE, metrics, kinds.counters, reason="in no pair did both runs succeed")
    return Judgement(verdict, metrics, kinds.counters, _decided(kinds, states, len(pairs), policy))


def _counts_as(one: Compared, policy: Policy) -> Verdict:
    """Where what is undecided blocks, what is only probable does too."""
    return Verdict.INCONCLUSIVE if one.probably and policy.inconclusive == "block" else one.verdict


def _kinds(pairs: Sequence[Pair], policy: Policy) -> _Kinds:
    known = exact.known_bounds(pairs)
    counters: list[ComparedCounter] = []
    statistical: list[Metric] = []
    for metric in policy.metrics.values():
        seen = samples.of(pairs, metric.name)
        if not any(metric.name in pair.head or metric.name in pair.base for pair in seen):
            continue
        counted = exact.counted(pairs, metric) if metric.kind.exact else None
        if counted is None:
            statistical.append(metric)
        else:
            counters.append(exact.decided(exact.within_knowledge(counted, metric, known), policy.inconclusive))
    return _Kinds(tuple(counters), tuple(statistical), known)


def summarised(pairs: Sequence[Pair], metric: Metric, state: MetricState | None) -> Compared:
    """The result of a metric, of what is known so far."""
    if metric.kind is MetricKind.RATE:
        return _rate(pairs, metric, state)
    if state is None:
        return _early(pairs, metric)
    scale, sample = state.test.scale, state.test.scale.sample
    middle = sign_flip.centre(sample)
    # Each side of all intervals together may leave the truth out as often as half of UNSURE says, so that the one of
    # the look at which it stopped covers it whatever made it stop there.
    edges = sorted(_fraction(scale, edge) for edge in sign_flip.interval(sample, middle, state.unsure / 2) or ())
    effect = sign_flip.smallest_effect(sample, middle, scale.tolerance, state.level)
    low, high = edges or (None, None)
    return Compared(
        metric.name,
        state.verdict,
        _fraction(scale, middle),
        low,
        high,
        len(sample.base),
        state.p,
        None if effect is None else abs(_fraction(scale, effect)),
        scale.value(median(sample.base)),
        scale.value(median(sample.head)),
        "; ".join(filter(None, (_demoted(metric), state.reason or _open(state, edges)))),
        probably=state.probably,
        pairs_missing=_missing(state, effect, middle),
    )


def _rate(pairs: Sequence[Pair], metric: Metric, state: MetricState | None) -> Compared:
    """Of a rate that differs from run to run what all runs together say: that of one is hardly ever the typical one."""
    base, head = samples.means(pairs, metric.name)
    verdict = Verdict.INCONCLUSIVE if state is None else state.verdict
    count = len(samples.of(pairs, metric.name))
    change = head / base - 1 if base else None
    p = state.test.p_slower if state and verdict is not Verdict.PASS else None
    reason = state.reason if state else _few(count)
    if state and verdict is Verdict.INCONCLUSIVE:
        reason = f"{share(base)} -> {share(head)} after {count} pairs"
    probably = state is not None and state.probably
    return Compared(metric.name, verdict, change, None, None, count, p, None, base, head, reason, probably=probably)


def _missing(state: MetricState, effect: float | None, middle: float) -> int | None:
    """How many pairs more would probably decide: the effect that can be seen shrinks with the root of their number.

    What has to be seen is the change that is probable, or else what blocks.
    """
    if state.verdict is not Verdict.INCONCLUSIVE and not state.probably:
        return None
    count, scale = len(state.test.scale.sample.base), state.test.scale
    if effect is None:  # with so many, no outcome of the coins is rare enough
        return max(1, ceil(-log2(state.level)) - count) if state.level else None
    seen = SURELY * max(effect - scale.tolerance, 0.0)
    wanted = (middle if state.probably else scale.block) - scale.tolerance
    return max(1, ceil(count * (seen / wanted) ** 2) - count) if wanted > 0 else None


def _early(pairs: Sequence[Pair], metric: Metric) -> Compared:
    scale = samples.scale(pairs, metric)
    return Compared(
        metric.name,
        Verdict.INCONCLUSIVE,
        _fraction(scale, sign_flip.centre(scale.sample)),
        None,
        None,
        len(scale.sample.base),
        None,
        None,
        scale.value(median(scale.sample.base)),
        scale.value(median(scale.sample.head)),
        "; ".join(filter(None, (_demoted(metric), _few(len(scale.sample.base))))),
    )


def _few(pairs: int) -> str:
    return f"{pairs} of at least {LOOKS[0]} pairs"


def _demoted(metric: Metric) -> str:
    return "counts differ between runs of the same tree, so they are compared like times" if metric.kind.exact else ""


def _open(state: MetricState, edges: Sequence[float]) -> str:
    if state.verdict is not Verdict.INCONCLUSIVE:
        return ""
    between = f"between {percent(edges[0])} and {percent(edges[1])} " if edges else ""
    return f"{between}after {state.test.pairs} pairs"


def _fraction(scale: samples.Scale, change: float) -> float:
    """A change on the test's scale as a fraction of what base typically has."""
    with_offset = expm1(min(scale.sign * change, 700.0))
    if not scale.offset:
        return with_offset
    base = scale.value(median(scale.sample.base))
    return with_offset * (base + scale.offset) / base if base > 0 else with_offset


# Instructions decide what CPU time leaves open: they are the same every time, on every machine of a kind


INSTRUCTION_RUNS = 2  # runs of each side
_AGREE = 0.001  # of the larger one, by which counts of the same program may differ
_OPEN = (Answer.CANNOT_TELL, Answer.PROBABLY_SLOWER)


class Instructions(NamedTuple):
    """How many instructions a run of each side takes."""

    base: int
    head: int

    @property
    def change(self) -> float:
        """As a fraction of base."""
        return self.head / self.base - 1


def agreed_count(counts: Sequence[int]) -> int | None:
    """The count of which these are repeats; None where they are none."""
    return min(counts) if max(counts) - min(counts) <= _AGREE * max(counts) else None


def needs_instructions(judgement: Judgement) -> bool:
    """Whether CPU time is left open that was measured whole, and nothing else was refused."""
    return judgement.verdict is not Verdict.FAIL and any(
        one.name == PRIMARY and one.answer in _OPEN and (one.base_lower_bound, one.head_lower_bound) == (None, None)
        for one in judgement.metrics
    )


def with_instructions(judgement: Judgement, found: Instructions, policy: Policy) -> Judgement:
    """The judgement with CPU time decided by instructions; what else is open stays so."""
    verdict = _by_instructions(found.change, policy.metrics[PRIMARY])
    metrics = tuple(_counted(one, verdict, found) if one.name == PRIMARY else one for one in judgement.metrics)
    verdicts = [_counts_as(one, policy) for one in metrics if not _is_left_open(one, verdict, policy)]
    named = [judgement.benchmarks.verdict] if judgement.benchmarks else []
    whole = worst([*verdicts, *(one.verdict for one in judgement.counters), *named])
    return judgement._replace(verdict=whole, metrics=metrics, decided=whole is not Verdict.INCONCLUSIVE)


def _counted(one: Compared, verdict: Verdict, found: Instructions) -> Compared:
    """CPU time with the verdict of instructions, and without what the times said."""
    return one._replace(
        verdict=verdict,
        probably=False,
        reason=f"instructions {percent(found.change)}, counted twice",
        estimate=None,
        low=None,
        high=None,
        p=None,
        smallest_effect=None,
        pairs_missing=None,
    )


def _by_instructions(change: float, metric: Metric) -> Verdict:
    if change >= metric.block:
        return Verdict.FAIL
    return Verdict.WARN if change > metric.tolerance else Verdict.PASS


def _is_left_open(one: Compared, first: Verdict, policy: Policy) -> bool:
    """Whether wall time stays open without a hint that it grew, beside CPU time that has passed."""
    return (
        one.name == SECOND
        and first is Verdict.PASS
        and policy.inconclusive != "block"
        and one.answer is Answer.CANNOT_TELL
        and one.p is not None
        and one.p > HINT
    )
