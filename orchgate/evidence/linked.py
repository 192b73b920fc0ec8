"""Which artifacts the documents of a tree rely on, read as the evidence check reads them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.evidence import copied_runs
from orchgate.evidence.references import weight
from orchgate.git.snapshot import folders_of
from orchgate.lib.files import open_regular
from orchgate.lib.globs import expand_braces, matches
from orchgate.references.resolve import Where
from orchgate.references.targets import TargetKind
from orchgate.runs.locate import BEGINNING, JOURNAL, LOGS, NAME, journal_of, mentioned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.evidence.owners import Owners
    from orchgate.evidence.references import References
    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.model import Location
    from orchgate.references.artifacts import Artifacts

MOST_FILES = 200  # that one link to a folder or one pattern pins; more is a heap, not evidence


class ArtifactLink(NamedTuple):
    """What one reference relies on, and the first place that says so. `pattern`: `path` is a glob."""

    path: str
    location: Location
    pattern: bool = False


class Expanded(NamedTuple):
    """Files on disk that links stand for, each with the place of its link.

    `missing` lead to nothing here; `crowded` stand for more than MOST_FILES files.
    """

    files: dict[str, Location]
    missing: tuple[ArtifactLink, ...]
    crowded: tuple[ArtifactLink, ...]


def links(
    documents: Iterable[Document], references: References, packets: Owners, tree: Snapshot, artifacts: Artifacts
) -> tuple[ArtifactLink, ...]:
    """What documents rely on that is not in the tree itself, each once."""
    found: dict[tuple[str, bool], ArtifactLink] = {}
    for document in documents:
        for link in _of(document, references, packets, artifacts):
            if link.path not in tree.entries and link.path not in tree.folders:
                found.setdefault((link.path, link.pattern), link)
    return tuple(found.values())


def _of(document: Document, references: References, packets: Owners, artifacts: Artifacts) -> Iterator[ArtifactLink]:
    for reference, target in references.all(document):
        if not target.artifact or target.kind not in (TargetKind.PATH, TargetKind.PATTERN):
            continue
        if weight(references.place(document, reference), target) is None:
            continue
        found = references.find(document, reference, target)
        if found.where is not Where.OUTSIDE and artifacts.owns(found.path):
            yield ArtifactLink(found.path, document.location(reference.offset), target.kind is TargetKind.PATTERN)
    if packets.places(document.path):
        for path in mentioned(document.text, artifacts.roots):
            yield ArtifactLink(path, document.location(document.text.find(path)))


def expand(wanted: Iterable[ArtifactLink], artifacts: Artifacts) -> Expanded:
    """The files that links stand for."""
    files: dict[str, Location] = {}
    missing, crowded = [], []
    for link in wanted:
        paths = list(_limited(_files(link, artifacts)))
        if len(paths) > MOST_FILES:
            crowded.append(link)
        elif not paths:
            missing.append(link)
        for path in with_runs(paths, artifacts) if len(paths) <= MOST_FILES else ():
            files.setdefault(path, link.location)
    return Expanded(files, tuple(missing), tuple(crowded))


def with_runs(paths: Iterable[str], artifacts: Artifacts) -> Iterator[str]:
    """Paths, and with each manifest where it was brought from, and of ours its journal and its logs."""
    for path in paths:
        yield path
        if path.endswith("/" + NAME) and artifacts.on_disk(noted := f"{path.rpartition('/')[0]}/{copied_runs.NAME}"):
            yield noted
        if path.endswith("/" + NAME) and artifacts.on_disk(journal_of(path)) and _is_ours(artifacts, path):
            yield journal_of(path)
            logs = f"{path.rpartition('/')[0]}/{LOGS}"
            yield from (f"{logs}/{name}" for name in artifacts.names(logs) if artifacts.on_disk(f"{logs}/{name}"))


def _is_ours(artifacts: Artifacts, path: str) -> bool:
    """Whether the journal beside a manifest is one of ours."""
    try:
        with open(open_regular(artifacts.full(journal_of(path))), "rb") as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except OSError:
        return False


def _limited(paths: Iterator[str]) -> Iterator[str]:
    for number, path in enumerate(paths):
        if number > MOST_FILES:
            return
        yield path


def _files(link: ArtifactLink, artifacts: Artifacts) -> Iterator[str]:
    if link.pattern:
        for pattern in expand_braces(link.path):
            yield from (path for path in artifacts.found(pattern) if not os.path.isdir(artifacts.full(path)))
    elif not os.path.isdir(artifacts.full(link.path)):
        if os.path.lexists(artifacts.full(link.path)):
            yield link.path
    elif artifacts.on_disk(link.path):
        yield from _below(link.path, artifacts)


def _below(folder: str, artifacts: Artifacts) -> Iterator[str]:
    """Ordinary files in a folder and its folders, in a fixed order; links are left out."""
    for at, names, files in os.walk(artifacts.full(folder)):
        names.sort()
        inner = os.path.relpath(at, artifacts.full(folder))
        for name in sorted(files):
            if not os.path.islink(os.path.join(at, name)):
                yield os.path.normpath(os.path.join(folder, inner, name))


def unlinked(pins: Iterable[str], wanted: Iterable[ArtifactLink]) -> tuple[str, ...]:
    """The pinned paths that no link relies on, itself, by a folder, or by a pattern."""
    listed = tuple(wanted)
    paths = frozenset(link.path for link in listed if not link.pattern)
    patterns = tuple(link.path for link in listed if link.pattern)

    def is_wanted(path: str) -> bool:
        return bool(_chain(path) & paths) or matches(path, patterns)

    return tuple(path for path in pins if not is_wanted(path) and not is_wanted(_manifest_beside(path)))


def _chain(path: str) -> set[str]:
    """A path and the folders above it."""
    return {path, *folders_of([path])} - {""}


def kind(path: str) -> str:
    """What an artifact is, in a word."""
    name = path.rpartition("/")[2]
    known = {NAME: "manifest", JOURNAL: "journal", copied_runs.NAME: "origin"}
    return known.get(name) or ("log" if is_log(path) else "other artifact")


def is_log(path: str) -> bool:
    """Whether a path is where a run of ours keeps what a stage printed."""
    return path.rpartition("/")[0].endswith("/" + LOGS)


def _manifest_beside(path: str) -> str:
    """The manifest that another file of its run goes with; the path itself for anything else."""
    folder, _, name = path.rpartition("/")
    if name in (JOURNAL, copied_runs.NAME):
        return f"{folder}/{NAME}"
    above, _, last = folder.rpartition("/")
    return f"{above}/{NAME}" if last == LOGS else path
