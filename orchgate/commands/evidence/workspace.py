"""What the verbs of `evidence` share, and `check --fix`: lock and disk of this work tree, and the store beside them.

For pinning: whose documents are meant, and which links they hold.
"""

from __future__ import annotations

import contextlib
import os

from orchgate.commands.shared import options, servers
from orchgate.errors import GitError, OrchgateError, UsageError, quoted
from orchgate.evidence.lock import PATH
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._document import headed
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchgate.commands.shared.command_line import Parser
    from orchgate.config.settings import Config
    from orchgate.evidence import pin
    from orchgate.evidence.known_artifacts import KnownArtifacts
    from orchgate.evidence.lock import Lock, Pinned
    from orchgate.evidence.lock_checks import SizeLimits
    from orchgate.evidence.pin import ArtifactLink
    from orchgate.gate.context import Context
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.git.store.reference import Store
    from orchgate.markdown.document import Document
    from orchgate.packets.catalog import Packets
    from orchgate.packets.layout import Packet
    from orchgate.references.artifacts import Artifacts

    Say = Callable[[str], None]


class EvidenceWorkspace(NamedTuple):
    root: str
    config: Config
    lock: Lock
    artifacts: Artifacts
    store: Store
    repository: Repository

    @property
    def limit(self) -> int:
        """Bytes of the largest artifact."""
        return self.config.evidence.max_artifact_bytes


@contextlib.contextmanager
def here() -> Iterator[EvidenceWorkspace]:
    """The work tree around the current folder. Raises OrchgateError, GitError, ConfigError."""
    from orchgate.config.load import load_work_tree
    from orchgate.evidence import pin
    from orchgate.gate import session
    from orchgate.git.store.reference import Store
    from orchgate.references.artifacts import Artifacts

    with session.opened() as repository:
        if not repository.root:
            raise GitError("a bare repository has no work tree with artifacts", "run this in a clone")
        config = load_work_tree(repository.root)
        artifacts = Artifacts(repository.root, config.evidence.roots)
        lock = pin.lock_of(repository.root)
        yield EvidenceWorkspace(repository.root, config, lock, artifacts, Store(repository, os.environ), repository)


def chosen(place: EvidenceWorkspace, given: Sequence[str]) -> list[Pinned]:
    """The pins of the artifacts (or folders of them) that are named, all of them for none. Raises UsageError."""
    if not given:
        return list(place.lock.pins.values())
    found: dict[str, Pinned] = {}
    for name in given:
        path = named(place, name)
        pin = place.lock.get(path)
        pins = [pin] if pin else list(place.lock.below(path))
        if not pins:
            raise UsageError(f"{name} is not pinned", f"orchgate evidence pin {name}")
        found |= {one.path: one for one in pins}
    return list(found.values())


def named(place: EvidenceWorkspace, link: str) -> str:
    """The repository path that a link means: as a document writes it, from the top, or from the current folder."""
    path = link.strip().strip("`<>").partition("#")[0].rstrip("/")
    inner = os.path.normpath(path)
    while inner.startswith("../"):
        inner = inner[3:]
    for candidate in (repository_path(place.root, path), os.path.normpath(path), inner):
        if candidate and (place.lock.get(candidate) or place.artifacts.owns(candidate)):
            return candidate
    return os.path.normpath(path)


def add_arguments(parser: Parser) -> None:
    """The arguments of the verbs that talk to a server."""
    options.output_format(parser, "evidence-transfer")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="artifacts or folders of them (all that is pinned)")
    servers.add_arguments(parser)


class Transfer(NamedTuple):
    """What became of the pins, for programs: one for each server that was asked."""

    verdict: Verdict
    remotes: tuple[Mapping[str, object], ...] = ()


