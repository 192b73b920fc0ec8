"""The verdict over pairs of runs: what is refused, warned of, passed or left open, and what cannot be judged."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from orchgate.measures.declared import MetricKind
from orchgate.model import Verdict
from orchgate.verdict.comparison import LOOKS, judge, next_look
from orchgate.verdict.values import KNOWN, Compared, ComparedCounter, Judgement, Metric, Pair, Policy, Sitting

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT = Policy({metric.name: metric for metric in KNOWN})
CPU = Metric("cpu_seconds", MetricKind.TIME, 0.05, 0.01)
WRITES = Metric("manifest_writes", MetricKind.COUNTER, 0.0)


def policy(*metrics: Metric) -> Policy:
    return Policy({metric.name: metric for metric in metrics})


def measured(
    pairs: int, slower: float = 0.0, noise: float = 0.02, name: str = "cpu_seconds", seed: int = 1
) -> list[Pair]:
    """Pairs of one metric around 0.1, head being so much slower."""
    draw = random.Random(seed)
    return [
        Pair(
            {name: 0.1 * draw.lognormvariate(0, noise)},
            {name: 0.1 * (1 + slower) * draw.lognormvariate(0, noise)},
            draw.random() < 0.5,
        )
        for _ in range(pairs)
    ]


def counts(base: Sequence[float], head: Sequence[float], name: str = "manifest_writes") -> list[Pair]:
    return [Pair({name: b}, {name: h}) for b, h in zip(base, head, strict=True)]


def only(judgement: Judgement) -> Compared:
    (metric,) = judgement.metrics
    return metric


def counter(judgement: Judgement) -> ComparedCounter:
    (one,) = judgement.counters
    return one


# Times and memory


@pytest.mark.parametrize(
    ("slower", "verdict"),
    [(0.0, Verdict.PASS), (-0.2, Verdict.PASS), (0.03, Verdict.WARN), (0.08, Verdict.FAIL), (0.5, Verdict.FAIL)],
)
def test_a_change_gets_its_verdict(slower: float, verdict: Verdict) -> None:
    assert judge(measured(64, slower, noise=0.004), policy(CPU)).verdict is verdict


def test_a_faster_head_passes_at_the_first_look() -> None:
    assert only(judge(measured(64, -0.2), policy(CPU))).pairs == LOOKS[0]


def test_the_interval_holds_the_estimate_and_the_change() -> None:
    metric = only(judge(measured(64, 0.2), policy(CPU)))

    assert metric.low is not None
    assert metric.high is not None
    assert metric.estimate is not None
    assert metric.low < metric.estimate < metric.high
    assert metric.low < 0.2 < metric.high


def test_typical_values_are_in_the_metrics_own_unit() -> None:
    metric = only(judge(measured(64, 0.2), policy(CPU)))

    assert metric.base == pytest.approx(0.1, rel=0.02)
    assert metric.head == pytest.approx(0.12, rel=0.02)


def test_noise_leaves_it_open_and_says_what_could_have_been_seen() -> None:
    metric = only(judge(measured(22, 0.05, noise=0.2), policy(CPU)))

    assert metric.verdict is Verdict.INCONCLUSIVE
    assert "after 22 pairs" in metric.reason
    assert metric.smallest_effect is not None
    assert metric.smallest_effect > 0.1


def test_fewer_pairs_than_the_first_look_are_inconclusive_whatever_they_show() -> None:
    metric = only(judge(measured(LOOKS[0] - 1, 9.0), policy(CPU)))

    assert (metric.verdict, metric.reason) == (Verdict.INCONCLUSIVE, "7 of at least 8 pairs")


@pytest.mark.slow
def test_every_count_of_pairs_has_a_verdict() -> None:
    pairs = measured(40, 0.05, noise=0.1)

    assert all(judge(pairs[:n], policy(CPU)).metrics for n in range(1, 41))


def test_identical_values_pass() -> None:
    assert judge([Pair({"cpu_seconds": 0.1}, {"cpu_seconds": 0.1})] * 8, policy(CPU)).verdict is Verdict.PASS


def test_constants_that_differ_fail() -> None:
    assert judge([Pair({"cpu_seconds": 0.1}, {"cpu_seconds": 0.2})] * 12, policy(CPU)).verdict is Verdict.FAIL


def test_a_slack_is_added_to_what_blocks() -> None:
    rss = Metric("max_rss_bytes", MetricKind.MEMORY, 0.03, 0.01, slack=1024 * 1024)
    pairs = [Pair({"max_rss_bytes": 10e6}, {"max_rss_bytes": 10.9e6})] * 16

    assert judge(pairs, policy(rss)).verdict is Verdict.WARN
    assert judge(pairs, policy(rss._replace(slack=0.0))).verdict is Verdict.FAIL


def test_what_should_be_high_fails_when_it_falls() -> None:
    rate = Metric("requests_per_second", MetricKind.TIME, 0.05, 0.01, more_is_worse=False)

    metric = only(judge(measured(32, -0.2, name="requests_per_second"), policy(rate)))

    assert metric.verdict is Verdict.FAIL
    assert metric.estimate == pytest.approx(-0.2, abs=0.03)
    assert judge(measured(32, 0.2, name="requests_per_second"), policy(rate)).verdict is Verdict.PASS


def test_a_value_above_its_maximum_fails_without_being_slower() -> None:
    metric = only(judge(measured(8), policy(CPU._replace(most=0.05))))

    assert metric.verdict is Verdict.FAIL
    assert "above its maximum of 50.0 ms" in metric.reason


def test_scaling_both_arms_changes_no_verdict() -> None:
    pairs = measured(32, 0.07, noise=0.05)
    scaled = [
        Pair({"cpu_seconds": p.base["cpu_seconds"] * 40}, {"cpu_seconds": p.head["cpu_seconds"] * 40}) for p in pairs
    ]

    assert only(judge(scaled, policy(CPU))).p == only(judge(pairs, policy(CPU))).p


# Looks


@pytest.mark.slow
def test_what_is_decided_is_not_changed_by_more_pairs() -> None:
    for seed in range(8):
        pairs = measured(LOOKS[5], 0.04, noise=0.06, seed=seed)
        judgements = [judge(pairs[:look], policy(CPU), [Sitting(0, 46)], ended=False) for look in LOOKS[:6]]
        first = next((n for n, one in enumerate(judgements) if one.decided), len(judgements))
        assert judgements[first:] == judgements[first : first + 1] * len(judgements[first:])


@pytest.mark.slow
def test_the_last_look_decides_whatever_it_shows() -> None:
    assert judge(measured(LOOKS[-1], 0.04, noise=0.9), policy(CPU)).decided


@pytest.mark.slow
def test_pairs_after_the_last_look_are_not_looked_at() -> None:
    assert only(judge(measured(LOOKS[-1] + 50, 0.03, noise=0.9), policy(CPU))).pairs == LOOKS[-1]


@pytest.mark.parametrize(("pairs", "look"), [(0, 8), (7, 8), (8, LOOKS[1]), (LOOKS[-1], None), (10_000, None)])
def test_the_next_look(pairs: int, look: int | None) -> None:
    assert next_look(pairs) == look


def test_one_refusal_is_enough_to_stop() -> None:
    draw = random.Random(1)
    pairs = [
        Pair({"cpu_seconds": 1.0, "wall_seconds": 1.0}, {"cpu_seconds": 2.0, "wall_seconds": draw.uniform(0.1, 9)})
        for _ in range(64)
    ]

    judgement = judge(pairs, DEFAULT)

    assert judgement.decided
    assert [one.verdict for one in judgement.metrics] == [Verdict.FAIL, Verdict.INCONCLUSIVE]


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["drift", "autocorrelated"])
def test_the_same_work_on_a_drifting_machine_is_not_called_slower(noise: str) -> None:
    """Three metrics at all looks; the budget is one half percent, so that more than 4 of 100 are no chance."""
    draw = random.Random(noise)
    alarms = sum(judge(same_work(draw, noise), DEFAULT).verdict in {Verdict.FAIL, Verdict.WARN} for _ in range(100))

    assert alarms <= 4


def same_work(draw: random.Random, noise: str, pairs: int = 32) -> list[Pair]:
    """Runs of the same work whose speed wanders, given to two arms by coins."""
    level, runs = 0.0, []
    for number in range(2 * pairs):
        level = 0.95 * level + draw.gauss(0, 0.05)
        slow = 1 + number * 0.02 if noise == "drift" else 2.718**level
        cpu = slow * draw.lognormvariate(0, 0.02)
        runs.append({"cpu_seconds": cpu, "wall_seconds": cpu * draw.lognormvariate(0, 0.1), "max_rss_bytes": 1e7})
    made = []
    for n in range(pairs):
        head_first = draw.random() < 0.5
        first, second = runs[2 * n : 2 * n + 2]
        made.append(Pair(second, first, True) if head_first else Pair(first, second, False))
    return made


# Counters


@pytest.mark.parametrize(
    ("base", "head", "metric", "verdict"),
    [
        pytest.param(2, 2, WRITES, Verdict.PASS, id="the same"),
        pytest.param(2, 1, WRITES, Verdict.PASS, id="fewer"),
        pytest.param(2, 3, WRITES, Verdict.FAIL, id="more"),
        pytest.param(0, 1, WRITES, Verdict.FAIL, id="more than none"),
        pytest.param(100, 110, WRITES._replace(block=0.2, tolerance=0.01), Verdict.WARN, id="below what blocks"),
        pytest.param(100, 101, WRITES._replace(block=0.2, tolerance=0.01), Verdict.PASS, id="tolerated"),
        pytest.param(100, 120, WRITES._replace(block=0.2), Verdict.WARN, id="exactly what is allowed"),
        pytest.param(100, 121, WRITES._replace(block=0.2), Verdict.FAIL, id="above what is allowed"),
        pytest.param(10, 30, WRITES._replace(block=0.1, slack=25), Verdict.WARN, id="within the slack"),
        pytest.param(9, 8, WRITES._replace(more_is_worse=False), Verdict.FAIL, id="fewer of what should be many"),
        pytest.param(9, 10, WRITES._replace(more_is_worse=False), Verdict.PASS, id="more of what should be many"),
        pytest.param(2, 2, WRITES._replace(most=1), Verdict.FAIL, id="above its maximum"),
        pytest.param(2, 2, WRITES._replace(least=3), Verdict.FAIL, id="below its minimum"),
    ],
)
def test_a_counter_is_compared_exactly(base: int, head: int, metric: Metric, verdict: Verdict) -> None:
    judgement = judge(counts([base] * 5, [head] * 5), policy(metric))

    assert (counter(judgement).verdict, judgement.decided) == (verdict, True)


@pytest.mark.parametrize("runs", [1, 2, 4])
def test_a_counter_that_went_up_in_fewer_than_five_runs_of_each_warns(runs: int) -> None:
    one = counter(judge(counts([2] * runs, [3] * runs), policy(WRITES)))

    assert (one.verdict, one.runs_missing, "5 that agree are needed" in one.reason) == (Verdict.WARN, 5 - runs, True)


def test_a_bound_of_heads_own_needs_one_run() -> None:
    assert counter(judge(counts([2], [3]), policy(WRITES._replace(most=2)))).verdict is Verdict.FAIL


def test_what_too_few_runs_count_is_undecided_where_that_blocks() -> None:
    blocking = Policy({"manifest_writes": WRITES}, "block")

    assert judge(counts([2] * 4, [3] * 4), blocking).verdict is Verdict.INCONCLUSIVE


# Reads, which caches spare

READS = next(metric for metric in KNOWN if metric.name == "read_bytes")
BLOCKED = READS._replace(refuses=True)  # the configuration sets its block
COLD = 50_000_000


@pytest.mark.parametrize(
    ("base", "head", "metric", "verdict"),
    [
        pytest.param([0] * 8, [COLD, *[0] * 7], READS, Verdict.PASS, id="only the first run of head read"),
        pytest.param([0] * 8, [*[COLD] * 3, *[0] * 5], BLOCKED, Verdict.PASS, id="the first three of head"),
        pytest.param([0] * 8, [*[COLD] * 7, 0], BLOCKED, Verdict.PASS, id="the last one did not"),
        pytest.param([COLD] * 8, [COLD * 2] * 8, READS, Verdict.WARN, id="head reads more every time"),
        pytest.param([COLD] * 8, [COLD * 2] * 8, BLOCKED, Verdict.FAIL, id="and the configuration blocks it"),
        pytest.param([0] * 4, [COLD] * 4, READS, Verdict.PASS, id="head reads more, and was run four times"),
        pytest.param([COLD] * 3, [COLD * 2] * 3, BLOCKED, Verdict.WARN, id="blocked, and seen three times"),
        pytest.param([COLD] * 8, [COLD * 2 + n for n in range(8)], BLOCKED, Verdict.WARN, id="blocked, and it varies"),
        pytest.param([COLD] * 8, [COLD * 2 + n for n in range(8)], READS, Verdict.WARN, id="it varies"),
        pytest.param([0] * 8, [COLD] * 8, READS._replace(most=1.0), Verdict.FAIL, id="above its maximum every time"),
        pytest.param([0] * 8, [*[COLD] * 7, 0], READS._replace(most=1.0), Verdict.PASS, id="above it at first"),
        pytest.param([0] * 2, [COLD] * 2, READS._replace(most=1.0), Verdict.WARN, id="above it, and seen twice"),
    ],
)
def test_bytes_read_while_caches_are_cold_never_refuse(
    base: list[int], head: list[int], metric: Metric, verdict: Verdict
) -> None:
    assert counter(judge(counts(base, head, "read_bytes"), policy(metric))).verdict is verdict


def test_a_counter_alone_refuses_and_stops_the_measurement() -> None:
    pairs = [Pair({**p.base, "manifest_writes": 2}, {**p.head, "manifest_writes": 3}) for p in measured(8, noise=0.5)]

    judgement = judge(pairs, DEFAULT)

    assert (judgement.verdict, judgement.decided) == (Verdict.FAIL, True)


def test_a_counter_that_varies_is_judged_like_a_time() -> None:
    draw = random.Random(1)
    pairs = counts([draw.randint(90, 110) for _ in range(32)], [draw.randint(90, 110) for _ in range(32)])

    metric = only(judge(pairs, policy(WRITES)))

    assert metric.verdict is not Verdict.FAIL
    assert "counts differ between runs of the same tree" in metric.reason


def test_a_varying_counter_that_doubles_fails() -> None:
    draw = random.Random(1)
    pairs = counts([draw.randint(0, 9) for _ in range(64)], [draw.randint(20, 29) for _ in range(64)])

    assert only(judge(pairs, policy(WRITES))).verdict is Verdict.FAIL


def test_a_rate_that_falls_fails() -> None:
    rate = Metric("success_rate", MetricKind.RATE, 0.0, more_is_worse=False)

    assert counter(judge(counts([1.0] * 5, [0.5] * 5, "success_rate"), policy(rate))).verdict is Verdict.FAIL


def test_what_only_head_counts_is_held_to_its_own_bounds() -> None:
    pairs = [Pair({}, {"manifest_writes": 5.0})] * 2

    assert counter(judge(pairs, policy(WRITES._replace(most=4)))).verdict is Verdict.FAIL
    assert counter(judge(pairs, policy(WRITES))).reason == "base does not measure it"


WRITTEN = {"manifest_writes": 5.0}


@pytest.mark.parametrize("lacking", [Pair({}, WRITTEN), Pair(WRITTEN, {})])
def test_what_some_runs_could_not_count_exactly_is_undecided(lacking: Pair) -> None:
    one = counter(judge([Pair(WRITTEN, WRITTEN), lacking], policy(WRITES)))

    assert (one.verdict, one.reason) == (Verdict.INCONCLUSIVE, "1 of 4 runs could not count it exactly")


def test_what_head_never_counts_exactly_is_undecided() -> None:
    pairs = [Pair({"manifest_writes": 5.0}, {})] * 2

    assert counter(judge(pairs, policy(WRITES))).verdict is Verdict.INCONCLUSIVE


def test_a_count_above_its_maximum_fails_though_others_are_missing() -> None:
    pairs = [Pair({}, {"manifest_writes": 5.0}), Pair({}, {})]

    assert counter(judge(pairs, policy(WRITES._replace(most=4)))).verdict is Verdict.FAIL


def test_a_counter_in_another_unit_is_named() -> None:
    one = counter(judge(counts([2] * 2, [2048] * 2), policy(WRITES)))

    assert "1,024 times base's: was it measured in another unit?" in one.reason


# What cannot be judged


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.0, "CPU time of head in pair 4 is zero"),
        (float("nan"), "CPU time of head in pair 4 is nan"),
        (float("inf"), "CPU time of head in pair 4 is inf"),
        (-1.0, "CPU time of head in pair 4 is negative: -1"),
    ],
)
def test_a_value_that_is_no_measurement_breaks_the_comparison(value: float, reason: str) -> None:
    pairs = measured(8)
    pairs[3] = Pair(pairs[3].base, {"cpu_seconds": value})

    judgement = judge(pairs, policy(CPU))

    assert (judgement.verdict, judgement.reason) == (Verdict.BROKEN, reason)


def test_a_metric_that_some_runs_lack_breaks_the_comparison() -> None:
    pairs = measured(8)
    pairs[5] = Pair({}, pairs[5].head)

    judgement = judge(pairs, policy(CPU))

    assert (judgement.verdict, judgement.reason) == (
        Verdict.BROKEN,
        "CPU time of base in pair 6 was not measured, although it was in other runs",
    )


def failing(pairs: Sequence[Pair], base: int, head: int) -> list[Pair]:
    """The pairs, of which every so many-th run of a side failed; 0 for none. Then nothing else is known of it."""
    failed = {"success_rate": 0.0}
    return [
        pair._replace(
            base=failed if base and number % base == 0 else {**pair.base, "success_rate": 1.0},
            head=failed if head and number % head == 0 else {**pair.head, "success_rate": 1.0},
        )
        for number, pair in enumerate(pairs, 1)
    ]


@pytest.mark.parametrize(("slower", "verdict"), [(0.0, Verdict.PASS), (0.2, Verdict.FAIL)])
def test_runs_that_fail_now_and_then_leave_the_others_to_be_compared(slower: float, verdict: Verdict) -> None:
    judgement = judge(failing(measured(32, slower, noise=0.004), base=9, head=10), DEFAULT)

    assert (judgement.verdict, judgement.reason) == (verdict, "")


def test_a_head_that_fails_in_every_third_run_and_a_base_that_never_does_is_refused() -> None:
    judgement = judge(failing(measured(66), base=0, head=3), DEFAULT)

    failed = [one.name for one in judgement.metrics if one.verdict is Verdict.FAIL]
    assert failed == ["success_rate"]


def test_what_a_rate_is_said_to_be_is_that_of_all_runs() -> None:
    (rate,) = [one for one in judge(failing(measured(8), 8, 4), DEFAULT).metrics if one.name == "success_rate"]

    assert (rate.base, rate.head) == (0.875, 0.75)


@pytest.mark.parametrize(("head", "verdict"), [(12, Verdict.PASS), (4, Verdict.INCONCLUSIVE), (2, Verdict.WARN)])
def test_how_often_head_alone_has_to_fail_to_be_worth_a_word(head: int, verdict: Verdict) -> None:
    assert judge(failing(measured(16, noise=0.004), base=0, head=head), DEFAULT).verdict is verdict


def test_a_few_failures_of_heads_alone_are_no_refusal() -> None:
    assert judge(failing(measured(32), base=0, head=12), DEFAULT).verdict is not Verdict.FAIL


def test_pairs_of_which_none_succeeded_as_a_whole_are_not_a_pass() -> None:
    judgement = judge(failing(measured(9), base=1, head=1), DEFAULT)

    assert (judgement.verdict, judgement.reason) == (Verdict.INCONCLUSIVE, "in no pair did both runs succeed")


def test_a_rate_above_one_breaks_the_comparison() -> None:
    pairs = counts([1.0] * 2, [1.5] * 2, "success_rate")

    assert judge(pairs, DEFAULT).reason == "success rate of head in pair 1 is 1.5, a rate above 1"


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_a_jump_by_a_thousand_is_taken_for_another_unit(factor: float) -> None:
    judgement = judge(measured(8, factor * 1.1 - 1 if factor > 1 else factor / 1.1 - 1), policy(CPU))

    assert judgement.verdict is Verdict.BROKEN
    assert "was it measured in another unit?" in judgement.reason


def test_no_pairs_are_not_a_pass() -> None:
    assert judge([], DEFAULT).verdict is Verdict.BROKEN


def test_pairs_without_any_judged_metric_are_not_a_pass() -> None:
    judgement = judge([Pair({"x": 1.0}, {"x": 1.0})] * 8, DEFAULT)

    assert judgement.verdict is Verdict.BROKEN
    assert judgement.notes == ("measured, not judged: x",)


def test_what_was_configured_and_not_measured_is_said() -> None:
    judgement = judge(measured(8), policy(CPU, Metric("lint_warnings", MetricKind.COUNTER, 0.0)))

    assert judgement.notes == ("configured, not measured by any run: lint warnings",)


def test_known_metrics_that_nothing_measures_are_not_worth_a_word() -> None:
    assert judge(measured(8), DEFAULT).notes == ()


def with_wall(pairs: int, *, wall: float, noise: float, seed: int = 3) -> list[Pair]:
    """Pairs whose CPU time is the same and steady, with a wall time that is so much slower and so noisy."""
    times = measured(pairs, noise=0.005)
    walls = measured(pairs, wall, noise, "wall_seconds", seed)
    return [
        Pair({**one.base, **other.base}, {**one.head, **other.head}, one.head_first)
        for one, other in zip(times, walls, strict=True)
    ]


WALL = Metric("wall_seconds", MetricKind.TIME, 0.10, 0.01)


def test_noisy_wall_time_does_not_keep_cpu_time_that_passed_waiting() -> None:
    judged = judge(with_wall(12, wall=0.0, noise=0.4), policy(CPU, WALL))

    assert (judged.verdict, judged.decided, judged.metrics[1].verdict) == (Verdict.PASS, True, Verdict.INCONCLUSIVE)


def test_a_hint_of_slower_wall_time_keeps_the_verdict_open() -> None:
    judged = judge(with_wall(12, wall=0.35, noise=0.35, seed=11), policy(CPU, WALL))

    assert (judged.verdict, judged.decided) == (Verdict.INCONCLUSIVE, False)


def test_wall_time_alone_that_grows_is_refused() -> None:
    assert judge(with_wall(32, wall=0.3, noise=0.05), policy(CPU, WALL)).verdict is Verdict.FAIL


def test_where_the_undecided_is_refused_wall_time_has_to_pass_too() -> None:
    strict = policy(CPU, WALL)._replace(inconclusive="block")

    assert judge(with_wall(12, wall=0.0, noise=0.4), strict).verdict is Verdict.INCONCLUSIVE
