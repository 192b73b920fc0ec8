"""`orchgate resume`: continues a run that was killed, cancelled or failed."""

from __future__ import annotations

import os

from orchgate.commands.shared import work_tree
from orchgate.commands.shared.options import output_format
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

SUMMARY = "continue a run that was killed, cancelled or failed"
ABOUT = """\
Stages that succeeded are not run again; the others are, from the first on that
did not."""
EXAMPLES = ("orchgate resume latest", "orchgate resume 2026-01-06T09-26-22-129Z-c2f9cb47")
EXIT_CODES = {0: "the run succeeded", 1: "the run failed", 130: "the run was cancelled"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run id, `latest`, or the path of a run's manifest")
    work_tree.task_option(parser, "the task of the run, where several have one of that id")
    parser.add_argument("--no-cache", action="store_true", help="run every stage, whatever succeeded before")
    output_format(parser, "run")


def run(args: argparse.Namespace) -> int:
    from orchgate.commands.run import RunSummary, exit_code, show
    from orchgate.runner.resumption import resume
    from orchgate.runs.ids import run_folder

    task, folder = work_tree.locate(work_tree.root(), args.run, args.task)
    setting = work_tree.setting(task, work_tree.reporter(args.output_format), cache=not args.no_cache, is_known=True)
    if run_folder(setting.root, task, os.path.basename(folder)) != folder:
        raise OrchgateError(f"{folder} is not a run of this repository", "run this in the repository it belongs to")
    ended = RunSummary.of([resume(setting, folder)], whole=args.output_format == "json")
    show(setting.root, ended)
    return exit_code(ended)
