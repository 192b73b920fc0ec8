"""How many processes a stage started, counted by the kernel: every fork below this process is an event of `perf`.

Opening the first such counter on a machine patches the kernel and takes some 25 ms, so it is done only for runs that
are measured. Where the kernel refuses (its `perf_event_paranoid`, a container's filter), nothing is counted.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALLS = {"x86_64": 298, "aarch64": 241}  # number of perf_event_open
_SOFTWARE, _TASK_CLOCK, _DUMMY = 1, 1, 9
# inherit, exclude_kernel and exclude_hv (whoever may not look there may still count), task, watermark
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


class Forks:
    """The counter: one buffer for each processor, all read by this process."""

    def __init__(self) -> None:
        """Raises OSError where the kernel does not count for us."""
        self.descriptors: list[int] = []
        self._buffers: list[mmap.mmap] = []
        self._stage: dict[int, int] = {}  # the first process of the stage that a process belongs to
        self._counts: dict[int, int] = {}
        self._lost = False
        try:
            for processor in range(os.cpu_count() or 1):
                self.descriptors.append(_open(processor))
                self._buffers.append(mmap.mmap(self.descriptors[-1], (1 + _PAGES) * mmap.PAGESIZE))
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

    def _records(self, buffer: mmap.mmap) -> Iterator[tuple[int, int, int]]:
        """Time, process and parent of each fork in a ring of bytes."""
        head, tail = _HEADS.unpack_from(buffer, _HEADS_AT)
        size = _PAGES * mmap.PAGESIZE
        start = tail % size
        ring = buffer[mmap.PAGESIZE :]
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


def open_clock() -> int:
    """A descriptor to read nanoseconds of processor time from: those of our next child and of all that descend from it,
    each from its first exec on. Raises OSError.
    """
    return _event(_TASK_CLOCK, _CLOCK_FLAGS, processor=-1)


def _open(processor: int) -> int:
    return _event(_DUMMY, _FLAGS, processor, wakeup=_PAGES * mmap.PAGESIZE // 2)


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
