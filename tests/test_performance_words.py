"""What the gate says of a measurement: which rule, how heavy, and what a person reads."""

from __future__ import annotations

import datetime
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.commands.perf.report import PerfReport, PerfRequest, as_text
from orchgate.config.load import build
from orchgate.config.source import Source
from orchgate.git.repository import open_repository
from orchgate.lib import working_time
from orchgate.model import Severity, Verdict
from orchgate.runner.environment import unhooked
from orchgate.speed import measurements
from orchgate.speed.measurements import Measurement, StageChange, Stopped, unsteady
from orchgate.speed.push import findings, measure, screening
from orchgate.speed.push.bounds import PushRequest
from orchgate.speed.push.findings import WHOLE, is_open, may_change, of_pairs, suspected
from orchgate.speed.push.recorded_runs import RecordedRuns
from orchgate.speed.push.verdict_record import ComparisonKey, OpenSitting, VerdictRecord
from orchgate.speed.sampling import Side
from orchgate.verdict.comparison import judge
from orchgate.verdict.exact import LowerBounds
from orchgate.verdict.stored import judge_stored, suspicious
from orchgate.verdict.values import BenchmarkJudgement, Compared, ComparedCounter, Judgement, Pair, policy

if TYPE_CHECKING:
    from pathlib import Path

    from orchgate.model import Finding
    from tests.repo import Repo

STAGES = (StageChange("build", 0.1, 0.1, 0.1, 0.1, 0.02), StageChange("test", 0.2, 0.3, 0.2, 0.3, 0.98))
FAIL, WARN, PASS, OPEN = Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.INCONCLUSIVE


@pytest.fixture
def pushed(repo: Repo) -> PushRequest:
    repo.commit("Start", {"a.txt": "a\n"})
    repository = open_repository(str(repo.root), {})
    config = build(Source("", {"performance": {"pipeline": "bench"}}))
    now = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    return PushRequest(repository, config, "b" * 40, "c" * 40, repository.nothing, {}, now, lambda _: None)


def time(name: str, verdict: Verdict, **more: Any) -> Compared:
    return Compared(name, verdict, 0.2, 0.18, 0.22, 8, 0.001, 0.03, 0.1, 0.12)._replace(**more)


def test_where_base_cannot_be_run_pairs_confirm_nothing(pushed: PushRequest) -> None:
    judged_by = policy(pushed.config.performance)
    held = screening.ScreeningReference(judged_by, RecordedRuns(0.1), None)
    sitting = OpenSitting(VerdictRecord(ComparisonKey("b" * 40, "c" * 40, "asked", "machine")))
    job = measure.MeasurementJob(pushed, judged_by, 60.0, {}, held, "", working_time.now(), sitting)
    head = Side("head", "c" * 40, "d" * 40, "/x", "/y", ())

    found = measure.confirmed_in_pairs(job, (head,), screening.Suspicion("head failed", ()), {"head": 0.1})

    assert [(one.rule, "head failed" in one.message) for one in found.findings] == [("PRF004", True)]
    assert (found.pairs, found.runs) == (0, 1)


def test_a_stage_that_waits_longer_carries_a_change_in_wall_time() -> None:
    waits = StageChange("start", 0.1, 0.1, 0.5, 5.5, 0.02)
    measured = Measurement(
        (), (), Judgement(FAIL, (), ()), (waits, STAGES[1]), (), Stopped.DECIDED, 4.0, 0.5, 0.02, "1"
    )

    assert [measurements.carrier(measured, f"{one}_seconds") for one in ("cpu", "wall")] == ["test", "start"]


def said(
    pushed: PushRequest,
    *judged: Compared | ComparedCounter,
    inconclusive: str = "warn",
    verdict: Verdict | None = None,
) -> list[Finding]:
    compared = tuple(one for one in judged if isinstance(one, Compared))
    counted = tuple(one for one in judged if isinstance(one, ComparedCounter))
    order = (PASS, WARN, OPEN, FAIL)
    verdict = verdict or max((one.verdict for one in judged), key=order.index)
    judgement = Judgement(verdict, compared, counted)
    measurement = Measurement((), (), judgement, STAGES, (), Stopped.DECIDED, 4.0, 0.5, 0.02, "1")
    asked = policy(pushed.config.performance)._replace(inconclusive=inconclusive)
    return list(of_pairs(pushed, asked, measurement))


