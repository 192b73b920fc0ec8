"""Segments as values: what is in one, what is none, and that sets of them add up to the same in any order."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.git.refs import repository_name
from orchgate.history import figures, query, segments, store
from orchgate.history.collect import lacking
from orchgate.history.entries import HistoryEntry, decode_entry, encode, is_later, read_line
from orchgate.history.repositories import RepositoryIdentity, labels, of_head
from orchgate.history.segments import HistorySegment, SegmentFault
from orchgate.metrics.aggregate import Totals, both
from orchgate.metrics.lines import LineFault
from orchgate.metrics.sketch import Spread, spread_of
from tests.histories import line, named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.history.segments import Line

LATER = datetime(2030, 1, 1, tzinfo=UTC)
REPOSITORY, ROOTS = "owner/name", "0123456789abcdef"


def entry(**fields: Any) -> HistoryEntry:
    found = read_line(json.dumps(line(**fields)).encode())
    assert isinstance(found, HistoryEntry), found
    return found


def lines_of(*entries: HistoryEntry) -> list[Line]:
    return list(segments.best(map(segments.line_of, entries)).values())


def parsed(made: Mapping[str, bytes]) -> list[HistorySegment]:
    found = [segments.parse(name, content) for name, content in made.items()]
    assert [one for one in found if isinstance(one, SegmentFault)] == []
    return [one for one in found if isinstance(one, HistorySegment)]


def shown(found: Iterable[HistorySegment]) -> list[dict[str, object]]:
    sets = [(of_head(one.head), one.runs) for one in found]
    return query.rows(query.counted(sets, LATER, None), ("repository", "pipeline", "stage", "machine", "week"))


# What is in a segment


def test_the_same_runs_make_the_same_bytes_in_any_order() -> None:
    some = lines_of(*(entry(run=number) for number in range(20)))

    assert segments.made(REPOSITORY, ROOTS, some) == segments.made(REPOSITORY, ROOTS, reversed(some))


def test_a_segment_is_of_one_month_and_one_class_of_machines_and_holds_500_runs_at_most() -> None:
    many = [entry(run=number) for number in range(700)]
    other = [entry(run=number, machine="fedcba9876543210") for number in range(1000, 1003)]
    earlier = entry(run=5000, started_at="2026-02-28T23:59:59.999Z")

    found = parsed(segments.made(REPOSITORY, ROOTS, lines_of(*many, *other, earlier)))

    kinds = sorted((one.head.month, one.head.machine[:4], len(one.runs)) for one in found)
    assert kinds == [("2026-02", "0123", 1), ("2026-03", "0123", 200), ("2026-03", "0123", 500), ("2026-03", "fedc", 3)]


def test_a_segment_of_long_entries_stays_small() -> None:
    long = [{"id": f"stage-{number}", "status": "succeeded", "wall_seconds": 1.5} for number in range(20_000)]

    made = segments.made(REPOSITORY, ROOTS, lines_of(*(entry(run=number, stages=long) for number in range(8))))

    assert (len(made) > 1, max(map(len, made.values())) < segments.SPLIT_BYTES + 4096) == (True, True)
    assert sum(len(one.runs) for one in parsed(made)) == 8


def test_only_known_fields_travel() -> None:
    personal = {"host": "alpha", "user": "alice", "parent_run_id": "x", "files": 3, "inside": ["other"]}
    stage = {
        "id": "a",
        "status": "succeeded",
        "command": "make",
        "metrics": {"x": 1},
        "attempts": 2,
        "tests": {"passed": 3},
    }
    bounds = {"cpu_seconds": "alice was here", "alice": "x"}

    _, written = segments.line_of(
        entry(stages=[stage], lower_bounds=bounds, metrics={"manifest_writes": 2, "x": 1}, **personal)
    )

    known = json.loads(written)
    assert known.keys() <= {*line(), "lower_bounds", "metrics"}
    assert known["stages"] == [{"id": "a", "metrics": {"x": 1.0}, "status": "succeeded", "tests": {"passed": 3}}]
    assert (known["lower_bounds"], known["metrics"]) == ({"cpu_seconds": ""}, {"manifest_writes": 2.0})


def test_a_run_without_figures_of_its_own_is_written_as_before_there_were_any() -> None:
    (name,) = segments.made(REPOSITORY, ROOTS, lines_of(entry(metrics={"manifest_writes": 2}), entry(run=1)))

    assert name == (
        "v1/repo=owner%2Fname/month=2026-03/0123456789abcdef-2026-03-01T10-00-00-000Z-00000000-"
        "548c6a90a4e2d42c168bdd1f9e807f572487496c2246fa6ee11555055c72fba1.jsonl"
    )


def test_benchmarks_and_figures_travel_by_name_and_nothing_else_of_them() -> None:
    measured = {"name": "tests/io::read", "value": 1.5e-7, "stage": "build", "host": "alpha", "rounds": [1, 2]}
    stage = {"id": "build", "status": "succeeded", "metrics": {"cases": 40, "balance": -2.5}}

    found = entry(benchmarks=[measured, {"name": "size", "value": 3, "unit": "bytes"}], stages=[stage])

    (line_of,) = lines_of(found)
    assert decode_entry(line_of[1]) == found
    assert json.loads(line_of[1])["benchmarks"] == [
        {"name": "tests/io::read", "stage": "build", "value": 1.5e-7},
        {"name": "size", "unit": "bytes", "value": 3.0},
    ]
    assert found.stages[0].counters == {"cases": 40.0, "balance": -2.5}


def test_of_a_run_as_many_benchmarks_travel_as_a_run_records() -> None:
    many = [{"name": f"bench-{number}", "value": 1} for number in range(100_000)]

    assert [one.name for one in entry(benchmarks=many).benchmarks] == [f"bench-{number}" for number in range(500)]


@pytest.mark.parametrize(
    "fields",
    [
        {"benchmarks": [{"name": "", "value": 1}]},
        {"benchmarks": [{"name": "x" * 301, "value": 1}]},
        {"benchmarks": [{"name": "x", "value": "fast"}]},
        {"benchmarks": [{"name": "x"}]},
        {"benchmarks": {"x": 1}},
        {"stages": [{"id": "a", "status": "succeeded", "metrics": {"x": None}}]},
    ],
)
def test_a_run_whose_figures_are_none_does_not_travel(fields: Mapping[str, Any]) -> None:
    assert read_line(json.dumps(line(**fields)).encode()) is LineFault.BAD_VALUE


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_segment_holds_finite_figures_only(value: str) -> None:
    written = json.dumps(line(benchmarks=[{"name": "x", "value": 7}])).replace('"value": 7', f'"value": {value}')

    assert isinstance(read_line(written.encode()), LineFault)


def test_a_run_of_another_program_travels_as_far_as_it_says_what_is_needed() -> None:
    foreign: dict[str, Any] = {
        "run_id": "2026-03-01T10-00-00-000Z-00000000",
        "task_id": "0001-demo",
        "pipeline_id": "diagnostics",
    }
    foreign |= {
        "status": "succeeded",
        "started_at": "2026-03-01T10:00:00+02:00",
        "duration_seconds": 2.5,
        "cwd": "/home/alice",
    }
    found = read_line(json.dumps(foreign).encode())
    assert isinstance(found, HistoryEntry)

    (segment,) = parsed(segments.made(REPOSITORY, ROOTS, lines_of(found)))
    (row,) = query.rows(
        query.counted([(RepositoryIdentity(REPOSITORY, ROOTS), segment.runs)], LATER, None), ("pipeline", "machine")
    )

    assert (row["machine"], row["runs"], row["p50_wall_seconds"], row["flaky_rate"]) == ("unknown", 1, 2.5, None)
    assert b"alice" not in segments.line_of(found)[1]
    assert found.started_at == datetime(2026, 3, 1, 8, tzinfo=UTC)


def test_lines_that_are_no_runs_have_a_name() -> None:
    assert read_line(json.dumps(line(entry=2)).encode()) is LineFault.OTHER_VERSION
    assert read_line(json.dumps(line(commit=7)).encode()) is LineFault.BAD_VALUE
    assert read_line(json.dumps(line(started_at="1999-12-31T00:00:00Z")).encode()) is LineFault.BAD_TIME
    assert read_line(b"[" * 100_000) is LineFault.NOT_JSON


# What is none


def content(*lines: Mapping[str, Any] | bytes, **head: Any) -> bytes:
    known = {
        "history": 1,
        "repository": "remote",
        "machine": "0123456789abcdef",
        "month": "2026-03",
        "runs": len(lines),
    }
    rows = (known | head, *lines)
    return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in rows)


FIRST = line(0)["run_id"]
WRONG = {
    "of another version": (content(line(), history=2), "of another version (2)"),
    "of no version": (content(line(), history="1"), "does not begin as one"),
    "of another version, without the rest": (b'{"history":7}\n', "of another version (7)"),
    "of other text": (b"hello\n", "does not begin as one"),
    "empty": (b"", "does not begin as one"),
    "a head that is cut off": (b'{"history":1,"repo', "does not begin as one"),
    "nested without end": (b"[" * 100_000 + b"\n", "does not begin as one"),
    "cut off": (content(line(), line(1))[:-20], "ends in the middle"),
    "half": (content(line(), runs=2), "says that it holds 2 runs, and has 1"),
    "a million": (content(line(), runs=1_000_000), "1,000,000 runs; at most 500"),
    "none": (content(), "says that it holds 0 runs"),
    "no run": (content(line(), b"{}"), "no run, in line 3"),
    "a run of text": (content(b"hello"), "no run, in line 2"),
    "two values in a line": (content(b"{} {}"), "no run, in line 2"),
    "twice": (content(line(), line()), "once each"),
    "in another order": (content(line(1), line(0)), "in the order"),
    "another month": (content(line(started_at="2026-04-01T00:00:00Z", completed_at=None)), "another month"),
    "another month elsewhere": (
        content(line(started_at="2026-03-31T23:00:00-05:00", completed_at=None)),
        "month depends",
    ),
    "a version that is none": (content(line(entry=1 << 70)), "no run, in line 2"),
    "another machine": (content(line(machine="f" * 16)), "class of machines"),
    "a machine with a path": (content(line(machine="../x"), machine="../x"), "no class of machines"),
    "a run with a path": (content(line(run_id="../../x")), "whose id cannot be one"),
    "a repository above": (content(line(), repository="../.."), "names no repository"),
    "a repository of the machine": (content(line(), repository="/home/alice"), "names no repository"),
    "a repository with a break": (content(line(), repository="a\nb"), "names no repository"),
    "another repository": (content(line(), repository="owner/other"), "not called as its content says"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_segment_says_why(kind: str) -> None:
    data, why = WRONG[kind]

    found = segments.parse(named(data, start=f"0123456789abcdef-{FIRST}"), data)

    assert isinstance(found, SegmentFault), found
    assert why in found.why


def test_a_segment_under_the_name_of_another_one_is_none() -> None:
    data = content(line())
    good = named(data, start=f"0123456789abcdef-{FIRST}")

    assert isinstance(segments.parse(good, data), HistorySegment)
    for name in (
        good.replace("month=2026-03", "month=2026-04"),
        good.replace("/0123", "/1123"),
        good.replace("10-00-00", "10-00-01"),
    ):
        assert isinstance(segments.parse(name, data), SegmentFault), name


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
EDITS = st.dictionaries(
    st.sampled_from([*line(), "entry", "resumes", "lower_bounds", "metrics", "tests", "flaky", "foreign"]), VALUES
)


@given(EDITS, st.dictionaries(st.sampled_from(["history", "repository", "roots", "machine", "month", "runs"]), VALUES))
def test_whatever_a_segment_holds_it_is_one_or_says_why_not(edits: dict[str, Any], head: dict[str, Any]) -> None:
    data = content(line() | edits, **head)

    found = segments.parse(named(data, start=f"0123456789abcdef-{FIRST}"), data)

    if isinstance(found, HistorySegment):
        assert shown([found]) == shown(parsed({found.name: data}))
        assert segments.compacted([found]) == segments.Compaction({}, frozenset())


@given(EDITS)
def test_whatever_a_line_holds_it_travels_as_it_is_read_or_is_no_run(edits: dict[str, Any]) -> None:
    found = read_line(json.dumps(line() | edits).encode())

    if isinstance(found, HistoryEntry):
        _, written = segments.line_of(found)
        assert encode(decode_entry(written)) == written


@given(st.integers(0, 700), st.binary(max_size=8))
def test_bytes_that_were_changed_are_no_crash(at: int, other: bytes) -> None:
    data = content(line(), line(1))
    changed = data[:at] + other + data[at + len(other) :]

    found = segments.parse(named(changed, start=f"0123456789abcdef-{FIRST}"), changed)

    assert isinstance(found, HistorySegment | SegmentFault)


def test_what_a_later_version_adds_is_ignored_and_kept() -> None:
    first = content(line(0, color="red", stages=[{"id": "a", "status": "succeeded", "color": "red"}]), color="red")
    second = content(line(1, color="blue"))
    both = [
        segments.parse(named(data, start=f"0123456789abcdef-{line(at)['run_id']}"), data)
        for at, data in enumerate((first, second))
    ]
    found = [one for one in both if isinstance(one, HistorySegment)]

    (joined,) = segments.compacted(found).made.values()

    assert len(found) == 2
    assert joined.count(b'"color": "red"') == 2
    assert joined.count(b'"color": "blue"') == 1


# Sets of them

RUNS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from("ab"), st.integers(0, 2), st.sampled_from(["succeeded", "failed"])),
    min_size=1,
    max_size=12,
)


def some(runs: Iterable[tuple[int, str, int, str]]) -> dict[str, bytes]:
    entries = [
        entry(run=run, machine=machine, resumes=resumes, status=status) for run, machine, resumes, status in runs
    ]
    return segments.made(REPOSITORY, ROOTS, lines_of(*entries))


@given(st.lists(RUNS, min_size=1, max_size=5), st.randoms())
def test_the_answer_does_not_depend_on_the_order_or_on_compactions(pushes: list[Any], random: Any) -> None:
    every: dict[str, bytes] = {}
    for runs in pushes:
        every |= some(runs)
    expected = shown(parsed(every))

    names = list(every)
    random.shuffle(names)
    part = {name: every[name] for name in names[: random.randrange(len(names) + 1)]}
    plan = segments.compacted(parsed(part))
    joined = {**{name: data for name, data in every.items() if name not in plan.gone}, **plan.made}
    back = {**joined, **{name: every[name] for name in names[:2]}}
    again = segments.compacted(parsed(back))
    last = {**{name: data for name, data in back.items() if name not in again.gone}, **again.made}

    for found in (every, joined, back, last):
        shuffled = parsed(found)
        random.shuffle(shuffled)
        assert shown(shuffled) == expected
    assert segments.compacted(parsed(last)) == segments.Compaction({}, frozenset())


@given(RUNS, RUNS)
def test_what_a_store_lacks_is_sent_and_nothing_twice(first: Any, second: Any) -> None:
    stored = parsed(some(first))
    own = [one for segment in parsed(some(second)) for one in segment.runs]
    fresh = lacking(own, stored)

    after = [*stored, *parsed(segments.made(REPOSITORY, ROOTS, fresh))]

    known = segments.best(one for segment in after for one in segment.runs)

    assert lacking(own, after) == []
    assert [entry for entry, _ in own if is_later(entry, known[entry.run_id][0])] == []
    assert sum(len(one.runs) for one in after) == sum(len(one.runs) for one in stored) + len(fresh)


def test_a_run_that_another_version_wrote_otherwise_is_not_sent_again() -> None:
    entry_, written = segments.line_of(entry(run=1))
    for other in (written.replace(b'{"', b'{"z":1,"', 1), written.replace(b'":', b'": ')):
        (stored,) = parsed(segments.made(REPOSITORY, ROOTS, [(entry_, other)]))
        assert lacking([(entry_, written)], [stored]) == []


def test_nothing_makes_runs_disappear_by_saying_that_it_stands_for_them() -> None:
    good = parsed(some([(0, "a", 0, "succeeded"), (1, "a", 0, "failed")]))
    liar = segments.made(REPOSITORY, ROOTS, lines_of(entry(run=5, machine="a")), [one.sha256 for one in good])
    worse = segments.made(
        REPOSITORY, ROOTS, lines_of(entry(run=0, machine="a"), entry(run=1, machine="a")), [one.sha256 for one in good]
    )

    assert segments.compacted([*good, *parsed(liar)]).gone >= {one.name for one in good}  # with all their runs
    assert sum(row["runs"] for row in shown([*good, *parsed(liar)])) == 3  # type: ignore[misc]
    assert segments.covered([*good, *parsed(liar)]) == frozenset()
    assert shown([*good, *parsed(worse)])[0]["runs"] == 2


def test_a_compacted_segment_stands_only_for_those_that_it_has_runs_of() -> None:
    every: dict[str, bytes] = {}
    for number in range(0, 1200, 2):
        every |= segments.made(REPOSITORY, ROOTS, lines_of(entry(run=number), entry(run=number + 1)))

    joined = parsed(segments.compacted(parsed(every)).made)

    assert (len(joined), sum(len(one.head.replaces) for one in joined)) == (3, 600)
    assert segments.covered([*joined, *parsed(every)]) == every.keys()
    assert segments.covered([*joined[1:], *parsed(every)]) == {
        name for name in every if segments.sha256_of(name) not in joined[0].head.replaces
    }


def test_segments_of_earlier_months_are_not_read() -> None:
    made = segments.made(REPOSITORY, ROOTS, lines_of(entry(run=1), entry(run=2, started_at="2026-02-28T23:59:59Z")))

    def found(start: datetime | None) -> list[str]:
        return [name.split("/")[2] for name in made if store.since(start).may_hold(name)]

    assert found(datetime(2026, 3, 31, 23, tzinfo=UTC)) == ["month=2026-03"]
    assert len(found(datetime(2026, 2, 1, tzinfo=UTC))) == len(found(None)) == 2


def test_a_full_segment_stays_as_it_is() -> None:
    full = parsed(segments.made(REPOSITORY, ROOTS, lines_of(*(entry(run=number) for number in range(500)))))
    more = parsed(segments.made(REPOSITORY, ROOTS, lines_of(entry(run=600))))

    assert segments.compacted([*full, *more]) == segments.Compaction({}, frozenset())


# Repositories


def test_two_repositories_of_one_name_are_kept_apart() -> None:
    one, other = (segments.made("app", roots, lines_of(entry(run=1))) for roots in ("a" * 16, "b" * 16))
    unknown = segments.made("app", None, lines_of(entry(run=2)))

    rows = shown(parsed({**one, **other, **unknown}))

    names = ["app (roots aaaaaaaa)", "app (roots bbbbbbbb)", "app (roots unknown)"]
    assert [(row["repository"], row["runs"]) for row in rows] == [(name, 1) for name in names]


def test_a_repository_whose_beginning_a_shallow_clone_does_not_know_is_the_one_of_its_name() -> None:
    whole, shallow = RepositoryIdentity("app", "a" * 16), RepositoryIdentity("app", None)

    assert labels([whole, shallow]) == {whole: whole, shallow: whole}
    assert labels([shallow]) == {shallow: shallow}


def test_a_run_that_was_pushed_under_two_names_counts_once() -> None:
    both = {
        **segments.made("old", ROOTS, lines_of(entry(run=1))),
        **segments.made("new", ROOTS, lines_of(entry(run=1))),
    }

    assert [row["runs"] for row in shown(parsed(both))] == [1]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("git@github.com:owner/name.git", "owner/name"),
        ("https://alice:secret@host.example/owner/name.git?x=1", "owner/name"),
        ("https://host.example/group/sub/name", "sub/name"),
        ("ssh://git@host.example:22/~alice/name.git/", "~alice/name"),
        ("/home/alice/work/name.git", "name"),
        ("file:///home/alice/work/name/.git", "name"),
        ("../name", "name"),
        ("https://host.example/name", "name"),
        ("", ""),
    ],
)
def test_a_repository_is_called_by_the_end_of_its_address(address: str, name: str) -> None:
    assert repository_name(address) == name


# What benchmarks and counters add up to


def rows_of(entries: Iterable[HistoryEntry], *by: str) -> list[dict[str, Any]]:
    sets = [(RepositoryIdentity(REPOSITORY, ROOTS), lines_of(*entries))]
    return query.rows(query.counted(sets, LATER, None), by)


def measured(run: int, value: float = 1.0, name: str = "io", **fields: Any) -> HistoryEntry:
    return entry(run=run, benchmarks=[{"name": name, "value": value, "stage": "build"}], **fields)


def test_a_benchmark_is_a_row_with_its_median_and_its_extremes() -> None:
    some = [measured(number, (number + 1) * 1e-6) for number in range(101)]

    (row,) = rows_of([*some, entry(run=500)], "pipeline", "benchmark")

    known = (row["pipeline"], row["benchmark"], row["unit"], row["runs"], row["succeeded_count"])
    assert known == ("demo", "io", "ns", 101, 101)
    assert (row["least_value"], row["most_value"]) == (1e3, 101e3)
    assert row["p50_value"] == pytest.approx(51e3, rel=0.01)
    assert row["p90_value"] == pytest.approx(91e3, rel=0.01)
    assert (row["first_started_at"], row["last_completed_at"]) == (
        "2026-03-01T10:00:00.000Z",
        "2026-03-01T10:01:40.500Z",
    )


def test_what_a_benchmark_took_counts_where_its_stage_ended_well() -> None:
    failed = [{"id": "build", "status": "failed"}, {"id": "other", "status": "succeeded"}]
    good = [{"id": "build", "status": "succeeded"}, {"id": "other", "status": "failed"}]

    (row,) = rows_of(
        [
            measured(0, 1, status="failed", stages=failed),
            measured(1, 2, status="failed", stages=good),
            measured(2, 4),
            entry(run=3, status="failed", benchmarks=[{"name": "io", "value": 100}]),
        ],
        "benchmark",
    )

    assert (row["runs"], row["failed_count"], row["least_value"], row["most_value"]) == (4, 3, 2e9, 4e9)


def test_a_counter_is_a_row_and_what_the_cache_repeats_does_not_count() -> None:
    def stages(value: float, **fields: Any) -> list[dict[str, Any]]:
        first = {"id": "build", "status": "succeeded", "metrics": {"cases": value}, **fields}
        return [first, {"id": "test", "status": "succeeded", "metrics": {"cases": 7}}]

    some = [entry(run=0, stages=stages(-40)), entry(run=1, stages=stages(3, cached=True))]

    rows = rows_of(some, "counter", "stage")
    found = [(row["counter"], row["stage"], row["runs"], row["least_value"], row["most_value"]) for row in rows]
    assert found == [("cases", "build", 1, -40, -40), ("cases", "test", 2, 7, 7)]
    (row,) = rows_of(some, "counter")
    assert (row["counter"], row["runs"], row["least_value"], row["p50_value"], row["most_value"]) == (
        "cases",
        2,
        -40,
        7,
        7,
    )


def test_what_a_program_says_of_its_manifests_is_a_counter_once() -> None:
    known = {"metrics": {"manifest_writes": 2}}

    (old,) = rows_of([entry(**known)], "counter")
    (new,) = rows_of([entry(**known, stages=[{"id": "build", "status": "succeeded", **known}])], "counter")

    assert [(row["counter"], row["runs"], row["most_value"]) for row in (old, new)] == [("manifest_writes", 1, 2)] * 2


def test_benchmarks_of_one_name_in_two_units_are_two() -> None:
    other = entry(run=1, benchmarks=[{"name": "io", "value": 3, "unit": "B"}])

    assert [(row["unit"], row["p50_value"]) for row in rows_of([measured(0), other], "benchmark")] == [
        ("B", 3),
        ("ns", 1e9),
    ]


@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
def test_figures_of_any_size_add_up_to_the_same_in_any_order(values: list[float], sides: list[bool]) -> None:
    parts = [[value for value, side in zip(values, sides, strict=False) if side is wanted] for wanted in (False, True)]

    spreads = [_bands(part) for part in parts]

    assert _merged(spreads) == _merged(reversed(spreads)) == _merged([_bands(values)])
    ordered = sorted(values)
    for share in (0.0, 0.5, 0.9, 1.0):
        real = ordered[int(share * (len(values) - 1))]
        assert figures.quantile_of(_merged(spreads), share) == pytest.approx(real, rel=0.0101, abs=1e-11)


def _bands(values: Iterable[float]) -> dict[str, Spread]:
    found: dict[str, list[int]] = {}
    for value in values:
        band, number = figures.whole(value)
        found.setdefault(band, []).append(number)
    return {band: spread_of(numbers) for band, numbers in found.items()}


def _merged(parts: Iterable[dict[str, Spread]]) -> dict[str, Spread]:
    total = Totals()
    for part in parts:
        total = both(total, Totals(costs=part))
    return total.costs


def test_only_segments_that_begin_no_later_than_a_run_may_hold_it() -> None:
    def names(*numbers: int, **fields: str) -> list[str]:
        return [next(iter(segments.made("o/a", None, lines_of(entry(run=number, **fields))))) for number in numbers]

    ours, others, longer = names(1, 3, 5), names(3, machine="other"), names(3, machine="0123456789abcdef-x")
    every = [*ours, *others, *longer, *names(3, started_at="2026-04-01T00:00:00Z", completed_at="2026-04-01T00:00:01Z")]

    assert segments.concerned(every, [entry(run=3)]) == ours[:2]
    assert segments.concerned(every, [entry(run=4), entry(run=2), entry(run=0)]) == ours[:2]
    assert segments.concerned(every, [entry(run=0)]) == []
    assert segments.concerned(every, [entry(run=9), entry(run=3, machine="0123456789abcdef-x")]) == [*ours, *longer]
