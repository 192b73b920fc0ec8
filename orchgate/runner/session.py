"""What a run and the runs it calls share within one process: the event loop, the watchdog, the clock, the signals."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from orchgate import __version__
from orchgate.git.call import scrubbed
from orchgate.runner import process_tree
from orchgate.runner.environment import observer
from orchgate.runner.loop import Loop
from orchgate.runner.watchdog import Watchdog
from orchgate.runs.ids import JOURNAL_VERSION, Clock
from orchgate.runs.liveness import myself

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.repository import Repository
    from orchgate.git.state import WorkTreeState
    from orchgate.runner.writer import Recorder
    from orchgate.runs.stages import Pipeline
    from orchgate.runs.state import Event


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

    `environ` is what the programs of a run start from; a session leaves out of it what binds git to a repository.
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


class Session:
    """The loop, the watchdog and the clock of one process; signals end everything in it."""

    def __init__(self, settings: RunSettings, not_before: float = 0.0) -> None:
        # In a hook, git's variables beat the folder a program works in: a test that makes a repository of its own
        # would write into the commit that is being made.
        self.settings = settings._replace(environ=scrubbed(settings.environ))
        self.clock = Clock(not_before)
        self.loop = Loop(self._watch, self._forget)
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
        self._watchdog = Watchdog(f"{self._token}-", self.loop.numbers, journal)
        self.note = process_tree.become_subreaper()
        self.loop.adopts = not self.note
        if self.settings.measured:
            self.loop.count()

    def mark(self) -> str:
        """A new mark for the environment of one attempt."""
        self._marks += 1
        return f"{self._token}-{self._marks}."

    def turn(self) -> None:
        """Lets the next thing happen, and passes on what signals ask for."""
        if len(self.loop.signals) > 1:
            self.loop.cancel(at_once=True)
        elif self.loop.signals and not self.stopping:
            self.stopping = self.loop.signals[0]
            self.loop.cancel()
        if self.loop.busy:
            self.loop.turn()

    def identity(self) -> Event:
        """What the first event of this process says about it."""
        me, git = myself(), self.settings.git
        return {
            "journal": JOURNAL_VERSION,
            "runner": f"orchgate {__version__}",
            "process": me.asdict() if me else None,
            "git": git._asdict() if git else None,
            "machine": self.settings.machine,
            "observed_by": observer(self.settings.environ),
        }

    def _watch(self, leader: int) -> None:
        if self._watchdog:
            self._watchdog.watch(leader)

    def _forget(self, leader: int) -> None:
        if self._watchdog:
            self._watchdog.forget(leader)
