"""Which layout a repository has, and what its documents say about themselves."""

from __future__ import annotations

import pytest

from orchgate.config.profiles import NAMES, recognise
from orchgate.markdown.document import Document
from orchgate.packets.progress import stated_status

ADR = "docs/adr/0001-record-architecture-decisions.md"


@pytest.mark.parametrize(
    ("paths", "profile"),
    [
        (["a.py", "README.md"], "default"),
        (["codex.orchestrator.json"], "codex-orchestrator"),
        (["docs/PRD-a.md", "docs/TECH_SPEC-a.md"], "codex-orchestrator"),
        ([".specify/memory/constitution.md"], "spec-kit"),
        (["specs/001-first/spec.md"], "spec-kit"),
        (["openspec/changes/add-x/proposal.md"], "openspec"),
        (["tasks/prd-search.md", "tasks/tasks-search.md"], "ai-dev-tasks"),
        (["tasks/tasks-0001-prd-search.md"], "ai-dev-tasks"),
        ([ADR], "adr"),
        (["doc/architecture/decisions/0001-x.md"], "adr"),
        ([ADR, ADR.replace("1", "2"), "openspec/project.md"], "openspec"),
        (["specs/search/spec.md", "docs/adr/README.md", "tasks/list.md"], "default"),
    ],
)
def test_layout_is_recognised_by_its_files(paths: list[str], profile: str) -> None:
    assert profile in NAMES
    assert recognise(paths) == profile


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("# 1. X\n\n## Status\n\nAccepted\n", "accepted"),
        ("# 1. X\n\n## Status\n\n✅ **Accepted** (2026-01-05)\n", "accepted"),
        ("# 1. X\n\nStatus: Superseded by [5](5.md)\n\n## Context\n", "superseded"),
        ("# X\n\n**Status**: In Progress\n", "in-progress"),
        ("# X\n\n- **Status:** Implemented - with tests\n", "implemented"),
        ("---\nstatus: accepted\n---\n# X\n", "accepted"),
        ('---\nstatus: "{proposed | rejected | accepted}"\n---\n# X\n', ""),
        ("# X\n\n**Status**: [Draft | Done]\n", ""),
        ("# X\n\n```\nStatus: Accepted\n```\n", ""),
        ("# X\n\n## Context\n\nStatus: Accepted\n", ""),
        ("# X\n\n## Status\n", ""),
        ("# X\n", ""),
    ],
)
def test_status_is_read_where_documents_state_it(text: str, status: str) -> None:
    assert stated_status([Document("x.md", text.encode())], ("Status",)) == status
