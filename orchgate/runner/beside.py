"""Stops of a program on our own terminal: it gets Ctrl-Z as we do, and may take it for something else than a stop."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from orchgate.lib import working_time
from orchgate.runner import absence, gaps, process_tree

if TYPE_CHECKING:
    from orchgate.runner.gaps import Gap
    from orchgate.runner.process_tree import Origin
    from orchgate.runner.stopwatch import Stopwatch

_ANSWERED = 5.0  # seconds; a program that stops later than this does so for another reason


class Beside:
    """Leaves out the time in which the program was stopped, and stops with it when we were told to stop as well."""

    def __init__(self, origin: Origin, watch: Stopwatch) -> None:
        self._pid = origin.leader
        self._origin = origin
        self._watch = watch
        self._since: float | None = None  # it is stopped since then
        self._asked = 0  # the signal that told us to stop
        self._asked_at = 0.0

    def ask(self, number: int) -> None:
        """We were told to stop, which is done once the program has stopped, if it ever does."""
        self._asked, self._asked_at = number, working_time.now()

    def account(self, gap: Gap | None) -> None:
        """To be called whenever something has happened. `gap` is a time in which this process stood still."""
        changed = gaps.changes().get(self._pid)
        if self._since is not None and not gaps.stopped(self._pid):
            working_time.leave_out(working_time.now() - self._since)
            self._since = None
        if gap and self._since is None:
            self._settle(gap, stopped=changed is not None)
        stopped, since = bool(changed) and gaps.stopped(self._pid), working_time.now()
        if stopped and self._asked and working_time.now() - self._asked_at < _ANSWERED:
            self._stop()
        elif stopped and self._since is None and absence.stand_still(self._origin, others=()):
            self._since = since

    def _settle(self, gap: Gap, *, stopped: bool) -> None:
        if gap.frozen or stopped or gaps.stopped(self._pid):
            working_time.leave_out(gap.seconds)
        elif gaps.state(self._pid) in gaps.DEAD:
            self._watch.at_least(gap.begin, absence.UNSEEN)

    def _stop(self) -> None:
        number, self._asked = self._asked, 0
        working_time.leave_out(gaps.stop_ourselves(number))
        if gaps.stopped(self._pid):  # whoever continues us alone means the program
            process_tree.send(reversed(process_tree.descendants([os.getpid()])), signal.SIGCONT)
