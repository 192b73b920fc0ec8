"""Parts of a whole tree: a few documents that are judged by themselves, and the names of all that they asked about.

What is found in a document follows from itself and from what its part asked about. Where both are in the tree before
as they are now, the same was found there, and the tree before is not judged for it. See `noted`.
"""

from __future__ import annotations

import zlib
from array import array

from orchgate.evidence.packet_evidence import names_of
from orchgate.gate.whole.noted import CONTENT, ID, LISTED, NEVER, PACKETS, TASK, Noted
from orchgate.git.snapshot import SUBMODULE, SYMLINK, TreeEntry, folders_of
from orchgate.lib.hashes import fingerprint
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any, TypeVar

    from orchgate.gate.whole.noted import JudgedTree
    from orchgate.model import Diagnostic
    from orchgate.packets.layout import Packet

    Thing = TypeVar("Thing")
    Found = TypeVar("Found")


SIZE = 16  # documents of a part


class TreeState(NamedTuple):
    """A tree as parts may ask about it: `owners` are digests of the packets of each document."""

    entries: Mapping[str, TreeEntry]
    owners: Mapping[str, str]
    tasks: frozenset[str]
    ids: frozenset[str]


def state_of(ctx: JudgedTree, other: JudgedTree | None = None, known: TreeState | None = None) -> TreeState:
    """`known` is the state of the `other` tree, whose packets may be the same. Raises OrchgateError."""
    packets = ctx.packets
    if other is not None and known is not None and packets.all is other.packets.all:
        return known._replace(entries=ctx.snapshot.entries)
    digests = {id(packet): _digest(packet) for packet in packets.all}
    owners = {path: " ".join(digests[id(one)] for one in those) for path, those in packets.owners.items()}
    tasks = frozenset(name for packet in packets.all for name in names_of(packet))
    return TreeState(ctx.snapshot.entries, owners, tasks, packets.ids)


def _digest(packet: Packet) -> str:
    # The number of its task is its place among the others, which a new one moves, and of which nothing is said.
    entry = packet.entry and packet.entry._replace(number=-1)
    fields = (*packet._replace(names=frozenset(), entry=entry), sorted(packet.names))
    return fingerprint(repr(fields).encode("utf-8", "surrogateescape")).hex()


class Part(NamedTuple):
    """What was judged together: things by their documents, each with its numbers, and the names of all they rest on."""

    things: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]
    names: bytes


def packed(names: Iterable[str]) -> bytes:
    """Names as numbers, of which two may have one: then a part is judged that need not be."""
    return array("I", {zlib.crc32(name.encode("utf-8", "surrogateescape")) for name in names}).tobytes()


class Recalled(Protocol):
    """What was kept of one check's parts."""

    @property
    def any(self) -> bool: ...
    def take(
        self, documents: tuple[str, ...], count: int, without: frozenset[str] | None
    ) -> tuple[bool, tuple[int, ...]] | None:
        """The `count` numbers of a thing whose outcome still holds, and whether it rests on none of some names."""

    def diagnostics(self) -> Iterator[Diagnostic]:
        """What was found in the things that were taken."""


