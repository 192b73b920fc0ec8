"""What the page says, as frozen values: what is written as HTML, and what programs get as JSON.

Metrics have the names of `measures`, whose suffix is the unit. Moments are UTC, as manifests write them; paths are
relative to the repository. None is what nobody knows.
"""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orchgate.trends.answers import Answers
    from orchgate.trends.streams import StreamKey

VERSION = 1


class ReadProblem(NamedTuple):
    """Something that could not be read, so that the page does not show it."""

    code: str
    message: str
    hint: str = ""


class FindingRow(NamedTuple):
    """An open finding; `older` than the change are those that it is not charged with. `rule` is "" for an open box."""

    check: str
    rule: str
    severity: str
    path: str
    line: int
    message: str
    hint: str = ""
    older: bool = False


class CheckRow(NamedTuple):
    """What one check said. `off` is why it can find nothing, "" where it can."""

    check: str
    verdict: str
    examined: Mapping[str, int] = {}
    off: str = ""


class GateState(NamedTuple):
    """What the gate says of the repository as it is. `why` nobody could judge at all, and `hint`, what helps.

    `unchanged_since` is the base's origin where there was no change, so that the whole tree was judged; else "".
    """

    verdict: str
    scope: str = ""
    base: str | None = None
    head: str | None = None
    base_origin: str = ""
    checks: tuple[CheckRow, ...] = ()
    findings: tuple[FindingRow, ...] = ()
    finding_count: int = 0
    errors: int = 0
    warnings: int = 0
    notes: int = 0
    older: int = 0
    suppressed: int = 0
    why: str = ""
    hint: str = ""
    unchanged_since: str = ""


class RunRow(NamedTuple):
    """One run. `anchor` is its place on the page; `lower_bounds` are metrics known to be at least what they say.

    `replays` is the run that it replays, `replayed` what replays of it say, in words; "" for none.
    """

    run_id: str
    anchor: str
    task_id: str
    pipeline_id: str
    machine_id: str
    status: str
    started_at: str
    metrics: Mapping[str, float] = {}
    lower_bounds: tuple[str, ...] = ()
    tests_passed: int | None = None
    tests_failed: int | None = None
    flaky: bool = False
    cached: bool = False
    problem: str = ""
    replays: str = ""
    replayed: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status == "succeeded"


class BaselineBand(NamedTuple):
    """The accepted samples of one metric, in its unit. `stale` is why they should be taken anew, following "it"."""

    low: float
    middle: float
    high: float
    run_count: int
    recorded_at: str
    reason: str
    stale: str = ""


class TrendPoint(NamedTuple):
    anchor: str
    started_at: str
    status: str
    value: float


class TrendMark(NamedTuple):
    """That the level changed before a run, and what the history says of it."""

    anchor: str
    label: str


class MetricTrend(NamedTuple):
    """A metric of the newest runs of a pipeline on one machine type, the oldest first.

    `change_per_run` is in the metric's unit, None where the order of the runs shows none.
    """

    pipeline_id: str
    machine_id: str
    metric: str
    points: tuple[TrendPoint, ...]
    baseline: BaselineBand | None = None
    median: float | None = None
    change_per_run: float | None = None
    run_count: int = 0  # all that have a value, of which `points` are the newest
    marks: tuple[TrendMark, ...] = ()


class PipelineState(NamedTuple):
    """A task's runs of one pipeline on one machine type. `unchanged` are metrics that are the same in every run."""

    pipeline_id: str
    machine_id: str
    run_count: int
    succeeded: int
    flaky: int
    trends: tuple[MetricTrend, ...] = ()
    unchanged: Mapping[str, float] = {}


class TaskState(NamedTuple):
    """A task: its packet as `orchgate tasks` has it, and what its runs cost. `standing` is "" for runs without one."""

    task_id: str
    anchor: str
    status: str = ""
    standing: str = ""
    documents: Mapping[str, str] = {}
    boxes: int = 0
    ticked: int = 0
    owes: tuple[FindingRow, ...] = ()
    owed_count: int = 0
    run_count: int = 0
    last_run: str = ""
    last_status: str = ""
    pipelines: tuple[PipelineState, ...] = ()


class StageSpan(NamedTuple):
    """From when to when a stage worked, in seconds since the run's start."""

    begin_seconds: float
    end_seconds: float
    phase: str


class StageRow(NamedTuple):
    """A stage of a run. From `ready_seconds` until its first span it waited."""

    stage_id: str
    status: str
    ready_seconds: float | None
    spans: tuple[StageSpan, ...]
    attempts: int = 0
    cached: bool = False


