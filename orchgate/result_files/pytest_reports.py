"""What pytest's own plug-ins for reports write: pytest-json-report's document, and pytest-reportlog's lines."""

from __future__ import annotations

from orchgate.lib import json_data
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.result_files.counts import CountedTests, ResultsError, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

JSON_REPORT = "pytest-json-report"
REPORTLOG = "pytest-reportlog"
_OUTCOMES = {
    "passed": "passed",
    "xpassed": "passed",
    "failed": "failed",
    "skipped": "skipped",
    "xfailed": "skipped",
    "error": "error",
}
_MOST_AT_ONCE = 100_000  # tests that began and have not ended, which take memory
_PHASES = ("setup", "call", "teardown")


# pytest --json-report: one document


def looks_like_json_report(document: object) -> bool:
    return isinstance(document, dict) and {"exitcode", "summary", "root"} <= document.keys()


def parse_json_report(document: object) -> CountedTests:
    """Raises ResultsError."""
    if not isinstance(document, dict) or not looks_like_json_report(document):
        raise ResultsError("was not written by pytest --json-report")
    tests = document.get("tests")
    if tests is None and "collectors" not in document:
        raise ResultsError("lists no tests: it was written with --json-report-omit or --json-report-summary")
    tally = Tally()
    for one in _objects(document.get("collectors", [])):
        if one.get("outcome") == "failed":
            tally.add("error", str(one.get("nodeid") or ""))
    for one in _objects(tests or []):
        flaky = one.get("outcome") == "rerun"
        outcome = _after_rerun(one) if flaky else _OUTCOMES.get(str(one.get("outcome")))
        if outcome is None:
            raise ResultsError(f"holds a test of the outcome {str(one.get('outcome'))[:40]!a}")
        tally.add(outcome, str(one.get("nodeid") or ""), flaky=flaky)
    return tally.tests(JSON_REPORT)


def _objects(listed: object) -> Iterator[dict[str, object]]:
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ResultsError("was not written by pytest --json-report: its tests are not an array of objects")
    yield from listed


def _after_rerun(test: dict[str, object]) -> str:
    """How a test ended that was repeated: its outcome only says that it was, its phases are the last ones."""
    ended = {}
    for phase in _PHASES:
        about = test.get(phase)
        ended[phase] = about.get("outcome") if isinstance(about, dict) else None
    if ended["call"] == "failed":
        return "failed"
    if "skipped" in ended.values():
        return "skipped"
    return "passed" if all(ended[phase] == "passed" for phase in _PHASES) else "error"


# pytest --report-log: a line an event


class _Attempts:
    """A test that goes on: the worst of what its phases and subtests said so far."""

    __slots__ = ("outcome", "repeat", "repeated")

    def __init__(self) -> None:
        self.outcome = "passed"
        self.repeat = False  # this attempt is to be repeated: it does not count
        self.repeated = False

    def see(self, line: dict[str, object]) -> None:
        outcome, phase = line.get("outcome"), line.get("when")
        if outcome == "rerun":
            self.repeat = True
        elif outcome == "failed":
            self.outcome = "failed" if phase == "call" or self.outcome == "failed" else "error"
        elif outcome == "skipped" and self.outcome == "passed" and line.get("$report_type") == "TestReport":
            self.outcome = "skipped"

    def again(self) -> None:
        self.outcome, self.repeat, self.repeated = "passed", False, True


def looks_like_reportlog(line: object) -> bool:
    return isinstance(line, dict) and "$report_type" in line


def parse_reportlog(lines: Iterable[bytes]) -> CountedTests:
    """Raises ResultsError."""
    tally = Tally()
    going_on: dict[str, _Attempts] = {}
    finished = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        event = _event(number, line)
        kind = event["$report_type"]
        finished = finished or kind == "SessionFinish"
        if kind == "CollectReport":
            if event.get("outcome") in ("failed", "skipped"):
                tally.add("error" if event["outcome"] == "failed" else "skipped", str(event.get("nodeid") or ""))
        elif kind in ("TestReport", "SubTestReport"):
            _see(event, going_on, tally)
    if not finished:
        raise ResultsError("is cut off: it does not say that the session finished")
    for name in going_on:  # the process that ran it died
        tally.add("error", name)
    return tally.tests(REPORTLOG)


def _event(number: int, line: bytes) -> dict[str, object]:
    try:
        event = json_data.parse(line.decode("utf-8"))
    except ValueError as error:
        raise ResultsError(f"line {number} is not JSON, or cut off: {str(error)[:80]}") from error
    if not looks_like_reportlog(event):
        raise ResultsError(f"line {number} was not written by pytest --report-log")
    found: dict[str, object] = event
    return found


def _see(event: dict[str, object], going_on: dict[str, _Attempts], tally: Tally) -> None:
    name = str(event.get("nodeid") or "")
    test = going_on.get(name)
    if test is None:
        test = going_on[name] = _Attempts()
        if len(going_on) > _MOST_AT_ONCE:
            raise ResultsError(f"names more than {_MOST_AT_ONCE} tests that never end")
    test.see(event)
    if event["$report_type"] != "TestReport" or event.get("when") != "teardown":
        return
    if test.repeat:
        test.again()
    else:
        del going_on[name]
        tally.add(test.outcome, name, flaky=test.repeated)
