"""Documents that a change moves from the places of one configuration to those of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.packets.layout import Layout, layout_of
from orchgate.packets.packet import stem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.config.settings import Documents
    from orchgate.model import Change
    from orchgate.packets.layout import Place


def layout_with_moved(before: Documents, after: Documents, changes: Iterable[Change]) -> Layout:
    """The places of `before`, and those of `after` for the documents that the change moved there.

    A document has moved when the change takes it away from a place of its kind and brings it to a new place of that
    kind, as one rename or under the same name. Any other document at a new place is nothing that `before` knows of.
    """
    old, new = layout_of(before), layout_of(after)
    moved = _moved(old, new, tuple(changes))
    count = len(new.patterns)
    extra = [pattern._replace(within=moved.get(pattern.kind, frozenset())) for pattern in new.patterns]
    kept = [pattern._replace(rank=pattern.rank + count) for pattern in old.patterns]
    return Layout((*extra, *kept), old.excluded)


def _moved(old: Layout, new: Layout, changes: tuple[Change, ...]) -> Mapping[str, frozenset[str]]:
    """New paths of moved documents by kind."""
    renamed = {change.path: change.old_path for change in changes if change.status == "R" and change.old_path}
    lost = list(old.places(change.path for change in changes if change.deleted))
    found: dict[str, set[str]] = {}
    for place in new.places(change.path for change in changes if change.status in ("A", "R")):
        came_from = [renamed[place.path]] if place.path in renamed else []
        same = any(was.kind == place.kind for was in old.places(came_from))
        if same or any(was.kind == place.kind and _names(was) & _names(place) for was in lost):
            found.setdefault(place.kind, set()).add(place.path)
    return {kind: frozenset(paths) for kind, paths in found.items()}


def _names(place: Place) -> set[str]:
    return {stem(name) for name in (place.task, place.slug) if name}
