"""What else than the code differs between two sides is said beside a verdict that is no pass."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from orchgate.git.repository import open_repository
from orchgate.runs.machine import fingerprint
from orchgate.runs.stages import Stage
from orchgate.speed import measurements, work_trees
from orchgate.speed.sampling import Side
from orchgate.verdict import baseline
from tests.baselines import record
from tests.runs import Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo


def test_lock_files_come_before_what_chooses_an_interpreter() -> None:
    changed = [
        ".python-version",
        "work.py",
        "web/package-lock.json",
        "uv.lock",
        "requirements-dev.txt",
        "clock",
        "lock.py",
    ]

    assert work_trees.deciding_files(changed) == (
        "requirements-dev.txt",
        "uv.lock",
        "web/package-lock.json",
        ".python-version",
    )


def test_many_differences_are_counted_and_not_listed() -> None:
    found = [f"{number}.lock" for number in range(8)]

    assert list(measurements.also_differs(found)) == ["also differs: 0.lock, 1.lock, 2.lock, 3.lock, 4.lock and 3 more"]


def test_no_difference_is_not_worth_a_line() -> None:
    assert list(measurements.also_differs([])) == []


def side(root: Path, program: str, leads_to: str) -> Side:
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "tool").symlink_to(leads_to)
    return Side("base", "", "", str(root), "", (Stage("s", "s", (program,)),))


@pytest.mark.parametrize("program", ["bin/tool", "tool"])
def test_a_program_that_a_tree_links_elsewhere_is_named_with_both_ends(tmp_path: Path, program: str) -> None:
    base, head = side(tmp_path / "a", program, "/bin/sh"), side(tmp_path / "b", program, sys.executable)
    ends = f"{os.path.realpath('/bin/sh')} -> {os.path.realpath(sys.executable)}"

    assert work_trees.differing_programs(base, head, {"PATH": "bin:/bin"}) == (f"program {program} ({ends})",)


@pytest.mark.parametrize("program", ["bin/tool", "/bin/sh", "sh", "no-such-program"])
def test_the_same_program_is_no_difference(tmp_path: Path, program: str) -> None:
    base, head = side(tmp_path / "a", program, "/bin/sh"), side(tmp_path / "b", program, "/bin/sh")

    assert work_trees.differing_programs(base, head, os.environ) == ()


@pytest.mark.parametrize(("machine", "expected"), [("here", ()), ("0" * 16, (work_trees.MACHINE,))])
def test_a_baseline_of_another_kind_of_machine_only_is_a_difference(
    repo: Repo, machine: str, expected: tuple[str, ...]
) -> None:
    one = record("bench", str(fingerprint()["fingerprint"]) if machine == "here" else machine)
    base = repo.commit(files={baseline.PATH: baseline.render(baseline.Baseline({one.place: one}))})
    repository = open_repository(str(repo.root), {})
    found = work_trees.other_machine(repository, base, "bench")
    repository.close()

    assert found == expected


@pytest.mark.slow
def test_a_baseline_that_cannot_be_read_is_no_difference(repo: Repo) -> None:
    base = repo.commit(files={baseline.PATH: "<<<<<<< ours\n"})
    repository = open_repository(str(repo.root), {})
    found = work_trees.other_machine(repository, base, "bench")
    repository.close()

    assert found == ()


WRITE = "mkdir -p .runs/t/cli/r; for n in 1{more}; do echo $n > .runs/t/cli/r/manifest.json; done\n"
DIFFERS = "also differs: package-lock.json, .nvmrc, environment NODE_ENV"


@pytest.fixture
def slower(repo: Repo) -> Project:
    """A change that is refused, which brings other tools and another environment."""
    project = Project(repo)
    project.define("demo", {"id": "write", "run": ["sh", "write.sh"], "env": {"NODE_ENV": "test"}})
    text = (project.root / "orchgate.toml").read_text()
    gate = '[performance]\npipeline = "demo"\nbudget-seconds = 60\n'
    repo.commit(files={"write.sh": WRITE.format(more=""), ".gitignore": ".runs/\n", "orchgate.toml": gate + text})
    repo.git("checkout", "--quiet", "-b", "topic")
    others = {"package-lock.json": "{}\n", ".nvmrc": "24\n", "orchgate.toml": gate + text.replace('"test"', '"hush"')}
    repo.commit(files={"write.sh": WRITE.format(more=" 2"), **others})
    return project


@pytest.mark.slow
def test_what_else_differs_is_said_beside_a_refusal(slower: Project) -> None:
    result = slower.repo.orchgate("perf", "demo", "--max-pairs", "5")

    assert (result.code, f"  {DIFFERS}\n" in result.out, "hush" in result.out) == (1, True, False), result.out


@pytest.mark.slow
def test_a_refused_push_says_what_else_differs(slower: Project) -> None:
    report = slower.repo.report("--base", "main", "performance")
    said = [one["rule"] for one in report["diagnostics"] if DIFFERS in one["message"]]

    assert (len(said), "hush" in json.dumps(report)) == (1, False)


@pytest.mark.slow
def test_what_cannot_be_told_within_the_budget_says_what_else_differs(repo: Repo) -> None:
    toml = '[performance]\npipeline = "bench"\nbudget-seconds = 1\n[[pipelines.bench.stages]]\nid = "s"\n'
    repo.commit(files={"orchgate.toml": toml + 'run = ["sleep", "600"]\n'})
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit(files={"go.sum": "x\n"})

    assert "also differs: go.sum" in repo.orchgate("check", "performance", "--base", "main").out


def test_a_tool_that_is_another_one_than_the_baseline_was_measured_with_is_a_difference(
    repo: Repo, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tool").write_bytes(b"\x7fELF now")
    (tmp_path / "bin/tool").chmod(0o755)
    one = record(fingerprint=str(fingerprint()["fingerprint"]), tools={"tool": f"sha256:{'a' * 64}", "gone": "1.0"})
    base = repo.commit(files={baseline.PATH: baseline.render(baseline.Baseline({one.place: one}))})
    head = Side("head", "", "", str(repo.root), "", (Stage("s", "s", ("tool", "x")),))

    with open_repository(str(repo.root), {}) as repository:
        found = work_trees.other_tools(repository, head, {"PATH": str(tmp_path / "bin")}, base, one.pipeline)
        unknown = work_trees.other_tools(repository, head, {"PATH": str(tmp_path / "bin")}, base, "another")

    assert [words.partition(" (")[0] for words in found] == ["tool: another file"]
    assert found[0].endswith(" since the baseline")
    assert unknown == ()
