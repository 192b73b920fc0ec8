"""Exceptions in commit messages: where a trailer may stand, in which modes it counts, and how much it covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.checks import specs, version_bump
from orchgate.gate import session
from orchgate.git import scope as scopes
from orchgate.git.messages import trailers
from orchgate.model import ScopeRequest
from tests.scoping import budget_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.model import Check, Outcome
    from tests.repo import Repo

NAME = "diff-budget-override"
LINE = "Diff-Budget-Override: generated"
STRICT = '[diff-budget]\nmax-files = 3\n[specs]\ncode = ["src/**"]\n'


# Where a trailer stands


@pytest.mark.parametrize(
    "message",
    [
        f"x\n\n{LINE}",
        f"x\n\n{LINE}\n\nCo-authored-by: A <a@example.org>\n",
        f"x\n\n{LINE}\n\nSome words below.\n",
        f"x\n\nwords\n\n{LINE}\nTask: 0001-a\n",
        f"x\r\n\r\n{LINE}\r\n\r\nSigned-off-by: A\r\n",
        f"Squash (#7)\n\n* one\n\n{LINE}\n\n* two\n\nbody\n\n---------\n\nCo-authored-by: A <a@b>\n",
        f"Squash (#7)\n\n* one\n\n{LINE}\n---------\nCo-authored-by: A <a@b>\n",
        f"x\n\n{LINE}\n(cherry picked from commit {'1' * 40})\n",
        "x\n\ndiff-budget-override :generated\n",
        "x\n\nDiff-Budget-Override:\n generated\n",
        f"x\n\nA: b\n continued\n{LINE}",
        f"x\n \n{LINE}\n \n",
        f"Squashed commit of the following:\n\ncommit 1\nAuthor: A\nDate:   now\n\n    two\n\n    {LINE}\n\ncommit 2\n",
    ],
    ids=repr,
)
def test_trailer_is_found_wherever_its_paragraph_stands(message: str) -> None:
    assert trailers(message)[NAME] == ("generated",)


@pytest.mark.parametrize(
    "message",
    [
        "",
        LINE,
        f"x\n{LINE}",
        f"x\n\nwords\n{LINE}",
        f"x\n\n{LINE}\nwords",
        f"x\n\n  {LINE}",
        f"x\n\n> {LINE}",
        f"x\n\n- {LINE}",
        "x\n\nDiff-Budget-Override:",
        "x\n\nDiff-Budget-Override: \t\u200b",
        "x\n\nDiff-Budget-Override: -",
        "x\n\nDiff Budget Override: generated",
        f"x\n\nA: b\u2028{LINE}",
        f"x\n\nA: b\r{LINE}",
        f"x\n\nA: b\f{LINE}",
    ],
    ids=repr,
)
def test_what_is_no_trailer_is_not_found(message: str) -> None:
    assert NAME not in trailers(message)


def test_a_value_goes_on_on_indented_lines() -> None:
    assert trailers("x\n\nTask: a\n  b\n\tc\n") == {"task": ("a b c",)}


# In which modes it counts


@pytest.fixture
def gated(repo: Repo) -> Repo:
    """A budget of three files on main."""
    repo.commit("base", {"orchgate.toml": STRICT})
    repo.git("checkout", "-q", "-b", "work")
    return repo


def many(prefix: str, number: int = 5) -> dict[str, str | bytes]:
    return {f"{prefix}{count}": "x\n" for count in range(number)}


def rules(outcome: Outcome) -> list[str]:
    return [finding.rule for finding in outcome.findings]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env", "flags"),
    [
        ({}, {"base": "main"}),
        ({}, {"commit": "HEAD"}),
        ({}, {"all_files": True}),
        ({}, {}),
        ({"GITHUB_BASE_REF": "main"}, {}),
        ({"GITHUB_BASE_REF": "main"}, {"all_files": True}),
        ({"PRE_COMMIT": "1"}, {}),
        ({"PRE_COMMIT_FROM_REF": "main", "PRE_COMMIT_TO_REF": "work"}, {}),
    ],
    ids=str,
)
def test_trailer_counts_in_every_mode(gated: Repo, env: Mapping[str, str], flags: dict[str, str]) -> None:
    gated.commit(f"x\n\n{LINE}", many("a"))

    assert rules(budget_of(env, **flags)) == ["DIF004"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trailer.separators", "%"),
        ("core.commentChar", "D"),
        ("log.showSignature", "true"),
        ("i18n.logOutputEncoding", "UTF-16"),
        ("format.pretty", "oneline"),
        ("log.decorate", "full"),
        ("color.ui", "always"),
        ("log.follow", "true"),
    ],
)
def test_no_setting_hides_a_trailer(gated: Repo, key: str, value: str) -> None:
    gated.commit(f"x\n\n{LINE}", many("a"))
    gated.git("config", key, value)

    assert rules(budget_of(base="main")) == ["DIF004"]


@pytest.mark.slow
def test_a_staged_change_has_no_message_yet(gated: Repo) -> None:
    gated.commit(f"x\n\n{LINE}", many("a"))
    for path in many("b"):
        gated.stage(path)

    assert rules(budget_of(staged=True)) == ["DIF001"]


@pytest.mark.slow
def test_note_names_the_commit(gated: Repo) -> None:
    oid = gated.commit(f"x\n\n{LINE}", many("a"))

    assert budget_of(base="main").findings[0].message.endswith(f"generated (commit {oid[:12]})")


# How much it covers


def side(repo: Repo, name: str, message: str, files: Mapping[str, str | bytes]) -> str:
    """Merges a side branch with one commit into `work`; returns the merge."""
    repo.git("checkout", "-q", "-b", name)
    repo.commit(message, files)
    repo.git("checkout", "-q", "work")
    repo.git("merge", "-q", "--no-ff", "--no-edit", name)
    return repo.git("rev-parse", "HEAD")


@pytest.mark.slow
def test_trailer_of_a_merged_branch_excuses_what_the_merge_brought(gated: Repo) -> None:
    merge = side(gated, "side", f"x\n\n{LINE}", many("s"))
    gated.commit("own", many("o", 2))
    (finding,) = budget_of(base="main").findings

    assert (finding.rule, f"for what merge {merge[:12]} brought in" in finding.message) == ("DIF004", True)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["before", "after", "around"])
def test_trailer_of_a_merged_branch_excuses_nothing_else(gated: Repo, order: str) -> None:
    if order != "after":
        gated.commit("own", many("o", 4 if order == "before" else 2))
    side(gated, "side", f"x\n\n{LINE}", many("s"))
    if order != "before":
        gated.commit("own", many("p", 4 if order == "after" else 2))
    findings = budget_of(base="main").findings

    assert [(finding.rule, finding.message.partition(";")[0]) for finding in findings] == [
        ("DIF001", "4 files (limit 3)")
    ]


@pytest.mark.slow
def test_each_merge_needs_a_trailer_of_its_own(gated: Repo) -> None:
    side(gated, "one", f"x\n\n{LINE}", many("s"))
    side(gated, "two", "y", many("t"))

    assert rules(budget_of(base="main")) == ["DIF001"]


@pytest.mark.slow
def test_two_merges_with_a_trailer_each_are_excused(gated: Repo) -> None:
    side(gated, "one", f"x\n\n{LINE}", many("s"))
    side(gated, "two", f"y\n\n{LINE}", many("t"))

    assert set(rules(budget_of(base="main"))) == {"DIF004"}


@pytest.mark.slow
def test_trailer_of_the_merge_itself_excuses_all(gated: Repo) -> None:
    side(gated, "side", "x", many("s"))
    gated.git("commit", "-q", "--amend", "-m", f"merge\n\n{LINE}")
    gated.commit("own", many("o"))

    assert rules(budget_of(base="main")) == ["DIF004"]


@pytest.mark.slow
def test_branch_merged_into_a_merged_branch_is_covered_by_the_outer_merge(gated: Repo) -> None:
    gated.git("checkout", "-q", "-b", "outer")
    gated.git("checkout", "-q", "-b", "inner")
    gated.commit(f"x\n\n{LINE}", many("i"))
    gated.git("checkout", "-q", "outer")
    gated.git("merge", "-q", "--no-ff", "--no-edit", "inner")
    gated.git("checkout", "-q", "work")
    gated.git("merge", "-q", "--no-ff", "--no-edit", "outer")

    assert rules(budget_of(base="main")) == ["DIF004"]


@pytest.mark.slow
def test_merge_that_ci_makes_of_the_change_leaves_its_trailers_what_they_are(gated: Repo) -> None:
    side(gated, "side", f"x\n\n{LINE}", many("s"))
    gated.commit("own", many("o", 4))
    gated.git("checkout", "-q", "main")
    gated.commit("meanwhile", many("m"))
    gated.git("checkout", "-q", "--detach")
    gated.git("merge", "-q", "--no-ff", "--no-edit", "work")

    assert rules(budget_of({"GITHUB_BASE_REF": "main"})) == ["DIF001"]


@pytest.mark.slow
def test_merge_that_ci_makes_of_the_change_keeps_its_own_trailer(gated: Repo) -> None:
    gated.commit(f"x\n\n{LINE}", many("o"))
    gated.git("checkout", "-q", "main")
    gated.commit("meanwhile", many("m"))
    gated.git("checkout", "-q", "--detach")
    gated.git("merge", "-q", "--no-ff", "--no-edit", "work")

    assert rules(budget_of({"GITHUB_BASE_REF": "main"})) == ["DIF004"]


@pytest.mark.slow
def test_what_came_in_by_merging_the_default_branch_is_counted_nowhere(gated: Repo) -> None:
    gated.commit("own", many("o", 1))
    gated.git("checkout", "-q", "main")
    gated.commit("meanwhile", many("m"))
    gated.git("checkout", "-q", "work")
    gated.git("merge", "-q", "--no-edit", "main")
    side(gated, "side", f"x\n\n{LINE}", many("s"))
    gated.commit("last", many("p", 1))

    assert rules(budget_of(base="main")) == ["DIF004"]


def said(check: Check, **flags: str) -> list[tuple[str, str]]:
    """Rule and weight of what a check says about a change."""
    with session.opened() as repository:
        target = scopes.target(repository, ScopeRequest(**flags), {})  # type: ignore[arg-type]
        findings = check.run(session.context(repository, target, {})).findings
    return [(finding.rule, finding.severity.value if finding.severity else "error") for finding in findings]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "expected"), [("1.0", [("VER001", "note")]), ("1.1", [("VER001", "error")])], ids=["kept", "changed, too"]
)
def test_version_of_a_merged_release_may_change_and_no_other(
    gated: Repo, own: str, expected: list[tuple[str, str]]
) -> None:
    gated.git("checkout", "-q", "main")
    gated.commit("start", {"a/VERSION": "1.0\n", "b/VERSION": "1.0\n"})
    gated.git("checkout", "-q", "-B", "work")
    side(gated, "release", "x\n\nVersion-Bump: 1.1", {"a/VERSION": "1.1\n"})
    gated.commit("own", {"b/VERSION": f"{own}\n", "c": "c\n"})

    assert said(version_bump.CHECK, base="main")[: len(expected)] == expected


@pytest.mark.slow
def test_same_version_changed_again_after_the_merge_is_refused(gated: Repo) -> None:
    gated.git("checkout", "-q", "main")
    gated.commit("start", {"VERSION": "1.0\n"})
    gated.git("checkout", "-q", "-B", "work")
    side(gated, "release", "x\n\nVersion-Bump: 1.1", {"VERSION": "1.1\n"})
    gated.commit("own", {"VERSION": "1.2\n", "c": "c\n"})

    assert said(version_bump.CHECK, base="main") == [("VER001", "error")]


@pytest.mark.slow
@pytest.mark.parametrize(("own", "expected"), [("docs.md", []), ("src/b.py", [("SPC001", "error")])])
def test_task_of_a_merged_branch_stands_for_its_own_code(gated: Repo, own: str, expected: list[object]) -> None:
    gated.git("checkout", "-q", "main")
    gated.commit("packet", {"docs/TECH_SPEC-a.md": "# TECH_SPEC - a\n", "tasks/tasks-0001-a.md": "# a\n"})
    gated.git("checkout", "-q", "-B", "work")
    side(gated, "side", "x\n\nTask: 0001-a", {"src/a.py": "a\n"})
    gated.commit("own", {own: "x\n"})

    assert said(specs.CHECK, base="main") == expected


@pytest.mark.slow
def test_version_that_came_in_by_merging_the_default_branch_is_not_the_pushers(gated: Repo) -> None:
    gated.git("checkout", "-q", "main")
    gated.commit("start", {"pyproject.toml": '[project]\nversion = "1.0"\n'})
    gated.git("checkout", "-q", "-B", "p1")
    gated.commit("p1", {"p1": "x\n"})
    gated.git("checkout", "-q", "main")
    gated.commit("release", {"pyproject.toml": '[project]\nversion = "1.1"\n'})
    for name in ("main", "p1"):
        gated.git("update-ref", f"refs/remotes/origin/{name}", name)
    gated.git("checkout", "-q", "-b", "p2", "p1")
    gated.git("merge", "-q", "--no-edit", "main")
    gated.commit("p2", {"pyproject.toml": '[project]\nname = "x"\nversion = "1.1"\n'})
    push = {"PRE_COMMIT_REMOTE_BRANCH": "refs/heads/p2", "PRE_COMMIT_TO_REF": "p2", "PRE_COMMIT_FROM_REF": "p1"}
    with session.opened() as repository:
        target = scopes.target(repository, ScopeRequest(), push)
        ctx = session.context(repository, target, push)
        found = version_bump.CHECK.run(ctx).findings

    assert (len(ctx.scope.beside), found) == (1, ())
