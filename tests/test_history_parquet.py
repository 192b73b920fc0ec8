"""Parts of Parquet: they give back the runs that were put in, byte for byte, and what is none has a name."""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchgate.errors import OrchgateError
from orchgate.history import parquet_rows, segments
from orchgate.history.entries import (
    HistoryBenchmark,
    HistoryEntry,
    HistoryMetrics,
    HistoryStage,
    HistoryTests,
    decode_entry,
)
from orchgate.history.parquet import COLUMNS, connected
from orchgate.history.parquet_parts import JOINED, PARQUET, PartReader
from orchgate.history.segments import HistorySegment, SegmentFault
from orchgate.metrics.aggregate import COSTS
from orchgate.metrics.lines import MOST_BYTES, MOST_SECONDS, Status
from tests.histories import line
from tests.test_history_segments import entry, lines_of, parsed

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY, ROOTS = "owner/name", "0123456789abcdef"

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
seconds = st.none() | st.floats(0, MOST_SECONDS)
sizes = st.none() | st.integers(0, MOST_BYTES)
counts = st.integers(0, 1 << 32)
months = st.datetimes(datetime(2026, 3, 1), datetime(2026, 3, 31), timezones=st.just(UTC))  # noqa: DTZ001
tests = st.builds(HistoryTests, passed=counts, failed=counts, skipped=counts, errors=counts)
costs: dict[str, Any] = {
    "wall_seconds": seconds,
    "user_seconds": seconds,
    "system_seconds": seconds,
    "max_rss_bytes": sizes,
    "tree_rss_bytes": sizes,
    "read_bytes": sizes,
    "written_bytes": sizes,
    "processes": st.none() | counts,
    "complete": st.none() | st.booleans(),
    "lower_bounds": st.none() | st.dictionaries(st.sampled_from(COSTS), st.just("")),
    "tests": st.none() | tests,
}
figures = st.floats(-1e308, 1e308)
stages = st.builds(
    HistoryStage,
    id=names,
    status=names,
    flaky=st.booleans(),
    cached=st.booleans(),
    counters=st.dictionaries(names, figures, max_size=3),
    **costs,
)
benchmarks = st.builds(HistoryBenchmark, name=names, value=figures, unit=names, stage=st.none() | names)
entries = st.builds(
    HistoryEntry,
    entry=st.just(1) | counts,
    run_id=ids,
    pipeline_id=names,
    task_id=st.none() | names,
    status=st.sampled_from(get_args(Status)),
    started_at=months,
    completed_at=st.none() | months,
    resumes=counts,
    away_seconds=seconds,
    machine=st.just("0123456789abcdef"),
    manifest_writes=st.none() | counts,
    metrics=st.none() | st.builds(HistoryMetrics, manifest_writes=st.floats(allow_nan=False, allow_infinity=False)),
    flaky=st.lists(names, max_size=3),
    commit=st.none() | names,
    tree=st.none() | names,
    dirty=st.booleans(),
    foreign=st.booleans(),
    stages=st.lists(stages, max_size=3),
    benchmarks=st.lists(benchmarks, max_size=3),
    **costs,
)


def made(*some: HistoryEntry, replaces: tuple[str, ...] = ()) -> Mapping[str, bytes]:
    return segments.made(REPOSITORY, ROOTS, lines_of(*some), replaces, PARQUET)


def read(name: str, content: bytes) -> HistorySegment | SegmentFault:
    """As `PARQUET.parsed`, without a process of its own."""
    with tempfile.TemporaryDirectory() as folder, connected(folder) as database:
        path = Path(folder, "part")
        path.write_bytes(content)
        found = parquet_rows.lines_of(database, str(path))
    return SegmentFault(name, found) if isinstance(found, str) else segments.parse(name, found, JOINED.runs)


def named(content: bytes, run: int = 0) -> str:
    first = line(run)["run_id"]
    start = f"0123456789abcdef-{first}"
    return f"v1/repo=owner%2Fname/month=2026-03/{start}-{hashlib.sha256(content).hexdigest()}.parquet"


def fault(content: bytes) -> str:
    found = read(named(content), content)
    assert isinstance(found, SegmentFault), found
    return found.why


# What comes back


