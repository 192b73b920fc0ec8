"""Records what a program costs that knows nothing of us: a run of one stage, with the activity of watched folders."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.process import ProgramMissing
from orchgate.observe import inner, watch
from orchgate.runner import foreground, process_tree, writer
from orchgate.runner.activity import BLIND, METRICS, UNTOLD, totals
from orchgate.runner.environment import OBSERVED_BY
from orchgate.runner.runner import Finished
from orchgate.runner.session import Session
from orchgate.runs import ids
from orchgate.secrets.redact import redacted_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.runner.activity import Activity, FileActivity
    from orchgate.runner.session import Setting

VERSION = 1
LISTED = 1_000  # files named in activity.json, those with most writes and reads first
MOST_NAMED = 20  # folders that are lower bounds, and files of other programs
ACTIVITY = "artifacts/activity.json"
MISSING, REFUSED = 127, 126  # exit codes as shells, `env` and `timeout` have them
_FIELDS = ("created", "written", "renamed", "removed", "read")


_Item = TypeVar("_Item")


class Request(NamedTuple):
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


def observe(setting: Setting, request: Request) -> Observed:
    """Runs a program and records it. Raises OrchgateError when it could not be recorded."""
    with Session(setting) as session:
        recorder = writer.create(setting.root, setting.task, session.clock, setting.reporter.seen)
        with contextlib.closing(recorder):
            session.guard(recorder.journal.descriptor)
            recorder.begin(_first_event(session, request, recorder.run_id))
            recorder.record({"event": "start", "stage": 1, "attempt": 1})
            end, code, document = _watched(session, request, recorder.folder)
            files.replace(os.path.join(recorder.folder, ACTIVITY), _encode(document))
            recorder.cached = 1
            recorder.record({"event": "end", "stage": 1, "attempt": 1, **end}, sync=True)
            finished = recorder.finish(end["status"], _reason(end))
            return Observed(Finished(recorder.folder, finished), code, document)


def _first_event(session: Session, request: Request, run_id: str) -> dict[str, Any]:
    import hashlib
    import shlex

    digest = hashlib.sha256(ascii((request.name, request.argv)).encode("ascii")).hexdigest()
    stage = {"id": "observed", "title": request.name, "kind": "command"}
    argv = redacted_words(request.argv)
    return {
        "event": "run",
        "task_id": session.setting.task,
        "run_id": run_id,
        "parent_run_id": None,
        "pipeline": {"id": request.name, "title": f"observed: {request.name}", "digest": digest},
        "stages": [stage | {"command": shlex.join(argv), "argv": list(argv)}],
        "detail": session.note or None,
        "observed": {"watch": [_named(folder, session.setting.root) for folder in request.watch]},
        **session.identity(),
    }


def _watched(session: Session, request: Request, folder: str) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """The fields of the `end` event, the exit code, and what happened to the files."""
    own = {process_tree.MARK: session.mark(), OBSERVED_BY: os.path.basename(folder)}
    environ = {**session.setting.environ, **own}
    began = session.clock.now()
    # Our own folder is not looked into: nothing that is recorded here counts as the program's.
    with watch.watch(request.watch, exclude=[folder]) as seen:
        refused, ended = None, None
        try:
            ended = foreground.run(session.loop, request.argv, environ)
        except OrchgateError as error:
            refused = error
        # Without the counter of processes nobody can tell which are the program's.
        happened = seen.finish(session.loop.forks.ours if session.loop.forks else None)
    document = describe(happened, request.watch, session.setting.root)
    if ended is None or refused is not None:
        code = MISSING if isinstance(refused, ProgramMissing) and "No such file" in refused.message else REFUSED
        return _unstarted(refused), code, document
    inside = inner.find(_seen(session, request, folder, began, happened))
    end = _with_inner(_end(ended, happened), inside)
    code = 128 + _number(ended.signal) if ended.code is None else ended.code
    return end, code, document


def _seen(session: Session, request: Request, folder: str, began: float, activity: Activity) -> inner.Watched:
    """What is known of an observation that is over."""
    folders = dict.fromkeys((*request.watch, os.path.join(session.setting.root, ids.RUNS)))
    return inner.Watched(
        run_id=os.path.basename(folder),
        folder=folder,
        began=began,
        ended=session.clock.now(),
        folders=tuple(folders),
        touched=activity.files,
        apart=activity.apart,
        others=activity.others,
    )


def _with_inner(end: dict[str, Any], inside: inner.Found) -> dict[str, Any]:
    """The `end` event with the runs that the program recorded itself."""
    detail = "; ".join(filter(None, (end["detail"], *inside.notes)))[:400] or None
    return {**end, "detail": detail} | ({"inner_runs": inside.links} if inside.links else {})


def _unstarted(refused: OrchgateError | None) -> dict[str, Any]:
    detail = refused.message if refused else None
    return {"status": "failed", "exit_code": None, "summary": None, "detail": detail, "usage": None}


def _end(ended: foreground.Ended, activity: Activity) -> dict[str, Any]:
    status = "succeeded" if ended.code == 0 else "cancelled" if ended.asked else "failed"
    details = [f"ended by {ended.signal}"] if ended.signal else [f"exit {ended.code}"] if ended.code else []
    if ended.left:
        details.append(f"{ended.left} {'process' if ended.left == 1 else 'processes'} left behind, not counted")
    event: dict[str, Any] = {
        "status": status,
        "exit_code": ended.code,
        "summary": None,
        "detail": "; ".join([*details, *activity.notes])[:400] or None,
        "usage": _bounded(ended.usage, activity),
        "metrics": _metrics(ended, activity),
    }
    if ended.asked:
        event["asked"] = ended.asked
    return event | ({"signal": ended.signal} if ended.signal else {})


def _metrics(ended: foreground.Ended, activity: Activity) -> dict[str, float]:
    known = {
        "tree_max_rss_bytes": ended.usage["tree_rss_bytes"],
        "asked_read_bytes": ended.storage.asked_read,
        "asked_written_bytes": ended.storage.asked_written,
    }
    counted = {} if activity.lost else totals(activity)
    return {**counted, **{name: value for name, value in known.items() if value is not None}}


def _bounded(spent: Mapping[str, Any], activity: Activity) -> dict[str, Any]:
    """A cost that says which counts of files are lower bounds."""
    if not activity.bounds or activity.lost:
        return dict(spent)
    bounds = {**spent.get("lower_bounds", {}), **dict(sorted(activity.bounds.items()))}
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


def describe(activity: Activity, watched: tuple[str, ...], root: str) -> dict[str, Any]:
    """The content of activity.json: totals, and the files with most writes and reads."""
    ranked = sorted(activity.files.items(), key=lambda item: (-item[1].writes - item[1].read, item[0]))
    return {
        "version": VERSION,
        "watched": [_named(folder, root) for folder in watched],
        "watched_by": activity.watched_by,
        "lost": activity.lost,
        "lower_bound": activity.lower_bound,
        "lower_bound_of": sorted(METRICS if activity.lost else activity.bounds),
        "lower_bound_folders": len(activity.unsure),
        "lower_bound_where": {_named(path, root): why for path, why in _first(activity.unsure.items())},
        "early": activity.early,
        "notes": list(activity.notes),
        "unseen": [*BLIND, *(() if activity.apart else (UNTOLD,))],
        "absent": [_named(folder, root) for folder in activity.absent],
        "links": {_named(path, root): _named(target, root) for path, target in sorted(activity.links.items())},
        "totals": {"files": len(ranked), **_totals(activity)},
        "files": {_named(path, root): _file(path, one) for path, one in ranked[:LISTED]},
        "others": len(activity.others),
        "others_files": {_named(path, root): one._asdict() for path, one in _first(sorted(activity.others.items()))},
        "shared": len(activity.shared),
        "shared_files": [_named(path, root) for path in _first(activity.shared)],
    }


def _first(items: Iterable[_Item]) -> list[_Item]:
    return list(itertools.islice(items, MOST_NAMED))


def _totals(activity: Activity) -> dict[str, int]:
    return {name: sum(getattr(one, name) for one in activity.files.values()) for name in _FIELDS}


def _file(path: str, one: FileActivity) -> dict[str, int | None]:
    """Its counts, and its size in bytes afterwards; None for what is gone."""
    try:
        size: int | None = os.lstat(path).st_size
    except (OSError, ValueError):
        size = None
    return {**one._asdict(), "size": size}


def _named(path: str, root: str) -> str:
    """A path inside the repository relative to its top; bytes that are no UTF-8 are escaped."""
    shown = os.path.relpath(path, root) if path == root or path.startswith(root + os.sep) else path
    return os.fsencode(shown).decode("utf-8", "backslashreplace")


def _encode(document: Mapping[str, Any]) -> bytes:
    import json

    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "replace")
