"""`orchgate history show --sql`, and rows of a store by DuckDB: what people get, and what no query may do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.errors import OrchgateError, UsageError
from orchgate.history import segments
from orchgate.history.parquet_parts import PARQUET
from orchgate.history.repositories import RepositoryIdentity
from orchgate.history.sql import question, sources
from orchgate.history.sql.bounds import QueryOutOfTime
from orchgate.history.sql.sources import Bounds
from tests.histories import line, show, told, write_lines
from tests.repo import ORCHGATE, Repo
from tests.test_history_segments import entry, lines_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchgate.history.segments import Line

LATER = datetime(2030, 1, 1, tzinfo=UTC)
STAGES = [
    {"id": "a", "status": "succeeded", "wall_seconds": 2.0, "metrics": {"cases": 7}},
    {"id": "b", "status": "failed", "wall_seconds": 1.0, "cached": True},
]
RUNS = lines_of(
    entry(run=0, stages=STAGES, benchmarks=[{"name": "io", "value": 3e-9, "stage": "a"}]),
    entry(run=1, status="failed", resumes=1, flaky=["a"]),
)
ENDLESS = "SELECT sum(hash(range)) FROM range(1000000000000)"


def answered(text: str, most: int = 100, runs: Sequence[Line] = RUNS, **bounds: Any) -> question.QueryResult:
    known = {"limit": LATER, "since": None, "memory": "200MB"} | bounds
    with sources.of_lines([(RepositoryIdentity("owner/name", None), runs)], Bounds(**known)) as asked:
        question.lay_tables(asked.database)
        return question.ask(asked.database, text, most)


# What is answered


def test_each_table_holds_what_a_run_is_made_of_once() -> None:
    twice = [*RUNS, *RUNS]

    assert answered("SELECT count(*), count_if(flaky), sum(resumes) FROM runs", runs=twice).rows == [[2, 1, 1]]
    assert answered("SELECT stage, status, cached FROM stages ORDER BY wall_seconds DESC LIMIT 2", runs=twice).rows == [
        ["a", "succeeded", False],
        ["b", "failed", True],
    ]
    assert answered("SELECT stage, name, value, status FROM counters", runs=twice).rows == [
        ["a", "cases", 7.0, "succeeded"]
    ]
    assert answered("SELECT name, value, unit, stage, status FROM benchmarks", runs=twice).rows == [
        ["io", 3e-9, "s", "a", "succeeded"]
    ]


def test_a_wall_time_that_holds_hours_in_which_nobody_ran_it_is_no_number() -> None:
    assert answered("SELECT wall_seconds FROM runs ORDER BY run_id").rows == [[0.5], [None]]


@pytest.mark.parametrize("table", question.TABLES)
def test_the_guide_lists_the_columns_of_each_table(table: str) -> None:
    with open(os.path.join(os.path.dirname(__file__), "..", "docs", "guide", "history.md"), encoding="utf-8") as file:
        guide = file.read()
    assert ", ".join(f"`{name}`" for name in question._COMMON) in guide
    assert ", ".join(f"`{name}`" for name in question._COSTS) in guide
    (told_of,) = [one for one in guide.splitlines() if one.startswith(f"| `{table}` |")]

    found = [row[0] for row in answered(f"DESCRIBE {table}").rows]
    own = [name for name in found if name not in question._COMMON and name not in question._COSTS]
    assert told_of.split("`")[3::2] == own
    assert found[: len(question._COMMON)] == list(question._COMMON)


def test_values_are_those_that_json_has() -> None:
    text = """SELECT TIMESTAMP '2026-03-01 10:00:00' AS a, TIMESTAMPTZ '2026-03-01 10:00:00+02' AS b,
        DATE '2026-03-01' AS c, 1.5::DECIMAL(4, 2) AS d, 'nan'::DOUBLE AS e, [1, NULL] AS f,
        {'x': INTERVAL 90 SECONDS} AS g, 'ab'::BLOB AS h, 170141183460469231731687303715884105727 AS i,
        NULL AS j, true AS k, map {1: 2} AS l"""

    assert json.loads(json.dumps(answered(text).rows)) == [
        [
            "2026-03-01T10:00:00.000Z",
            "2026-03-01T08:00:00.000Z",
            "2026-03-01",
            1.5,
            None,
            [1, None],
            {"x": 90.0},
            "6162",
            170141183460469231731687303715884105727,
            None,
            True,
            {"1": 2},
        ]
    ]


def test_an_answer_is_cut_where_it_gets_long() -> None:
    long = answered("SELECT * FROM range(10000000000)", most=3)

    assert (long.rows, long.is_cut) == ([[0], [1], [2]], True)
    assert not answered("SELECT * FROM range(3)", most=3).is_cut


def test_an_answer_takes_no_more_memory_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "_MOST_BYTES", 1 << 20)

    for text in ("SELECT repeat('x', 1000) FROM range(5000)", "SELECT [[1], []] FROM range(50000)"):
        with pytest.raises(UsageError, match="the answer is larger than 1 MB"):
            answered(text, most=100_000)
    assert len(answered("SELECT repeat('x', 1000) FROM range(5000)", most=900).rows) == 900


# What is not


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "COPY runs TO 'x'",
        "COPY (SELECT 1) TO '/dev/stdout'",
        "ATTACH 'x.db'",
        "PRAGMA version",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "RESET memory_limit",
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW runs",
        "EXPORT DATABASE 'x'",
        "CALL pragma_version()",
        "USE x",
        "EXPLAIN ANALYZE SELECT 1",
        "PREPARE x AS SELECT 1",
        "WITH x AS (DELETE FROM parts RETURNING *) SELECT * FROM x",
        "SELECT * FROM (WITH x AS (INSERT INTO parts VALUES (9, 'a', 'b') RETURNING *) FROM x)",
        "SELECT INTERVAL 9000000 YEARS",
    ],
)
def test_what_is_not_one_select_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--sql"):
        answered(text)


@pytest.mark.slow
def test_no_query_reads_or_writes_anything_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for text in (
        f"SELECT * FROM '{secret}'",
        f"SELECT * FROM read_csv('{secret}')",
        f"SELECT * FROM read_text('{secret}')",
        f"SELECT * FROM glob('{tmp_path}/*')",
        f"SELECT * FROM query('FROM read_csv(''{secret}'')')",
        "SELECT * FROM read_parquet('https://example.org/x.parquet')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM sqlite_scan('x', 'y')",
        "SELECT * FROM secret",  # of the Python that calls it
        "SELECT getenv('HOME')",
        "SELECT write_log('x', '/tmp/x')",
    ):
        try:
            found = answered(text)
        except UsageError:
            continue
        assert "write_log" in text, found
    assert os.listdir(tmp_path) == ["secret.csv"]


def test_an_error_of_a_query_is_told_in_the_words_of_duckdb_on_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        answered("SELECT nope\nFROM runs")

    assert '"nope" not found' in caught.value.message
    assert "\n" not in caught.value.message
    assert "DESCRIBE runs" in caught.value.hint
    with pytest.raises(UsageError, match=r"x{300,400}$"):
        answered("SELECT error(repeat('x', 10000))")


@pytest.mark.slow
def test_a_query_without_end_ends_by_its_limits() -> None:
    with pytest.raises(QueryOutOfTime, match="longer than"):
        answered(ENDLESS, seconds=0.3)
    with pytest.raises(OrchgateError, match="200MB of memory"):
        answered("SELECT list(range) FROM range(1000000000)")


@pytest.mark.slow
def test_a_query_that_takes_more_memory_goes_to_disk() -> None:
    assert answered("SELECT count(DISTINCT hash(range)) FROM range(20000000)", memory="150MB").rows == [[20_000_000]]


@pytest.mark.slow
def test_a_signal_ends_a_query() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            answered(ENDLESS)
    finally:
        signal.signal(signal.SIGINT, before)


# As people call it


def parts_in(folder: Path, *groups: tuple[str, str | None, Sequence[Line]]) -> list[Path]:
    found = []
    for repository, roots, lines in groups:
        for name, content in segments.made(repository, roots, lines, form=PARQUET).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            found.append(path)
    return found


@pytest.fixture
def clone(repo: Repo) -> Repo:
    repo.commit("start", {"orchgate.toml": "", ".gitignore": "/.runs/\n"})
    return repo


@pytest.mark.slow
def test_the_rows_of_a_store_leave_out_what_is_damaged_and_name_it(clone: Repo, tmp_path: Path) -> None:
    store = tmp_path / "store"
    good, other = parts_in(
        store,
        ("owner/name", None, RUNS),
        ("owner/name", None, lines_of(entry(run=5, started_at="2026-04-01T00:00:00Z", completed_at=None))),
    )
    assert [row["runs"] for row in show(clone, "pipeline", "--from", str(store))] == [3]

    other.write_bytes(other.read_bytes()[:-30])
    found = told(clone, "show", "--from", str(store), code=3)

    assert (found["run_count"], [one["code"] for one in found["problems"]]) == (2, ["damaged_segment"])
    assert found["problems"][0]["path"] == str(other.relative_to(store))
    assert told(clone, "show", "--from", str(store), "--since", "2026-04-01", code=3)["run_count"] == 0
    good.unlink()


@pytest.mark.slow
def test_a_query_is_answered_of_any_source(clone: Repo, tmp_path: Path) -> None:
    write_lines(clone, [line(0), line(1, status="failed")])
    parts_in(tmp_path / "store", ("owner/name", None, RUNS))
    text = "SELECT status, count(*) AS runs FROM runs GROUP BY ALL ORDER BY ALL"

    for source in ("--from=local", f"--from={tmp_path / 'store'}"):
        found = told(clone, "show", source, "--sql", text)
        assert (found["columns"], found["rows"], found["is_cut"], found["run_count"]) == (
            ["status", "runs"],
            [["failed", 1], ["succeeded", 1]],
            False,
            2,
        )
    ended = clone.orchgate("history", "show", "--from", "local", "--sql", "SELECT pipeline FROM runs", "--limit", "1")
    assert ended.out.splitlines() == [
        "the first 1 row, from 2 runs of this clone",
        "  pipeline",
        "  demo",
        "there are more: --limit N shows more of them",
    ]


def test_what_a_query_says_is_harmless_on_a_terminal(clone: Repo) -> None:
    write_lines(clone, [line(0)])

    ended = clone.orchgate(
        "history", "show", "--from", "local", "--sql", "SELECT chr(27) || '[2J' AS \"x\x1b[31m\" FROM runs"
    )

    assert "\x1b" not in ended.out
    assert "\\x1b[2J" in ended.out


def test_a_query_that_is_wrong_is_a_mistake_of_who_asks(clone: Repo) -> None:
    ended = clone.orchgate("history", "show", "--from", "local", "--sql", "DROP TABLE runs")

    assert (ended.code, "takes one SELECT" in ended.out) == (2, True)
    assert clone.orchgate("history", "show", "--max-memory", "7").code == 2
    for usual in (("--by", "week"), ("--plot",)):  # what would say something else than the query does
        ended = clone.orchgate("history", "show", "--from", "local", "--sql", "SELECT 1", *usual)
        assert (ended.code, f"{usual[0]} is for the usual rows" in ended.out) == (2, True)


def test_without_duckdb_a_query_names_what_to_install(clone: Repo) -> None:
    hidden = "import sys; sys.modules['duckdb'] = None\nimport importlib.util as u; find = u.find_spec\n"
    hidden += "u.find_spec = lambda name, *more: None if name == 'duckdb' else find(name, *more)\n"
    hidden += "from orchgate.cli import main; sys.exit(main(sys.argv[1:]))"
    python = os.path.join(os.path.dirname(ORCHGATE), "python")
    write_lines(clone, [line(0)])

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [python, "-c", hidden, "history", "show", "--from", "local", *words]
        return subprocess.run(argv, cwd=clone.root, capture_output=True, text=True, check=False)

    asked = run("--sql", "SELECT 1")
    assert (asked.returncode, "pip install 'orchgate[history]'" in asked.stderr) == (2, True)
    assert run().returncode == 0


def test_an_older_duckdb_is_named_before_it_takes_good_parts_for_damaged_ones(clone: Repo) -> None:
    older = "import sys; from importlib import metadata; known = metadata.version\n"
    older += "metadata.version = lambda name: '1.5.6' if name == 'duckdb' else known(name)\n"
    older += "from orchgate.cli import main; sys.exit(main(sys.argv[1:]))"
    python = os.path.join(os.path.dirname(ORCHGATE), "python")

    for words in (("--from", "./parts"), ("--from", "local", "--sql", "SELECT 1")):
        argv = [python, "-c", older, "history", "show", *words]
        done = subprocess.run(argv, cwd=clone.root, capture_output=True, text=True, check=False)
        assert (done.returncode, "duckdb 2.0.1 or later (1.5.6 is installed)" in done.stderr) == (2, True)
