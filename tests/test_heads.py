"""What is said of several heads of a branch, and of pairs that earlier pushes measured."""

from __future__ import annotations

import datetime
import os
from math import log
from typing import TYPE_CHECKING, NamedTuple

import pytest

from orchgate.config.load import build
from orchgate.config.source import Source
from orchgate.git.call import common_dir
from orchgate.git.repository import open_repository
from orchgate.model import Severity, Verdict
from orchgate.speed.measurements import Measurement, Stopped, how_measured
from orchgate.speed.push import gate, verdict_record
from orchgate.speed.push.bounds import PushRequest
from orchgate.speed.push.findings import slower_together
from orchgate.speed.push.verdict_record import BranchHead, ComparisonKey, SittingResult, StoredVerdict
from orchgate.verdict.values import Judgement, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.repo import Repo


class Asked(NamedTuple):
    pipeline: str = "bench"
    reproduce: str = "orchgate perf"


def told(*e_values: float) -> list[str]:
    row = [BranchHead(str(number), log(one)) for number, one in enumerate(e_values)]
    return [one.message for one in slower_together(Asked(), row)]  # type: ignore[arg-type]


def test_several_heads_that_look_slower_are_said_together() -> None:
    (message,) = told(5.0, 2.0, 6.0)

    assert message == (
        "bench: several pushes of this branch together look slower: CPU time of 3 heads against the same base, e = 60 "
        "(if none were slower, the chance of 40 or more is 2.5 %)"
    )


def test_it_is_a_warning_and_never_refuses() -> None:
    (found,) = slower_together(Asked(), [BranchHead("a", 5.0), BranchHead("b", 5.0)])  # type: ignore[arg-type]

    assert (found.rule, found.severity) == ("PRF001", Severity.WARNING)


@pytest.mark.parametrize("e_values", [(), (100.0,), (5.0, 7.9), (100.0, 0.3)])
def test_one_head_or_too_little_says_nothing(e_values: tuple[float, ...]) -> None:
    assert told(*e_values) == []


def test_evidence_beyond_all_measure_is_a_number_that_can_be_read() -> None:
    assert "e = more than a million" in told(1e200, 1e200)[0]


def measured(new: int, earlier: int) -> str:
    pair = Pair({}, {})
    judgement = Judgement(Verdict.INCONCLUSIVE)
    return how_measured(
        Measurement(
            (pair,) * new, (), judgement, (), (), Stopped.LOOKED, 4.0, 0.5, None, "1", earlier=(pair,) * earlier
        )
    )


def test_pairs_of_earlier_pushes_are_said() -> None:
    assert measured(8, 16) == "24 pairs, 16 of them of earlier pushes, 8 measured now in 4.0 s"


def test_without_earlier_pairs_none_are_mentioned() -> None:
    assert measured(1, 0) == "1 pair in 4.0 s"


# As a push asks


@pytest.fixture
def question(repo: Repo, tmp_path: Path) -> Iterator[PushRequest]:
    """A change of branch topic that was judged before: not slower, though it points that way, like the head before."""
    repo.commit("Start", {"a.txt": "a\n"})
    repo.commit("Change", {"a.txt": "b\n"})
    environ = {"XDG_STATE_HOME": str(tmp_path / "state"), "PATH": os.environ["PATH"]}
    repository = open_repository(str(repo.root), environ)
    config = build(Source("", {"performance": {"pipeline": "bench"}}))
    now = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    commits = repo.git("rev-parse", "HEAD~1"), repo.git("rev-parse", "HEAD")
    asked = PushRequest(repository, config, *commits, repository.nothing, environ, now, lambda _: None)
    asked = asked._replace(branch="topic")
    trees = [repo.git("rev-parse", f"{commit}^{{tree}}") for commit in commits]
    key = ComparisonKey(trees[0], trees[1], gate._asked(asked), gate._machine())
    for head, log_e in (("another tree", log(25)), (key.head, log(2))):
        memory = verdict_record.opened(environ, common_dir(repository.git_dir), key._replace(head=head), "topic")
        verdict_record.end(
            verdict_record.begin(memory),
            SittingResult(StoredVerdict("now", True, 8), pairs=[Pair({}, {})], log_e=log_e),
        )
    yield asked
    repository.close()


@pytest.mark.slow
def test_a_push_of_the_branch_is_warned_of_what_its_heads_say_together(question: PushRequest) -> None:
    (found,) = gate.answer(question).findings

    assert "several pushes of this branch together look slower: CPU time of 2 heads" in found.message


@pytest.mark.slow
def test_a_push_of_another_branch_is_not(question: PushRequest) -> None:
    assert gate.answer(question._replace(branch="other")).findings == ()