@pytest.mark.slow
@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(st.lists(entries, min_size=1, max_size=4, unique_by=lambda one: one.run_id), min_size=4, max_size=8))
def test_a_part_gives_back_the_bytes_that_were_put_in(each: list[list[HistoryEntry]]) -> None:
    put = [lines_of(*some) for some in each]
    parts = [one for lines in put for one in segments.made(REPOSITORY, ROOTS, lines, (), PARQUET).items()]

    for lines, found in zip(put, PARQUET.parsed(parts), strict=True):  # one process reads them all
        assert isinstance(found, HistorySegment), found
        ordered = sorted(lines, key=lambda one: one[0].run_id)
        assert [written for _, written in found.runs] == [written for _, written in ordered]
        assert [segments.line_of(one)[1] for one, _ in found.runs] == [written for _, written in found.runs]


def test_the_same_runs_make_the_same_bytes_in_any_order() -> None:
    some = [entry(run=number) for number in range(20)]

    assert made(*some) == made(*reversed(some))


def test_both_formats_make_segments_of_the_same_heads_and_runs() -> None:
    some = lines_of(*(entry(run=number) for number in range(700)), entry(run=1000, machine="f" * 16))

    as_lines = parsed(segments.made(REPOSITORY, ROOTS, some, ["a" * 64]))
    as_parts = [read(*one) for one in segments.made(REPOSITORY, ROOTS, some, ["a" * 64], PARQUET).items()]
    pushed = [read(*one) for one in segments.made(REPOSITORY, ROOTS, some, form=PARQUET).items()]

    assert [len(one.runs) for one in pushed if isinstance(one, HistorySegment)] == [500, 200, 1]
    assert {line for one in as_parts if isinstance(one, HistorySegment) for _, line in one.runs} == {
        line for one in as_lines for _, line in one.runs
    }
    assert [one.head.runs for one in as_parts if isinstance(one, HistorySegment)] == [700, 1]  # joined ones hold more
    assert all(one.head.replaces == ["a" * 64] for one in as_parts if isinstance(one, HistorySegment))


def test_small_parts_become_one_that_stands_for_them() -> None:
    few = [read(*one) for number in range(3) for one in made(entry(run=number)).items()]
    before = [one for one in few if isinstance(one, HistorySegment)]

    plan = segments.compacted(before, PARQUET)
    ((name, content),) = plan.made.items()
    after = read(name, content)

    assert isinstance(after, HistorySegment)
    assert (len(after.runs), set(plan.gone)) == (3, {one.name for one in before})
    assert segments.covered([*before, after]) == plan.gone
    assert segments.compacted([after], PARQUET) == segments.Compaction({}, frozenset())


# What is none


def part(tmp_path: Path, sql: str = "SELECT * FROM part", *, head: str = "", some: int = 2) -> bytes:
    """A part that somebody else wrote: what a query makes of a good one."""
    ((_, content),) = made(*(entry(run=number, stages=[STAGE]) for number in range(some))).items()
    (tmp_path / "good").write_bytes(content)
    with connected(str(tmp_path)) as database:
        database.execute(f"CREATE VIEW part AS SELECT * FROM read_parquet('{tmp_path}/good')")
        if not head:
            found = database.execute(f"SELECT value FROM parquet_kv_metadata('{tmp_path}/good')").fetchall()
            head = found[0][0].decode()
        options = f"FORMAT parquet, KV_METADATA {{orchgate: '{head}'}}"
        database.execute(f"COPY ({sql}) TO '{tmp_path}/made' ({options})")
    return (tmp_path / "made").read_bytes()


STAGE = {"id": "build", "status": "succeeded", "wall_seconds": 0.5}


