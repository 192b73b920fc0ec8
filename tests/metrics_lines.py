"""Lines of metrics files as their writers write them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from orchgate.metrics import update
from orchgate.metrics.lines import OWN
from orchgate.runner.writer import encode_entry

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from orchgate.metrics.aggregate import Aggregate, Totals
    from orchgate.metrics.update import Updated


def recorded_entries(path: Path) -> list[dict[str, Any]]:
    """The entries that are whole lines of a metrics file."""
    return [json.loads(line) for line in path.read_bytes().splitlines() if line.startswith(OWN)]


def foreign(number: int, **other: Any) -> bytes:
    """An entry in the form of codex-orchestrator."""
    entry = {
        "run_id": f"2026-01-06T09-26-22-129Z-{number:08x}",
        "task_id": "0001-demo",
        "pipeline_id": "diagnostics",
        "status": "succeeded",
        "started_at": "2026-01-06T09:26:22.129Z",
        "completed_at": "2026-01-06T09:28:22.475Z",
        "duration_seconds": 120.346,
        "commands_passed": 5,
        "commands_failed": 0,
        "guardrails_present": True,
        "recorded_at": "2026-01-06T09:28:22.477Z",
        "artifact_path": ".runs/0001-demo/cli/x",
        "control_plane_status": "failed",
        "instance_stats": [{"instance_id": "primary-01", "attempts": 1}],
        "privacy_events": [{"handle_id": "h", "sequence": 1, "rule": None}],
        "cost_usd": 0,
    }
    return json.dumps(entry | other, separators=(",", ":")).encode()


def own(number: int, **other: Any) -> bytes:
    """An entry of ours, with one stage that tells what it cost."""
    entry = {
        "entry": 1,
        "run_id": f"2026-02-01T12-00-00-000Z-{number:08x}",
        "task_id": "0001-demo",
        "pipeline_id": "demo",
        "status": "succeeded",
        "started_at": "2026-02-01T12:00:00.000Z",
        "completed_at": "2026-02-01T12:00:02.500Z",
        "resumes": 0,
        "machine": "0123456789abcdef",
        "wall_seconds": 2.5,
        "user_seconds": 1.0,
        "system_seconds": 0.25,
        "max_rss_bytes": 20_000_000,
        "read_bytes": 0,
        "written_bytes": 4096,
        "manifest_writes": 2,
        "tests": {"passed": 9, "failed": 1},
        "stages": [
            {"id": "test", "status": "succeeded", "wall_seconds": 2.25, "tests": {"passed": 9, "failed": 1}},
        ],
    }
    return encode_entry(entry | other)


def write(folder: Path, *lines: bytes, end: bytes = b"\n") -> Path:
    path = folder / "metrics.json"
    path.write_bytes(b"\n".join(lines) + end)
    return path


def append(folder: Path, *lines: bytes) -> None:
    with (folder / "metrics.json").open("ab") as file:
        file.writelines(line + b"\n" for line in lines)


def updated(folder: Path) -> Updated:
    return update.update(str(folder))


def afresh(folder: Path) -> Aggregate:
    """What the file adds up to, without regard to any checkpoint."""
    (folder / "aggregate.json").unlink(missing_ok=True)
    return updated(folder).aggregate


def only(aggregate: Aggregate) -> Totals:
    """The only pipeline's totals."""
    [pipelines] = aggregate.machines.values()
    [totals] = pipelines.values()
    return totals


def histories(folder: Path, chance: random.Random) -> int:
    """A metrics file that grows, is cut and is rewritten: after each step it adds up to what it does from scratch.

    Says how many steps that were.
    """
    path = write(folder, end=b"")
    steps = chance.randint(1, 4)
    for _ in range(steps):
        size = path.stat().st_size
        match chance.choice(("append", "append", "append", "cut", "rewrite", "copy")):
            case "append":
                with path.open("ab") as file:
                    file.write(b"".join(_some_line(chance) for _ in range(chance.choice((0, 1, 2, 9)))))
            case "cut":
                os.truncate(path, chance.randint(0, size))
            case "rewrite":
                path.write_bytes(path.read_bytes().replace(b"2.5", b"3.5", chance.randint(1, 3)))
            case _:
                lines = path.read_bytes().splitlines(keepends=True)
                path.write_bytes(b"".join([*lines, *chance.sample(lines, min(2, len(lines)))]))
        step_by_step = updated(folder).aggregate
        kept = {name: (folder / name).read_bytes() for name in (update.CHECKPOINT, update.INDEX)}
        assert afresh(folder) == step_by_step
        if chance.random() < 0.5:  # goes on from either: from scratch, or from what is as good as a damaged one
            (folder / update.CHECKPOINT).write_bytes(kept[update.CHECKPOINT])
    return steps


def _some_line(chance: random.Random) -> bytes:
    number, again = chance.randint(0, 5), chance.randint(0, 2)
    whole = chance.choice(
        (
            own(number, resumes=again, away_seconds=9.5, wall_seconds=chance.choice((0.0, 2.5, 1e-06, 7.654321))),
            own(number, status="failed", machine=chance.choice(("m", None)), complete=False),
            own(
                number,
                stages=[{"id": "a", "status": "succeeded", "cached": chance.random() < 0.5, "flaky": True}] * again,
            ),
            foreign(number, duration_seconds=chance.choice((None, 0, 0.1))),
            foreign(number, entry=chance.choice((1, 2))),
            own(number, inside=["demo"][:again], metrics={"manifest_writes": 3.5}),
            chance.choice(
                (b"null", b"{", b"", b"\xff", own(number)[:40] + b"\x18", foreign(1) + foreign(2), own(1) + b"\r")
            ),
        )
    )
    return whole + (b"\n" if chance.random() < 0.97 else b"")
