"""`orchgate` as a process of its own without the start of Python: forked from a server that has everything imported.

What is forked has its own standard streams, folder, environment and mask, goes through the console script's entry, and
ends by itself. What a start of Python does is left to the tests that start the program by its path.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What Python, or the loader before it, reads when it starts: a process that is given another one has to start.
EARLY = ("PYTHON", "LC_", "LANG", "LD_", "COVERAGE")
HERE = {name: value for name, value in os.environ.items() if name.startswith(EARLY)}
BEGUN = b"+"
BESIDE = ("yaml", "jsonschema", "jsonschema_rs", "msgspec", "unidiff", "re2", "rich.table", "rich.console")


class Ended(NamedTuple):
    code: int
    out: bytes
    err: bytes  # empty where it went with the rest


class Server(NamedTuple):
    owner: int  # the process that started it: what was forked from that one has none
    line: socket.socket
    process: subprocess.Popen[bytes]  # ends when nobody holds the line any more


_servers: list[Server] = []


def fits(env: Mapping[str, str]) -> bool:
    """Whether a process with this environment can be forked from the server."""
    return {name: value for name, value in env.items() if name.startswith(EARLY)} == HERE


def call(
    argv: Sequence[str], cwd: str, env: Mapping[str, str], *, together: bool, memory: int = 0, seconds: int = 0
) -> Ended:
    """Runs one command line to its end, and to the end of whatever holds its output open.

    One that takes more memory, or more seconds, than it may (0: any) is refused the one and killed by the other.
    """
    asked = {"argv": list(argv), "cwd": cwd, "env": dict(env), "mask": _mask(), "memory": memory, "seconds": seconds}
    message = json.dumps(asked).encode()
    # A server may have ended: tests of runners end whatever they find below them.
    for _ in range(3):
        if ended := _asked(message, together=together):
            return ended
        end()
    raise AssertionError("no server of processes stays")


def end() -> None:
    """Ends the server, which the next call starts anew: for tests that watch the children of this very process."""
    gone = _servers.pop() if _servers else None
    if gone is not None and gone.owner == os.getpid():
        gone.line.close()
        gone.process.wait()


def _asked(message: bytes, *, together: bool) -> Ended | None:
    """What became of a request; None: the server ended before it began with it."""
    reader, writer = os.pipe()
    told, tell = os.pipe()
    with (
        tempfile.TemporaryFile() as err,
        open(os.devnull, "rb") as nothing,
        open(reader, "rb") as out,
        open(told, "rb") as status,
    ):
        sent = [nothing.fileno(), writer, writer if together else err.fileno(), tell]
        try:
            line = _line()
            socket.send_fds(line, [len(message).to_bytes(8, "big")], sent)
            line.sendall(message)
        except (BrokenPipeError, ConnectionResetError):
            return None
        finally:
            os.close(writer)
            os.close(tell)
        shown, code = out.read(), status.read()
        if not code:
            return None
        assert code != BEGUN, "the server of processes ended with one of them at work"
        err.seek(0)
        return Ended(int(code.removeprefix(BEGUN)), shown, err.read())


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _line() -> socket.socket:
    """The way to this process's server."""
    if not _servers or _servers[-1].owner != os.getpid():
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **HERE},
            )
        _servers.append(Server(os.getpid(), ours, process))
    return _servers[-1].line


# In the server


def serve(number: int) -> None:
    """Forks a process for each command line that comes, until nobody is left who could send one."""
    _import_everything()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the tests, which are told themselves
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wakes, woken = socket.socketpair()
    woken.setblocking(False)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    children: dict[int, int] = {}  # by its number, where its exit code goes
    waiting = selectors.DefaultSelector()
    with socket.socket(fileno=number) as line:
        waiting.register(line, selectors.EVENT_READ)
        waiting.register(wakes, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in waiting.select()]
            if wakes in ready:
                wakes.recv(4096)
                _bury(children)
            if line in ready and not _fork(line, children, (wakes, woken)):
                return


def _import_everything() -> None:
    import gc

    import orchgate

    for found in pkgutil.walk_packages(orchgate.__path__, "orchgate."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    for name in BESIDE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # no page is copied because a collector looked at it


def _bury(children: dict[int, int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        told = children.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # whoever asked has gone
            os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(told)


def _fork(line: socket.socket, children: dict[int, int], own: Sequence[socket.socket]) -> bool:
    """Starts what is asked for; False: nobody is there any more."""
    size, fds, *_ = socket.recv_fds(line, 8, 4)
    if not size:
        return False
    left = int.from_bytes(size, "big")
    message = b""
    while len(message) < left:
        message += line.recv(left - len(message))
    os.write(fds[3], BEGUN)
    pid = os.fork()
    if not pid:
        try:
            for one in (line, *own):
                one.close()
            _become(json.loads(message), fds)
        finally:
            os._exit(1)
    children[pid] = fds.pop()
    for fd in fds:
        os.close(fd)
    return True


def _become(asked: Mapping[str, object], fds: Sequence[int]) -> None:
    """The process that was asked for, as it is when the console script begins."""
    import random
    import resource
    import traceback

    from orchgate.cli import console

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    for fd in fds:
        os.close(fd)
    os.chdir(str(asked["cwd"]))
    os.umask(int(str(asked["mask"])))
    env = asked["env"]
    assert isinstance(env, dict)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    random.seed()
    if memory := int(str(asked["memory"])):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    signal.alarm(int(str(asked["seconds"])))
    sys.argv = ["orchgate", *asked["argv"]]  # type: ignore[misc]
    direct = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8")  # type: ignore[misc] # noqa: SIM115
    sys.stdout = sys.__stdout__ = _text(1, "strict", direct)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text(2, "backslashreplace", direct)  # type: ignore[misc]
    try:
        console()
    except BaseException:  # noqa: BLE001 -- as Python itself would
        traceback.print_exc()


def _text(number: int, errors: str, direct: bool) -> io.TextIOWrapper:
    raw = io.FileIO(number, "w")
    made = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors=errors, line_buffering=number == 2)
    if direct:
        made.reconfigure(write_through=True)
    return made


if __name__ == "__main__":
    serve(int(sys.argv[1]))
