"""Every configuration key: its kind, its default, and what loosening it would mean.

All but taste are limits: a change is judged by the base's values, so that it cannot raise its own. `looser` says which
way a key loosens the gate and `governs` which rules it can silence (CFG001).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.config.change_keys import DIFF_BUDGET, PERFORMANCE, VERSION_BUMP
from orchgate.config.kinds import Choice, MapOf, Place, Text
from orchgate.config.paper_keys import COMMANDS, DOCUMENTS, EVIDENCE, MANIFESTS, SPECS
from orchgate.config.settings import (
    Commands,
    DiffBudget,
    Documents,
    Evidence,
    Manifests,
    Performance,
    Specs,
    Top,
    VersionBump,
)
from orchgate.config.shapes import CHANGE, FEWER, IGNORE, MORE, PIPELINE, REFUSED, RUN, SEEN, TEXTS, Key

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE: Mapping[str, Mapping[str, Key]] = {
    "": {
        "profile": Key(
            Choice(("default", "codex-orchestrator")),
            "default",
            "the set of defaults the other keys start from",
            REFUSED,
            CHANGE,
            ("DOC", "EVD", "SPC", "VER"),
        ),
        # It decides where later changes start from. What this one starts from is not asked of this one.
        "default-branch": Key(
            Text(),
            "",
            "branch that changes land on, where no remote's HEAD says it; read from main or its like",
            SEEN,
            CHANGE,
        ),
        "orphan-branches": Key(
            TEXTS,
            (),
            "branches, as globs, whose first push may have a history of its own, such as gh-pages",
            SEEN,
            MORE,
            ("DIF", "VER", "SPC"),
        ),
    },
    "documents": DOCUMENTS,
    "evidence": EVIDENCE,
    "manifests": MANIFESTS,
    "diff-budget": DIFF_BUDGET,
    "version-bump": VERSION_BUMP,
    "commands": COMMANDS,
    "specs": SPECS,
    "performance": PERFORMANCE,
}
# Tables with names of the user's choice.
FREE: Mapping[str, Key] = {
    "pipelines": Key(
        MapOf(PIPELINE),
        {},
        "stages that `orchgate run` executes, by pipeline",
        RUN,
        CHANGE,
        ("EVD010", "EVD012", "PRF"),
    ),
    "severity": Key(
        MapOf(Choice(("error", "warning", "note", "off"))), {}, "error, warning, note or off, by rule", REFUSED, FEWER
    ),
    "per-file-ignores": Key(
        MapOf(IGNORE, Place()), {}, "rules that do not count in some files, with the reason, by glob", REFUSED, MORE
    ),
}
SECTIONS: Mapping[str, type] = {
    "": Top,
    "documents": Documents,
    "evidence": Evidence,
    "manifests": Manifests,
    "diff-budget": DiffBudget,
    "version-bump": VersionBump,
    "commands": Commands,
    "specs": Specs,
    "performance": Performance,
}
