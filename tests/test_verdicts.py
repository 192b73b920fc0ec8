"""What is kept of a question, as bytes, and how its error budget is split."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.model import Finding, Location, Severity, Step
from orchgate.speed.push import verdict_record
from orchgate.speed.push.verdict_record import StoredVerdict
from orchgate.verdict.values import Pair, Sitting

PAIR = Pair({"cpu_seconds": 0.1}, {"cpu_seconds": 0.11}, True, {}, {"cpu_seconds": "a child left its session"})
SAID = Finding("PRF001", Location(""), "slower", "look", Severity.ERROR, steps=(Step("reproduce", "orchgate perf"),))
ENTRY = StoredVerdict("2026-02-01T12:00:00Z", True, 8, (SAID,), (PAIR,), (Sitting(0, 8, 2 / 3),), 2)


def test_an_entry_is_read_as_it_was_kept() -> None:
    assert verdict_record.decoded(verdict_record.encoded(ENTRY)) == ENTRY


WRONG = [
    None,
    b"",
    b"not packed",
    zlib.compress(b"null"),
    zlib.compress(b"5"),
    zlib.compress(b"{}"),
    zlib.compress(b"\xff\xfe"),
    zlib.compress(b"[" * 100_000),
    zlib.compress(b'{"version": 1}'),
    verdict_record.encoded(ENTRY)[:-9],
    verdict_record.encoded(ENTRY._replace(spent="2")),  # type: ignore[arg-type]
    zlib.compress(zlib.decompress(verdict_record.encoded(ENTRY)).replace(b'"error"', b'"fatal"')),
    zlib.compress(zlib.decompress(verdict_record.encoded(ENTRY)).replace(b"0.11", b'"0.11 s"')),
]


@pytest.mark.parametrize("data", WRONG, ids=range(len(WRONG)))
def test_anything_else_is_no_entry(data: bytes | None) -> None:
    assert verdict_record.decoded(data) is None


COUNTED = Pair({"written_bytes": 12_345_678_901}, {"cpu_seconds": 0.1234567890123}, True, {}, {"processes": "why"})


def test_pairs_are_the_same_when_they_are_read_again() -> None:
    kept = StoredVerdict(pairs=verdict_record.plain([COUNTED]))

    assert verdict_record.decoded(verdict_record.encoded(kept)) == kept


def test_every_field_of_a_pair_is_kept() -> None:
    of_runs = [name for name in Pair._fields if name.endswith(("_bounds", "_unread"))]
    assert len(of_runs) == len(Pair._fields) - 4  # the others are given here
    reasons: dict[str, Any] = {name: {"a": str(number)} for number, name in enumerate(of_runs)}
    kept = StoredVerdict(pairs=(Pair({}, {}, True, machine="class/2", **reasons),))

    assert verdict_record.decoded(verdict_record.encoded(kept)) == kept


def test_counts_are_kept_exactly_and_times_to_nine_digits() -> None:
    (kept,) = verdict_record.plain([COUNTED])

    assert (kept.base["written_bytes"], kept.head["cpu_seconds"]) == (12_345_678_901, 0.123456789)


@pytest.mark.slow
@given(st.integers(1, 300))
def test_all_shares_are_never_more_than_the_whole(pushes: int) -> None:
    assert sum(map(verdict_record.share, range(pushes))) <= 1


def test_the_first_sitting_has_two_thirds_and_the_next_a_third_of_that() -> None:
    assert [round(verdict_record.share(spent), 4) for spent in range(3)] == [0.6667, 0.2222, 0.0741]


def test_an_older_entry_that_was_put_back_is_no_successor() -> None:
    newer = ENTRY._replace(spent=3, pairs=(PAIR, PAIR))

    assert (newer.follows(ENTRY), ENTRY.follows(newer)) == (True, False)


def test_a_digest_tells_apart_what_a_joined_text_would_not() -> None:
    assert verdict_record.digest(["a", "b"]) != verdict_record.digest(["a'\0'b"])
