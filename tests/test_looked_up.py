"""A tree whose paths are looked up answers as one that is listed: the same entries, folders and chosen paths."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.git import paths
from orchgate.git.call import Git
from orchgate.git.paths import PathChoice
from orchgate.git.repository import Repository, open_repository
from orchgate.git.trees import INDIRECT, LookedUp, _Folder
from orchgate.lib import pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.repo import Repo

NAMES = ("a", "b.md", "é.md", "x100644 b.md", "100644 a", "40000 a", "c d", "\udcff", "long" * 40)
MODES = ("100644", "100755", "120000", "160000")
CHOICE = PathChoice(b"test", lambda path, _: path.endswith(".md"))


@pytest.fixture
def opened(repo: Repo) -> Iterator[Repository]:
    made = open_repository(str(repo.root), os.environ)
    yield made
    made.close()


def stage(repo: Repo, chance: random.Random, paths: Sequence[str]) -> None:
    """Puts a random part of some paths into the index and takes others out; what is in the way goes."""
    oids = [repo.git("hash-object", "-w", "--stdin", stdin=content) for content in (b"", b"one\n" * 9, b"b.md")]
    lines = []
    for path in paths:
        if chance.random() < 0.4:
            lines.append(b"0 %b\t%b\0" % (b"0" * 40, os.fsencode(path)))
        elif chance.random() < 0.5:
            mode, oid = chance.choice(MODES), chance.choice(oids)
            lines.append(b"%b %b\t%b\0" % (mode.encode(), oid.encode(), os.fsencode(path)))
    repo.git("update-index", "-z", "--replace", "--index-info", stdin=b"".join(lines))


def random_paths(chance: random.Random) -> list[str]:
    return ["/".join(chance.choices(NAMES, k=chance.choice((1, 2, 2, 3)))) for _ in range(40)]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_what_is_looked_up_is_what_is_listed(repo: Repo, opened: Repository, seed: int) -> None:
    chance = random.Random(seed)
    paths = random_paths(chance)
    for _ in range(3):
        stage(repo, chance, paths)
        tree = repo.git("write-tree", "--missing-ok")
        commit = repo.git("commit-tree", "-m", "x", tree)
        stage(repo, chance, paths)
        changes = opened.changes(commit, None)
        asked = [*paths, *(path.rpartition("/")[0] for path in paths), "", "a/", "/a", "a//b.md", "a\0b", "\ud800", "z"]
        asked += [path + "/a" for path in paths]
        for listed, found in (
            (opened.tree(commit), opened.looked_up(commit)),
            (open_repository(str(repo.root), os.environ).index, opened.looked_up(commit, changes)),
            (opened.nothing, opened.looked_up(None)),
        ):
            assert [found.entries.get(path) for path in asked] == [listed.entries.get(path) for path in asked]
            assert [path in found.folders for path in asked] == [path in listed.folders for path in asked]
            assert list(found.indirect) == list(listed.indirect)
            chosen = found.chosen(CHOICE)
            assert chosen is not None
            assert list(chosen.all()) == [path for path in listed.entries if path.endswith(".md")]
            for words in ((), ("b",), ("é", "a/"), ("",), ("\ud800",)):
                expected = [path for path in chosen.all() if any(word and word in path for word in words)]
                assert chosen.containing(words) == expected
            for folder in listed.folders:
                below = f"{folder}/" if folder else ""
                inner = {
                    path.removeprefix(below).partition("/")[0] for path in listed.entries if path.startswith(below)
                }
                assert isinstance(found.entries, LookedUp)
                assert sorted(found.entries.names(folder)) == sorted(inner)
            assert not found.entries.__dict__["_all"]
            assert (list(found.entries), list(found.folders), len(found.entries)) == (
                list(listed.entries),
                list(found.folders),
                len(listed.entries),
            )
            assert set(found.folders) == set(listed.folders)


def test_the_end_of_a_name_is_not_taken_for_an_entry() -> None:
    for number in range(256):  # also where the id before it ends as a name does
        oid = bytes([number]) * 20
        raw = b"".join(b"100644 %b\0%b" % (name, oid) for name in (b"a", b"x100644 b", b"y40000 b"))
        assert (_Folder(raw, 20).get(b"b"), _Folder(raw, 20).get(b"a")) == (
            None,
            dict(_Folder(raw, 20).entries())[b"a"],
        )


def test_a_tree_that_is_cut_off_is_none() -> None:
    folder = _Folder(b"100644 a\0" + b"1" * 19, 20)

    with pytest.raises(ValueError, match="not a tree"):
        folder.entries()


def test_chosen_paths_follow_from_those_of_the_tree_before(repo: Repo, opened: Repository) -> None:
    """Only what differs is asked; a damaged or missing entry costs a listing."""
    chance = random.Random(1)
    paths = random_paths(chance)
    cache = repo.root / ".git/orchgate/cache"
    for number in range(6):
        stage(repo, chance, paths)
        tree = repo.git("write-tree", "--missing-ok")
        if number % 3 == 0:
            for path in list(cache.iterdir()) if cache.exists() else []:
                chance.choice((lambda path: path.unlink(), lambda path: path.write_bytes(b"x")))(path)
        for choice in (CHOICE, INDIRECT):
            found = opened.looked_up(tree).chosen(choice)
            listed = opened.tree(tree).entries
            assert found is not None
            assert list(found.all()) == [path for path, one in listed.items() if choice.chooses(path, one.mode)]


def test_chosen_paths_are_found_beside_those_of_an_earlier_tree_or_written_anew(
    repo: Repo, opened: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "_MOST_BESIDE", 3)
    monkeypatch.setattr(pages, "PAGE", 50)
    chance = random.Random(7)
    cache = repo.root / ".git/orchgate/cache"
    names = random_paths(chance)
    stage(repo, chance, names)
    digests: dict[bytes, list[str]] = {}
    for number in range(12):
        stage(repo, chance, chance.sample(names, 4))
        tree = repo.git("write-tree", "--missing-ok")
        if number == 4:  # while they are used
            opened.looked_up(tree).chosen(CHOICE)
            for path in cache.iterdir():
                path.unlink()
        found = opened.looked_up(tree).chosen(CHOICE)
        listed = [path for path in opened.tree(tree).entries if path.endswith(".md")]
        assert found is not None
        assert (list(found.all()), found.containing(["b"])) == (listed, [path for path in listed if "b" in path])
        assert digests.setdefault(found.digest(), listed) == listed
    assert len([path for path in cache.iterdir() if path.name.startswith("paths-")]) > 1


def test_without_a_cache_nothing_is_chosen_before(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    repo.commit("first", {"a.md": "x"})
    opened = open_repository(str(repo.root), os.environ)
    tree = opened.looked_up(opened.head)
    found = (tree.chosen(CHOICE), list(tree.indirect), os.path.lexists(repo.root / ".git/orchgate"))
    opened.close()

    assert found == (None, [], False)


def test_a_tree_is_listed_once_for_all_that_is_chosen_of_it(
    repo: Repo, opened: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = [repo.commit(f"Change {number}", {f"{number}.md": "# a\n"}) for number in range(2)]
    asked: list[str] = []
    ask = Git.attempt

    def attempt(self: Git, *args: str, **options: Any) -> Any:
        asked.append(args[0])
        return ask(self, *args, **options)

    monkeypatch.setattr(Git, "attempt", attempt)
    trees = [opened.looked_up(repo.git("rev-parse", commit)) for commit in commits]
    found = [tree.chosen(choice) for tree in trees for choice in (CHOICE, CHOICE._replace(name=b"other"))]

    assert [list(one.all()) if one else None for one in found] == [["0.md"]] * 2 + [["0.md", "1.md"]] * 2
    assert (asked.count("ls-tree"), asked.count("diff")) == (1, 1), "of the second tree git says what differs"
