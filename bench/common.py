"""What the benchmarks share: timing whole programs in alternation, counting instructions, and rows of the table.

`BENCH_ORCHGATE=PATH` measures another program than that of this environment; `BENCH_BASE=PATH` is a second one (or its
environment), which takes turns with it; `BENCH_REAL=FOLDER` names a clone of Kbediako/CO. `TMPDIR=/dev/shm` keeps the
disk out of what is measured.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# The console script of the environment that runs the benchmark, so that what is measured is what users start.
ORCHGATE = os.environ.get("BENCH_ORCHGATE") or str(Path(sys.executable).with_name("orchgate"))
PYTHON = str(Path(ORCHGATE).with_name("python"))
REAL = os.environ.get("BENCH_REAL", "")
SENTENCE = "the run was measured again after each change and its numbers stand beside the old ones"
WORDS = SENTENCE.split()


# What a hook or CI exports, what would make every start compile the program anew, and what would keep a cache away.
DROPPED = ("GIT_", "PRE_COMMIT", "CI", "GITHUB_", "PYTHONDONTWRITEBYTECODE", "ORCHGATE_NO_CACHE")
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
COLLECTED = re.compile(rb"Collected : (\d+)")


class Row(NamedTuple):
    """One line of the table; `met` is None where a figure has no limit, or where an input is missing."""

    what: str
    figure: str
    limit: str = ""
    met: bool | None = None


class Bench(NamedTuple):
    """Rows that are made together, by the name that selects them; those with `limit` make up the table of limits.

    A module lists its own as `BENCHES`; one that has only `rows` is a single one, named after the module.
    """

    name: str
    rows: Callable[[], Iterable[Row]]
    limit: bool = False


class Cost(NamedTuple):
    """Medians over several runs of one program: wall seconds and CPU seconds of the whole process tree."""

    wall: float
    cpu: float
    code: int
    walls: tuple[float, ...] = ()
    cpus: tuple[float, ...] = ()


def missing(what: str, why: str, limit: str = "") -> Row:
    """A row whose input is not here: it says so, and does not vanish."""
    return Row(what, f"input missing: {why}", limit)


def base() -> str:
    """The program to compare with, or nothing."""
    path = os.environ.get("BENCH_BASE", "")
    return os.path.join(path, "bin", "orchgate") if os.path.isdir(path) else path


def environment() -> dict[str, str]:
    """A hermetic environment: no user's git settings, nothing inherited from a hook or CI."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "b"), ("EMAIL", "b@b"))
    }
    return {**kept, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def cost(argv: Sequence[str], cwd: Path | str = ".", times: int = 7, before: Callable[[], None] | None = None) -> Cost:
    """Runs a program several times, one warm-up first; output is thrown away."""
    return costs([argv], cwd, times, before)[0]


def costs(
    argvs: Sequence[Sequence[str]], cwd: Path | str = ".", times: int = 7, before: Callable[[], None] | None = None
) -> list[Cost]:
    """Several programs in turn, so that what else the machine does meets all of them alike; a warm-up each first."""
    found: list[list[tuple[float, float, int]]] = [[] for _ in argvs]
    for round_ in range(times + 1):
        for one, argv in enumerate(argvs):
            if before:
                before()
            spent = _spent(argv, cwd)
            if round_:
                found[one].append(spent)
    return [_cost(runs) for runs in found]


def _spent(argv: Sequence[str], cwd: Path | str) -> tuple[float, float, int]:
    before, start = children(), time.perf_counter()
    code = subprocess.run(argv, cwd=cwd, env=environment(), **QUIET, check=False).returncode
    return time.perf_counter() - start, children() - before, code


def children() -> float:
    """CPU seconds of everything that was started here and has ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _cost(runs: list[tuple[float, float, int]]) -> Cost:
    walls, cpus, codes = zip(*runs, strict=True)
    return Cost(statistics.median(walls), statistics.median(cpus), codes[-1], walls, cpus)


def spread(values: Sequence[float], unit: str = "ms", scale: float = 1000) -> str:
    """The median of all rounds, and between what the middle half of them lies: `92 ms (90-97)`."""
    middle = statistics.median(values)
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (middle,) * 3
    digits = 2 if middle * scale < 10 else 0
    return f"{middle * scale:,.{digits}f} {unit} ({low * scale:,.{digits}f}-{high * scale:,.{digits}f})"


def against_base(
    what: str, args: Sequence[str], cwd: Path, times: int = 15, before: Callable[[], None] | None = None
) -> Iterator[Row]:
    """This program and the one of BENCH_BASE with the same arguments: CPU of each, ratio by ratio, and instructions."""
    if not (other := base()):
        return
    old, new = costs([[other, *args], [ORCHGATE, *args]], cwd, times, before)
    ratios = [mine / theirs for mine, theirs in zip(new.cpus, old.cpus, strict=True)]
    yield Row(f"{what} to the base, CPU", spread(ratios, "x", 1), f"{old.cpu * 1000:.0f} ms there")
    mine, theirs = (instructions([program, *args], cwd, before) for program in (ORCHGATE, other))
    if mine is None or theirs is None:
        yield missing(f"{what} to the base, instructions", "valgrind")
    else:
        yield Row(f"{what} to the base, instructions", f"{mine / theirs:.3f} x", f"{theirs / 1e6:,.0f} M there")


def instructions(argv: Sequence[str], cwd: Path | str = ".", before: Callable[[], None] | None = None) -> int | None:
    """What a Python program executes, git's own aside, nearly the same each time; None without valgrind."""
    if not shutil.which("valgrind"):
        return None
    subprocess.run(argv, cwd=cwd, env=environment(), capture_output=True, check=False)  # compiled from here on
    if before:
        before()
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *argv]
    done = subprocess.run(
        command, cwd=cwd, env={**environment(), "PYTHONHASHSEED": "0"}, capture_output=True, check=False
    )
    return sum(map(int, COLLECTED.findall(done.stderr))) or None


