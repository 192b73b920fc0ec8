"""Metrics, their values and what was judged of them, in words for people. Pure functions."""

from __future__ import annotations

from orchgate.lib import text as texts
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.measures.declared import title
from orchgate.model import Verdict
from orchgate.verdict.values import LOOKS, Compared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.verdict.values import ComparedCounter, Judgement

_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_WORSE = {"_seconds": "slower", "_bytes": "larger"}
UNKNOWN = "-"
_TOLERATED = 0.1 + 1e-9  # points by which two percentages differ that were only rounded differently
MOST = LOOKS[-1]
AT_LEAST = "≥ "  # before what is a lower bound


def amount(name: str, value: float | None) -> str:
    """A value of a metric with its unit."""
    if value is None:
        return UNKNOWN
    if name.endswith("_seconds"):
        return seconds(value)
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith("_rate"):
        return share(value)
    return f"{value:.0f}" if value == int(value) else f"{value:.6g}"


def seconds(value: float) -> str:
    if value < 0.1:
        return f"{value * 1000:.1f} ms"
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def size(value: float) -> str:
    for unit, name in _UNITS:
        if abs(value) >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:.0f} B"


def percent(change: float | None) -> str:
    """`+12.3 %`; very large changes as factors."""
    if change is None:
        return UNKNOWN
    if change >= 9:
        return f"x {change + 1:.1f}"
    return f"{change * 100:+.1f} %"


def share(part: float) -> str:
    """`2.1 %`."""
    return f"{part * 100:.1f} %"


def interval(one: Compared) -> str:
    """`+10.1 % to +14.6 %`."""
    return UNKNOWN if one.low is None or one.high is None else f"{percent(one.low)} to {percent(one.high)}"


def compared(one: Compared) -> str:
    """What the test says of one metric, as half a sentence."""
    name = title(one.name)
    if one.verdict is Verdict.BROKEN:
        return f"{name} could not be judged" + (f": {one.reason}" if one.reason else "")
    if one.verdict is Verdict.INCONCLUSIVE:
        if _is_bound(one):
            return f"cannot tell: {one.reason}"
        return f"{name}: cannot tell" + (f", {one.reason}" if one.reason else "") + _visible(one)
    if one.estimate is None:
        return f"{name}: {one.reason or one.verdict.value}"
    if one.probably:
        return "; ".join(filter(None, (f"{name}: {probable(one)}", missing(one))))
    verb = "is not worse:" if one.verdict is Verdict.PASS else "changed by"
    return f"{name} {verb} {change(one)}"


def probable(one: Compared) -> str:
    """`probably slower, +8.1 % (+0.3 % to +16.4 %; 0.121 s -> 0.131 s)`."""
    return f"{outcome(one)}, {change(one)}"


def outcome(one: Compared) -> str:
    """`pass`, or `probably slower` where the evidence is short of a verdict."""
    if not one.probably:
        return one.verdict.value
    less = "less" if (one.estimate or 0.0) < 0 else "more"
    return f"probably {next((word for unit, word in _WORSE.items() if one.name.endswith(unit)), less)}"


def missing(one: Compared) -> str:
    """`about 24 more pairs would decide`; "" where that cannot be said."""
    if one.pairs_missing is None:
        return ""
    if not within_reach(one):
        return f"even {MOST} pairs, the most that are run, would not be enough"
    return f"about {texts.counted(one.pairs_missing, 'more pair')} would decide"


def within_reach(one: Compared) -> bool:
    """Whether so many pairs are ever looked at as would probably decide."""
    return one.pairs_missing is not None and one.pairs + one.pairs_missing <= MOST


def change(one: Compared) -> str:
    """`+20.3 % (+18.1 % to +22.4 %; 0.121 s -> 0.146 s)`; where the medians moved differently, by how much."""
    parts = [] if one.low is None or one.high is None else [interval(one)]
    if one.base is not None and one.head is not None:
        other = f"medians {values_of(one)}, {percent(one.change_of_medians)}"
        parts.append(other if disagree(one) else values_of(one))
    return at_least(one) + (f" ({'; '.join(parts)})" if parts else "")


def at_least(one: Compared) -> str:
    """The estimate; of a lower bound, with which side of it the truth lies."""
    if one.estimate is None or not _is_bound(one):
        return percent(one.estimate)
    return f"{'at most' if one.head_lower_bound is None else 'at least'} {percent(one.estimate)}"


def disagree(one: Compared) -> bool:
    """Whether the medians alone moved differently from the estimate, which is of pairs, by more than rounding."""
    if one.estimate is None or one.change_of_medians is None:
        return False
    return abs(round(100 * one.estimate, 1) - round(100 * one.change_of_medians, 1)) > _TOLERATED


def values_of(one: Compared | ComparedCounter) -> str:
    """`0.121 s -> 0.146 s`."""
    return f"{before(one)} -> {after(one)}"


def before(one: Compared | ComparedCounter) -> str:
    return ("" if one.base_lower_bound is None else AT_LEAST) + amount(one.name, one.base)


def after(one: Compared | ComparedCounter) -> str:
    return ("" if one.head_lower_bound is None else AT_LEAST) + amount(one.name, one.head)


def _is_bound(one: Compared | ComparedCounter) -> bool:
    return one.base_lower_bound is not None or one.head_lower_bound is not None


def _visible(one: Compared) -> str:
    return "" if one.smallest_effect is None else f"; a change of {percent(one.smallest_effect)} would have been seen"


def counted(one: ComparedCounter) -> str:
    """What the exact comparison says of one counter, as half a sentence."""
    if one.verdict is Verdict.INCONCLUSIVE and _is_bound(one):
        return f"cannot tell: {one.reason}"
    if one.base is None or (one.base == one.head and not _is_bound(one)):
        text = f"{title(one.name)}: {after(one)}" + ("" if one.base is None else ", as before")
    else:
        text = f"{title(one.name)} {values_of(one)}"
    return text + (f" ({one.reason})" if one.reason else "")


def row(one: Compared | ComparedCounter) -> tuple[str, ...]:
    """Cells of a table: name, base, head, change, interval, outcome."""
    values = (title(one.name), before(one), after(one))
    if isinstance(one, Compared):
        return (*values, at_least(one), interval(one), outcome(one))
    bounds = (one.base_lower_bound, one.head_lower_bound) != (None, None)
    changed = UNKNOWN if not one.base or bounds else percent(one.head / one.base - 1)
    return (*values, changed, UNKNOWN if bounds else "exact", one.verdict.value)


def headlines(judgement: Judgement) -> Iterator[str]:
    """What decided the verdict, a line each; or one that says that nothing got worse."""
    if judgement.reason:
        yield judgement.reason
    if judgement.verdict is Verdict.PASS:
        yield _all_well(judgement)
    else:
        yield from _with(judgement, judgement.verdict)


def milder(judgement: Judgement) -> Iterator[str]:
    """What got worse without deciding the verdict, a line each."""
    for verdict in (Verdict.FAIL, Verdict.WARN):
        if verdict is not judgement.verdict:
            yield from _with(judgement, verdict)


def _with(judgement: Judgement, verdict: Verdict) -> Iterator[str]:
    yield from (compared(one) for one in judgement.metrics if one.verdict is verdict)
    yield from (counted(one) for one in judgement.counters if one.verdict is verdict)


def _all_well(judgement: Judgement) -> str:
    """The first time metric stands for all; what is in it is the widest change that the measurement leaves open."""
    first = next((one for one in judgement.metrics if one.estimate is not None), None)
    return "nothing got worse" if first is None else compared(first)
