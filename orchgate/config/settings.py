"""The configuration as typed values, and the declarations of all keys that several rooms read.

What only one check reads is declared in that check's file.
"""

from __future__ import annotations

from orchgate.config import profiles
from orchgate.config.entries import IGNORE, METRIC, PIPELINES, Ignore, MetricSettings, PipelineSettings, StageSettings
from orchgate.config.keys import (
    CHANGE,
    FEWER,
    GLOBS,
    MORE,
    ONCE_SET,
    PATHS_OR_GLOBS,
    REFUSED,
    RUN,
    SEEN,
    TASTE,
    TEXTS,
    key,
    nested,
)
from orchgate.config.kinds import Choice, Flag, Inner, ListOf, MapOf, Number, OrNone, ReplayPolicy, Text, Whole
from orchgate.config.names import (
    BRANCH,
    BRANCHES,
    DOCUMENT_PLACES,
    FILE_IN_TREE,
    KEY_NAMES,
    REPOSITORY,
    REQUIRED_RUNS,
    ROOTS,
    SHARED_FILES,
    Command,
    ToolCommands,
    Versions,
)
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar

    from orchgate.config.faults import At
    from orchgate.config.keys import Tables
    from orchgate.config.source import Source

    T = TypeVar("T")

__all__ = ["Ignore", "MetricSettings", "PipelineSettings", "StageSettings"]  # with all that is below

PACKETS = ("DOC", "EVD", "SPC", "CMD")  # rules that ask which packet a document belongs to, and how far it is
PACKET_KINDS = ("prd", "tech-spec", "action-plan", "checklist", "mini-spec")
BENCHMARK_FORMATS = ("pytest-benchmark", "hyperfine", "go", "bmf", "criterion")
# What no configuration lifts, be it a stranger's: an artifact and a manifest are held in memory as a whole. The deepest
# nesting is below the depth at which Python's own readers give up.
MAX_ARTIFACT_BYTES = 1024 * 1024 * 1024
MAX_MANIFEST_BYTES = 256 * 1024 * 1024
MAX_MANIFEST_DEPTH = 500


class Top(NamedTuple):
    profile: str = key(
        Choice(profiles.NAMES),
        "default",
        "the set of defaults the other keys start from",
        REFUSED,
        CHANGE,
        governs=("DOC", "EVD", "SPC", "VER"),
    )
    extends: tuple[str, ...] = key(
        SHARED_FILES,
        (),
        "shared configurations that this one starts from, each as `PATH#sha256=DIGEST` or `https://…#sha256=DIGEST`; a "
        "later one counts before an earlier one, and what is set here before all",
        REFUSED,
        FEWER,
    )
    may_loosen: tuple[str, ...] = key(
        KEY_NAMES,
        (),
        "in a shared configuration: keys, or tables, that those who extend it may set looser than it has them",
        REFUSED,
        MORE,
    )
    required_version: str = key(
        Versions(), "", 'versions of orchgate that may read this, such as ">=0.2"; any other ends in exit code 2', TASTE
    )
    # It decides where later changes start from. What this one starts from is not asked of this one.
    default_branch: str = key(
        BRANCH,
        "",
        "branch that changes land on, where no remote's HEAD says it; read from main or its like",
        SEEN,
        CHANGE,
    )
    orphan_branches: tuple[str, ...] = key(
        BRANCHES,
        (),
        "branches, as globs, whose first push may have a history of its own, such as gh-pages",
        SEEN,
        MORE,
        governs=("DIF", "VER", "SPC"),
    )
    exclude: tuple[str, ...] = key(
        GLOBS,
        (),
        "files left out by every check that has an `exclude` of its own",
        SEEN,
        MORE,
        governs=("DOC", "EVD", "MAN", "SPC", "CMD", "DIF", "PRF"),
    )
    severity: Mapping[str, str] = key(
        MapOf(Choice(("error", "warning", "note", "off"))),
        {},
        "error, warning, note or off, by rule, by family of rules such as DOC, or by check",
        REFUSED,
        FEWER,
    )
    ignore: tuple[Ignore, ...] = key(
        ListOf(IGNORE),
        (),
        "rules that do not count in some files: paths, rules and the reason",
        REFUSED,
        MORE,
        was="per-file-ignores",
    )
    pipelines: Mapping[str, PipelineSettings] = key(
        PIPELINES,
        {},
        "stages that `orchgate run` executes, by pipeline",
        RUN,
        CHANGE,
        governs=("EVD010", "EVD012", "PRF"),
    )
    tools: tuple[str, ...] = key(
        ToolCommands(),
        (),
        'programs that each run of a pipeline asks for their versions, such as "node" or "go version"',
        TASTE,
    )


