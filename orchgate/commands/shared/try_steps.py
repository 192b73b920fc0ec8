"""What `orchgate try` shows, one step after the other, in a repository with a remote of its own."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib.patterns import lazy
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.git.scratch import Scratch
    from orchgate.lib.process import Completed

TASK = "0001-faster-start"
CHECKLIST = f"tasks/tasks-{TASK}.md"
PLAN = "docs/ACTION_PLAN-faster-start.md"
PIPELINE = "demo"
PROGRAM = "work.py"
MANIFEST = f".runs/{TASK}/cli/2026-01-01T00-00-00-000Z-00000000/manifest.json"  # of a run that never was
CONFIG = """\
# Everything has a default; this is here to be changed. `orchgate check --show-config` prints the rest.
[diff-budget]
max-files = 25
max-lines = 800

[pipelines.{pipeline}]
title = "What the play ground does"
[[pipelines.{pipeline}.stages]]
id = "work"
run = [{python}, "work.py"]
[[pipelines.{pipeline}.stages]]
id = "ready"
run = [{python}, "-c", "print('ready')"]
needs = ["work"]

[performance]                  # measured before a push that touches the program
pipeline = "{pipeline}"
relevant = ["work.py"]
"""
WORK = """\
ROUNDS = {rounds}

for _ in range(ROUNDS):
    total = sum(number * number for number in range(600_000))
print(total)
"""
HOOKS = """\
default_install_hook_types: [pre-commit, pre-merge-commit, pre-push]
repos:
  - repo: local
    hooks:
      - id: orchgate
        name: orchgate
        entry: {entry}
        language: system
        pass_filenames: false
        always_run: true
        require_serial: true
        verbose: true
        stages: [pre-commit, pre-merge-commit, pre-push, manual]
