"""What a stage reported: tests and benchmarks of files of results, pytest's closing line, and a file of metrics.

These files are written by other people's tools, under the stage's control: they may be huge, truncated, hostile, or
left over from yesterday. Whatever cannot be counted is listed in `problems`, and never counted.
"""

from __future__ import annotations

import contextlib
import os

from orchgate.errors import Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.result_files.counts import CountedTests, ResultsError
from orchgate.runs.decode import ManifestError
from orchgate.runs.ids import RUNS
from orchgate.runs.locate import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from orchgate.result_files.formats import FileResults
    from orchgate.runs.stages import Stage

MAX_REPORTS = 1_000
MAX_TOGETHER = 256 * 1024 * 1024  # bytes of all files of results of a stage
MAX_METRICS_BYTES = 64 * 1024
MAX_METRICS = 100
LONGEST_NAME = 100
MOST_PROBLEMS = 5
EXACT = 2**53  # beyond it a whole number is not the same in every reader
_GLOB = lazy(r"[*?{\[]")
_NOT_ENTERED = (".git", RUNS)  # what other runs left is not this one's
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


class StageResults(NamedTuple):
    """All a stage reported. `benchmarks` are seconds by name.

    `problems` are lines for people: what was named but could not be counted.
    """

    tests: CountedTests | None = None
    metrics: Mapping[str, float] = {}
    problems: tuple[str, ...] = ()
    benchmarks: Mapping[str, float] = {}


class ResultPlaces(NamedTuple):
    """Where a stage leaves its files: the folder it works in, inside of `root`, or its run's folder of artifacts.

    "" for a root or artifacts that there are none of.
    """

    folder: str
    root: str = ""
    artifacts: str = ""

    def why_outside(self, path: str) -> str:
        """Why what a path leads to is none of the stage's, "" where it is: a link may lead anywhere."""
        real = os.path.realpath(path)
        tops = [os.path.realpath(top) for top in (self.root or self.folder, self.artifacts) if top]
        return (
            "" if any(real == top or real.startswith(top + os.sep) for top in tops) else "is outside of the work tree"
        )


Stamp = tuple[int, int, int, int]


def stamps(stage: Stage, places: ResultPlaces) -> Mapping[str, Stamp]:
    """What is there before a stage starts, by full path.

    Comparing files with what they were needs no clock: those of a file system and of the kernel disagree by
    milliseconds, and a stage may be over in one.
    """
    found: dict[str, Stamp] = {}
    named = [path for one in stage.results for path in _files(one.path, places)]
    for path in (*named, *([os.path.join(places.folder, stage.metrics)] if stage.metrics else [])):
        if stamp := _stamp(path):
            found[path] = stamp
    return found


def collect(stage: Stage, places: ResultPlaces, tail: bytes, before: Mapping[str, Stamp]) -> StageResults:
    """The results of a stage that has ended. `tail` is the end of its log, `before` comes from `stamps`. No errors."""
    found = _FoundResults(places, before)
    for wanted in stage.results:
        found.take(wanted.path, wanted.format)
    metrics: Mapping[str, float] = {}
    if stage.metrics:
        with _noting(stage.metrics, found.problems):
            path = os.path.join(places.folder, stage.metrics)
            _refuse_unwritten(path, before)
            metrics, refused = parse_metrics(read_file(path, MAX_METRICS_BYTES))
            found.problems += [f"{stage.metrics}: {reason}" for reason in refused]
    benchmarks = found.recordable()
    problems = found.problems
    if len(problems) > MOST_PROBLEMS:
        problems[MOST_PROBLEMS:] = [f"and {len(problems) - MOST_PROBLEMS} more of this kind"]
    return StageResults(found.tests or pytest_line(tail), metrics, tuple(problems), benchmarks)


