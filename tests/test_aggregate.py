"""What entries add up to, however they are divided."""

from __future__ import annotations

import json
import math
import os
import random
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.metrics import fold, reduce
from orchgate.metrics.aggregate import Aggregate, Totals, both, difference, merge, rates
from orchgate.metrics.lines import LineFault, checked, costs_of_success
from orchgate.metrics.sketch import QUANTILE_ERROR, Spread, Unknown, merge_spreads, quantile, spread_of
from tests.metrics_lines import foreign, only, own, updated, write

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchgate.metrics.lines import Entry


def entry(line: bytes) -> Entry:
    found = checked(line)
    assert not isinstance(found, LineFault), found
    return found


def aggregate(lines: Iterable[bytes]) -> Aggregate:
    sums = fold.Sums()
    for line in lines:
        sums.count(1)
        sums.add([entry(line)])
    return sums.total()


SCALE = 1 / math.log((1 + QUANTILE_ERROR) / (1 - QUANTILE_ERROR))
seconds = st.floats(0, 1e6)
counts = st.integers(0, 1 << 40)
statuses = st.sampled_from(["succeeded", "failed", "cancelled"])
moments = st.datetimes().map(lambda at: f"20{at:%y-%m-%dT%H:%M:%S}Z")
usage = st.fixed_dictionaries(
    {},
    optional={
        "wall_seconds": seconds,
        "user_seconds": seconds,
        "system_seconds": seconds,
        "max_rss_bytes": counts,
        "written_bytes": counts,
        "complete": st.booleans(),
        "lower_bounds": st.dictionaries(st.sampled_from(["cpu_seconds", "max_rss_bytes"]), st.just("why"), max_size=2),
    },
)
stages = st.builds(
    lambda spent, **known: spent | known,
    usage,
    id=st.sampled_from("ab"),
    status=statuses,
    flaky=st.booleans(),
    cached=st.booleans(),
)
ours = st.builds(
    lambda spent, at, **known: own(1, **spent, started_at=at, completed_at=at, **known),
    usage,
    moments,
    machine=st.sampled_from(["m1", "m2"]),
    pipeline_id=st.sampled_from("pq"),
    status=statuses,
    stages=st.lists(stages, max_size=3),
    flaky=st.lists(st.just("a"), max_size=1),
    resumes=st.integers(0, 1),
)
theirs = st.builds(
    lambda at, **known: foreign(1, started_at=at, completed_at=at, **known),
    moments,
    duration_seconds=seconds,
    pipeline_id=st.sampled_from("pq"),
    status=statuses,
)
parts = st.lists(ours | theirs, max_size=6).map(aggregate)


# Merging


@pytest.mark.slow
@given(parts, parts)
def test_merging_is_commutative(a: Aggregate, b: Aggregate) -> None:
    assert merge(a, b) == merge(b, a)


@pytest.mark.slow
@given(parts, parts, parts)
def test_merging_is_associative(a: Aggregate, b: Aggregate, c: Aggregate) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@pytest.mark.slow
@given(parts)
def test_nothing_changes_nothing(a: Aggregate) -> None:
    assert merge(a, Aggregate()) == a


