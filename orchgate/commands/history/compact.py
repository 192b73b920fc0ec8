"""`orchgate history compact`: makes many small segments few, on the remote and here."""

from __future__ import annotations

from orchgate.commands.history import workspace
from orchgate.commands.history.workspace import HistoryOutcome
from orchgate.commands.shared import options, servers
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse

    from orchgate.commands.history.workspace import HistoryWorkspace
    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.servers import Say
    from orchgate.history.segments import SegmentFault
    from orchgate.history.store import SegmentStore

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


class _Compacted(NamedTuple):
    """What became of the segments of a store."""

    there: int
    gone: int = 0
    made: int = 0
    bytes: int = 0
    faults: tuple[SegmentFault, ...] = ()


def _compact(place: HistoryWorkspace, args: argparse.Namespace, say: Say) -> HistoryOutcome:
    with workspace.segments_of(place, args, args.to, say) as there:
        done = _joined(there, dry_run=args.dry_run)
        if there.remote and not args.dry_run:
            there.keep()
        faults = (*there.untaken, *done.faults)
    problems = workspace.faults_of(faults)
    workspace.say_problems(problems, say)
    would = "would become" if args.dry_run else "became"
    say(f"{there.where}: {counted(done.gone, 'segment')} {would} {done.made:,}")
    return HistoryOutcome(
        Verdict.BROKEN if faults else Verdict.PASS,
        there.remote,
        segment_count=done.there - (0 if args.dry_run else done.gone - done.made),
        new_segment_count=done.made,
        removed_segment_count=done.gone,
        sent_bytes=done.bytes,
        is_dry_run=args.dry_run,
        problems=tuple(problems),
    )


def _joined(there: SegmentStore, *, dry_run: bool) -> _Compacted:
    from orchgate.history import segments, store

    done = _Compacted(len(there.names()))
    for names in there.batches():
        loaded = store.load(there, names)
        plan = segments.compacted(loaded.segments, there.form)
        if not dry_run and (plan.made or plan.gone):
            there.add(plan.made)  # first: whoever is interrupted here has every run twice, and counts it once
            there.remove(plan.gone)
        made_bytes = sum(map(len, plan.made.values()))
        done = _Compacted(
            done.there,
            done.gone + len(plan.gone),
            done.made + len(plan.made),
            done.bytes + made_bytes,
            (*done.faults, *loaded.faults),
        )
    return done
