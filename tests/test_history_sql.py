"""Rows that DuckDB adds up over parts of Parquet: the same as run by run, and what does not count."""

from __future__ import annotations

import importlib
import json
import math
import os
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import duckdb
import pytest

from orchgate.history import figures, parquet_rows, query, segments
from orchgate.history.entries import HistoryEntry, read_line
from orchgate.history.parquet import COLUMNS, HEAD, quoted
from orchgate.history.parquet_parts import PARQUET
from orchgate.history.repositories import RepositoryIdentity
from orchgate.history.segments import HistorySegment, SegmentFault
from orchgate.history.sql import figures as sql_figures
from orchgate.history.sql import parts, relations, rows, truths
from orchgate.lib import process
from orchgate.lib.files import sha256_hex
from orchgate.metrics import sketch
from tests.histories import line
from tests.test_history_segments import entry, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orchgate.errors import OrchgateError
    from orchgate.history.segments import Line
    from orchgate.history.sql.relations import GoodPart, Settled

    Pushed = tuple[str, str | None, Sequence[Line]]

LATER = datetime(2026, 3, 20, tzinfo=UTC)
EVERY: tuple[tuple[str, ...], ...] = (
    ("pipeline",),
    ("stage",),
    ("repository", "week", "pipeline", "stage", "machine"),
    ("month", "task"),
    ("repository", "machine"),
)
FIGURES: tuple[tuple[str, ...], ...] = (
    ("benchmark",),
    ("counter",),
    ("stage", "counter"),
    ("repository", "week", "pipeline", "stage", "machine", "benchmark"),
    ("month", "task", "counter"),
)


