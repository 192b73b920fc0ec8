"""What a stage found out, read from what it left behind: a JUnit report, pytest's closing line, a file of metrics.

These files are written by other people's tools, under the stage's control: they may be huge, torn, hostile, or left
over from yesterday. Whatever cannot be counted is said in `problems`, and never counted.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import Unreadable
from orchgate.lib.globs import matches
from orchgate.lib.patterns import lazy
from orchgate.runs.decode import ManifestError
from orchgate.runs.junit import Counts, ResultsError, parse_junit, pytest_line
from orchgate.runs.locate import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.runs.stages import Stage

MAX_REPORTS = 1_000
MAX_REPORT_BYTES = 64 * 1024 * 1024
MAX_METRICS_BYTES = 64 * 1024
MAX_METRICS = 100
LONGEST_NAME = 100
MOST_PROBLEMS = 5
EXACT = 2**53  # beyond it a whole number is not the same in every reader
CHUNK = 1 << 20
_GLOB = lazy(r"[*?{\[]")


class Results(NamedTuple):
    """All a stage reported. `problems` are lines for people: what was named but could not be counted."""

    tests: Counts | None = None
    metrics: Mapping[str, float] = {}
    problems: tuple[str, ...] = ()


Stamp = tuple[int, int, int, int]


def stamps(stage: Stage, folder: str) -> Mapping[str, Stamp]:
    """What is there before a stage starts, by path; `folder` is the one it will work in.

    Comparing files with their own former selves needs no clock: those of a file system and of the kernel disagree by
    milliseconds, and a stage may be over in one.
    """
    found: dict[str, Stamp] = {}
    for path in (*_reports(stage.junit, folder), *([stage.metrics] if stage.metrics else [])):
        if stamp := _stamp(os.path.join(folder, path)):
            found[path] = stamp
    return found


def collect(stage: Stage, folder: str, tail: bytes, before: Mapping[str, Stamp]) -> Results:
    """The results of a stage that has ended. `tail` is the end of its log, `before` what `stamps` said. No errors."""
    problems: list[str] = []
    tests = _tests(stage, folder, before, problems) if stage.junit else None
    metrics: Mapping[str, float] = {}
    if stage.metrics:
        with _noting(stage.metrics, problems):
            _refuse_unwritten(stage.metrics, folder, before)
            metrics, refused = parse_metrics(read_file(os.path.join(folder, stage.metrics), MAX_METRICS_BYTES))
            problems += [f"{stage.metrics}: {reason}" for reason in refused]
    if len(problems) > MOST_PROBLEMS:
        problems[MOST_PROBLEMS:] = [f"and {len(problems) - MOST_PROBLEMS} more of this kind"]
    return Results(tests or pytest_line(tail), metrics, tuple(problems))


def _tests(stage: Stage, folder: str, before: Mapping[str, Stamp], problems: list[str]) -> Counts | None:
    paths = list(_reports(stage.junit, folder))
    if len(paths) > MAX_REPORTS:
        problems.append(f"{stage.junit}: names {len(paths)} files, limit {MAX_REPORTS}: not counted")
        return None
    total: Counts | None = None
    for path in paths:
        with _noting(path, problems):
            _refuse_unwritten(path, folder, before)
            found = parse_junit(_chunks(os.path.join(folder, path)))
            total = total.plus(found) if total else found
    if not paths:
        problems.append(f"{stage.junit}: no such file was written: no tests counted from it")
    return total


@contextlib.contextmanager
def _noting(path: str, problems: list[str]) -> Iterator[None]:
    try:
        yield
    except (ResultsError, ManifestError, Unreadable) as error:
        problems.append(f"{path}: {error.message}: not counted")


def _chunks(path: str) -> Iterator[bytes]:
    """A report in pieces, so that a large one costs no memory. Raises ResultsError for what is no ordinary file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise ResultsError(f"cannot be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ResultsError("is no ordinary file")
        for _ in range(MAX_REPORT_BYTES // CHUNK):
            if not (chunk := os.read(descriptor, CHUNK)):
                return
            yield chunk
        if os.read(descriptor, 1):
            raise ResultsError(f"is larger than {MAX_REPORT_BYTES} bytes")
    except OSError as error:
        raise ResultsError(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _refuse_unwritten(path: str, folder: str, before: Mapping[str, Stamp]) -> None:
    now = _stamp(os.path.join(folder, path))
    if now is None and not os.path.lexists(os.path.join(folder, path)):
        raise ResultsError("was not written")
    if now is not None and before.get(path) == now:
        raise ResultsError("is older than this stage's start")


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _reports(pattern: str, folder: str) -> Iterator[str]:
    """The files a stage names as its reports: one path, or all that match a glob. Sorted, relative to `folder`."""
    wildcard = _GLOB.search(pattern)
    if wildcard is None:
        if pattern:
            yield pattern
        return
    top = pattern[: wildcard.start()].rpartition("/")[0]
    found = []
    for inner, names, files in os.walk(os.path.join(folder, top)):
        names[:] = [name for name in names if name != ".git"]
        below = os.path.relpath(inner, folder)
        found += [os.path.normpath(os.path.join(below, name)) for name in files]
    yield from sorted(path for path in found if matches(path, [pattern]))


def parse_metrics(content: bytes) -> tuple[dict[str, float], list[str]]:
    """The finite numbers of a JSON object by name, and for each other entry why it is none. Raises ResultsError."""
    import json

    try:
        table = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, too deep, an integer of thousands of digits
        raise ResultsError(f"is not JSON: {str(error)[:100]}") from error
    if not isinstance(table, dict):
        raise ResultsError("is not one JSON object of numbers by name")
    if len(table) > MAX_METRICS:
        raise ResultsError(f"holds {len(table)} metrics, limit {MAX_METRICS}")
    found: dict[str, float] = {}
    refused = []
    for name, value in table.items():
        if reason := _why_no_metric(name, value):
            refused.append(f"{ascii(name[:LONGEST_NAME])[1:-1]}: {reason}")
        else:
            found[name] = value if abs(value) <= EXACT else float(value)
    return found, refused


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            raise ResultsError(f"names {name[:LONGEST_NAME]!a} twice")
        table[name] = value
    return table


def _why_no_metric(name: str, value: object) -> str:
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        return f"expected a printable name of at most {LONGEST_NAME} characters"
    if isinstance(value, bool) or not isinstance(value, int | float):
        kinds = {bool: "true or false", str: "a string", list: "a list", dict: "an object"}
        return f"expected a finite number, got {kinds.get(type(value), 'null')}"
    # Neither NaN nor infinity compares as smaller, and no whole number beyond it fits into a float.
    return "" if abs(value) <= 1e308 else "expected a finite number"