def test_what_a_later_version_adds_is_ignored_and_what_an_earlier_one_did_not_know_is_missing(tmp_path: Path) -> None:
    more = part(
        tmp_path,
        "FROM (SELECT *, 7 AS later, {'a': 1} AS nested FROM part UNION ALL BY NAME "
        "SELECT * REPLACE ('hotspot' AS kind), 1 AS later FROM part WHERE kind = 'run') "
        "ORDER BY run_id, kind = 'stage', kind DESC",
    )
    less = part(tmp_path, "SELECT * EXCLUDE (tree_rss_bytes, cached, manifest_writes) FROM part")

    found = [read(named(content), content) for content in (more, less)]

    assert [one for one in found if isinstance(one, SegmentFault)] == []
    assert {tuple(written for _, written in one.runs) for one in found if isinstance(one, HistorySegment)} == {
        tuple(written for _, written in lines_of(*(entry(run=number, stages=[STAGE]) for number in range(2))))
    }


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT *, 1 AS later FROM part",
        (
            "FROM (SELECT * FROM part UNION ALL SELECT * REPLACE ('hotspot' AS kind) FROM part WHERE kind = 'run') "
            "ORDER BY run_id, kind = 'stage', kind DESC"
        ),
    ],
)
def test_what_a_later_version_wrote_is_left_to_it_by_a_compaction(tmp_path: Path, sql: str) -> None:
    content = part(tmp_path, sql)
    later = read(named(content), content)
    own = [read(*one) for number in (5, 6) for one in made(entry(run=number)).items()]
    assert isinstance(later, HistorySegment)

    plan = segments.compacted([later, *(one for one in own if isinstance(one, HistorySegment))], PARQUET)

    assert (later.head.more, set(plan.gone)) == (True, {one.name for one in own})
    assert [read(*one).head.more for one in plan.made.items()] == [False]  # type: ignore[union-attr]  # or it fails


WRONG = {
    "a value that is none": ("SELECT * REPLACE ('lost' AS status) FROM part", "no run"),
    "a number below zero": ("SELECT * REPLACE (-1.0::DOUBLE AS wall_seconds) FROM part", "no run"),
    "a number that is none": ("SELECT * REPLACE ('nan'::DOUBLE AS wall_seconds) FROM part", "numbers that are none"),
    "a time that is none": ("SELECT * REPLACE ('infinity'::TIMESTAMPTZ AS started_at) FROM part", "made to look"),
    "a column of another type": ("SELECT * REPLACE (1 AS run_id) FROM part", "column run_id of another type"),
    "a list where text should be": ("SELECT * REPLACE ([commit] AS commit) FROM part", "column commit of another type"),
    "no runs": ("SELECT * FROM part WHERE kind = 'stage'", "does not follow its run"),
    "no rows": ("SELECT * FROM part LIMIT 0", "holds 0 rows"),
    "a stage without its run": ("SELECT * FROM part ORDER BY kind DESC", "does not follow its run"),
    "a stage of another time": (
        "SELECT * REPLACE (if(kind = 'stage', now(), started_at) AS started_at) FROM part",
        "does not follow its run",
    ),
    "fewer runs than it says": ("SELECT * FROM part LIMIT 2", "says that it holds 2 runs"),
    "a run twice": ("SELECT * REPLACE (min(run_id) OVER () AS run_id) FROM part", "once each"),
    "another month": ("SELECT * REPLACE (started_at - INTERVAL 40 DAY AS started_at) FROM part", "another month"),
    "another machine": ("SELECT * REPLACE ('abc' AS machine) FROM part", "class of machines"),
    "another repository": ("SELECT * REPLACE ('a/b' AS repository) FROM part", "another repository"),
    "a name that is too long": ("SELECT * REPLACE (repeat('x', 301) AS pipeline) FROM part", "no run"),
    "very long text": ("SELECT * REPLACE (repeat('x', 2000000) AS pipeline) FROM part", "more text"),
    "other columns": ("SELECT 1 AS x FROM part", "another repository"),
}


@pytest.mark.parametrize("what", WRONG)
def test_parts_that_contradict_themselves_are_named(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sql, why = WRONG[what]
    monkeypatch.setattr(parquet_rows, "MOST_TEXT", 1 << 20)

    assert why in fault(part(tmp_path, sql))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"status":"failed"', b'"status":"succeeded","status":"failed"'),
        (b'"2026-03-01T10:00:00Z"', b'"2026-03-01t10:00:00z"'),
        (b'"2026-03-01T10:00:00Z"', b'"2026-03-01T09:59:59.9999996Z"'),
        (b'"wall_seconds":0.5', b'"wall_seconds":50e-2'),
    ],
)
def test_a_run_of_another_writer_is_written_as_it_was_read(old: bytes, new: bytes) -> None:
    """Of what JSON may be in several ways, DuckDB would read some otherwise."""
    ((_, plain),) = lines_of(entry(status="failed", started_at="2026-03-01T10:00:00Z", stages=[]))
    assert plain.count(old) == 1
    changed = plain.replace(old, new)
    read = decode_entry(changed)

    (made,) = parsed_parts(segments.made(REPOSITORY, ROOTS, [(read, changed)], form=PARQUET))

    assert [one for one, _ in made.runs] == [read]


