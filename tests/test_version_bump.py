"""What cases of files alone cannot show: branches, trailers, renames, and files that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.checks.version_bump import CHECK
from orchgate.config.load import build
from orchgate.config.source import Source
from orchgate.errors import OrchgateError
from orchgate.model import Change, Outcome, Scope, Severity
from tests.support import folder_context, target, write_tree

if TYPE_CHECKING:
    from pathlib import Path

ZERO, ONE, TWO = "0" * 40, "1" * 40, "2" * 40


def judge(
    tmp_path: Path,
    base: dict[str, str],
    head: dict[str, str],
    *,
    change: Change | None = None,
    branch: str = "main",
    trailers: dict[str, tuple[str, ...]] | None = None,
    settings: dict[str, object] | None = None,
    scope: Scope | None = None,
) -> Outcome:
    write_tree(tmp_path / "base", base).mkdir(exist_ok=True)
    write_tree(tmp_path / "head", head).mkdir(exist_ok=True)
    change = change or Change("M", "package.json", None, "100644", "100644", ONE, TWO, 1, 1)
    ctx = folder_context(tmp_path / "head", tmp_path / "base")
    config = build(Source("orchgate.toml", {"version-bump": settings or {}}))
    scope = scope or Scope("staged", ONE, None, (change,))
    return CHECK.run(ctx._replace(config=config, scope=scope, target=target(branch, trailers or {})))


def package(version: str) -> dict[str, str]:
    return {"package.json": f'{{"version": "{version}"}}'}


def test_a_trailer_with_a_reason_turns_the_bump_into_a_note(tmp_path: Path) -> None:
    outcome = judge(tmp_path, package("1"), package("2"), trailers={"version-bump": ("release 2\n of it",)})

    assert [(f.severity, f.message) for f in outcome.findings] == [
        (Severity.NOTE, "version changed from 1 to 2, allowed by Version-Bump: release 2 of it (this commit's message)")
    ]


def test_a_trailer_without_a_reason_allows_nothing(tmp_path: Path) -> None:
    outcome = judge(tmp_path, package("1"), package("2"), trailers={"version-bump": (" ",)})

    assert outcome.findings[0].severity is None


def test_a_configured_branch_allows_the_bump_and_is_named(tmp_path: Path) -> None:
    outcome = judge(
        tmp_path, package("1"), package("2"), branch="release/2", settings={"allow-branches": ["release/*"]}
    )

    assert outcome.findings[0].message == "version changed from 1 to 2, allowed by branch release/2"


def test_no_branch_matches_on_a_detached_head(tmp_path: Path) -> None:
    outcome = judge(tmp_path, package("1"), package("2"), branch="", settings={"allow-branches": ["**"]})

    assert outcome.findings[0].severity is None


def test_a_bump_names_the_trailer_that_would_excuse_it(tmp_path: Path) -> None:
    outcome = judge(tmp_path, package("1"), package("2"))

    assert outcome.findings[0].excuse == "Version-Bump"


def test_the_hint_elsewhere_names_the_trailer(tmp_path: Path) -> None:
    change = Change("M", "package.json", None, "100644", "100644", ONE, TWO, 1, 1)
    outcome = judge(tmp_path, package("1"), package("2"), scope=Scope("range", ONE, TWO, (change,)))

    assert outcome.findings[0].hint == "restore the version, or give a reason in the commit trailer `Version-Bump: …`"


def test_mending_an_unreadable_file_may_be_allowed(tmp_path: Path) -> None:
    outcome = judge(tmp_path, {"package.json": '{"version"'}, package("2"), trailers={"version-bump": ("why",)})

    assert [(f.rule, f.severity) for f in outcome.findings] == [("VER002", Severity.NOTE)]


def test_breaking_a_file_is_never_allowed(tmp_path: Path) -> None:
    outcome = judge(tmp_path, package("1"), {"package.json": '{"version"'}, trailers={"version-bump": ("why",)})

    assert [(f.rule, f.severity) for f in outcome.findings] == [("VER002", None)]


@pytest.mark.parametrize(("version", "messages"), [("1", []), ("2", ["version changed from 1 to 2"])])
def test_a_rename_compares_the_old_name_with_the_new(tmp_path: Path, version: str, messages: list[str]) -> None:
    change = Change("R", "app/package.json", "package.json", "100644", "100644", ONE, TWO, 1, 1)
    head = {"app/package.json": f'{{"version": "{version}"}}'}

    outcome = judge(tmp_path, package("1"), head, change=change)

    assert [finding.message for finding in outcome.findings] == messages


def test_renaming_a_file_out_of_sight_takes_its_version_away(tmp_path: Path) -> None:
    change = Change("R", "package.old", "package.json", "100644", "100644", ONE, ONE, 0, 0)

    outcome = judge(tmp_path, package("1"), {"package.old": '{"version": "1"}'}, change=change)

    assert [(f.location.path, f.message) for f in outcome.findings] == [("package.json", "version 1 was removed")]


def test_a_file_that_vanished_while_reading_is_not_unchanged(tmp_path: Path) -> None:
    outcome = judge(tmp_path, package("1"), {})

    assert [finding.rule for finding in outcome.findings] == ["VER002"]


def test_a_submodule_carries_no_version(tmp_path: Path) -> None:
    change = Change("M", "package.json", None, "160000", "160000", ONE, TWO, 1, 1)

    assert judge(tmp_path, {}, {}, change=change).examined == {"version files": 0}


def test_facts_list_every_version_of_the_change(tmp_path: Path) -> None:
    outcome = judge(tmp_path, package("1"), package("2"))

    assert outcome.facts == {"versions": [{"path": "package.json", "base": "1", "head": "2"}]}


def test_without_a_base_it_cannot_answer(tmp_path: Path) -> None:
    scope = Scope("range", None, TWO, unknown=OrchgateError("no base"))

    with pytest.raises(OrchgateError, match="no base"):
        judge(tmp_path, package("1"), package("2"), scope=scope)
