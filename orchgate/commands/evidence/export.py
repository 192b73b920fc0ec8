"""`orchgate evidence export`: writes what is signed of a run, in the form that other tools read."""

from __future__ import annotations

import os
import sys

from orchgate.attest import bundle
from orchgate.commands.evidence.sign import manifest_named
from orchgate.commands.shared import work_tree
from orchgate.errors import GitError, OrchgateError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse

    from orchgate.commands.shared.command_line import Parser

SUMMARY = "write what is signed of a run: an in-toto Statement, or its signatures"
ABOUT = """\
Writes the Statement (version 1, with the predicate of a test result) that
`evidence sign` signs, the same bytes each time; with --signed the signatures of
the run instead: DSSE envelopes, one a line. Formats of traces and test reports
are those of `orchgate export`."""
EXAMPLES = (
    "orchgate evidence export latest",
    "orchgate evidence export latest --signed -o run.intoto.jsonl",
)
EXIT_CODES = {3: "the run is none that can be signed, has no signatures, or FILE is there already"}


def arguments(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's id, its manifest, or latest: the newest that replays none")
    work_tree.task_option(parser, "whose run")
    parser.add_argument("--format", choices=("in-toto",), default="in-toto", help="the form (%(default)s)")
    parser.add_argument("--signed", action="store_true", help="the signatures of the run, as they are in git")
    parser.add_argument("-o", "--output", default="", metavar="FILE", help="write it there instead of printing it")
    parser.add_argument("--force", action="store_true", help="replace a FILE that is there")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.config.load import load_work_tree

    root = work_tree.root()
    if not os.path.isdir(root):
        raise GitError("there is no work tree with runs here", "run this in a clone")
    config = load_work_tree(root)
    path = manifest_named(root, args.run, args.task)
    try:
        recorded = bundle.recorded(root, path, tuple(config.evidence.roots), config.manifests.max_bytes)
    except OrchgateError as error:
        raise OrchgateError(f"{path} {error.message}", error.hint) from error
    content = recorded.statement + b"\n"
    if args.signed:
        content = bundle.read(root, recorded.bundle)
        if not content:
            raise OrchgateError(f"nobody has signed {path}", "orchgate evidence sign " + recorded.place.run_id)
    if args.output:
        work_tree.write_file(args.output, content, force=args.force)
    else:
        sys.stdout.buffer.write(content)
    return Verdict.PASS
