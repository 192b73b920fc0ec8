"""One conversation with git about many objects, shared by many readers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.errors import GitError, Unreadable
from orchgate.gate import session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import GitSnapshot
    from tests.repo import Repo

MANY = 300


@pytest.fixture
def opened(repo: Repo) -> Iterator[Repository]:
    """Files `0` … `299`, each of which holds its own name."""
    for number in range(MANY):
        repo.write(str(number), f"{number}")
    repo.write("big", b"0123456789" * 100_000)
    repo.write("folder/README.md", "mentions a/name and\0more\n")
    repo.git("add", "-A")
    repo.commit()
    with session.opened(dict(os.environ)) as repository:
        yield repository


def tree(repository: Repository) -> GitSnapshot:
    return repository.tree(repository.require_commit("HEAD"))


@pytest.mark.slow
def test_many_are_read_in_the_order_asked(opened: Repository) -> None:
    names = [str(number) for number in reversed(range(MANY))]

    assert [(path, content) for path, content in tree(opened).read_many(names)] == [
        (name, name.encode()) for name in names
    ]


@pytest.mark.slow
def test_reader_inside_a_reader_gets_its_own_file(opened: Repository) -> None:
    snapshot = tree(opened)
    names = [str(number) for number in range(MANY)]
    read = [(path, content, snapshot.read("42")) for path, content in snapshot.read_many(names)]

    assert read == [(name, name.encode(), b"42") for name in names]


@pytest.mark.slow
def test_reader_that_goes_away_leaves_the_others_their_own_files(opened: Repository) -> None:
    snapshot = tree(opened)
    next(snapshot.read_many([str(number) for number in range(MANY)]))

    assert snapshot.read("42") == b"42"


@pytest.mark.slow
def test_two_readers_take_turns(opened: Repository) -> None:
    snapshot = tree(opened)
    up, down = ([str(n) for n in numbers] for numbers in (range(MANY), range(MANY - 1, -1, -1)))
    pairs = zip(snapshot.read_many(up), snapshot.read_many(down), strict=True)

    assert all(one[1] == one[0].encode() and two[1] == two[0].encode() for one, two in pairs)


@pytest.mark.slow
def test_file_over_the_limit_is_an_error_of_its_own(opened: Repository) -> None:
    (_, first), (_, second) = tree(opened).read_many(["big", "7"], limit=100)

    assert (str(first), second) == ("is larger than 100 bytes (1000000)", b"7")


@pytest.mark.slow
def test_file_of_exactly_the_limit_is_read(opened: Repository) -> None:
    assert len(tree(opened).read("big", limit=1_000_000)) == 1_000_000


@pytest.mark.slow
def test_start_of_a_file_does_not_disturb_the_next(opened: Repository) -> None:
    oid = tree(opened).entries["big"].oid

    assert (opened.start_of(oid, 10), tree(opened).read("7")) == ((1_000_000, b"0123456789"), b"7")


@pytest.mark.slow
def test_object_that_is_not_here_is_an_error(opened: Repository) -> None:
    with pytest.raises(GitError, match="is missing from this repository"):
        opened.start_of("1" * 40, 10)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["nowhere", "folder", "../7", "./7", "7/", "folder/", "", "7 ", "a\nb"])
def test_what_is_no_file_of_the_tree_is_not_found(opened: Repository, path: str) -> None:
    assert (tree(opened).find(path), opened.index.find(path)) == (None, None)


@pytest.mark.slow
def test_found_file_over_the_limit_is_unreadable(opened: Repository) -> None:
    with pytest.raises(Unreadable, match="is larger than 5 bytes"):
        tree(opened).find("big", limit=5)


@pytest.mark.slow
def test_file_is_found_without_listing_the_tree(opened: Repository) -> None:
    snapshot = tree(opened)

    assert (snapshot.find("7"), "entries" in vars(snapshot)) == (b"7", False)


@pytest.mark.slow
def test_closing_in_the_middle_of_a_list_ends_git(opened: Repository) -> None:
    next(tree(opened).read_many(["big"] * MANY))
    opened.close()

    assert opened.blobs.resolve("HEAD^{commit}") is not None


@pytest.mark.slow
def test_kind_says_what_an_object_is(opened: Repository) -> None:
    found = [opened.kind(name) for name in ("HEAD", "HEAD^{tree}", "HEAD:7", "1" * 40)]

    assert found == ["commit", "tree", "blob", None]


# Which documents mention a name


@pytest.mark.slow
def test_hidden_document_is_searched_too(opened: Repository, repo: Repo) -> None:
    repo.write(".gitattributes", "*.md -diff\n")

    assert tree(opened).mentioning(["a/name"]) == {"folder/README.md"}


@pytest.mark.slow
def test_search_takes_names_literally(opened: Repository) -> None:
    assert tree(opened).mentioning(["a.name", "-e", ".*", "", "x\ny"]) == frozenset()


@pytest.mark.slow
def test_search_for_very_many_names_returns_whatever_may_mention_one(opened: Repository) -> None:
    names = [f"{'long' * 30}/{number}" for number in range(50_000)]

    assert opened.index.mentioning(names) == set(opened.index.entries)


@pytest.mark.slow
def test_search_for_nothing_finds_nothing(opened: Repository) -> None:
    assert opened.index.mentioning([]) == frozenset()
