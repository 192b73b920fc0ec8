"""JUnit's XML, in the dialects of its many writers: pytest, surefire, gradle, ctest, jest, mocha, PHPUnit, go's.

None of them is a standard. What counts is the test cases: totals in attributes leave out what a writer did not count
(jest's `todo`), and count twice what failed twice (pytest's teardowns).
"""

from __future__ import annotations

from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.result_files.counts import CountedTests, ResultsError, Tally, joined_name

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCE = "junit"
MAX_TAG = 8 * 1024 * 1024  # bytes of one tag or comment; a parser starts over with it at every chunk
MAX_DEPTH = 10_000  # elements within each other, of which a parser keeps all that are open
MOST_COMPARED = 500_000  # tests of pytest's whose names are kept, which take memory
MOST_CLAIMED = 10_000_000  # tests of a report that lists none of them
_SUITES = ("testsuites", "testsuite")
_OUTCOMES = {"skipped": "skipped", "error": "error", "failure": "failed"}
_FLAKY = "flaky"
_WORSE = ("passed", _FLAKY, "skipped", "error", "failed")
_RETRIED = ("flakyFailure", "flakyError", "rerunFailure", "rerunError")  # surefire's, of attempts before the last
_NOT_RUN = ("notrun", "disabled")
# pytest lists each attempt of pytest-rerunfailures, and those that were to be repeated as if they had passed.
_PYTEST = ("pytest", "pytest tests")


class JUnitTests(NamedTuple):
    """`doubt` is where the report contradicts itself; "" for nowhere."""

    tests: CountedTests
    doubt: str


def parse(chunks: Iterable[bytes]) -> JUnitTests:
    """Raises ResultsError.

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
    return JUnitTests(counting.tests(), counting.doubt())


def _refuse_entity(name: str, *_: object) -> None:
    # A few nested entities expand to gigabytes, or to a file of this machine. No reporter writes any.
    raise ResultsError(f"declares the XML entity {name[:40]!r}, which no test reporter does")


class _OpenCase:
    """A test case that we are in."""

    __slots__ = ("depth", "group", "name", "outcome", "retried")

    def __init__(self, depth: int, attributes: dict[str, str]) -> None:
        self.depth = depth
        self.outcome = "skipped" if attributes.get("status") in _NOT_RUN else "passed"
        self.retried = False
        self.group = attributes.get("classname", "")
        self.name = attributes.get("name", "")


class _Counting:
    """Counts test cases while expat walks through a report."""

    def __init__(self) -> None:
        self.depth = 0
        self.tally = Tally()
        self.case: _OpenCase | None = None
        self.suite: int | None = None  # depth of the outermost suite that has totals
        self.totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
        self.by_pytest = False
        self.attempts: dict[int, str] = {}  # the worst outcome of a test of pytest's so far, by the hash of its name

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        self.depth += 1
        if self.depth == 1 and name not in _SUITES:
            raise ResultsError(f"is not a JUnit report: its first element is <{name[:40]}>")
        if self.depth > MAX_DEPTH:
            raise ResultsError(f"has elements within each other, more than {MAX_DEPTH} deep")
        if self.case is not None:
            self._within(self.case, name)
        elif name == "testcase":
            self.case = _OpenCase(self.depth, attributes)
        elif name in _SUITES:
            self._suite(attributes)
        elif name in ("failure", "error"):  # of a suite: it could not be set up, or loaded
            self.tally.add(_OUTCOMES[name], "(outside of a test case)")

    def _within(self, case: _OpenCase, name: str) -> None:
        if self.depth != case.depth + 1:  # deeper ones do not decide how the test ended
            return
        if name in _OUTCOMES:
            case.outcome = max(case.outcome, _OUTCOMES[name], key=_WORSE.index)
        elif name in _RETRIED:
            case.retried = True

    def _suite(self, attributes: dict[str, str]) -> None:
        self.by_pytest = self.by_pytest or attributes.get("name") in _PYTEST
        if self.suite is None and "tests" in attributes:
            self.suite = self.depth
            for key in self.totals:
                text = attributes.get(key, "").strip()
                if text.isascii() and text.isdigit() and len(text) < 16:
                    self.totals[key] += int(text)

    def end(self, _: str) -> None:
        if self.case is not None and self.case.depth == self.depth:
            self._count(self.case)
            self.case = None
        if self.suite == self.depth:
            self.suite = None
        self.depth -= 1

    def _count(self, case: _OpenCase) -> None:
        if self.by_pytest:
            key = hash((case.group, case.name))
            before = self.attempts.get(key)
            if before is not None:
                self._again(case, before, key)
                return
            if len(self.attempts) >= MOST_COMPARED:
                raise ResultsError(f"lists more than {MOST_COMPARED} tests of pytest's")
            self.attempts[key] = case.outcome
        if case.outcome == "passed" and not case.retried:
            self.tally.counts["passed"] += 1  # as most do
        else:
            self.tally.add(case.outcome, joined_name(case.group, case.name), flaky=case.retried)

    def _again(self, case: _OpenCase, before: str, key: int) -> None:
        """Another attempt at a test, or its teardown: it is one test, of which the worst counts."""
        worst = max(before, case.outcome, key=_WORSE.index)
        if worst == "passed":
            worst = _FLAKY  # the first attempt was to be repeated
            self.tally.flaky += 1
        self.attempts[key] = worst
        if _WORSE.index(worst) > _WORSE.index(_FLAKY) and worst != before:
            self.tally.flaky -= before == _FLAKY
            self.tally.counts["passed" if before == _FLAKY else before] -= 1
            self.tally.add(worst, joined_name(case.group, case.name))

    def tests(self) -> CountedTests:
        totals = self.totals
        if self.tally.total() or not totals["tests"]:
            return self.tally.tests(SOURCE)
        passed = totals["tests"] - totals["failures"] - totals["errors"] - totals["skipped"]
        if passed < 0:
            raise ResultsError("contradicts itself: fewer tests than failed and skipped ones")
        if totals["tests"] > MOST_CLAIMED:
            raise ResultsError(f"says that it has {totals['tests']} tests, and lists none of them")
        return CountedTests(passed, totals["failures"], totals["skipped"], totals["errors"], SOURCE)

    def doubt(self) -> str:
        """What the report claims, and does not list. One that lists more leaves out what its writer did not count."""
        listed, counts = self.tally.total(), self.tally.counts
        if not listed:
            return ""
        failing, claimed = counts["failed"] + counts["error"], self.totals["failures"] + self.totals["errors"]
        if self.by_pytest and self.attempts:
            claimed = min(claimed, failing) if failing else claimed  # a test and its teardown are two of its failures
        if claimed > failing:
            return f"says that {counted(claimed, 'test')} failed, and lists {failing}: those it lists were counted"
        if self.totals["tests"] > listed + counts["error"] and not self.by_pytest:
            return f"says that it has {counted(self.totals['tests'], 'test')}, and lists {listed}: those were counted"
        return ""