def instructions_row(
    what: str, argv: Sequence[str], cwd: Path | str = ".", before: Callable[[], None] | None = None
) -> Row:
    """Beside what a bare Python executes."""
    mine, bare = instructions(argv, cwd, before), instructions([PYTHON, "-c", "pass"], cwd)
    if mine is None or bare is None:
        return missing(f"{what} instructions", "valgrind")
    return Row(f"{what} instructions", f"{mine / 1e6:,.0f} M, {mine / bare:.1f} x python")


def git(cwd: Path | str, *args: str) -> None:
    subprocess.run(["git", *args], cwd=cwd, env=environment(), check=True, stdout=subprocess.DEVNULL)


def git_processes(argv: list[str], cwd: Path) -> int:
    """How many git processes a program starts, by git's own trace."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            argv, cwd=cwd, env={**environment(), "GIT_TRACE2_EVENT": folder}, stdout=subprocess.DEVNULL, check=False
        )
        return len(os.listdir(folder))


def peak(argv: Sequence[str], cwd: Path | str = ".") -> tuple[float, int]:
    """Wall seconds of one run, and the most memory that the program or one that it started took, in bytes."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == 'darwin' else 1024))"
    )
    start = time.perf_counter()
    done = subprocess.run([PYTHON, "-c", script, *argv], cwd=cwd, env=environment(), stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - start, int(done.stdout)


def own_memory(argv: list[str], cwd: Path) -> int:
    """The most that a program itself held, in bytes. What git maps of packs is the system's and not counted."""
    child = subprocess.Popen(argv, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL)
    most = 0
    while child.poll() is None:
        with contextlib.suppress(OSError):
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{child.pid}/status").read_text())
            most = max(most, int(found[1]) * 1024 if found else 0)
        time.sleep(0.002)
    return most


def most_memory(argv: list[str], cwd: Path) -> int:
    """The most that a program and its children held at one time, in bytes; shared pages count for each."""
    child = subprocess.Popen(argv, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL)
    most = 0
    while child.poll() is None:
        most = max(most, sum(_resident(pid) for pid in _family(child.pid)))
        time.sleep(0.002)
    return most


def _family(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


@contextlib.contextmanager
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


def import_stream(root: Path, stream: str) -> None:
    """Objects and refs in one go: `git add` of so many files would take longer than what is measured."""
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force"], cwd=root, env=environment(), input=stream.encode(), check=True
    )


def prose(sentences: int, seed: int) -> str:
    """Text that is different for every seed and compresses like prose."""
    return " ".join(
        " ".join(WORDS[(seed * 7 + n * 3 + i) % len(WORDS)] for i in range(12)) + "." for n in range(sentences)
    )


def main(rows: Callable[[], Iterable[Row]]) -> None:
    """Prints a benchmark's own rows."""
    for row in rows():
        print(line(row), flush=True)


def line(row: Row) -> str:
    mark = {True: "met", False: "MISSED", None: ""}[row.met]
    return f"{row.what:<66} {row.figure:>28}   {row.limit:<34} {mark}".rstrip()


def exponent(small: float, large: float, times: float) -> float:
    """1 is linear, 2 a square, 0 flat."""
    import math

    return math.log(large / small) / math.log(times) if small > 0 and large > 0 else math.nan
