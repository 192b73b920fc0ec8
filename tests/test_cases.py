"""Every folder under cases/<check>/ is a change and the diagnostics it must get."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from tests.support import describe, examined, judge_folder

CASES = Path(__file__).parent / "cases"
FOLDERS = sorted(folder for check in CASES.iterdir() if check.is_dir() for folder in check.iterdir() if folder.is_dir())


@pytest.mark.parametrize("case", FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_case_gets_exactly_its_diagnostics(case: Path) -> None:
    check = importlib.import_module(f"orchgate.checks.{case.parent.name.replace('-', '_')}").CHECK
    base = case / "base"
    scope = case / "SCOPE"
    tree = scope.exists() and scope.read_text().strip() == "tree"

    outcome = judge_folder(check, case / "repo", base if base.exists() else None, tree=tree)
    lines = [*describe(outcome), examined(outcome)]

    expected = case / "EXPECTED"
    if os.environ.get("ORCHGATE_UPDATE_CASES"):
        expected.write_text("".join(line + "\n" for line in lines))
    assert lines == expected.read_text().splitlines()


@pytest.mark.parametrize("case", FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_case_name_says_what_it_expects(case: Path) -> None:
    *complaints, counted = (case / "EXPECTED").read_text().splitlines()

    assert (case.name.split("-")[0], counted.split(":")[0]) == ("fail" if complaints else "pass", "examined")
