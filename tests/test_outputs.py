"""What a run prints: text for people, JSON for programs, and nothing that a file name could forge."""

from __future__ import annotations

import io
import json
import os
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.cli import main
from orchgate.model import (
    Change,
    CheckResult,
    Diagnostic,
    Finding,
    Location,
    Report,
    Scope,
    Severity,
    Step,
    Trouble,
    Verdict,
)
from orchgate.outputs import json as json_output
from orchgate.outputs import text
from orchgate.outputs._escape import escape
from tests.published import closed

if TYPE_CHECKING:
    from tests.repo import Repo

VALIDATOR = jsonschema.Draft202012Validator(closed("report"))
BASE = "1c7363cc6b0f4c43a1ae6b7e4c4d3e2f1a0b9c8d"


def diagnostic(
    location: Location,
    message: str = "is missing",
    *,
    hint: str = "",
    weight: str = "error",
    suppressed: str | None = None,
) -> Diagnostic:
    return Diagnostic("evidence", Severity(weight), Finding("EVD001", location, message, hint), suppressed)


def result(*diagnostics: Diagnostic, verdict: Verdict = Verdict.PASS, **fields: Any) -> CheckResult:
    values: dict[str, Any] = {"examined": {"links": 41}, "facts": {}, "troubles": (), "seconds": 0.0125, **fields}
    return CheckResult("evidence", verdict, diagnostics, **values)


STAGED = Scope("staged", BASE, None, origin="HEAD")


def report(*checks: CheckResult, scope: Scope = STAGED) -> Report:
    return Report(scope, checks)


def shown(made: Report) -> list[str]:
    return list(text.lines(made))


def rendered(made: Report) -> dict[str, Any]:
    stream = io.StringIO()
    json_output.render(made, stream)
    parsed: dict[str, Any] = json.loads(stream.getvalue())
    return parsed


# Text


def test_a_finding_is_one_line_with_its_hint_below() -> None:
    found = diagnostic(Location("docs/PRD-x.md", 12, 5), hint="did you mean b.md?")

    assert shown(report(result(found, verdict=Verdict.FAIL))) == [
        "docs/PRD-x.md:12:5: EVD001 is missing",
        "  hint: did you mean b.md?",
        "orchgate: refused · 1 error · 41 links · base 1c7363c",
        "  why: orchgate explain EVD001",
    ]


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (Location("a.md"), "a.md:1:1: EVD001 is missing"),
        (Location("a.md", 7), "a.md:7:1: EVD001 is missing"),
        (Location(""), "EVD001 is missing"),
        (Location("a.md:100:5", 3, 1), "a.md:100:5:3:1: EVD001 is missing"),
        (Location("a[/b].md", 3, 1), "a[/b].md:3:1: EVD001 is missing"),
        (Location("[bold red]:smile:.md", 3, 1), "[bold red]:smile:.md:3:1: EVD001 is missing"),
        (Location("-rf.md", 3, 1), "-rf.md:3:1: EVD001 is missing"),
        (Location("über/naïve 文.md", 3, 1), "über/naïve 文.md:3:1: EVD001 is missing"),
        (Location("a\nb.md: EVD009 forged", 3, 1), "a\\nb.md: EVD009 forged:3:1: EVD001 is missing"),
        (Location("a\x1b[2Jb.md", 3, 1), "a\\x1b[2Jb.md:3:1: EVD001 is missing"),
        (Location(os.fsdecode(b"caf\xe9.md"), 3, 1), "caf\\xe9.md:3:1: EVD001 is missing"),
    ],
)
def test_a_place_is_printed_as_it_is_and_harmless(location: Location, line: str) -> None:
    assert shown(report(result(diagnostic(location))))[0] == line


@pytest.mark.parametrize(("weight", "mark"), [("error", ""), ("warning", "(warning) "), ("note", "(note) ")])
def test_only_what_does_not_refuse_says_its_weight(weight: str, mark: str) -> None:
    assert shown(report(result(diagnostic(Location("a.md"), weight=weight))))[0] == f"a.md:1:1: EVD001 {mark}is missing"


