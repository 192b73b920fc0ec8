"""A program that talks to a server, in our own process group, so that it may ask for a password on the terminal.

It is given up when nothing is heard of it for too long, and neither it nor what it started outlives us: should we be
killed without a chance to end it, a second process does.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import struct
import time
from typing import TYPE_CHECKING, Self

from orchgate import process
from orchgate.errors import OrchgateError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping, Sequence

KEPT = 1 << 18  # bytes of each of its outputs that are kept, the last ones: a server may talk without end
_CHUNK = 1 << 16
_TICK = 0.5  # seconds between two looks at the program while nothing is heard
_WORD = struct.Struct("q")
_TERMINAL = "/dev/tty"
_ASKING = (b"askpass", b"credential", b"pinentry")


def run(argv: Sequence[str], *, cwd: str | None, env: Mapping[str, str], patience: float) -> process.Completed:
    """Runs a program to its end, without input; `timed_out` once nothing was heard of it for `patience` seconds.

    While it asks somebody for a password nobody hurries it. Raises ProgramMissing, OrchgateError.
    """
    with _Guard() as guard:
        child = process.start(argv, cwd=cwd, env=env)
        guard.watch(child.pid)
        try:
            assert child.stdin is not None
            child.stdin.close()
            outputs, timed_out = _listen(child, patience)
        except BaseException:
            end([child.pid, *descendants(child.pid)], reap=child)
            raise
        finally:
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
    return process.Completed(child.returncode, *outputs, timed_out=timed_out)


def _listen(child: subprocess.Popen[bytes], patience: float) -> tuple[tuple[bytes, bytes], bool]:
    """What it says on both outputs until it ends, and whether it had to be ended."""
    assert child.stdout is not None
    assert child.stderr is not None
    said = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
    quiet, timed_out = 0.0, False  # seconds; counted here, because time goes on while we are stopped
    tick = min(_TICK, patience)
    below: list[int] = []
    with selectors.DefaultSelector() as selector:
        for descriptor in said:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(tick)
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                if not data:
                    selector.unregister(key.fd)
                said[key.fd] += data
                del said[key.fd][:-KEPT]
            quiet = 0.0 if ready else quiet + tick
            if ready:
                continue
            if child.poll() is not None:
                break  # who still holds its outputs is none of ours, such as a connection that ssh keeps
            below = descendants(child.pid)
            if quiet >= patience and not timed_out and not _asks([child.pid, *below]):
                timed_out = True
                end([child.pid, *below], reap=child)
    if child.wait() < 0:  # somebody killed it, and not its helpers
        end(below)
    out, errors = said.values()
    return (bytes(out), bytes(errors)), timed_out


def _asks(pids: Iterable[int]) -> bool:
    """Whether one of some processes is waiting for what a person types."""
    return _has_person() and any(map(_asks_somebody, pids))


def _has_person() -> bool:
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return True
    try:
        os.close(os.open(_TERMINAL, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _asks_somebody(pid: int) -> bool:
    # git and ssh hold the terminal open under this name only while they ask.
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if any(word in file.read(_CHUNK) for word in _ASKING):
                return True
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}") == _TERMINAL:
                    return True
    return False


def descendants(pid: int) -> list[int]:
    """Living processes below one; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for one, parent in _parents().items():
        children.setdefault(parent, []).append(one)
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _parents() -> dict[int, int]:
    """The parent of every living process that can be seen."""
    found = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:
                    # The program's name stands in parentheses and may hold anything.
                    state, parent, *_ = file.read().rpartition(b")")[2].split(None, 2)
                    if state not in (b"Z", b"X"):
                        found[int(name)] = int(parent)
    return found


def end(pids: Sequence[int], *, reap: subprocess.Popen[bytes] | None = None) -> None:
    """Asks processes to end, so that they can tidy up, and kills what is left after a grace period.

    `reap` is the first of them where it is a child of ours.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _living(pids, reap):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        due = time.monotonic() + process.TERMINATE_SECONDS
        while time.monotonic() < due and _living(pids, reap):
            time.sleep(0.02)


def _living(pids: Iterable[int], reap: subprocess.Popen[bytes] | None) -> list[int]:
    done = reap.pid if reap is not None and reap.poll() is not None else 0
    return [pid for pid in pids if pid != done and _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split(None, 1)[0] not in (b"Z", b"X")
    except OSError:
        if os.path.exists("/proc/self"):
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


class _Guard:
    """A forked process that sleeps on a pipe until we are gone, and then ends whom it was told to watch."""

    def __enter__(self) -> Self:
        """Raises OrchgateError when no process can be started."""
        try:
            reader, self._pipe = os.pipe()
            self._pid = os.fork()
        except OSError as error:
            raise OrchgateError(f"cannot start a second process to guard git: {error.strerror}") from error
        if self._pid == 0:
            _guard(reader)
        os.close(reader)
        return self

    def watch(self, pid: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, _WORD.pack(pid))

    def __exit__(self, *_: object) -> None:
        self.watch(0)
        os.close(self._pipe)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _guard(reader: int) -> None:
    """The forked half; never returns."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.closerange(0, reader)
        os.closerange(reader + 1, os.sysconf("SC_OPEN_MAX"))
        watched = 0
        while data := os.read(reader, _WORD.size):
            watched = _WORD.unpack(data)[0]
            if watched == 0:
                return
        if watched:
            end([watched, *descendants(watched)])
    finally:
        os._exit(0)  # no clean-up and no flushing: both belong to whoever was forked
