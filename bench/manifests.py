"""`orchgate check manifests --all-files` over many runs on disk: python bench/manifests.py [COUNT]"""

from __future__ import annotations

import datetime
import json
import os
import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from common import ORCHGATE, Bench, Row, commit, cost, environment, instructions, main, missing, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_SECONDS = 1.5 / 10_000  # of CPU, on each core
STAGES = ("prepare", "build", "lint", "test", "report")
CHECK = [ORCHGATE, "check", "manifests", "--all-files", "--output-format", "json"]
START = datetime.datetime(2026, 1, 5, 8, tzinfo=datetime.UTC)


def stamp(seconds: float) -> str:
    moment = START + datetime.timedelta(seconds=round(seconds, 3))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run_id(number: int, chance: random.Random) -> str:
    return f"{stamp(number * 60).replace(':', '-').replace('.', '-')}-{chance.getrandbits(32):08x}"


def stage(position: int, folder: str, begin: float, chance: random.Random) -> dict[str, Any]:
    name = STAGES[position]
    return {
        "index": position + 1,
        "id": name,
        "title": f"npm run {name}",
        "command": f"npm run {name}",
        "kind": "command",
        "status": "succeeded",
        "started_at": stamp(begin),
        "completed_at": stamp(begin + chance.random() * 5),
        "exit_code": 0,
        "summary": " ".join(f"{chance.randrange(1000)} passed — ok\n" for _ in range(20)),
        "log_path": f"{folder}/commands/{position + 1:02}-{name}.ndjson",
        "error_file": None,
        "sub_run_id": None,
    }


def decision(number: int, begin: float, chance: random.Random) -> dict[str, Any]:
    return {
        "handle_id": f"{chance.getrandbits(64):016x}-{chance.getrandbits(64):016x}",
        "sequence": number,
        "action": "allow",
        "rule": None,
        "reason": None,
        "timestamp": stamp(begin + number / 10),
        "stage_id": STAGES[number % len(STAGES)],
    }


def manifest(task: str, run: str, begin: float, chance: random.Random) -> dict[str, Any]:
    """One finished run in the January format, about 50 KB once written with an indent of 2."""
    folder = f".runs/{task}/cli/{run}"
    return {
        "version": 1,
        "task_id": task,
        "task_slug": task,
        "run_id": run,
        "parent_run_id": None,
        "pipeline_id": "diagnostics",
        "pipeline_title": "Diagnostics",
        "runner": "codex-cli",
        "approval_policy": None,
        "status": "succeeded",
        "status_detail": None,
        "started_at": stamp(begin),
        "completed_at": stamp(begin + 40),
        "updated_at": stamp(begin + 40),
        "heartbeat_at": stamp(begin + 40),
        "heartbeat_interval_seconds": 5,
        "heartbeat_stale_after_seconds": 30,
        "artifact_root": folder,
        "compat_path": f".runs/{task}/mcp/{run}",
        "log_path": f"{folder}/runner.ndjson",
        "summary": "all stages succeeded",
        "metrics_recorded": True,
        "resume_token": f"{chance.getrandbits(256):064x}",
        "resume_events": [],
        "approvals": [],
        "commands": [stage(position, folder, begin + position * 6, chance) for position in range(len(STAGES))],
        "child_runs": [],
        "run_summary_path": f"{folder}/run-summary.json",
        "plan_target_id": "diagnostics:prepare",
        "instructions_hash": f"{chance.getrandbits(256):064x}",
        "instructions_sources": ["AGENTS.md"],
        "guardrails_required": True,
        "privacy": {
            "mode": "shadow",
            "decisions": [decision(number, begin, chance) for number in range(182)],
            "totals": {"total_frames": 182, "redacted_frames": 0, "blocked_frames": 0, "allowed_frames": 182},
        },
    }


def make_runs(root: Path, count: int) -> int:
    """Writes `count` manifests with their logs; returns the size of the last in bytes."""
    chance = random.Random(1)
    size = 0
    for number in range(count):
        task = f"{number % 50:04}-task"
        run = run_id(number, chance)
        folder = root / ".runs" / task / "cli" / run
        (folder / "commands").mkdir(parents=True)
        for position, name in enumerate(STAGES):
            (folder / "commands" / f"{position + 1:02}-{name}.ndjson").touch()
        text = json.dumps(manifest(task, run, number * 60, chance), indent=2, ensure_ascii=False)
        size = (folder / "manifest.json").write_bytes(text.encode() + b"\n")
    return size


def must_examine(root: Path, count: int) -> None:
    """A benchmark of a check that looks at nothing would be fast."""
    done = subprocess.run(CHECK, cwd=root, env=environment(), stdout=subprocess.PIPE, check=True)
    (check,) = json.loads(done.stdout)["checks"]
    if check["examined"] != {"manifests": count} or check["verdict"] != "pass":
        sys.exit(f"the check passed over something: {check}")


def rows(count: int = 10_000) -> Iterator[Row]:
    with scratch() as root:
        write(root, ".gitignore", ".runs/\n")
        commit(root, "start")
        size = make_runs(root, count)
        must_examine(root, count)
        spent = cost(CHECK, root, times=3)
        instructions_each = _each(root, count)
    limit, cores = LIMIT_SECONDS * count, os.cpu_count() or 1
    figure = f"{spent.cpu / cores:.2f} s a core, {spent.wall:.2f} s"
    what = f"{count:,} manifests of {size / 1000:.0f} KB"
    yield Row(f"{what}: CPU", figure, f"{limit:.2f} s a core", spent.cpu / cores <= limit)
    yield instructions_each


def _each(root: Path, count: int) -> Row:
    """Instructions of one manifest, from the difference between many and few, in one process."""
    what, few = "  instructions, each", 100
    runs = sorted((root / ".runs").glob("*/cli/*"))
    for run in runs[2 * few :]:
        shutil.rmtree(run)
    many = instructions(CHECK, root)
    for run in runs[few : 2 * few]:
        shutil.rmtree(run)
    less = instructions(CHECK, root)
    if many is None or less is None:
        return missing(what, "valgrind")
    return Row(what, f"{(many - less) / min(few, count) / 1e6:.2f} M")


BENCHES = (Bench("manifests", rows, limit=True),)

if __name__ == "__main__":
    main(lambda: rows(*map(int, sys.argv[1:2])))
