"""Processes that each do one job after another: results come in the order of the jobs, whoever did them.

A job that ends its process is done once more, alone; if that ends, too, or takes too long, its result says so and the
others go on. Jobs are drawn as there is room for their results, so that memory does not grow with them. Processes are
in sessions of their own: Ctrl-C reaches only us, and we end them with all that they started.
"""

from __future__ import annotations

import os
import selectors
import signal
import struct
import time
from collections import deque

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Any

BLOCK = 8  # consecutive jobs of one process: what one of them worked out helps with the next
AHEAD = 4  # blocks for each process whose results may wait for those of an earlier job
RENEWED = 400  # jobs after which a process makes place for a fresh one: nothing that it keeps may add up
_TICK = 0.5  # seconds between two looks at the clock
_GRACE = 2.0  # seconds that a process has to end when it is asked to
_THRESHOLDS = (50_000, 20, 50)  # of the collector of garbage: Python's own take a tenth of a judgement
_SIZE = struct.Struct("!Q")

_Numbered = tuple[int, object]


class FailedJob(NamedTuple):
    """Why a job has no result."""

    why: str


class _Worker:
    """One process. `waiting` are the jobs that it was given and has not answered, the first one is at work."""

    def __init__(self, work: Callable[[Any], object]) -> None:
        theirs, self.jobs = os.pipe()
        self.results, told = os.pipe()
        self.waiting: deque[_Numbered] = deque()
        self.done = 0
        self.since = time.monotonic()
        self._unread = bytearray()
        self.pid = os.fork()
        if self.pid == 0:
            _serve(work, theirs, told)
        os.close(theirs)
        os.close(told)

    def give(self, block: list[_Numbered]) -> None:
        import pickle

        self.waiting.extend(block)
        self.since = time.monotonic()
        data = pickle.dumps([job for _, job in block])
        with suppress(BrokenPipeError):  # it has died, and whoever reads its results sees it
            _send(self.jobs, data)

    def read(self) -> list[tuple[int, object]] | None:
        """Results that are whole by now; None where there will be no more."""
        import pickle

        data = os.read(self.results, 1 << 20)
        if not data:
            return None
        self._unread += data
        found = []
        while len(self._unread) >= _SIZE.size:
            end = _SIZE.size + _SIZE.unpack_from(self._unread)[0]
            if len(self._unread) < end:
                break
            result = pickle.loads(self._unread[_SIZE.size : end])  # noqa: S301 -- our own child wrote it
            del self._unread[:end]
            found.append((self.waiting.popleft()[0], result))
            self.done, self.since = self.done + 1, time.monotonic()
        return found

    def close(self) -> None:
        for descriptor in (self.jobs, self.results):
            with suppress(OSError):
                os.close(descriptor)

    def end(self) -> str:
        """Ends the process with all that it started; how it ended, if it had already."""
        self.close()
        how = _ended(self.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGTERM)
        until = time.monotonic() + _GRACE
        while how is None and time.monotonic() < until:
            time.sleep(0.01)
            how = _ended(self.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if how is None:
            how = os.waitpid(self.pid, 0)[1]
        return f"killed by signal {os.WTERMSIG(how)}" if os.WIFSIGNALED(how) else "ended early"


def _ended(pid: int) -> int | None:
    done, how = os.waitpid(pid, os.WNOHANG)
    return how if done else None


def _serve(work: Callable[[Any], object], jobs: int, results: int) -> None:
    """The life of a process: it never returns, and ends when nobody has jobs for it any more."""
    import gc
    import pickle

    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        # Held open here, pipes would keep others from seeing an end, and a file of ours would stay locked.
        for name in os.listdir("/dev/fd"):
            if int(name) > 2 and int(name) not in (jobs, results):
                with suppress(OSError):  # that of the listing is closed by now
                    os.close(int(name))
        gc.enable()  # of a program that ends soon it is off
        gc.set_threshold(*_THRESHOLDS)
        with open(jobs, "rb") as source:
            while (data := source.read(_SIZE.size)) and len(data) == _SIZE.size:
                for job in pickle.loads(source.read(_SIZE.unpack(data)[0])):  # noqa: S301 -- our own parent wrote it
                    _send(results, pickle.dumps(work(job)))
    finally:
        os._exit(0)  # no clean-up and no flushing: both belong to the parent


def _send(descriptor: int, data: bytes) -> None:
    whole = memoryview(_SIZE.pack(len(data)) + data)
    while whole:
        whole = whole[os.write(descriptor, whole) :]


def in_order(
    work: Callable[[Any], object], jobs: Iterable[object], count: int, patience: float
) -> Generator[Any, None, None]:
    """What `work` makes of each job, by `count` processes; both must be picklable.

    `FailedJob` stands for a job that ended its process twice or took longer than `patience` seconds.
    Raises OrchgateError where no process can be started.
    """
    crew = _Crew(work, jobs, count, patience)
    try:
        yield from crew.results()
    finally:
        crew.end()


class _Crew:
    def __init__(self, work: Callable[[Any], object], jobs: Iterable[object], count: int, patience: float) -> None:
        self._work = work
        self._jobs = enumerate(jobs)
        self._count = count
        self._patience = patience
        self._again: deque[_Numbered] = deque()  # of a process that died
        self._alone: set[int] = set()  # tried a second time, in a process that does nothing else
        self._ready: dict[int, object] = {}
        self._next = 0  # whose result is handed out next
        self._drawn = 0
        self._all_drawn = False
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def results(self) -> Iterator[object]:
        while True:
            while self._next in self._ready:
                yield self._ready.pop(self._next)
                self._next += 1
            self._employ()
            if not any(one.waiting for one in self._workers):
                return
            for key, _ in self._selector.select(_TICK):
                self._hear(key.data)
            self._look_at_the_clock()

    def _employ(self) -> None:
        """Gives jobs to everybody who has none."""
        for worker in [one for one in self._workers if not one.waiting and one.done >= RENEWED]:
            self._part_with(worker)
        idle = [one for one in self._workers if not one.waiting]
        while len(self._workers) - len(idle) < self._count and (block := self._block()):
            worker = idle.pop() if idle else self._start()
            worker.give(block)

    def _block(self) -> list[_Numbered]:
        """The next jobs for one process; none where there are none, or too many results wait for an earlier one."""
        if self._again:
            if self._again[0][0] in self._alone:
                return [self._again.popleft()]
            return [self._again.popleft() for _ in range(len(self._again)) if self._again[0][0] not in self._alone]
        block: list[_Numbered] = []
        while len(block) < BLOCK and self._drawn - self._next < BLOCK * AHEAD * self._count and not self._all_drawn:
            job = next(self._jobs, None)
            if job is None:
                self._all_drawn = True
                break
            block.append(job)
            self._drawn += 1
        return block

    def _start(self) -> _Worker:
        try:
            worker = _Worker(self._work)
        except OSError as error:
            raise OrchgateError(f"cannot start a process: {error.strerror}", "fewer --jobs") from error
        self._workers.append(worker)
        self._selector.register(worker.results, selectors.EVENT_READ, worker)
        return worker

    def _part_with(self, worker: _Worker) -> str:
        self._workers.remove(worker)
        self._selector.unregister(worker.results)
        return worker.end()

    def _hear(self, worker: _Worker) -> None:
        found = worker.read()
        if found is not None:
            self._ready.update(found)
        else:
            self._replace(worker, "")

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        for worker in [one for one in self._workers if one.waiting and now - one.since > self._patience]:
            self._replace(worker, f"took longer than {self._patience:g} s")

    def _replace(self, worker: _Worker, slow: str) -> None:
        """Of a process that died, or was too slow: its first job is tried again, once, and the others are new jobs."""
        how = self._part_with(worker)
        if not worker.waiting:
            return
        number, job = worker.waiting.popleft()
        self._again.extendleft(reversed(worker.waiting))
        if slow or number in self._alone:
            self._ready[number] = FailedJob(slow or f"the process that judged it was {how}, twice")
        else:
            self._alone.add(number)
            self._again.appendleft((number, job))

    def end(self) -> None:
        while self._workers:
            self._part_with(self._workers[-1])
        self._selector.close()
