"""Judges artifacts by the lock: whether a clean clone would know them, and whether they are still what was pinned."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.errors import quoted
from orchgate.evidence.claims import weight
from orchgate.evidence.hashing import Refused, measure, prefix_hash
from orchgate.model import Finding, Location, Severity, Trouble
from orchgate.references.artifacts import Artifacts
from orchgate.references.resolve import Resolver, Where
from orchgate.references.targets import TargetKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.evidence.claims import Place
    from orchgate.evidence.lock import Lock, Pinned
    from orchgate.git.snapshot import Snapshot
    from orchgate.references.targets import ReferenceTarget

# Files that grow with every run, and those that every run writes anew: that they moved on is no fault of a citation.
_GROWING = ("/metrics.json", ".jsonl", ".ndjson")
_UNSAID = ("cached", None)
_RENEWED = ("/aggregate.json", "/state.json")


class Comparison:
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
        except Refused as error:
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
        return _otherwise(pin, found)

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


def _otherwise(pin: Pinned, found: Pinned) -> str:
    """Which fact of a manifest the lock states differently."""
    if pin.run is None and found.run is None:
        return ""
    if pin.run is None or found.run is None:
        return "is pinned without the facts of its run" if found.run else "is pinned as a manifest, which it is not"
    said, is_ = ({**run._asdict(), **run.numbers} for run in (pin.run, found.run))
    # Older versions pinned a wall time that is not taken for one any more: of a run that had been resumed.
    beside = {"numbers", *({"wall_seconds"} - is_.keys())}
    # What older versions did not know, their pins do not say.
    names = (
        name for name in said if name not in beside and said[name] != is_.get(name) and (name, said[name]) != _UNSAID
    )
    return next((f"says {name} {is_.get(name)!r}, the lock says {said[name]!r}" for name in names), "")


class Kept:
    """Findings about pins, of a tree that keeps a lock."""

    def __init__(self, snapshot: Snapshot, roots: tuple[str, ...], lock: Lock, comparison: Comparison) -> None:
        self._entries = snapshot.entries
        self._lock = lock
        self._comparison = comparison
        self._clone = Resolver(snapshot, Artifacts("", roots, lock.pins, lock.folders))
        self._told: set[tuple[str, str]] = set()

    def findings(self, place: Place, target: ReferenceTarget, path: str) -> Iterator[Finding]:
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
            )
        elif target.kind is TargetKind.PATH and path not in self._entries:
            yield from self._changed(place, path, severity)

    def _changed(self, place: Place, path: str, severity: Severity) -> Iterator[Finding]:
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
            )
