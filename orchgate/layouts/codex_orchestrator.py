"""Where codex-orchestrator keeps its documents and its versions, and which of its habits are no faults."""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNS = ("codex.orchestrator.json", "docs/{PRD,TECH_SPEC,ACTION_PLAN}-*.md")
LAYOUT: Mapping[str, object] = {
    "documents": {
        "stub-markers": ["<!-- docs-archive:stub -->"],
        "required-sections": {
            "prd": [
                (
                    "Summary | Problem | Problem Statement | Problem and Outcome | Goal | Objective | Contract"
                    " | Traceability"
                ),
                "Non-Goals | Out of Scope | Boundaries | Not Done If",
            ],
            "tech-spec": [],
            "action-plan": [],
            "checklist": [],
            "mini-spec": [],
        },
    },
    "specs": {
        "paths": ["orchestrator/src/**", "packages/*/src/**", "scripts/**", "bin/**", "adapters/**"],
    },
    # A task comes with six documents and entries in several lists: with them half of all changes are too large.
    "diff-budget": {
        "areas": {
            "docs": {"paths": ["docs/**", "tasks/**", ".agent/**", "**/*.md"], "max-files": 40, "max-lines": 2000},
        },
    },
    "version-bump": {"files": ["package.json", "packages/*/package.json"]},
    # Its packets differ by era, and it keeps approvals in the task list's gate as well.
    "severity": {"DOC002": "warning", "DOC006": "warning"},
}
