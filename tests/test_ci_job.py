"""What CI decides: the job that is printed, the time it is given, and a baseline that is recorded there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from orchgate.cli import main
from orchgate.commands.perf.command import JOBS
from orchgate.commands.shared import options
from orchgate.runs.machine import fingerprint
from tests.repo import Repo, init

if TYPE_CHECKING:
    from collections.abc import Iterator


def printed(capsys: pytest.CaptureFixture[str], job: str) -> Any:
    assert main(["perf", "--print-job", job]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def commands(value: Any) -> Iterator[str]:
    """Every string in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from commands(inner)


@pytest.mark.parametrize("job", JOBS)
def test_a_job_measures_for_long_keeps_its_samples_and_records_a_candidate(
    capsys: pytest.CaptureFixture[str], job: str
) -> None:
    said = "\n".join(commands(printed(capsys, job)))

    assert [
        part in said for part in ("--max-time 20m --output samples.jsonl", "baseline record -o candidate.json")
    ] == [
        True,
        True,
    ]


def test_the_job_of_github_has_the_whole_history_and_may_write_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    document = printed(capsys, "github")

    checkouts = [job["steps"][0]["with"] for job in document["jobs"].values()]
    assert (document["permissions"], [one["fetch-depth"] for one in checkouts]) == ({"contents": "read"}, [0, 0, 0])


def test_no_value_of_github_is_put_into_a_shell_line(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [step for job in printed(capsys, "github")["jobs"].values() for step in job["steps"]]

    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


def test_a_job_is_printed_and_nothing_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["perf", "--print-job", "github", "--base", "HEAD"]) == 2
    assert "--print-job measures nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0.3", 0.3), ("30s", 30), ("5m", 300), ("20m", 1200), ("1h30m", 5400), ("1H", 3600), ("24h", 86400)],
)
def test_a_time_is_written_as_people_write_times(text: str, seconds: float) -> None:
    assert options.up_to(options.DAY)(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "m", "25h", "1h1h", "1e3", "nan", "inf", "1.2.3", "5 m", "9" * 400])
def test_what_is_no_time_up_to_a_day_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["perf", f"--max-time={text}", "--", "true"]) == 2
    assert "expected a time up to 24h" in capsys.readouterr().err


# A baseline that is recorded there

CONFIG = f"""\
[performance]
pipeline = "bench"
budget-seconds = 1
[[pipelines.bench.stages]]
id = "work"
run = ["{sys.executable}", "-I", "-S", "-c", "import time; time.sleep(0.15)"]
"""
THERE = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}  # what makes another machine type of this one


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """A repository with a baseline that was recorded on another machine type and promoted here."""
    if fingerprint("/", THERE) == fingerprint("/", {}):
        pytest.skip("the kind of container is known by other means")
    repo = init(tmp_path_factory.mktemp("ci") / "repo")
    settings = {f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in settings.items():
            patched.setenv(name, value)
        repo.commit("Start", {"orchgate.toml": CONFIG})
        recorded = repo.orchgate("baseline", "record", "--runs", "10", "-o", "candidate.json", env=THERE)
        assert recorded.code == 0, recorded.out
        accepted = repo.orchgate("baseline", "promote", "--from", "candidate.json", "--reason", "first runs on CI")
        assert accepted.code == 0, accepted.out
        repo.git("add", ".orchgate")
        repo.commit("Keep what CI recorded")
        repo.git("branch", "topic")
        repo.git("checkout", "--quiet", "topic")
        repo.commit("Change", {"work.py": "x\n"})
    return repo


@pytest.mark.slow
def test_a_baseline_from_there_is_used_there(promoted: Repo) -> None:
    told = promoted.orchgate("check", "performance", "--base", "main", env=THERE)

    assert (told.code, "the stored baseline of" in told.out) == (0, True), told.out


@pytest.mark.slow
def test_a_baseline_from_there_changes_nothing_here(promoted: Repo) -> None:
    told = promoted.orchgate("check", "performance", "--base", "main")

    assert (told.code, "the stored baseline of" in told.out) == (0, False), told.out