class _FoundResults:
    """Adds up the files of results of one stage. A file that several patterns match counts once."""

    def __init__(self, places: ResultPlaces, before: Mapping[str, Stamp]) -> None:
        self._places = places
        self._before = before
        self._taken: set[str] = set()
        self._seen: set[tuple[int, ...]] = set()
        self._bytes = 0
        self._seconds: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self.tests: CountedTests | None = None
        self.problems: list[str] = []

    def take(self, pattern: str, format_: str) -> None:
        paths = self._chosen(pattern)
        if len(paths) > MAX_REPORTS:
            self.problems.append(f"{pattern} matches {len(paths)} files, limit {MAX_REPORTS}: not counted")
            return
        for path in paths:
            if path in self._taken:  # by a pattern before this one
                continue
            self._taken.add(path)
            shown = self._shown(path)
            with _noting(shown, self.problems):
                self._read(path, shown, format_)
        if not paths:
            self.problems.append(f"{pattern} matches no file that was written: not counted")

    def _chosen(self, pattern: str) -> list[str]:
        """The files that a pattern stands for, now that the stage has ended.

        What is in the folder of artifacts is this run's own, and comes before what another run may have put in its
        place in the tree. Another stage of the run may have left it there: then nobody asks for it.
        """
        artifacts = self._places.artifacts
        own, others = [], []
        for path in _files(pattern, self._places):
            if not artifacts or not path.startswith(artifacts + os.sep):
                others.append(path)
            elif self._before.get(path) != _stamp(path):
                own.append(path)
        return own if own and not _GLOB.search(pattern) else [*own, *others]

    def _shown(self, path: str) -> str:
        for top in filter(None, (self._places.artifacts, self._places.folder)):
            if path.startswith(top + os.sep):
                return path[len(top) + 1 :]
        return path

    def _read(self, path: str, shown: str, format_: str) -> None:
        """Raises ResultsError."""
        from orchgate.result_files import formats

        _refuse_unwritten(path, self._before)
        if reason := self._places.why_outside(path):
            raise ResultsError(reason)
        stamp = _stamp(path)
        if stamp is None or stamp in self._seen:  # which has its inode
            return
        self._seen.add(stamp)
        self._bytes += stamp[2]
        if self._bytes > MAX_TOGETHER:
            raise ResultsError(f"is beyond the {MAX_TOGETHER} bytes that are read of a stage")
        self._add(formats.read(path, format_), shown)

    def _add(self, found: FileResults, shown: str) -> None:
        if found.doubt:
            self.problems.append(f"{shown}: {found.doubt}")
        if found.tests:
            self.tests = self.tests.plus(found.tests) if self.tests else found.tests
        if found.times:
            for name in found.times.seconds.keys() & self._seconds.keys():
                self._failed[name] = "the name occurs in several files"
            self._seconds |= found.times.seconds
            self._failed |= found.times.failed

    def recordable(self) -> dict[str, float]:
        """Seconds by name, of the benchmarks that are recorded; why others are not is among the problems."""
        if not self._seconds and not self._failed:
            return {}
        from orchgate.result_files import benchmark_results
        from orchgate.result_files.benchmark_formats import Times

        for name in self._failed:
            self._seconds.pop(name, None)
        times = Times(self._seconds, self._failed)
        seconds, problems = benchmark_results.recordable(times, benchmark_results.MOST_RECORDED)
        self.problems += [f"benchmark {problem}" for problem in problems]
        return seconds


@contextlib.contextmanager
def _noting(path: str, problems: list[str]) -> Iterator[None]:
    try:
        yield
    except (ResultsError, ManifestError, Unreadable) as error:
        problems.append(f"{path} {error.message}: not counted")


def _refuse_unwritten(path: str, before: Mapping[str, Stamp]) -> None:
    now = _stamp(path)
    if now is None and not os.path.lexists(path):
        raise ResultsError("was not written")
    if now is None:
        raise ResultsError("is a link that leads nowhere")
    if before.get(path) == now:
        raise ResultsError("is older than this stage's start")


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _files(pattern: str, places: ResultPlaces) -> Iterator[str]:
    """The files a stage names: one path, or all that match a glob, by their full paths, sorted.

    They are looked for in its own folder, and in that of artifacts.
    """
    wildcard = _GLOB.search(pattern)
    for top in filter(None, (places.folder, places.artifacts)):
        if wildcard is not None:
            yield from _matching(pattern, wildcard.start(), top)
        elif top == places.folder or os.path.lexists(os.path.join(top, pattern)):
            yield os.path.join(top, pattern)


def _matching(pattern: str, wildcard: int, top: str) -> Iterator[str]:
    found = []
    for inner, folders, names in os.walk(os.path.join(top, pattern[:wildcard].rpartition("/")[0])):
        folders[:] = [name for name in folders if name not in _NOT_ENTERED]
        below = os.path.relpath(inner, top)
        found += [os.path.normpath(os.path.join(below, name)) for name in names]
    yield from (os.path.join(top, path) for path in sorted(found) if matches(path, [pattern]))


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
    passed, failed, skipped, errors = counts.values()
    return CountedTests(passed, failed, skipped, errors, "pytest") if known else None
