"""The first and the last thing that happens to a process: how it is started, and what is known once it is dead.

Programs are started through a small helper, so that the memory counted as theirs is their own. The kernel keeps, as
part of the largest resident set of a process, what its memory was before it became a program: that of its parent.
Started by the runner, nothing would ever have taken less than the runner. `setsid`, which is small, is run as the
leader of a group: it forks, its first half ends, and the second makes a session of its own and becomes the program. As
a subreaper the runner is handed that one, waits for it, and knows it from every other orphan by its birth. Between
`begin` and `first_process` the runner has something else to do.

Each process that is reaped brings its own times and those of the children it waited for. A parent that ignores SIGCHLD
waits for none: the kernel reaps its children and adds their costs to no process. A meter, where there is one, has
counted their processor time all the same.
"""

from __future__ import annotations

import functools
import os
import struct

from orchgate.errors import OrchgateError
from orchgate.lib import process, working_time
from orchgate.lib.files import read_virtual
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runner import process_tree
from orchgate.runs import usage

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
    from resource import struct_rusage

    from orchgate.runs.usage import Cost


_PLACES = ("/usr/bin/setsid", "/bin/setsid", "/run/current-system/sw/bin/setsid")
_MARK = b"\0" + process_tree.MARK.encode() + b"="
_ELF = b"\x7fELF"
_SCRIPT = b"#!"
_READ = 4096  # bytes of a file; its program headers come first
_LINE = 256  # bytes of a script that the kernel looks at
_NESTED = 4  # scripts that run scripts
_INTERPRETER = 3  # the kind of a program header
_HEADERS = struct.Struct("<32xQ14xHH")  # where they are, how long each is, how many
_HEADER = struct.Struct("<I4xQ16xQ")  # kind, where it leads, how many bytes


class Handed(NamedTuple):
    """Which of `numbers` whatever is started now carries, see `process_tree`."""

    number: int
    numbers: Container[int]


class FirstProcess(NamedTuple):
    """A program's first process, in a session of its own, our child. `at` is when, on the clock of `working_time`.

    `floor`: a largest resident set (bytes) that is not above it says nothing of the program. `helped` are the processor
    seconds of the helper.
    """

    pid: int
    at: float
    floor: int
    helped: float = 0.0


class Helper(NamedTuple):
    """A helper that is starting a program, or has done so. `mark` is the one in the program's environment."""

    pid: int
    program: str
    at: float
    handed: Handed
    mark: str


def begin(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    output: int,
    source: int | None,
    adopts: bool,
    handed: Handed,
) -> FirstProcess | Helper:
    """Starts a program, or a helper that does, and that has to be waited for with `first_process`.

    `adopts`: whether orphans below us become ours. Raises ProgramMissing, OrchgateError.
    """
    small = _small() if adopts else ""
    if small and loadable(argv[0], env, cwd, small):
        try:
            helper = process.spawn_helper((small, "--", *argv), cwd=cwd, env=env, output=output, source=source)
        except OrchgateError:
            pass  # tried without it: then it goes well, or the reason names the program
        else:
            # Before we get a processor the helper may have ended, and the program begun.
            return Helper(helper, argv[0], working_time.now(), handed, env.get(process_tree.MARK, ""))
    pid, at = process.spawn(argv, cwd=cwd, env=env, output=output, source=source), working_time.now()
    return FirstProcess(pid, at, process_tree.own_peak())  # looked at when it began: starting it takes memory, too


def first_process(helper: Helper) -> FirstProcess | None:
    """The first process of the program that a helper started, once that has ended; None where it could not.

    Nothing else may be started, and no orphan reaped, before this. Raises OrchgateError when it cannot be found.
    """
    _, status, spent = os.wait4(helper.pid, 0)
    if pid := _left_by(helper.pid, helper.handed, helper.mark):
        return FirstProcess(pid, helper.at, 0, spent.ru_utime + spent.ru_stime)
    if status == 0:
        raise OrchgateError(f"cannot run {helper.program}: it started, but its process cannot be found")
    return None


@functools.cache
def _small() -> str:
    """The helper that starts others; "" where there is none, or where the kernel does not list our children."""
    return next((path for path in _PLACES if os.access(path, os.X_OK)), "") if process_tree.tells_children() else ""


def _left_by(helper: int, handed: Handed, mark: str) -> int:
    """The child that became ours when its parent ended; 0 for none.

    Process ids go up and begin again at their end, so among our children it is the first after its parent. What another
    stage lost in the moment between the two births carries another number; where there are no numbers, it has another
    mark, or is dead and leads no session.
    """
    for pid in sorted(process_tree.listed_children(os.getpid()), key=lambda pid: (pid < helper, pid)):
        if _is_strange(pid, handed, mark):
            continue
        return pid
    return 0


def _is_strange(pid: int, handed: Handed, mark: str) -> bool:
    carried = process_tree.number_of(pid)
    if carried in handed.numbers:
        return carried != handed.number
    one = process_tree.look(pid)
    if one is None:
        return False  # another user's, who may hide from us
    if one.dead:
        return one.session != pid
    return _mark_of(pid) not in ("", mark)


def _mark_of(pid: int) -> str:
    """The mark a process was given; "" where unknown: it may become its program, or end, while it is read."""
    try:
        found, whole, _ = (b"\0" + read_virtual(f"/proc/{pid}/environ")).partition(_MARK)[2].partition(b"\0")
    except OSError:
        return ""
    return os.fsdecode(found) if whole else ""


