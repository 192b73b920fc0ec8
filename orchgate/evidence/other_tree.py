"""Whether the runs that a packet cites for its implementation ran that implementation (EVD012).

Asked of the gate's own run and of runs from after the change, where a change begins to cite them: later changes by
others do not make an old citation wrong. Documents, artifacts and the lock do not count, because a run can only be
cited after it has run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.documents.definitions import SHIPPED
from orchgate.errors import OrchgateError
from orchgate.evidence.required import PHASES
from orchgate.globs import matches
from orchgate.model import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from orchgate.evidence.cited import Runs
    from orchgate.evidence.claims import Place
    from orchgate.evidence.lock import Facts
    from orchgate.git.snapshot import Entry, Snapshot

_HINT = "run it again on this code, link that run, and pin it"


class Judged(NamedTuple):
    """The judged tree and what it is compared with.

    `listing` gives every path of a tree object, None when it is not here; `shallow` would explain that. `within` are
    the paths that count, None for all: where the base is older than the last commit, others may have changed what this
    change did not. `ignored` are globs of what does not count.
    """

    snapshot: Snapshot
    base: Snapshot
    listing: Callable[[str], Mapping[str, Entry] | None]
    within: Collection[str] | None
    ignored: tuple[str, ...]
    shallow: bool = False


def other_trees(
    cited: Iterable[tuple[Place, str]], runs: Runs, judged: Judged, after: Collection[str]
) -> Iterator[Finding]:
    """A finding for every newly cited run of another tree. `after` are pipelines of which a run after is required."""
    told: set[tuple[str, str]] = set()
    for place, path in cited:
        key = (place.document.path, path)
        if key in told or not _is_new(place.document.path, path, judged.base):
            continue
        told.add(key)
        try:
            facts = runs.facts(path)
        except OrchgateError:
            continue  # EVD007 says so
        line = place.document.line(place.reference.offset)
        if facts.pipeline != SHIPPED and not (facts.pipeline in after and _is_after(line)):
            continue
        problem = _problem(facts, judged)
        if problem is not None:
            message, hint, severity = problem
            yield Finding("EVD012", place.location, f"{place.reference.text} {message}", hint, severity)


def _is_new(document: str, path: str, base: Snapshot) -> bool:
    try:
        before = base.find(document)
    except OrchgateError:
        return True
    return before is None or os.fsencode(path) not in before


def _is_after(line: str) -> bool:
    return bool(PHASES["after"].search(line)) and not PHASES["before"].search(line)


def _problem(facts: Facts, judged: Judged) -> tuple[str, str, Severity] | None:
    """Message, hint and weight; None for a run of this code, and for one whose manifest records no tree."""
    if facts.tree is None:
        return None
    tree = judged.listing(facts.tree)
    if tree is None:
        return (
            f"is a run of tree {facts.tree[:12]}, which is not in this repository",
            "the history may be cut off here: git fetch --unshallow; otherwise " + _HINT,
            Severity.NOTE if judged.shallow else Severity.WARNING,
        )
    changed = sorted(_differing(tree, judged))
    if not changed:
        return None
    if facts.dirty:
        on = (facts.commit or facts.tree)[:12]
        return (
            f"ran on uncommitted changes to {on}: which tree it was is not known",
            "commit the code first, then run it: its manifest names the tree",
            Severity.NOTE,
        )
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"is a run of another tree: {changed[0]}{more} changed since", _HINT, Severity.WARNING


def _differing(tree: Mapping[str, Entry], judged: Judged) -> Iterator[str]:
    """Paths that count and are not the same in both trees."""
    entries = judged.snapshot.entries
    for path in tree.keys() | entries.keys() if judged.within is None else judged.within:
        if tree.get(path) != entries.get(path) and not matches(path, judged.ignored):
            yield path
