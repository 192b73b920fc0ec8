"""`orchgate evidence fetch`: brings pinned artifacts from a remote and puts them where the documents say they are."""

from __future__ import annotations

from orchgate.commands.evidence import workspace
from orchgate.commands.evidence.workspace import Transfer
from orchgate.commands.shared import servers
from orchgate.lib import locks
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse

    from orchgate.commands.evidence.workspace import EvidenceWorkspace, Say
    from orchgate.commands.shared.command_line import Parser

SUMMARY = "bring pinned artifacts from a remote, and write those that are not here"
ABOUT = "Without PATH, all that is pinned, from the remote of this branch, or origin."
EXAMPLES = ("orchgate evidence fetch", "orchgate evidence fetch --remote upstream .runs/0001-faster-start")
EXIT_CODES = {
    1: "an artifact that is here is not what was pinned, and was left alone",
    3: "an artifact is not on the remote, or could not be fetched",
}


def arguments(parser: Parser) -> None:
    workspace.add_arguments(parser)
    parser.add_argument("--force", action="store_true", help="also replace what is here and is not what was pinned")


def run(args: argparse.Namespace) -> Verdict:
    return workspace.transferred(args, lambda place, say: _fetch(place, args, say))


def _fetch(place: EvidenceWorkspace, args: argparse.Namespace, say: Say) -> Transfer:
    from orchgate.evidence import transfer

    pins = workspace.chosen(place, args.paths)
    transfer.require_writable(place.artifacts, pins, place.store.tracked())  # before anything is asked of a remote
    remote = args.remote or place.store.default_remote()
    with place.store.connect(remote, args.timeout) as connection:
        before = connection.local().contents
        known = connection.keep(connection.look())
        servers.note(connection, say)
    with locks.held(place.artifacts.root, "artifacts", "orchgate evidence fetch"):
        done = transfer.restore(place.artifacts, pins, place.store, known, place.limit, force=args.force)
    for path in done.different:
        say(f"left alone: {path} is not what was pinned")
    for path in done.missing:
        say(f"missing: {path} has not been pushed to {remote}")
    if done.different:
        say("  hint: with --force it is replaced; `orchgate evidence pin` pins what is here")
    if done.missing:
        say("  hint: run `orchgate evidence push` in the clone that has the run")
    summary = f"{counted(len(pins), 'pinned artifact')}: {len(done.written)} written, {done.kept} were here"
    say(f"{summary}; {len(known.keys() - before.keys())} new in the store")
    facts = {
        "remote": remote,
        "asked_count": len(pins),
        "written": list(done.written),
        "kept_count": done.kept,
        "different": list(done.different),
        "missing": list(done.missing),
        "new_content_count": len(known.keys() - before.keys()),
    }
    verdict = Verdict.BROKEN if done.missing else Verdict.FAIL if done.different else Verdict.PASS
    return Transfer(verdict, (facts,))
