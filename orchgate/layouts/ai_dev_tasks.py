"""AI Dev Tasks: a PRD and a task list a feature, side by side in tasks/."""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNS = ("tasks/prd-*.md", "tasks/tasks-prd-*.md", "tasks/{,tasks-}0*-prd-*.md", "**/generate-tasks.{md,mdc}")
LAYOUT: Mapping[str, object] = {
    "documents": {
        "paths": {
            # The tool has numbered its files for a while: 0001-prd-search.md, tasks-0001-prd-search.md.
            "prd": ["tasks/prd-{slug}.md", "tasks/0{task}-prd-{slug}.md"],
            "tech-spec": [],
            "action-plan": [],
            "checklist": ["tasks/tasks-prd-{slug}.md", "tasks/tasks-0{task}-prd-{slug}.md", "tasks/tasks-{slug}.md"],
            "mini-spec": [],
        },
        "required": ["prd", "checklist"],
        "until-finished": "warning",  # the list follows once the PRD is agreed on
        "required-sections": {
            "prd": [
                "Introduction/Overview | Introduction | Overview | Introduction & Overview",
                "Goals",
                "Functional Requirements | Requirements",
                "Non-Goals | Out of Scope",
            ],
            "tech-spec": [],
            "action-plan": [],
            "checklist": ["Tasks"],
            "mini-spec": [],
        },
        "placeholders": ["TBD", "TODO", "FIXME", "[Sub-task description*]", "[feature-name]", "Parent Task Title"],
    },
    "evidence": {"required-runs": []},
    "severity": {"EVD005": "off"},
    "diff-budget": {"areas": {"docs": {"paths": ["tasks/**", "docs/**", "**/*.md"]}}},
}
