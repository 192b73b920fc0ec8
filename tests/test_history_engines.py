"""One history in git and in a folder: the same rows, whoever wrote the parts, and whatever their clocks say."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.history import segments
from orchgate.history.entries import decode_entry
from tests.histories import clones, line, named, plant, record, show, told, write_lines
from tests.repo import clone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.histories import Clones
    from tests.repo import Repo

pytestmark = pytest.mark.slow
pytest.importorskip("duckdb")
pytest.importorskip("obstore")

QUESTIONS = ("pipeline", "repository,pipeline,stage", "month,week,machine,task", "benchmark", "stage,counter")


@pytest.fixture
def made(repo: Repo, tmp_path: Path) -> Clones:
    (tmp_path / "store").mkdir()
    return clones(repo, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def parts(folder: str) -> list[Path]:
    return sorted(Path(folder).rglob("*.parquet"))


def rows(repo: Repo, by: str, store: str) -> list[dict[str, Any]]:
    return show(repo, by, "--from", store)


def write_runs(made: Clones) -> None:
    """Runs of two machines in two months: failed, resumed, flaky, with tests, counters and benchmarks."""
    some: list[Mapping[str, Any]] = [line(number, machine="a" * 16) for number in range(0, 30, 3)]
    tests = {"passed": 3, "failed": 1, "skipped": 0, "errors": 0}
    stage = {"id": "test", "status": "failed", "wall_seconds": 1.5, "tests": tests, "counters": {"queries": 12}}
    other = [
        line(101, status="failed", stages=[stage], flaky=["test"]),
        line(102, started_at="2026-02-27T10:00:00Z", completed_at="2026-02-27T10:00:09Z", resumes=1),
        line(103, benchmarks=[{"name": "sort", "value": 0.25, "unit": "s", "stage": "test"}]),
    ]
    write_lines(made.one, some)
    write_lines(made.other, other)


def test_the_same_history_in_git_and_in_a_folder_gives_equal_rows(made: Clones, folder: str) -> None:
    write_runs(made)
    record(made.one)
    for store in ("git", folder):
        told(made.one, "push", "--to", store)
        told(made.other, "push", "--to", store)
    before = {by: rows(made.third, by, "git") for by in QUESTIONS}

    assert {by: rows(made.third, by, folder) for by in QUESTIONS} == before
    for store in ("git", folder):
        told(made.third, "compact", "--to", store)
    assert {by: rows(made.third, by, store) for by in QUESTIONS for store in ("git", folder)} == before
    assert sum(row["runs"] for row in before["pipeline"]) == 14


def test_a_history_moves_as_a_whole_from_git_to_a_folder(
    made: Clones, folder: str, new_repo: Callable[[str], Repo]
) -> None:
    write_runs(made)
    stranger = new_repo("stranger")
    stranger.commit("another beginning", {".gitignore": "/.runs/\n"})
    stranger.git("remote", "add", "origin", str(made.remote.root))
    write_lines(stranger, [line(0)])
    record(made.third)
    for one in (made.one, made.other, stranger):
        told(one, "push")
    told(made.third, "fetch")

    moved = told(made.third, "push", "--to", folder, "--fetched")
    again = told(made.third, "push", "--to", folder, "--fetched")

    assert (moved["sent_run_count"], moved["run_count"]) == (15, 15)
    assert (again["sent_run_count"], again["stored_run_count"]) == (0, 15)
    told(made.third, "push")
    for by in QUESTIONS:
        assert rows(made.one, by, folder) == rows(made.one, by, "git")


def test_a_segment_that_is_damaged_here_is_named_when_a_history_moves(made: Clones, folder: str) -> None:
    write_lines(made.one, [line(0)])
    told(made.one, "push")
    content = b"hello\n"
    plant(made.one, {named(content): content})

    moved = told(made.one, "push", "--to", folder, "--fetched", code=3)

    assert moved["sent_run_count"] == 1
    assert "does not begin as one" in moved["problems"][0]["message"]


def test_runs_that_are_pushed_to_a_folder_twice_at_once_and_late_count_once(
    made: Clones, folder: str, tmp_path: Path
) -> None:
    from tests.test_history import push_at_once

    copies = [clone(made.remote, tmp_path / f"copy-{number}") for number in range(4)]
    for number, one in enumerate(copies):
        write_lines(one, [line(at) for at in range(10 + number)])
    push_at_once(*copies, to=folder)
    told(made.third, "compact", "--to", folder)
    late = copies[0]
    told(late, "push", "--to", folder)

    assert [row["runs"] for row in rows(made.third, "pipeline", folder)] == [13]


def rewritten(path: Path, select: str) -> Path:
    """A part as another version would write it, in place of it."""
    import duckdb

    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        ((head,),) = database.execute(
            "SELECT value FROM parquet_kv_metadata($path) WHERE key = 'orchgate'::BLOB", {"path": str(path)}
        ).fetchall()
        made = path.with_name("made")
        database.execute(
            f"COPY ({select.format(path=path)}) TO '{made}' (FORMAT parquet, KV_METADATA {{orchgate: $head}})".replace(
                "$head", "'" + head.decode().replace("'", "''") + "'"
            )
        )
    name = f"{path.stem[:-64]}{hashlib.sha256(made.read_bytes()).hexdigest()}.parquet"
    path.unlink()
    return made.rename(path.with_name(name))


LATER = """
WITH rows AS (SELECT *, row_number() OVER () AS n FROM read_parquet('{path}', hive_partitioning = false))
SELECT * EXCLUDE (n, place) FROM (
    SELECT *, 1.5 AS gpu_seconds, 0 AS place FROM rows
    UNION ALL BY NAME
    SELECT * REPLACE ('span' AS kind), 2.5 AS gpu_seconds, 1 AS place FROM rows
) ORDER BY n, place
"""
EARLIER = """
SELECT * EXCLUDE (tree_rss_bytes, written_bytes, unit) FROM read_parquet('{path}', hive_partitioning = false)
"""


@pytest.mark.parametrize("select", [LATER, EARLIER])
def test_parts_of_a_later_and_of_an_earlier_version_count(made: Clones, folder: str, select: str) -> None:
    write_lines(made.one, [line(number) for number in range(5)])
    told(made.one, "push", "--to", folder)
    before = rows(made.third, "pipeline,stage", folder)

    (part,) = parts(folder)
    rewritten(part, select)

    assert rows(made.third, "pipeline,stage", folder) == before
    assert told(made.third, "verify", "--from", folder)["problems"] == []


def test_machines_whose_clocks_are_days_behind_or_ahead_harm_nobody(made: Clones, folder: str) -> None:
    def at(days: float, number: int) -> dict[str, Any]:
        moment = datetime.now(UTC) + timedelta(days=days)
        stamp = f"{moment:%Y-%m-%dT%H:%M:%S}"
        ended = f"{moment + timedelta(seconds=5):%Y-%m-%dT%H:%M:%S}.000Z"
        run_id = f"{stamp.replace(':', '-')}-000Z-{number:08x}"
        return line(number, run_id=run_id, started_at=f"{stamp}.000Z", completed_at=ended)

    write_lines(made.one, [at(-3, 1), at(-0.01, 2)])
    told(made.one, "push", "--to", folder)
    write_lines(made.other, [at(3, 3), at(-0.02, 4)])
    pushed = told(made.other, "push", "--to", folder)
    ahead = segments.line_of(decode_entry(_encoded(at(3, 5))))
    _plant(folder, [ahead])

    shown = told(made.third, "show", "--from", folder)

    assert (pushed["sent_run_count"], len(pushed["problems"])) == (1, 1)
    assert "dated in the future" in pushed["problems"][0]["message"]
    assert [row["runs"] for row in shown["rows"]] == [3]
    assert [problem["code"] for problem in shown["problems"]] == ["left_out"]
    told(made.third, "compact", "--to", folder)
    assert [row["runs"] for row in rows(made.third, "pipeline", folder)] == [3]


def _encoded(fields: Mapping[str, Any]) -> bytes:
    import json

    return json.dumps(fields).encode()


def _plant(folder: str, lines: list[segments.Line]) -> None:
    """A part that a machine wrote whose clock says that it is time."""
    from orchgate.history.parquet_parts import PARQUET

    for name, content in segments.made("remote", None, lines, form=PARQUET).items():
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        Path(folder, name).write_bytes(content)


def test_two_repositories_of_one_name_in_one_folder_are_kept_apart(
    made: Clones, folder: str, new_repo: Callable[[str], Repo]
) -> None:
    stranger = new_repo("stranger")
    stranger.commit("another beginning", {".gitignore": "/.runs/\n"})
    stranger.git("remote", "add", "origin", str(made.remote.root))
    write_lines(stranger, [line(0), line(1)])
    write_lines(made.one, [line(0)])
    told(stranger, "push", "--to", folder)
    told(made.one, "push", "--to", folder)

    for _ in range(2):
        shown = told(made.third, "show", "--from", folder, "--by", "repository")
        assert sorted(row["runs"] for row in shown["rows"]) == [1, 2]
        assert all(row["repository"].startswith("remote (roots ") for row in shown["rows"])
        told(made.third, "compact", "--to", folder)