def loadable(program: str, env: Mapping[str, str], cwd: str, like: str) -> bool:
    """Whether the system surely starts a program that is run in `cwd`. `like` is one that it does start.

    False only means that it has to be tried: there may be no such file, or one in a format of another machine.
    """
    path = _found(program, env, cwd)
    return bool(path) and _starts(path, cwd, _known_head(like), _NESTED)


def _found(program: str, env: Mapping[str, str], cwd: str) -> str:
    folders = ("",) if os.path.dirname(program) else env.get("PATH", os.defpath).split(os.pathsep)
    paths = (os.path.join(cwd, folder, program) for folder in folders)
    return next(filter(_executable, paths), "")


def _executable(path: str) -> bool:
    return os.access(path, os.X_OK) and os.path.isfile(path)  # in most folders of PATH there is none, and it is told so


def _head(path: str) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, _READ)
    except OSError:
        return b""
    finally:
        os.close(file)


_known_head = functools.cache(_head)


def _starts(path: str, cwd: str, like: bytes, depth: int) -> bool:
    head = _head(path)
    if head.startswith(_SCRIPT):
        interpreter = os.path.join(cwd, os.fsdecode(_first_word(head)))
        return depth > 0 and _executable(interpreter) and _starts(interpreter, cwd, like, depth - 1)
    # Who may run a program and not read it has no script: its interpreter could not read it either.
    return not os.access(path, os.R_OK) or (_of_this_machine(head, like) and _executable(_interpreter(head) or path))


def _first_word(head: bytes) -> bytes:
    line = head[len(_SCRIPT) : _LINE].partition(b"\n")[0].split()
    return line[0] if line else b""


def _of_this_machine(head: bytes, like: bytes) -> bool:
    """Whether two ELF files have word size, byte order and machine in common."""
    return head[:4] == _ELF and head[4:6] == like[4:6] and head[18:20] == like[18:20]


def _interpreter(head: bytes) -> str:
    """The program that loads an ELF file, "" where none does or it is not where one expects it."""
    if head[4:6] != b"\x02\x01":  # 64 bits, the least significant byte first
        return ""
    try:
        at, size, count = _HEADERS.unpack_from(head)
        for number in range(count):
            kind, start, length = _HEADER.unpack_from(head, at + number * size)
            if kind == _INTERPRETER:
                return os.fsdecode(head[start : start + length].rstrip(b"\0"))
    except (struct.error, ValueError):
        pass
    return ""


_UNEXPLAINED = 0.01  # seconds
UNCOUNTED = "children of a process that ignores SIGCHLD are not counted"
_UNREADABLE = "what an orphan of another user read and wrote cannot be seen"
_UNLIKE = "an orphan may have been this stage's or another one's"
_SMALL = "the first process took less than the runner itself, so its peak is not known"
_OF_BYTES = ("read_bytes", "written_bytes")


class DeadChild(NamedTuple):
    """A child that has been reaped. `status` is that of wait4, `number` the one it inherited, see `process_tree`.

    `careless`: it ignored SIGCHLD, so the costs of its own children are not among its own. Of a program's first
    process, which is known by its id, session and number are not asked for.
    """

    pid: int
    session: int
    status: int
    spent: struct_rusage
    storage: usage.Storage
    number: int = 0
    careless: bool = False


def next_dead(first: Container[int] = ()) -> DeadChild | None:
    """Reaps a dead child, after reading what only a zombie still has; None when none is dead.

    `first` are the first processes of programs.
    """
    try:
        if not hasattr(os, "waitid"):  # macOS: a zombie cannot be looked at first
            pid, status, spent = os.wait4(-1, os.WNOHANG)
            return DeadChild(pid, 0, status, spent, usage.Storage(None, None)) if pid else None
        dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if dead is None:
            return None
        known = dead.si_pid
        storage, careless = usage.storage(known), process_tree.ignores_children(known)
        session, number = (0, 0) if known in first else (process_tree.session_of(known), process_tree.number_of(known))
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

    `near` is by how many the kernel's own times may differ although nothing is missing. `user` finds out how many of
    them passed outside of the kernel: only where some are missing is that worth asking.
    """

    seconds: float
    near: float
    user: Callable[[], float]


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
    """What a meter counted, unless that is less than what is known: processes can leave a group, or stop the clock."""
    if metered is None or metered.seconds < usage.cpu_seconds(spent) - metered.near:
        return None
    return metered


def _missing(spent: Cost, metered: Metered | None, *, suspected: bool) -> float:
    """Processor seconds that a meter counted and no reaped process accounts for; if unexplained, only larger ones."""
    if metered is None:
        return 0.0
    missing = metered.seconds - usage.cpu_seconds(spent)
    return missing if missing > metered.near + (0.0 if suspected else _UNEXPLAINED) else 0.0


def _with(spent: Cost, metered: Metered, missing: float) -> Cost:
    """Costs with the missing seconds, split as the meter splits them."""
    user = min(missing, max(0.0, metered.user() - spent["user_seconds"]))
    return {
        **spent,
        "user_seconds": round(spent["user_seconds"] + user, 6),
        "system_seconds": round(spent["system_seconds"] + missing - user, 6),
    }
