"""Pipelines of real repositories load and can be planned."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchgate.commands.plan import plan_lines, planned
from orchgate.runs.pipeline import find, order, parse_codex

CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus")

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")


@pytest.mark.parametrize(
    ("file", "count"), [("codex.orchestrator.jan.json", 9), ("small-runs/codex.orchestrator.json", 4)]
)
def test_real_files_load_and_every_pipeline_can_be_run(file: str, count: int) -> None:
    known = parse_codex((CORPUS / file).read_bytes())

    assert sum(len(order(find(known, name))) > 0 for name in known) == count


def test_the_real_diagnostics_pipeline_is_unfolded() -> None:
    known = parse_codex((CORPUS / "codex.orchestrator.jan.json").read_bytes())

    assert [stage.id for stage in known["diagnostics"].stages] == [
        "delegation-guard",
        "build",
        "lint",
        "test",
        "spec-guard",
    ]


@pytest.mark.parametrize("file", ["codex.orchestrator.jan.json", "small-runs/codex.orchestrator.json"])
def test_every_stage_of_a_real_file_stands_in_its_plan(file: str) -> None:
    known = parse_codex((CORPUS / file).read_bytes())

    for pipeline in known.values():
        plan = "\n".join(plan_lines(planned(known, pipeline)))
        assert all(f". {stage.id}: " in plan for stage in pipeline.stages)
