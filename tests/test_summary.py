"""The table of an action plan is written from its runs, and every number that does not come from them is found."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from orchgate.evidence import summary
from orchgate.evidence.lock import RunFacts
from orchgate.evidence.lock import parse as of_lock
from orchgate.evidence.summary import Block
from tests.repo import Repo, clone, init
from tests.runs import Project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TASK = "0001-demo"
PLAN = "docs/ACTION_PLAN-demo.md"


MADE: list[Path] = []  # the repository all tests start from: recording runs takes longer than copying them


def recorded(repo: Repo) -> None:
    """A task with a packet and four runs of a pipeline."""
    project = Project(repo)
    repo.write(".gitignore", ".runs/\nout/\n")
    assert repo.orchgate("new", "demo", "--task", TASK).code == 0
    project.define("diagnostics", {"id": "work", "run": ["true"]})
    for _ in range(4):
        assert project.run("diagnostics").code == 0


class Summarized:
    """A task with two runs before a change and two after it."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self.runs = [folder.name for folder in Project(repo).folders()]

    def summarize(self, *options: str) -> tuple[int, str]:
        before, after = self.runs[:2], self.runs[2:]
        done = self.repo.orchgate(
            "evidence", "summarize", "--task", TASK, "--before", *before, "--after", *after, *options
        )
        return done.code, done.out

    @property
    def plan(self) -> str:
        return (self.repo.root / PLAN).read_bytes().decode()

    def rewrite(self, pattern: str, replacement: str) -> None:
        changed, count = re.subn(pattern, replacement, self.plan, count=1)
        assert count == 1, self.plan
        self.repo.write(PLAN, changed)

    def findings(self) -> list[str]:
        self.repo.git("add", "--all")
        report = self.repo.report("--all-files", "evidence")
        return [f"{one['rule']} {one['message']}" for one in report["diagnostics"] if one["rule"] == "EVD011"]


@pytest.fixture
def task(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Summarized:
    if not MADE:
        made = init(tmp_path_factory.mktemp("summary") / "repo")
        recorded(made)
        MADE.append(made.root)
    shutil.copytree(MADE[0], tmp_path / "repo", symlinks=True)
    monkeypatch.chdir(tmp_path / "repo")
    return Summarized(Repo(tmp_path / "repo"))


@pytest.fixture
def summarized(task: Summarized) -> Summarized:
    code, out = task.summarize()
    assert code == 0, out
    return task


def test_the_table_stands_in_the_section_for_artifacts(summarized: Summarized) -> None:
    section = summarized.plan.partition("## Artifacts and Notes")[2].partition("\n## ")[0]

    assert ("| wall time" in section, section.count("manifest.json`")) == (True, 4)


def test_a_summary_that_nobody_touched_is_fine(summarized: Summarized) -> None:
    assert summarized.findings() == []


def test_writing_it_again_changes_nothing(summarized: Summarized) -> None:
    before = summarized.plan

    assert (summarized.summarize()[0], summarized.plan) == (0, before)


def test_check_says_whether_the_plan_is_behind(task: Summarized) -> None:
    assert task.summarize("--check")[0] == 1
    task.summarize()
    assert task.summarize("--check")[0] == 0


def test_new_runs_replace_the_old_table(summarized: Summarized) -> None:
    summarized.runs = summarized.runs[2:]
    before, after = summarized.runs

    summarized.repo.orchgate("evidence", "summarize", "--task", TASK, "--before", before, "--after", after)

    assert (summarized.plan.count("| wall time"), "one run of diagnostics" in summarized.plan) == (1, True)


def test_an_edited_number_is_found_and_the_right_one_is_said(summarized: Summarized) -> None:
    summarized.rewrite(r"(\| wall time +\| +)[0-9.]+ s", r"\g<1>9.999 s")

    (finding,) = summarized.findings()
    assert finding.startswith("EVD011 wall time, before: says 9.999 s, its runs say ")


def test_an_edited_change_is_found(summarized: Summarized) -> None:
    summarized.rewrite(r"(\| manifest writes.*\| ).*( \|\n)", r"\g<1>-50.0 %\g<2>")

    assert "manifest writes, change: says -50.0 %" in summarized.findings()[0]


def test_every_wrong_number_is_reported(summarized: Summarized) -> None:
    summarized.rewrite(r"(\| wall time +\| +)[0-9.]+ s", r"\g<1>9.999 s")
    summarized.rewrite(r"(\| CPU time +\| +)[0-9.]+ s", r"\g<1>9.999 s")

    assert len(summarized.findings()) == 2


def test_a_row_that_was_made_up_is_found(summarized: Summarized) -> None:
    summarized.rewrite(r"(\| wall time)", r"| happiness | 1 | 2 | +100 % |\n\g<1>")

    assert summarized.findings() == ["EVD011 happiness: its runs say nothing about that"]


def test_a_run_that_was_edited_bears_out_no_number(summarized: Summarized) -> None:
    manifest = summarized.repo.root / ".runs" / TASK / "cli" / summarized.runs[0] / "manifest.json"
    document = json.loads(manifest.read_text())
    document["usage"]["wall_seconds"] *= 100
    manifest.write_text(json.dumps(document))

    (finding,) = summarized.findings()
    assert "a run it names contradicts its journal: usage.wall_seconds says" in finding


def test_a_run_that_is_gone_cannot_be_recomputed(summarized: Summarized) -> None:
    (summarized.repo.root / ".runs" / TASK / "cli" / summarized.runs[0] / "manifest.json").unlink()

    assert "neither here nor pinned" in summarized.findings()[0]


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        (r"<!-- orchgate summary ends -->", "", "does not end with"),
        (r"<!-- orchgate summary v2 of diagnostics -->\n", "", "a summary ends here that does not begin"),
        (r"summary v2 of", "summary of", "the line that begins this summary was changed"),
        (r"summary v2 of", "summary v3 of", "a form, 3, that is not known here"),
        (r"v2 of diagnostics", "v2 of other", "is a run of diagnostics, the summary is about other"),
        (r"Before \(2 runs", "Earlier (2 runs", "names no runs before or after the change"),
    ],
)
def test_a_damaged_summary_is_found(summarized: Summarized, pattern: str, replacement: str, expected: str) -> None:
    summarized.rewrite(pattern, replacement)

    assert any(expected in finding for finding in summarized.findings()), summarized.findings()


