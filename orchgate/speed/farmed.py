"""A comparison whose pairs run on the workers of a cluster, both runs of a pair on one of them.

Nobody can choose which pairs count. A pair's coin falls before it is given to a worker, and pairs count in the order
in which they were given out, not in that in which they came back: what a look sees is the pairs up to a number. Of a
worker that dies, what it brought stays; the pair that it had is run again elsewhere, with the same coin. Were its
pairs taken back, or left out, a head that makes machines fall over would be judged by the machines that it spared;
so where that happens often nothing is passed, and a pair that was lost three times ends it all.
"""

from __future__ import annotations

import pickle
import uuid
from collections import Counter

from orchgate.cluster import remote
from orchgate.cluster.connection import SchedulerLost
from orchgate.cluster.dispatch import Call, Dispatch, Job
from orchgate.lib import working_time
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.speed import remote_pairs
from orchgate.speed.measurements import EarlierPairs, RanOn, Stopped
from orchgate.speed.pair_runner import LATE, HeadUnfinished, RunPair, Timing
from orchgate.speed.paired import MOST_PAIRS, PairedRun
from orchgate.speed.sampling import MeasuredRun, OutOfTime
from orchgate.verdict.comparison import next_look
from orchgate.verdict.values import Judgement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.cluster.connection import Cluster, Worker
    from orchgate.cluster.dispatch import Done
    from orchgate.speed.measurements import Measurement
    from orchgate.speed.pair_runner import Progress
    from orchgate.speed.remote_pairs import PairAnswer, PairRequest, RemoteComparison
    from orchgate.speed.sampling import Failure, Side

SETUP_SECONDS = 3600.0  # for `performance.setup` and the first runs on a worker
_ANSWER_SECONDS = 60.0  # beyond the budget, for a worker to say how a pair ended
_OFTEN = 3  # pairs that may have been lost with their workers, and
_SHARE = 0.1  # of all pairs, where nothing is suspected
_NO_PAIR = RunPair(MeasuredRun({}, {}), MeasuredRun({}, {}), whole=False, seconds=0.0)


class PairLost(Exception):
    """A pair could not be run, whoever was given it."""


def measure(
    cluster: Cluster,
    asked: RemoteComparison,
    sides: tuple[Side, Side],
    pack: bytes,
    *,
    most_pairs: int = MOST_PAIRS,
    tell: Callable[[Progress], None] | None = None,
) -> Measurement:
    """As `paired.measure`, on workers, which are given a `pack` with the trees of both commits.

    `sides` say what runs; their work trees are made elsewhere. Where the scheduler goes away, what came back until then
    is the measurement, and its verdict that nobody knows.
    Raises OrchgateError where no worker is left; KeyboardInterrupt, with nothing left running.
    """
    clock = _SharedTiming(asked.budget, cluster)
    run = PairedRun(sides, asked.policy, clock, EarlierPairs((), (), 1.0), most_pairs, partial=False, tell=tell)
    if not run.common:
        reason = "the pipelines of base and head have no stage in common"
        return run.ended(Judgement(Verdict.BROKEN, decided=True, reason=reason), Stopped.FAILED)
    dispatch = Dispatch(cluster, _job(asked, pack), run.reporter.tick)
    farm = _Farm(cluster, dispatch, clock, run.coin, most_pairs)
    run.runner = farm
    run.reporter.now(f"preparing on {counted(len(cluster.workers), 'worker')}")
    try:
        measurement = run.run()
    except (SchedulerLost, PairLost) as error:
        pairs = counted(sum(farm.pairs.values()), "pair")
        measurement = run.ended(Judgement(Verdict.BROKEN, reason=f"{error}, after {pairs}"), Stopped.LOST)
    finally:
        dispatch.stop()
    return _steady(measurement, dispatch.lost)._replace(ran_on=farm.ran_on())


def _job(asked: RemoteComparison, pack: bytes) -> Job:
    name = uuid.uuid4().hex
    opening = pickle.dumps((remote_pairs.measuring, asked))
    limits = remote.ChildLimits(SETUP_SECONDS + asked.budget, asked.budget + LATE + _ANSWER_SECONDS)

    def call(request: PairRequest) -> Call:
        return Call(remote.ask, name, opening, pickle.dumps(request), limits)

    return Job(name, call, sum(limits), alone=True, parcel=pack)


def _steady(measurement: Measurement, lost: int) -> Measurement:
    """Nothing is passed where pairs were lost with their workers so often that head may be why."""
    if lost <= max(_OFTEN, _SHARE * len(measurement.pairs)):
        return measurement
    if measurement.judgement.verdict in (Verdict.FAIL, Verdict.BROKEN):
        return measurement
    reason = f"{lost} pairs were lost with the workers that had them"
    judgement = measurement.judgement._replace(verdict=Verdict.INCONCLUSIVE, decided=False, reason=reason)
    return measurement._replace(judgement=judgement, stopped=Stopped.UNSTEADY)


