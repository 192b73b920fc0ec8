"""`orchgate try`: a throw-away repository in which a commit is blocked and another one lands."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError, UsageError
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from orchgate.git.scratch import Scratch
    from orchgate.process import Completed

SUMMARY = "make a throw-away repository and watch a commit being blocked and one land"
TASK = "0001-faster-start"
CHECKLIST = f"tasks/tasks-{TASK}.md"
PIPELINE = "demo"
MANIFEST = f".runs/{TASK}/cli/2026-01-01T00-00-00-000Z-00000000/manifest.json"  # of a run that never was
CONFIG = """\
# Everything has a default; this is here to be changed. `orchgate check --show-config` prints the rest.
[diff-budget]
max-files = 25
max-lines = 800

[pipelines.{pipeline}]
title = "How long an interpreter takes to start"
[[pipelines.{pipeline}.stages]]
id = "start"
run = [{python}, "-X", "importtime", "-c", "pass"]
[[pipelines.{pipeline}.stages]]
id = "ready"
run = [{python}, "-c", "print('ready')"]
needs = ["start"]
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


class Step(NamedTuple):
    """One thing shown: what it is about, and what does it."""

    title: str
    act: Callable[[Scratch], None]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default="", help="an empty or new folder; a temporary one without")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.git.scratch import Scratch

    root = _folder(args.folder)
    scratch = Scratch(root, os.environ)
    for number, step in enumerate(STEPS, 1):
        _say(f"\n{number}. {step.title}")
        step.act(scratch)
    _landed(scratch)
    _say(f"\nThe folder is yours to play with:\n  cd {escape(root)}")
    _say("  edit something, git add it, git commit; orchgate explain says more about any rule")
    return Verdict.PASS


def _folder(wanted: str) -> str:
    import tempfile

    if not wanted:
        return tempfile.mkdtemp(prefix="orchgate-try-")
    root = os.path.abspath(wanted)
    if os.path.lexists(root) and (not os.path.isdir(root) or os.listdir(root)):
        raise UsageError(f"{wanted} is not an empty folder", "name a new one, or none for a temporary one")
    os.makedirs(root, exist_ok=True)
    return root


def _start(scratch: Scratch) -> None:
    import json  # its strings are TOML's

    scratch.write("README.md", "# Play ground\n\nMade by `orchgate try`.\n")
    scratch.write(".gitignore", ".runs/\nout/\n")
    scratch.write(
        "orchgate.toml", CONFIG.format(pipeline=PIPELINE, python=json.dumps(sys.executable, ensure_ascii=False))
    )
    scratch.write(".pre-commit-config.yaml", HOOKS.format(entry=" ".join([*_orchgate(), "check"])))
    _must(scratch, [sys.executable, "-m", "pre_commit", "install"], "pre-commit install")
    _commit(scratch, "Start", lands=True)


def _plan(scratch: Scratch) -> None:
    _must(scratch, [*_orchgate(), "new", "faster-start"], "orchgate new faster-start")
    _commit(scratch, "Plan a task", lands=True)


def _claim(scratch: Scratch) -> None:
    scratch.append(CHECKLIST, f"- [x] Start-up time measured before the change. Evidence: `{MANIFEST}`\n")
    _say(f"   {CHECKLIST} now ticks an item whose run never happened.")
    _commit(scratch, "Claim a measurement", lands=False)


def _measure(scratch: Scratch) -> None:
    options = ["run", PIPELINE, "--task", TASK]
    ran = _must(scratch, [*_orchgate(), *options], " ".join(["orchgate", *options]))
    told = [line.partition(": ") for line in os.fsdecode(ran.stdout).splitlines()]
    manifest = next((value for name, _, value in told if name == "manifest"), MANIFEST)
    scratch.replace(CHECKLIST, MANIFEST, manifest)
    _say("   the claim now names the manifest of that run.")
    _commit(scratch, "Measure the start-up time", lands=True)


STEPS = (
    Step("A repository with the gate in front of its commits", _start),
    Step("A packet for a task: it may land, and the gate says what its author still owes", _plan),
    Step("A claim without evidence is blocked", _claim),
    Step("The same claim lands once a pipeline has run and been recorded", _measure),
)


def _orchgate() -> list[str]:
    # By interpreter, not by name: the environment that holds orchgate need not be on anybody's PATH.
    return [sys.executable, "-m", "orchgate"]


def _commit(scratch: Scratch, message: str, *, lands: bool) -> None:
    _must(scratch, ["git", "add", "--all"])
    completed = scratch.run("git", "commit", "-m", message)
    _show(f'git commit -m "{message}"', completed)
    if (completed.code == 0) != lands:
        raise OrchgateError(
            f"the commit {message!r} should have {'landed' if lands else 'been blocked'}",
            f"please report this with the output above; the folder is {scratch.root}",
        )
    _say("   => landed" if lands else "   => blocked")


def _must(scratch: Scratch, argv: list[str], shown: str = "") -> Completed:
    completed = scratch.run(*argv)
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


def _landed(scratch: Scratch) -> None:
    """What landed, as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What landed", title_justify="left", show_header=False)
    for oid, subject in reversed(scratch.history()):
        table.add_row(escape(oid), escape(subject))
    sys.stdout.write("\n")
    Console(markup=False, emoji=False, highlight=False, file=sys.stdout).print(table)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
