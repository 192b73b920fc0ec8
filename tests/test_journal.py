"""Lines that are written once and whole, and what is made of those that are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.runner import writer
from orchgate.runs import journal
from orchgate.runs.state import manifest
from tests.journals import events_of
from tests.manifest_samples import own
from tests.metrics_lines import recorded_entries

if TYPE_CHECKING:
    from pathlib import Path

EVENT = next(events_of(own()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lines"


def test_an_event_is_one_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        written.append(data)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    journal.Journal(str(path)).append(EVENT, sync=True)
    assert written == [json.dumps(EVENT, separators=(",", ":")).encode() + b"\n"]


def test_an_event_that_was_written_is_read_back(path: Path) -> None:
    journal.Journal(str(path)).append(EVENT, sync=False)
    assert journal.read(str(path)).events == (EVENT,)


def test_a_short_write_is_no_acknowledgement(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:5]))
    with pytest.raises(files.WriteError):
        journal.Journal(str(path)).append(EVENT, sync=True)


def test_a_sync_that_fails_is_no_acknowledgement(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(files.WriteError, match="No space left"):
        journal.Journal(str(path)).append(EVENT, sync=True)


def test_a_torn_line_never_melts_into_the_next(path: Path) -> None:
    path.write_bytes(b'{"event":"y"')
    journal.Journal(str(path)).append(EVENT, sync=False)
    assert journal.read(str(path)) == journal.JournalEvents((EVENT,), (1,))


def test_a_torn_line_stays_in_the_file(path: Path) -> None:
    path.write_bytes(b'{"event":"y"')
    journal.Journal(str(path)).append(EVENT, sync=False)
    assert path.read_bytes().startswith(b'{"event":"y"')


def test_a_torn_last_line_is_reported_with_its_number(path: Path) -> None:
    journal.Journal(str(path)).append(EVENT, sync=False)
    with path.open("ab") as file:
        file.write(b'{"ev')
    assert journal.read(str(path)) == journal.JournalEvents((EVENT,), (2,))


@pytest.mark.slow
@given(st.binary(max_size=60).filter(lambda data: b"\n" not in data and b"\x18" not in data))
def test_whatever_was_torn_off_the_next_entry_is_whole(
    tmp_path_factory: pytest.TempPathFactory, fragment: bytes
) -> None:
    path = tmp_path_factory.mktemp("torn") / "metrics.json"
    path.write_bytes(fragment)
    writer.append_entry(str(path), writer.encode_entry({"entry": 1, "run_id": "r"}))
    assert recorded_entries(path) == [{"entry": 1, "run_id": "r"}]


def test_a_damaged_line_is_refused_with_its_number(path: Path) -> None:
    path.write_bytes(b"{}x\n")
    with pytest.raises(OrchgateError, match="line 1 is not JSON"):
        journal.read(str(path))


def test_a_line_without_a_time_is_no_event(path: Path) -> None:
    path.write_bytes(b'{"event":"x"}\n')
    with pytest.raises(OrchgateError, match=r"line 1 \(x\) is not an event"):
        journal.read(str(path))


def test_events_without_a_beginning_are_no_run() -> None:
    with pytest.raises(OrchgateError, match="has no place here"):
        manifest([{"event": "start", "at": EVENT["at"]}])


def test_a_journal_is_not_followed_through_a_link(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(files.WriteError):
        journal.Journal(str(path))


@pytest.mark.slow
def test_many_processes_append_without_losing_or_mixing_lines(path: Path) -> None:
    script = (
        "import sys; from orchgate.runner.writer import append_entry, encode_entry\n"
        "for n in range(50):\n"
        " append_entry(sys.argv[1], encode_entry({'entry': 1, 'w': sys.argv[2], 'n': n, 'x': 'y' * 3000}))"
    )
    argv = [sys.executable, "-c", script, str(path)]
    children = [subprocess.Popen([*argv, str(number)]) for number in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert (len(found), len({(entry["w"], entry["n"]) for entry in found})) == (200, 200)


def test_a_file_is_replaced_whole_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"old")
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:1]) if len(data) > 3 else _full())
    with pytest.raises(files.WriteError):
        files.replace(str(path), b"new content")
    assert (path.read_bytes(), list(path.parent.iterdir())) == (b"old", [path])


def _full() -> int:
    raise OSError(28, "No space left on device")


@pytest.mark.slow
def test_a_file_where_a_folder_belongs_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(files.WriteError):
        files.make_folders(str(tmp_path / "a" / "b"))
