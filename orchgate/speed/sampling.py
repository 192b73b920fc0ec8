"""One run of one side of a comparison: its stages one after another, and what they cost."""

from __future__ import annotations

import contextlib
import os
import re

from orchgate.errors import OrchgateError
from orchgate.git import worktree_cache
from orchgate.git.call import scrubbed
from orchgate.lib import files, working_time
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures import declared
from orchgate.runner import environment, process_tree, stage_run
from orchgate.runner.session import RunSettings, Session, Silent
from orchgate.runner.stage_run import StageAttempt
from orchgate.runs import ids, usage
from orchgate.verdict.values import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from typing import Any

    from orchgate.config.settings import Benchmarks
    from orchgate.observe.watch import Watch
    from orchgate.result_files.benchmark_results import Expected
    from orchgate.runner.child import Result
    from orchgate.runs.stages import Stage

# What a hook exports says which change is pushed; both arms, and whoever repeats it by hand, must see the same.
# A program that sees a span to join may record its own, which is not what is to be measured.
_OF_HOOKS = (
    "PRE_COMMIT",
    "GITHEAD_",
    "GIT_REFLOG_ACTION",
    "GIT_EXEC_PATH",
    "OLDPWD",
    "ORCHGATE_",
    "TRACEPARENT",
    "TRACESTATE",
)
PREPARE = "prepare"
_COUNTS = re.compile(r" in [\d.:]+s\b")  # `1 failed, 3 passed in 0.12s`
_NAMES = re.compile(rb"^(?:FAILED|ERROR) \S.*$", re.MULTILINE)
_NOT_FOUND = (126, 127)  # exit codes of shells
ARTIFACTS = "artifacts"
COUNTERS = frozenset(metric.name for metric in KNOWN)
MOST_DISTURBED = 5  # runs, or pairs of them, that are thrown away in a row
_MEMORY = ("max_rss_bytes", "tree_rss_bytes")
_PRESSURE = "/proc/pressure/cpu"


class Side(NamedTuple):
    """What is run where: the stages in the order in which they run, those of sub-pipelines among them.

    `label` is "base" or "head", `root` the top of a work tree at `commit`, `scratch` a folder of ours beside it. `keep`
    is to be called once the tree is prepared; None when it was prepared before. `lock` is kept open until the last
    process is dead.
    """

    label: str
    commit: str
    tree: str
    root: str
    scratch: str
    stages: tuple[Stage, ...]
    keep: Callable[[], None] | None = None
    lock: int = -1


class OutOfTime(Exception):
    """A run was ended because it was not over at the deadline."""


class TooSlow(Exception):
    """A run was ended, in `stage`, because its judged stages were not over within their limit in `seconds`."""

    def __init__(self, stage: str, seconds: float) -> None:
        super().__init__(stage, seconds)
        self.stage = stage
        self.seconds = seconds


class RunLimits(NamedTuple):
    """When a run is ended: at a `deadline` of the clock of `worked`, or once its judged stages took so many seconds."""

    deadline: float | None = None
    seconds: float | None = None

    def after(self, spent: float) -> RunLimits:
        """What is left once judged stages took so many seconds."""
        return self if self.seconds is None else self._replace(seconds=max(0.001, self.seconds - spent))


UNLIMITED = RunLimits()


def waited_for_cpu() -> float | None:
    """Seconds since the machine began in which some process waited for a CPU; None where the kernel does not say.

    https://docs.kernel.org/accounting/psi.html
    """
    try:
        with open(_PRESSURE, "rb") as file:
            line = file.readline(200)
        return int(line.partition(b"total=")[2]) / 1e6
    except (OSError, ValueError):
        return None


class Failure(NamedTuple):
    """A stage (or "prepare") that failed on one side. `last_line` is that of its output."""

    side: str
    stage: str
    detail: str  # "exit 1", "timed out after 30 s", "ended by SIGSEGV", …
    last_line: str
    not_found: bool = False  # its command, or what it runs, is not there

    @property
    def subject(self) -> str:
        """What failed, by the name that people gave it."""
        return "performance.setup" if self.stage == PREPARE else f"stage {self.stage}"


class MeasuredRun(NamedTuple):
    """One run. `metrics` are the run's, `stages` the cost of each stage alone, by the names of `measures`.

    A run that failed has the `success_rate` 0 and no other metric. `tolerated` are stages that failed and may.
    `hidden_memory`: its memory says only that it took less than this program itself. `lower_bounds` says of which
    metrics no more is known than that the run took at least so much, and why. `repeated` is the first stage that passed
    only when it was repeated, "" for none. `waited` is for how many seconds meanwhile something on this machine waited
    for a CPU; None where the kernel does not say. `unread` says which benchmarks have no value and why, and `reporter`
    which stage wrote those that have one.
    """

    metrics: Mapping[str, float]
    stages: Mapping[str, Mapping[str, float]]
    failure: Failure | None = None
    tolerated: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    hidden_memory: bool = False
    lower_bounds: Mapping[str, str] = {}
    repeated: str = ""
    waited: float | None = None
    unread: Mapping[str, str] = {}
    reporter: str = ""

    def without_hidden(self) -> Mapping[str, float]:
        """The metrics that say what the run itself cost."""
        hidden = _MEMORY if self.hidden_memory else ()
        return {name: value for name, value in self.metrics.items() if name not in hidden}


