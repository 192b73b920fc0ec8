"""Children that are dead: who they were and what they cost."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.runner import lineage, process_tree
from orchgate.runs import usage

if TYPE_CHECKING:
    from resource import struct_rusage


class Death(NamedTuple):
    """A child that has been buried. `status` as wait4 has it, `number` as `lineage` knows it.

    `careless`: it did not want to know of the ends of its own children, and so their costs are not among its own.
    """

    pid: int
    session: int
    status: int
    spent: struct_rusage
    storage: usage.Storage
    number: int = 0
    careless: bool = False


def next_death() -> Death | None:
    """Buries a dead child, after a look at what only a zombie still tells; None when none is dead."""
    try:
        if not hasattr(os, "waitid"):  # macOS: there is no looking before burying
            pid, status, spent = os.wait4(-1, os.WNOHANG)
            return Death(pid, 0, status, spent, usage.Storage(None, None)) if pid else None
        dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if dead is None:
            return None
        known = dead.si_pid
        storage, session = usage.storage(known), process_tree.session_of(known)
        number, careless = lineage.of(known), process_tree.ignores_children(known)
        pid, status, spent = os.wait4(known, 0)
        return Death(pid, session, status, spent, storage, number, careless)
    except ChildProcessError:
        return None


def childless() -> bool:
    """Whether nobody is left, dead or alive, that is or has become our child."""
    if not hasattr(os, "waitid"):
        return True  # and nobody becomes our child who was not born so
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False