def test_errors_stand_last_where_nobody_has_to_scroll_for_them() -> None:
    found = [diagnostic(Location(f"{weight}.md"), weight=weight) for weight in ("error", "note", "warning", "error")]

    lines = shown(report(result(*found)))

    assert [line.split(".")[0] for line in lines[:-1]] == ["note", "warning", "error", "error"]


def test_message_and_hint_stay_on_their_line() -> None:
    found = diagnostic(Location("a.md"), "x\ny", hint="\x1b]0;title\x07\u202e")

    assert shown(report(result(found)))[:2] == ["a.md:1:1: EVD001 x\\ny", "  hint: \\x1b]0;title\\x07\\u202e"]


def test_a_suppressed_finding_is_only_counted() -> None:
    assert shown(report(result(diagnostic(Location("a.md"), suppressed="old")))) == [
        "orchgate: passed · 1 suppressed · 41 links · base 1c7363c"
    ]


def test_a_trouble_names_check_place_and_hint() -> None:
    trouble = Trouble(Location("big.json"), "is larger than 5 bytes", "raise manifests.max-bytes")

    assert shown(report(result(verdict=Verdict.BROKEN, troubles=(trouble,)))) == [
        "big.json:1:1: could not check evidence: is larger than 5 bytes",
        "  hint: raise manifests.max-bytes",
        "orchgate: could not check · 41 links · base 1c7363c",
    ]


@pytest.mark.parametrize(
    ("examined", "words"),
    [
        ({"links": 2, "manifests": 0, "specs": 0}, "2 links"),
        ({"links": 41_000}, "41,000 links"),
        ({"links": 1, "manifests": 2}, "1 link, 2 manifests"),
    ],
)
def test_what_was_examined_is_said_and_zeros_are_left_out(examined: dict[str, int], words: str) -> None:
    assert shown(report(result(examined=examined))) == [f"orchgate: passed · {words} · base 1c7363c"]


CHANGE = Change("M", "a", None, "100644", "100644", "1" * 40, "2" * 40, 1, 1)


@pytest.mark.parametrize("examined", [{}, {"links": 0}])
@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (STAGED, "no staged changes (base 1c7363c); `git add` what you want checked"),
        (STAGED._replace(base=None), "no staged changes (no base: HEAD); `git add` what you want checked"),
        (STAGED._replace(changes=(CHANGE,)), "nothing to check in 1 changed file (base 1c7363c)"),
        (STAGED._replace(changes=(CHANGE, CHANGE)), "nothing to check in 2 changed files (base 1c7363c)"),
        (Scope("range", BASE, BASE, origin="\x1bmain"), "no changes since \\x1bmain (base 1c7363c)"),
        (Scope("range", BASE, BASE, settled="nothing new: x\ny"), "nothing new: x\\ny (base 1c7363c)"),
        (Scope("tree", None, None), "nothing to check (no base)"),
    ],
)
def test_a_pass_that_looked_at_nothing_says_how_that_is_known(
    examined: dict[str, int], scope: Scope, words: str
) -> None:
    assert shown(report(result(examined=examined), scope=scope)) == [f"orchgate: passed: {words}"]


def test_what_was_not_looked_at_and_is_refused_all_the_same_is_not_called_nothing() -> None:
    found = diagnostic(Location("a.md"))

    lines = shown(report(result(found, verdict=Verdict.FAIL, examined={})))

    assert lines[-2] == "orchgate: refused · 1 error · base 1c7363c"


def empty(title: str, line: int, path: str = "a.md", weight: str = "warning") -> Diagnostic:
    listed = ("empty sections", title)
    finding = Finding("DOC003", Location(path, line, 1), f"section {title!r} is empty", "to be written", listed=listed)
    return Diagnostic("documents", Severity(weight), finding)


def test_what_can_be_listed_is_one_line_a_document() -> None:
    found = [empty("Goals", 3), empty("Risks", 9), empty("Goals", 5, "b.md")]

    assert shown(report(result(*found, verdict=Verdict.WARN)))[:-1] == [
        "a.md:3:1: DOC003 (warning) empty sections: Goals, Risks",
        "  hint: to be written",
        "b.md:5:1: DOC003 (warning) section 'Goals' is empty",
        "  hint: to be written",
    ]


