"""Records what any program costs: a run of one stage, with what happened to the files of watched folders.

The program runs as if orchgate were not there: on its terminal, in its process group, with its signals. Its cost is
what the kernel reports at the end of each process; memory of the whole tree is sampled while it runs. No helper starts
it, as in `runner.start_and_reap`: that would get in the way of the terminal. So its largest resident set is known only
where it is above ours.
"""

from __future__ import annotations

import contextlib
import os
import signal

from orchgate.errors import OrchgateError
from orchgate.lib import files, process, working_time
from orchgate.lib.files import sha256_hex
from orchgate.lib.process import ProgramMissing
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.observe import activity, inner_runs, watch
from orchgate.observe.activity import named, totals
from orchgate.runner import environment, process_tree, stage_run, start_and_reap, suspended, writer
from orchgate.runner.child import Birth, ChildProcess, signal_name
from orchgate.runner.pipeline_run import Finished
from orchgate.runner.session import Session
from orchgate.runner.suspended import STOPPING
from orchgate.runs import ids
from orchgate.secrets.redact import redacted_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.observe.activity import Activity
    from orchgate.runner.loop import Loop
    from orchgate.runner.session import RunSettings
    from orchgate.runner.suspended import Standstill
    from orchgate.runs.ids import RunTrace
    from orchgate.runs.state import Document, Event
    from orchgate.runs.usage import Cost, Storage


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
        **environment.in_trace(_trace(session, run_id)),
        **session.identity(),
    }


def _trace(session: Session, run_id: str) -> RunTrace:
    return environment.trace_of(run_id, session.settings.environ, ())


def _watched(session: Session, request: ObserveRequest, folder: str) -> tuple[Event, int, Document]:
    """The fields of the `end` event, the exit code, and what happened to the files."""
    run_id = os.path.basename(folder)
    trace = _trace(session, run_id)
    own = {
        process_tree.MARK: session.mark(),
        environment.OBSERVED_BY: run_id,
        environment.TRACEPARENT: trace.attempt(1, 1).traceparent,
    }
    environ = {**environment.untraced(session.settings.environ, trace), **own}
    began = session.clock.now()
    # Our own folder is not looked into: nothing that is recorded here counts as the program's.
    with watch.watch(request.watch, exclude=[folder]) as seen:
        refused, ended = None, None
        try:
            ended = run_in_foreground(session.loop, request.argv, environ)
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


# In addition to those that the loop handles; a terminal sends the first one to the program as well.
_ALSO = (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, *STOPPING)
_STOP_SIGNALS = tuple(number.name for number in STOPPING)
_FROM_TERMINAL = ("SIGINT", "SIGQUIT")
_ENDING = (*_FROM_TERMINAL, "SIGTERM", "SIGHUP")
_ALMOST_OVER = 0.05  # seconds; a process with nothing left to do ends within
_ENDS_WITHIN = 5.0  # seconds; a program that goes on longer uses Ctrl-C for something else
_STOPS_WITHIN = 5.0  # seconds; a program that stops later does so for another reason


class ForegroundResult(NamedTuple):
    """How it ended. `code` is None when a signal ended it.

    `asked` is the signal that asked it to end, "" if none did.
    """

    code: int | None
    signal: str | None
    usage: Mapping[str, Any]
    storage: Storage
    left: int  # processes that go on
    asked: str


def run_in_foreground(loop: Loop, argv: Sequence[str], environ: Mapping[str, str]) -> ForegroundResult:
    """Runs a program to its end. Raises ProgramMissing, OrchgateError when it cannot be started."""
    asked, asked_at = "", 0.0
    process.prepare()
    with _handled(loop):
        with loop.numbered() as (number, meter):
            at = working_time.now()  # on a busy machine we may learn late that it has begun
            pid = process.attach(argv, env=environ)
            floor = process_tree.own_peak()  # when it has begun: starting it takes memory, too
            birth = Birth(pid, number, loop.numbers, meter, floor, at)
        program = ChildProcess(birth, environ[process_tree.MARK])
        stops = _Stops(program)
        while program.status is None:
            loop.wait(max(0.0, program.memory.due - working_time.now()))
            while loop.signals:
                name = loop.signals.pop(0)
                _pass_on(name, program.pid)
                if name in _STOP_SIGNALS:
                    stops.ask(signal.Signals[name])
                if name in _ENDING:
                    asked, asked_at = name, working_time.now()
            stops.account(loop.gap)
            _reap(program)
            if working_time.now() >= program.memory.due:
                program.memory.take(others=())
    if asked in _FROM_TERMINAL and working_time.now() - asked_at > _ENDS_WITHIN:
        asked = ""
    return _foreground_result(loop, program, asked)


