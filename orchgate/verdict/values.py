"""What a comparison is made of: metrics and their limits, pairs of runs, and the judgement."""

from __future__ import annotations

from math import inf

from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple
from orchgate.measures import declared
from orchgate.measures.declared import MetricKind
from orchgate.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orchgate.config import settings
    from orchgate.measures.declared import Measure


class Metric(NamedTuple):
    """How far one metric may move.

    Up to `tolerance` it has not moved; from `block` (plus `slack`, in the metric's own unit) on the change is refused,
    and what lies between is a warning. `most` and `least` bound head's own value. `more_is_worse` is False for what
    should be high, such as rates and tests passed. What `settles` counts only once caches are warm; what is not to be
    refused warns at most.
    """

    name: str
    kind: MetricKind
    block: float
    tolerance: float = 0.0
    slack: float = 0.0
    more_is_worse: bool = True
    most: float | None = None
    least: float | None = None
    settles: bool = False
    refuses: bool = True


def _metric(one: Measure) -> Metric:
    return Metric(
        one.name,
        one.kind,
        one.block,
        one.tolerance,
        one.slack,
        one.more_is_worse,
        settles=one.settles,
        refuses=one.refuses,
    )


# What is judged where the configuration says nothing else, in the order of the report; and what it has to name.
KNOWN = tuple(_metric(one) for one in declared.every() if not one.when_named)
WHEN_NAMED = tuple(_metric(one) for one in declared.every() if one.when_named)

BENCHMARK = "benchmark:"  # before the name of a benchmark, where metrics are named
LOOKS = (8, 12, 16, 22, 32, 46, 66, 94, 128, 180, 256)  # pairs after which a comparison is looked at
RESULTS = "benchmarks"  # stands for all of them where a run's file of results could not be read


USUAL_BENCHMARK = Metric("benchmark", MetricKind.TIME, 0.05, 0.01)


class BenchmarkLimits(NamedTuple):
    """How named benchmarks are judged: by the first of `limits`, by glob of their names, that is theirs.

    `required`: that no run reports any is no answer.
    """

    limits: tuple[tuple[str, Metric], ...] = ()
    required: bool = False


class Policy(NamedTuple):
    """What a comparison is held to. `inconclusive` is `warn` or `block`; metrics that are not in it are not judged."""

    metrics: Mapping[str, Metric]
    inconclusive: str = "warn"
    benchmarks: BenchmarkLimits = BenchmarkLimits()


class Pair(NamedTuple):
    """One run of base and one of head, one right after the other. Metrics by name; a missing one was not measured.

    The bounds say, by metric, why no more is known than that the run took at least so much; `base_unread` and
    `head_unread` why a benchmark of the run, or RESULTS, has no value. Where the pairs of a comparison ran on several
    machines, `machine` says on which: both runs of a pair are of one.
    """

    base: Mapping[str, float]
    head: Mapping[str, float]
    head_first: bool = False
    base_bounds: Mapping[str, str] = {}
    head_bounds: Mapping[str, str] = {}
    base_unread: Mapping[str, str] = {}
    head_unread: Mapping[str, str] = {}
    machine: str = ""


class Answer(Enum):
    """What a comparison of times or memory ends in; the values are the words of the JSON output."""

    SLOWER = "slower"
    PROBABLY_SLOWER = "probably slower"
    NOT_SLOWER = "not slower"
    CANNOT_TELL = "cannot tell"


class Sitting(NamedTuple):
    """A stretch of pairs that were measured in one go, of a comparison that may go on another time.

    It began after `begun` pairs and was planned to end at `planned`, both counted over the whole comparison. `share` is
    the fraction of the error budgets that it may spend; the shares of all sittings add up to at most 1.
    """

    begun: int
    planned: int
    share: float = 1.0


class Compared(NamedTuple):
    """What the test says of one time or memory metric.

    `estimate` with its interval `low` to `high` is head's change as a fraction of base; `p` is the p-value that carried
    the verdict; `smallest_effect` is the smallest change that so many pairs on this machine could have shown.
    None: cannot be said. `base` and `head` are medians in the metric's unit; the estimate is not theirs where it comes
    from pairs. A side that is a lower bound says why.
    """

    name: str
    verdict: Verdict
    estimate: float | None
    low: float | None
    high: float | None
    pairs: int
    p: float | None
    smallest_effect: float | None
    base: float | None = None
    head: float | None = None
    reason: str = ""  # of an inconclusive verdict
    base_lower_bound: str | None = None
    head_lower_bound: str | None = None
    # The evidence of "slower" is short of the level that refuses; so many pairs more would probably reach it.
    probably: bool = False
    pairs_missing: int | None = None

    @property
    def answer(self) -> Answer:
        if self.probably:
            return Answer.PROBABLY_SLOWER
        known = {Verdict.PASS: Answer.NOT_SLOWER, Verdict.WARN: Answer.SLOWER, Verdict.FAIL: Answer.SLOWER}
        return known.get(self.verdict, Answer.CANNOT_TELL)

    @property
    def change_of_medians(self) -> float | None:
        """How far the medians alone moved, as a fraction of base."""
        return self.head / self.base - 1 if self.base and self.head is not None else None


