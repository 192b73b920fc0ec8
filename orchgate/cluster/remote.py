"""What runs on a worker: it says what it is, and calls functions in processes of their own.

A worker is a process of many threads, in which neither a fork nor a signal handler has a place, and whose folder and
environment all tasks share. A process of its own for each unit of work can be ended when it takes too long, when nobody
waits for it any more, and with its worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import threading
import time

from orchgate.errors import OrchgateError
from orchgate.git.worktree_cache import erase
from orchgate.lib import process
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import subprocess
    from typing import IO, Any

VALUE, FAILED, UNFIT, SPOILT, LOST, LATE = "value", "failed", "unfit", "spoilt", "lost", "late"
IDLE_SECONDS = 3600.0  # for which a process waits for another question; nobody asks any more who was away for so long
_LENGTH = 8  # bytes of the length before each message to or from it
_RUNNING: dict[str, set[subprocess.Popen[bytes]]] = {}  # by job: processes of this worker
# By job and thread, of which a worker may have several: the process that answers its questions.
_SESSIONS: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
_FOLDERS: dict[str, str] = {}  # by job: where what was sent for it lies
_ENDED: set[str] = set()  # jobs of which nothing is started any more
_LOCK = threading.Lock()


class Unfit(OrchgateError):
    """This worker cannot do it, and another may: it is left out from here on, and says why."""


async def facts() -> dict[str, Any]:
    """What this worker is. It names neither the host nor the user."""
    return await asyncio.to_thread(_facts)


def _facts() -> dict[str, Any]:
    import platform

    import distributed

    from orchgate import __version__
    from orchgate.git.call import git_version
    from orchgate.lib.files import sha256_hex
    from orchgate.runs import machine

    try:
        git, numbers = git_version()
    except OrchgateError:
        git, numbers = "", ()
    kind = machine.fingerprint()
    return {
        "orchgate": __version__,
        "code": code(),
        "python": platform.python_version(),
        "distributed": distributed.__version__,
        "git": git,
        "git_numbers": numbers,
        "class": kind["fingerprint"],
        "machine": kind,
        # Which workers share a machine: its boot, and with it every container on it, without its name.
        "host": sha256_hex(_boot())[:16],
    }


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read()
    except OSError:
        return os.uname().nodename


def code() -> str:
    """A digest of what all modules of this program hold: two commits of one version are different programs."""
    import hashlib

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    digest = hashlib.sha256()
    for folder, inner, names in os.walk(package):
        inner.sort()
        for name in sorted(name for name in names if name.endswith(".py")):
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                held = hashlib.sha256(file.read()).hexdigest()
            digest.update(f"{os.path.relpath(path, package)}\0{held}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def call(job: str, payload: bytes, seconds: float | None) -> tuple[str, Any]:
    """What a function returns that is called in a process of its own, as `(how it ended, value or words)`.

    `payload` is the pickled pair of function and argument. No errors.
    """
    try:
        child = _started(job)
    except OrchgateError as error:
        return UNFIT, error.message
    try:
        done = process.finish(child, payload, seconds, own_group=True)
    finally:
        with _LOCK:
            _RUNNING.get(job, set()).discard(child)
    return (LATE, f"took longer than {seconds:g} s") if done.timed_out else _answer(done)


def _started(job: str, *words: str, discard_errors: bool = False) -> subprocess.Popen[bytes]:
    """A process that waits for its payload. Raises OrchgateError."""
    with _LOCK:
        if job in _ENDED:
            raise OrchgateError("nobody waits for this any more")
        argv = (sys.executable, "-P", "-m", "orchgate.cluster.child", str(os.getpid()), *words)
        child = process.start(argv, env=os.environ, own_group=True, discard_errors=discard_errors)
        _RUNNING.setdefault(job, set()).add(child)
    return child


def _answer(done: process.Completed) -> tuple[str, Any]:
    import pickle

    if done.stdout:
        try:
            how, value = pickle.loads(done.stdout)  # noqa: S301 -- our own child wrote it, through a pipe nobody else holds
        except (EOFError, pickle.UnpicklingError):
            pass
        else:
            return how, value
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return LOST, f"its process ended early ({done.code}){': ' + last if last else ''}"


def stop(job: str) -> None:
    """Ends all that still runs here for a job, keeps more from starting, and takes away what was sent for it."""
    with _LOCK:
        _ENDED.add(job)
        for session in [session for session in _SESSIONS if session[0] == job]:
            del _SESSIONS[session]
        folder = _FOLDERS.pop(job, "")
        running = list(_RUNNING.pop(job, ()))
    for child in running:
        process.end(child, own_group=True)
    if folder:
        erase(folder)


class Lease:
    """Held by a worker as the result of a task, which a scheduler forgets when whoever asked for it is gone.

    So what was begun for a job ends with its client, however that ended.
    """

    def __init__(self, job: str) -> None:
        self._job = job

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a lease stays where it is")  # spilled to a disk, it would be over

    def __del__(self) -> None:
        with contextlib.suppress(RuntimeError):  # the worker itself ends
            threading.Thread(target=stop, args=(self._job,)).start()


# Questions and answers: a process that keeps what it has prepared from one unit of work to the next


class ChildLimits(NamedTuple):
    """In how many seconds a process has to be ready for questions, and to answer one."""

    ready: float
    answer: float


def ask(job: str, opening: bytes, question: bytes, limits: ChildLimits) -> tuple[str, Any]:
    """What a generator function yields for a question, as `call` says it, in a pair with what it yields first.

    `opening` is the pickled pair of function and argument. It runs in a process of this worker that begins with the
    first question, and waits for the next one; what it yields first is None but for that one. The function is also
    given the folder of this job. No errors.
    """
    child, ready = _SESSIONS.get(_session(job)), None
    if child is None or child.poll() is not None:
        try:
            child = _started(job, _FOLDERS.get(job, ""), discard_errors=True)
        except OrchgateError as error:
            return UNFIT, error.message
        how, ready = _exchanged(child, opening, limits.ready)
        if how != VALUE:
            return _closed(job, child, how, ready)
        with _LOCK:
            _SESSIONS[_session(job)] = child
    how, value = _exchanged(child, question, limits.answer)
    if how == VALUE:
        return VALUE, (ready, value)
    return _closed(job, child, SPOILT if how == UNFIT else how, value)  # what ran there may be why


def _session(job: str) -> tuple[str, int]:
    return job, threading.get_ident()


def _closed(job: str, child: subprocess.Popen[bytes], how: str, why: Any) -> tuple[str, Any]:
    process.end(child, own_group=True)
    for stream in (child.stdin, child.stdout):
        if stream:
            with contextlib.suppress(OSError):
                stream.close()
    with _LOCK:
        _SESSIONS.pop(_session(job), None)
        _RUNNING.get(job, set()).discard(child)
    return how, why


def _exchanged(child: subprocess.Popen[bytes], data: bytes, seconds: float) -> tuple[str, Any]:
    import pickle

    assert child.stdin is not None
    assert child.stdout is not None
    try:
        send_message(child.stdin, data)
        answer = receive_message(child.stdout.fileno(), seconds)
    except TimeoutError:
        return LOST, f"gave no answer within {seconds:g} s"
    except (OSError, ValueError):
        answer = b""
    if not answer:
        return LOST, "its process ended early"
    how, value = pickle.loads(answer)  # noqa: S301 -- as above
    return how, value


def receive_message(descriptor: int, seconds: float) -> bytes:
    """The next message; b"" where the other side is gone. Raises TimeoutError, OSError."""
    deadline = time.monotonic() + seconds
    length = int.from_bytes(_read(descriptor, _LENGTH, deadline), "big")
    return _read(descriptor, length, deadline)


def _read(descriptor: int, length: int, deadline: float) -> bytes:
    import select

    data = bytearray()
    while len(data) < length:
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        part = os.read(descriptor, min(length - len(data), 1 << 20))
        if not part:
            return b""
        data += part
    return bytes(data)


def send_message(stream: IO[bytes], data: bytes) -> None:
    stream.write(len(data).to_bytes(_LENGTH, "big") + data)
    stream.flush()


# What is sent before


PARCEL = "parcel.pack"  # its name in the folder of a job


async def receive(job: str, part: bytes, dask_worker: Any = None) -> str:
    """Adds a part to what this worker has been sent for a job, in a folder of its own; "" or why not."""
    return await asyncio.to_thread(_received, job, part, str(dask_worker.local_directory))


def _received(job: str, part: bytes, home: str) -> str:
    try:
        if job not in _FOLDERS:
            _FOLDERS[job] = tempfile.mkdtemp(prefix="orchgate-", dir=home)
        with open(os.path.join(_FOLDERS[job], PARCEL), "ab") as file:
            file.write(part)
    except OSError as error:
        if folder := _FOLDERS.pop(job, ""):
            erase(folder)
        return f"cannot keep what is sent: {error.strerror}"
    return ""
