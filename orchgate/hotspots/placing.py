"""The stages of runs and of the runs that they called, each with what the whole would gain if it took less. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from orchgate.hotspots import replay
from orchgate.hotspots.timeline import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchgate.hotspots.replay import Course
    from orchgate.hotspots.timeline import StageTime, Timeline

SEPARATOR = " > "  # between a stage and one of the run that it called


class Placed(NamedTuple):
    """A stage. `saved` says by how many microseconds the outermost run could be shorter at most, if it took so many
    less; `beside` the names of the stages that it could run beside, did they have a slot.
    """

    name: str
    time: StageTime
    saved: Callable[[int], int]
    beside: Callable[[], tuple[str, ...]]


def by_name(runs: Sequence[Timeline]) -> dict[str, list[Placed]]:
    """The stages of several runs and of those that they called, in the order of the newest run."""
    listed = [list(flat(run)) for run in runs]
    found: dict[str, list[Placed]] = {one.name: [] for stages in reversed(listed) for one in stages}
    for stages in listed:
        for one in stages:
            found[one.name].append(one)
    return found


def flat(run: Timeline, before: str = "", outer: Callable[[int], int] = lambda less: less) -> Iterator[Placed]:
    """The stages of one run, those of the runs that it called after their callers."""
    its = of(run)
    for index, stage in enumerate(run.stages, 1):
        name = before + stage.id if stage.id else ""
        saved = partial(_saved, its, index if stage.id else 0, outer)
        yield Placed(name, stage, saved, partial(_beside, its, index, run, before))
        if stage.inner:
            yield from flat(stage.inner, name + SEPARATOR, saved)


def of(run: Timeline) -> Course:
    """What a run was made of."""
    named = {index: stage.lasted() for index, stage in enumerate(run.stages, 1) if stage.id}
    away = sum(stage.spent.get(Phase.AWAY, 0) for stage in run.stages)
    nobodys = sum(sum(stage.spent.values()) - stage.spent.get(Phase.AWAY, 0) for stage in run.stages if not stage.id)
    return replay.course(run.wall - away, run.tail + nobodys, named, run.needs, run.slots, measured=run.measured)


def without(run: Timeline, part: Phase) -> int:
    """By how many microseconds a run could be shorter at most without a part of every stage, called ones included."""
    less: dict[int, int] = {}
    serial = run.tail if part is Phase.RECORDING else 0
    for index, stage in enumerate(run.stages, 1):
        if stage.id:
            less[index] = stage.lasted(part) + (without(stage.inner, part) if stage.inner else 0)
        else:
            serial += stage.spent.get(part, 0)
    return replay.savable(of(run), less, serial)


def _saved(its: Course, index: int, outer: Callable[[int], int], less: int) -> int:
    return outer(replay.savable(its, {index: less}))


def _beside(its: Course, index: int, run: Timeline, before: str) -> tuple[str, ...]:
    return tuple(before + run.stages[other - 1].id for other in replay.beside(its, index))
