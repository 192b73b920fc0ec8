"""Segments as parts in a folder or a bucket, read through what is kept of them here."""

from __future__ import annotations

import os
import stat
import tempfile
from itertools import groupby, islice

from orchgate.errors import OrchgateError
from orchgate.history.objects.shape import PartFault, VanishedPart
from orchgate.history.parquet_parts import PARQUET
from orchgate.history.segments import FOLDERS, WRONG_BYTES, SegmentFault, sha256_of, slug
from orchgate.history.store import ALL, Learned, ends, load
from orchgate.lib import files
from orchgate.lib.files import sha256_hex
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import TypeVar

    from orchgate.history.objects.cached import PartCache
    from orchgate.history.objects.shape import Listed, Objects
    from orchgate.history.segments import Head
    from orchgate.history.store import End, Within

    Input = TypeVar("Input")
    Result = TypeVar("Result")

MOST_BYTES = 64 << 20  # of a part
MOST_PARTS = 5_000_000  # that a store may list
AT_ONCE = 8
LARGE = 4 << 20  # bytes of a part that is joined no more
_BATCH_PARTS, _BATCH_BYTES = 10_000, 16 << 20  # that are joined at once; runs are held as objects of Python meanwhile
_FEW_BYTES = 256 << 10  # of parts that are read run by run in less time than it takes to ask DuckDB
_FRAME = 7_000  # bytes of a part beside its runs
_STANDING = 2  # large parts that are read at once to see whether they stand for small ones
_APART = 60.0  # seconds in which one compaction writes what it makes
_FILE = lazy(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}-[0-9a-f]{64}\.parquet")
_ROUNDS = 5  # of parts that vanish while they are read, because somebody compacts


class CachedParts:
    """Parts that were read from a store before; nobody is asked."""

    form = PARQUET

    def __init__(self, cache: PartCache, where: str) -> None:
        self.where = where
        self._cache = cache

    def names(self, within: Within = ALL) -> Collection[str]:
        return [name for name in self._cache.names() if is_part(name) and within.may_hold(name)]

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | OrchgateError]]:
        for name in names:
            content = self._cache.get(name, MOST_BYTES)
            if content is not None:
                yield name, content
            elif name in self._cache.damaged:
                yield name, PartFault("was damaged here, and is forgotten: `orchgate history fetch` brings it again")
            # Else it was forgotten by somebody who fetches, who has what stands for it.


