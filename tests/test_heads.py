"""What is said of several heads of a branch, and of pairs that earlier pushes measured."""

from __future__ import annotations

from math import log
from typing import NamedTuple

import pytest

from orchgate.metrics.values import Judgement, Pair
from orchgate.model import Severity, Verdict
from orchgate.speed.explanation import how_measured
from orchgate.speed.heads import Head
from orchgate.speed.measurement import Measurement
from orchgate.speed.push_words import slower_together


class Asked(NamedTuple):
    pipeline: str = "bench"
    reproduce: str = "orchgate perf"


def told(*e_values: float) -> list[str]:
    row = [Head(str(number), log(one)) for number, one in enumerate(e_values)]
    return [one.message for one in slower_together(Asked(), row)]  # type: ignore[arg-type]


def test_several_heads_that_look_slower_are_said_together() -> None:
    (message,) = told(5.0, 2.0, 6.0)

    assert message == (
        "bench: several pushes of this branch together look slower: CPU time of 3 heads against the same base, e = 60 "
        "(were none slower, 40 is a chance of 2.5 %)"
    )


def test_it_is_a_warning_and_never_refuses() -> None:
    (found,) = slower_together(Asked(), [Head("a", 5.0), Head("b", 5.0)])  # type: ignore[arg-type]

    assert (found.rule, found.severity) == ("PRF001", Severity.WARNING)


@pytest.mark.parametrize("e_values", [(), (100.0,), (5.0, 7.9), (100.0, 0.3)])
def test_one_head_or_too_little_says_nothing(e_values: tuple[float, ...]) -> None:
    assert told(*e_values) == []


def test_evidence_beyond_all_measure_is_a_number_that_can_be_read() -> None:
    assert "e = more than a million" in told(1e200, 1e200)[0]


def measured(new: int, earlier: int) -> str:
    pair = Pair({}, {})
    judgement = Judgement(Verdict.INCONCLUSIVE)
    return how_measured(
        Measurement((pair,) * new, (), judgement, (), (), "looked", 4.0, 0.5, None, "1", earlier=(pair,) * earlier)
    )


def test_pairs_of_earlier_pushes_are_said() -> None:
    assert measured(8, 16) == "24 pairs, 16 of them of earlier pushes, 8 measured now in 4.0 s"


def test_without_earlier_pairs_none_are_mentioned() -> None:
    assert measured(1, 0) == "1 pair in 4.0 s"
