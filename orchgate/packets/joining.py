"""Finds packets: documents with one name, joined by the task list, by what they say themselves, or by similar names."""

from __future__ import annotations

import re
from itertools import combinations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.packets.layout import Layout, PacketDocument, PacketGroup, stem, take_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from orchgate.packets.layout import Packet
    from orchgate.packets.naming import NamesInDocument
    from orchgate.packets.tasks import TaskEntry

    Reader = Callable[[Collection[str]], Mapping[str, NamesInDocument]]

SIMILAR = 0.6  # share of common words from which two names count as one packet
LONG_NAME = 16  # words; of a longer name, one may differ
_SEPARATORS = lazy(r"[-_. ]+")
_WORD = lazy(r"[^\W_]+(?:[-_.]+[^\W_]+)*")
_AFTER_TASK = lazy(r"\btask[ #:-]*$")


def find_packets(
    paths: Iterable[str], layout: Layout, items: tuple[TaskEntry, ...] = (), read: Reader | None = None
) -> tuple[Packet, ...]:
    """Groups the documents that belong to one task, with its entry in the task list.

    A slug belongs to the task `<id>-<slug>` or `<slug>`; else to the task whose entry names both; else, where `read`
    says what documents hold, to the incomplete group that its documents name; else to the one with the most similar
    name. A slug that two tasks share is part of both packets.
    """
    return tuple(group.packet() for group in _joined(_groups(paths, layout, items), layout.core, read))


def unjoined_packets(paths: Iterable[str], layout: Layout, items: tuple[TaskEntry, ...]) -> tuple[Packet, ...]:
    """As `find_packets`, with every incomplete group by itself."""
    return tuple(group.packet() for group in _groups(paths, layout, items))


def _groups(paths: Iterable[str], layout: Layout, items: tuple[TaskEntry, ...]) -> list[PacketGroup]:
    found = _Grouping(tuple(layout.documents_among(paths)))
    found.link_items(items)
    return found.groups()


class _Grouping:
    """Groups by task and by slug, and which slug is which task's."""

    def __init__(self, places: tuple[PacketDocument, ...]) -> None:
        self.tasks: dict[str, PacketGroup] = {}
        self.slugs: dict[str, PacketGroup] = {}
        self.by_path: dict[str, PacketDocument] = {}
        for place in places:
            side, name = (self.tasks, place.task) if place.task else (self.slugs, place.slug)
            side.setdefault(name, PacketGroup()).add(place)
            self.by_path[place.path] = place
        self.owners: dict[str, list[str]] = {}
        for task in self.tasks:
            for slug in (task, stem(task) if stem(task) != task else ""):
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
                take_entry(self.tasks[tasks[0]], item)
                self._one_packet(tasks, slugs)
            elif slugs:
                take_entry(self.slugs[slugs[0]], item)

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

    def groups(self) -> list[PacketGroup]:
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


def _joined(groups: list[PacketGroup], core: frozenset[str], read: Reader | None) -> list[PacketGroup]:
    """The groups, of which incomplete ones may have been joined."""
    loose = [group for group in groups if not core <= group.places.keys()]
    kinds = {group.kinds for group in loose}
    if all(one & other for one, other in combinations(kinds, 2)):
        return groups  # what is missing from one is nowhere else
    if read is not None:
        _join_named(loose, read)
    _join_similar([group for group in loose if group.places and not core <= group.places.keys()])
    return [group for group in groups if group.places]


def _may_be_one(one: PacketGroup, other: PacketGroup) -> bool:
    """Whether nothing speaks against it: they hold different kinds of documents, and no two tasks."""
    if one is other or not (one.places and other.places) or one.kinds & other.kinds:
        return False
    return not (one.tasks and other.tasks) or bool(_numbers(one) & _numbers(other))


def _numbers(group: PacketGroup) -> set[int]:
    """The ids in its tasks, without their zeros."""
    found = (re.match(r"(?:[A-Za-z]{1,10}-)?(\d{1,9})-", task) for task in group.tasks)
    return {int(match[1]) for match in found if match}


