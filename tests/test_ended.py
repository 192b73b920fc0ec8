"""Comparisons with a head that does not finish, or not in time; those that are gone on with, and their plans."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.model import Verdict
from orchgate.runs.stages import Stage
from orchgate.speed import paired
from orchgate.speed.measurements import Stopped
from orchgate.speed.pair_runner import Timing
from orchgate.speed.sampling import Side
from orchgate.verdict.values import KNOWN, Pair, Policy, Sitting
from tests.runs import living

if TYPE_CHECKING:
    from pathlib import Path

    from orchgate.speed.measurements import Measurement
    from tests.repo import Repo

pytestmark = pytest.mark.slow

POLICY = Policy({metric.name: metric for metric in KNOWN[:2]})
FOREVER = "sleep 613"
NUMBERED = "n=$(cat n 2>/dev/null || echo 1); echo $((n + 1)) > n; "  # which run of its side it is
BURNING = f"{sys.executable} -c 'import resource\nwhile resource.getrusage(0).ru_utime < 0.5: pass'"


def compare(folder: Path, base: str, head: str, **options: Any) -> Measurement:
    """Two shell lines in turn, in folders of their own."""
    sides = []
    for label, line in (("base", base), ("head", head)):
        (folder / label).mkdir()
        stages = (Stage("work", "work", shell=line),)
        sides.append(Side(label, "1" * 40, "2" * 40, str(folder / label), str(folder / f"{label}.s"), stages))
    options = {"budget_seconds": 6.0, "environ": dict(os.environ), **options}
    return paired.measure((sides[0], sides[1]), POLICY, **options)


def test_a_head_that_does_not_finish_is_ended_with_all_it_started_and_refused(tmp_path: Path) -> None:
    found = compare(tmp_path, ":", f"(setsid {FOREVER} &); {FOREVER}")

    assert (found.stopped, found.judgement.verdict, living("sleep\x00613")) == (Stopped.GROSS, Verdict.FAIL, [])


def test_a_head_that_computes_far_longer_is_refused_after_a_few_pairs(tmp_path: Path) -> None:
    found = compare(tmp_path, ":", BURNING, budget_seconds=2.0)

    assert (found.stopped, found.judgement.verdict) == (Stopped.GROSS, Verdict.FAIL)


def test_a_head_that_eats_the_budget_is_refused_all_the_same(tmp_path: Path) -> None:
    found = compare(tmp_path, ":", "sleep 2", budget_seconds=2.0)

    assert (found.stopped, found.judgement.verdict) == (Stopped.GROSS, Verdict.FAIL)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    """Head does not finish in its first and in its third run, and in no other."""
    head = f"{NUMBERED} case $n in 1|3) {FOREVER};; esac"
    return compare(tmp_path_factory.mktemp("once"), ":", head, most_pairs=2, budget_seconds=9.0)


def test_a_head_that_is_ended_once_and_then_finishes_is_not_refused(once: Measurement) -> None:
    assert once.judgement.verdict is Verdict.INCONCLUSIVE


def test_such_a_pair_does_not_count_and_that_is_said(once: Measurement) -> None:
    said = [note for note in once.notes if note.startswith("1 pair does not count: head was ended after ")]

    assert (len(once.pairs), once.stopped, len(said)) == (2, Stopped.LOOKED, 1)


def test_a_head_that_is_ended_time_and_again_is_not_passed(tmp_path: Path) -> None:
    found = compare(tmp_path, ":", f"{NUMBERED} test $((n % 2)) = 1 || {FOREVER}", budget_seconds=60.0)

    assert (found.stopped, found.judgement.verdict) == (Stopped.UNSTEADY, Verdict.INCONCLUSIVE)


def test_a_machine_that_stands_still_for_both_is_not_held_against_head(tmp_path: Path) -> None:
    # The first pair: head is ended, base takes long, too, and head's next run may take as long as that allows.
    base = "test $(cat ../head/n || echo 1) -le 2 || sleep 1"
    head = f"{NUMBERED} case $n in 2) {FOREVER};; 3) sleep 2;; esac"

    found = compare(tmp_path, base, head, most_pairs=1, budget_seconds=60.0)

    assert found.judgement.verdict is not Verdict.FAIL


# Plans


def test_a_budget_holds_as_many_pairs_as_the_quicker_ones_say() -> None:
    timing = Timing(1000.0)
    for seconds in (1.0,) * 4 + (9.0,) * 4:
        timing.paired(seconds)

    assert 900 <= timing.plan() <= 1000


def test_a_budget_that_is_used_up_holds_no_pair() -> None:
    timing = Timing(0.0)
    timing.paired(1.0)

    assert timing.plan() == 0


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    """A comparison that is gone on with for eight pairs."""
    one, other = {"cpu_seconds": 0.1, "wall_seconds": 0.1}, {"cpu_seconds": 0.2, "wall_seconds": 0.2}
    earlier = [Pair(one, other), Pair(other, one)] * 5
    folder = tmp_path_factory.mktemp("again")
    former = [Sitting(0, 10, 0.5)]
    return compare(folder, ":", ":", earlier=earlier, sittings=former, share=0.25, most_pairs=8, budget_seconds=600.0)


def test_a_comparison_goes_on_after_the_pairs_of_former_sittings(again: Measurement) -> None:
    assert (len(again.earlier), len(again.pairs), again.sitting) == (10, 8, Sitting(10, 18, 0.25))


def test_all_pairs_are_judged_together(again: Measurement) -> None:
    # Any of them may be decided at a look before the last one; each rests on more than this sitting.
    assert min(one.pairs for one in again.judgement.metrics) > len(again.pairs)


def test_no_comparison_has_more_than_the_most_pairs(tmp_path: Path) -> None:
    known = {"cpu_seconds": 0.1, "wall_seconds": 0.1}

    found = compare(tmp_path, ":", ":", earlier=[Pair(known, known)] * paired.MOST_PAIRS)

    assert (found.pairs, found.sitting, found.warm_up) == ((), None, None)


# At the command line

CONFIG = """\
[performance]
pipeline = "bench"
budget-seconds = 3
[[pipelines.bench.stages]]
id = "quick"
run = ["true"]
[[pipelines.bench.stages]]
id = "work"
run = ["sh", "work.sh"]
"""


@pytest.fixture
def hanging(repo: Repo) -> Repo:
    repo.commit("Start", {"orchgate.toml": CONFIG, "work.sh": ":\n"})
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit("Never end", {"work.sh": FOREVER + "\n"})
    return repo


def test_a_push_that_never_ends_is_refused_with_both_times_and_its_stage(hanging: Repo) -> None:
    told = hanging.orchgate("check", "performance", "--base", "main")

    found = (told.code, "PRF001" in told.out, "base " in told.out, ", head not finished after " in told.out)
    assert found == (1, True, True, True), told.out