def test_what_is_listed_in_one_line_is_counted_one_by_one() -> None:
    found = [empty(f"S{at}", at) for at in range(1, 16)]

    first, _, last = shown(report(result(*found, verdict=Verdict.WARN)))

    assert first.endswith("empty sections: S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12 and 3 more")
    assert last.startswith("orchgate: passed with warnings · 15 warnings · ")


def test_what_weighs_differently_is_not_listed_together() -> None:
    lines = shown(report(result(empty("Goals", 3), empty("Risks", 9, weight="error"), verdict=Verdict.FAIL)))

    assert [line for line in lines if "empty sections" in line] == []


def test_a_hint_for_one_of_those_listed_is_no_hint_for_all() -> None:
    second = empty("Risks", 9)
    found = [empty("Goals", 3), second._replace(finding=second.finding._replace(hint="another"))]

    assert len(shown(report(result(*found, verdict=Verdict.WARN)))) == 2


def test_a_cause_is_said_once_with_every_check_that_it_kept_from_judging() -> None:
    trouble = Trouble(Location(""), "no base to compare with", "git fetch origin")
    checks = [result(verdict=Verdict.BROKEN, troubles=(trouble,))._replace(id=name) for name in ("a", "b", "c")]

    assert shown(report(*checks))[:2] == [
        "could not check a, b, c: no base to compare with",
        "  hint: git fetch origin",
    ]


def test_what_several_checks_count_is_said_once() -> None:
    checks = result(examined={"documents": 3}), result(examined={"documents": 12, "links": 4})

    assert shown(report(*checks)) == ["orchgate: passed · 12 documents, 4 links · base 1c7363c"]


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (Scope("staged", None, None, origin="first commit"), "no base: first commit"),
        (Scope("tree", None, None), "no base"),
        (Scope("range", BASE, BASE, origin="merge base with \x1bmain"), "base 1c7363c"),
        (Scope("range", None, BASE, origin="x\ny"), "no base: x\\ny"),
    ],
)
def test_the_base_is_said(scope: Scope, words: str) -> None:
    assert shown(report(result(), scope=scope)) == [f"orchgate: passed · 41 links · {words}"]


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        (Verdict.PASS, "passed"),
        (Verdict.WARN, "passed with warnings"),
        (Verdict.INCONCLUSIVE, "inconclusive"),
        (Verdict.BROKEN, "could not check"),
        (Verdict.FAIL, "refused"),
    ],
)
def test_every_verdict_has_its_word(verdict: Verdict, word: str) -> None:
    assert shown(report(result(verdict=verdict))) == [f"orchgate: {word} · 41 links · base 1c7363c"]


def test_a_refusal_ends_with_the_rule_that_refuses_most_and_a_pass_with_none() -> None:
    found = [*(empty(f"S{at}", at, weight="error") for at in range(3)), diagnostic(Location("a.md"))]

    assert shown(report(result(*found, verdict=Verdict.FAIL)))[-1] == "  why: orchgate explain DOC003"
    assert "explain" not in shown(report(result(empty("Goals", 1), verdict=Verdict.WARN)))[-1]


def test_what_is_off_is_said_with_the_reason() -> None:
    off = result(examined={}, facts={"off": "no pipeline"})._replace(id="performance")

    assert shown(report(result(), off)) == [
        "orchgate: passed · 41 links · off: performance (no pipeline) · base 1c7363c"
    ]
    [line] = shown(report(off))
    assert line.endswith("; `git add` what you want checked · off: performance (no pipeline)")


def test_a_headline_takes_the_place_of_what_was_examined() -> None:
    size = result(examined={"changed files": 2}, headline="2 files, 43 of 800 lines")._replace(id="diff-budget")

    assert shown(report(size, result())) == ["orchgate: passed · 2 files, 43 of 800 lines · 41 links · base 1c7363c"]


