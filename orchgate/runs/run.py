"""One run as a value, made from a journal or from a manifest of any format.

Whatever is shown of a run elsewhere (its metrics entry, the facts of its pin, its row in a table) is a function of it.
"""

from __future__ import annotations

import os
from datetime import UTC

from orchgate.lib.json_data import Value, read_value
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs.decode import MAX_BYTES, MAX_DEPTH, Flaw, ManifestError, dotted, format_of, parse
from orchgate.runs.locate import OURS, read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from typing import Any, ClassVar

    from orchgate.lib.json_data import ValueFault
    from orchgate.runs.state import Event

UNFINISHED = frozenset({"queued", "in_progress"})
_THEIRS = ("resume_events", "tools")  # other programs put there what they like


class Usage(Value):
    """What a stage or a run cost. None: not measured.

    `lower_bounds` says by metric (`cpu_seconds` among them) why a figure is only a lower bound. `complete`: whether
    none is; None where that is unknown.
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
    lower_bounds: Mapping[str, str] = {}
    away_seconds: float | None = None


class TestCounts(Value):
    """How tests ended. `source` says where that is from, such as `junit`; None for the sum of several stages.

    `flaky` of those that passed had failed before; None where nobody counted them.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    errors: int = 0
    source: str | None = None
    flaky: int | None = None

    def counts(self) -> dict[str, int | str]:
        return {name: count for name, count in self.asdict().items() if count is not None}


class Attempt(Value):
    number: int
    status: str
    started_at: datetime | None = None
    completed_at: datetime | None = None
    exit_code: int | None = None
    signal: str | None = None
    timed_out: bool = False


class StageRun(Value):
    """One stage; `number` counts from 1. Paths are as recorded: `Run.place` says where they lead."""

    keys: ClassVar = {"number": "index"}

    number: int
    id: str
    title: str
    kind: str
    status: str
    command: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
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
    tests: TestCounts | None = None
    failed_tests: tuple[str, ...] = ()  # the first of their names
    metrics: Mapping[str, float] = {}
    benchmarks: Mapping[str, float] = {}  # seconds
    output_bytes: int | None = None
    output_left_out_bytes: int | None = None

    @property
    def finished(self) -> bool:
        return self.status not in ("pending", "running")


class ChildRun(Value):
    """The run of a sub-pipeline."""

    run_id: str
    pipeline_id: str
    status: str
    manifest: str


class InnerRun(Value):
    """A run that an observed program recorded itself. `linked_by` says how that is known."""

    run_id: str
    task_id: str
    pipeline_id: str
    manifest: str
    linked_by: str = ""


class Replayed(Value):
    """The run that this one replays at its tree, and its manifest then.

    `lacking` are variables that stages name and that were not set here, or a submodule, by stage.
    """

    run_id: str
    manifest_sha256: str
    lacking: Mapping[str, str] = {}


class Resumption(Value):
    """Somebody asked for the run to be continued. `timestamp` is None where no moment is recorded that exists."""

    timestamp: datetime | None = None
    outcome: str | None = None  # "accepted", or why not


class RecordedTree(Value):
    """What the run was a run of, as `git.state.State`; `dirty` is None where the manifest does not say."""

    commit: str | None = None
    tree: str | None = None
    dirty: bool | None = None
    branch: str | None = None
    changed: Mapping[str, str | None] | None = None
    untracked: Mapping[str, str | None] | None = None


class Machine(Value):
    fingerprint: str
    cpu_model: str | None = None
    cores: float | None = None
    memory_class: str | None = None
    kernel: str | None = None
    python: str | None = None
    container: str | None = None


class Tool(Value):
    """A program that stages started, or that is declared, and what is known of it. None: not known.

    `source` says how it is known: `asked`, `package`, `installation`, `file` (`sha256` is the file's), `parts` (of a
    large file, `sha256` is of parts of it) or `shim`: something else chooses which program that is.
    """

    name: str
    version: str | None = None
    sha256: str | None = None
    source: str = ""


class HostedJob(Value):
    """The job of a hosted CI that a run was made in, as its environment said: a claim, which the platform can attest.

    `workflow` is the file that defines it, with its repository; `started_by` an account of the platform. None: it is
    not said, or not as the platform writes it.
    """

    platform: str
    address: str
    repository: str
    commit: str | None = None
    workflow: str | None = None
    started_by: str | None = None


class RunnerProcess(Value):
    """The runner's process, recognisable on the machine it runs on."""

    pid: int
    start_ticks: int
    boot_id: str
    pid_namespace: str


class Acceptance(Value):
    """The item of a checklist that a run is to prove, by the command that it names; `document` is a repository path."""

    longest: ClassVar = 1_000  # characters of each that a pin keeps

    document: str
    item: str
    command: str

    def pinned(self) -> dict[str, str]:
        """As a pin keeps it; nothing where it would be cut, because it is held against what a document says."""
        return {} if any(len(text) > self.longest for text in self.asdict().values()) else self.asdict()


