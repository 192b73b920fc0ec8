"""How much shorter a run could have been, had parts of it taken less time. Pure: durations and needs in, values out.

Times are whole microseconds. The results are upper bounds for every order in which the stages might run, not only for
the one that the scheduler picks: taking time away can reorder what follows, for better or for worse (Graham 1969).
"""

from __future__ import annotations

import heapq
from functools import partial
from itertools import accumulate, pairwise

from orchgate.hotspots.timeline import Phase
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs.stages import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Needs = Mapping[int, tuple[int, ...]]
    Durations = Mapping[int, int]
    from collections.abc import Callable

    from orchgate.hotspots.timeline import StageTime, Timeline

_CUTS = 10  # earliest starts, and as many latest ends, between which work is looked at; any choice gives a bound
_MANY = 100  # stages; of a longer run each is judged by what the whole cannot go below


class Course(NamedTuple):
    """What a run was made of, without the time in which nobody ran it.

    `serial` is what belongs to no stage. `least` is what the stages cannot go below, in whichever order they run.
    `known`: needs and slots were recorded. `measured`: it ran one stage at a time on purpose.
    """

    wall: int
    serial: int
    needs: Needs
    slots: int
    durations: Durations
    least: int
    known: bool = False
    measured: bool = False


def course(
    wall: int, serial: int, durations: Durations, needs: Needs | None, slots: int, *, measured: bool = False
) -> Course:
    """`needs` are None where nobody recorded them. Those that cannot be true of the durations count as unknown."""
    order = None if needs is None or slots < 1 else _order(needs, durations)
    if needs is not None and order is not None:
        lowest = _least(order, needs, slots, durations)
        if lowest + serial <= wall:
            return Course(wall, serial, needs, slots, durations, lowest, known=True, measured=measured)
    alone = sum(durations.values())
    if alone + serial <= wall:
        # A scheduler that leaves no slot empty while a stage is ready ran them one after the other: there was one slot,
        # or each needed the one before. Whichever is taken away, the others still run one after the other.
        chain: Needs = dict.fromkeys(list(durations)[:1], ()) | {index: (one,) for one, index in pairwise(durations)}
        return Course(wall, serial, chain, 1, durations, alone)
    free: Needs = dict.fromkeys(durations, ())
    return Course(wall, serial, free, max(1, len(durations)), durations, max(durations.values(), default=0))


def savable(one: Course, less: Durations, serial: int = 0) -> int:
    """How much shorter the run could have been at most, had stages taken so much less, and so much less been serial."""
    taken = sum(min(spent, one.durations.get(index, 0)) for index, spent in less.items())
    floor = one.least - taken  # putting back what was taken makes no schedule longer than by that
    if len(one.durations) <= _MANY:
        shorter = _shorter(one, less)
        order = _order(one.needs, shorter) or []
        floor = max(floor, _least(order, one.needs, one.slots, shorter))
    floor = max(0, floor) + max(0, one.serial - serial)
    return max(0, one.wall - floor)


def replay(needs: Needs, slots: int, durations: Durations) -> int:
    """How long the stages take by the rule of the runner: the one that was ready first starts first."""
    schedule = Schedule.of(needs)
    running: list[tuple[int, int]] = []
    now = 0
    while not schedule.complete:
        while schedule.ready and len(running) < slots:
            index = schedule.ready.popleft()
            heapq.heappush(running, (now + durations.get(index, 0), index))
        if not running:  # they need each other
            break
        now, index = heapq.heappop(running)
        schedule.done(index)
    return now


def _shorter(one: Course, less: Durations) -> dict[int, int]:
    return {index: max(0, spent - less.get(index, 0)) for index, spent in one.durations.items()}


def beside(one: Course, index: int) -> list[int]:
    """The stages that could have run beside one and did not have the slot: neither needs the other, directly or through
    others. Longest first; nothing where nobody knows, and where one more slot would not shorten the run.
    """
    count = len(one.durations)
    if not one.known or one.measured or not one.slots < count <= _MANY or not one.durations.get(index):
        return []
    if replay(one.needs, one.slots + 1, one.durations) >= replay(one.needs, one.slots, one.durations):
        return []
    order = _order(one.needs, one.durations) or []
    above, below = {index}, {index}
    for other in reversed(order):
        if other in above:
            above |= set(one.needs[other])
    for other in order:
        if below & set(one.needs[other]):
            below.add(other)
    free = [other for other, spent in one.durations.items() if spent and other not in above | below]
    return sorted(free, key=lambda other: -one.durations[other])


