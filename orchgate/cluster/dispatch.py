"""Hands units of work to the workers of a cluster, and gives back what they bring, in the order of the units.

Each unit goes to one named worker, so it is known who has it: one that dies, falls silent or cannot do it is left out
by name, and its units are done elsewhere. After so many tries a unit is itself the likely reason, and is named.
"""

from __future__ import annotations

import itertools
import pickle
import queue
import time
import uuid
from collections import Counter, deque

from orchgate.cluster import remote
from orchgate.cluster.connection import ANSWER_SECONDS, CONNECT_SECONDS, no_worker
from orchgate.errors import OrchgateError
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from distributed import Future

    from orchgate.cluster.connection import Cluster, Worker

TRIES = 3
_TICK = 1.0  # seconds between two looks at who is still there
_GRACE = 30.0  # seconds beyond its limit, after which a worker should have ended a unit itself
_STOP_SECONDS = 10.0
_FETCH_SECONDS = (5.0, 15.0, 60.0, 220.0)  # for a value, which may be large; after each it is asked who is still there
_PART = 4 << 20  # bytes of a parcel that are sent at once
_AHEAD = 10_000  # units that may be done before the one whose turn it is
_TOO_LATE = "no answer {:g} s after its time was up"


class Done(NamedTuple):
    """A unit of work, by its number from 0: its `value`, or why there is none. `worker` is who did it last."""

    number: int
    value: Any
    problem: str
    worker: str


class WorkUnit(NamedTuple):
    number: int
    spec: Any
    tried: tuple[str, ...] = ()  # by which workers, in vain


class _Running(NamedTuple):
    unit: WorkUnit
    worker: Worker
    future: Future
    since: float


class Call:
    """Pickles as a call: unpickled on a worker, it is what the function returned there.

    So a scheduler, which reads what it hands on, needs no orchgate.
    """

    def __init__(self, function: Callable[..., Any], *args: object) -> None:
        self._call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self._call


def run_units(
    cluster: Cluster,
    function: Callable[[Any], Any],
    specs: Iterable[Any],
    *,
    seconds: float | None = None,
    tries: int = TRIES,
) -> Iterator[Done]:
    """`function(spec)` for each spec on some worker, in the order of the specs whoever was first.

    The function is one of a module of ours, and runs in a process of its own, which may take so many `seconds`; specs
    and values are picklable. What it raises is the unit's problem, but `remote.Unfit`, or a full disk, is the worker's:
    that one is left out and the unit done elsewhere, as where a worker or its process dies, `tries` times in all. Specs
    are taken as workers get free. Left early, nothing goes on running.
    Raises SchedulerLost; OrchgateError where no worker is left.
    """
    job = uuid.uuid4().hex

    def call(spec: Any) -> Call:
        return Call(remote.call, job, pickle.dumps((function, spec)), seconds)

    work = Dispatch(cluster, Job(job, call, seconds, tries))
    try:
        yield from work.run(specs)
    finally:
        work.stop()


class Job(NamedTuple):
    """How the units of a job are called on workers, and how often each is tried.

    After so many `seconds` (None: nobody knows) a unit's call should have come back. `alone`: only one is done at a
    time on a machine, however many workers it has, and they take turns. `parcel` is sent to each worker before its
    first unit.
    """

    id: str
    call: Callable[[Any], Call]
    seconds: float | None
    tries: int = TRIES
    alone: bool = False
    parcel: bytes = b""


