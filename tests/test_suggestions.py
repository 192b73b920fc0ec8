"""Hints that take a search: the first findings of a run get one, whoever judged them, and the others cost nothing."""

from __future__ import annotations

import os
from difflib import SequenceMatcher, get_close_matches
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.cli import main
from orchgate.gate.suggestions import Printed
from orchgate.gate.whole import whole_tree
from orchgate.model import Diagnostic, Finding, Location, Severity
from orchgate.references.nearest import _is_slip, _matching, closest
from tests.support import checked
from tests.work import no_hang

if TYPE_CHECKING:
    from tests.repo import Repo

PACKAGE = '{"scripts": {"lint": "true", "test": "true"}}'


def hints(*args: str) -> list[str]:
    return [d["hint"] for d in checked(*args)["diagnostics"]]


def meant(found: list[str]) -> int:
    return sum(hint.startswith("did you mean") for hint in found)


def links(number: int, start: int = 0) -> str:
    return "# Note\n\n" + "".join(f"- [a](pla-{at}.txt)\n" for at in range(start, start + number))


def plan(number: int) -> str:
    return "# ACTION_PLAN - x\n\n## Steps\n\n" + "".join(f"- run `npm run lnit{at}`\n" for at in range(number))


@pytest.mark.slow
def test_the_first_twenty_findings_get_a_suggestion(repo: Repo) -> None:
    repo.stage("a.md", links(50))
    for at in range(50):
        repo.stage(f"plan-{at}.txt")

    assert [meant([hint]) for hint in hints("--staged", "evidence")] == [1] * 20 + [0] * 30


def test_the_others_get_a_hint_without_a_search(repo: Repo) -> None:
    repo.stage("a.md", links(21))
    repo.stage("plan.txt")

    assert hints("--staged", "evidence")[-1] == "correct the path, or remove the link"


@pytest.mark.slow
def test_twenty_are_of_a_run_and_not_of_each_check(repo: Repo) -> None:
    repo.stage("package.json", PACKAGE)
    repo.stage("docs/ACTION_PLAN-x.md", plan(15))
    repo.stage("a.md", links(15))
    repo.stage("plan-1.txt")

    assert meant(hints("--staged", "commands", "evidence")) == 20


@pytest.mark.slow
def test_twenty_are_of_a_run_and_not_of_each_document(repo: Repo) -> None:
    repo.stage("plan-1.txt")
    for at in range(4):
        repo.stage(f"docs{at}/a.md", links(9))
        repo.stage(f"docs{at}/plan-1.txt")

    assert meant(hints("--staged", "evidence")) == 20


def test_anchors_are_suggested_within_the_same_twenty(repo: Repo) -> None:
    text = "# Note\n\n" + "".join(f"- [a](#not-{at}) [b](pla-{at}.txt)\n" for at in range(30))
    repo.stage("a.md", text)
    repo.stage("plan-1.txt")

    assert sum("did you mean" in hint for hint in hints("--staged", "evidence")) == 20


def test_a_suppressed_finding_takes_no_suggestion(repo: Repo) -> None:
    ignored = "".join(f"[a](pla-{at}.txt) <!-- orchgate: ignore[EVD001] r -->\n\n" for at in range(30))
    repo.stage("a.md", f"# Note\n\n{ignored}\n- [a](pla-1.txt)\n")
    repo.stage("plan-1.txt")

    assert [meant([hint]) for hint in hints("--staged", "evidence")] == [0] * 30 + [1]


@pytest.mark.slow
def test_two_processes_say_what_one_says(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.stage("package.json", PACKAGE)
    repo.stage("docs/ACTION_PLAN-x.md", plan(3))
    monkeypatch.setattr(whole_tree, "MANY_FILES", 50)
    for at in range(60):
        repo.write(f"docs{at % 40}/note-{at}.md", links(1, at))
        repo.write(f"docs{at % 40}/plan-{at}.txt")
    repo.git("add", "--all")
    one, two = (_with_cores(monkeypatch, number) for number in (1, 2))

    assert one == two


def _with_cores(monkeypatch: pytest.MonkeyPatch, number: int) -> list[object]:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)), raising=False)
    return [{**d, "seconds": 0} for d in checked("--all-files")["diagnostics"]]


@pytest.mark.slow
@pytest.mark.parametrize(("script", "meant"), [("lnit", "lint"), ("tset", "test"), ("Lint", "lint")])
def test_the_hint_names_the_nearest_script(repo: Repo, script: str, meant: str) -> None:
    repo.stage("package.json", PACKAGE)
    repo.stage("docs/ACTION_PLAN-x.md", f"# ACTION_PLAN - x\n\n## Steps\n\n- run `npm run {script}`\n")

    assert hints("--staged", "commands") == [f"did you mean {meant}?"]


