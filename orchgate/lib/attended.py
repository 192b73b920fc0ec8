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
import threading
import time

from orchgate.errors import OrchgateError
from orchgate.lib import process
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Self

KEPT = 1 << 18  # bytes of each of its outputs that are kept, the last ones: a server may talk without end
_CHUNK = 1 << 16
_TICK = 0.5  # seconds between two looks at the program while nothing is heard
_MARK = "ORCHGATE_ATTENDED"  # in the environment of everything that is started
_WORD = struct.Struct("q")
_SOON, _LATE = 2, 20  # looks at who is left, without finding anybody
_TERMINAL = "/dev/tty"
_ASKING = (b"askpass", b"credential", b"pinentry")


def run(argv: Sequence[str], *, cwd: str | None, env: Mapping[str, str], patience: float) -> process.Completed:
    """Runs a program to its end, without input; `timed_out` once nothing was heard of it for `patience` seconds.

    While it asks somebody for a password nobody hurries it. Raises ProgramMissing, OrchgateError.
    """
    child: subprocess.Popen[bytes] | None = None
    with _Guard() as guard:
        try:
            with _deferred():
                child = process.start(argv, cwd=cwd, env={**env, _MARK: guard.mark})
                guard.watch(child.pid)
            outputs, timed_out = _listen(child, patience)
        except BaseException:
            if child is not None:
                end([child.pid], reap=child)
            raise
        finally:
            for stream in (child.stdin, child.stdout, child.stderr) if child is not None else ():
                if stream is not None:
                    stream.close()
    return process.Completed(child.returncode, *outputs, timed_out=timed_out)


@contextlib.contextmanager
def _deferred() -> Iterator[None]:
    """Signals that have handlers wait meanwhile: one that came while a program is started would make us forget it."""
    came: list[int] = []
    handlers = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    ours = [number for number, handler in handlers.items() if callable(handler)]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, lambda received, _: came.append(received))
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, handlers[number])
    for number in came[:1]:
        signal.raise_signal(number)


def _listen(child: subprocess.Popen[bytes], patience: float) -> tuple[tuple[bytes, bytes], bool]:
    """What it says on both outputs until it ends, and whether it had to be ended."""
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdin.close()
    kept = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
    quiet, timed_out = 0.0, False  # seconds; counted here, because time goes on while we are stopped
    tick = min(_TICK, patience)
    below: list[int] = []
    with selectors.DefaultSelector() as selector:
        for descriptor in kept:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(tick)
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                if not data:
                    selector.unregister(key.fd)
                kept[key.fd] += data
                del kept[key.fd][:-KEPT]
            quiet = 0.0 if ready else quiet + tick
            if ready:
                continue
            if child.poll() is not None:
                break  # who still holds its outputs is none of ours, such as a connection that ssh keeps
            below = descendants(child.pid)
            if quiet >= patience and not timed_out and not _asks([child.pid, *below]):
                timed_out = True
                end([child.pid], reap=child)
    if child.wait() < 0:  # somebody killed it, and not its helpers
        end(below)
    out, errors = kept.values()
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


def descendants(*pids: int) -> list[int]:
    """Living processes below some; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for one, parent in _parents().items():
        children.setdefault(parent, []).append(one)
    found: list[int] = []
    waiting = list(pids)
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
    """Asks processes and all below them to end, so that they can tidy up, and kills what is left after a grace period.

    `reap` is the first of them where it is a child of ours.
    """
    every: list[int] = []
    # Stopped first: one that starts another just now would hide it from us by ending.
    while fresh := [pid for pid in _living([*pids, *descendants(*pids)], reap) if pid not in every]:
        _send(fresh, signal.SIGSTOP)
        every += fresh
    for number in (signal.SIGTERM, signal.SIGKILL):
        _send(_living(every, reap), number)
        _send(every if number is signal.SIGTERM else (), signal.SIGCONT)
        due = time.monotonic() + process.TERMINATE_SECONDS
        while time.monotonic() < due and _living(every, reap):
            time.sleep(0.02)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


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
        self.mark = f"{os.getpid()}-{os.urandom(8).hex()}"
        try:
            reader, self._pipe = os.pipe()
            self._pid = os.fork()
        except OSError as error:
            raise OrchgateError(f"cannot start a second process to guard git: {error.strerror}") from error
        if self._pid == 0:
            _guard(reader, f"{_MARK}={self.mark}".encode())
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


def _guard(reader: int, mark: bytes) -> None:
    """The forked half; never returns."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.closerange(0, reader)
        os.closerange(reader + 1, os.sysconf("SC_OPEN_MAX"))
        watched: list[int] = []
        while data := os.read(reader, _WORD.size):
            watched = [pid for pid in _WORD.unpack(data) if pid]
            if not watched:
                return
        # One that was being started when we were killed is seen by its mark, a little later.
        quiet, enough = 0, _SOON if watched else _LATE
        while quiet < enough:
            end(watched)
            left = [pid for pid in _parents() if _is_marked(pid, mark)]
            end(left)
            quiet = 0 if left else quiet + 1
            time.sleep(0.05)
    finally:
        os._exit(0)  # no clean-up and no flushing: both belong to whoever was forked


def _is_marked(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False
