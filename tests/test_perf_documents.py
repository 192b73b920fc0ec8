"""What `orchgate perf` says to CI: the same verdict in every format, with the rules of a push."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from orchgate import registry
from orchgate.cli import main
from orchgate.commands.perf import documents
from orchgate.commands.perf.report import PerfReport, PerfRequest
from orchgate.model import Severity, Verdict
from orchgate.speed.measurements import Measurement, StageChange, Stopped
from orchgate.speed.sampling import Side
from orchgate.verdict.values import KNOWN, BenchmarkJudgement, Compared, ComparedCounter, Judgement, policy
from tests.test_replay import both

if TYPE_CHECKING:
    from pathlib import Path

    from orchgate.model import Report
    from orchgate.verdict.values import Policy

STAGES = (StageChange("build", 0.1, 0.1, 0.1, 0.1, 0.02), StageChange("test", 0.2, 0.3, 0.2, 0.3, 0.98))
SLOWER = Compared("cpu_seconds", Verdict.FAIL, 0.204, 0.189, 0.218, 14, 0.0001, 0.02, 0.121, 0.1457)
MORE = ComparedCounter("files_written", Verdict.FAIL, 2, 3)
OPEN = Compared("cpu_seconds", Verdict.INCONCLUSIVE, None, None, None, 3, None, None, 0.1, 0.1, "3 of 8 pairs")


@pytest.fixture
def held_to() -> Policy:
    from orchgate.config.load import build
    from orchgate.config.source import Source

    return policy(build(Source("", {})).performance)


def reported(judgement: Judgement, held_to: Policy) -> Report:
    measurement = Measurement((), (), judgement, STAGES, (), Stopped.DECIDED, 4.0, 0.5, 0.02, "1")
    side = Side("base", "b" * 40, "d" * 40, "/nowhere", "/nowhere", ())
    asked = PerfRequest("b" * 40, "c" * 40, "main", "bench", ())
    return documents.of_measurement(
        PerfReport(asked, (side, side), measurement, "orchgate perf bench", {}, ()), held_to
    )


def written(name: str, report: Report) -> str:
    stream = io.StringIO()
    registry.load("outputs", name).render(report, stream)
    return stream.getvalue()


def test_a_slow_change_is_refused_by_the_rules_of_a_push(held_to: Policy) -> None:
    report = reported(Judgement(Verdict.FAIL, (SLOWER,), (MORE,)), held_to)

    found = [(one.finding.rule, one.severity) for one in report.diagnostics]
    assert (report.verdict, found) == (Verdict.FAIL, [("PRF001", Severity.ERROR), ("PRF002", Severity.ERROR)])
    assert "| CPU time | 0.121 s | 0.146 s | +20.4 % | +18.9 % to +21.8 % | fail |" in written("markdown", report)
    assert "in stage test: 0.200 s -> 0.300 s of CPU time" in written("github", report)
    assert written("junit", report).count("<failure") == 2


def test_benchmarks_are_rows_of_the_table(held_to: Policy) -> None:
    named = BenchmarkJudgement(Verdict.FAIL, judged=(SLOWER._replace(name="parse|x", base=0.00121, head=0.00146),))
    report = reported(Judgement(Verdict.FAIL, (), (), benchmarks=named), held_to)

    row = "| benchmark parse&#124;x | 1.21 ms | 1.46 ms | +20.4 % | +18.9 % to +21.8 % | fail |"
    assert row in written("markdown", report).splitlines()
    assert [(one.finding.rule, one.severity) for one in report.diagnostics] == [("PRF001", Severity.ERROR)]


def test_what_nobody_could_measure_is_an_error_and_no_failure(held_to: Policy) -> None:
    report = reported(Judgement(Verdict.BROKEN, (), (), reason="stage test fails (exit 1) on base"), held_to)

    junit = written("junit", report)
    assert (junit.count("<failure"), junit.count("<error")) == (0, 1)
    assert "could not check performance" in written("github", report)
    assert not json.loads(written("sarif", report))["runs"][0]["invocations"][0]["executionSuccessful"]


@pytest.mark.parametrize(("inconclusive", "verdict"), [("warn", Verdict.WARN), ("block", Verdict.INCONCLUSIVE)])
def test_what_is_not_decided_weighs_what_the_policy_says(held_to: Policy, inconclusive: str, verdict: Verdict) -> None:
    asked = held_to._replace(inconclusive=inconclusive)
    report = reported(Judgement(Verdict.INCONCLUSIVE, (OPEN,), ()), asked)

    assert report.verdict is verdict
    assert [one.finding.rule for one in report.diagnostics] == ["PRF004"]
    assert "PRF001" not in written("junit", report)  # nobody knows whether it is slower
    assert written("junit", report).count("<error") == (inconclusive == "block")


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.WARN])
@pytest.mark.parametrize("metric", KNOWN, ids=lambda metric: metric.name)
def test_every_metric_has_its_rule(held_to: Policy, metric: object, verdict: Verdict) -> None:
    name = getattr(metric, "name", "")
    report = reported(Judgement(verdict, (SLOWER._replace(name=name, verdict=verdict),), ()), held_to)

    (one,) = report.diagnostics
    assert one.severity is {Verdict.FAIL: Severity.ERROR, Verdict.WARN: Severity.WARNING}[verdict]


def test_a_refusal_without_a_metric_is_still_said(held_to: Policy) -> None:
    report = reported(Judgement(Verdict.FAIL, (), (), reason="stage test fails (exit 1) on head"), held_to)

    assert [one.finding.message for one in report.diagnostics] == ["bench: stage test fails (exit 1) on head"]


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "code"), [(1.5, 1), (1.0, 0)])
def test_recorded_samples_are_judged_alike_in_every_format(
    factor: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    lines = [one for pair in range(32) for one in both("s", pair, 1 + pair / 1e3, factor * (1 + pair / 1e3))]
    (tmp_path / "samples.jsonl").write_bytes(b"".join(lines))
    names = registry.plugins("outputs")

    files = [f"--output-file={name}=out.{name}" for name in names]
    assert {main(["perf", "--replay", "samples.jsonl", "--output-format", name]) for name in names} == {code}
    assert main(["perf", "--replay", "samples.jsonl", *files]) == code
    out = capsys.readouterr().out
    assert out.endswith((tmp_path / "out.text").read_text())
    assert json.loads((tmp_path / "out.json").read_text())["streams"][0]["stream"] == "s"
    assert ("PRF001" in (tmp_path / "out.github").read_text()) == bool(code)


def test_a_measurement_that_ends_in_an_error_leaves_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["perf", "--replay", "gone.jsonl", "--output-format", "junit", "--output-file=sarif=out.sarif"]) == 2
    assert "cannot be read" in capsys.readouterr().out
    assert "cannot be read" in (tmp_path / "out.sarif").read_text()