@pytest.mark.slow
@given(st.lists(ours | theirs, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(lines: list[bytes], order: random.Random) -> None:
    shuffled = lines[:]
    order.shuffle(shuffled)
    assert aggregate(shuffled) == aggregate(lines)


@pytest.mark.slow
@given(st.lists(ours | theirs, max_size=8), st.integers(0, 8))
def test_parts_add_up_to_the_whole(lines: list[bytes], cut: int) -> None:
    assert merge(aggregate(lines[:cut]), aggregate(lines[cut:])) == aggregate(lines)


@pytest.mark.slow
@given(parts, parts)
def test_merging_leaves_the_parts_as_they_were(a: Aggregate, b: Aggregate) -> None:
    before = json.dumps([repr(a), repr(b)])
    fold.ignore(merge(a, b), LineFault.TORN)
    assert json.dumps([repr(a), repr(b)]) == before


@pytest.mark.slow
@given(st.lists(ours | theirs, max_size=6), st.lists(ours | theirs, max_size=3))
def test_what_is_taken_out_was_never_there_or_is_not_known(lines: list[bytes], extra: list[bytes]) -> None:
    with_extra, part = aggregate([*lines, *extra]), aggregate(extra)
    with_extra.lines -= len(extra)
    try:
        left = difference(with_extra, part)
    except Unknown:
        assert extra
    else:
        assert left == aggregate(lines)


@pytest.mark.slow
@given(parts)
def test_nothing_of_a_run_is_left_without_it(a: Aggregate) -> None:
    assert difference(a, a).machines == {}


@given(parts)
def test_taking_nothing_out_changes_nothing(a: Aggregate) -> None:
    assert difference(a, Aggregate()) == a


@pytest.mark.slow
@given(st.lists(ours | theirs, max_size=8))
def test_many_runs_at_once_are_the_same_as_one_by_one(lines: list[bytes]) -> None:
    together = fold.Sums()
    together.count(len(lines))
    together.add([entry(line) for line in lines])
    assert together.total() == aggregate(lines)


@pytest.mark.slow
@given(st.lists(ours | theirs, max_size=8))
def test_costs_are_those_of_each_run(lines: list[bytes]) -> None:
    """Against what is said of a run alone, in whole microseconds, without any of the arithmetic for many."""
    found: dict[str, list[int]] = {}
    for one in map(entry, lines):
        for name, value in costs_of_success(one):
            found.setdefault(name, []).append(value)
    totals = Totals()
    for pipelines in aggregate(lines).machines.values():
        for some in pipelines.values():
            totals = both(totals, some)
    assert totals.costs == {name: alone(values) for name, values in found.items()}


def alone(values: list[int]) -> Spread:
    """What values add up to, each by itself."""
    spread = Spread()
    for value in values:
        index = math.ceil(math.log(value) * SCALE) if value else -1
        low, high = min(values), max(values)
        one = Spread(1, value, value, 1, value, 1, {index: 1})
        spread = merge_spreads(spread, one)
        assert low <= spread.low <= spread.high <= high
    return spread


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=50))
def test_values_fall_into_the_buckets_of_their_logarithms(values: list[int]) -> None:
    assert spread_of(values) == alone(values)


@pytest.mark.parametrize("number", [1, 2, 34, 35, 1_000_000, 31_622_400_000_000, 1 << 44])
def test_the_last_of_a_bucket_and_the_next_are_apart(number: int) -> None:
    values = list(range(max(0, number - 40), number + 40))
    assert spread_of(values) == alone(values)


def _ends_of_buckets() -> list[int]:
    found = [round(math.exp(index / SCALE)) for index in range(1_500)]
    return [max(0, end + apart) for end in found for apart in (-1, 0, 1)]


MANY = {
    "times from milliseconds to minutes": [int(random.Random(1).lognormvariate(13, 3)) for _ in range(2_000)],
    "sizes": [4096 * random.Random(2).randrange(200, 50_000) for _ in range(2_000)],
    "as large as may be": [random.Random(3).randrange(1 << 43, 1 << 44) for _ in range(600)],
    "ends of buckets": _ends_of_buckets(),
    "both sides of where the exponent's first byte changes": [*range(130_000, 132_000), *range(1_000)],
    "a few far away": [*range(1_000_000, 1_002_000), 0, 1, 7, 1 << 44],
    "mostly zeros": [0] * 900 + list(range(700)),
    "all the same but one": [5_000] * 700 + [5_001],
    "one of each": list(range(3_000)),
}
SHUFFLED = {name: random.Random(4).sample(values, len(values)) for name, values in MANY.items()}


@pytest.mark.parametrize("values", SHUFFLED.values(), ids=SHUFFLED.keys())
def test_many_values_at_once_add_up_to_what_each_does(values: list[int]) -> None:
    buckets = Counter(math.ceil(math.log(value) * SCALE) if value else -1 for value in values)
    low, high = min(values), max(values)
    extremes = low, values.count(low), high, values.count(high)
    assert spread_of(values) == Spread(len(values), sum(values), *extremes, dict(buckets))


@pytest.mark.slow
@given(st.lists(st.integers(0, 1 << 44), min_size=1, max_size=8), st.integers(520, 700), st.integers())
def test_many_values_of_any_size_add_up_to_what_each_does(few: list[int], number: int, seed: int) -> None:
    chance = random.Random(seed)
    values = [max(0, min(1 << 44, int(chance.choice(few) * chance.uniform(0.5, 2)))) for _ in range(number)]
    together = Spread()
    for value in values:
        together = merge_spreads(together, spread_of([value]))
    assert spread_of(values) == together


