"""Counters and rates: the same work counts the same, so one run of each tells them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.metrics.samples import columns, jump
from orchgate.metrics.values import Counted
from orchgate.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.metrics.values import Metric, Pair

REPEATS = 2  # runs of an arm before its counters count as repeatable


def counted(pairs: Sequence[Pair], metric: Metric) -> Counted | None:
    """The exact comparison of one metric that head measured; None where two runs of the same arm differ."""
    if missing := _missing(pairs, metric):
        return missing
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
    if heads and most.verdict is Verdict.FAIL:
        return most
    runs = 2 * len(pairs)
    reason = f"{runs - len(heads) - bases} of {runs} runs could not count it exactly"
    return most._replace(verdict=Verdict.INCONCLUSIVE, reason=reason)


def compared(metric: Metric, base: float, head: float, runs: int = REPEATS) -> Counted:
    """What the values of two trees say, each seen in so many runs."""
    own = within_bounds(metric, head)
    if own.verdict is Verdict.FAIL:
        return own._replace(base=base)
    worse = head - base if metric.more_is_worse else base - head
    if worse <= 0:
        return Counted(metric.name, Verdict.PASS, base, head)
    if runs < REPEATS:
        return Counted(metric.name, Verdict.INCONCLUSIVE, base, head, "one run of each does not show that it repeats")
    verdict = Verdict.PASS
    if worse > metric.block * base + metric.slack:
        verdict = Verdict.FAIL
    elif worse > metric.tolerance * base:
        verdict = Verdict.WARN
    return Counted(metric.name, verdict, base, head, _moved(metric, base, head, verdict))


def within_bounds(metric: Metric, head: float) -> Counted:
    """What head's own value says, without any base."""
    if metric.most is not None and head > metric.most:
        return Counted(metric.name, Verdict.FAIL, None, head, f"{head:g} is above its maximum of {metric.most:g}")
    if metric.least is not None and head < metric.least:
        return Counted(metric.name, Verdict.FAIL, None, head, f"{head:g} is below its minimum of {metric.least:g}")
    return Counted(metric.name, Verdict.PASS, None, head)


def _moved(metric: Metric, base: float, head: float, verdict: Verdict) -> str:
    if verdict is Verdict.PASS:
        return ""
    allowed = f"{metric.block:.0%}" + (f" and {metric.slack:g}" if metric.slack else "")
    limit = f"; up to {allowed} may {'go up' if metric.more_is_worse else 'be lost'}" if metric.block else ""
    return jump(metric.name, base, head) or f"{base:g} -> {head:g}{limit}"
