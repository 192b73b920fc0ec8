"""What a stage reported: the tests of a JUnit report or of pytest's closing line, and a file of metrics.

These files are written by other people's tools, under the stage's control: they may be huge, truncated, hostile, or
left over from yesterday. Whatever cannot be counted is listed in `problems`, and never counted.
"""

from __future__ import annotations

import contextlib
import os

from orchgate.errors import OrchgateError, Unreadable
from orchgate.lib import files
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs.decode import ManifestError
from orchgate.runs.locate import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

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
MAX_TAG = 8 * 1024 * 1024  # bytes of one tag or comment; a parser starts over with it at every chunk
LONGEST_LINE = 1_000
_COLOUR = lazy("\x1b\\[[0-9;]*m")
_PART = r"[0-9]{1,9} (?:subtests )?[a-z]{2,12}"
_CLOSING = lazy(rf"=* ?((?:no tests ran|{_PART})(?:, {_PART})*) in [0-9.]{{1,16}}s(?: \([0-9:, a-z]{{1,30}}\))? ?=*")
# An expected failure counts as skipped and an unexpected pass as passed, as in pytest's own JUnit report.
_WORDS = {
    "passed": "passed",
    "xpassed": "passed",
    "failed": "failed",
    "subtests failed": "failed",
    "skipped": "skipped",
    "xfailed": "skipped",
    "error": "errors",
    "errors": "errors",
}
_OTHER_WORDS = frozenset(
    {"deselected", "warning", "warnings", "rerun", "reruns", "subtests passed", "subtests skipped", "subtests xfailed"}
)


class CountedTests(NamedTuple):
    """How tests ended. `source` is `junit` or `pytest`, the words of the manifest."""

    passed: int
    failed: int
    skipped: int
    errors: int
    source: str

    def plus(self, other: CountedTests) -> CountedTests:
        """The sum; it keeps this one's source."""
        return CountedTests(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.errors + other.errors,
            self.source,
        )


class ResultsError(OrchgateError):
    """One file of results that cannot be counted."""


class StageResults(NamedTuple):
    """All a stage reported. `problems` are lines for people: what was named but could not be counted."""

    tests: CountedTests | None = None
    metrics: Mapping[str, float] = {}
    problems: tuple[str, ...] = ()


Stamp = tuple[int, int, int, int]


def stamps(stage: Stage, folder: str) -> Mapping[str, Stamp]:
    """What is there before a stage starts, by path; `folder` is the one it will work in.

    Comparing files with what they were needs no clock: those of a file system and of the kernel disagree by
    milliseconds, and a stage may be over in one.
    """
    found: dict[str, Stamp] = {}
    for path in (*_reports(stage.junit, folder), *([stage.metrics] if stage.metrics else [])):
        if stamp := _stamp(os.path.join(folder, path)):
            found[path] = stamp
    return found


def collect(stage: Stage, folder: str, tail: bytes, before: Mapping[str, Stamp]) -> StageResults:
    """The results of a stage that has ended. `tail` is the end of its log, `before` comes from `stamps`. No errors."""
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
    return StageResults(tests or pytest_line(tail), metrics, tuple(problems))


