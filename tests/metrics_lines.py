"""Lines of metrics files as their writers write them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orchgate.metrics import update
from orchgate.metrics.entries import encode

if TYPE_CHECKING:
    from pathlib import Path

    from orchgate.metrics.aggregate import Aggregate, Totals
    from orchgate.metrics.update import Updated


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
    return encode(entry | other)


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
