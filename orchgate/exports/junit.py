"""JUnit XML: a run is a suite, a stage a test. Valid by the schema that Jenkins publishes and by Ant's.

How many tests a stage counted, its attempts, and what it cost are properties of the suite, where both schemas have
room for them.
"""

from __future__ import annotations

from xml.sax.saxutils import escape as quoted
from xml.sax.saxutils import quoteattr

from orchgate.exports.cases import CaseResult, cases
from orchgate.exports.recorded import UnreadRun
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.exports.cases import Case
    from orchgate.exports.recorded import RunExport

_ELEMENTS = {CaseResult.FAILED: "failure", CaseResult.ERROR: "error", CaseResult.SKIPPED: "skipped"}
_UNKNOWN = "1970-01-01T00:00:00"


def chunks(items: Iterable[RunExport | UnreadRun]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n'
    for number, item in enumerate(items):
        yield "\n".join(_suite(item, list(cases(item)), number)) + "\n"
    yield "</testsuites>\n"


def _suite(item: RunExport | UnreadRun, found: Sequence[Case], number: int) -> Iterator[str]:
    run = None if isinstance(item, UnreadRun) else item.run
    name = run.pipeline_id if run else "unreadable"
    counts = {"tests": len(found)}
    for result, kind in (
        (CaseResult.FAILED, "failures"),
        (CaseResult.ERROR, "errors"),
        (CaseResult.SKIPPED, "skipped"),
    ):
        counts[kind] = sum(one.result is result for one in found)
    head = {"id": number, "name": name or "?", "package": (run.task_id if run else "") or "?", "hostname": "localhost"}
    head["timestamp"] = run.started_at.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") if run else _UNKNOWN
    yield f"<testsuite{_attributes(**head, **counts, time=_decimal(sum(one.seconds for one in found)))}>"
    yield " <properties>"
    for key, value in _properties(item):
        yield f"  <property{_attributes(name=key, value=value)}/>"
    yield " </properties>"
    for one in found:
        yield _case(one, name)
    yield " <system-out/>\n <system-err/>\n</testsuite>"


def _case(one: Case, suite: str) -> str:
    head = f" <testcase{_attributes(name=one.name or '?', classname=suite or '?', time=_decimal(one.seconds))}"
    if one.result is CaseResult.PASSED:
        return head + "/>"
    element = _ELEMENTS[one.result]
    kind = {} if one.result is CaseResult.SKIPPED else {"type": one.kind or "unknown"}
    failed = "\n".join(map(escape, one.stage.failed_tests)) if one.stage else ""
    return f"{head}><{element}{_attributes(message=one.message, **kind)}>{quoted(failed)}</{element}></testcase>"


def _properties(item: RunExport | UnreadRun) -> Iterator[tuple[str, object]]:
    if isinstance(item, UnreadRun):
        yield "path", item.path
        return
    run = item.run
    yield from (("run_id", run.run_id), ("status", run.status))
    if run.git and run.git.commit:
        yield "commit", run.git.commit
    yield from (("note", note) for note in item.notes)
    for stage in run.stages:
        facts: dict[str, object] = stage.tests.asdict() if stage.tests else {}
        facts["flaky_tests"] = facts.pop("flaky", None)
        facts |= {"attempts": len(stage.attempts) if len(stage.attempts) > 1 else None}
        facts |= {"flaky": True if stage.flaky else None, "cached": True if stage.cached else None}
        yield from ((f"{stage.id}.{key}", value) for key, value in facts.items() if value is not None)


def _decimal(seconds: float) -> str:
    return f"{seconds:.3f}"


def _attributes(**values: object) -> str:
    return "".join(f" {name}={quoteattr(escape(str(value)))}" for name, value in values.items())