class Harness(NamedTuple):
    """What all runs of a measurement share.

    Costs count over the stages in `judged` (None: all); of file events those are counted that are in `counters`. Each
    run may leave results of `benchmarks`.
    """

    session: Session
    environ: Mapping[str, str]
    watch: Watch | None
    judged: Collection[str] | None
    counters: AbstractSet[str]
    benchmarks: Benchmarks | None = None


@contextlib.contextmanager
def open_harness(
    sides: Sequence[Side],
    environ: Mapping[str, str],
    watch: Sequence[str] = (),
    *,
    judged: Collection[str] | None = None,
    counters: AbstractSet[str] = COUNTERS,
    benchmarks: Benchmarks | None = None,
    tick: Callable[[], float | None] = lambda: None,
) -> Iterator[Harness]:
    """Everything ready to run; nothing that was started outlives the block. Raises OrchgateError."""
    with contextlib.ExitStack() as stack:
        kept = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if sides[0].lock < 0 else os.dup(sides[0].lock)
        stack.callback(os.close, kept)
        for side in sides:
            _empty(os.path.join(side.scratch, ARTIFACTS))
        settings = RunSettings(sides[0].root, "", {}, {}, None, None, None, Silent(), cache=False, measured=True)
        session = stack.enter_context(Session(settings))
        session.guard(kept)
        session.loop.tick = tick
        watching = None
        if watch:
            from orchgate.observe import watch as files_watched

            folders = [os.path.join(side.root, folder) for side in sides for folder in watch]
            watching = stack.enter_context(files_watched.watch(folders))
        yield Harness(session, plain(environ), watching, judged, counters, benchmarks)


def _empty(folder: str) -> None:
    worktree_cache.erase(folder)
    files.make_folders(folder)