# -- By what documents say ----------------------------------------------------------------------------


class _Index(NamedTuple):
    """The groups by document, by every name they have, and by id."""

    by_path: Mapping[str, PacketGroup]
    by_name: Mapping[str, list[PacketGroup]]
    by_number: Mapping[int, list[PacketGroup]]


def _join_named(loose: list[PacketGroup], read: Reader) -> None:
    """Joins groups whose documents name each other: those that name one task first, then those that cite documents.

    A name counts where it leads to one group only, and that is not wanted by another that has the same documents.
    """
    names = read([place.path for group in loose for place in group.places.values()])
    index = _indexed(loose)
    named = [[*_named(group, names, index)] for group in loose]
    _join_claims(loose, named)
    left = [group for group in loose if group.places]
    cited = [[*_cited(group, names, index)] for group in left]
    _join_claims(left, cited)


def _indexed(groups: Iterable[PacketGroup]) -> _Index:
    by_path: dict[str, PacketGroup] = {}
    by_name: dict[str, list[PacketGroup]] = {}
    by_number: dict[int, list[PacketGroup]] = {}
    for group in groups:
        by_path.update((place.path, group) for place in group.places.values())
        names = {_loose(name) for name in (*group.tasks, *group.slugs)}
        for name in names | {_loose(stem(name)) for name in group.tasks}:
            by_name.setdefault(name, []).append(group)
        for number in _numbers(group):
            by_number.setdefault(number, []).append(group)
    return _Index(by_path, by_name, by_number)


def _join_claims(groups: list[PacketGroup], claims: list[list[PacketGroup]]) -> None:
    """Joins each group with the one that it claims, where it claims one, and no other of its kinds claims that."""
    wanted: dict[int, list[PacketGroup]] = {}
    pairs: list[tuple[PacketGroup, PacketGroup]] = []
    for group, targets in zip(groups, claims, strict=True):
        fitting = {id(target): target for target in targets if _may_be_one(group, target)}
        if len(fitting) == 1:
            (target,) = fitting.values()
            pairs.append((group, target))
            wanted.setdefault(id(target), []).append(group)
    heirs: dict[int, PacketGroup] = {}
    for group, target in pairs:
        rivals = (other for other in wanted[id(target)] if other is not group)
        if any(other.kinds & group.kinds for other in rivals if other.places):
            continue
        one, other = _heir(group, heirs), _heir(target, heirs)
        if _may_be_one(one, other):
            keep, lose = (one, other) if _weight(one) >= _weight(other) else (other, one)
            keep.take_over(lose)
            heirs[id(lose)] = keep


def _heir(group: PacketGroup, heirs: Mapping[int, PacketGroup]) -> PacketGroup:
    while id(group) in heirs:
        group = heirs[id(group)]
    return group


def _named(group: PacketGroup, names: Mapping[str, NamesInDocument], index: _Index) -> Iterator[PacketGroup]:
    """The groups whose task the group's documents name as their own."""
    for place in group.places.values():
        document = names.get(place.path)
        if document is None:
            continue
        for task in document.tasks:
            yield from _of_task(task, index)
        yield from _in_title(document.title, index)
        yield from (index.by_path[path] for path in document.declared if path in index.by_path)


def _of_task(name: str, index: _Index) -> Iterable[PacketGroup]:
    """The groups of a task's name, or of its id alone."""
    if name.isdigit() and len(name) < 10:
        return index.by_number.get(int(name), ())
    return index.by_name.get(_loose(name)) or index.by_name.get(_loose(stem(name))) or ()


def _in_title(title: str, index: _Index) -> Iterator[PacketGroup]:
    """The groups that a first heading names: `TECH_SPEC - Slim (Task 0101-slim-audit)`, `PRD — 0101 Slim`.

    Of plain words only several that are joined, such as `slim-audit`, are the name of a task.
    """
    for match in _WORD.finditer(title):
        word = match[0]
        if word.isdigit():
            if len(word) < 10 and (len(word) >= 3 or _AFTER_TASK.search(title[: match.start()].casefold())):
                yield from index.by_number.get(int(word), ())
        elif any(mark in word for mark in "-_."):
            yield from _of_task(word, index)


