"""The record of what was judged on this machine: it saves time, and is never believed more than it deserves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.files import WriteError
from orchgate.model import Severity
from orchgate.speed import verdicts
from orchgate.speed.verdicts import Key, Recorded, Said

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key("b" * 40, "h" * 40, "asked", "machine")
REFUSED = Recorded(KEY, "2026-02-01T12:00:00Z", True, 8, 0.5, (Said("PRF001", "slower", "look", Severity.ERROR),))
PASSED = REFUSED._replace(said=())
UNDECIDED = REFUSED._replace(conclusive=False)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return verdicts.path_in(str(tmp_path))


def test_what_was_added_is_found(path: str) -> None:
    verdicts.add(path, REFUSED)

    assert verdicts.read(path).find(KEY) == REFUSED


def test_an_empty_record_knows_nothing(path: str) -> None:
    assert verdicts.read(path) == verdicts.Record(())


@pytest.mark.parametrize("field", Key._fields)
def test_another_tree_question_or_machine_is_not_answered(path: str, field: str) -> None:
    verdicts.add(path, REFUSED)

    assert verdicts.read(path).find(KEY._replace(**{field: "other"})) is None


def test_the_newest_answer_counts(path: str) -> None:
    verdicts.add(path, REFUSED)
    verdicts.add(path, PASSED)

    assert verdicts.read(path).find(KEY) == PASSED


def test_what_nobody_could_tell_is_asked_again(path: str) -> None:
    verdicts.add(path, UNDECIDED)

    assert verdicts.read(path).find(KEY) is None


def test_how_long_a_pair_takes_is_known_also_from_other_trees(path: str) -> None:
    verdicts.add(path, UNDECIDED)

    assert verdicts.read(path).pair_seconds("asked", "machine") == 0.5


def test_how_long_a_pair_takes_elsewhere_is_not_known(path: str) -> None:
    verdicts.add(path, UNDECIDED)

    assert verdicts.read(path).pair_seconds("asked", "another machine") is None


WRONG = [
    b"null",
    b"5",
    b"[]",
    b"{}",
    b"not json",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"version": 2}',
    b'{"version":1,"base":5,"head":"h","asked":"a","machine":"m","at":"x","conclusive":true,"pairs":1,"pair_seconds":1,"said":[]}',
    b'{"version":1,"base":"b","head":"h","asked":"a","machine":"m","at":"x","conclusive":true,"pairs":1,"pair_seconds":NaN,"said":[]}',
    b'{"version":1,"base":"b","head":"h","asked":"a","machine":"m","at":"x","conclusive":true,"pairs":1e999,"pair_seconds":1,"said":[]}',
    b'{"version":1,"base":"b","head":"h","asked":"a","machine":"m","at":"x","conclusive":true,"pairs":1,"pair_seconds":1,"said":[5]}',
    (
        b'{"version":1,"base":"b","head":"h","asked":"a","machine":"m","at":"x","conclusive":true,"pairs":1,"pair_seconds":1,'
        b'"said":[{"rule":"r","message":"m","hint":"h","severity":"fatal"}]}'
    ),
]


@pytest.mark.parametrize("line", WRONG, ids=lambda line: line[:12].decode("latin-1") + str(len(line)))
def test_a_line_that_is_no_judgement_is_counted_and_the_others_still_count(path: str, line: bytes) -> None:
    verdicts.add(path, REFUSED)
    with open(path, "ab") as file:
        file.write(line + b"\n")

    record = verdicts.read(path)

    assert (record.ignored, record.find(KEY)) == (1, REFUSED)


def test_a_torn_line_is_counted_and_does_not_melt_into_the_next(path: str) -> None:
    verdicts.add(path, REFUSED)
    with open(path, "ab") as file:
        file.write(b'{"version":1,"base":"bb')
    verdicts.add(path, PASSED)

    record = verdicts.read(path)

    assert (record.ignored, record.judged) == (1, (REFUSED, PASSED))


def test_a_record_that_is_no_file_is_said_and_not_waited_for(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    os.mkfifo(path)

    assert verdicts.read(path) == verdicts.Record((), 1)


def test_a_record_does_not_grow_for_ever(path: str) -> None:
    long = REFUSED._replace(said=(Said("PRF001", "x" * 10_000, "", Severity.ERROR),))
    for _ in range(100):
        verdicts.add(path, long)
    verdicts.add(path, PASSED)

    record = verdicts.read(path)

    assert (os.stat(path).st_size < 2 * verdicts.MAX_BYTES, record.ignored, record.find(KEY)) == (True, 0, PASSED)


def test_a_record_that_cannot_be_written_says_so(path: str) -> None:
    open(os.path.dirname(path), "w").close()  # a file where the folder belongs

    with pytest.raises(WriteError, match="cannot write"):
        verdicts.add(path, REFUSED)


def test_a_digest_tells_apart_what_a_joined_text_would_not() -> None:
    assert verdicts.digest(["a", "b"]) != verdicts.digest(["a'\0'b"])
