"""Packets: which documents belong to one task, found from names alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from orchgate.packets.layout import KINDS, TASK_ID, Layout, PacketDocument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.packets.tasks import TaskEntry

SIMILAR = 0.6  # share of common words from which two names count as one packet
MANY = 50  # a word that more groups share says nothing


class Packet(NamedTuple):
    """The documents of one task by kind. `task` or `slug` is "" when no document carries it.

    `grouped_by_name` are the documents that are here only because their names are similar. A mini-spec in the place of
    the TECH_SPEC is listed as the TECH_SPEC alone, with `mini_spec_as_tech_spec` set. `names` are all that its
    documents carry, `entry` is its entry in the task list.
    """

    task: str
    slug: str
    documents: Mapping[str, str]
    entry: TaskEntry | None = None
    grouped_by_name: tuple[str, ...] = ()
    mini_spec_as_tech_spec: bool = False
    names: frozenset[str] = frozenset()

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


class _PacketGroup:
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

    def take_over(self, other: _PacketGroup) -> None:
        """Adds the documents and the entry of another group, which is empty afterwards."""
        for place in other.places.values():
            self.add(place)
        if other.entry is not None:
            _take(self, other.entry)
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


def find_packets(paths: Iterable[str], layout: Layout, items: tuple[TaskEntry, ...] = ()) -> tuple[Packet, ...]:
    """Groups the documents that belong to one task, with its entry in the task list.

    A slug belongs to the task `<id>-<slug>` or `<slug>`; else to the task whose entry names both; else to the
    incomplete group with the most similar name. A slug that two tasks share is part of both packets.
    """
    found = _Grouping(tuple(layout.documents_among(paths)))
    found.link_items(items)
    return tuple(group.packet() for group in _join_similar(found.groups()))


class _Grouping:
    """Groups by task and by slug, and which slug is which task's."""

    def __init__(self, places: tuple[PacketDocument, ...]) -> None:
        self.tasks: dict[str, _PacketGroup] = {}
        self.slugs: dict[str, _PacketGroup] = {}
        self.by_path: dict[str, PacketDocument] = {}
        for place in places:
            side, name = (self.tasks, place.task) if place.task else (self.slugs, place.slug)
            side.setdefault(name, _PacketGroup()).add(place)
            self.by_path[place.path] = place
        self.owners: dict[str, list[str]] = {}
        for task in self.tasks:
            match = TASK_ID.fullmatch(task)
            for slug in (task, match["slug"] if match else ""):
                if slug in self.slugs:
                    self.owners.setdefault(slug, []).append(task)
                    break

    def link_items(self, items: tuple[TaskEntry, ...]) -> None:
        """Gives every group its entry; an entry that lists documents under two names makes them one packet."""
        for item in items:
            places = [self.by_path[path] for _, path in item.paths if path in self.by_path]
            tasks = [name for name in item.names if name in self.tasks] + [place.task for place in places if place.task]
            slugs = [name for name in item.names if name in self.slugs] + [place.slug for place in places if place.slug]
            tasks += [task for slug in slugs for task in self.owners.get(slug, ())]
            if tasks:
                _take(self.tasks[tasks[0]], item)
                self._one_packet(tasks, slugs)
            elif slugs:
                _take(self.slugs[slugs[0]], item)

    def _one_packet(self, tasks: list[str], slugs: list[str]) -> None:
        first = self.tasks[tasks[0]]
        for slug in slugs:
            if slug in self.slugs and not self.owners.get(slug):
                self.owners[slug] = [tasks[0]]
        for task in tasks[1:]:
            other = self.tasks[task]
            if other is not first and not first.kinds & other.kinds:
                first.take_over(other)
                self.tasks[task] = first

    def groups(self) -> list[_PacketGroup]:
        """One group for every packet; a task's includes the documents of its slugs."""
        for slug, tasks in self.owners.items():
            for task in tasks:
                for place in self.slugs[slug].places.values():
                    self.tasks[task].add(place)
        for task in self.tasks:
            self._extend(task)
        groups = [*self.tasks.values(), *(group for slug, group in self.slugs.items() if not self.owners.get(slug))]
        return list({id(group): group for group in groups if group.places}.values())

    def _extend(self, task: str) -> None:
        """A spec named `<task>-more-words` belongs to the task, if that has no spec of its own."""
        group = self.tasks[task]
        stem = task.rpartition("-")[0] if set(group.places) <= {"tech-spec", "mini-spec"} else ""
        while stem:
            owner = self.tasks.get(stem)
            if owner is not None and owner is not group and not owner.kinds & group.kinds:
                owner.take_over(group)
                return
            stem = stem.rpartition("-")[0]


def _take(group: _PacketGroup, item: TaskEntry) -> None:
    # Of two entries for one task the one with a status counts.
    if group.entry is None or (item.status and not group.entry.status):
        group.entry = item


def _join_similar(groups: list[_PacketGroup]) -> list[_PacketGroup]:
    """Joins incomplete groups that have only much of their names in common."""
    needed = set(KINDS[:4])
    loose = [group for group in groups if not needed <= set(group.places)]
    words = {id(group): _words(group) for group in loose}
    by_word: dict[str, list[_PacketGroup]] = {}
    for group in loose:
        for word in words[id(group)]:
            by_word.setdefault(word, []).append(group)
    best: dict[int, _PacketGroup | None] = {}
    for group in loose:
        near = {id(other): other for word in words[id(group)] if len(by_word[word]) <= MANY for other in by_word[word]}
        best[id(group)] = _nearest(group, list(near.values()), words)
    gone: set[int] = set()
    for group in loose:
        other = best[id(group)]
        if other is None or best[id(other)] is not group or id(group) in gone or id(other) in gone:
            continue
        keep, lose = (group, other) if _weight(group) >= _weight(other) else (other, group)
        keep.grouped_by_name += [place.path for place in lose.places.values()]
        keep.take_over(lose)
        gone.add(id(lose))
    return [group for group in groups if id(group) not in gone]


def _nearest(
    group: _PacketGroup, others: list[_PacketGroup], words: Mapping[int, frozenset[str]]
) -> _PacketGroup | None:
    """The most similar group that has other documents; None when there is none, or two are equally similar."""
    mine = words[id(group)]
    ranked: list[tuple[float, _PacketGroup]] = []
    for other in others:
        theirs = words[id(other)]
        if other is group or group.kinds & other.kinds or (group.tasks and other.tasks):
            continue
        similarity = len(mine & theirs) / len(mine | theirs)
        if similarity >= SIMILAR:
            ranked.append((similarity, other))
    ranked.sort(key=lambda pair: -pair[0])
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return ranked[0][1]


def _words(group: _PacketGroup) -> frozenset[str]:
    """Words of a group's name without its id."""
    name = (group.tasks or group.slugs)[0]
    match = TASK_ID.fullmatch(name)
    return frozenset(re.split(r"[-_. ]+", (match["slug"] if match else name).casefold()))


def _weight(group: _PacketGroup) -> tuple[int, int]:
    return (1 if "prd" in group.places else 0, len(group.places))
