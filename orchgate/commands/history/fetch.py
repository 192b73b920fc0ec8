"""`orchgate history fetch`: brings the runs of other machines."""

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
    from orchgate.history.git_store import RemoteSegments
    from orchgate.history.objects.part_store import PartStore
    from orchgate.history.segments import SegmentFault
    from orchgate.history.store import Learned

SUMMARY = "bring the runs of other machines from a remote, a folder or a bucket"
ABOUT = (
    "From history.to, by default the remote of this branch, or origin. What segments were compacted into others is "
    "forgotten here."
)
EXAMPLES = ("orchgate history fetch", "orchgate history fetch --remote upstream")
EXIT_CODES = {3: "a server was not reached, or what it holds is damaged"}


def arguments(parser: Parser) -> None:
    options.output_format(parser, "history-transfer")
    parser.add_argument(
        "--from", dest="source", default="", metavar="STORE", help="git, a folder or s3://bucket/prefix (history.to)"
    )
    servers.add_arguments(parser)


def run(args: argparse.Namespace) -> Verdict:
    return workspace.carried_out(args, lambda place, say: _fetch(place, args, say))


def _fetch(place: HistoryWorkspace, args: argparse.Namespace, say: Say) -> HistoryOutcome:
    with workspace.segments_of(place, args, args.source, say) as there:
        kept = there.keep()
        runs, faults = _read(there, kept) if there.remote else (None, ())
        faults = (*there.untaken, *faults)
    problems = workspace.faults_of(faults)
    workspace.say_problems(problems, say)
    gone = f", {len(kept.gone):,} forgotten that others stand for" if kept.gone else ""
    number = "" if runs is None else f" with {counted(runs, 'run')}"
    say(f"{there.where}: {counted(kept.there, 'segment')}, {len(kept.new):,} new{number}{gone}")
    return HistoryOutcome(
        Verdict.BROKEN if faults else Verdict.PASS,
        there.remote,
        runs,
        segment_count=kept.there,
        new_segment_count=len(kept.new),
        removed_segment_count=len(kept.gone),
        problems=tuple(problems),
    )


def _read(there: RemoteSegments | PartStore, kept: Learned) -> tuple[int, tuple[SegmentFault, ...]]:
    """How many runs are new, and which segments are none. Of parts, only whoever counts their runs reads these."""
    from orchgate.history import store

    loaded = store.load(there, kept.new & set(there.names()))
    return sum(len(one.runs) for one in loaded.segments), loaded.faults
