"""`orchgate try`: a throw-away repository in which some commits and pushes are blocked, and others land."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError, UsageError
from orchgate.lib.patterns import lazy
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from orchgate.git.scratch import Scratch
    from orchgate.lib.process import Completed


SUMMARY = "make a throw-away repository and watch commits and pushes land or be blocked"
ABOUT = "Without FOLDER, in a temporary one, which stays. Nothing else is touched."
EXAMPLES = ("orchgate try", "orchgate try playground")
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


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", default="", metavar="FOLDER", help="an empty or new folder (a temporary one)"
    )


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.git.scratch import Scratch

    root = _folder(args.folder)
    scratch = Scratch(root, os.environ)
    for number, step in enumerate(STEPS, 1):
        _say(f"\n{number}. {step.title}")
        step.act(scratch)
    _landed(scratch)
    _say(f"\nThe folder is yours to play with:\n  cd {escape(root)}")
    _say("  edit something, add and commit it; `orchgate explain` says more about any rule")
    return Verdict.PASS


def _folder(wanted: str) -> str:
    if not wanted:
        return tempfile.mkdtemp(prefix="orchgate-try-")
    root = os.path.abspath(wanted)
    if os.path.lexists(root) and (not os.path.isdir(root) or os.listdir(root)):
        raise UsageError(f"{wanted} is not an empty folder", "name a new one, or none for a temporary one")
    os.makedirs(root, exist_ok=True)
    return root


def _landed(scratch: Scratch) -> None:
    """What landed, as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What landed", title_justify="left", show_header=False)
    for oid, subject in reversed(scratch.history()):
        table.add_row(escape(oid), escape(subject))
    sys.stdout.write("\n")
    Console(markup=False, emoji=False, highlight=False, file=sys.stdout).print(table)


class DemoStep(NamedTuple):
    """One thing that is shown: its title, and what does it."""

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
    DemoStep("A repository with the gate in front of its commits and pushes", _start),
    DemoStep("A packet for a task: it may land, and the gate says what its author still owes", _plan),
    DemoStep("A claim without evidence is blocked", _claim),
    DemoStep("The same claim lands once a pipeline has run and been recorded", _measure),
    DemoStep(
        "Find the hotspot, change it, run again: the plan shows before and after, and the push is faster", _improve
    ),
    DemoStep("A number that no run shows is blocked", _embellish),
    DemoStep("The gain is guarded: a push that gives it away is refused, and lands once it says why", _regress),
    DemoStep("The evidence travels: a clone without any run judges the same claims, and fetches them", _travel),
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