def test_a_path_outside_of_the_artifacts_is_never_opened(summarized: Summarized) -> None:
    summarized.rewrite(r"- `\.runs/[^`]+`", "- `../../../../dev/zero`")

    assert any("neither here nor pinned" in finding for finding in summarized.findings())


def test_a_summary_shown_in_a_code_block_claims_nothing(repo: Repo) -> None:
    repo.stage("docs/a.md", "# A\n\n```\n<!-- orchgate summary v1 of x -->\n<!-- orchgate summary ends -->\n```\n")

    assert [one["rule"] for one in repo.report("--all-files", "evidence")["diagnostics"]] == []


def test_a_clone_recomputes_it_from_the_lock(summarized: Summarized, tmp_path: Path) -> None:
    repo = summarized.repo
    assert repo.orchgate("evidence", "pin").code == 0
    repo.git("add", "--all")
    repo.commit("evidence")
    other = clone(repo, tmp_path / "clone")

    assert [one["rule"] for one in other.report("--all-files", "evidence")["diagnostics"]] == []

    text = (other.root / PLAN).read_text()
    other.stage(PLAN, re.sub(r"(\| wall time +\| +)[0-9.]+ s", r"\g<1>9.999 s", text))
    assert [one["rule"] for one in other.report("--all-files", "evidence")["diagnostics"]] == ["EVD011"]


# Summaries and pins of before


def old_pins(task: Summarized) -> None:
    """The runs as an older version pinned them."""
    assert task.repo.orchgate("evidence", "pin").code == 0
    lock = task.repo.root / ".orchgate" / "evidence.lock"
    lock.write_text(lock.read_text().replace(', "cached": 0', ""))


def test_an_old_summary_of_old_pins_holds(summarized: Summarized) -> None:
    old_pins(summarized)
    (found,) = summary.blocks(summarized.plan)
    assert isinstance(found, Block)
    lock = of_lock((summarized.repo.root / ".orchgate" / "evidence.lock").read_bytes())

    def facts(path: str) -> RunFacts:
        pin = lock.get(path)
        assert pin is not None
        assert pin.run is not None
        return pin.run

    old = summary.render(found.pipeline, found.before, found.after, facts, 1)
    summarized.repo.write(PLAN, summary.place(summarized.plan, old, found, 0))

    assert "summary v1 of" in summarized.plan
    assert summarized.findings() == []


