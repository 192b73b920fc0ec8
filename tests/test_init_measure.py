"""`orchgate init --measure`: something to measure before each push, of a command or the tests that are recognised."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.commands.init import configuration
from orchgate.config.load import load_work_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo


@pytest.fixture
def here(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    monkeypatch.chdir(repo.root)
    return repo


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "python3 -m pytest -q"),
        ({"pyproject.toml": "", "src/a/__init__.py": ""}, "PYTHONPATH=src python3 -m pytest -q"),
        ({"noxfile.py": "def tests(session): ...\n"}, "python3 -m pytest -q"),
        ({"Makefile": "test:\n\ttrue\n"}, "make test"),
        ({"package.json": '{"scripts": {"test": "vitest run"}}'}, "npm run test"),
        ({"go.mod": "module a\n"}, "go test -count=1 ./..."),
        ({"Cargo.toml": "[package]\n"}, "cargo test"),
    ],
)
def test_tests_that_are_recognised_are_measured(here: Repo, files: dict[str, str], command: str) -> None:
    for path, content in files.items():
        here.write(path, content)

    assert main(["init", "--native", "--measure"]) == 0

    config = load_work_tree(str(here.root))
    (stage,) = config.pipelines["tests"].stages
    assert (config.performance.pipeline, stage.shell) == ("tests", command)


def test_what_the_tests_need_and_is_not_here_is_named(
    here: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for name, text in (("python3", "#!/bin/sh\nexit 1\n"), ("npm", "")):
        monkeypatch.setenv("PATH", str(tmp_path / name))
        here.write(*(("package.json", '{"scripts": {"test": "vitest"}}') if name == "npm" else ("pyproject.toml", "")))
        (tmp_path / name).mkdir()
        (tmp_path / name / "python3").write_text(text)
        (tmp_path / name / "python3").chmod(0o700)
        said.append(configuration.lacking(str(here.root)))

    assert said == [
        "python3 finds no pytest here: activate the environment that has it before you push",
        "there is no npm on the PATH here: before a push it has to be",
    ]


@pytest.mark.slow
def test_a_command_of_ones_own_is_measured_also_where_a_configuration_is_there(here: Repo) -> None:
    here.write("orchgate.toml", "[diff-budget]\nmax-files = 3 # ours")

    assert main(["init", "--native", "--measure", 'make "it"']) == 0

    config = load_work_tree(str(here.root))
    assert config.pipelines["tests"].stages[0].shell == 'make "it"'
    assert (
        (here.root / "orchgate.toml")
        .read_text()
        .startswith("[diff-budget]\nmax-files = 3 # ours\n\n# Before each push")
    )
    before = (here.root / "orchgate.toml").read_text()
    assert main(["init", "--native", "--measure", "other"]) == 0
    assert (here.root / "orchgate.toml").read_text() == before  # what is measured already stays


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no tests are recognised here"),
        (
            {"go.mod": "", "orchgate.toml": "[pipelines.tests]\nstages = [{id='a', run=['true']}]\n"},
            "name the pipeline",
        ),
        ({"pyproject.toml": "[tool.orchgate]\nprofile = 'default'\n"}, "set performance.pipeline there"),
    ],
)
def test_what_cannot_be_measured_is_said_and_nothing_is_written(
    here: Repo, capsys: pytest.CaptureFixture[str], files: dict[str, str], message: str
) -> None:
    for path, content in files.items():
        here.write(path, content)

    assert main(["init", "--native", "--measure"]) == 3

    assert message in capsys.readouterr().err
    assert not os.path.exists(here.root / ".git/hooks/pre-push")


@pytest.mark.slow
def test_nothing_is_measured_unless_asked_for(here: Repo) -> None:
    here.write("go.mod", "module a\n")

    assert main(["init", "--native"]) == 0

    assert load_work_tree(str(here.root)).performance.pipeline == ""
