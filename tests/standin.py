"""A stand-in for the orchestrator that the corpus was recorded with: its formats, its pipelines, and its defect.

The original waited up to five seconds before each stage's command, because a forced write of the manifest stood in a
queue behind a timer; here it is a fifth of a second. It is started as `python orchestrator.py PIPELINE`, in a folder of
its own.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

TASK = "0939-orchestrator-performance"
WAIT = 0.2  # seconds
STAGES = 2
QUEUED = f"time.sleep({WAIT})  # the queue of the timer"
AT_ONCE = "pass  # written at once"

_PROGRAM = """
import datetime, json, os, subprocess, sys, time, uuid

def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")

def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w") as file:
        file.write(text)
    os.rename(path + ".tmp", path)

def persist(manifest):
    manifest["updated_at"] = manifest["heartbeat_at"] = now()
    write(manifest["artifact_root"] + "/manifest.json", json.dumps(manifest, indent=2))

def event(manifest, log, kind, index, **more):
    os.makedirs(os.path.dirname(log), exist_ok=True)
    line = json.dumps({"type": kind, **more, "timestamp": now(), "index": index}) + "\\n"
    for path in (log, manifest["log_path"]):
        with open(path, "a") as file:
            file.write(line)

with open("manifest.template.json") as file:
    manifest = json.load(file)
with open("codex.orchestrator.json") as file:
    (pipeline,) = [one for one in json.load(file)["pipelines"] if one["id"] == sys.argv[1]]
run = now().replace(":", "-").replace(".", "-") + "-" + uuid.uuid4().hex[:8]
root = ".runs/TASK/cli/" + run
manifest.update(task_id="TASK", task_slug="TASK", run_id=run, artifact_root=root, log_path=root + "/runner.ndjson")
manifest.update(pipeline_id=pipeline["id"], status="in_progress", started_at=now(), completed_at=None)
template = manifest["commands"][0]
manifest["commands"] = []
persist(manifest)
for index, stage in enumerate(pipeline["stages"][:STAGES], 1):
    log = f"{root}/commands/{index:02d}-{stage['id']}.ndjson"
    names = {key: stage[key] for key in ("id", "title", "command")}
    row = {**template, **names, "index": index, "log_path": log, "status": "running", "started_at": now()}
    manifest["commands"].append(row)
    QUEUED
    persist(manifest)
    event(manifest, log, "command:start", index, command=stage["command"])
    event(manifest, log, "exec:begin", index, command=stage["command"])
    code = subprocess.run(["/bin/sh", "-c", stage["command"]]).returncode
    event(manifest, log, "exec:end", index, exit_code=code)
    event(manifest, log, "command:end", index, exit_code=code)
    row.update(status="failed" if code else "succeeded", exit_code=code, completed_at=now())
manifest.update(status="succeeded", completed_at=now())
persist(manifest)
"""
MANIFEST_WRITES = STAGES + 2
WRITES = MANIFEST_WRITES + 8 * STAGES  # and four lines of each stage, each in two logs


def files(corpus: Path) -> dict[str, str]:
    """What its repository holds; the shape of its manifest is that of a real run."""
    small = corpus / "small-runs"
    real: dict[str, Any] = next(
        document
        for path in sorted(small.glob("jan/.runs/*/cli/*/manifest.json"))
        if (document := json.loads(path.read_text()))["pipeline_id"] == "noop"
    )
    return {
        "orchestrator.py": program(waits=True),
        "manifest.template.json": json.dumps(real, indent=1),
        "codex.orchestrator.json": (small / "codex.orchestrator.json").read_text(),
        "orchgate.toml": _CONFIGURATION,
        ".gitignore": ".runs/\nout/\n",
    }


def program(*, waits: bool) -> str:
    text = _PROGRAM.replace("TASK", TASK).replace("STAGES", str(STAGES))
    return text.replace("QUEUED", QUEUED if waits else AT_ONCE)


COMMAND = (sys.executable, "-I", "-S", "orchestrator.py", "noop")
_CONFIGURATION = f"""\
profile = "codex-orchestrator"
[performance]
pipeline = "whole"
budget-seconds = 120
[[pipelines.whole.stages]]
id = "orchestrator"
run = {json.dumps(COMMAND)}
"""
