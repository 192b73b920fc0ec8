"""What is kept in pages answers as all of it would, is read a page at a time, and is nothing once it is damaged."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from orchgate.lib import pages
from orchgate.lib.cache import Cache
from orchgate.lib.pages import Damaged, Lines, Pages, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

WORDS = (b"a", b"ab", b"slim", b"audit", b"0101", b"12", b"\xc3\xa9", b"docs", b"md", b"x" * 30)
MARKS = (b"-", b"/", b".", b"_", b" ", b"\n", b"\t", b'"', b"\\")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setattr(pages, "PAGE", 60)
    return Cache(str(tmp_path / "orchgate"))


def line(chance: random.Random) -> bytes:
    count = chance.randrange(9)
    return b"".join(chance.choice(MARKS) + chance.choice(WORDS) for _ in range(count))[chance.randrange(2) :]


def texts(chance: random.Random, lines: Sequence[bytes]) -> list[bytes]:
    """Parts of lines, and of none."""
    found = [line(chance), chance.choice(WORDS), chance.choice(MARKS)]
    for one in chance.sample(lines, min(3, len(lines))):
        start = chance.randrange(len(one) + 1)
        found.append(one[start : start + chance.choice((1, 3, 9, 99))])
    return [*filter(None, found)]


def containing(lines: Iterable[bytes], texts: Iterable[bytes]) -> dict[int, bytes]:
    return {number: one for number, one in enumerate(lines) if any(text in one for text in texts)}


def opened(kept: Cache) -> Lines:
    return Lines(Pages(kept, "test", b"key"))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("few", [0, 1000])
def test_lines_are_found_as_if_all_were_read(kept: Cache, seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_FEW", few)
    chance = random.Random(seed)
    lines = [line(chance) for _ in range(chance.choice((0, 1, 7, 90, 400)))]
    made = write_lines(kept, "test", b"key", lines)
    found = opened(kept)

    assert (found.count, found.all(), found.digest) == (len(lines), lines, made.digest)
    assert [found.line(number) for number in range(len(lines))] == lines
    for _ in range(30):
        wanted = texts(chance, lines)
        assert found.containing(wanted) == made.containing(wanted) == containing(lines, wanted), wanted
        for text in wanted:
            assert found.has(text) == (text in lines)


def test_few_pages_of_many_are_read(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE", 2048)
    lines = [b"docs/PRD-part-%d-request-%08x-shell.md" % (number, number * 7919) for number in range(20_000)]
    write_lines(kept, "test", b"key", lines)
    found, read, part = opened(kept), list[int](), kept.part

    def counted(kind: str, key: bytes, start: int, size: int, **more: bool) -> bytes | None:
        read.append(size)
        return part(kind, key, start, size, **more)

    monkeypatch.setattr(kept, "part", counted)
    for text in (b"part-777-request-", b"-request-%08x-shell" % (777 * 7919), b"t-777", lines[777]):
        assert found.containing([text]) == containing(lines, [text])
    assert found.has(lines[777])
    assert sum(read) < 60_000  # of a million bytes


def test_a_word_that_is_everywhere_says_nothing(kept: Cache) -> None:
    lines = [b"docs/part-%d.md" % number for number in range(300)]
    write_lines(kept, "test", b"key", lines)

    assert opened(kept).containing([b"/part-"]) == dict(enumerate(lines))


def test_what_is_damaged_anywhere_is_never_believed(kept: Cache) -> None:
    lines = [b"docs/PRD-part-%d.md" % number for number in range(12)]
    write_lines(kept, "test", b"key", lines)
    (entry,) = os.scandir(kept._folder)
    with open(entry.path, "rb") as file:
        whole = file.read()

    damaged = 0
    for at in range(len(whole)):
        for data in (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], whole[:at]):
            with open(entry.path, "wb") as file:
                file.write(data)
            try:
                found = opened(kept)
                assert found.containing([b"part-7.md"]) == {7: lines[7]}
                assert found.all() == lines
            except Damaged:
                damaged += 1
    assert damaged > 1.8 * len(whole)  # what is left is the digest of all, which nobody reads here


def test_a_damaged_page_takes_the_entry_with_it(kept: Cache) -> None:
    write_lines(kept, "test", b"key", [b"docs/PRD-part-%d.md" % number for number in range(40)])
    found = opened(kept)
    (entry,) = os.scandir(kept._folder)
    os.truncate(entry.path, os.stat(entry.path).st_size - 1)

    with pytest.raises(Damaged):
        found._pages.page(len(found._pages) - 1)
    assert os.listdir(kept._folder) == []


def test_what_another_writer_puts_in_its_place_is_not_mixed_with_it(kept: Cache) -> None:
    write_lines(kept, "test", b"key", [b"one-%d" % number for number in range(40)])
    found = opened(kept)
    write_lines(kept, "test", b"key", [b"two-%d" % number for number in range(40)])

    with pytest.raises(Damaged):
        found.all()


def test_pages_of_no_cache_are_there_for_who_made_them() -> None:
    assert write_lines(None, "test", b"", [b"a-b", b"c"]).containing([b"b"]) == {0: b"a-b"}


def test_a_size_that_nobody_can_mean_is_not_read(kept: Cache) -> None:
    kept.write("test", b"key", b"9999999999" + b"x" * 64)

    with pytest.raises(Damaged):
        opened(kept)
