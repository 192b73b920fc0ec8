"""No slip under `[performance]` leaves the gate open: names and bounds are checked when the configuration is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.config.load import load
from orchgate.config.metric_names import KNOWN as NAMES
from orchgate.errors import ConfigError
from orchgate.git.snapshot import FolderSnapshot
from orchgate.model import Verdict
from orchgate.speed.measurements import Measurement, Stopped
from orchgate.speed.push.bounds import RATES, SIZES, unmeasured
from orchgate.verdict.values import KNOWN, WHEN_NAMED, Compared, ComparedCounter, Judgement
from tests.support import write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

STAGE = '[[pipelines.bench.stages]]\nid = "lint"\nrun = ["lint"]\n'
REPORTING = f'{STAGE}metrics = "lint.json"\n'
CALLING = '[[pipelines.bench.stages]]\nid = "all"\npipeline = "inner"\n' + REPORTING.replace("bench", "inner")
GATED = '[performance]\npipeline = "bench"\n'


def error(tmp_path: Path, metrics: str, rest: str = GATED + STAGE) -> ConfigError:
    """What reading a configuration with these lines under `[performance.metrics]` raises."""
    write_tree(tmp_path, {"orchgate.toml": f"{rest}[performance.metrics]\n{metrics}\n"})
    with pytest.raises(ConfigError) as caught:
        load(FolderSnapshot(str(tmp_path)))
    place, _, message = caught.value.message.partition(": ")
    assert place.startswith("orchgate.toml:")
    return ConfigError(message, caught.value.hint)


def test_the_closed_list_holds_every_metric_that_is_judged_and_no_other() -> None:
    judged = {metric.name for metric in (*KNOWN, *WHEN_NAMED)} | {*SIZES, *RATES}

    assert {name.replace("-", "_") for name in NAMES} == judged


def test_the_closed_list_knows_what_each_metric_blocks_by_default() -> None:
    known = {metric.name: metric.block for metric in (*KNOWN, *WHEN_NAMED)}

    assert {
        name.replace("-", "_"): one.fail_above for name, one in NAMES.items() if one.fail_above is not None
    } == known


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("cpu", "cpu-seconds"),
        ("cpu-second", "cpu-seconds"),
        ("cpu_time", "cpu-seconds"),
        ("CPU-seconds", "cpu-seconds"),
        ("max-rss", "max-rss-bytes"),
        ("memory", "max-rss-bytes"),
        ("wall", "wall-seconds"),
        ("manifest-write", "manifest-writes"),
        ("diff-line", "diff-lines"),
        ("success", "success-rate"),
    ],
)
@pytest.mark.parametrize("stage", [STAGE, REPORTING], ids=["", "reporting"])
def test_a_near_miss_is_named_whatever_stages_report(tmp_path: Path, stage: str, name: str, meant: str) -> None:
    told = error(tmp_path, f"{name} = {{ fail-above = 0.05 }}", GATED + stage)

    assert (told.message, told.hint) == (
        f"performance.metrics.{name}: no run measures it",
        f'did you mean "{meant}"?',
    )


WRONG = [
    ("lint-warnings = { max = 3 }", "lint-warnings: no run measures it"),
    ('"lnt.warnings" = { max = 3 }', '"lnt.warnings": "lnt" is not a stage'),
    ('"lint.cpu-seconds" = { fail-above = 0.1 }', '"lint.cpu-seconds": "lint" reports no metrics of its own'),
    ('"build.cpu-seconds" = { fail-above = 0.1 }', '"build.cpu-seconds": "build" is not a stage'),
    ("cpu-seconds = {}\ncpu_seconds = {}", "cpu_seconds: is performance.metrics.cpu-seconds, which is set too"),
    ("max-rss-bytes = { min = 5, max = 4 }", "max-rss-bytes.min: 5 is above max, 4"),
    ("cpu-seconds = { fail-above = 5 }", "cpu-seconds.fail-above: expected a fraction from 0 to 1, got 5"),
    ("cpu-seconds = { fail-above = 0.05, tolerance = 0.1 }", "cpu-seconds.tolerance: 0.1 is above fail-above, 0.05"),
    ("cpu-seconds = { tolerance = 0.2 }", "cpu-seconds.tolerance: 0.2 is above fail-above, which is 0.05 by default"),
    ("success-rate = { min = 95 }", "success-rate.min: expected a rate from 0 to 1, got 95"),
    ("diff-lines = {}", "diff-lines: expected max or min"),
    ("diff-lines = { fail-above = 0.1 }", "diff-lines.fail-above: is compared with no base"),
    ("flaky-rate = { max = 0.1 }", "flaky-rate: comes only from the recorded runs of a task"),
]


@pytest.mark.parametrize(("metrics", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_meant_is_named_with_a_way_out(tmp_path: Path, metrics: str, message: str) -> None:
    told = error(tmp_path, metrics)

    assert (told.message.startswith(f"performance.metrics.{message}"), bool(told.hint)) == (True, True), told.message


@pytest.mark.parametrize(
    "text",
    [
        f"{GATED}{REPORTING}[performance.metrics]\nlint-warnings = {{ max = 3 }}\ntests-failed = {{ max = 0 }}\n",
        f'{GATED}{REPORTING}[performance.metrics]\n"lint.cpu-seconds" = {{ fail-above = 0.1 }}\n',
        f'{GATED}{REPORTING}[performance.metrics]\n"gpu.memory-bytes" = {{ fail-above = 0.1 }}\n',
        f"{GATED}{CALLING}[performance.metrics]\nwarnings = {{ max = 3 }}\n",
        f"{REPORTING}[performance.metrics]\nwarnings = {{ max = 3 }}\n",
        '[performance]\nrates-from-task = "0001-a"\n[performance.metrics]\nflaky-rate = { max = 0.1 }\n',
        "[performance.metrics]\ncpu-seconds = { fail-above = 0 }\nmanifest-writes = { fail-above = 5 }\n",
    ],
)
def test_what_can_be_meant_is_read(tmp_path: Path, text: str) -> None:
    write_tree(tmp_path, {"orchgate.toml": text})

    assert load(FolderSnapshot(str(tmp_path))).performance.metrics


# The pipeline that is measured


@pytest.mark.slow
def test_a_pipeline_that_nobody_defines_is_named_at_every_check(repo: Repo) -> None:
    repo.stage("orchgate.toml", '[performance]\npipeline = "bnch"\n' + STAGE)

    told = repo.orchgate("check", "--staged")

    assert (told.code, 'orchgate.toml:2:12: performance.pipeline: there is no pipeline "bnch"' in told.out) == (
        2,
        True,
    ), told.out
    assert "did you mean bench?" in told.out


@pytest.mark.slow
@pytest.mark.parametrize(("content", "code"), [('{"pipelines": [{"id": "p", "stages": []}]}', 0), ("{", 2), ("{}", 2)])
def test_a_pipeline_of_the_orchestrator_counts_where_its_file_can_be_read(repo: Repo, content: str, code: int) -> None:
    repo.stage("codex.orchestrator.json", content)
    repo.stage("orchgate.toml", '[performance]\npipeline = "p"\n')

    assert repo.orchgate("check", "--staged").code == code


@pytest.mark.slow
def test_the_change_that_mends_a_slip_lands(repo: Repo) -> None:
    slip = f"{GATED}{STAGE}[performance.metrics]\ncpu = {{ fail-above = 0.1 }}\n"
    repo.commit("Slip", {"orchgate.toml": slip})
    repo.stage("orchgate.toml", slip.replace("cpu", "cpu-seconds"))

    assert repo.orchgate("check", "--staged").code == 0


@pytest.mark.slow
def test_so_does_one_that_mends_the_pipeline(repo: Repo) -> None:
    repo.commit("Slip", {"orchgate.toml": '[performance]\npipeline = "nope"\n'})
    repo.stage("orchgate.toml", GATED + STAGE)

    assert repo.orchgate("check", "--staged").code == 0


# What is measured

PASS = Verdict.PASS


def compared(name: str) -> Compared:
    return Compared(name, PASS, 0.0, None, None, 8, None, None, 1.0, 1.0)


def measured(stopped: Stopped, judgement: Judgement) -> Measurement:
    return Measurement((), (), judgement, (), (), stopped, 1.0, 0.1, None, "1")


@pytest.mark.parametrize(
    ("metrics", "missing"),
    [
        ('"lint.wrnings" = {}', ["lint.wrnings"]),
        ("lint-warnings = {}\ntests-passed = { min = 3 }", ["tests-passed"]),
        ("cpu-seconds = {}\ndiff-lines = { max = 9 }\nmax-rss-bytes = { max = 9e9 }", []),
    ],
)
def test_what_is_configured_and_measured_by_no_run_is_said(metrics: str, missing: list[str], tmp_path: Path) -> None:
    write_tree(tmp_path, {"orchgate.toml": f"{GATED}{REPORTING}[performance.metrics]\n{metrics}\n"})
    performance = load(FolderSnapshot(str(tmp_path))).performance
    judged = Judgement(PASS, (compared("cpu_seconds"),), (ComparedCounter("lint_warnings", PASS, 1, 1),))

    told = [one.message for one in unmeasured(performance, measured(Stopped.DECIDED, judged))]

    assert told == [f"bench: no run measured {name}, which performance.metrics names" for name in missing]


@pytest.mark.parametrize("stopped", [Stopped.FAILED, Stopped.GROSS])
def test_what_ended_at_once_does_not_say_what_is_measured(stopped: Stopped, tmp_path: Path) -> None:
    write_tree(tmp_path, {"orchgate.toml": f"{GATED}[performance.metrics]\ncpu-seconds = {{}}\n"})
    performance = load(FolderSnapshot(str(tmp_path))).performance
    judged = Judgement(Verdict.FAIL, (compared("wall_seconds"),))

    assert list(unmeasured(performance, measured(stopped, judged))) == []
