"""What the evidence lock costs: pinning many artifacts, and judging pinned links where the artifacts are not."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from common import ORCHGATE, Row, commit, cost, environment, exponent, git, main, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARTIFACTS = 1000
BYTES = 50_000
LINKS = 200
TASK = "0001-bench"
PIN = [ORCHGATE, "evidence", "pin"]
STAGED = [ORCHGATE, "check", "--staged"]
LOCKS = (1_000, 10_000, 100_000)
MANY = int(os.environ.get("BENCH_ARTIFACTS", "100000"))
ROUNDS = 3
CHECK = [ORCHGATE, "check", "evidence", "--all-files"]


def rows() -> Iterator[Row]:
    with scratch() as root:
        yield pinning(root)
    with scratch() as root:
        yield judging(root)
    yield from beside_a_lock()
    with scratch() as root:
        yield from pinned(root)
    with scratch() as root:
        yield fetching(root)


def pinning(root: Path) -> Row:
    """Of every artifact anew, a fifth of them manifests; whole process."""
    paths = [_artifact(root, number, BYTES) for number in range(ARTIFACTS)]
    _document(root, paths)
    used = cost([*PIN, "--yes"], root, times=7, before=lambda: shutil.rmtree(root / ".orchgate", ignore_errors=True))
    assert used.code == 0
    what = f"pin {ARTIFACTS:,} artifacts, {ARTIFACTS * BYTES / 1e6:.0f} MB, whole process"
    return Row(what, f"{used.wall * 1000:.0f} ms", "1,000 ms", used.wall <= 1.0)


def beside_a_lock() -> Iterator[Row]:
    """A commit beside locks of several sizes that were read before."""
    first = last = 0.0
    for number in LOCKS:
        with scratch() as root:
            pins = [
                {"path": f".runs/{TASK}/cli/run-{at // 50:06d}/{at % 50:02d}.log", "sha256": f"{at:064x}", "size": at}
                for at in range(number)
            ]
            lines = sorted(json.dumps(pin) for pin in pins)
            write(root, ".orchgate/evidence.lock", "\n".join(['{"evidence-lock": 1}', *lines, ""]))
            cited = [str(pin["path"]) for pin in pins[:: number // 20]]
            _document(root, cited)
            write(root, f"tasks/tasks-{TASK}.md", (root / f"tasks/tasks-{TASK}.md").read_text() + "\nMore.\n")
            git(root, "add", "--all")
            used = cost(STAGED, root, times=9)
            peak = _peak(STAGED, root)
        first, last = first or used.cpu, used.cpu
        figure = f"{used.cpu * 1000:.0f} ms of CPU, {peak:.0f} MB"
        met = used.cpu <= 1.5 * first and peak <= 40
        yield Row(f"check --staged beside a lock of {number:,} entries", figure, f"1.5 x {LOCKS[0]:,}, 40 MB", met)
    grown = exponent(first, last, LOCKS[-1] / LOCKS[0])
    yield Row(f"growth, entries of a lock: {LOCKS[0]:,} and {LOCKS[-1]:,}", f"{grown:.2f}", "<= 0.1", grown <= 0.1)


# A child's memory counts from before it becomes the program, when it is still that of who starts it.
PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def _peak(argv: list[str], root: Path) -> float:
    """MB of a program at its largest."""
    started = [sys.executable, "-S", "-c", PEAK, *argv]
    told = subprocess.run(started, cwd=root, env=environment(), capture_output=True, check=True)
    return int(told.stdout) / 1024


def pinned(root: Path) -> Iterator[Row]:
    """Artifacts that lie there for a while: pinned again, verified, and one of them changed by a commit."""
    for at in range(MANY):
        write(root, f".runs/{TASK}/cli/run-{at // 100:06d}/{at % 100:02d}.log", f"log {at}\n")
    _document(root, [f".runs/{TASK}/cli/run-{at:06d}/" for at in range(MANY // 100)])
    time.sleep(4)
    cost([*PIN, "--yes"], root, times=1)
    used = cost(PIN, root, times=3)
    assert used.code == 0
    what = f"pin again with nothing new, {MANY:,} entries: CPU"
    yield Row(what, f"{used.cpu:.2f} s", "1.5 s", used.cpu <= 1.5)
    used = cost([ORCHGATE, "evidence", "verify"], root, times=3)
    assert used.code == 0
    yield Row("  verify them: CPU", f"{used.cpu:.2f} s")
    commit(root, "pinned")
    write(root, f".runs/{TASK}/cli/run-000000/00.log", "another\n")
    cost([*PIN, "--yes"], root, times=1)
    git(root, "add", "--all")
    cache = root / ".git/orchgate/cache"
    first = cost(STAGED, root, times=3, before=lambda: shutil.rmtree(cache, ignore_errors=True))
    again = cost(STAGED, root, times=3)
    figure = f"{again.cpu:.2f} s, {first.cpu:.2f} s with nothing kept"
    yield Row("  check --staged of a change to their lock: CPU", figure)


def fetching(root: Path) -> Row:
    """What was pushed is fetched, in turn."""
    paths = [_artifact(root, number, 2000) for number in range(ARTIFACTS)]
    _document(root, paths)
    cost([*PIN, "--yes"], root, times=1)
    commit(root, "pinned")
    pushed, fetched = [], []
    for number in range(ROUNDS):
        remote, clone = root / f"../{root.name}-{number}.git", root / f"../{root.name}-{number}"
        git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
        git(root, "remote", "add", "origin", str(remote))
        git(root, "push", "--quiet", "origin", "main")
        pushed.append(_once([ORCHGATE, "evidence", "push"], root))
        git(root, "clone", "--quiet", str(remote), str(clone))
        fetched.append(_once([ORCHGATE, "evidence", "fetch"], clone))
        git(root, "remote", "remove", "origin")
        git(root, "update-ref", "-d", "refs/orchgate/evidence")
        shutil.rmtree(clone)
        shutil.rmtree(remote)
    ratio = statistics.median(fetched) / statistics.median(pushed)
    return Row(f"evidence fetch of {ARTIFACTS:,} artifacts, to push: wall", f"{ratio:.2f} x", "1 x", ratio <= 1.0)


def _once(argv: list[str], root: Path) -> float:
    start = time.perf_counter()
    subprocess.run(argv, cwd=root, env=environment(), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def judging(root: Path) -> Row:
    paths = [_artifact(root, number, 5000) for number in range(LINKS)]
    _document(root, paths)
    cost([*PIN, "--yes"], root, times=1)
    shutil.rmtree(root / ".runs")
    commit(root, "pinned")
    used = cost(CHECK, root, times=15)
    assert used.code == 0, "a clean clone must pass"
    what = f"evidence check of {LINKS} pinned links on a clean clone, whole process"
    # A neighbour on the machine makes everything wait: what the limit is about is what the check itself takes.
    return Row(what, f"{used.wall * 1000:.0f} ms, {used.cpu * 1000:.0f} of CPU", "150 ms", used.wall <= 0.150)


def _artifact(root: Path, number: int, size: int) -> str:
    run = f".runs/{TASK}/cli/2026-01-06T09-26-{number // 5 % 60:02d}-{number // 300:03d}Z-{number // 5:08x}"
    if number % 5 == 0:
        path = f"{run}/manifest.json"
        head = f'{{\n  "task_id": "{TASK}",\n  "pipeline_id": "bench",\n  "status": "succeeded",\n  "summary": "'
        write(root, path, head + "x" * size + '"\n}\n')
    else:
        path = f"{run}/stages/{number % 5:02d}-log.log"
        write(root, path, os.urandom(size // 2).hex())
    return path


def _document(root: Path, paths: list[str]) -> None:
    write(root, ".gitignore", "/.runs/\n")
    items = "".join(f"- [x] Step {number} - Evidence: `{path}`\n" for number, path in enumerate(paths))
    write(root, "docs/PRD-bench.md", "# PRD\n")
    write(root, f"tasks/tasks-{TASK}.md", f"# Task {TASK}\n\n{items}")
    commit(root, "start")


if __name__ == "__main__":
    main(rows)