def test_findings_of_a_document_stand_together_and_documents_with_errors_last() -> None:
    found = [
        diagnostic(Location("b.md", 9)),
        diagnostic(Location("a.md", 1), weight="warning"),
        diagnostic(Location("b.md", 2), weight="note"),
        diagnostic(Location(""), weight="warning"),
    ]

    lines = shown(report(result(*found, verdict=Verdict.FAIL)))

    assert [line.split(" EVD")[0] for line in lines[:-2]] == [
        "EVD001 (warning) is missing",
        "a.md:1:1:",
        "b.md:2:1:",
        "b.md:9:1:",
    ]


def test_quiet_prints_what_refuses_and_nothing_of_a_pass() -> None:
    found = [diagnostic(Location("a.md"), weight="warning"), diagnostic(Location("b.md"))]
    quiet = text.View(quiet=True)

    assert list(text.lines(report(result(found[0], verdict=Verdict.WARN)), quiet)) == []
    lines = list(text.lines(report(result(*found, verdict=Verdict.FAIL)), quiet))
    assert [line[:17] for line in lines] == ["b.md:1:1: EVD001 ", "orchgate: refused", "  why: orchgate e"]


def test_statistics_count_instead_of_printing() -> None:
    found = [*(empty(f"S{at}", at) for at in range(12)), diagnostic(Location("a.md"))]

    lines = list(text.lines(report(result(*found, verdict=Verdict.FAIL)), text.View(statistics=True)))

    assert lines[:2] == ["12  DOC003  warning", " 1  EVD001  error"]


def test_colors_mark_rule_and_verdict_and_change_no_word() -> None:
    made = report(result(diagnostic(Location("a\x1b[2J.md"), hint="b"), verdict=Verdict.FAIL))

    colored = list(text.lines(made, text.View(color=True)))

    assert colored[0] == "\x1b[1ma\\x1b[2J.md\x1b[0m:1:1: \x1b[1;31mEVD001\x1b[0m is missing"
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in colored] == shown(made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "environ", "colored"),
    [
        ([], {}, False),  # no terminal
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {}, False),
    ],
)
def test_who_asks_for_colors_gets_them(
    repo: Repo,
    args: list[str],
    environ: dict[str, str],
    colored: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repo.stage("a.md", "[x](gone.md)\n")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert main(["check", "--staged", *args]) == 1
    assert ("\x1b[" in capsys.readouterr().out) == colored


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--select", "EVD001"], 1, "1 error"),
        (["--select", "evd"], 1, "1 error"),
        (["--select", "DOC,DIF001"], 0, "passed"),
        (["--ignore", "EVD001"], 0, "1 suppressed"),
        (["--ignore", "DOC"], 1, "1 error"),
        (["--select", "EVD", "--ignore", "EVD001"], 0, "1 suppressed"),
        (["--select", "EVD999"], 2, "there is no rule EVD999"),
        (["--ignore", ""], 2, "--ignore"),
    ],
)
def test_rules_can_be_picked_and_left_out(
    repo: Repo, args: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.stage("a.md", "[x](gone.md)\n")

    assert main(["check", "--staged", *args]) == code
    told = capsys.readouterr()
    assert words in told.out + told.err


def test_explain_lists_facts() -> None:
    facts = {"files": 2, "base": None, "limits": {"files": 25}, "counted": [{"path": "a\nb", "added": 1}, "plain"]}

    assert list(text.explained(report(result(facts=facts)))) == [
        "evidence: passed; examined 41 links; 12 ms",
        "  files: 2",
        "  base: none",
        "  limits:",
        "    files: 25",
        "  counted: 2",
        "    path=a\\nb  added=1",
        "    plain",
    ]


# Escapes


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        ("plain ä 文 🙂", "plain ä 文 🙂"),
        ("\n\r\t", "\\n\\r\\t"),
        ("\x00\x07\x1b\x7f\x9b", "\\x00\\x07\\x1b\\x7f\\x9b"),
        ("\u2028\u2029\u0085", "\\u2028\\u2029\\x85"),
        ("\u202a\u202e\u2066\u2069\u200e\u061c", "\\u202a\\u202e\\u2066\\u2069\\u200e\\u061c"),
        ("\u200b\u2060\ufeff\xad\u180e", "\\u200b\\u2060\\ufeff\\xad\\u180e"),
        ("\U000e0041", "\\U000e0041"),
        ("\udce9\udc80", "\\xe9\\x80"),
        ("\ud800", "\\ud800"),
    ],
)
def test_unsafe_characters_are_written_out(raw: str, written: str) -> None:
    assert escape(raw) == written


