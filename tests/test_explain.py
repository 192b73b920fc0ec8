from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.gate import suppressions

if TYPE_CHECKING:
    Output = pytest.CaptureFixture[str]


def said(capsys: Output, *args: str) -> str:
    assert main([*args]) == 0
    return capsys.readouterr().out


def test_without_a_rule_every_rule_is_listed_once(capsys: Output) -> None:
    listed = [line.split()[0] for line in said(capsys, "explain").splitlines() if line.startswith("  ")]

    assert sorted(listed) == sorted(suppressions.every_rule())


@pytest.mark.parametrize("rule", sorted(suppressions.every_rule()))
def test_every_rule_says_what_why_bad_good_and_how_to_make_an_exception(rule: str, capsys: Output) -> None:
    text = said(capsys, "explain", rule)
    about = suppressions.every_rule()[rule][1]

    wanted = (about.title, about.severity.value, "Why: ", "  bad   ", "  good  ", "Exceptions", f"[severity] {rule} =")
    assert [part for part in wanted if part not in text] == []


def test_the_severity_is_that_of_the_usual_case(capsys: Output) -> None:
    heads = [said(capsys, "explain", rule).partition("\n")[0] for rule in ("EVD001", "EVD005", "DOC007", "DIF004")]

    assert [head.partition(", ")[2] for head in heads] == [
        "error: blocks)",
        "usually a warning, in some cases an error)",
        "usually a note, in some cases an error)",
        "note: informs)",
    ]


def test_a_rule_may_be_written_in_lower_case(capsys: Output) -> None:
    assert said(capsys, "explain", "ver001").startswith("VER001: ")


def test_a_check_stands_for_its_rules(capsys: Output) -> None:
    text = said(capsys, "explain", "version-bump")

    assert [rule for rule in ("VER001: ", "VER002: ") if rule in text] == ["VER001: ", "VER002: "]


def test_only_findings_in_documents_can_be_silenced_by_a_comment(capsys: Output) -> None:
    shown = ["orchgate: ignore[" in said(capsys, "explain", rule) for rule in ("CMD001", "DIF001", "EVD014")]

    assert shown == [True, False, False]


@pytest.mark.parametrize(
    ("name", "hint"), [("VER003", "did you mean VER00"), ("comands", "did you mean commands?"), ("zzz", "lists them")]
)
def test_an_unknown_name_is_wrong_usage_with_the_nearest_one(name: str, hint: str, capsys: Output) -> None:
    assert (main(["explain", name]), hint in capsys.readouterr().err) == (2, True)


def test_a_schema_is_printed_with_or_without_its_suffix(capsys: Output) -> None:
    assert said(capsys, "schema", "report") == said(capsys, "schema", "report.json")


def test_a_printed_schema_is_json(capsys: Output) -> None:
    import json

    assert json.loads(said(capsys, "schema", "config"))["$id"]


def test_without_a_name_the_schemas_are_listed(capsys: Output) -> None:
    assert {"config", "manifest-v1", "report"} <= set(said(capsys, "schema").split())


@pytest.mark.parametrize("name", ["repotr", "../pyproject.toml", ""])
def test_an_unknown_schema_is_wrong_usage(name: str, capsys: Output) -> None:
    assert main(["schema", name]) == (2 if name else 0)


def test_the_nearest_schema_is_named(capsys: Output) -> None:
    main(["schema", "repotr"])

    assert "did you mean report?" in capsys.readouterr().err
