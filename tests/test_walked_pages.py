"""Pages whose commands somebody will type: each is followed to the letter in an empty folder.

ORCHGATE_UPDATE_DOCS=1 writes the screens that differ; read them before you keep them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import walks

DOCS = Path(__file__).parent.parent / "docs"
WALKED = sorted(path for path in DOCS.rglob("*.md") if any(block.commands for block in walks.blocks(path.read_text())))


@pytest.mark.slow
@pytest.mark.parametrize("path", WALKED, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_a_page_shows_what_its_commands_print(path: Path, tmp_path: Path) -> None:
    page = path.read_text()
    shown = walks.rewritten(page, walks.walk(page, tmp_path))
    if os.environ.get("ORCHGATE_UPDATE_DOCS"):
        path.write_text(shown)

    assert shown == page


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("took 1.25 s\n", "took 300 ms\n", True),
        ("[main 30871a0] Start\n", "[main b82c829] Start\n", True),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\nd\n", "a\nb\nc\n", False),
        ("refused · 1 error\n", "refused · 2 errors\n", False),
        ("refused\n", "passed\n", False),
    ],
)
def test_a_screen_is_the_same_whatever_the_machine(expected: str, printed: str, *, same: bool) -> None:
    assert walks.same(expected, printed) is same
