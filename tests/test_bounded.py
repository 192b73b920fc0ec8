"""What a run prints is bounded, whatever it found; the verdict and the totals are of all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.model import Location as At
from orchgate.model import Severity, Trouble, Verdict
from orchgate.outputs import text
from tests.repo import ORCHGATE
from tests.support import checked
from tests.test_outputs import diagnostic, report, result

if TYPE_CHECKING:
    from orchgate.model import Diagnostic
    from tests.repo import Repo

MANY = 130


def links(number: int) -> str:
    return "# Note\n\n" + "".join(f"- [a](gone-{at}.md)\n" for at in range(number))


def many(number: int, rule: str = "EVD001", weight: str = "error") -> list[Diagnostic]:
    made = diagnostic(At("a.md", 1), weight=weight)
    return [
        made._replace(finding=made.finding._replace(rule=rule, location=At("a.md", at + 1))) for at in range(number)
    ]


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> list[str]:
    main([*args])
    return capsys.readouterr().out.splitlines()


def of_rule(lines: list[str], rule: str = "EVD001") -> int:
    return sum(f": {rule} " in line for line in lines)


@pytest.mark.slow
def test_a_hundred_findings_of_a_rule_are_printed(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage("a.md", links(MANY))

    assert of_rule(shown(capsys, "check", "--staged")) == 100


@pytest.mark.slow
@pytest.mark.parametrize(("most", "number"), [("7", 7), ("1", 1), ("0", MANY), ("5000", MANY)])
def test_as_many_are_printed_as_somebody_asks_for(
    repo: Repo, capsys: pytest.CaptureFixture[str], most: str, number: int
) -> None:
    repo.stage("a.md", links(MANY))

    assert of_rule(shown(capsys, "check", "--staged", "--max-per-rule", most)) == number


@pytest.mark.slow
@pytest.mark.parametrize("hook", [["hook", "pre-commit"], ["check", "--staged", "evidence"], ["check", "--all-files"]])
def test_the_rest_is_counted_and_the_way_to_see_it_named(
    repo: Repo, capsys: pytest.CaptureFixture[str], hook: list[str]
) -> None:
    repo.stage("a.md", links(MANY))

    assert shown(capsys, *hook)[-3] == "EVD001: 30 more; --max-per-rule 0 shows all"


@pytest.mark.slow
def test_a_push_prints_a_hundred_of_a_rule(repo: Repo) -> None:
    repo.commit("start", {"b.txt": "x\n"})
    head = repo.commit("links", {"a.md": links(MANY)})
    line = f"refs/heads/main {head} refs/heads/main {'0' * 40}\n"
    told = repo.attempt("sh", "-c", f"printf '%s' '{line}' | {ORCHGATE} hook pre-push origin url")

    assert of_rule(told.out.splitlines()) == 100


@pytest.mark.slow
def test_a_hook_prints_all_where_it_is_told_to(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage("a.md", links(MANY))

    assert of_rule(shown(capsys, "hook", "--max-per-rule", "0", "pre-commit")) == MANY


@pytest.mark.slow
def test_the_summary_counts_what_was_not_printed(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage("a.md", links(MANY))

    assert f" · {MANY} errors · " in shown(capsys, "check", "--staged")[-2]


@pytest.mark.slow
@pytest.mark.parametrize("most", ["0", "1", "100"])
def test_the_verdict_does_not_depend_on_what_is_printed(repo: Repo, most: str) -> None:
    repo.stage("a.md", links(MANY))

    assert main(["check", "--staged", "--max-per-rule", most]) == 1


@pytest.mark.slow
def test_json_holds_all(repo: Repo) -> None:
    repo.stage("a.md", links(MANY))

    assert len(checked("--staged", "evidence", "--max-per-rule", "3")["diagnostics"]) == MANY


@pytest.mark.slow
@pytest.mark.parametrize("number", ["-1", "x", "1.5", ""])
def test_a_number_that_is_none_is_wrong_usage(repo: Repo, number: str) -> None:
    assert repo.orchgate("check", "--staged", f"--max-per-rule={number}").code == 2


@pytest.mark.slow
def test_what_is_wrong_with_a_number_is_said_in_words(repo: Repo) -> None:
    said = repo.orchgate("check", "--staged", "--max-per-rule=-1").out

    assert "expected a whole number from 0 on, not '-1'" in said


@pytest.mark.slow
def test_large_totals_are_grouped() -> None:
    made = report(result(*many(10_000), verdict=Verdict.FAIL))

    assert " · 10,000 errors" in list(text.lines(made, text.View(100)))[-2]


def test_each_rule_is_cut_for_itself() -> None:
    made = report(result(*many(5, "EVD001"), *many(2, "EVD003"), *many(4, "DOC001"), verdict=Verdict.FAIL))

    assert [line for line in text.lines(made, text.View(3)) if "more" in line] == [
        "DOC001: 1 more; --max-per-rule 0 shows all",
        "EVD001: 2 more; --max-per-rule 0 shows all",
    ]


def test_errors_of_a_rule_are_printed_before_its_warnings_fill_the_page() -> None:
    made = report(result(*many(9, weight="note"), *many(9, weight="warning"), *many(2), verdict=Verdict.FAIL))

    assert [line.count("(warning)") for line in text.lines(made, text.View(3))][:3] == [1, 0, 0]


def test_suppressed_findings_take_no_place() -> None:
    hidden = [one._replace(suppressed="old") for one in many(9)]

    assert of_rule(list(text.lines(report(result(*hidden, *many(2))), text.View(2)))) == 2


def test_what_could_not_be_checked_is_bounded_too() -> None:
    troubles = tuple(Trouble(At(f"{at}.json"), "is not JSON") for at in range(5))
    lines = list(text.lines(report(result(verdict=Verdict.BROKEN, troubles=troubles)), text.View(3)))

    assert (len(lines), lines[3]) == (5, "could not check: 2 more; --max-per-rule 0 shows all")


@pytest.mark.slow
def test_large_numbers_can_be_read() -> None:
    assert "EVD001: 9,900 more; --max-per-rule 0 shows all" in text.lines(report(result(*many(10_000))), text.View(100))


def test_every_severity_is_printed_without_a_limit() -> None:
    found = [one for severity in Severity for one in many(2, weight=severity.value)]

    assert of_rule(list(text.lines(report(result(*found)), text.View(0)))) == 6
