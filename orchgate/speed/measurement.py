"""What a measurement is and brings, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.speed.attribution import StageChange
    from orchgate.speed.sampling import Failure, Sample
    from orchgate.verdict.instructions import Instructions
    from orchgate.verdict.values import Judgement, Pair, Sitting


class Progress(NamedTuple):
    """What is happening: `doing` in words, and how many of at most `most` pairs are done."""

    doing: str
    pairs: int
    most: int
    seconds: float
    budget_seconds: float


class Former(NamedTuple):
    """What is gone on with: pairs of former sittings, and the share of the error budgets that this one may spend."""

    pairs: tuple[Pair, ...]
    sittings: tuple[Sitting, ...]
    share: float


class Measurement(NamedTuple):
    """A comparison by measurement.

    `stopped` is "decided", "looked" (after the last look), "budget", "gross" (head is slower by so much that no
    statistics were needed), "unsteady" (head was ended too often, and finished when it ran again) or "failed". `noise`
    is the spread of base's CPU time as a fraction of its median (None: fewer than two runs). `flips` seeds the order of
    the pairs. `notes` are lines for people: what could not be measured. `differs` names what else than the code differs
    between the sides. `took` is what the last whole run of each side took, in seconds, by label.
    """

    pairs: tuple[Pair, ...]
    samples: tuple[tuple[Sample, Sample], ...]  # of base and of head, one for each pair
    judgement: Judgement
    stages: tuple[StageChange, ...]
    failures: tuple[Failure, ...]
    stopped: str
    seconds: float
    pair_seconds: float  # what one pair took; the warm-up when no other was run, 0.0 when none was
    noise: float | None
    flips: str
    warm_up: tuple[Sample, Sample] | None = None
    notes: tuple[str, ...] = ()
    earlier: tuple[Pair, ...] = ()  # of former sittings, judged together with `pairs`, which are new
    sitting: Sitting | None = None  # this one; None where no pair was planned
    differs: tuple[str, ...] = ()
    took: Mapping[str, float] = {}
    instructions: Instructions | None = None  # where they were counted
