"""Of values that are lower bounds, a comparison says only what holds wherever the truth lies."""

from __future__ import annotations

import itertools
import json
import random
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchgate.commands.baseline import common
from orchgate.commands.perf import table
from orchgate.lib import files
from orchgate.measures.declared import MetricKind
from orchgate.model import Verdict
from orchgate.verdict import baseline, words
from orchgate.verdict.comparison import judge
from orchgate.verdict.exact import LowerBounds
from orchgate.verdict.stored import judge_stored, suspicious
from orchgate.verdict.values import Answer, Compared, ComparedCounter, Judgement, Metric, Pair, Policy
from tests.baselines import record
from tests.published import closed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

CPU = Metric("cpu_seconds", MetricKind.TIME, 0.05, 0.01)
WALL = Metric("wall_seconds", MetricKind.TIME, 0.10, 0.01)
PROCESSES = Metric("processes", MetricKind.COUNTER, 0.0)
PASSED = Metric("tests_passed", MetricKind.COUNTER, 0.0, more_is_worse=False)
WHY = "a child left its session"
PASS, WARN, FAIL, OPEN = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.INCONCLUSIVE
PROBABLY, UNKNOWN = Answer.PROBABLY_SLOWER, Answer.CANNOT_TELL
SIDES = [(False, False), (False, True), (True, False), (True, True)]
IDS = ["both exact", "head at least", "base at least", "both at least"]


def policy(*metrics: Metric, inconclusive: str = "warn") -> Policy:
    return Policy({metric.name: metric for metric in metrics}, inconclusive)


def pairs(slower: float, bounds: tuple[bool, bool], name: str = "cpu_seconds", count: int = 64) -> list[Pair]:
    """Head is so much slower; only the last run of a side could not be measured whole."""
    draw = random.Random(1)
    base, head = ({name: WHY} if bound else {} for bound in bounds)
    made = [
        Pair({name: 0.1 * draw.lognormvariate(0, 0.004)}, {name: 0.1 * (1 + slower) * draw.lognormvariate(0, 0.004)})
        for _ in range(count)
    ]
    return [made[0]._replace(base_bounds=base, head_bounds=head), *made[1:]]


def verdicts(slower: float) -> list[Verdict]:
    return [judge(pairs(slower, sides), policy(CPU)).verdict for sides in SIDES]


def test_a_slower_head_is_slower_also_where_more_of_it_is_not_known() -> None:
    assert verdicts(0.3) == [FAIL, FAIL, OPEN, OPEN]


@pytest.mark.parametrize("slower", [0.0, -0.3])
def test_a_head_that_is_not_slower_may_be_where_more_of_it_is_not_known(slower: float) -> None:
    assert verdicts(slower) == [PASS, OPEN, PASS, OPEN]


def test_slower_by_less_than_blocks_holds_of_exact_values_only() -> None:
    assert verdicts(0.03) == [WARN, OPEN, OPEN, OPEN]


@pytest.mark.parametrize(("sides", "answer"), list(zip(SIDES, [PROBABLY, PROBABLY, UNKNOWN, UNKNOWN], strict=True)))
def test_what_is_probably_slower_is_so_also_where_more_of_head_is_not_known(
    sides: tuple[bool, bool], answer: Answer
) -> None:
    draw = random.Random(7)
    bounds = [{"cpu_seconds": WHY} if bound else {} for bound in sides]
    values = [(draw.lognormvariate(0, 0.1), 1.06 * draw.lognormvariate(0, 0.1)) for _ in range(32)]
    noisy = [Pair({"cpu_seconds": base}, {"cpu_seconds": head}, False, bounds[0], bounds[1]) for base, head in values]

    (metric,) = judge(noisy, policy(CPU)).metrics

    assert (metric.answer, metric.pairs_missing is None) == (answer, answer is UNKNOWN)


@pytest.mark.parametrize(("head", "expected"), [(4, [FAIL, FAIL, OPEN, OPEN]), (3, [PASS, OPEN, PASS, OPEN])])
def test_counters_are_held_to_the_same(head: int, expected: list[Verdict]) -> None:
    found = []
    for base_bound, head_bound in SIDES:
        one = Pair({"processes": 3}, {"processes": head})
        bounds = [{"processes": WHY} if bound else {} for bound in (base_bound, head_bound)]
        found.append(judge([one._replace(base_bounds=bounds[0], head_bounds=bounds[1])] * 5, policy(PROCESSES)).verdict)

    assert found == expected