def plain(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of everything that is measured: nobody to ask, no hook around it, the same hashes every time."""
    kept = {name: value for name, value in scrubbed(environ).items() if not name.startswith(_OF_HOOKS)}
    ci = environ.get("CI") or environment.NON_INTERACTIVE["CI"]
    return {**kept, **environment.NON_INTERACTIVE, "CI": ci, "PYTHONHASHSEED": "0"}


def prepare(harness: Harness, side: Side, command: Sequence[str], timeout: float | None = None) -> Failure | None:
    """Readies a side's work tree, unless that was done before; how it failed, if it did."""
    from orchgate.runs.stages import Stage

    if not command or side.keep is None:
        return None
    stage = Stage(PREPARE, PREPARE, tuple(command), timeout_seconds=timeout)
    done = _attempt(harness, side, stage, 0)
    if done.failure is None:
        side.keep()
    return done.failure


def once(harness: Harness, side: Side, deadline: float | None = None, limit: float | None = None) -> MeasuredRun:
    """Runs a side, until a moment of the clock of `worked`, and for `limit` seconds of its judged stages, at most.

    Raises OutOfTime, TooSlow; KeyboardInterrupt when a signal asked for an end; all once nothing runs any more.
    """
    if harness.watch:
        harness.watch.take()  # what happened before is not this run's
    before = waited_for_cpu()
    try:
        ran = _run(harness, side, RunLimits(deadline, limit))
    except TooSlow as found:
        assert limit is not None
        raise TooSlow(found.stage, limit) from None
    after = waited_for_cpu()
    return ran._replace(waited=after - before if before is not None and after is not None else None)


def _run(harness: Harness, side: Side, limits: RunLimits) -> MeasuredRun:
    named = _expected(harness, side)
    done, reporter = [], ""
    for index, stage in enumerate(side.stages, 1):
        judged = harness.judged is None or stage.id in harness.judged
        begun = working_time.now()
        done.append(_repeated(harness, side, stage, index, limits if judged else limits._replace(seconds=None)))
        limits = limits.after(working_time.now() - begun) if judged else limits
        if done[-1].failure and not stage.allow_failure:
            return MeasuredRun({"success_rate": 0.0}, {}, done[-1].failure)
        reporter = reporter or (stage.id if named and named.written else "")
    ran = _added_up(harness, side, done)
    if named:
        found = named.results()
        ran = ran._replace(metrics={**ran.metrics, **found.metrics}, unread=found.unread, reporter=reporter)
    if "max_rss_bytes" in ran.metrics:
        return ran
    # Not known where programs begin as copies of this one: then it was no more than this one takes.
    return ran._replace(metrics={**ran.metrics, **dict.fromkeys(_MEMORY, process_tree.own_peak())}, hidden_memory=True)


def _expected(harness: Harness, side: Side) -> Expected | None:
    if harness.benchmarks is None:
        return None
    from orchgate.result_files import benchmark_results

    return benchmark_results.expected(harness.benchmarks, side.root, os.path.join(side.scratch, ARTIFACTS))


def undisturbed(harness: Harness, side: Side, deadline: float | None = None) -> MeasuredRun:
    """As `once`, and again where something was stopped meanwhile, or the machine slept.

    Raises OrchgateError where that happens again and again.
    """
    for _ in range(MOST_DISTURBED):
        begun = working_time.mark()
        ran = once(harness, side, deadline)
        if not begun.disturbed:
            return ran
    raise disturbed()


def disturbed() -> OrchgateError:
    return OrchgateError(
        f"what is measured was stopped {MOST_DISTURBED} times (SIGSTOP, Ctrl-Z, sleep of the machine)",
        "measure again where nothing stops it",
    )


class _StageCost(NamedTuple):
    """A stage that has ended, well or not."""

    cost: Mapping[str, Any] | None
    tests: Mapping[str, int]
    metrics: Mapping[str, float]
    failure: Failure | None
    repeated: bool = False


def _repeated(harness: Harness, side: Side, stage: Stage, index: int, limits: RunLimits) -> _StageCost:
    """A stage with its retries, which cost what they cost."""
    begun = working_time.now()
    done = _attempt(harness, side, stage, index, limits)
    for _ in range(stage.retries):
        if done.failure is None:
            break
        again = _attempt(harness, side, stage, index, limits.after(working_time.now() - begun))
        done = again._replace(cost=usage.add(done.cost, again.cost) if again.cost else done.cost, repeated=True)
    return done


def _attempt(harness: Harness, side: Side, stage: Stage, index: int, limits: RunLimits = UNLIMITED) -> _StageCost:
    log = os.path.join(side.scratch, ids.log_path(index, stage.id))
    files.make_folders(os.path.dirname(log))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(log)
    left = None if limits.deadline is None else max(0.001, limits.deadline - working_time.now())
    limit = min((one for one in (stage.timeout_seconds, limits.seconds, left) if one is not None), default=None)
    environ = {**harness.environ, "ORCHGATE_ARTIFACTS": os.path.join(side.scratch, ARTIFACTS)}
    # What PWD says of the developer's folder is wrong here.
    env = {**stage.env, "PWD": environment.folder(side.root, stage)}
    limited = stage._replace(timeout_seconds=limit, env=env)
    result, event = outcome = stage_run.run(harness.session, StageAttempt(limited, side.root, environ, log))
    if harness.session.stopping:
        raise KeyboardInterrupt
    if result.timed_out and limit is left:
        raise OutOfTime
    if result.timed_out and limit is not None and limit is limits.seconds:
        raise TooSlow(stage.id, limit)
    failure = None
    if not outcome.succeeded:
        not_found = bool(result.refused) or result.code in _NOT_FOUND
        failure = Failure(side.label, stage.id, event["detail"] or "failed", _said(result), not_found)
    return _StageCost(result.usage, event.get("tests", {}), event.get("metrics", {}), failure)


def _said(result: Result) -> str:
    """The last line of what failed; where it only counts, as pytest's does, after the last one that names a test."""
    if not _COUNTS.search(result.last_line):
        return result.last_line
    named = _NAMES.findall(result.recent)
    return (f"{named[-1][:200].decode('utf-8', 'replace').strip()}; " if named else "") + result.last_line


def _added_up(harness: Harness, side: Side, done: Sequence[_StageCost]) -> MeasuredRun:
    by_stage = {stage.id: declared.costs_of(one.cost) for stage, one in zip(side.stages, done, strict=True) if one.cost}
    spent = None
    for stage, one in zip(side.stages, done, strict=True):
        if one.cost and (harness.judged is None or stage.id in harness.judged):
            spent = usage.add(spent, one.cost)
    metrics = {**(declared.costs_of(spent) if spent else {}), "success_rate": 1.0}
    notes: tuple[str, ...] = ()
    bounds = dict((spent or {}).get("lower_bounds", {}))
    if harness.watch:
        from orchgate.observe.activity import counted

        activity = harness.watch.take()
        counters = {name: value for name, value in counted(activity).items() if name in harness.counters}
        metrics |= counters
        notes = activity.notes
        bounds |= {name: why for name, why in activity.bounds.items() if name in counters}
    metrics |= declared.tests_of([one.tests for one in done if one.tests])
    for stage, one in zip(side.stages, done, strict=True):
        for name, value in one.metrics.items():
            metrics[name if name not in metrics else f"{stage.id}.{name}"] = value
    tolerated = tuple(one.failure for one in done if one.failure)
    repeated = [stage.id for stage, one in zip(side.stages, done, strict=True) if one.repeated and not one.failure]
    return MeasuredRun(metrics, by_stage, None, tolerated, notes, lower_bounds=bounds, repeated=(*repeated, "")[0])
