"""What `orchgate plan` shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.cli import main
from tests.published import closed

if TYPE_CHECKING:
    from tests.repo import Repo

CONFIG = """
[pipelines.diagnostics]
title = "Diagnostics"
env = { LEVEL = "1" }
[[pipelines.diagnostics.stages]]
id = "build"
run = ["python", "-c", "print(1)"]
[[pipelines.diagnostics.stages]]
id = "test"
title = "All tests"
shell = "pytest -q"
needs = ["build"]
env = { NAME = "two words" }
cwd = "packages/a"
timeout-seconds = 600
retries = 2
retry-delay-seconds = 0.5
allow-failure = true
inputs = ["src/**"]
results = "report.xml"
[[pipelines.diagnostics.stages]]
id = "lint"
run = ["ruff", "check"]
[[pipelines.diagnostics.stages]]
id = "more"
pipeline = "inner"
needs = ["test"]
[[pipelines.inner.stages]]
id = "deep"
shell = "true"
"""
OTHER = {
    "pipelines": [{"id": "other", "title": "Other", "stages": [{"kind": "command", "id": "x", "command": "true"}]}]
}


@pytest.fixture(autouse=True)
def _configured(repo: Repo) -> None:
    repo.write("orchgate.toml", CONFIG)
    repo.write("codex.orchestrator.json", json.dumps(OTHER))


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["plan", *args]) == 0
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(shown(capsys, *args, "--output-format", "json"))
    return read


def test_a_plan_reads_like_this(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        shown(capsys, "diagnostics")
        == """\
diagnostics: Diagnostics (4 stages, in parallel as far as needs allow; orchgate.toml)
  step 1 of 3:
  1. build: python -c 'print(1)'
     with LEVEL=1
  3. lint: ruff check
     with LEVEL=1
  step 2 of 3:
  2. test: pytest -q
     All tests; after build; with LEVEL=1 NAME='two words'; in packages/a; at most 600 s; 2 retries after 0.5 s; \
may fail; cached while src/** stay the same; results from report.xml
  step 3 of 3:
  4. more: pipeline inner: inner
     after test; with LEVEL=1
    4.1. deep: true
"""
    )


def test_without_a_name_all_pipelines_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == (
        "diagnostics          Diagnostics  (4 stages; orchgate.toml)\n"
        "inner                inner  (1 stage; orchgate.toml)\n"
        "other                Other  (1 stage; codex.orchestrator.json)\n"
        "implementation-gate  The gate: checks, build, lint, tests, speed  (1 stage; orchgate itself)\n"
    )


def test_a_sequential_pipeline_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        shown(capsys, "other") == "other: Other (1 stage, one after another; codex.orchestrator.json)\n  1. x: true\n"
    )


def test_where_none_is_defined_there_is_the_one_that_is_shipped(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write("orchgate.toml", "")
    repo.write("codex.orchestrator.json", "{}")

    assert shown(capsys).split()[0] == "implementation-gate"


def test_the_json_of_a_plan_fits_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema.validate(document(capsys, "diagnostics"), closed("plan"))


def test_the_json_of_the_list_fits_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema.validate(document(capsys), closed("plan"))


def test_the_json_tells_which_stages_may_run_together(capsys: pytest.CaptureFixture[str]) -> None:
    levels = {stage["id"]: stage["level"] for stage in document(capsys, "diagnostics")["stages"]}

    assert levels == {"build": 1, "lint": 1, "test": 2, "more": 3}


def test_the_json_tells_why_a_stage_is_never_cached(capsys: pytest.CaptureFixture[str]) -> None:
    stages = document(capsys, "diagnostics")["stages"]

    assert [(stage["cacheable"], stage["not_cacheable_because"]) for stage in stages[:2]] == [
        (False, "no inputs"),
        (True, None),
    ]


def test_the_json_unfolds_the_pipelines_that_are_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert document(capsys, "diagnostics")["stages"][3]["pipeline"]["stages"][0]["command"] == "true"


def test_an_unknown_pipeline_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "diagnostic"]) == 2
    assert "did you mean diagnostics?" in capsys.readouterr().err


def test_a_pipeline_that_can_never_run_is_a_wrong_configuration(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write("orchgate.toml", "[[pipelines.p.stages]]\nid = 'a'\npipeline = 'p'")

    assert main(["plan", "p"]) == 2
    assert 'pipeline "p" calls itself' in capsys.readouterr().err


def test_a_broken_file_is_a_wrong_configuration(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write("codex.orchestrator.json", "{")

    assert main(["plan"]) == 2
    assert "codex.orchestrator.json: not valid JSON" in capsys.readouterr().err


def test_a_command_cannot_move_the_cursor(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write("orchgate.toml", '[[pipelines.p.stages]]\nid = "a"\nshell = "echo \\u001b[2J\\nrm -r x"')

    assert shown(capsys, "p").splitlines()[1] == r"  1. a: echo \x1b[2J\nrm -r x"


def test_nothing_is_run_and_nothing_written(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write("orchgate.toml", '[[pipelines.p.stages]]\nid = "a"\nshell = "touch ran"\ninputs = ["**"]')
    before = sorted(repo.root.rglob("*"))
    shown(capsys, "p")

    assert sorted(repo.root.rglob("*")) == before
