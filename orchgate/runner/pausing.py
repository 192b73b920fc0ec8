"""Ctrl-Z for a runner whose stages the terminal does not know: they stop first, and go on again last."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from orchgate.lib import working_time
from orchgate.runner import gaps, process_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# From a terminal: Ctrl-Z, and reading from or writing to one that is somebody else's just now.
STOPPING = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_ROUNDS = 200
_PAUSE = 0.001  # seconds
_LISTED = os.path.isdir("/proc/self")  # macOS: nobody who left a group can be found
_GOING = ("R", "S", "D", "I")  # states of processes that a signal may yet stop


class Pauses:
    """Handles the signals that stop. `shown` may be set: it is called before (True) and after (False) Ctrl-Z.

    `leaders` are the first processes of all that runs.
    """

    def __init__(self, leaders: Collection[int]) -> None:
        self._leaders = leaders
        self.shown: Callable[[bool], None] = lambda _: None
        self._under_way = False

    def handle(self, number: int, _: Any) -> None:
        """At once, wherever the program is: what wrote to a terminal in vain would try so again and again."""
        if self._under_way:
            return
        self._under_way = True
        try:
            if number == signal.SIGTSTP:
                self.shown(True)
            held = _hold()
            groups = () if _LISTED else tuple(self._leaders)
            for leader in groups:
                process_tree.send_group(leader, signal.SIGSTOP, wake=False)
            try:
                working_time.leave_out(gaps.stop_ourselves(number))
            finally:
                # Whoever waits for a child must find it running again, or would take it for stopped.
                process_tree.send(reversed(held), signal.SIGCONT)
                for leader in groups:
                    process_tree.send_group(leader, signal.SIGCONT)
            if number == signal.SIGTSTP:
                self.shown(False)
        finally:
            self._under_way = False


def _hold() -> list[int]:
    """Stops everything below us, parents before their children; who stood still already stays so later."""
    held: list[int] = []
    for _ in range(_ROUNDS):
        below = process_tree.descendants([os.getpid()])
        new = [pid for pid in below if pid not in held and gaps.state(pid) in (*_GOING, "t")]
        process_tree.send(new, signal.SIGSTOP)
        held += new
        if not new and all(gaps.state(pid) not in _GOING for pid in held):
            break
        time.sleep(_PAUSE)
    return held
