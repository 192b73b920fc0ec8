"""The samples of a comparison: whether they can be judged at all, and one metric at a time."""

from __future__ import annotations

from math import exp, isfinite, log

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures.declared import MetricKind, title
from orchgate.verdict.sign_flip import Sample
from orchgate.verdict.values import BENCHMARK, KNOWN, WHEN_NAMED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.verdict.values import Metric, Pair, Policy

JUMP = 1000.0  # times: seconds taken for milliseconds, rather than any change of code
SUCCESS = "success_rate"
DEMOTED = 0.05  # block of a counter that turns out to vary, where it was to be compared exactly


class Scale(NamedTuple):
    """A metric's sample, and its thresholds on the same logarithmic scale."""

    sample: Sample
    tolerance: float
    block: float
    sign: float  # -1.0 where less is worse
    offset: float  # added to every value, so that counts of zero have a logarithm

    def value(self, logarithm: float) -> float:
        return exp(self.sign * logarithm) - self.offset


def unreadable(pairs: Sequence[Pair], policy: Policy) -> str:
    """Why these samples cannot be judged: metric, pair and arm. Empty if they can."""
    for name, metric in policy.metrics.items():
        seen = {number: pair for number, pair in enumerate(pairs) if _tells(pair, name)}
        arms = [
            ("base", {number: pair.base.get(name) for number, pair in seen.items()}),
            ("head", {number: pair.head.get(name) for number, pair in seen.items()}),
        ]
        measured = [any(value is not None for value in values.values()) for _, values in arms]
        if metric.kind.exact and not measured[0]:
            arms = arms[1:]  # only head counts it: its own bounds are all there is
        if not any(measured):
            continue
        for arm, values in arms:
            for number, value in values.items():
                # A run whose files could not be counted exactly has no counter: `exact` leaves that undecided.
                problem = "" if value is None and metric.kind is MetricKind.COUNTER else _problem(metric, value)
                if problem:
                    return f"{title(name)} of {arm} in pair {number + 1} {problem}"
        odd = "" if metric.kind.exact else jump(name, *map(sum, columns(pairs, name)))
        if odd:
            return odd
    return ""


def _problem(metric: Metric, value: float | None) -> str:
    if value is None:
        return "was not measured, although it was in other runs"
    if not isfinite(value):
        return f"is {value}"
    if value < 0:
        return f"is negative: {value:g}"
    if not value and not metric.kind.exact:
        return "is zero"
    if metric.kind is MetricKind.RATE and value > 1:
        return f"is {value:g}, a rate above 1"
    return ""


def jump(name: str, base: float, head: float) -> str:
    """Names a change that no change of code makes; empty otherwise. Any two values of the same unit."""
    if not base or not head or 1 / JUMP < head / base < JUMP:
        return ""
    factor = f"{head / base:,.0f} times" if head > base else f"1/{base / head:,.0f} of"
    return f"{title(name)} of head is {factor} base's: was it measured in another unit?"


def of(pairs: Sequence[Pair], name: str) -> Sequence[Pair]:
    """The pairs that say something of a metric: of a run that failed, nothing is known but that it did."""
    return [pair for pair in pairs if _tells(pair, name)]


def _tells(pair: Pair, name: str) -> bool:
    return name == SUCCESS or succeeded(pair)


def succeeded(pair: Pair) -> bool:
    """Whether neither run failed."""
    return pair.base.get(SUCCESS) != 0 and pair.head.get(SUCCESS) != 0


def columns(pairs: Sequence[Pair], name: str) -> tuple[list[float], list[float]]:
    """Base's and head's values of a metric, pair by pair, of those pairs that say something of it."""
    seen = of(pairs, name)
    return [pair.base[name] for pair in seen], [pair.head[name] for pair in seen]


def groups(pairs: Sequence[Pair]) -> tuple[int, ...]:
    """The machines on which pairs ran, numbered in the order of their first pair; () where all ran on one."""
    numbers: dict[str, int] = {}
    found = tuple([numbers.setdefault(pair.machine, len(numbers)) for pair in pairs])
    return found if len(numbers) > 1 else ()


def means(pairs: Sequence[Pair], name: str) -> tuple[float, float]:
    """What a rate is over all runs of each side: in single runs most rates are 0 or 1."""
    base, head = columns(pairs, name)
    return sum(base) / len(base), sum(head) / len(head)


def scale(pairs: Sequence[Pair], metric: Metric) -> Scale:
    """A metric on the scale of the test. A counter that varies is judged like a time, with a block of its own."""
    base, head = columns(pairs, metric.name)
    block, tolerance, offset = metric.block, metric.tolerance, 0.0
    if metric.kind.exact:
        block, tolerance = block or DEMOTED, tolerance or 0.01
        offset = max(metric.slack, 1.0 if metric.kind is MetricKind.COUNTER else 0.01)
    sign = 1.0 if metric.more_is_worse else -1.0
    middle = sorted(base)[len(base) // 2]

    def threshold(share: float, slack: float) -> float:
        moved = middle + sign * (share * middle + slack)
        return sign * log((max(moved, 0.0) + offset or middle * 1e-6) / (middle + offset))

    sample = Sample(
        tuple([sign * log(value + offset) for value in base]),
        tuple([sign * log(value + offset) for value in head]),
        groups(of(pairs, metric.name)),
    )
    return Scale(sample, threshold(tolerance, 0.0), threshold(block, metric.slack), sign, offset)


def notes(pairs: Sequence[Pair], policy: Policy) -> tuple[str, ...]:
    """What was measured and is not judged, and the other way round."""
    measured = {name for pair in pairs for name in (*pair.base, *pair.head)}
    measured = {name for name in measured if not name.startswith(BENCHMARK)}
    unknown = sorted(measured - policy.metrics.keys() - {metric.name for metric in WHEN_NAMED})
    missing = [metric.name for metric in policy.metrics.values() if metric.name not in measured and metric not in KNOWN]
    lines = (("measured, not judged", unknown), ("configured, not measured by any run", missing))
    return tuple(f"{what}: {', '.join(map(title, names))}" for what, names in lines if names)
