"""`orchgate try`: a throw-away repository in which some commits and pushes are blocked, and others land."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from orchgate.commands.shared.try_steps import STEPS
from orchgate.errors import UsageError
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse

    from orchgate.git.scratch import Scratch

SUMMARY = "make a throw-away repository and watch commits and pushes land or be blocked"


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
