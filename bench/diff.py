"""The diff budget of a change of a million lines, against `git diff` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import ORCHGATE, Row, commit, cost, git, main, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = 200
LINES = 2500  # in each file half the lines change: removed and added, a million altogether


def rows() -> Iterator[Row]:
    with scratch() as root:
        _fill(root)
        alone = cost(["git", "diff", "--cached"], root, times=5)
        budget = cost([ORCHGATE, "check", "diff-budget", "--staged"], root, times=5)
        assert budget.code == 1, "a million lines are over budget"
    ratio = budget.wall / alone.wall
    figure = f"{budget.wall:.2f} s, {ratio:.2f} x {alone.wall:.2f} s"
    yield Row("diff budget of a 1,000,000-line diff", figure, "1.6 x git diff alone", ratio <= 1.6)


def _fill(root: Path) -> None:
    for number in range(FILES):
        write(root, f"data/{number}.txt", "".join(f"{number} {n} before\n" for n in range(LINES)))
    commit(root, "Start")
    for number in range(FILES):
        write(root, f"data/{number}.txt", "".join(f"{number} {n} after\n" for n in range(LINES)))
    git(root, "add", "--all")


if __name__ == "__main__":
    main(rows)
