"""Names of tasks, runs and stages, the folders they stand for, and points in time."""

from __future__ import annotations

import os
import time

from orchgate.errors import OrchgateError, UsageError
from orchgate.lib import working_time
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import is_git_name, require_inside
from orchgate.lib.typed import TYPE_CHECKING
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