@pytest.mark.slow
@given(st.text(st.characters(), max_size=30))
def test_escaped_text_is_one_line_without_control_characters(raw: str) -> None:
    escaped = escape(raw)

    assert escaped.splitlines() in ([], [escaped])
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in escaped)


# JSON

DIFF_FACTS = {
    "files": 1,
    "added": 2,
    "removed": 1,
    "lines": 3,
    "counted": [{"path": "a", "added": 2, "removed": 1}],
    "ignored": [{"path": "b.lock", "added": 9, "removed": 9, "why": "**/*.lock"}],
    "limits": {"files": 25, "lines": 800},
    "areas": {"docs": {"files": 0, "added": 0, "removed": 0, "lines": 0, "limits": {"files": None, "lines": 5}}},
}


@pytest.mark.parametrize(
    "made",
    [
        report(),
        report(result()),
        report(result(diagnostic(Location("a.md", 3, 4), hint="h"), verdict=Verdict.FAIL)),
        report(result(diagnostic(Location("a.md"), suppressed="old"))),
        report(
            result(
                verdict=Verdict.BROKEN, troubles=(Trouble(Location(""), "m"), Trouble(Location("a\ud800"), "m", "h"))
            )
        ),
        report(result(verdict=Verdict.INCONCLUSIVE), scope=Scope("tree", None, None)),
        report(result()._replace(id="diff-budget", facts=DIFF_FACTS), scope=Scope("commit", BASE, "ab" * 32)),
        report(result(diagnostic(Location(os.fsdecode(b"\xff\n\x1b.md"), 1, 1), weight="note"))),
    ],
)
def test_every_report_validates(made: Report) -> None:
    VALIDATOR.validate(rendered(made))


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"verdict": "ok"},
        {"scope": {"kind": "staged", "base": "HEAD", "head": None}},
        {"extra": 1},
        {"diagnostics": [{"rule": "EVD001"}]},
    ],
)
def test_the_schema_tells_a_wrong_report(wrong: dict[str, object]) -> None:
    assert not VALIDATOR.is_valid({**rendered(report(result())), **wrong})


@pytest.mark.parametrize("missing", ["files", "added", "removed", "lines", "counted", "ignored", "limits", "areas"])
def test_the_schema_knows_the_facts_of_the_budget(missing: str) -> None:
    facts = {name: value for name, value in DIFF_FACTS.items() if name != missing}
    made = rendered(report(result()._replace(id="diff-budget", facts=facts)))

    assert VALIDATOR.is_valid(made) == (missing == "files")  # without `files` nothing was measured


def test_json_is_ascii_and_ends_its_line() -> None:
    stream = io.StringIO()
    json_output.render(report(result(diagnostic(Location("ä\ud800.md")))), stream)

    assert stream.getvalue().isascii()
    assert stream.getvalue().endswith("}\n")


def test_bytes_of_a_name_that_are_no_text_are_written_out_in_json() -> None:
    """As half of a character they would make strict readers refuse the whole report."""
    name = os.fsdecode(b"\xff\n\xe4.md")

    assert rendered(report(result(diagnostic(Location(name)))))["diagnostics"][0]["path"] == "\\xff\n\\xe4.md"


def test_json_of_a_diagnostic_has_exactly_the_promised_fields() -> None:
    found = diagnostic(Location("a.md", 3, 4), hint="h", weight="note", suppressed="old")

    assert rendered(report(result(found)))["diagnostics"] == [
        {
            "check": "evidence",
            "rule": "EVD001",
            "severity": "note",
            "path": "a.md",
            "line": 3,
            "column": 4,
            "message": "is missing",
            "hint": "h",
            "next": ["orchgate explain EVD001"],
            "suppressed": "old",
            "older": False,
        }
    ]


