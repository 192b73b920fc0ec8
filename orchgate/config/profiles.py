"""Named sets of defaults, as TOML would give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PROFILES: Mapping[str, Mapping[str, object]] = {
    "default": {},
    "codex-orchestrator": {
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
        "version-bump": {"files": ["package.json", "packages/*/package.json"]},
        # Its packets differ by era, and it keeps approvals in the task list's gate as well.
        "severity": {"DOC002": "warning", "DOC006": "warning"},
    },
}
