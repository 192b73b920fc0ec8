"""Benchmarks that a measured pipeline reports: read after each run, judged, shown, saved, and refused at a push."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema
import pytest

from orchgate.config.settings import Benchmarks
from orchgate.result_files import benchmark_results
from orchgate.verdict.values import BENCHMARK, RESULTS
from tests.published import closed
from tests.repo import ORCHGATE, Repo, Result, init

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchgate.result_files.benchmark_results import BenchmarkResults

SCHEMA = closed("perf")
CONFIG = """\
[performance]
pipeline = "bench"
budget-seconds = 120
[performance.benchmarks]
file = "out/bench.json"
format = "bmf"
[performance.metrics]
"benchmark:lenient*" = { block = 9.0 }
[[pipelines.bench.stages]]
id = "first"
run = ["true"]
[[pipelines.bench.stages]]
id = "write"
shell = "sh write.sh"
"""
WRITE = "mkdir -p out; cp results out/bench.json\n"


def results(**nanoseconds: float) -> str:
    return json.dumps({name: {"latency": {"value": value}} for name, value in nanoseconds.items()})


class Told(NamedTuple):
    """What a measurement said and left behind."""

    repo: Repo
    text: Result
    report: dict[str, Any]
    push: dict[str, Any]


def measured(repo: Repo, *args: str) -> dict[str, Any]:
    """The JSON of a measurement, once it fits its schema."""
    argv = [ORCHGATE, "perf", "--output-format", "json", *args]
    completed = subprocess.run(argv, cwd=repo.root, capture_output=True, check=False)
    assert completed.stdout, completed.stderr.decode()
    found: dict[str, Any] = json.loads(completed.stdout)
    jsonschema.validate(found, SCHEMA)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    """A repository whose pipeline reports benchmarks, on a branch from main."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("GIT_", "PRE_COMMIT", "CI", "GITHUB_"))]:
            patch.delenv(name)
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for name in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{name}_NAME", "Ada")
            patch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
        repo = init(tmp_path_factory.mktemp("benchmarks") / "repo")
        files = {"orchgate.toml": CONFIG, "write.sh": WRITE, ".gitignore": "out/\n.runs/\n"}
        repo.commit(files={**files, "results": results(parse=1000, load=2000, lenient=50, parse_old=5)})
        repo.git("checkout", "--quiet", "-b", "topic")
        yield repo


@pytest.fixture(scope="module")
def slower(place: Repo) -> Told:
    """One benchmark got slower, one a little, one got another name."""
    place.git("checkout", "--quiet", "-b", "slower", "main")
    place.commit(files={"results": results(parse=1500, load=2000, lenient=80, parse_new=5)})
    text = place.orchgate("perf", "--max-pairs", "12", "--output", "raw.jsonl", "--benchstat", "runs")
    report = measured(place, "--max-pairs", "12", "--output", "head.json")
    push = place.report("performance", "--base", "main", "--head", "HEAD")
    return Told(place, text, report, push)


pytestmark = pytest.mark.slow


def test_what_got_slower_is_refused_and_named_with_its_times(slower: Told) -> None:
    assert (slower.text.code, "fail: benchmark parse +50.0 % (" in slower.text.out) == (1, True), slower.text.out


def test_a_benchmark_below_its_own_limit_is_told_and_the_rest_counted(slower: Told) -> None:
    assert "  benchmark lenient +60.0 % (" in slower.text.out
    assert "  other benchmarks: 1 not slower, 1 added, 1 removed" in slower.text.out


def test_a_new_name_for_an_old_benchmark_is_guessed_at(slower: Told) -> None:
    assert "  benchmarks perhaps renamed, and so not compared: parse_old -> parse_new" in slower.text.out


def test_the_json_has_every_benchmark_worst_first(slower: Told) -> None:
    found = slower.report["benchmarks"]

    assert [(one["name"], round(one["change"], 3)) for one in found] == [("parse", 0.5), ("lenient", 0.6), ("load", 0)]
    assert slower.report["benchmarks_only_on_base"] == ["parse_old"]


def findings(slower: Told, rule: str) -> list[tuple[str, str]]:
    found = [one for one in slower.push["diagnostics"] if one["rule"] == rule]
    return [(one["severity"], one["message"]) for one in found]


def test_a_push_is_refused_for_the_benchmark_and_its_stage_is_named(slower: Told) -> None:
    (severity, message), (milder, lenient) = findings(slower, "PRF001")

    assert (severity, milder) == ("error", "warning")
    assert message.startswith("bench: benchmark parse +50.0 % (")
    assert " in stage write; 12 pairs in " in message
    assert lenient.startswith("bench: benchmark lenient +60.0 % (")
    assert lenient.endswith("; refused from x 10.0")


def test_a_push_that_gives_a_benchmark_another_name_is_warned_of(slower: Told) -> None:
    assert findings(slower, "PRF007") == [
        ("warning", "bench: benchmarks perhaps renamed, and so not compared: parse_old -> parse_new")
    ]


def test_raw_samples_hold_benchmarks_and_are_judged_again_alike(slower: Told) -> None:
    found = measured(slower.repo, "--replay", "raw.jsonl")["streams"][0]

    assert [(one["name"], one["verdict"]) for one in found["benchmarks"]] == [
        ("parse", "fail"),
        ("lenient", "warn"),
        ("load", "pass"),
    ]