@pytest.mark.parametrize(
    ("hint", "commands"),
    [
        ("orchgate evidence pin", ["orchgate evidence pin"]),
        ("git fetch origin main", ["git fetch origin main"]),
        ("correct the path, or remove the link", ["orchgate explain EVD001"]),
        ("split the change; `orchgate check diff-budget --explain` lists it", ["orchgate explain EVD001"]),
    ],
)
def test_json_names_the_commands_that_can_be_run_next(hint: str, commands: list[str]) -> None:
    assert rendered(report(result(diagnostic(Location("a.md"), hint=hint))))["diagnostics"][0]["next"] == commands


def test_json_never_advises_an_exception() -> None:
    steps = (Step("reproduce", "orchgate perf x"), Step("to land it for a reason", "git commit --amend"))
    found = diagnostic(Location(""))
    found = found._replace(finding=found.finding._replace(steps=steps))

    assert rendered(report(result(found)))["diagnostics"][0]["next"] == ["orchgate perf x"]


# As a user meets them


@pytest.fixture
def busy(repo: Repo) -> Repo:
    """A change with an odd name, an ignored file, a suppressed finding, a real one and a suppression without reason."""
    repo.commit(files={"orchgate.toml": "[severity]\nEVD003 = 'warning'\n"})
    repo.stage(b"caf\xe9\n.md", "# A\n\n[gone](gone.md)\n")
    repo.stage("uv.lock", "x\n" * 2000)
    repo.stage(
        "b.md", "# B\n\n<!-- orchgate: ignore[EVD001] old -->\n[gone](gone.md)\n<!-- orchgate: ignore[EVD001] -->\n"
    )
    return repo


def printed(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    main(["check", "--staged", "--output-format", "json", *args])
    parsed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return parsed


@pytest.mark.slow
@pytest.mark.usefixtures("busy")
def test_a_real_report_validates(capsys: pytest.CaptureFixture[str]) -> None:
    VALIDATOR.validate(printed(capsys))


@pytest.mark.slow
@pytest.mark.usefixtures("busy")
def test_a_real_report_is_a_refusal_with_a_suppressed_finding(capsys: pytest.CaptureFixture[str]) -> None:
    made = printed(capsys, "evidence")

    assert made["verdict"] == "fail"
    assert sorted({str(d["suppressed"]) for d in made["diagnostics"]}) == ["None", "old"]


@pytest.mark.slow
@pytest.mark.usefixtures("busy")
def test_format_does_not_change_the_exit_code() -> None:
    codes = {main(["check", "--staged", "--output-format", name]) for name in ("text", "json")}

    assert codes == {1}


@pytest.mark.slow
def test_a_broken_report_validates(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit(files={"a.txt": "a\n"})
    repo.git("switch", "-q", "--orphan", "other")
    repo.commit(files={"b.txt": "b\n"})

    code = main(["check", "--base", "main", "--output-format", "json"])
    made = json.loads(capsys.readouterr().out)

    VALIDATOR.validate(made)
    assert (code, made["verdict"]) == (3, "broken")


@pytest.mark.slow
def test_a_clean_commit_says_what_was_examined(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit(files={"a.txt": "a\n"})

    assert main(["check", "--staged"]) == 0
    assert "passed: no staged changes (base " in capsys.readouterr().out


@pytest.mark.slow
def test_explain_lists_what_counted_and_what_was_ignored(busy: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "--staged", "diff-budget", "--explain"])

    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "path=caf\\xe9\\n.md  added=3  removed=0" in lines
    assert "path=uv.lock  added=2000  removed=0  why=**/*.lock" in lines


@pytest.mark.slow
def test_edits_of_a_judged_document_that_are_not_staged_are_said(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.stage("a.md", "# A\n")
    repo.stage("b.md", "# B\n")
    assert main(["check", "--staged"]) == 0
    assert "judged as staged" not in capsys.readouterr().err
    repo.write("a.md", "# A\n\n[x](gone.md)\n")

    assert main(["check", "--staged"]) == 0
    assert "orchgate: a.md: judged as staged; the work tree has further edits\n" in capsys.readouterr().err