class ComparedCounter(NamedTuple):
    """What the exact comparison says of one counter. `base` is None where head's own bounds alone decide.

    A side that is a lower bound says why. So many `runs_missing` of each side, and it would be refused.
    """

    name: str
    verdict: Verdict
    base: float | None
    head: float
    reason: str = ""
    base_lower_bound: str | None = None
    head_lower_bound: str | None = None
    runs_missing: int = 0


def plain(one: Compared | ComparedCounter) -> dict[str, object]:
    """A result for programs."""
    fields = {**one._asdict(), "verdict": one.verdict.value}
    if isinstance(one, Compared):
        del fields["probably"]  # the answer says it
        fields |= {"answer": one.answer.value, "change_of_medians": one.change_of_medians}
    # JSON has no infinities: what grew from nothing cannot be said as a fraction.
    return {key: None if isinstance(value, float) and abs(value) == inf else value for key, value in fields.items()}


def restored(fields: Mapping[str, Any]) -> Compared | ComparedCounter:
    """A result from what `plain` made of it."""
    known = {**fields, "verdict": Verdict(fields["verdict"])}
    if "answer" not in fields:
        return ComparedCounter(**known)
    known["probably"] = fields["answer"] == Answer.PROBABLY_SLOWER.value
    return Compared(**{name: known[name] for name in Compared._fields})


class FailedBenchmark(NamedTuple):
    """A benchmark ("": the whole file of results) without a value in some `runs` of a `side`, out of `of`, and why.

    The verdict says what that is to head: FAIL where base always has one and head never.
    """

    name: str
    side: str
    runs: int
    of: int
    why: str
    verdict: Verdict


class BenchmarkJudgement(NamedTuple):
    """What is known of named benchmarks, which were judged together; names are without BENCHMARK.

    `judged` are those of both sides, worst first; `renamed` are pairs of one that only base has and one that only head
    has, which may be the same and stand among both. `reason` says why they could not be judged, or only some of them;
    `needed` are the pairs with which each could.
    """

    verdict: Verdict
    judged: tuple[Compared, ...] = ()
    only_on_base: tuple[str, ...] = ()
    only_on_head: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    failed: tuple[FailedBenchmark, ...] = ()
    reason: str = ""
    needed: int = 0


class Judgement(NamedTuple):
    """The answer of a comparison. `decided`: more pairs cannot change it. `reason` says why it is broken, if it is.

    The verdict may be INCONCLUSIVE under either policy: whoever turns it into an exit code asks the policy. `notes` are
    for the reader and change nothing: what was measured and not judged, what looks odd.
    """

    verdict: Verdict
    metrics: tuple[Compared, ...] = ()
    counters: tuple[ComparedCounter, ...] = ()
    decided: bool = False
    reason: str = ""
    notes: tuple[str, ...] = ()
    benchmarks: BenchmarkJudgement | None = None  # None: no run reported any, and none had to

    @property
    def is_of_benchmarks(self) -> bool:
        """Whether it is what named benchmarks are, where whole runs could be judged."""
        of_runs = bool(self.metrics or self.counters)
        return of_runs and self.benchmarks is not None and self.benchmarks.verdict is self.verdict


def policy(performance: settings.Performance, *, undecided_blocks: bool = False) -> Policy:
    """The policy of a configuration. A metric nobody knows is a counter that may not go up."""
    metrics = {metric.name: metric for metric in KNOWN}
    others = {metric.name: metric for metric in WHEN_NAMED}
    limits = []
    for key, configured in performance.metrics.items():
        if key.startswith(BENCHMARK):
            limits.append((key.removeprefix(BENCHMARK), _merged(USUAL_BENCHMARK, configured)))
            continue
        stage, dot, own = key.rpartition(".")  # a stage's id is written as it is
        name = f"{stage}{dot}{own.replace('-', '_')}"
        known = metrics.get(name) or others.get(name) or Metric(name, MetricKind.COUNTER, 0.0)
        metrics[name] = _merged(known, configured)
    named = BenchmarkLimits(tuple(limits), required=bool(performance.benchmarks.file))
    return Policy(metrics, "block" if undecided_blocks else "warn", named)


def _merged(metric: Metric, configured: settings.MetricSettings) -> Metric:
    block = metric.block if configured.fail_above is None else configured.fail_above
    tolerance = metric.tolerance if configured.tolerance is None else configured.tolerance
    if metric.kind.exact:
        tolerance = min(tolerance, block)
    return metric._replace(
        # No measurement can show that a time did not move at all.
        block=max(block, tolerance),
        tolerance=tolerance,
        # Who says how far a metric may move means exactly that far.
        slack=metric.slack if configured.fail_above is None else 0.0,
        most=configured.max,
        least=configured.min,
        refuses=metric.refuses or configured.fail_above is not None,
    )
