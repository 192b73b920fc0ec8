"""What is kept in the repository's own folder: whole or not at all, and never in anybody's way."""

from __future__ import annotations

import os
import resource
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from orchgate.git.repository import open_repository
from orchgate.lib import cache
from orchgate.lib.cache import Cache

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

KIND, KEY, CONTENT = "tasks", b"one\nkey", b"what follows from it\n" * 3


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    """A cache with one entry."""
    made = Cache(str(tmp_path / "orchgate"))
    made.write(KIND, KEY, CONTENT)
    return made


def entry(kept: Cache) -> str:
    (path,) = os.scandir(folder(kept))
    return path.path


def folder(kept: Cache) -> str:
    return kept._folder


def test_what_was_written_is_read(kept: Cache) -> None:
    assert (kept.read(KIND, KEY), Cache(os.path.dirname(folder(kept))).read(KIND, KEY)) == (CONTENT, CONTENT)


def test_an_empty_content_is_one(kept: Cache) -> None:
    kept.write(KIND, b"", b"")

    assert kept.read(KIND, b"") == b""


@pytest.mark.parametrize(("kind", "key"), [("tree", KEY), (KIND, b"one"), (KIND, b""), (KIND, KEY + b"\n")])
def test_another_kind_or_key_has_no_entry(kept: Cache, kind: str, key: bytes) -> None:
    assert kept.read(kind, key) is None


def test_an_entry_under_the_name_of_another_is_none(kept: Cache) -> None:
    kept.write(KIND, b"other", b"of the other")
    os.replace(kept._path(KIND, b"other"), kept._path(KIND, KEY))

    assert kept.read(KIND, KEY) is None


def test_other_code_has_no_entry(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept._path(KIND, KEY)
    monkeypatch.setattr(cache, "identity", lambda: b"another")
    os.replace(path, kept._path(KIND, KEY))

    assert kept.read(KIND, KEY) is None


def test_an_entry_that_was_cut_anywhere_is_none(kept: Cache) -> None:
    path = entry(kept)
    for size in reversed(range(os.path.getsize(path))):
        os.truncate(path, size)
        assert kept.read(KIND, KEY) is None


def test_an_entry_with_any_bit_changed_or_more_at_its_end_is_none(kept: Cache) -> None:
    path = entry(kept)
    with open(path, "rb") as file:
        data = file.read()
    for at in range(len(data) + 1):
        with open(path, "wb") as file:
            file.write(data + b"x" if at == len(data) else data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert kept.read(KIND, KEY) is None


def test_a_damaged_entry_is_replaced(kept: Cache) -> None:
    os.truncate(entry(kept), 20)
    kept.write(KIND, KEY, CONTENT)

    assert kept.read(KIND, KEY) == CONTENT


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink(os.devnull, path)])
def test_what_is_not_a_file_is_no_entry(kept: Cache, make: object) -> None:
    path = entry(kept)
    os.unlink(path)
    assert callable(make)
    make(path)
    before = kept.read(KIND, KEY)
    kept.write(KIND, KEY, CONTENT)

    assert (before, kept.read(KIND, KEY) in (CONTENT, None)) == (None, True)


def test_a_link_to_an_entry_elsewhere_is_none(kept: Cache, tmp_path: Path) -> None:
    path = entry(kept)
    os.rename(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)

    assert kept.read(KIND, KEY) is None


