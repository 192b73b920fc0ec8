"""Programs are started by a small one, so that their memory is theirs.

The kernel keeps, as part of the largest resident set of a process, what its memory was before it became a program: that
of its parent. Started by the runner, nothing would ever have taken less than the runner. `setsid`, which is small, is
run as the leader of a group: it forks, its first half ends, and the second makes a session of its own and becomes the
program. As a subreaper the runner is handed that one, waits for it, and knows it from every other orphan by its birth.
"""

from __future__ import annotations

import functools
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib import process, working_time
from orchgate.runner import lineage, proc, process_tree
from orchgate.runner.loadable import loadable

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

_PLACES = ("/usr/bin/setsid", "/bin/setsid", "/run/current-system/sw/bin/setsid")
_MARK = b"\0" + process_tree.MARK.encode() + b"="
_PAUSE = 0.0002  # seconds
_PATIENCE = 10.0  # seconds for a process that was born and has not been given a processor yet


class Handed(NamedTuple):
    """Which of `numbers` whatever is started now carries, see `lineage`."""

    number: int
    numbers: Container[int]


class Started(NamedTuple):
    """A program's first process, in a session of its own, our child. `at` is when, on the clock of `worked`.

    `floor`: a largest resident set (bytes) that is not above it says nothing of the program.
    """

    pid: int
    at: float
    floor: int


def start(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    output: int,
    source: int | None,
    adopts: bool,
    handed: Handed,
) -> Started:
    """Starts a program. `adopts`: whether orphans below us become ours. Raises ProgramMissing, OrchgateError."""
    small = _small() if adopts else ""
    if small and loadable(argv[0], env, cwd, small):
        try:
            helper = process.spawn((small, "--", *argv), cwd=cwd, env=env, output=output, source=source)
        except OrchgateError:
            pass  # tried without it: then it goes well, or the reason names the program
        else:
            at = working_time.now()  # the helper may end, and the program begin, before we get a processor
            _, status, _ = os.wait4(helper, 0)
            if pid := _left_by(helper, handed, env.get(process_tree.MARK, "")):
                return Started(pid, at, 0)
            if status == 0:
                raise OrchgateError(f"cannot run {argv[0]}: it was started and cannot be found")
    floor = proc.own_peak()
    return Started(process.spawn(argv, cwd=cwd, env=env, output=output, source=source), working_time.now(), floor)


@functools.cache
def _small() -> str:
    """The program that starts others; "" where there is none, or a kernel that does not tell our children."""
    return next((path for path in _PLACES if os.access(path, os.X_OK)), "") if proc.tells_children() else ""


def _left_by(helper: int, handed: Handed, mark: str) -> int:
    """The child that became ours when its parent ended; 0 for none.

    Process ids go up and begin again at their end, so among our children it is the first after its parent. What another
    stage lost in the moment between the two births carries another number; where nobody carries any, it has another
    mark, or is dead and leads no session.
    """
    for pid in sorted(proc.children(os.getpid()), key=lambda pid: (pid < helper, pid)):
        if _is_strange(pid, handed, mark):
            continue
        _await_session(pid)
        return pid
    return 0


def _is_strange(pid: int, handed: Handed, mark: str) -> bool:
    carried = lineage.of(pid)
    if carried in handed.numbers:
        return carried != handed.number
    one = process_tree.look(pid)
    if one is None:
        return False  # another user's, who may hide from us
    if one.dead:
        return one.session != pid
    return _mark_of(pid) not in ("", mark)


def _mark_of(pid: int) -> str:
    """The mark a process was given; "" where nobody tells: it may become its program, or end, while it is read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            found, whole, _ = (b"\0" + file.read()).partition(_MARK)[2].partition(b"\0")
    except OSError:
        return ""
    return os.fsdecode(found) if whole else ""


def _await_session(pid: int) -> None:
    """Until the process leads the session by which it is ended: its first half may be over before it came to that."""
    end = working_time.now() + _PATIENCE
    while (one := process_tree.look(pid)) and one.session != pid and not one.dead and working_time.now() < end:
        time.sleep(_PAUSE)
