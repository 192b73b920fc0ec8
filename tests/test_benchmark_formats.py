"""Files of benchmark results as other people's tools write them, and as they must not be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.result_files import benchmark_formats
from orchgate.result_files.benchmark_formats import LARGEST, LONGEST_NAME, MOST, FormatError, Times

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = Path(__file__).parent / "data" / "benchmarks"
Reader = "Callable[[bytes], Times]"
READERS = {
    "pytest-benchmark": (
        benchmark_formats.read_pytest,
        b'{"benchmarks": [%s]}',
        b'{"fullname": %s, "stats": {"min": %s}}',
    ),
    "hyperfine": (benchmark_formats.read_hyperfine, b'{"results": [%s]}', b'{"command": %s, "min": %s}'),
    "bmf": (benchmark_formats.read_bencher, b"{%s}", b'%s: {"latency": {"value": %s}}'),
}
each_json = pytest.mark.parametrize("form", READERS)


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def file_of(form: str, *benchmarks: tuple[Any, str]) -> bytes:
    """A file with benchmarks of these names and values, which are JSON."""
    _, outer, inner = READERS[form]
    return outer % b", ".join(inner % (json.dumps(name).encode(), value.encode()) for name, value in benchmarks)


def read(form: str, content: bytes) -> Times:
    return READERS[form][0](content)


def refused(reader: Callable[[bytes], Times], content: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        reader(content)
    return caught.value.message


# As their tools write them


def test_pytest_benchmark_is_read_by_full_name_and_its_least_round() -> None:
    assert benchmark_formats.read_pytest(sample("pytest-benchmark-5.3.json")).seconds == {
        "test_b.py::test_dump": pytest.approx(261.03e-6, abs=1e-9),
        "test_b.py::test_load": pytest.approx(220.58e-6, abs=1e-8),
        "test_b.py::test_sum[100]": pytest.approx(1.4863e-6, abs=1e-10),
        "test_b.py::test_sum[1000]": pytest.approx(24.386e-6, abs=1e-9),
    }


@pytest.mark.slow
def test_a_million_rounds_do_not_make_a_file_too_large() -> None:
    rounds = b", ".join([b"0.000123456789"] * 1_100_000)
    content = b'{"benchmarks": [{"fullname": "a", "stats": {"min": 0.5, "data": [%s]}}]}' % rounds

    assert len(content) > LARGEST
    assert benchmark_formats.read_pytest(content).seconds == {"a": 0.5}


def test_hyperfine_names_its_parameters_where_a_command_comes_twice() -> None:
    assert list(benchmark_formats.read_hyperfine(sample("hyperfine-1.15.json")).seconds) == [
        "sleep 0.002 (n=1)",
        "true (n=1)",
        "echo 1",
        "sleep 0.002 (n=2)",
        "true (n=2)",
        "echo 2",
    ]


def test_a_command_that_failed_has_no_time() -> None:
    assert benchmark_formats.read_hyperfine(sample("hyperfine-1.15-failed.json")) == Times(
        {}, {"false": "exit 1 in 3 runs"}
    )


def test_go_takes_the_least_of_several_lines_and_names_what_broke() -> None:
    found = benchmark_formats.read_go(sample("go-1.19.txt"))

    assert found.seconds == {
        "example.com/gb.BenchmarkJoin-2": pytest.approx(149e-9),
        "example.com/gb.BenchmarkSprint/n=1-2": pytest.approx(184.2e-9),
        "example.com/gb.BenchmarkSprint/n=100-2": pytest.approx(390.9e-9),
        "example.com/gb.BenchmarkLogs-2": pytest.approx(0.6851e-9),
    }
    assert found.failed == {
        "example.com/gb.BenchmarkFails-2": "it failed",
        "example.com/gb.BenchmarkPrints-2": "other output broke its line",
    }


def test_two_packages_of_go_may_have_benchmarks_of_one_name() -> None:
    text = "pkg: a\nBenchmarkX 10 5 ns/op\nPASS\npkg: b\nBenchmarkX 10 7 ns/op 3 B/op\n"

    assert benchmark_formats.read_go(text.encode()).seconds == {
        "a.BenchmarkX": pytest.approx(5e-9),
        "b.BenchmarkX": pytest.approx(7e-9),
    }


def test_prose_that_begins_like_a_benchmark_is_none() -> None:
    assert list(benchmark_formats.read_go(b"Benchmark results follow\nBenchmarkX-2 10 5 ns/op\n").seconds) == [
        "BenchmarkX-2"
    ]


def test_bencher_s_throughput_is_the_time_of_one_operation() -> None:
    content = b'{"a": {"latency": {"value": 88.0, "lower_value": 87.4}, "throughput": {"value": 4, "upper_value": 5}}}'

    assert benchmark_formats.read_bencher(content).seconds == {"a": pytest.approx(88e-9), "a (throughput)": 0.25}


def test_a_measure_without_a_direction_is_not_compared() -> None:
    assert benchmark_formats.read_bencher(b'{"a": {"file-size": {"value": 42.0}}}').failed == {
        "a": "it has neither latency nor throughput"
    }


def test_criterion_s_benchmarks_are_called_by_their_folders() -> None:
    estimates = (
        b'{"mean":{"confidence_interval":{"confidence_level":0.95,"lower_bound":287.1,"upper_bound":296.6},'
        b'"point_estimate":291.6,"standard_error":2.4},"median":{"confidence_interval":{"confidence_level":0.95,'
        b'"lower_bound":279.1,"upper_bound":281.5},"point_estimate":279.6,"standard_error":0.5},"slope":null}'
    )

    assert benchmark_formats.read_criterion({"group/sum/100/new/estimates.json": estimates}).seconds == {
        "group/sum/100": pytest.approx(279.6e-9)
    }


def test_a_torn_file_of_criterion_is_that_benchmark_s_alone() -> None:
    files = {"a/new/estimates.json": b'{"median": {"point_estimate": 5}}', "b/new/estimates.json": b'{"median": {'}

    found = benchmark_formats.read_criterion(files)

    assert (list(found.seconds), list(found.failed)) == (["a"], ["b"])


# As they must not be


@each_json
@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b" \n", "is empty", id="blank"),
        pytest.param(b"\xff\xfe{", "is not UTF-8", id="encoding"),
        pytest.param(b"[" * 200_000, "is nested too deep", id="deep"),
        pytest.param(b'{"a": 1' + b"0" * 5000 + b"}", "is not JSON, or cut off", id="digits"),
        pytest.param(b" " * LARGEST + b"{}", "is longer than", id="huge"),
        pytest.param(b"null", "", id="null"),
        pytest.param(b"[]", "", id="array"),
        pytest.param(b'{"version": 9, "runs": []}', "", id="other-version"),
        pytest.param(b'{"benchmarks": [3], "results": [3]}', "", id="wrong-entries"),
    ],
)
def test_what_is_no_file_of_results_is_refused_as_a_whole(form: str, content: bytes, why: str) -> None:
    assert why in refused(READERS[form][0], content)


@each_json
@pytest.mark.parametrize("cut", [1, 9, 20])
def test_a_file_that_is_cut_off_is_refused(form: str, cut: int) -> None:
    content = file_of(form, ("a", "1.5"))

    assert "is not JSON, or cut off" in refused(READERS[form][0], content[:-cut])


@each_json
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("NaN", "its time is nan"),
        ("Infinity", "its time is inf"),
        ("-1.5", "its time is -1.5"),
        ("0", "its time is 0"),
        ("1e400", "its time is inf"),
        ("9" * 400, "its time is 999"),
        ('"12"', "its time is a string, not a number"),
        ("true", "its time is true or false, not a number"),
        ("null", "its time is missing, not a number"),
        ("[1]", "its time is an array, not a number"),
    ],
)
def test_a_time_that_is_none_is_that_benchmark_s_alone(form: str, value: str, why: str) -> None:
    found = read(form, file_of(form, ("good", "2.5"), ("bad", value)))

    assert list(found.seconds) == ["good"]
    assert found.failed["bad"].startswith(why[:12])


@each_json
def test_a_name_that_comes_twice_is_neither(form: str) -> None:
    found = read(form, file_of(form, ("a", "1.0"), ("b", "1.0"), ("a", "2.0")))

    assert (list(found.seconds), found.failed) == (["b"], {"a": "the name occurs twice"})


@each_json
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x\x1b[2J", "control characters"),
        ("x\ny", "control characters"),
        ("", "is empty"),
        ("n" * 10_000, f"10000 characters, limit {LONGEST_NAME}"),
        ("\ud800", "control characters"),
    ],
)
def test_a_name_that_cannot_be_told_is_not_compared(form: str, name: str, why: str) -> None:
    found = read(form, file_of(form, ("good", "1.0"), (name, "2.0")))

    assert list(found.seconds) == ["good"]
    assert [why in reason for reason in found.failed.values()] == [True]


@pytest.mark.slow
@each_json
def test_more_benchmarks_than_anybody_has_are_refused(form: str) -> None:
    content = file_of(form, *((f"b{number}", "1.0") for number in range(MOST + 1)))

    assert refused(READERS[form][0], content) == f"holds more than {MOST} benchmarks"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"PASS\nok  \texample.com/x 0.1s\n", "holds no benchmark"),
        (b'{"Action":"output","Output":"BenchmarkX-2 10 5 ns/op"}\n', "without -json"),
    ],
)
def test_text_that_is_not_go_s_is_refused(content: bytes, why: str) -> None:
    assert why in refused(benchmark_formats.read_go, content)


@pytest.mark.parametrize("value", ["NaN", "-5", "0", "x", "1e999", "Inf"])
def test_a_line_of_go_s_without_a_time_is_that_benchmark_s_alone(value: str) -> None:
    found = benchmark_formats.read_go(f"BenchmarkA-2 10 5 ns/op\nBenchmarkB-2 10 {value} ns/op\n".encode())

    assert (list(found.seconds), list(found.failed)) == (["BenchmarkA-2"], ["BenchmarkB-2"])
