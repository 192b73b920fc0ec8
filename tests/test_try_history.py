"""`orchgate try --history`, as a newcomer runs it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from orchgate.commands.playground.history import LAPTOP, STEPS, SUBJECT, THIRD
from tests.test_try import COLUMNS, LINES, steps_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo


@pytest.mark.slow
def test_two_machines_push_and_a_third_sees_what_changed(repo: Repo, tmp_path: Path) -> None:
    result = repo.orchgate("try", "--history", str(tmp_path / "play"), env={"COLUMNS": str(COLUMNS)})
    steps = steps_of(result.out)

    assert result.code == 0, result.out
    assert sorted(steps) == list(range(1, len(STEPS) + 1))
    assert {number: len(lines) for number, lines in steps.items() if len(lines) > LINES} == {}
    wide = [line for line in result.out.replace(str(tmp_path), "").splitlines() if len(line) > COLUMNS]
    assert [line for line in wide if " " in line.strip()] == []
    change = "\n".join(text for lines in steps.values() for text in lines if SUBJECT in text or "=>" in text)
    assert re.search(rf"[0-9a-f]{{7}} {SUBJECT}\n   => found: ", change), result.out
    assert all((tmp_path / "play" / name / ".git").exists() for name in (LAPTOP, THIRD))


@pytest.mark.slow
def test_a_step_of_the_history_is_shown_alone(repo: Repo, tmp_path: Path) -> None:
    result = repo.orchgate("try", "--history", "--step", "3", cwd=tmp_path)

    assert result.code == 0, result.out
    assert list(steps_of(result.out)) == [3]
    assert "250 were" in result.out


def test_a_step_that_the_history_has_not_is_wrong_usage(repo: Repo) -> None:
    result = repo.orchgate("try", "--history", "--step", "99")

    assert result.code == 2
    assert f"there is no step 99; there are {len(STEPS)}" in result.out
