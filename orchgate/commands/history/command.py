"""`orchgate history`: the runs of many machines, added up. A verb is a file here."""

from __future__ import annotations

from orchgate.commands.shared import command_line
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from orchgate.model import Verdict

SUMMARY = "share recorded runs with other machines, and show what all add up to"
ABOUT = "By refs/orchgate/history of a remote, a folder or a bucket; each VERB has a --help of its own."
EXAMPLES = (
    "orchgate history push",
    "orchgate history fetch",
    "orchgate history show --by pipeline,machine --since 30d",
)
EXIT_CODES = {
    1: "a segment is not what it says it is (verify)",
    3: "a server was not reached or refused, or something could not be read",
}
PACKAGE, VERBS = "orchgate.commands.history", ("compact", "fetch", "push", "show", "verify")


def arguments(parser: argparse.ArgumentParser) -> None:
    command_line.add_verbs(parser, VERBS, package=PACKAGE)


def run(args: argparse.Namespace) -> Verdict | int:
    return command_line.run_verb(PACKAGE, args)