def test_where_less_is_worse_it_is_the_other_way_round() -> None:
    one = Pair({"tests_passed": 9}, {"tests_passed": 8})
    found = [
        judge([one._replace(base_bounds=base, head_bounds=head)] * 5, policy(PASSED)).verdict
        for base, head in itertools.product(({}, {"tests_passed": WHY}), repeat=2)
    ]

    assert found == [FAIL, OPEN, FAIL, OPEN]


def test_a_maximum_that_is_passed_is_passed_whatever_base_is() -> None:
    held = policy(CPU._replace(most=0.05))

    assert [judge(pairs(0.0, sides), held).verdict for sides in SIDES] == [FAIL] * 4


def test_undecided_by_a_bound_does_not_hide_that_something_else_is_slower() -> None:
    made = [
        Pair({**one.base, **other.base}, {**one.head, **other.head}, one.head_first, one.base_bounds)
        for one, other in zip(pairs(0.5, (True, False)), pairs(0.13, (False, False), "wall_seconds"), strict=True)
    ]

    judgement = judge(made, policy(CPU, WALL))

    assert [one.verdict for one in judgement.metrics] == [OPEN, FAIL]


def test_the_result_is_named() -> None:
    judgement = judge(pairs(-0.218, (False, True)), policy(CPU))

    assert list(words.headlines(judgement)) == [f"cannot tell: CPU time of head is a lower bound: {WHY}"]


def test_no_change_is_told_where_it_cannot_be() -> None:
    text = "\n".join(table.rows(judge(pairs(-0.218, (True, True)), policy(CPU))))

    assert ("%" in text, text.count("≥ ")) == (False, 2)


@pytest.mark.parametrize(
    ("slower", "sides", "said"),
    [(0.3, (False, True), "CPU time changed by at least +"), (-0.3, (True, False), "CPU time is not worse: at most -")],
)
def test_what_holds_is_said_as_a_bound(slower: float, sides: tuple[bool, bool], said: str) -> None:
    (metric,) = judge(pairs(slower, sides), policy(CPU)).metrics

    assert words.compared(metric).startswith(said)
    assert words.compared(metric).count("≥ ") == 1


# Stored runs


def stored(slower: float, bounds: tuple[bool, bool]) -> tuple[Verdict, tuple[str, ...]]:
    known = LowerBounds(*({"cpu_seconds": WHY} if bound else {} for bound in bounds))
    arms = {"cpu_seconds": [0.1, 0.101] * 6}, {"cpu_seconds": [0.1 * (1 + slower)]}
    return judge_stored(*arms, policy(CPU), known).verdict, suspicious(*arms, policy(CPU), known)


@pytest.mark.parametrize(
    ("slower", "expected"),
    [(0.5, [FAIL, FAIL, OPEN, OPEN]), (-0.2, [PASS, OPEN, PASS, OPEN])],
)
def test_stored_runs_are_held_to_the_same(slower: float, expected: list[Verdict]) -> None:
    assert [stored(slower, sides)[0] for sides in SIDES] == expected


def test_a_head_of_which_more_is_not_known_is_suspicious() -> None:
    assert [stored(-0.2, sides)[1] for sides in SIDES] == [(), ("cpu_seconds",), (), ("cpu_seconds",)]


def test_a_baseline_keeps_what_is_a_lower_bound() -> None:
    one = record(lower_bounds={"cpu_seconds": WHY})
    data = baseline.render(baseline.Baseline({one.place: one}))
    jsonschema.validate(json.loads(data), json.loads(files.read_data("schemas", "baseline.json")))

    assert baseline.parse(data).records[one.place] == one


@pytest.mark.parametrize("value", ["1", '""', "[]", '"two\\nlines"'])
def test_a_baseline_that_says_something_else_of_it_is_refused(value: str) -> None:
    one = record(lower_bounds={"cpu_seconds": WHY})
    data = baseline.render(baseline.Baseline({one.place: one})).replace(json.dumps(WHY).encode(), value.encode())

    with pytest.raises(baseline.BaselineError, match="expected one line of text"):
        baseline.parse(data)


def test_a_baseline_is_shown_with_what_is_a_lower_bound() -> None:
    metric = common._metric("cpu_seconds", [0.1, 0.2], WHY)

    text = "\n".join(common._table([metric]))

    assert (text.count("≥ "), WHY in text) == (4, True)


def test_reasons_of_several_runs_are_one_line_each() -> None:
    found = common.bounds(
        [{"cpu_seconds": "a\nb", "x": "y"}, {"cpu_seconds": "c"}, {"wall_seconds": " "}],
        ["cpu_seconds", "wall_seconds"],
    )

    assert found == {"cpu_seconds": "a b", "wall_seconds": "not measured whole"}


