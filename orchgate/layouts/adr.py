"""Architecture decision records, as Nygard's or as MADR: a numbered file a decision, with a status."""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDERS = (
    "docs/adr",
    "docs/adrs",
    "docs/ADR",
    "docs/decisions",
    "docs/architecture/decisions",
    "docs/architecture/adr",
    "doc/adr",
    "doc/architecture/decisions",
    "adr",
)
SIGNS = (".adr-dir", *(f"{folder}/[0-9]*-*.md" for folder in _FOLDERS))
ONLY_ALONE = True
LAYOUT: Mapping[str, object] = {
    "documents": {
        "paths": {
            "prd": [f"{folder}/{{task}}.md" for folder in _FOLDERS],
            "tech-spec": [],
            "action-plan": [],
            "checklist": [],
            "mini-spec": [],
        },
        "exclude": ["**/README.md", "**/index.md", "**/*template*.md", "**/TEMPLATE*.md"],
        "required": ["prd"],
        "until-finished": "warning",
        "required-sections": {
            "prd": [
                "Context | Context and Problem Statement | Context & Problem Statement | Problem | Background",
                "Decision | Decision Outcome | Decisions",
            ],
            "tech-spec": [],
            "action-plan": [],
            "checklist": [],
            "mini-spec": [],
        },
        "status": {
            "lines": ["Status"],
            "finished": ["accepted", "approved", "adopted", "decided", "implemented", "done"],
            "inactive": ["superseded", "deprecated", "rejected", "withdrawn", "obsolete", "replaced"],
        },
        "placeholders": [
            "TBD",
            "TODO",
            "FIXME",
            "{short title",
            "{title of",
            "{Describe",
            "{justification",
            "{decision driver",
            "{argument",
            "{positive",
            "{negative",
        ],
    },
    "evidence": {"required-runs": []},
    "severity": {"EVD005": "off"},
    "diff-budget": {"areas": {"docs": {"paths": ["docs/**", "doc/**", "adr/**", "**/*.md"]}}},
}