# Quantiles


@pytest.mark.slow
@given(st.lists(st.integers(0, 10**13), min_size=1), st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_as_near_to_a_real_value_as_it_says(values: list[int], fraction: float) -> None:
    real = sorted(values)[int(fraction * (len(values) - 1))]
    found = quantile(spread_of(values), fraction)
    assert found == pytest.approx(real, rel=QUANTILE_ERROR * 1.000001)


def test_nothing_has_no_quantile() -> None:
    assert quantile(Spread(), 0.5) is None


def test_taking_the_only_smallest_value_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unknown):
        difference(aggregate([own(1), own(2, wall_seconds=9.0)]), aggregate([own(1)]))


def test_taking_one_of_two_smallest_values_out_leaves_the_other() -> None:
    three = [own(1), own(2), own(3, wall_seconds=9.0)]
    assert difference(aggregate(three), aggregate([own(1)])).machines == aggregate(three[1:]).machines


# What is counted


def summed(folder: Path, *lines: bytes) -> Aggregate:
    write(folder, *lines)
    return updated(folder).aggregate


def test_an_entry_of_ours_adds_its_costs(tmp_path: Path) -> None:
    costs = only(summed(tmp_path, own(1), own(2, user_seconds=2.0))).costs
    assert {name: (cost.count, cost.total, cost.low, cost.high) for name, cost in costs.items()} == {
        "manifest_writes": (2, 4, 2, 2),
        "wall_seconds": (2, 5_000_000, 2_500_000, 2_500_000),
        "cpu_seconds": (2, 3_500_000, 1_250_000, 2_250_000),
        "max_rss_bytes": (2, 40_000_000, 20_000_000, 20_000_000),
        "read_bytes": (2, 0, 0, 0),
        "written_bytes": (2, 8192, 4096, 4096),
    }


def test_stages_are_counted_apart(tmp_path: Path) -> None:
    stage = only(summed(tmp_path, own(1), own(2))).stages["test"]
    assert (stage.runs, stage.costs["wall_seconds"].total, stage.passed) == (2, 4_500_000, 18)


def test_a_foreign_entry_tells_only_its_time(tmp_path: Path) -> None:
    totals = only(summed(tmp_path, foreign(1)))
    assert (totals.runs, totals.costs) == (1, {"wall_seconds": spread_of([120_346_000])})


def test_machines_are_kept_apart(tmp_path: Path) -> None:
    assert set(summed(tmp_path, own(1), own(2, machine="other"), foreign(3)).machines) == {
        "0123456789abcdef",
        "other",
        "unknown",
    }


def test_a_cached_stage_keeps_a_run_out_of_the_costs(tmp_path: Path) -> None:
    cached = own(2, wall_seconds=0.01, stages=[{"id": "test", "status": "succeeded", "cached": True}])
    totals = only(summed(tmp_path, own(1), cached))
    assert (totals.runs, totals.cached, totals.costs["wall_seconds"].count) == (2, 1, 1)


def test_rates_leave_out_what_nobody_knows(tmp_path: Path) -> None:
    assert rates(summed(tmp_path, foreign(1), foreign(2, status="failed")), "diagnostics") == {"success_rate": 0.5}


def test_a_cancelled_run_is_neither_success_nor_failure(tmp_path: Path) -> None:
    assert rates(summed(tmp_path, own(1), own(2, status="cancelled")), "demo")["success_rate"] == 1.0


def test_errors_of_tests_are_failures(tmp_path: Path) -> None:
    tests = {"passed": 6, "failed": 1, "errors": 1, "skipped": 9}
    assert rates(summed(tmp_path, own(1, tests=tests)), "demo")["test_pass_rate"] == 0.75


def test_rates_of_a_pipeline_nobody_ran_are_unknown() -> None:
    assert rates(Aggregate(), "demo") == {}


def test_rates_can_be_of_one_machine(tmp_path: Path) -> None:
    found = summed(tmp_path, own(1), own(2, machine="other", status="failed"))
    assert rates(found, "demo", "other")["success_rate"] == 0.0


