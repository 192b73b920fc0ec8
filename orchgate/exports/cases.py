"""A run as tests, for what reads results of tests: a stage is one. No run passes there that did not pass here."""

from __future__ import annotations

from orchgate.exports.recorded import UnreadRun
from orchgate.exports.text import seconds
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.exports.recorded import RunExport
    from orchgate.runs.run import StageRun

RECORD = "the record of the run"
NAMELESS = "?"  # no format has a name without characters


class CaseResult(Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"  # it did not come to its end, or nobody knows how it ended


class Case(NamedTuple):
    """`kind` says in one word what it is that did not pass."""

    name: str
    result: CaseResult
    seconds: float = 0.0
    kind: str = ""
    message: str = ""
    stage: StageRun | None = None


def cases(item: RunExport | UnreadRun) -> Iterator[Case]:
    if isinstance(item, UnreadRun):
        yield Case(RECORD, CaseResult.ERROR, kind="unreadable", message=item.message)
        return
    found = [_case(stage) for stage in item.run.stages]
    found += [Case(RECORD, CaseResult.ERROR, kind="record", message=fault) for fault in item.faults]
    yield from found
    if item.run.status != "succeeded" and not any(one.result in (CaseResult.FAILED, CaseResult.ERROR) for one in found):
        why = item.run.status_detail or item.run.status
        yield Case("the run", CaseResult.ERROR, kind=item.run.status, message=why)


def _case(stage: StageRun) -> Case:
    said = "; ".join(filter(None, (stage.status_detail, stage.summary)))
    match stage.status:
        case "succeeded":
            result, kind, said = CaseResult.PASSED, "", ""
        case "failed" if stage.allow_failure:
            result, kind, said = CaseResult.SKIPPED, "failed", "; ".join(filter(None, ("failed, which it may", said)))
        case "failed":
            result, kind = CaseResult.FAILED, "failed"
        case "skipped":
            result, kind = CaseResult.SKIPPED, "skipped"
        case _:
            result, kind = CaseResult.ERROR, stage.status
    return Case(stage.id or NAMELESS, result, seconds(stage), kind, said or (kind and stage.status), stage)