TABLE = [
    (time("cpu_seconds", FAIL), "PRF001", Severity.ERROR),
    (time("cpu_seconds", WARN), "PRF001", Severity.WARNING),
    (time("wall_seconds", FAIL), "PRF001", Severity.ERROR),
    (time("max_rss_bytes", FAIL), "PRF006", Severity.ERROR),
    (time("max_rss_bytes", WARN), "PRF006", Severity.WARNING),
    (time("read_bytes", FAIL), "PRF002", Severity.ERROR),  # a counter that does not repeat is judged like a time
    (ComparedCounter("manifest_writes", FAIL, 1, 2, "1 -> 2"), "PRF002", Severity.ERROR),
    (ComparedCounter("tests_passed", FAIL, 9, 8, "9 -> 8"), "PRF002", Severity.ERROR),
    (ComparedCounter("written_bytes", WARN, 100, 102, "100 -> 102"), "PRF002", Severity.WARNING),
    (ComparedCounter("success_rate", FAIL, 1.0, 0.9, "1 -> 0.9"), "PRF005", Severity.ERROR),
    (ComparedCounter("test_pass_rate", FAIL, 1.0, 0.9, "1 -> 0.9"), "PRF005", Severity.ERROR),
    (time("cpu_seconds", OPEN, reason="too noisy"), "PRF004", Severity.WARNING),
]


@pytest.mark.parametrize(("one", "rule", "severity"), TABLE, ids=lambda value: str(getattr(value, "name", value)))
def test_each_kind_of_metric_has_its_rule(
    pushed: PushRequest, one: Compared | ComparedCounter, rule: str, severity: Severity
) -> None:
    assert [(found.rule, found.severity) for found in said(pushed, one)] == [(rule, severity)]


def test_nothing_worse_is_nothing_said(pushed: PushRequest) -> None:
    assert said(pushed, time("cpu_seconds", PASS), ComparedCounter("manifest_writes", PASS, 1, 1)) == []


def test_a_slow_down_is_said_with_stage_interval_noise_and_pairs(pushed: PushRequest) -> None:
    (found,) = said(pushed, time("cpu_seconds", FAIL))

    assert found.message == (
        "bench: CPU time +20.0 % (+18.0 % to +22.0 %; 0.100 s -> 0.120 s) in stage test; 0 pairs in 4.0 s; "
        "CPU time of base varied by 2.0 % between runs"
    )


def test_a_command_that_reproduces_it_stands_below(pushed: PushRequest) -> None:
    (found,) = said(pushed, time("cpu_seconds", FAIL))

    assert found.steps == (("reproduce", "orchgate perf --base bbbbbbbbbbbb --head cccccccccccc bench"),)


def test_a_warning_says_where_the_limit_is(pushed: PushRequest) -> None:
    (found,) = said(pushed, time("cpu_seconds", WARN))

    assert found.message.endswith("; refused from +5.0 %")


PROBABLE: dict[str, Any] = {"probably": True, "pairs": 32, "pairs_missing": 24}


def test_what_is_probable_warns_and_says_what_would_decide(pushed: PushRequest) -> None:
    (found,) = said(pushed, time("cpu_seconds", WARN, **PROBABLE))

    assert (found.rule, found.severity) == ("PRF001", Severity.WARNING)
    assert found.message == (
        "bench: CPU time probably slower, +20.0 % (+18.0 % to +22.0 %; 0.100 s -> 0.120 s) in stage test; about 24 "
        "more pairs would decide (32 s in total); 0 pairs in 4.0 s; CPU time of base varied by 2.0 % between runs"
    )
    assert found.steps == (("to decide", "orchgate perf --base bbbbbbbbbbbb --head cccccccccccc --max-time 32s bench"),)


def test_memory_that_is_probably_larger_is_a_warning_of_its_own_rule(pushed: PushRequest) -> None:
    (found,) = said(pushed, time("max_rss_bytes", WARN, **PROBABLE))

    assert (found.rule, "memory probably larger, +20.0 %" in found.message) == ("PRF006", True)


def test_no_budget_is_named_where_none_would_be_enough(pushed: PushRequest) -> None:
    (found,) = said(pushed, time("cpu_seconds", WARN, **{**PROBABLE, "pairs_missing": 400}))

    assert ("would not be enough" in found.message, "budget" in found.message) == (True, False)


