"""What a comparison may say of values that are lower bounds: only what holds wherever the truth lies.

More is worse: where head's value is one, "slower" holds, since what is known exceeds already, and "not slower" does
not. Where base's is one, "not slower" holds, since even what is known of base is not exceeded, and "slower" does not. A
warning says "slower, and by less than blocks", of which neither leaves both. Where both are, nothing holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from orchgate.model import Verdict
from orchgate.verdict import exact
from orchgate.verdict.values import Compared, Counted
from orchgate.verdict.words import title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.verdict.values import Metric, Pair

One = TypeVar("One", Compared, Counted)


class Known(NamedTuple):
    """Why the values of a side are lower bounds, by metric."""

    base: Mapping[str, str] = {}
    head: Mapping[str, str] = {}


EXACT = Known()


def of(pairs: Sequence[Pair]) -> Known:
    """One run whose value is a lower bound makes a side's values such."""
    base: dict[str, str] = {}
    head: dict[str, str] = {}
    for pair in pairs:
        for known, bounds in ((base, pair.base_bounds), (head, pair.head_bounds)):
            for name, why in bounds.items():
                known.setdefault(name, why)
    return Known(base, head)


def stands(metric: Metric, verdict: Verdict, known: Known) -> bool:
    """Whether a verdict holds wherever the truth lies."""
    base, head = metric.name in known.base, metric.name in known.head
    maybe_worse, maybe_better = (head, base) if metric.more_is_worse else (base, head)
    return {
        Verdict.PASS: not maybe_worse,
        Verdict.WARN: not maybe_worse and not maybe_better,
        Verdict.FAIL: not maybe_better,
    }.get(verdict, not base and not head)


def held(one: One, metric: Metric, known: Known) -> One:
    """A result with what it is allowed to say; one that does not stand is inconclusive, and no change is told."""
    base: str | None = known.base.get(metric.name)
    head: str | None = known.head.get(metric.name)
    if one.verdict is Verdict.BROKEN or (base is None and head is None):
        return one
    fields: dict[str, Any] = {"base_lower_bound": base, "head_lower_bound": head}
    if stands(metric, _claim(one), known) or _beyond(one, metric, head):
        # What is known is one end of the truth; the other end of an interval is not.
        fields |= dict.fromkeys(("low", "high"))
    else:
        reasons = (*_reasons(metric.name, base, head), _open(one))
        fields |= {"verdict": Verdict.INCONCLUSIVE, "reason": "; ".join(filter(None, reasons))}
        fields |= dict.fromkeys(("estimate", "low", "high", "p", "smallest_effect", "pairs_missing"))
        fields |= {"probably": False}
    return one._replace(**{name: value for name, value in fields.items() if name in one._fields})


def _claim(one: Compared | Counted) -> Verdict:
    """The verdict by what it says: a warning for want of runs or pairs says what a refusal says, of whatever size."""
    short = one.runs_missing if isinstance(one, Counted) else one.probably
    return Verdict.FAIL if short else one.verdict


def _beyond(one: Compared | Counted, metric: Metric, head: str | None) -> bool:
    """Whether head's own value is out of its bounds, which has nothing to do with base."""
    if one.verdict is not Verdict.FAIL or one.head is None:
        return False
    if exact.within_bounds(metric, one.head).verdict is not Verdict.FAIL:
        return False
    return head is None or (metric.most is not None and one.head > metric.most)


def _open(one: Compared | Counted) -> str:
    return one.reason if one.verdict is Verdict.INCONCLUSIVE else ""


def _reasons(name: str, base: str | None, head: str | None) -> list[str]:
    """`CPU time of head is a lower bound: a child left its session`."""
    sides = (("base", base), ("head", head))
    return [
        f"{title(name)} of {side} is a lower bound" + (f": {why}" if why else "")
        for side, why in sides
        if why is not None
    ]
