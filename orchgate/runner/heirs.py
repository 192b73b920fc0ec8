"""To which of the programs that run a dead process belonged."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.runner import process_tree

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from orchgate.runner.child import Running
    from orchgate.runner.reaped import Death


class Heirs:
    """Who is credited with the processes that a runner buries. `numbers` are those that it gives."""

    def __init__(self, numbers: Container[int]) -> None:
        self._numbers = numbers
        self._strays: set[int] = set()  # orphans that were met beside several programs, and may be of any of them

    def credit(self, death: Death, running: Mapping[int, Running]) -> None:
        """Adds what a process has cost to its program; where nobody can tell, none of them knows all of its costs."""
        if one := running.get(death.pid):
            one.buried(death)
            return
        heirs = _of(death, running, self._numbers)
        stray = death.pid in self._strays
        self._strays.discard(death.pid)
        for one in heirs:
            if len(heirs) == 1 and not stray:
                one.costs.add(death)
            else:
                one.costs.doubtful()

    def look(self, running: Mapping[int, Running]) -> None:
        """Notes orphans that cannot be told to belong to one of several programs: one of those may soon be over."""
        if len(running) < 2:
            return
        origins = [one.origin for one in running.values()]
        for pid in process_tree.children_of(os.getpid()):
            if pid not in running and not any(process_tree.belongs(pid, origin) for origin in origins):
                self._strays.add(pid)
                for one in running.values():
                    one.costs.doubtful()


def _of(death: Death, running: Mapping[int, Running], numbers: Container[int]) -> list[Running]:
    """The program that an orphan belonged to; several where nobody can tell which."""
    programs = list(running.values())
    if death.number in numbers:  # then this is the last word, though its program may be gone
        return [one for one in programs if one.origin.number == death.number]
    known = [one for one in programs if death.session == one.pid or death.pid in one.found]
    return known or programs
