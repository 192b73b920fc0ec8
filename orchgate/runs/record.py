"""One recorded run as a value. Imports msgspec, so whoever only needs the type imports this for type checking only."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

Moment = Annotated[datetime, Meta(tz=True)]

UNFINISHED = frozenset({"queued", "in_progress"})


class Usage(Struct, frozen=True):
    """What a stage or a run cost. None: not measured.

    `lower_bounds` says by metric (`cpu_seconds` among them) why it is only known to be at least so. `complete`: whether
    none is; None where nobody knows.
    """

    wall_seconds: float | None = None
    user_seconds: float | None = None
    system_seconds: float | None = None
    max_rss_bytes: int | None = None
    tree_rss_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    processes: int | None = None
    complete: bool | None = None
    lower_bounds: dict[str, str] = {}
    away_seconds: float | None = None


class Tests(Struct, frozen=True):
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    errors: int = 0


class Attempt(Struct, frozen=True):
    number: int
    status: str
    started_at: Moment | None = None
    completed_at: Moment | None = None
    exit_code: int | None = None
    signal: str | None = None
    timed_out: bool = False


class Stage(Struct, frozen=True):
    """One stage. Paths are as recorded: `Run.place` says where they lead."""

    index: int
    id: str
    title: str
    command: str | None
    kind: str
    status: str
    started_at: Moment | None = None
    completed_at: Moment | None = None
    exit_code: int | None = None
    summary: str | None = None
    log_path: str | None = None
    error_file: str | None = None
    sub_run_id: str | None = None
    status_detail: str | None = None
    allow_failure: bool = False
    attempts: tuple[Attempt, ...] = ()
    flaky: bool = False
    cached: bool = False
    usage: Usage | None = None
    tests: Tests | None = None
    metrics: dict[str, float] = {}
    output_bytes: int | None = None  # None: not known
    output_left_out_bytes: int | None = None

    @property
    def finished(self) -> bool:
        return self.status not in ("pending", "running")


class Child(Struct, frozen=True):
    """The run of a sub-pipeline."""

    run_id: str
    pipeline_id: str
    status: str
    manifest: str


class Inner(Struct, frozen=True):
    """A run that an observed program recorded itself. `linked_by` says how that is known."""

    run_id: str
    task_id: str
    pipeline_id: str
    manifest: str
    linked_by: str = ""


class Git(Struct, frozen=True):
    commit: str | None
    tree: str | None
    dirty: bool
    branch: str | None = None


class Machine(Struct, frozen=True):
    fingerprint: str
    cpu_model: str | None = None
    cores: float | None = None
    memory_class: str | None = None
    kernel: str | None = None
    python: str | None = None
    container: str | None = None


class Process(Struct, frozen=True):
    """The runner's process, recognisable on the machine it runs on."""

    pid: int
    start_ticks: int
    boot_id: str
    pid_namespace: str


class Writes(Struct, frozen=True):
    """The runner's own writes."""

    manifest_writes: int
    journal_writes: int
    files: int
    bytes: int


class Run(Struct, frozen=True, kw_only=True):
    """A run as its manifest tells it, whichever program wrote it.

    `path` is where the manifest was read, `format` a name in `validate.SCHEMAS`.
    What the older formats do not record is None, empty or False.
    """

    path: str
    format: str
    task_id: str
    run_id: str
    pipeline_id: str
    status: str
    started_at: Moment
    completed_at: Moment | None = None
    updated_at: Moment | None = None
    heartbeat_at: Moment | None = None
    heartbeat_stale_after_seconds: int | None = None
    status_detail: str | None = None
    pipeline_title: str = ""
    parent_run_id: str | None = None
    summary: str | None = None
    log_path: str | None = None
    journal_path: str | None = None
    stages: tuple[Stage, ...] = field(default=(), name="commands")
    child_runs: tuple[Child, ...] = ()
    inner_runs: tuple[Inner, ...] = ()
    observed_by: str | None = None
    git: Git | None = None
    machine: Machine | None = None
    process: Process | None = None
    usage: Usage | None = None
    away_seconds: float | None = None
    tests: Tests | None = None
    metrics: dict[str, float] = {}
    writes: Writes | None = None

    @property
    def finished(self) -> bool:
        return self.status not in UNFINISHED

    @property
    def last_sign_of_life(self) -> datetime:
        """The latest moment at which the manifest shows its runner alive."""
        known = (self.started_at, self.updated_at, self.heartbeat_at, self.completed_at)
        return max(moment for moment in known if moment is not None)

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)

    def place(self, recorded: str) -> str:
        """Where a recorded path of this run's own folder lies, wherever the folder has been moved to."""
        return os.path.join(self.folder, self.within(recorded) or recorded)

    def within(self, recorded: str) -> str | None:
        """A recorded path relative to the run's folder; None when it leads elsewhere."""
        if self.format != "orchgate":
            _, _, recorded = recorded.partition(f"/{self.run_id}/")
        inner = os.path.normpath(recorded) if recorded else ".."
        return None if inner.startswith(("../", "/")) or inner == ".." else inner

    def log(self, stage: Stage) -> str | None:
        """Where a stage's log lies on disk, whether it is there or not."""
        return self.place(stage.log_path) if stage.log_path else None
