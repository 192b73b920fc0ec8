"""One run of head against recorded ones: what is suspicious, and what so few runs cannot say."""

from __future__ import annotations

import pytest

from orchgate.measures.declared import MIB
from orchgate.speed.push.screening import cleared
from orchgate.verdict.stored import shows_spread, suspects
from orchgate.verdict.values import KNOWN, Pair, Policy

DEFAULT = Policy({metric.name: metric for metric in KNOWN})
TEN = (20.0, 20.4, 19.6, 20.2, 19.8, 20.6, 19.4, 20.0, 20.3, 19.7)


@pytest.mark.parametrize(
    ("recorded", "head", "odd"),
    [
        pytest.param(TEN, 20.0, False, id="the same"),
        pytest.param(TEN, 5.0, False, id="faster"),
        pytest.param(TEN, 22.5, True, id="a ninth slower than ten"),
        pytest.param(TEN[:9], 22.5, False, id="a ninth slower than nine, which show no spread"),
        pytest.param(TEN[:9], 31.1, True, id="beyond one and a half times the slowest of nine"),
        pytest.param(TEN[:1], 30.2, True, id="beyond one and a half times the only one"),
        pytest.param((0.01,), 0.1, False, id="milliseconds that are nobody's concern"),
    ],
)
def test_a_time_is_suspicious_as_far_as_the_record_can_show(
    recorded: tuple[float, ...], head: float, *, odd: bool
) -> None:
    assert bool(suspects({"cpu_seconds": recorded}, {"cpu_seconds": head}, DEFAULT)) is odd


def test_memory_is_suspicious_too() -> None:
    assert suspects({"max_rss_bytes": (40.0 * MIB,)}, {"max_rss_bytes": 80.0 * MIB}, DEFAULT) == ("max_rss_bytes",)


def test_what_was_not_measured_in_head_is_not_held_to_anything() -> None:
    assert suspects({"cpu_seconds": TEN}, {}, DEFAULT) == ()


def test_what_the_policy_does_not_judge_is_not_suspicious() -> None:
    assert suspects({"cpu_seconds": TEN}, {"cpu_seconds": 90.0}, Policy({})) == ()


def test_a_run_beyond_its_maximum_is_suspicious_whatever_is_on_record() -> None:
    bounded = Policy({"cpu_seconds": DEFAULT.metrics["cpu_seconds"]._replace(most=10.0)})

    assert suspects({"cpu_seconds": TEN}, {"cpu_seconds": 20.0}, bounded) == ("cpu_seconds",)


@pytest.mark.parametrize(("runs", "enough"), [(9, False), (10, True)])
def test_ten_runs_show_a_spread(runs: int, *, enough: bool) -> None:
    assert shows_spread({"cpu_seconds": TEN[:runs]}) is enough


def pairs(base: float, *heads: float) -> list[Pair]:
    return [Pair({"cpu_seconds": base}, {"cpu_seconds": head}) for head in heads]


@pytest.mark.parametrize(
    ("measured", "clear"),
    [
        pytest.param(pairs(20.0, 20.0, 20.5, 31.0), True, id="base takes as much today"),
        pytest.param(pairs(20.0, 20.0, 22.0, 22.0), False, id="head takes more than blocks"),
        pytest.param(pairs(20.0, 20.0, 20.0), False, id="two pairs are too few"),
        pytest.param([Pair({}, {"cpu_seconds": 20.0})] * 3, False, id="base was not measured"),
    ],
)
def test_pairs_clear_what_only_the_record_made_suspicious(measured: list[Pair], *, clear: bool) -> None:
    assert cleared(measured, ("cpu_seconds",), DEFAULT) is clear


def test_a_failed_run_of_head_is_not_cleared_by_times() -> None:
    assert cleared(pairs(20.0, 20.0, 20.0, 20.0), (), DEFAULT) is False
