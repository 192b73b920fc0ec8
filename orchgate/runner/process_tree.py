"""The processes below this one: who descends from whom, which stage they come from, and how they are ended.

A process that becomes a daemon leaves its group, its session and its parent. As a *subreaper* the runner is handed
every such orphan below it. A number shows which attempt it came from, or else its session, or a mark in its
environment.

The number is the soft limit RLIMIT_LOCKS, which no kernel since Linux 2.4.25 enforces. Every process hands it down,
over fork, exec and setsid, whatever it does to its environment, and it can be read from a zombie. Something that sets
limits anew (PAM, a runner inside the stage) takes it away: then the other signs have to do.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import time

from orchgate.lib import working_time
from orchgate.lib.files import read_virtual
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator

MARK = "ORCHGATE_PROCESS"
_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOCKS = 10  # the number of the limit on every architecture
_LOWEST, _HIGHEST = 1 << 40, 1 << 60  # far above what anybody would set it to
_PAUSE = 0.0002  # seconds
_PATIENCE = 10.0  # seconds for a process that was born and has not been given a processor yet
_ATTEMPTS = 1 << 24  # of one process


class ProcessStat(NamedTuple):
    pid: int
    parent: int
    session: int
    dead: bool


def become_subreaper(*, wanted: bool = True) -> str:
    """Makes this process the new parent of every orphan below it; returns why not where that is impossible."""
    asked = (_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)
    with contextlib.suppress(ImportError, OSError, AttributeError):
        # All of `ctypes` takes longer to load than the rest of this room; of what is below it one function will do.
        import _ctypes

        if _ctypes.call_function(_prctl(), asked) == 0:
            return ""
    import ctypes

    try:
        failed = ctypes.CDLL(None, use_errno=True).prctl(*asked)
    except (OSError, AttributeError):
        return "no subreaper on this system: daemons of a stage may outlive it"
    return f"no subreaper: {os.strerror(ctypes.get_errno())}" if failed else ""


@functools.cache
def _prctl() -> int:
    import _ctypes

    # Opening it leaks a little: repeated runs share it. None is the program itself.
    return _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # as ctypes calls it


def blind() -> bool:
    """Whether this is a system where processes are found in /proc, and it is not there, or is another namespace's.

    Such a /proc shows others by the numbers of ours.
    """
    if sys.platform != "linux":
        return False
    try:
        return os.readlink("/proc/self") != str(os.getpid())
    except OSError:
        return True


def everybody() -> dict[int, ProcessStat]:
    """Every visible process of this machine; none without a /proc of ours."""
    if blind():
        return {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return {}
    found = {}
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                found[int(name)] = _process(int(name))
    return found


def _process(pid: int) -> ProcessStat:
    # The program's name, field 2, is in parentheses and may contain anything.
    state, parent, _, session, *_ = read_virtual(f"/proc/{pid}/stat").rpartition(b")")[2].split(None, 4)
    return ProcessStat(pid, int(parent), int(session), state in b"ZX")


def look(pid: int) -> ProcessStat | None:
    """A process, even a zombie; None where unknown."""
    try:
        return _process(pid)
    except (OSError, ValueError):
        return None


def session_of(pid: int) -> int:
    """The session a process, even a zombie, belongs to; 0 where unknown."""
    one = look(pid)
    return one.session if one else 0


def marked(pid: int, mark: bytes) -> bool:
    """Whether a process inherited an environment with this mark (or one that begins with it)."""
    try:
        return b"\0" + MARK.encode() + b"=" + mark in b"\0" + read_virtual(f"/proc/{pid}/environ")
    except OSError:
        return False


def ignores_children(pid: int) -> bool:
    """Whether a process, even a zombie, ignores SIGCHLD, and with it how its children end.

    The kernel reaps them then, and adds their costs to no process. (SA_NOCLDWAIT does the same and cannot be seen.)
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        ignored = read_virtual(f"/proc/{pid}/status").partition(b"\nSigIgn:")[2].split(None, 1)[0]
        return bool(int(ignored, 16) >> (signal.SIGCHLD - 1) & 1)
    return False


class TreeIdentity(NamedTuple):
    """How the processes of a stage are recognised: its first process leads a session of that number, and carries
    one of the `numbers` that this runner gives.
    """

    leader: int
    number: int
    mark: str
    numbers: Container[int]


def of_stage(origin: TreeIdentity, *, others: Collection[int]) -> list[int]:
    """Processes that a stage left behind when its first process died: children of ours by now, and theirs that live.

    Children of ours that look dead are among them: one that cannot be reaped yet still has threads that end. `others`
    lead stages that still run. When none does, every descendant belongs to this one.
    """
    adopted, below = _everyone(origin, others)
    return sorted({*adopted, *(pid for pid in below if not _is_dead(pid))})


def everyone_of(origin: TreeIdentity, *, others: Collection[int]) -> set[int]:
    """All processes of a stage, its first one included while it is there, dead ones among them."""
    adopted, below = _everyone(origin, others)
    return {*adopted, *below}


