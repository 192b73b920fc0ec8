"""What a measurement brings: pairs, verdict, which stages a change comes from, and all of it in words."""

from __future__ import annotations

from orchgate.lib import text
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple
from orchgate.model import Verdict
from orchgate.verdict import reported_benchmarks, words
from orchgate.verdict.values import Judgement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.runs.stages import Stage
    from orchgate.speed.sampling import Failure, MeasuredRun, Side
    from orchgate.verdict.comparison import Instructions
    from orchgate.verdict.values import Pair, Sitting

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
    return text.median(known) if known else None


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
    UNSTEADY = "unsteady"  # head was ended too often, and finished when it ran again; or workers died too often
    LOST = "lost"  # the cluster on which it ran
    FAILED = "failed"


class RanOn(NamedTuple):
    """Where pairs ran that were given to workers: the machine class, and how many pairs each machine had.

    So many `workers` had a part in it; `left_out` says why others had none. No machine is named.
    """

    machine: Mapping[str, object]
    pairs: tuple[int, ...]
    workers: int
    left_out: tuple[str, ...]


class EarlierPairs(NamedTuple):
    """The pairs of earlier sittings, and the share of the error budgets that this one may spend."""

    pairs: tuple[Pair, ...]
    sittings: tuple[Sitting, ...]
    share: float


