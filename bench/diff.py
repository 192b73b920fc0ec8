"""The diff budget of a change of a million lines and of ten, against `git diff` alone, in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import ORCHGATE, Bench, Row, commit, costs, exponent, git, main, scratch, spread, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZES = ((200, 7), (2000, 3))  # files, and how often each is measured
LINES = 2500  # in each file half the lines change: removed and added, 5,000 to a file
ALONE = ["git", "diff", "--cached"]
BUDGET = [ORCHGATE, "check", "diff-budget", "--staged"]


def budget() -> Iterator[Row]:
    spent = []
    for files, times in SIZES:
        with scratch() as root:
            fill(root, files)
            alone, mine = costs([ALONE, BUDGET], root, times)
            assert mine.code == 1, "so many lines are over budget"
        ratios = [one / other for one, other in zip(mine.cpus, alone.cpus, strict=True)]
        figure, limit = f"{mine.cpu:.2f} s, {spread(ratios, 'x', 1)}", f"1 x git diff alone, {alone.cpu:.2f} s"
        yield Row(f"diff budget of {files * LINES * 2:,} lines: CPU", figure, limit, mine.cpu <= alone.cpu)
        spent.append(mine.cpu)
    (few, _), (many, _) = SIZES
    grown = exponent(spent[0], spent[1], many / few)
    what = f"growth, lines of a diff: {few * LINES * 2:,} and {many * LINES * 2:,}"
    yield Row(what, f"{grown:.2f}", "<= 1.1", grown <= 1.1)


def fill(root: Path, files: int) -> None:
    for word in ("before", "after"):
        for number in range(files):
            write(root, f"data/{number}.txt", "".join(f"{number} {n} {word}\n" for n in range(LINES)))
        if word == "before":
            commit(root, "Start")
    git(root, "add", "--all")


BENCHES = (Bench("diff-budget", budget, limit=True),)

if __name__ == "__main__":
    main(budget)
