"""A question that is asked again and again: what it goes on with, and what it may still spend."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from orchgate.speed.push import verdict_record
from orchgate.speed.push.verdict_record import (
    BranchHead,
    ComparisonKey,
    OpenSitting,
    SittingResult,
    StoredVerdict,
    VerdictRecord,
    with_head,
)
from orchgate.verdict.comparison import LOOKS
from orchgate.verdict.values import Pair, Sitting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = ComparisonKey("b" * 40, "h" * 40, "asked", "machine")


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., VerdictRecord]:
    """Reads what is known of a question, as a push does before it measures."""

    def opened(key: ComparisonKey = KEY, branch: str = "topic", repository: str = "/somewhere/.git") -> VerdictRecord:
        return verdict_record.opened({"XDG_STATE_HOME": str(tmp_path / "state")}, repository, key, branch)

    return opened


def pairs(count: int, value: float = 0.1) -> tuple[Pair, ...]:
    return tuple(Pair({"cpu_seconds": value}, {"cpu_seconds": value + number}) for number in range(count))


def sat(turn: OpenSitting, count: int, value: float = 0.1, *, log_e: float | None = None) -> dict[str, object]:
    """Ends a sitting that brought pairs and no answer."""
    begun = len(turn.earlier)
    sitting = Sitting(begun, begun + count, turn.share)
    return verdict_record.end(turn, SittingResult(StoredVerdict("now"), pairs(count, value), sitting, log_e=log_e))


def answered(turn: OpenSitting, *, slower: bool = False) -> dict[str, object]:
    return verdict_record.end(turn, SittingResult(StoredVerdict("now", True, 8), slower=slower))


def shares(turn: OpenSitting) -> list[float]:
    return [round(sitting.share, 3) for sitting in turn.sittings]


def test_a_question_without_an_answer_goes_on_where_it_stopped(ask: Callable[..., VerdictRecord]) -> None:
    sat(verdict_record.begin(ask()), 9)
    sat(verdict_record.begin(ask()), 2, 0.2)

    third = verdict_record.begin(ask())

    assert (third.earlier, shares(third), round(third.share, 3)) == (
        (*pairs(9), *pairs(2, 0.2)),
        [0.667, 0.222],
        0.074,
    )


def test_pairs_that_are_too_few_for_a_look_are_kept_and_spend_nothing(ask: Callable[..., VerdictRecord]) -> None:
    sat(verdict_record.begin(ask()), 3)
    sat(verdict_record.begin(ask()), 4, 0.2)

    third = verdict_record.begin(ask())

    assert (len(third.earlier), shares(third), round(third.share, 3)) == (7, [], 0.667)


@pytest.mark.parametrize("field", ComparisonKey._fields)
def test_another_tree_question_or_machine_begins_anew(ask: Callable[..., VerdictRecord], field: str) -> None:
    sat(verdict_record.begin(ask()), 3)

    assert verdict_record.begin(ask(KEY._replace(**{field: "other"}))).earlier == ()


def test_another_repository_begins_anew(ask: Callable[..., VerdictRecord]) -> None:
    sat(verdict_record.begin(ask()), 3)

    assert verdict_record.begin(ask(repository="/elsewhere/.git")).earlier == ()


def test_an_answer_is_known_the_next_time(ask: Callable[..., VerdictRecord]) -> None:
    answered(verdict_record.begin(ask()))

    assert ask().entry.conclusive


def test_a_sitting_without_a_new_pair_spends_nothing(ask: Callable[..., VerdictRecord]) -> None:
    sat(verdict_record.begin(ask()), 9)
    verdict_record.end(verdict_record.begin(ask()), SittingResult(StoredVerdict("now")))

    assert ask().entry.spent == 1


def test_a_sitting_that_failed_after_some_pairs_has_spent_its_share(ask: Callable[..., VerdictRecord]) -> None:
    verdict_record.end(verdict_record.begin(ask()), SittingResult(StoredVerdict("now"), pairs(9)))

    assert (ask().entry.spent, ask().entry.pairs) == (1, ())


def test_a_first_sitting_without_a_pair_leaves_nothing_behind(ask: Callable[..., VerdictRecord]) -> None:
    verdict_record.end(verdict_record.begin(ask()), SittingResult(StoredVerdict("now")))

    assert not os.path.exists(ask().path)


def test_a_sitting_that_is_interrupted_spends_nothing(ask: Callable[..., VerdictRecord]) -> None:
    turn = verdict_record.begin(ask())
    with pytest.raises(KeyboardInterrupt), verdict_record.give_back_on_error(turn):
        raise KeyboardInterrupt

    assert ask().entry == StoredVerdict()


def test_a_sitting_that_was_killed_has_spent_its_share(ask: Callable[..., VerdictRecord]) -> None:
    verdict_record.begin(ask())

    assert round(verdict_record.begin(ask()).share, 3) == 0.222


@pytest.mark.slow
def test_with_all_pairs_that_there_may_be_what_is_open_stays_open(ask: Callable[..., VerdictRecord]) -> None:
    sat(verdict_record.begin(ask()), LOOKS[-1])

    assert ask().entry.conclusive


def test_how_long_runs_took_is_known_also_of_other_trees(ask: Callable[..., VerdictRecord]) -> None:
    ran = (verdict_record.RunDuration("tree", 0.5, at="then"),)
    verdict_record.end(verdict_record.begin(ask()), SittingResult(StoredVerdict("now"), ran=ran))

    found = [ask(KEY._replace(**{name: "other"})).ran for name in ("head", "asked", "machine")]

    assert found == [ran, (), ()]


def test_how_long_runs_took_is_known_the_last_ones_last(ask: Callable[..., VerdictRecord]) -> None:
    for seconds in (range(1, 9), range(9, 71)):
        ran = tuple(verdict_record.RunDuration("tree", one, at="then") for one in seconds)
        verdict_record.end(verdict_record.begin(ask()), SittingResult(StoredVerdict("now"), ran=ran))

    found = ask().ran

    assert (len(found), found[0].seconds, found[-1]) == (64, 7, verdict_record.RunDuration("tree", 70, at="then"))


# Two at once


def test_two_pushes_at_once_have_a_share_each(ask: Callable[..., VerdictRecord]) -> None:
    both = verdict_record.begin(ask()), verdict_record.begin(ask())

    assert [round(turn.share, 3) for turn in both] == [0.667, 0.222]


def test_of_two_pushes_at_once_the_first_to_end_is_kept_and_the_other_says_so(
    ask: Callable[..., VerdictRecord],
) -> None:
    one, other = verdict_record.begin(ask()), verdict_record.begin(ask())
    told = sat(other, 8, 0.2), sat(one, 9)
    third = verdict_record.begin(ask())

    assert (told, third.earlier, round(third.share, 3)) == (
        ({}, {"not recorded": verdict_record.ANOTHER}),
        pairs(8, 0.2),
        0.074,
    )


def test_an_answer_is_kept_whatever_another_push_brought(ask: Callable[..., VerdictRecord]) -> None:
    one, other = verdict_record.begin(ask()), verdict_record.begin(ask())
    sat(other, 8)
    answered(one)

    assert (ask().entry.conclusive, ask().entry.spent) == (True, 2)


def test_an_answer_stays_when_another_push_could_not_tell(ask: Callable[..., VerdictRecord]) -> None:
    one, other = verdict_record.begin(ask()), verdict_record.begin(ask())
    answered(one)
    sat(other, 2)

    assert ask().entry.conclusive


def test_a_share_is_not_given_back_while_another_push_has_the_next(ask: Callable[..., VerdictRecord]) -> None:
    one = verdict_record.begin(ask())
    verdict_record.begin(ask())
    verdict_record.end(one, SittingResult(StoredVerdict("now")))

    assert round(verdict_record.begin(ask()).share, 3) == 0.074


# Changed while the pipeline ran


def removed(path: str) -> None:
    os.unlink(path)


def appended(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"{}\n")


def replaced(path: str) -> None:
    with open(path, "wb") as file:
        file.write(verdict_record.encoded(StoredVerdict("then", True, 8)))


@pytest.mark.parametrize("damage", [removed, appended, replaced])
def test_what_a_stage_changes_is_noticed_and_nothing_is_lost(
    ask: Callable[..., VerdictRecord], damage: Callable[[str], None]
) -> None:
    sat(verdict_record.begin(ask()), 3)
    turn = verdict_record.begin(ask())
    damage(turn.record.path)

    told = sat(turn, 2, 0.2)

    assert (told, ask().entry.pairs) == (
        {"not trusted": f"{turn.record.path} {verdict_record.CHANGED}"},
        (*pairs(3), *pairs(2, 0.2)),
    )


def test_an_older_file_that_a_stage_puts_back_is_noticed(ask: Callable[..., VerdictRecord]) -> None:
    sat(verdict_record.begin(ask()), 9)
    with open(ask().path, "rb") as file:
        older = file.read()
    sat(verdict_record.begin(ask()), 2)
    turn = verdict_record.begin(ask())
    with open(turn.record.path, "wb") as file:
        file.write(older)

    assert "not trusted" in sat(turn, 4)


def test_a_file_that_was_changed_between_pushes_is_said_and_asked_anew(ask: Callable[..., VerdictRecord]) -> None:
    answered(verdict_record.begin(ask()))
    appended(ask().path)

    memory = ask()

    assert (memory.entry, memory.facts) == (
        StoredVerdict(),
        {"not trusted": f"{memory.path} is not what was written there"},
    )


# What cannot be written


def test_a_full_disk_leaves_what_was_there_and_is_said(ask: Callable[..., VerdictRecord]) -> None:
    sat(verdict_record.begin(ask()), 3)
    turn = verdict_record.begin(ask())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        told = sat(turn, 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert ("cannot write" in str(told["not recorded"]), ask().entry.pairs) == (True, pairs(3))


def test_where_no_share_can_be_kept_no_pair_is_used_twice(ask: Callable[..., VerdictRecord]) -> None:
    sat(verdict_record.begin(ask()), 3)
    memory = ask()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        turn = verdict_record.begin(memory)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (turn.earlier, turn.share, "cannot write" in turn.record.why) == ((), 1.0, True)


def test_a_folder_in_the_place_of_the_file_is_named(ask: Callable[..., VerdictRecord]) -> None:
    path = ask().path
    os.makedirs(path)

    assert verdict_record.begin(ask()).record.facts == {"not recorded": f"cannot write {path}: Is a directory"}


def test_without_a_place_of_ones_own_everything_is_measured_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = verdict_record.opened({"XDG_STATE_HOME": str(tmp_path / "file")}, "/somewhere/.git", KEY)

    told = sat(verdict_record.begin(memory), 3)

    assert (memory.entry, list(told)) == (StoredVerdict(), ["not recorded"])


# Heads of a branch


def heads(memory: VerdictRecord) -> list[tuple[str, float]]:
    return [(head.tree, head.log_e) for head in memory.heads]


def test_every_head_of_a_branch_counts_once_with_all_its_pairs(ask: Callable[..., VerdictRecord]) -> None:
    other = KEY._replace(head="other")
    sat(verdict_record.begin(ask()), 3, log_e=1.0)
    sat(verdict_record.begin(ask(other)), 3, log_e=2.0)
    sat(verdict_record.begin(ask()), 3, log_e=1.5)

    assert heads(ask()) == [("other", 2.0), ("h" * 40, 1.5)]


@pytest.mark.parametrize("field", ["base", "asked", "machine"])
def test_another_base_question_or_machine_begins_another_row(ask: Callable[..., VerdictRecord], field: str) -> None:
    sat(verdict_record.begin(ask()), 3, log_e=1.0)

    assert heads(ask(KEY._replace(**{field: "other"}))) == []


def test_another_branch_begins_another_row(ask: Callable[..., VerdictRecord]) -> None:
    sat(verdict_record.begin(ask()), 3, log_e=1.0)

    assert heads(ask(branch="other")) == []


def test_a_head_that_is_surely_slower_ends_the_row(ask: Callable[..., VerdictRecord]) -> None:
    sat(verdict_record.begin(ask()), 3, log_e=1.0)
    answered(verdict_record.begin(ask(KEY._replace(head="other"))), slower=True)

    assert heads(ask()) == []


def test_of_many_heads_the_oldest_are_taken_together() -> None:
    row: tuple[BranchHead, ...] = ()
    for number in range(70):
        row = with_head(row, BranchHead(str(number), 1.0))

    assert (len(row), sum(head.log_e for head in row)) == (64, 70.0)
