"""Counts tests: in a JUnit report, and in the line that pytest closes with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TAG = 8 * 1024 * 1024  # bytes of one tag or comment; a parser starts over with it at every chunk
LONGEST_LINE = 1_000


class Counts(NamedTuple):
    """How tests ended. `source` is `junit` or `pytest`, the words of the manifest."""

    passed: int
    failed: int
    skipped: int
    errors: int
    source: str

    def plus(self, other: Counts) -> Counts:
        """The sum; it keeps this one's source."""
        return Counts(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.errors + other.errors,
            self.source,
        )


class ResultsError(OrchgateError):
    """One file of results that cannot be counted."""


def parse_junit(chunks: Iterable[bytes]) -> Counts:
    """Counts of a JUnit report as pytest, jest, surefire and many others write it. Raises ResultsError.

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
                raise ResultsError(f"holds a tag or a comment of more than {MAX_TAG} bytes")
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
        self.case: int | None = None  # how deep the test case lies that we are in
        self.outcome = "passed"
        self.suite: int | None = None  # how deep the outermost suite lies that tells totals
        self.totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        self.depth += 1
        if self.depth == 1 and name not in ("testsuites", "testsuite"):
            raise ResultsError(f"is no JUnit report: its first element is <{name[:40]}>")
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

    def tests(self) -> Counts:
        counts, totals = self.counts, self.totals
        if any(counts.values()) or not totals["tests"]:
            return Counts(counts["passed"], counts["failure"], counts["skipped"], counts["error"], "junit")
        passed = totals["tests"] - totals["failures"] - totals["errors"] - totals["skipped"]
        if passed < 0:
            raise ResultsError("contradicts itself: it tells of fewer tests than of failed and skipped ones")
        return Counts(passed, totals["failures"], totals["skipped"], totals["errors"], "junit")


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


def pytest_line(tail: bytes) -> Counts | None:
    """Counts in pytest's closing line, the last one in the end of a log; None where there is none."""
    for line in reversed(tail.splitlines()):
        if len(line) > LONGEST_LINE or b" in " not in line:
            continue
        match = _CLOSING.fullmatch(_COLOUR.sub("", line.decode("ascii", "replace")).strip())
        if match and (found := _counted(match[1])):
            return found
    return None


def _counted(text: str) -> Counts | None:
    counts = {"passed": 0, "failed": 0, "skipped": 0, "errors": 0}
    known = text.startswith("no tests ran")
    for part in text.removeprefix("no tests ran").split(", "):
        number, _, word = part.partition(" ")
        if word in _WORDS:
            counts[_WORDS[word]] += int(number)
            known = True
        elif word and word not in _OTHER_WORDS:
            return None  # "3 files in 2s": somebody else's closing line
    return Counts(**counts, source="pytest") if known else None
