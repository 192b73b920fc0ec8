"""Comma-separated values by RFC 4180, a row a stage; a run without any, and one that cannot be read, has a row as well.

Spreadsheets take a cell for a formula that begins with one of a few characters: an apostrophe is put before them.
"""

from __future__ import annotations

from orchgate.exports.recorded import UnreadRun
from orchgate.exports.spans import attempts
from orchgate.exports.text import is_number, seconds
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape
from orchgate.runs.run import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.exports.recorded import RunExport
    from orchgate.runs.run import Run, StageRun

_USAGE = (
    *("user_seconds", "system_seconds", "max_rss_bytes", "tree_rss_bytes", "read_bytes", "written_bytes"),
    *("processes", "away_seconds"),
)
_TESTS = ("passed", "failed", "skipped", "errors")
_RUN = ("task_id", "run_id", "parent_run_id", "pipeline_id")
_STAGE = ("id", "title", "kind", "status", "status_detail")
COLUMNS = (
    *_RUN,
    *("run_status", "commit", "problems", "stage_number"),
    *("stage_id", "stage_title", "stage_kind", "stage_status", "stage_status_detail"),
    *("started_at", "completed_at", "wall_seconds"),
    *_USAGE,
    *("exit_code", "attempts", "flaky", "cached", "allow_failure", "output_bytes"),
    *(f"tests_{key}" for key in _TESTS),
    *("sub_run_id", "command", "summary"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def chunks(items: Iterable[RunExport | UnreadRun]) -> Iterator[str]:
    yield _line(dict(zip(COLUMNS, COLUMNS, strict=True)))
    for item in items:
        if isinstance(item, UnreadRun):
            yield _line({"run_id": item.path, "run_status": "unreadable", "problems": item.message})
            continue
        of_run = _of_run(item)
        for stage in item.run.stages:
            yield _line({**of_run, **_of_stage(stage)})
        if not item.run.stages:
            yield _line(of_run)


def _of_run(item: RunExport) -> dict[str, object]:
    run: Run = item.run
    known = {key: getattr(run, key) for key in _RUN}
    problems = "; ".join((*item.faults, *item.notes))
    return {**known, "run_status": run.status, "commit": run.git.commit if run.git else None, "problems": problems}


def _of_stage(stage: StageRun) -> Mapping[str, object]:
    usage = {key: getattr(stage.usage, key) for key in _USAGE} if stage.usage else {}
    tests = {f"tests_{key}": getattr(stage.tests, key) for key in _TESTS} if stage.tests else {}
    plain = ("exit_code", "cached", "allow_failure", "output_bytes", "sub_run_id", "command", "summary")
    row: dict[str, object] = {f"stage_{key}": getattr(stage, key) for key in _STAGE}
    row |= {"stage_number": stage.number, "attempts": attempts(stage)}
    for key in ("started_at", "completed_at"):
        moment = getattr(stage, key)
        row[key] = timestamp(moment) if moment else None
    row["wall_seconds"] = round(seconds(stage), 6) if stage.completed_at or stage.usage else None
    flaky = None if row["attempts"] is None else stage.flaky
    return {**row, **usage, **tests, **{key: getattr(stage, key) for key in plain}, "flaky": flaky}


def _line(row: Mapping[str, object]) -> str:
    return ",".join(_cell(row.get(column)) for column in COLUMNS) + "\r\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value) if is_number(value) else ""
    text = str(value)
    if text.lstrip(" ").startswith(_FORMULA):
        text = "'" + text
    text = "\n".join(escape(line) for line in text.split("\n"))
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text
