"""The commit path: five documents of five packets changed, in the made repository and in a clone of the real one.

`python bench/staged.py [CLONE]`, or BENCH_REAL=CLONE: https://github.com/Kbediako/CO
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import shapes
from common import (
    ORCHGATE,
    PYTHON,
    REAL,
    Bench,
    Row,
    against_base,
    cost,
    costs,
    git,
    git_processes,
    instructions_row,
    main,
    missing,
    own_memory,
    scratch,
    spread,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARGS = ["check", "--staged"]
COMMAND = [ORCHGATE, *ARGS]
MILLISECONDS, TIMES_PYTHON, PROCESSES, BYTES = 75, 7, 6, 40_000_000
WHAT = "check --staged, 5 documents"


def made() -> Iterator[Row]:
    with scratch() as root:
        changed = shapes.change(root, shapes.checked_out(root))
        yield from measured(root, changed, f"{WHAT}, made repository")


def real(clone: str = REAL) -> Iterator[Row]:
    what = f"{WHAT}, Kbediako/CO"
    if not clone:
        yield missing(what, "BENCH_REAL names no clone", f"{MILLISECONDS} ms")
        return
    with scratch() as root:
        yield from measured(root, cloned(root, clone), what)


def small() -> Iterator[Row]:
    """What no repository is too small for."""
    with scratch() as root:
        write(root, "README.md", "# Read me\n")
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "-m", "start")
        shapes.stage_a_line(root, ["README.md"])
        yield from measured(root, ["README.md"], "check --staged, 1 document, repository of 1 file", limited=False)


def cloned(root: Path, clone: str, revision: str = "HEAD") -> list[str]:
    """The real repository with its profile, and five documents that stand far from each other, changed."""
    objects, head = (_said(clone, "rev-parse", *words)[0] for words in (("--git-path", "objects"), (revision,)))
    write(root, ".git/objects/info/alternates", os.path.abspath(os.path.join(clone, objects)) + "\n")
    git(root, "reset", "--quiet", "--hard", head)
    write(root, "orchgate.toml", shapes.CONFIG)
    git(root, "add", "orchgate.toml")
    git(root, "commit", "--quiet", "-m", "adopt")
    paths = _said(root, "ls-files", "docs/PRD-*", "docs/TECH_SPEC-*", "docs/ACTION_PLAN-*")
    changed = [paths[len(paths) * sixth // 6] for sixth in range(1, 6)]
    shapes.stage_a_line(root, changed)
    return changed


def _said(cwd: Path | str, *args: str) -> list[str]:
    return subprocess.run(["git", *args], cwd=cwd, capture_output=True, check=True, text=True).stdout.splitlines()


def measured(root: Path, changed: list[str], what: str, *, limited: bool = True) -> Iterator[Row]:
    """Each round changes the documents once more: a verdict that is kept for the very same change helps nobody."""

    def again() -> None:
        shapes.stage_a_line(root, changed)

    mine, bare = costs([COMMAND, [PYTHON, "-c", "pass"]], root, 15, again)
    assert mine.code in (0, 1), "the change must be judged; reviews of the real documents run out one day"
    ratio = mine.cpu / bare.cpu
    limit = f"{MILLISECONDS} ms, {TIMES_PYTHON} x python" if limited else ""
    met = (mine.cpu <= MILLISECONDS / 1000 and ratio <= TIMES_PYTHON) if limited else None
    yield Row(f"{what}: CPU", f"{spread(mine.cpus)}, {ratio:.1f} x", limit, met)
    yield Row("  wall", f"{spread(mine.walls)}, {mine.wall / bare.wall:.1f} x")
    processes = git_processes(COMMAND, root)
    yield Row("  git processes", str(processes), str(PROCESSES), processes <= PROCESSES)
    memory = own_memory(COMMAND, root)
    yield Row("  memory", f"{memory / 1e6:.0f} MB", f"{BYTES / 1e6:.0f} MB", memory <= BYTES)
    yield instructions_row(" ", COMMAND, root, again)
    first = cost(COMMAND, root, 5, lambda: shutil.rmtree(root / ".git" / "orchgate", ignore_errors=True))
    yield Row("  CPU of the first check of a clone", spread(first.cpus))
    yield from against_base(" ", ARGS, root, before=again)


def older() -> Iterator[Row]:
    """What it adds to judge the base, too: of documents with 200 old findings."""
    with scratch() as root:
        packets = shapes.checked_out(root)
        paths = [packet.documents["prd"] for packet in packets if not packet.archived][:5]
        for path in paths:
            with (root / path).open("a") as file:
                file.writelines(f"- [gone {number}](gone-{number}.md)\n" for number in range(40))
        git(root, "commit", "--quiet", "--all", "-m", "Old")
        shapes.stage_a_line(root, paths)
        used, strict = costs([COMMAND, [*COMMAND, "--strict"]], root, times=15)
        assert (used.code, strict.code) == (0, 1), "what is older refuses the change only where it is asked to"
    ratio = used.cpu / strict.cpu
    yield Row(f"{WHAT} with 200 older findings, to --strict: CPU", f"{ratio:.2f} x", "2 x", ratio <= 2)


def rows(clone: str = REAL) -> Iterator[Row]:
    yield from made()
    yield from real(clone)
    yield from small()
    yield from older()


BENCHES = (
    Bench("staged", made, limit=True),
    Bench("staged-real", real, limit=True),
    Bench("staged-small", small),
    Bench("staged-older", older),
)

if __name__ == "__main__":
    main(lambda: rows(*sys.argv[1:2]))
