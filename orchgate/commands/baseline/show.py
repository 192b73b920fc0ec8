"""`orchgate baseline show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.commands.baseline import common
from orchgate.errors import UsageError
from orchgate.model import Verdict
from orchgate.verdict import baseline, baseline_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def run(args: argparse.Namespace) -> Verdict:
    with common.here() as at:
        known = baseline_file.load(at.root)
        name = common.target(at, args) if args.pipeline or args.command else ""
        wanted = [record for place, record in sorted(known.records.items()) if name in ("", place[0])]
        rows = [common.row(at, record, known) for record in wanted]
        if name and not rows and name not in at.hashes and not args.command:
            there = ", ".join(sorted({place[0] for place in known.records}) or at.hashes) or "none"
            raise UsageError(f"there is no pipeline {name!r}", f"there are: {there}")

        def heading() -> Iterator[str]:
            if not rows:
                what = f" of {name}" if name else ""
                yield f"no baseline{what} in {baseline.PATH}; record one: orchgate baseline record {name or 'PIPELINE'}"
            for place, old in sorted(known.history.items()):
                if place not in known.records and name in ("", place[0]):
                    yield f"{' on '.join(place)}: dropped; {len(old)} superseded in the file's history"

        common.show(args, rows, (), heading)
    return Verdict.PASS
