"""Head against stored runs of base: what blocks, what only warns, and what looks odd enough to be measured in pairs."""

from __future__ import annotations

import pytest

from orchgate.measures.declared import MetricKind
from orchgate.model import Verdict
from orchgate.verdict.stored import judge_stored, suspicious
from orchgate.verdict.values import KNOWN, Compared, Metric, Policy

DEFAULT = Policy({metric.name: metric for metric in KNOWN})
SPREAD = (1.0, 1.02, 0.98, 1.01, 0.99, 1.03, 0.97, 1.0, 1.015, 0.985)  # median 1.0, about 2 % apart


def cpu(*head: float, base: tuple[float, ...] = SPREAD, policy: Policy = DEFAULT) -> Compared:
    (metric,) = judge_stored({"cpu_seconds": base}, {"cpu_seconds": head}, policy).metrics
    return metric


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        pytest.param(1.0, Verdict.PASS, id="the same"),
        pytest.param(0.5, Verdict.PASS, id="faster"),
        pytest.param(1.04, Verdict.PASS, id="below what blocks"),
        pytest.param(1.055, Verdict.INCONCLUSIVE, id="within the spread"),
        pytest.param(1.2, Verdict.WARN, id="slower by less than a quarter"),
        pytest.param(1.3, Verdict.FAIL, id="slower by more than a quarter"),
    ],
)
def test_one_run_of_head_gets_its_verdict(head: float, verdict: Verdict) -> None:
    assert cpu(head).verdict is verdict


def test_a_quarter_within_the_spread_does_not_block() -> None:
    assert cpu(1.3, base=tuple(value**8 for value in SPREAD)).verdict is Verdict.INCONCLUSIVE


def test_several_runs_of_head_count_by_their_median() -> None:
    assert cpu(1.0, 1.01, 9.0).verdict is Verdict.PASS


def test_the_estimate_lies_in_its_interval() -> None:
    metric = cpu(1.2)

    assert metric.estimate == pytest.approx(0.2)
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low < 0.2 < metric.high


def test_stored_runs_that_all_agree_do_not_make_every_change_one() -> None:
    assert cpu(1.0001, base=(1.0,) * 10).verdict is Verdict.PASS


def test_a_maximum_needs_no_stored_runs() -> None:
    policy = Policy({"cpu_seconds": DEFAULT.metrics["cpu_seconds"]._replace(most=0.5)})

    assert judge_stored({}, {"cpu_seconds": [0.6]}, policy).verdict is Verdict.FAIL


def test_nine_stored_runs_do_not_show_the_spread() -> None:
    metric = cpu(2.0, base=SPREAD[:9])

    assert (metric.verdict, metric.reason) == (
        Verdict.INCONCLUSIVE,
        "9 stored runs; at least 10 are needed to know the spread",
    )


@pytest.mark.parametrize(("runs", "verdict"), [(1, Verdict.WARN), (4, Verdict.WARN), (5, Verdict.FAIL)])
def test_a_counter_blocks_by_any_change_from_five_runs_of_head_on(runs: int, verdict: Verdict) -> None:
    judgement = judge_stored({"manifest_writes": [2.0] * 10}, {"manifest_writes": [3.0] * runs}, DEFAULT)

    assert judgement.verdict is verdict


def test_a_single_cold_run_is_no_suspicion() -> None:
    assert suspicious({"read_bytes": [0.0] * 10}, {"read_bytes": [5e7]}, DEFAULT) == ()


def test_a_single_cold_run_says_nothing_of_what_is_read() -> None:
    assert judge_stored({"read_bytes": [0.0] * 10}, {"read_bytes": [5e7]}, DEFAULT).verdict is Verdict.PASS


def test_a_counter_that_varied_when_stored_is_judged_by_its_spread() -> None:
    judgement = judge_stored({"processes": [4, 5, 6, 5, 4, 5, 6, 5, 4, 5]}, {"processes": [6.0]}, DEFAULT)

    assert judgement.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("base", "head", "reason"),
    [
        pytest.param([1.0] * 10, [float("nan")], "CPU time of run of head 1 is nan", id="nan"),
        pytest.param([1.0] * 9 + [0.0], [1.0], "CPU time of stored run 10 is 0", id="zero"),
        pytest.param([1.0] * 10, [-1.0], "CPU time of run of head 1 is -1", id="negative"),
        pytest.param([1.0] * 10, [], "CPU time was not measured in head, and stored runs have it", id="missing"),
        pytest.param([1.0] * 10, [5000.0], "CPU time of head is 5,000 times base's", id="unit"),
    ],
)
def test_what_is_no_measurement_breaks_the_comparison(base: list[float], head: list[float], reason: str) -> None:
    judgement = judge_stored({"cpu_seconds": base}, {"cpu_seconds": head}, DEFAULT)

    assert judgement.verdict is Verdict.BROKEN
    assert reason in judgement.reason


def test_nothing_in_common_is_not_a_pass() -> None:
    assert judge_stored({}, {"cpu_seconds": [1.0]}, DEFAULT).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    ("base", "head", "odd"),
    [
        pytest.param({"cpu_seconds": SPREAD}, {"cpu_seconds": [1.0]}, (), id="the same"),
        pytest.param({"cpu_seconds": SPREAD}, {"cpu_seconds": [1.03]}, (), id="below what blocks"),
        pytest.param({"cpu_seconds": SPREAD}, {"cpu_seconds": [1.1]}, ("cpu_seconds",), id="slower"),
        pytest.param({"cpu_seconds": SPREAD[:9]}, {"cpu_seconds": [1.0]}, ("cpu_seconds",), id="few stored runs"),
        pytest.param({"cpu_seconds": SPREAD}, {}, ("cpu_seconds",), id="not measured"),
        pytest.param({"cpu_seconds": SPREAD}, {"cpu_seconds": [float("nan")]}, ("cpu_seconds",), id="nan"),
        pytest.param({"processes": [3.0] * 2}, {"processes": [3.0]}, (), id="the same count"),
        pytest.param({"processes": [3.0] * 2}, {"processes": [4.0]}, ("processes",), id="another count"),
        pytest.param({}, {"processes": [4.0]}, (), id="nothing stored"),
    ],
)
def test_what_looks_worse_than_the_stored_runs_is_suspicious(
    base: dict[str, list[float]], head: dict[str, list[float]], odd: tuple[str, ...]
) -> None:
    assert suspicious(base, head, DEFAULT) == odd


def test_a_spread_that_is_wide_hides_what_a_narrow_one_shows() -> None:
    wide = [value**6 for value in SPREAD]

    assert suspicious({"cpu_seconds": wide}, {"cpu_seconds": [1.1]}, DEFAULT) == ()


def test_memory_has_its_slack_in_stored_mode_too() -> None:
    rss = Metric("max_rss_bytes", MetricKind.MEMORY, 0.03, 0.01, slack=1024 * 1024)
    base = {"max_rss_bytes": [10e6] * 10}

    assert suspicious(base, {"max_rss_bytes": [10.9e6]}, Policy({"max_rss_bytes": rss})) == ()
    assert suspicious(base, {"max_rss_bytes": [11.5e6]}, Policy({"max_rss_bytes": rss})) == ("max_rss_bytes",)