def parsed_parts(made: Mapping[str, bytes]) -> list[HistorySegment]:
    return [one for one in PARQUET.parsed(made.items()) if isinstance(one, HistorySegment)]


def test_a_part_of_another_version_or_of_none_is_named(tmp_path: Path) -> None:
    assert fault(part(tmp_path, head='{"history":2}')) == "is of another version (2)"
    assert fault(part(tmp_path, head="hello")) == "does not begin as one"


def test_what_is_no_parquet_or_was_cut_off_is_named(tmp_path: Path) -> None:
    whole = part(tmp_path)

    assert "ends in the middle" in fault(b"")
    assert "ends in the middle" in fault(b"PAR1")
    assert "ends in the middle" in fault(b"hello, world")
    assert "ends in the middle" in fault(whole[: len(whole) // 2])
    assert "damaged" in fault(b"PAR1" + b"\0" * 100 + b"PAR1")
    assert "damaged" in fault(whole[:100] + bytes(100) + whole[200:])


def test_parts_between_damaged_ones_count(tmp_path: Path) -> None:
    whole, damaged = part(tmp_path), b"PAR1" + b"\0" * 100 + b"PAR1"
    contents = [damaged, whole, whole, damaged, whole]

    found = list(PARQUET.parsed((named(content), content) for content in contents))

    assert [isinstance(one, HistorySegment) for one in found] == [content is whole for content in contents]


def test_a_part_is_called_as_its_content_says(tmp_path: Path) -> None:
    content = part(tmp_path)

    found = read(named(content, run=5), content)

    assert isinstance(read(named(content), content), HistorySegment)
    assert isinstance(found, SegmentFault)
    assert found.why == "is not called as its content says"


def test_every_field_of_a_run_has_a_column() -> None:
    known = {column.name for column in COLUMNS}
    renamed = {"task_id": "task", "pipeline_id": "pipeline", "foreign": "is_foreign", "flaky": "flaky_stages"}
    parts = {
        "stages",
        "benchmarks",
        "tests",
        "metrics",
        "inside",
    }  # rows and columns of their own; `inside` does not travel

    assert {renamed.get(name, name) for name in HistoryEntry.__struct_fields__} - known == parts
    assert {renamed.get(name, name) for name in HistoryStage.__struct_fields__} - known == {"id", "tests", "counters"}


def test_runs_that_another_second_parts_stay_apart() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    one = entry(run=1)
    one.started_at, one.completed_at = moment, moment + timedelta(microseconds=1)

    ((name, content),) = made(one).items()
    found = read(name, content)

    assert isinstance(found, HistorySegment)
    assert found.runs[0][0].completed_at == one.completed_at


# The process that reads


def test_parts_are_read_by_another_process_each_once(tmp_path: Path) -> None:
    good, torn = part(tmp_path), b"torn"

    found = list(PARQUET.parsed([(named(torn), torn), (named(good), good), ("x", OrchgateError("is gone"))]))

    assert [one.why for one in found if isinstance(one, SegmentFault)] == [
        "is not Parquet, or ends in the middle",
        "is gone",
    ]
    assert [len(one.runs) for one in found if isinstance(one, HistorySegment)] == [2]


def test_a_part_that_ends_the_process_is_named_and_the_next_one_is_read(tmp_path: Path) -> None:
    good = part(tmp_path)
    reader = PartReader(str(tmp_path))

    before = reader.lines_of(good)
    os.kill(children_of(os.getpid(), "orchgate.history.parquet_rows", str(tmp_path)), signal.SIGSEGV)
    between, after = reader.lines_of(good), reader.lines_of(good)

    assert (between, before == after) == ("ended the process that read it (SIGSEGV)", True)
    assert (reader.close(), list(tmp_path.glob("part-*"))) == (0, [])


def children_of(parent: int, *words: str) -> int:
    """The one child that was started with some words."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            said = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            its_parent = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if its_parent == parent and all(word.encode() in said for word in words):
            return int(name)
    raise AssertionError(words)
