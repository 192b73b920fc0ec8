"""What cases of files alone cannot show: branches, trailers, renames, and files that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.checks.version_bump import CHECK
from orchgate.config.load import build
from orchgate.config.source import Source
from orchgate.errors import OrchgateError
from orchgate.model import Change, Outcome, Scope, Severity
from tests.support import folder_context, severity, target, write_tree

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
    settings = {"allow-releases": False, **(settings or {})}
    config = build(Source("orchgate.toml", {"version-bump": settings}))
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

    assert outcome.findings[0].hint == (
        "restore the version, or give a reason in the commit trailer `Version-Bump: …`, "
        "or commit on a branch named **/release*{,/**}"
    )


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


@pytest.mark.parametrize("branch", ["release", "release-1.2", "release/1.2", "task/release-1.2", "releases/1.x"])
def test_release_branches_need_no_setting(tmp_path: Path, branch: str) -> None:
    outcome = judge(tmp_path, package("1"), package("2"), branch=branch)

    assert outcome.findings[0].message == f"version changed from 1 to 2, allowed by branch {branch}"


BUMP = {"pyproject.toml": '[project]\nversion = "1.4.0"\ndependencies = ["a>=1.4"]\n'}
CARGO = '[[package]]\nname = "a"\nversion = "1.4.0"\n\n[[package]]\nname = "b"\nversion = "2.0.0"\n'


def raised(text: str) -> str:
    return text.replace("1.4.0", "1.5.0")


def judge_release(tmp_path: Path, base: dict[str, str], head: dict[str, str]) -> list[str]:
    ctx = folder_context(write_tree(tmp_path / "head", head), write_tree(tmp_path / "base", base))
    return [severity(finding) for finding in CHECK.run(ctx).findings]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({}, {"CHANGELOG.md": "## 1.5.0\n"}),
        ({"docs/changelog.rst": "x\n"}, {"docs/changelog.rst": "x\ny\n"}),
        ({".changeset/brave-cats.md": "minor\n", "newsfragments/12.bugfix": "x\n"}, {}),
        ({"Cargo.lock": CARGO}, {"Cargo.lock": raised(CARGO)}),
        ({"README.md": "# a\npip install a==1.4.0\n"}, {"README.md": "# a\npip install a==1.5.0\n"}),
        (
            {"a.json": '{"version": "1.4.0", "x": {"y": 1}}'},
            {"a.json": '{\n  "version": "1.5.0",\n  "x": {"y": 1}\n}\n'},
        ),
        ({"a/__init__.py": "info = (1, 4, 0)\n"}, {"a/__init__.py": "info = (1, 5, 0)\n"}),
    ],
    ids=["version alone", "new changelog", "changelog", "fragments", "lock", "badge", "new shape", "tuple"],
)
def test_change_of_nothing_but_the_version_is_a_release(
    tmp_path: Path, before: dict[str, str], after: dict[str, str]
) -> None:
    head = {"pyproject.toml": raised(BUMP["pyproject.toml"]), **after}

    assert set(judge_release(tmp_path, {**BUMP, **before}, head)) == {"note"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"src/a.py": "a = 1\n"}, {"src/a.py": "a = 2\n"}),
        ({}, {"src/new.py": "a = 1\n"}),
        ({}, {"src/changelogs/new.py": "a = 1\n"}),
        ({"src/a.py": "a = 1\n"}, {}),
        ({"a.json": '{"version": "1.4.0", "x": 1}'}, {"a.json": '{"version": "1.5.0",\n"x": 2}'}),
        ({}, {"pyproject.toml": raised(BUMP["pyproject.toml"]).replace("a>=1.4", "a>=2")}),
        ({"Cargo.lock": CARGO}, {"Cargo.lock": raised(CARGO).replace("2.0.0", "2.0.1")}),
        ({}, {"pyproject.toml": BUMP["pyproject.toml"].replace("1.4.0", "1.3.0")}),
        ({"orchgate.toml": ""}, {"orchgate.toml": "[diff-budget]\nmax-files = 25\n"}),
    ],
    ids=[
        "code",
        "new file",
        "code among fragments",
        "deletion",
        "JSON",
        "dependency",
        "lock of a dependency",
        "lowered",
        "configuration",
    ],
)
def test_version_that_is_raised_beside_anything_else_is_no_release(
    tmp_path: Path, before: dict[str, str], after: dict[str, str]
) -> None:
    head = {"pyproject.toml": raised(BUMP["pyproject.toml"]), **after}

    assert judge_release(tmp_path, {**BUMP, **before}, head) == ["error"]
