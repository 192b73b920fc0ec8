"""Runs as the other orchestrator leaves them, small enough to count the seconds by hand."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

from tests.manifest_samples import encoded, january

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = "0007-other"
RUN = "2026-01-06T09-26-22-129Z-c2f9cb47"
START = datetime.datetime(2026, 1, 6, 9, 26, 22, tzinfo=datetime.UTC)


def moment(seconds: float) -> str:
    return (START + datetime.timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line(kind: str, seconds: float, index: int = 1) -> str:
    return json.dumps({"type": kind, "timestamp": moment(seconds), "index": index})


COMMAND = [line("command:start", 5), line("exec:begin", 5), line("exec:end", 9), line("command:end", 9)]


def foreign(
    root: Path, log: list[str] | bytes | None = COMMAND, own: list[str] | None = None, run: str = RUN, **changed: Any
) -> Path:
    """The folder of a run of 10 s with one stage, started after 1 s and completed after 9.5 s."""
    folder = root / ".runs" / FOREIGN / "cli" / run
    (folder / "commands").mkdir(parents=True)
    place = f".runs/{FOREIGN}/cli/{run}"
    stage = january()["commands"][0] | {"index": 1, "id": "build", "kind": "command", "status": "succeeded"}
    stage |= {"started_at": moment(1), "completed_at": moment(9.5), "log_path": f"{place}/commands/01-build.ndjson"}
    times = {"started_at": moment(0), "completed_at": moment(10), "updated_at": moment(10), "heartbeat_at": moment(10)}
    names = {"task_id": FOREIGN, "run_id": run, "status": "succeeded", "log_path": f"{place}/runner.ndjson"}
    manifest = january(**{**times, **names, "commands": [stage], **changed})
    (folder / "manifest.json").write_bytes(encoded(manifest))
    if log is not None:
        (folder / "runner.ndjson").write_bytes(log if isinstance(log, bytes) else "\n".join([*log, ""]).encode())
    if own is not None:
        (folder / "commands" / "01-build.ndjson").write_text("\n".join([*own, ""]))
    return folder