class Paths(NamedTuple):
    prd: tuple[str, ...] = key(
        DOCUMENT_PLACES,
        ("docs/PRD-{slug}.md",),
        "where PRDs are; each one found is a packet",
        SEEN,
        CHANGE,
        governs=PACKETS,
        moves=True,
        was="documents.packets",
    )
    tech_spec: tuple[str, ...] = key(
        DOCUMENT_PLACES,
        ("docs/TECH_SPEC-{slug}.md", "tasks/specs/{task}.md"),
        "where a packet's TECH_SPEC may be",
        SEEN,
        CHANGE,
        governs=PACKETS,
        moves=True,
        was="documents.tech-spec",
    )
    action_plan: tuple[str, ...] = key(
        DOCUMENT_PLACES,
        ("docs/ACTION_PLAN-{slug}.md",),
        "where a packet's ACTION_PLAN may be",
        SEEN,
        CHANGE,
        governs=PACKETS,
        moves=True,
        was="documents.action-plan",
    )
    checklist: tuple[str, ...] = key(
        DOCUMENT_PLACES,
        ("tasks/tasks-{task}.md",),
        "where a packet's checklist may be",
        SEEN,
        CHANGE,
        governs=PACKETS,
        moves=True,
        was="documents.checklist",
    )
    mini_spec: tuple[str, ...] = key(
        DOCUMENT_PLACES,
        ("tasks/specs/{task}.md",),
        "where a packet's mini-spec may be",
        SEEN,
        CHANGE,
        governs=PACKETS,
        moves=True,
        was="documents.mini-spec",
    )


def _sections(kind: str, *titles: str) -> Any:
    return key(TEXTS, titles, f"sections that every {kind} needs", REFUSED, FEWER, governs=("DOC002", "DOC003"))


class RequiredSections(NamedTuple):
    prd: tuple[str, ...] = _sections("PRD", "Summary", "Goals", "Non-Goals", "Metrics & Guardrails", "Approvals")
    tech_spec: tuple[str, ...] = _sections(
        "TECH_SPEC", "Overview", "Design", "Testing Strategy", "Validation and Acceptance"
    )
    action_plan: tuple[str, ...] = _sections(
        "ACTION_PLAN",
        "Progress",
        "Surprises & Discoveries",
        "Decision Log",
        "Concrete Steps",
        "Artifacts and Notes",
        "Idempotence and Recovery",
        "Outcomes & Retrospective",
    )
    checklist: tuple[str, ...] = _sections("checklist", "Checklist")
    mini_spec: tuple[str, ...] = _sections("mini-spec", "Summary", "Proposed Changes", "Testing", "Approvals")


class Status(NamedTuple):
    finished: tuple[str, ...] = key(
        TEXTS,
        ("implemented", "completed", "complete", "done", "succeeded", "shipped", "closed", "archived"),
        "statuses that say that a packet is finished",
        REFUSED,
        FEWER,
        governs=PACKETS,
        was="documents.finished-statuses",
    )
    lines: tuple[str, ...] = key(
        TEXTS,
        (),
        "words before a status in the documents themselves: front matter, a line `Status: …`, or a section; none: "
        "only the task list knows",
        REFUSED,
        FEWER,
        governs=PACKETS,
    )
    inactive: tuple[str, ...] = key(
        TEXTS,
        ("archived", "cancelled", "canceled", "superseded", "abandoned", "rejected", "closed"),
        "statuses of packets that are left alone",
        SEEN,
        MORE,
        governs=PACKETS,
        was="documents.inactive-statuses",
    )


