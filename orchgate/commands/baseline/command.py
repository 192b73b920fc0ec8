"""`orchgate baseline`: what pipelines are accepted to cost, and who accepted it. Other verbs are files of their own."""

from __future__ import annotations

from orchgate.commands.shared import command_line, options
from orchgate.errors import UsageError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from orchgate.commands.baseline.common import Here
    from orchgate.commands.shared.command_line import Parser
    from orchgate.verdict.baseline import Baseline

SUMMARY = "show, record, promote or drop the stored baseline"
ABOUT = "Works on .orchgate/baseline.json of this repository; each VERB has a --help of its own."
EXAMPLES = (
    "orchgate baseline show",
    "orchgate baseline record diagnostics --runs 12",
    "orchgate baseline promote --task 0001-faster-start",
)
EXIT_CODES = {1: "a run failed, so nothing was recorded"}
PACKAGE, VERBS = "orchgate.commands.baseline", ("show", "record", "promote", "drop")


def _show_arguments(parser: Parser) -> None:
    options.measured(parser, "all of them")
    options.output_format(parser, "baseline-report")


def _drop_arguments(parser: Parser) -> None:
    options.measured(parser, "performance.pipeline")
    parser.add_argument("--machine", default="", metavar="ID", help="the machine type (this machine's)")
    parser.add_argument("--purge", action="store_true", help="forget its history, too")
    options.output_format(parser, "baseline-report")


OWN = {
    "show": command_line.Verb(
        "show what is recorded, and what of it is stale",
        "Without arguments, of all pipelines and machine types.",
        ("orchgate baseline show", "orchgate baseline show diagnostics"),
        _show_arguments,
    ),
    "drop": command_line.Verb(
        "take a record out; it stays in the file's history",
        "Without arguments, the record of the pipeline that performance.pipeline names, for this machine type.",
        ("orchgate baseline drop diagnostics", "orchgate baseline drop diagnostics --purge"),
        _drop_arguments,
    ),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    command_line.add_verbs(parser, VERBS, package=PACKAGE, own=OWN)


def run(args: argparse.Namespace) -> Verdict | int:
    if args.verb not in OWN:
        return command_line.run_verb(PACKAGE, args)
    from orchgate.commands.baseline import common

    with common.here() as at:
        return _show(at, args) if args.verb == "show" else _drop(at, args)


def _show(at: Here, args: argparse.Namespace) -> Verdict:
    from orchgate.commands.baseline import common
    from orchgate.verdict import baseline

    known = baseline.load(at.root)
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


def _drop(at: Here, args: argparse.Namespace) -> Verdict:
    from orchgate.commands.baseline import common
    from orchgate.verdict import baseline

    name = common.target(at, args)
    machine = args.machine or at.fingerprint

    def change(known: Baseline) -> Baseline:
        _require(known, name, machine, purge=args.purge)
        return known.drop(name, machine, purge=args.purge)

    baseline.update(at.root, change)

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
