"""Better hints about what is missing: the path or the anchor that somebody may have meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.references.artifacts import Artifacts

PATH, ANCHOR = "path", "anchor"
PLAIN = {PATH: "correct the path, or remove the link", ANCHOR: "correct the anchor, or drop it"}
_ALIKE = 0.5


def suggester(
    snapshot: Snapshot, artifacts: Artifacts, document: Callable[[str], Document]
) -> Callable[[tuple[str, ...]], str]:
    """Finds the hint for `(PATH, path)` or `(ANCHOR, path, anchor)`; "" where nothing is near. Raises Unreadable."""
    from orchgate.references.nearest import Nearest, closest

    nearest = Nearest(snapshot, artifacts)

    def suggest(sought: tuple[str, ...]) -> str:
        if sought[0] == PATH:
            return nearest.hint(sought[1])
        near = closest(sought[2], sorted(document(sought[1]).anchors), _ALIKE)
        return f"did you mean #{near}?" if near else ""

    return suggest
