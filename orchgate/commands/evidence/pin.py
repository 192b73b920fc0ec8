"""`orchgate evidence pin`: writes down what the cited artifacts are."""

from __future__ import annotations

import os
import sys
from collections import Counter

from orchgate.attest import keys
from orchgate.commands.evidence import cited, signing, workspace
from orchgate.commands.shared import options, work_tree
from orchgate.errors import GitError, UsageError, quoted
from orchgate.evidence import pin
from orchgate.evidence.lock import PATH
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._document import headed, problem_of
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchgate.evidence.lock import Pinned
    from orchgate.git.repository import Repository

MOST_LISTED = 20
MOST_UNASKED = 20  # artifacts that are pinned before anybody has seen what they are
SUMMARY = "write what the cited artifacts are into .orchgate/evidence.lock"
ABOUT = """\
Without PATH and --task: what the documents of one task cite. It is the task
whose documents changed since the last commit, else the one that the branch or a
Task: trailer names, else the only one in work. --check and --prune look at all
documents."""
EXAMPLES = (
    "orchgate evidence pin --task 0001-faster-start",
    "orchgate evidence pin --sign",
    "orchgate evidence pin --check",
)
EXIT_CODES = {
    1: "an artifact could not be pinned, --check would change the lock, or a run was not signed",
    3: "a document cannot be read, or the key could not be used",
}


class _Many(Exception):
    """More would be pinned than anybody asked for by name."""

    def __init__(self, pins: tuple[Pinned, ...]) -> None:
        super().__init__()
        self.pins = pins


class _Wanted(NamedTuple):
    """What documents rely on, and the files on disk that this stands for."""

    read: cited.ReadDocuments
    links: tuple[pin.ArtifactLink, ...]
    found: pin.Expanded
    notes: list[str]


class _Done(NamedTuple):
    """What became of the lock: what was asked for, whether it is another file now (or would be), and what is said."""

    made: pin.LockUpdate
    paths: Sequence[str]
    moved: bool
    wanted: _Wanted | None = None
    notes: Sequence[str] = ()


VERSION = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="artifacts (what the documents of a task cite)")
    work_tree.task_option(parser, "whose documents (the task of this change)")
    parser.add_argument("--all", action="store_true", help="what all documents cite, of all tasks")
    parser.add_argument("--yes", action="store_true", help=f"do not ask before pinning more than {MOST_UNASKED}")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the lock would change")
    parser.add_argument("--prune", action="store_true", help="drop the pins that no document cites any more")
    parser.add_argument("--sign", action="store_true", help="also sign the runs, as `orchgate evidence sign` does")
    signing.option(parser)
    options.output_format(parser, "evidence-pins")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.gate import session

    if args.prune and (args.paths or args.task):
        raise UsageError("--prune looks at all documents, so it takes no paths", "orchgate evidence pin --prune")
    if (args.all or args.task) and (args.paths or (args.all and args.task)):
        raise UsageError("paths, --task or --all: one of them says what is pinned", "orchgate evidence pin --task ID")
    if args.key and not args.sign:
        raise UsageError("--key says what signs, and nothing is signed without --sign", "orchgate evidence pin --sign")
    if args.sign and (args.check or args.prune):
        raise UsageError("--sign signs what is pinned now: it goes with neither --check nor --prune", "leave one out")
    with session.opened() as repository:
        if not repository.root:
            raise GitError("a bare repository has no work tree to pin anything of", "run this in a clone")
        place = cited.place_of(repository)
        if args.sign:
            keys.named(args.key, repository.git)  # before anything is written
        done = _explicit(place, args) if args.paths else _cited(place, repository, args)
        signed = _signed(done, place, repository, args.key) if args.sign else None
    return _end(done, args, signed)


def _signed(done: _Done, place: workspace.PinSource, repository: Repository, key: str) -> signing.Signing:
    """Signs the runs that were asked for and are pinned now."""
    pinned = [path for path in done.paths if path in done.made.pins]
    manifests = signing.manifests(pinned, place.config.evidence.roots)
    return signing.sign(place, repository, pin.lock_of(place.root), manifests, key)