"""
REASON = "Performance-Override: all three rounds are needed after all"
REMOTE = os.path.join(".git", "try-remote.git")  # out of the way, and gone with the folder
_COMMENT_ALONE = lazy(r"(?m)(^## [^\n]+\n)\s*<!--[^>]*-->\n(?=\n|\Z)")  # below a heading, and nothing else
_WALL_TIME = lazy(r"(\| wall time +\| +[^|]+\| +)[0-9.]+ s")


class Step(NamedTuple):
    """One thing shown: what it is about, and what does it."""

    title: str
    act: Callable[[Scratch], None]


def _start(scratch: Scratch) -> None:
    import json  # its strings are TOML's

    scratch.write("README.md", "# Play ground\n\nMade by `orchgate try`.\n")
    scratch.write(".gitignore", ".runs/\nout/\n")
    scratch.write(PROGRAM, WORK.format(rounds=3))
    python = json.dumps(sys.executable, ensure_ascii=False)
    scratch.write("orchgate.toml", CONFIG.format(pipeline=PIPELINE, python=python))
    scratch.write(".pre-commit-config.yaml", HOOKS.format(entry=" ".join([*_orchgate(), "check"])))
    _must(scratch, [sys.executable, "-P", "-m", "pre_commit", "install"], "pre-commit install")
    _commit(scratch, "Start", lands=True)
    remote = os.path.join(scratch.root, REMOTE)
    _must(scratch, ["git", "init", "--quiet", "--bare", "--initial-branch=main", remote])
    _must(scratch, ["git", "remote", "add", "origin", remote])
    _must(scratch, ["git", "push", "--quiet", "--no-verify", "--set-upstream", "origin", "main"])


def _plan(scratch: Scratch) -> None:
    _must(scratch, [*_orchgate(), "new", "faster-start"], "orchgate new faster-start")
    _commit(scratch, "Plan a task", lands=True)


def _claim(scratch: Scratch) -> None:
    for path in ("docs/PRD-faster-start.md", "docs/TECH_SPEC-faster-start.md", PLAN):
        scratch.write(path, _COMMENT_ALONE.sub(r"\1\nLittle is needed in a play ground.\n", scratch.read(path)))
    scratch.append(CHECKLIST, f"- [x] Time measured before the change. Evidence: `{MANIFEST}`\n")
    _say(f"   The sections are filled in, and {CHECKLIST} ticks an item whose run never happened.")
    _commit(scratch, "Claim a measurement", lands=False)


def _measure(scratch: Scratch) -> None:
    manifest = _run(scratch)
    scratch.replace(CHECKLIST, MANIFEST, manifest)
    _say("   the claim now names the manifest of that run.")
    _commit(scratch, "Measure before the change", lands=True)


def _improve(scratch: Scratch) -> None:
    _orch(scratch, "hotspots", TASK)
    scratch.write(PROGRAM, WORK.format(rounds=1))
    _say(f"   {PROGRAM} now does a third of the work.")
    before, after = _manifests(scratch)[0], _run(scratch)
    _orch(scratch, "evidence", "summarize", "--task", TASK, "--before", before, "--after", after)
    _orch(scratch, "evidence", "pin")
    _commit(scratch, "Do a third of the work", lands=True)
    _push(scratch, lands=True)


def _embellish(scratch: Scratch) -> None:
    text = scratch.read(PLAN)
    scratch.write(PLAN, _WALL_TIME.sub(r"\g<1>0.001 s", text))
    _say(f"   the wall time in {PLAN} now looks even better.")
    _commit(scratch, "Embellish the result", lands=False)
    scratch.write(PLAN, text)
    _must(scratch, ["git", "add", "--all"])


def _regress(scratch: Scratch) -> None:
    scratch.write(PROGRAM, WORK.format(rounds=3))
    _commit(scratch, "Tidy up", lands=True)
    _push(scratch, lands=False)
    _say("   It may land for a reason that everybody sees; what was measured is on record, and is not measured again:")
    amend = ["git", "commit", "--quiet", "--amend", "--no-edit", "--trailer", REASON]
    _must(scratch, amend, f"git commit --quiet --amend --no-edit --trailer '{REASON}'")
    _push(scratch, lands=True)


def _travel(scratch: Scratch) -> None:
    _orch(scratch, "evidence", "push")
    with tempfile.TemporaryDirectory(prefix="orchgate-try-") as folder:
        clone = os.path.join(folder, "clone")
        _must(scratch, ["git", "clone", "--quiet", os.path.join(scratch.root, REMOTE), clone], "git clone … clone")
        _say("   the clone has no .runs/; still its claims can be judged:")
        _orch(scratch, "check", "documents", "evidence", "--all-files", cwd=clone)
        _orch(scratch, "evidence", "fetch", cwd=clone)


STEPS = (
    Step("A repository with the gate in front of its commits and pushes", _start),
    Step("A packet for a task: it may land, and the gate says what its author still owes", _plan),
    Step("A claim without evidence is blocked", _claim),
    Step("The same claim lands once a pipeline has run and been recorded", _measure),
    Step("Find the hotspot, change it, run again: the plan shows before and after, and the push is faster", _improve),
    Step("A number that no run shows is blocked", _embellish),
    Step("The gain is guarded: a push that gives it away is refused, and lands once it says why", _regress),
    Step("The evidence travels: a clone without any run judges the same claims, and fetches them", _travel),
)


def _orchgate() -> list[str]:
    # By interpreter, not by name: the environment that holds orchgate need not be on anybody's PATH.
    return [sys.executable, "-P", "-m", "orchgate"]


def _orch(scratch: Scratch, *options: str, cwd: str = "") -> Completed:
    return _must(scratch, [*_orchgate(), *options], " ".join(["orchgate", *options]), cwd=cwd)


def _run(scratch: Scratch) -> str:
    """Runs the pipeline; the repository path of the new manifest."""
    ran = _orch(scratch, "run", PIPELINE, "--task", TASK)
    told = [line.partition(": ") for line in os.fsdecode(ran.stdout).splitlines()]
    return next((value for name, _, value in told if name == "manifest"), MANIFEST)


def _manifests(scratch: Scratch) -> list[str]:
    """Repository paths of the recorded runs' manifests, oldest first."""
    folder = f".runs/{TASK}/cli"
    return [f"{folder}/{run}/manifest.json" for run in sorted(os.listdir(os.path.join(scratch.root, folder)))]


def _commit(scratch: Scratch, message: str, *, lands: bool) -> None:
    _must(scratch, ["git", "add", "--all"])
    completed = scratch.run("git", "commit", "-m", message)
    _show(f'git commit -m "{message}"', completed)
    _expect(scratch, completed, f"the commit {message!r}", lands=lands)


def _push(scratch: Scratch, *, lands: bool) -> None:
    completed = scratch.run("git", "push", "origin", "main")
    _show("git push origin main", completed)
    _expect(scratch, completed, "the push", lands=lands)


def _expect(scratch: Scratch, completed: Completed, what: str, *, lands: bool) -> None:
    if (completed.code == 0) != lands:
        raise OrchgateError(
            f"{what} should have {'landed' if lands else 'been blocked'}",
            f"please report this with the output above; the folder is {scratch.root}",
        )
    _say("   => landed" if lands else "   => blocked")


def _must(scratch: Scratch, argv: list[str], shown: str = "", *, cwd: str = "") -> Completed:
    completed = scratch.run(*argv, cwd=cwd)
    if shown:
        _show(shown, completed._replace(stderr=b"") if completed.code == 0 else completed)
    if completed.code != 0:
        raise OrchgateError(f"{argv[0]} failed with {completed.code}: {os.fsdecode(completed.stderr).strip()[-500:]}")
    return completed


def _show(command: str, completed: Completed) -> None:
    _say(f"   $ {command}")
    for line in os.fsdecode(completed.stdout + completed.stderr).splitlines():
        if line.strip():
            _say(f"     {escape(line)}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
