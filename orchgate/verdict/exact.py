"""Counters and rates: the same work counts the same, so a few runs that agree tell base and head apart.

A count that went up warns, and refuses once REPEATS runs of each side agree. What depends on what caches hold
(`settles`) is looked at in the last REPEATS runs alone, is never judged like a time, and refuses only where the
configuration sets its `block`.

Of values that are lower bounds only what holds wherever the truth lies is reported. More is worse: where head's value
is one, "slower" holds, since what is known exceeds already, and "not slower" does not. Where base's is one, "not
slower" holds, since even what is known of base is not exceeded, and "slower" does not. A warning means "slower, and by
less than blocks", of which neither leaves both. Where both are, nothing holds.
"""

from __future__ import annotations

from typing import Any, TypeVar

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures.declared import title
from orchgate.model import Verdict
from orchgate.verdict.samples import columns, jump, of
from orchgate.verdict.values import Compared, ComparedCounter
from orchgate.verdict.words import amount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.verdict.values import Metric, Pair

REPEATS = 5  # agreeing runs of each side from which on a counter refuses
One = TypeVar("One", Compared, ComparedCounter)


def counted(pairs: Sequence[Pair], metric: Metric) -> ComparedCounter | None:
    """The exact comparison of one metric that head measured; None where two runs of the same arm differ."""
    pairs = of(pairs, metric.name)
    if missing := _missing(pairs, metric):
        return missing
    if metric.settles:
        sides = ([pair.base.get(metric.name) for pair in pairs], [pair.head[metric.name] for pair in pairs])
        return settled(metric, [value for value in sides[0] if value is not None], sides[1])
    heads = {pair.head[metric.name] for pair in pairs}
    if not any(metric.name in pair.base for pair in pairs):
        bounds = [within_bounds(metric, head) for head in sorted(heads)]
        worst = next((one for one in bounds if one.verdict is Verdict.FAIL), bounds[0])
        return worst._replace(reason=worst.reason or "base does not measure it")
    bases, _ = map(set, columns(pairs, metric.name))
    return compared(metric, bases.pop(), heads.pop(), len(pairs)) if len(bases) == len(heads) == 1 else None


def _missing(pairs: Sequence[Pair], metric: Metric) -> ComparedCounter | None:
    """What is to be said of a metric that some runs could not count exactly; None where all did, or all of head's."""
    heads = [pair.head[metric.name] for pair in pairs if metric.name in pair.head]
    bases = sum(metric.name in pair.base for pair in pairs)
    if len(heads) == len(pairs) and bases in (0, len(pairs)):
        return None
    most = within_bounds(metric, max(heads, default=0.0))
    if heads and most.verdict is Verdict.FAIL and not metric.settles:
        return most
    runs = 2 * len(pairs)
    reason = f"{runs - len(heads) - bases} of {runs} runs could not count it exactly"
    return most._replace(verdict=Verdict.INCONCLUSIVE, reason=reason)


def compared(metric: Metric, base: float, head: float, runs: int = REPEATS) -> ComparedCounter:
    """What the values of two trees say, each seen in so many runs that agree."""
    own = within_bounds(metric, head)
    if own.verdict is Verdict.FAIL:
        return own._replace(base=base)
    verdict = _verdict(metric, base, head)
    one = ComparedCounter(metric.name, verdict, base, head, _moved(metric, base, head, verdict))
    if verdict is not Verdict.FAIL or runs >= REPEATS:
        return one
    agree = "1 run of each is" if runs == 1 else f"{runs} runs of each are"
    reason = f"{one.reason}; {agree} too few to refuse it, {REPEATS} that agree are needed"
    return one._replace(verdict=Verdict.WARN, reason=reason, runs_missing=REPEATS - runs)


def _verdict(metric: Metric, base: float, head: float) -> Verdict:
    worse = head - base if metric.more_is_worse else base - head
    if worse > 0 and worse > metric.block * base + metric.slack:
        return Verdict.FAIL
    return Verdict.WARN if worse > 0 and worse > metric.tolerance * base else Verdict.PASS


def settled(metric: Metric, base: Sequence[float], head: Sequence[float]) -> ComparedCounter:
    """What the last runs of each side say, which found the caches as full as they get.

    Head's least is held to base's most: what some runs alone had to read is nobody's. Of fewer than REPEATS runs
    nothing is said where no `block` is configured. Without values of base head's own bounds decide.
    """
    before, after = base[-REPEATS:], head[-REPEATS:]
    own = within_bounds(metric, min(after))
    if own.verdict is Verdict.FAIL or not before:
        return own if len(after) >= REPEATS or own.verdict is Verdict.PASS else own._replace(verdict=Verdict.WARN)
    runs = min(_agreeing(before), _agreeing(after))
    one = compared(metric, max(before), min(after), runs)
    if one.verdict is Verdict.PASS or (metric.refuses and runs >= REPEATS):
        return one
    if not metric.refuses and len(after) < REPEATS:  # the first runs after a checkout find nothing in the caches
        return one._replace(verdict=Verdict.PASS, reason="", runs_missing=0)
    missing = REPEATS - runs if metric.refuses else 0
    reason = f"{_moved(metric, max(before), min(after), one.verdict)}; it depends on what caches hold, and only warns"
    return one._replace(verdict=Verdict.WARN, reason=reason, runs_missing=missing)


