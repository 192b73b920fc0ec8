"""`orchgate history verify`: is every segment what it says it is, and are our own runs among them?"""

from __future__ import annotations

from orchgate.commands.history import workspace
from orchgate.commands.history.workspace import HistoryOutcome
from orchgate.commands.shared import options, servers
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._document import problem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from orchgate.commands.history.workspace import HistoryWorkspace
    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.servers import Say
    from orchgate.history.segments import SegmentFault
    from orchgate.history.store import Loaded

SUMMARY = "read every segment, and say which are not what they say"
ABOUT = "Of what was fetched; asks a remote, a folder or a bucket only where --from names it."
EXAMPLES = ("orchgate history verify", "orchgate history verify --from git")
EXIT_CODES = {1: "a segment is not what its name or its first line says", 3: "the history could not be read"}


def arguments(parser: Parser) -> None:
    options.output_format(parser, "history-transfer")
    parser.add_argument(
        "--from",
        dest="source",
        default="",
        metavar="STORE",
        help="git, a folder or s3://bucket/prefix (what is here)",
    )
    servers.add_arguments(parser)


def run(args: argparse.Namespace) -> Verdict:
    return workspace.carried_out(args, lambda place, say: _verify(place, args, say))


def _verify(place: HistoryWorkspace, args: argparse.Namespace, say: Say) -> HistoryOutcome:
    from orchgate.history import git_store, store
    from orchgate.history.collect import lacking

    untaken: tuple[SegmentFault, ...] = ()
    foreign: tuple[str, ...] = ()
    remote = None
    if args.source:
        with workspace.segments_of(place, args, args.source, say) as there:
            there.fresh = True
            loaded, untaken, remote, where = store.load(there), there.untaken, there.remote, there.where
    else:
        source, foreign = git_store.fetched(place.store)
        loaded, where = store.load(source), source.where
        for parts in workspace.cached_parts(place, say):
            loaded, where = loaded.joined(store.load(parts)), f"{where} and {parts.where}"
    faults = (*untaken, *loaded.faults)
    problems = [*workspace.faults_of(faults), *_foreign(foreign), *_dated_wrong(loaded)]
    workspace.say_problems(problems, say)
    own = workspace.own_runs(place)
    missing = len(lacking(own.runs.values(), loaded.segments))
    runs = len({entry.run_id for one in loaded.segments for entry, _ in one.runs})
    here = f"; {counted(missing, 'run')} of this clone not pushed yet" if missing else ""
    say(f"{where}: {counted(len(loaded.segments), 'segment')} with {counted(runs, 'run')} as they say{here}")
    return HistoryOutcome(
        Verdict.FAIL if faults else Verdict.PASS,
        remote,
        runs,
        stored_run_count=len(own.runs) - missing,
        segment_count=len(loaded.segments),
        problems=tuple(problems),
    )


def _foreign(names: tuple[str, ...]) -> list[Mapping[str, object]]:
    return [problem("left_out", f"{name} is no segment") for name in names]


def _dated_wrong(loaded: Loaded) -> list[Mapping[str, object]]:
    from orchgate.history.collect import ahead
    from orchgate.history.entries import refusal

    limit = ahead()
    runs = [(entry.run_id, refusal(entry, limit)) for one in loaded.segments for entry, _ in one.runs]
    return list(workspace.left_out((run, why) for run, why in runs if why))
