"""Records what any program costs: a run of one stage, with what happened to the files of watched folders."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.digest import sha256_hex
from orchgate.lib.process import ProgramMissing
from orchgate.lib.text import counted
from orchgate.observe import activity, inner_runs, watch
from orchgate.observe.activity import named, totals
from orchgate.runner import foreground, process_tree, stage_run, writer
from orchgate.runner.environment import OBSERVED_BY
from orchgate.runner.pipeline_run import Finished
from orchgate.runner.session import Session
from orchgate.runs import ids
from orchgate.secrets.redact import redacted_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.observe.activity import Activity
    from orchgate.runner.foreground import ForegroundResult
    from orchgate.runner.session import RunSettings
    from orchgate.runs.state import Document, Event
    from orchgate.runs.usage import Cost

ACTIVITY = "artifacts/activity.json"
MISSING, REFUSED = 127, 126  # exit codes as shells, `env` and `timeout` have them


class ObserveRequest(NamedTuple):
    """What to observe. `name` is the pipeline's id of the run, `watch` absolute folders."""

    argv: tuple[str, ...]
    name: str
    watch: tuple[str, ...]


class Observed(NamedTuple):
    """`code` is the program's exit code as a shell would have it: 128 and more for signals, 126 and 127 for no start.

    `activity` is the content of activity.json.
    """

    finished: Finished
    code: int
    activity: Mapping[str, Any]


def observe(settings: RunSettings, request: ObserveRequest) -> Observed:
    """Runs a program and records it. Raises OrchgateError when it could not be recorded."""
    with Session(settings) as session:
        recorder = writer.create(settings.root, settings.task, session.clock, settings.reporter.seen)
        with contextlib.closing(recorder):
            session.guard(recorder.journal.descriptor)
            recorder.begin(_first_event(session, request, recorder.run_id))
            recorder.record({"event": "start", "stage": 1, "attempt": 1})
            end, code, document = _watched(session, request, recorder.folder)
            files.replace(os.path.join(recorder.folder, ACTIVITY), _encode(document))
            recorder.other_files = 1
            recorder.record({"event": "end", "stage": 1, "attempt": 1, **end}, sync=True)
            finished = recorder.finish(end["status"], _reason(end))
            return Observed(Finished(recorder.folder, finished), code, document)


def _first_event(session: Session, request: ObserveRequest, run_id: str) -> Event:
    import shlex

    digest = sha256_hex(ascii((request.name, request.argv)))
    stage = {"id": "observed", "title": request.name, "kind": "command"}
    argv = redacted_words(request.argv)
    return {
        "event": "run",
        "task_id": session.settings.task,
        "run_id": run_id,
        "parent_run_id": None,
        "pipeline": {"id": request.name, "title": f"observed: {request.name}", "digest": digest},
        "stages": [stage | {"command": shlex.join(argv), "argv": list(argv)}],
        "detail": session.note or None,
        "observed": {"watch": [named(folder, session.settings.root) for folder in request.watch]},
        **session.identity(),
    }


def _watched(session: Session, request: ObserveRequest, folder: str) -> tuple[Event, int, Document]:
    """The fields of the `end` event, the exit code, and what happened to the files."""
    own = {process_tree.MARK: session.mark(), OBSERVED_BY: os.path.basename(folder)}
    environ = {**session.settings.environ, **own}
    began = session.clock.now()
    # Our own folder is not looked into: nothing that is recorded here counts as the program's.
    with watch.watch(request.watch, exclude=[folder]) as seen:
        refused, ended = None, None
        try:
            ended = foreground.run(session.loop, request.argv, environ)
        except OrchgateError as error:
            refused = error
        # Without the counter of processes it is unknown which are the program's.
        happened = seen.finish(session.loop.forks.ours if session.loop.forks else None)
    document = activity.document(happened, request.watch, session.settings.root)
    if ended is None or refused is not None:
        return _unstarted(refused), _code(refused), document
    inside = inner_runs.find(_observation(session, request, folder, began, happened))
    end = _with_inner(_end(ended, happened), inside)
    code = 128 + _number(ended.signal) if ended.code is None else ended.code
    return end, code, document


def _observation(
    session: Session, request: ObserveRequest, folder: str, began: float, happened: Activity
) -> inner_runs.Observation:
    """What is known of an observation that is over."""
    folders = dict.fromkeys((*request.watch, os.path.join(session.settings.root, ids.RUNS)))
    return inner_runs.Observation(
        run_id=os.path.basename(folder),
        folder=folder,
        began=began,
        ended=session.clock.now(),
        folders=tuple(folders),
        touched=happened.files,
        apart=happened.apart,
        others=happened.others,
    )


def _with_inner(end: Event, inside: inner_runs.InnerRuns) -> Event:
    """The `end` event with the runs that the program recorded itself."""
    detail = "; ".join(filter(None, (end["detail"], *inside.notes)))[:400] or None
    return {**end, "detail": detail} | ({"inner_runs": inside.links} if inside.links else {})


def _code(refused: OrchgateError | None) -> int:
    missing = isinstance(refused, ProgramMissing) and isinstance(refused.__cause__, FileNotFoundError)
    return MISSING if missing else REFUSED


def _unstarted(refused: OrchgateError | None) -> Event:
    detail = refused.message if refused else None
    return {"status": "failed", "exit_code": None, "summary": None, "detail": detail, "usage": None}


def _end(ended: ForegroundResult, happened: Activity) -> Event:
    status = "succeeded" if ended.code == 0 else "cancelled" if ended.asked else "failed"
    details = list(filter(None, [stage_run.how_it_ended(ended.code, ended.signal)]))
    if ended.left:
        details.append(f"{counted(ended.left, 'process', 'processes')} left behind, not counted")
    event: Event = {
        "status": status,
        "exit_code": ended.code,
        "summary": None,
        "detail": "; ".join([*details, *happened.notes])[:400] or None,
        "usage": _bounded(ended.usage, happened),
        "metrics": _metrics(ended, happened),
    }
    if ended.asked:
        event["asked"] = ended.asked
    return event | ({"signal": ended.signal} if ended.signal else {})


def _metrics(ended: ForegroundResult, happened: Activity) -> dict[str, float]:
    known = {
        "tree_max_rss_bytes": ended.usage["tree_rss_bytes"],
        "asked_read_bytes": ended.storage.asked_read,
        "asked_written_bytes": ended.storage.asked_written,
    }
    counted = {} if happened.lost else totals(happened)
    return {**counted, **{name: value for name, value in known.items() if value is not None}}


def _bounded(spent: Mapping[str, Any], happened: Activity) -> Cost:
    """A cost that says which counts of files are lower bounds."""
    if not happened.bounds or happened.lost:
        return dict(spent)
    bounds = {**spent.get("lower_bounds", {}), **dict(sorted(happened.bounds.items()))}
    return {**spent, "complete": False, "lower_bounds": bounds}


def _reason(end: Mapping[str, Any]) -> str | None:
    if end["status"] == "cancelled":
        return f"signal:{end['asked']}"
    return None if end["status"] == "succeeded" else "stage:observed:failed"


def _number(name: str | None) -> int:
    import signal

    with contextlib.suppress(KeyError):
        return signal.Signals[name or ""].value
    return int((name or "").removeprefix("SIG") or 0)


def _encode(document: Mapping[str, Any]) -> bytes:
    import json

    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "replace")
