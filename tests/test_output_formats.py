"""What each format writes for each way to end, held against its public description; and that nothing gets out of it."""

from __future__ import annotations

import functools
import html as html_module
import io
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from orchgate import __version__, registry
from orchgate.gate import suppressions
from orchgate.model import Change, Location, Report, Scope, Severity, Step, Trouble, Verdict
from orchgate.outputs import _report, github, markdown, sarif
from tests import report_samples
from tests.report_samples import RANGE, SAMPLES, found, result

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parent / "data"
FORMATS = {"github": "txt", "gitlab": "json", "junit": "xml", "markdown": "md", "sarif": "json"}
SARIF = jsonschema.Draft4Validator(json.loads((DATA / "public" / "sarif-2.1.0.json").read_text()))


@functools.cache
def junit() -> Any:
    import xmlschema

    return xmlschema.XMLSchema(str(DATA / "public" / "junit-10.xsd"))


def written(name: str, report: Report) -> str:
    stream = io.StringIO()
    registry.load("outputs", name).render(report, stream)
    return stream.getvalue()


def logged(report: Report) -> dict[str, Any]:
    """The one run of a SARIF log, which is valid."""
    log = json.loads(written("sarif", report))
    SARIF.validate(log)
    run: dict[str, Any] = log["runs"][0]
    return run


# All of it, for every way to end


def test_no_format_is_left_out() -> None:
    """Text and JSON have files of tests of their own."""
    assert {*FORMATS, "text", "json"} == set(registry.plugins("outputs"))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_format_says_what_it_said(sample: str, format_: str) -> None:
    """`ORCHGATE_UPDATE_OUTPUTS=1` writes what is said now; read it before you keep it."""
    golden = DATA / "outputs" / f"{sample}.{format_}.{FORMATS[format_]}"
    now = re.sub(r'(ersion": ")' + re.escape(__version__), r"\1VERSION", written(format_, SAMPLES[sample]()))
    if format_ == "sarif":  # what rules say of themselves is theirs
        log = json.loads(now)
        driver = log["runs"][0]["tool"]["driver"]
        driver["rules"] = [one["id"] for one in driver["rules"]]
        now = json.dumps(log, indent=1) + "\n"
    if os.environ.get("ORCHGATE_UPDATE_OUTPUTS"):
        golden.write_text(now)

    assert now == golden.read_text()


# Hostile texts

HOSTILE = (
    "</script><img src=x onerror=alert(1)> & \"quoted\" 'x'",
    "a\nb\r\n::error::forged\n##[add-mask]x",
    "::stop-commands::t",
    "##vso[task.setvariable variable=x]y",
    "%0A::error::x,y:z",
    "\x1b[2J\x1b]0;title\x07",
    "\u202eexe.md\u2066\u200b",
    os.fsdecode(b"caf\xe9.md"),
    "\ud83d and \udc00",
    "]]> <![CDATA[ \x00\x0b\ufffe\uffff \U0001f600",
    "@everyone #1 !2 $3 %4 &5 ~label :smile: GH-12 www.example.com https://example.com owner/repo#7",
    "| a | b | `x` ``y`` *z* __b__ ~~s~~ [l](http://x) ![i](u) <!-- c --> $m$ \\",
    "[link](https://evil.example) {0} {{1}}",
    "- [ ] x\n# heading\n```\n",
    "x" * 70_000,
)


def hostile(text: str) -> Report:
    step = Step("reproduce", text)
    weights = [
        found(place=Location(text, 1, 2), message=text, hint=text, steps=(step,), weight=one) for one in Severity
    ]
    hidden = found(place=Location(text), message=text, suppressed=text)
    trouble = Trouble(Location(text, 3), text, text, (step,))
    check = result("evidence", Verdict.FAIL, *weights, hidden, troubles=(trouble,), uncompared=(trouble,))
    change = Change("A", text, None, "000000", "100644", "0" * 40, "c" * 40, 1, 0)
    scope = Scope("range", "1" * 40, "2" * 40, (change,), origin=text)
    about = report_samples.ABOUT._replace(anchor=text, branch=text)
    off = result("specs", Verdict.PASS, facts={"off": text})
    return Report(scope, (check, off), about)


