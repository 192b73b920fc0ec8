"""Observed runs together with those that their programs recorded: each second counts once, for the inner run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError
from orchgate.hotspots.timeline import MICROSECONDS, Phase
from orchgate.hotspots.timing import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.hotspots.timeline import StageTime, Timeline

_WORK = (Phase.EXECUTING, Phase.SILENT)


def joined(runs: Sequence[Timeline]) -> tuple[list[Timeline], list[tuple[str, OrchgateError]]]:
    """The runs and all that are inside of them, each once, and what cannot be read, by the folder.

    An observed run keeps what its program did beside the runs inside, and the files.
    """
    known = {os.path.realpath(run.path): run for run in runs}
    troubles: list[tuple[str, OrchgateError]] = []
    waiting = list(runs)
    while waiting:
        for path in waiting.pop().inner:
            if path not in known:
                try:
                    known[path] = read(os.path.dirname(path))
                except OrchgateError as error:
                    troubles.append((os.path.dirname(path), error))
                else:
                    waiting.append(known[path])
    return [_without(run, [known[path] for path in run.inner if path in known]) for run in known.values()], troubles


def _without(run: Timeline, inner: Sequence[Timeline]) -> Timeline:
    """A run without the time that passed while runs inside of it went on."""
    left = _covered(run, inner)
    stages, passed = [], 0
    for stage in run.stages if left else ():
        taken = min(left - passed, sum(stage.spent.get(part, 0) for part in _WORK))
        stages.append(_shortened(stage, taken) if taken else stage)
        passed += taken
    if any(one.pipeline == run.pipeline for one in inner):  # it would be taken for one of them
        run = run._replace(pipeline=f"{run.pipeline} (from outside)")
    return run._replace(stages=tuple(stages), wall=run.wall - passed, inside=passed) if passed else run


def _shortened(stage: StageTime, taken: int) -> StageTime:
    spent = dict(stage.spent)
    for part in _WORK:
        here = min(taken, spent.get(part, 0))
        spent[part] = spent.get(part, 0) - here
        taken -= here
    # How busy the processor was is known of the program as a whole only.
    cost = stage.cost._replace(cpu_seconds=None, wall_seconds=None)
    return stage._replace(spent=spent, cost=cost, outside=True)


def _covered(run: Timeline, inner: Iterable[Timeline]) -> int:
    """Microseconds of a run in which at least one run inside went on."""
    total = end = 0
    for begin, over in sorted(_within(run, inner)):
        total += max(0, over - max(begin, end))
        end = max(end, over)
    return total


def _within(run: Timeline, inner: Iterable[Timeline]) -> Iterator[tuple[int, int]]:
    for one in inner:
        begin = round((one.started - run.started) * MICROSECONDS)
        yield max(0, begin), min(run.wall, begin + one.wall)
