"""Where the documents of a packet are: the configured patterns, read in both directions; and which are one task's."""

from __future__ import annotations

import re

from orchgate.git.paths import PathChoice
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import matcher
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.markdown.parts import SUFFIXES, as_md, is_markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchgate.config.settings import Documents
    from orchgate.model import Change
    from orchgate.packets.tasks import TaskEntry


KINDS = ("prd", "tech-spec", "action-plan", "checklist", "mini-spec")
TITLES = {
    "prd": "PRD",
    "tech-spec": "TECH_SPEC",
    "action-plan": "ACTION_PLAN",
    "checklist": "checklist",
    "mini-spec": "mini-spec",
}


_LONGEST_KEY = 10  # letters before the number of a task, as in `ABC-12-faster-start`
_NAMED = lazy(r"(\{slug\}|\{task\})")
LONGEST_TIED = 300  # characters of a path: the ways to split it grow with the cube


def stem(name: str) -> str:
    """What the names of one packet have in common: a task's name without its id."""
    number, _, slug = name.partition("-")
    if number.isascii() and number.isalpha() and len(number) <= _LONGEST_KEY:
        number, _, slug = slug.partition("-")
    return slug if number.isdecimal() and slug else name


class Pattern(NamedTuple):
    """One configured path, such as `docs/PRD-{slug}.md`; `rank` is its position within its kind.

    `only` is the one name in a plain pattern, which needs no regular expression. `tied` is stricter than
    `expression`: the task ends in the slug. `within` are the only paths that count; None for all.
    """

    kind: str
    rank: int
    text: str
    prefix: str
    suffix: str
    only: str
    expression: re.Pattern[str]
    tied: re.Pattern[str] | None = None
    within: frozenset[str] | None = None

    def names(self, path: str) -> tuple[str, str] | None:
        """The slug and the task in a path that has the prefix, or None when it is not of this pattern."""
        if not path.endswith(self.suffix) or (self.within is not None and path not in self.within):
            return None
        if self.only:
            name = path[len(self.prefix) : len(path) - len(self.suffix)]
            if not name or "/" in name:
                return None
            return (name, "") if self.only == "slug" else ("", name)
        # `{task}-{slug}` can be split in many ways: one in which the task ends in the slug is preferred.
        tied = self.tied.fullmatch(path) if self.tied and len(path) <= LONGEST_TIED else None
        match = tied or self.expression.fullmatch(path)
        return (match.groupdict("").get("slug", ""), match.groupdict("").get("task", "")) if match else None


class PacketDocument(NamedTuple):
    """A path that a pattern matches, and the names in it ("" where the pattern has none)."""

    kind: str
    rank: int
    path: str
    slug: str
    task: str


class Layout(NamedTuple):
    patterns: tuple[Pattern, ...]
    excluded: Callable[[str], bool] | None
    exclude: tuple[str, ...] = ()

    @property
    def core(self) -> frozenset[str]:
        """The kinds of documents that make a packet complete, of those that this layout has places for."""
        return frozenset(pattern.kind for pattern in self.patterns) & frozenset(KINDS[:4])

    def documents_among(self, paths: Iterable[str]) -> Iterator[PacketDocument]:
        """Every document of every packet among the paths, by kind. A path may match patterns of two kinds.

        Of two patterns of one kind the first one counts.

        `docs/PRD-x.mdx` counts as `docs/PRD-x.md`, which comes first where both exist.
        """
        listed = tuple(paths)
        others: dict[str, str] = {}  # Markdown files with another suffix, and their path with the usual one
        below: dict[str, list[str]] = {}
        taken: set[tuple[str, str]] = set()
        for pattern in self.patterns:
            prefix = pattern.prefix
            if prefix not in below:
                below[prefix] = [path for path in listed if path.startswith(prefix) and not self._excludes(path)]
                odd = (path for path in below[prefix] if not path.endswith(SUFFIXES[0]) and is_markdown(path))
                others.update((path, as_md(path)) for path in odd)
            kind, rank, names = pattern.kind, pattern.rank, pattern.names
            for path in below[prefix]:
                found, worth = names(path), rank
                if found is None and path in others:
                    found, worth = names(others[path]), rank + len(self.patterns)
                if found is not None and (not rank or (kind, path) not in taken):
                    taken.add((kind, path))
                    yield PacketDocument(kind, worth, path, found[0], found[1])

    @property
    def identity(self) -> bytes:
        """All that decides which documents of which packets there are among some paths."""
        patterns = [(one.kind, one.rank, one.text, one.within and sorted(one.within)) for one in self.patterns]
        return repr((patterns, self.exclude)).encode("utf-8", "surrogatepass")

    @property
    def choice(self) -> PathChoice:
        """The paths of a tree among which its documents are."""
        ends = sorted({(pattern.prefix, pattern.suffix) for pattern in self.patterns})

        def chooses(path: str, _mode: str) -> bool:
            near = [suffix for prefix, suffix in ends if path.startswith(prefix)]
            return bool(near) and (is_markdown(path) or path.endswith(tuple(near)))

        return PathChoice(f"documents {ends!r}".encode("utf-8", "surrogateescape"), chooses)

    def _excludes(self, path: str) -> bool:
        return self.excluded is not None and self.excluded(path)

    def path(self, kind: str, *, slug: str, task: str) -> str:
        """Where a packet's document of a kind is expected: the kind's first pattern, filled in; "" without one."""
        return next(iter(self.paths(kind, slug=slug, task=task)), "")

    def paths(self, kind: str, *, slug: str, task: str) -> list[str]:
        """Where a packet's document of a kind may be, by rank."""
        texts = (pattern.text for pattern in self.patterns if pattern.kind == kind)
        return [text.replace("{slug}", slug).replace("{task}", task) for text in texts]


