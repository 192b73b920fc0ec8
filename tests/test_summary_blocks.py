"""Blocks of runs as they stand in a text, and the cells of their tables: pure, one situation each."""

from __future__ import annotations

from typing import Any

import pytest

from orchgate.evidence import summary
from orchgate.evidence.lock import RunFacts
from orchgate.evidence.summary import END, Block, Cut
from orchgate.verdict.before_after import MetricChange

BEGIN = "<!-- orchgate summary v1 of diagnostics -->"
BEFORE = "Before (one run of diagnostics):\n\n- `b1`\n"
AFTER = "After (one run of diagnostics):\n\n- `a1`\n"
WHOLE = f"{BEGIN}\n{BEFORE}\n{AFTER}\n{END}\n"


def read(text: str) -> list[str]:
    """Blocks as the runs they cite, and what is said of those that cannot be read, each with its place."""
    return [
        f"{one.offset} {one.message}" if isinstance(one, Cut) else f"{one.start} {one.before} {one.after}"
        for one in summary.blocks(text)
    ]


SOUND = "('b1',) ('a1',)"
ENDLESS = f"this summary does not end with {END}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no block", []),
        (WHOLE, [f"0 {SOUND}"]),
        (WHOLE + WHOLE, [f"0 {SOUND}", f"{len(WHOLE)} {SOUND}"]),
        (f"{BEGIN}\n{BEFORE}", [f"0 {ENDLESS}"]),
        (f"{BEGIN}\n{WHOLE}", [f"0 {ENDLESS}", f"{len(BEGIN) + 1} {SOUND}"]),
        (f"{WHOLE}{BEGIN}\n", [f"0 {SOUND}", f"{len(WHOLE)} {ENDLESS}"]),
        (f"{END}\n{WHOLE}", ["0 a summary ends here that does not begin", f"{len(END) + 1} {SOUND}"]),
        (f"{BEGIN[:-4]}\n{END}\n", ["0 the line that begins this summary was changed"]),
    ],
    ids=["none", "whole", "two", "endless", "begins-twice", "second-endless", "ends-first", "begin-changed"],
)
def test_blocks_are_read_in_order_and_what_is_cut_is_said(text: str, expected: list[str]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("inner", "before", "after"),
    [
        (BEFORE + AFTER, ("b1",), ("a1",)),
        (f"- `stray`\n{BEFORE}- `b2`\n\n- `b3`\n{AFTER}", ("b1", "b2", "b3"), ("a1",)),
        (f"{BEFORE}Words between.\n- `stray`\n{AFTER}", ("b1",), ("a1",)),
        (f"{BEFORE}- `b2` and words\n- `stray`\n{AFTER}", ("b1",), ("a1",)),
        (BEFORE, ("b1",), ()),
        (AFTER, (), ("a1",)),
        (f"Beforehand:\n- `b1`\n{AFTER}", (), ("a1",)),
    ],
)
def test_only_runs_listed_below_a_side_belong_to_it(
    inner: str, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    (block,) = summary.blocks(f"{BEGIN}\n{inner}{END}")

    assert isinstance(block, Block)
    assert (block.before, block.after) == (before, after)


KNOWN = MetricChange("wall_seconds", 10.0, 9.0, -0.1, -0.12, -0.08, 0.9)


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (KNOWN, "-10.0 % (-12.0 % to -8.0 %; 90 %)"),
        (KNOWN._replace(before=None), "unknown"),
        (KNOWN._replace(after=None), "unknown"),
        (KNOWN._replace(change=None), "unknown"),
        (KNOWN._replace(low=None), "-10.0 %"),
        (KNOWN._replace(high=None), "-10.0 %"),
        (KNOWN._replace(confidence=None), "-10.0 %"),
        (MetricChange("success_rate", 1.0, None), "unknown"),
        (MetricChange("success_rate", 0.5, 0.75), "+25.0 points"),
        (MetricChange("success_rate", 1.0, 1.0), "same"),
    ],
)
def test_a_change_is_said_only_as_far_as_it_is_known(row: MetricChange, change: str) -> None:
    assert summary.cells_of(row)[3] == change


@pytest.mark.parametrize(
    ("version", "of_medians", "change"),
    [
        (1, -0.3, "-10.0 % (-12.0 % to -8.0 %; 90 %)"),
        (2, -0.3, "-10.0 % (-12.0 % to -8.0 %; 90 %); medians -30.0 %"),
        (2, -0.1, "-10.0 % (-12.0 % to -8.0 %; 90 %)"),
    ],
)
def test_medians_that_moved_differently_are_said_since_version_2(version: int, of_medians: float, change: str) -> None:
    assert summary.cells_of(KNOWN._replace(of_medians=of_medians), version)[3] == change


@pytest.mark.parametrize("unknown", [{"change": None}, {"of_medians": None}, {"least": (True, False)}])
def test_what_is_not_known_on_both_sides_does_not_disagree(unknown: dict[str, Any]) -> None:
    row = KNOWN._replace(of_medians=-0.3)

    assert (summary.disagree(row), summary.disagree(row._replace(**unknown))) == (True, False)


TWO_KINDS = "Recorded on 2 kinds of machine: times and memory do not compare."


@pytest.mark.parametrize(("machines", "said"), [(("x", "x", ""), []), (("x", "y", ""), [TWO_KINDS])])
def test_runs_of_several_machines_are_said(machines: tuple[str, ...], said: list[str]) -> None:
    runs = {
        name: RunFacts("t", name, "diagnostics", "succeeded", machine=machine, numbers={"wall_seconds": 1.0})
        for name, machine in zip(("b1", "a1", "a2"), machines, strict=True)
    }

    block = summary.render("diagnostics", ("b1",), ("a1", "a2"), runs.__getitem__)

    assert [line for line in block.splitlines() if line.startswith("Recorded on")] == said


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("| wall time | 1 s | 2 s |", ("1 s", "2 s")),
        ("  | wall time | 1 s | 2 s |", ("1 s", "2 s")),
        ("wall time | 1 s | 2 s", None),
        ("| | 1 s | 2 s |", None),
        ("|-----|----:|----:|", None),
        ("| metric | before | after | change |", None),
    ],
)
def test_rows_are_the_lines_of_a_table_without_its_head(line: str, cells: tuple[str, ...] | None) -> None:
    assert [row[0] for row in summary.numbers_by_row(f"Words.\n{line}\n").values()] == ([cells] if cells else [])
