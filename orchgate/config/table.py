"""Every configuration key: its kind, its default, and what loosening it would mean.

A *limit* is judged by the base revision's value, so that a change cannot raise its own; the other keys say where
things are and are taken from the snapshot. `looser` says which way a key loosens the gate and `governs` which rules
it can silence (CFG001).
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
from orchgate.config.shapes import DOC, EVD, IGNORE, PIPELINE, Key

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE: Mapping[str, Mapping[str, Key]] = {
    "": {
        "profile": Key(
            Choice(("default", "codex-orchestrator")),
            "default",
            "the set of defaults the other keys start from",
            "change",
            (*DOC, *EVD),
            limit=True,
        ),
        "default-branch": Key(Text(), "", "branch that changes land on; empty: what origin or git says", "change"),
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
PIPELINES = MapOf(PIPELINE)
SEVERITY = MapOf(Choice(("error", "warning", "note", "off")))
PER_FILE_IGNORES = MapOf(IGNORE, Place())
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