@pytest.mark.parametrize("name", ["orchgate", "orchgate/cache"])
def test_a_folder_that_is_a_link_is_not_used(kept: Cache, tmp_path: Path, name: str) -> None:
    os.rename(tmp_path / name, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", tmp_path / name)
    before = sorted(os.listdir(folder(kept)))
    kept.write(KIND, b"other", CONTENT)

    assert (kept.read(KIND, KEY), sorted(os.listdir(folder(kept)))) == (None, before)


def test_a_folder_that_others_may_write_to_is_not_used(kept: Cache) -> None:
    os.chmod(folder(kept), 0o777)
    kept.write(KIND, b"other", CONTENT)

    assert (kept.read(KIND, KEY), len(os.listdir(folder(kept)))) == (None, 1)


def test_a_folder_of_somebody_else_is_not_used(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    kept.write(KIND, b"other", CONTENT)

    assert (kept.read(KIND, KEY), len(os.listdir(folder(kept)))) == (None, 1)


@pytest.mark.parametrize("name", ["orchgate", "orchgate/cache"])
def test_a_file_in_the_place_of_a_folder_is_left_alone(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("mine")
    made = Cache(str(tmp_path / "orchgate"))
    made.write(KIND, KEY, CONTENT)

    assert (made.read(KIND, KEY), place.read_text()) == (None, "mine")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_only_be_read_is_read(kept: Cache) -> None:
    os.chmod(folder(kept), 0o500)
    kept.write(KIND, b"other", CONTENT)
    found = (kept.read(KIND, KEY), kept.read(KIND, b"other"))
    os.chmod(folder(kept), 0o700)

    assert found == (CONTENT, None)


def test_a_full_disk_leaves_what_was_there_and_nothing_else(kept: Cache) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        kept.write(KIND, KEY, b"x" * 1000)
        kept.write(KIND, b"other", CONTENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (kept.read(KIND, KEY), len(os.listdir(folder(kept)))) == (CONTENT, 1)


def test_what_a_killed_writer_left_goes_with_the_next_one(kept: Cache) -> None:
    with open(os.path.join(folder(kept), ".orchgate-0123456789abcdef.tmp"), "w") as file:
        file.write("half")
    kept.write(KIND, b"other", CONTENT)

    assert not [name for name in os.listdir(folder(kept)) if name.startswith(".")]


def test_of_writers_at_once_one_is_read(kept: Cache) -> None:
    wrong = []

    def write(content: bytes) -> None:
        for _ in range(5):
            kept.write(KIND, KEY, content)
            wrong.extend([found for found in (kept.read(KIND, KEY),) if found not in contents])

    contents = [bytes([number]) * 5000 for number in range(4)]
    kept.write(KIND, KEY, contents[0])
    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert (wrong, len(os.listdir(folder(kept)))) == ([], 1)


def test_the_oldest_entries_go_where_there_are_too_many(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 4)
    os.utime(entry(kept), (9, 9))
    for number in range(5):
        kept.write(KIND, bytes([number]), CONTENT)
        os.utime(kept._path(KIND, bytes([number])), (10 + number, 10 + number))

    assert [number for number in range(5) if kept.read(KIND, bytes([number]))] == [1, 2, 3, 4]


def test_large_entries_make_room_for_each_other(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_BYTES", 10_000)
    for number in range(20):
        kept.write(KIND, bytes([number]), b"x" * 4000)

    assert sum(one.stat().st_size for one in os.scandir(folder(kept))) <= 10_000


def test_an_entry_that_is_used_counts_as_new(kept: Cache) -> None:
    path = entry(kept)
    os.utime(path, (10, 10))
    kept.read(KIND, KEY)

    assert os.path.getmtime(path) > 10


def test_what_is_too_large_is_not_kept(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LONGEST", 1000)
    kept.write(KIND, b"other", b"x" * 1000)

    assert kept.read(KIND, b"other") is None


def test_any_file_of_code_that_is_worked_on_decides_which_code_it_is(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    module = tmp_path / "inner" / "a.py"
    module.write_text("1")
    before = sorted(cache._sources(str(tmp_path)))
    os.utime(module, (10, 10))

    assert (len(before), before != sorted(cache._sources(str(tmp_path)))) == (1, True)


def test_code_that_looks_as_old_as_it_was_is_other_code(tmp_path: Path) -> None:
    module = tmp_path / "a.py"
    module.write_text("1")
    os.utime(module, (10, 10))
    before = list(cache._sources(str(tmp_path)))
    now = before
    for _ in range(10_000):  # until the clock of the file system ticks
        module.write_text("2")
        os.utime(module, (10, 10))
        now = list(cache._sources(str(tmp_path)))
        if now != before:
            break

    assert (os.stat(module).st_mtime, now != before) == (10, True)


def test_what_an_editor_leaves_among_the_code_is_none(tmp_path: Path) -> None:
    os.symlink("somebody@host.1", tmp_path / ".#a.py")

    assert list(cache._sources(str(tmp_path))) == []


def test_code_that_cannot_be_read_keeps_nothing(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> bytes:
        raise NotADirectoryError  # in a zip file

    monkeypatch.setattr(cache, "identity", unreadable)
    kept.write(KIND, KEY, b"other")

    assert (kept.read(KIND, KEY), kept.part(KIND, KEY, 0, 1)) == (None, None)


def test_another_version_of_what_is_installed_beside_it_is_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "site-packages"
    (place / "msgspec-0.19.0.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none-packages"), str(place)])
    before = cache.identity.__wrapped__()
    (place / "msgspec-0.19.0.dist-info").rename(place / "msgspec-0.20.0.dist-info")

    assert cache.identity.__wrapped__() != before


@pytest.mark.parametrize("variable", [*cache.CI, cache.VARIABLE])
def test_there_is_no_cache_in_ci_and_where_somebody_wants_none(repo: Repo, variable: str) -> None:
    assert cache.of(str(repo.root), {variable: "1"}) is None


def test_work_trees_share_the_cache_of_their_repository(repo: Repo) -> None:
    repo.git("commit", "-q", "--allow-empty", "-m", "first")
    repo.git("worktree", "add", "-q", "../other")
    for place in map(str, (repo.root, repo.root.parent / "other")):
        with_cache = open_repository(place, os.environ)
        if with_cache.cache is not None:
            with_cache.cache.write(KIND, os.fsencode(place), CONTENT)
        with_cache.close()

    assert len(os.listdir(repo.root / ".git/orchgate/cache")) == 2


def test_a_check_without_a_cache_makes_none(repo: Repo) -> None:
    repo.write("docs/PRD-demo.md", "# PRD\n")
    repo.git("add", ".")
    repo.orchgate("check", "--staged", "--no-cache")

    assert not os.path.lexists(repo.root / ".git/orchgate/cache")