class _SharedTiming(Timing):
    """The clock of pairs that run side by side, on as many machines as are there."""

    def __init__(self, budget: float, cluster: Cluster) -> None:
        super().__init__(budget)
        self._cluster = cluster
        self._begun = False

    @property
    def _side_by_side(self) -> int:
        return max(1, len({worker.host for worker in self._cluster.workers.values()}))

    def fits(self, pairs: int, *, late: bool = False) -> bool:
        return super().fits(-(-pairs // self._side_by_side), late=late)

    def plan(self) -> int:
        return self._side_by_side * super().plan()

    def began_before(self, seconds: float) -> None:
        """The budget began so many seconds ago, when the first worker was ready."""
        self.grant(self.budget - seconds)
        self._begun = True

    def left(self, *, late: bool) -> float:
        """Seconds for a pair that is given out now."""
        return max(0.0, self.deadline(late=late) - working_time.now()) if self._begun else self.budget


class _Farm:
    """Pairs from workers, in the order in which they were given out; a source as `PairedRun` wants one."""

    def __init__(
        self, cluster: Cluster, dispatch: Dispatch, clock: _SharedTiming, coin: Callable[[], bool], most: int
    ) -> None:
        self.ended = 0  # pairs in which head was ended, and finished when it ran again
        self.passed: set[str] = set()
        self.took: dict[str, float] = {}
        self.pairs: Counter[str] = Counter()  # by machine
        self._cluster = cluster
        self._dispatch = dispatch
        self._clock = clock
        self._coin = coin
        self._most = min(most, MOST_PAIRS)
        self._late = False
        self._workers: dict[str, Worker] = {}  # all that ever brought a pair, by address
        self._machines: dict[str, str] = {}  # by host, numbered in the order of their first pair
        self._discarded = 0
        self._failures: tuple[Failure, ...] = ()
        self._came: Iterator[Done] = iter(())
        self._kept: RunPair | None = None  # the pair that came with the one that warmed up

    def warm_up(self) -> RunPair:
        ready, self._kept = self._next()
        if ready is None or self._failures:
            return _NO_PAIR
        self._clock.began_before(ready.seconds + self._kept.seconds)
        return ready

    def pair(self, coin: Callable[[], bool], *, late: bool) -> RunPair:
        del coin  # it has fallen when the pair was given out
        self._late = late
        ran, self._kept = self._kept, None
        return ran or self._next()[1]

    def _next(self) -> tuple[RunPair | None, RunPair]:
        """What warmed up the worker of the next pair, where it did not have one before, and that pair.

        Raises OutOfTime, HeadUnfinished, PairLost, OrchgateError.
        """
        done = next(self._came, None)
        if done is None:
            counted_ = sum(self.pairs.values())
            target = min(self._most, next_look(counted_) or MOST_PAIRS)
            self._came = self._dispatch.run(self._requests(target - counted_))
            done = next(self._came)
        if done.problem:
            raise PairLost(f"pair {done.number + 1} could not be run: {done.problem}")
        ready, answer = done.value
        for one in filter(None, (ready, answer)):
            self._take(one)
        if answer.ran is None or self._failures:
            return ready and ready.ran, _NO_PAIR
        return ready and ready.ran, answer.ran._replace(machine=self._machine(done.worker))

    def _requests(self, count: int) -> Iterator[PairRequest]:
        """Made when a worker is free, before it is known which: the coins fall in the order of the pairs."""
        for _ in range(count):
            yield remote_pairs.PairRequest(self._coin(), self._late, self._clock.left(late=self._late))

    def _take(self, answer: PairAnswer) -> None:
        self.ended += answer.ended
        self._discarded += answer.discarded
        self.passed |= answer.passed
        self._failures = self._failures or answer.failures
        if answer.unfinished:
            raise HeadUnfinished(answer.unfinished)
        if answer.out_of_time:
            raise OutOfTime

    def _machine(self, address: str) -> str:
        worker = self._workers.setdefault(address, self._dispatch.workers[address])
        number = len(self._machines) + 1
        machine = self._machines.setdefault(worker.host, f"{worker.machine}/{number}")
        self.pairs[machine] += 1
        return machine

    def broken(self) -> tuple[Failure, ...]:
        return self._failures

    def notes(self) -> list[str]:
        lines = []
        if self._discarded:
            lines.append(f"{counted(self._discarded, 'pair')} discarded and measured again: something was stopped")
        if self.ended:
            lines.append(f"{counted(self.ended, 'pair')} not counted: head was ended, and finished when it ran again")
        if self._dispatch.lost:
            lines.append(f"{counted(self._dispatch.lost, 'pair')} lost with a worker, and run again elsewhere")
        return lines

    def ran_on(self) -> RanOn:
        known = [*self._workers.values(), *self._cluster.workers.values()]
        machine = known[0].facts["machine"] if known else {}
        left_out = tuple(self._cluster.left_out.values())
        return RanOn(machine, tuple(self.pairs.values()), len(self._workers), left_out)
