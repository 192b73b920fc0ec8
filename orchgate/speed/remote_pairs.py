"""What a worker of a cluster does of a comparison: it makes both trees ready, and runs pairs when it is asked to."""

from __future__ import annotations

import os
from functools import partial

from orchgate.cluster.remote import PARCEL, Unfit
from orchgate.errors import OrchgateError
from orchgate.git import worktree_cache
from orchgate.git.store import parcel
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.speed import sampling, work_trees
from orchgate.speed.pair_runner import HeadUnfinished, PairRunner, Timing
from orchgate.speed.sampling import OutOfTime

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from orchgate.config.settings import Benchmarks
    from orchgate.git.repository import Repository
    from orchgate.speed.pair_runner import RunPair
    from orchgate.speed.sampling import Failure, Side
    from orchgate.verdict.gross import Unfinished
    from orchgate.verdict.values import Policy


class RemoteComparison(NamedTuple):
    """What is compared, as every worker is told: commits as hex ids, and the settings that `paired.measure` takes.

    Of the environment here nothing is sent: what runs on a worker sees that worker's.
    """

    base: str
    head: str
    pipeline: str
    command: tuple[str, ...]
    folder: str
    setup: tuple[str, ...]
    watch: tuple[str, ...]
    benchmarks: Benchmarks | None
    policy: Policy
    budget: float

    @property
    def commits(self) -> dict[str, str]:
        return {"base": self.base, "head": self.head}


class PairRequest(NamedTuple):
    """A pair to be run: which goes first was decided before anybody knew by whom. `seconds` are left of the budget."""

    head_first: bool
    late: bool
    seconds: float


class PairAnswer(NamedTuple):
    """A pair, or why there is none: the `failures` of head, no time left, or a head that does not end.

    `passed` are the sides that ran well there at least once; `ended` and `discarded` pairs do not count.
    """

    ran: RunPair | None = None
    failures: tuple[Failure, ...] = ()
    passed: frozenset[str] = frozenset()
    ended: int = 0
    discarded: int = 0
    out_of_time: bool = False
    unfinished: Unfinished | None = None


def measuring(asked: RemoteComparison, folder: str) -> Generator[PairAnswer, PairRequest, None]:
    """Yields the pair that warms up, and then one for each request. Raises Unfit where it is this worker's fault."""
    repository = _repository(asked, folder)
    environ = {**os.environ, worktree_cache.VARIABLE: os.path.join(folder, "trees")}
    opened = work_trees.opened(
        repository,
        asked.commits,
        environ=environ,
        pipeline=asked.pipeline,
        command=asked.command,
        folder=asked.folder,
        prepare=asked.setup,
    )
    with opened as (base, head):
        repository.close()  # a git that waits for questions would pass for a process a stage left behind
        yield from _pairs(asked, (base, head))


def _repository(asked: RemoteComparison, folder: str) -> Repository:
    inside, sent = os.path.join(folder, "repository"), os.path.join(folder, PARCEL)
    if not os.path.exists(sent):
        raise Unfit("what is to be measured did not arrive")
    return parcel.unpacked(inside, sent, (asked.base, asked.head), os.environ)


def _pairs(asked: RemoteComparison, sides: tuple[Side, Side]) -> Generator[PairAnswer, PairRequest, None]:
    base, head = ({stage.id for stage in side.stages} for side in sides)
    counters = sampling.COUNTERS | asked.policy.metrics.keys()
    timing = Timing(asked.budget)
    runner = PairRunner(sides, asked.policy, timing)
    with sampling.open_harness(
        sides, os.environ, asked.watch, judged=base & head, counters=counters, benchmarks=asked.benchmarks
    ) as harness:
        runner.harness = harness
        for side in sides:
            if failure := sampling.prepare(harness, side, asked.setup):
                runner.failed[side.label].append(failure)
            else:
                runner.passed.add(side.label)
        prepared, runner.passed = frozenset(runner.passed), set()
        timing.begin()
        answer = _answer(runner, None if runner.broken() else runner.warm_up)
        if len(prepared) < len(sides):
            answer = answer._replace(passed=prepared)
        while True:
            request = yield answer
            if runner.broken():
                continue
            timing.grant(request.seconds)
            answer = _answer(runner, partial(runner.pair, partial(bool, request.head_first), late=request.late))


def _answer(runner: PairRunner, run: Callable[[], RunPair] | None) -> PairAnswer:
    """What running a pair brings. Raises Unfit where base fails, or something interferes: it may work elsewhere."""
    ended, discarded = runner.ended, runner.thrown_away
    ran, late, unfinished = None, False, None
    try:
        ran = run() if run else None
    except OutOfTime:
        late = True
    except HeadUnfinished as found:
        unfinished = found.found
    except OrchgateError as error:
        raise Unfit(error.message) from error
    broken = runner.broken()
    for failure in broken:
        if failure.side == "base":
            said = f": {failure.last_line}" if failure.last_line else ""
            raise Unfit(f"{failure.subject} fails there on base ({failure.detail}){said}")
    return PairAnswer(
        None if broken or (ran and not ran.whole) else ran,
        broken,
        frozenset(runner.passed),
        runner.ended - ended,
        runner.thrown_away - discarded,
        late,
        unfinished,
    )
