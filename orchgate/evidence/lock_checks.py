"""Artifacts on disk against their pins: read once, hashed, and compared with what the lock says (EVD008, EVD009)."""

from __future__ import annotations

import os
from stat import S_ISLNK

from orchgate.errors import OrchgateError, Unreadable, quoted
from orchgate.evidence.lock import Pinned
from orchgate.evidence.references import weight
from orchgate.lib.files import NotRegularFileError, open_regular, sha256_hex, sha256_of_chunks
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Location, Severity, Trouble
from orchgate.references.artifacts import Artifacts
from orchgate.references.resolve import Resolver, Where
from orchgate.references.targets import TargetKind
from orchgate.runs.locate import journal_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

    from orchgate.evidence.lock import Lock
    from orchgate.evidence.references import Mention
    from orchgate.git.snapshot import Snapshot
    from orchgate.references.targets import ReferenceTarget


MANIFEST = "/manifest.json"
CHUNK = 1 << 16  # bytes: room for more is asked of the system each time


class SizeLimits(NamedTuple):
    """The most bytes of an artifact that is pinned or copied, and of a manifest, which is read."""

    artifact: int
    manifest: int


class CannotPin(Unreadable):
    """An artifact that is on disk and cannot be pinned; the message continues the sentence "The artifact …".

    `certain`: it never could have been pinned as it is, so that no pin can be of it. `large`: only for its size.
    """

    def __init__(self, path: str, reason: str, hint: str = "", *, certain: bool = False, large: bool = False) -> None:
        super().__init__(path, reason, hint)
        self.certain = certain
        self.large = large


def measure(
    artifacts: Artifacts, path: str, limit: int, manifest_limit: int, *, pinned: Pinned | None = None
) -> Pinned | None:
    """An artifact as a pin of it would be; None when it is not on disk.

    `limit` and `manifest_limit` are in bytes. A manifest has to be readable, because its facts are pinned too, and has
    to be what its journal adds up to; without the journal only what a pin vouches for is taken. Raises Refused.
    """
    full = artifacts.full(path)
    try:
        if S_ISLNK(os.lstat(full).st_mode) or not artifacts.is_plain(path.rpartition("/")[0]):
            _refuse_links(artifacts, path)
    except (OSError, ValueError):
        return None
    try:
        # Opened without following: a link that is put there meanwhile is an error, not a leak.
        descriptor = open_regular(full, follow=False)
    except NotRegularFileError as error:
        raise CannotPin(path, f"is {error.kind}, not a regular file", "name a file", certain=True) from None
    except OSError as error:
        raise CannotPin(path, f"cannot be opened: {error.strerror}", "ls -l shows who may read it") from None
    try:
        found, document = _pin_of(path, descriptor, limit, manifest_limit)
    except OSError as error:
        raise CannotPin(path, f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if document is not None and not (found == pinned and not artifacts.on_disk(journal_of(path))):
        _hold_against_journal(artifacts, path, document)
    return found


def _hold_against_journal(artifacts: Artifacts, path: str, document: dict[str, object]) -> None:
    from orchgate.runs.journal import beside, require

    def journal() -> bytes | None:
        # One that a link brings in from elsewhere is not here: the gate does not see it either.
        return beside(artifacts.full(path)) if artifacts.on_disk(journal_of(path)) else None

    try:
        require(document, journal)
    except OrchgateError as error:
        raise CannotPin(path, error.message, error.hint, certain=True) from None


def _refuse_links(artifacts: Artifacts, path: str) -> None:
    """A pin is of a file at its own path: elsewhere the link may lead to something else. Raises Refused."""
    real = os.path.realpath(artifacts.full(path))
    link = artifacts.linked_at(path)
    if link and not os.path.exists(real):
        raise CannotPin(path, "is a link that leads nowhere", certain=True)
    if not artifacts.inside(real):
        hint = "copy what it leads to into the run's folder"
        raise CannotPin(path, "leads out of the repository", hint, certain=True)
    if link:
        hint = f"link and pin {artifacts.within(real)}"
        raise CannotPin(path, f"is reached through a symbolic link, {link}", hint, certain=True)


def _pin_of(path: str, descriptor: int, limit: int, manifest_limit: int) -> tuple[Pinned, dict[str, object] | None]:
    """The pin of an open file, and what a manifest holds."""
    status = os.fstat(descriptor)
    if status.st_size > limit:
        hint = "keep a smaller extract of it, or raise evidence.max-artifact-bytes"
        raise CannotPin(path, f"is {status.st_size} bytes long, limit {limit}", hint, large=True)
    if not path.endswith(MANIFEST):
        size, found = _hash(path, descriptor, status.st_size)
        return Pinned(path, found, size), None
    from orchgate.evidence.facts import facts_of
    from orchgate.runs.decode import parse
    from orchgate.runs.run import from_manifest

    data = os.read(descriptor, min(status.st_size, manifest_limit) + 1)
    if len(data) != status.st_size and len(data) <= manifest_limit:
        raise CannotPin(path, "changed while it was read", "wait for the run to end")
    try:
        document = parse(data, manifest_limit)
    except OrchgateError as error:
        raise CannotPin(path, error.message, error.hint, certain=True) from None
    return Pinned(path, sha256_hex(data), len(data), facts_of(from_manifest(document))), document


def _hash(path: str, descriptor: int, size: int) -> tuple[int, str]:
    found, read = sha256_of_chunks(iter(lambda: os.read(descriptor, CHUNK), b""))
    if read != size:
        raise CannotPin(path, "changed while it was read", "wait until whoever writes it is done")
    return read, found


def prefix_hash(full: str, size: int) -> str:
    """The hash of the first `size` bytes of a file. Raises OSError."""
    with open(full, "rb", buffering=0) as file:
        return sha256_of_chunks(_first(file, size))[0]


def _first(file: FileIO, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(size, CHUNK))):
        yield chunk
        size -= len(chunk)