def transferred(
    args: argparse.Namespace,
    transfer: Callable[[EvidenceWorkspace, Say], Transfer],
    ready: Callable[[EvidenceWorkspace], object] = lambda _: None,
) -> Verdict:
    """The verdict of what carries pinned artifacts to or from a server; where nothing is pinned, all is well.

    `ready` raises for what is wrong with a configuration whether anything is pinned or not.
    """
    from orchgate.commands.shared import work_tree

    with servers.said(args) as (lines, say), here() as place:
        ready(place)
        done, pins = Transfer(Verdict.PASS), len(place.lock.pins)
        if pins:
            done = transfer(place, say)
        else:
            say(f"nothing is pinned in {PATH}")
            say("  hint: orchgate evidence pin")
    if args.output_format == "json":
        facts = {"verb": args.verb, "verdict": done.verdict.value, "lock_path": PATH, "pin_count": pins}
        document = headed("evidence-transfer", {**facts, "remotes": list(done.remotes), "notes": lines})
        work_tree.print_json(document)
    return done.verdict


class PinSource(NamedTuple):
    """A repository that pins. `document` reads one document of `tree`; raises Unreadable.

    Artifacts that are `known` are not measured again.
    """

    root: str
    config: Config
    tree: Snapshot
    packets: Packets
    document: Callable[[str], Document]
    whole: bool
    known: KnownArtifacts | None = None

    @property
    def limits(self) -> SizeLimits:
        from orchgate.evidence.lock_checks import SizeLimits

        return SizeLimits(self.config.evidence.max_artifact_bytes, self.config.manifests.max_bytes)


def artifacts(place: PinSource) -> Artifacts:
    from orchgate.references.artifacts import Artifacts

    return Artifacts(place.root, place.config.evidence.roots)


def links(place: PinSource, documents: Iterable[Document]) -> tuple[ArtifactLink, ...]:
    """What the documents rely on that git does not hold."""
    from orchgate.evidence import pin
    from orchgate.evidence.packet_evidence import Owners
    from orchgate.evidence.references import References

    disk = artifacts(place)
    owners = Owners(place.packets, place.document, whole=place.whole)
    return pin.links(
        documents, References(place.tree, disk, owners, place.config.evidence.link_roots), owners, place.tree, disk
    )


def described(made: pin.LockUpdate, *, checking: bool = False) -> Iterator[str]:
    """A line for each pin that is new, another or gone, and for each artifact that was refused."""
    would = "would be " if checking else ""
    for what, pins in (("pinned", made.added), ("pinned again", made.changed)):
        for one in pins:
            facts = f", {one.run.pipeline or 'a run'} {one.run.status}" if one.run and one.run.status else ""
            yield escape(f"{would}{what}: {one.path} ({one.size} bytes{facts})")
    for path in made.dropped:
        yield escape(f"{would}dropped: {path}")
    for error in made.refused:
        yield escape(f"not pinned: {error.path} {error.message}")
        if error.hint:
            yield escape(f"  hint: {error.hint}")


def summary(made: pin.LockUpdate, moved: bool) -> str:
    """One line about the whole lock."""
    counts = ((len(made.added), "new"), (len(made.changed), "changed"), (len(made.dropped), "dropped"))
    parts = [f"{count} {word}" for count, word in counts if count]
    what = f" ({', '.join(parts)})" if parts else ""
    return f"{PATH}: {counted(len(made.pins), 'artifact')}{what}" + ("" if moved else ", unchanged")


def fix(ctx: Context, paths: Iterable[str]) -> Iterator[str]:
    """Pins what the judged documents rely on and is on disk, unless it is pinned already; tells what it did.

    A pin that does not hold any more stays: nothing mechanical may take altered evidence for the real one.
    Raises OrchgateError.
    """
    from orchgate.evidence import pin
    from orchgate.evidence.lock import parse

    place = PinSource(ctx.root, ctx.config, ctx.snapshot, ctx.packets, ctx.documents.one, ctx.scope.whole_tree)
    documents, _ = ctx.documents.read(paths)
    found = pin.expand(links(place, documents), artifacts(place))

    def make(data: bytes | None) -> pin.LockUpdate:
        held = parse(data).pins if data is not None else {}
        new = (path for path in found.files if path not in held)
        return pin.plan(data, new, artifacts(place), place.limits)

    made, moved = pin.update(ctx.root, make)
    yield from described(made)
    if moved:
        yield f"{summary(made, moved)}; git add {os.path.dirname(PATH)}, then check again"