class Dispatch:
    """The workers' side of a job, which may be given units several times."""

    def __init__(self, cluster: Cluster, job: Job, tick: Callable[[], object] = lambda: None) -> None:
        self.workers: dict[str, Worker] = {}  # all that ever were given a unit, by address
        self.lost = 0  # times that a worker took a unit along when it died, or became unfit for it
        self._cluster = cluster
        self._job = job
        self._tick = tick
        self._again: deque[WorkUnit] = deque()
        self._running: dict[str, _Running] = {}  # by key
        self._done: dict[int, Done] = {}
        self._specs: Iterator[tuple[int, Any]] = iter(())
        self._next = 0  # the number of the unit whose turn it is to be given back
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._looked = time.monotonic()
        self._given: Counter[str] = Counter()  # units, by address
        self._sent: set[str] = set()  # addresses that have the parcel
        self._leases: dict[str, Future] = {}  # by address: what ends all there when this process is no more

    def run(self, specs: Iterable[Any]) -> Iterator[Done]:
        """What each unit brings, in their order; the numbers go on from those before."""
        self._specs = enumerate(specs, self._next)
        while self._running or self._done or self._is_more():
            self._hand_out()
            while self._next in self._done:
                self._next += 1
                yield self._done.pop(self._next - 1)
                self._hand_out()
            if self._running:
                self._wait()
            elif not self._cluster.workers and self._is_more():
                self._await_workers()

    def _is_more(self) -> bool:
        """Whether there are units that nobody has."""
        if not self._again:
            self._again.extend(WorkUnit(number, spec) for number, spec in itertools.islice(self._specs, 1))
        return bool(self._again)

    def _await_workers(self) -> None:
        """Those that died may be started again. Raises OrchgateError where none is."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while not self._cluster.workers:
            if time.monotonic() > deadline:
                raise no_worker(self._cluster)
            time.sleep(_TICK)
            self._cluster.refresh()

    def _hand_out(self) -> None:
        """Gives each free worker something to do."""
        self._send()
        for worker in self._free():
            unit = self._take(worker)
            if unit is None:
                return
            self._start(unit, worker)

    def _free(self) -> Iterator[Worker]:
        """Every worker as often as it has threads to spare; who has had the least first."""
        busy = [one.worker for one in self._running.values()]
        if self._job.alone:
            used = {worker.host for worker in busy}
            for worker in sorted(self._cluster.workers.values(), key=lambda one: self._given[one.address]):
                if worker.host not in used:
                    used.add(worker.host)
                    yield worker
            return
        taken = Counter(worker.address for worker in busy)
        room = {address: worker.threads - taken[address] for address, worker in self._cluster.workers.items()}
        while address := max(room, key=lambda one: room[one], default=""):
            if room[address] <= 0:
                return
            room[address] -= 1
            yield self._cluster.workers[address]

    def _take(self, worker: Worker) -> WorkUnit | None:
        """The next unit that this worker has not tried, or that all have."""
        is_full = len(self._done) >= _AHEAD
        if (is_full and not self._again) or not self._is_more():
            return None
        for _ in range(len(self._again)):
            unit = self._again.popleft()
            if worker.address not in unit.tried or self._cluster.workers.keys() <= set(unit.tried):
                return unit
            self._again.append(unit)
        found = None if is_full else next(self._specs, None)
        return WorkUnit(*found) if found else None

    def _start(self, unit: WorkUnit, worker: Worker) -> None:
        key = f"orchgate-{self._job.id}-{unit.number}-{len(unit.tried)}"
        future = self._submitted(self._job.call(unit.spec), key, worker.address)
        self.workers[worker.address] = worker
        self._given[worker.address] += 1
        self._running[key] = _Running(unit, worker, future, time.monotonic())
        future.add_done_callback(lambda ended: self._ended.put(ended.key))

    def _submitted(self, call: Call, key: str, address: str) -> Future:
        return self._cluster.client.submit(
            pickle.loads, pickle.dumps(call), key=key, pure=False, workers=[address], allow_other_workers=False
        )

    def _send(self) -> None:
        """Gives the parcel to all workers that do not have it; who cannot keep it is left out. Raises SchedulerLost."""
        new = [address for address in self._cluster.workers if address not in self._sent]
        for address in new:
            self._leases[address] = self._submitted(Call(remote.Lease, self._job.id), uuid.uuid4().hex, address)
        for begin in range(0, len(self._job.parcel), _PART) if new else ():
            part = self._job.parcel[begin : begin + _PART]
            for address, why in self._cluster.broadcast(remote.receive, new, self._job.id, part).items():
                if why:
                    self._cluster.leave_out(address, why)
            new = [address for address in new if address in self._cluster.workers]
        self._sent.update(new)

    def _wait(self) -> None:
        """Until a unit ends, or it is time to look who is still there."""
        self._tick()
        try:
            key = self._ended.get(timeout=_TICK)
        except queue.Empty:
            key = ""
        if key in self._running:
            self._ended_as(self._running.pop(key))
        if time.monotonic() - self._looked >= _TICK:
            self._look()

    def _look(self) -> None:
        self._looked = now = time.monotonic()
        for one in self._running.values():
            if self._job.seconds is not None and now - one.since > self._job.seconds + _GRACE:
                self._cluster.leave_out(one.worker.address, _TOO_LATE.format(_GRACE))
        self._cluster.refresh()
        for key, one in list(self._running.items()):
            if one.worker.address not in self._cluster.workers:
                del self._running[key]
                one.future.cancel()
                self.lost += 1
                self._retry(one, f"worker {one.worker.address}: {self._cluster.left_out[one.worker.address]}")

    def _ended_as(self, one: _Running) -> None:
        how, value = self._outcome(one)
        address = one.worker.address
        match how:
            case remote.VALUE:
                self._done[one.unit.number] = Done(one.unit.number, value, "", address)
            case remote.UNFIT | remote.SPOILT:
                self.lost += how == remote.SPOILT
                self._cluster.leave_out(address, value)
                self._retry(one, f"worker {address}: {value}")
            case remote.LOST:
                self.lost += 1
                self._retry(one, f"worker {address}: {value}")
            case _:
                self._done[one.unit.number] = Done(one.unit.number, None, str(value), address)

    def _outcome(self, one: _Running) -> tuple[str, Any]:
        """How a unit ended, and its value or why it has none. Raises SchedulerLost."""
        status = one.future.status
        if status == "cancelled":
            raise self._cluster.lost()
        if status == "error":
            error = one.future.exception(timeout=ANSWER_SECONDS)
            died = type(error).__name__ in ("KilledWorker", "NoValidWorkerError")
            return remote.LOST, "it died" if died else f"{type(error).__name__}: {error}"
        for seconds in _FETCH_SECONDS:
            try:
                how, value = one.future.result(timeout=seconds)
            except (TimeoutError, OSError):  # it may have died with the result in its hands, or the scheduler did
                self._cluster.refresh()
                if one.worker.address not in self._cluster.workers:
                    break
            else:
                return str(how), value
        return remote.LOST, "it died before its result was fetched"

    def _retry(self, one: _Running, why: str) -> None:
        tried = (*one.unit.tried, one.worker.address)
        if len(tried) < self._job.tries:
            self._again.append(one.unit._replace(tried=tried))
            return
        problem = f"given up after {counted(len(tried), 'try', 'tries')}; the last: {why}"
        self._done[one.unit.number] = Done(one.unit.number, None, problem, one.worker.address)

    def drop(self) -> None:
        """Forgets the units that are under way: nobody waits for them any more. What runs on workers goes on."""
        for one in self._running.values():
            one.future.cancel()
        self._running.clear()
        self._again.clear()
        self._done.clear()

    def stop(self) -> None:
        """Ends what still runs, everywhere. No errors: a scheduler that is gone has taken its tasks along."""
        if not self._running and not self._sent:
            return
        addresses = {one.worker.address for one in self._running.values()} | self._sent
        self.drop()
        try:
            self._cluster.broadcast(
                remote.stop, list(addresses & self._cluster.there), self._job.id, seconds=_STOP_SECONDS
            )
        except OrchgateError:
            return
        finally:
            self._leases.clear()
