"""Keys about documents, their evidence and the runs they cite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.config.kinds import Choice, ListOf, Record, Text, Whole
from orchgate.config.shapes import (
    CHANGE,
    FEWER,
    GLOBS,
    MORE,
    ONE_OR_MORE_PLACES,
    PACKET_KINDS,
    PLACES,
    REFUSED,
    SEEN,
    TEXTS,
    Key,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKETS = ("DOC", "EVD", "SPC", "CMD")  # rules that ask which packet a document belongs to, and how far it is
# What no configuration lifts, be it a stranger's: an artifact and a manifest are held in memory as a whole. The deepest
# nesting is below the depth at which Python's own readers give up.
MAX_ARTIFACT_BYTES = 1024 * 1024 * 1024
MAX_MANIFEST_BYTES = 256 * 1024 * 1024
MAX_MANIFEST_DEPTH = 500

DOCUMENTS: Mapping[str, Key] = {
    "packets": Key(
        ONE_OR_MORE_PLACES,
        ("docs/PRD-{slug}.md",),
        "where PRDs are; each one found is a packet",
        SEEN,
        CHANGE,
        PACKETS,
        moves=True,
    ),
    "tech-spec": Key(
        ONE_OR_MORE_PLACES,
        ("docs/TECH_SPEC-{slug}.md", "tasks/specs/{task}.md"),
        "where a packet's TECH_SPEC may be",
        SEEN,
        CHANGE,
        PACKETS,
        moves=True,
    ),
    "action-plan": Key(
        ONE_OR_MORE_PLACES,
        ("docs/ACTION_PLAN-{slug}.md",),
        "where a packet's ACTION_PLAN may be",
        SEEN,
        CHANGE,
        PACKETS,
        moves=True,
    ),
    "checklist": Key(
        ONE_OR_MORE_PLACES,
        ("tasks/tasks-{task}.md",),
        "where a packet's checklist may be",
        SEEN,
        CHANGE,
        PACKETS,
        moves=True,
    ),
    "mini-spec": Key(
        ONE_OR_MORE_PLACES,
        ("tasks/specs/{task}.md",),
        "where a packet's mini-spec may be",
        SEEN,
        CHANGE,
        PACKETS,
        moves=True,
    ),
    "task-index": Key(
        Text(), "tasks/index.json", "the list of tasks with their status, when the file exists", SEEN, CHANGE, PACKETS
    ),
    "required": Key(
        ListOf(Choice(PACKET_KINDS)),
        ("prd", "tech-spec", "action-plan", "checklist"),
        "documents that every packet needs",
        REFUSED,
        FEWER,
        ("DOC001",),
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
        REFUSED,
        FEWER,
        ("DOC002", "DOC003"),
    ),
    "finished-statuses": Key(
        TEXTS,
        ("implemented", "completed", "complete", "done", "succeeded", "shipped", "closed", "archived"),
        "index statuses of a packet that claims to be finished",
        REFUSED,
        FEWER,
        PACKETS,
    ),
    "inactive-statuses": Key(
        TEXTS,
        ("archived", "cancelled", "canceled", "superseded", "abandoned", "rejected", "closed"),
        "index statuses of packets that --all-files leaves alone",
        SEEN,
        CHANGE,
        PACKETS,
    ),
    "placeholders": Key(
        TEXTS,
        ("TBD", "TODO", "TBC", "FIXME", "<fill in>", "<describe*>", "<your *>", "…fill in…"),
        "words that stand for something nobody wrote yet",
        REFUSED,
        FEWER,
        ("DOC004",),
    ),
    "review-days": Key(Whole(1, 36500), 90, "days after which a last review is overdue", REFUSED, MORE, ("DOC007",)),
    "exclude": Key(GLOBS, ("**/README.md",), "documents that are never part of a packet", SEEN, MORE, PACKETS),
    "archived-markers": Key(
        TEXTS,
        (),
        "words that mark a document as a stub of one kept elsewhere, which is not judged",
        SEEN,
        MORE,
        ("DOC",),
    ),
}
EVIDENCE: Mapping[str, Key] = {
    "roots": Key(
        PLACES,
        (".runs", "out"),
        "where artifacts of runs lie, usually ignored by git",
        SEEN,
        CHANGE,
        ("EVD", "MAN", "PRF"),
        moves=True,
    ),
    "documents": Key(
        GLOBS,
        ("**/*.[mM][dD]", "**/*.[mM][dD][xX]", "**/*.[mM][aA][rR][kK][dD][oO][wW][nN]"),
        "documents whose links are checked",
        SEEN,
        CHANGE,
        ("EVD", "MAN"),
    ),
    "exclude": Key(GLOBS, (), "documents whose links are not checked", SEEN, MORE, ("EVD", "MAN")),
    "required-runs": Key(
        TEXTS,
        ("diagnostics:before", "diagnostics:after", "implementation-gate"),
        "kinds of run a finished packet links, as pipeline:before; unset: of these, those whose pipeline is configured",
        REFUSED,
        FEWER,
        ("EVD010", "EVD012"),
    ),
    "max-artifact-bytes": Key(
        Whole(1024, MAX_ARTIFACT_BYTES),
        64 * 1024 * 1024,
        "largest artifact that is pinned and compared with its pin, in bytes",
        REFUSED,
        CHANGE,
        ("EVD",),
    ),
    "secrets": Key(
        TEXTS,
        (),
        "more of what must not be pushed, as regular expressions (RE2), beside the known forms of keys and tokens",
        REFUSED,
        FEWER,
    ),
    "secrets-allowed": Key(
        TEXTS,
        (),
        "what only looks like a secret: regular expressions (RE2) that are held against `FORM: TEXT`",
        REFUSED,
        MORE,
    ),
}
MANIFESTS: Mapping[str, Key] = {
    "max-bytes": Key(
        Whole(1024, MAX_MANIFEST_BYTES),
        16 * 1024 * 1024,
        "largest manifest that is read, in bytes",
        REFUSED,
        CHANGE,
        ("MAN", "EVD"),
    ),
    "max-depth": Key(
        Whole(8, MAX_MANIFEST_DEPTH), 64, "deepest nesting that a manifest may have", REFUSED, MORE, ("MAN", "EVD")
    ),
    "stale-minutes": Key(
        Whole(1),
        10,
        "minutes without a sign of life after which an unfinished run is abandoned",
        REFUSED,
        MORE,
        ("MAN006",),
    ),
}
COMMANDS: Mapping[str, Key] = {
    "sections": Key(
        TEXTS,
        ("Concrete Steps", "Validation", "Validation and Acceptance", "Steps", "Commands"),
        "sections of the action plan whose commands are checked",
        SEEN,
        FEWER,
        ("CMD",),
    ),
    "interactive": Key(TEXTS, (), "more programs that ask questions", REFUSED, FEWER, ("CMD001",)),
    "allow": Key(GLOBS, (), "commands that are fine as they are, as globs", REFUSED, MORE, ("CMD",)),
}
SPECS: Mapping[str, Key] = {
    "code": Key(
        GLOBS, (), "code that needs a task's spec, as globs; none: the check has nothing to do", SEEN, FEWER, ("SPC",)
    ),
    "exempt": Key(GLOBS, (), "code that needs none, as globs", SEEN, MORE, ("SPC",)),
    "review-days": Key(Whole(1, 36500), 30, "days a spec's last review stays fresh", REFUSED, MORE, ("SPC",)),
}
