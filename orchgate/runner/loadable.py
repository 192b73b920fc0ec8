"""Whether a program can be started, as far as a look at its file tells."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ELF = b"\x7fELF"
_SCRIPT = b"#!"
_READ = 4096  # bytes of a file; its program headers come first
_LINE = 256  # bytes of a script that the kernel looks at
_NESTED = 4  # scripts that run scripts
_INTERPRETER = 3  # the kind of a program header
_HEADERS = struct.Struct("<32xQ14xHH")  # where they are, how long each is, how many
_HEADER = struct.Struct("<I4xQ16xQ")  # kind, where it leads, how many bytes


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
