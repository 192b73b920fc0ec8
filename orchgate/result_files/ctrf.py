"""The common test report format (CTRF), which reporters of many test runners write (https://ctrf.io)."""

from __future__ import annotations

from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.result_files.counts import CountedTests, ResultsError, Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = "ctrf"
# `other` is what a runner calls neither: jest's `todo`, a test that was interrupted. It did not pass.
_OUTCOMES = {"passed": "passed", "failed": "failed", "skipped": "skipped", "pending": "skipped", "other": "skipped"}


class CtrfTests(NamedTuple):
    """`doubt` is where the summary contradicts the tests; "" for nowhere."""

    tests: CountedTests
    doubt: str


def looks_like(document: object) -> bool:
    results = document.get("results") if isinstance(document, dict) else None
    return isinstance(results, dict) and ("summary" in results or "tests" in results)


def parse(document: object) -> CtrfTests:
    """Raises ResultsError."""
    results = document.get("results") if isinstance(document, dict) else None
    listed = results.get("tests") if isinstance(results, dict) else None
    if not isinstance(results, dict) or not isinstance(listed, list):
        raise ResultsError('has no "results" with an array of "tests": it is not in CTRF')
    tally = Tally()
    for test in listed:
        outcome = _OUTCOMES.get(str(test.get("status"))) if isinstance(test, dict) else None
        if outcome is None:
            what = f"has the status {str(test.get('status'))[:40]!a}" if isinstance(test, dict) else "is not an object"
            raise ResultsError(f"holds a test that {what}, which CTRF does not have")
        tally.add(outcome, _name(test), flaky=_is_flaky(test))
    return CtrfTests(tally.tests(SOURCE), "; ".join(_doubts(results.get("summary"), tally)))


def _name(test: dict[str, object]) -> str:
    """`a.test.js > group > name`; some reporters repeat the last group in the name."""
    suite, name = test.get("suite"), str(test.get("name") or "").strip()
    groups = suite.split(" > ") if isinstance(suite, str) else suite if isinstance(suite, list) else []
    groups = [str(one).strip() for one in groups[:20]]
    while groups and name.startswith(groups[-1]):
        groups.pop()
    return " > ".join((*groups, name))


def _is_flaky(test: dict[str, object]) -> bool:
    """Whether a test that passed had failed before; most reporters that repeat tests say only how often."""
    retries = test.get("retries")
    return test.get("flaky") is True or (isinstance(retries, int) and retries > 0)


def _doubts(summary: object, tally: Tally) -> Iterator[str]:
    if not isinstance(summary, dict):
        return
    for key, listed in (("failed", tally.counts["failed"]), ("tests", tally.total())):
        claimed = summary.get(key)
        if isinstance(claimed, int) and not isinstance(claimed, bool) and 0 <= claimed < 2**53 and claimed > listed:
            said = f"{counted(claimed, 'test')} failed" if key == "failed" else f"it has {counted(claimed, 'test')}"
            yield f"says that {said}, and lists {listed}: those it lists were counted"
            return