@pytest.mark.parametrize("text", HOSTILE)
def test_sarif_and_gitlab_are_json_in_ascii_whatever_a_file_is_called(text: str) -> None:
    for format_ in ("sarif", "gitlab"):
        out = written(format_, hostile(text))
        assert out.isascii()
        assert json.dumps(json.loads(out), ensure_ascii=False).encode()  # no half of a character
        assert not any(map(obeyed, out.split("\n")))
    logged(hostile(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_junit_is_xml_whatever_a_file_is_called(text: str) -> None:
    out = written("junit", hostile(text))

    junit().validate(out)
    assert not any(map(obeyed, out.split("\n")))


def obeyed(line: str) -> bool:
    """Whether the runner of GitHub Actions or Azure takes a line of a log for a command."""
    return line.lstrip().startswith("::") or re.search(r"##\w*\[", line) is not None


@pytest.mark.parametrize("format_", ["text", "markdown", "json"])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_line_of_a_log_is_a_command(format_: str, text: str) -> None:
    assert [line for line in written(format_, hostile(text)).split("\n") if obeyed(line)] == []


@pytest.mark.parametrize("text", HOSTILE)
def test_an_annotation_is_one_command_that_says_what_was_meant(text: str) -> None:
    lines = written("github", hostile(text)).splitlines()

    assert (lines[0], lines[-1]) == ("::group::4 annotations", "::endgroup::")
    kinds = [re.fullmatch(r"::(error|warning|notice) ([^:]*)::(?!.*[\x00-\x1f]).*", line) for line in lines[1:-1]]
    assert [one and one[1] for one in kinds] == ["error", "error", "warning", "notice"]
    names = [[pair.split("=", 1)[0] for pair in one[2].split(",")] for one in kinds if one]
    assert names == [
        ["file", "line", "col", "title"],
        ["file", "line", "title"],
        *[["file", "line", "col", "title"]] * 2,
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_a_text_as_text(text: str) -> None:
    from markdown_it import MarkdownIt

    out = written("markdown", hostile(text))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(out)
    inner = [token for block in tokens for token in (block.children or [])]
    html = [token.content for token in inner if token.type == "html_inline"]
    blocks = [token.content for token in tokens if token.type == "html_block"]

    assert len(out.encode()) <= markdown.MOST
    assert {token.type for token in inner} <= {
        *("text", "text_special", "html_inline", "softbreak", "strong_open", "strong_close", "code_inline")
    }
    assert set(html) <= {"<code>", "</code>", "<br>"}
    assert all(re.match(r"<!-- orchgate: check -->|<details><summary>|</details>", one) for one in blocks)
    words = html_module.unescape(re.sub(r"<code>.*?</code>", "", out))
    assert not re.search(r"@\w|#\d|!\d|\$\d|%\d|~\w|:\w+:|GH-\d|www\.|://", words)


# GitHub


def test_a_kind_has_ten_annotations_and_the_last_counts_the_rest() -> None:
    errors = [found(place=Location(f"docs/{number:02}.md", 1)) for number in range(23)]
    warnings = [found(place=Location("docs/w.md", 1), weight=Severity.WARNING) for _ in range(10)]
    lines = list(github.lines(Report(RANGE, (result("evidence", Verdict.FAIL, *warnings, *errors),))))

    assert lines[0] == "::group::20 annotations"
    assert [line[:7] for line in lines[1:-1]] == ["::error"] * 10 + ["::warni"] * 10
    assert lines[10].endswith("%0A(and 13 more errors without an annotation: GitHub shows 10 of a step)")
    assert [line for line in lines if "more" in line] == [lines[10]]


def test_what_could_not_be_checked_comes_after_what_refuses() -> None:
    check = result("evidence", Verdict.FAIL, found(), troubles=(Trouble(Location("a.json"), "is not JSON"),))
    lines = list(github.lines(Report(RANGE, (check,))))

    assert lines[2] == "::error file=a.json,title=could not check evidence::is not JSON"


def test_nothing_to_say_is_no_annotation() -> None:
    older = found(older=True)
    hidden = found(suppressed="known")

    assert list(github.lines(Report(RANGE, (result("evidence", Verdict.PASS, older, hidden),)))) == []


@functools.cache
def many(number: int) -> Report:
    errors = [
        found(place=Location(f"docs/{at}.md", at + 1), message=f"out/{at}.txt is missing") for at in range(number)
    ]
    return Report(RANGE, (result("evidence", Verdict.FAIL, *errors),), report_samples.ABOUT)


@pytest.mark.slow
@pytest.mark.parametrize("room", [500, markdown.MOST, 100_000])
def test_a_page_keeps_within_its_room_and_says_what_is_left_out(room: int) -> None:
    page = markdown.document(many(2_000), room)
    left = re.search(r"([\d,]+) more entries are not shown", page)

    assert len(page.encode()) <= max(room, 1_000)
    assert left
    assert page.count("<code>docs/") + int(left[1].replace(",", "")) == 2_000
    assert page.count("<details>") == page.count("</details>")


def test_a_summary_that_has_no_room_at_all_is_left_out() -> None:
    assert not github.summary(many(3), 100)


# SARIF


def test_a_result_is_the_same_one_when_its_lines_move() -> None:
    before, after = (
        [found(place=Location("a.md", line, 1)), found(place=Location("a.md", line + 7, 1)), found("DOC002")]
        for line in (3, 30)
    )

    assert _report.identities(before) == _report.identities(after)
    assert len(set(_report.identities(before))) == 3


def test_a_finding_about_the_whole_change_is_the_same_whatever_was_measured() -> None:
    areas = [
        [found("DIF001", Location(""), f'area "{name}": {files} files (limit 25)') for name in ("code", "tests")]
        for files in (30, 40)
    ]

    assert _report.identities(areas[0]) == _report.identities(areas[1])
    assert _report.identities(areas[0][1:]) == _report.identities(areas[1])[1:]


def test_a_whole_file_has_a_hash_for_github_and_a_line_is_hashed_by_github() -> None:
    run = logged(Report(RANGE, (result("evidence", Verdict.FAIL, found(), found(place=Location("a.md"))),)))

    keys = [sorted(one["partialFingerprints"]) for one in run["results"]]
    assert keys == [["orchgate/v1"], ["orchgate/v1", "primaryLocationLineHash"]]


def test_a_name_that_is_no_text_is_a_uri_of_its_bytes() -> None:
    place = Location(os.fsdecode(b"caf\xe9 a:b#1.md"), 1)
    run = logged(Report(RANGE, (result("evidence", Verdict.FAIL, found(place=place)),)))

    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "caf%E9%20a%3Ab%231.md"


def test_github_gets_no_more_results_than_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST", 5)
    run = logged(many(8))

    assert len(run["results"]) == 5
    assert run["invocations"][0]["executionSuccessful"]
    assert [one["message"]["text"][:34] for one in run["invocations"][0]["toolExecutionNotifications"]] == [
        "3 more findings are not listed: Gi"
    ]


def test_every_rule_has_its_help_and_few_tags() -> None:
    checks = tuple(result(name, Verdict.PASS) for name in (*registry.check_ids(), "suppressions"))
    rules = logged(Report(RANGE, checks))["tool"]["driver"]["rules"]

    assert [one["id"] for one in rules] == sorted(suppressions.every_rule())
    assert all(
        one["help"]["text"] and one["help"]["markdown"] and len(one["properties"]["tags"]) <= 20 for one in rules
    )
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]+", one["name"]) for one in rules)


def test_the_help_of_a_rule_is_where_its_address_says() -> None:
    page = Path(__file__).parent.parent / _report.RULES.removeprefix(f"{_report.HOME}/blob/main/")
    headings = re.findall(r"^### ([A-Z]{3}\d{3})$", page.read_text(), re.MULTILINE)

    assert set(headings) == set(suppressions.every_rule())


# GitLab and JUnit


@pytest.mark.parametrize("sample", SAMPLES)
def test_gitlab_gets_what_its_documentation_asks_for(sample: str) -> None:
    entries = json.loads(written("gitlab", SAMPLES[sample]()))

    prints = [one["fingerprint"] for one in entries]
    assert len(prints) == len(set(prints))
    for one in entries:
        assert set(one) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert one["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert one["location"]["path"]
        assert one["location"]["lines"]["begin"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES)
def test_junit_is_what_jenkins_reads_and_never_empty(sample: str) -> None:
    out = written("junit", SAMPLES[sample]())
    junit().validate(out)
    cases = list(ET.fromstring(out).iter("testcase"))

    names = [(one.get("classname"), one.get("name")) for one in cases]
    assert cases
    assert len(names) == len(set(names))


ENDS: dict[str, Callable[[Report], bool]] = {
    "junit": lambda report: "<failure" not in (out := written("junit", report)) and "<error" not in out,
    "sarif": lambda report: (
        logged(report)["invocations"][0]["executionSuccessful"]
        and not [one for one in logged(report)["results"] if one["level"] == "error" and "suppressions" not in one]
    ),
    "gitlab": lambda report: '"blocker"' not in (out := written("gitlab", report)) and '"critical"' not in out,
    "github": lambda report: "::error " not in written("github", report),
}


@pytest.mark.parametrize("format_", ENDS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_format_is_clean_exactly_where_the_change_lands(sample: str, format_: str) -> None:
    report = SAMPLES[sample]()

    assert ENDS[format_](report) == (report.about.exit_code == 0)
