"""What is known of a run in its folder, as a row: of ours, of another program's, or that it cannot be read."""

from __future__ import annotations

import os
import time

from orchgate.commands.shared.lines import inner_facts
from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs import ids
from orchgate.runs.run import timestamp

if TYPE_CHECKING:
    from orchgate.runner.session import RunStatus
    from orchgate.runs.run import Run, StageRun

UNREADABLE = "unreadable"
AHEAD = "dated in the future, so the clock was wrong; it does not count as the latest"
_OURS = b'{"event":'  # how our journals begin


def row(task: str, folder: str) -> dict[str, object]:
    """What is known of one run. A journal that cannot be read is a row that says so."""
    from orchgate.runner.session import status_of

    known = _known(task, folder)
    try:
        if _is_foreign(folder):
            return known | {**_foreign(folder), "problem": _clock(folder)}
        status = status_of(folder)
    except OrchgateError as error:
        return unreadable(task, folder, error)
    torn = f"unfinished lines in the journal: {', '.join(map(str, status.torn[:20]))}" if status.torn else None
    problem = _all_of(_contradiction(folder), torn, _clock(folder))
    facts = _facts(status) | inner_facts(status.run)
    return known | {**facts, "status": status.status, "problem": problem}


def _clock(folder: str) -> str | None:
    return AHEAD if os.path.basename(folder) > ids.ahead_from() else None


def _all_of(*problems: str | None) -> str | None:
    return "; ".join(filter(None, problems)) or None


def _known(task: str, folder: str) -> dict[str, object]:
    return {
        "run_id": os.path.basename(folder),
        "task_id": task,
        "manifest_path": os.path.join(folder, ids.MANIFEST),
    }


def unreadable(task: str, folder: str, error: OrchgateError) -> dict[str, object]:
    problem = _all_of(error.message, _clock(folder))
    return _known(task, folder) | {"status": UNREADABLE, "problem": problem, "pipeline_id": "", "stages": []}


def _contradiction(folder: str) -> str | None:
    """How the manifest that a reviewer opens differs from the journal, which counts here; None for not, or for none."""
    from orchgate.runs.decode import MAX_BYTES
    from orchgate.runs.journal import require_file

    path = os.path.join(folder, ids.MANIFEST)
    if not os.path.lexists(path):  # killed before it was written
        return None
    try:
        require_file(path, MAX_BYTES)
    except OrchgateError as error:
        return f"manifest.json {error.message}"
    return None


def _is_foreign(folder: str) -> bool:
    """Whether another program recorded the run: one that keeps no journal, or a log of its own under that name."""
    try:
        with open(files.open_regular(os.path.join(folder, ids.JOURNAL)), "rb") as file:
            if file.read(len(_OURS)) == _OURS:
                return False
    except OSError:  # then the manifest shows whose run it is
        journal = os.path.lexists(os.path.join(folder, ids.JOURNAL))
    else:
        journal = True
    from orchgate.runs.run import load

    manifest = os.path.join(folder, ids.MANIFEST)
    try:
        return load(manifest).format != "orchgate"
    except OrchgateError:  # a damaged journal of ours is reported as such, and so is a manifest alone
        return not journal and os.path.lexists(manifest)


def _foreign(folder: str) -> dict[str, object]:
    """What is in another program's manifest."""
    from orchgate.runs.run import load

    run = load(os.path.join(folder, ids.MANIFEST))
    end = run.completed_at or run.last_sign_of_life
    return {
        "pipeline_id": run.pipeline_id,
        "status": run.status,
        "seconds": (end - run.started_at).total_seconds(),
        "stages": [{"id": stage.id, "status": stage.status, "detail": stage.status_detail} for stage in run.stages],
    }


def _facts(known: RunStatus) -> dict[str, object]:
    run = known.run
    going_on = known.alive and not known.stopped and run.updated_at is not None
    # A run that goes on is worked on since its last event.
    more = time.time() - run.updated_at.timestamp() if going_on and run.updated_at else 0.0
    return {
        "pipeline_id": run.pipeline_id,
        "parent_run_id": run.parent_run_id,
        "started_at": timestamp(run.started_at),
        "completed_at": timestamp(run.completed_at) if run.completed_at else None,
        "status_detail": run.status_detail,
        "seconds": round(known.times.worked + max(0.0, more), 3),
        "away_seconds": run.away_seconds,
        "stopped": known.stopped,
        "stages": [_stage_facts(stage) for stage in run.stages],
        "flaky": run.flaky,
        "tests": run.tests.counts() if run.tests else None,
        "tools": [tool.asdict() for tool in run.tools],
        "resumes": len(run.resumptions),
    }


def _stage_facts(stage: StageRun) -> dict[str, object]:
    """What a row holds of a stage; which of its costs are lower bounds, and what it printed, where that is known."""
    bounds = stage.usage.lower_bounds if stage.usage else {}
    printed = {"output_bytes": stage.output_bytes, "output_left_out_bytes": stage.output_left_out_bytes}
    about: dict[str, object] = {"id": stage.id, "status": stage.status, "detail": stage.status_detail}
    about |= {"tests": stage.tests.counts()} if stage.tests else {}
    about |= {"failed_tests": list(stage.failed_tests)} if stage.failed_tests else {}
    return about | ({"lower_bounds": bounds} if bounds else {}) | {k: v for k, v in printed.items() if v is not None}


def run_in(folder: str) -> Run:
    from orchgate.runner.session import status_of
    from orchgate.runs.run import load

    return load(os.path.join(folder, ids.MANIFEST)) if _is_foreign(folder) else status_of(folder).run