def _order(needs: Needs, durations: Durations) -> list[int] | None:
    """The stages, each after those it needs; None when there is no such order, or a need that is not a stage."""
    if needs.keys() != durations.keys():
        return None
    schedule = Schedule.of(needs)
    order = []
    while schedule.ready:
        order.append(schedule.ready.popleft())
        schedule.done(order[-1])
    return order if len(order) == len(needs) else None


def _least(order: Sequence[int], needs: Needs, slots: int, durations: Durations) -> int:
    """What no schedule goes below: the longest chain, and between any two moments the work that has to fit there."""
    heads = _heads(order, needs, durations)
    tails = _tails(order, needs, durations)
    lowest = max((heads[index] + durations[index] + tails[index] for index in order), default=0)
    if slots == 1:
        return sum(durations.values())
    if slots >= len(order):
        return lowest
    working = [index for index in order if durations[index]]
    for head in _chosen(heads[index] for index in working):
        late = [index for index in working if heads[index] >= head]
        for tail in _chosen(tails[index] for index in late):
            inside = [durations[index] for index in late if tails[index] >= tail]
            lowest = max(lowest, head + _packed(inside, slots) + tail)
    return lowest


def _heads(order: Sequence[int], needs: Needs, durations: Durations) -> dict[int, int]:
    """When each stage can start at the earliest."""
    heads: dict[int, int] = {}
    for index in order:
        heads[index] = max((heads[need] + durations[need] for need in needs[index]), default=0)
    return heads


def _tails(order: Sequence[int], needs: Needs, durations: Durations) -> dict[int, int]:
    """How much has to follow the end of each stage at least."""
    tails = dict.fromkeys(order, 0)
    for index in reversed(order):
        for need in needs[index]:
            tails[need] = max(tails[need], durations[index] + tails[index])
    return tails


def _packed(durations: Iterable[int], slots: int) -> int:
    """How long stages take at least that need nothing of each other: together as much as the slots hold, and of any
    `k * slots + 1` of them at least `k + 1` share one slot.
    """
    longest = sorted(durations, reverse=True)
    sums = [0, *accumulate(longest)]
    shared = (
        sums[rounds * slots + 1] - sums[rounds * slots - rounds] for rounds in range(1, (len(longest) - 1) // slots + 1)
    )
    return max(-(-sums[-1] // slots), *shared, longest[0] if longest else 0)


def _chosen(values: Iterable[int]) -> Iterator[int]:
    found = sorted(set(values))
    step = max(1, -(-len(found) // _CUTS))
    yield from found[::step]


SEPARATOR = " > "  # between a stage and one of the run that it called


class Placed(NamedTuple):
    """A stage. `saved` says by how many microseconds the outermost run could be shorter at most, if it took so many
    less; `beside` the names of the stages that it could run beside if they had a slot.
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
    its = course_of(run)
    for index, stage in enumerate(run.stages, 1):
        name = before + stage.id if stage.id else ""
        saved = partial(_saved, its, index if stage.id else 0, outer)
        yield Placed(name, stage, saved, partial(_beside, its, index, run, before))
        if stage.inner:
            yield from flat(stage.inner, name + SEPARATOR, saved)


def course_of(run: Timeline) -> Course:
    """What a run was made of."""
    named = {index: stage.lasted() for index, stage in enumerate(run.stages, 1) if stage.id}
    away = sum(stage.spent.get(Phase.AWAY, 0) for stage in run.stages)
    nobodys = sum(sum(stage.spent.values()) - stage.spent.get(Phase.AWAY, 0) for stage in run.stages if not stage.id)
    return course(run.wall - away, run.tail + nobodys, named, run.needs, run.slots, measured=run.measured)


def without(run: Timeline, part: Phase) -> int:
    """By how many microseconds a run could be shorter at most without a part of every stage, called ones included."""
    less: dict[int, int] = {}
    serial = run.tail if part is Phase.RECORDING else 0
    for index, stage in enumerate(run.stages, 1):
        if stage.id:
            less[index] = stage.lasted(part) + (without(stage.inner, part) if stage.inner else 0)
        else:
            serial += stage.spent.get(part, 0)
    return savable(course_of(run), less, serial)


def _saved(its: Course, index: int, outer: Callable[[int], int], less: int) -> int:
    return outer(savable(its, {index: less}))


def _beside(its: Course, index: int, run: Timeline, before: str) -> tuple[str, ...]:
    return tuple(before + run.stages[other - 1].id for other in beside(its, index))
