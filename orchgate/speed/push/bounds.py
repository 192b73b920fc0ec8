"""What is to be measured for a push, and what of it needs no run of base."""

from __future__ import annotations

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Location, Severity, Step, Verdict

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchgate.config.settings import Config, Performance
    from orchgate.git.messages import Exceptions
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.runs.stages import Stage
    from orchgate.speed.definition import PipelineChange
    from orchgate.speed.measurements import Measurement


DECIDE = "to decide"
_PAIRS = 20  # which find most slow-downs that are refused


class BothFail(OrchgateError):
    """The pipeline can be run neither at base nor at head. `stages` are base's, `command` is what failed at head."""

    def __init__(self, message: str, hint: str, stages: Sequence[Stage], command: str) -> None:
        super().__init__(message, hint)
        self.stages = tuple(stages)
        self.command = command


class PushRequest(NamedTuple):
    """What is to be judged. `base` and `head` are commits, a None base that of a first push; `tree` is the base's.

    `tell` says to a waiting person what takes so long. `redefined` is what the change does to the pipeline, None for a
    change that cannot do anything to it. `hold` is asked before anything is measured: why it is not to be, "" where it
    is. `branch` is the one that is pushed, "" where nobody knows. `limits` is the base's configuration and `proposed`
    head's, where they are not the one that judges; `paths` are those of the change.
    """

    repository: Repository
    config: Config
    base: str | None
    head: str
    tree: Snapshot
    environ: Mapping[str, str]
    now: datetime.datetime
    tell: Callable[[str], None]
    redefined: PipelineChange | None = None
    hold: Callable[[], str] = str
    branch: str = ""
    limits: Config | None = None
    proposed: Config | None = None
    paths: frozenset[str] = frozenset()

    @property
    def pipeline(self) -> str:
        return self.config.performance.pipeline

    def command(self, max_time: str = "") -> str:
        """The `orchgate perf` that repeats the measurement, for as long as `max_time` says, or as is configured."""
        import shlex

        limit = ("--max-time", max_time) if max_time else ()
        ends = ("--base", (self.base or "")[:12], "--head", self.head[:12])
        return shlex.join(["orchgate", "perf", *ends, *limit, self.pipeline])

    @property
    def reproduce(self) -> Step:
        return Step("reproduce", self.command())

    def decide(self, run_seconds: float | None) -> Step:
        """With time for enough pairs where a run takes so many seconds."""
        minutes = 20 if run_seconds is None else max(20, -int(-run_seconds * 2 * _PAIRS // 60))
        return Step(DECIDE, self.command(f"{minutes}m" if minutes < 120 else f"{min(24, -(-minutes // 60))}h"))


# What needs no run of base: bounds on the size of the change and on recorded rates, and the override of a refusal


SIZES = {"diff_files": "changed files", "diff_lines": "changed lines"}
RATES = ("success_rate", "test_pass_rate", "flaky_rate")
MEMORY = ("max_rss_bytes", "tree_rss_bytes")  # not judged where a run takes less than orchgate itself
SPLIT = "split the change (`git diff --stat BASE HEAD` shows what counts)"


def bounded(performance: Performance, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the metrics whose own value the configuration bounds."""
    bounds = {name.replace("-", "_"): (one.max, one.min) for name, one in performance.metrics.items()}
    return tuple(name for name in names if any(bound is not None for bound in bounds.get(name, ())))


def of_size(performance: Performance, files: int, lines: int) -> Iterator[Finding]:
    """Findings about the size of a change."""
    for (name, title), number in zip(SIZES.items(), (files, lines), strict=True):
        if bounded(performance, (name,)) and (reason := _beyond(performance, name, number)):
            yield Finding("PRF002", Location(""), f"{title}: {reason}", SPLIT, Severity.ERROR, TRAILER)


def _beyond(performance: Performance, name: str, value: float) -> str:
    """Why a value is out of its bounds; "" when it is not."""
    from orchgate.verdict.exact import within_bounds
    from orchgate.verdict.values import policy

    one = within_bounds(policy(performance).metrics[name], value)
    return "" if one.verdict is Verdict.PASS else one.reason


def unmeasured(performance: Performance, measurement: Measurement) -> Iterator[Finding]:
    """PRF004 for metrics that are configured and that no run of a comparison measured."""
    from orchgate.config.metric_names import BENCHMARK
    from orchgate.speed.measurements import Stopped

    if measurement.stopped in (Stopped.FAILED, Stopped.GROSS):  # which ends before all is measured
        return
    judgement = measurement.judgement
    judged = {*(one.name for one in judgement.metrics), *(one.name for one in judgement.counters)}
    elsewhere = (*SIZES, *MEMORY, "flaky_rate", *(RATES if performance.rates_from_task else ()))
    known = {name.replace("_", "-") for name in (*judged, *elsewhere)}
    named = [key for key in performance.metrics if not key.startswith(BENCHMARK)]
    if missing := [key for key in named if key.replace("_", "-") not in known]:
        message = f"{performance.pipeline}: no run measured {', '.join(missing)}, which performance.metrics names"
        yield Finding("PRF004", Location(""), message, "remove it, or make a stage report it", Severity.WARNING)


def of_history(performance: Performance, root: str) -> Iterator[Finding]:
    """Findings about the rates of the configured task's recorded runs.

    Raises OrchgateError where they cannot be read.
    """
    wanted = bounded(performance, RATES) if performance.rates_from_task else ()
    if not wanted:
        return
    from orchgate.measures import declared
    from orchgate.metrics.aggregate import rates
    from orchgate.metrics.update import update
    from orchgate.runs.ids import task_folder

    known = rates(update(task_folder(root, performance.rates_from_task)).aggregate, performance.pipeline)
    step = Step("to see the runs", f"orchgate metrics --task {performance.rates_from_task}")
    for name in wanted:
        where = (
            f"{declared.title(name)} of the recorded runs of {performance.pipeline} in {performance.rates_from_task}"
        )
        if name not in known:
            run = f"orchgate run {performance.pipeline} --task {performance.rates_from_task}"
            yield Finding("PRF005", Location(""), f"{where} is unknown: no run is recorded here", run, Severity.NOTE)
            continue
        if reason := _beyond(performance, name, known[name]):
            yield Finding("PRF005", Location(""), f"{where}: {reason}", severity=Severity.ERROR, steps=(step,))


# The override: a push that costs more may land for a reason that everybody sees, given as trailer or variable


OVERRIDE_RULE = "PRF008"
TRAILER = "Performance-Override"
VARIABLE = "ORCHGATE_PERFORMANCE_OVERRIDE"
LIFTED = ("PRF001", "PRF002", "PRF003", "PRF004", "PRF005", "PRF006", "PRF007")


class Override(NamedTuple):
    """Why a change may cost more, and where that is said, for people."""

    reason: str
    source: str


def find_override(environ: Mapping[str, str], exceptions: Exceptions | None) -> Override | None:
    """What excuses the whole change. A reason without a letter or digit is none. Raises GitError."""
    variable = environ.get(VARIABLE, "").strip()
    if any(character.isalnum() for character in variable):
        return Override(variable, VARIABLE)
    whole = exceptions.whole(TRAILER) if exceptions else None
    return Override(whole.text, f"{TRAILER}, {whole.source}") if whole else None


def lifted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, of which none refuses any more, whatever their rules are configured to weigh."""
    return tuple(
        one._replace(severity=Severity.WARNING if one.severity is Severity.ERROR else one.severity, lifted=True)
        if one.rule in LIFTED
        else one
        for one in findings
    )


def override_used(override: Override, findings: Iterable[Finding]) -> Finding:
    """PRF008, shown even where nothing needed the override: it may have been left on. `findings` as they were."""
    number = sum(map(_refuses, findings))
    what = f"{number} finding{'s' * (number != 1)} lifted" if number else "nothing needed it"
    return Finding(OVERRIDE_RULE, Location(""), f"override: {override.reason} ({override.source}); {what}")


def overrides_in_vain(exceptions: Exceptions, way_out: Callable[[], Step]) -> Iterator[Finding]:
    """PRF008 for reasons that only came along with a merge: a pipeline is measured as a whole, they excuse nothing."""
    for one in exceptions.reasons(TRAILER):
        if one.merge:
            why = "a pipeline is measured as a whole, and no merge excuses it"
            message = f"override that does not count: {one.text} ({TRAILER}, {one.source}): {why}"
            yield Finding(OVERRIDE_RULE, Location(""), message, steps=(way_out(),))


def hinted(findings: Iterable[Finding], way_out: Callable[[], Step]) -> Iterator[Finding]:
    """The findings; those that refuse say how to give a reason."""
    for one in findings:
        yield one._replace(steps=(*one.steps, way_out())) if _refuses(one) else one


def _refuses(finding: Finding) -> bool:
    return finding.severity is Severity.ERROR and finding.rule in LIFTED


def way_out(*, staged: bool, checked_out: bool) -> Step:
    """The command with which a person gives a reason; as it stands it gives none."""
    command = f"{VARIABLE}='…' git push"
    if staged or checked_out:
        command = f"git commit {'' if staged else '--amend --no-edit '}--trailer '{TRAILER}: …'"
    return Step("to land it for a reason", command)
