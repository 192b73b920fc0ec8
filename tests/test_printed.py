"""How much a stage printed, and how much of that its log holds, are facts of the manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.runner.output import LIMIT
from orchgate.runs import state
from orchgate.runs.inspection import contradictions
from orchgate.runs.run import checked
from tests.manifest_samples import PATH, own
from tests.runs import TASK, Project, manifest

if TYPE_CHECKING:
    from tests.repo import Repo

PRINTED = ("output_bytes", "output_left_out_bytes")


def printed(stage: dict[str, Any]) -> tuple[int | None, int | None]:
    return stage.get("output_bytes"), stage.get("output_left_out_bytes")


def journal(*attempts: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one stage: of every attempt what its end says."""
    at: dict[str, Any] = {"at": "2026-01-06T09:26:22.129Z"}
    said = {"task_id": TASK, "run_id": "r", "parent_run_id": None, "runner": "orchgate", "git": None, "machine": None}
    first: dict[str, Any] = {"event": "run", **at, **said, "process": None, "pipeline": {"id": "demo", "title": "demo"}}
    found = [first | {"stages": [{"id": "one", "title": "one", "kind": "command", "command": "x"}]}]
    for number, end in enumerate(attempts, 1):
        found.append({"event": "start", **at, "stage": 1, "attempt": number})
        ended: dict[str, Any] = {"event": "end", **at, "stage": 1, "status": "failed", "exit_code": 1, "summary": None}
        found += [ended | end] if end else []
    return found


def of(*attempts: dict[str, Any]) -> tuple[int | None, int | None]:
    return printed(state.manifest(journal(*attempts))["commands"][0])


# What a real run says


@pytest.mark.slow
def test_a_run_says_how_much_each_stage_printed(repo: Repo) -> None:
    project = Project(repo)
    project.define("inner", {"id": "deep", "run": ["true"]})
    project.define(
        "demo",
        {"id": "word", "run": ["printf", "12345"]},
        {"id": "flood", "shell": f"head -c {LIMIT + 77} /dev/zero"},
        {"id": "twice", "shell": "printf 123; test -e tried || { touch tried; exit 1; }", "retries": 1},
        {"id": "call", "pipeline": "inner"},
        {"id": "odd", "run": ["/no/such/program"], "allow-failure": True},
        {"id": "late", "run": ["false"], "needs": ["word"], "allow-failure": True},
    )
    assert project.run().code == 0

    outer = next(folder for folder in project.folders() if manifest(folder)["pipeline_id"] == "demo")
    assert {stage["id"]: printed(stage) for stage in manifest(outer)["commands"]} == {
        "word": (5, 0),
        "flood": (LIMIT + 77, 77),
        "twice": (6, 0),
        "call": (None, None),  # that is its own run's to say
        "odd": (0, 0),
        "late": (0, 0),
    }
    rows = json.loads(repo.orchgate("status", outer.name, "--output-format", "json").out)["runs"]
    assert printed(rows[0]["stages"][1]) == (LIMIT + 77, 77)


# What events add up to


def test_attempts_are_added_up() -> None:
    assert of(
        {"again": True, "output_bytes": 3, "output_left_out_bytes": 1}, dict(zip(PRINTED, (4, 0), strict=True))
    ) == (
        7,
        1,
    )


def test_what_a_killed_attempt_printed_is_not_known() -> None:
    assert of({}, dict(zip(PRINTED, (4, 0), strict=True))) == (None, None)


def test_what_an_older_version_did_not_record_is_not_known() -> None:
    assert of({"again": True}, dict(zip(PRINTED, (4, 0), strict=True))) == (None, None)


def test_an_attempt_that_was_to_be_repeated_and_was_not_counts_once() -> None:
    told = journal({"again": True, "output_bytes": 3, "output_left_out_bytes": 1})
    again = [*told, told[-1] | {"again": False}]

    assert printed(state.manifest(again)["commands"][0]) == (3, 1)


def test_more_left_out_than_was_printed_is_a_contradiction() -> None:
    document = own()
    document["commands"][0] |= {"output_bytes": 3, "output_left_out_bytes": 4}

    assert [one.path for one in contradictions(checked(document, PATH))] == [("commands", 0, "output_left_out_bytes")]
