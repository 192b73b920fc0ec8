"""`orchgate history push`: lets the runs that were recorded here join those of other machines."""

from __future__ import annotations

from orchgate.commands.history import workspace
from orchgate.commands.history.workspace import HistoryOutcome
from orchgate.commands.shared import options, servers
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._document import problem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from orchgate.commands.history.workspace import HistoryWorkspace
    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.servers import Say
    from orchgate.git.store.reference import Connection
    from orchgate.history.collect import Collected
    from orchgate.history.repositories import RepositoryIdentity

SUMMARY = "send recorded runs to refs/orchgate/history of a remote"
ABOUT = (
    "All finished runs of this clone that the remote lacks, to the remote of this branch, or origin. What a run cost "
    "and how it ended travels with the class of its machine: no host, no user, no path and no command line."
)
EXAMPLES = ("orchgate history push", "orchgate history push --remote upstream --dry-run")
EXIT_CODES = {
    1: "a name in a run looks like a secret, and the run was not sent",
    3: "a server was not reached or refused, or metrics could not be read",
}


def arguments(parser: Parser) -> None:
    options.output_format(parser, "history-transfer")
    parser.add_argument("--to", default="", metavar="STORE", help="where to: git (history.to of the configuration)")
    servers.add_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what the remote lacks, and send nothing")


def run(args: argparse.Namespace) -> Verdict:
    return workspace.carried_out(args, lambda place, say: _push(place, args, say))


def _push(place: HistoryWorkspace, args: argparse.Namespace, say: Say) -> HistoryOutcome:
    from orchgate.history import repositories

    workspace.require_git(place, args.to)
    repositories.require_name(place.identity)
    own = workspace.own_runs(place)
    secrets = _secrets(place, own)
    own = own._replace(runs={run: line for run, line in own.runs.items() if run not in secrets})
    remote = args.remote or place.store.default_remote()
    done = []
    for address in place.store.push_addresses(remote):
        with place.store.connect(remote, args.timeout, address=address) as connection:
            done.append(_push_to(connection, _Request(place.identity, own, remote, args.dry_run, say)))
    problems = [*workspace.kept_out(own), *_withheld(secrets)]
    workspace.say_problems(problems, say)
    verdict = Verdict.FAIL if secrets else Verdict.BROKEN if own.unreadable else Verdict.PASS
    added = HistoryOutcome(verdict, remote, len(own.runs), is_dry_run=args.dry_run, problems=tuple(problems))
    return added._replace(**{name: sum(getattr(one, name) for one in done) for name in _SUMMED})


def _secrets(place: HistoryWorkspace, own: Collected) -> Mapping[str, str]:
    from orchgate.history import collect
    from orchgate.secrets import search

    settings = place.config.evidence
    return collect.secrets_of(own.runs.values(), search.compiled(settings.secrets, settings.secrets_allowed))


def _withheld(secrets: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    hint = "change the secret; if it is none, evidence.secrets-allowed can say so"
    for run_id, kind in secrets.items():
        message = f"run {run_id} names something in a way that looks like a secret ({kind}): not sent"
        yield problem("secret", message, hint)


_SUMMED = ("sent_run_count", "stored_run_count", "new_segment_count", "removed_segment_count", "sent_bytes")


class _Request(NamedTuple):
    identity: RepositoryIdentity
    own: Collected
    remote: str
    dry_run: bool
    say: Say


def _push_to(connection: Connection, request: _Request) -> HistoryOutcome:
    from orchgate.history import collect
    from orchgate.history.git_store import HISTORY, RemoteSegments

    there = RemoteSegments(connection, request.remote)
    sent = collect.send(there, request.identity, request.own.runs.values(), dry_run=request.dry_run)
    gone: frozenset[str] = frozenset() if request.dry_run else there.keep().gone
    servers.note(connection, request.say)
    also = f", {sent.stored:,} were there" if sent.stored else ""
    races = f"; another push came first {there.races} times" if there.races else ""
    what = f"{counted(sent.runs, 'run')} in {counted(sent.segments, 'segment')} ({sent.bytes:,} bytes)"
    if request.dry_run:
        request.say(f"would send {what} to {request.remote} {HISTORY.ref}{also}")
    else:
        request.say(f"{request.remote} {HISTORY.ref}: {what} sent{also}{races}")
    return HistoryOutcome(
        sent_run_count=sent.runs,
        stored_run_count=sent.stored,
        new_segment_count=sent.segments,
        removed_segment_count=len(gone),
        sent_bytes=sent.bytes,
    )
