"""Steps of GitHub's and lines of GitLab's jobs, run by bash here as a runner would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from tests.repo import ORCHGATE, Repo, init

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOP = Path(__file__).parent.parent
_VALUE = re.compile(r"\$\{\{ *(.*?) *\}\}")
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")  # as GitHub starts it
# pip reaches for the network: what it would install is here.
PYTHON = f'#!/bin/sh\n[ "$1 $2" = "-m pip" ] && exit\nexec "{sys.executable}" "$@"\n'


class Ended(NamedTuple):
    code: int
    out: str
    outputs: Mapping[str, str]


def read(name: str) -> Any:
    """A file of the project as YAML; GitHub's `on` stays a word."""
    return yaml.load((TOP / name).read_text(), yaml.BaseLoader)


def steps(document: Any) -> Iterator[Mapping[str, Any]]:
    """The steps of all jobs of a workflow, or of an action."""
    for job in document["jobs"].values() if "jobs" in document else (document["runs"],):
        yield from job["steps"]


def step(document: Any, name: str) -> Mapping[str, Any]:
    return next(one for one in steps(document) if one.get("name") == name)


class Runner(NamedTuple):
    """A machine that runs steps: a work tree, a temporary folder and programs of its own."""

    repo: Repo
    temp: Path
    env: Mapping[str, str]

    def run(self, one: Mapping[str, Any], known: Mapping[str, str] | None = None) -> Ended:
        """Runs a step; `known` are the values of its expressions."""
        given = {name: _VALUE.sub(lambda m: (known or {})[m[1]], value) for name, value in one.get("env", {}).items()}
        folder = _VALUE.sub(lambda m: (known or {})[m[1]], one.get("working-directory", "."))
        return self.bash(one["run"], given, folder)

    def bash(self, script: str, env: Mapping[str, str], folder: str = ".") -> Ended:
        file, output = self.temp / "step.sh", self.temp / "output"
        file.write_text(script)
        output.write_text("")
        done = subprocess.run(
            [*BASH, str(file)],
            cwd=self.repo.root / folder,
            env={**os.environ, **self.env, "GITHUB_OUTPUT": str(output), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        pairs = (line.partition("=") for line in output.read_text().splitlines())
        return Ended(done.returncode, os.fsdecode(done.stdout), {name: value for name, _, value in pairs})


def runner(repo: Repo, temp: Path, env: Mapping[str, str], programs: Mapping[str, str] | None = None) -> Runner:
    """A runner whose PATH begins with the given scripts; orchgate is installed as the action does."""
    for name in ("bin", "orchgate/bin", "orchgate/venv/bin"):
        (temp / name).mkdir(parents=True, exist_ok=True)
    (temp / "orchgate/bin/orchgate").symlink_to(ORCHGATE)
    (temp / "orchgate/venv/bin/python").symlink_to(sys.executable)
    for name, text in {"python": PYTHON, **(programs or {})}.items():
        (temp / "bin" / name).write_text(text)
        (temp / "bin" / name).chmod(0o755)
    path = os.pathsep.join([str(temp / "bin"), os.environ["PATH"]])
    fixed = {"CI": "true", "RUNNER_TEMP": str(temp), "RUNNER_OS": "Linux", "PATH": path}
    return Runner(repo, temp, {**fixed, **env})


class Proposed(NamedTuple):
    """A repository with a branch that is proposed, and the merge that GitHub makes of it."""

    source: Repo
    base: str
    head: str
    merge: str

    def checkout(self, root: Path, depth: int) -> Repo:
        """What actions/checkout leaves of a pull request: 0 is the whole history."""
        made = init(root)
        made.git("remote", "add", "origin", f"file://{self.source.root}")
        wanted = f"+{self.merge}:refs/remotes/pull/1/merge"
        if depth:
            made.git("fetch", "--quiet", "--no-tags", f"--depth={depth}", "origin", wanted)
        else:
            made.git("fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*", wanted)
        made.git("checkout", "--quiet", "--force", "refs/remotes/pull/1/merge")
        return made

    def github(self, temp: Path) -> dict[str, str]:
        """The variables of a pull request."""
        event = temp / "event.json"
        sides = f'"base": {{"sha": "{self.base}", "ref": "main"}}, "head": {{"sha": "{self.head}"}}'
        event.write_text(f'{{"repository": {{"default_branch": "main"}}, "pull_request": {{{sides}}}}}')
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_BASE_REF": "main",
            "GITHUB_HEAD_REF": "topic",
            "GITHUB_REF": "refs/pull/1/merge",
            "GITHUB_SHA": self.merge,
        }


def proposed(root: Path, start: Mapping[str, str], change: Mapping[str, str]) -> Proposed:
    """A branch with a change; the default branch went on meanwhile."""
    repo = init(root)
    repo.commit("Start", start)
    repo.git("checkout", "--quiet", "-b", "topic")
    head = repo.commit("Change", change)
    repo.git("checkout", "--quiet", "main")
    base = repo.commit("Go on", {"other.txt": "x\n"})
    repo.git("checkout", "--quiet", "--detach")
    repo.git("merge", "--quiet", "--no-ff", "-m", "Merge", "topic")
    merge = repo.git("rev-parse", "HEAD")
    repo.git("update-ref", "refs/pull/1/merge", merge)
    repo.git("config", "uploadpack.allowAnySHA1InWant", "true")
    repo.git("checkout", "--quiet", "main")
    return Proposed(repo, base, head, merge)
