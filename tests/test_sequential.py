"""The rule of a comparison: what it spends, what it calls slower, and what its four answers stand for."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchgate.measures.declared import MetricKind
from orchgate.model import Verdict
from orchgate.verdict import samples, sign_flip, words
from orchgate.verdict.comparison import judge
from orchgate.verdict.sequential import ALARM, MISS, NO_LOOK, PROBABLE, Look, MetricState, looks, settle
from orchgate.verdict.values import KNOWN, LOOKS, Answer, Metric, Pair, Policy, Sitting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CPU = Metric("cpu_seconds", MetricKind.TIME, 0.05, 0.01)
WALL = Metric("wall_seconds", MetricKind.TIME, 0.10, 0.01)
MEMORY = Metric("max_rss_bytes", MetricKind.MEMORY, 0.03, 0.01)
ALONE = Policy({"cpu_seconds": CPU})


def measured(pairs: int, slower: float, noise: float, seed: int, name: str = "cpu_seconds") -> list[Pair]:
    draw = random.Random(seed)
    return [
        Pair({name: draw.lognormvariate(0, noise)}, {name: (1 + slower) * draw.lognormvariate(0, noise)})
        for _ in range(pairs)
    ]


def together(*streams: Sequence[Pair]) -> list[Pair]:
    """Pairs that hold the metrics of all of these."""
    return [
        Pair({k: v for p in pairs for k, v in p.base.items()}, {k: v for p in pairs for k, v in p.head.items()})
        for pairs in zip(*streams, strict=True)
    ]


# What the looks spend

stretches = st.lists(st.tuples(st.integers(0, 70), st.integers(1, 300), st.floats(0, 0.6)), min_size=1, max_size=4)


def sitting_after_sitting(drawn: Sequence[tuple[int, int, float]]) -> tuple[list[Sitting], int]:
    """Sittings of so many pairs each, planned for other numbers than they got; and how many pairs there are in all."""
    made, begun = [], 0
    for held, planned, share in drawn:
        made.append(Sitting(begun, begun + planned, share))
        begun += held
    return made, begun


@pytest.mark.slow
@given(stretches, st.booleans())
def test_no_more_is_spent_than_the_shares_whatever_was_planned_and_whenever_it_ended(
    drawn: list[tuple[int, int, float]], ended: bool
) -> None:
    sittings, pairs = sitting_after_sitting(drawn)
    spent = [NO_LOOK, *looks(pairs, sittings, ended=ended)]
    allowed = min(1.0, sum(one.share for one in sittings)) + 1e-9

    assert spent == sorted(spent)
    assert all(one.alarm <= allowed and one.miss <= allowed for one in spent)


@pytest.mark.slow
@given(stretches)
def test_the_last_look_spends_all_that_is_left_also_where_the_clock_ended_it(
    drawn: list[tuple[int, int, float]],
) -> None:
    sittings, pairs = sitting_after_sitting(drawn)
    last = list(looks(pairs, sittings, ended=True))[-1:]

    if last and last[0].pairs == pairs > sittings[-1].begun:
        whole = min(1.0, sum(one.share for one in sittings))
        assert (last[0].alarm, last[0].miss) == pytest.approx((whole, whole))


def test_a_sitting_that_goes_on_is_looked_at_where_the_looks_are_and_nowhere_else() -> None:
    sitting = [Sitting(0, 64)]

    assert [one.pairs for one in looks(30, sitting, ended=False)] == [8, 12, 16, 22]
    assert [one.pairs for one in looks(30, sitting, ended=True)] == [8, 12, 16, 22, 30]


def test_looks_of_former_sittings_stay_what_they_were() -> None:
    first = Sitting(0, 40, 2 / 3)
    alone, later = looks(27, [first], ended=True), looks(60, [first, Sitting(27, 90, 2 / 9)], ended=False)

    assert list(later)[:5] == list(alone)


def test_what_a_sitting_of_few_pairs_could_not_spend_the_next_one_may() -> None:
    """Five pairs show nothing, and their share is not lost."""
    pairs, shares = measured(12, 1.0, 0.01, 1), [Sitting(0, 5, 2 / 3), Sitting(5, 12, 2 / 9)]

    (metric,) = judge(pairs, ALONE, shares).metrics

    assert (metric.verdict, metric.pairs) == (Verdict.FAIL, 12)


# Exactness


@pytest.mark.slow
def test_over_all_ways_the_coins_could_have_fallen_a_slow_down_is_called_as_rarely_as_promised() -> None:
    """Runs that drift wildly, of the same work up to the tolerance: every labelling of ten pairs is as likely."""
    draw = random.Random(7)
    runs = [(draw.lognormvariate(0, 0.1) + n / 10, draw.lognormvariate(0, 0.1) + n / 10) for n in range(10)]
    called = sum(
        any(
            state.called
            for state in decided([swap(*run) if flip else run for run, flip in zip(runs, coins, strict=True)])
        )
        for coins in itertools.product((False, True), repeat=10)
    )

    assert 0 < called <= ALARM * 2**10


def swap(base: float, head: float) -> tuple[float, float]:
    """The same two runs, the other one called head, where head does as much more work as is tolerated."""
    return head / 1.01, base * 1.01


def decided(runs: Sequence[tuple[float, float]]) -> Iterator[MetricState]:
    """The states of CPU time after each look."""
    states: dict[str, MetricState] = {}
    before = NO_LOOK
    pairs = [Pair({"cpu_seconds": base}, {"cpu_seconds": head}) for base, head in runs]
    for look in looks(len(pairs), [], ended=True):
        settle(pairs[: look.pairs], [CPU], states, look, before)
        before = look
        yield states["cpu_seconds"]


@pytest.mark.parametrize(("metrics", "share"), [([CPU], 1.0), ([CPU, WALL, MEMORY], 0.8), ([WALL, MEMORY], 0.5)])
def test_cpu_time_holds_most_of_the_alarms_and_the_others_share_the_rest(metrics: list[Metric], share: float) -> None:
    states: dict[str, MetricState] = {}
    streams = [measured(16, 0.0, 0.1, number, metric.name) for number, metric in enumerate(metrics)]

    settle(together(*streams), metrics, states, Look(16, 1.0, 1.0), NO_LOOK)

    assert states[metrics[0].name].level == pytest.approx(ALARM * share)


def test_a_metric_that_is_slower_leaves_its_part_of_the_alarms_to_the_others() -> None:
    states: dict[str, MetricState] = {}
    pairs = together(measured(16, 1.0, 0.1, 1), measured(16, 0.0, 0.1, 2, "wall_seconds"))

    settle(pairs, [CPU, WALL], states, Look(16, 1.0, 1.0), NO_LOOK)

    assert states["wall_seconds"].level == pytest.approx(ALARM)


def test_a_look_that_could_not_have_refused_leaves_its_part_to_the_next() -> None:
    states: dict[str, MetricState] = {}
    pairs, first = measured(16, 0.0, 0.1, 1), Look(8, 0.4, 0.5)  # 0.4 of ALARM is less than one outcome of eight coins

    settle(pairs[:8], [CPU], states, first, NO_LOOK)
    settle(pairs, [CPU], states, Look(16, 0.6, 1.0), first)

    assert states["cpu_seconds"].level == pytest.approx(0.6 * ALARM)


def test_passing_is_paid_for_look_by_look() -> None:
    """In all looks together a change that blocks passes at most as often as MISS says."""
    spent = [NO_LOOK, *looks(256, [Sitting(0, 256)], ended=True)]

    assert sum(MISS * (now.miss - before.miss) for before, now in itertools.pairwise(spent)) == pytest.approx(MISS)


# Answers


def test_what_an_early_look_called_slower_has_to_be_probable_at_the_stop() -> None:
    odd, calm = measured(12, 0.5, 0.05, 1), measured(34, -0.01, 0.05, 2)
    states: dict[str, MetricState] = {}
    settle(odd, [CPU], states, Look(12, 0.5, 0.5), NO_LOOK)
    early = states["cpu_seconds"]

    settle([*odd, *calm], [CPU], states, Look(46, 1.0, 1.0), Look(12, 0.5, 0.5))
    late = states["cpu_seconds"]

    assert (early.verdict, late.called, late.test.p_slower > PROBABLE) == (Verdict.FAIL, True, True)
    assert late.verdict not in (Verdict.FAIL, Verdict.WARN)


@pytest.mark.parametrize(
    ("slower", "noise", "seed", "answer"),
    [
        (0.2, 0.02, 1, Answer.SLOWER),
        (0.03, 0.004, 1, Answer.SLOWER),
        (0.06, 0.1, 7, Answer.PROBABLY_SLOWER),
        (0.0, 0.02, 1, Answer.NOT_SLOWER),
        (0.0, 0.3, 3, Answer.CANNOT_TELL),
    ],
)
def test_there_are_four_answers(slower: float, noise: float, seed: int, answer: Answer) -> None:
    (metric,) = judge(measured(32, slower, noise, seed), ALONE).metrics

    assert metric.answer is answer


@pytest.mark.slow
def test_what_is_probable_says_how_many_pairs_are_missing_and_is_right_about_it() -> None:
    """With as many more as it says, most of such changes are called slower."""
    asked, found = 0, 0
    for seed in range(12):
        (metric,) = judge(measured(32, 0.06, 0.1, seed), ALONE).metrics
        if metric.probably and metric.pairs_missing is not None:
            asked += 1
            more = min(32 + metric.pairs_missing, LOOKS[-1])
            found += judge(measured(more, 0.06, 0.1, seed), ALONE).verdict in (Verdict.FAIL, Verdict.WARN)

    assert asked >= 3
    assert found >= asked - 1


def test_an_open_metric_says_how_many_pairs_would_show_what_blocks() -> None:
    (few,), (many,) = (judge(measured(32, 0.0, noise, 3), ALONE).metrics for noise in (0.15, 0.3))

    assert few.pairs_missing is not None
    assert many.pairs_missing is not None
    assert 32 < few.pairs_missing < many.pairs_missing


def test_where_the_undecided_blocks_the_probable_is_undecided() -> None:
    pairs = measured(32, 0.06, 0.1, 7)

    assert judge(pairs, ALONE).verdict is Verdict.WARN
    assert judge(pairs, ALONE._replace(inconclusive="block")).verdict is Verdict.INCONCLUSIVE


def test_the_probable_is_said_in_words() -> None:
    (metric,) = judge(measured(32, 0.06, 0.1, 7), ALONE).metrics

    assert words.compared(metric).startswith("CPU time: probably slower, +")
    assert words.compared(metric).endswith(f"about {metric.pairs_missing} more pairs would decide")


@pytest.mark.parametrize("name", ["max_rss_bytes", "read_bytes"])
def test_memory_is_not_slower_but_larger(name: str) -> None:
    (metric,) = judge(measured(32, 0.06, 0.1, 7), ALONE).metrics

    assert words.compared(metric._replace(name=name)).partition(": ")[2].startswith("probably larger, +")


def test_what_no_number_of_pairs_would_decide_is_said() -> None:
    (metric,) = judge(measured(32, 0.06, 0.1, 7), ALONE).metrics

    assert "would not be enough" in words.compared(metric._replace(pairs_missing=300))


# Intervals


@pytest.mark.slow
def test_the_interval_of_the_look_at_which_it_stopped_covers_the_change() -> None:
    """Stopping selects looks at which chance had a hand; 95 % of 100, less two standard deviations."""
    covered = 0
    for seed in range(100):
        (metric,) = judge(measured(32, 0.06, 0.05, seed), ALONE).metrics
        covered += metric.low is not None and metric.high is not None and metric.low <= 0.06 <= metric.high

    assert covered >= 91


@pytest.mark.slow
@given(st.integers(0, 10_000))
@hypothesis_settings(max_examples=10)
def test_the_interval_of_a_pass_holds_the_estimate(seed: int) -> None:
    (metric,) = judge(measured(16, 0.0, 0.03, seed), ALONE).metrics

    assert metric.low is not None
    assert metric.high is not None
    assert metric.estimate is not None
    assert metric.low <= metric.estimate <= metric.high


# Everything that is decided is said


def refused_memory(slower: float, noise: float, seed: int = 1) -> list[Pair]:
    """Memory that doubles from the first pair on, beside a CPU time."""
    memory = [Pair({"max_rss_bytes": 1e8}, {"max_rss_bytes": 2e8})] * 64
    return together(memory, measured(64, slower, noise, seed))


BOTH = Policy({metric.name: metric for metric in KNOWN[:3]})


def stopped(pairs: Sequence[Pair]) -> tuple[int, list[Answer]]:
    judgement = judge(pairs, BOTH, [Sitting(0, 64)], ended=False)
    assert judgement.decided
    return judgement.metrics[0].pairs, [one.answer for one in judgement.metrics]


def test_a_refusal_waits_for_a_cpu_time_that_grew_too() -> None:
    pairs, answers = stopped(refused_memory(2.4, 0.3))

    assert (pairs > LOOKS[0], answers) == (True, [Answer.SLOWER, Answer.SLOWER])


def test_a_refusal_does_not_wait_for_a_cpu_time_that_nothing_speaks_against() -> None:
    pairs, answers = stopped(refused_memory(-0.1, 0.4, seed=3))

    assert (pairs, answers[1]) == (16, Answer.SLOWER)


def test_both_are_in_the_headlines() -> None:
    told = list(words.headlines(judge(refused_memory(2.4, 0.3), BOTH)))

    assert [line.split(" changed")[0] for line in told] == ["CPU time", "memory"]


def test_a_warning_is_told_after_what_was_refused() -> None:
    judgement = judge(refused_memory(0.03, 0.004), BOTH)
    told = [*words.headlines(judgement), *words.milder(judgement)]

    assert [line.split(" changed")[0] for line in told] == ["memory", "CPU time"]


# Pairs of several machines


def spread_over(machines: int, pairs: int, slower: float, seed: int) -> list[Pair]:
    """Pairs of machines of which each has its own speed; one run in five is disturbed."""
    draw = random.Random(seed)
    speeds = [draw.gauss(0, 0.3) for _ in range(machines)]

    def run(machine: int, more: float) -> dict[str, float]:
        disturbed = draw.expovariate(5) if draw.random() < 0.2 else 0.0
        return {"cpu_seconds": math.exp(speeds[machine] + draw.gauss(0, 0.03) + disturbed) * (1 + more)}

    ran = [number % machines for number in range(pairs)]
    return [Pair(run(one, 0.0), run(one, slower), machine=f"class/{one}") for one in ran]


@given(st.integers(0, 10**9), st.integers(2, 4), st.sampled_from([0.0, 0.01, 0.3]))
def test_pairs_of_several_machines_are_called_slower_no_more_often_than_coins_allow(
    seed: int, machines: int, tolerance: float
) -> None:
    """Counted over all ways the coins could have fallen, nothing being drawn at random."""
    metric = Metric("cpu_seconds", MetricKind.TIME, 0.05)
    sample = samples.scale(spread_over(machines, 7, math.exp(tolerance) - 1, seed), metric).sample
    assert len(set(sample.groups)) == machines
    found = []
    for coins in itertools.product((False, True), repeat=7):
        arms = [
            (head - tolerance, base + tolerance) if coin else (base, head)
            for coin, base, head in zip(coins, sample.base, sample.head, strict=True)
        ]
        turned = sign_flip.Sample(tuple(one for one, _ in arms), tuple(other for _, other in arms), sample.groups)
        found.append(sign_flip.p_above(turned, tolerance))

    for level in (1 / 128, 0.05, 0.25):
        assert sum(p <= level for p in found) <= level * len(found) * (1 + 1e-9)


def test_a_slowdown_is_found_in_pairs_of_machines_as_in_those_of_one() -> None:
    """The speeds of the machines differ by far more than head from base."""
    streams = [spread_over(4, 16, 0.10, seed) for seed in range(60)]
    on_one = [[pair._replace(machine="") for pair in pairs] for pairs in streams]
    found, unknown = (
        sum(judge(pairs, ALONE).metrics[0].answer is Answer.SLOWER for pairs in which) for which in (streams, on_one)
    )

    assert found >= 50
    assert unknown <= found - 5


def test_unchanged_code_on_several_machines_is_not_refused() -> None:
    refused = [judge(spread_over(4, 32, 0.0, seed), ALONE).verdict is Verdict.FAIL for seed in range(100)]

    assert sum(refused) == 0


def test_pairs_of_one_machine_are_judged_as_if_nobody_had_named_it() -> None:
    pairs = measured(16, 0.1, 0.03, 1)

    assert judge([pair._replace(machine="class/1") for pair in pairs], ALONE) == judge(pairs, ALONE)