class StageTimes(NamedTuple):
    """Where the time of one run went. `missing` says what could not be read of it."""

    run_id: str
    anchor: str
    run_anchor: str
    task_id: str
    pipeline_id: str
    status: str
    wall_seconds: float
    waited_seconds: float
    stages: tuple[StageRow, ...]
    missing: tuple[str, ...] = ()
    newest: bool = False  # of its pipeline
    failed_tests: tuple[str, ...] = ()  # the first of their names
    failed_test_count: int = 0
    tools: str = ""  # that its stages started, in words
    other_tools: str = ""  # how they differ from those of a run of its tree that ended otherwise, in words
    hosted: str = ""  # the job of a hosted CI that it says it was made in, and where that can be looked at


class ChangeRow(NamedTuple):
    """One metric before and after. The change and its interval are fractions of before."""

    metric: str
    before: float | None
    after: float | None
    change: float | None
    low: float | None
    high: float | None
    limit: float | None
    verdict: str | None
    outcome: str


class Samples(NamedTuple):
    """The values behind a verdict on one metric. `paired`: those at one place were measured one after the other."""

    metric: str
    verdict: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    paired: bool


class BeforeAfter(NamedTuple):
    """Before and after. `source`: `perf` (base and head in turn), `baseline` (accepted runs, runs since), `document`.

    A document's table is judged by nobody; its `reason` says where it stands.
    """

    source: str
    subject: str
    machine_id: str
    at: str
    before: str
    after: str
    before_count: int
    after_count: int
    verdict: str | None
    reason: str
    rows: tuple[ChangeRow, ...]
    samples: tuple[Samples, ...]


class EvidenceMark(Enum):
    """What was found out about a pinned artifact just now. The values are what people read."""

    VERIFIED = "verified"  # on this disk, and what was pinned
    CHANGED = "changed"  # on this disk, and not what was pinned
    STORED = "in the store"  # not on this disk; the repository's own store has it, by its hash
    ABSENT = "not here"
    UNKNOWN = "could not compare"
    UNCHECKED = "not compared"  # beyond what a page compares


class Artifact(NamedTuple):
    """A pinned artifact, or one that a document cites and nobody pinned.

    `signed_by`: who signed a run, by signatures that hold, or why none does; None where there are none.
    """

    path: str
    pinned: bool
    mark: EvidenceMark
    size_bytes: int | None = None
    run_status: str = ""
    detail: str = ""
    signed_by: str | None = None


class EvidenceSection(NamedTuple):
    """`counts` are of all pins, by mark; `artifacts` those that are listed."""

    pin_count: int = 0
    counts: Mapping[str, int] = {}
    artifacts: tuple[Artifact, ...] = ()


class HistoryTrend(NamedTuple):
    """The runs of a stream that changed, the oldest first: when each began, in seconds since 1970, and its value.

    `marks` are places before which the level changed, each with what is said of it.
    """

    key: StreamKey
    points: tuple[tuple[float, float], ...]
    marks: tuple[tuple[int, str], ...]


class HistorySection(NamedTuple):
    """What the runs of all machines show that are known here."""

    answers: Answers
    trends: tuple[HistoryTrend, ...]
    run_count: int


class PageJob(NamedTuple):
    """The job of a hosted CI that wrote the page, as its environment says.

    `attested_by` begins the command that asks the platform what it attests of a file, "" where it attests none.
    """

    platform: str
    address: str
    repository: str
    commit: str = ""
    workflow: str = ""
    started_by: str = ""
    attested_by: str = ""


class Page(NamedTuple):
    """All of it. `left_out` says in sentences what the page does not show for its size.

    The counts are of all that there is, also of what is not listed; `older_runs`: there are more, which nobody counted.
    """

    repository: str
    branch: str
    written_at: str
    gate: GateState
    tasks: tuple[TaskState, ...] = ()
    task_count: int = 0
    runs: tuple[RunRow, ...] = ()
    run_count: int = 0
    older_runs: bool = False
    trend_count: int = 0
    stage_times: tuple[StageTimes, ...] = ()
    timeline_count: int = 0
    comparisons: tuple[BeforeAfter, ...] = ()
    evidence: EvidenceSection = EvidenceSection()
    problems: tuple[ReadProblem, ...] = ()
    left_out: tuple[str, ...] = ()
    only_task: str = ""
    history: HistorySection | None = None
    hosted: PageJob | None = None


def document(said: Page) -> dict[str, object]:
    """The page for programs."""
    from orchgate.outputs import _document
    from orchgate.trends import facts

    problems = [_document.problem(one.code, one.message, one.hint) for one in said.problems]
    history = said.history and {"run_count": said.history.run_count, **facts.of_answers(said.history.answers)}
    plain = _plain(said._replace(history=None))
    return _document.headed("page", plain | {"history": history, "problems": problems}, VERSION)


def _plain(value: Any) -> Any:
    """Plain values; a text that says nothing is no value."""
    if isinstance(value, Enum):
        return value.value
    if value == "":
        return None
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