# What is not a run


NOT_RUNS: list[tuple[str, bytes]] = [
    ("not an entry", b"null"),
    ("not an entry", b"5"),
    ("not an entry", b"[]"),
    ("not an entry", b"{}"),
    ("not an entry", b'"run_id"'),
    ("not an entry", b'{"some": "log line"}'),
    ("not JSON", b"{"),
    ("not JSON", b'{"run_id":"a"}{"run_id":"b"}'),
    ("not JSON", own(1)[:40]),
    ("not JSON", own(1).replace(b"2.25", b"NaN")),
    ("not JSON", foreign(1).replace(b"120.346", b"NaN")),
    ("not JSON", b'{"run_id":' + b"[" * 20_000),
    ("torn", own(1)[:40] + b"\x18"),
    ("torn", b'{"run_id":"\xc3\x18'),
    ("not UTF-8", foreign(1).replace(b"primary", b"prim\xffry")),
    ("not UTF-8", own(1).replace(b"demo", b"d\xc3mo")),
    ("entry of another version", own(1, entry=2)),
    ("missing field", own(1).replace(b'"started_at"', b'"begun_at"')),
    ("missing field", foreign(1).replace(b'"pipeline_id"', b'"pipe"')),
    ("missing field", b'{"run_id":"2026"}'),
    ("impossible value", own(1, wall_seconds=-1)),
    ("impossible value", own(1, read_bytes=-1)),
    ("impossible value", own(1, read_bytes=1.5)),
    ("impossible value", own(1, max_rss_bytes=1 << 60)),
    ("impossible value", own(1, wall_seconds=1e12)),
    ("impossible value", own(1, wall_seconds="1")),
    ("impossible value", own(1, wall_seconds=True)),
    ("impossible value", own(1, status="in_progress")),
    ("impossible value", own(1, run_id="")),
    ("impossible value", own(1, run_id=None)),
    ("impossible value", own(1, run_id="x" * 5000)),
    ("impossible value", own(1, tests={"passed": -1})),
    ("impossible value", own(1, stages=[{"id": "a"}])),
    ("impossible value", foreign(1, duration_seconds=-0.5)),
    ("impossible value", foreign(1).replace(b"120.346", b"1e999")),
    ("impossible value", foreign(1).replace(b"120.346", b"9" * 5000)),
    ("impossible time", own(1, started_at="2099-01-01T00:00:00Z")),
    ("impossible time", own(1, completed_at="2026-02-01T11:59:59.999Z")),
    ("impossible time", own(1, started_at="1970-01-01T00:00:00Z")),
    ("impossible time", own(1, completed_at="9999-01-01T00:00:00Z")),
    ("impossible time", own(1, started_at="yesterday")),
    ("impossible time", own(1, started_at="2026-02-01T12:00:00")),
    ("impossible time", foreign(1, completed_at="2026-13-01T00:00:00Z")),
    ("too long", b'{"run_id":"' + b"x" * (9 << 20)),
]


@pytest.mark.parametrize(("kind", "line"), NOT_RUNS, ids=[f"{kind}: {line[:300][-30:]!r}" for kind, line in NOT_RUNS])
def test_a_line_that_is_no_run_is_counted_by_kind(tmp_path: Path, kind: str, line: bytes) -> None:
    found = summed(tmp_path, foreign(7), line, own(8))
    assert (found.runs, found.lines, found.ignored) == (2, 3, {kind: 1})


