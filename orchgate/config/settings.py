"""The configuration as typed values. `table.py` says how each key is read and what it defaults to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Top(NamedTuple):
    profile: str
    default_branch: str
    orphan_branches: tuple[str, ...]


class Documents(NamedTuple):
    packets: tuple[str, ...]
    tech_spec: tuple[str, ...]
    action_plan: tuple[str, ...]
    checklist: tuple[str, ...]
    mini_spec: tuple[str, ...]
    task_index: str
    required: tuple[str, ...]
    required_sections: Mapping[str, tuple[str, ...]]
    finished_statuses: tuple[str, ...]
    inactive_statuses: tuple[str, ...]
    placeholders: tuple[str, ...]
    review_days: int
    exclude: tuple[str, ...]
    archived_markers: tuple[str, ...]

    @property
    def places(self) -> Mapping[str, tuple[str, ...]]:
        """The configured patterns by key."""
        return {
            "packets": self.packets,
            "tech-spec": self.tech_spec,
            "action-plan": self.action_plan,
            "checklist": self.checklist,
            "mini-spec": self.mini_spec,
        }


class Evidence(NamedTuple):
    roots: tuple[str, ...]
    documents: tuple[str, ...]
    exclude: tuple[str, ...]
    required_runs: tuple[str, ...]
    max_artifact_bytes: int
    secrets: tuple[str, ...]
    secrets_allowed: tuple[str, ...]


class Manifests(NamedTuple):
    max_bytes: int
    max_depth: int
    stale_minutes: int


class Area(NamedTuple):
    paths: tuple[str, ...]
    max_files: int | None
    max_lines: int | None


class DiffBudget(NamedTuple):
    max_files: int
    max_lines: int
    ignore: tuple[str, ...]
    areas: Mapping[str, Area]
    override_variable: str
    override_trailer: str


class VersionBump(NamedTuple):
    files: tuple[str, ...]
    allow_branches: tuple[str, ...]
    allow_trailer: str


class Commands(NamedTuple):
    sections: tuple[str, ...]
    interactive: tuple[str, ...]
    allow: tuple[str, ...]


class Specs(NamedTuple):
    code: tuple[str, ...]
    exempt: tuple[str, ...]
    review_days: int


class Metric(NamedTuple):
    """How far a metric may move from the base, as fractions, and what its own value may be. None: the default."""

    block: float | None
    tolerance: float | None
    max: float | None
    min: float | None


class Benchmarks(NamedTuple):
    """The file, or the folder of criterion, in which a run leaves the results of its benchmarks; "" for none."""

    file: str
    format: str


class Performance(NamedTuple):
    pipeline: str
    budget_seconds: float
    relevant: tuple[str, ...]
    prepare: tuple[str, ...]
    watch: tuple[str, ...]
    inconclusive: str
    baseline_days: int
    task: str
    metrics: Mapping[str, Metric]
    exact: bool
    benchmarks: Benchmarks = Benchmarks("", "")


class Stage(NamedTuple):
    id: str
    run: tuple[str, ...]
    shell: str
    env: Mapping[str, str]
    cwd: str
    timeout_seconds: float | None
    retries: int
    allow_failure: bool
    needs: tuple[str, ...]
    inputs: tuple[str, ...]
    junit: str
    metrics: str
    title: str
    summary_hint: str
    retry_delay_seconds: float
    pipeline: str
    outputs: tuple[str, ...]


class Pipeline(NamedTuple):
    title: str
    stages: tuple[Stage, ...]
    env: Mapping[str, str]
    max_parallel: int | None


class Ignore(NamedTuple):
    rules: tuple[str, ...]
    reason: str


class Config(NamedTuple):
    """The whole configuration. `origins` maps a dotted key to where its value comes from.

    `shadowed` says that pyproject.toml has a configuration too, which does not count.
    """

    top: Top
    documents: Documents
    evidence: Evidence
    manifests: Manifests
    diff_budget: DiffBudget
    version_bump: VersionBump
    commands: Commands
    specs: Specs
    performance: Performance
    pipelines: Mapping[str, Pipeline]
    severity: Mapping[str, str]
    per_file_ignores: Mapping[str, Ignore]
    origins: Mapping[str, str]
    shadowed: bool = False