def repository_path(root: str, given: str) -> str:
    """A path as the user wrote it, from the current folder, as one of the repository; "" outside of it."""
    absolute = os.path.normpath(os.path.join(os.getcwd(), given))
    top = os.path.normpath(root)
    for base in dict.fromkeys((top, os.path.realpath(top))):
        if absolute.startswith(base + os.sep):
            return os.path.relpath(absolute, base)
    return ""


class ChosenPackets(NamedTuple):
    """Packets, and how they are known to be meant, in words; "" where somebody named them."""

    packets: tuple[Packet, ...]
    by: str = ""

    @property
    def words(self) -> str:
        from orchgate.commands.shared import work_tree

        by = f" ({self.by})" if self.by else ""
        return work_tree.listed_names(packet.name for packet in self.packets) + by


def behind(place: PinSource, repository: Repository, command: str) -> ChosenPackets:
    """The packets that a command without any task means. Raises UsageError where several may be meant."""
    from orchgate.commands.shared import work_tree
    from orchgate.packets.progress import packets_in_work

    known = place.packets.all
    for found, by in _told(place, repository):
        if found:
            return ChosenPackets(found, by)
    if len(known) < 2:
        return ChosenPackets(known, "the only one here")
    active = packets_in_work(place.config.documents, known)
    message = "neither changed documents, the branch nor a trailer name a task, and "
    message += (
        f"{len(active)} are in work: {work_tree.listed_names(packet.name for packet in active)}"
        if active
        else f"{len(known)} have documents here"
    )
    raise UsageError(message, f"{command} --task {quoted((active or known)[0].name)}")


def _told(place: PinSource, repository: Repository) -> Iterator[tuple[tuple[Packet, ...], str]]:
    from orchgate.packets.progress import packets_in_work, packets_named_in

    known = place.packets.all
    yield _of(place, _changed(repository)), "its documents changed"
    yield packets_named_in(repository.branch, known), f"branch {repository.branch}"
    fork = _fork(repository)
    if fork is not None:
        for value in _trailers(repository, fork):
            yield packets_named_in(value, known), f"trailer Task: {value[:60]}"
        changed = frozenset(change.path for change in repository.changes(fork, repository.head))
        yield _of(place, changed), "its documents changed on this branch"
    active = packets_in_work(place.config.documents, known)
    yield active if len(active) == 1 else (), "the only one in work"


def _of(place: PinSource, paths: frozenset[str]) -> tuple[Packet, ...]:
    return tuple(packet for packet in place.packets.all if not paths.isdisjoint(packet.paths))


def _changed(repository: Repository) -> frozenset[str]:
    """What differs from the last commit in the index or the work tree, and what is new there."""
    git = repository.git.without_filters()  # which are programs of the repository's settings
    # `git diff` would write the index, and run a hook for that.
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=dirty")
    return frozenset(os.fsdecode(line[3:]) for line in git("status", *options).split(b"\0") if line)


def _fork(repository: Repository) -> str | None:
    """Where what is checked out left the default branch; None where it is on it, or nobody knows."""
    from orchgate.config.branches import started

    try:
        fork = started(repository, os.environ) if repository.head else None
    except OrchgateError:
        return None
    return None if fork == repository.head else fork


def _trailers(repository: Repository, fork: str) -> list[str]:
    """What `Task:` trailers of the commits since a fork say, the newest first."""
    from orchgate.git.messages import commits

    own = commits(repository.git, (f"{fork}..HEAD",))
    return [value for commit in own for value in commit.trailers.get("task", ())]