@pytest.mark.slow
@given(st.lists(st.binary(max_size=60) | ours | theirs | st.sampled_from([line for _, line in NOT_RUNS[:-1]])))
def test_every_line_is_a_run_or_ignored(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("task")
    found = summed(folder, *lines)
    assert found.runs + sum(found.ignored.values()) == found.lines


def test_windows_line_ends_and_empty_lines_do_no_harm(tmp_path: Path) -> None:
    found = summed(tmp_path, own(1) + b"\r", b"", foreign(2) + b"\r", b"")
    assert (found.runs, found.ignored) == (2, {})


def test_an_entry_of_ours_is_known_in_any_order_of_its_keys(tmp_path: Path) -> None:
    turned = dict(reversed(json.loads(own(1)).items()))
    assert summed(tmp_path, json.dumps(turned).encode()) == summed(tmp_path, own(1))


def test_names_in_other_scripts_are_counted(tmp_path: Path) -> None:
    found = summed(tmp_path, own(1, pipeline_id="проверка"), foreign(2, pipeline_id="тест"))
    assert found.runs == 2


# Ranges of a file


def reduced(path: Path, bounds: list[int]) -> Aggregate:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        gathered = reduce.Pass(descriptor, path.stat().st_size)
        for start, stop in pairwise(bounds):
            reduce.read(gathered, start, stop)
        return gathered.part().aggregate
    finally:
        os.close(descriptor)


LINES = [own(1), foreign(2), b"null", b"", own(3, pipeline_id="тест"), foreign(4)]


@pytest.mark.slow
@given(st.lists(st.integers(0, sum(len(line) + 1 for line in LINES))))
def test_a_file_may_be_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    path = write(tmp_path_factory.mktemp("task"), *LINES)
    size = path.stat().st_size
    assert reduced(path, [0, *sorted(cuts), size]) == reduced(path, [0, size])


USUAL = {"wall_seconds": 0.5, "user_seconds": 0.25, "system_seconds": 0.125, "max_rss_bytes": 4096}
USUAL |= {"read_bytes": 0, "written_bytes": 8192}
usual_stages = st.builds(
    lambda name, wall, **known: {"id": name, "status": "succeeded"} | USUAL | {"wall_seconds": wall} | known,
    st.sampled_from("ab"),
    seconds,
)
rare_stages = st.builds(
    lambda stage, more: stage | more,
    usual_stages,
    st.sampled_from([{"status": "failed"}, {"status": "skipped"}, {"flaky": True}, {"cached": True}, {"processes": 3}]),
)
shapes = st.just("ab") | st.sampled_from(["", "a", "ba", "aa", "abab"])


@st.composite
def usual_entries(draw: st.DrawFn) -> bytes:
    """What nearly all entries are like, with something rare now and then."""
    known = [draw(usual_stages) | {"id": name} for name in draw(shapes)]
    if draw(st.integers(0, 9)) == 9:
        known.append(draw(rare_stages))
    rare: dict[str, Any] = draw(
        st.sampled_from([{}] * 9 + [{"resumes": 1}, {"metrics": {"manifest_writes": 7}}, {"complete": False}])
    )
    number, status = draw(st.integers(0, 1 << 32)), draw(st.sampled_from(["succeeded"] * 3 + ["failed"]))
    return own(number, status=status, stages=known, tests=draw(st.sampled_from([None] * 9 + [{"passed": 1}])), **rare)


@pytest.mark.slow
@given(st.lists(usual_entries() | theirs, min_size=1, max_size=12, unique_by=lambda line: json.loads(line)["run_id"]))
def test_a_block_of_usual_entries_adds_up_to_what_each_does(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    assert summed(tmp_path_factory.mktemp("usual"), *lines).machines == aggregate(lines).machines


def test_a_failed_run_that_was_resumed_has_no_wall_time_among_usual_ones_either(tmp_path: Path) -> None:
    """Older versions counted the hours in which nobody ran it, and the stages of such an entry may be plain."""
    costs = {"wall_seconds": 1.0, "user_seconds": 0.5, "system_seconds": 0.0}
    counted = {"max_rss_bytes": 4096, "read_bytes": 0, "written_bytes": 8192}
    stages = [{"id": "a", "status": "succeeded", **costs, **counted}]
    lines = own(1, stages=stages, tests=None), own(2, status="failed", resumes=1, stages=stages, tests=None)
    assert summed(tmp_path, *lines).machines == aggregate(lines).machines


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [foreign(number) if number % 3 else own(number) for number in range(500)]
    alone = summed(tmp_path, *lines)
    monkeypatch.setattr(reduce, "WORTH_IT", 1 << 12)
    monkeypatch.setattr(reduce, "BLOCK", 1 << 11)
    (tmp_path / "aggregate.json").unlink()
    assert updated(tmp_path).aggregate == alone


def test_lines_longer_than_a_block_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduce, "BLOCK", 64)
    assert summed(tmp_path, foreign(1), foreign(2, padding="x" * 100_000), own(3)).runs == 3
