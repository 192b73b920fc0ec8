"""Packets: which documents belong to one task."""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.packets.layout import KINDS, PacketDocument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.packets.tasks import TaskEntry


class Packet(NamedTuple):
    """The documents of one task by kind. `task` or `slug` is "" when no document carries it.

    `grouped_by_name` are the documents that are here only because their names are similar. A mini-spec in the place of
    the TECH_SPEC is listed as the TECH_SPEC alone, with `mini_spec_as_tech_spec` set. `names` are all that its
    documents carry, `entry` is its entry in the task list. One `as_finished` is judged as if it were called that.
    """

    task: str
    slug: str
    documents: Mapping[str, str]
    entry: TaskEntry | None = None
    grouped_by_name: tuple[str, ...] = ()
    mini_spec_as_tech_spec: bool = False
    names: frozenset[str] = frozenset()
    as_finished: bool = False

    @property
    def name(self) -> str:
        return self.task or self.slug

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self.documents.values())

    @property
    def paths_set(self) -> frozenset[str]:
        return frozenset(self.documents.values())

    @property
    def anchor(self) -> str:
        """The document that messages about the whole packet point at: its PRD, or the first it has."""
        return next(iter(self.documents.values()))


class PacketGroup:
    """Documents under one name while packets are being grouped."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.slugs: list[str] = []
        self.places: dict[str, PacketDocument] = {}
        self.grouped_by_name: list[str] = []
        self.entry: TaskEntry | None = None

    def add(self, place: PacketDocument) -> None:
        held = self.places.get(place.kind)
        if held is None or place.rank < held.rank:
            self.places[place.kind] = place
        if place.task and place.task not in self.tasks:
            self.tasks.append(place.task)
        if place.slug and place.slug not in self.slugs:
            self.slugs.append(place.slug)

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of its documents; a mini-spec at the TECH_SPEC's path counts as the mini-spec alone."""
        spec, mini = self.places.get("tech-spec"), self.places.get("mini-spec")
        mini_spec_as_tech_spec = spec is not None and mini is not None and spec.path == mini.path
        return frozenset(kind for kind in self.places if not (mini_spec_as_tech_spec and kind == "tech-spec"))

    def take_over(self, other: PacketGroup) -> None:
        """Adds the documents and the entry of another group, which is empty afterwards."""
        for place in other.places.values():
            self.add(place)
        if other.entry is not None:
            take_entry(self, other.entry)
        other.places = {}

    def packet(self) -> Packet:
        documents = {kind: self.places[kind].path for kind in KINDS if kind in self.places}
        mini_spec_as_tech_spec = "tech-spec" in documents and documents["tech-spec"] == documents.get("mini-spec")
        if mini_spec_as_tech_spec:
            del documents["mini-spec"]
        return Packet(
            self.tasks[0] if self.tasks else "",
            self.slugs[0] if self.slugs else "",
            documents,
            self.entry,
            tuple(path for path in dict.fromkeys(self.grouped_by_name) if path in documents.values()),
            mini_spec_as_tech_spec,
            frozenset([*self.tasks, *self.slugs]),
        )


def take_entry(group: PacketGroup, item: TaskEntry) -> None:
    # Of two entries for one task the one with a status counts.
    if group.entry is None or (item.status and not group.entry.status):
        group.entry = item
