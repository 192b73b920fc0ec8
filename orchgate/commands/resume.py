"""`orchgate resume`: takes up a run that was killed, cancelled or failed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.commands.shared import running
from orchgate.errors import OrchgateError

if TYPE_CHECKING:
    import argparse

SUMMARY = "take up a run that was killed, cancelled or failed"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run id, latest, or the path of a run's manifest")
    parser.add_argument(
        "--task", default="", metavar="ID", help="the task it belongs to, where several have that run id"
    )
    parser.add_argument("--no-cache", action="store_true", help="run every stage, whatever succeeded before")
    parser.add_argument("--output-format", choices=("text", "json"), default="text", help="(%(default)s)")


def run(args: argparse.Namespace) -> int:
    from orchgate.commands.run import Ended, exit_code, show
    from orchgate.runner.resume import resume
    from orchgate.runs.ids import run_folder

    task, folder = running.locate(running.root(), args.run, args.task)
    setting = running.setting(task, running.reporter(args.output_format), cache=not args.no_cache)
    if run_folder(setting.root, task, os.path.basename(folder)) != folder:
        raise OrchgateError(f"{folder} is not a run of this repository", "cd to where it was run")
    ended = Ended.of([resume(setting, folder)], whole=args.output_format == "json")
    show(setting.root, ended)
    return exit_code(ended)
