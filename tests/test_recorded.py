"""Verdicts on recorded streams of pairs, so that no change of the method moves them unseen.

The streams are excerpts of those of bench/accuracy, named condition/workload/percent of more work in head/block.
"""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchgate.speed.kept import read_streams
from orchgate.verdict.comparison import judge
from orchgate.verdict.values import KNOWN, Pair, Policy

if TYPE_CHECKING:
    from orchgate.verdict.values import Compared

STREAMS = Path(__file__).parent / "data" / "streams.jsonl.xz"
POLICY = Policy({metric.name: metric for metric in KNOWN})
CPU = Policy({"cpu_seconds": POLICY.metrics["cpu_seconds"]})

# The verdict of all metrics; that of CPU time alone, after how many pairs, and by how many percent head is slower.
EXPECTED: dict[str, tuple[str, str, int, float]] = {
    "busy/cpu/5/1": ("fail", "fail", 16, 5.2),
    "busy/memory/5/1": ("fail", "fail", 12, 5.4),
    "busy/cpu/0/2": ("pass", "pass", 16, 1.4),
    "busy/files/0/2": ("inconclusive", "inconclusive", 64, 2.5),
    "busy/processes/0/2": ("pass", "pass", 32, 1.5),
    "busy/files/10/3": ("warn", "fail", 64, 7.2),
    "busy/processes/10/3": ("fail", "fail", 12, 9.2),
    "busy/processes/2/4": ("pass", "pass", 16, 0.6),
    "idle/files/0/10": ("pass", "pass", 32, -4.4),
    "idle/memory/20/14": ("fail", "fail", 12, 16.1),
    "idle/cpu/0/17": ("pass", "pass", 8, -0.3),
}


@pytest.fixture(scope="module")
def streams() -> dict[str, list[Pair]]:
    with lzma.open(STREAMS) as file:
        return read_streams(file)


def cpu(pairs: list[Pair]) -> Compared:
    return judge(pairs, CPU).metrics[0]


@pytest.mark.slow
def test_every_stream_has_its_expected_verdict(streams: dict[str, list[Pair]]) -> None:
    found = {}
    for name, pairs in streams.items():
        metric = cpu(pairs)
        assert metric.estimate is not None
        verdict = judge(pairs, POLICY).verdict
        found[name] = (verdict.value, metric.verdict.value, metric.pairs, round(100 * metric.estimate, 1))

    assert found == EXPECTED


@pytest.mark.slow
def test_changing_the_arms_mirrors_every_estimate(streams: dict[str, list[Pair]]) -> None:
    for pairs in streams.values():
        there, back = cpu(pairs[:8]), cpu([Pair(pair.head, pair.base, not pair.head_first) for pair in pairs[:8]])
        assert there.estimate is not None
        assert back.estimate is not None
        assert (1 + there.estimate) * (1 + back.estimate) == pytest.approx(1.0, abs=1e-3)
