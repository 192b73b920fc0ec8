"""`orchgate evidence replay`: replays cited runs at their recorded trees, and says whether they come out the same."""

from __future__ import annotations

import os
import sys

from orchgate.commands.evidence import cited, replay_report, workspace
from orchgate.commands.evidence.replay_report import Cited
from orchgate.commands.shared import options, work_tree
from orchgate.errors import GitError, OrchgateError, Unreadable, UsageError
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict, worst
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from orchgate.commands.shared.command_line import Parser
    from orchgate.evidence.lock import Lock
    from orchgate.git.repository import Repository
    from orchgate.git.store.reference import Store
    from orchgate.references.artifacts import Artifacts
    from orchgate.replay.again import ReplayOutcome, ReplayRequest

SUMMARY = "run cited runs again at their recorded trees, and say whether they come out the same"
ABOUT = """\
Runs the programs of the recorded tree, in a work tree of its own: of a change
that somebody else wrote, their programs. No check does this. Without RUN and
--task: what the claims that this change adds cite, with --policy as many of them
as evidence.replay of the base says."""
EXAMPLES = (
    "orchgate evidence replay --task 0001-faster-start",
    "orchgate evidence replay latest",
    "orchgate evidence replay --policy --base origin/main",
)
EXIT_CODES = {
    0: "every run is confirmed",
    1: "a run is contradicted",
    3: "a run cannot be replayed, and none is contradicted",
    130: "it was cancelled",
}


def arguments(parser: Parser) -> None:
    parser.add_argument("names", nargs="*", metavar="RUN", help="a run id, `latest`, or the path of a manifest")
    work_tree.task_option(parser, "whose documents cite the runs; of RUN, whose it is")
    parser.add_argument("--policy", action="store_true", help="as many as evidence.replay says, which may be none")
    parser.add_argument("--base", default="", metavar="REV", help="the change begins at this revision")
    parser.add_argument("--head", default="", metavar="REV", help="and ends at this one (HEAD)")
    what = "how often each is replayed (once, and once more where that differs)"
    parser.add_argument("--runs", type=options.whole_number(1, 100), metavar="N", help=what)
    what = "end the replays of a run after so long, such as 30m (never); it is then unrepeatable"
    parser.add_argument("--timeout", type=options.up_to(options.DAY), metavar="TIME", help=what)
    parser.add_argument("--seed", default="", metavar="HEX", help="draw the sample of --policy as it was drawn before")
    options.output_format(parser, "evidence-replay")


class _Places(NamedTuple):
    """Where runs are: on disk, or pinned and in the store."""

    lock: Lock
    artifacts: Artifacts
    store: Store
    limit: int

    def content(self, path: str) -> bytes | None:
        """The bytes of what is pinned there, else of what is on disk; None for nothing. Raises OrchgateError."""
        from orchgate.evidence import transfer
        from orchgate.runs.locate import MAX_JOURNAL_BYTES, read_file

        pinned = self.lock.get(path)
        if pinned is not None:
            return transfer.anywhere(self.artifacts, pinned, self.store, self.limit)
        if not self.artifacts.on_disk(path):
            return None
        return read_file(self.artifacts.full(path), MAX_JOURNAL_BYTES)


def run(args: argparse.Namespace) -> Verdict | int:
    from orchgate.gate import session

    _require(args)
    with session.opened() as repository:
        if not repository.root:
            raise GitError("a bare repository has no work tree to record a run in", "run this in a clone")
        places = _places(repository)
        cited = _cited(args, repository, places)
        _say(args, cited)
        outcomes = list(_outcomes(args, repository, places, cited))
    if args.output_format == "json":
        work_tree.print_json(replay_report.document(repository.root, cited, outcomes))
    else:
        sys.stdout.write(escape(replay_report.summary(cited, outcomes)) + "\n")
    return worst(outcome.verdict.verdict for _, outcome in outcomes)


def _require(args: argparse.Namespace) -> None:
    named = bool(args.names or args.task)
    if named and (args.policy or args.base or args.head):
        raise UsageError("RUN or --task say which runs; --policy, --base and --head ask the change for them")
    if args.seed and not args.policy:
        raise UsageError("--seed draws the sample of a policy", "orchgate evidence replay --policy --seed HEX")


def _places(repository: Repository) -> _Places:
    from orchgate.config.load import load_work_tree
    from orchgate.evidence.pin import lock_of
    from orchgate.git.store.reference import Store
    from orchgate.references.artifacts import Artifacts

    config = load_work_tree(repository.root)
    artifacts = Artifacts(repository.root, config.evidence.roots)
    store = Store(repository, os.environ)
    return _Places(lock_of(repository.root), artifacts, store, config.evidence.max_artifact_bytes)


def _cited(args: argparse.Namespace, repository: Repository, places: _Places) -> Cited:
    if args.names:
        return Cited(tuple(dict.fromkeys(_named(name, args.task, repository, places) for name in args.names)))
    if args.task:
        found = tuple(_of_task(args.task, repository, places))
        return Cited(found, f"cited by the documents of {args.task}", cited=len(found))
    return _of_change(args, repository)


