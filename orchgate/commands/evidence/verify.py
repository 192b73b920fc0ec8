"""`orchgate evidence verify`: are the pinned artifacts, on disk and in the store, still what was pinned?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from orchgate.commands.evidence import workspace
from orchgate.errors import GitError
from orchgate.evidence.lock import PATH
from orchgate.lib.text import counted
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse

    from orchgate.commands.evidence.workspace import EvidenceWorkspace

SUMMARY = "hash every pinned artifact that is here, and say which are not what was pinned"
ABOUT = "Looks at the disk and at the store of this clone; asks no remote."
EXAMPLES = ("orchgate evidence verify", "orchgate evidence verify --missing")
EXIT_CODES = {1: "an artifact is not what was pinned", 3: "an artifact cannot be compared, or is damaged in the store"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--missing", action="store_true", help="also list the pinned artifacts that are not here")


class Verification(NamedTuple):
    pins: int
    changed: int
    missing: int
    unknown: int
    stored: int
    damaged: int


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.evidence.lock_checks import PinComparison

    with workspace.here() as place:
        config = place.config
        comparison = PinComparison(place.artifacts, config.evidence.max_artifact_bytes, config.manifests.max_bytes)
        changed = missing = 0
        for one in place.lock.pins.values():
            if not place.artifacts.on_disk(one.path):
                missing += 1
                if args.missing:
                    _say(f"missing here: {one.path}")
            elif difference := comparison.difference(one):
                changed += 1
                _say(f"changed: {one.path} {difference}")
        for trouble in comparison.troubles.values():
            _say(f"cannot be compared: {trouble.location.path} {trouble.message}")
        stored, damaged = _stored(place)
    return _end(Verification(len(place.lock.pins), changed, missing, len(comparison.troubles), stored, damaged))


def _stored(place: EvidenceWorkspace) -> tuple[int, int]:
    """How many pinned contents the store holds whole, and how many damaged; the damaged ones are said."""
    known = place.store.known()
    wanted = {pin.sha256: pin.path for pin in place.lock.pins.values() if pin.sha256 in known}
    damaged = 0
    for sha256, path in wanted.items():
        try:
            for _ in place.store.read_many({sha256: known[sha256]}, place.limit):
                pass
        except GitError as error:
            damaged += 1
            _say(f"damaged in the store: {path}: {error.message}")
    return len(wanted) - damaged, damaged


def _end(counts: Verification) -> Verdict:
    if not counts.pins:
        _say(f"nothing is pinned: {PATH} is not here or empty")
        return Verdict.PASS
    ok = counts.pins - counts.changed - counts.missing - counts.unknown
    told = (
        (counts.changed, "changed"),
        (counts.missing, "missing here"),
        (counts.unknown, "not comparable"),
        (counts.stored, "contents in the store"),
        (counts.damaged, "contents damaged in the store"),
    )
    said = ", ".join([f"{ok} ok", *(f"{count} {word}" for count, word in told if count)])
    _say(f"{counted(counts.pins, 'pinned artifact')}: {said}")
    if counts.changed:
        return Verdict.FAIL
    return Verdict.BROKEN if counts.unknown or counts.damaged else Verdict.PASS


def _say(line: str) -> None:
    sys.stdout.write(escape(line) + "\n")
