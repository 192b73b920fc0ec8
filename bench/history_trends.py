"""What it costs to look for changes: at a push, where a note may take hundredths of a second, and in a large history.

A line of commits with a run of five stages each, whose level rises by 10 % near its end; CPU time in this process, with
git's own.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import subprocess
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from common import ORCHGATE, Row, commit, environment, git, import_stream, main, scratch, write

from orchgate.config.load import load_work_tree
from orchgate.git.repository import open_repository
from orchgate.history.entries import HistoryEntry, read_line
from orchgate.history.query import Runs
from orchgate.history.repositories import RepositoryIdentity
from orchgate.runs.machine import fingerprint
from orchgate.speed.push import trend_note
from orchgate.speed.push.bounds import PushRequest
from orchgate.trends import answers
from orchgate.trends.streams import CommitLine
from orchgate.verdict.baseline import Baseline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOTE = 0.050  # seconds of CPU
COMMITS, PUSHED = 600, 10
RUNS, CLASSES, PIPELINES = 50_000, 4, 3
ROUNDS = 5
TASK = "0001-bench"
CONFIG = '[performance]\npipeline = "bench"\n[[pipelines.bench.stages]]\nid = "s0"\nshell = "true"\n'


def rows() -> Iterator[Row]:
    with scratch() as root:
        commits = made(root)
        machine = str(fingerprint()["fingerprint"])
        runs = [entry(one, nth, machine, "bench", nth >= COMMITS - 20) for nth, one in enumerate(commits)]
        (root / ".runs" / TASK).mkdir(parents=True)
        own = root / ".runs" / TASK / "metrics.json"
        own.write_bytes(b"".join(runs))
        yield noted(root, machine, "recorded here")
        for verb in ("push", "fetch"):
            git(root, "remote", "set-url", "origin", str(root / ".git"))
            subprocess.run([ORCHGATE, "history", verb], cwd=root, env=environment(), check=True, capture_output=True)
        own.write_bytes(b"")
        yield noted(root, machine, "fetched")
    yield large()


def made(root: Path) -> Sequence[str]:
    write(root, ".gitignore", "/.runs/\n")
    write(root, "orchgate.toml", CONFIG)
    commit(root, "start")
    git(root, "remote", "add", "origin", str(root))
    start = "from refs/heads/main^0\n"
    made = (
        f"commit refs/heads/main\ncommitter b <b@b> {1_800_000_000 + nth} +0000\ndata 1\nx\n{'' if nth else start}"
        for nth in range(COMMITS)
    )
    import_stream(root, "\n".join(made))
    listed = subprocess.run(["git", "rev-list", "--reverse", "main"], cwd=root, check=True, capture_output=True)
    return os.fsdecode(listed.stdout).split()[1:]


def entry(oid: str, nth: int, machine: str, pipeline: str, later: object) -> bytes:
    source = random.Random(nth)
    began = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=nth)
    stages: list[dict[str, Any]] = []
    for stage in range(5):
        cpu = (1.1 if later else 1.0) * math.exp(source.gauss(0, 0.01))
        costs = {"wall_seconds": cpu, "user_seconds": 0.9 * cpu, "system_seconds": 0.1 * cpu}
        stages.append({"id": f"s{stage}", "status": "succeeded", **costs, "max_rss_bytes": 10_000_000})
    whole = {name: sum(one[name] for one in stages) for name in ("wall_seconds", "user_seconds", "system_seconds")}
    run = {
        "entry": 1,
        "run_id": f"{began:%Y-%m-%dT%H-%M-%S}-000Z-{nth:08x}",
        "task_id": TASK,
        "pipeline_id": pipeline,
        "status": "succeeded",
        "started_at": f"{began:%Y-%m-%dT%H:%M:%S}.000Z",
        "completed_at": f"{began + timedelta(seconds=9):%Y-%m-%dT%H:%M:%S}.000Z",
        "commit": oid,
        "machine": machine,
        **whole,
        "max_rss_bytes": 10_000_000,
        "stages": stages,
    }
    return json.dumps(run, separators=(",", ":")).encode() + b"\n"


def noted(root: Path, machine: str, where: str) -> Row:
    with contextlib.chdir(root), open_repository(str(root), environment()) as repository:
        base = repository.require_commit(f"HEAD~{PUSHED}")
        head = repository.head or ""
        config = load_work_tree(str(root))
        request = PushRequest(
            repository, config, base, head, repository.tree(base), environment(), datetime.now(UTC), print
        )
        taken = []
        for _ in range(ROUNDS):
            before = time.process_time()
            (note,) = trend_note.notes(request, machine)
            taken.append(time.process_time() - before)
    assert "CPU time +" in note.message, note
    spent = median(taken)
    return Row(
        f"note at a push, of 500 runs {where}", f"{1000 * spent:.1f} ms of CPU", f"{1000 * NOTE:g} ms", spent <= NOTE
    )


def large() -> Row:
    """Without reading: what `history show` adds to its rows."""
    kinds = CLASSES * PIPELINES
    commits = [f"{nth:040x}" for nth in range(1, RUNS // kinds + 2)]
    found = (
        read_line(entry(commits[nth // kinds], nth, f"{nth % CLASSES:016x}", f"p{nth // CLASSES % PIPELINES}", False))
        for nth in range(RUNS)
    )
    ours = RepositoryIdentity("owner/name", "a" * 16)
    runs = [Runs(ours, tuple(one for one in found if isinstance(one, HistoryEntry)), {})]
    line = CommitLine("main", {oid: nth for nth, oid in enumerate(commits)})
    before = time.process_time()
    answers.of_runs(runs, answers.TrendContext(ours, line, Baseline(), {"cpu_seconds": 0.01}, {}))
    spent = time.process_time() - before
    return Row(f"trends of {RUNS:,} runs, {kinds} pipelines and classes", f"{spent:.2f} s of CPU")


if __name__ == "__main__":
    main(rows)
