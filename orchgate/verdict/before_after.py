"""Some runs before a change and some after it: what every metric was, is, and how far it moved. Pure functions.

The change is the median of the ratios of all pairs of a run after and a run before, and its interval are two of those
ratios, chosen by the null distribution of the Mann-Whitney statistic (Hodges and Lehmann 1963). It takes no shape of
the values for granted, but it is for runs under like conditions: runs of different days drift. The medians alone may
have moved otherwise: a row has both.
"""

from __future__ import annotations

from math import sqrt

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

CONFIDENCE = 0.95
_NORMAL = 1.959964  # standard deviations that hold as much
SUCCESS_RATE = "success_rate"
TEST_PASS_RATE = "test_pass_rate"  # noqa: S105 -- a metric, not a password
# The order of a table. Rates come from whole runs, the others from those that succeeded.
METRICS = (
    "wall_seconds",
    "cpu_seconds",
    "max_rss_bytes",
    "tree_rss_bytes",
    "manifest_writes",
    "written_bytes",
    "read_bytes",
    "processes",
    SUCCESS_RATE,
    TEST_PASS_RATE,
)


class RecordedRun(NamedTuple):
    """One recorded run. A metric that was not measured is not among its numbers; `bounds` are those that are at least.

    `cached`: a stage was answered from the cache, so that its costs are not those of the work.
    """

    succeeded: bool
    numbers: Mapping[str, float]
    cancelled: bool = False
    cached: bool = False
    bounds: Collection[str] = ()


class MetricChange(NamedTuple):
    """One metric. Values are medians in the metric's unit, rates over all runs; None: not measured there.

    `change` and its interval `low` to `high` are fractions of before; None where they cannot be said.
    `confidence` is the interval's, a fraction. `of_medians` is how far the medians alone moved. `least` says on which
    side the value is a lower bound.
    """

    metric: str
    before: float | None
    after: float | None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    of_medians: float | None = None
    least: tuple[bool, bool] = (False, False)


def rows(before: Sequence[RecordedRun], after: Sequence[RecordedRun]) -> tuple[MetricChange, ...]:
    """A row for each metric that was measured on one side at least. Who leaves runs out for costs does so before."""
    return tuple(_rows(before, after))


def _rows(before: Sequence[RecordedRun], after: Sequence[RecordedRun]) -> Iterator[MetricChange]:
    for metric in METRICS:
        if metric in (SUCCESS_RATE, TEST_PASS_RATE):
            of = _success if metric == SUCCESS_RATE else _tests
            row = MetricChange(metric, of(before), of(after))
        else:
            row = _row(metric, _values(metric, before), _values(metric, after))
            row = row._replace(least=(_least(metric, before), _least(metric, after)))
        if row.before is not None or row.after is not None:
            yield row


def _values(metric: str, runs: Sequence[RecordedRun]) -> list[float]:
    """A metric of the runs that succeeded; nothing when one of them did not measure it."""
    values = [run.numbers.get(metric) for run in runs if run.succeeded and not run.cached]
    return [] if None in values else [value for value in values if value is not None]


def _least(metric: str, runs: Sequence[RecordedRun]) -> bool:
    return any(metric in run.bounds for run in runs if run.succeeded and not run.cached)


def _success(runs: Sequence[RecordedRun]) -> float | None:
    """Of the runs that came to an end of their own."""
    ended = [run.succeeded for run in runs if not run.cancelled]
    return sum(ended) / len(ended) if ended else None


def _tests(runs: Sequence[RecordedRun]) -> float | None:
    """What a stage from the cache repeats was counted when it ran."""
    ran = [run.numbers for run in runs if not run.cached]
    passed = sum(numbers.get("tests_passed", 0) for numbers in ran)
    all_ = passed + sum(numbers.get(f"tests_{how}", 0) for numbers in ran for how in ("failed", "errors"))
    return passed / all_ if all_ else None


def _row(metric: str, before: list[float], after: list[float]) -> MetricChange:
    one, other = (median(values) if values else None for values in (before, after))
    if one is None or other is None or min(before) <= 0 or min(after) <= 0:
        same = before and after and before == after
        return MetricChange(metric, one, other, 0.0 if same else None)
    ratios = sorted(late / early for late in after for early in before)
    middle = median(ratios)
    cut, confidence = _cut(len(before), len(after))
    row = MetricChange(metric, one, other, middle - 1, of_medians=other / one - 1)
    if confidence is None:
        return row
    return row._replace(low=ratios[cut] - 1, high=ratios[-1 - cut] - 1, confidence=confidence)


def _cut(before: int, after: int) -> tuple[int, float | None]:
    """How many ratios to leave out at each end, and the confidence of what is left; None where one run stands alone.

    As many as `CONFIDENCE` allows; where even all ratios together have less, all, with what they have.
    """
    if min(before, after) < 2:
        return 0, None
    counts = _rank_sums(before, after)
    total = sum(counts)
    below, cut = counts[0], 0
    while below + counts[cut + 1] <= total * (1 - CONFIDENCE) / 2:
        cut += 1
        below += counts[cut]
    return cut, 1 - 2 * below / total


def _rank_sums(one: int, other: int) -> list[int]:
    """How many orders of two samples without a difference have each value of the Mann-Whitney statistic."""
    # A partition of the statistic into at most `one` parts of at most `other`: a Gaussian binomial coefficient.
    counts = [1] + [0] * (one * other)
    for size in range(1, one + 1):
        for index in range(one * other, size + other - 1, -1):
            counts[index] -= counts[index - size - other]
        for index in range(size, one * other + 1):
            counts[index] += counts[index - size]
    return counts


def share_interval(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, all of it where nothing was tried (Wilson 1927)."""
    if total <= 0:
        return 0.0, 1.0
    share, scale = hits / total, 1 + _NORMAL**2 / total
    middle = share + _NORMAL**2 / (2 * total)
    half = _NORMAL * sqrt(share * (1 - share) / total + (_NORMAL / (2 * total)) ** 2)
    return (max((middle - half) / scale, 0.0) if hits else 0.0), (
        min((middle + half) / scale, 1.0) if hits < total else 1.0
    )
