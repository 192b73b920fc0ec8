"""What a run and the runs it calls share within one process: the event loop, the watchdog, the clock, the signals.

The watchdog is a second process that ends the stages when the runner itself is killed. It is forked from the runner,
so it costs a millisecond and no memory of its own, leaves its session, and sleeps on a pipe until the runner is gone.
What runs is in a table that both share: nobody is woken for a stage that begins or ends.
It keeps the journal open, and so the run locked, until the last stage's process is dead: whoever resumes the run waits
for that. A session may also take over the run of a process that is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from orchgate import __version__
from orchgate.errors import OrchgateError
from orchgate.git.call import scrubbed
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol
from orchgate.runner import meter, process_tree, suspended
from orchgate.runner.environment import NON_INTERACTIVE, observer
from orchgate.runner.loop import Loop
from orchgate.runner.suspended import STOPPING
from orchgate.runs import ids, usage
from orchgate.runs.ids import JOURNAL_VERSION, Clock
from orchgate.runs.machine import is_alive, myself

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any, Self

    from orchgate.config.settings import Benchmarks
    from orchgate.git.repository import Repository
    from orchgate.git.state import WorkTreeState
    from orchgate.result_files.benchmark_results import BenchmarkWatch
    from orchgate.runner.process_tree import Numbers
    from orchgate.runner.writer import Recorder
    from orchgate.runs.run import HostedJob, Run
    from orchgate.runs.stages import Pipeline
    from orchgate.runs.state import Event
    from orchgate.runs.used_tools import UsedTools


class Reporter(Protocol):
    """Shows what happens."""

    def attach(self, loop: Loop) -> None:
        """Called before anything happens; may set the loop's `tick`."""

    def seen(self, recorder: Recorder, event: Mapping[str, Any]) -> None:
        """An event was recorded."""

    def close(self) -> None:
        """Nothing more will happen, whether the run came to its end or not."""


