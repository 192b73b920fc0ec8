"""Segments under `refs/orchgate/history`: here, as far as they were fetched, and on a remote. No other dependency."""

from __future__ import annotations

from orchgate.git.store.contents import RefLayout
from orchgate.history.segments import FILE, FOLDERS, JSONL, MOST_BYTES, WRONG_BYTES, SegmentFault, sha256_of
from orchgate.history.store import ALL, Learned, ends, load, superseded
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from orchgate.errors import GitError
    from orchgate.git.store.reference import Connection, Store
    from orchgate.history.segments import Head
    from orchgate.history.store import End, Within

    Read = Callable[[Mapping[str, str], int], Iterator[tuple[str, bytes | GitError]]]

HISTORY = RefLayout(
    "refs/orchgate/history",
    FOLDERS,
    FILE,
    lambda name: name.split("/"),
    "/",
    sha256_of,
    "history",
    "segment",
    "orchgate history",
)


class GitSegments:
    """Segments by their object ids, which `read_ids` reads."""

    form = JSONL

    def __init__(self, where: str, contents: Mapping[str, str], read_ids: Read) -> None:
        self.where = where
        self._contents, self._read = contents, read_ids

    def names(self, within: Within = ALL) -> Collection[str]:
        return [name for name in self._contents if within.may_hold(name)]

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | GitError]]:
        return self._read({name: self._contents[name] for name in names}, MOST_BYTES)


def fetched(store: Store) -> tuple[GitSegments, tuple[str, ...]]:
    """What is here, and the entries of the reference that are no segments; nobody is asked. Raises GitError."""
    tree = store.tree()
    return GitSegments(f"{HISTORY.ref} here", tree.contents, store.read_each), tree.foreign


class RemoteSegments(GitSegments):
    """What a remote holds, which is asked once; what we add and remove there becomes known here as well."""

    fresh = True  # git knows what it has by its content

    def __init__(self, connection: Connection, remote: str) -> None:
        self.remote = remote
        self.races = 0
        self._connection = connection
        self._before = connection.local().contents
        self._there = connection.look()
        self._own: frozenset[str] = frozenset()
        super().__init__(f"{HISTORY.ref} of {remote}", self._there.contents, connection.read)

    @property
    def untaken(self) -> tuple[SegmentFault, ...]:
        """Segments whose content is not what their name says: they stay there."""
        return tuple(SegmentFault(name, WRONG_BYTES) for name in sorted(self._there.wrong))

    def add(self, segments: Mapping[str, bytes]) -> frozenset[str]:
        return self._push(segments)

    def remove(self, names: Collection[str]) -> None:
        self._push({}, names)

    def ends(self, names: Iterable[str], whose: Callable[[Head], bool], runs: Collection[str]) -> Mapping[str, End]:
        return ends(load(self, names), lambda head: whose(head) and bool(runs))

    def batches(self) -> list[Collection[str]]:
        return [self.names()]

    def _push(self, segments: Mapping[str, bytes], without: Collection[str] = ()) -> frozenset[str]:
        pushed = self._connection.push(self._there, segments.items(), without)
        self.races += pushed.races
        self._there, self._contents = pushed.there, pushed.there.contents
        self._own |= pushed.new
        return pushed.new

    def keep(self) -> Learned:
        """Lets this repository have what is there, and forget what others stand for. Raises GitError, WriteError."""
        gone: frozenset[str] = frozenset()
        if self._contents.keys() - self._before.keys() - self._own:  # somebody else's, which may stand for ours
            both = {**self._before, **self._contents}
            gone = superseded(GitSegments(HISTORY.ref, both, self._connection.read))
        union = self._connection.keep(self._there, gone)
        new, forgotten = union.keys() - self._before.keys(), self._before.keys() - union.keys()
        return Learned(frozenset(new), frozenset(forgotten), len(self._contents))
