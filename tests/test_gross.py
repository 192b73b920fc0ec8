"""Head is slower by so much that no statistics are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.model import Verdict
from orchgate.verdict import gross
from orchgate.verdict.comparison import judge
from orchgate.verdict.values import KNOWN, Pair, Policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLICY = Policy({metric.name: metric for metric in KNOWN[:3]})
LENIENT = Policy({metric.name: metric._replace(block=2.0) for metric in KNOWN[:3]})
IDLE = (0.0,) * gross.MORE_PAIRS
UNKNOWN = (None,) * gross.MORE_PAIRS
WAITING = (99.0,) * gross.MORE_PAIRS


def run(cpu: float, wall: float) -> dict[str, float]:
    return {"cpu_seconds": cpu, "wall_seconds": wall, "max_rss_bytes": 10e6}


def pairs(*values: tuple[Mapping[str, float], Mapping[str, float]]) -> list[Pair]:
    return [Pair(base, head) for base, head in values]


QUICK, SLOW, ASLEEP = run(1.0, 1.1), run(2.0, 2.1), run(1.0, 2.1)
SLOWER = pairs(*[(QUICK, SLOW)] * 3)
SLEEPY = pairs(*[(QUICK, ASLEEP)] * 3)


@pytest.mark.parametrize(
    ("seen", "waited", "policy", "found"),
    [
        (SLOWER, IDLE, POLICY, ["cpu_seconds", "wall_seconds"]),
        (SLOWER[:2], IDLE, POLICY, []),
        (SLOWER, IDLE, LENIENT, []),
        (SLOWER, IDLE, Policy({"wall_seconds": KNOWN[1]}), ["wall_seconds"]),
        ([*SLOWER[:2], Pair(QUICK, run(1.4, 1.5))], IDLE, POLICY, []),
        ([*SLOWER[:2], Pair(run(1.9, 2.0), SLOW)], IDLE, POLICY, []),
        (pairs(*[(run(0.01, 0.03), run(0.025, 0.21))] * 3), IDLE, POLICY, []),
        (pairs(*[(run(0.02, 0.03), run(0.06, 0.07))] * 3), IDLE, POLICY, ["cpu_seconds"]),
        (
            [pair._replace(base_bounds={"cpu_seconds": "why", "wall_seconds": "why"}) for pair in SLOWER],
            IDLE,
            POLICY,
            [],
        ),
        ([pair._replace(head_bounds={"cpu_seconds": "why"}) for pair in SLOWER], UNKNOWN, POLICY, ["cpu_seconds"]),
        ([*SLOWER[:2], Pair(QUICK, {"success_rate": 0.0})], IDLE, POLICY, []),
        (SLEEPY, IDLE, POLICY, ["wall_seconds"]),
        (SLEEPY, UNKNOWN, POLICY, []),
        (SLEEPY, WAITING, POLICY, []),
        (SLEEPY * 2, WAITING, POLICY, ["wall_seconds"]),
        (pairs(*[(run(0.02, 0.03), run(0.02, 0.9))] * 3), WAITING, POLICY, ["wall_seconds"]),
    ],
    ids=[
        "twice as slow",
        "two pairs",
        "what blocks is beyond",
        "only what is judged",
        "one quick run of head",
        "one slow run of base",
        "a very short command",
        "CPU time of a short command",
        "base is a lower bound",
        "head is a lower bound",
        "a run of head failed",
        "sleeps on an idle machine",
        "sleeps, nobody knows for whom",
        "sleeps on a busy machine",
        "sleeps on a busy machine, for long enough",
        "sleeps for longer than neighbours explain",
    ],
)
def test_a_gross_excess_is_seen_in_a_few_pairs(
    seen: Sequence[Pair], waited: Sequence[float | None], policy: Policy, found: Sequence[str]
) -> None:
    assert [one.name for one in gross.excesses(seen, waited[: len(seen)], policy)] == found


def test_a_gross_excess_says_both_times() -> None:
    (cpu, _) = gross.excesses(SLOWER, IDLE[:3], POLICY)

    assert (cpu.verdict, cpu.reason) == (Verdict.FAIL, "base took at most 1.000 s, head at least 2.000 s")


def test_a_head_that_is_not_over_says_both_times() -> None:
    one = gross.unfinished(gross.Unfinished(0.02, 1.1, "test"))

    assert one.reason == "base 20.0 ms, head not finished after 1.100 s, twice"


@pytest.mark.parametrize(
    ("policy", "seconds"), [(POLICY, 2.0), (Policy({"wall_seconds": KNOWN[1]._replace(block=9.0)}), 3.0)]
)
def test_head_may_take_five_times_what_base_takes_and_a_second_more_or_what_does_not_block(
    policy: Policy, seconds: float
) -> None:
    assert gross.limit(0.2, policy) == pytest.approx(seconds)


def test_where_wall_time_is_not_judged_head_may_take_any_time() -> None:
    assert gross.limit(0.2, Policy({"cpu_seconds": KNOWN[0]})) is None


def test_what_else_is_known_stays_beside_a_gross_excess() -> None:
    judgement = gross.judgement(gross.excesses(SLOWER, IDLE[:3], POLICY), judge(SLOWER, POLICY))

    assert [(one.name, one.verdict) for one in judgement.metrics] == [
        ("cpu_seconds", Verdict.FAIL),
        ("wall_seconds", Verdict.FAIL),
        ("max_rss_bytes", Verdict.INCONCLUSIVE),
    ]


def test_a_slow_down_that_looks_like_another_unit_is_refused_all_the_same() -> None:
    seen = pairs(*[(run(0.001, 0.002), run(3.0, 3.1))] * 3)

    judgement = gross.judgement(gross.excesses(seen, IDLE[:3], POLICY), judge(seen, POLICY))

    assert (judge(seen, POLICY).verdict, judgement.verdict) == (Verdict.BROKEN, Verdict.FAIL)