class Silent:
    def attach(self, loop: Loop) -> None:
        pass

    def seen(self, recorder: Recorder, event: Mapping[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


class RunSettings(NamedTuple):
    """What a run is made with. Runs that are `measured` do one thing at a time and count what that costs.

    `environ` is what the programs of a run start from; a session leaves out of it what binds git to a repository. It is
    recorded below `root`, where its programs run, unless `home` is another work tree. `replays` is what the first event
    says of the run that it replays: such a run has no line in the metrics of its task.
    """

    root: str
    task: str
    pipelines: Mapping[str, Pipeline]
    environ: Mapping[str, str]
    repository: Repository | None
    git: WorkTreeState | None
    machine: Mapping[str, object] | None
    reporter: Reporter
    cache: bool = True
    measured: bool = False
    artifacts: tuple[str, ...] = ()  # folders that do not belong to the tree of a run
    accepts: Mapping[str, str] | None = None  # the item of a checklist that the run is to prove
    benchmarks: Benchmarks | None = None  # where stages leave results of benchmarks, to be recorded
    tools: tuple[str, ...] = ()  # that are asked for their versions, see `tools.ask`
    home: str = ""
    held: tuple[int, ...] = ()  # descriptors that stay open until the last process is dead, as the journal's does
    replays: Mapping[str, object] | None = None

    @property
    def records(self) -> str:
        """The top of the work tree below which the run is recorded."""
        return self.home or self.root


def _benchmark_watch(settings: RunSettings) -> BenchmarkWatch | None:
    if settings.benchmarks is None:
        return None
    from orchgate.result_files.benchmark_results import BenchmarkWatch

    return BenchmarkWatch(settings.benchmarks, settings.root)


class Session:
    """The loop, the watchdog and the clock of one process; signals end everything in it."""

    def __init__(self, settings: RunSettings, not_before: float = 0.0) -> None:
        # In a hook, git's variables beat the folder a program works in: a test that makes a repository of its own
        # would write into the commit that is being made.
        self.settings = settings._replace(environ=scrubbed(settings.environ))
        self.clock = Clock(not_before)
        self.loop = Loop(self._watch, self._forget)
        self.benchmarks = _benchmark_watch(settings)
        self.tools: UsedTools | None = None  # where those of the stages are to be recorded
        self.stopping = ""  # the signal that asked for an end
        self.note = ""  # what this system cannot do
        self._token = os.urandom(8).hex()
        self._marks = 0
        self._watchdog: Watchdog | None = None

    def __enter__(self) -> Self:
        self.loop.__enter__()
        self.settings.reporter.attach(self.loop)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self.loop.__exit__(kind, error, trace)
        finally:
            self.settings.reporter.close()
            process_tree.become_subreaper(wanted=False)
            if self._watchdog:
                self._watchdog.dismiss(clean=kind is None)

    def guard(self, journal: int) -> None:
        """From here on nothing outlives this process, however it ends. `journal` is kept open until that is so."""
        self._watchdog = Watchdog(f"{self._token}-", self.loop.numbers, {journal, *self.settings.held})
        self.note = process_tree.become_subreaper()
        self.loop.adopts = not self.note
        if self.settings.measured:
            self.loop.count()

    def mark(self) -> str:
        """A new mark for the environment of one attempt."""
        self._marks += 1
        return f"{self._token}-{self._marks}."

    def step(self) -> None:
        """Lets the next thing happen, and passes on what signals ask for."""
        if len(self.loop.signals) > 1:
            self.loop.cancel(at_once=True)
        elif self.loop.signals and not self.stopping:
            self.stopping = self.loop.signals[0]
            self.loop.cancel()
        if self.loop.busy:
            self.loop.step()

    def identity(self) -> Event:
        """What the first event of this process says about it."""
        me, git, job = myself(), self.settings.git, _hosted_job(self.settings.environ)
        return {
            "journal": JOURNAL_VERSION,
            "runner": f"orchgate {__version__}",
            "process": me.asdict() if me else None,
            "git": git._asdict() if git else None,
            "machine": self.settings.machine,
            "observed_by": observer(self.settings.environ),
            **({"hosted": {name: one for name, one in job.asdict().items() if one is not None}} if job else {}),
        }

    def _watch(self, leader: int) -> None:
        if self._watchdog:
            self._watchdog.watch(leader)

    def _forget(self, leader: int) -> None:
        if self._watchdog:
            self._watchdog.forget(leader)


_LEADERS = 512  # first processes in the table; those of more at once have their numbers and marks
_CLEAN = b"."
_ROUNDS = 100
_PAUSE = 0.02  # seconds; a process that was being started when the runner died shows up within one


def _hosted_job(environ: Mapping[str, str]) -> HostedJob | None:
    if "GITHUB_ACTIONS" not in environ and "GITLAB_CI" not in environ:
        return None  # and nothing loaded
    from orchgate.runs.hosted import job_of

    return job_of(environ)


class _StageMarks(NamedTuple):
    """How processes of the stages are known. `leaders` is the table of their first ones, 0 for none."""

    leaders: memoryview
    mark: str
    numbers: Numbers


class Watchdog:
    """The runner's end of the pipe. To be made before the runner becomes a subreaper, or it would be its own child."""

    def __init__(self, mark: str, numbers: Numbers, keep: Collection[int]) -> None:
        """`mark` begins the marks of all stages, `numbers` holds theirs; the descriptors `keep` are kept open.

        Raises OrchgateError when no process can be started at all.
        """
        from mmap import mmap

        try:
            self._leaders = memoryview(mmap(-1, _LEADERS * 8)).cast("q")
            reader, self._pipe = os.pipe()
            gone, held = os.pipe()
            middle = os.fork()
        except OSError as error:
            raise OrchgateError(f"cannot start a second process to guard the stages: {error.strerror}") from error
        if middle == 0:
            _detach(reader, held, keep, _StageMarks(self._leaders, mark, numbers))
        os.close(reader)
        os.close(held)
        self._gone = gone
        self._places: dict[int, int] = {}  # where in the table each is
        self._free = list(range(_LEADERS))
        os.waitpid(middle, 0)

    def watch(self, leader: int) -> None:
        """A stage has begun: its first process leads a session of this number."""
        if self._free:
            place = self._places[leader] = self._free.pop()
            self._leaders[place] = leader

    def forget(self, leader: int) -> None:
        """A stage has ended; its number may be used again."""
        place = self._places.pop(leader, None)
        if place is not None:
            self._leaders[place] = 0
            self._free.append(place)

    def dismiss(self, *, clean: bool) -> None:
        """Returns once the watchdog is gone. Unless all is `clean`, it ends what is left first."""
        if clean:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, _CLEAN)
        os.close(self._pipe)
        os.read(self._gone, 1)
        os.close(self._gone)


def _detach(reader: int, held: int, keep: Collection[int], marks: _StageMarks) -> None:
    """The forked half; never returns."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)
        for number in (*STOPPING, signal.SIGCONT):
            signal.signal(number, signal.SIG_DFL)  # the runner's handlers are not for us
        if os.fork() == 0:
            with contextlib.suppress(ValueError):
                signal.set_wakeup_fd(-1)
            _keep_only({reader, held, *keep})
            _wait_and_kill(reader, marks)
    finally:
        os._exit(0)  # no clean-up and no flushing: both belong to the runner


def _keep_only(wanted: set[int]) -> None:
    """Closes every other descriptor: the terminal, and pipes whose readers wait for their end."""
    start = 0
    for descriptor in sorted(wanted):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))


def _wait_and_kill(reader: int, marks: _StageMarks) -> None:
    if os.read(reader, len(_CLEAN)):
        return
    sessions = set(marks.leaders) - {0}
    quiet = 0
    for _ in range(_ROUNDS):
        left = process_tree.of_sessions(sessions, marks.mark, marks.numbers)
        process_tree.send(left, signal.SIGKILL)
        quiet = 0 if left else quiet + 1
        if quiet == 2:
            break
        time.sleep(_PAUSE)
    meter.sweep(marks.numbers)


class RunStatus(NamedTuple):
    """What a run's journal says, and whether the run is going on right now."""

    folder: str
    run: Run
    torn: tuple[int, ...]
    alive: bool
    times: usage.WorkTimes
    stopped: bool = False  # alive, but stopped by a signal

    @property
    def status(self) -> str:
        """The run's status; `abandoned` for a run that was killed before it could say how it ended."""
        status = self.run.status
        return "abandoned" if status == "in_progress" and not self.alive else status


def status_of(folder: str) -> RunStatus:
    """What is known of the run in a folder. Raises OrchgateError when its journal cannot be read."""
    from orchgate.runs import journal
    from orchgate.runs.run import from_journal

    recorded = journal.read(os.path.join(folder, ids.JOURNAL))
    run = from_journal(recorded.events, os.path.join(folder, ids.MANIFEST))
    name = os.path.basename(folder)
    if run.run_id != name:
        raise OrchgateError(f"its journal is that of another run, {run.run_id[:60]}", f"restore the folder of {name}")
    alive = run.status == "in_progress" and run.process is not None and is_alive(run.process)
    stopped = alive and run.process is not None and suspended.stopped(run.process.pid)
    return RunStatus(folder, run, recorded.torn, alive, usage.work_times(recorded.events), stopped)


class Reopened(NamedTuple):
    """A run that this process has taken over."""

    session: Session
    recorder: Recorder
    known: RunStatus


@contextlib.contextmanager
def reopened(settings: RunSettings, folder: str) -> Iterator[Reopened]:
    """Takes over a run from a process that is gone. Raises OrchgateError for one that goes on, or cannot be read."""
    from orchgate.runner import writer
    from orchgate.runs import journal

    known = status_of(folder)
    run_id, process = known.run.run_id, known.run.process
    if known.alive and process:
        raise OrchgateError(f"run {run_id} is still running, as process {process.pid}", f"orchgate status {run_id}")
    with (
        Session(settings, not_before=known.run.last_sign_of_life.timestamp()) as session,
        contextlib.closing(writer.Recorder(folder, session.clock, settings.reporter.seen)) as recorder,
    ):
        recorder.journal.own()  # the processes of a killed runner are gone now
        known = status_of(folder)  # another process may have been faster
        recorder.carry_on(journal.read(recorder.journal.path).events)
        yield Reopened(session, recorder, known)


def reopen_child(session: Session, pipeline: Pipeline, run_id: str) -> tuple[Recorder, Mapping[str, Any]] | None:
    """The unfinished run of a sub-pipeline, to be resumed; None when it has to begin anew."""
    from orchgate.runner import writer
    from orchgate.runs import journal

    folder = ids.run_folder(session.settings.records, session.settings.task, run_id)
    try:
        known = status_of(folder)
        events = journal.read(os.path.join(folder, ids.JOURNAL)).events
    except OrchgateError:  # killed before its first event, or damaged: it stays as it is
        return None
    if known.alive or recorded_digest(events) != pipeline.digest:
        return None
    recorder = writer.Recorder(folder, session.clock, session.settings.reporter.seen)
    recorder.journal.own()
    recorder.carry_on(events)
    return recorder, resume_event(session, known)


def resume_event(session: Session, known: RunStatus) -> Event:
    """The event with which a run is resumed."""
    resumed = {"event": "resume", "reason": f"the run was {known.status}", **session.identity()}
    if known.torn:
        resumed["detail"] = f"unfinished lines in the journal: {', '.join(map(str, known.torn[:20]))}"
    return resumed


def used_tools(settings: RunSettings) -> UsedTools:
    """What will be known of the tools of a run. Those that are declared are asked now, while no stage runs."""
    from orchgate.runs.used_tools import UsedTools

    used = UsedTools(settings.root, settings.repository)
    if settings.tools:
        from orchgate.tools.ask import ask

        ask(settings.tools, used, {**scrubbed(settings.environ), **NON_INTERACTIVE})
    return used


def recorded_digest(events: tuple[Event, ...]) -> str:
    """The definition of the pipeline that a run was made by. Raises OrchgateError for a run that never began."""
    if not events:
        raise OrchgateError("the journal is empty: the run never began", "delete its folder")
    return str(events[0]["pipeline"].get("digest"))