class Documents(NamedTuple):
    paths: Paths = nested(Paths, "where the documents of packets are")
    task_index: str = key(
        FILE_IN_TREE,
        "tasks/index.json",
        "the list of tasks with their status, when the file exists",
        SEEN,
        CHANGE,
        governs=PACKETS,
    )
    required: tuple[str, ...] = key(
        ListOf(Choice(PACKET_KINDS)),
        ("prd", "tech-spec", "action-plan", "checklist"),
        "documents that every packet needs",
        REFUSED,
        FEWER,
        governs=("DOC001",),
    )
    until_finished: str = key(
        Choice(("error", "warning", "note")),
        "error",
        "severity of a missing document or section while its packet is not finished",
        REFUSED,
        CHANGE,
        governs=("DOC001", "DOC002"),
    )
    required_sections: RequiredSections = nested(RequiredSections, "sections that documents need, by kind")
    status: Status = nested(Status, "which words of a document say how far it is")
    placeholders: tuple[str, ...] = key(
        TEXTS,
        ("TBD", "TODO", "TBC", "FIXME", "<fill in>", "<describe*>", "<your *>", "…fill in…"),
        "text that stands for what nobody has written yet",
        REFUSED,
        FEWER,
        governs=("DOC004",),
    )
    exclude: tuple[str, ...] = key(
        GLOBS, ("**/README.md",), "documents that are never part of a packet", SEEN, MORE, governs=PACKETS, common=True
    )
    stub_markers: tuple[str, ...] = key(
        TEXTS,
        (),
        "words that mark a document as a stub of one kept elsewhere, which is not judged",
        SEEN,
        MORE,
        governs=("DOC",),
        was="documents.archived-markers",
    )

    @property
    def places(self) -> Mapping[str, tuple[str, ...]]:
        """The configured patterns by kind of document."""
        return dict(zip(PACKET_KINDS, self.paths, strict=True))

    @property
    def sections(self) -> Mapping[str, tuple[str, ...]]:
        """The required sections by kind of document."""
        return dict(zip(PACKET_KINDS, self.required_sections, strict=True))


class Review(NamedTuple):
    max_age_days: int = key(
        Whole(1, 36500),
        90,
        "days after which a document's last review is overdue",
        REFUSED,
        MORE,
        governs=("DOC007",),
        was="documents.review-days",
    )
    spec_max_age_days: int = key(
        Whole(1, 36500),
        30,
        "the same for a spec that is edited together with its code",
        REFUSED,
        MORE,
        governs=("SPC",),
        was="specs.review-days",
    )


