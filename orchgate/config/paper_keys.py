"""Keys about documents, their evidence and the runs they cite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.config.kinds import Choice, ListOf, Record, Text, Whole
from orchgate.config.shapes import DOC, EVD, GLOBS, ONE_OR_MORE_PLACES, PACKET_KINDS, PLACES, TEXTS, Key

if TYPE_CHECKING:
    from collections.abc import Mapping

# What no configuration lifts, be it a stranger's: an artifact and a manifest are held in memory as a whole. The deepest
# nesting is below the depth at which Python's own readers give up.
MAX_ARTIFACT_BYTES = 1024 * 1024 * 1024
MAX_MANIFEST_BYTES = 256 * 1024 * 1024
MAX_MANIFEST_DEPTH = 500

DOCUMENTS: Mapping[str, Key] = {
    "packets": Key(
        ONE_OR_MORE_PLACES, ("docs/PRD-{slug}.md",), "where PRDs are; each one found is a packet", "change", DOC
    ),
    "tech-spec": Key(
        ONE_OR_MORE_PLACES,
        ("docs/TECH_SPEC-{slug}.md", "tasks/specs/{task}.md"),
        "where a packet's TECH_SPEC may be",
        "more",
        DOC,
    ),
    "action-plan": Key(
        ONE_OR_MORE_PLACES, ("docs/ACTION_PLAN-{slug}.md",), "where a packet's ACTION_PLAN may be", "more", DOC
    ),
    "checklist": Key(ONE_OR_MORE_PLACES, ("tasks/tasks-{task}.md",), "where a packet's checklist may be", "more", DOC),
    "mini-spec": Key(ONE_OR_MORE_PLACES, ("tasks/specs/{task}.md",), "where a packet's mini-spec may be", "more", DOC),
    "task-index": Key(Text(), "tasks/index.json", "the list of tasks with their status, when the file exists"),
    "required": Key(
        ListOf(Choice(PACKET_KINDS)),
        ("prd", "tech-spec", "action-plan", "checklist"),
        "documents that every packet needs",
        "fewer",
        ("DOC001",),
        limit=True,
    ),
    "required-sections": Key(
        Record(
            lambda **sections: {kind.replace("_", "-"): titles for kind, titles in sections.items()},
            dict.fromkeys(PACKET_KINDS, TEXTS),
            {
                "prd": ("Summary", "Goals", "Non-Goals", "Metrics & Guardrails", "Approvals"),
                "tech-spec": ("Overview", "Design", "Testing Strategy", "Validation and Acceptance"),
                "action-plan": (
                    "Progress",
                    "Surprises & Discoveries",
                    "Decision Log",
                    "Concrete Steps",
                    "Artifacts and Notes",
                    "Idempotence and Recovery",
                    "Outcomes & Retrospective",
                ),
                "checklist": ("Checklist",),
                "mini-spec": ("Summary", "Proposed Changes", "Testing", "Approvals"),
            },
        ),
        None,
        "sections each kind of document needs",
        "fewer",
        ("DOC002", "DOC003"),
        limit=True,
    ),
    "finished-statuses": Key(
        TEXTS,
        ("implemented", "completed", "complete", "done", "succeeded", "shipped", "closed", "archived"),
        "index statuses of a packet that claims to be finished",
        "fewer",
        ("DOC004", "DOC006"),
        limit=True,
    ),
    "inactive-statuses": Key(
        TEXTS,
        ("archived", "cancelled", "canceled", "superseded", "abandoned", "rejected", "closed"),
        "index statuses of packets that --all-files leaves alone",
        "more",
        DOC,
        limit=True,
    ),
    "placeholders": Key(
        TEXTS,
        ("TBD", "TODO", "TBC", "FIXME", "<fill in>", "<describe*>", "<your *>", "…fill in…"),
        "words that stand for something nobody wrote yet",
        "fewer",
        ("DOC004",),
        limit=True,
    ),
    "review-days": Key(
        Whole(1, 36500), 90, "days after which a last review is overdue", "more", ("DOC007",), limit=True
    ),
    "exclude": Key(GLOBS, ("**/README.md",), "documents that are never part of a packet", "more", DOC, limit=True),
    "archived-markers": Key(
        TEXTS,
        (),
        "words that mark a document as a stub of one kept elsewhere, which is not judged",
        "more",
        DOC,
        limit=True,
    ),
}
EVIDENCE: Mapping[str, Key] = {
    "roots": Key(PLACES, (".runs", "out"), "where artifacts of runs lie, usually ignored by git", "more", EVD),
    "documents": Key(GLOBS, ("**/*.md",), "documents whose links are checked", "fewer", EVD, limit=True),
    "exclude": Key(GLOBS, (), "documents whose links are not checked", "more", EVD, limit=True),
    "required-runs": Key(
        TEXTS,
        ("diagnostics:before", "diagnostics:after", "implementation-gate"),
        "kinds of run a finished packet links, as pipeline:before; unset: of these, those whose pipeline is configured",
        "fewer",
        ("EVD010", "EVD012"),
        limit=True,
    ),
    "max-artifact-bytes": Key(
        Whole(1024, MAX_ARTIFACT_BYTES),
        64 * 1024 * 1024,
        "largest artifact that is pinned and compared with its pin, in bytes",
    ),
    "secrets": Key(
        TEXTS,
        (
            r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY",
            r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
            r"\bgh[pousr]_[A-Za-z0-9]{36}",
            r"\bgithub_pat_[A-Za-z0-9_]{60}",
            r"\bglpat-[A-Za-z0-9_-]{20}",
            r"\bxox[abeoprs]-[0-9]+-[A-Za-z0-9-]{10}",
            r"\bAIza[A-Za-z0-9_-]{35}",
            r"\bsk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{32}",
            r"\bnpm_[A-Za-z0-9]{36}",
            r"\bpypi-AgEIcHlwaS5vcmc",
        ),
        "regular expressions (RE2) of what must not be pushed: published forms of keys and tokens",
        "fewer",
    ),
}
MANIFESTS: Mapping[str, Key] = {
    "max-bytes": Key(
        Whole(1024, MAX_MANIFEST_BYTES),
        16 * 1024 * 1024,
        "largest manifest that is read, in bytes",
        "change",
        ("MAN001",),
        limit=True,
    ),
    "max-depth": Key(
        Whole(8, MAX_MANIFEST_DEPTH), 64, "deepest nesting that a manifest may have", "more", ("MAN001",), limit=True
    ),
    "stale-minutes": Key(
        Whole(1),
        10,
        "minutes without a sign of life after which an unfinished run is abandoned",
        "more",
        ("MAN006",),
        limit=True,
    ),
}
COMMANDS: Mapping[str, Key] = {
    "sections": Key(
        TEXTS,
        ("Concrete Steps", "Validation", "Validation and Acceptance", "Steps", "Commands"),
        "sections of the action plan whose commands are checked",
        "fewer",
        ("CMD001", "CMD002"),
        limit=True,
    ),
    "interactive": Key(TEXTS, (), "more programs that ask questions", "fewer", ("CMD001",), limit=True),
    "allow": Key(GLOBS, (), "commands that are fine as they are, as globs", "more", ("CMD001", "CMD002"), limit=True),
}
SPECS: Mapping[str, Key] = {
    "code": Key(
        GLOBS,
        (),
        "code that needs a task's spec, as globs; none: the check has nothing to do",
        "fewer",
        ("SPC001",),
        limit=True,
    ),
    "exempt": Key(GLOBS, (), "code that needs none, as globs", "more", ("SPC001",), limit=True),
    "review-days": Key(Whole(1, 36500), 30, "days a spec's last review stays fresh", "more", ("SPC001",), limit=True),
}
