"""Which commits the trends of a repository follow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.git.repository import open_repository
from orchgate.trends import commits
from tests.repo import clone, init
from tests.trending import commits as committed

if TYPE_CHECKING:
    from pathlib import Path

    from orchgate.trends.streams import CommitLine
    from tests.repo import Repo


def line_of(repo: Repo) -> CommitLine | None:
    with open_repository(str(repo.root), os.environ) as repository:
        return commits.main_line(repository)


def test_a_line_is_that_of_first_parents(repo: Repo) -> None:
    first = repo.commit("first")
    repo.git("checkout", "--quiet", "-b", "side")
    side = repo.commit("side")
    repo.git("checkout", "--quiet", "main")
    second = repo.commit("second")
    repo.git("merge", "--quiet", "--no-ff", "-m", "merge", "side")

    line = line_of(repo)

    assert line is not None
    places = line.places
    assert (line.name, places[first] < places[second] < places[repo.git("rev-parse", "HEAD")]) == ("main", True)
    assert side not in places
    assert (line.between(first, second), line.between(first, side), line.between(None, second)) == (1, None, None)


def test_the_default_branch_is_followed_unless_what_is_checked_out_is_ahead_of_it(repo: Repo, tmp_path: Path) -> None:
    repo.commit("first")
    committed(repo, 3)
    other = clone(repo, tmp_path / "other")

    ahead = committed(other, 2, branch="main")
    line = line_of(other)
    assert line is not None
    assert (line.name, ahead[-1] in line.places) == ("main", True)

    other.git("checkout", "--quiet", "-b", "topic", "origin/main~1")
    behind = other.commit("topic")
    line = line_of(other)
    assert line is not None
    assert (line.name, behind in line.places, len(line.places)) == ("origin/main", False, 4)


def test_where_not_all_commits_are_here_there_is_no_line(repo: Repo, tmp_path: Path) -> None:
    repo.commit("first")
    committed(repo, 3)
    cut = tmp_path / "cut"
    repo.git("clone", "--quiet", "--depth", "1", f"file://{repo.root}", str(cut))

    assert line_of(type(repo)(cut)) is None
    assert line_of(init(tmp_path / "unborn")) is None


def test_a_commit_is_called_by_the_tag_that_it_has_behind_it(repo: Repo) -> None:
    start = repo.commit("first")
    repo.git("tag", "v1.2")
    after = repo.commit("second")

    with open_repository(str(repo.root), os.environ) as repository:
        assert commits.described(repository, start) == "v1.2"
        assert commits.described(repository, after).startswith("v1.2-1-g")
        assert commits.described(repository, "e" * 40) == ""
    repo.git("tag", "-d", "v1.2")
    with open_repository(str(repo.root), os.environ) as repository:
        assert commits.described(repository, after) == ""