def layout_of(settings: Documents) -> Layout:
    """The patterns of a configuration."""
    configured = zip(KINDS, settings.places.values(), strict=True)
    return Layout(
        tuple(_pattern(kind, rank, text) for kind, texts in configured for rank, text in enumerate(texts) if text),
        matcher(settings.exclude) if settings.exclude else None,
        tuple(settings.exclude),
    )


def _pattern(kind: str, rank: int, text: str) -> Pattern:
    parts = _NAMED.split(text.removeprefix("./"))
    only = parts[1][1:-1] if len(parts) == 3 else ""
    free = {"{slug}": "(?P<slug>[^/]+)", "{task}": "(?P<task>[^/]+)"}
    slug_first = parts.index("{slug}") < parts.index("{task}") if {"{slug}", "{task}"} <= set(parts) else None
    tied = {
        "{slug}": free["{slug}"] if slug_first else "(?P=slug)",
        "{task}": "(?P<task>(?:[^/]+-)?%s)" % ("(?P=slug)" if slug_first else free["{slug}"]),
    }
    return Pattern(
        kind,
        rank,
        "".join(parts),
        parts[0],
        parts[-1],
        only,
        _expression(parts, free),
        None if slug_first is None else _expression(parts, tied),
    )


def _expression(parts: list[str], names: Mapping[str, str]) -> re.Pattern[str]:
    """A regular expression for the whole path: a group for the first use of a name, a back-reference after that."""
    seen: set[str] = set()
    source = ""
    for part in parts:
        source += re.escape(part) if part not in names else f"(?P={part[1:-1]})" if part in seen else names[part]
        seen.add(part)
    return lazy(source, re.DOTALL)


def layout_with_moved(before: Documents, after: Documents, changes: Iterable[Change]) -> Layout:
    """The patterns of `before`, and those of `after` for the documents that the change moved there.

    A document has moved when the change takes it away from a path of its kind and adds it at a new path of that kind,
    as a rename or under the same name. Any other document at a new path is unknown to `before`.
    """
    old, new = layout_of(before), layout_of(after)
    moved = _moved(old, new, tuple(changes))
    count = len(new.patterns)
    extra = [pattern._replace(within=moved.get(pattern.kind, frozenset())) for pattern in new.patterns]
    kept = [pattern._replace(rank=pattern.rank + count) for pattern in old.patterns]
    return Layout((*extra, *kept), old.excluded, old.exclude)


def _moved(old: Layout, new: Layout, changes: tuple[Change, ...]) -> Mapping[str, frozenset[str]]:
    """New paths of moved documents by kind."""
    renamed = {change.path: change.old_path for change in changes if change.status == "R" and change.old_path}
    lost = list(old.documents_among(change.path for change in changes if change.deleted))
    found: dict[str, set[str]] = {}
    for place in new.documents_among(change.path for change in changes if change.status in ("A", "R")):
        came_from = [renamed[place.path]] if place.path in renamed else []
        same = any(was.kind == place.kind for was in old.documents_among(came_from))
        if same or any(was.kind == place.kind and _names(was) & _names(place) for was in lost):
            found.setdefault(place.kind, set()).add(place.path)
    return {kind: frozenset(paths) for kind, paths in found.items()}


def _names(place: PacketDocument) -> set[str]:
    return {stem(name) for name in (place.task, place.slug) if name}


# Packets: which documents belong to one task


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

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells it from every other packet of its tree. One document may be the anchor of two."""
        return self.task, self.slug, self.paths, self.entry.names if self.entry else ()


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
