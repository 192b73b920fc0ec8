"""What could be saved at most: more than any run without it really saves, and no suggestion that `needs` forbids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchgate.commands.hotspots import text
from orchgate.hotspots import replay
from orchgate.hotspots.ranking import HotspotKind, counting, outermost, rank, summarize
from orchgate.hotspots.timeline import BusySpan, Phase, StageCost, StageTime, Timeline, attribute, own
from tests.runs import TASK, Project, events, manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.hotspots.ranking import Hotspot
    from tests.repo import Repo

SECOND = 1_000_000


class Plan(NamedTuple):
    """Stages by number, what they need, and how many may run at once."""

    durations: dict[int, int]
    needs: dict[int, tuple[int, ...]]
    slots: int


@some.composite
def plans(draw: some.DrawFn) -> Plan:
    count = draw(some.integers(1, 8))
    durations = {index: draw(some.integers(0, 30)) for index in range(1, count + 1)}
    needs = {index: tuple(draw(some.sets(some.integers(1, index - 1)))) if index > 1 else () for index in durations}
    return Plan(durations, needs, draw(some.integers(1, 4)))


# The bound


@pytest.mark.slow
@given(plans(), some.data(), some.integers(0, 9))
def test_no_replay_of_a_shortened_stage_saves_more_than_the_bound(plan: Plan, data: some.DataObject, rest: int) -> None:
    wall = replay.replay(plan.needs, plan.slots, plan.durations)
    its = replay.course(wall + rest, rest, plan.durations, plan.needs, plan.slots)
    index = data.draw(some.sampled_from(sorted(plan.durations)))
    less = data.draw(some.integers(0, plan.durations[index]))
    shorter = replay.replay(plan.needs, plan.slots, plan.durations | {index: plan.durations[index] - less})

    assert replay.savable(its, {index: less}) >= max(0, wall - shorter)


@pytest.mark.slow
@given(plans(), some.data())
def test_nor_does_one_in_another_order(plan: Plan, data: some.DataObject) -> None:
    """Stages under other numbers become ready in another order: any greedy schedule of the same stages."""
    names = data.draw(some.permutations(sorted(plan.durations)))
    new = dict(zip(sorted(plan.durations), names, strict=True))
    index = data.draw(some.sampled_from(sorted(plan.durations)))
    wall = replay.replay(plan.needs, plan.slots, plan.durations)
    its = replay.course(wall, 0, plan.durations, plan.needs, plan.slots)
    other = {new[one]: 0 if one == index else plan.durations[one] for one in plan.durations}
    needs = {new[one]: tuple(new[need] for need in plan.needs[one]) for one in sorted(new, key=new.__getitem__)}

    assert replay.savable(its, {index: plan.durations[index]}) >= wall - replay.replay(needs, plan.slots, other)


@pytest.mark.slow
@given(plans(), some.data())
def test_nor_where_nobody_recorded_needs_and_slots(plan: Plan, data: some.DataObject) -> None:
    wall = replay.replay(plan.needs, plan.slots, plan.durations)
    its = replay.course(wall, 0, plan.durations, None, 0)
    index = data.draw(some.sampled_from(sorted(plan.durations)))
    shorter = replay.replay(plan.needs, plan.slots, plan.durations | {index: 0})

    assert replay.savable(its, {index: plan.durations[index]}) >= wall - shorter


@pytest.mark.slow
@given(plans(), plans(), some.data())
def test_nor_does_a_shorter_stage_of_a_pipeline_that_was_called(
    outer: Plan, inner: Plan, data: some.DataObject
) -> None:
    call = data.draw(some.sampled_from(sorted(outer.durations)))
    index = data.draw(some.sampled_from(sorted(inner.durations)))
    lasted = replay.replay(inner.needs, inner.slots, inner.durations)
    shortened = replay.replay(inner.needs, inner.slots, inner.durations | {index: 0})
    durations = outer.durations | {call: lasted}
    wall = replay.replay(outer.needs, outer.slots, durations)
    bound = replay.savable(
        replay.course(lasted, 0, inner.durations, inner.needs, inner.slots), {index: inner.durations[index]}
    )
    its = replay.course(wall, 0, durations, outer.needs, outer.slots)
    real = wall - replay.replay(outer.needs, outer.slots, durations | {call: shortened})

    assert replay.savable(its, {call: bound}) >= real


def saved(slots: int, needs: Mapping[int, tuple[int, ...]] | None = None, **seconds: int) -> list[int]:
    """By how many seconds a run could be shorter without each of its stages."""
    durations = dict(enumerate(seconds.values(), 1))
    needed = dict.fromkeys(durations, ()) | dict(needs or {})
    its = replay.course(replay.replay(needed, slots, durations), 0, durations, needed, slots)
    return [replay.savable(its, {index: lasted}) for index, lasted in durations.items()]


def test_where_slots_are_scarce_a_stage_beside_others_could_save_all_its_time() -> None:
    assert saved(2, a=10, b=10, c=10) == [10, 10, 10]


def test_where_there_are_slots_enough_the_longest_could_save_what_it_is_longer() -> None:
    assert saved(4, a=10, b=7, c=3) == [3, 0, 0]


def test_a_stage_off_the_longest_chain_saves_nothing() -> None:
    assert saved(4, {2: (1,), 3: (1,), 4: (2, 3)}, a=1, b=9, c=4, d=1) == [1, 5, 0, 1]


def test_taking_a_stage_away_may_make_the_schedule_longer_and_saves_nothing_then() -> None:
    needs = {1: (), 2: (), 3: (1,), 4: (1, 2), 5: (2,)}
    durations = {1: 1, 2: 1, 3: 2, 4: 4, 5: 2}
    its = replay.course(replay.replay(needs, 2, durations), 0, durations, needs, 2)

    assert replay.replay(needs, 2, durations | {2: 0}) == replay.replay(needs, 2, durations) + 1
    assert replay.savable(its, {2: 1}) == 0


@pytest.mark.parametrize("needs", [{1: (2,), 2: (1,)}, {1: (7,), 2: ()}, {1: ()}], ids=["circle", "nobody", "part"])
def test_needs_that_cannot_be_are_unknown(needs: dict[int, tuple[int, ...]]) -> None:
    assert not replay.course(20, 0, {1: 10, 2: 10}, needs, 2).known


@pytest.mark.slow
def test_a_large_pipeline_is_judged_in_no_time() -> None:
    durations = dict.fromkeys(range(1, 3001), 5)
    its = replay.course(15_000, 0, durations, dict.fromkeys(durations, ()), 2)

    assert replay.savable(its, {1: 5}) == 7_505


# Suggestions


def side_by_side(slots: int, needs: Mapping[int, tuple[int, ...]], **seconds: int) -> Timeline:
    """A run whose stages all sleep, as the runner would have run them."""
    durations = {index: lasted * SECOND for index, lasted in enumerate(seconds.values(), 1)}
    needed = dict.fromkeys(durations, ()) | dict(needs)
    spans: list[BusySpan] = []
    ends: dict[int, int] = {}
    for index in sorted(durations):  # in the order of their numbers, which is one that needs allow here
        ready = max((ends[need] for need in needed[index]), default=0)
        busy = sum(one.begin <= ready < one.end for one in spans)
        begin = ready if busy < slots else min(one.end for one in spans if one.end > ready)
        ends[index] = begin + durations[index]
        spans.append(BusySpan(begin, ends[index], Phase.EXECUTING, index))
    wall = max(ends.values())
    spent, (lasted, tail) = attribute(wall, spans), own(wall, spans)
    stages = tuple(
        StageTime(name, "succeeded", spent[index], StageCost(0.0, seconds[name]), 1, own=lasted[index])
        for index, name in enumerate(seconds, 1)
    )
    return Timeline(
        "/nowhere/manifest.json", TASK, "run-1", "demo", "succeeded", 0, wall, stages,
        tail=tail, needs=needed, slots=slots,
    )  # fmt: skip


def hint(run: Timeline) -> str:
    return list(text([summarize("demo", [run])], rank([run]), [], 10))[-1]


def test_what_needs_allows_and_slots_forbid_is_suggested() -> None:
    assert "let it run beside b (max-parallel)" in hint(side_by_side(1, {}, a=5, b=4))


@pytest.mark.parametrize(
    ("slots", "needs"),
    [(1, {2: (1,)}), (1, {2: (1,), 3: (2,)}), (4, {}), (2, {3: (1, 2)})],
    ids=["needed", "needed through others", "slots enough", "join"],
)
def test_nothing_is_suggested_that_needs_forbids_or_that_happens_already(
    slots: int, needs: dict[int, tuple[int, ...]]
) -> None:
    names = {"a": 5, "b": 4, "c": 3}
    seconds = {name: names[name] for name in list(names)[: max([2, *needs])]}

    assert "beside" not in hint(side_by_side(slots, needs, **seconds))


def test_a_measured_run_is_one_after_the_other_on_purpose() -> None:
    assert "beside" not in hint(side_by_side(1, {}, a=5, b=4)._replace(measured=True))


# Runs that failed, and runs inside of others


def run_of(status: str, seconds: int, number: int = 1) -> Timeline:
    one = side_by_side(1, {}, a=seconds)
    return one._replace(status=status, run_id=f"run-{number}", started=float(number))


def test_failed_runs_are_counted_apart() -> None:
    runs = [run_of("succeeded", 10, 1), run_of("failed", 1, 2), run_of("cancelled", 2, 3), run_of("succeeded", 12, 4)]
    good, left_out = counting(runs)
    lines = list(text([summarize("demo", good, left_out["demo"])], rank(good), [], 10))

    assert lines[:2] == [
        "demo: 2 runs, 11.0 s each (median); bars show medians",
        "  not counted: 2 runs that did not succeed (1 failed, 1 cancelled), 3.0 s in all",
    ]


def test_where_none_succeeded_all_are_told_and_that_is_said() -> None:
    runs = [run_of("failed", 1, 1), run_of("failed", 2, 2)]
    good, left_out = counting(runs)
    lines = list(text([summarize("demo", good, left_out["demo"])], rank(good), [], 10))

    assert (len(good), "none of these runs succeeded" in lines[1]) == (2, True)


def nested() -> Timeline:
    """A run that called another one, in which one stage does everything."""
    inner = side_by_side(1, {2: (1,)}, deep=8, rest=1)._replace(run_id="run-9", pipeline="inner")
    outer = side_by_side(2, {2: (1,)}, call=9, last=5)
    call = outer.stages[0]._replace(child="run-9", inner=inner, cost=StageCost(0.0, 9.0, 100, 100))
    return outer._replace(stages=(call, outer.stages[1]))


def listed(found: list[Hotspot]) -> list[tuple[str, float]]:
    return [(one.stage, one.savable) for one in found if one.kind is HotspotKind.STAGE]


def test_what_is_inside_of_a_stage_is_ranked_in_its_place() -> None:
    assert listed(rank([nested()])) == [("call > deep", 8.0), ("last", 5.0), ("call > rest", 1.0), ("call", 0.0)]


def test_in_the_text_its_caller_is_no_item_at_all() -> None:
    lines = list(text([summarize("demo", [nested()])], rank([nested()]), [], 10))

    assert [line for line in lines if "stage call:" in line] == []


def test_a_run_inside_of_another_one_is_not_told_twice() -> None:
    run = nested()

    assert outermost([run, run.stages[0].inner or run]) == [run]


# What a real run records


@pytest.mark.slow
def test_a_run_records_needs_and_slots_and_its_stages_are_ranked_by_them(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.test_hotspots import asked

    project = Project(repo)
    project.define("inner", {"id": "deep", "run": ["sleep", "0.6"]})
    nap: dict[str, Any] = {"run": ["sleep", "0.3"]}
    calls = {"id": "call", "pipeline": "inner", "needs": ["c"]}
    project.define("demo", {"id": "a", **nap}, {"id": "b", **nap}, {"id": "c", **nap}, calls, **{"max-parallel": 2})
    assert project.run().code == 0

    outer = next(folder for folder in project.folders() if manifest(folder)["pipeline_id"] == "demo")
    first = events(outer)[0]
    assert (first["pipeline"]["slots"], [one.get("needs") for one in first["stages"]]) == (2, [None, None, None, [3]])
    found = [one for one in asked(capsys, TASK)["hotspots"] if one["kind"] == "stage"]
    savable = {one["stage"]: one["savable_seconds"] for one in found}
    assert (found[0]["stage"], found[-1]["stage"]) == ("call > deep", "call")
    assert savable["call > deep"] >= 0.5
    assert savable["c"] >= 0.25  # it and what needs it would have started with the others
