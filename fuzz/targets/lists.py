"""JSON of others: codex.orchestrator.json, tasks/index.json, and the event file of a CI server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.judging import Asked, case, judge, samples, tracked
from orchgate.errors import OrchgateError
from orchgate.git import ci
from orchgate.packets import tasks
from orchgate.runs import pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

EVENTS = ("push", "merge_group", "pull_request", "pull_request_target", "workflow_run", "issue_comment", "", "schedule")
STAGES = [
    {"kind": "command", "id": "build", "title": "Build", "command": "npm run build", "timeoutMs": 5, "env": {"A": "b"}},
    {"kind": "subpipeline", "id": "sub", "pipeline": "other", "optional": True},
    {"kind": "stage-set", "ref": "common"},
]


def seeds() -> Iterable[bytes]:
    yield (
        b"\0" + json.dumps({"stageSets": {"common": STAGES[:1]}, "pipelines": [{"id": "a", "stages": STAGES}]}).encode()
    )
    for content in samples("index.json"):
        yield b"\1" + content
    head = {"sha": "1" * 40}
    yield b"\2" + json.dumps({"before": "0" * 40, "repository": {"default_branch": "main"}}).encode()
    yield b"\2" + json.dumps({"pull_request": {"head": head, "base": head}, "issue": {"pull_request": {}}}).encode()
    yield b"\2" + json.dumps({"merge_group": {"base_sha": "1" * 40, "base_ref": "refs/heads/main"}}).encode()


def prepare(folder: str) -> Callable[[bytes], None]:
    files = tracked(case("documents", "pass-complete-packet-in-work"))
    place = os.path.join(folder, "event.json")

    def one(data: bytes) -> None:
        kind, content = (data[:1] or b"\0")[0] % 3, data[1:]
        if kind == 0:
            pipeline.parse_codex(content)
        elif kind == 1:
            judge(Asked(folder, {**files, "tasks/index.json": content}, files), "documents", "evidence", "specs")
            _extended(content)
        else:
            Path(place).write_bytes(content)
            for name in EVENTS:
                _read(name, place)

    return one


def _read(name: str, place: str) -> None:
    try:
        ci.read_event({"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": place, "GITHUB_BASE_REF": "main"})
    except OrchgateError:
        return


def _extended(content: bytes) -> None:
    """What `new` makes of the list is a list again."""
    text = tasks.decode("tasks/index.json", content)
    tasks.read_task_list("tasks/index.json", content)
    longer = tasks.with_item("tasks/index.json", text, {"id": "0009-new", "title": "New"})
    tasks.read_task_list("tasks/index.json", longer.encode("utf-8", "surrogateescape"))
