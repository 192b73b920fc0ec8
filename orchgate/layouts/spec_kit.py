"""Spec Kit: a numbered folder a feature below specs/, with spec.md, then plan.md, then tasks.md."""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNS = (".specify/**", "specs/[0-9]*-*/{spec,plan,tasks}.md")
LAYOUT: Mapping[str, object] = {
    "documents": {
        "paths": {
            "prd": ["specs/{task}/spec.md"],
            "tech-spec": ["specs/{task}/plan.md"],
            "action-plan": [],
            "checklist": ["specs/{task}/tasks.md"],
            "mini-spec": [],
        },
        "required": ["prd", "tech-spec", "checklist"],
        "until-finished": "warning",  # one command of the tool writes each document
        "required-sections": {
            "prd": [
                "User Scenarios & Testing | User Scenarios",
                "Requirements",
                "Success Criteria | Review & Acceptance Checklist",
            ],
            "tech-spec": ["Summary", "Technical Context"],
            "action-plan": [],
            "checklist": [],
            "mini-spec": [],
        },
        "status": {"lines": ["Status"]},
        "placeholders": [
            "TBD",
            "TODO",
            "FIXME",
            "[NEEDS CLARIFICATION",
            "[FEATURE",
            "[DATE]",
            "[###-",
            "[Brief",
            "[Describe",
            "[Explain",
            "[e.g.,",
            "[Add more",
        ],
    },
    "evidence": {"required-runs": []},
    "severity": {"EVD005": "off"},  # a ticked task names the file to write, and no run
    "diff-budget": {"areas": {"docs": {"paths": ["specs/**", ".specify/**", "**/*.md"]}}},
}