class Evidence(NamedTuple):
    roots: tuple[str, ...] = key(
        ROOTS,
        (".runs", "out"),
        "where artifacts of runs are, usually ignored by git",
        SEEN,
        CHANGE,
        governs=("EVD", "MAN", "PRF"),
        moves=True,
    )
    documents: tuple[str, ...] = key(
        GLOBS,
        ("**/*.[mM][dD]", "**/*.[mM][dD][xX]", "**/*.[mM][aA][rR][kK][dD][oO][wW][nN]"),
        "documents whose links are checked",
        SEEN,
        CHANGE,
        governs=("EVD", "MAN"),
    )
    exclude: tuple[str, ...] = key(
        GLOBS, (), "documents whose links are not checked", SEEN, MORE, governs=("EVD", "MAN"), common=True
    )
    required_runs: tuple[str, ...] = key(
        REQUIRED_RUNS,
        ("diagnostics:before", "diagnostics:after", "implementation-gate"),
        "kinds of run a finished packet links, as pipeline:before; unset: of these, those whose pipeline is configured",
        REFUSED,
        FEWER,
        governs=("EVD010", "EVD012"),
    )
    link_roots: tuple[str, ...] = key(
        ROOTS,
        (),
        "folders that a site serves from its top, such as docs and docs/public, in which links like /guide/intro are "
        "looked for",
        REFUSED,
        MORE,
        governs=("EVD001", "EVD013"),
    )
    max_artifact_bytes: int = key(
        Whole(1024, MAX_ARTIFACT_BYTES),
        64 * 1024 * 1024,
        "largest artifact that is pinned and compared with its pin, in bytes",
        REFUSED,
        CHANGE,
        governs=("EVD",),
    )
    replay: str = key(
        ReplayPolicy(),
        "never",
        "how many of the runs that a change newly cites `orchgate evidence replay --policy` replays: never, cited (all "
        "of them), or sample:N of them",
        REFUSED,
        FEWER,
    )
    secrets: tuple[str, ...] = key(
        TEXTS,
        (),
        "more secrets that must not be pushed, as regular expressions (RE2), beside the known forms of keys and tokens",
        REFUSED,
        FEWER,
    )
    secrets_allowed: tuple[str, ...] = key(
        TEXTS,
        (),
        "what only looks like a secret: regular expressions (RE2) that are matched against `FORM: TEXT`",
        REFUSED,
        MORE,
    )


class Manifests(NamedTuple):
    max_bytes: int = key(
        Whole(1024, MAX_MANIFEST_BYTES),
        16 * 1024 * 1024,
        "largest manifest that is read, in bytes",
        REFUSED,
        CHANGE,
        governs=("MAN", "EVD"),
    )
    max_depth: int = key(
        Whole(8, MAX_MANIFEST_DEPTH),
        64,
        "deepest nesting that a manifest may have",
        REFUSED,
        MORE,
        governs=("MAN", "EVD"),
    )
    abandoned_after_minutes: int = key(
        Whole(1),
        10,
        "minutes without a sign of life after which an unfinished run is abandoned",
        REFUSED,
        MORE,
        governs=("MAN006",),
        was="manifests.stale-minutes",
    )


class Benchmarks(NamedTuple):
    """The file, or the folder of criterion, in which a run leaves the results of its benchmarks; "" for none."""

    file: str = key(
        OrNone(Inner()),
        "",
        "where a run leaves the results of its benchmarks",
        SEEN,
        ONCE_SET,
        governs=("PRF",),
    )
    format: str = key(OrNone(Choice(BENCHMARK_FORMATS)), "", "format of that file", SEEN, ONCE_SET, governs=("PRF",))


class Performance(NamedTuple):
    pipeline: str = key(Text(), "", "pipeline that the gate measures", RUN, ONCE_SET, governs=("PRF",))
    max_seconds: float = key(
        Number(1, 240, "seconds"),
        30.0,
        "time a push may take to judge",
        RUN,
        FEWER,
        governs=("PRF",),
        was="performance.budget-seconds",
    )
    paths: tuple[str, ...] = key(
        GLOBS,
        (),
        "paths whose change is worth measuring; none: all but documents and evidence",
        SEEN,
        CHANGE,
        governs=("PRF",),
        was="performance.relevant",
    )
    setup: tuple[str, ...] = key(
        Command(),
        (),
        "command that prepares a tree before it is measured, such as an installation",
        RUN,
        CHANGE,
        governs=("PRF",),
        was="performance.prepare",
    )
    watch: tuple[str, ...] = key(
        PATHS_OR_GLOBS,
        (".runs", "out"),
        "folders in which files written during a measured run are counted",
        SEEN,
        FEWER,
        governs=("PRF",),
    )
    baseline_max_age_days: int = key(
        Whole(1, 100_000),
        90,
        "days after which the stored baseline is stale",
        REFUSED,
        MORE,
        governs=("PRF",),
        was="performance.baseline-days",
    )
    rates_from_task: str = key(
        Text(),
        "",
        "task whose recorded runs are held to the bounds of the rates",
        SEEN,
        CHANGE,
        governs=("PRF",),
        was="performance.task",
    )
    metrics: Mapping[str, MetricSettings] = key(
        MapOf(METRIC), {}, "thresholds by metric", REFUSED, CHANGE, governs=("PRF",)
    )
    exact: bool = key(
        Flag(),
        False,
        "whether instructions, counted by valgrind, decide what CPU time leaves open",
        REFUSED,
        CHANGE,
        governs=("PRF",),
    )
    benchmarks: Benchmarks = nested(Benchmarks, "results of benchmarks that a run of the pipeline leaves")


