"""To which of the programs that run a dead process belonged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from orchgate.runs.burial import Death
    from orchgate.runs.running import Running


def credit(death: Death, running: Mapping[int, Running], numbers: Container[int]) -> None:
    """Adds what a process has cost to its program; where nobody can tell, none of them knows all of its costs."""
    if one := running.get(death.pid):
        one.buried(death)
        return
    heirs = _of(death, running, numbers)
    for one in heirs:
        if len(heirs) == 1:
            one.costs.add(death)
        else:
            one.costs.doubtful()


def _of(death: Death, running: Mapping[int, Running], numbers: Container[int]) -> list[Running]:
    """The program that an orphan belonged to; several where nobody can tell which."""
    programs = list(running.values())
    if death.number in numbers:  # then this is the last word, though its program may be gone
        return [one for one in programs if one.origin.number == death.number]
    known = [one for one in programs if death.session == one.pid or death.pid in one.found]
    return known or programs
