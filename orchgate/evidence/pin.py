"""Writes the evidence lock: finds what documents rely on, measures it, keeps every other pin, and replaces the file.

The file is replaced whole or not at all. Documents are read as the evidence check reads them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import islice

from orchgate.errors import OrchgateError
from orchgate.evidence import copied_runs
from orchgate.evidence import lock as locks
from orchgate.evidence.lock import Lock, LockError, Pinned
from orchgate.evidence.lock_checks import CannotPin, SizeLimits, measure
from orchgate.evidence.references import weight
from orchgate.git import worktree
from orchgate.git.snapshot import folders_of
from orchgate.lib import files
from orchgate.lib.files import open_regular
from orchgate.lib.locks import RECORDS, held
from orchgate.lib.paths import expand_braces, matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.references.resolve import Where
from orchgate.references.targets import TargetKind
from orchgate.runs.locate import BEGINNING, JOURNAL, LOGS, NAME, journal_of, mentioned

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from orchgate.evidence.known_artifacts import KnownArtifacts
    from orchgate.evidence.packet_evidence import Owners
    from orchgate.evidence.references import References
    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.model import Location
    from orchgate.references.artifacts import Artifacts

# Two branches that pin different artifacts add lines at the same place: git is told to take both.
ATTRIBUTES = "evidence.lock text eol=lf merge=union"


class LockUpdate(NamedTuple):
    """A lock as it would be. `known` are pins that hold as they are, `data` the file's new bytes."""

    pins: Mapping[str, Pinned]
    data: bytes
    added: tuple[Pinned, ...] = ()
    changed: tuple[Pinned, ...] = ()
    known: int = 0
    dropped: tuple[str, ...] = ()
    refused: tuple[CannotPin, ...] = ()


def read(root: str) -> bytes | None:
    """The bytes of the work tree's lock, None when there is none. Raises LockError."""
    from orchgate.errors import Unreadable
    from orchgate.git.snapshot import WorkTree

    try:
        return WorkTree(root).find(locks.PATH, locks.MAX_BYTES)
    except Unreadable as error:
        raise LockError(0, error.message, error.hint) from error


def lock_of(root: str) -> Lock:
    """The work tree's lock, an empty one when there is none. Raises LockError."""
    data = read(root)
    return Lock() if data is None else locks.parse(data)