class Folder:
    """Parts in a folder, and the same runs as they are read from segments of lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paths: dict[str, str] = {}
        self.pushed: list[tuple[RepositoryIdentity, Sequence[Line]]] = []

    def put(self, name: str, content: bytes) -> None:
        self.paths.setdefault(name, str(self.path / f"{len(self.paths)}.parquet"))
        with open(self.paths[name], "wb") as file:
            file.write(content)

    def push(self, repository: str, roots: str | None, lines: Sequence[Line]) -> None:
        for name, content in segments.made(repository, roots, lines, form=PARQUET).items():
            self.put(name, content)
        self.pushed.append((RepositoryIdentity(repository, roots), lines))

    def good(self) -> tuple[list[GoodPart], list[SegmentFault]]:
        return parts.good(self, self.paths, str(self.path / "memory"), str(self.path))

    def kept(self, name: str) -> str:
        return self.paths[name]

    def located(self, names: Iterable[str], scratch: str) -> Iterator[tuple[str, str | OrchgateError]]:
        for name in names:
            yield name, self.paths[name]

    def asked(
        self, by: Sequence[str], since: datetime | None = None, limit: datetime = LATER
    ) -> tuple[Settled, list[dict[str, object]]]:
        good, faults = self.good()
        assert faults == []
        with relations.connected(str(self.path)) as database:
            relations.lay(database, good)
            settled = relations.settle(database, limit, since)
            return settled, rows.rows(database, by)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


# The same as run by run


def run_of(draw: random.Random) -> HistoryEntry:
    """One of few ids, so that many are the same run."""
    costs = {"wall_seconds": draw.expovariate(0.1), "user_seconds": draw.random(), "system_seconds": draw.random()}
    costs |= {"max_rss_bytes": draw.randrange(1 << 30)}
    stages = [
        {
            "id": draw.choice("xyz"),
            "status": draw.choice(["succeeded", "succeeded", "failed", "skipped"]),
            "flaky": draw.random() < 0.2,
            "cached": draw.random() < 0.1,
            "metrics": draw.choice([{}, {"cases": draw.randrange(-5, 9), "io": draw.random() * 1e-9}]),
            **some(draw, costs),
        }
        for _ in range(draw.randrange(4))
    ]
    known = line(draw.randrange(30)) | {
        "pipeline_id": draw.choice("ab"),
        "task_id": draw.choice(["0001-one", None]),
        "status": draw.choice(["succeeded", "succeeded", "failed", "cancelled"]),
        "machine": draw.choice(["a" * 16, "b" * 16, None]),
        "resumes": draw.choice([0, 0, 1]),
        "away_seconds": draw.choice([None, 1.0]),
        "started_at": f"2026-{draw.choice(['02', '03'])}-{draw.randrange(1, 28):02d}T10:00:11.123Z",
        "completed_at": draw.choice([None, "2026-03-15T10:00:00Z", "2026-03-15T10:00:00Z", "2026-03-29T10:00:00Z"]),
        "flaky": draw.choice([[], [], ["x"]]),
        "complete": draw.choice([None, False]),
        "lower_bounds": draw.choice([None, {"cpu_seconds": "x"}]),
        "metrics": draw.choice([None, {"manifest_writes": 2}]),
        "benchmarks": [
            {"name": draw.choice("pq"), "value": draw.choice([0, 3e-9, -7, 1e300]), **of}
            for of in draw.sample([{}, {"unit": "B"}, {"stage": "x"}, {"stage": "none"}], draw.randrange(3))
        ],
        "stages": stages,
        **some(draw, costs),
    }
    if draw.random() < 0.15:
        known = {name: known[name] for name in ("run_id", "task_id", "pipeline_id", "status", "started_at")}
        known["duration_seconds"] = draw.random()
    found = read_line(json.dumps({name: value for name, value in known.items() if value is not None}).encode())
    return found if isinstance(found, HistoryEntry) else run_of(draw)


def some(draw: random.Random, costs: Mapping[str, float]) -> dict[str, float | None]:
    return {name: draw.choice([None, 0, value, value, value]) for name, value in costs.items()}


def histories(draw: random.Random, pushes: int) -> Iterator[Pushed]:
    pool = [run_of(draw) for _ in range(60)]
    known = [("o/a", "r1"), ("o/a", "r2"), ("o/b", "r1"), ("o/c", None), ("o/c", "r3"), ("o/a", None)]
    for at in range(pushes):
        chosen = draw.sample(pool, draw.randrange(1, 25))
        yield *known[at % len(known)], lines_of(*chosen)


@pytest.mark.parametrize(
    ("seed", "pushes"), [(1, 2), *(pytest.param(seed, 14, marks=pytest.mark.slow) for seed in range(2, 6))]
)
def test_parts_give_the_rows_that_segments_of_lines_give(folder: Folder, seed: int, pushes: int) -> None:
    for pushed in histories(random.Random(seed), pushes):
        folder.push(*pushed)
    good, faults = folder.good()
    assert faults == []

    for since in (None, datetime(2026, 3, 3, tzinfo=UTC)):
        runs = query.counted(folder.pushed, LATER, since)
        with relations.connected(str(folder.path)) as database:
            relations.lay(database, good)
            settled = relations.settle(database, LATER, since)
            assert settled.runs == sum(len(one.entries) for one in runs)
            assert settled.repositories == tuple(one.repository.name for one in runs)
            assert sorted(settled.left_out) == sorted(both for one in runs for both in one.left_out.items())
            for by in (*EVERY, *FIGURES):
                assert json.dumps(sql_figures.rows(database, by)) == json.dumps(query.rows(runs, by)), by


def test_every_number_is_in_the_bucket_that_sketch_puts_it_in() -> None:
    last = [sketch._end(index) for index in range(1, 1734)]
    numbers = sorted({number for end in last for number in (end, end + 1) if 0 < number < 1 << 50})

    with duckdb.connect() as database:
        asked = f"SELECT {rows.BUCKET} FROM (SELECT unnest($numbers)::DOUBLE AS value)"
        found = [row[0] for row in database.execute(asked, {"numbers": numbers}).fetchall()]

    expected = []
    for number in numbers:
        spread = sketch.spread_of([number])
        expected += list(spread.buckets)
    assert found == expected


def test_a_run_that_only_its_bytes_tell_apart_counts_as_it_does_among_lines(folder: Folder) -> None:
    """Two entries of a run of which none is later: `entries.rank` looks at how they are written."""
    for seconds in (2.5, 10.0, 7.0):
        folder.push("o/a", "r1", lines_of(entry(run=1, wall_seconds=seconds)))

    _, (row,) = folder.asked(["pipeline"])

    (expected,) = query.rows(query.counted(folder.pushed, LATER, None), ["pipeline"])
    assert (row["runs"], row["p50_wall_seconds"]) == (1, expected["p50_wall_seconds"])


def test_runs_of_the_future_are_left_out_by_name_up_to_a_number(folder: Folder, monkeypatch: Any) -> None:
    monkeypatch.setattr(relations, "NAMED", 3)
    folder.push("o/a", None, lines_of(*(entry(run=number) for number in range(5))))

    settled, found = folder.asked(["pipeline"], limit=datetime(2026, 1, 1, tzinfo=UTC))

    assert (found, settled.runs, len(settled.left_out), settled.more_left_out) == ([], 0, 3, 2)
    assert "a clock is wrong" in settled.left_out[0][1]


@pytest.mark.slow
def test_of_equal_entries_of_a_renamed_repository_the_name_decides(folder: Folder) -> None:
    """Whatever else there is of a run, and in whatever order parts were found to be good."""
    folder.push("o/b", "r1", lines_of(entry(run=1, wall_seconds=7.0)))
    folder.good()
    folder.push("o/a", "r1", lines_of(entry(run=1, wall_seconds=7.0)))
    folder.push("o/a", "r1", lines_of(entry(run=1, wall_seconds=2.5)))

    _, found = folder.asked(["repository"])

    assert found == query.rows(query.counted(folder.pushed, LATER, None), ["repository"])


def test_no_part_is_no_row(folder: Folder) -> None:
    settled, found = folder.asked(["stage"])

    assert (found, settled.runs, settled.repositories) == ([], 0, ())


# Which parts count


def rewritten(content: bytes, folder: Path, query: str = "", **head: Any) -> bytes:
    """A part whose rows were changed by SQL, and what it says of itself."""
    old, new = str(folder / "old"), str(folder / "new")
    with open(old, "wb") as file:
        file.write(content)
    with duckdb.connect() as database:
        (said,) = database.execute(
            f"SELECT value FROM parquet_kv_metadata('{old}') WHERE key = '{HEAD}'::BLOB"
        ).fetchall()
        told = json.dumps(json.loads(said[0]) | head)
        database.execute(f"CREATE TABLE part AS FROM read_parquet('{old}')")
        for one in filter(None, query.split(";")):
            database.execute(one)
        metadata = f"KV_METADATA {{{HEAD}: {quoted(told)}}}"
        database.execute(f"COPY part TO '{new}' (FORMAT parquet, {metadata})")
    with open(new, "rb") as file:
        return file.read()


def named(name: str, content: bytes) -> str:
    return f"{name[: -len('.parquet') - 64]}{sha256_hex(content)}.parquet"


STAGES: list[dict[str, Any]] = [
    {"id": "a", "status": "succeeded", "metrics": {"m": 1, "n": 2}, "cached": True},
    {"id": "b", "status": "failed", "metrics": {"m": 1}},
]
FIRST = line(0)["run_id"]
WHOLE = segments.made(
    "o/a",
    "r1",
    lines_of(
        entry(run=0),
        entry(run=1, stages=STAGES, benchmarks=[{"name": "x", "value": 1}, {"name": "y", "value": 1, "stage": "b"}]),
    ),
    form=PARQUET,
)
BETWEEN = """
INSERT INTO part SELECT * REPLACE ('color' AS kind, 'o/x' AS repository) FROM part WHERE kind = 'stage';
CREATE TABLE other AS
FROM part ORDER BY run_id, kind = 'benchmark', stage NULLS FIRST, array_position(['run', 'stage', 'color'], kind), name;
DROP TABLE part;
ALTER TABLE other RENAME TO part
"""
FINE = {
    "": "the same",
    "ALTER TABLE part ADD COLUMN color VARCHAR DEFAULT 'red'": "a column that nobody knows",
    "INSERT INTO part SELECT * REPLACE ('color' AS kind) FROM part WHERE kind = 'benchmark'": "a kind of rows, too",
    BETWEEN: "rows of such a kind between others",
    "ALTER TABLE part ADD COLUMN host STRUCT(value INTEGER, resumes TEXT) DEFAULT {'value': 1}": "columns in a column",
    "ALTER TABLE part DROP COLUMN resumes; ALTER TABLE part ADD COLUMN host STRUCT(resumes BIGINT)": "and without one",
    "UPDATE part SET completed_at = '0001-01-01T00:00:00Z'": "a run that ended before anything did",
    "UPDATE part SET completed_at = '9999-12-31T23:59:59.999999Z'": "one that ends after everything else",
    f"UPDATE part SET cached = NULL WHERE run_id = '{FIRST}'": "without saying that nothing was cached",
    "UPDATE part SET cached = NULL WHERE kind = 'benchmark'": "or that a benchmark was not",
    "ALTER TABLE part DROP COLUMN tests_errors": "without a column",
    "ALTER TABLE part DROP COLUMN resumes": "without what says that a run resumed",
}
LIES = {
    **{kind: query for query, kind in FINE.items()},
    "without ids": "ALTER TABLE part DROP COLUMN run_id",
    "seconds as text": "ALTER TABLE part ALTER wall_seconds TYPE VARCHAR",
    "no number": "UPDATE part SET wall_seconds = 'nan'",
    "less than nothing": "UPDATE part SET user_seconds = -1 WHERE kind = 'stage'",
    "no time": "UPDATE part SET started_at = NULL",
    "a time that never comes": "UPDATE part SET completed_at = 'infinity'",
    "another month": "UPDATE part SET started_at = started_at + INTERVAL 1 MONTH",
    "another machine": "UPDATE part SET machine = 'other'",
    "another repository": "UPDATE part SET repository = 'o/b'",
    "other roots": "UPDATE part SET roots = NULL",
    "no kind": "UPDATE part SET kind = NULL WHERE kind = 'stage'",
    "an id with a path": f"UPDATE part SET run_id = '../x' WHERE run_id = '{FIRST}'",
    "a pipeline without a name": "UPDATE part SET pipeline = ''",
    "a long task": "UPDATE part SET task = repeat('x', 301)",
    "another end": "UPDATE part SET status = 'exploded' WHERE kind = 'run'",
    "a stage without an end": "UPDATE part SET status = NULL WHERE kind = 'stage'",
    "many tests": "UPDATE part SET tests_passed = 1::BIGINT << 40 WHERE kind = 'run'",
    "a bound without a name": "UPDATE part SET lower_bounds = [NULL]",
    "a flaky stage without a name": "UPDATE part SET flaky_stages = ['']",
    "a figure that is none": "UPDATE part SET value = 'inf' WHERE kind = 'counter'",
    "a stage of another run": f"UPDATE part SET run_id = '{FIRST}' WHERE kind = 'stage'",
    "another order": "CREATE TABLE other AS FROM part ORDER BY run_id DESC, kind; DROP TABLE part;"
    "ALTER TABLE other RENAME TO part",
    "a run twice": "INSERT INTO part FROM part",
    "no run": "DELETE FROM part",
    "an entry of a version that is none": "UPDATE part SET entry = -1",
    "a cached run without such a stage": "UPDATE part SET cached = true WHERE kind = 'run'",
    "another cached run": "UPDATE part SET cached = NOT cached WHERE kind = 'run'",
    "a counter of a stage that ended otherwise": "UPDATE part SET status = 'failed' WHERE kind = 'counter'",
    "a benchmark of a stage that ended otherwise": "UPDATE part SET status = 'succeeded' WHERE name = 'y'",
    "a benchmark of a stage that was not cached": "UPDATE part SET cached = true WHERE name = 'y'",
    "a benchmark of a run that ended otherwise": "UPDATE part SET status = NULL WHERE name = 'x'",
    "a benchmark of no stage that was cached": "UPDATE part SET cached = true WHERE name = 'x'",
    "a benchmark of a stage that is not there": "UPDATE part SET stage = 'c' WHERE name = 'x'",
    "a stage after a benchmark": "CREATE TABLE other AS FROM part ORDER BY run_id, array_position(['run', 'benchmark',"
    "'stage'], kind); DROP TABLE part; ALTER TABLE other RENAME TO part",
    "counters in another order": "UPDATE part SET name = 'o' WHERE kind = 'counter' AND name = 'm' AND stage = 'a'",
    "a run less": f"DELETE FROM part WHERE run_id = '{FIRST}'",
}


@pytest.mark.slow
def test_a_part_counts_or_is_named_as_when_it_is_read_run_by_run(folder: Folder) -> None:
    ((name, content),) = WHOLE.items()
    lies = [rewritten(content, folder.path, change) for change in LIES.values()]
    for changed in lies:
        folder.put(named(name, changed), changed)
    read = PARQUET.parsed((named(name, changed), changed) for changed in lies)
    expected = {kind: one.why if isinstance(one, SegmentFault) else "" for kind, one in zip(LIES, read, strict=True)}

    good, faults = folder.good()

    whys = {one.name: one.why for one in faults}
    assert {kind: whys.get(name, "") for kind, name in zip(LIES, folder.paths, strict=True)} == expected
    assert {one.path for one in good} == {path for name, path in folder.paths.items() if name not in whys}
    assert [kind for kind, why in expected.items() if not why] == [
        kind for kind, query in LIES.items() if query in FINE
    ]


RICH = lines_of(
    entry(run=0, task_id=None, dirty=True, resumes=1, away_seconds=2, flaky=["b"], complete=False),
    entry(run=1, status="failed", stages=STAGES, lower_bounds={"user_seconds": "x"}, tests={"passed": 3, "failed": 1}),
    entry(run=2, benchmarks=[{"name": "x", "value": 1, "unit": "B"}], metrics={"manifest_writes": 3}),
    entry(run=3, stages=[{**STAGES[1], "flaky": True, "tests": {"passed": 2}, "complete": False}]),
)
UNCACHED = lines_of(entry(run=0, benchmarks=[{"name": "x", "value": 1}]), entry(run=1, stages=STAGES[1:]))


# Without which rows are no run, or not of this repository, month and class of machines.
NEEDED = (
    "kind",
    "repository",
    "roots",
    "machine",
    "run_id",
    "pipeline",
    "started_at",
    "status",
    "stage",
    "name",
    "value",
)


@pytest.mark.slow
def test_a_part_without_a_column_adds_up_as_it_does_run_by_run(folder: Folder) -> None:
    changes = {name: (RICH, f'ALTER TABLE part DROP COLUMN "{name}"') for name in (one.name for one in COLUMNS)}

    assert refused(folder, changes) == sorted(NEEDED)


@pytest.mark.slow
def test_a_part_without_a_kind_of_rows_adds_up_as_it_does_run_by_run(folder: Folder) -> None:
    changes = {}
    for kinds in (("counter",), ("benchmark",), ("stage", "counter"), ("stage", "counter", "benchmark")):
        gone = f"DELETE FROM part WHERE kind IN {(*kinds, '')}"
        changes["-".join(("rows", *kinds))] = (UNCACHED, gone)
        changes["-".join(("rows-and-column", *kinds))] = (RICH, f"{gone}; ALTER TABLE part DROP COLUMN cached")
        changes["-".join(("rows-of-cached", *kinds))] = (RICH, gone)

    stages = ["rows-of-cached-stage-counter", "rows-of-cached-stage-counter-benchmark"]
    assert refused(folder, changes) == stages  # that one of them was cached, a run says


def refused(folder: Folder, changes: Mapping[str, tuple[Sequence[Line], str]]) -> list[str]:
    """The repositories of which a part does not count, by DuckDB as run by run; both make the same of the others."""
    contents = {}
    for repository, (lines, change) in changes.items():
        for name, old in segments.made(repository, repository, lines, form=PARQUET).items():
            changed = rewritten(old, folder.path, change)
            contents[named(name, changed)] = changed
            folder.put(named(name, changed), changed)
    read = list(PARQUET.parsed(contents.items()))
    whole = [one for one in read if isinstance(one, HistorySegment)]
    runs = [(RepositoryIdentity(one.head.repository, one.head.roots), one.runs) for one in whole]
    counted = query.counted(runs, LATER, None)

    good, faults = folder.good()

    assert {one.name: one.why for one in faults} == {one.name: one.why for one in read if isinstance(one, SegmentFault)}
    with relations.connected(str(folder.path)) as database:
        relations.lay(database, good)
        relations.settle(database, LATER, None)
        for by in (("pipeline",), ("stage",), ("benchmark",), ("stage", "counter")):
            alone = ("repository", *by)
            assert json.dumps(sql_figures.rows(database, alone)) == json.dumps(query.rows(counted, alone)), by
    return sorted({one.name.split("/")[1].removeprefix("repo=") for one in faults})


@pytest.mark.slow
def test_a_part_whose_rows_contradict_each_other_is_named(folder: Folder) -> None:
    ((name, content),) = WHOLE.items()
    for change in (
        "UPDATE part SET cached = NULL WHERE kind = 'run'",
        "UPDATE part SET cached = NOT cached WHERE kind = 'run'",
        "UPDATE part SET cached = true WHERE kind = 'run'",
        "UPDATE part SET status = 'failed' WHERE kind = 'counter'",
    ):
        changed = rewritten(content, folder.path, change)
        folder.put(named(name, changed), changed)
        (read,) = PARQUET.parsed([(named(name, changed), changed)])
        assert read == SegmentFault(named(name, changed), "says otherwise of a run than its rows do")

    good, faults = folder.good()

    assert (good, [one.why for one in faults]) == ([], ["says otherwise of a run than its rows do"] * 4)


@pytest.mark.parametrize(("bound", "most", "known"), [("MOST_TEXT", 1000, True), ("MOST_ROWS", 100, False)])
def test_a_part_with_more_than_any_has_is_named_as_when_it_is_read_run_by_run(
    folder: Folder, monkeypatch: Any, bound: str, most: int, known: bool
) -> None:
    """Text counts of the rows that are read; rows of all kinds do."""
    ((name, content),) = WHOLE.items()
    kind = "benchmark" if known else "color"
    more = f"INSERT INTO part SELECT part.* REPLACE ('{kind}' AS kind) FROM part, range(1000) WHERE name = 'x'"
    changed = rewritten(content, folder.path, more)
    folder.put(named(name, changed), changed)
    (path,) = folder.paths.values()
    some = [(named(name, changed), path)]

    def read() -> tuple[bool, bool]:
        with relations.connected(str(folder.path), ordered=True) as database:
            (good,) = parts._of_some(database, some)
            return good is not None, isinstance(parquet_rows.lines_of(database, path), bytes)

    assert read() == (True, True)
    for module in (parts, parquet_rows):
        monkeypatch.setattr(module, bound, most)
    assert read() == (False, False)


@pytest.mark.slow
def test_a_part_that_is_cut_off_is_named_and_the_others_count(folder: Folder) -> None:
    for number in range(5):
        folder.push("o/a", "r1", lines_of(entry(run=number)))
    first, second, *_ = folder.paths
    os.truncate(folder.paths[first], 700)
    os.truncate(folder.paths[second], 0)

    good, faults = folder.good()

    assert (len(good), {one.name for one in faults}) == (3, {first, second})


@pytest.mark.slow
def test_a_part_that_ends_the_process_that_looks_at_it_is_asked_alone(folder: Folder, monkeypatch: Any) -> None:
    for number in range(5):
        folder.push("o/a", "r1", lines_of(entry(run=number)))
    deadly = sorted(folder.paths)[3]
    run = process.run

    def killed(argv: Sequence[str], *, input: bytes) -> process.Completed:  # noqa: A002 -- as it is called
        return process.Completed(-11, b"", b"") if deadly.encode() in input else run(argv, input=input)

    monkeypatch.setattr(process, "run", killed)
    good, faults = folder.good()

    assert len(good) == 4
    assert [(one.name, one.why) for one in faults] == [(deadly, "says otherwise of a run than its rows do")]


@pytest.mark.slow
def test_a_good_part_is_asked_once_and_again_when_its_file_has_changed(folder: Folder, monkeypatch: Any) -> None:
    folder.push("o/a", "r1", lines_of(entry(run=0)))
    (path,) = folder.paths.values()
    expected, _ = folder.good()

    with monkeypatch.context() as patched:
        patched.setattr(parts, "_asked", None)
        assert folder.good()[0] == expected

    (folder.path / "memory").write_bytes(b"{")
    assert folder.good()[0] == expected
    os.truncate(path, 100)
    assert [one.why for one in folder.good()[1]] == ["is not Parquet, or ends in the middle"]


def test_parts_of_other_versions_add_up_with_ours(folder: Folder) -> None:
    made = segments.made("o/a", "r1", lines_of(*(entry(run=number) for number in range(3))), form=PARQUET)
    ((name, content),) = made.items()
    older = rewritten(content, folder.path, "ALTER TABLE part DROP COLUMN resumes; ALTER TABLE part DROP COLUMN flaky")
    folder.put(named(name, older), older)
    newer = rewritten(content, folder.path, "ALTER TABLE part ADD COLUMN color INTEGER[] DEFAULT [1]")
    folder.put(named(name, newer), newer)
    folder.push("o/a", "r1", lines_of(entry(run=5)))

    settled, (row,) = folder.asked(["stage"])

    assert (settled.runs, row["runs"], row["flaky_rate"]) == (4, 4, 0)


def test_every_column_of_a_part_is_looked_at_or_may_say_anything() -> None:
    """Whoever adds one says in `truths` which values it may have."""
    looked_at = " ".join(one for true in truths.TRUE.values() for one in true)
    free = {"dirty", "is_foreign"}  # of which all values will do

    assert {one.name for one in COLUMNS if one.name not in looked_at} == free


def test_what_is_kept_apart_is_known_by_name() -> None:
    assert set(rows.KEYS) | set(figures.KINDS) == set(query.BY)


def test_every_figure_is_the_number_in_its_band_that_figures_make_of_it() -> None:
    draw = random.Random(1)
    near = [near for end in figures.ENDS for near in (math.nextafter(end, 0), end, math.nextafter(end, math.inf))]
    some = [draw.choice((-1, 1)) * 10 ** draw.uniform(-15, 308) for _ in range(20_000)]
    halves = [(number + 0.5) * 1e-12 for number in range(1_000)]
    values = [*near, *some, *halves, 0.0, -0.0, 5e-324, 1e308, -1e308]

    with duckdb.connect() as database:
        asked = (
            f"SELECT {sql_figures._banded()} FROM (SELECT abs(v) AS size, v < 0 AS less FROM (SELECT unnest($v) AS v))"
        )
        found = [(band, int(number)) for number, band in database.execute(asked, {"v": values}).fetchall()]

    assert found == [figures.whole(value) for value in values]


# Many


@pytest.mark.slow
def test_ten_million_rows_are_added_up_within_little_memory(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(os.path.join(os.path.dirname(__file__), "..", "bench"))
    made = importlib.import_module("history_parts")
    many = 10_000_000 // (made.STAGES + 1)
    folder = Folder(tmp_path)
    folder.paths = made.make(tmp_path, many)
    good, faults = folder.good()
    assert (faults, sum(one.head.runs for one in good)) == ([], many)

    with relations.connected(str(tmp_path), "400MB") as database:
        relations.lay(database, good)
        settled = relations.settle(database, datetime(2027, 1, 1, tzinfo=UTC), None)
        by_pipeline = rows.rows(database, ["pipeline", "week"])
        by_stage = rows.rows(database, ["repository", "stage", "machine"])

    assert settled.runs == many
    assert sum(cast("int", row["runs"]) for row in by_pipeline) == many
    assert sum(cast("int", row["runs"]) for row in by_stage) == made.STAGES * many
    assert len(by_pipeline) == 8 * 53
