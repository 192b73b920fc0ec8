"""Bringing an aggregate up to date: what is new, what counts twice, and when everything has to be read again."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.errors import OrchgateError
from orchgate.metrics import index, update
from tests.metrics_lines import afresh, append, foreign, histories, only, own, updated, write

if TYPE_CHECKING:
    from collections.abc import Callable

# What is new


def test_no_file_is_no_runs(tmp_path: Path) -> None:
    assert updated(tmp_path).aggregate.runs == 0


def test_nothing_is_left_behind_where_there_is_no_file(tmp_path: Path) -> None:
    updated(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_no_runs(tmp_path: Path) -> None:
    write(tmp_path, end=b"")
    assert updated(tmp_path).aggregate.lines == 0


def test_only_new_lines_are_read(tmp_path: Path) -> None:
    write(tmp_path, own(1), own(2))
    updated(tmp_path)
    append(tmp_path, own(3))
    found = updated(tmp_path)
    assert (found.lines, found.rebuilt, found.aggregate.runs) == (1, "", 3)


def test_nothing_new_is_nothing_read(tmp_path: Path) -> None:
    write(tmp_path, own(1))
    first = updated(tmp_path)
    again = updated(tmp_path)
    assert (again.lines, again.bytes, again.aggregate) == (0, 0, first.aggregate)


def test_ignored_lines_of_before_stay_counted(tmp_path: Path) -> None:
    write(tmp_path, b"null", own(1))
    updated(tmp_path)
    append(tmp_path, b"5")
    found = updated(tmp_path)
    assert (found.aggregate.ignored, found.ignored) == ({"not an entry": 2}, {"not an entry": 1})


@pytest.mark.slow
@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 3)), max_size=4), max_size=5))
def test_step_by_step_is_the_same_as_at_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[tuple[int, int, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("task")
    write(folder, end=b"")
    for step in steps:
        append(
            folder, *(own(number, resumes=again, away_seconds=9.5, wall_seconds=cost) for number, again, cost in step)
        )
        found = updated(folder)
    assert not steps or found.aggregate == afresh(folder)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 9)), max_size=8))
def test_of_the_lines_of_a_run_the_last_with_most_resumes_counts(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("task")
    write(folder, end=b"")
    append(folder, *(own(number, resumes=again, away_seconds=9.5, wall_seconds=cost) for number, again, cost in runs))
    counting: dict[int, tuple[int, int]] = {}
    for number, again, cost in runs:
        if again >= counting.get(number, (0, 0))[0]:
            counting[number] = (again, cost)
    machines = updated(folder).aggregate.machines
    total = machines["0123456789abcdef"]["demo"].costs["wall_seconds"].total if runs else 0
    assert total == 1_000_000 * sum(cost for _, cost in counting.values())


@pytest.mark.slow
@given(st.data())
def test_whatever_happens_to_a_file_it_is_added_up_as_from_scratch(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    histories(tmp_path_factory.mktemp("task"), data.draw(st.randoms(use_true_random=False)))


# A line that is being written


def test_an_unfinished_last_line_is_left_for_the_next_time(tmp_path: Path) -> None:
    write(tmp_path, own(1), own(2), end=b"")
    found = updated(tmp_path)
    assert (found.aggregate.runs, found.aggregate.lines, found.unfinished) == (1, 1, len(own(2)))


def test_an_unfinished_line_counts_once_it_is_finished(tmp_path: Path) -> None:
    path = write(tmp_path, own(1), own(2)[:50], end=b"")
    updated(tmp_path)
    with path.open("ab") as file:
        file.write(own(2)[50:] + b"\n")
    found = updated(tmp_path)
    assert (found.aggregate.runs, found.rebuilt) == (2, "")


def test_a_line_its_writer_never_finished_is_told_once_another_closed_it_off(tmp_path: Path) -> None:
    path = write(tmp_path, own(1), own(2)[:50], end=b"")
    updated(tmp_path)
    with path.open("ab") as file:
        file.write(b"\x18\n" + own(3) + b"\n")
    found = updated(tmp_path)
    assert (found.aggregate.runs, found.aggregate.ignored) == (2, {"torn": 1})


def test_a_file_of_one_unfinished_line_is_no_runs(tmp_path: Path) -> None:
    write(tmp_path, own(1), end=b"")
    assert updated(tmp_path).aggregate.lines == 0


# Runs with several lines


@pytest.mark.slow
def test_a_run_taken_up_again_replaces_its_line_of_before_the_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, *(own(number) for number in range(5)), own(9, status="failed"))
    updated(tmp_path)
    append(tmp_path, own(9, resumes=1, completed_at="2026-02-01T13:00:00Z"))
    found = updated(tmp_path)
    assert (found.rebuilt, found.ignored) == ("", {"superseded by a resumed run": 1})
    assert only(found.aggregate).statuses == {"succeeded": 6}


def test_a_copied_line_is_no_second_run(tmp_path: Path) -> None:
    write(tmp_path, foreign(1))
    updated(tmp_path)
    append(tmp_path, foreign(1))
    found = updated(tmp_path)
    assert (found.aggregate.runs, found.aggregate.ignored) == (1, {"duplicate run": 1})


def test_lines_of_a_run_are_known_in_one_pass(tmp_path: Path) -> None:
    write(tmp_path, foreign(1), foreign(2), foreign(1), own(3, resumes=1), own(3))
    found = updated(tmp_path).aggregate
    assert (found.runs, found.ignored) == (3, {"duplicate run": 1, "superseded by a resumed run": 1})


def test_a_run_that_held_an_extreme_is_taken_out_by_reading_all(tmp_path: Path) -> None:
    write(tmp_path, own(1), own(2, wall_seconds=900), own(3))
    updated(tmp_path)
    append(tmp_path, own(2, resumes=1))
    found = updated(tmp_path)
    assert found.rebuilt == "a run that was superseded held an extreme"
    assert (only(found.aggregate).costs["wall_seconds"].high, found.aggregate.runs) == (2_500_000, 3)


def test_a_third_line_of_a_run_takes_out_the_second_only(tmp_path: Path) -> None:
    write(tmp_path, own(1), own(2))
    for again in (1, 2, 3):
        updated(tmp_path)
        append(tmp_path, own(2, resumes=again))
    found = updated(tmp_path)
    assert (found.aggregate.runs, found.rebuilt, only(found.aggregate).resumed) == (2, "", 1)


def test_runs_whose_keys_are_the_same_are_two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "hashes", lambda run_ids: (0 for _ in run_ids))
    write(tmp_path, own(1), foreign(2))
    updated(tmp_path)
    append(tmp_path, own(3), own(1, resumes=1))
    found = updated(tmp_path).aggregate
    assert (found.runs, found.ignored) == (3, {"superseded by a resumed run": 1})


@pytest.mark.parametrize("count", [1, 2, 300, index.LARGE + 1])
def test_runs_of_a_segment_are_found_by_their_keys(count: int) -> None:
    ids = [f"2026-11-29T06-14-03-961Z-{number:08x}" for number in range(count)]
    gathered = index.Collector()
    gathered.add(ids, range(0, 10 * count, 10), 7)
    segments = gathered.segments()
    found = [run for segment in segments for run in segment.runs()]
    assert sorted(offset for _, offset in found) == list(range(7, 10 * count + 7, 10))
    assert all([*segment.runs()] == sorted(segment.runs()) for segment in segments)
    assert all(list(index.find(segments, [key])[key]) == [offset] for key, offset in found[:: count // 50 + 1])


def test_keys_are_spread_evenly() -> None:
    """Where one is in a segment is looked up near the place that follows from it."""
    gathered = index.Collector()
    gathered.add([f"run-{number}" for number in range(4_096)], range(4_096), 0)
    keys = [key for key, _ in gathered.segments()[0].runs()]
    assert max(abs(place - (4_096 * key >> index.KEY_BITS)) for place, key in enumerate(keys)) < index.NEAR


def test_a_checkpoint_of_a_python_that_hashes_otherwise_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, own(1), own(2))
    updated(tmp_path)
    monkeypatch.setattr(index, "sample", lambda: 5)
    append(tmp_path, own(1))
    found = updated(tmp_path)
    assert (found.rebuilt, found.aggregate.runs) == ("the checkpoint is of another kind of machine or Python", 2)


@pytest.mark.slow
def test_runs_are_found_in_every_segment_of_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MOST_RECENT", 2)
    monkeypatch.setattr(index, "MOST_SMALL", 3)
    write(tmp_path, own(0))
    for number in range(1, 40):
        updated(tmp_path)
        append(tmp_path, own(number))
    updated(tmp_path)
    append(tmp_path, *(own(number) for number in range(40)))
    found = updated(tmp_path)
    assert (found.aggregate.runs, found.aggregate.ignored, found.rebuilt) == (40, {"duplicate run": 40}, "")


# When the checkpoint does not hold


def _rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"2.25", b"3.25"))


def _grown_and_edited(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"2.25", b"3.25", 1) + own(99) + b"\n")


def _cut(path: Path) -> None:
    os.truncate(path, len(own(0)) + 1)


def _replaced(path: Path) -> None:
    shutil.copy(path, path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


SPOILT: list[tuple[Callable[[Path], None], str]] = [
    (_rewritten, "the file was rewritten"),
    (_grown_and_edited, "the file was rewritten"),
    (_cut, "the file was cut"),
    (_emptied, "the file was cut"),
    (_replaced, "the file was replaced"),
]


@pytest.mark.parametrize(("spoil", "why"), SPOILT, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_that_was_not_only_appended_to_is_read_again(
    tmp_path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    path = write(tmp_path, *(own(number) for number in range(6)))
    updated(tmp_path)
    spoil(path)
    found = updated(tmp_path)
    assert found.rebuilt == why
    assert found.aggregate == afresh(tmp_path)


@pytest.mark.slow
def test_an_edit_in_the_middle_of_a_large_file_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path, *(foreign(number) for number in range(3000)))
    assert path.stat().st_size > 2 * update.WHOLE
    updated(tmp_path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 + 12_345)
        file.write(b"#")
    assert updated(tmp_path).rebuilt


def test_a_file_that_was_only_touched_is_not_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, own(1))
    updated(tmp_path)
    os.utime(path, ns=(0, 10**18))
    assert updated(tmp_path).rebuilt == ""


DAMAGE: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"{",
    "of another program": b'{"runs": 7}',
    "of another version": b'{"version":999,"check":0,"state":{}}',
    "with a wrong sum": b'{"version":1,"check":0,"state":{}}',
    "nested too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_made_anew(tmp_path: Path, data: bytes) -> None:
    write(tmp_path, own(1), own(2))
    updated(tmp_path)
    (tmp_path / "aggregate.json").write_bytes(data)
    found = updated(tmp_path)
    assert (found.aggregate.runs, found.lines, updated(tmp_path).lines) == (2, 2, 0)
    assert "checkpoint" in found.rebuilt


def test_a_checkpoint_with_other_numbers_in_it_is_made_anew(tmp_path: Path) -> None:
    write(tmp_path, own(1))
    updated(tmp_path)
    kept = tmp_path / "aggregate.json"
    kept.write_bytes(kept.read_bytes().replace(b'"succeeded":1', b'"succeeded":7'))
    assert updated(tmp_path).rebuilt == "the checkpoint is damaged"


@pytest.mark.parametrize("spoil", [os.unlink, lambda path: os.truncate(path, 20), os.utime])
def test_an_index_that_is_not_as_it_was_left_is_made_anew(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    write(tmp_path, own(1))
    updated(tmp_path)
    spoil(tmp_path / "aggregate.index")
    append(tmp_path, own(1))
    found = updated(tmp_path)
    assert (found.aggregate.runs, found.rebuilt) == (1, "the index beside the checkpoint is not its own")


def test_what_a_killed_update_left_behind_goes(tmp_path: Path) -> None:
    write(tmp_path, own(1))
    (tmp_path / ".orchgate-0123456789abcdef.tmp").write_bytes(b"half a che")
    (tmp_path / ".orchgate-fedcba9876543210.tmp").write_bytes(b"half an ind")
    assert updated(tmp_path).not_kept == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aggregate.index", "aggregate.json", "metrics.json"]


# What cannot be read or written


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").mkdir()
    with pytest.raises(OrchgateError, match="not a regular file"):
        updated(tmp_path)


def test_a_pipe_in_place_of_the_file_is_an_error_and_nobody_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.json")
    with pytest.raises(OrchgateError, match="not a regular file"):
        updated(tmp_path)


def test_a_pipe_in_place_of_the_checkpoint_is_replaced(tmp_path: Path) -> None:
    write(tmp_path, own(1))
    os.mkfifo(tmp_path / "aggregate.json")
    assert (updated(tmp_path).not_kept, updated(tmp_path).lines) == ("", 0)


def test_without_a_checkpoint_the_answer_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, own(1))
    (tmp_path / "aggregate.index").mkdir()
    found = updated(tmp_path)
    assert found.aggregate.runs == 1
    assert "aggregate.index" in found.not_kept


@pytest.mark.slow
def test_a_disk_that_is_full_takes_no_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, own(1))
    script = (
        "import resource, sys; from orchgate.metrics.update import update; import signal; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8)); "
        "found = update(sys.argv[1]); print(found.aggregate.runs, found.not_kept)"
    )
    out = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert out.stdout.startswith("1 cannot write")
    assert os.strerror(errno.EFBIG) in out.stdout


def test_one_that_waits_too_long_for_another_goes_on_without_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "PATIENCE", 0.0)
    write(tmp_path, own(1))
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        found = updated(tmp_path)
    finally:
        os.close(descriptor)
    assert (found.aggregate.runs, found.not_kept) == (1, "another process holds the checkpoint")


# Many at once

WRITER = """
import sys
from orchgate.runner.writer import append_entry
from tests.metrics_lines import own
for number in range(10):
    append_entry(sys.argv[1], own(int(sys.argv[2]) * 100 + number, task_id="x" * number * 100))