class UnreadPins(Mapping[str, Pinned]):
    """The pins of a lock that we wrote, read where somebody asks for more than their number."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return self._data.count(b"\n") - 1  # of its first line

    @cached_property
    def _pins(self) -> Mapping[str, Pinned]:
        return locks.parse(self._data).pins

    def __getitem__(self, path: str) -> Pinned:
        return self._pins[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pins)


def plan(
    data: bytes | None,
    paths: Iterable[str],
    artifacts: Artifacts,
    limits: SizeLimits,
    *,
    drop: Collection[str] = (),
    known: KnownArtifacts | None = None,
) -> LockUpdate:
    """The lock in `data` with some artifacts pinned as they are on disk, and some paths dropped.

    Both sides of a merge conflict are taken; where they pin one path differently, the disk decides. What is `known`
    to be as it is pinned is not read again. Raises LockError.
    """
    wanted = list(dict.fromkeys(paths))
    if data is not None and known is not None and not drop and known.is_pinned_by(data, wanted):
        return LockUpdate(UnreadPins(data), data, known=len(wanted))
    old = _sides(data)
    fresh: dict[str, Pinned] = {}
    refused: list[CannotPin] = []
    for path in wanted:
        try:
            fresh[path] = _on_disk(path, old.get(path, ()), artifacts, limits, known)
        except CannotPin as error:
            refused.append(error)
    dropped = tuple(sorted(path for path in old if path in drop and path not in fresh))
    pins = {path: _the_one(sides) for path, sides in old.items() if path not in fresh and path not in dropped} | fresh
    before = {path: [pin for _, pin in sides] for path, sides in old.items()}
    made = locks.render(pins.values())
    if known is not None:
        known.save(made)
    return LockUpdate(
        pins,
        made,
        tuple(pin for path, pin in sorted(fresh.items()) if path not in before),
        tuple(pin for path, pin in sorted(fresh.items()) if path in before and before[path] != [pin]),
        sum(before.get(path) == [pin] for path, pin in fresh.items()),
        dropped,
        tuple(refused),
    )


def _on_disk(
    path: str,
    sides: Sequence[tuple[int, Pinned]],
    artifacts: Artifacts,
    limits: SizeLimits,
    known: KnownArtifacts | None,
) -> Pinned:
    """As `measure`; what its pin, one of some lines, is known to be is not read. Raises CannotPin."""
    started = time.time_ns()
    found = known.identity(path) if known else None
    if known and len(sides) == 1 and known.is_known(sides[0][1], found):
        return sides[0][1]
    pin = measure(artifacts, path, limits.artifact, limits.manifest)
    if pin is None:
        way_out = "`orchgate evidence fetch` brings it, if it was pushed from where it ran"
        raise CannotPin(path, "is not on disk", way_out)
    if known:
        known.remember(pin, found, started)
    return pin


def _sides(data: bytes | None) -> dict[str, list[tuple[int, Pinned]]]:
    """Every pin by path with its line: more than one where a merge left several."""
    found: dict[str, list[tuple[int, Pinned]]] = {}
    for number, pin in locks.pinned(locks.both_sides(data)) if data is not None else ():
        sides = found.setdefault(pin.path, [])
        if all(pin != other for _, other in sides):
            sides.append((number, pin))
    return found


def _the_one(sides: list[tuple[int, Pinned]]) -> Pinned:
    if len(sides) > 1:
        lines = " and ".join(str(number) for number, _ in sides)
        hint = "keep the line that holds and delete the other: the artifact is not here to decide"
        raise LockError(sides[1][0], f"lines {lines} pin {sides[0][1].path} differently", hint)
    return sides[0][1]


def update(root: str, make: Callable[[bytes | None], LockUpdate], *, write: bool = True) -> tuple[LockUpdate, bool]:
    """Makes a plan from the lock as it is and puts it in place; says whether the file is, or would be, another one.

    Raises LockError, WriteError, Busy, NoLocks, OrchgateError.
    """
    if not write:
        data = read(root)
        made = make(data)
        return made, _differs(made, data)
    folder = _folder(root)
    with held(root, RECORDS, "orchgate evidence pin"):
        data = read(root)
        made = make(data)
        if _differs(made, data):
            files.make_folders(folder)
            if data is None:
                worktree.add_attribute(folder, ATTRIBUTES)
            files.replace(os.path.join(root, locks.PATH), made.data)
        return made, _differs(made, data)


def _differs(made: LockUpdate, data: bytes | None) -> bool:
    return made.data != data and (data is not None or bool(made.pins))


def _folder(root: str) -> str:
    """The lock's folder, which need not be there. Raises OrchgateError for a link."""
    folder = os.path.join(root, os.path.dirname(locks.PATH))
    if os.path.realpath(folder) != os.path.join(os.path.realpath(root), os.path.dirname(locks.PATH)):
        raise OrchgateError(
            f"{folder} is a link", "replace it by a folder: what it leads to may not be this repository"
        )
    return folder


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
        for link in _links_of(document, references, packets, artifacts):
            if link.path not in tree.entries and link.path not in tree.folders:
                found.setdefault((link.path, link.pattern), link)
    return tuple(found.values())


def _links_of(
    document: Document, references: References, packets: Owners, artifacts: Artifacts
) -> Iterator[ArtifactLink]:
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
        paths = list(islice(_files_of(link, artifacts), MOST_FILES + 1))
        if len(paths) > MOST_FILES:
            crowded.append(link)
        elif not paths:
            missing.append(link)
        for path in with_runs(paths, artifacts) if len(paths) <= MOST_FILES else ():
            files.setdefault(path, link.location)
    return Expanded(files, tuple(missing), tuple(crowded))


_MANIFEST = "/" + NAME


def with_runs(paths: Iterable[str], artifacts: Artifacts) -> Iterator[str]:
    """Paths, and with each manifest where it was brought from, and of ours its journal and its logs."""
    for path in paths:
        yield path
        if not path.endswith(_MANIFEST):
            continue
        if artifacts.on_disk(noted := f"{path.rpartition('/')[0]}/{copied_runs.NAME}"):
            yield noted
        if artifacts.on_disk(journal_of(path)) and _is_ours(artifacts, path):
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


def _files_of(link: ArtifactLink, artifacts: Artifacts) -> Iterator[str]:
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
    waiting = [os.path.normpath(folder)]
    while waiting:
        at = waiting.pop()
        try:
            with os.scandir(artifacts.full(at)) as entries:
                found = sorted((one.name, one.is_dir(follow_symlinks=False)) for one in entries if not one.is_symlink())
        except OSError:
            continue
        yield from [f"{at}/{name}" for name, is_folder in found if not is_folder]
        waiting += [f"{at}/{name}" for name, is_folder in reversed(found) if is_folder]


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


def kind_of(path: str) -> str:
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