def _explicit(place: workspace.PinSource, args: argparse.Namespace) -> _Done:
    disk = workspace.artifacts(place)
    paths = []
    for given in args.paths:
        path = workspace.repository_path(place.root, given)
        if not path or not disk.owns(path):
            roots = ", ".join(disk.roots)
            raise UsageError(f"{given} is not below {roots}, where evidence.roots says artifacts are")
        if path in place.tree.entries:
            raise UsageError(f"{given} is tracked by git, which holds it better than a pin could")
        paths.append(path)
    paths = list(pin.with_runs(paths, disk))

    def make(data: bytes | None) -> pin.LockUpdate:
        return pin.plan(data, paths, disk, place.limits, known=place.known)

    made, moved = pin.update(place.root, make, write=not args.check)
    return _Done(made, paths, moved)


def _cited(place: workspace.PinSource, repository: Repository, args: argparse.Namespace) -> _Done:
    read = cited.documents(place, repository, args.task, everything=args.all or args.check or args.prune)
    links = workspace.links(place, read.documents)
    wanted = _Wanted(read, links, pin.expand(links, workspace.artifacts(place)), [])
    _say_unless(args, (f"{error.path}: {error.message}: what it cites is not known" for error in read.unread))
    asks = not (args.yes or args.check)
    try:
        made, moved = pin.update(place.root, _maker(place, args, wanted, asks=asks), write=not args.check)
    except _Many as many:
        _ask(many.pins, args, read.whose)
        made, moved = pin.update(place.root, _maker(place, args, wanted, asks=False))
    notes = [*wanted.notes, *_links_left(wanted.found, made)]
    if not links and read.whose:
        notes += ["no document of the task cites a run: add a line `Evidence: MANIFEST` to one, then pin again"]
    _say_unless(args, notes)
    return _Done(made, list(wanted.found.files), moved, wanted, notes)


def _maker(
    place: workspace.PinSource, args: argparse.Namespace, wanted: _Wanted, *, asks: bool
) -> Callable[[bytes | None], pin.LockUpdate]:
    """What makes the new lock from the old one; raises _Many where somebody has to be asked first."""
    disk, files, unread = workspace.artifacts(place), wanted.found.files, wanted.read.unread

    def make(data: bytes | None) -> pin.LockUpdate:
        made = pin.plan(data, files, disk, place.limits, known=place.known)
        new = (*made.added, *made.changed)
        if asks and len(new) > MOST_UNASKED:
            raise _Many(new)
        stale = () if wanted.read.whose else pin.unlinked(made.pins, wanted.links)
        if stale and args.prune and not unread:
            return pin.plan(data, files, disk, place.limits, drop=frozenset(stale), known=place.known)
        if stale:
            them = "it" if len(stale) == 1 else "them"
            why = "not dropped, because some documents cannot be read" if unread else f"--prune drops {them}"
            wanted.notes[:] = [f"{counted(len(stale), 'pin')} that no document cites: {why}"]
        return made

    return make


