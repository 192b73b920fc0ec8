"""Test counts and metrics from what stages leave behind, however it looks."""

from __future__ import annotations

import os
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.config.entries import ResultFile
from orchgate.result_files import formats, junit
from orchgate.result_files.counts import CountedTests, ResultsError
from orchgate.runner import results
from orchgate.runner.results import ResultPlaces, StageResults, parse_metrics, pytest_line
from orchgate.runs.stages import Stage
from tests.work import no_hang

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PYTEST = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="2" tests="6" time="0.1">
<testcase classname="t" name="a" time="0.001" />
<testcase classname="t" name="b"><failure message="x">E</failure></testcase>
<testcase classname="t" name="c"><skipped type="pytest.skip" message="no" /></testcase>
<testcase classname="t" name="d"><skipped type="pytest.xfail" message="" /></testcase>
<testcase classname="t" name="e"><error message="setup">E</error></testcase>
<testcase classname="t" name="f"><system-out>&lt;failure/&gt;</system-out></testcase>
</testsuite></testsuites>"""
JEST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="jest tests" tests="3" failures="1" errors="0" time="1.2">
  <testsuite name="a" errors="0" failures="1" skipped="0" tests="2">
    <testcase classname="a works" name="a works" time="0.01"></testcase>
    <testcase classname="a fails" name="a fails" time="0.01"><failure>Error: expect(1).toBe(2)</failure></testcase>
  </testsuite>
  <testsuite name="b" errors="0" failures="0" skipped="1" tests="1">
    <testcase classname="b later" name="b later"><skipped/></testcase>
  </testsuite>
</testsuites>"""
SUREFIRE = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  name="T" time="0.1" tests="4" errors="1" skipped="0" failures="1">
  <properties><property name="java.version" value="21"/></properties>
  <testcase name="ok" classname="T" time="0"/>
  <testcase name="flaky" classname="T"><flakyFailure type="E"><stackTrace>x</stackTrace></flakyFailure></testcase>
  <testcase name="bad" classname="T"><failure type="E">x</failure><rerunFailure type="E">x</rerunFailure></testcase>
  <testcase name="broken" classname="T"><error type="E">x</error></testcase>
