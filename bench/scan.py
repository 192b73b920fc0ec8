"""A scan of many commits: what each costs, how that and the memory grow, and whether two processes say the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from common import ORCHGATE, REAL, Bench, Row, children, environment, exponent, import_stream, main, missing, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMITS = (500, 5000)
GROWTH = 1.1
FLAT = 1.3  # times the memory of a tenth of the commits
REAL_COMMITS = 100  # of the first-parent line, with all that they brought in
FOLDERS, DOCUMENTS = 50, 500


def made(root: Path, number: int) -> None:
    """So many commits of five hundred documents, each of which writes one of them anew."""
    head = 'M 100644 inline "orchgate.toml"\ndata 0\n\n'
    commits = []
    for at in range(number):
        text = f"# Note {at}\n\nSee [the first](../0/0.md) and `docs/{at % FOLDERS}/{at % DOCUMENTS}.md`.\n"
        blob = f'M 100644 inline "docs/{at % FOLDERS}/{at % DOCUMENTS}.md"\ndata {len(text)}\n{text}\n'
        commits.append(
            f"commit refs/heads/main\ncommitter b <b@b> {1_700_000_000 + at} +0000\ndata 1\nc\n{head}{blob}\n"
        )
        head = ""
    import_stream(root, "".join(commits))


def scanned(root: Path, spec: str, *options: str) -> tuple[list[dict[str, object]], float, float, int]:
    """Its lines without seconds, CPU and wall seconds, and the most that its largest process held, in bytes."""
    argv = [ORCHGATE, "scan", spec, "--output-format", "json", *options]
    before, start = children(), time.perf_counter()
    child = subprocess.Popen(argv, cwd=root, env=environment(), stdout=subprocess.PIPE)
    assert child.stdout is not None
    most, lines = 0, []
    for number, line in enumerate(child.stdout):
        lines.append({name: value for name, value in json.loads(line).items() if name not in ("seconds", "summary")})
        most = max(most, _largest(child.pid)) if number % 50 == 0 else most
    child.wait()
    return lines, children() - before, time.perf_counter() - start, most


def _largest(pid: int) -> int:
    """The most that a process or one of its children held so far."""
    held = 0
    for one in (pid, *map(int, _read(f"/proc/{pid}/task/{pid}/children").split())):
        found = re.search(r"VmHWM:\s+(\d+)", _read(f"/proc/{one}/status"))
        held = max(held, int(found[1]) * 1024 if found else 0)
    return held


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def growth() -> Iterator[Row]:
    cpus, memories = [], []
    for number in COMMITS:
        with scratch() as root:
            made(root, number)
            _, cpu, _, most = scanned(root, "main", "--jobs", "1")
        cpus.append(cpu)
        memories.append(most)
        yield Row(f"scan of {number:,} commits", f"{cpu / number * 1000:.1f} ms of CPU each")
    grown = exponent(cpus[0], cpus[1], COMMITS[1] / COMMITS[0])
    yield Row(f"scan: growth from {COMMITS[0]:,} commits", f"{grown:.2f}", f"<= {GROWTH}", grown <= GROWTH)
    times = memories[1] / memories[0]
    figure = f"{memories[0] / 1e6:.0f} MB, then {memories[1] / 1e6:.0f} MB"
    yield Row(f"scan: memory of {' and '.join(f'{one:,}' for one in COMMITS)}", figure, f"<= {FLAT} x", times <= FLAT)


def real() -> Iterator[Row]:
    if not REAL:
        yield missing("scan, Kbediako/CO", "BENCH_REAL names no clone")
        return
    ends = subprocess.run(
        ["git", "rev-parse", f"HEAD~{REAL_COMMITS}", "HEAD"], cwd=REAL, capture_output=True, text=True, check=True
    )
    spec = "..".join(ends.stdout.split())
    found = [scanned(Path(REAL), spec, "--profile", "codex-orchestrator", "--jobs", jobs) for jobs in ("1", "2")]
    for jobs, (lines, cpu, wall, _) in zip((1, 2), found, strict=True):
        each = len(lines) - 1
        what = f"scan, Kbediako/CO, {each} commits, --jobs {jobs}"
        yield Row(what, f"{cpu / each:.3f} s of CPU, {wall / each:.3f} s each (load {os.getloadavg()[0]:.0f})")
    same = found[0][0] == found[1][0]
    yield Row("scan, Kbediako/CO: lines of one process and of two", "the same" if same else "others", "the same", same)


BENCHES = [Bench("growth", growth), Bench("real", real)]


if __name__ == "__main__":
    main(lambda: [*growth(), *real()])