"""
READER = """
import sys
from orchgate.metrics.update import update
runs = -1
while runs < int(sys.argv[2]):
    found = update(sys.argv[1])
    assert found.aggregate.runs >= runs, (found, runs)
    assert not found.aggregate.ignored, found.aggregate.ignored
    runs = found.aggregate.runs
"""


def started(*argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", *argv], cwd=Path(__file__).parent.parent)


@pytest.mark.slow
def test_sixty_four_writers_lose_nothing_while_two_read(tmp_path: Path) -> None:
    write(tmp_path, end=b"")
    readers = [started(READER, str(tmp_path), "640") for _ in range(2)]
    writers = [started(WRITER, str(tmp_path / "metrics.json"), str(number)) for number in range(64)]
    assert {writer.wait() for writer in writers} == {0}
    assert {reader.wait() for reader in readers} == {0}
    found = updated(tmp_path)
    assert (found.aggregate.runs, found.aggregate.lines, found.lines) == (640, 640, 0)


def test_a_checkpoint_is_one_json_document(tmp_path: Path) -> None:
    write(tmp_path, own(1))
    updated(tmp_path)
    assert json.loads((tmp_path / "aggregate.json").read_bytes())["version"] == update.VERSION


@pytest.mark.parametrize(
    ("said", "counted"), [({"manifest_writes": 14.0}, 14), ({"manifest_writes": -1.0}, 2), ({"other": 5.5}, 2), ({}, 2)]
)
def test_a_programs_own_manifest_writes_count_and_not_the_runners(
    tmp_path: Path, said: dict[str, float], counted: int
) -> None:
    write(tmp_path, own(1, metrics=said))

    assert only(updated(tmp_path).aggregate).costs["manifest_writes"].low == counted