class Measurement(NamedTuple):
    """A comparison by measurement.

    `noise` is how far base's CPU time usually is from its median, as a fraction of it (None: fewer than four runs).
    `flips` seeds the order of the pairs. `notes` are lines for people: what could not be measured. `differs` names what
    differs between the sides besides the code. `took` is what the last whole run of each side took, in seconds, by
    label. `ran_on` is None where all ran here.
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
    earlier: tuple[Pair, ...] = ()  # of earlier sittings, judged together with `pairs`, which are new
    sitting: Sitting | None = None  # this one; None where no pair was planned
    differs: tuple[str, ...] = ()
    took: Mapping[str, float] = {}
    instructions: Instructions | None = None  # where they were counted
    ran_on: RanOn | None = None


# What it means that a side fails: an error of that side, and never "slower"


def judgement(failures: Sequence[Failure], passed: frozenset[str] | set[str]) -> Judgement:
    """The verdict over sides that cannot be measured. `passed` are the labels of those that ran well at least once.

    Head is refused only where base did what head fails to do; everything else is nobody's verdict on head.
    """
    by_side = {failure.side: failure for failure in failures}
    if len(by_side) > 1:
        base, head = by_side["base"], by_side["head"]
        same = base.stage == head.stage and base.detail == head.detail
        rest = " on base and on head alike" if same else f" on head; on base {_words(base)}"
        return Judgement(Verdict.BROKEN, decided=True, reason=f"{_words(head)}{rest}{_with_last_line(head)}")
    (failure,) = by_side.values()
    if failure.side in passed:
        reason = (
            f"{_words(failure)} again and again on {failure.side}, after it had passed there{_with_last_line(failure)}"
        )
        return Judgement(Verdict.BROKEN, decided=True, reason=reason)
    other = "head" if failure.side == "base" else "base"
    reason = f"{_words(failure)} on {failure.side}" + (f", passes on {other}" if other in passed else "")
    refused = failure.side == "head" and other in passed
    return Judgement(
        Verdict.FAIL if refused else Verdict.BROKEN, decided=True, reason=reason + _with_last_line(failure)
    )


def unsteady(judgement: Judgement, ended: int) -> Judgement:
    """The verdict where head was ended in so many pairs and then finished: those do not count, so it cannot pass."""
    if judgement.verdict in (Verdict.FAIL, Verdict.BROKEN):
        return judgement
    reason = f"in {ended} pairs head was ended far beyond what base takes, and finished when it ran again"
    return judgement._replace(verdict=Verdict.INCONCLUSIVE, decided=False, reason=reason)


def advice(failures: Sequence[Failure]) -> str:
    """What is often forgotten where the same goes wrong on both sides; "" elsewhere."""
    if len({failure.side for failure in failures}) < 2 or any(failure.stage == "prepare" for failure in failures):
        return ""
    return (
        "what git ignores (node_modules, .venv, …) and sub-repositories are not in these trees: "
        "performance.setup can put them there"
    )


def command(stages: Sequence[Stage], failure: Failure) -> str:
    """What its stage runs, to be run by hand; "" for what is no stage."""
    import shlex

    for stage in stages:
        if stage.id == failure.stage:
            run = stage.shell or shlex.join(stage.argv)
            return f"(cd {shlex.quote(stage.cwd)} && {run})" if run and stage.cwd else run
    return ""


def _words(failure: Failure) -> str:
    return f"{failure.subject} fails ({failure.detail})"


def _with_last_line(failure: Failure) -> str:
    return f": {failure.last_line}" if failure.last_line else ""


def notes(samples: Sequence[tuple[MeasuredRun, MeasuredRun]]) -> list[str]:
    """Lines for people about what was not compared."""
    tolerated = {(one.side, one.stage, one.detail): None for pair in samples for ran in pair for one in ran.tolerated}
    lines = [f"stage {stage} fails on {label}, which is allowed ({detail})" for label, stage, detail in tolerated]
    if samples and all(ran.hidden_memory for pair in samples for ran in pair if not ran.failure):
        lines.append("memory is not judged: both sides take less than orchgate itself, and less is not seen")
    failed = {label: sum(pair[at].failure is not None for pair in samples) for at, label in enumerate(("base", "head"))}
    lines += [f"{count} of {len(samples)} runs of {label} failed" for label, count in failed.items() if count]
    return lines + list(dict.fromkeys(line for pair in samples for ran in pair for line in ran.notes))


def as_json(failure: Failure) -> dict[str, str]:
    """A failed run in the words of `schemas/perf.json` and `schemas/baseline-report.json`."""
    return {"side": failure.side, "stage": failure.stage, "detail": failure.detail, "said": failure.last_line}


# In words: what changed, by how much, in which stage, and how much repeated runs varied


_CARRIES = 0.2  # the share of a change from which a stage is named
_NAMED = 3  # stages
_DIFFERENCES = 5  # that are named


def lines(measurement: Measurement) -> Iterator[str]:
    """Everything that explains a verdict, the most important first; untrusted text is not escaped yet."""
    yield from words.headlines(measurement.judgement)
    yield from reported_benchmarks.headlines(measurement.judgement)
    yield from words.milder(measurement.judgement)
    yield from carriers(measurement)
    yield from reported_benchmarks.lines(measurement.judgement)
    yield from also(measurement)
    yield f"{how_measured(measurement)}"
    yield from (f"note: {line}" for line in (*measurement.judgement.notes, *measurement.notes))


def also(measurement: Measurement) -> Iterator[str]:
    """What besides the code may explain a verdict; nothing for one that all is well."""
    if measurement.judgement.verdict is not Verdict.PASS:
        yield from also_differs(measurement.differs)


def also_differs(found: Sequence[str]) -> Iterator[str]:
    """`also differs: package-lock.json, .python-version, environment NODE_ENV`, bounded; nothing for nothing."""
    if found:
        more = f" and {len(found) - _DIFFERENCES} more" if len(found) > _DIFFERENCES else ""
        yield f"also differs: {', '.join(found[:_DIFFERENCES])}{more}"


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
    text = f"{_counted(measurement)}{_on_machines(measurement)} in {measurement.seconds:.1f} s"
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


def _on_machines(measurement: Measurement) -> str:
    where = measurement.ran_on
    if where is None or not where.pairs:
        return ""
    return f" on {text.counted(len(where.pairs), 'machine')} ({text.counted(where.workers, 'worker')})"


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
