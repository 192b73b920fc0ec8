"""`orchgate try --history`, as a newcomer runs it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.commands.playground import history
from orchgate.commands.playground.history import LAPTOP, STEPS, SUBJECT, THIRD
from tests.test_try import COLUMNS, LINES, steps_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo


@pytest.mark.slow
def test_two_machines_push_and_a_third_sees_what_changed(repo: Repo, tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    pytest.importorskip("obstore")
    result = repo.orchgate("try", "--history", str(tmp_path / "play"), env={"COLUMNS": str(COLUMNS)})

    walked(result.out, tmp_path)
    assert result.code == 0, result.out
    assert "has other bytes than its name says" in result.out
    assert all((tmp_path / "play" / name / ".git").exists() for name in (LAPTOP, THIRD))


@pytest.mark.slow
def test_without_the_extra_the_runs_travel_by_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(history, "NEEDED", ("no_such_module",))
    monkeypatch.setenv("COLUMNS", str(COLUMNS))

    code = main(["try", "--history", str(tmp_path / "play")])

    printed = capsys.readouterr().out
    walked(printed, tmp_path)
    assert code == 0, printed
    assert "no_such_module" in printed
    assert "refs/orchgate/history" in printed


def walked(printed: str, folder: Path) -> None:
    """Every step is there, fits a terminal, and ends as it says."""
    steps = steps_of(printed)
    assert sorted(steps) == list(range(1, len(STEPS) + 1))
    assert {number: len(lines) for number, lines in steps.items() if len(lines) > LINES} == {}
    wide = [line for line in printed.replace(str(folder), "").splitlines() if len(line) > COLUMNS]
    assert [line for line in wide if " " in line.strip()] == []
    assert re.search(rf"[0-9a-f]{{7}} {SUBJECT}\n   => found: from that commit", printed), printed
    assert "=> all numbers are as before" in printed


@pytest.mark.slow
def test_a_step_of_the_history_is_shown_alone(repo: Repo, tmp_path: Path) -> None:
    result = repo.orchgate("try", "--history", "--step", "3", cwd=tmp_path)

    assert result.code == 0, result.out
    assert list(steps_of(result.out)) == [3]
    assert "(0 bytes) sent, 250 were there" in " ".join(result.out.split())


def test_a_step_that_the_history_has_not_is_wrong_usage(repo: Repo) -> None:
    result = repo.orchgate("try", "--history", "--step", "99")

    assert result.code == 2
    assert f"there is no step 99; there are {len(STEPS)}" in result.out
