"""`orchgate baseline drop`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.commands.baseline import common
from orchgate.commands.shared import options
from orchgate.errors import UsageError
from orchgate.model import Verdict
from orchgate.verdict import baseline_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from orchgate.commands.shared.options import Parser
    from orchgate.verdict.baseline import Baseline


SUMMARY = "take a record out; it stays in the file's history"
ABOUT = "Without arguments, the record of the pipeline that performance.pipeline names, for this machine type."
EXAMPLES = ("orchgate baseline drop diagnostics", "orchgate baseline drop diagnostics --purge")


def arguments(parser: Parser) -> None:
    options.measured(parser, "performance.pipeline")
    parser.add_argument("--machine", default="", metavar="ID", help="the machine type (this machine's)")
    parser.add_argument("--purge", action="store_true", help="forget its history, too")
    options.output_format(parser)


def run(args: argparse.Namespace) -> Verdict:
    with common.here() as at:
        name = common.target(at, args)
        machine = args.machine or at.fingerprint

        def change(known: Baseline) -> Baseline:
            _require(known, name, machine, purge=args.purge)
            return known.drop(name, machine, purge=args.purge)

        baseline_file.update(at.root, change)

        def heading() -> Iterator[str]:
            yield f"dropped the baseline of {name} on {machine}" + (" and its history" if args.purge else "")
            yield common.COMMIT_IT

        common.show(args, (), (), heading)
    return Verdict.PASS


def _require(known: Baseline, name: str, machine: str, *, purge: bool) -> None:
    """Raises UsageError when there is nothing to drop, naming what there is."""
    place = (name, machine)
    if place in known.records or (purge and place in known.history):
        return
    others = sorted(other for pipeline, other in known.records if pipeline == name)
    pipelines = sorted({pipeline for pipeline, _ in known.records})
    hint = f"--machine {' or '.join(others)}" if others else f"recorded are: {', '.join(pipelines) or 'none'}"
    raise UsageError(f"there is no baseline of {name} on {machine}", hint)
