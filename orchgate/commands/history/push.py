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
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.commands.history.workspace import HistoryWorkspace
    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.servers import Say
    from orchgate.history.collect import Collected, Sent
    from orchgate.history.objects.part_store import PartStore
    from orchgate.history.repositories import RepositoryIdentity
    from orchgate.history.segments import Line
    from orchgate.history.store import Loaded, SegmentStore

SUMMARY = "send recorded runs to refs/orchgate/history of a remote, to a folder or to a bucket"
ABOUT = (
    "All finished runs of this clone that are not there yet: by default on the remote of this branch, or origin. What "
    "a run cost and how it ended travels with the class of its machine: no host, no user, no path and no command line."
)
EXAMPLES = (
    "orchgate history push",
    "orchgate history push --remote upstream --dry-run",
    "orchgate history push --to s3://bucket/prefix",
    "orchgate history push --to s3://bucket/prefix --fetched",
)
EXIT_CODES = {
    1: "a name in a run looks like a secret, and the run was not sent",
    3: "a server was not reached or refused, or metrics could not be read",
}


def arguments(parser: Parser) -> None:
    options.output_format(parser, "history-transfer")
    parser.add_argument("--to", default="", metavar="STORE", help="git, a folder or s3://bucket/prefix (history.to)")
    servers.add_arguments(parser)
    what = "also send what was fetched here of the runs of others, so that a history moves as a whole"
    parser.add_argument("--fetched", action="store_true", help=what)
    parser.add_argument("--dry-run", action="store_true", help="say what is lacking there, and send nothing")


def run(args: argparse.Namespace) -> Verdict:
    return workspace.carried_out(args, lambda place, say: _push(place, args, say))


def _push(place: HistoryWorkspace, args: argparse.Namespace, say: Say) -> HistoryOutcome:
    from orchgate.history import repositories, store

    where = workspace.address(place, args.to)
    repositories.require_name(place.identity)
    own = workspace.own_runs(place)
    others = _fetched(place, say) if args.fetched else store.Loaded(())
    groups = _groups(place.identity, own, others)
    secrets = _secrets(place, groups.values())
    for runs in groups.values():
        for run in secrets.keys() & runs.keys():
            del runs[run]
    request = _Request(groups, args.dry_run, say)
    remote = None if where else args.remote or place.store.default_remote()
    if where:
        done = [_push_parts(workspace.parts_of(place, where, args.timeout), request)]
    else:
        done = list(_push_to_remote(place, str(remote), args.timeout, request))
    problems = [*workspace.kept_out(own), *workspace.faults_of(others.faults), *_withheld(secrets)]
    workspace.say_problems(problems, say)
    if not (problems or any(groups.values())):
        say("  hint: `orchgate run PIPELINE --task ID` records a run")
    verdict = Verdict.FAIL if secrets else Verdict.BROKEN if own.unreadable or others.faults else Verdict.PASS
    number = sum(map(len, groups.values()))
    added = HistoryOutcome(verdict, remote, number, is_dry_run=args.dry_run, problems=tuple(problems))
    return added._replace(**{name: sum(getattr(one, name) for one in done) for name in _SUMMED})


def _fetched(place: HistoryWorkspace, say: Say) -> Loaded:
    """What is here of the runs of others, whatever store it came from. Raises OrchgateError."""
    from orchgate.history import git_store, store

    loaded = store.load(git_store.fetched(place.store)[0])
    for parts in workspace.cached_parts(place, say):
        loaded = loaded.joined(store.load(parts))
    return loaded


def _groups(identity: RepositoryIdentity, own: Collected, others: Loaded) -> dict[RepositoryIdentity, dict[str, Line]]:
    """Runs by the repository that they are of, each once, by id."""
    from orchgate.history import segments
    from orchgate.history.repositories import of_head

    found = {identity: list(own.runs.values())}
    for one in others.segments:
        found.setdefault(of_head(one.head), []).extend(one.runs)
    return {whose: segments.best(lines) for whose, lines in found.items()}


def _secrets(place: HistoryWorkspace, groups: Iterable[Mapping[str, Line]]) -> Mapping[str, str]:
    from orchgate.history import collect
    from orchgate.secrets import search

    settings = place.config.evidence
    patterns = search.compiled(settings.secrets, settings.secrets_allowed)
    return collect.secrets_of((line for runs in groups for line in runs.values()), patterns)


def _withheld(secrets: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    hint = "change the secret; if it is none, evidence.secrets-allowed can say so"
    for run_id, kind in secrets.items():
        message = f"run {run_id} names something in a way that looks like a secret ({kind}): not sent"
        yield problem("secret", message, hint)


_SUMMED = ("sent_run_count", "stored_run_count", "new_segment_count", "removed_segment_count", "sent_bytes")


class _Request(NamedTuple):
    groups: Mapping[RepositoryIdentity, Mapping[str, Line]]
    dry_run: bool
    say: Say


def _push_to_remote(
    place: HistoryWorkspace, remote: str, timeout: float | None, request: _Request
) -> Iterator[HistoryOutcome]:
    from orchgate.history.git_store import HISTORY, RemoteSegments

    for address in place.store.push_addresses(remote):
        with place.store.connect(remote, timeout, address=address) as connection:
            there = RemoteSegments(connection, remote)
            sent = _sent(there, request)
            gone = 0 if request.dry_run else len(there.keep().gone)
            servers.note(connection, request.say)
            yield _told(sent, f"{remote} {HISTORY.ref}", request, there.races)._replace(removed_segment_count=gone)


def _push_parts(there: PartStore, request: _Request) -> HistoryOutcome:
    sent = _sent(there, request)
    for line in there.notes:
        request.say(line)
    return _told(sent, there.where, request)


def _sent(there: SegmentStore, request: _Request) -> Sent:
    from orchgate.history import collect
    from orchgate.history.collect import Sent

    sent = [
        collect.send(there, identity, runs.values(), dry_run=request.dry_run)
        for identity, runs in request.groups.items()
    ]
    return Sent(*map(sum, zip(*sent, strict=True)))


def _told(sent: Sent, where: str, request: _Request, races: int = 0) -> HistoryOutcome:
    also = f", {sent.stored:,} were there" if sent.stored else ""
    raced = f"; another push came first {races} times" if races else ""
    what = f"{counted(sent.runs, 'run')} in {counted(sent.segments, 'segment')} ({sent.bytes:,} bytes)"
    if not (sent.runs or sent.stored):
        request.say(f"{where}: nothing to send")
    else:
        request.say(f"would send {what} to {where}{also}" if request.dry_run else f"{where}: {what} sent{also}{raced}")
    return HistoryOutcome(
        sent_run_count=sent.runs,
        stored_run_count=sent.stored,
        new_segment_count=sent.segments,
        removed_segment_count=0,
        sent_bytes=sent.bytes,
    )
