"""`orchgate history compact`: makes many small segments few, on the remote and here."""

from __future__ import annotations

from orchgate.commands.history import workspace
from orchgate.commands.history.workspace import HistoryOutcome
from orchgate.commands.shared import options, servers
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse

    from orchgate.commands.history.workspace import HistoryWorkspace
    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.servers import Say

SUMMARY = "join small segments of a remote, a folder or a bucket; every run stays"
ABOUT = (
    "Each push adds a segment; those of a month, a repository and a class of machines become one of up to 500 runs, or "
    "50,000 in a folder or a bucket. "
    "Pushes and fetches may go on meanwhile, and nothing has to be compacted for anything to work."
)
EXAMPLES = ("orchgate history compact", "orchgate history compact --dry-run")
EXIT_CODES = {3: "a server was not reached or refused, or holds what is damaged, which was left alone"}


def arguments(parser: Parser) -> None:
    options.output_format(parser, "history-transfer")
    parser.add_argument("--to", default="", metavar="STORE", help="git, a folder or s3://bucket/prefix (history.to)")
    servers.add_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be joined, and change nothing")


def run(args: argparse.Namespace) -> Verdict:
    return workspace.carried_out(args, lambda place, say: _compact(place, args, say))


def _compact(place: HistoryWorkspace, args: argparse.Namespace, say: Say) -> HistoryOutcome:
    from orchgate.history import segments, store

    with workspace.segments_of(place, args, args.to, say) as there:
        loaded = store.load(there)
        plan = segments.compacted(loaded.segments, there.form)
        if not args.dry_run and (plan.made or plan.gone):
            there.add(plan.made)  # first: whoever is interrupted here has every run twice, and counts it once
            there.remove(plan.gone)
        if not args.dry_run:
            there.keep()
        faults = (*there.untaken, *loaded.faults)
    problems = workspace.faults_of(faults)
    workspace.say_problems(problems, say)
    would = "would become" if args.dry_run else "became"
    say(f"{there.where}: {counted(len(plan.gone), 'segment')} {would} {len(plan.made):,}")
    return HistoryOutcome(
        Verdict.BROKEN if faults else Verdict.PASS,
        there.remote,
        segment_count=len(loaded.segments) - (0 if args.dry_run else len(plan.gone) - len(plan.made)),
        new_segment_count=len(plan.made),
        removed_segment_count=len(plan.gone),
        sent_bytes=sum(map(len, plan.made.values())),
        is_dry_run=args.dry_run,
        problems=tuple(problems),
    )
