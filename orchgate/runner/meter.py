"""Counts the processes of a program and the processor time of all of them, also where the kernel adds it to no parent.

A control group of the first version counts exactly, for a third of a millisecond, where we may make one (and where it
does nothing but count: together with the `cpu` controller it would change who gets the processor). In measured runs an
event of `perf` counts as well, and needs no privilege. Elsewhere nothing counts it: see `start_and_reap`.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time

from orchgate.lib.files import read_virtual
from orchgate.lib.typed import TYPE_CHECKING, Protocol
from orchgate.runner.start_and_reap import Metered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

    from orchgate.runner.process_tree import Numbers

_KIND = "cpuacct"
_NANO = 1e-9
_CALLS = {"x86_64": 298, "aarch64": 241}  # number of perf_event_open
_SOFTWARE, _TASK_CLOCK, _DUMMY = 1, 1, 9
# inherit, exclude_kernel and exclude_hv (needed to count without privilege), task, watermark
_FLAGS = 1 << 1 | 1 << 5 | 1 << 6 | 1 << 13 | 1 << 14
# disabled until exec, inherit, exclude_kernel and exclude_hv: this clock counts all of the time all the same
_CLOCK_FLAGS = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 12
_ATTRIBUTES = struct.Struct("IIQQQQQII64x")  # 120 bytes: version 6 of the structure
_CLOEXEC = 8
_PAGES = 64
_LOST, _FORK = 2, 7
_HEADER = struct.Struct("IHH")
_TASK = struct.Struct("IIIIQ")  # pid, parent's pid, thread, parent's thread, time
_HEADS = struct.Struct("QQ")
_HEADS_AT = 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Meter(Protocol):
    def read(self) -> Metered | None:
        """What has been counted so far; None where it cannot be read."""

    def leave_out(self, seconds: float) -> None:
        """So much of what is counted was a helper's, as far as those are counted."""

    def close(self) -> None:
        """Stops counting, and leaves nothing behind."""


class Meters:
    """The meters of one runner, which runs one program at a time if it is `measured`."""

    def __init__(self, numbers: Numbers) -> None:
        self.measured = False
        self._prefix = _prefix(numbers)
        self._place: str | None = None  # our own group's folder; "" where none can be used
        self._made = 0

    @contextlib.contextmanager
    def begun(self) -> Iterator[Meter | None]:
        """Counts a program that is started in here, if anything can. Where that fails, nothing is left of it."""
        meter = self._meter()
        try:
            with meter.entered() if isinstance(meter, _ControlGroup) else contextlib.nullcontext():
                yield meter
        except BaseException:
            if meter:
                meter.close()
            raise

    def _meter(self) -> _ControlGroup | _Clock | None:
        if self._place is None:
            self._place = place()
        with contextlib.suppress(OSError):
            if self._place:
                self._made += 1
                return _ControlGroup(self._place, f"{self._prefix}{self._made}")
        self._place = ""  # not asked again
        with contextlib.suppress(OSError):
            return _Clock() if self.measured else None
        return None


