"""`orchgate evidence`: what holds the claims of documents. A verb is a file here."""

from __future__ import annotations

from orchgate.commands.shared import command_line
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from orchgate.model import Verdict

SUMMARY = "pin what documents cite, sign and verify it, and move it with the repository"
ABOUT = "Works on .orchgate/evidence.lock of this repository; each VERB has a --help of its own."
EXAMPLES = (
    "orchgate evidence pin --task 0001-faster-start",
    "orchgate evidence push --remote origin",
    "orchgate evidence fetch",
)
EXIT_CODES = {
    1: "a secret would be sent, an artifact is not what was pinned, or --check would change something",
    3: "an artifact is missing, or could not be read, sent or fetched",
}
PACKAGE = "orchgate.commands.evidence"
VERBS = ("export", "fetch", "pin", "push", "replay", "show", "sign", "summarize", "verify")


def arguments(parser: argparse.ArgumentParser) -> None:
    command_line.add_verbs(parser, VERBS, package=PACKAGE)


def run(args: argparse.Namespace) -> Verdict | int:
    return command_line.run_verb(PACKAGE, args)