class Writes(Value):
    """The runner's own writes."""

    manifest_writes: int | None = None
    journal_writes: int | None = None
    files: int | None = None
    bytes: int | None = None


class Run(Value):
    """A run, whichever program recorded it.

    `path` is where its manifest is, `format` a name in `validate.SCHEMAS`. What the older formats do not record is
    None, empty or False.
    """

    keys: ClassVar = {"path": "", "format": "", "stages": "commands", "resumptions": "resume_events"}

    path: str
    format: str
    task_id: str
    run_id: str
    pipeline_id: str
    status: str
    started_at: datetime
    completed_at: datetime | None = None
    updated_at: datetime | None = None
    heartbeat_at: datetime | None = None
    heartbeat_stale_after_seconds: int | None = None
    status_detail: str | None = None
    pipeline_title: str = ""
    parent_run_id: str | None = None
    summary: str | None = None
    log_path: str | None = None
    stages: tuple[StageRun, ...] = ()
    child_runs: tuple[ChildRun, ...] = ()
    inner_runs: tuple[InnerRun, ...] = ()
    resumptions: tuple[Resumption, ...] = ()
    observed_by: str | None = None
    traceparent: str | None = None
    replays: Replayed | None = None
    git: RecordedTree | None = None
    machine: Machine | None = None
    process: RunnerProcess | None = None
    usage: Usage | None = None
    away_seconds: float | None = None
    tests: TestCounts | None = None
    metrics: Mapping[str, float] = {}
    benchmarks: Mapping[str, float] = {}  # seconds, of those of which it is not known which stage measured them
    tools: tuple[Tool, ...] = ()
    writes: Writes | None = None
    accepts: Acceptance | None = None
    hosted: HostedJob | None = None

    @property
    def finished(self) -> bool:
        return self.status not in UNFINISHED

    @property
    def flaky(self) -> list[str]:
        """The ids of the stages that failed before they passed."""
        return [stage.id for stage in self.stages if stage.flaky]

    @property
    def last_sign_of_life(self) -> datetime:
        """The latest moment at which the manifest shows its runner alive."""
        known = (self.started_at, self.updated_at, self.heartbeat_at, self.completed_at)
        return max(moment for moment in known if moment is not None)

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)

    def place(self, recorded: str) -> str:
        """Where a recorded path of this run's own folder is, wherever the folder has been moved to."""
        return os.path.join(self.folder, self.within(recorded) or recorded)

    def within(self, recorded: str) -> str | None:
        """A recorded path relative to the run's folder; None when it leads elsewhere."""
        if self.format != OURS:
            _, _, recorded = recorded.partition(f"/{self.run_id}/")
        inner = os.path.normpath(recorded) if recorded else ".."
        return None if inner.startswith(("../", "/")) or inner == ".." else inner

    def log(self, stage: StageRun) -> str | None:
        """Where a stage's log is on disk, whether it is there or not."""
        return self.place(stage.log_path) if stage.log_path else None


def from_journal(events: Iterable[Event], path: str = "") -> Run:
    """The run that a journal's events add up to. Raises OrchgateError where they do not make one."""
    from orchgate.runs import state

    return checked(state.manifest(events), path)


def from_manifest(document: Mapping[str, Any], path: str = "") -> Run:
    """The run of a parsed manifest. What is missing, or not of the kind it should be, counts as not recorded."""
    return _read(document, path, [])


def stage_of(document: Mapping[str, Any]) -> StageRun:
    """As `from_manifest`, of one stage of a manifest."""
    return read_value(StageRun, document, [])


def checked(document: Mapping[str, Any], path: str = "") -> Run:
    """As `from_manifest`, but raises ManifestError for what is missing or of the wrong kind.

    Checks only what a Run needs; whether the manifest keeps its whole schema is `validate`'s question.
    """
    faults: list[ValueFault] = []
    run = _read(document, path, faults)
    for where, what in faults:
        if where[0] not in _THEIRS:
            raise ManifestError(Flaw.SCHEMA, f"{dotted(where)}: {what}")
    return run


def _read(document: Mapping[str, Any], path: str, faults: list[ValueFault]) -> Run:
    return read_value(Run, document, faults, given={"path": path, "format": format_of(document)})


def decode(data: bytes, path: str = "", max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Run:
    """The run of a manifest's bytes. Raises ManifestError."""
    return checked(parse(data, max_bytes, max_depth), path)


def load(path: str, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Run:
    """The run whose manifest is at `path`. Raises ManifestError, and Unreadable when the file cannot be reached."""
    return decode(read_file(path, max_bytes), path, max_bytes, max_depth)


def outcome(stages: Iterable[StageRun]) -> tuple[str, str | None]:
    """Status and detail of a run whose stages have all been settled."""
    for stage in stages:
        fine = ("succeeded", "skipped", "failed") if stage.allow_failure else ("succeeded", "skipped")
        if stage.status not in fine:
            return "failed", f"stage:{stage.id}:{stage.status}"
    return "succeeded", None


def timestamp(moment: datetime) -> str:
    """A point in time as manifests write it, UTC to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
