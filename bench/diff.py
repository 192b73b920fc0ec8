"""The diff budget of a change of a million lines and of ten, against `git diff` alone, in turn."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from common import ORCHGATE, Bench, Row, commit, costs, git, main, scratch, spread, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINES = 2500  # in each file half the lines change: removed and added, 5,000 to a file
ALONE = ["git", "diff", "--cached"]
BUDGET = [ORCHGATE, "check", "diff-budget", "--staged"]


def budget(files: int, times: int) -> Iterator[Row]:
    with scratch() as root:
        fill(root, files)
        alone, mine = costs([ALONE, BUDGET], root, times)
        assert mine.code == 1, "so many lines are over budget"
    ratios = [one / other for one, other in zip(mine.cpus, alone.cpus, strict=True)]
    figure = f"{mine.cpu:.2f} s, {spread(ratios, 'x', 1)}"
    met = mine.cpu <= alone.cpu
    yield Row(f"diff budget of {files * LINES * 2:,} lines: CPU", figure, f"1 x git diff alone, {alone.cpu:.2f} s", met)


def fill(root: Path, files: int) -> None:
    for word in ("before", "after"):
        for number in range(files):
            write(root, f"data/{number}.txt", "".join(f"{number} {n} {word}\n" for n in range(LINES)))
        if word == "before":
            commit(root, "Start")
    git(root, "add", "--all")


BENCHES = (
    Bench("diff-budget", partial(budget, 200, 7), limit=True),
    Bench("diff-budget-10M", partial(budget, 2000, 3), limit=True),
)

if __name__ == "__main__":
    main(lambda: (row for bench in BENCHES for row in bench.rows()))
