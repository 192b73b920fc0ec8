"""Many benchmarks of one run, judged together: what is believed of them, and what only one side has."""

from __future__ import annotations

import random
from math import exp
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.model import Verdict
from orchgate.verdict import reported_benchmarks
from orchgate.verdict.benchmarks import FALSE, PROBABLE, believed, first_look, pairs_needed, threshold
from orchgate.verdict.comparison import judge
from orchgate.verdict.values import (
    BENCHMARK,
    KNOWN,
    RESULTS,
    USUAL_BENCHMARK,
    Answer,
    BenchmarkJudgement,
    BenchmarkLimits,
    Pair,
    Policy,
    Sitting,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLICY = Policy({metric.name: metric for metric in KNOWN}, benchmarks=BenchmarkLimits(required=True))


def pairs_of(
    count: int, names: Sequence[str], slower: Mapping[str, float] | None = None, spread: float = 0.02
) -> list[Pair]:
    """Pairs of runs with noise; benchmarks in `slower` take so much longer on head, as a fraction."""
    draw = random.Random(f"{count} {len(names)}")

    def run(factors: Mapping[str, float]) -> dict[str, float]:
        times = {
            BENCHMARK + name: 1e-3 * exp(abs(draw.gauss(0, spread))) * (1 + factors.get(name, 0)) for name in names
        }
        return {"cpu_seconds": exp(abs(draw.gauss(0, 0.001))), **times}

    return [Pair(run({}), run(slower or {}), draw.random() < 0.5) for _ in range(count)]


def named(pairs: Sequence[Pair], policy: Policy = POLICY) -> BenchmarkJudgement:
    found = judge(pairs, policy).benchmarks
    assert found is not None
    return found


def answers(found: BenchmarkJudgement) -> dict[str, Answer]:
    return {one.name: one.answer for one in found.judged}


def lines(pairs: Sequence[Pair]) -> list[str]:
    judgement = judge(pairs, POLICY)
    return [*reported_benchmarks.headlines(judgement), *reported_benchmarks.lines(judgement)]


def without(pair: Pair, side: str, name: str, why: str = "") -> Pair:
    """A pair in which one side has no value of a benchmark, for a reason that is told or not."""
    unread = {BENCHMARK + name: why} if why else {}
    metrics = {key: value for key, value in getattr(pair, side).items() if key != BENCHMARK + name}
    fields: dict[str, Any] = {side: metrics, f"{side}_unread": {**getattr(pair, f"{side}_unread"), **unread}}
    return pair._replace(**fields)


HUNDRED = [f"b{number}" for number in range(100)]


# What is believed


def test_the_one_of_a_hundred_that_got_slower_is_named() -> None:
    found = named(pairs_of(16, HUNDRED, {"b7": 0.2}))

    assert (found.judged[0].name, found.judged[0].verdict) == ("b7", Verdict.FAIL)
    assert {one.verdict for one in found.judged[1:]} == {Verdict.PASS}


def test_those_that_moved_come_worst_first_and_the_rest_in_a_line() -> None:
    told = lines(pairs_of(22, HUNDRED, {"b7": 0.1, "b8": 0.3, "b9": 0.03}, spread=0.004))

    assert [line[:12] for line in told] == ["benchmark b8", "benchmark b7", "benchmark b9", "other benchm"]
    assert told[3] == "other benchmarks: 97 not slower"


@pytest.mark.slow
def test_one_that_is_slower_by_less_than_blocks_is_a_warning() -> None:
    assert judge(pairs_of(22, HUNDRED, {"b9": 0.03}, spread=0.004), POLICY).verdict is Verdict.WARN


@pytest.mark.slow
def test_what_is_named_has_an_interval_around_its_change() -> None:
    one = named(pairs_of(32, HUNDRED, {"b7": 0.2})).judged[0]

    assert one.low is not None
    assert one.high is not None
    assert 0.01 < one.low < 0.2 < one.high < 0.3


@pytest.mark.slow
def test_hundreds_that_are_the_same_are_not_slower() -> None:
    names = [f"b{number}" for number in range(300)]

    assert judge(pairs_of(16, names), POLICY).verdict is Verdict.PASS


@pytest.mark.slow
def test_more_than_ten_that_moved_are_counted() -> None:
    told = lines(pairs_of(16, HUNDRED, dict.fromkeys(HUNDRED[:13], 0.3)))

    assert (len(told), told[10]) == (12, "and 3 more benchmarks like these")


def test_with_few_pairs_nothing_is_slower_and_that_is_said() -> None:
    pairs = pairs_of(9, HUNDRED[:20], {"b7": 0.5})

    assert judge(pairs, POLICY).verdict is Verdict.PASS
    assert lines(pairs)[0].startswith(
        "benchmarks: 19 not slower, 1 undecided (9 pairs of the 12 that 20 benchmarks need; most changed: b7 +"
    )


def test_with_a_pair_more_it_is_probably_slower() -> None:
    pairs = pairs_of(10, HUNDRED[:20], {"b7": 0.5})

    assert answers(named(pairs))["b7"] is Answer.PROBABLY_SLOWER
    assert [judge(pairs, POLICY._replace(inconclusive=word)).verdict for word in ("warn", "block")] == [
        Verdict.WARN,
        Verdict.INCONCLUSIVE,
    ]


@pytest.mark.slow
def test_a_comparison_goes_on_until_its_benchmarks_can_be_judged() -> None:
    pairs = pairs_of(16, HUNDRED)

    assert [judge(pairs[:count], POLICY).decided for count in (8, 12, 16)] == [False, False, True]


@pytest.mark.slow
def test_before_its_first_look_nothing_is_believed_while_more_pairs_are_to_come() -> None:
    pairs, sittings = pairs_of(12, HUNDRED, dict.fromkeys(HUNDRED, 0.5)), (Sitting(0, 64),)

    early, last = (judge(pairs, POLICY, sittings, ended=ended).benchmarks for ended in (False, True))

    assert early is not None
    assert last is not None
    assert (early.verdict, last.verdict) == (Verdict.INCONCLUSIVE, Verdict.FAIL)


def test_a_sitting_has_its_own_share_of_the_false_ones() -> None:
    pairs = pairs_of(16, HUNDRED, {"b7": 0.5})

    whole, part = (judge(pairs, POLICY, (Sitting(0, 16, share),)).benchmarks for share in (1.0, 0.1))

    assert whole is not None
    assert part is not None
    assert (whole.judged[0].answer, part.judged[0].answer) == (Answer.SLOWER, Answer.PROBABLY_SLOWER)


def test_a_comparison_goes_on_while_many_benchmarks_are_open() -> None:
    assert not judge(pairs_of(16, HUNDRED, spread=0.5), POLICY).decided


def test_the_more_benchmarks_the_more_pairs_they_need() -> None:
    assert [first_look(many) for many in (1, 20, 500, 5000)] == [12, 16, 22, 22]


@pytest.mark.slow
def test_limits_are_found_by_name_then_by_glob() -> None:
    lenient = USUAL_BENCHMARK._replace(block=0.5)
    policy = POLICY._replace(benchmarks=BenchmarkLimits((("b*", lenient), ("b7", USUAL_BENCHMARK)), required=True))

    found = named(pairs_of(16, HUNDRED, {"b7": 0.2, "b8": 0.2}), policy)

    assert {one.name: one.verdict for one in found.judged[:2]} == {"b7": Verdict.FAIL, "b8": Verdict.WARN}


def test_a_star_of_a_limit_matches_folders_too() -> None:
    lenient = USUAL_BENCHMARK._replace(block=9.0)
    policy = POLICY._replace(benchmarks=BenchmarkLimits((("*parse*", lenient),), required=True))

    found = named(pairs_of(16, ["tests/a.py::test_parse[1]", "z"], {"tests/a.py::test_parse[1]": 0.5}), policy)

    assert found.judged[0].verdict is Verdict.WARN


def test_a_bound_of_a_benchmark_is_about_head_alone() -> None:
    policy = POLICY._replace(benchmarks=BenchmarkLimits((("b1", USUAL_BENCHMARK._replace(most=1e-6)),), required=True))

    one = named(pairs_of(8, ["b1", "b2"]), policy).judged[0]

    assert (one.name, one.verdict) == ("b1", Verdict.FAIL)
    assert "above its maximum" in one.reason


def test_where_undecided_blocks_one_undecided_benchmark_does() -> None:
    pairs = zip(pairs_of(16, ["quiet"]), pairs_of(16, ["noisy"], spread=0.5), strict=True)
    noisy = [Pair({**other.base, **one.base}, {**other.head, **one.head}) for one, other in pairs]

    assert [judge(noisy, POLICY._replace(inconclusive=word)).verdict for word in ("warn", "block")] == [
        Verdict.PASS,
        Verdict.INCONCLUSIVE,
    ]


# False discoveries


def believed_falsely(level: float, rounds: int, many: int) -> float:
    """The mean fraction of false ones among those believed, of tests that all hang on one coin: half of them slower."""
    draw, total = random.Random(7), 0.0
    for _ in range(rounds):
        shared = draw.random()
        p_values = {f"true{number}": min(1.0, draw.random() * 1e-4) for number in range(many // 20)}
        p_values |= {f"false{number}": (shared if number % 2 else 1 - shared) for number in range(many)}
        found = believed(p_values, level)
        total += sum(name.startswith("false") for name in found) / max(len(found), 1)
    return total / rounds


@pytest.mark.slow
def test_false_discoveries_stay_below_their_rate_when_all_tests_hang_on_one_coin() -> None:
    assert believed_falsely(0.1, 2000, 100) <= 0.1


def test_thresholds_are_those_that_hold_under_any_dependence() -> None:
    """What each rank adds to the threshold, divided by the rank, adds up to the level: Blanchard, Roquain 2008."""
    many = 50
    gains = [
        threshold(rank, many, 1.0) - (threshold(rank - 1, many, 1.0) if rank > 1 else 0.0)
        for rank in range(1, many + 1)
    ]

    assert sum(many * gain / rank for rank, gain in enumerate(gains, 1)) == pytest.approx(1.0)


def test_alone_among_five_hundred_takes_sixteen_pairs() -> None:
    assert pairs_needed(500, FALSE) == 16


def test_probable_is_wider_than_believed() -> None:
    assert FALSE < PROBABLE


# What only one side has


def test_a_benchmark_that_head_does_not_have_is_listed_and_refuses_nothing() -> None:
    pairs = [without(pair, "head", "b1") for pair in pairs_of(16, ["b1", "b2"])]

    assert judge(pairs, POLICY).verdict is Verdict.PASS
    assert "benchmarks removed, and so not compared: b1" in lines(pairs)


def test_a_benchmark_that_base_does_not_have_is_listed() -> None:
    pairs = [without(pair, "base", "b1") for pair in pairs_of(16, ["b1", "b2"])]

    assert "benchmarks added: b1" in lines(pairs)


def test_a_renamed_benchmark_is_guessed_at_and_not_compared() -> None:
    names = ["test_parse_json", "test_parse_jsonl", "z"]
    pairs = [
        without(without(pair, "head", names[0]), "base", names[1]) for pair in pairs_of(16, names, {names[1]: 3.0})
    ]

    assert named(pairs).renamed == ((names[0], names[1]),)
    assert answers(named(pairs)) == {"z": Answer.NOT_SLOWER}


def test_a_benchmark_that_fails_on_head_alone_is_refused_with_its_reason() -> None:
    pairs = [without(pair, "head", "b1", "exit 1 in 3 runs") for pair in pairs_of(16, ["b1", "b2"])]

    assert judge(pairs, POLICY).verdict is Verdict.FAIL
    assert lines(pairs)[0] == "benchmark b1 has no result in any run of head: exit 1 in 3 runs"


def test_a_benchmark_that_fails_on_both_sides_is_nobody_s_fault() -> None:
    pairs = pairs_of(16, ["b1", "b2"])
    pairs = [without(without(pair, "head", "b1", "its time is nan"), "base", "b1", "its time is nan") for pair in pairs]

    assert judge(pairs, POLICY).verdict is Verdict.PASS
    assert "benchmark b1 has no result in any run of base and head: its time is nan" in lines(pairs)


def test_a_benchmark_that_fails_at_times_on_head_is_a_warning() -> None:
    pairs = pairs_of(16, ["b1", "b2"])
    pairs[3] = without(pairs[3], "head", "b1")

    assert judge(pairs, POLICY).verdict is Verdict.WARN
    assert "benchmark b1 has no result in 1 of 16 runs of head: it was not reported" in lines(pairs)


def test_runs_that_fail_at_times_are_no_benchmarks_that_do() -> None:
    pairs = pairs_of(16, ["a", "b"])
    pairs[3] = pairs[3]._replace(head={"success_rate": 0.0})

    assert (named(pairs).failed, len(named(pairs).judged)) == ((), 2)


def test_a_file_that_head_never_writes_is_refused() -> None:
    pairs = [
        pair._replace(head={"cpu_seconds": 1.0}, head_unread={RESULTS: "bench.json was not written"})
        for pair in pairs_of(16, ["b1", "b2"])
    ]

    assert judge(pairs, POLICY).verdict is Verdict.FAIL
    assert lines(pairs) == ["head reports no benchmark, base 2: bench.json was not written"]


def test_a_file_that_base_never_writes_makes_all_benchmarks_new() -> None:
    pairs = [
        pair._replace(base={"cpu_seconds": 1.0}, base_unread={RESULTS: "bench.json was not written"})
        for pair in pairs_of(16, ["b1", "b2"])
    ]

    assert judge(pairs, POLICY).verdict is Verdict.PASS
    assert "benchmarks added: b1, b2" in lines(pairs)


def test_a_file_that_nobody_writes_is_no_answer_and_its_reason_said() -> None:
    unread = {RESULTS: "bench.json is empty"}
    pairs = [Pair({"cpu_seconds": 1.0}, {"cpu_seconds": 1.0}, False, {}, {}, unread, unread)] * 16

    judgement = judge(pairs, POLICY)

    assert judgement.verdict is Verdict.BROKEN
    assert judgement.reason == "no benchmark could be compared: base: bench.json is empty; head: bench.json is empty"


def test_a_file_that_is_torn_at_times_on_head_is_one_warning_and_not_one_a_benchmark() -> None:
    pairs = pairs_of(16, HUNDRED)
    pairs[5] = pairs[5]._replace(head={"cpu_seconds": 1.0}, head_unread={RESULTS: "bench.json is empty"})

    assert lines(pairs) == [
        "the file of results could not be read in 1 of 16 runs of head: bench.json is empty",
        "benchmarks: 100 not slower",
    ]


def test_a_time_beyond_all_measure_is_slower_and_no_internal_error() -> None:
    (one,) = named([Pair({"benchmark:a": 1e-9}, {"benchmark:a": 1e305})] * 16).judged

    assert one.answer is Answer.SLOWER


def test_without_benchmarks_nothing_is_said_of_them() -> None:
    judgement = judge(
        [Pair({"cpu_seconds": 1.0}, {"cpu_seconds": 1.0})] * 8, POLICY._replace(benchmarks=BenchmarkLimits())
    )

    assert (judgement.benchmarks, lines([])) == (None, [])


def test_samples_of_benchmarks_alone_are_judged() -> None:
    pairs = [
        Pair(dict(sorted(pair.base.items())[:2]), dict(sorted(pair.head.items())[:2]))
        for pair in pairs_of(16, ["b1", "b2"], {"b1": 0.5})
    ]

    assert judge(pairs, POLICY).verdict is Verdict.FAIL


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_recorded_time_that_is_none_is_that_benchmark_s_alone(value: float) -> None:
    pairs = [pair._replace(head={**pair.head, "benchmark:b1": value}) for pair in pairs_of(16, ["b1", "b2"])]

    assert lines(pairs)[0] == f"benchmark b1 has no result in any run of head: its time is {value:g}"


# In words


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(12.345, "12.3 s"), (0.0123, "12.3 ms"), (1.5e-6, "1.5 µs"), (2.34e-10, "0.234 ns"), (999.9, "1000 s")],
)
def test_times_of_benchmarks_have_three_digits(seconds: float, shown: str) -> None:
    assert reported_benchmarks.duration(seconds) == shown
