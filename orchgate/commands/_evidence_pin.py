"""`orchgate evidence pin`: writes down what the cited artifacts are."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from orchgate.commands import _pinning
from orchgate.context import MAX_DOCUMENT_BYTES
from orchgate.errors import GitError, Unreadable, UsageError
from orchgate.evidence import linked, pin
from orchgate.evidence.lock import PATH
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse

    from orchgate.documents.markdown import Document
    from orchgate.git.repository import Repository

MOST_LISTED = 20
SUMMARY = "write what the cited artifacts are into .orchgate/evidence.lock"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="artifacts; without: all that documents rely on")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the lock would change")
    parser.add_argument("--prune", action="store_true", help="drop the pins that no document relies on any more")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate import session

    if args.prune and args.paths:
        raise UsageError("--prune looks at all documents, so it takes no paths", "orchgate evidence pin --prune")
    with session.opened() as repository:
        if not repository.root:
            raise GitError("a bare repository has no work tree to pin anything of", "run this in a clone")
        place = _place(repository)
        return _explicit(place, args) if args.paths else _all(place, args)


def _place(repository: Repository) -> _pinning.Place:
    from orchgate.config.load import load_work_tree
    from orchgate.documents.markdown import Document
    from orchgate.documents.packets import Packets
    from orchgate.git.worktree import OnDisk

    config = load_work_tree(repository.root)
    tree = OnDisk(repository, (root.strip("/") for root in config.evidence.roots))

    def document(path: str) -> Document:
        return Document(path, tree.read(path, MAX_DOCUMENT_BYTES))

    return _pinning.Place(repository.root, config, tree, Packets(config.documents, tree), document, whole=True)


def _explicit(place: _pinning.Place, args: argparse.Namespace) -> Verdict:
    disk = _pinning.artifacts(place)
    paths = []
    for given in args.paths:
        path = _pinning.repository_path(place.root, given)
        if not path or not disk.owns(path):
            roots = ", ".join(disk.roots)
            raise UsageError(f"{given} does not lie under {roots}", "evidence.roots says where artifacts are")
        if path in place.tree.entries:
            raise UsageError(f"{given} is tracked by git, which holds it better than a pin could")
        paths.append(path)
    paths = list(linked.with_runs(paths, disk))
    made, moved = pin.update(place.root, lambda data: pin.plan(data, paths, disk, place.limits), write=not args.check)
    return _end(made, args, moved=moved)


def _all(place: _pinning.Place, args: argparse.Namespace) -> Verdict:
    documents, unread = _documents(place)
    for error in unread:
        _say(f"{error.path}: {error.message}: what it cites is not known")
    wanted = _pinning.links(place, documents)
    disk = _pinning.artifacts(place)
    found = linked.expand(wanted, disk)

    def make(data: bytes | None) -> pin.Plan:
        made = pin.plan(data, found.files, disk, place.limits)
        stale = linked.unlinked(made.pins, wanted)
        if stale and args.prune and not unread:
            return pin.plan(data, found.files, disk, place.limits, drop=frozenset(stale))
        if stale:
            them = "it" if len(stale) == 1 else "them"
            why = "not dropped, because some documents cannot be read" if unread else f"--prune drops {them}"
            _say(f"{_pinning.counted(len(stale), 'pin')} that no document relies on: {why}")
        return made

    made, moved = pin.update(place.root, make, write=not args.check)
    for link in found.crowded:
        where = f"{link.location.path}:{link.location.line}"
        _say(
            f"not pinned: {link.path} stands for more than {linked.MOST_FILES} files: link those that matter ({where})"
        )
    missing = [link for link in found.missing if not _is_pinned(link, made)]
    for link in missing[:MOST_LISTED]:
        _say(f"neither here nor pinned: {link.path} ({link.location.path}:{link.location.line})")
    if len(missing) > MOST_LISTED:
        _say(f"and {len(missing) - MOST_LISTED} more that are neither here nor pinned: orchgate check --all-files")
    verdict = _end(made, args, moved=moved, documents=len(documents))
    if unread:
        return Verdict.BROKEN
    return Verdict.FAIL if found.crowded else verdict


def _is_pinned(link: linked.Link, made: pin.Plan) -> bool:
    return len(linked.unlinked(made.pins, [link])) < len(made.pins)


def _documents(place: _pinning.Place) -> tuple[list[Document], list[Unreadable]]:
    from orchgate.documents.markdown import Document
    from orchgate.git.snapshot import SYMLINK
    from orchgate.globs import matches

    settings, entries = place.config.evidence, place.tree.entries
    paths = [path for path in entries if entries[path].mode != SYMLINK and matches(path, settings.documents)]
    read: list[Document] = []
    unread: list[Unreadable] = []
    for path, content in place.tree.read_many(
        [path for path in paths if not matches(path, settings.exclude)], MAX_DOCUMENT_BYTES
    ):
        if isinstance(content, Unreadable):
            unread.append(content)
        else:
            read.append(Document(path, content))
    return read, unread


def _end(made: pin.Plan, args: argparse.Namespace, *, moved: bool, documents: int | None = None) -> Verdict:
    for line in _pinning.told(made, checking=args.check):
        _say(line)
    examined = "" if documents is None else f"; {_pinning.counted(documents, 'document')} read"
    add = f"; git add {os.path.dirname(PATH)}" if moved and not args.check else ""
    _say(_pinning.summary(made, moved) + examined + add)
    # A log that is too large stays where it is: the run is pinned, and what it printed is said to be missing.
    refused = [error for error in made.refused if not (error.large and linked.is_log(error.path))]
    return Verdict.FAIL if refused or (args.check and moved) else Verdict.PASS


def _say(line: str) -> None:
    sys.stdout.write(escape(line) + "\n")
