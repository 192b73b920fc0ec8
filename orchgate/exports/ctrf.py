"""The Common Test Report Format: a stage is a test, its attempts are retries."""

from __future__ import annotations

from orchgate.exports.cases import NAMELESS, CaseResult, cases
from orchgate.exports.recorded import UnreadRun
from orchgate.exports.spans import stage_facts
from orchgate.exports.text import json_of, numbers
from orchgate.exports.timing import of_datetime
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from orchgate.exports.cases import Case
    from orchgate.exports.recorded import RunExport
    from orchgate.runs.run import Attempt

SPEC = "0.0.0"
# An error is a test that failed here: "other" counts for nothing in many a reader.
_STATUS = {
    CaseResult.PASSED: "passed",
    CaseResult.FAILED: "failed",
    CaseResult.ERROR: "failed",
    CaseResult.SKIPPED: "skipped",
}
_ATTEMPTS = {"succeeded": "passed", "failed": "failed"}


def chunks(items: Iterable[RunExport | UnreadRun]) -> Iterator[str]:
    from orchgate import __version__

    yield f'{{"reportFormat":"CTRF","specVersion":"{SPEC}","generatedBy":"orchgate export","results":{{'
    yield f'"tool":{json_of({"name": "orchgate", "version": __version__})},"tests":['
    counts = dict.fromkeys(("tests", "passed", "failed", "skipped", "pending", "other", "flaky", "suites"), 0)
    between, runs, times = "\n", [], []
    for item in items:
        runs.append(_run(item))
        times += [] if isinstance(item, UnreadRun) else [_ms(item.run.started_at), _ms(item.run.last_sign_of_life)]
        counts["suites"] += 1
        for one in cases(item):
            counts["tests"] += 1
            counts[_STATUS[one.result]] += 1
            counts["flaky"] += bool(one.stage and one.stage.flaky)
            yield between + json_of(_test(one, item))
            between = ",\n"
    summary = {**counts, "start": min(times, default=0), "stop": max(times, default=0)}
    yield f'\n],"summary":{json_of(summary)},"extra":{json_of({"runs": runs})}}}}}\n'


def _ms(moment: datetime) -> int:
    return max(0, of_datetime(moment) // 10**6)


def _run(item: RunExport | UnreadRun) -> Mapping[str, object]:
    if isinstance(item, UnreadRun):
        return {"path": item.path, "status": "unreadable", "problems": [item.message]}
    run = item.run
    known = {"run_id": run.run_id, "task_id": run.task_id, "pipeline_id": run.pipeline_id, "status": run.status}
    commit = run.git.commit if run.git else None
    return {**known, "commit": commit, "problems": [*item.faults, *item.notes]}


def _test(one: Case, item: RunExport | UnreadRun) -> Mapping[str, object]:
    test: dict[str, object] = {"name": one.name, "status": _STATUS[one.result], "duration": round(one.seconds * 1000)}
    if one.message:
        test["message"] = one.message
    if isinstance(item, UnreadRun):
        return test
    test["suite"] = [item.run.pipeline_id or NAMELESS, item.run.run_id or NAMELESS]
    stage = one.stage
    if stage is None:
        return test
    test["rawStatus"] = stage.status
    if stage.started_at and stage.completed_at:
        test |= {"start": _ms(stage.started_at), "stop": _ms(stage.completed_at)}
    if len(stage.attempts) > 1:
        tries = [_attempt(number, attempt) for number, attempt in enumerate(stage.attempts, 1)]
        test |= {"retries": len(tries) - 1, "retryAttempts": tries}
    if stage.flaky:
        test["flaky"] = True
    return {**test, "extra": _extra(stage_facts(stage))}


def _extra(facts: Mapping[str, object]) -> Mapping[str, object]:
    finite = numbers(facts)
    return {key: value for key, value in facts.items() if isinstance(value, str | bool) or key in finite}


def _attempt(number: int, attempt: Attempt) -> Mapping[str, object]:
    whole: dict[str, object] = {"attempt": number, "status": _ATTEMPTS.get(attempt.status, "other")}
    if attempt.started_at and attempt.completed_at:
        start, stop = _ms(attempt.started_at), _ms(attempt.completed_at)
        whole |= {"start": start, "stop": stop, "duration": max(0, stop - start)}
    return whole
