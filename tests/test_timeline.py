"""The seconds of a run: each of them once, and nothing that is not recorded."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.errors import OrchgateError
from orchgate.hotspots import logs, timing
from orchgate.hotspots.timeline import BusySpan, Phase, StageCost, attribute
from orchgate.hotspots.timing import read
from tests.foreign_runs import COMMAND, foreign, line, moment
from tests.manifest_samples import encoded, january, own

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Every second exactly once

PARTS = (Phase.EXECUTING, Phase.SILENT, Phase.RETRYING, Phase.RECORDING, Phase.AWAY)
SPANS = st.lists(
    st.builds(
        BusySpan,
        st.integers(-500, 3000),
        st.integers(-500, 3000),
        st.sampled_from(PARTS),
        st.integers(0, 5),
    )
)


@pytest.mark.slow
@given(wall=st.integers(0, 2000), spans=SPANS)
def test_the_parts_of_any_run_add_up_to_its_wall_time(wall: int, spans: list[BusySpan]) -> None:
    spent = attribute(wall, spans)

    assert sum(sum(parts.values()) for parts in spent.values()) == wall
    assert all(time >= 0 for parts in spent.values() for time in parts.values())


@pytest.mark.parametrize(
    ("wall", "spans", "spent"),
    [
        (
            10,
            [BusySpan(0, 10, Phase.EXECUTING, 1), BusySpan(0, 10, Phase.EXECUTING, 2)],
            {1: {"executing": 5}, 2: {"executing": 5}},
        ),
        (10, [BusySpan(0, 10, Phase.EXECUTING, 1), BusySpan(0, 9, Phase.RETRYING, 2)], {1: {"executing": 10}}),
        (10, [BusySpan(4, 10, Phase.EXECUTING, 1)], {1: {"waiting": 4, "executing": 6}}),
        (10, [BusySpan(0, 4, Phase.EXECUTING, 1)], {1: {"executing": 4, "recording": 6}}),
        (
            10,
            [BusySpan(0, 2, Phase.EXECUTING, 1), BusySpan(5, 10, Phase.EXECUTING, 2)],
            {1: {"executing": 2}, 2: {"waiting": 3, "executing": 5}},
        ),
        (10, [BusySpan(10, 10, Phase.EXECUTING, 1)], {1: {"waiting": 10}}),
        (10, [], {0: {"waiting": 10}}),
        (
            10,
            [BusySpan(-5, 5, Phase.EXECUTING, 1), BusySpan(5, 50, Phase.RETRYING, 1)],
            {1: {"executing": 5, "retrying": 5}},
        ),
        (10, [BusySpan(12, 14, Phase.EXECUTING, 1), BusySpan(-4, -1, Phase.EXECUTING, 2)], {0: {"waiting": 10}}),
    ],
    ids=[
        "two at once share",
        "work hides another stage's repetition",
        "before the first command",
        "after the last command",
        "between two commands",
        "killed before its command began",
        "no stage ran",
        "spans that leave the run",
        "spans outside the run",
    ],
)
def test_time_is_charged_to(wall: int, spans: list[BusySpan], spent: Mapping[int, Mapping[str, int]]) -> None:
    charged = attribute(wall, spans)

    assert {stage: {part.value: time for part, time in parts.items()} for stage, parts in charged.items()} == spent


# What a journal tells


def charged(*events: tuple[int, dict[str, Any]]) -> dict[tuple[int, str], int]:
    """Microseconds by stage and part, of a journal with events at these microseconds."""
    times = [time for time, _ in events]
    spans = timing.spans_of([event for _, event in events], times)
    spent = attribute(times[-1] - times[0], spans)
    return {(stage, part.value): time for stage, parts in spent.items() for part, time in parts.items()}


FIRST: dict[str, Any] = {
    "task_id": "0001-demo",
    "run_id": "2026-01-06T09-26-22-129Z-c2f9cb47",
    "parent_run_id": None,
    "pipeline": {"id": "demo", "title": "Demo", "digest": "d"},
    "stages": [{"id": "one", "title": "one", "command": "true", "kind": "command"}],
    "runner": "orchgate",
    "process": None,
    "git": None,
    "machine": None,
}
BEGIN: dict[str, Any] = {"event": "run"}
STARTED: dict[str, Any] = {"event": "start", "stage": 1}
ENDED: dict[str, Any] = {"event": "end", "stage": 1, "usage": None}
FAILED = {**ENDED, "again": True}
FINISHED: dict[str, Any] = {"event": "finish"}


def test_an_attempt_that_is_repeated_and_the_delay_after_it_are_retrying() -> None:
    told = charged((0, BEGIN), (1, STARTED), (5, FAILED), (8, STARTED), (10, ENDED), (10, FINISHED))

    assert told == {(1, "waiting"): 1, (1, "retrying"): 7, (1, "executing"): 2}


def test_what_follows_a_command_s_own_time_is_recording() -> None:
    told = charged((0, BEGIN), (0, STARTED), (10, {**ENDED, "usage": {"wall_seconds": 6e-6}}), (12, FINISHED))

    assert told == {(1, "executing"): 6, (1, "recording"): 6}


def test_the_time_in_which_a_killed_run_lay_there_is_nobody_s() -> None:
    told = charged(
        (0, BEGIN), (0, STARTED), (3, {"event": "skip"}), (90, {"event": "resume"}), (90, STARTED), (95, ENDED)
    )

    assert told == {(1, "retrying"): 3, (0, "away"): 87, (1, "executing"): 5}


def test_an_attempt_that_was_to_be_repeated_and_then_was_not_counts() -> None:
    assert charged((0, BEGIN), (0, STARTED), (4, FAILED), (9, ENDED)) == {(1, "executing"): 4, (1, "retrying"): 5}


def test_a_stage_that_still_runs_executes_up_to_the_last_event() -> None:
    assert charged((0, BEGIN), (2, STARTED), (7, {"event": "child", "stage": 1})) == {
        (1, "waiting"): 2,
        (1, "executing"): 5,
    }


def test_a_cached_stage_takes_only_the_time_of_the_question() -> None:
    assert charged((0, BEGIN), (3, {"event": "cached", "stage": 1}), (4, FINISHED)) == {
        (1, "waiting"): 3,
        (1, "recording"): 1,
    }


# What the other orchestrator's logs tell


def parts(folder: Path) -> dict[str, float]:
    timeline = read(str(folder))
    assert sum(sum(stage.spent.values()) for stage in timeline.stages) == timeline.wall
    return {part.value: seconds for part in Phase if (seconds := timeline.seconds(part))}


def missing(folder: Path) -> str:
    return "; ".join(read(str(folder)).missing)


def test_waiting_ends_where_the_command_begins(tmp_path: Path) -> None:
    assert parts(foreign(tmp_path)) == {"waiting": 5.0, "executing": 4.0, "recording": 1.0}


def test_an_attempt_that_was_repeated_is_told_from_the_one_that_counts(tmp_path: Path) -> None:
    log = [
        line("exec:begin", 5),
        line("exec:end", 6),
        line("exec:retry", 6),
        line("exec:begin", 7),
        line("exec:end", 9),
    ]

    assert parts(foreign(tmp_path, log)) == {"waiting": 5.0, "retrying": 2.0, "executing": 2.0, "recording": 1.0}


def test_long_gaps_between_output_are_told_apart(tmp_path: Path) -> None:
    log = [line("exec:begin", 5), line("exec:chunk", 5.5), line("exec:chunk", 8.5), line("exec:end", 9)]

    assert parts(foreign(tmp_path, log))["silent"] == 3.0


def test_the_time_before_a_run_is_taken_up_again_is_nobody_s(tmp_path: Path) -> None:
    log = [line("exec:begin", 1), line("exec:chunk", 2), line("exec:begin", 8), line("exec:end", 9)]

    told = parts(foreign(tmp_path, log, resume_events=[{"timestamp": moment(7.5)}, {"timestamp": None}, 5]))

    assert (told["away"], told["retrying"]) == (5.5, 1.5)


def test_the_stage_s_own_log_says_what_the_run_s_log_lost(tmp_path: Path) -> None:
    assert parts(foreign(tmp_path, COMMAND[:1], own=COMMAND)) == {"waiting": 5.0, "executing": 4.0, "recording": 1.0}


def test_logs_that_know_only_the_outer_lines_are_enough(tmp_path: Path) -> None:
    log = [line("command:start", 5), line("command:end", 9)]

    assert parts(foreign(tmp_path, log)) == {"waiting": 5.0, "executing": 4.0, "recording": 1.0}


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (None, "the run's log is not there"),
        (b"", "the run's log is empty"),
        ("\n".join(COMMAND).encode()[:-20], "ends in the middle of a line"),
        (
            b"\x00\xff\n" + "\n".join([*COMMAND, ""]).encode(),
            "has 1 of 5 lines that cannot be read, the first is line 1",
        ),
        (b"[" * 9000 + b"\n" + "\n".join([*COMMAND, ""]).encode(), "has 1 of 5 lines that cannot be read"),
        ([json.dumps({"type": "x:y", "timestamp": moment(3), "index": 1})], "is of another version"),
        ([json.dumps({"kind": "exec:begin", "at": 5})], "has 1 of 1 lines that cannot be read"),
        ([line("exec:begin", 5), line("exec:chunk", 3), line("exec:end", 9)], "the clock went back by 2.0 s"),
        ([line("exec:begin", 5)], "the end of its command is not in the logs"),
        (
            [line("exec:begin", 5, index=2), line("exec:end", 9, index=2)],
            "how long it waited before its command is not",
        ),
    ],
    ids=["none", "empty", "cut off", "bytes", "deep", "other kinds", "other keys", "clock", "no end", "other stage"],
)
def test_what_a_log_does_not_tell_is_said(tmp_path: Path, log: list[str] | bytes | None, said: str) -> None:
    folder = foreign(tmp_path, log)

    assert said in missing(folder)
    assert sum(parts(folder).values()) == pytest.approx(10.0)


def test_lines_of_other_versions_between_known_ones_do_no_harm(tmp_path: Path) -> None:
    strange = json.dumps({"type": "exec:pause", "timestamp": moment(6), "index": 1, "schema": 9, "data": {"deep": [1]}})
    folder = foreign(tmp_path, [*COMMAND[:2], strange, *COMMAND[2:]])

    assert (parts(folder), missing(folder)) == ({"waiting": 5.0, "executing": 4.0, "recording": 1.0}, "")


def test_a_log_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = foreign(tmp_path, None)
    os.mkfifo(folder / "runner.ndjson")

    assert "is a named pipe, not a regular file" in missing(folder)


def test_a_log_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    decoder = msgspec.json.Decoder(logs.LogLine)
    (tmp_path / "log").write_text(COMMAND[0] + "\n")

    assert logs.read_lines(str(tmp_path / "log"), decoder, 10)[1].endswith("bytes long, limit 10")


@pytest.mark.parametrize(("log", "seconds"), [(None, 0.0), (COMMAND, 9.0)], ids=["no logs", "logs"])
def test_a_run_that_ended_before_it_started_took_what_its_logs_say(
    tmp_path: Path, log: list[str] | None, seconds: float
) -> None:
    folder = foreign(tmp_path, log, completed_at=moment(-3))

    assert read(str(folder)).wall_seconds == seconds
    assert "the run ended 3.0 s before it started" in missing(folder)


def test_a_run_that_was_killed_while_it_waited_has_only_waited(tmp_path: Path) -> None:
    log = [line("exec:begin", 0, index=2), line("exec:end", 1, index=2)]
    stage = january()["commands"][0] | {"index": 1, "id": "build", "kind": "command", "status": "running"}
    stage |= {"started_at": moment(1), "completed_at": None, "log_path": "x"}
    folder = foreign(tmp_path, log, commands=[stage], completed_at=None, status="in_progress")

    assert parts(folder)["waiting"] == 10.0
    assert "has not ended" in missing(folder)


def test_stages_of_the_same_name_keep_their_own_time(tmp_path: Path) -> None:
    folder = foreign(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["commands"] += [{**manifest["commands"][0], "index": 2, "started_at": None, "completed_at": None}]
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert [stage.seconds() for stage in read(str(folder)).stages] == [10.0, 0.0]


def test_a_run_that_never_began_is_named(tmp_path: Path) -> None:
    with pytest.raises(OrchgateError, match="neither a manifest nor a journal"):
        read(str(tmp_path))


def journal(folder: Path, **usage: float) -> Path:
    """A run of ours with one stage that took 4 s and cost this."""
    known = {"wall_seconds": 4.0, "user_seconds": 1.0, "system_seconds": 0.5, "max_rss_bytes": None, "processes": None}
    events = [
        {"event": "run", "at": moment(0), **FIRST},
        {"event": "start", "at": moment(0), "stage": 1, "attempt": 1},
        {"event": "end", "at": moment(4), "stage": 1, "status": "succeeded", "exit_code": 0, "summary": None}
        | {"usage": {**known, "read_bytes": 7, "written_bytes": 5, **usage}},
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def test_a_cost_that_cannot_be_is_unknown(tmp_path: Path) -> None:
    folder = journal(tmp_path, user_seconds=-1.0, wall_seconds=-1.0, read_bytes=-7)

    assert [stage.cost for stage in read(str(folder)).stages] == [StageCost(None, None, None, 5)]


def test_a_journal_with_endless_numbers_is_not_used(tmp_path: Path) -> None:
    folder = journal(tmp_path, wall_seconds=float("inf"))
    (folder / "manifest.json").write_bytes(encoded(own()))

    assert "line 3 is not JSON" in missing(folder)


def test_a_run_of_ours_is_told_without_its_manifest(tmp_path: Path) -> None:
    assert parts(journal(tmp_path)) == {"executing": 4.0}
