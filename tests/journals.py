"""Journals for manifests that tests make up: events that add up to what a manifest says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orchgate.runs import journal, state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STAGE = ("id", "title", "command", "argv", "kind", "allow_failure")


def events_of(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a run that would have written a manifest of our own format."""
    yield {
        "event": "run",
        "at": manifest["started_at"],
        **{
            key: manifest.get(key)
            for key in ("task_id", "run_id", "parent_run_id", "runner", "process", "git", "machine")
        },
        "pipeline": {"id": manifest["pipeline_id"], "title": manifest.get("pipeline_title", ""), "digest": ""},
        "stages": [{key: stage[key] for key in _STAGE if key in stage} for stage in manifest["commands"]],
    }
    for number, stage in enumerate(manifest["commands"], 1):
        yield from _attempts(number, stage)
    if manifest["completed_at"] is not None:
        yield {
            "event": "finish",
            "at": manifest["completed_at"],
            "status": manifest["status"],
            "detail": manifest["status_detail"],
            "summary": manifest["summary"],
            "writes": manifest["writes"],
        }


def _attempts(number: int, stage: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for index, attempt in enumerate(stage["attempts"], 1):
        named = {"stage": number, "attempt": index}
        last = index == len(stage["attempts"])
        yield {"event": "start", "at": attempt["started_at"], **named, "log_path": stage["log_path"]}
        if attempt["status"] == "running":
            return
        end = {"event": "end", "at": attempt["completed_at"], **named, "status": attempt["status"]}
        end |= {"exit_code": attempt["exit_code"], "summary": stage["summary"], "again": not last}
        end |= {key: attempt[key] for key in ("signal", "timed_out") if key in attempt}
        if last:
            end |= {"usage": stage["usage"], "detail": stage.get("status_detail")}
            end |= {key: stage[key] for key in ("tests", "metrics", "cache_key") if key in stage}
        yield end


def journal_for(manifest: Mapping[str, Any]) -> bytes:
    """A journal for a manifest."""
    return b"".join(journal.encode(event) + b"\n" for event in events_of(manifest))


def recorded(manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Both files of a run as its recorder would have left them, by name: the manifest in its whole form."""
    data = journal_for(manifest)
    whole = state.manifest(json.loads(line) for line in data.splitlines())
    return {"manifest.json": state.render(whole), "events.jsonl": data}