# Replayed samples


def lines(slower: float, sides: tuple[bool, bool]) -> str:
    made: list[dict[str, Any]] = []
    for number, pair in enumerate(pairs(slower, sides)):
        for order, (arm, metrics, bounds) in enumerate(
            (("base", pair.base, pair.base_bounds), ("head", pair.head, pair.head_bounds))
        ):
            line = {"stream": "s", "pair": number, "arm": arm, "order": order, "metrics": metrics}
            made.append(line | ({"lower_bounds": bounds} if bounds else {}))
    return "".join(json.dumps(line) + "\n" for line in made)


@pytest.mark.slow
@pytest.mark.parametrize("policy_says", ["warn", "block"])
def test_a_replay_is_held_to_the_same_and_stores_nothing(repo: Repo, tmp_path: Path, policy_says: str) -> None:
    repo.write("orchgate.toml", f'[performance]\ninconclusive = "{policy_says}"\n')
    git = repo.root / ".git"
    before = sorted(str(path) for path in git.rglob("*"))
    found = {}
    for name, sides in zip(IDS, SIDES, strict=True):
        file = tmp_path / "samples.jsonl"
        file.write_text(lines(-0.2, sides))
        done = repo.orchgate("perf", "--replay", str(file), "--output-format", "json")
        document = json.loads(done.out)
        jsonschema.validate(document, closed("perf"))
        found[name] = (done.code, document["verdict"], document["streams"][0]["metrics"][0]["head_lower_bound"])

    open_ = 3 if policy_says == "block" else 0
    assert found == {
        "both exact": (0, "pass", None),
        "head at least": (open_, "inconclusive", WHY),
        "base at least": (0, "pass", None),
        "both at least": (open_, "inconclusive", WHY),
    }
    assert sorted(str(path) for path in git.rglob("*")) == before


@pytest.mark.slow
def test_bounds_that_are_none_are_no_samples(repo: Repo) -> None:
    repo.write("x.jsonl", lines(0.0, (False, True)).replace(f'"{WHY}"', "7"))

    done = repo.orchgate("perf", "--replay", "x.jsonl")

    assert (done.code, "'lower_bounds' is not an object of reasons" in done.out) == (3, True)


# Estimate and medians on one line


def change_and_medians(one: Compared) -> tuple[str, float]:
    assert one.change_of_medians is not None
    return words.change(one), 100 * one.change_of_medians


def test_a_change_of_pairs_that_the_medians_do_not_show_says_so() -> None:
    one = Compared("cpu_seconds", PASS, -0.03, -0.05, -0.01, 20, 0.01, 0.02, 10.0, 9.0)

    assert words.compared(one) == (
        "CPU time is not worse: -3.0 % (-5.0 % to -1.0 %; medians 10.0 s -> 9.000 s, -10.0 %)"
    )


def test_the_table_says_it_below() -> None:
    one = Compared("cpu_seconds", PASS, -0.03, -0.05, -0.01, 20, 0.01, 0.02, 10.0, 9.0)

    *_, last = table.rows(Judgement(PASS, (one,)))

    assert last.strip() == (
        "the change is estimated from pairs; the medians of base and head alone moved by: CPU time -10.0 %"
    )


SECONDS = st.floats(0.01, 100)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=8, max_size=16))
def test_what_is_said_of_pairs_agrees_with_the_medians_or_says_why_not(values: list[tuple[float, float]]) -> None:
    judgement = judge([Pair({"cpu_seconds": b}, {"cpu_seconds": h}) for b, h in values], policy(CPU))
    for one in judgement.metrics:
        text, medians = change_and_medians(one)
        agrees = one.estimate is not None and abs(100 * one.estimate - medians) <= 0.21
        assert agrees or "medians" in text


def test_a_counter_that_is_a_bound_is_no_exact_comparison() -> None:
    one = ComparedCounter("processes", OPEN, 3, 3, f"processes of head is a lower bound: {WHY}", None, WHY)

    assert "exact" not in "\n".join(table.rows(Judgement(OPEN, (), (one,))))


def test_a_count_that_went_up_in_too_few_runs_warns_also_where_head_may_count_more() -> None:
    pair = Pair({"processes": 3}, {"processes": 4}, head_bounds={"processes": WHY})

    assert [one.verdict for one in judge([pair] * 2, Policy({"processes": PROCESSES})).counters] == [Verdict.WARN]
