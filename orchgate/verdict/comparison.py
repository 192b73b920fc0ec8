"""Is head worse than base? The verdict over pairs of runs: counters exactly, times and memory by a sequential test."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.model import Verdict, worst
from orchgate.verdict import benchmarks, exact, lower_bounds, samples
from orchgate.verdict.sequential import DOUBT, HINT, PRIMARY, SECOND, settle
from orchgate.verdict.spending import LOOKS, NOTHING, looks, next_look
from orchgate.verdict.summary import compared
from orchgate.verdict.values import Judgement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.verdict.lower_bounds import Known
    from orchgate.verdict.sequential import State
    from orchgate.verdict.values import Compared, Counted, Metric, Pair, Policy, Sitting

__all__ = ["LOOKS", "judge", "next_look"]


class _Kinds(NamedTuple):
    """The metrics of a policy by how they are judged in these pairs, and which of their values are lower bounds."""

    counters: tuple[Counted, ...]
    statistical: tuple[Metric, ...]
    known: Known


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
    seen, states, before = pairs[: LOOKS[-1]], dict[str, "State"](), NOTHING
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


def _decided(kinds: _Kinds, states: Mapping[str, State], pairs: int, policy: Policy) -> bool:
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


def _refused(kinds: _Kinds, states: Mapping[str, State]) -> bool:
    failed = [metric for metric in kinds.statistical if _of(states, metric.name) is Verdict.FAIL]
    return any(one.verdict is Verdict.FAIL for one in kinds.counters) or any(
        lower_bounds.stands(metric, Verdict.FAIL, kinds.known) or states[metric.name].reason for metric in failed
    )


def _of(states: Mapping[str, State], name: str) -> Verdict | None:
    return states[name].verdict if name in states else None


def _is_second(kinds: _Kinds, states: Mapping[str, State], policy: Policy) -> bool:
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


def _judgement(pairs: Sequence[Pair], kinds: _Kinds, states: Mapping[str, State], policy: Policy) -> Judgement:
    if not kinds.counters and not kinds.statistical:
        return Judgement(Verdict.BROKEN, decided=True, reason="no run measured any metric that is judged")
    metrics = tuple(
        lower_bounds.held(compared(pairs, metric, states.get(metric.name)), metric, kinds.known)
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
    known = lower_bounds.of(pairs)
    counters: list[Counted] = []
    statistical: list[Metric] = []
    for metric in policy.metrics.values():
        seen = samples.of(pairs, metric.name)
        if not any(metric.name in pair.head or metric.name in pair.base for pair in seen):
            continue
        counted = exact.counted(pairs, metric) if metric.kind.exact else None
        if counted is None:
            statistical.append(metric)
        else:
            counters.append(exact.decided(lower_bounds.held(counted, metric, known), policy.inconclusive))
    return _Kinds(tuple(counters), tuple(statistical), known)