def _foreground_result(loop: Loop, program: ChildProcess, asked: str) -> ForegroundResult:
    assert program.status is not None
    status = os.waitstatus_to_exitcode(program.status)
    left = _still_running(loop, program)
    went_on = f"{counted(left, 'process', 'processes')} went on when it had ended" if left else ""
    processes, lost = loop.forks.started_by(program.pid) if loop.forks else (None, False)
    return ForegroundResult(
        code=status if status >= 0 else None,
        signal=signal_name(-status) if status < 0 else None,
        usage=program.cost(processes, lost=lost, bound=went_on),
        storage=program.costs.storage,
        left=left,
        asked=asked,
    )


def _reap(program: ChildProcess) -> None:
    """Reaps the program, and orphans of its that became our children."""
    while dead := start_and_reap.next_dead():
        program.reaped(dead)


@contextlib.contextmanager
def _handled(loop: Loop) -> Iterator[None]:
    """Signals that would end us are collected instead, unless they were ignored from the start."""
    before = {number: signal.getsignal(number) for number in _ALSO}
    try:
        for number in _ALSO:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, lambda received, _: loop.signals.append(signal_name(received)))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _still_running(loop: Loop, program: ChildProcess) -> int:
    """How many processes go on, apart from those that end within a moment."""
    end = working_time.now() + _ALMOST_OVER
    while True:
        _reap(program)
        if start_and_reap.childless():
            return 0
        if (seconds := end - working_time.now()) <= 0 or loop.signals:
            return len(process_tree.children_of(os.getpid()))
        loop.wait(seconds)


def _pass_on(name: str, pid: int) -> None:
    if name in ("SIGTTIN", "SIGTTOU") or (name in (*_FROM_TERMINAL, "SIGTSTP") and _in_foreground()):
        return  # the terminal has sent it to everybody in our group
    process_tree.send([pid], signal.Signals[name])


def _in_foreground() -> bool:
    """Whether a terminal sends its signals to our process group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


class _Stops:
    """Stops of a program on our own terminal: it gets Ctrl-Z as we do, and may use it for something else.

    Leaves out the time in which the program was stopped, and stops with it when we were asked to stop as well.
    """

    def __init__(self, program: ChildProcess) -> None:
        self._pid = program.pid
        self._tree = program.tree
        self._watch = program.watch
        self._since: float | None = None  # it is stopped since then
        self._asked = 0  # the signal that asked us to stop
        self._asked_at = 0.0

    def ask(self, number: int) -> None:
        """We were asked to stop, which happens once the program has stopped, if it ever does."""
        self._asked, self._asked_at = number, working_time.now()

    def account(self, gap: Standstill | None) -> None:
        """To be called whenever something has happened. `gap` is a time in which this process stood still."""
        changed = suspended.changes().get(self._pid)
        if self._since is not None and not suspended.stopped(self._pid):
            working_time.leave_out(working_time.now() - self._since)
            self._since = None
        if gap and self._since is None:
            self._settle(gap, stopped=changed is not None)
        stopped, since = bool(changed) and suspended.stopped(self._pid), working_time.now()
        if stopped and self._asked and working_time.now() - self._asked_at < _STOPS_WITHIN:
            self._stop()
        elif stopped and self._since is None and suspended.stand_still(self._tree, others=()):
            self._since = since

    def _settle(self, gap: Standstill, *, stopped: bool) -> None:
        if gap.frozen or stopped or suspended.stopped(self._pid):
            working_time.leave_out(gap.seconds)
        elif suspended.state(self._pid) in suspended.DEAD:
            self._watch.at_least(gap.begin, suspended.UNSEEN)

    def _stop(self) -> None:
        number, self._asked = self._asked, 0
        working_time.leave_out(suspended.stop_ourselves(number))
        if suspended.stopped(self._pid):  # SIGCONT for us alone is meant for the program as well
            process_tree.send(reversed(process_tree.descendants([os.getpid()])), signal.SIGCONT)