def test_what_is_only_probable_blocks_where_the_undecided_does(pushed: PushRequest) -> None:
    (found,) = said(pushed, time("cpu_seconds", WARN, **PROBABLE), inconclusive="block", verdict=OPEN)

    assert (found.rule, found.severity) == ("PRF004", Severity.ERROR)
    assert "CPU time: probably slower, +20.0 %" in found.message


@pytest.mark.parametrize(
    ("verdict", "more", "expected"), [(WARN, PROBABLE, True), (WARN, {}, False), (PASS, {}, False), (OPEN, {}, True)]
)
def test_what_is_probable_or_open_is_measured_again_when_it_is_pushed_again(
    pushed: PushRequest, verdict: Verdict, more: dict[str, Any], expected: bool
) -> None:
    judgement = Judgement(verdict, (time("cpu_seconds", verdict, **more),), ())

    assert may_change(said(pushed, *judgement.metrics), judgement) is expected


PARSE = time("parse", WARN, probably=True)


def of_benchmarks(pushed: PushRequest, judgement: Judgement, inconclusive: str) -> list[Finding]:
    measurement = Measurement((), (), judgement, STAGES, (), Stopped.UNSTEADY, 4.0, 0.5, 0.02, "1")
    asked = policy(pushed.config.performance)._replace(inconclusive=inconclusive)
    return [*of_pairs(pushed, asked, measurement), *findings.of_benchmarks(pushed, asked, measurement, "")]


@pytest.mark.parametrize(("inconclusive", "severity"), [("warn", Severity.WARNING), ("block", Severity.ERROR)])
def test_a_head_that_was_ended_again_and_again_is_open_beside_benchmarks_that_passed(
    pushed: PushRequest, inconclusive: str, severity: Severity
) -> None:
    passed = Judgement(PASS, (time("cpu_seconds", PASS),), benchmarks=BenchmarkJudgement(PASS, (time("parse", PASS),)))

    (found,) = of_benchmarks(pushed, unsteady(passed, 4), inconclusive)

    assert (found.rule, found.severity) == ("PRF004", severity)
    assert found.message.startswith("bench: in 4 pairs head was ended far beyond what base takes")


@pytest.mark.parametrize(
    ("inconclusive", "expected"),
    [("warn", ("PRF001", Severity.WARNING)), ("block", ("PRF004", Severity.ERROR))],
)
def test_a_benchmark_that_is_probably_slower_blocks_where_the_undecided_does(
    pushed: PushRequest, inconclusive: str, expected: tuple[str, Severity]
) -> None:
    verdict = OPEN if inconclusive == "block" else WARN

    found = of_benchmarks(pushed, Judgement(verdict, benchmarks=BenchmarkJudgement(verdict, (PARSE,))), inconclusive)

    assert [(one.rule, one.severity) for one in found] == [expected]


def test_a_benchmark_that_is_probably_slower_is_measured_again_when_it_is_pushed_again() -> None:
    assert may_change((), Judgement(WARN, benchmarks=BenchmarkJudgement(WARN, (PARSE,))))


def test_what_is_refused_needs_no_second_reason(pushed: PushRequest) -> None:
    found = said(pushed, time("cpu_seconds", FAIL), time("wall_seconds", OPEN, reason="too noisy"))

    assert [one.rule for one in found] == ["PRF001"]


def test_a_warning_and_what_stays_open_are_both_said(pushed: PushRequest) -> None:
    found = said(pushed, time("wall_seconds", WARN), time("cpu_seconds", OPEN, reason="too noisy"))

    assert [one.rule for one in found] == ["PRF001", "PRF004"]


def test_open_wall_time_beside_cpu_time_that_passed_is_a_note(pushed: PushRequest) -> None:
    judged = (time("cpu_seconds", PASS), time("wall_seconds", OPEN, reason="too noisy"))
    (found,) = said(pushed, *judged, verdict=PASS)

    assert (found.rule, found.severity, is_open(found)) == ("PRF004", Severity.NOTE, False)


def test_what_passed_gives_no_hint_to_measure_again(pushed: PushRequest) -> None:
    judged = (time("cpu_seconds", PASS), time("wall_seconds", OPEN, reason="too noisy"))

    assert [(one.hint, one.steps) for one in said(pushed, *judged, verdict=PASS)] == [("", ())]


