"""Names of tasks, runs, stages and their spans, the folders they stand for, and points in time."""

from __future__ import annotations

import os
import time

from orchgate.errors import OrchgateError, UsageError
from orchgate.lib import working_time
from orchgate.lib.files import sha256_hex
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import is_git_name, require_inside
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RUNS = ".runs"
RUN_ID = locate.RUN_ID
MANIFEST = locate.NAME
JOURNAL = locate.JOURNAL
JOURNAL_VERSION = 1  # raised when what an older orchgate would make of a journal is wrong
METRICS = "metrics.json"
AHEAD_SECONDS = 300.0  # by which the clock of another machine may be ahead of ours
_OF_ID = "%Y-%m-%dT%H-%M-%S"
_LONGEST = 200  # bytes of a task or a stage in a file name; file systems stop at 255
_ODD = lazy(r"[^A-Za-z0-9._-]+")
_TRACEPARENT = lazy(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_FLAGS = 3  # sampled, and a random trace id: those that have a meaning


def check_task(task: str) -> str:
    """The task's id, once it is safe as the name of a folder. Raises UsageError."""
    if not task.strip():
        raise UsageError("the task has no name", "--task 0001-some-slug")
    bad = [char for char in task if char in "/\\" or not char.isprintable()]
    if bad:
        raise UsageError(f"a task id is one folder's name, without {bad[0]!r}", "--task 0001-some-slug")
    if task[0] in ".- " or task[-1] in " ." or len(os.fsencode(task)) > _LONGEST or is_git_name(task):
        raise UsageError(f"{task[:60]!r} cannot be a task id", "letters, digits, - and _, as in --task 0001-some-slug")
    return task


def new_run_id(now: float) -> str:
    """An id for a run that starts at `now` (seconds since the epoch)."""
    return f"{_stamp(_OF_ID, now)}-{_milliseconds(now)}Z-{os.urandom(4).hex()}"


def moment(now: float) -> str:
    """A point in time as manifests write it, UTC to the millisecond."""
    return f"{_stamp('%Y-%m-%dT%H:%M:%S', now)}.{_milliseconds(now)}Z"


def seconds(text: str) -> float:
    """The reverse of `moment`, in seconds since the epoch. Raises ValueError."""
    date, _, clock = text.removesuffix("Z").partition("T")
    year, month, day = map(int, date.split("-"))
    hours, minutes, rest = clock.split(":")
    # time.strptime would import what takes three milliseconds. Years begin in March here, so that leap days end them.
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719469
    return days * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest)


def _stamp(form: str, now: float) -> str:
    return time.strftime(form, time.gmtime(now))


def _milliseconds(now: float) -> str:
    return f"{int(now * 1000) % 1000:03d}"


class Clock:
    """Wall time that never runs backwards: set once, and carried on by a clock that nobody sets."""

    def __init__(self, not_before: float = 0.0) -> None:
        self._offset = max(time.time(), not_before) - working_time.real()
        self._away = working_time.away()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._offset + working_time.real()

    def away(self) -> float:
        """Seconds since its beginning in which nobody worked."""
        return max(0.0, round(working_time.away() - self._away, 3))


class SpanContext(NamedTuple):
    """A span as W3C's Trace Context names it, in hexadecimal digits."""

    trace_id: str
    span_id: str
    flags: str = "01"  # sampled

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def span_context(traceparent: str) -> SpanContext | None:
    """The span that a `traceparent` names, of this version or a later one; None for anything else."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace, 16) or not int(span, 16):
        return None
    return SpanContext(trace, span, f"{int(flags, 16) & _FLAGS:02x}")


SPAN_RUN, SPAN_STAGE, SPAN_ATTEMPT, SPAN_ITERATION, SPAN_WAIT, SPAN_AWAY = range(6)  # kinds of spans within a run


class RunTrace(NamedTuple):
    """The trace that a run belongs to: that of the span under which it began, where there is one, or its own.

    Ids follow from the run's, so that whoever reads the run later finds the very ones that its programs were handed.
    """

    trace_id: str
    own: int  # 64 bits, from which the ids of the run's spans are made
    parent: SpanContext | None

    def span_id(self, kind: int = SPAN_RUN, stage: int = 0, number: int = 0) -> str:
        """No two spans of a run have the same, below a million stages and a million of anything of one."""
        return f"{(self.own ^ (((kind << 20) | stage) << 20 | number)) or 1:016x}"

    def attempt(self, stage: int, number: int) -> SpanContext:
        """What the programs of an attempt at a stage are to join; both count from 1."""
        return SpanContext(self.trace_id, self.span_id(SPAN_ATTEMPT, stage, number), *(self.parent or ())[2:])


def run_trace(run_id: str, parent: SpanContext | None = None) -> RunTrace:
    """The trace of a run that began under a span, if any."""
    digits = sha256_hex(f"trace {run_id}")
    return RunTrace(parent.trace_id if parent else digits[:32], int(digits[32:48], 16), parent)


def log_path(index: int, stage: str) -> str:
    """Where a stage's output goes, relative to the run's folder."""
    return f"stages/{index:02d}-{_ODD.sub('-', stage)[:80]}.log"


def task_folder(root: str, task: str) -> str:
    """Where a task's runs and metrics are. Raises UsageError for a bad id, OrchgateError for a link that leads out."""
    folder = os.path.join(root, RUNS, check_task(task))
    require_inside(root, folder)
    return folder


def run_folder(root: str, task: str, run_id: str) -> str:
    """As `task_folder`, for one run."""
    folder = os.path.join(task_folder(root, task), "cli", run_id)
    require_inside(root, folder)
    return folder


def ahead_from() -> str:
    """What the ids of runs begin to be greater than that no clock of a machine in order can have stamped by now."""
    return _stamp(_OF_ID, time.time() + AHEAD_SECONDS)


def all_runs(
    root: str, task: str = "", failed: Callable[[OrchgateError], object] | None = None
) -> Iterator[tuple[str, str]]:
    """Every (task, run id) on disk, newest first; those that are dated in the future come last.

    Folders that cannot be listed go to `failed`. Raises OrchgateError for them where nobody takes them.
    """
    limit = ahead_from()
    tasks = [task] if task else _folders(os.path.join(root, RUNS), failed)
    found = [(run, name) for name in tasks for run in _folders(os.path.join(root, RUNS, name, "cli"), failed)]
    for run, name in sorted(found, key=lambda one: (one[0] <= limit, one), reverse=True):
        if RUN_ID.fullmatch(run):
            yield name, run


def _folders(path: str, failed: Callable[[OrchgateError], object] | None) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        trouble = OrchgateError(f"cannot list {path}: {error.strerror}")
        if failed is None:
            raise trouble from error
        failed(trouble)
        return []
