"""Pushes of many refs, with trees of their own and with one tree: CPU and memory as they grow; and cold work trees."""

from __future__ import annotations

import math
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from common import ORCHGATE, Row, commit, environment, git, import_stream, main, prose, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFS = (1, 10, 100, 300)
DOCUMENTS = 1000
FILES = int(os.environ.get("BENCH_FILES", "70000"))
ROUNDS = 3
MEGABYTES = 40
# Started by this process, it would never have taken less memory than this process has.
PUSH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
spent = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, spent.ru_utime + spent.ru_stime, spent.ru_maxrss)
"""
TREE = """
import os, sys
from orchgate.git.repository import open_repository
from orchgate.git.worktree_cache import checkout
repository = open_repository(os.getcwd(), os.environ)
with checkout(repository, repository.head, "", os.environ):
    os._exit(0)
"""


class Spent(NamedTuple):
    cpu: float  # seconds of our process and its children
    rss: float  # MB of our process at its largest
    wall: float


def rows() -> Iterator[Row]:
    each: dict[str, float] = {}
    with scratch() as root:
        _branches(root, max(REFS))
        for what, name in (("trees of their own", "own"), ("one tree", "same")):
            found = {number: _push(root, name, number) for number in REFS}
            yield from _growth(what, found)
            each[name] = (found[REFS[-2]].cpu - found[1].cpu) / (REFS[-2] - 1)
        figure = (
            f"{each['same'] * 1000:.1f} ms of CPU, {each['same'] / each['own']:.2f} x of one with a tree of its own"
        )
        yield Row("a ref more whose tree was judged", figure, "nothing", None)
    yield from _work_trees()


def _branches(root: Path, number: int) -> None:
    for at in range(DOCUMENTS):
        write(root, f"docs/note-{at}.md", f"# Note {at}\n\n{prose(20, at)}\n")
    commit(root, "Start")
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    parts = []
    for at in range(number):
        for name, text in (("own", f"# Note\n\n{at}\n"), ("same", "# Note\n")):
            parts.append(
                f"commit refs/heads/{name}{at}\ncommitter b <b@b> {1_700_000_000 + at} +0000\n"
                f"data {len(str(at))}\n{at}\nfrom refs/heads/main^0\n"
                f"M 100644 inline docs/note-{at % DOCUMENTS if name == 'own' else 0}.md\ndata {len(text)}\n{text}\n"
            )
    import_stream(root, "".join(parts))


def _push(root: Path, name: str, number: int) -> Spent:
    asked = ["git", "for-each-ref", "--format=%(objectname) %(refname)", f"refs/heads/{name}*"]
    listed = subprocess.run(asked, cwd=root, capture_output=True, check=True, text=True).stdout.splitlines()[:number]
    refs = (line.split() for line in listed)
    told = "".join(f"{ref} {oid} {ref} {'0' * 40}\n" for oid, ref in refs).encode()
    start = time.perf_counter()
    argv = [sys.executable, "-c", PUSH, ORCHGATE, "hook", "pre-push", "origin", "url"]
    done = subprocess.run(argv, cwd=root, env=environment(), input=told, stdout=subprocess.PIPE, check=True)
    code, cpu, rss = done.stdout.split()
    assert int(code) in (0, 1), int(code)
    return Spent(float(cpu), int(rss) / 1024, time.perf_counter() - start)


def _growth(what: str, found: dict[int, Spent]) -> Iterator[Row]:
    start = found[1].cpu
    for number, spent in found.items():
        figure = f"{spent.cpu:.2f} s of CPU, {spent.rss:.0f} MB"
        limited = number >= 100
        limit = f"{MEGABYTES} MB" if limited else ""
        yield Row(f"push of {number} refs, {what}", figure, limit, spent.rss <= MEGABYTES if limited else None)
    small, large = (found[number].cpu - start for number in (REFS[-2], REFS[-1]))
    exponent = math.log(large / small) / math.log(REFS[-1] / REFS[-2])
    each = f"{small / (REFS[-2] - 1) * 1000:.0f} ms a ref"
    yield Row(f"push of many refs, {what}: growth", f"n^{exponent:.2f}, {each}", "n^1.1", exponent <= 1.1)


def _work_trees() -> Iterator[Row]:
    """A work tree that was never made, in turn with git's own."""
    with scratch() as root:
        parts = ["commit refs/heads/main\ncommitter b <b@b> 1700000000 +0000\ndata 1\ns\n"]
        for at in range(FILES):
            text = f"VALUE = {at}\n" * 20
            parts.append(f"M 100644 inline src/part{at % 97}/module_{at}.py\ndata {len(text)}\n{text}\n")
        import_stream(root, "".join(parts))
        trees, ours, theirs = root / ".git" / "trees", list[Spent](), list[Spent]()
        # Nothing is removed meanwhile: for half a minute ext4 looks at every file that was, before it makes a new one.
        for number in range(ROUNDS):
            add = ["git", "worktree", "add", "--quiet", "--detach", str(trees / f"git-{number}"), "main"]
            theirs.append(_spent(root, add, trees))
            ours.append(_spent(root, [sys.executable, "-c", TREE], trees / f"ours-{number}"))
    for what, field in (("CPU", "cpu"), ("wall", "wall")):
        ratio = statistics.median(getattr(one, field) for one in ours) / statistics.median(
            getattr(one, field) for one in theirs
        )
        row = f"cold work tree of {FILES:,} files, to git worktree add: {what}"
        yield Row(row, f"{ratio:.2f} x", "1 x", ratio <= 1.0 if what == "wall" else None)


def _spent(root: Path, argv: list[str], trees: Path) -> Spent:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, cwd=root, env={**environment(), "ORCHGATE_TREES": str(trees)}, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 0.0, wall)


if __name__ == "__main__":
    main(rows)
