"""What `orchgate bisect` says of every way in which a search ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import jsonschema
import pytest

from orchgate.bisect.measure import Bisected, BisectionQuestion
from orchgate.bisect.search import BisectionEnding, How, Search
from orchgate.commands.bisect import report
from orchgate.commands.bisect.report import BisectReport, BisectRequest
from orchgate.git.history import LineCommit
from tests.bisections import CPU, History, searched, step
from tests.published import closed

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = closed("bisect")
MERGE = (3, ("a" * 40, "b" * 40))


class Case(NamedTuple):
    history: History
    how: How
    first: str  # of the lines
    code: int = 3


CASES = {
    "found": Case(History(step(30, 20)), How.FOUND, "first slower: 000000000020 change 20", 0),
    "range": Case(
        History(step(30, 20), broken={19, 20}),
        How.RANGE,
        "one of 3 commits made it slower; only the last of them can be measured",
    ),
    "same": Case(History([0.0] * 9), How.SAME, "good and bad do not differ: nothing to bisect"),
    "faster": Case(History(step(9, 2, -0.3)), How.FASTER, "bad is faster than good: nothing to bisect"),
    "cannot tell": Case(
        History(step(9, 5, 0.02), noise=0.3), How.CANNOT_TELL, "cannot tell whether bad is slower than good"
    ),
}


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[Case, BisectReport]:
    found = CASES[request.param]
    return found, shown(*searched(found.history))


def shown(search: Search, ending: BisectionEnding, merged: tuple[int, Sequence[str]] = (0, ())) -> BisectReport:
    # Places stand for themselves in the ids, which people would read as hexadecimal.
    line = tuple(LineCommit(f"{place:012}{'0' * 28}", f"{place:040}", ()) for place in range(search.last + 1))
    question = BisectionQuestion(line, (), "make bench", "", (), CPU, 0.95)
    subjects = {commit.oid: f"change {place}" for place, commit in enumerate(line)}
    asked = BisectRequest("v1", "HEAD", 1200.0, "cpu-seconds", "", ("make", "bench"))
    return BisectReport(
        asked, question, Bisected(search, ending, 0, 12.3), subjects, (merged[0], tuple(merged[1])), "state"
    )


def text(found: BisectReport, capsys: pytest.CaptureFixture[str]) -> list[str]:
    report.as_text(found)
    return capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_the_answer_comes_first(case: tuple[Case, BisectReport], capsys: pytest.CaptureFixture[str]) -> None:
    expected, found = case

    assert (found.ending.how, text(found, capsys)[0]) == (expected.how, expected.first)


def test_only_a_commit_that_was_found_is_success(case: tuple[Case, BisectReport]) -> None:
    assert report.exit_code(case[1].ending.how) == case[0].code


def test_lines_fit_a_terminal_and_end_in_a_command(
    case: tuple[Case, BisectReport], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = text(case[1], capsys)

    assert [line for line in lines if len(line) > 80 and not line.startswith(("  note: ", "  hint: "))] == []
    assert lines[-1].startswith(("  hint: orchgate ", "  hint: git "))


def test_the_json_fits_its_schema(case: tuple[Case, BisectReport], capsys: pytest.CaptureFixture[str]) -> None:
    report.as_json(case[1])
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SCHEMA)

    assert document["outcome"] == case[0].how.value


def test_the_schema_knows_every_outcome() -> None:
    assert SCHEMA["properties"]["outcome"]["enum"] == [how.value for how in How]


def stopped(pairs: int) -> Search:
    """A search that got so far and no further."""
    search, _ = searched(History(step(30, 20)), most_pairs=pairs)
    return search


def test_a_search_that_ran_out_of_time_says_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    search = stopped(24)

    lines = text(shown(search, search.standing(How.OPEN)), capsys)

    assert lines[0] == "not decided: the time is used up"
    assert lines[1].startswith("  95 % sure: one of the ")
    assert lines[-1] == "  hint: orchgate bisect --good v1 --bad HEAD --max-time 40m -- make bench"


def test_a_search_whose_ends_were_not_compared_says_that(capsys: pytest.CaptureFixture[str]) -> None:
    search = stopped(2)

    lines = text(shown(search, search.standing(How.OPEN)), capsys)

    assert lines[1] == "  whether bad is slower than good is not known yet"


def test_what_more_pairs_would_not_tell_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    search = stopped(24)

    lines = text(shown(search, search.standing(How.SPENT)), capsys)

    assert lines[0] == "not decided: more pairs would not help"
    assert lines[-1].startswith("  hint: orchgate bisect --fresh --good v1 ")


def test_what_is_not_confirmed_is_not_called_found(capsys: pytest.CaptureFixture[str]) -> None:
    search, ending = searched(History(step(30, 20)))

    lines = text(shown(search, ending._replace(how=How.UNCONFIRMED)), capsys)

    assert lines[0] == "not confirmed: 000000000020 change 20"


def test_a_merge_that_was_found_says_how_to_search_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = text(shown(*searched(History(step(30, 20))), MERGE), capsys)

    command = f"orchgate bisect --good {'a' * 12} --bad {'b' * 12} --max-time 20m -- make bench"
    assert f"  note: it is a merge that brought 3 commits; to search those: {command}" in lines


@pytest.mark.slow
def test_a_second_step_is_said_with_the_command_that_searches_it(capsys: pytest.CaptureFixture[str]) -> None:
    search, ending = searched(History([0.0] * 30 + [0.10] * 40 + [0.40] * 31, noise=0.005))

    (note,) = [line for line in text(shown(search, ending), capsys) if "it is not all of the difference" in line]

    ends = "--good v1 --bad 000000000069" if ending.last == 70 else "--good 000000000030 --bad HEAD"
    assert f"to search the rest: orchgate bisect {ends} " in note


@pytest.mark.slow
def test_a_slow_commit_before_the_one_that_was_found_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    levels = [0.0] * 10 + [0.1] * 6 + [0.0] * 4 + [0.1] * 11
    seen = []
    for seed in range(8):
        search, ending = searched(History(levels, noise=0.005), seed)
        up_and_down = any("goes up and down" in line for line in text(shown(search, ending), capsys))
        slow_before = ending.last == 20 and any(10 <= change.newer < 16 for change in search.changes)
        fast_after = ending.last == 10 and any(16 <= change.newer < 20 for change in search.changes)
        seen.append((slow_before or fast_after, up_and_down))

    assert {expected for expected, _ in seen} == {said for _, said in seen}


def test_a_list_of_many_candidates_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(*searched(History(step(60, 30), broken=set(range(1, 59)))))
    lines = text(found, capsys)

    assert lines[1] == "  (47 more before these)"
    assert len([line for line in lines if line.startswith("  note: skipped ")]) == 13
