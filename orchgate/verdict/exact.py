"""Counters and rates: the same work counts the same, so a few runs that agree tell base and head apart.

A count that went up warns, and refuses once REPEATS runs of each side agree. What depends on what caches hold
(`settles`) is looked at in the last REPEATS runs alone, is never judged like a time, and refuses only where the
configuration sets its `block`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.model import Verdict
from orchgate.verdict.samples import columns, jump, of
from orchgate.verdict.values import Counted
from orchgate.verdict.words import amount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.verdict.values import Metric, Pair

REPEATS = 5  # agreeing runs of each side from which on a counter refuses


def counted(pairs: Sequence[Pair], metric: Metric) -> Counted | None:
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


def _missing(pairs: Sequence[Pair], metric: Metric) -> Counted | None:
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


def compared(metric: Metric, base: float, head: float, runs: int = REPEATS) -> Counted:
    """What the values of two trees say, each seen in so many runs that agree."""
    own = within_bounds(metric, head)
    if own.verdict is Verdict.FAIL:
        return own._replace(base=base)
    verdict = _verdict(metric, base, head)
    one = Counted(metric.name, verdict, base, head, _moved(metric, base, head, verdict))
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


def settled(metric: Metric, base: Sequence[float], head: Sequence[float]) -> Counted:
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


def decided(one: Counted, inconclusive: str) -> Counted:
    """A result under a policy: what too few runs show is undecided where that blocks."""
    if one.runs_missing and inconclusive == "block":
        return one._replace(verdict=Verdict.INCONCLUSIVE)
    return one


def within_bounds(metric: Metric, head: float) -> Counted:
    """What head's own value says, without any base."""
    if metric.most is not None and head > metric.most:
        reason = f"{amount(metric.name, head)} is above its maximum of {amount(metric.name, metric.most)}"
        return Counted(metric.name, Verdict.FAIL, None, head, reason)
    if metric.least is not None and head < metric.least:
        reason = f"{amount(metric.name, head)} is below its minimum of {amount(metric.name, metric.least)}"
        return Counted(metric.name, Verdict.FAIL, None, head, reason)
    return Counted(metric.name, Verdict.PASS, None, head)


def _moved(metric: Metric, base: float, head: float, verdict: Verdict) -> str:
    if verdict is Verdict.PASS:
        return ""
    allowed = f"{100 * metric.block:.0f} %" + (f" and {amount(metric.name, metric.slack)}" if metric.slack else "")
    limit = f"; up to {allowed} may {'go up' if metric.more_is_worse else 'be lost'}" if metric.block else ""
    odd = "" if metric.settles else jump(metric.name, base, head)
    return odd or f"{amount(metric.name, base)} -> {amount(metric.name, head)}{limit}"
