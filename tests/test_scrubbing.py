"""What git tells a hook about the repository it runs in does not reach the programs that a run starts."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING

import pytest

from orchgate.git.call import LOCAL_VARIABLES, scrubbed
from tests.repo import ORCHGATE
from tests.runs import TASK, Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow

# Writes down which of git's variables a program sees; each call adds a line.
LISTED = 'env | grep -E "^GIT_(DIR|INDEX_FILE|PREFIX|CONFIG_[CKPV])" | cut -d= -f1 | tr "\\n" " "'
SEES = f'echo "seen:$({LISTED})" >> "$SEEN"'
# A test that makes a repository of its own, as the fixtures of many projects do.
FIXTURE = "d=$(mktemp -d) && git init -q $d && cd $d && echo x > leaked && git add leaked"


@pytest.fixture
def project(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository in which commands run as in a hook of it."""
    repo.commit(files={".gitignore": ".runs/\n.git.orchgate\n"})
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    return Project(repo)


@pytest.fixture
def in_hook(project: Project) -> dict[str, str]:
    return {
        "GIT_DIR": str(project.root / ".git"),
        "GIT_INDEX_FILE": str(project.root / ".git" / "index"),
        "GIT_PREFIX": "",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "Eve",
        "GIT_CONFIG_PARAMETERS": "'user.name=Eve'",
    }


def seen() -> list[str]:
    with open(os.environ["SEEN"], encoding="utf-8") as file:
        return file.read().split("\n")[:-1]


def test_every_variable_that_this_git_calls_local_is_one_of_ours(repo: Repo) -> None:
    assert set(repo.git("rev-parse", "--local-env-vars").split()) <= LOCAL_VARIABLES


def test_numbered_settings_go_and_limits_of_the_search_stay() -> None:
    environ = {"GIT_CONFIG_KEY_12": "a.b", "GIT_CONFIG_VALUE_12": "c", "GIT_CEILING_DIRECTORIES": "/", "GIT_SSH": "ssh"}
    assert set(scrubbed(environ)) == {"GIT_CEILING_DIRECTORIES", "GIT_SSH"}


@pytest.mark.parametrize("cwd", ["", "sub"])
def test_a_stage_sees_none_of_them(project: Project, in_hook: dict[str, str], cwd: str) -> None:
    project.repo.commit(files={"sub/a": "x\n"})
    project.define("demo", {"id": "one", "shell": SEES, "cwd": cwd})
    project.run(env=in_hook)
    assert seen() == ["seen:"]


def test_nor_does_the_stage_of_a_sub_pipeline(project: Project, in_hook: dict[str, str]) -> None:
    project.define("inner", {"id": "one", "shell": SEES})
    project.define("demo", {"id": "call", "pipeline": "inner"})
    project.run(env=in_hook)
    assert seen() == ["seen:"]


def test_nor_does_a_second_attempt(project: Project, in_hook: dict[str, str]) -> None:
    project.define("demo", {"id": "one", "shell": f"{SEES}; test $(wc -l < $SEEN) = 2", "retries": 1})
    project.run(env=in_hook)
    assert seen() == ["seen:", "seen:"]


def test_nor_does_a_run_that_is_taken_up_again(project: Project, in_hook: dict[str, str]) -> None:
    project.define("demo", {"id": "one", "shell": f"{SEES}; test $(wc -l < $SEEN) = 2"})
    project.run(env=in_hook)
    project.repo.orchgate("resume", "latest", env=in_hook)
    assert seen() == ["seen:", "seen:"]


def test_nor_does_a_pipeline_of_the_other_orchestrator(project: Project, in_hook: dict[str, str]) -> None:
    stage = {"kind": "command", "id": "one", "title": "One", "command": SEES}
    pipeline = {"id": "theirs", "title": "Theirs", "stages": [stage]}
    project.repo.commit(files={"codex.orchestrator.json": json.dumps({"pipelines": [pipeline]})})
    project.run("theirs", env=in_hook)
    assert seen() == ["seen:"]


def test_nor_does_an_agent_or_its_validator(project: Project, in_hook: dict[str, str]) -> None:
    program = shlex.join(["sh", "-c", SEES])
    options = ("--goal", "g", "--agent", program, "--validator", program)
    assert (project.repo.orchgate("rlm", *options, env=in_hook).code, seen()) == (0, ["seen:", "seen:"])


def test_nor_does_a_program_that_is_observed(project: Project, in_hook: dict[str, str]) -> None:
    project.repo.orchgate("observe", "--", "sh", "-c", SEES, env=in_hook)
    assert seen() == ["seen:"]


