"""Counts the processor time of all processes of a program, those included whose costs the kernel adds to nobody's.

A control group of the first version counts exactly, for a third of a millisecond, where we may make one (and where it
does nothing but count: together with the `cpu` controller it would change who gets the processor). In measured runs an
event of `perf` counts as well, and needs no privilege. Elsewhere nothing counts it: see `reaped`.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from typing import TYPE_CHECKING, Protocol

from orchgate.runner.reaped import Metered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.runner.process_tree import Numbers

_KIND = "cpuacct"
_NANO = 1e-9


class Meter(Protocol):
    def read(self) -> Metered | None:
        """What has been counted so far; None where it cannot be read."""

    def close(self) -> None:
        """Stops counting, and leaves nothing behind."""


class Meters:
    """The meters of one runner, which runs one program at a time if it is `measured`."""

    def __init__(self, numbers: Numbers) -> None:
        self.measured = False
        self._prefix = _prefix(numbers)
        self._place: str | None = None  # our own group's folder; "" where there is none that will do
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
        began = _own_seconds()
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
                self._own = _own_seconds() - began

    def read(self) -> Metered | None:
        try:
            total = _number(self._folder, f"{_KIND}.usage") * _NANO - self._own
            user, system = self._split()
        except (OSError, ValueError):
            return None
        share = user / max(1, user + system)
        return Metered(total * share, total * (1 - share), near=0.002 + 0.01 * total + self._own)

    def _split(self) -> tuple[int, int]:
        try:
            return _number(self._folder, f"{_KIND}.usage_user"), _number(self._folder, f"{_KIND}.usage_sys")
        except FileNotFoundError:  # older kernels do not tell them apart
            return 1, 0

    def close(self) -> None:
        if self._folder:
            self._folder = self._removed()

    def _removed(self) -> str:
        with contextlib.suppress(OSError):
            _remove(self._folder, self._top)
        return ""


def _own_seconds() -> float:
    """Processor time of this process and of helpers that it waited for."""
    import resource

    helpers = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time() + helpers.ru_utime + helpers.ru_stime


def _number(folder: str, name: str) -> int:
    with open(os.path.join(folder, name), "rb") as file:
        return int(file.read())


def _write(folder: str, name: str, text: str) -> None:
    with open(os.path.join(folder, name), "wb", buffering=0) as file:
        file.write(text.encode())


def _remove(folder: str, top: str) -> None:
    """Removes a group and those below it, whose processes go on in the one that we are in. Raises OSError."""
    try:
        os.rmdir(folder)
        return
    except OSError:  # somebody lives, or has made groups of their own
        below = [entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    for inner in below:
        _remove(inner, top)
    with open(os.path.join(folder, "cgroup.procs"), "rb") as file:
        for pid in file.read().split():
            with contextlib.suppress(OSError):
                _write(top, "cgroup.procs", pid.decode())
    os.rmdir(folder)


class _Clock:
    """An event of `perf` that our next child, and whoever descends from it, is counted by from its exec on."""

    def __init__(self) -> None:
        """Raises OSError where the kernel does not count for us."""
        from orchgate.runner.forks import open_clock

        self._descriptor = open_clock()

    def read(self) -> Metered | None:
        try:
            nanoseconds: int = struct.unpack("Q", os.read(self._descriptor, 8))[0]
        except (OSError, struct.error):
            return None
        # Unlike the times of a process it goes on while an interrupt, or another virtual machine, has the processor.
        return Metered(nanoseconds * _NANO, 0.0, near=0.02 + 0.1 * nanoseconds * _NANO)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
