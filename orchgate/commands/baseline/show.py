"""`orchgate baseline show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.commands.baseline import common
from orchgate.commands.shared import options
from orchgate.errors import UsageError
from orchgate.model import Verdict
from orchgate.verdict import baseline, baseline_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from orchgate.commands.shared.options import Parser


SUMMARY = "show what is recorded, and what of it is stale"
ABOUT = "Without arguments, of all pipelines and machine types."
EXAMPLES = ("orchgate baseline show", "orchgate baseline show diagnostics")


def arguments(parser: Parser) -> None:
    options.measured(parser, "all of them")
    options.output_format(parser)


def run(args: argparse.Namespace) -> Verdict:
    with common.here() as at:
        known = baseline_file.load(at.root)
        name = common.target(at, args) if args.pipeline or args.command else ""
        wanted = [record for place, record in sorted(known.records.items()) if name in ("", place[0])]
        rows = [common.row(at, record, known) for record in wanted]
        if name and not rows and name not in at.hashes and not args.command:
            there = ", ".join(sorted({place[0] for place in known.records}) or at.hashes) or "none"
            raise UsageError(f"unknown pipeline {name}; there are: {there}")

        def heading() -> Iterator[str]:
            if not rows:
                what = f" of {name}" if name else ""
                yield f"no baseline{what} in {baseline.PATH}"
                yield f"  hint: orchgate baseline record {common.quoted(name or 'PIPELINE')}"
            for place, old in sorted(known.history.items()):
                if place not in known.records and name in ("", place[0]):
                    yield f"{' on '.join(place)}: dropped; {len(old)} superseded in the file's history"

        common.show(args, rows, (), heading)
    return Verdict.PASS