def test_nor_does_a_command_that_is_measured_or_readies_its_tree(project: Project, in_hook: dict[str, str]) -> None:
    head = project.repo.commit(files={"orchgate.toml": f"[performance]\nprepare = {json.dumps(['sh', '-c', SEES])}\n"})
    options = ("--base", head, "--head", head, "--max-time", "1")
    project.repo.orchgate("perf", *options, "--", "sh", "-c", SEES, env=in_hook)
    assert set(seen()) == {"seen:"}


def test_what_a_stage_sets_itself_reaches_it_and_the_pipelines_it_calls(
    project: Project, in_hook: dict[str, str]
) -> None:
    project.define("inner", {"id": "one", "shell": 'echo "$GIT_DIR" >> $SEEN'})
    project.define("demo", {"id": "call", "pipeline": "inner", "env": {"GIT_DIR": "/elsewhere"}})
    project.run(env=in_hook)
    assert seen() == ["/elsewhere"]


def test_a_stage_that_names_one_is_answered_from_the_cache_in_a_hook_as_outside(
    project: Project, in_hook: dict[str, str]
) -> None:
    project.define("demo", {"id": "one", "shell": "echo [$GIT_DIR]", "inputs": ["orchgate.toml"]})
    project.run()
    project.run(env=in_hook)
    assert project.stages()["one"]["cached"] is True


def hook(root: Path, name: str, *argv: str) -> None:
    path = root / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{shlex.join(argv)} </dev/null\n")
    path.chmod(0o755)


def committed(repo: Repo, *options: str) -> str:
    """What a commit in a work tree holds, made past no hook."""
    repo.git("commit", "-qm", "mine", *options)
    return repo.git("show", "--name-only", "--format=", "HEAD")


@pytest.mark.parametrize("verb", ["run", "rlm", "observe"])
def test_a_fixture_does_not_land_in_the_commit_of_a_linked_work_tree(
    project: Project, tmp_path: Path, verb: str
) -> None:
    project.define("demo", {"id": "t", "shell": FIXTURE})
    fixture = shlex.join(["sh", "-c", FIXTURE])
    argv = {
        "run": ("run", "demo", "--task", TASK),
        "rlm": ("rlm", "--goal", "g", "--agent", fixture, "--validator", fixture),
        "observe": ("observe", "--", "sh", "-c", FIXTURE),
    }[verb]
    hook(project.root, "pre-commit", ORCHGATE, *argv)
    project.repo.git("worktree", "add", "-q", str(tmp_path / "w"), "-b", "w")
    linked = type(project.repo)(tmp_path / "w")
    linked.stage("mine")
    assert committed(linked) == "mine"


def test_nor_in_a_commit_with_an_index_of_its_own(project: Project) -> None:
    project.define("demo", {"id": "t", "shell": FIXTURE})
    project.repo.commit(files={"mine": "1\n"})
    hook(project.root, "pre-commit", ORCHGATE, "run", "demo", "--task", TASK)
    project.repo.write("mine", "2\n")
    assert committed(project.repo, "-a") == "mine"


def test_nor_in_the_commit_of_a_submodule(project: Project, tmp_path: Path) -> None:
    inner = type(project.repo)(tmp_path / "inner")
    inner.root.mkdir()
    inner.git("init", "-q", "--template=", "-b", "main")
    Project(inner).define("demo", {"id": "t", "shell": FIXTURE})
    inner.commit(files={".gitignore": ".runs/\n"})
    project.repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.root), "sub")
    module = type(project.repo)(project.root / "sub")
    hook_path = project.root / ".git" / "modules" / "sub"
    (hook_path / "hooks").mkdir(exist_ok=True)
    (hook_path / "hooks" / "pre-commit").write_text(f"#!/bin/sh\n{ORCHGATE} run demo --task {TASK}\n")
    (hook_path / "hooks" / "pre-commit").chmod(0o755)
    module.stage("mine")
    assert committed(module) == "mine"


def test_the_tree_that_a_run_in_a_hook_records_is_still_the_one_being_committed(project: Project) -> None:
    project.define("demo", {"id": "t", "run": ["true"]})
    hook(project.root, "pre-commit", ORCHGATE, "run", "demo", "--task", TASK)
    project.repo.commit(files={"mine": "1\n"})
    project.repo.write("mine", "2\n")
    project.repo.git("commit", "-qam", "mine")
    assert "mine" in project.manifest()["git"]["changed"]
