"""Which attempt a process descends from: a number that it cannot lose, neither by a new session nor by an empty
environment nor by its death.

The number is the soft limit RLIMIT_LOCKS, which no kernel since Linux 2.4.25 enforces. Every process hands it down,
over fork, exec and setsid, and it can be read from a zombie. Something that sets limits anew (PAM, a runner inside the
stage) takes it away: then nobody knows, and other signs have to do.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCKS = 10  # the number of the limit on every architecture
_LOWEST, _HIGHEST = 1 << 40, 1 << 60  # far above what anybody would set it to
_ROOM = 1 << 24  # attempts of one process


class Numbers:
    """The numbers that one runner gives to attempts."""

    def __init__(self) -> None:
        self.first = _LOWEST + int.from_bytes(os.urandom(7), "big") % (_HIGHEST - _LOWEST - _ROOM)
        self._given = 0

    def new(self) -> int:
        self._given += 1
        return self.first + self._given % _ROOM

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number < self.first + _ROOM


@contextlib.contextmanager
def handed_down(number: int) -> Iterator[None]:
    """Processes that are started in here, and all that descend from them, carry the number, where a system has it."""
    import resource

    before = None
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError):  # a sandbox may not know the limit, or forbid it
            before = resource.getrlimit(_LOCKS)
            resource.setrlimit(_LOCKS, (number, before[1]))
    try:
        yield
    finally:
        if before is not None:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(_LOCKS, before)


def of(pid: int) -> int:
    """The number that a process, even a zombie, carries; 0 where nobody knows."""
    if sys.platform != "linux":
        return 0
    import resource

    try:
        return max(0, resource.prlimit(pid, _LOCKS)[0])
    except ProcessLookupError:
        return 0
    except (OSError, ValueError):  # another user's
        return _from_table(pid)


def _from_table(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/limits", "rb") as file:
        for line in file:
            if line.startswith(b"Max file locks"):
                return int(line.split()[3])  # not a number: unlimited
    return 0
