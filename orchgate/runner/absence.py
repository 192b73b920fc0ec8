"""What it means for the programs that run when they, or this process that runs them, were stopped for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchgate.lib import working_time
from orchgate.runner import gaps, process_tree

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from orchgate.runner.child import Running
    from orchgate.runner.gaps import Gap
    from orchgate.runner.process_tree import Origin

UNSEEN = "the runner was stopped when it ended"
_LOOKS, _PAUSE = 20, 0.001  # a signal to a whole group reaches its processes one after the other; seconds


class Absence:
    """Leaves out the time in which everybody, or one program alone, was stopped."""

    def __init__(self) -> None:
        self._since: float | None = None  # all that run have been stopped by somebody since then

    def account(self, gap: Gap | None, running: Mapping[int, Running]) -> None:
        """To be called whenever something has happened. `gap` is a time in which this process stood still."""
        changed = gaps.changes()
        alive = {pid: one for pid, one in running.items() if one.status is None}
        if self._since is not None and not _all_held(alive, changed):
            working_time.leave_out(working_time.now() - self._since)
            self._since = None
        if gap:
            _settle(gap, changed, list(alive.values()))
        _follow(changed, alive)
        if self._since is None and _all_held(alive, {}):
            self._since = max(one.watch.since for one in alive.values())


def _all_held(alive: Mapping[int, Running], changed: Mapping[int, bool]) -> bool:
    """Whether something runs, and all of it is stopped."""
    held = (
        one.watch.held and changed.get(pid, True) and gaps.state(pid) not in gaps.DEAD for pid, one in alive.items()
    )
    return bool(alive) and all(held)


def _settle(gap: Gap, changed: Mapping[int, bool], alive: Sequence[Running]) -> None:
    """This process stood still. `changed` are children that were stopped or continued meanwhile.

    Where a program went on, somebody worked. Of one that ended unseen only the least is known.
    """
    ended = [one for one in alive if gaps.state(one.pid) in gaps.DEAD]
    halted = [one for one in alive if one not in ended and (one.pid in changed or gaps.stopped(one.pid))]
    if gap.frozen or len(halted) == len(alive):
        working_time.leave_out(gap.seconds)
        return
    for one in ended:
        one.watch.at_least(gap.begin, UNSEEN)
    if len(ended) + len(halted) == len(alive):
        working_time.leave_out(working_time.now() - gap.begin)
        return
    for one in halted:
        one.watch.leave_out(gap.seconds)
    working_time.note()


def _follow(changed: Mapping[int, bool], alive: Mapping[int, Running]) -> None:
    """Notes which programs somebody stopped, all of each, or let go on."""
    for pid, one in alive.items():
        stopped, since = changed.get(pid), working_time.now()
        if stopped is False:
            one.watch.release()
        elif stopped and not one.watch.held and stand_still(one.origin, alive.keys() - {pid}):
            one.watch.hold(since)


def stand_still(origin: Origin, others: Collection[int]) -> bool:
    """Whether no process of a program goes on. `others` are the first ones of others that run."""
    for _ in range(_LOOKS):
        if not gaps.stopped(origin.leader):
            return False
        members = process_tree.everyone_of(origin, others=others)
        if all(gaps.stopped(pid) or gaps.state(pid) in gaps.DEAD for pid in members):
            return True
        time.sleep(_PAUSE)
    return False
