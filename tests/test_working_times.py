"""How long somebody worked on a run: what the times in its journal add up to, whatever clocks stamped them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from orchgate.lib import working_time
from orchgate.runner.writer import entry_of
from orchgate.runs import ids, state, usage
from orchgate.runs.journal import difference
from orchgate.runs.run import from_journal, from_manifest
from tests.journals import events_of, journal_for
from tests.manifest_samples import own

HOUR = 3600.0
START = 1_770_000_000.0


def event(kind: str, at: float, away: float | None = None, **fields: Any) -> dict[str, Any]:
    counted = {} if away is None else {"away_seconds": away}
    return {"event": kind, "at": ids.moment(START + at), **fields, **counted}


def times(*events: dict[str, Any]) -> tuple[float, float | None, int]:
    total = usage.work_times(events)
    return round(total.worked, 3), None if total.away is None else round(total.away, 3), total.killed


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([event("run", 0, 0.0), event("finish", 9)], (9.0, 0.0, 0)),
        ([event("run", 0), event("finish", 9)], (9.0, None, 0)),
        ([event("run", 0, 0.0), event("end", 5, 3.0), event("finish", 9, 3.0)], (6.0, 3.0, 0)),
        ([event("run", 0, 50.0), event("finish", 9, 52.0)], (7.0, 2.0, 0)),
        ([event("run", 0, 0.0), event("start", 4), event("resume", 104, 0.0), event("finish", 110)], (10.0, 100.0, 1)),
        ([event("run", 0, 0.0), event("finish", 4), event("resume", 104, 0.0), event("finish", 110)], (10.0, 100.0, 0)),
        ([event("run", 0), event("finish", 4), event("resume", 104), event("finish", 110)], (10.0, 100.0, 0)),
        (
            [event("run", 0, 0.0), event("end", 8, 2.0), event("resume", 20, 0.0), event("finish", 30, 5.0)],
            (11.0, 19.0, 1),
        ),
        ([event("run", 0, 0.0), event("start", 4), event("resume", -500, 0.0), event("finish", -490)], (14.0, 0.0, 1)),
        (
            [event("run", 0, 0.0), event("start", 4), event("resume", 4e8, 0.0), event("finish", 4e8 + 6)],
            (10.0, None, 1),
        ),
        ([event("run", 10, 0.0), event("finish", 2)], (0.0, 0.0, 0)),
        ([event("run", 0, 0.0), event("finish", 5, 1e9)], (0.0, 5.0, 0)),
    ],
    ids=[
        "in one go",
        "by an older version",
        "stopped once",
        "stopped before it began",
        "killed and resumed",
        "failed and resumed",
        "resumed by an older version",
        "stopped and resumed",
        "a clock that was set back",
        "a clock that was years behind",
        "an edited journal",
        "an impossible stop",
    ],
)
def test_a_run_is_worked_on(events: list[dict[str, Any]], expected: tuple[float, float | None, int]) -> None:
    assert times(*events) == expected


def resumed(gap: float, away: float | None = 0.0) -> list[dict[str, Any]]:
    """A run that failed, and succeeded when it was taken up again `gap` seconds later."""
    first, *rest = events_of(own())
    end = ids.seconds(rest[-1]["at"])
    fields = {"reason": "x", "process": None, "git": None} | ({} if away is None else {"away_seconds": away})
    again = {"event": "resume", "at": ids.moment(end + gap), **fields}
    last = {**rest[-1], "at": ids.moment(end + gap + 5)}
    begun = first if away is None else {**first, "away_seconds": 0.0}
    return [begun, *rest[:-1], {**rest[-1], "status": "failed"}, again, last]


def test_the_wall_time_of_a_resumed_run_is_that_of_its_sittings() -> None:
    whole = state.manifest([{**one, "away_seconds": 0.0} for one in events_of(own())])
    made = state.manifest(resumed(2 * HOUR))
    assert made["usage"]["wall_seconds"] == pytest.approx(whole["usage"]["wall_seconds"] + 5)
    assert made["away_seconds"] == pytest.approx(2 * HOUR)


def test_a_metrics_entry_says_what_is_left_out() -> None:
    made = from_journal(resumed(2 * HOUR))
    assert entry_of(made)["away_seconds"] == pytest.approx(2 * HOUR)


def test_an_older_journal_is_added_up_the_same_way() -> None:
    older, newer = state.manifest(resumed(HOUR, None)), state.manifest(resumed(HOUR))
    assert (older["usage"], older["away_seconds"]) == (newer["usage"], newer["away_seconds"])


def lines(events: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


def test_a_manifest_that_an_older_version_left_is_still_what_its_journal_adds_up_to() -> None:
    events = resumed(HOUR, None)
    older = state.legacy(state.manifest(events))
    assert older["usage"]["wall_seconds"] > HOUR
    assert difference(json.loads(json.dumps(older)), lines(events)) is None


def test_nobody_passes_absence_for_work_now() -> None:
    events = resumed(HOUR)
    forged = json.loads(json.dumps(state.legacy(state.manifest(events))))
    assert difference(forged, lines(events)) is not None


def test_a_run_of_an_older_version_that_nobody_resumed_is_as_it_was() -> None:
    assert "away_seconds" not in state.manifest(map(json.loads, journal_for(own()).splitlines()))


def test_an_older_wall_time_that_holds_absence_is_no_fact() -> None:
    from orchgate.evidence.facts import facts_of

    made = state.manifest(resumed(HOUR, None))
    assert "wall_seconds" not in facts_of(from_manifest(state.legacy(made))).numbers
    assert "wall_seconds" in facts_of(from_manifest(made)).numbers


def test_sleep_of_the_machine_is_nobody_s_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, mark = ids.Clock(), working_time.mark()
    began, real = clock.now(), time.clock_gettime
    monkeypatch.setattr("time.clock_gettime", lambda number: real(number) + HOUR)
    assert clock.away() == pytest.approx(HOUR, abs=0.1)
    assert clock.now() - began >= HOUR
    assert mark.disturbed


def test_setting_the_clock_is_no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, mark = ids.Clock(), working_time.mark()
    monkeypatch.setattr("time.time", lambda: START + 9 * HOUR)
    assert (clock.away(), mark.disturbed) == (0.0, False)


@pytest.mark.parametrize(
    ("worked_for", "away", "said"),
    [
        (12.2, 7300.0, "worked 12 s, away 2 h"),
        (0.44, 3.0, "worked 0.4 s, away 3.0 s"),
        (400.0, 3 * 86400.0, "worked 7 min, away 3 days"),
        (12.0, 0.0, ""),
        (12.0, None, ""),
    ],
)
def test_people_are_told(worked_for: float, away: float | None, said: str) -> None:
    assert usage.away_words(worked_for, away) == said