def place() -> str:
    """The folder of the control group we are in, among those that only count time; "" where there is none."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            own = next(path for _, kinds, path in (line.rstrip("\n").split(":", 2) for line in file) if kinds == _KIND)
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields, _, system = line.partition(" - ")
                kind, _, options = system.split()[:3]
                if kind == "cgroup" and _KIND in options.split(","):
                    root, folder = fields.split()[3:5]
                    inside = os.path.relpath(own, root)
                    return "" if inside.startswith("..") else os.path.normpath(os.path.join(folder, inside))
    except (OSError, StopIteration, ValueError):
        pass
    return ""


def _prefix(numbers: Numbers) -> str:
    return f"orchgate-{numbers.first:x}-"


def sweep(numbers: Numbers) -> None:
    """Removes the groups that a killed runner with these numbers left behind."""
    if top := place():
        with contextlib.suppress(OSError):
            for found in os.listdir(top):
                if found.startswith(_prefix(numbers)):
                    _remove(os.path.join(top, found), top)


class _ControlGroup:
    """A control group of one program's own."""

    def __init__(self, top: str, name: str) -> None:
        """Raises OSError where we may not make one."""
        self._top = top
        self._folder = os.path.join(top, name)
        self._own = 0.0  # seconds that we ourselves have spent in it
        os.mkdir(self._folder)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Whoever is started in here is in the group; we are only for the moment."""
        # Rather too much of it is ours than too little: on a busy machine the way in and out takes milliseconds.
        began = time.thread_time()
        try:
            _write(self._folder, "tasks", "0")
        except OSError:
            self._folder = self._removed()
        try:
            yield
        finally:
            if self._folder:
                with contextlib.suppress(OSError):
                    _write(self._top, "tasks", "0")
                self._own += time.thread_time() - began

    def read(self) -> Metered | None:
        try:
            total = _number(self._folder, f"{_KIND}.usage") * _NANO - self._own
        except (OSError, ValueError):
            return None
        return Metered(total, 0.002 + 0.01 * total + self._own, lambda: total * self._user_share())

    def _user_share(self) -> float:
        try:
            user, system = (_number(self._folder, f"{_KIND}.usage_{name}") for name in ("user", "sys"))
        except (OSError, ValueError):  # older kernels do not tell them apart
            return 1.0
        return user / max(1, user + system)

    def leave_out(self, seconds: float) -> None:
        self._own += seconds

    def close(self) -> None:
        if self._folder:
            self._folder = self._removed()

    def _removed(self) -> str:
        with contextlib.suppress(OSError):
            _remove(self._folder, self._top)
        return ""


def _number(folder: str, name: str) -> int:
    return int(read_virtual(f"{folder}/{name}"))


def _write(folder: str, name: str, text: str) -> None:
    file = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def _remove(folder: str, top: str) -> None:
    """Removes a group and those below it, whose processes go on in the one that we are in. Raises OSError."""
    try:
        os.rmdir(folder)
        return
    except OSError:  # a process lives in it, or has made groups of its own
        below = [entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    for inner in below:
        _remove(inner, top)
    with open(os.path.join(folder, "cgroup.procs"), "rb") as file:
        for pid in file.read().split():
            with contextlib.suppress(OSError):
                _write(top, "cgroup.procs", pid.decode())
    os.rmdir(folder)


class _Clock:
    """An event of `perf` that counts our next child and its descendants, each from its exec on."""

    def __init__(self) -> None:
        """Raises OSError where the kernel does not count for us."""
        self._descriptor = _event(_TASK_CLOCK, _CLOCK_FLAGS, processor=-1)

    def read(self) -> Metered | None:
        try:
            seconds = struct.unpack("Q", os.read(self._descriptor, 8))[0] * _NANO
        except (OSError, struct.error):
            return None
        # Unlike the times of a process it goes on while an interrupt, or another virtual machine, has the processor.
        return Metered(seconds, 0.02 + 0.1 * seconds, lambda: seconds)

    def leave_out(self, seconds: float) -> None:
        pass  # what is near enough covers it

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


class Forks:
    """How many processes each stage started: every fork below this process is an event of `perf`.

    Opening the first such counter on a machine patches the kernel and takes some 25 ms, so it is done only for runs
    that are measured. Where the kernel refuses (its `perf_event_paranoid`, a container's filter), nothing is counted.
    """

    def __init__(self) -> None:
        """Raises OSError where the kernel does not count for us."""
        from mmap import mmap

        self.descriptors: list[int] = []
        self._buffers: list[mmap] = []
        self._stage: dict[int, int] = {}  # the first process of the stage that a process belongs to
        self._counts: dict[int, int] = {}
        self._lost = False
        try:
            for processor in range(os.cpu_count() or 1):
                self.descriptors.append(_open(processor))
                self._buffers.append(mmap(self.descriptors[-1], (1 + _PAGES) * _PAGE))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        for buffer in self._buffers:
            buffer.close()
        for descriptor in self.descriptors:
            os.close(descriptor)

    def drain(self) -> None:
        """Takes what the kernel noted since the last time. To be called whenever a descriptor is readable."""
        me = os.getpid()
        for _, pid, parent in sorted(record for buffer in self._buffers for record in self._records(buffer)):
            if pid == parent:  # a thread
                continue
            leader = pid if parent == me else self._stage.get(parent, 0)
            self._stage[pid] = leader
            self._counts[leader] = self._counts.get(leader, 0) + 1

    def ours(self, pid: int) -> bool:
        """Whether a process was started below this one, as far as events have been drained."""
        return pid in self._stage

    def started_by(self, leader: int) -> tuple[int | None, bool]:
        """Processes of the stage that this one leads, itself included, and whether events were lost meanwhile.

        Then the number is a lower bound. The children of those whose beginning was lost are counted: one stage runs.
        """
        self.drain()
        lost, self._lost = self._lost, False
        helper = self._stage.get(leader, leader)  # that started it, where it is another one, and is not the stage's
        count = self._counts.pop(helper, None)
        if count is not None and helper != leader:
            count -= 1
        strays = self._counts.pop(0, 0)
        return (max(1, (count or 0) + strays) if lost else count), lost

    def _records(self, buffer: mmap) -> Iterator[tuple[int, int, int]]:
        """Time, process and parent of each fork in a ring of bytes."""
        head, tail = _HEADS.unpack_from(buffer, _HEADS_AT)
        size = _PAGES * _PAGE
        start = tail % size
        ring = buffer[_PAGE:]
        data = (ring[start:] + ring[:start])[: head - tail]
        position = 0
        while position < len(data):
            kind, _, length = _HEADER.unpack_from(data, position)
            if kind == _FORK:
                pid, parent, _, _, time = _TASK.unpack_from(data, position + _HEADER.size)
                yield time, pid, parent
            self._lost = self._lost or kind == _LOST
            position += length
        struct.pack_into("Q", buffer, _HEADS_AT + 8, head)


def _open(processor: int) -> int:
    return _event(_DUMMY, _FLAGS, processor, wakeup=_PAGES * _PAGE // 2)


def _event(config: int, flags: int, processor: int, wakeup: int = 0) -> int:
    import ctypes

    call = _CALLS.get(os.uname().machine)
    if call is None:
        raise OSError("not known on this kind of machine")
    attributes = _ATTRIBUTES.pack(_SOFTWARE, _ATTRIBUTES.size, config, 0, 0, 0, flags, wakeup, 0)
    descriptor: int = ctypes.CDLL(None, use_errno=True).syscall(call, attributes, 0, processor, -1, _CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor
