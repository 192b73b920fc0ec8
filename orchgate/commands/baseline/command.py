"""`orchgate baseline`: what pipelines are accepted to cost, and who accepted it. A verb is a file here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.commands.shared import options

if TYPE_CHECKING:
    import argparse

    from orchgate.model import Verdict

SUMMARY = "show, record, promote or drop the stored baseline"
ABOUT = "Works on .orchgate/baseline.json of this repository; each VERB has a --help of its own."
EXAMPLES = (
    "orchgate baseline show",
    "orchgate baseline record diagnostics --runs 12",
    "orchgate baseline promote --task 0001-faster-start",
)
EXIT_CODES = {1: "a run failed, so nothing was recorded"}
PACKAGE, VERBS = "orchgate.commands.baseline", ("show", "record", "promote", "drop")


def arguments(parser: argparse.ArgumentParser) -> None:
    options.add_verbs(parser, options.verb_modules(PACKAGE, VERBS))


def run(args: argparse.Namespace) -> Verdict | int:
    return options.run_verb(PACKAGE, args)