def test_what_is_saved_as_json_is_bencher_s(slower: Told) -> None:
    saved = json.loads((slower.repo.root / "head.json").read_text())

    assert saved["parse"] == {"latency": {"value": 1500.0, "lower_value": 1500.0, "upper_value": 1500.0}}
    assert set(saved["bench"]) == {"latency", "cpu-time", "max-rss"}


def test_files_for_benchstat_have_a_line_for_each_run(slower: Told) -> None:
    base, head = ((slower.repo.root / f"runs.{side}.txt").read_text().splitlines() for side in ("base", "head"))

    assert [base.count("Benchmarkparse 1 1000 ns/op"), head.count("Benchmarkparse 1 1500 ns/op")] == [12, 12]
    assert all(len(line.split()) % 2 == 0 for line in base)
    assert "  compare them: benchstat runs.base.txt runs.head.txt" in slower.text.out


# Files that are not there, or not of this run


def test_a_head_that_no_longer_writes_its_results_is_refused(place: Repo) -> None:
    place.git("checkout", "--quiet", "-b", "silent", "main")
    place.commit(files={"write.sh": "exit 0\n"})

    told = place.orchgate("perf", "--max-pairs", "2")

    assert told.code == 1
    assert "fail: head reports no benchmark, base 4: out/bench.json was not written" in told.out


def test_where_nobody_writes_results_benchmarks_cannot_be_judged(place: Repo) -> None:
    place.git("checkout", "--quiet", "-b", "never", "main")
    place.commit(files={"write.sh": "mkdir -p out; echo '{' > out/bench.json\n"})

    told = place.orchgate("perf", "--base", "HEAD", "--max-pairs", "2")

    assert told.code == 3
    assert "broken: no benchmark could be compared: base: out/bench.json is not JSON, or cut off" in told.out


def test_a_push_whose_results_nobody_can_read_is_not_judged_and_can_be_excused(place: Repo) -> None:
    place.git("checkout", "--quiet", "-b", "torn", "main")
    place.commit(files={"write.sh": "mkdir -p out; echo > out/bench.json\n"})
    place.commit(files={"other": "x\n"})

    told = place.report("performance", "--base", "HEAD~1", "--head", "HEAD")

    found = {one["rule"]: (one["severity"], one["message"]) for one in told["diagnostics"]}
    why = "no benchmark could be compared: base: out/bench.json is empty; head: out/bench.json is empty"
    assert (told["verdict"], found["PRF004"]) == ("inconclusive", ("error", f"bench: {why}"))


def test_another_command_need_not_write_them(place: Repo) -> None:
    assert place.orchgate("perf", "--base", "main", "--head", "main", "--max-pairs", "2", "--", "true").code == 0


# What counts as written by a run


def after(
    folder: Path, form: str, file: str, *writes: tuple[str, str], before: tuple[tuple[str, str], ...] = ()
) -> BenchmarkResults:
    """The results of a run that writes files, some of which are there already."""

    def write(files: tuple[tuple[str, str], ...]) -> None:
        for path, content in files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).unlink(missing_ok=True)
            (folder / path).write_text(content)

    write(before)
    expected = benchmark_results.expected(Benchmarks(file, form), str(folder / "tree"), str(folder / "artifacts"))
    write(writes)
    return expected.results()


def test_a_file_that_was_there_before_does_not_count(tmp_path: Path) -> None:
    found = after(tmp_path, "bmf", "b.json", before=(("tree/b.json", results(a=1)),))

    assert found.unread == {RESULTS: "b.json is older than the run"}


def test_a_file_that_is_written_anew_counts_though_it_says_the_same(tmp_path: Path) -> None:
    file = ("tree/b.json", results(a=1))

    assert list(after(tmp_path, "bmf", "b.json", file, before=(file,)).metrics) == [f"{BENCHMARK}a"]


def test_a_file_among_the_artifacts_counts_where_the_tree_s_is_old(tmp_path: Path) -> None:
    file = ("artifacts/b.json", results(new=1))

    found = after(tmp_path, "bmf", "b.json", file, before=(("tree/b.json", results(old=1)),))

    assert list(found.metrics) == [f"{BENCHMARK}new"]


def test_of_criterion_s_folder_only_what_the_run_measured_counts(tmp_path: Path) -> None:
    estimates = '{"median": {"point_estimate": 5}}'
    old = ("tree/c/gone/new/estimates.json", estimates)

    found = after(
        tmp_path,
        "criterion",
        "c",
        ("tree/c/group/sum/100/new/estimates.json", estimates),
        ("tree/c/group/sum/100/base/estimates.json", estimates),
        ("tree/c/report/index.html", ""),
        before=(old,),
    )

    assert list(found.metrics) == [f"{BENCHMARK}group/sum/100"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_named_and_nobody_waits_for_it(tmp_path: Path, make: Any) -> None:
    (tmp_path / "tree").mkdir()
    expected = benchmark_results.expected(Benchmarks("b.json", "go"), str(tmp_path / "tree"))
    make(tmp_path / "tree" / "b.json")

    assert "not a regular file" in expected.results().unread[RESULTS]


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    expected = benchmark_results.expected(Benchmarks("b.json", "go"), str(tmp_path / "tree"))
    with open(tmp_path / "tree" / "b.json", "wb") as file:
        file.truncate(benchmark_results.MAX_BYTES + 1)

    assert "limit" in expected.results().unread[RESULTS]
