"""What runs on a worker: it says what it is, and calls functions in processes of their own.

A worker is a process of many threads, in which neither a fork nor a signal handler has a place, and whose folder and
environment all tasks share. A process of its own for each unit of work can be ended when it takes too long, when nobody
waits for it any more, and with its worker.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from orchgate.errors import OrchgateError
from orchgate.lib import process
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from typing import Any

VALUE, FAILED, UNFIT, LOST, LATE = "value", "failed", "unfit", "lost", "late"
_RUNNING: dict[str, set[subprocess.Popen[bytes]]] = {}  # by job: processes of this worker
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


def _started(job: str) -> subprocess.Popen[bytes]:
    """A process that waits for its payload. Raises OrchgateError."""
    with _LOCK:
        if job in _ENDED:
            raise OrchgateError("nobody waits for this any more")
        argv = (sys.executable, "-P", "-m", "orchgate.cluster.child", str(os.getpid()))
        child = process.start(argv, env=os.environ, own_group=True)
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
    """Ends all that still runs here for a job, and keeps more from starting."""
    with _LOCK:
        _ENDED.add(job)
        running = list(_RUNNING.pop(job, ()))
    for child in running:
        process.end(child, own_group=True)
