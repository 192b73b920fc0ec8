"""OpenSpec: a folder a change below openspec/changes/, archived once it is done."""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNS = (
    "openspec/{project,AGENTS}.md",
    "openspec/config.yaml",
    "openspec/changes/*/{proposal,design,tasks}.md",
    "openspec/specs/**/spec.md",
)
LAYOUT: Mapping[str, object] = {
    "documents": {
        "paths": {
            "prd": ["openspec/changes/{task}/proposal.md"],
            "tech-spec": ["openspec/changes/{task}/design.md"],
            "action-plan": [],
            "checklist": ["openspec/changes/{task}/tasks.md"],
            "mini-spec": [],
        },
        "required": ["prd", "checklist"],  # a small change has no design
        "until-finished": "warning",
        "required-sections": {
            "prd": ["Why", "What Changes"],
            "tech-spec": [],
            "action-plan": [],
            "checklist": [],
            "mini-spec": [],
        },
        "placeholders": ["TBD", "TODO", "FIXME", "<capability*>", "<existing-capability*>", "<brief description*>"],
    },
    "evidence": {"required-runs": []},
    "severity": {"EVD005": "off"},
    "diff-budget": {"areas": {"docs": {"paths": ["openspec/**", "**/*.md"]}}},
}
