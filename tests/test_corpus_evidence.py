"""The evidence of a real packet, as a careful reader would find it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from orchgate.checks.evidence import CHECK
from tests.support import folder_context

CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus")
NAME = "orchestrator-performance-reliability-loop-2"
PLAN, PRD, SPEC = (f"docs/{kind}-{NAME}.md" for kind in ("ACTION_PLAN", "PRD", "TECH_SPEC"))
CHECKLIST = f"tasks/tasks-0939-{NAME}.md"

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="corpus not beside the checkout")

# How often each rule speaks on a line. Its runs are not in the folder (EVD001), two logs lie in somebody's home
# (EVD003, each cited twice), one link still says <run-id> (EVD002), six ticks of the plan name no evidence (EVD005).
EXPECTED = {
    PLAN: {
        "EVD001": {5: 1, 6: 1, 7: 1, 8: 2, 17: 1, 18: 2, 24: 1, 26: 3, **dict.fromkeys((*range(57, 64), 65, 66), 1)},
        "EVD003": {24: 1, 26: 1, 64: 2},
        "EVD005": dict.fromkeys((13, 14, 15, 16, 19, 20), 1),
    },
    PRD: {"EVD001": {53: 1, 54: 1}, "EVD002": {52: 1}},
    SPEC: {"EVD001": {63: 1, 64: 2}},
    CHECKLIST: {"EVD001": {8: 1, 9: 2, 15: 2, 16: 6, 19: 4, 22: 1, 25: 1}},
}


def judged(root: Path) -> dict[str, dict[str, dict[int, int]]]:
    found = Counter(
        (f.location.path, f.rule, f.location.line) for f in CHECK.run(folder_context(root, tree=True)).findings
    )
    table: dict[str, dict[str, dict[int, int]]] = {}
    for (path, rule, line), number in found.items():
        table.setdefault(path, {}).setdefault(rule, {})[line] = number
    return table


def test_a_careful_reader_finds_exactly_this(tmp_path: Path) -> None:
    shutil.copytree(CORPUS / "packet-0939", tmp_path / "repo")

    assert judged(tmp_path / "repo") == EXPECTED


@pytest.mark.slow
def test_with_a_real_run_beside_it_the_metrics_are_there_and_the_cited_runs_are_not(tmp_path: Path) -> None:
    shutil.copytree(CORPUS / "packet-0939", tmp_path / "repo")
    for root in (".runs", "out"):
        shutil.copytree(CORPUS / "jan-diagnostics" / root, tmp_path / "repo" / root)

    found = judged(tmp_path / "repo")

    assert (found[SPEC], found[PRD]) == ({"EVD001": {63: 1}}, {"EVD002": {52: 1}})


def test_the_failed_run_is_cited_knowingly(tmp_path: Path) -> None:
    """The plan calls it failed itself, so that it failed is no finding."""
    shutil.copytree(CORPUS / "packet-0939", tmp_path / "repo")
    run = tmp_path / "repo" / ".runs" / f"0939-{NAME}" / "cli" / "2026-01-06T09-38-29-984Z-19f2ff13"
    run.mkdir(parents=True)
    (run / "manifest.json").write_text('{\n  "status": "failed"\n}\n')

    assert 62 not in judged(tmp_path / "repo")[PLAN].get("EVD007", {})