class PartStore:
    """What a store holds, of which each part is fetched once. `foreign` are the names there that are no parts."""

    form = PARQUET
    remote = None
    races = 0

    def __init__(self, objects: Objects, cache: PartCache) -> None:
        self.where = objects.where
        self.foreign: list[str] = []
        self.untaken: tuple[SegmentFault, ...] = ()  # of what `keep` found, and could not
        self._objects, self._cache = objects, cache
        self._within = ALL
        self._known: dict[str, Listed] = {}
        self.fresh = False  # whether parts are read from there although they are here
        objects.require()

    def names(self, within: Within = ALL) -> Collection[str]:
        """The parts that may hold what is asked for, as the store lists them now."""
        self._within = within
        self.foreign = []
        found: dict[str, Listed] = {}
        for one in islice(self._listed(within), MOST_PARTS + 1):
            if not is_part(one.name):
                self.foreign.append(one.name)
            elif within.may_hold(one.name) and one.written >= within.written:
                found[one.name] = one
        if len(found) > MOST_PARTS:
            raise OrchgateError(f"{self.where} lists more than {MOST_PARTS:,} parts", "orchgate history compact")
        self._known |= found
        return found.keys()

    def _listed(self, within: Within) -> Iterator[Listed]:
        top = "v1/"
        if within.repository and within.months:
            prefixes = [f"{top}repo={slug(within.repository)}/month={month}/" for month in sorted(within.months)]
        elif within.since:
            months = in_parallel(self._objects.folders, self._objects.folders(top))
            prefixes = [one for many in months for one in many if one.split("/")[-2] >= f"month={within.since}"]
        else:
            prefixes = [top]
        for found in in_parallel(lambda prefix: list(self._objects.walk(prefix)), prefixes):
            yield from found

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | OrchgateError]]:
        """Also those that stand for parts which were taken away since they were listed."""
        done: set[str] = set()
        wanted = list(names)
        for _ in range(_ROUNDS):
            vanished = []
            for name, content in zip(wanted, in_parallel(self._fetched, wanted), strict=True):
                if isinstance(content, VanishedPart):
                    vanished.append(name)
                else:
                    done.add(name)
                    yield name, content
            if not vanished:
                return
            wanted = sorted(self._beside(vanished) - done)
        for name in vanished:
            yield name, PartFault("is listed, and not there")

    def _beside(self, names: Iterable[str]) -> set[str]:
        """The parts of the months of some, as the store lists them now: what stands for a part is one of them."""
        prefixes = sorted({f"{name.rpartition('/')[0]}/" for name in names})
        found = {one.name: one for prefix in prefixes for one in self._objects.walk(prefix) if is_part(one.name)}
        self._known |= found
        return {name for name in found if self._within.may_hold(name)}

    def _fetched(self, name: str) -> bytes | OrchgateError:
        kept = None if self.fresh else self._cache.get(name, MOST_BYTES)
        known = self._known.get(name)
        if kept is not None and known and len(kept) == known.size:  # one that is damaged there is nobody's, either
            return kept
        try:
            content = self._objects.get(name, MOST_BYTES)
        except PartFault as error:
            return error
        if sha256_hex(content) != sha256_of(name):
            return PartFault(WRONG_BYTES)
        self._cache.put(name, content)
        return content

    def kept(self, name: str) -> str:
        """Where a part is here that is as long as the one there; "" where none is."""
        if name in self._cache.damaged:  # and could be neither taken away nor replaced
            return ""
        path = os.path.join(self._cache.path, name)
        one = self._known.get(name)
        try:
            status = os.lstat(path)
        except OSError:
            return ""
        return path if one and stat.S_ISREG(status.st_mode) and status.st_size == one.size else ""

    def located(self, names: Iterable[str], scratch: str) -> Iterator[tuple[str, str | OrchgateError]]:
        """As `read`, in files: those that are kept, or in a folder where nothing can be."""
        for name, content in self.read(names):
            if not isinstance(content, bytes) or (path := self.kept(name)):
                yield name, content if isinstance(content, OrchgateError) else path
                continue
            path = os.path.join(scratch, f"{sha256_of(name)}{PARQUET.suffix}")
            files.replace_beside(path, content)
            yield name, path

    @property
    def memory(self) -> str:
        """The file that remembers which of them are good."""
        return os.path.join(self._cache.path, "good")

    def add(self, segments: Mapping[str, bytes]) -> frozenset[str]:
        new = in_parallel(lambda one: one[0] if self._is_new(*one) else "", segments.items())
        return frozenset(filter(None, new))

    def _is_new(self, name: str, content: bytes) -> bool:
        new = self._objects.create(name, content)
        if not new and not self._is_whole(name):
            self._objects.replace(name, content)  # the one content that a name may have
            new = True
        self._cache.put(name, content)
        return new

    def _is_whole(self, name: str) -> bool:
        try:
            return sha256_hex(self._objects.get(name, MOST_BYTES)) == sha256_of(name)
        except PartFault:
            return False

    def remove(self, names: Collection[str]) -> None:
        for _ in in_parallel(self._objects.delete, names):
            pass
        self._cache.forget(names)

    def ends(self, names: Iterable[str], whose: Callable[[Head], bool], runs: Collection[str]) -> Mapping[str, End]:
        wanted = list(names)
        if sum(self._known[name].size for name in wanted) <= _FEW_BYTES:
            return ends(load(self, wanted), whose)
        from orchgate.history.sql import parts, relations

        with tempfile.TemporaryDirectory(prefix="orchgate-") as scratch:
            good, _ = parts.good(self, wanted, self.memory, scratch)
            return relations.ends([part for part in good if whose(part.head)], runs, scratch)

    def batches(self) -> Iterator[list[str]]:
        """Small parts of one repository and month, and large ones that may stand for them.

        Those are what a compaction wrote that was interrupted before it took the small ones away: later than these.
        """
        for _, names in groupby(sorted(self.names()), key=lambda name: name.rpartition("/")[0]):
            listed = [self._known[name] for name in names]
            large = [one for one in listed if one.size >= LARGE]
            for some in _divided(one for one in listed if one.size < LARGE):
                oldest = min(one.written for one in some)
                later = [one for one in large if one.written > oldest + _APART]
                yield [one.name for one in (*some, *sorted(later, key=lambda one: -one.written)[:_STANDING])]

    def keep(self) -> Learned:
        """Fetches what is there and not here, and forgets what is not there any more."""
        before = self._cache.names()
        there = set(self.names())
        read = dict(self._told(sorted(there - before)))
        self.untaken = tuple(SegmentFault(name, why) for name, why in read.items() if why)
        now = (there & before) | read.keys()
        gone = frozenset(before - now)
        self._cache.forget(gone)
        return Learned(frozenset(now - before - {one.name for one in self.untaken}), gone, len(now))

    def _told(self, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """What is wrong with each, "" for nothing, once it is here."""
        for name, content in self.read(names):
            yield name, "" if isinstance(content, bytes) else content.message

    @property
    def notes(self) -> Iterator[str]:
        if self._cache.trouble:
            yield f"parts could not be kept here, and are fetched again next time: {self._cache.trouble}"
        if self.foreign:
            yield f"{self.where} also holds what is no part, such as {self.foreign[0][:100]!r}: left alone"


def _divided(parts: Iterable[Listed]) -> Iterator[list[Listed]]:
    """As many at a time as are joined at once; none of which there is nothing to be joined with."""
    some: list[Listed] = []
    size = 0
    for one in parts:
        of_runs = max(one.size - _FRAME, 0)
        if len(some) == _BATCH_PARTS or size + of_runs > _BATCH_BYTES:
            yield some
            some, size = [], 0
        some.append(one)
        size += of_runs
    if len(some) > 1:
        yield some


def is_part(name: str) -> bool:
    *folders, file = name.split("/")
    return len(folders) == len(FOLDERS) and all(
        pattern.fullmatch(one) for pattern, one in zip((*FOLDERS, _FILE), (*folders, file), strict=True)
    )


def in_parallel(work: Callable[[Input], Result], inputs: Iterable[Input]) -> Iterator[Result]:
    """What becomes of each, in order; a few are waited for at once, and not many more are begun than are asked for."""
    from concurrent.futures import ThreadPoolExecutor

    left = iter(inputs)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(work, one) for one in islice(left, 2 * AT_ONCE)]
        try:
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(work, one) for one in islice(left, 1)]
        finally:
            for one in waiting:
                one.cancel()