def _tests(stage: Stage, folder: str, before: Mapping[str, Stamp], problems: list[str]) -> CountedTests | None:
    paths = list(_reports(stage.junit, folder))
    if len(paths) > MAX_REPORTS:
        problems.append(f"{stage.junit}: matches {len(paths)} files, limit {MAX_REPORTS}: not counted")
        return None
    total: CountedTests | None = None
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
    """A report in pieces, so that a large one costs no memory. Raises ResultsError for what is not a regular file."""
    try:
        with open(files.open_regular(path), "rb", buffering=0) as file:
            for _ in range(MAX_REPORT_BYTES // CHUNK):
                if not (chunk := file.read(CHUNK)):
                    return
                yield chunk
            if file.read(1):
                raise ResultsError(f"is larger than {MAX_REPORT_BYTES} bytes")
    except OSError as error:
        raise ResultsError(f"cannot be read: {error.strerror}") from error


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
    for inner, folders, names in os.walk(os.path.join(folder, top)):
        folders[:] = [name for name in folders if name != ".git"]
        below = os.path.relpath(inner, folder)
        found += [os.path.normpath(os.path.join(below, name)) for name in names]
    yield from sorted(path for path in found if matches(path, [pattern]))


def parse_metrics(content: bytes) -> tuple[dict[str, float], list[str]]:
    """The finite numbers of a JSON object by name, and why each other entry is not one. Raises ResultsError."""
    import json

    try:
        table = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, too deep, an integer of thousands of digits
        raise ResultsError(f"is not JSON: {str(error)[:100]}") from error
    if not isinstance(table, dict):
        raise ResultsError("is not one JSON object of numbers by name")
    if len(table) > MAX_METRICS:
        raise ResultsError(f"has {len(table)} metrics, limit {MAX_METRICS}")
    found: dict[str, float] = {}
    refused = []
    for name, value in table.items():
        if reason := _why_no_metric(name, value):
            refused.append(f"{ascii(name[:LONGEST_NAME])[1:-1]}: {reason}")
        else:
            found[name] = value if abs(value) <= EXACT else float(value)
    return found, refused


def _once(pairs: list[tuple[str, Any]]) -> dict[str, object]:
    table: dict[str, object] = {}
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


def parse_junit(chunks: Iterable[bytes]) -> CountedTests:
    """The counts of a JUnit report, as pytest, jest, surefire and many others write it. Raises ResultsError.

    Every test case is counted itself; the totals in the report's attributes only where it lists no case at all.
    """
    from xml.parsers import expat

    counting = _Counting()
    parser = expat.ParserCreate()
    parser.StartElementHandler = counting.start
    parser.EndElementHandler = counting.end
    parser.EntityDeclHandler = _refuse_entity
    given = 0
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
            given += len(chunk)
            if given - max(parser.CurrentByteIndex, 0) > MAX_TAG:
                raise ResultsError(f"has a tag or a comment of more than {MAX_TAG} bytes")
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise ResultsError(f"is not XML: {error}") from error
    except (ValueError, LookupError) as error:  # an encoding that Python does not have
        raise ResultsError(f"cannot be decoded: {error}") from error
    return counting.tests()


def _refuse_entity(name: str, *_: object) -> None:
    # A few nested entities expand to gigabytes, or to a file of this machine. No reporter writes any.
    raise ResultsError(f"declares the XML entity {name[:40]!r}, which no test reporter does")


class _Counting:
    """Counts test cases while expat walks through a report."""

    def __init__(self) -> None:
        self.depth = 0
        self.counts = {"passed": 0, "failure": 0, "skipped": 0, "error": 0}
        self.case: int | None = None  # depth of the test case we are in
        self.outcome = "passed"
        self.suite: int | None = None  # depth of the outermost suite that has totals
        self.totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        self.depth += 1
        if self.depth == 1 and name not in ("testsuites", "testsuite"):
            raise ResultsError(f"is not a JUnit report: its first element is <{name[:40]}>")
        if self.case is not None:
            # Deeper ones, and surefire's <flakyFailure> and <rerunFailure>, do not decide how the test ended.
            if self.depth == self.case + 1 and name in ("failure", "error", "skipped"):
                self.outcome = max(self.outcome, name, key=("passed", "skipped", "error", "failure").index)
        elif name == "testcase":
            self.case = self.depth
            self.outcome = "skipped" if attributes.get("status") in ("notrun", "disabled") else "passed"
        elif self.suite is None and name in ("testsuites", "testsuite") and "tests" in attributes:
            self.suite = self.depth
            self._add(attributes)

    def _add(self, attributes: dict[str, str]) -> None:
        for key in self.totals:
            text = attributes.get(key, "").strip()
            if text.isascii() and text.isdigit() and len(text) < 10:
                self.totals[key] += int(text)

    def end(self, _: str) -> None:
        if self.case == self.depth:
            self.counts[self.outcome] += 1
            self.case = None
        if self.suite == self.depth:
            self.suite = None
        self.depth -= 1

    def tests(self) -> CountedTests:
        counts, totals = self.counts, self.totals
        if any(counts.values()) or not totals["tests"]:
            return CountedTests(counts["passed"], counts["failure"], counts["skipped"], counts["error"], "junit")
        passed = totals["tests"] - totals["failures"] - totals["errors"] - totals["skipped"]
        if passed < 0:
            raise ResultsError("contradicts itself: fewer tests than failed and skipped ones")
        return CountedTests(passed, totals["failures"], totals["skipped"], totals["errors"], "junit")


def pytest_line(tail: bytes) -> CountedTests | None:
    """The counts in pytest's closing line, the last one near the end of a log; None where there is none."""
    for line in reversed(tail.splitlines()):
        if len(line) > LONGEST_LINE or b" in " not in line:
            continue
        match = _CLOSING.fullmatch(_COLOUR.sub("", line.decode("ascii", "replace")).strip())
        if match and (found := _counted(match[1])):
            return found
    return None


def _counted(text: str) -> CountedTests | None:
    counts = {"passed": 0, "failed": 0, "skipped": 0, "errors": 0}
    known = text.startswith("no tests ran")
    for part in text.removeprefix("no tests ran").split(", "):
        number, _, word = part.partition(" ")
        if word in _WORDS:
            counts[_WORDS[word]] += int(number)
            known = True
        elif word and word not in _OTHER_WORDS:
            return None  # "3 files in 2s": the closing line of another tool
    return CountedTests(**counts, source="pytest") if known else None