@pytest.mark.parametrize(("verdict", "hinted"), [(PASS, False), (WARN, True), (OPEN, True), (FAIL, True)])
def test_only_a_comparison_that_did_not_pass_says_how_to_repeat_it(
    capsys: pytest.CaptureFixture[str], verdict: Verdict, hinted: bool
) -> None:
    measurement = Measurement((), (), Judgement(verdict, (), ()), STAGES, (), Stopped.DECIDED, 4.0, 0.5, 0.02, "1")
    asked = PerfRequest("b" * 40, "c" * 40, "main", "bench", ())
    side = Side("base", "b" * 40, "d" * 40, "/nowhere", "/nowhere", ())

    as_text(PerfReport(asked, (side, side), measurement, "orchgate perf bench", {}, ()), dirty=False)

    assert ("orchgate perf bench" in capsys.readouterr().out) is hinted


def test_wall_time_that_may_have_grown_is_a_warning(pushed: PushRequest) -> None:
    (found,) = said(pushed, time("cpu_seconds", PASS), time("wall_seconds", OPEN, reason="too noisy"))

    assert (found.rule, found.severity, is_open(found)) == ("PRF004", Severity.WARNING, True)


def test_open_wall_time_blocks_where_the_policy_says_so(pushed: PushRequest) -> None:
    judged = (time("cpu_seconds", PASS), time("wall_seconds", OPEN, reason="too noisy"))
    (found,) = said(pushed, *judged, inconclusive="block")

    assert (found.rule, found.severity, is_open(found)) == ("PRF004", Severity.ERROR, True)


# Lower bounds

WHY = "a child left its session"


@pytest.mark.parametrize(
    ("slower", "sides", "rules"),
    [
        (0.3, (False, False), ["PRF001"]),
        (0.3, (False, True), ["PRF001"]),
        (0.3, (True, False), ["PRF004"]),
        (0.3, (True, True), ["PRF004"]),
        (-0.2, (False, False), []),
        (-0.2, (False, True), ["PRF004"]),
        (-0.2, (True, False), []),
        (-0.2, (True, True), ["PRF004"]),
    ],
)
def test_a_push_is_judged_by_what_holds_wherever_the_truth_lies(
    pushed: PushRequest, slower: float, sides: tuple[bool, bool], rules: list[str]
) -> None:
    bounds = [{"cpu_seconds": WHY} if bound else {} for bound in sides]
    pair = Pair({"cpu_seconds": 1.0}, {"cpu_seconds": 1.0 + slower}, False, bounds[0], bounds[1])
    judgement = judge([pair] * 16, policy(pushed.config.performance))
    measurement = Measurement((), (), judgement, STAGES, (), Stopped.DECIDED, 4.0, 0.5, 0.02, "1")

    found = of_pairs(pushed, policy(pushed.config.performance), measurement)

    assert [one.rule for one in found] == rules


def test_what_a_bound_leaves_open_names_the_side_and_no_command_that_would_not_help(pushed: PushRequest) -> None:
    reason = f"CPU time of head is a lower bound: {WHY}"
    (found,) = said(pushed, time("cpu_seconds", OPEN, reason=reason, head_lower_bound=WHY))

    assert (f"bench: cannot tell: {reason};" in found.message, found.hint) == (True, WHOLE)


def test_what_a_bound_leaves_open_blocks_where_the_policy_says_so(pushed: PushRequest) -> None:
    (found,) = said(pushed, time("cpu_seconds", OPEN, head_lower_bound=WHY), inconclusive="block")

    assert (found.rule, found.severity) == ("PRF004", Severity.ERROR)


def test_a_single_run_that_is_a_bound_is_said_to_be_one(pushed: PushRequest) -> None:
    known = LowerBounds({}, {"processes": WHY})
    asked = policy(pushed.config.performance)
    arms = {"processes": [3.0] * 10}, {"processes": [3.0]}
    judgement = judge_stored(*arms, asked, known)

    found = suspected(pushed, judgement, suspicious(*arms, asked, known), "warn")

    assert found.message == f"bench: cannot tell: processes of head is a lower bound: {WHY}"


# The environment


def test_the_environment_that_pre_commit_made_for_us_is_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".install_state_v2").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    hooked = {"PRE_COMMIT": "1", "VIRTUAL_ENV": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin", "LANG": "C"}

    assert unhooked(hooked) == {"PRE_COMMIT": "1", "PATH": "/usr/bin", "LANG": "C"}


@pytest.mark.parametrize("name", ["PRE_COMMIT", "SOMETHING_ELSE"])
def test_the_developers_own_environment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    own = {name: "1", "VIRTUAL_ENV": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin"}

    assert unhooked(own) == own
