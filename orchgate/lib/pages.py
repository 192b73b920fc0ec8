"""Entries of the cache of which no more is read than is asked about: pages, each with its digest in a table.

What is kept in pages follows from its key, as all in the cache. A page that cannot be read any more is Damaged: the
entry is removed, and whoever asked works it out anew.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import accumulate, pairwise

from orchgate.lib.hashes import fingerprint
from orchgate.lib.typed import TYPE_CHECKING, cached_property

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.lib.cache import Cache

PAGE = 8 * 1024  # bytes, about
_NUMBER, _DIGEST = 10, 32  # bytes of a size as a decimal number, and of a digest
_FEW = 4  # pages, up to which an index would be read in vain
_COMMON = 8  # a word in more than one of so many pages says nothing about where to look
_MOST_STARTING = 100  # words that start alike, beyond which their pages are not looked up
_LETTERS = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + bytes(range(128, 256))
_APART = bytes(letter if letter in _LETTERS else 0 for letter in range(256))


class Damaged(Exception):
    """What was kept is not there, or not whole any more."""


class Pages:
    """The pages of an entry, and what was written above them."""

    def __init__(self, kept: Cache, kind: str, key: bytes) -> None:
        """Raises Damaged where nothing is kept."""
        self._place = (kept, kind, key)
        self._loaded: dict[int, bytes] = {}
        start = kept.part(kind, key, 0, _NUMBER + _DIGEST) or b""
        table = kept.part(kind, key, len(start), int(start[:_NUMBER])) if start[:_NUMBER].isdigit() else None
        if table is None or fingerprint(table) != start[_NUMBER:]:
            raise Damaged
        self._take(table)
        self._start = len(start) + len(table)

    def _take(self, table: bytes) -> None:
        count = int(table[:_NUMBER])
        digests = len(table) - count * _DIGEST
        self.digest = fingerprint(table)  # no other pages have it
        self.digests = [table[at : at + _DIGEST] for at in range(digests, len(table), _DIGEST)]
        sizes = array("I", table[digests - 4 * count : digests])
        self._ends = [0, *accumulate(sizes)]
        self.head = table[_NUMBER : digests - 4 * count]

    def __len__(self) -> int:
        return len(self.digests)

    def page(self, number: int) -> bytes:
        """Raises Damaged."""
        if number not in self._loaded:
            self._loaded[number] = self.between(number, number + 1)[0]
        return self._loaded[number]

    def between(self, first: int, end: int) -> list[bytes]:
        """Several pages at once. Raises Damaged."""
        if all(number in self._loaded for number in range(first, end)):
            return [self._loaded[number] for number in range(first, end)]
        kept, kind, key = self._place
        start, stop = self._ends[first], self._ends[end]
        data = kept.part(kind, key, self._start + start, stop - start, again=True)
        ends = [at - start for at in self._ends[first : end + 1]]
        cut = [] if data is None else [data[one:other] for one, other in pairwise(ends)]
        if [fingerprint(page) for page in cut] != self.digests[first:end]:
            kept.remove(kind, key)
            raise Damaged
        return cut


class _MadePages(Pages):
    """Pages that were made just now."""

    def __init__(self, head: bytes, pages: Sequence[bytes]) -> None:
        sizes = array("I", map(len, pages))
        self.table = b"".join((b"%010d" % len(pages), head, sizes.tobytes(), *map(fingerprint, pages)))
        self._loaded = dict(enumerate(pages))
        self._take(self.table)


def write(kept: Cache | None, kind: str, key: bytes, head: bytes, pages: Sequence[bytes]) -> Pages:
    """Keeps pages, and something of their own above them; None keeps them for those alone who have them now."""
    made = _MadePages(head, pages)
    if kept is None:
        return made
    start = b"%010d" % len(made.table)
    kept.write(kind, key, b"".join((start, fingerprint(made.table), made.table, *pages)))
    return made


# -- Lines that are found by what they contain --------------------------------------------------------


class Lines:
    """Lines in pages. A line holds no zero byte, which stands before and after each.

    An index says in which pages a word is, which is letters and digits between others. Where a line contains a text,
    its words are those of the text, but for the first and the last, which may go on in the line.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        size = int(pages.head[:_NUMBER])
        counts = array("I", pages.head[_NUMBER : _NUMBER + 4 * size])
        self._firsts = [0, *accumulate(counts)]
        self._labels = pages.head[_NUMBER + 4 * size :].split(b"\0")[: len(pages) - size]
        self._known: dict[bytes, frozenset[int] | None] = {}

    @property
    def count(self) -> int:
        return self._firsts[-1]

    @property
    def digest(self) -> bytes:
        """What stands for these lines, and no others."""
        return self._pages.digest

    @cached_property
    def _size(self) -> int:
        return len(self._firsts) - 1

    def all(self) -> list[bytes]:
        """Raises Damaged."""
        return [line for page in self._pages.between(0, self._size) for line in page[1:-1].split(b"\0")]

    def line(self, number: int) -> bytes:
        """Raises Damaged."""
        at = bisect_right(self._firsts, number) - 1
        return self._pages.page(at)[1:-1].split(b"\0")[number - self._firsts[at]]

    def has(self, line: bytes) -> bool:
        """Raises Damaged."""
        return next(self._containing(b"\0%b\0" % line), None) is not None

    def containing(self, texts: Iterable[bytes]) -> dict[int, bytes]:
        """The lines that contain one of some texts, which are not empty, by number. Raises Damaged."""
        found = dict(one for text in texts for one in self._containing(text))
        return dict(sorted(found.items()))

    def _containing(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        for number in self._where(text):
            page, at = self._pages.page(number), -1
            while (at := page.find(text, at + 1)) >= 0:
                start = page.rindex(b"\0", 0, at + 1)
                end = page.index(b"\0", start + 1)
                yield self._firsts[number] + page.count(b"\0", 0, start), page[start + 1 : end]
                at = end - 1

    def _where(self, text: bytes) -> Sequence[int]:
        """The pages that may contain a text."""
        every = range(self._size)
        if not self._labels:
            return every
        _, *whole = text.translate(_APART).split(b"\0")
        last = whole.pop() if whole else b""
        found = [self._of_word(word) for word in whole if word]
        if last and all(pages is None for pages in found):
            found = [self._of_start(last)]
        known = [pages for pages in found if pages is not None]
        return sorted(frozenset.intersection(*known)) if known else every

    def _of_word(self, word: bytes) -> frozenset[int] | None:
        """The pages of a word; None for all."""
        if word not in self._known:
            start = b"\0%b\t" % word
            page = self._index(bisect_right(self._labels, word) - 1)
            at = page.find(start)
            self._known[word] = _numbers(page, at + len(start)) if at >= 0 else frozenset()
        return self._known[word]

    def _of_start(self, start: bytes) -> frozenset[int] | None:
        """The pages of all words that start with something; None for all."""
        found: set[int] = set()
        number, left = max(bisect_right(self._labels, start) - 1, 0), _MOST_STARTING
        while number < len(self._labels) and self._labels[number][: len(start)] <= start:
            page, at = self._index(number), -1
            while (at := page.find(b"\0" + start, at + 1)) >= 0:
                pages = _numbers(page, page.index(b"\t", at) + 1)
                left -= 1
                if pages is None or not left:
                    return None
                found |= pages
            number += 1
        return frozenset(found)

    def _index(self, number: int) -> bytes:
        return self._pages.page(self._size + number) if number >= 0 else b""


def _numbers(page: bytes, at: int) -> frozenset[int] | None:
    named = page[at : page.index(b"\0", at)]
    return None if named == b"*" else frozenset(map(int, named.split()))


def lines_of(kept: Cache, kind: str, key: bytes) -> Lines:
    """What was kept for a key, once for all who ask. Raises Damaged."""
    found = kept.opened.get((kind, key))
    if not isinstance(found, Lines):
        found = kept.opened[kind, key] = Lines(Pages(kept, kind, key))
    return found


def write_lines(kept: Cache | None, kind: str, key: bytes, lines: Sequence[bytes]) -> Lines:
    """Keeps lines, which hold no zero bytes; None as in `write`."""
    texts, counts = _paged(lines)
    index = _index_of(texts) if len(texts) > _FEW else []
    labels = [page[1 : page.index(b"\t")] for page in index]
    head = b"".join((b"%010d" % len(texts), array("I", counts).tobytes(), b"\0".join(labels)))
    made = Lines(write(kept, kind, key, head, [*texts, *index]))
    if kept is not None:
        kept.opened[kind, key] = made
    return made


def _paged(lines: Sequence[bytes]) -> tuple[list[bytes], list[int]]:
    """Lines in pages, and how many are in each."""
    pages, counts, start, size = [], [], 0, 0
    for at, line in enumerate(lines, 1):
        size += len(line) + 1
        if size >= PAGE or at == len(lines):
            pages.append(b"\0%b\0" % b"\0".join(lines[start:at]))
            counts.append(at - start)
            start, size = at, 0
    return pages, counts


def _index_of(texts: Sequence[bytes]) -> list[bytes]:
    """Pages of a line for each word, sorted, with the pages that it is in."""
    where: dict[bytes, list[int]] = {}
    for number, text in enumerate(texts):
        for word in {*text.translate(_APART).split(b"\0")} - {b""}:
            where.setdefault(word, []).append(number)
    most = len(texts) // _COMMON
    return _paged(
        [
            b"%b\t%b" % (word, b"*" if len(numbers) > most else b" ".join(b"%d" % number for number in numbers))
            for word, numbers in sorted(where.items())
        ]
    )[0]
