"""A real packet, judged as a careful reader would: its structure is sound, its approvals are not there."""

from __future__ import annotations

import datetime
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchgate.checks import documents, specs
from orchgate.model import Change, Scope
from tests.support import describe, folder_context

if TYPE_CHECKING:
    from orchgate.gate.context import Context

CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus")
NAME = "orchestrator-performance-reliability-loop-2"

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="corpus not beside the checkout")

# The status says in-progress while every box is ticked, so the approvals are due; nobody gave one.
DUE = "all boxes are ticked but approvals are missing"
APPROVALS = [
    f"docs/PRD-{NAME}.md:40:1: DOC006 warning {DUE}: Product (empty), Engineering (empty), Design (empty) (hint)",
    f"docs/TECH_SPEC-{NAME}.md:67:1: DOC006 warning {DUE}: Engineering (empty), Reviewer (empty) (hint)",
    f"tasks/specs/0939-{NAME}.md:36:1: DOC006 warning {DUE}: Reviewer (pending) (hint)",
]


def packet(root: Path, *, config: str = 'profile = "codex-orchestrator"\n', today: str = "2026-01-07") -> Context:
    """The whole tree of a repository that holds the packet and nothing else."""
    shutil.copytree(CORPUS / "packet-0939", root / "repo")
    (root / "repo" / "orchgate.toml").write_text(config)
    now = datetime.datetime.fromisoformat(f"{today}T12:00:00+00:00")
    return folder_context(root / "repo", tree=True)._replace(judged_at=now.timestamp())


def test_the_packet_is_complete_but_nobody_approved_it(tmp_path: Path) -> None:
    assert describe(documents.CHECK.run(packet(tmp_path))) == APPROVALS


def test_all_five_documents_are_one_packet(tmp_path: Path) -> None:
    assert documents.CHECK.run(packet(tmp_path)).examined == {"packets": 1, "documents": 5}


def test_half_a_year_later_the_mini_spec_is_due_for_review(tmp_path: Path) -> None:
    lines = describe(documents.CHECK.run(packet(tmp_path, today="2026-06-17")))

    assert sorted({*lines} - {*APPROVALS}) == [
        f"tasks/specs/0939-{NAME}.md:8:1: DOC007 note last reviewed 162 days ago, limit 90 (hint)"
    ]


def test_by_the_sections_of_our_own_templates_two_are_missing(tmp_path: Path) -> None:
    lines = describe(documents.CHECK.run(packet(tmp_path, config="")))

    assert sorted({*lines} - {*APPROVALS}) == [
        f"docs/TECH_SPEC-{NAME}.md: DOC002 error missing section 'Design' (hint)",
        f"tasks/specs/0939-{NAME}.md: DOC002 error missing section 'Testing' (hint)",
    ]


CODE = Change("M", "orchestrator/src/cli/run/manifest.ts", None, "100644", "100644", "1" * 40, "2" * 40, 5, 1)


def test_changed_code_rests_on_the_specs_of_the_task_that_its_branch_names(tmp_path: Path) -> None:
    scope = Scope("staged", None, None, (CODE,))
    ctx = packet(tmp_path)._replace(scope=scope, environ={"GITHUB_REF_NAME": f"0939-{NAME}"})

    outcome = specs.CHECK.run(ctx)

    assert (describe(outcome), outcome.examined) == ([], {"code files": 1, "specs": 2})


def test_that_a_task_is_in_work_does_not_say_which_one_changed_code_belongs_to(tmp_path: Path) -> None:
    ctx = packet(tmp_path)._replace(scope=Scope("staged", None, None, (CODE,)))

    assert describe(specs.CHECK.run(ctx)) == [
        f"{CODE.path}: SPC001 error cannot tell which task this change belongs to (1 code file changed) (hint)"
    ]