def _ask(pins: tuple[Pinned, ...], args: argparse.Namespace, whose: str) -> None:
    """Lists what would be pinned, and asks. Raises UsageError where nobody says yes."""
    counts = Counter(pin.kind_of(one.path) for one in pins)
    kinds = ", ".join(counted(count, kind) for kind, count in counts.most_common())
    lines = [f"{len(pins)} artifacts would be pinned: {kinds}"]
    lines += [f"  {one.path} ({one.size} bytes)" for one in pins[:MOST_LISTED]]
    lines += [f"  and {len(pins) - MOST_LISTED} more"] if len(pins) > MOST_LISTED else []
    _say_unless(args, lines)
    if args.output_format == "text" and sys.stdin and sys.stdin.isatty() and sys.stdout.isatty():
        sys.stdout.write("pin them all? [y/N] ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    scope = ["--task", args.task] if args.task else ["--prune"] if args.prune else [] if whose else ["--all"]
    command = " ".join(map(quoted, ("orchgate", "evidence", "pin", *scope, "--yes")))
    raise UsageError(f"nothing was pinned: {len(pins)} artifacts are more than {MOST_UNASKED}", command)


def _links_left(found: pin.Expanded, made: pin.LockUpdate) -> Iterator[str]:
    """What links stand for that was not pinned."""
    for link in found.crowded:
        where = f"{link.location.path}:{link.location.line}"
        yield (f"not pinned: {link.path} means more than {pin.MOST_FILES} files: link those that matter ({where})")
    missing = [link for link in found.missing if not _is_pinned(link, made)]
    for link in missing[:MOST_LISTED]:
        yield (f"neither here nor pinned: {link.path} ({link.location.path}:{link.location.line})")
    if len(missing) > MOST_LISTED:
        yield (f"and {len(missing) - MOST_LISTED} more; `orchgate check evidence --all-files` lists all")


def _is_pinned(link: pin.ArtifactLink, made: pin.LockUpdate) -> bool:
    return len(pin.unlinked(made.pins, [link])) < len(made.pins)


def _end(done: _Done, args: argparse.Namespace, signed: signing.Signing | None) -> Verdict:
    verdict = _verdict(done, args)
    if signed and signed.refused and verdict is Verdict.PASS:
        verdict = Verdict.FAIL
    if args.output_format == "json":
        work_tree.print_json(_document(done, args, verdict, signed))
        return verdict
    read = done.wanted.read if done.wanted else None
    examined = f"; {counted(len(read.documents), 'document')}{read.whose} read" if read else ""
    add = f"; git add {os.path.dirname(PATH)}" if done.moved and not args.check else ""
    made = done.made
    lines = [*workspace.described(made, checking=args.check), workspace.summary(made, done.moved) + examined + add]
    sys.stdout.writelines(escape(line) + "\n" for line in (*lines, *(signing.lines(signed) if signed else ())))
    return verdict


def _verdict(done: _Done, args: argparse.Namespace) -> Verdict:
    wanted = done.wanted
    if wanted and wanted.read.unread:
        return Verdict.BROKEN
    # A log that is too large stays where it is: the run is pinned, and what it printed is said to be missing.
    refused = [error for error in done.made.refused if not (error.large and pin.is_log(error.path))]
    crowded = wanted is not None and bool(wanted.found.crowded)
    return Verdict.FAIL if crowded or refused or (args.check and done.moved) else Verdict.PASS


def _document(
    done: _Done, args: argparse.Namespace, verdict: Verdict, signed: signing.Signing | None
) -> dict[str, object]:
    made, wanted = done.made, done.wanted
    missing = [link for link in wanted.found.missing if not _is_pinned(link, made)] if wanted else []
    unread = wanted.read.unread if wanted else []
    facts = {
        "verdict": verdict.value,
        "lock_path": PATH,
        "changed": done.moved,
        "written": done.moved and not args.check,
        "pin_count": len(made.pins),
        "document_count": len(wanted.read.documents) if wanted else 0,
        "added": [_pin_json(one) for one in made.added],
        "pinned_again": [_pin_json(one) for one in made.changed],
        "dropped": list(made.dropped),
        "missing": [
            {"path": link.path, "document": link.location.path, "line": link.location.line or None} for link in missing
        ],
        "notes": list(done.notes),
        "signing": signing.facts(signed) if signed else None,
        "problems": [problem_of(error) for error in (*unread, *made.refused)],
    }
    return headed("evidence-pins", facts, VERSION)


def _pin_json(one: Pinned) -> dict[str, object]:
    known = {"pipeline_id": one.run.pipeline or None, "status": one.run.status or None} if one.run else {}
    return {
        "path": one.path,
        "sha256": one.sha256,
        "size_bytes": one.size,
        "pipeline_id": None,
        "status": None,
        **known,
    }


def _say_unless(args: argparse.Namespace, lines: Iterable[str]) -> None:
    """Says it on standard output, unless a document is to stand there: then the error says enough."""
    if args.output_format == "text":
        sys.stdout.writelines(escape(line) + "\n" for line in lines)
