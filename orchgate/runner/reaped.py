"""Dead children: who they were, what they cost, and what the costs of one program add up to.

Each process that is reaped brings its own times and those of the children it waited for. A parent that ignores SIGCHLD
waits for none: the kernel reaps its children and adds their costs to no process. A meter, where there is one, has
counted their processor time all the same.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.runner import process_tree
from orchgate.runs import usage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from resource import struct_rusage

    from orchgate.runs.usage import Cost

_UNEXPLAINED = 0.01  # seconds
UNCOUNTED = "children of a process that ignores SIGCHLD are not counted"
_UNREADABLE = "what an orphan of another user read and wrote cannot be seen"
_UNLIKE = "an orphan may have been this stage's or another one's"
_SMALL = "the first process took less than the runner itself, so its peak is not known"
_OF_BYTES = ("read_bytes", "written_bytes")


class DeadChild(NamedTuple):
    """A child that has been reaped. `status` is that of wait4, `number` the one it inherited, see `process_tree`.

    `careless`: it ignored SIGCHLD, so the costs of its own children are not among its own.
    """

    pid: int
    session: int
    status: int
    spent: struct_rusage
    storage: usage.Storage
    number: int = 0
    careless: bool = False


def next_dead() -> DeadChild | None:
    """Reaps a dead child, after reading what only a zombie still has; None when none is dead."""
    try:
        if not hasattr(os, "waitid"):  # macOS: a zombie cannot be looked at first
            pid, status, spent = os.wait4(-1, os.WNOHANG)
            return DeadChild(pid, 0, status, spent, usage.Storage(None, None)) if pid else None
        dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if dead is None:
            return None
        known = dead.si_pid
        storage, session = usage.storage(known), process_tree.session_of(known)
        number, careless = process_tree.number_of(known), process_tree.ignores_children(known)
        pid, status, spent = os.wait4(known, 0)
        return DeadChild(pid, session, status, spent, storage, number, careless)
    except ChildProcessError:
        return None


def childless() -> bool:
    """Whether no process is left, dead or alive, that is or has become our child."""
    if not hasattr(os, "waitid"):
        return True  # and no orphan becomes our child
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


class Metered(NamedTuple):
    """Processor seconds of all processes, however they ended.

    `near` is by how many the kernel's own times may differ although nothing is missing.
    """

    user: float
    system: float
    near: float


class Costs:
    """Of one program, from its start to its end."""

    def __init__(self, floor: int = 0) -> None:
        """`floor`: see `usage.of`; it is that of the first process."""
        self._floor = floor
        self._hidden = False  # the memory of the first process
        self._spent: Cost | None = None
        self._bounds: dict[str, str] = {}
        self._suspicion = ""  # why one of its processes may have died without being added here
        self.storage = usage.Storage(0, 0, 0, 0)

    def add(self, dead: DeadChild, wall: float | None = None) -> None:
        """A process is dead. `wall`, in seconds, is given for the first one only."""
        bytes_ = dead.storage
        if wall is None and bytes_.read is None:
            bytes_ = usage.Storage(0, 0, 0, 0)
            self.at_least(_UNREADABLE, _OF_BYTES)
        spent = usage.of(dead.spent, bytes_, wall or 0.0, floor=0 if wall is None else self._floor)
        self._hidden = self._hidden or spent["max_rss_bytes"] is None
        self._spent = usage.add(self._spent, spent)
        self.storage = usage.Storage(*map(_sum, self.storage, dead.storage))
        if dead.careless:
            self.careless()

    def careless(self) -> None:
        """One of the processes was seen to ignore the ends of its children."""
        self._suspicion = UNCOUNTED

    def doubtful(self) -> None:
        """A dead process may have been one of these or another program's."""
        self._suspicion = self._suspicion or _UNLIKE

    def at_least(self, reason: str, names: Iterable[str] = usage.OF_A_PROCESS) -> None:
        """These costs are lower bounds, for a reason in plain words."""
        for name in names:
            self._bounds.setdefault(name, reason)

    def total(self, metered: Metered | None = None, processes: int | None = None) -> Cost:
        """What all of it has cost so far; nothing before the first process is dead."""
        assert self._spent is not None
        spent = {**self._spent, "processes": processes}
        bounds = dict(self._bounds) | ({"max_rss_bytes": _SMALL} if self._hidden else {})
        metered = _trusted(spent, metered)
        missing = _missing(spent, metered, suspected=bool(self._suspicion))
        if metered is not None and missing:
            spent = _with(spent, metered, missing)
        # A program that started no other has lost none, and where no time is missing it hardly has.
        if missing or (self._suspicion and metered is None and processes != 1):
            names = [name for name in usage.OF_A_PROCESS if name != usage.CPU or metered is None]
            bounds = dict.fromkeys(names, self._suspicion or UNCOUNTED) | bounds
        return usage.at_least(spent, bounds)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _trusted(spent: Cost, metered: Metered | None) -> Metered | None:
    """What a meter says, unless it has seen less than what is known: processes can leave a group, or stop the clock."""
    if metered is None or metered.user + metered.system < usage.cpu_seconds(spent) - metered.near:
        return None
    return metered


def _missing(spent: Cost, metered: Metered | None, *, suspected: bool) -> float:
    """Processor seconds that a meter counted and no reaped process accounts for; if unexplained, only larger ones."""
    if metered is None:
        return 0.0
    missing = metered.user + metered.system - usage.cpu_seconds(spent)
    return missing if missing > metered.near + (0.0 if suspected else _UNEXPLAINED) else 0.0


def _with(spent: Cost, metered: Metered, missing: float) -> Cost:
    """Costs with the missing seconds, split as the meter splits them."""
    user = min(missing, max(0.0, metered.user - spent["user_seconds"]))
    return {
        **spent,
        "user_seconds": round(spent["user_seconds"] + user, 6),
        "system_seconds": round(spent["system_seconds"] + missing - user, 6),
    }
