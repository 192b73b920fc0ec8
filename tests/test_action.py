"""The action of GitHub, step by step as a runner takes them."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.ci_steps import TOP, Ended, Runner, proposed, read, runner, step, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACTION = read("action.yml")
INPUTS = {f"inputs.{name}": one["default"] for name, one in ACTION["inputs"].items()}
JUDGE = step(ACTION, "Judge the change")
INSTALL = step(ACTION, "Install orchgate")
BROKEN_LINK = {"docs/page.md": "# Page\n\n[gone](nowhere.md)\n"}
FILES = [
    "action.yml",
    *(str(path.relative_to(TOP)) for path in sorted(TOP.glob("templates/*-github.yml"))),
    *(str(path.relative_to(TOP)) for path in sorted(TOP.glob(".github/workflows/*.yml"))),
]
OURS = ("orchgate/orchgate@main", "./")  # in what is copied; in our own CI


def scripts(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from scripts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from scripts(inner)
    elif key == "run":
        yield str(value)


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A runner with the whole history of a pull request that brings a dead link."""
    with pytest.MonkeyPatch.context() as patched:
        for who in ("AUTHOR", "COMMITTER"):
            patched.setenv(f"GIT_{who}_NAME", "Ada")
            patched.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
        made = proposed(tmp_path_factory.mktemp("action") / "source", {"a.txt": "a\n"}, BROKEN_LINK)
        temp = tmp_path_factory.mktemp("temp")
        checkout = made.checkout(temp / "checkout", 0)
        made.checkout(temp / "shallow", 1)
        yield runner(checkout, temp, made.github(temp))


def judged(on: Runner, **inputs: str) -> Ended:
    return on.run(JUDGE, INPUTS | {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()})


@pytest.mark.parametrize("name", FILES)
def test_no_expression_is_ever_a_part_of_a_script(name: str) -> None:
    assert [one for one in scripts(read(name)) if "${{" in one] == []


@pytest.mark.parametrize("name", FILES)
def test_every_action_of_others_is_pinned_by_its_commit_with_the_version_beside_it(name: str) -> None:
    used = re.findall(r"uses: (\S+)(?: # (\S+))?", (TOP / name).read_text())
    others = [(what, version) for what, version in used if not what.startswith(OURS)]

    assert [one for one in others if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}v\d+\.\d+\.\d+,?", "".join(one))] == []


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("templates/")])
def test_a_workflow_to_copy_may_write_nothing_and_is_never_pull_request_target(name: str) -> None:
    document = read(name)
    granted = [document["permissions"], *(job.get("permissions", {}) for job in document["jobs"].values())]

    written = {scope for one in granted for scope, access in one.items() if access != "read"}
    # What GitHub attests with may be written by the job that signs: neither changes anything of the repository.
    assert written == ({"id-token", "attestations"} if "signing-job" in name else set())
    assert "pull_request_target" not in document["on"]


@pytest.mark.slow
def test_the_whole_history_gives_a_verdict_with_annotations_a_summary_and_reports(merged: Runner) -> None:
    summary = merged.temp / "summary.md"
    ended = judged(merged._replace(env={**merged.env, "GITHUB_STEP_SUMMARY": str(summary)}))

    assert (ended.code, ended.outputs["verdict"], ended.outputs["exit-code"]) == (1, "fail", "1"), ended.out
    assert re.search(r"^::error file=docs/page.md,line=3.*EVD001", ended.out, re.MULTILINE), ended.out
    assert "EVD001" in summary.read_text()
    assert [os.path.getsize(ended.outputs[name]) > 0 for name in ("json", "sarif", "markdown")] == [True] * 3


@pytest.mark.slow
def test_one_commit_is_not_enough_history_and_the_fix_is_said(merged: Runner) -> None:
    ended = judged(merged._replace(repo=merged.repo._replace(root=merged.temp / "shallow")))

    assert (ended.code, ended.outputs["verdict"]) == (3, "broken"), ended.out
    assert re.search(r"^::error .*fetch-depth: 0", ended.out, re.MULTILINE), ended.out


@pytest.mark.slow
def test_a_check_is_chosen_by_name_and_a_base_by_hand(merged: Runner) -> None:
    ended = judged(merged, checks="diff-budget\nversion-bump", base="origin/main")

    assert (ended.code, ended.outputs["verdict"]) == (0, "pass"), ended.out


@pytest.mark.slow
@pytest.mark.parametrize("value", ["$(touch made)`touch made`; touch made\ntouch made", "--exit-zero", "*"])
@pytest.mark.parametrize("name", ["command", "checks", "base", "all_files"])
def test_what_an_input_holds_is_never_run_and_never_an_option(merged: Runner, name: str, value: str) -> None:
    ended = judged(merged, **{name: value})

    assert (ended.code in (2, 3), ended.outputs.get("verdict", "broken")) == (True, "broken"), ended.out
    assert [path for path in (merged.repo.root, merged.temp) if (path / "made").exists()] == []


def test_a_report_that_cannot_be_read_is_not_passed(merged: Runner, tmp_path: Path) -> None:
    silent = tmp_path / "orchgate/bin"
    silent.mkdir(parents=True)
    (silent / "orchgate").write_text("#!/bin/sh\nexit 0\n")
    (silent / "orchgate").chmod(0o755)
    ended = judged(merged._replace(env={**merged.env, "RUNNER_TEMP": str(tmp_path)}))

    assert (ended.code, ended.outputs["verdict"]) == (3, "broken"), ended.out


def test_windows_is_refused_by_name(merged: Runner) -> None:
    ended = merged._replace(env={**merged.env, "RUNNER_OS": "Windows"}).run(
        INSTALL, {"steps.python.outputs.python-path": ""}
    )

    assert (ended.code, "Linux and macOS only" in ended.out) == (2, True)


@pytest.mark.slow
def test_it_installs_what_it_comes_with_once_beside_the_python_of_the_job(merged: Runner, tmp_path: Path) -> None:
    """Nothing of the checked out change is imported, though it has modules of those names."""
    for name in ("venv", "json", "pip"):
        merged.repo.write(f"{name}.py", "open('made', 'w')\n")
    path = tmp_path / "path"
    env = {**merged.env, "RUNNER_TEMP": str(tmp_path), "GITHUB_PATH": str(path), "GITHUB_ACTION_PATH": str(TOP)}
    made = merged._replace(temp=tmp_path, env=env)
    python = {"steps.python.outputs.python-path": sys.executable}
    first, second = made.run(INSTALL, python), made.run(INSTALL, python)
    asked = made.bash('"$RUNNER_TEMP/orchgate/bin/orchgate" --version', {})

    assert (first.code, second.code, asked.code) == (0, 0, 0), first.out + second.out + asked.out
    assert os.listdir(path.read_text().splitlines()[0]) == ["orchgate"]
    assert not (merged.repo.root / "made").exists()


def test_every_output_is_one_that_a_step_gives() -> None:
    said = {
        value
        for one in steps(ACTION)
        for value in re.findall(r"^ *echo \"([a-z-]+)=", one.get("run", ""), re.MULTILINE)
    }
    formats = {"json", "sarif", "markdown"}

    assert set(ACTION["outputs"]) == said | formats
