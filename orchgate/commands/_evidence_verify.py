"""`orchgate evidence verify`: are the pinned artifacts that are here still what was pinned?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchgate.commands._pinning import counted
from orchgate.errors import GitError
from orchgate.evidence.lock import PATH
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse

SUMMARY = "hash every pinned artifact that is here, and say which are not what was pinned"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--missing", action="store_true", help="also list the pinned artifacts that are not here")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate import session
    from orchgate.config.load import load_work_tree
    from orchgate.documents.artifacts import Artifacts
    from orchgate.evidence import pin
    from orchgate.evidence.kept import Comparison

    with session.opened() as repository:
        root = repository.root
    if not root:
        raise GitError("a bare repository has no artifacts on disk", "run this in a clone")
    lock = pin.lock_of(root)
    config = load_work_tree(root)
    artifacts = Artifacts(root, config.evidence.roots)
    comparison = Comparison(artifacts, config.evidence.max_artifact_bytes, config.manifests.max_bytes)
    changed = missing = 0
    for one in lock.pins.values():
        if not artifacts.on_disk(one.path):
            missing += 1
            if args.missing:
                _say(f"missing here: {one.path}")
        elif difference := comparison.difference(one):
            changed += 1
            _say(f"changed: {one.path} {difference}")
    for trouble in comparison.troubles.values():
        _say(f"cannot be compared: {trouble.location.path} {trouble.message}")
    return _end(len(lock.pins), changed, missing, len(comparison.troubles))


def _end(pins: int, changed: int, missing: int, unknown: int) -> Verdict:
    if not pins:
        _say(f"nothing is pinned: {PATH} is not here or empty")
        return Verdict.PASS
    counts = ((pins - changed - missing - unknown, "ok"), (changed, "changed"), (missing, "missing here"))
    told = [f"{count} {word}" for count, word in (*counts, (unknown, "not comparable")) if count or word == "ok"]
    _say(f"{counted(pins, 'pinned artifact')}: {', '.join(told)}")
    if changed:
        return Verdict.FAIL
    return Verdict.BROKEN if unknown else Verdict.PASS


def _say(line: str) -> None:
    sys.stdout.write(escape(line) + "\n")