</testsuite>"""


def parse_junit(chunks: Iterable[bytes]) -> CountedTests:
    return junit.parse(chunks).tests


def stamps(stage: Stage, folder: str) -> Mapping[str, results.Stamp]:
    return results.stamps(stage, ResultPlaces(folder))


def collect(stage: Stage, folder: str, tail: bytes, before: Mapping[str, results.Stamp]) -> StageResults:
    """What is found, without names of tests."""
    found = results.collect(stage, ResultPlaces(folder), tail, before)
    return found._replace(tests=found.tests._replace(failing=()) if found.tests else None)


def counted(text: str) -> tuple[int, int, int, int]:
    """Passed, failed, skipped, errors."""
    return parse_junit([text.encode()])[:4]


def stage(report: str = "", metrics: str = "") -> Stage:
    return Stage("t", "t", ("pytest",), results=(ResultFile(report),) if report else (), metrics=metrics)


def refusal(chunks: Iterable[bytes]) -> str:
    with pytest.raises(ResultsError) as caught:
        parse_junit(chunks)
    return caught.value.message


# --- JUnit


@pytest.mark.parametrize(
    ("report", "counts"),
    [(PYTEST, (2, 1, 2, 1)), (JEST, (1, 1, 1, 0)), (SUREFIRE, (2, 1, 0, 1))],
    ids=["pytest", "jest", "surefire"],
)
def test_reports_of_real_tools_are_counted(report: str, counts: tuple[int, int, int, int]) -> None:
    assert counted(report) == counts


def test_the_source_is_told() -> None:
    assert parse_junit([PYTEST.encode()]).source == "junit"


def test_a_case_with_failure_and_error_failed_once() -> None:
    assert counted("<testsuite><testcase><error/><failure/><failure/></testcase></testsuite>") == (0, 1, 0, 0)


def test_nested_suites_are_counted_once() -> None:
    inner = "<testsuite tests='1'><testcase/></testsuite>"

    assert counted(f"<testsuites><testsuite tests='2'>{inner}<testcase/></testsuite></testsuites>") == (2, 0, 0, 0)


def test_names_with_a_prefix_are_understood() -> None:
    assert counted("<j:testsuite xmlns:j='urn:j'><j:testcase><j:failure/></j:testcase></j:testsuite>") == (0, 1, 0, 0)


def test_a_case_that_was_not_run_is_skipped() -> None:
    assert counted("<testsuites><testsuite><testcase status='notrun'/></testsuite></testsuites>") == (0, 0, 1, 0)


def test_totals_count_where_no_case_is_listed() -> None:
    assert counted("<testsuite tests='7' failures='1' errors='2' skipped='1'/>") == (3, 1, 1, 2)


def test_totals_of_sibling_suites_are_added() -> None:
    assert counted("<testsuites><testsuite tests='2'/><testsuite tests='3' failures='1'/></testsuites>") == (4, 1, 0, 0)


def test_totals_of_an_outer_suite_contain_the_inner_ones() -> None:
    assert counted("<testsuites tests='5'><testsuite tests='2'/><testsuite tests='3'/></testsuites>") == (5, 0, 0, 0)


def test_totals_that_contradict_each_other_are_refused() -> None:
    assert "contradicts itself" in refusal([b"<testsuite tests='1' failures='2'/>"])


@pytest.mark.parametrize("number", ["-1", "1e3", "x", "9" * 5000, "\u0661"])
def test_totals_that_are_no_numbers_are_left_out(number: str) -> None:
    assert counted(f"<testsuite tests='{number}'/>") == (0, 0, 0, 0)


def test_no_tests_are_none_rather_than_nothing() -> None:
    assert counted("<testsuites/>") == (0, 0, 0, 0)


def test_another_encoding_is_read() -> None:
    text = '<?xml version="1.0" encoding="iso-8859-1"?><testsuite><testcase name="\xe9"/></testsuite>'

    assert parse_junit([text.encode("latin-1")]).passed == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not XML: no element found"),
        (PYTEST.encode()[:200], "is not XML: "),
        (b"<html><body/></html>", "is not a JUnit report: its first element is <html>"),
        (b"<coverage/>", "is not a JUnit report: its first element is <coverage>"),
        (b"12 passed", "is not XML: syntax error"),
        (b"<testsuite>\xff</testsuite>", "is not XML: not well-formed"),
        (b'<?xml version="1.0" encoding="no-such"?><testsuite/>', ""),
        (b"<testsuite><testcase></testsuite>", "is not XML: mismatched tag"),
    ],
    ids=["empty", "torn", "page", "coverage", "text", "bytes", "encoding", "tags"],
)
def test_what_is_no_report_is_refused(content: bytes, reason: str) -> None:
    assert refusal([content]).startswith(reason)


ENTITIES = "".join(f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9))
BOMB = f"<!DOCTYPE t [<!ENTITY a 'aaaaaaaaaa'>{ENTITIES}]><testsuite><testcase name='&j;'/></testsuite>"


@pytest.mark.parametrize(
    "document",
    [
        BOMB,
        "<!DOCTYPE t [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><testsuite><testcase>&x;</testcase></testsuite>",
        "<!DOCTYPE t [<!ENTITY % p SYSTEM 'file:///etc/passwd'>%p;]><testsuite/>",
    ],
    ids=["bomb", "file", "parameter"],
)
def test_entities_are_refused(document: str) -> None:
    assert "declares the XML entity" in refusal([document.encode()])


def test_a_document_type_alone_is_harmless() -> None:
    assert counted("<!DOCTYPE testsuite SYSTEM 'junit.dtd'><testsuite><testcase/></testsuite>") == (1, 0, 0, 0)


def test_open_tags_are_refused_before_they_take_memory() -> None:
    chunks = iter([b"<testsuite>", *([b"<a>" * 10_000] * 60)])

    assert refusal(chunks) == "has elements within each other, more than 10000 deep"
    assert len(list(chunks)) > 50  # were never asked for


def test_a_tag_without_end_is_refused_before_it_costs_anything() -> None:
    chunks = iter([b"<testsuite name='", *([b"x" * (1 << 20)] * 60)])

    assert "a tag or a comment of more than" in refusal(chunks)
    assert len(list(chunks)) > 40  # were never asked for


@pytest.mark.slow
def test_a_large_report_costs_no_memory(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_bytes(
        b"<testsuite>"
        + b"<testcase name='a'><system-out>xxxxxxxxxxxxxxx</system-out></testcase>" * 100_000
        + b"</testsuite>"
    )
    tracemalloc.start()
    found = collect(stage("report.xml"), str(tmp_path), b"", {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (found.tests, peak < 6 << 20) == (CountedTests(100_000, 0, 0, 0, "junit"), True)


@pytest.mark.slow
@given(st.text(alphabet="<>/ testcaseuilrfkpd='0&;![]", max_size=60))
def test_any_text_is_counted_or_refused(text: str) -> None:
    try:
        parse_junit([text.encode()])
    except ResultsError:
        return


# --- pytest's closing line


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("12 passed, 1 failed, 2 skipped in 3.2s", (12, 1, 2, 0)),
        ("===== 1 failed, 12 passed, 2 skipped in 3.21s =====", (12, 1, 2, 0)),
        ("12 passed in 65.03s (0:01:05)", (12, 0, 0, 0)),
        ("3 passed, 2 xfailed, 1 xpassed, 4 deselected, 7 warnings, 1 error in 0.10s", (4, 0, 2, 1)),
        ("2 errors in 0.10s", (0, 0, 0, 2)),
        ("1 failed, 2 rerun in 1s", (0, 1, 0, 0)),
        ("1 failed, 2 passed, 3 subtests passed in 1.00s", (2, 1, 0, 0)),
        ("no tests ran in 0.01s", (0, 0, 0, 0)),
        ("===== no tests ran in 0.01s =====", (0, 0, 0, 0)),
        ("no tests ran, 1 warning in 0.01s", (0, 0, 0, 0)),
        ("\x1b[32m\x1b[1m12 passed\x1b[0m\x1b[32m in 0.51s\x1b[0m", (12, 0, 0, 0)),
        (
            "\x1b[31m=== \x1b[1m1 failed\x1b[0m, \x1b[32m2 passed\x1b[0m\x1b[31m in 1s\x1b[0m\x1b[31m ===\x1b[0m",
            (2, 1, 0, 0),
        ),
        ("12 passed in 3.2s\r", (12, 0, 0, 0)),
    ],
)
def test_the_closing_line_is_understood(line: str, counts: tuple[int, int, int, int]) -> None:
    assert pytest_line(f"....\n{line}\nDone.\n".encode()) == CountedTests(*counts, source="pytest")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "12 passed",
        "3 files in 2s",
        "3 files, 12 passed in 2s",
        "built in 2s",
        "he passed in 2s",
        "12 passed in a hurry",
        "2 warnings in 1.0s",
        "total 12 passed in 2s",
        "12 passed in 2s and more",
    ],
)
def test_other_lines_are_not_taken_for_it(line: str) -> None:
    assert pytest_line(line.encode()) is None


def test_the_last_of_several_closing_lines_counts() -> None:
    assert pytest_line(b"1 passed in 1s\n2 passed in 1s\n3 passed i") == CountedTests(2, 0, 0, 0, "pytest")


def test_binary_output_is_no_closing_line() -> None:
    assert pytest_line(bytes(range(256)) * 100) is None


@pytest.mark.parametrize("unit", [b"=", b"1 passed, ", b" in ", b"9", b"\x1b[", b"1 a in \n", b"(0:"])
def test_a_megabyte_of_almost_closing_lines_does_not_keep_us_busy(unit: bytes) -> None:
    with no_hang():
        pytest_line(unit * (1_000_000 // len(unit)))


# --- metrics


def test_numbers_are_metrics() -> None:
    assert parse_metrics(b'{"a": 1, "b c": 2.5, "d/e": -3}') == ({"a": 1, "b c": 2.5, "d/e": -3}, [])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("NaN", "expected a finite number"),
        ("Infinity", "expected a finite number"),
        ("-Infinity", "expected a finite number"),
        ("1e999", "expected a finite number"),
        ("1" + "0" * 400, "expected a finite number"),
        ("true", "expected a finite number, got true or false"),
        ("null", "expected a finite number, got null"),
        ('"1"', "expected a finite number, got a string"),
        ("[1]", "expected a finite number, got a list"),
        ("{}", "expected a finite number, got an object"),
    ],
)
def test_what_is_no_number_is_named_and_the_rest_kept(value: str, reason: str) -> None:
    assert parse_metrics(f'{{"good": 1, "bad": {value}}}'.encode()) == ({"good": 1}, [f"bad: {reason}"])


@pytest.mark.parametrize("name", ["", " ", "a\\nb", "a\\u001b", "\\ud800", "x" * 101])
def test_a_metric_has_a_printable_name(name: str) -> None:
    found, refused = parse_metrics(f'{{"{name}": 1}}'.encode())

    assert (found, len(refused)) == ({}, 1)


def test_a_whole_number_that_readers_would_round_is_a_fraction() -> None:
    assert isinstance(parse_metrics(b'{"a": 9007199254740993}')[0]["a"], float)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[1]", "is not one JSON object"),
        (b"5", "is not one JSON object"),
        (b"[" * 50_000, "is not JSON"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "is not JSON"),
        (b'{"a": 1, "a": 2}', "names 'a' twice"),
        (b"{" + b",".join(b'"%d": 1' % n for n in range(101)) + b"}", "has 101 metrics, limit 100"),
    ],
    ids=["empty", "torn", "bytes", "list", "number", "deep", "digits", "twice", "many"],
)
def test_a_file_that_is_no_table_of_numbers_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ResultsError) as caught:
        parse_metrics(content)

    assert caught.value.message.startswith(reason)


# --- what a stage left behind


def test_a_report_wins_over_the_log(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(PYTEST)

    assert collect(stage("r.xml"), str(tmp_path), b"9 passed in 1s", {}).tests == CountedTests(2, 1, 2, 1, "junit")


def test_without_a_report_the_log_is_read(tmp_path: Path) -> None:
    assert collect(stage(), str(tmp_path), b"9 passed in 1s", {}) == StageResults(CountedTests(9, 0, 0, 0, "pytest"))


def test_a_stage_that_tests_nothing_has_no_counts(tmp_path: Path) -> None:
    assert collect(stage(), str(tmp_path), b"built\n", {}) == StageResults()


def test_a_report_that_was_not_written_is_said(tmp_path: Path) -> None:
    assert collect(stage("r.xml"), str(tmp_path), b"", {}).problems == ("r.xml was not written: not counted",)


def test_a_report_from_before_the_stage_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(PYTEST)
    before = stamps(stage("r.xml"), str(tmp_path))

    assert collect(stage("r.xml"), str(tmp_path), b"", before) == StageResults(
        None, {}, ("r.xml is older than this stage's start: not counted",)
    )


def test_a_report_written_again_is_counted(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(PYTEST)
    before = stamps(stage("r.xml"), str(tmp_path))
    (tmp_path / "r.xml").write_text(JEST)

    assert collect(stage("r.xml"), str(tmp_path), b"", before).tests == CountedTests(1, 1, 1, 0, "junit")


def test_a_report_that_keeps_an_old_time_is_counted_when_it_is_new(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(PYTEST)
    os.utime(tmp_path / "r.xml", (1, 1))

    assert collect(stage("r.xml"), str(tmp_path), b"", {}).tests is not None


def test_old_metrics_are_not_counted(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"a": 1}')
    before = stamps(stage(metrics="m.json"), str(tmp_path))

    assert collect(stage(metrics="m.json"), str(tmp_path), b"", before) == StageResults(
        None, {}, ("m.json is older than this stage's start: not counted",)
    )


def test_metrics_of_a_stage_are_read(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"a": 1, "b": "x"}')

    assert collect(stage(metrics="m.json"), str(tmp_path), b"", {}) == StageResults(
        None, {"a": 1}, ("m.json: b: expected a finite number, got a string",)
    )


def test_reports_named_by_a_glob_are_added(tmp_path: Path) -> None:
    (tmp_path / "target/reports").mkdir(parents=True)
    (tmp_path / "target/reports/TEST-a.xml").write_text(JEST)
    (tmp_path / "target/reports/TEST-b.xml").write_text(PYTEST)
    (tmp_path / "target/reports/summary.xml").write_text("<x/>")

    assert collect(stage("target/reports/TEST-*.xml"), str(tmp_path), b"", {}).tests == CountedTests(
        3, 2, 3, 1, "junit"
    )


def test_one_torn_report_among_others_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(JEST)
    (tmp_path / "b.xml").write_text(JEST[:300])

    found = collect(stage("*.xml"), str(tmp_path), b"", {})

    assert (found.tests, len(found.problems)) == (CountedTests(1, 1, 1, 0, "junit"), 1)


def test_a_glob_without_a_file_is_said(tmp_path: Path) -> None:
    assert collect(stage("no/*.xml"), str(tmp_path), b"", {}).problems == (
        "no/*.xml matches no file that was written: not counted",
    )


def test_many_old_reports_are_told_in_few_words(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}.xml").write_text(JEST)
    before = stamps(stage("*.xml"), str(tmp_path))

    assert collect(stage("*.xml"), str(tmp_path), b"", before).problems[-1] == "and 45 more of this kind"


def test_more_reports_than_anybody_writes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_REPORTS", 2)
    for number in range(3):
        (tmp_path / f"{number}.xml").write_text(JEST)

    assert collect(stage("*.xml"), str(tmp_path), b"", {}).problems == ("*.xml matches 3 files, limit 2: not counted",)


def test_a_report_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_BYTES", 64)
    monkeypatch.setattr(formats, "_CHUNK", 32)
    (tmp_path / "r.xml").write_text(JEST)

    assert collect(stage("r.xml"), str(tmp_path), b"", {}).problems == ("r.xml is larger than 64 bytes: not counted",)


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "dangling"])
def test_what_is_no_file_is_said_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    for name in ("r.xml", "m.json"):
        match kind:
            case "folder":
                (tmp_path / name).mkdir()
            case "pipe":
                os.mkfifo(tmp_path / name)
            case "loop":
                (tmp_path / name).symlink_to(name)
            case _:
                (tmp_path / name).symlink_to("nowhere")

    found = collect(stage("r.xml", "m.json"), str(tmp_path), b"", {})

    assert (found.tests, found.metrics, len(found.problems)) == (None, {}, 2)


def test_a_folder_of_the_stage_that_is_gone_is_survived(tmp_path: Path) -> None:
    assert len(collect(stage("*.xml", "m.json"), str(tmp_path / "gone"), b"", {}).problems) == 2


def test_the_parser_looks_at_a_long_line_only_once() -> None:
    assert pytest_line(b"x" * results.LONGEST_LINE + b" 1 passed in 1s") is None
