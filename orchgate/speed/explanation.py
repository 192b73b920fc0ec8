"""A measurement in words: what changed, by how much, in which stage, and how much repeated runs varied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.model import Verdict
from orchgate.speed import differences
from orchgate.speed.measurement import Stopped, shares_of_wall
from orchgate.verdict import benchmark_words, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.speed.measurement import Measurement, StageChange

_CARRIES = 0.2  # the share of a change from which a stage is named
_NAMED = 3  # stages


def lines(measurement: Measurement) -> Iterator[str]:
    """Everything that explains a verdict, the most important first; untrusted text is not escaped yet."""
    yield from words.headlines(measurement.judgement)
    yield from benchmark_words.headlines(measurement.judgement)
    yield from words.milder(measurement.judgement)
    yield from carriers(measurement)
    yield from benchmark_words.lines(measurement.judgement)
    yield from also(measurement)
    yield f"{how_measured(measurement)}"
    yield from (f"note: {line}" for line in (*measurement.judgement.notes, *measurement.notes))


def also(measurement: Measurement) -> Iterator[str]:
    """What else than the code may be what a verdict is about; nothing beside one that all is well."""
    if measurement.judgement.verdict is not Verdict.PASS:
        yield from differences.told(measurement.differs)


def carriers(measurement: Measurement) -> Iterator[str]:
    """The stages that carry a change in CPU time, where there are several to choose from."""
    if len(measurement.stages) < 2 or measurement.judgement.verdict not in (Verdict.FAIL, Verdict.WARN):
        return
    named = [one for one in measurement.stages if one.share is not None and one.share >= _CARRIES]
    for one in sorted(named, key=lambda one: -(one.share or 0.0))[:_NAMED]:
        percent = round(100 * min(one.share or 0.0, 1.0))
        yield f"in stage {one.id}: {stage_values(one)} of CPU time, {percent} % of the change"


def carrier(measurement: Measurement, metric: str) -> str:
    """The stage that carries most of a change in a time; "" where none stands out."""
    stages = measurement.stages
    if len(stages) == 1:
        return stages[0].id
    shares = {one.id: one.share for one in stages if one.share is not None}
    if metric == "wall_seconds":
        shares = shares_of_wall(stages)
    name = max(shares, key=lambda name: shares[name], default="")
    return name if name and shares[name] >= _CARRIES else ""


def stage_values(one: StageChange) -> str:
    """`0.080 s -> 0.105 s` of CPU time."""
    return f"{words.amount('cpu_seconds', one.base_cpu)} -> {words.amount('cpu_seconds', one.head_cpu)}"


def how_measured(measurement: Measurement) -> str:
    """`14 pairs in 3.9 s; CPU time of base varied by 2.1 % between runs`."""
    if measurement.stopped is Stopped.GROSS and not measurement.pairs:
        return f"measured for {measurement.seconds:.1f} s"
    text = f"{_counted(measurement)} in {measurement.seconds:.1f} s"
    if measurement.noise is not None:
        text += f"; CPU time of base varied by {words.share(measurement.noise)} between runs"
    return text + _why_stopped(measurement)


def budget_for(measurement: Measurement, pairs: int) -> int:
    """Whole seconds that would hold so many pairs, with the run that warms up and a tenth to spare."""
    return int(1.1 * (pairs + 1) * measurement.pair_seconds) + 1


def _counted(measurement: Measurement) -> str:
    """`14 pairs`, or `24 pairs, 16 of them of earlier pushes, 8 measured now`."""
    new, earlier = len(measurement.pairs), len(measurement.earlier)
    text = f"{new + earlier} {'pair' if new + earlier == 1 else 'pairs'}"
    return f"{text}, {earlier} of them of earlier pushes, {new} measured now" if earlier else text


def _why_stopped(measurement: Measurement) -> str:
    if measurement.stopped is Stopped.GROSS:
        return "; with so large a difference no more were needed"
    if measurement.stopped is not Stopped.BUDGET:
        return ""
    if not measurement.pair_seconds:
        return "; the time limit was reached before base and head had run once"
    return f"; stopped at the time limit, one pair takes {words.seconds(measurement.pair_seconds)}"


def instructions(measurement: Measurement) -> dict[str, float] | None:
    """What was counted of each side, and the change as a fraction of base; None where nothing was."""
    found = measurement.instructions
    return None if found is None else {**found._asdict(), "change": found.change}
