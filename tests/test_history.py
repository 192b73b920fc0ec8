"""Runs of several machines in one history: recorded, pushed and fetched by the real program and a real remote."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.histories import OTHER_MACHINE, Clones, clones, line, names, record, show, told, write_lines
from tests.metrics_lines import foreign
from tests.repo import ORCHGATE, Repo, clone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def made(new_repo: Callable[[str], Repo], tmp_path: Path) -> Clones:
    return clones(new_repo("seed"), tmp_path)


def push_at_once(*repos: Repo, to: str = "git") -> None:
    running = [
        subprocess.Popen(
            [ORCHGATE, "history", "push", "--to", to],
            cwd=one.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for one in repos
    ]
    ended = [(process.communicate()[0], process.returncode) for process in running]
    assert [code for _, code in ended] == [0] * len(repos), ended


def test_the_runs_of_two_machines_that_push_at_once_are_counted_once_by_a_third(made: Clones) -> None:
    record(made.one, times=2)
    record(made.one, "broken")
    record(made.other, times=3, env=OTHER_MACHINE)
    push_at_once(made.one, made.other)

    fetched = told(made.third, "fetch")
    rows = show(made.third, "pipeline,machine")

    assert fetched["new_segment_count"] == 2
    assert sorted((row["pipeline"], row["runs"], row["succeeded_count"]) for row in rows) == [
        ("broken", 1, 0),
        ("demo", 2, 2),
        ("demo", 3, 3),
    ]
    assert len({row["machine"] for row in rows}) == 2


def test_a_second_push_sends_nothing(made: Clones) -> None:
    record(made.one)
    told(made.one, "push")
    before = made.remote.git("rev-parse", "refs/orchgate/history")

    again = told(made.one, "push")

    assert (again["sent_run_count"], again["stored_run_count"]) == (0, 1)
    assert made.remote.git("rev-parse", "refs/orchgate/history") == before


def test_what_is_new_since_the_last_push_is_sent_alone(made: Clones) -> None:
    record(made.one)
    told(made.one, "push")
    record(made.one)

    assert told(made.one, "push")["sent_run_count"] == 1
    told(made.third, "fetch")
    assert [row["runs"] for row in show(made.third)] == [2]


def test_compacted_segments_hold_what_those_held_that_they_stand_for(made: Clones) -> None:
    for _ in range(3):
        record(made.one)
        told(made.one, "push")
    told(made.third, "fetch")
    before = show(made.third, "pipeline,stage,week,machine")

    done = told(made.third, "compact")

    assert (done["removed_segment_count"], done["new_segment_count"], len(names(made.remote))) == (3, 1, 1)
    assert show(made.third, "pipeline,stage,week,machine") == before
    assert told(made.third, "compact")["new_segment_count"] == 0
    assert told(made.third, "verify")["verdict"] == "pass"


def test_a_clone_that_knows_of_no_compaction_pushes_and_brings_nothing_back(made: Clones) -> None:
    for _ in range(2):
        record(made.one)
        told(made.one, "push")
    told(made.other, "fetch")
    told(made.other, "compact")
    record(made.one)

    pushed = told(made.one, "push")
    told(made.third, "fetch")

    assert (pushed["sent_run_count"], len(names(made.remote))) == (1, 2)
    assert [row["runs"] for row in show(made.third)] == [3]
    assert told(made.third, "verify")["verdict"] == "pass"
    assert len(names(made.one)) == 2  # what was replaced is forgotten here, too


def test_a_segment_that_somebody_brings_back_changes_nothing(made: Clones) -> None:
    for _ in range(2):
        record(made.one)
        told(made.one, "push")
    old = made.remote.git("rev-parse", "refs/orchgate/history")
    told(made.one, "compact")
    told(made.other, "fetch")
    made.remote.git("update-ref", "refs/orchgate/history", old)

    told(made.other, "fetch")

    assert [row["runs"] for row in show(made.other)] == [2]
    assert told(made.other, "verify")["verdict"] == "pass"


def test_own_runs_are_shown_before_anything_was_pushed(made: Clones) -> None:
    record(made.one, times=2)

    assert [(row["pipeline"], row["runs"]) for row in show(made.one)] == [("demo", 2)]
    assert show(made.third) == []


def test_the_remote_can_be_asked_without_anything_being_fetched(made: Clones) -> None:
    record(made.one)
    told(made.one, "push")

    assert [row["runs"] for row in show(made.third, "pipeline", "--from", "git")] == [1]
    assert (names(made.third), show(made.third)) == ([], [])
    assert show(made.third, "pipeline", "--from", "local") == []


def test_a_run_that_was_resumed_after_it_was_pushed_counts_as_it_ended(made: Clones) -> None:
    write_lines(made.one, [line(1, status="failed")])
    told(made.one, "push")
    write_lines(made.one, [line(1, status="failed"), line(1, resumes=1)])

    assert told(made.one, "push")["sent_run_count"] == 1
    told(made.third, "fetch")
    assert [(row["runs"], row["succeeded_count"]) for row in show(made.third)] == [(1, 1)]


def test_a_dry_run_sends_nothing(made: Clones) -> None:
    record(made.one)

    would = told(made.one, "push", "--dry-run")

    assert (would["sent_run_count"], would["is_dry_run"], names(made.remote)) == (1, True, [])


def test_nothing_personal_travels(made: Clones) -> None:
    record(made.one)
    secret = "/home/alice/secret --token x"
    personal = {"host": secret, "user": secret, "summary": secret, "lower_bounds": {"cpu_seconds": secret}}
    write_lines(made.one, [line(2, **personal, metrics={"manifest_writes": 3, secret: 1})], "0002-other")
    told(made.one, "push")

    held = made.remote.git("show", *(f"refs/orchgate/history:{name}" for name in names(made.remote)))

    known = [secret, os.uname().nodename, str(made.one.root)]
    assert [one for one in known if one in held or json.dumps(one)[1:-1] in held] == []
    assert [row["runs"] for row in show(made.one)] == [2]


def test_rows_say_what_a_stage_a_week_and_a_task_add_up_to(made: Clones) -> None:
    write_lines(made.one, [line(number, wall_seconds=1.0) for number in range(10)])
    write_lines(made.one, [line(number, status="failed") for number in range(100, 102)], "0002-other")
    told(made.one, "push")

    (row,) = show(made.one, "repository,pipeline,week")
    assert (row["repository"], row["week"], row["runs"], row["failed_count"]) == ("remote", "2026-W09", 12, 2)
    assert (row["success_rate"], row["p50_wall_seconds"], row["p50_cpu_seconds"]) == (round(10 / 12, 6), 1.0, 0.4)
    (stage,) = show(made.one, "pipeline,stage")
    assert (stage["stage"], stage["runs"], stage["p50_wall_seconds"]) == ("build", 12, 0.5)
    assert [(row["task"], row["runs"]) for row in show(made.one, "task")] == [(TASKS[0], 12)]


TASKS = ("0001-demo",)


def test_only_runs_since_a_day_are_shown(made: Clones) -> None:
    write_lines(made.one, [line(0), line(3600 * 5)])  # the first of March and the sixth

    assert [row["runs"] for row in show(made.one, "pipeline", "--since", "2026-03-04")] == [1]
    assert show(made.one, "pipeline", "--since", "1d") == []
    refused = made.one.orchgate("history", "show", "--since", "yesterday")
    assert (refused.code, "2026-03-01 or 30d" in refused.out) == (2, True), refused.out


def test_runs_of_another_program_travel_beside_ours(made: Clones) -> None:
    write_lines(made.one, [line(0), *(foreign(number, duration_seconds=2.0) for number in range(1, 4))])

    assert told(made.one, "push")["sent_run_count"] == 4
    told(made.third, "fetch")

    rows = show(made.third, "pipeline,machine")
    assert [(row["pipeline"], row["machine"], row["runs"], row["flaky_rate"]) for row in rows] == [
        ("demo", "0123456789abcdef", 1, 0.0),
        ("diagnostics", "unknown", 3, None),
    ]
    assert told(made.one, "push")["sent_run_count"] == 0


def test_a_clone_without_a_remote_pushes_to_an_address(made: Clones) -> None:
    record(made.one)
    made.one.git("remote", "remove", "origin")

    pushed = told(made.one, "push", "--remote", str(made.remote.root))

    assert (pushed["sent_run_count"], pushed["repository"]) == (1, "remote")
    assert [(row["repository"], row["runs"]) for row in show(made.one, "repository")] == [("remote", 1)]


def test_many_pushers_at_once_all_arrive(made: Clones, tmp_path: Path) -> None:
    pushers = [clone(made.remote, tmp_path / f"pusher-{number}") for number in range(6)]
    for number, one in enumerate(pushers):
        write_lines(one, [line(10 * number + each) for each in range(3)])

    push_at_once(*pushers)

    assert [row["runs"] for row in show(made.third, "pipeline", "--from", "git")] == [18]
    assert len(names(made.remote)) == 6


def test_the_median_of_each_week_is_drawn(made: Clones) -> None:
    days = [f"2026-03-{day:02d}T10:00:00Z" for day in (2, 9, 16)]
    slower = [line(at, started_at=day, completed_at=None, wall_seconds=at + 1.0) for at, day in enumerate(days)]
    write_lines(made.one, slower)

    shown = made.one.orchgate("history", "show", "--plot", env={"LC_ALL": "C.UTF-8"})

    drawn = shown.out.partition("week by week, oldest first:\n")[2]
    assert (shown.code, drawn.split()) == (0, ["demo", "▁▅█", "1.000", "s", "to", "3.000", "s"]), shown.out


def test_what_is_drawn_is_in_columns(made: Clones) -> None:
    days = [f"2026-03-{day:02d}T10:00:00Z" for day in (2, 9)]
    more = [line(at, started_at=day, completed_at=None) for at, day in enumerate(days)]
    more += [line(2 + at, pipeline_id="a-longer-one", started_at=day, completed_at=None) for at, day in enumerate(days)]
    more += [line(4 + at, machine="f" * 16, started_at=day, completed_at=None) for at, day in enumerate(days)]
    write_lines(made.one, more)

    shown = made.one.orchgate("history", "show", "--plot", "--by", "pipeline,machine", env={"LC_ALL": "C.UTF-8"})

    rows = shown.out.partition("week by week, oldest first:\n")[2].splitlines()[:3]
    assert {row.index(row.split()[1]) for row in rows} == {2 + len("a-longer-one") + 2}, shown.out


def test_that_nothing_is_so_new_is_told_apart_from_nothing(made: Clones) -> None:
    new = made.one.orchgate("history", "show")
    write_lines(made.one, [line(1)])

    shown = made.one.orchgate("history", "show", "--since", "2026-03-20")

    assert (new.code, "orchgate history fetch" in new.out) == (0, True)
    assert (shown.code, shown.out.splitlines()) == (
        0,
        ["no runs since 2026-03-20 of this clone and what it has fetched count", "  hint: an earlier --since, or none"],
    )


def test_people_read_a_table(made: Clones) -> None:
    record(made.one)
    record(made.one, "broken")

    shown = made.one.orchgate("history", "show", "--by", "pipeline")

    assert shown.code == 0
    assert [row.split()[:4] for row in shown.out.splitlines() if "demo" in row or "broken" in row] == [
        ["broken", "1", "0.0", "%"],
        ["demo", "1", "100.0", "%"],
    ]