def test_a_new_summary_asks_old_pins_for_what_they_do_not_say(summarized: Summarized) -> None:
    old_pins(summarized)

    assert "the lock does not say whether" in summarized.findings()[0]
    assert summarized.repo.orchgate("evidence", "pin").code == 0
    assert summarized.findings() == []


def test_line_breaks_of_the_plan_stay_as_they_are(task: Summarized) -> None:
    task.repo.write(PLAN, task.plan.replace("\n", "\r\n").encode())
    task.summarize()

    text = task.plan
    assert text.count("\n") == text.count("\r\n") > 20
    assert task.findings() == []


def test_a_plan_without_the_section_gets_one(task: Summarized) -> None:
    task.repo.write(PLAN, "# ACTION_PLAN\n\nWords.\n")
    task.summarize()

    assert task.plan.startswith("# ACTION_PLAN\n\nWords.\n\n## Artifacts and Notes\n\n<!-- orchgate summary v2")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ("--task", "0009-none", "--before", "latest", "--after", "latest"),
            "unknown task 0009-none",
        ),
        (("--task", TASK, "--before", "latest", "--after", "latest"), "named before and after"),
        (("--task", TASK, "--before", "x", "--after", "latest"), "neither a run id nor a run's manifest"),
    ],
)
def test_what_cannot_be_compared_is_wrong_usage(task: Summarized, options: tuple[str, ...], expected: str) -> None:
    done = task.repo.orchgate("evidence", "summarize", *options)

    assert (done.code, expected in done.out) == (2, True), done.out


def test_runs_of_two_pipelines_are_not_compared(task: Summarized) -> None:
    project = Project(task.repo)
    project.define("other", {"id": "work", "run": ["true"]})
    project.run("other")
    other = project.folders()[-1].name

    done = task.repo.orchgate("evidence", "summarize", "--task", TASK, "--before", task.runs[0], "--after", other)

    assert (done.code, "compare like with like" in done.out) == (2, True)


def test_a_damaged_block_is_not_written_over(summarized: Summarized) -> None:
    summarized.rewrite(r"<!-- orchgate summary ends -->", "")
    before = summarized.plan

    code, out = summarized.summarize()

    assert (code, summarized.plan == before, "delete what is left of it" in out) == (3, True, True)


@pytest.mark.parametrize(
    ("metric", "number", "shown"),
    [
        ("wall_seconds", 70.1932, "70.193 s"),
        ("max_rss_bytes", 512, "512 B"),
        ("max_rss_bytes", 50 * 1024 * 1024, "50.00 MiB"),
        ("max_rss_bytes", 3 * 1024**3, "3.00 GiB"),
        ("manifest_writes", 14, "14"),
        ("manifest_writes", 14.5, "14.5"),
        ("success_rate", 2 / 3, "66.7 %"),
        ("success_rate", None, "not measured"),
    ],
)
def test_values_have_their_units(metric: str, number: float | None, shown: str) -> None:
    assert summary.value(metric, number) == shown


def test_the_block_reads_well_as_plain_text() -> None:
    runs = {
        name: RunFacts("t", name, "diagnostics", "succeeded", numbers={"wall_seconds": seconds, "manifest_writes": 14})
        for name, seconds in (("b1", 70.2), ("b2", 70.1), ("b3", 70.3), ("a1", 60.2), ("a2", 60.0), ("a3", 60.4))
    }

    assert summary.render("diagnostics", ("b1", "b2", "b3"), ("a1", "a2", "a3"), runs.__getitem__) == (
        "<!-- orchgate summary v2 of diagnostics -->\n"
        "Before (3 runs of diagnostics):\n\n- `b1`\n- `b2`\n- `b3`\n\n"
        "After (3 runs of diagnostics):\n\n- `a1`\n- `a2`\n- `a3`\n\n"
        "| metric          |   before |    after |                             change |\n"
        "|-----------------|---------:|---------:|-----------------------------------:|\n"
        "| wall time       | 70.200 s | 60.200 s | -14.2 % (-14.7 % to -13.8 %; 90 %) |\n"
        "| manifest writes |       14 |       14 |       0.0 % (0.0 % to 0.0 %; 90 %) |\n"
        "| success rate    |  100.0 % |  100.0 % |                               same |\n\n"
        "Medians of the runs that succeeded, without those that had stages from the cache; "
        "the change is the median ratio of all pairs of runs (its interval; the confidence of that).\n\n"
        "<!-- orchgate summary ends -->"
    )
