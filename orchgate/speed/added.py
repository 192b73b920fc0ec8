"""What the stages cost that a change adds: head's own definition is run once, after the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError
from orchgate.lib import working_time
from orchgate.speed import sampling, sides
from orchgate.speed.timing import OutOfTime
from orchgate.verdict import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.git.repository import Repository
    from orchgate.speed.definition import PipelineChange
    from orchgate.speed.sampling import MeasuredRun, Side

SHARE = 0.2  # of the budget, which this run may take where the comparison used it up
NOT_MEASURED = "cost not measured"


def costs(
    repository: Repository,
    head: str,
    change: PipelineChange,
    *,
    environ: Mapping[str, str],
    prepare: Sequence[str],
    seconds: float,
) -> dict[str, str]:
    """By id of an added stage what it costs, in words; why it is not known where the run fails or takes too long.

    Raises KeyboardInterrupt as every measurement.
    """
    if not change.added:
        return {}
    assert change.head is not None  # or no stage would be known to be new
    opened = sides.opened(repository, {"head": head}, environ=environ, pipeline=change.head.name, prepare=prepare)
    try:
        with opened as (side,):
            repository.blobs.close()  # what measures ends every process below it, git's answering one too
            ran = _ran(side, environ, prepare, seconds)
    except OutOfTime:
        return dict.fromkeys(change.added, f"{NOT_MEASURED}: a run takes more than {seconds:.3g} s")
    except OrchgateError as error:
        return dict.fromkeys(change.added, f"{NOT_MEASURED}: {error.message}")
    return {name: _cost(name, ran) for name in change.added}


def _ran(side: Side, environ: Mapping[str, str], prepare: Sequence[str], seconds: float) -> MeasuredRun:
    """Raises OutOfTime, OrchgateError."""
    with sampling.open_harness([side], environ) as harness:
        if failed := sampling.prepare(harness, side, prepare, seconds):
            raise OrchgateError(f"{failed.stage} fails: {failed.detail}")
        ran = sampling.once(harness, side, working_time.now() + seconds)
        if harness.session.loop.signals:
            raise KeyboardInterrupt
        return ran


def _cost(name: str, ran: MeasuredRun) -> str:
    if ran.failure:
        fails = ran.failure.stage == name
        return f"fails: {ran.failure.detail}" if fails else f"{NOT_MEASURED}: stage {ran.failure.stage} fails"
    cost = ran.stages.get(name, {})
    told = (("cpu_seconds", "of CPU time"), ("wall_seconds", "in all"))
    return ", ".join(f"{words.amount(key, cost[key])} {what}" for key, what in told if key in cost) or NOT_MEASURED
