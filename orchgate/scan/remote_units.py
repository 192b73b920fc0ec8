"""What a worker of a cluster does of a scan: it makes ready what it was sent, and judges what it is asked."""

from __future__ import annotations

import functools
import os

from orchgate.cluster.remote import PARCEL, Unfit
from orchgate.errors import OrchgateError
from orchgate.git.store import parcel
from orchgate.lib import files, locks
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.scan import clones, units, workers
from orchgate.scan.values import REPOSITORY, UnitResult, failed

if TYPE_CHECKING:
    from collections.abc import Generator

    from orchgate.scan.values import Judging, UnitSpec

_REPOSITORY = "scan.git"  # in the folder of a job
_READY, _LOCK = "ready", "lock"  # beside it: that it is whole, and that somebody is at it
READY_SECONDS = 3600.0  # for a worker to unpack a history

Batch = tuple["UnitSpec", ...]


class ScanRequest(NamedTuple):
    """By what all is judged; where its commits are, for workers that see the same disk, or the history that was sent.

    Of that history the pack came before. Where there are only addresses, there is neither.
    """

    judging: Judging
    git_dir: str = ""
    sent: parcel.CommitHistory | None = None


async def has(git_dir: str, commit: str) -> bool:
    """Whether a worker sees a repository that has a commit."""
    import asyncio

    def look() -> bool:
        from orchgate.git.repository import open_objects

        if not os.path.isdir(git_dir):
            return False
        try:
            with open_objects(git_dir, units.environ(), None) as store:
                return store.here(commit) == commit
        except OrchgateError:
            return False

    return await asyncio.to_thread(look)


def judging(asked: ScanRequest, folder: str) -> Generator[list[UnitResult] | None, Batch, None]:
    """Takes a batch of units and gives their results. Raises Unfit where another worker may be able to."""
    git_dir = _restored(asked.sent, folder) if asked.sent is not None else asked.git_dir
    if git_dir and not os.path.isdir(git_dir):
        raise Unfit(f"it has no folder {git_dir}")
    work = functools.partial(units.judge_alone, asked.judging)
    batch = yield None
    while True:
        specs = [_here(spec, git_dir) for spec in batch]
        # In a process of its own: one that ends it, or takes too long, is not the end of the others.
        found = workers.in_order(work, specs, 1, 2 * asked.judging.patience)
        batch = yield [_result(spec, one) for spec, one in zip(batch, found, strict=True)]


def _result(spec: UnitSpec, found: object) -> UnitResult:
    return found if isinstance(found, UnitResult) else failed(spec, found.why)  # type: ignore[attr-defined]  # FailedJob


def _here(spec: UnitSpec, git_dir: str) -> UnitSpec:
    """A unit as this machine finds it. Raises Unfit."""
    if spec.kind == REPOSITORY:
        if not spec.refused and clones.is_path(spec.source) and not os.path.isdir(spec.source):
            raise Unfit(f"it has no folder {spec.source}")
        return spec
    return spec._replace(source=git_dir)


def _restored(sent: parcel.CommitHistory, folder: str) -> str:
    git_dir, ready = os.path.join(folder, _REPOSITORY), os.path.join(folder, _READY)
    with open(os.path.join(folder, _LOCK), "ab") as held:  # a worker may have several processes for one job
        locks.take(held.fileno(), _LOCK, READY_SECONDS)
        if not os.path.exists(ready):
            try:
                parcel.restored(git_dir, os.path.join(folder, PARCEL), sent, os.environ)
            except OrchgateError as error:
                raise Unfit(f"it cannot unpack what was sent: {error.message}") from error
            files.create(ready, b"")
    return git_dir
