"""Every folder under cases/<check>/ is a change and the diagnostics it must get."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchgate.model import Severity
from tests.command_lines import hint_fault
from tests.support import describe, examined, judge_folder

if TYPE_CHECKING:
    from orchgate.model import Check, Finding

CASES = Path(__file__).parent / "cases"
WEIGHTS = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}
FOLDERS = sorted(folder for check in CASES.iterdir() if check.is_dir() for folder in check.iterdir() if folder.is_dir())


def weight(finding: Finding) -> int:
    return WEIGHTS[finding.severity] if finding.severity else 0


def worst(check: Check, finding: Finding) -> int:
    """What a rule declares, so that CFG001 knows what configuring it can lower."""
    rule = next(rule for rule in check.rules if rule.id == finding.rule)
    return max(WEIGHTS[severity] for severity in (rule.severity, rule.worst) if severity)


def linked(case: Path, place: Path) -> Path:
    """The case, or a copy with its symbolic links: a source distribution may not hold links that lead out of it."""
    links = case / "LINKS"
    if not links.exists():
        return case
    copy = place / case.name
    shutil.copytree(case, copy)
    for line in links.read_text().splitlines():
        name, _, target = line.partition(" -> ")
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    return copy


@pytest.mark.parametrize("case", FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_case_gets_exactly_its_diagnostics(case: Path, tmp_path: Path) -> None:
    check = importlib.import_module(f"orchgate.checks.{case.parent.name.replace('-', '_')}").CHECK
    folder = linked(case, tmp_path)
    base = folder / "base"
    scope = folder / "SCOPE"
    tree = scope.exists() and scope.read_text().strip() == "tree"

    outcome = judge_folder(check, folder / "repo", base if base.exists() else None, tree=tree)
    lines = [*describe(outcome), examined(outcome)]

    expected = case / "EXPECTED"
    if os.environ.get("ORCHGATE_UPDATE_CASES"):
        expected.write_text("".join(line + "\n" for line in lines))
    assert lines == expected.read_text().splitlines()
    hints = {*(one.hint for one in outcome.findings), *(one.hint for one in outcome.troubles)}
    assert {hint: fault for hint in hints if (fault := hint_fault(hint))} == {}
    assert not [finding for finding in outcome.findings if weight(finding) > worst(check, finding)]


@pytest.mark.parametrize("case", FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_case_name_says_what_it_expects(case: Path) -> None:
    *complaints, counted = (case / "EXPECTED").read_text().splitlines()

    assert (case.name.split("-")[0], counted.split(":")[0]) == ("fail" if complaints else "pass", "examined")
