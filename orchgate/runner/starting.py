"""Starts programs through a small helper, so that the memory counted as theirs is their own.

The kernel keeps, as part of the largest resident set of a process, what its memory was before it became a program: that
of its parent. Started by the runner, nothing would ever have taken less than the runner. `setsid`, which is small, is
run as the leader of a group: it forks, its first half ends, and the second makes a session of its own and becomes the
program. As a subreaper the runner is handed that one, waits for it, and knows it from every other orphan by its birth.
"""

from __future__ import annotations

import functools
import os
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib import process, working_time
from orchgate.runner import process_tree

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

_PLACES = ("/usr/bin/setsid", "/bin/setsid", "/run/current-system/sw/bin/setsid")
_MARK = b"\0" + process_tree.MARK.encode() + b"="
_PAUSE = 0.0002  # seconds
_PATIENCE = 10.0  # seconds for a process that was born and has not been given a processor yet
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
) -> FirstProcess:
    """Starts a program. `adopts`: whether orphans below us become ours. Raises ProgramMissing, OrchgateError."""
    small = _small() if adopts else ""
    if small and loadable(argv[0], env, cwd, small):
        try:
            helper = process.spawn((small, "--", *argv), cwd=cwd, env=env, output=output, source=source)
        except OrchgateError:
            pass  # tried without it: then it goes well, or the reason names the program
        else:
            at = working_time.now()  # before we get a processor the helper may have ended, and the program begun
            _, status, _ = os.wait4(helper, 0)
            if pid := _left_by(helper, handed, env.get(process_tree.MARK, "")):
                return FirstProcess(pid, at, 0)
            if status == 0:
                raise OrchgateError(f"cannot run {argv[0]}: it started, but its process cannot be found")
    floor = process_tree.own_peak()
    return FirstProcess(process.spawn(argv, cwd=cwd, env=env, output=output, source=source), working_time.now(), floor)


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
        _await_session(pid)
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


def loadable(program: str, env: Mapping[str, str], cwd: str, like: str) -> bool:
    """Whether the system surely starts a program that is run in `cwd`. `like` is one that it does start.

    False says only that a try has to show it: there may be no such file, or one in a format of another machine.
    """
    path = _found(program, env, cwd)
    return bool(path) and _starts(path, cwd, _head(like), _NESTED)


def _found(program: str, env: Mapping[str, str], cwd: str) -> str:
    folders = ("",) if os.path.dirname(program) else os.get_exec_path(env)
    paths = (os.path.join(cwd, folder, program) for folder in folders)
    return next((path for path in paths if _executable(path)), "")


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _head(path: str) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_READ)
    except OSError:
        return b""


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
