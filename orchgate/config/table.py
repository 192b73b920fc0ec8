"""Every configuration key: its kind, its default, and what loosening it would mean.

A *limit* is judged by the base revision's value, so that a change cannot raise its own; the other keys say where
things are and are taken from the snapshot. `looser` says which way a key loosens the gate and `governs` which rules
it can silence (CFG001).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.config.kinds import Choice, Flag, Kind, ListOf, MapOf, Number, Record, Text, Whole
from orchgate.config.settings import (
    Area,
    Commands,
    DiffBudget,
    Documents,
    Evidence,
    Ignore,
    Manifests,
    Metric,
    Performance,
    Pipeline,
    Specs,
    Stage,
    Top,
    VersionBump,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXTS = ListOf(Text())
ONE_OR_MORE_TEXTS = ListOf(Text(), or_one=True)
PACKET_KINDS = ("prd", "tech-spec", "action-plan", "checklist", "mini-spec")


class Key(NamedTuple):
    """One key of the table. `looser`: "more", "fewer" or "change" of it loosens the gate; "" cannot."""

    kind: Kind
    default: object
    help: str
    looser: str = ""
    governs: tuple[str, ...] = ()
    limit: bool = False


AREA = Record(
    Area, {"paths": TEXTS, "max-files": Whole(), "max-lines": Whole()}, {"max-files": None, "max-lines": None}
)
METRIC = Record(
    Metric,
    {"block": Number(0, 1e9, "a fraction"), "tolerance": Number(0, 1, "a fraction")},
    {"block": None, "tolerance": None},
)
STAGE = Record(
    Stage,
    {
        "id": Text(),
        "run": TEXTS,
        "shell": Text(),
        "env": MapOf(Text()),
        "cwd": Text(),
        "timeout-seconds": Number(0.001, 1e7, "seconds"),
        "retries": Whole(0, 100),
        "allow-failure": Flag(),
        "needs": TEXTS,
        "inputs": TEXTS,
        "junit": Text(),
        "metrics": Text(),
        "title": Text(),
        "summary-hint": Text(),
        "retry-delay-seconds": Number(0, 1e5, "seconds"),
        "pipeline": Text(),
    },
    {
        "run": (),
        "shell": "",
        "env": {},
        "cwd": "",
        "timeout-seconds": None,
        "retries": 0,
        "allow-failure": False,
        "needs": (),
        "inputs": (),
        "junit": "",
        "metrics": "",
        "title": "",
        "summary-hint": "",
        "retry-delay-seconds": 0.0,
        "pipeline": "",
    },
    {
        "oneOf": [
            {"required": ["run"], "properties": {"run": {"minItems": 1}}},
            {"required": ["shell"], "properties": {"shell": {"minLength": 1}}},
            {"required": ["pipeline"], "properties": {"pipeline": {"minLength": 1}}},
        ]
    },
)
PIPELINE = Record(
    Pipeline,
    {"title": Text(), "stages": ListOf(STAGE), "env": MapOf(Text()), "max-parallel": Whole(1, 256)},
    {"title": "", "stages": (), "env": {}, "max-parallel": None},
)
IGNORE = Record(
    Ignore,
    {"rules": TEXTS, "reason": Text()},
    also={"allOf": [{"properties": {"rules": {"minItems": 1}, "reason": {"pattern": "\\S"}}}]},
)

DOC = ("DOC001", "DOC002", "DOC003", "DOC004", "DOC005", "DOC006", "DOC007", "DOC008")
EVD = ("EVD001", "EVD002", "EVD003", "EVD004", "EVD005", "EVD006", "EVD007", "EVD010", "EVD013")

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
    "documents": {
        "packets": Key(
            ONE_OR_MORE_TEXTS, ("docs/PRD-{slug}.md",), "where PRDs are; each one found is a packet", "change", DOC
        ),
        "tech-spec": Key(
            ONE_OR_MORE_TEXTS,
            ("docs/TECH_SPEC-{slug}.md", "tasks/specs/{task}.md"),
            "where a packet's TECH_SPEC may be",
            "more",
            DOC,
        ),
        "action-plan": Key(
            ONE_OR_MORE_TEXTS, ("docs/ACTION_PLAN-{slug}.md",), "where a packet's ACTION_PLAN may be", "more", DOC
        ),
        "checklist": Key(
            ONE_OR_MORE_TEXTS, ("tasks/tasks-{task}.md",), "where a packet's checklist may be", "more", DOC
        ),
        "mini-spec": Key(
            ONE_OR_MORE_TEXTS, ("tasks/specs/{task}.md",), "where a packet's mini-spec may be", "more", DOC
        ),
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
        "exclude": Key(TEXTS, ("**/README.md",), "documents that are never part of a packet", "more", DOC, limit=True),
        "archived-markers": Key(
            TEXTS,
            (),
            "words that mark a document as a stub of one kept elsewhere, which is not judged",
            "more",
            DOC,
            limit=True,
        ),
    },
    "evidence": {
        "roots": Key(
            ListOf(Text()), (".runs", "out"), "where artifacts of runs lie, usually ignored by git", "more", EVD
        ),
        "documents": Key(TEXTS, ("**/*.md",), "documents whose links are checked", "fewer", EVD, limit=True),
        "exclude": Key(TEXTS, (), "documents whose links are not checked", "more", EVD, limit=True),
        "required-runs": Key(
            TEXTS, (), "kinds of run a finished packet links, as pipeline:before", "fewer", ("EVD010",), limit=True
        ),
    },
    "manifests": {
        "max-bytes": Key(
            Whole(1024), 16 * 1024 * 1024, "largest manifest that is read, in bytes", "change", ("MAN001",), limit=True
        ),
        "max-depth": Key(
            Whole(8, 500), 64, "deepest nesting that a manifest may have", "more", ("MAN001",), limit=True
        ),
        "stale-minutes": Key(
            Whole(1),
            10,
            "minutes without a sign of life after which an unfinished run is abandoned",
            "more",
            ("MAN006",),
            limit=True,
        ),
    },
    "diff-budget": {
        "max-files": Key(Whole(), 25, "files a change may touch", "more", ("DIF001",), limit=True),
        "max-lines": Key(Whole(), 800, "lines a change may add and remove", "more", ("DIF001",), limit=True),
        "ignore": Key(
            TEXTS,
            (
                "**/*.lock",
                "**/package-lock.json",
                "**/npm-shrinkwrap.json",
                "**/pnpm-lock.yaml",
                "**/go.sum",
                "**/*.min.js",
                "**/*.min.css",
                "**/*.snap",
            ),
            "globs that do not count",
            "more",
            ("DIF001",),
            limit=True,
        ),
        "areas": Key(
            MapOf(AREA),
            {},
            "parts of the tree counted apart, each with its own limits",
            "change",
            ("DIF001",),
            limit=True,
        ),
        "override-variable": Key(
            Text(),
            "DIFF_BUDGET_OVERRIDE_REASON",
            "environment variable that lifts the budget with a reason",
            "change",
            ("DIF001",),
            limit=True,
        ),
        "override-trailer": Key(
            Text(),
            "Diff-Budget-Override",
            "commit trailer that lifts the budget with a reason",
            "change",
            ("DIF001",),
            limit=True,
        ),
    },
    "version-bump": {
        "files": Key(
            TEXTS,
            (
                "**/pyproject.toml",
                "**/package.json",
                "**/Cargo.toml",
                "**/__init__.py",
                "**/__about__.py",
                "**/_version.py",
                "**/version.py",
                "**/VERSION",
                "**/VERSION.txt",
            ),
            "files that carry a version",
            "fewer",
            ("VER001", "VER002"),
            limit=True,
        ),
        "allow-branches": Key(
            TEXTS, (), "branches on which a version may change, as globs", "more", ("VER001",), limit=True
        ),
        "allow-trailer": Key(
            Text(),
            "Version-Bump",
            "commit trailer that allows a version change with a reason",
            "change",
            ("VER001",),
            limit=True,
        ),
    },
    "commands": {
        "sections": Key(
            TEXTS,
            ("Concrete Steps", "Validation", "Validation and Acceptance", "Steps", "Commands"),
            "sections of the action plan whose commands are checked",
            "fewer",
            ("CMD001", "CMD002"),
            limit=True,
        ),
        "interactive": Key(TEXTS, (), "more programs that ask questions", "fewer", ("CMD001",), limit=True),
        "allow": Key(
            TEXTS, (), "commands that are fine as they are, as globs", "more", ("CMD001", "CMD002"), limit=True
        ),
    },
    "specs": {
        "code": Key(
            TEXTS,
            (),
            "code that needs a task's spec, as globs; none: the check has nothing to do",
            "fewer",
            ("SPC001",),
            limit=True,
        ),
        "exempt": Key(TEXTS, (), "code that needs none, as globs", "more", ("SPC001",), limit=True),
        "review-days": Key(
            Whole(1, 36500), 30, "days a spec's last review stays fresh", "more", ("SPC001",), limit=True
        ),
    },
    "performance": {
        "pipeline": Key(Text(), "", "pipeline that the gate measures", "change", limit=True),
        "budget-seconds": Key(Number(1, 240, "seconds"), 30.0, "time a push may take to judge", "fewer", limit=True),
        "relevant": Key(TEXTS, (), "paths whose change is worth measuring; none: every path", "change", limit=True),
        "inconclusive": Key(
            Choice(("warn", "block")), "warn", "what an undecided comparison does", "change", limit=True
        ),
        "metrics": Key(MapOf(METRIC), {}, "thresholds by metric", "change", limit=True),
    },
}
PIPELINES = MapOf(PIPELINE)
SEVERITY = MapOf(Choice(("error", "warning", "note", "off")))
PER_FILE_IGNORES = MapOf(IGNORE)
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