def _cited(group: PacketGroup, names: Mapping[str, NamesInDocument], index: _Index) -> Iterator[PacketGroup]:
    for place in group.places.values():
        if document := names.get(place.path):
            yield from (index.by_path[path] for path in document.cited if path in index.by_path)


def _loose(name: str) -> str:
    """A name without case, marks and the zeros of its id."""
    return "-".join(word.lstrip("0") or "0" for word in _SEPARATORS.split(name.casefold()) if word)


# -- By similar names ---------------------------------------------------------------------------------


class _Candidate(NamedTuple):
    """A group, the words of its name, and what decides which others it may be joined with."""

    group: PacketGroup
    words: frozenset[str]
    shape: tuple[frozenset[str], bool]


def _join_similar(loose: list[PacketGroup]) -> None:
    """Joins groups that have most words of their names in common."""
    candidates = [_Candidate(group, _words(group), (group.kinds, bool(group.tasks))) for group in loose]
    buckets = _buckets(candidates)
    best = {id(candidate.group): _nearest(candidate, buckets) for candidate in candidates}
    gone: set[int] = set()
    for candidate in candidates:
        group, other = candidate.group, best[id(candidate.group)]
        if other is None or best[id(other)] is not group or id(group) in gone or id(other) in gone:
            continue
        keep, lose = (group, other) if _weight(group) >= _weight(other) else (other, group)
        keep.grouped_by_name += [place.path for place in lose.places.values()]
        keep.take_over(lose)
        gone.add(id(lose))


_Buckets = dict[frozenset[str], dict[tuple[frozenset[str], bool], list[_Candidate]]]


def _buckets(candidates: Iterable[_Candidate]) -> _Buckets:
    """Candidates by what is left of their words without one or two of them.

    Two names are compared where they have such a rest in common, so that nobody compares all with all. Of many
    with one rest and one shape, the three with the shortest names say all: which is the most similar, and whether
    two are equally similar.
    """
    buckets: _Buckets = {}
    for candidate in candidates:
        for rest in _rests(candidate.words):
            held = buckets.setdefault(rest, {}).setdefault(candidate.shape, [])
            held.append(candidate)
            if len(held) > 3:
                held.remove(max(held, key=lambda one: len(one.words)))
    return buckets


def _rests(words: frozenset[str]) -> Iterator[frozenset[str]]:
    """The words, and what is left without one or two of them, where that is enough to be similar."""
    most = 2 if len(words) <= LONG_NAME else 1
    for count in range(most + 1):
        if len(words) - count >= SIMILAR * len(words) and len(words) > count:
            yield from (words.difference(left_out) for left_out in combinations(sorted(words), count))


def _nearest(candidate: _Candidate, buckets: _Buckets) -> PacketGroup | None:
    """The most similar group that has other documents; None when there is none, or two are equally similar."""
    similar: dict[int, tuple[float, PacketGroup]] = {}
    kinds, has_task = candidate.shape
    for rest in _rests(candidate.words):
        for (theirs, other_has_task), held in buckets[rest].items():
            if kinds & theirs or (has_task and other_has_task):
                continue
            for other in held:
                share = len(candidate.words & other.words) / len(candidate.words | other.words)
                if share >= SIMILAR:
                    similar[id(other.group)] = (share, other.group)
    ranked = sorted(similar.values(), key=lambda pair: -pair[0])
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return ranked[0][1]


def _words(group: PacketGroup) -> frozenset[str]:
    """Words of a group's name without its id."""
    name = (group.tasks or group.slugs)[0]
    return frozenset(_SEPARATORS.split(stem(name).casefold()))


def _weight(group: PacketGroup) -> tuple[int, int]:
    return (1 if "prd" in group.places else 0, len(group.places))
