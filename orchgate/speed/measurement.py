"""What a measurement brings: pairs, verdict, and which stages a change in time comes from."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib import numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.speed.sampling import Failure, MeasuredRun, Side
    from orchgate.verdict.instructions import Instructions
    from orchgate.verdict.values import Judgement, Pair, Sitting

_WORTH_SHARING = 0.005  # a change of the whole, as a fraction, below which nobody carries it


class StageChange(NamedTuple):
    """What one stage costs on each side, in CPU and wall seconds; None where it was not measured, or is not there.

    `share` is the fraction of the whole change in CPU time that this stage carries; None where that hardly changed.
    """

    id: str
    base_cpu: float | None
    head_cpu: float | None
    base_wall: float | None
    head_wall: float | None
    share: float | None = None

    @property
    def moved(self) -> float:
        """CPU seconds that head takes more than base; 0 where only one side is known."""
        return self.head_cpu - self.base_cpu if self.head_cpu is not None and self.base_cpu is not None else 0.0


def changes(sides: tuple[Side, Side], samples: Sequence[tuple[MeasuredRun, MeasuredRun]]) -> tuple[StageChange, ...]:
    """Every stage of either side, head's first, with medians over the runs."""
    base, head = ({stage.id for stage in side.stages} for side in sides)
    order = [stage.id for stage in (*sides[1].stages, *sides[0].stages)]
    found = [_change(name, samples, name in base, name in head) for name in dict.fromkeys(order)]
    before = sum(one.base_cpu or 0.0 for one in found if one.id in base & head)
    moved = sum(one.moved for one in found)
    if before <= 0 or abs(moved) < _WORTH_SHARING * before:
        return tuple(found)
    return tuple(one._replace(share=one.moved / moved) if one.id in base & head else one for one in found)


def shares_of_wall(stages: Sequence[StageChange]) -> dict[str, float]:
    """The fraction of a change in wall time that each stage of both sides carries; nothing where it hardly changed.

    Of stages that wait, CPU time tells nothing.
    """
    known = [(one.id, one.base_wall, one.head_wall) for one in stages]
    moved = {name: head - base for name, base, head in known if base is not None and head is not None}
    before = sum(base for name, base, _ in known if base is not None and name in moved)
    total = sum(moved.values())
    return {name: one / total for name, one in moved.items()} if abs(total) > _WORTH_SHARING * before else {}


def _change(name: str, samples: Sequence[tuple[MeasuredRun, MeasuredRun]], in_base: bool, in_head: bool) -> StageChange:
    arms = (
        [pair[0].stages for pair in samples] if in_base else [],
        [pair[1].stages for pair in samples] if in_head else [],
    )
    cpu = [median(_values(arm, name, "cpu_seconds")) for arm in arms]
    wall = [median(_values(arm, name, "wall_seconds")) for arm in arms]
    return StageChange(name, cpu[0], cpu[1], wall[0], wall[1])


def _values(runs: Sequence[Mapping[str, Mapping[str, float]]], stage: str, metric: str) -> Iterator[float]:
    return (run[stage][metric] for run in runs if metric in run.get(stage, {}))


def median(values: Iterable[float]) -> float | None:
    """The middle of some values; None where there are none."""
    known = list(values)
    return numbers.median(known) if known else None


def spread(values: Sequence[float]) -> float | None:
    """The usual distance from the median, as a fraction of it (1.48 median absolute deviations); None for a few."""
    middle = median(values)
    if middle is None or middle <= 0 or len(values) < 4:
        return None
    return 1.4826 * (median([abs(value - middle) for value in values]) or 0.0) / middle


class Stopped(Enum):
    """Why a measurement ended."""

    DECIDED = "decided"
    LOOKED = "looked"  # after the last look
    BUDGET = "budget"
    GROSS = "gross"  # head is slower by so much that no statistics were needed
    UNSTEADY = "unsteady"  # head was ended too often, and finished when it ran again
    FAILED = "failed"


class Former(NamedTuple):
    """What is gone on with: pairs of former sittings, and the share of the error budgets that this one may spend."""

    pairs: tuple[Pair, ...]
    sittings: tuple[Sitting, ...]
    share: float


class Measurement(NamedTuple):
    """A comparison by measurement.

    `noise` is how far base's CPU time usually is from its median, as a fraction of it (None: fewer than four runs).
    `flips` seeds the order of the pairs. `notes` are lines for people: what could not be measured. `differs` names what
    differs between the sides besides the code. `took` is what the last whole run of each side took, in seconds, by
    label.
    """

    pairs: tuple[Pair, ...]
    samples: tuple[tuple[MeasuredRun, MeasuredRun], ...]  # of base and of head, one for each pair
    judgement: Judgement
    stages: tuple[StageChange, ...]
    failures: tuple[Failure, ...]
    stopped: Stopped
    seconds: float
    pair_seconds: float  # what one pair took; the warm-up when no other was run, 0.0 when none was
    noise: float | None
    flips: str
    warm_up: tuple[MeasuredRun, MeasuredRun] | None = None
    notes: tuple[str, ...] = ()
    earlier: tuple[Pair, ...] = ()  # of former sittings, judged together with `pairs`, which are new
    sitting: Sitting | None = None  # this one; None where no pair was planned
    differs: tuple[str, ...] = ()
    took: Mapping[str, float] = {}
    instructions: Instructions | None = None  # where they were counted