def _everyone(origin: TreeIdentity, others: Collection[int]) -> tuple[list[int], list[int]]:
    """Children of ours that are a stage's, and all who descend from them."""
    children = [pid for pid in children_of(os.getpid()) if pid not in others]
    ours = [pid for pid in children if not others or belongs(pid, origin)]
    return ours, descendants(ours)


def belongs(pid: int, origin: TreeIdentity) -> bool:
    """Whether a child of ours is known to be of a stage; False also where that is unknown."""
    number = number_of(pid)
    if number in origin.numbers:
        return number == origin.number
    return session_of(pid) == origin.leader or marked(pid, origin.mark.encode())


def descendants(of: Iterable[int]) -> list[int]:
    """Everybody below some processes, parents before their children."""
    found: dict[int, None] = {}
    waiting = list(of)
    for pid in waiting:  # and so on: the list grows while it is gone through
        new = [child for child in children_of(pid) if child not in found]
        found.update(dict.fromkeys(new))
        waiting += new
    return list(found)


def _is_dead(pid: int) -> bool:
    one = look(pid)
    return one is None or one.dead


def children_of(pid: int) -> list[int]:
    """Its children, zombies too. One that is born or dies meanwhile may be missing."""
    if tells_children():
        return listed_children(pid)
    return [one.pid for one in everybody().values() if one.parent == pid]


def of_sessions(sessions: Collection[int], mark: str, numbers: Container[int]) -> list[int]:
    """Living processes of the sessions, with one of the numbers, or with a mark that begins so, wherever they are."""
    seen = everybody()
    wanted = {pid for pid, process in seen.items() if process.session in sessions}
    wanted |= {pid for pid in seen if number_of(pid) in numbers or marked(pid, mark.encode())}
    wanted = _with_descendants(wanted, seen) - {os.getpid()}
    return sorted(pid for pid in wanted if not seen[pid].dead)


def _with_descendants(pids: Iterable[int], seen: dict[int, ProcessStat]) -> set[int]:
    children: dict[int, list[int]] = {}
    for process in seen.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def send_group(leader: int, number: signal.Signals, *, wake: bool = True) -> None:
    """Signals a whole process group, asleep or not; that of a process which was just born as soon as it leads one."""
    end = working_time.now() + _PATIENCE
    while not group_exists(leader) and (one := look(leader)) and one.session != leader and not one.dead:
        if working_time.now() > end:
            return
        time.sleep(_PAUSE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
        if wake and number != signal.SIGKILL:
            os.killpg(leader, signal.SIGCONT)


def group_exists(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def listed_children(pid: int) -> list[int]:
    """Living and dead children of all threads of a process, including those it adopted."""
    found: list[int] = []
    for thread in _threads(pid):
        try:
            found += map(int, read_virtual(f"/proc/{pid}/task/{thread}/children").split())
        except (OSError, ValueError):
            continue
    return found


@functools.cache
def tells_children() -> bool:
    """Whether this kernel lists the children of a process."""
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def _threads(pid: int) -> list[str]:
    folder = f"/proc/{pid}/task"
    try:
        # A folder has a link for each folder in it, and two of its own: listing them costs more than counting.
        return [str(pid)] if os.stat(folder).st_nlink == 3 else os.listdir(folder)
    except OSError:
        return []


def resident(pid: int) -> int:
    """Bytes of a process in memory, shared ones among them; 0 for a dead one, and where unknown."""
    try:
        return int(read_virtual(f"/proc/{pid}/statm").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def own_peak() -> int:
    """The most memory this program has held, in bytes; 0 where unknown."""
    try:
        with open("/proc/self/status", "rb") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(b"VmHWM:"))
    except (OSError, ValueError, StopIteration):
        return _own_peak_elsewhere()


def _own_peak_elsewhere() -> int:
    import resource

    from orchgate.runs import usage

    return usage.peak_bytes(resource.getrusage(resource.RUSAGE_SELF))


class Numbers:
    """The numbers that one runner gives to attempts."""

    def __init__(self) -> None:
        self.first = _LOWEST + int.from_bytes(os.urandom(7), "big") % (_HIGHEST - _LOWEST - _ATTEMPTS)
        self._given = 0

    def new(self) -> int:
        self._given += 1
        return self.first + self._given % _ATTEMPTS

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number < self.first + _ATTEMPTS


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


def number_of(pid: int) -> int:
    """The number that a process, even a zombie, carries; 0 where unknown."""
    if sys.platform != "linux":
        return 0
    import resource

    try:
        return max(0, resource.prlimit(pid, _LOCKS)[0])
    except ProcessLookupError:
        return 0
    except (OSError, ValueError):  # another user's
        return _number_from_table(pid)


def _number_from_table(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/limits", "rb") as file:
        for line in file:
            if line.startswith(b"Max file locks"):
                return int(line.split()[3])  # not a number: unlimited
    return 0
