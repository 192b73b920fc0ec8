"""What pinning needs from the repository, shared by `evidence pin` and `check --fix`, and how it is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.evidence import linked, pin
from orchgate.evidence.lock import PATH, parse
from orchgate.outputs._escape import escape
from orchgate.references.artifacts import Artifacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchgate.config.settings import Config
    from orchgate.evidence.linked import Link
    from orchgate.gate.context import Context
    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.packets.catalog import Packets


class Place(NamedTuple):
    """A repository that pins. `document` reads one document of `tree`; raises Unreadable."""

    root: str
    config: Config
    tree: Snapshot
    packets: Packets
    document: Callable[[str], Document]
    whole: bool

    @property
    def limits(self) -> pin.Limits:
        return pin.Limits(self.config.evidence.max_artifact_bytes, self.config.manifests.max_bytes)


def artifacts(place: Place) -> Artifacts:
    return Artifacts(place.root, place.config.evidence.roots)


def links(place: Place, documents: Iterable[Document]) -> tuple[Link, ...]:
    """What the documents rely on that git does not hold."""
    from orchgate.evidence.owners import Owners
    from orchgate.evidence.references import References

    disk = artifacts(place)
    owners = Owners(place.packets, place.document, whole=place.whole)
    return linked.links(documents, References(place.tree, disk, owners), owners, place.tree, disk)


def told(made: pin.Plan, *, checking: bool = False) -> Iterator[str]:
    """A line for each pin that is new, another or gone, and for each artifact that was refused."""
    would = "would be " if checking else ""
    for what, pins in (("pinned", made.added), ("pinned anew", made.changed)):
        for one in pins:
            facts = f", {one.run.pipeline or 'a run'} {one.run.status}" if one.run and one.run.status else ""
            yield escape(f"{would}{what}: {one.path} ({one.size} bytes{facts})")
    for path in made.dropped:
        yield escape(f"{would}dropped: {path}")
    for error in made.refused:
        yield escape(f"not pinned: {error.path} {error.message}")
        if error.hint:
            yield escape(f"  hint: {error.hint}")


def summary(made: pin.Plan, moved: bool) -> str:
    """One line about the whole lock."""
    counts = ((len(made.added), "new"), (len(made.changed), "changed"), (len(made.dropped), "dropped"))
    parts = [f"{count} {word}" for count, word in counts if count]
    what = f" ({', '.join(parts)})" if parts else ""
    return f"{PATH}: {counted(len(made.pins), 'artifact')}{what}" + ("" if moved else ", as it was")


def fix(ctx: Context, paths: Iterable[str]) -> Iterator[str]:
    """Pins what the judged documents rely on and is on disk, unless it is pinned already; tells what it did.

    A pin that does not hold any more stays: nothing mechanical may take altered evidence for the real one.
    Raises OrchgateError.
    """
    place = Place(ctx.root, ctx.config, ctx.snapshot, ctx.packets, ctx.documents.one, ctx.scope.whole_tree)
    documents, _ = ctx.documents.read(paths)
    found = linked.expand(links(place, documents), artifacts(place))

    def make(data: bytes | None) -> pin.Plan:
        held = parse(data).pins if data is not None else {}
        new = (path for path in found.files if path not in held)
        return pin.plan(data, new, artifacts(place), place.limits)

    made, moved = pin.update(ctx.root, make)
    yield from told(made)
    if moved:
        yield f"{summary(made, moved)}; git add {os.path.dirname(PATH)}, then check again"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def repository_path(root: str, given: str) -> str:
    """A path as the user wrote it, from the current folder, as one of the repository; "" outside of it."""
    absolute = os.path.normpath(os.path.join(os.getcwd(), given))
    top = os.path.normpath(root)
    for base in dict.fromkeys((top, os.path.realpath(top))):
        if absolute.startswith(base + os.sep):
            return os.path.relpath(absolute, base)
    return ""
