"""The time in which somebody worked: clocks that stand still while everything is stopped or the machine sleeps.

What is left out belongs to this process, as its CPU time does: Ctrl-Z stops it together with all that it runs.
"""

from __future__ import annotations

import time

from orchgate.lib.typed import NamedTuple

_TRIES = 5
_LEAST = 0.0001  # seconds between two readings that pass for one
_SLEEP = 0.01  # seconds; below that it is only that two clocks are read one after the other
_REAL = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps


def _apart() -> float:
    """By how many seconds the two clocks of the kernel are apart; who is interrupted between them asks again."""
    tries = []
    for _ in range(_TRIES):
        before = time.monotonic()
        found = time.clock_gettime(_REAL) - before
        tries.append((time.monotonic() - before, found))
        if tries[-1][0] < _LEAST:
            break
    return min(tries)[1]


class _Left:
    """What was left out so far, and how often something was stopped."""

    seconds = 0.0
    times = 0
    apart = _apart()


def now() -> float:
    """Seconds of work; only differences mean something."""
    return time.monotonic() - _Left.seconds


def real() -> float:
    """As `now`, but it goes on while nobody works. Nobody can set it."""
    return time.clock_gettime(_REAL)


def slept() -> float:
    """Seconds in which the machine slept, since this program began."""
    seconds = _apart() - _Left.apart
    return seconds if seconds >= _SLEEP else 0.0


def away() -> float:
    """Seconds in which nobody worked, since this program began."""
    return slept() + _Left.seconds


def leave_out(seconds: float) -> None:
    """Nobody worked in the last `seconds`."""
    _Left.seconds += seconds
    note()


def note() -> None:
    """Something that runs was stopped, or could not be watched, for a time."""
    _Left.times += 1


class Mark(NamedTuple):
    """A moment, to be asked later what has happened since."""

    times: int
    away: float

    @property
    def disturbed(self) -> bool:
        """Whether anything was stopped since then, or the machine slept."""
        return _Left.times != self.times or away() - self.away >= _SLEEP


def mark() -> Mark:
    return Mark(_Left.times, away())
