"""What the benchmarks share: timing whole programs, repositories of a given size, and rows of the table."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The console script of the environment that runs the benchmark, so that what is measured is what users start.
ORCHGATE = os.environ.get("BENCH_ORCHGATE") or str(Path(sys.executable).with_name("orchgate"))
SENTENCE = "the run was measured again after each change and its numbers stand beside the old ones"
WORDS = SENTENCE.split()


# What a hook or CI exports, and what would make every start compile the program anew.
DROPPED = ("GIT_", "PRE_COMMIT", "CI", "GITHUB_", "PYTHONDONTWRITEBYTECODE")


class Row(NamedTuple):
    """One line of the table; `met` is None where a figure has no limit."""

    what: str
    figure: str
    limit: str
    met: bool | None


class Cost(NamedTuple):
    """Medians over several runs of one program: wall seconds and CPU seconds of the whole process tree."""

    wall: float
    cpu: float
    code: int


def environment() -> dict[str, str]:
    """A hermetic environment: no user's git settings, nothing inherited from a hook or CI."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "b"), ("EMAIL", "b@b"))
    }
    return {**kept, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def cost(argv: list[str], cwd: Path | str = ".", times: int = 7, before: Callable[[], None] | None = None) -> Cost:
    """Runs a program several times, one warm-up first; output is thrown away."""
    walls, cpus, code = [], [], 0
    for round_ in range(times + 1):
        if before:
            before()
        usage, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        code = subprocess.run(argv, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL, check=False).returncode
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if round_:
            walls.append(wall)
            cpus.append(after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime)
    return Cost(statistics.median(walls), statistics.median(cpus), code)


def git(cwd: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=cwd, env=environment(), check=True, stdout=subprocess.DEVNULL)


def git_processes(argv: list[str], cwd: Path) -> int:
    """How many git processes a program starts, by git's own trace."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            argv, cwd=cwd, env={**environment(), "GIT_TRACE2_EVENT": folder}, stdout=subprocess.DEVNULL, check=False
        )
        return len(os.listdir(folder))


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty repository on branch main in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="orchgate-bench-") as folder:
        root = Path(folder)
        git(root, "init", "--quiet", "--initial-branch=main")
        yield root


def write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def commit(root: Path, message: str) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", message)


def prose(sentences: int, seed: int) -> str:
    """Text that is different for every seed and compresses like prose."""
    return " ".join(
        " ".join(WORDS[(seed * 7 + n * 3 + i) % len(WORDS)] for i in range(12)) + "." for n in range(sentences)
    )


def main(rows: Callable[[], Iterator[Row]]) -> None:
    """Prints a benchmark's own rows."""
    for row in rows():
        print(line(row), flush=True)


def line(row: Row) -> str:
    mark = {True: "met", False: "MISSED", None: ""}[row.met]
    return f"{row.what:<66} {row.figure:>28}   {row.limit:<34} {mark}"