@pytest.mark.slow
def test_a_script_that_is_like_none_says_what_there_is(repo: Repo) -> None:
    repo.stage("package.json", PACKAGE)
    repo.stage("docs/ACTION_PLAN-x.md", "# ACTION_PLAN - x\n\n## Steps\n\n- run `npm run zzz`\n")

    assert hints("--staged", "commands") == ["package.json defines lint, test"]


@pytest.mark.parametrize(
    ("name", "near"),
    [("script-1000x", "script-1000"), ("xscript-77", "script-77"), ("zzz", "")],
)
def test_of_very_many_names_a_near_one_is_found(name: str, near: str) -> None:
    assert closest(name, [f"script-{at}" for at in range(20_000)], 0.9) == near


@pytest.mark.slow
def test_a_near_name_is_sought_among_few() -> None:
    known = [f"script-{at}" * 10 for at in range(20_000)]

    with no_hang():
        for _ in range(20):
            closest("script-x" * 10, known, 0.6)


@given(st.text("abc-", max_size=30), st.text("abc-", max_size=30))
def test_what_two_names_share_is_what_difflib_says(one: str, other: str) -> None:
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()

    assert _matching(one, other) == sum(block.size for block in blocks)


@pytest.mark.parametrize(("name", "names"), [("ge", ("ege", "g-e")), ("ddcdbcbcdcad", ("dcdbcbcdcad", "ddcdbcbcdad"))])
def test_of_names_that_are_equally_alike_the_last_one_is_suggested(name: str, names: tuple[str, ...]) -> None:
    assert closest(name, names, 0.6) == get_close_matches(name, names, 1)[0] == max(names)


@given(st.text("ab", max_size=9), st.data())
def test_a_slip_is_one_letter_or_two_that_change_places(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name)))
    one, two, rest = name[at : at + 1], name[at + 1 : at + 2], name[at + 2 :]
    slips = (two + rest, "a" + two + rest, "b" + two + rest, "a" + one + two + rest, two + one + rest)

    assert all(_is_slip(name, name[:at] + slip) for slip in slips)


@pytest.mark.parametrize("other", ["ab", "abcdef", "abdce", "cbad", "bacd e", "abxy", "badc", ""])
def test_more_than_that_is_no_slip(other: str) -> None:
    assert not _is_slip("abcd", other)


def test_a_file_elsewhere_is_suggested_from_the_index_that_will_be_committed(repo: Repo) -> None:
    for name in ("gone", "kept", "later"):
        repo.write(f"old/{name}.md", "# x\n")
    repo.git("add", "old/gone.md", "old/kept.md")
    repo.commit("start")
    repo.git("rm", "--quiet", "--cached", "old/gone.md")
    repo.git("add", "--intent-to-add", "old/later.md")
    repo.stage("a.md", "# A\n\n[a](gone.md) [b](kept.md) [c](later.md) [d](new.md)\n")
    repo.stage("old/new.md", "# New\n")

    plain = "correct the path, or remove the link"
    assert hints("--staged", "evidence") == [
        plain,
        "did you mean old/kept.md?",
        plain,
        "did you mean old/new.md?",
    ]


def shown(*rules: str, printed: Printed) -> list[int]:
    severities = {"EVD001": Severity.ERROR, "EVD013": Severity.WARNING}
    findings = [Diagnostic("evidence", severities[rule], Finding(rule, Location("a.md"), "")) for rule in rules]
    return printed.among(findings)


def test_of_a_rule_with_many_findings_those_that_are_printed_are_looked_up() -> None:
    rules = ("EVD013", "EVD001", "EVD001", "EVD001", "EVD013", "EVD013")

    assert shown(*rules, printed=Printed(most=2)) == [0, 1, 2, 4]


def test_nothing_is_looked_up_for_what_quiet_leaves_out() -> None:
    assert shown("EVD013", "EVD001", printed=Printed(severities=(Severity.ERROR,))) == [1]


@pytest.mark.parametrize("option", ["--statistics", "--quiet"])
def test_a_run_that_prints_no_finding_compares_no_names(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    repo.stage("a.md", "# Note\n\n- [a](a.md#nte)\n")
    monkeypatch.setattr("orchgate.gate.suggestions._better", lambda *_: pytest.fail("a hint was looked for"))

    assert main(["check", "--staged", option, "evidence"]) == 0