def _agreeing(values: Sequence[float]) -> int:
    return len(values) if len({*values}) == 1 else 1


def decided(one: ComparedCounter, inconclusive: str) -> ComparedCounter:
    """A result under a policy: what too few runs show is undecided where that blocks."""
    if one.runs_missing and inconclusive == "block":
        return one._replace(verdict=Verdict.INCONCLUSIVE)
    return one


def within_bounds(metric: Metric, head: float) -> ComparedCounter:
    """What head's own value says, without any base."""
    if metric.most is not None and head > metric.most:
        reason = f"{amount(metric.name, head)} is above its maximum of {amount(metric.name, metric.most)}"
        return ComparedCounter(metric.name, Verdict.FAIL, None, head, reason)
    if metric.least is not None and head < metric.least:
        reason = f"{amount(metric.name, head)} is below its minimum of {amount(metric.name, metric.least)}"
        return ComparedCounter(metric.name, Verdict.FAIL, None, head, reason)
    return ComparedCounter(metric.name, Verdict.PASS, None, head)


def _moved(metric: Metric, base: float, head: float, verdict: Verdict) -> str:
    if verdict is Verdict.PASS:
        return ""
    allowed = f"{100 * metric.block:.0f} %" + (f" and {amount(metric.name, metric.slack)}" if metric.slack else "")
    limit = f"; up to {allowed} may {'go up' if metric.more_is_worse else 'be lost'}" if metric.block else ""
    odd = "" if metric.settles else jump(metric.name, base, head)
    return odd or f"{amount(metric.name, base)} -> {amount(metric.name, head)}{limit}"


class LowerBounds(NamedTuple):
    """Why the values of a side are lower bounds, by metric."""

    base: Mapping[str, str] = {}
    head: Mapping[str, str] = {}


EXACT = LowerBounds()


def known_bounds(pairs: Sequence[Pair]) -> LowerBounds:
    """One run whose value is a lower bound makes a side's values such."""
    base: dict[str, str] = {}
    head: dict[str, str] = {}
    for pair in pairs:
        for known, bounds in ((base, pair.base_bounds), (head, pair.head_bounds)):
            for name, why in bounds.items():
                known.setdefault(name, why)
    return LowerBounds(base, head)


def holds(metric: Metric, verdict: Verdict, known: LowerBounds) -> bool:
    """Whether a verdict holds wherever the truth lies."""
    base, head = metric.name in known.base, metric.name in known.head
    maybe_worse, maybe_better = (head, base) if metric.more_is_worse else (base, head)
    return {
        Verdict.PASS: not maybe_worse,
        Verdict.WARN: not maybe_worse and not maybe_better,
        Verdict.FAIL: not maybe_better,
    }.get(verdict, not base and not head)


def within_knowledge(one: One, metric: Metric, known: LowerBounds) -> One:
    """A result with what it is allowed to say; one that does not stand is inconclusive, and gives no change."""
    base: str | None = known.base.get(metric.name)
    head: str | None = known.head.get(metric.name)
    if one.verdict is Verdict.BROKEN or (base is None and head is None):
        return one
    fields: dict[str, Any] = {"base_lower_bound": base, "head_lower_bound": head}
    if holds(metric, _claim(one), known) or _beyond(one, metric, head):
        # What is known is one end of the truth; the other end of an interval is not.
        fields |= dict.fromkeys(("low", "high"))
    else:
        reasons = (*_reasons(metric.name, base, head), _undecided(one))
        fields |= {"verdict": Verdict.INCONCLUSIVE, "reason": "; ".join(filter(None, reasons))}
        fields |= dict.fromkeys(("estimate", "low", "high", "p", "smallest_effect", "pairs_missing"))
        fields |= {"probably": False}
    return one._replace(**{name: value for name, value in fields.items() if name in one._fields})


def _claim(one: Compared | ComparedCounter) -> Verdict:
    """The verdict by what it says: a warning for want of runs or pairs says what a refusal says, of whatever size."""
    short = one.runs_missing if isinstance(one, ComparedCounter) else one.probably
    return Verdict.FAIL if short else one.verdict


def _beyond(one: Compared | ComparedCounter, metric: Metric, head: str | None) -> bool:
    """Whether head's own value is out of its bounds, which has nothing to do with base."""
    if one.verdict is not Verdict.FAIL or one.head is None:
        return False
    if within_bounds(metric, one.head).verdict is not Verdict.FAIL:
        return False
    return head is None or (metric.most is not None and one.head > metric.most)


def _undecided(one: Compared | ComparedCounter) -> str:
    return one.reason if one.verdict is Verdict.INCONCLUSIVE else ""


def _reasons(name: str, base: str | None, head: str | None) -> list[str]:
    """`CPU time of head is a lower bound: a child left its session`."""
    sides = (("base", base), ("head", head))
    return [
        f"{title(name)} of {side} is a lower bound" + (f": {why}" if why else "")
        for side, why in sides
        if why is not None
    ]