class History(NamedTuple):
    repository: str = key(
        REPOSITORY,
        "",
        "what this repository is called in a history; unset: the end of its remote's address, such as owner/name",
        TASTE,
    )
    to: str = key(
        Text(),
        "git",
        "where `orchgate history` keeps runs: git, which is a reference of the remote, a folder, or the address of a "
        "bucket, such as s3://bucket/prefix; another one than git counts as the default branch has it",
        TASTE,
    )


class Signatures(NamedTuple):
    roles: Mapping[str, tuple[str, ...]] = key(
        MapOf(TEXTS),
        {},
        "who signs in a role: names of signers in .orchgate/allowed_signers, such as ci@* or *@example.org",
        REFUSED,
        MORE,
        governs=("EVD014",),
    )
    required: tuple[str, ...] = key(
        TEXTS,
        (),
        "which runs must be signed in which role before a claim may cite them, as pipeline:role; * for all pipelines",
        REFUSED,
        FEWER,
        governs=("EVD014",),
    )


def family(rule: str) -> str:
    """The letters that a rule's id begins with."""
    return rule.rstrip("0123456789")


class Config(NamedTuple):
    """The whole configuration.

    `tables` are those of checks, of which `of` gives any. `origins` says where a value comes
    from, by dotted key, where that is not the default. `shadowed` says that pyproject.toml has a configuration too,
    which does not count; `renamed` are keys under their old names, as they are written and as they are called now.
    """

    top: Top
    documents: Documents
    review: Review
    evidence: Evidence
    manifests: Manifests
    performance: Performance
    history: History
    signatures: Signatures
    tables: Tables
    origins: Mapping[str, str]
    source: Source
    renamed: tuple[tuple[At, At], ...] = ()

    @property
    def values(self) -> tuple[object, ...]:
        """All that is configured, whatever it is called and wherever it comes from."""
        sections = (self.documents, self.review, self.evidence, self.manifests, self.performance)
        return (self.top, *sections, self.history, self.signatures, self.tables)

    @property
    def pipelines(self) -> Mapping[str, PipelineSettings]:
        return self.top.pipelines

    @property
    def shadowed(self) -> bool:
        return self.source.shadowed

    def severity_of(self, rule: str, check: str) -> str:
        """What is configured for a rule of a check: for itself, else its family, else the check; "" for nothing."""
        severity = self.top.severity
        return (severity and (severity.get(rule) or severity.get(family(rule)) or severity.get(check))) or ""

    @property
    def undecided_blocks(self) -> bool:
        """Whether a comparison that nobody can decide keeps a push back."""
        return self.severity_of("PRF004", "performance") == "error"

    def of(self, table: type[T]) -> T:
        """The table of a check, by what declares its keys there."""
        return self.tables.of(table)

    def origin(self, dotted: str) -> str:
        """Where the value of a key comes from."""
        return self.origins.get(dotted, "default")


# The tables that are declared here, by name; "" is the top.
SECTIONS: Mapping[str, Any] = {
    "": Top,
    "documents": Documents,
    "review": Review,
    "evidence": Evidence,
    "manifests": Manifests,
    "performance": Performance,
    "history": History,
    "signatures": Signatures,
}
