"""Results that other tools wrote: what real ones left, and what nobody should believe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from orchgate.attest import statement
from orchgate.config.entries import ResultFile
from orchgate.lib import files
from orchgate.result_files import formats, junit, pytest_reports
from orchgate.result_files.counts import CountedTests, ResultsError, restored, shown_name
from orchgate.runner import results
from orchgate.runner.results import ResultPlaces, StageResults
from orchgate.runner.writer import entry_of
from orchgate.runs.run import from_manifest
from orchgate.runs.stages import Stage
from tests.runs import Project
from tests.work import no_hang

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.repo import Repo

DATA = Path(__file__).parent / "data" / "results"
FAILING = ("bad", "error", "teardown", "both", "p[a\\nb]", "p[x2]", "subtests")


def read(path: Path, format_: str = "") -> CountedTests:
    found = formats.read(str(path), format_).tests
    assert found is not None
    return found


def refusal(path: Path, format_: str = "") -> str:
    with pytest.raises(ResultsError) as caught:
        formats.read(str(path), format_)
    return caught.value.message


def stage(*wanted: str | ResultFile) -> Stage:
    return Stage(
        "t", "t", ("x",), results=tuple(one if isinstance(one, ResultFile) else ResultFile(one) for one in wanted)
    )


def collect(folder: Path, *wanted: str | ResultFile, artifacts: str = "") -> StageResults:
    return results.collect(stage(*wanted), ResultPlaces(str(folder), str(folder), artifacts), b"", {})


# --- What real tools wrote


@pytest.mark.parametrize(
    ("name", "counts", "flaky"),
    [
        ("pytest-9.2.xml", (4, 5, 2, 3), 1),
        ("pytest-json-report-1.5.json", (4, 4, 2, 4), 1),
        ("pytest-reportlog-1.0.jsonl", (4, 5, 2, 3), 1),
        ("ctrf-pytest-0.6.json", (4, 7, 2, 0), 1),
        ("ctrf-jest-0.0.11.json", (2, 1, 2, 0), 1),
        ("ctrf-mocha-0.0.11.json", (2, 2, 2, 0), 1),
        ("jest-junit-17.xml", (3, 1, 1, 0), 0),
        ("ctest-3.25.xml", (1, 1, 3, 0), 0),
    ],
)
def test_what_a_real_tool_wrote_is_counted(name: str, counts: tuple[int, ...], flaky: int) -> None:
    found = formats.read(str(DATA / name))
    assert found.tests is not None

    assert (found.tests[:4], found.tests.flaky, found.doubt) == (counts, flaky, "")


@pytest.mark.parametrize("name", ["pytest-9.2.xml", "pytest-json-report-1.5.json", "pytest-reportlog-1.0.jsonl"])
def test_reports_of_one_run_agree_on_what_failed(name: str) -> None:
    """Each attempt of a test that is repeated is in them, and a teardown that fails after its test did."""
    failing = read(DATA / name).failing

    assert sorted(one.rpartition("::test_")[2] for one in failing if "test_c" not in one) == sorted(FAILING)
    assert len(failing) == len(FAILING) + 1  # a module that cannot be imported


def test_names_of_failed_tests_say_where_they_are() -> None:
    assert read(DATA / "ctrf-jest-0.0.11.json").failing == ("a.test.js > group bad",)
    assert read(DATA / "jest-junit-17.xml").failing == ("group bad",)
    assert read(DATA / "ctest-3.25.xml").failing == ("bad",)


def test_benchmarks_are_known_by_their_content() -> None:
    folder = DATA.parent / "benchmarks"
    for name in ("hyperfine-1.15.json", "pytest-benchmark-5.3.json", "go-1.19.txt"):
        found = formats.read(str(folder / name)).times
        assert found is not None
        assert found.seconds


# --- What a dialect means


def of_junit(text: str) -> junit.JUnitTests:
    return junit.parse([text.encode()])


def test_a_test_that_passed_at_a_later_attempt_is_flaky() -> None:
    cases = "<testcase name='a'><flakyFailure/></testcase><testcase name='b'><flakyError/></testcase>"

    assert of_junit(f"<testsuite>{cases}</testsuite>").tests == CountedTests(2, 0, 0, 0, "junit", 2)


def test_a_test_that_failed_at_every_attempt_is_not_flaky() -> None:
    text = "<testsuite><testcase name='a'><rerunFailure/><failure/></testcase></testsuite>"

    assert of_junit(text).tests == CountedTests(0, 1, 0, 0, "junit", 0, ("a",))


def test_tests_of_one_name_are_several_where_no_attempts_are_listed() -> None:
    """TestNG's providers of data, and jest's tables, give many tests one name."""
    assert of_junit("<testsuite name='T'>" + "<testcase name='a'/>" * 3 + "</testsuite>").tests.passed == 3


@pytest.mark.parametrize(
    ("cases", "counts", "flaky"),
    [
        ("<testcase name='a'/><testcase name='a'/>", (1, 0, 0, 0), 1),
        ("<testcase name='a'/><testcase name='b'/><testcase name='a'/>", (2, 0, 0, 0), 1),
        ("<testcase name='a'/><testcase name='a'/><testcase name='a'><failure/></testcase>", (0, 1, 0, 0), 0),
        ("<testcase name='a'><failure/></testcase><testcase name='a'><error/></testcase>", (0, 1, 0, 0), 0),
        ("<testcase name='a'><failure/></testcase><testcase name='a'/>", (0, 1, 0, 0), 0),
        ("<testcase name='a'/><testcase name='a'><skipped/></testcase>", (0, 0, 1, 0), 0),
    ],
)
def test_attempts_that_pytest_lists_are_one_test(cases: str, counts: tuple[int, ...], flaky: int) -> None:
    found = of_junit(f"<testsuites><testsuite name='pytest'>{cases}</testsuite></testsuites>").tests

    assert (found[:4], found.flaky) == (counts, flaky)


def test_a_suite_that_could_not_be_loaded_is_an_error() -> None:
    assert of_junit("<testsuite><error/><testcase name='a'/></testsuite>").tests[:4] == (1, 0, 0, 1)


@pytest.mark.parametrize(
    ("attributes", "doubt"),
    [
        ("tests='10'", "says that it has 10 tests, and lists 1: those were counted"),
        ("tests='1' failures='2'", "says that 2 tests failed, and lists 0: those it lists were counted"),
        ("tests='1' errors='1'", "says that 1 test failed, and lists 0: those it lists were counted"),
        ("tests='1'", ""),
        ("tests='0'", ""),  # jest-junit leaves out what is to be done
    ],
)
def test_totals_that_claim_more_than_is_listed_are_said(attributes: str, doubt: str) -> None:
    found = of_junit(f"<testsuite {attributes}><testcase name='a'/></testsuite>")

    assert (found.tests[:4], found.doubt) == ((1, 0, 0, 0), doubt)


def test_a_billion_tests_of_which_none_is_listed_are_not_believed(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text("<testsuite tests='1000000000'/>")

    assert refusal(tmp_path / "r.xml") == "says that it has 1000000000 tests, and lists none of them"


def ctrf(*tests: Mapping[str, object], **summary: object) -> str:
    return json.dumps({"results": {"tool": {"name": "x"}, "summary": summary, "tests": list(tests)}})


def test_the_words_of_ctrf() -> None:
    words = ("passed", "failed", "skipped", "pending", "other")

    found = formats.parse_document(ctrf(*({"name": word, "status": word} for word in words)).encode()).tests

    assert found == CountedTests(1, 1, 3, 0, "ctrf", 0, ("failed",))


def test_ctrf_that_claims_more_than_it_lists_is_said() -> None:
    found = formats.parse_document(ctrf({"name": "a", "status": "passed"}, tests=5, failed=2).encode())

    assert found.doubt == "says that 2 tests failed, and lists 0: those it lists were counted"


def lines(*events: dict[str, object]) -> list[bytes]:
    return [json.dumps(event).encode() for event in events]


FINISH: dict[str, object] = {"$report_type": "SessionFinish"}


def phase(when: str, outcome: str = "passed", kind: str = "TestReport") -> dict[str, object]:
    return {"$report_type": kind, "nodeid": "a", "when": when, "outcome": outcome}


@pytest.mark.parametrize(
    ("events", "counts"),
    [
        ([phase("setup"), phase("call"), phase("teardown"), FINISH], (1, 0, 0, 0)),
        ([phase("setup", "failed"), phase("teardown"), FINISH], (0, 0, 0, 1)),
        ([phase("call"), phase("teardown", "failed"), FINISH], (0, 0, 0, 1)),
        ([phase("call", "failed", "SubTestReport"), phase("call"), phase("teardown"), FINISH], (0, 1, 0, 0)),
        ([phase("setup"), phase("call"), FINISH], (0, 0, 0, 1)),  # its process died
        ([{"$report_type": "CollectReport", "nodeid": "a", "outcome": "failed"}, FINISH], (0, 0, 0, 1)),
    ],
)
def test_the_lines_of_reportlog(events: list[dict[str, object]], counts: tuple[int, ...]) -> None:
    assert pytest_reports.parse_reportlog(lines(*events))[:4] == counts


# --- What is refused


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("{}", "is JSON in no known format: none of ctrf, "),
        ("[1]", "is JSON in no known format"),
        ('{"a": 1}', "is JSON in no known format"),
        ("12 passed", "is in no known format: neither XML nor JSON"),
        ('{"results": {"summary": {}}}', 'has no "results" with an array of "tests"'),
        (
            ctrf({"name": "a", "status": "broken"}),
            "holds a test that has the status 'broken', which CTRF does not have",
        ),
        (ctrf({"name": "a"}), "holds a test that has the status 'None'"),
        ('{"results": {"tests": [1]}}', "holds a test that is not an object"),
        ('{"results": {"tests": [], "tests": []}}', "names 'tests' twice in one object"),
        (ctrf({"name": "a", "status": "passed"})[:-9], "is not JSON, or cut off"),
        ("[" * 50_000, "is nested too deep"),
        ('{"results": {"summary": ' + "9" * 5_000 + "}}", "is not JSON"),
        ('{"results": [{"command": "a"}], "benchmarks": []}', "looks like pytest-benchmark and hyperfine: name its"),
        ('{"exitcode": 0, "summary": {}, "root": ""}', "lists no tests: it was written with --json-report-omit"),
        ('{"$report_type": "SessionStart"}\n', "is cut off: it does not say that the session finished"),
        ('{"$report_type": "SessionStart"}\n{"$rep', "line 2 is not JSON, or cut off"),
        ('{"$report_type": "SessionStart"}\n{"a": 1}', "line 2 was not written by pytest --report-log"),
    ],
)
def test_what_cannot_be_counted_says_why(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "r").write_text(content)

    assert refusal(tmp_path / "r").startswith(reason)


@pytest.mark.parametrize("format_", ["ctrf", "pytest-json-report", "pytest-reportlog", "hyperfine", "junit"])
def test_a_format_that_is_named_is_not_guessed_at(tmp_path: Path, format_: str) -> None:
    (tmp_path / "r").write_text('{"a": {"latency": {"value": 5}}}')

    assert refusal(tmp_path / "r", format_)
    assert formats.read(str(tmp_path / "r")).times is not None


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link_outside(path: Path) -> None:
    outside = path.parent.parent / "outside.xml"
    outside.write_text("<testsuite><testcase/></testsuite>")
    path.symlink_to(outside)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "is a directory, not a regular file"),
        (a_pipe, "is a named pipe, not a regular file"),
        (a_link_outside, "is outside of the work tree"),
        (lambda path: path.symlink_to("gone"), "is a link that leads nowhere"),
        (lambda path: path.symlink_to("/dev/zero"), "is outside of the work tree"),
    ],
    ids=["directory", "pipe", "outside", "nowhere", "device"],
)
def test_what_is_no_file_of_the_tree_is_named(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    make(tree / "r.xml")

    with no_hang():
        found = collect(tree, "r.xml")

    assert (found.tests, found.problems) == (None, (f"r.xml {reason}: not counted",))


def test_a_path_that_leaves_the_tree_is_named(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "r.xml").write_text("<testsuite><testcase/></testsuite>")

    assert collect(tmp_path / "tree", "../r.xml").problems[0].endswith("is outside of the work tree: not counted")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            "".join(f'{{"$report_type": "TestReport", "nodeid": "{one}"}}\n' for one in range(4)),
            "names more than 3 tests",
        ),
        (
            "<testsuite name='pytest'>" + "".join(f"<testcase name='{one}'/>" for one in range(4)),
            "lists more than 3 tests",
        ),
    ],
    ids=["lines", "cases"],
)
def test_names_that_take_memory_have_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, reason: str
) -> None:
    monkeypatch.setattr(pytest_reports, "_MOST_AT_ONCE", 3)
    monkeypatch.setattr(junit, "MOST_COMPARED", 3)
    (tmp_path / "r").write_text(content)

    assert refusal(tmp_path / "r").startswith(reason)


# --- Several files of a stage


@pytest.mark.slow
def test_very_many_files_of_a_glob_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for number in range(150_000):
        (tmp_path / "out" / f"{number}.xml").touch()
    with no_hang():
        found = collect(tmp_path, "out/*.xml", artifacts=str(tmp_path / "artifacts"))
    assert found.problems == ("out/*.xml matches 150000 files, limit 1000: not counted",)


def test_a_file_that_two_patterns_match_counts_once(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text("<testsuite><testcase/></testsuite>")

    assert collect(tmp_path, "r.xml", "*.xml").tests == CountedTests(1, 0, 0, 0, "junit")


def test_a_link_to_a_file_that_counts_adds_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text("<testsuite><testcase/></testsuite>")
    (tmp_path / "s.xml").symlink_to("r.xml")

    assert collect(tmp_path, "*.xml").tests == CountedTests(1, 0, 0, 0, "junit")


def test_an_old_file_that_two_patterns_match_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text("<testsuite/>")
    places = ResultPlaces(str(tmp_path), str(tmp_path))
    before = results.stamps(stage("r.xml", "*.xml"), places)

    assert len(results.collect(stage("r.xml", "*.xml"), places, b"", before).problems) == 1


def test_what_other_runs_left_is_not_this_one_s(tmp_path: Path) -> None:
    (tmp_path / ".runs/x/artifacts").mkdir(parents=True)
    (tmp_path / ".runs/x/artifacts/r.xml").write_text("<testsuite><testcase/></testsuite>")

    assert collect(tmp_path, "**/*.xml") == StageResults(
        problems=("**/*.xml matches no file that was written: not counted",)
    )


def test_files_of_several_formats_are_added(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text("<testsuite><testcase/></testsuite>")
    (tmp_path / "c.json").write_text(ctrf({"name": "a", "status": "failed"}))
    (tmp_path / "b.json").write_text('{"sort": {"latency": {"value": 5000000}}}')

    found = collect(tmp_path, "r.xml", "*.json")

    assert found == StageResults(CountedTests(1, 1, 0, 0, "several", 0, ("a",)), {}, (), {"sort": 0.005})


def test_a_benchmark_of_two_files_is_neither(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('{"sort": {"latency": {"value": 5000000}}}')

    found = collect(tmp_path, "*.json")

    assert (found.benchmarks, found.problems) == ({}, ("benchmark sort: the name occurs in several files",))


def test_what_is_in_the_folder_of_artifacts_comes_first(tmp_path: Path) -> None:
    """Two runs in one work tree write the same file of the tree; each has a folder of artifacts of its own."""
    artifacts = tmp_path / ".runs/x/artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / "r.xml").write_text("<testsuite><testcase/></testsuite>")
    (tmp_path / "r.xml").write_text("<testsuite><testcase><failure/></testcase></testsuite>")

    found = collect(tmp_path, "r.xml", artifacts=str(artifacts))

    assert found == StageResults(CountedTests(1, 0, 0, 0, "junit"))


def test_what_another_stage_left_among_the_artifacts_is_not_asked_for(tmp_path: Path) -> None:
    artifacts = tmp_path / ".runs/x/artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / "r.xml").write_text("<testsuite><testcase/></testsuite>")
    places = ResultPlaces(str(tmp_path), str(tmp_path), str(artifacts))
    before = results.stamps(stage("**/*.xml"), places)
    (tmp_path / "s.xml").write_text("<testsuite><testcase/><testcase/></testsuite>")

    assert results.collect(stage("**/*.xml"), places, b"", before) == StageResults(CountedTests(2, 0, 0, 0, "junit"))


def test_files_beyond_the_limit_of_a_stage_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_TOGETHER", 50)
    for name in ("a.xml", "b.xml"):
        (tmp_path / name).write_text("<testsuite><testcase/></testsuite>")

    found = collect(tmp_path, "*.xml")

    assert (found.tests, len(found.problems)) == (CountedTests(1, 0, 0, 0, "junit"), 1)


# --- Names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        ("\ud800", "\\ud800"),
        ("x" * 300, "x" * 199 + "…"),
        ("  ", "(no name)"),
        ("test_é[ü]", "test_é[ü]"),
        ("t[" + "ghp_" + "a1B2" * 9 + "]", "t[[secret: github-token]]"),
    ],
)
def test_a_name_is_recorded_on_one_line_and_without_secrets(name: str, shown: str) -> None:
    assert shown_name(name) == shown


def test_of_many_failed_tests_the_first_are_named() -> None:
    cases = "".join(f"<testcase name='t{number}'><failure/></testcase>" for number in range(200))
    found = of_junit(f"<testsuite>{cases}</testsuite>").tests

    assert (found.failed, len(found.failing), found.failing[-1]) == (200, 50, "t49")


def test_what_the_cache_keeps_of_tests_is_what_they_were() -> None:
    found = CountedTests(1, 2, 3, 4, "ctrf", 1, ("a", "b"))

    assert restored(json.loads(json.dumps(found.stored()))) == found


# --- Runs


@pytest.fixture
def project(repo: Repo) -> Project:
    return Project(repo)


CASES = "<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>"


def test_a_run_names_the_tests_that_failed(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": f'echo "{CASES}" > r.xml; exit 1', "results": ["r.xml"]})

    ended = project.run()

    manifest = project.manifest()
    jsonschema.validate(manifest, json.loads(files.read_data("schemas", "manifest-v1.json")))
    assert manifest["commands"][0]["failed_tests"] == ["b"]
    assert "one: failed (exit 1; " in ended.out
    assert "\n  failed test: b\n" in ended.out
    assert "failed_tests" not in json.dumps(project.entries())


def test_a_stage_that_ends_well_though_a_test_failed_says_so(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": f'echo "{CASES}" > r.xml', "results": "r.xml"})

    ended = project.run()

    stage = project.manifest()["commands"][0]
    assert (ended.code, stage["status"], stage["status_detail"]) == (0, "succeeded", "exit 0, but 1 test failed")
    assert project.manifest()["summary"] == "1 succeeded; 1 test failed in stages that succeeded"
    shown = project.repo.orchgate("status", "latest").out
    assert "    exit 0, but 1 test failed; 1 passed, 1 failed\n    failed test: b\n" in shown


@pytest.mark.slow
def test_a_stage_from_the_cache_still_names_what_failed(project: Project) -> None:
    project.repo.commit("input", {"in.txt": "1\n"})
    one = {"id": "one", "shell": f'echo "{CASES}" > r.xml', "results": "r.xml", "inputs": ["in.txt"]}
    project.define("demo", one)
    project.run()
    project.run()

    stage = project.stages()["one"]

    assert (stage["cached"], stage["failed_tests"]) == (True, ["b"])
    assert (stage["tests"]["failed"], stage["tests"]["source"]) == (1, "junit")


@pytest.mark.slow
def test_a_stage_that_is_resumed_and_passes_names_no_test(project: Project) -> None:
    passed = CASES.replace("<failure/>", "")
    once = f'if [ -e again ]; then echo "{passed}" > r.xml; else touch again; echo "{CASES}" > r.xml; exit 1; fi'
    project.define("demo", {"id": "one", "shell": once, "results": "r.xml"})
    assert project.run().code == 1

    assert project.repo.orchgate("resume", "latest").code == 0

    assert "failed_tests" not in project.stages()["one"]


def test_benchmarks_of_a_stage_are_recorded_in_any_pipeline(project: Project) -> None:
    bmf = '{"sort": {"latency": {"value": 5000000}}}'
    project.define("demo", {"id": "one", "shell": f"echo '{bmf}' > $ORCHGATE_ARTIFACTS/b.json", "results": "b.json"})

    project.run()

    assert project.stages()["one"]["benchmarks"] == {"sort": 0.005}
    assert project.entries()[0]["benchmarks"] == [{"name": "sort", "value": 0.005, "stage": "one"}]


def test_an_entry_of_the_metrics_stays_small() -> None:
    tests = {"passed": 1, "failed": 1, "skipped": 0, "errors": 0, "flaky": 1}
    times = {f"b{number}": 1.0 for number in range(400)}
    one = {"id": "s", "title": "s", "kind": "command", "status": "failed", "tests": tests, "failed_tests": ["a"]}
    stages = [{"index": number, **one, "benchmarks": times} for number in (1, 2)]
    named = {
        "task_id": "t",
        "run_id": "r",
        "pipeline_id": "p",
        "status": "failed",
        "started_at": "2026-01-01T00:00:00Z",
    }
    run = from_manifest({**named, "commands": stages, "tests": tests, "benchmarks": {"b1": 2.0}})

    entry = entry_of(run)

    assert (len(entry["benchmarks"]), entry["benchmarks"][0]) == (500, {"name": "b0", "value": 1.0, "stage": "s"})
    assert "flaky" not in entry["tests"]
    assert "failed_tests" not in json.dumps(entry)


@pytest.mark.parametrize(
    ("status", "result", "key"), [("succeeded", "WARNED", "warnedTests"), ("failed", "FAILED", "failedTests")]
)
def test_what_is_signed_of_a_run_names_the_tests_that_failed(status: str, result: str, key: str) -> None:
    tests = {"passed": 1, "failed": 1, "skipped": 0, "errors": 0}
    one = {"index": 1, "id": "s", "title": "s", "kind": "command", "status": status, "tests": tests}
    run = {"task_id": "t", "run_id": "r", "pipeline_id": "p", "status": status, "started_at": "2026-01-01T00:00:00Z"}
    document = {"format": "orchgate", **run, "commands": [{**one, "failed_tests": ["a", "b"]}]}

    signed = json.loads(statement.render(".runs/t/cli/r/manifest.json", b"{}", b"", document))["predicate"]

    assert (signed["result"], signed[key]) == (result, ["s", "s: a", "s: b"])


# --- The tools themselves


def ran(*command: str | Path, cwd: Path) -> None:
    # pytest-benchmark measures nothing in a worker of pytest-xdist.
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_WORKER"}
    subprocess.run(list(map(str, command)), cwd=cwd, env=environ, check=False, capture_output=True, timeout=300)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("hyperfine"), reason="needs hyperfine")
def test_hyperfine_of_today_is_read(tmp_path: Path) -> None:
    ran("hyperfine", "-N", "--runs=2", "true", "sleep 0.01", "--export-json=b.json", cwd=tmp_path)

    assert set(collect(tmp_path, "b.json").benchmarks) == {"true", "sleep 0.01"}


CMAKE = """cmake_minimum_required(VERSION 3.10)
project(x NONE)
enable_testing()
add_test(NAME ok COMMAND true)
add_test(NAME bad COMMAND false)
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("ctest"), reason="needs cmake")
def test_ctest_of_today_is_read(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(CMAKE)
    ran("cmake", "-S", ".", "-B", "b", cwd=tmp_path)
    ran("ctest", "--test-dir", "b", "--output-junit", tmp_path / "r.xml", cwd=tmp_path)

    assert collect(tmp_path, "r.xml").tests == CountedTests(1, 1, 0, 0, "junit", 0, ("bad",))


SAMPLE = """
import pytest
tries = []
def test_ok(): pass
def test_bad(): assert 0
@pytest.mark.skip
def test_skip(): pass
@pytest.mark.xfail
def test_xfail(): assert 0
@pytest.fixture
def leaky():
    yield
    assert 0
def test_teardown(leaky): pass
def test_both(leaky): assert 0
def test_flaky():
    tries.append(1)
    assert tries[1:]
def test_subtests(subtests):
    with subtests.test(): assert 0
def test_bench(benchmark): benchmark(sum, [1, 2])
"""


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("pytest_jsonreport"), reason="needs the dependency group reports")
@pytest.mark.parametrize("more", [(), ("-n2", "-pno:benchmark", "--deselect=test_sample.py::test_bench")])
def test_what_pytest_writes_today_is_read_alike_in_each_format(tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    (tmp_path / "pytest.ini").touch()
    written = (
        "--junitxml=r.xml",
        "--json-report",
        "--json-report-file=j.json",
        "--report-log=l.jsonl",
        "--ctrf=c.json",
    )
    timed = () if more else ("--benchmark-json=b.json",)

    ran(sys.executable, "-m", "pytest", "-q", "-pno:randomly", "--reruns=1", *written, *timed, *more, cwd=tmp_path)

    passed, wanted = (2, 0) if more else (3, 1)
    for name in ("r.xml", "j.json", "l.jsonl", "c.json"):
        found = read(tmp_path / name)
        assert (name, found.passed, found.failed + found.errors, found.skipped, found.flaky) == (name, passed, 4, 2, 1)
        assert sorted(one.rpartition("::test_")[2] for one in found.failing) == ["bad", "both", "subtests", "teardown"]
    assert len(collect(tmp_path, "*.json").benchmarks) == wanted


def test_a_key_that_stands_twice_among_many_is_found_without_comparing_all_with_all() -> None:
    compared = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    names = [Name(number) for number in range(2_000)]

    assert formats.first_twice([*names, Name(1_999)]) == "1999"
    assert compared < 20_000
