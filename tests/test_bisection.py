"""The search for the commit that made it slower, on pairs that are made up: no process runs here."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchgate.bisect import likelihood
from orchgate.bisect.likelihood import CommitChange, Segment
from orchgate.bisect.search import Ask, How, Search, Why
from orchgate.verdict.values import Answer, Pair
from tests.bisections import CPU, History, pair, searched, step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# What is found


@pytest.mark.parametrize("first_slow", [1, 2, 57, 199, 200])
def test_one_step_is_found_wherever_it_is(first_slow: int) -> None:
    _, ending = searched(History(step(201, first_slow)), seed=first_slow)

    assert (ending.how, ending.after, ending.last) == (How.FOUND, first_slow - 1, first_slow)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(2, 60), st.data())
def test_what_is_found_and_confirmed_is_the_step(commits: int, data: st.DataObject) -> None:
    first_slow = data.draw(st.integers(1, commits - 1))

    _, ending = searched(History(step(commits, first_slow, 0.2), noise=0.01), data.draw(st.integers(0, 9)))

    assert (ending.how, ending.last) == (How.FOUND, first_slow)


@pytest.mark.slow
def test_few_commits_are_measured() -> None:
    search, _ = searched(History(step(1001, 700)))

    assert len({change.newer for change in search.changes}) <= 16


def test_the_only_commit_is_found_by_the_comparison_of_the_ends() -> None:
    search, ending = searched(History(step(2, 1)))

    assert (ending.how, {change.newer for change in search.changes}) == (How.FOUND, {1})


def test_it_is_confirmed_in_pairs_that_had_no_part_in_finding_it() -> None:
    search, ending = searched(History(step(41, 17)))
    trial = [change for change in search.changes if (change.older, change.newer) == (16, 17)]

    assert search.trial is not None
    assert (ending.how, search.trial.answer, search.trial.pairs) == (How.FOUND, Answer.SLOWER, len(trial))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_of_two_steps_one_is_found_and_the_other_is_noticed(seed: int) -> None:
    search, ending = searched(History([0.0] * 30 + [0.10] * 40 + [0.40] * 31, noise=0.005), seed)

    assert (ending.how, ending.last in (30, 70)) == (How.FOUND, True)
    assert search.rest is not None
    assert (search.rest[0] > search.rest[1]) == (ending.last == 70)


def test_a_single_step_leaves_no_rest() -> None:
    assert searched(History(step(60, 20)))[0].rest is None


def test_a_commit_between_two_steps_is_called_that() -> None:
    segment = Segment(0, 9, 0.0, 0.2)
    changes = [CommitChange(0, 5, 0.01 * (number % 3), 0.1 + 0.01 * (number % 4)) for number in range(24)]

    assert likelihood.narrowed(changes, segment)[1] == (5,)


@pytest.mark.slow
def test_of_a_step_its_fix_and_another_step_one_step_is_found() -> None:
    levels = [0.0] * 30 + [0.1] * 10 + [0.0] * 40 + [0.1] * 21

    _, ending = searched(History(levels))

    assert (ending.how, ending.last in (30, 80)) == (How.FOUND, True)


# What is not found


def test_ends_that_do_not_differ_are_no_history_to_search() -> None:
    search, ending = searched(History([0.0] * 50))

    assert (ending.how, {change.newer for change in search.changes}) == (How.SAME, {49})


def test_a_bad_commit_that_is_faster_is_called_that() -> None:
    assert searched(History(step(50, 20, -0.1)))[1].how is How.FASTER


@pytest.mark.slow
def test_noise_that_hides_the_ends_is_said() -> None:
    assert searched(History(step(50, 20, 0.02), noise=0.3))[1].how is How.CANNOT_TELL


@pytest.mark.slow
def test_a_creeping_slowdown_is_no_single_commit() -> None:
    """None of 50 steps of 0.4 % can be shown, and all of them together can."""
    _, ending = searched(History([0.004 * place for place in range(51)], noise=0.01))

    assert ending.how in (How.UNCONFIRMED, How.SPENT)


# What cannot be measured


@pytest.mark.slow
def test_commits_that_cannot_be_built_are_passed_by() -> None:
    history = History(step(101, 60), broken={49, 50, 51, 52})

    search, ending = searched(history)

    assert (ending.how, ending.last, set(search.skipped) <= {49, 50, 51, 52}) == (How.FOUND, 60, True)


def test_the_first_slow_commit_among_those_that_cannot_be_built_is_a_range() -> None:
    _, ending = searched(History(step(101, 60), broken={58, 59, 60, 61}))

    assert (ending.how, ending.after, ending.last) == (How.RANGE, 57, 62)


def test_nothing_between_that_can_be_built_is_the_range_of_all() -> None:
    search, ending = searched(History(step(6, 3), broken={1, 2, 3, 4}))

    assert (ending.how, ending.after, ending.last, set(search.skipped)) == (How.RANGE, 0, 5, {1, 2, 3, 4})


def test_a_commit_that_changed_no_file_is_not_the_one() -> None:
    possible = [True] * 11
    possible[5] = possible[6] = False
    search, coins = Search(possible, CPU), random.Random(1)
    history = History(step(11, 4), broken={4, 5, 6})
    while isinstance(ask := search.next(), Ask):
        broken = [place for place in ask[1:] if place in history.broken]
        search.skip(broken[0], "") if broken else search.add(ask, pair(history, ask, coins))

    assert search.belief.of(4, 6) == 0.0


# Going on


def replayed(changes: Sequence[tuple[Ask, Pair]], skipped: Mapping[int, str], commits: int) -> Search:
    search = Search([True] * commits, CPU)
    for place, why in skipped.items():
        search.skip(place, why)
    for ask, one in changes:
        search.add(ask, one)
    return search


@pytest.mark.slow
def test_a_search_that_was_interrupted_anywhere_asks_what_it_would_have_asked() -> None:
    history, coins = History(step(60, 23)), random.Random(5)
    search, done = Search([True] * 60, CPU), list[tuple[Ask, Pair]]()
    while isinstance(ask := search.next(), Ask):
        done.append((ask, pair(history, ask, coins)))
        search.add(*done[-1])

    asked = {number: ask for number, (ask, _) in enumerate(done) if not number % 5}
    assert {number: replayed(done[:number], {}, 60).next() for number in asked} == asked


@pytest.mark.slow
def test_a_finished_search_that_is_taken_up_again_is_finished() -> None:
    history, coins, done = History(step(60, 23)), random.Random(5), list[tuple[Ask, Pair]]()
    search = Search([True] * 60, CPU)
    while isinstance(ask := search.next(), Ask):
        done.append((ask, pair(history, ask, coins)))
        search.add(*done[-1])

    assert replayed(done, {}, 60).next() == ask


# The belief


def belief_of(changes: Sequence[CommitChange], last: int) -> Callable[[int], float]:
    return likelihood.belief(changes, Segment(0, last, 0.0, 0.1), [True] * (last + 1)).up_to


def test_before_anything_is_measured_all_commits_are_equally_likely() -> None:
    up_to = belief_of([], 4)

    assert [up_to(place) for place in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_slow_commit_makes_those_after_it_unlikely() -> None:
    assert belief_of([CommitChange(0, 5, 0.0, 0.1)] * 8, 10)(5) > 0.99


def test_a_fast_commit_makes_those_before_it_unlikely() -> None:
    assert belief_of([CommitChange(0, 5, 0.0, 0.0)] * 8, 10)(5) < 0.01


def test_a_commit_as_fast_as_its_parent_is_not_the_one() -> None:
    up_to = belief_of([CommitChange(4, 5, 0.0, 0.0)] * 12, 10)

    assert up_to(5) - up_to(4) < 0.01


def test_one_disturbed_run_does_not_outweigh_the_others() -> None:
    assert belief_of([CommitChange(0, 5, 0.0, 0.0)] * 7 + [CommitChange(0, 5, 0.0, 3.0)], 10)(5) < 0.05


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(1, 20), st.floats(-8, 8), st.floats(-8, 8)), max_size=30),
    st.floats(0.005, 5),
)
def test_a_belief_is_a_probability_that_only_grows(found: list[tuple[int, float, float]], high: float) -> None:
    changes = [CommitChange(0, place, before, after) for place, before, after in found]
    cumulative = likelihood.belief(changes, Segment(0, 20, 0.0, high), [True] * 21).cumulative

    assert cumulative == sorted(cumulative)
    assert (cumulative[0], round(cumulative[-1], 9)) == (0.0, 1.0)


def test_what_is_wanted_first_is_the_ends() -> None:
    assert Search([True] * 9, CPU).next() == Ask(Why.ENDS, 0, 8)