# Files that grow with every run, and those that every run writes anew: that they moved on is no fault of a citation.
_GROWING = ("/metrics.json", ".jsonl", ".ndjson")
_UNSAID = ("cached", None)
_RENEWED = ("/aggregate.json", "/state.json")


class PinComparison:
    """What is on disk against its pins, each looked at once. `troubles` are those that could not be compared."""

    def __init__(self, artifacts: Artifacts, limit: int, manifest_limit: int) -> None:
        self._artifacts = artifacts
        self._limits = (limit, manifest_limit)
        self._known: dict[str, str] = {}
        self.troubles: dict[str, Trouble] = {}

    def difference(self, pin: Pinned) -> str:
        """How an artifact differs from its pin; "" when it does not, is not on disk, or cannot be compared."""
        if pin.path not in self._known:
            self._known[pin.path] = self._look(pin) if self._artifacts.on_disk(pin.path) else ""
        return self._known[pin.path]

    def _look(self, pin: Pinned) -> str:
        try:
            found = measure(self._artifacts, pin.path, *self._limits, pinned=pin)
        except CannotPin as error:
            if error.certain or self._size(pin.path) != pin.size:
                return error.message
            self.troubles[pin.path] = Trouble(Location(pin.path), error.message, error.hint)
            return ""
        if found is None:
            return ""
        if found.size != pin.size:
            return "" if self._grown(pin, found) else f"has {found.size} bytes, the pinned one had {pin.size}"
        if found.sha256 != pin.sha256:
            return "has other content of the same length"
        return _differing_fact(pin, found)

    def _size(self, path: str) -> int:
        try:
            return os.stat(self._artifacts.full(path)).st_size
        except OSError:
            return -1

    def _grown(self, pin: Pinned, found: Pinned) -> bool:
        """Whether a file of lines only got more of them."""
        if found.size < pin.size or not pin.path.endswith(_GROWING):
            return False
        try:
            return prefix_hash(self._artifacts.full(pin.path), pin.size) == pin.sha256
        except OSError:
            return False


def _differing_fact(pin: Pinned, found: Pinned) -> str:
    """Which fact of a manifest the lock states differently."""
    if pin.run is None and found.run is None:
        return ""
    if pin.run is None or found.run is None:
        return "is pinned without the facts of its run" if found.run else "is pinned as a manifest, which it is not"
    pinned, is_ = ({**run._asdict(), **run.numbers} for run in (pin.run, found.run))
    # Older versions pinned a wall time that is not taken for one any more: of a run that had been resumed.
    beside = {"numbers", *({"wall_seconds"} - is_.keys())}
    # What older versions did not know, their pins do not say.
    names = (
        name
        for name in pinned
        if name not in beside and pinned[name] != is_.get(name) and (name, pinned[name]) != _UNSAID
    )
    return next((f"says {name} {is_.get(name)!r}, the lock says {pinned[name]!r}" for name in names), "")


class LockChecks:
    """Findings about pins, of a tree that keeps a lock."""

    def __init__(self, snapshot: Snapshot, roots: tuple[str, ...], lock: Lock, comparison: PinComparison) -> None:
        self._entries = snapshot.entries
        self._lock = lock
        self._comparison = comparison
        self._clone = Resolver(snapshot, Artifacts("", roots, lock))
        self._told: set[tuple[str, str]] = set()

    def findings(self, place: Mention, target: ReferenceTarget, path: str) -> Iterator[Finding]:
        """EVD008, EVD009."""
        severity = weight(place, target)
        if severity is None:
            return
        look = self._clone.link if place.link else self._clone.span
        if look(target, place.document.path).where is not Where.HERE:
            yield Finding(
                "EVD009",
                place.location,
                f"{place.reference.text} is on this machine only: it is not pinned",
                f"orchgate evidence pin {'' if place.packet else '--all '}&& git add .orchgate",
                severity,
                about=(place.reference.text,),
            )
        elif target.kind is TargetKind.PATH and path not in self._entries:
            yield from self._changed(place, path, severity)

    def _changed(self, place: Mention, path: str, severity: Severity) -> Iterator[Finding]:
        pin = self._lock.get(path)
        for one in [pin] if pin else self._lock.below(path):
            difference = self._comparison.difference(one)
            if not difference or (place.document.path, one.path) in self._told:
                continue
            self._told.add((place.document.path, one.path))
            yield Finding(
                "EVD008",
                place.location,
                f"{one.path if one.path not in place.reference.text else place.reference.text}"
                f" is not what was pinned: it {difference}",
                f"`orchgate evidence fetch --force {quoted(one.path)}` brings back what was pinned, "
                "`orchgate evidence pin` pins what is here",
                Severity.WARNING if one.path.endswith(_RENEWED) else severity,
                about=(one.path,),
            )
