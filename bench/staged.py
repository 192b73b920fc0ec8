"""The commit path: five changed documents in a repository of 7,000 files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import ORCHGATE, Row, commit, cost, git, git_processes, main, prose, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = 7000
COMMAND = [ORCHGATE, "check", "--staged"]


def rows() -> Iterator[Row]:
    with scratch() as root:
        _fill(root)
        used = cost(COMMAND, root, times=15)
        assert used.code == 0, "the benchmark's change must pass"
        processes = git_processes(COMMAND, root)
    what = f"check --staged, 5 documents changed, {FILES:,} files"
    yield Row(f"{what}: CPU", f"{used.cpu * 1000:.0f} ms", "90 ms", used.cpu <= 0.090)
    yield Row(f"{what}: git processes", str(processes), "6", processes <= 6)


def _fill(root: Path) -> None:
    for number in range(FILES - 1205):
        write(root, f"src/part{number % 97}/module_{number}.py", f"VALUE = {number}\n")
    for number in range(1200):
        write(root, f"docs/notes/note-{number}.md", f"# Note {number}\n\n{prose(20, number)}\n")
    for name in _changed():
        write(root, name, f"# Guide\n\n{prose(40, 1)}\n")
    commit(root, "Start")
    for name in _changed():
        links = "".join(f"- see `src/part{n}/module_{n}.py` and [a note](../notes/note-{n}.md)\n" for n in range(20))
        write(root, name, f"# Guide\n\n{prose(40, 2)}\n\n## Links\n\n{links}")
    git(root, "add", "--all")


def _changed() -> list[str]:
    return [f"docs/guides/guide-{number}.md" for number in range(5)]


if __name__ == "__main__":
    main(rows)