def _named(name: str, task: str, repository: Repository, places: _Places) -> str:
    """The manifest of a run that somebody named: on disk, else pinned. Raises UsageError."""
    from orchgate.runs.ids import MANIFEST

    try:
        _, folder = work_tree.locate(repository.root, cited.without_replays(repository.root, name, task), task)
    except UsageError:
        pinned = [path for path in places.lock.pins if path.endswith(f"/{name}/{MANIFEST}") or path == name]
        if len(pinned) != 1:
            raise
        return pinned[0]
    path = work_tree.shown(repository.root, folder)
    if os.path.isabs(path):
        raise UsageError(f"{name} is not a run of this repository", "run this in the repository it belongs to")
    return path


def _of_task(task: str, repository: Repository, places: _Places) -> Iterator[str]:
    """The manifests that the documents of a task cite."""
    from orchgate.evidence.pin import expand
    from orchgate.lib.paths import matches
    from orchgate.runs.locate import manifest_of

    place = cited.place_of(repository)
    packet = work_tree.packet_of_task(place.packets.all, task)
    read = cited.documents_of(place, workspace.ChosenPackets((packet,)))
    for error in read.unread:
        raise error
    links = workspace.links(place, read.documents)
    paths = [link.path for link in links if not link.pattern]
    paths += expand((link for link in links if link.pattern), places.artifacts).files
    patterns = [link.path for link in links if link.pattern]
    paths += [path for path in places.lock.pins if patterns and matches(path, patterns)]
    yield from dict.fromkeys(filter(None, (manifest_of(path + "/", places.artifacts.roots) for path in paths)))


def _of_change(args: argparse.Namespace, repository: Repository) -> Cited:
    """What the claims cite that a change adds. Raises OrchgateError where nobody knows what it adds."""
    from orchgate.gate import session
    from orchgate.gate.evidence_sources import EvidenceSources, new_claims
    from orchgate.git import scope
    from orchgate.model import ScopeRequest
    from orchgate.replay import chosen

    request = ScopeRequest(base=args.base, head=args.head)
    ctx = session.context(repository, scope.target(repository, request, os.environ), os.environ)
    policy = ctx.config.evidence.replay if args.policy else chosen.CITED
    if policy == chosen.NEVER:
        return Cited((), "evidence.replay is never", policy)
    if ctx.scope.unknown is not None:
        raise ctx.scope.unknown
    new = () if ctx.base is ctx.snapshot else new_claims(EvidenceSources(ctx, needed=True))
    manifests = {claim.manifest for claim in new}
    drawn = policy.startswith(chosen.SAMPLE) and (args.seed or chosen.seed(os.environ))
    found = chosen.sample(manifests, policy, drawn or "")
    return Cited(
        tuple(found), "cited by what this change adds", (args.policy and policy) or "", drawn or "", len(manifests)
    )


def _outcomes(
    args: argparse.Namespace, repository: Repository, places: _Places, cited: Cited
) -> Iterator[tuple[str, ReplayOutcome]]:
    """What becomes of each run, said at once."""
    from orchgate.replay import again

    reporter = work_tree.reporter(args.output_format)
    request = again.ReplayRequest(repository, dict(os.environ), reporter, [], args.timeout, args.runs)
    try:
        for path in cited.manifests:
            outcome = _replayed(path, places, request, args)
            replay_report.show(repository.root, path, outcome, args.output_format)
            yield path, outcome
    finally:
        again.tidy(request)


def _replayed(path: str, places: _Places, request: ReplayRequest, args: argparse.Namespace) -> ReplayOutcome:
    """What becomes of the run whose manifest is at a path."""
    from orchgate.replay import again
    from orchgate.replay.recorded import Contradicted, Unrepeatable, read
    from orchgate.runs.locate import journal_of

    try:
        manifest = places.content(path)
        if manifest is None:
            raise Unrepeatable("its manifest is not here, and is not pinned", "orchgate evidence fetch")
        recorded = read(manifest, places.content(journal_of(path)), places.artifacts.full(path))
    except (Contradicted, Unrepeatable) as error:
        return again.refused(error)
    except OrchgateError as error:
        return again.refused(Unrepeatable(_why_unread(path, error), error.hint))
    tell(args, *replay_report.before(recorded))
    return again.replay(recorded, request)


def _why_unread(path: str, error: OrchgateError) -> str:
    """Why a run's record cannot be read, after the path of its manifest."""
    from orchgate.runs.locate import journal_of

    for file, name in ((journal_of(path), "journal"), (path, "manifest")):
        if error.message.startswith(file) or (isinstance(error, Unreadable) and error.path == file):
            return f"its {name} {error.message.removeprefix(file).lstrip(': ')}"
    return error.message


def _say(args: argparse.Namespace, cited: Cited) -> None:
    if cited.manifests:
        what = counted(len(cited.manifests), "run")
        drawn = f" of {cited.cited}, drawn by --seed {cited.seed}" if cited.seed else ""
        tell(args, f"{what} to replay{drawn}: this runs the programs of the recorded trees, whoever wrote them")


def tell(args: argparse.Namespace, *lines: str) -> None:
    """Says on standard error what is about to happen."""
    del args
    sys.stderr.writelines(f"orchgate: {escape(line)}\n" for line in lines)
    sys.stderr.flush()
