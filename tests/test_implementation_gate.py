"""The gate's own run, and whether the tree that is checked out has one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from orchgate.runs import implementation_gate
from orchgate.runs.implementation_gate import NAME, commands, on_disk
from tests.runs import TASK, Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow

SUGGESTED: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {}),
    ({"pyproject.toml": ""}, {"test": "pytest"}),
    ({"pyproject.toml": "[tool.ruff]\n"}, {"test": "pytest", "lint": "ruff check ."}),
    ({"go.mod": "module x\n"}, {"build": "go build ./...", "lint": "go vet ./...", "test": "go test ./..."}),
    ({"Cargo.toml": ""}, {"build": "cargo build", "lint": "cargo clippy", "test": "cargo test"}),
    (
        {"Makefile": "test:\n\ttrue\n", "go.mod": "module x\n"},
        {"test": "make test", "build": "go build ./...", "lint": "go vet ./..."},
    ),
    ({"package.json": '{"scripts": {"lint": "x", "start": "x"}}'}, {"lint": "npm run lint"}),
    ({"package.json": '{"scripts": {"test": "x"}}', "pnpm-lock.yaml": ""}, {"test": "pnpm run test"}),
    ({"package.json": "{"}, {}),
    ({"noxfile.py": "def tests(session):\n"}, {"test": "nox -s tests"}),
]


@pytest.mark.parametrize(("files", "expected"), SUGGESTED)
def test_the_files_of_a_repository_tell_its_commands(
    tmp_path: Path, files: dict[str, str], expected: dict[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    assert commands(on_disk(str(tmp_path))) == expected


def test_stages_without_a_command_are_left_out_and_nobody_waits_for_them(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("")

    stages = implementation_gate.settings(on_disk(str(tmp_path)), measured=True).stages

    assert [(stage.id, stage.needs) for stage in stages] == [
        ("checks", ()),
        ("tests", ()),
        ("speed", ("checks", "tests")),
    ]


def test_speed_is_judged_only_where_a_pipeline_is_named_for_it(tmp_path: Path) -> None:
    assert [stage.id for stage in implementation_gate.settings(on_disk(str(tmp_path)), measured=False).stages] == [
        "checks"
    ]


def test_a_program_with_odd_characters_in_its_path_stays_one_word() -> None:
    import tomllib

    text = implementation_gate.text({}, measured=False, program='/a "b"\\c')

    assert tomllib.loads(text)["pipelines"][NAME]["stages"][0]["run"][0] == '/a "b"\\c'


def gate(repo: Repo) -> dict[str, object]:
    found: dict[str, object] = json.loads(repo.orchgate("status", "--output-format", "json").out)["gate"]
    return found


@pytest.fixture
def judged(repo: Repo) -> Repo:
    """A repository whose gate has passed."""
    repo.commit("tests", {"Makefile": "test:\n\t@true\n", ".gitignore": ".runs/\nout/\n"})
    finished = repo.orchgate("run", NAME, "--task", TASK)
    assert finished.code == 0, finished.out
    return repo


def test_a_run_of_the_gate_speaks_for_its_tree(judged: Repo) -> None:
    assert (gate(judged)["status"], gate(judged)["tree"]) == ("passed", judged.git("rev-parse", "HEAD^{tree}"))


def test_the_manifest_names_the_tree_that_was_judged(judged: Repo) -> None:
    assert Project(judged).manifest()["git"]["tree"] == judged.git("rev-parse", "HEAD^{tree}")


def test_another_tree_has_no_run_yet(judged: Repo) -> None:
    judged.commit("more", {"a.txt": "a"})

    assert (gate(judged)["status"], "gate: no run of tree" in judged.orchgate("status").out) == ("absent", True)


def test_no_run_speaks_for_changes_that_no_commit_holds(judged: Repo) -> None:
    judged.write("Makefile", "test:\n\t@false\n")

    assert gate(judged)["status"] == "changed"


def test_a_failed_gate_is_no_passed_one(judged: Repo) -> None:
    judged.commit("broken", {"Makefile": "test:\n\t@false\n"})
    judged.orchgate("run", NAME, "--task", TASK)

    assert gate(judged)["status"] == "failed"


def test_a_repository_may_define_the_gate_itself(repo: Repo) -> None:
    Project(repo).define(NAME, {"id": "mine", "run": ["true"]})

    assert "orchgate.toml" in repo.orchgate("plan").out
