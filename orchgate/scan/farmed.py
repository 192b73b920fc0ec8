"""A scan whose units are judged by the workers of a cluster, which are sent the history first."""

from __future__ import annotations

import pickle
import uuid

from orchgate.cluster import remote
from orchgate.cluster.dispatch import Call, Dispatch, Job
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.scan import remote_units
from orchgate.scan.remote_units import READY_SECONDS, ScanRequest
from orchgate.scan.values import COMMIT, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.cluster.connection import Cluster
    from orchgate.git.store.parcel import CommitHistory
    from orchgate.scan.remote_units import Batch
    from orchgate.scan.values import Judging, UnitResult, UnitSpec

BATCH = 16  # consecutive commits of one worker: what one of them worked out helps with the next


class Commits(NamedTuple):
    """Where the commits of a scan are: the git directory, its newest one, and how to pack its history."""

    git_dir: str
    head: str
    packed: Callable[[], CommitHistory]


def judged(
    cluster: Cluster, judging: Judging, specs: Iterator[UnitSpec], commits: Commits | None
) -> Iterator[UnitResult]:
    """Results in the order of the units. Raises OrchgateError where the scheduler is gone, or no worker is left."""
    batches = Batches(specs)
    dispatch = Dispatch(cluster, _job(*_asked(cluster, judging, commits)))
    try:
        for done in dispatch.run(batches):
            batch = batches.given.pop(done.number)
            yield from done.value[1] if not done.problem else (failed(spec, done.problem) for spec in batch)
    finally:
        dispatch.stop()


class Batches:
    """Units by what one worker does at a time; those that were given out are known until they are back."""

    def __init__(self, specs: Iterator[UnitSpec]) -> None:
        self.given: dict[int, Batch] = {}
        self._specs = specs

    def __iter__(self) -> Iterator[Batch]:
        batch: list[UnitSpec] = []
        number = 0
        for spec in self._specs:
            batch.append(spec)
            if spec.kind != COMMIT or len(batch) == BATCH:
                self.given[number] = tuple(batch)
                yield self.given[number]
                batch, number = [], number + 1
        if batch:
            self.given[number] = tuple(batch)
            yield self.given[number]


def _asked(cluster: Cluster, judging: Judging, commits: Commits | None) -> tuple[ScanRequest, bytes]:
    """What workers are asked, and the pack that they are sent: none where all of them see the repository itself."""
    if commits is None:
        return ScanRequest(judging), b""
    seen = cluster.broadcast(remote_units.has, list(cluster.workers), commits.git_dir, commits.head)
    if all(one is True for one in seen.values()):
        return ScanRequest(judging, commits.git_dir), b""
    history = commits.packed()
    return ScanRequest(judging, sent=history._replace(pack=b"")), history.pack


def _job(asked: ScanRequest, pack: bytes) -> Job:
    name = uuid.uuid4().hex
    opening = pickle.dumps((remote_units.judging, asked))
    limits = remote.ChildLimits(READY_SECONDS, 2 * BATCH * asked.judging.patience)

    def call(batch: Batch) -> Call:
        return Call(remote.ask, name, opening, pickle.dumps(batch), limits)

    return Job(name, call, sum(limits), parcel=pack)