class Parts:
    """The parts of one judgement. `unlike` are the names of what is otherwise in the tree before; None: everything.

    `same` are the documents, by check, of what says the same of the tree before; `other` those of what may not. `done`
    are the parts that were judged, `never_kept` documents of things that are judged each time, and `recalled` what was
    kept of others, by check. All of it holds in one situation, as `Context.situation` says.
    """

    def __init__(self, situation: tuple[object, ...] = ()) -> None:
        self.situation = situation
        self.unlike: frozenset[str] | None = None
        self.same: dict[str, set[str]] = {}
        self.other: dict[str, set[str]] = {}
        self.done: dict[str, list[Part]] = {}
        self.never_kept: dict[str, set[str]] = {}
        self.recalled: Mapping[str, Recalled] = {}
        self._memo: dict[object, tuple[Any, frozenset[str]]] = {}

    def compare(self, now: TreeState, before: TreeState) -> None:
        self.unlike = unlike(now, before)

    def recall(self, check: str, documents: tuple[str, ...], count: int) -> tuple[int, ...] | None:
        """The numbers of a thing that needs no judging; None where it does."""
        recalled = self.recalled.get(check)
        found = recalled.take(documents, count, self.unlike) if recalled is not None else None
        if found is None:
            return None
        same, numbers = found
        (self.same if same else self.other).setdefault(check, set()).update(documents)
        return numbers

    def each(self, check: str, ctx: JudgedTree, things: Sequence[Thing]) -> Iterator[tuple[Sequence[Thing], Noted]]:
        """Parts of what is judged, with what each is to be judged by before the next one is taken."""
        for at in range(0, len(things), SIZE):
            part, noted = things[at : at + SIZE], Noted(ctx, self._memo)
            ctx.noting(noted.names)
            yield part, noted
            ctx.noting(set())
            self._judged(check, noted)

    def _judged(self, check: str, noted: Noted) -> None:
        known = self.unlike is not None and noted.names.isdisjoint(self.unlike)
        for documents, _ in noted.things:
            same = known and all(self._is_same(noted, path) for path in documents)
            (self.same if same else self.other).setdefault(check, set()).update(documents)
        if check in self.recalled:
            self._add(check, noted)

    def _add(self, check: str, noted: Noted) -> None:
        """Adds what can be kept of a part, and the documents of the rest."""
        kept: list[tuple[tuple[str, ...], tuple[int, ...]]] = []
        for documents, numbers in noted.things:
            if numbers is None or NEVER in noted.names or not all(map(noted.is_plain, documents)):
                self.never_kept.setdefault(check, set()).update(documents)
            else:
                kept.append((documents, numbers))
        self.done.setdefault(check, []).append(Part(tuple(kept), packed(noted.names)))

    def _is_same(self, noted: Noted, path: str) -> bool:
        return self.unlike is not None and noted.is_plain(path) and CONTENT + path not in self.unlike

    def same_in(self, check: str) -> Collection[str]:
        """Documents in which the tree before has the same findings."""
        return self.same.get(check, set()) - self.other.get(check, set())

    def result(self) -> Parts:
        """What was done, for another process."""
        made = Parts()
        made.same, made.other, made.done, made.never_kept = self.same, self.other, self.done, self.never_kept
        return made

    def join(self, other: Parts) -> None:
        """Adds what another process did."""
        sets = ((self.same, other.same), (self.other, other.other), (self.never_kept, other.never_kept))
        for mine, theirs in sets:
            for check, documents in theirs.items():
                mine.setdefault(check, set()).update(documents)
        for check, parts in other.done.items():
            self.done.setdefault(check, []).extend(parts)


def unlike(one: TreeState, other: TreeState) -> frozenset[str] | None:
    """Names of what is not the same in two trees; None where that is everything."""
    now, then, owners, owned = one.entries, other.entries, one.owners, other.owners
    changed = {path for path, _ in now.items() ^ then.items()}
    if any(_mode(tree, path) in (SYMLINK, SUBMODULE) for path in changed for tree in (now, then)):
        return None  # a path may lead elsewhere
    come = {path for path in changed if _mode(now, path) != _mode(then, path)}
    come |= folders_of(now) ^ folders_of(then) if come else set()
    return frozenset(
        (
            NEVER,
            *come,
            *(CONTENT + path for path in changed),
            *([LISTED] if come else []),
            *(LISTED + path.partition("/")[0] for path in come),
            *(PACKETS + path for path in owners.keys() | owned.keys() if owners.get(path) != owned.get(path)),
            *(TASK + name for name in one.tasks ^ other.tasks),
            *(ID + name for name in one.ids ^ other.ids),
        )
    )


def _mode(entries: Mapping[str, TreeEntry], path: str) -> str:
    entry = entries.get(path)
    return "" if entry is None else entry.mode
