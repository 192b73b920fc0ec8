"""Bars and sparklines as text: what they say is true, and no line is wider than the terminal."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.commands import metrics, status
from orchgate.commands.perf import table
from orchgate.commands.shared import screen
from orchgate.commands.shared.screen import ASCII, BLOCKS, Interval
from orchgate.measures.declared import MetricKind
from orchgate.model import Verdict
from orchgate.verdict.values import Compared, ComparedCounter, Judgement, Metric, Policy

if TYPE_CHECKING:
    from orchgate.commands.shared.screen import Glyphs

floats = st.one_of(st.none(), st.floats())
both = st.sampled_from([BLOCKS, ASCII])


@pytest.mark.parametrize(
    ("share", "drawn"),
    [(0, "...."), (0.01, "#..."), (0.5, "##.."), (0.99, "###."), (1, "####"), (nan, "...."), (-1, "...."), (7, "####")],
)
def test_only_nothing_looks_like_nothing_and_only_all_like_all(share: float, drawn: str) -> None:
    assert screen.bar(share, 4, ASCII) == drawn


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([1, 2, 3, 8], "_.-#"),
        ([5, 5, 5], "+++"),
        ([1, None, nan, 2], "_  #"),
        ([-1e308, 1e308], "_#"),
        ([], ""),
    ],
)
def test_a_sparkline_has_a_cell_for_each_value(values: list[float | None], drawn: str) -> None:
    assert screen.sparkline(values, ASCII) == drawn


@pytest.mark.slow
@given(floats, floats, floats, floats, st.floats(0, 1e300), st.integers(0, 40), both)
def test_an_interval_has_its_width_whatever_is_in_it(
    middle: float | None,
    low: float | None,
    high: float | None,
    limit: float | None,
    most: float,
    cells: int,
    of: Glyphs,
) -> None:
    drawn = screen.interval(Interval(middle, low, high, limit), most, cells, of)

    assert len(drawn) in (0, cells - 1 + cells % 2)


@pytest.mark.slow
@given(st.floats(), st.floats(), st.floats(), st.integers(0, 40))
def test_a_stretch_stays_within_its_cells(start: float, end: float, whole: float, cells: int) -> None:
    assert len(screen.stretch(start, end, whole, cells, ASCII)) <= cells


def test_a_stretch_is_seen_even_at_the_very_end() -> None:
    assert [screen.stretch(start, start, 10, 5, ASCII) for start in (0, 10)] == ["#", "    #"]


@pytest.mark.parametrize(
    ("one", "drawn"),
    [
        (Interval(0.1, 0.05, 0.15, 0.1), "       |--o-   "),
        (Interval(0.02, -0.1, 0.1, 0.2), "    ---|o--  : "),
        (Interval(0.5, 0.4, 0.6, 0.1), "       |  :   >"),
        (Interval(-0.02), "      o|       "),
        (Interval(None), ""),
    ],
)
def test_an_interval_is_drawn_around_zero_with_its_limit(one: Interval, drawn: str) -> None:
    assert screen.interval(one, 0.25, 15, ASCII) == drawn


def test_an_axis_holds_the_limits_and_what_is_usual() -> None:
    usual = [Interval(0.01, 0.0, 0.02, 0.05)] * 3

    assert screen.reach(usual) >= 0.05
    assert screen.reach([*usual, Interval(300.0, limit=0.05)]) < 1
    assert screen.reach([*usual, Interval(0.0, 0.0, 0.0, 16.0)]) < 1
    assert screen.reach([Interval(inf), Interval(nan)]) == 0


def test_the_ends_of_an_axis_are_plain_numbers() -> None:
    ends = [next(table._drawn([Interval(change)], 31, screen.PLAIN)).split() for change in (0.0123, 0.5, 15.5)]

    assert ends == [["-1.2%", "0", "+1.2%"], ["-50%", "0", "+50%"], ["-1,600%", "0", "+1,600%"]]


def test_columns_are_cut_to_the_terminal_the_widest_first() -> None:
    rows = [["a" * 30, "b" * 10, "c"], ["d", "e", "f" * 10]]

    assert screen.fitted(rows, 30, {0: 8, 1: 5})[0] == ["aaaaaaa…", "bbbbbbb…", "c"]
    assert screen.fitted(rows, None, {0: 8}) == rows


def test_what_an_encoding_lacks_is_ascii() -> None:
    assert [screen.glyphs(name) for name in ("utf-8", "ascii", None, "no such")] == [BLOCKS, ASCII, ASCII, ASCII]


def test_who_says_so_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")

    assert screen.here() == screen.Screen(None, ASCII)


def test_a_long_line_is_broken_between_words_and_no_command_is() -> None:
    line = "hint: look there, then `orchgate hotspots 0001-demo`"

    assert screen.wrapped(line, 40, 2) == ["hint: look there, then", "  `orchgate hotspots 0001-demo`"]
    assert screen.wrapped(line, None, 2) == [line]


# What the commands draw with them


POLICY = Policy({"cpu_seconds": Metric("cpu_seconds", MetricKind.TIME, 0.05, 0.01)})
SLOWER = Compared("cpu_seconds", Verdict.FAIL, 0.08, 0.04, 0.12, 32, 0.001, 0.01, base=0.105, head=0.1134)
SAME = ComparedCounter("processes", Verdict.PASS, 5, 5)


def drawn(width: int | None) -> list[str]:
    return list(table.rows(Judgement(Verdict.FAIL, (SLOWER,), (SAME,)), POLICY, screen.Screen(width, ASCII)))


def test_a_comparison_is_drawn_around_zero_with_its_limit() -> None:
    assert drawn(None) == [
        "                base     head  change           interval  -12%      0      +12%",
        "  CPU time   0.105 s  0.113 s  +8.0 %  +4.0 % to +12.0 %            |  -:--o---  fail",
        "  processes        5        5  +0.0 %              exact            o            pass",
    ]


@pytest.mark.parametrize("width", [100, 80, 70, 60])
def test_a_comparison_is_never_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, drawn(width))) <= width
    assert all("+8.0 %" in line for line in drawn(width) if "CPU time" in line)


def test_a_narrow_terminal_gets_the_columns_that_are_asked_for_most() -> None:
    rows = [
        ["pipeline", "runs", "wall", "writes", "last end (UTC)"],
        ["tests", "12", "591 ms", "2", "2026-11-29 06:22"],
    ]

    assert metrics._fitted(rows, 32)[0] == ["pipeline", "runs", "wall"]
    assert metrics._fitted(rows, None) == rows


def test_each_metric_of_a_pipeline_has_a_sparkline_with_its_range() -> None:
    series = {("m", "tests"): {"wall_seconds": [1.0, 2.0, 3.0], "read_bytes": [1.0, 2.0]}}

    assert list(metrics._sparklines("m", series, screen.Screen(80, ASCII))) == [
        "  newest successes, oldest first:",
        "    tests  wall time  _+#  1.000 s to 3.000 s",
    ]


def test_a_list_of_runs_is_narrowed_before_an_id_is_broken() -> None:
    run = "2026-11-29T06-22-50-142Z-258d7c36"
    rows = [("run", "task", "pipeline", "status", "stages", "seconds", "now")]
    rows += [(run, "0011-people-who-look", "implementation-gate", "succeeded", "4/4", "0.9", "")]
    narrow = {width: list(status._table(rows, width)) for width in (120, 80, 60)}

    assert [max(map(len, lines)) <= width for width, lines in narrow.items()] == [True, True, True]
    assert [len(lines) for lines in narrow.values()] == [2, 2, 3]
    assert all(run in "\n".join(lines) for lines in narrow.values())
