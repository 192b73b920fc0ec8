"""How a measurement is put into words, and in which order a pipeline's stages are measured."""

from __future__ import annotations

from typing import Any

import pytest

from orchgate.commands.perf.table import rows
from orchgate.commands.shared.lines import bar_line
from orchgate.model import Verdict
from orchgate.runs.stages import Pipeline, Stage
from orchgate.speed import measurements, work_trees
from orchgate.speed.definition import unfolded
from orchgate.speed.measurements import changes, spread
from orchgate.speed.pair_runner import Progress
from orchgate.speed.sampling import Failure, MeasuredRun, Side
from orchgate.verdict import words
from orchgate.verdict.values import KNOWN, Compared, ComparedCounter, Judgement


def stage(name: str, *needs: str, **fields: Any) -> Stage:
    return Stage(id=name, title=name, argv=("true",), needs=needs)._replace(**fields)


def test_stages_run_in_the_order_of_their_needs() -> None:
    pipeline = Pipeline("p", "p", (stage("last", "first"), stage("first"), stage("other")))

    assert [one.id for one in unfolded({}, pipeline)] == ["first", "other", "last"]


def test_what_a_call_sets_holds_for_the_stages_it_calls() -> None:
    inner = Pipeline("inner", "", (stage("a", env={"X": "own"}, timeout_seconds=9.0), stage("b")))
    call = Stage("call", "", env={"X": "call", "Y": "call"}, timeout_seconds=5.0, allow_failure=True, pipeline="inner")

    first, second = unfolded({"inner": inner}, Pipeline("outer", "", (call,)))

    assert (first.id, first.env, first.timeout_seconds) == ("call/a", {"X": "own", "Y": "call"}, 5.0)
    assert (second.id, second.allow_failure, second.timeout_seconds) == ("call/b", True, 5.0)


SLOWER = Compared("cpu_seconds", Verdict.FAIL, 0.204, 0.189, 0.218, 14, 0.0001, 0.02, 0.121, 0.1457)


def test_a_change_is_told_with_its_interval_and_its_values() -> None:
    assert words.compared(SLOWER) == "CPU time changed by +20.4 % (+18.9 % to +21.8 %; 0.121 s -> 0.146 s)"


def test_the_headlines_name_what_decided_and_nothing_else() -> None:
    fine = ComparedCounter("manifest_writes", Verdict.PASS, 2, 2)
    worse = ComparedCounter("files_written", Verdict.FAIL, 2, 3)

    found = words.headlines(Judgement(Verdict.FAIL, (SLOWER,), (fine, worse)))

    assert list(found) == [words.compared(SLOWER), "files written 2 -> 3"]


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("probably", [False, True])
def test_people_read_no_raw_names(verdict: Verdict, probably: bool) -> None:
    metrics = tuple(SLOWER._replace(name=one.name, verdict=verdict, probably=probably) for one in KNOWN)
    counters = tuple(ComparedCounter(one.name, verdict, 2, 3, "2 -> 3") for one in KNOWN)
    judgement = Judgement(verdict, metrics, counters)

    assert "_" not in "\n".join([*words.headlines(judgement), *rows(judgement)])


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("cpu_seconds", 0.0123, "12.3 ms"),
        ("wall_seconds", 12.34, "12.3 s"),
        ("max_rss_bytes", 3 * 1024 * 1024, "3.0 MiB"),
        ("written_bytes", 12, "12 B"),
        ("success_rate", 0.5, "50.0 %"),
        ("tests_passed", 7, "7"),
        ("cpu_seconds", None, "-"),
    ],
)
def test_amounts_have_their_units(name: str, value: float | None, text: str) -> None:
    assert words.amount(name, value) == text


@pytest.mark.parametrize(("change", "text"), [(0.05, "+5.0 %"), (-0.012, "-1.2 %"), (20.0, "x 21.0"), (None, "-")])
def test_changes_are_percentages_or_factors(change: float | None, text: str) -> None:
    assert words.percent(change) == text


def side(label: str, *names: str) -> Side:
    return Side(label, "1" * 40, "2" * 40, "/x", "/y", tuple(map(stage, names)))


def ran(**cpu: float) -> MeasuredRun:
    return MeasuredRun(
        {"cpu_seconds": sum(cpu.values())}, {name: {"cpu_seconds": value} for name, value in cpu.items()}
    )


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        ({"cpu_seconds": 0.5, "wall_seconds": 2.0}, "0.500 s of CPU time, 2.000 s in all"),
        ({"wall_seconds": 2.0}, "2.000 s in all"),
        ({}, "cost not measured"),
    ],
)
def test_an_added_stage_costs_what_is_known_of_it(cost: dict[str, float], text: str) -> None:
    assert work_trees.added_cost("new", MeasuredRun({}, {"new": cost})) == text


def test_the_stage_that_carries_a_change_has_its_share() -> None:
    pairs = [(ran(build=1.0, test=1.0), ran(build=1.0, test=1.4))] * 3

    found = changes((side("base", "build", "test"), side("head", "build", "test")), pairs)

    assert [(one.id, one.share) for one in found] == [("build", 0.0), ("test", 1.0)]


def test_a_change_too_small_to_speak_of_is_carried_by_nobody() -> None:
    found = changes((side("base", "test"), side("head", "test")), [(ran(test=1.0), ran(test=1.001))])

    assert found[0].share is None


def test_a_few_runs_show_no_spread() -> None:
    assert spread([1.0, 2.0, 3.0]) is None


def test_one_wild_run_does_not_make_a_machine_noisy() -> None:
    assert spread([1.0, 1.01, 0.99, 1.0, 50.0]) == pytest.approx(0.0148, abs=0.001)


BASE, HEAD = Failure("base", "test", "exit 1", "no"), Failure("head", "test", "exit 2", "why")


@pytest.mark.parametrize(
    ("failed", "passed", "verdict", "reason"),
    [
        ([HEAD], {"base"}, Verdict.FAIL, "stage test fails (exit 2) on head, passes on base: why"),
        ([BASE], {"head"}, Verdict.BROKEN, "stage test fails (exit 1) on base, passes on head: no"),
        ([HEAD], set(), Verdict.BROKEN, "stage test fails (exit 2) on head: why"),
        (
            [BASE, HEAD],
            set(),
            Verdict.BROKEN,
            "stage test fails (exit 2) on head; on base stage test fails (exit 1): why",
        ),
        (
            [HEAD],
            {"base", "head"},
            Verdict.BROKEN,
            "stage test fails (exit 2) again and again on head, after it had passed there: why",
        ),
    ],
)
def test_a_failure_is_an_error_of_its_side(
    failed: list[Failure], passed: set[str], verdict: Verdict, reason: str
) -> None:
    found = measurements.judgement(failed, passed)

    assert (found.verdict, found.reason) == (verdict, reason)


def test_the_bar_says_what_happens_and_how_long_it_may_take() -> None:
    assert (
        bar_line("demo", Progress("pair 8", 8, 32, 3.2, 30.0)) == f"demo {'━' * 8}{'─' * 22}  pair 8, 3 of at most 30 s"
    )
