"""What the budget counts, what it ignores, and what lifts it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cli import main
from orchgate.git.objects import merged
from orchgate.model import Change, Severity
from tests.scoping import budget_of

if TYPE_CHECKING:
    from orchgate.model import Outcome
    from tests.repo import Repo

LIMITS = "[diff-budget]\nmax-files = 3\nmax-lines = 10\n"
AREAS = (
    LIMITS
    + '[diff-budget.areas.docs]\npaths = ["docs/**"]\nmax-lines = 20\n[diff-budget.areas.tests]\npaths = ["tests/"]\n'
)


def configured(repo: Repo, text: str = LIMITS) -> Repo:
    repo.commit("base", {"orchgate.toml": text, "base.txt": "base\n"})
    return repo


@pytest.fixture
def small(repo: Repo) -> Repo:
    """A budget of 3 files and 10 lines, in force since the first commit."""
    return configured(repo)


def told(outcome: Outcome) -> list[tuple[str, str]]:
    return [(finding.rule, finding.message) for finding in outcome.findings]


def rules(outcome: Outcome) -> list[str]:
    return [finding.rule for finding in outcome.findings]


def facts(**flags: Any) -> dict[str, Any]:
    return dict(budget_of(**(flags or {"staged": True})).facts)


# Limits


@pytest.mark.slow
def test_equality_passes(small: Repo) -> None:
    for name, lines in (("a", 4), ("b", 3), ("c", 3)):
        small.stage(name, "x\n" * lines)

    assert rules(budget_of(staged=True)) == []


@pytest.mark.slow
def test_one_line_more_is_refused(small: Repo) -> None:
    small.stage("a", "x\n" * 11)

    assert told(budget_of(staged=True)) == [("DIF001", "11 lines (limit 10); largest: a 11")]


@pytest.mark.slow
def test_one_file_more_is_refused(small: Repo) -> None:
    for name in "abcd":
        small.stage(name, "x\n")

    assert told(budget_of(staged=True)) == [("DIF001", "4 files (limit 3); largest: a 1, b 1, c 1")]


@pytest.mark.slow
def test_both_limits_are_one_finding(small: Repo) -> None:
    for name in "abcd":
        small.stage(name, "x\n" * 1000)

    assert [message.partition(";")[0] for _, message in told(budget_of(staged=True))] == [
        "4 files (limit 3), 4,000 lines (limit 10)"
    ]


@pytest.mark.slow
def test_removed_lines_count(small: Repo) -> None:
    small.commit("long", {"long.txt": "x\n" * 11})
    small.git("rm", "-q", "long.txt")

    assert rules(budget_of(staged=True)) == ["DIF001"]


@pytest.mark.slow
def test_binary_file_is_a_file_without_lines(small: Repo) -> None:
    small.stage("a.bin", b"\0" + b"\n" * 1000)

    assert (facts()["files"], facts()["lines"]) == (1, 0)


@pytest.mark.slow
def test_fourth_binary_file_is_refused(small: Repo) -> None:
    for name in "abcd":
        small.stage(name, b"\0")

    assert rules(budget_of(staged=True)) == ["DIF001"]


@pytest.mark.slow
def test_limit_of_nothing_refuses_any_change(repo: Repo) -> None:
    configured(repo, "[diff-budget]\nmax-files = 0\nmax-lines = 0\n")
    repo.stage("empty", "")

    assert rules(budget_of(staged=True)) == ["DIF001"]


@pytest.mark.slow
def test_no_change_at_all_passes_and_says_zero(small: Repo) -> None:
    assert budget_of(staged=True).examined == {"changed files": 0, "changed lines": 0}


@pytest.mark.slow
def test_change_cannot_raise_its_own_budget(small: Repo) -> None:
    small.stage("orchgate.toml", LIMITS.replace("10", "1000"))
    small.stage("a", "x\n" * 30)

    assert rules(budget_of(staged=True)) == ["DIF001"]


@pytest.mark.slow
def test_hint_names_every_way_on(small: Repo) -> None:
    small.stage("a", "x\n" * 11)
    (finding,) = budget_of(staged=True).findings

    assert all(way in finding.hint for way in ("--explain", "DIFF_BUDGET_OVERRIDE_REASON", "Diff-Budget-Override:"))


# Areas


@pytest.fixture
def areas(repo: Repo) -> Repo:
    """Documents have 20 lines of their own, tests are counted without a limit."""
    return configured(repo, AREAS)


@pytest.mark.slow
def test_areas_are_counted_apart(areas: Repo) -> None:
    areas.stage("a.py", "x\n" * 10)
    areas.stage("docs/a.md", "x\n" * 20)
    areas.stage("tests/a.py", "x\n" * 500)

    assert rules(budget_of(staged=True)) == []


@pytest.mark.slow
def test_area_over_its_own_limit_is_named(areas: Repo) -> None:
    areas.stage("docs/a.md", "x\n" * 21)

    assert told(budget_of(staged=True)) == [("DIF001", 'area "docs": 21 lines (limit 20); largest: docs/a.md 21')]


@pytest.mark.slow
def test_two_areas_over_are_two_findings(areas: Repo) -> None:
    areas.stage("docs/a.md", "x\n" * 21)
    areas.stage("a.py", "x\n" * 11)

    assert rules(budget_of(staged=True)) == ["DIF001", "DIF001"]


def test_rename_into_an_area_counts_there(areas: Repo) -> None:
    areas.commit("plan", {"plan.md": "x\n" * 30})
    areas.git("mv", "plan.md", "docs")

    assert facts()["areas"]["docs"]["files"] == 0


@pytest.mark.slow
def test_facts_tell_the_areas(areas: Repo) -> None:
    areas.stage("docs/a.md", "x\n" * 3)
    zero = {"files": 0, "added": 0, "removed": 0, "lines": 0}

    assert facts()["areas"] == {
        "code": {**zero, "limits": {"files": 3, "lines": 10}},
        "docs": {"files": 1, "added": 3, "removed": 0, "lines": 3, "limits": {"files": None, "lines": 20}},
        "tests": {**zero, "limits": {"files": None, "lines": None}},
    }


# Ignored paths


@pytest.fixture
def ignoring(repo: Repo) -> Repo:
    return configured(repo, LIMITS + 'ignore = ["**/*.lock", "generated/"]\n')


@pytest.mark.slow
def test_ignored_file_does_not_count(ignoring: Repo) -> None:
    ignoring.stage("deep/uv.lock", "x\n" * 100)

    assert rules(budget_of(staged=True)) == []


@pytest.mark.slow
def test_ignored_file_is_listed_with_its_glob(ignoring: Repo) -> None:
    ignoring.stage("generated/a", "x\n" * 100)

    assert facts()["ignored"] == [{"path": "generated/a", "added": 100, "removed": 0, "why": "generated/"}]


@pytest.mark.slow
@pytest.mark.parametrize("names", [("a.txt", "generated/a.txt"), ("generated/a.txt", "a.txt")], ids=["in", "out"])
def test_rename_across_the_border_counts(ignoring: Repo, names: tuple[str, str]) -> None:
    old, new = names
    ignoring.commit("base", {old: "".join(f"{n}\n" for n in range(50))})
    (ignoring.root / "generated").mkdir(exist_ok=True)
    ignoring.git("mv", old, new)

    assert ([row["path"] for row in facts()["counted"]], facts()["ignored"]) == ([new], [])


@pytest.mark.slow
def test_rename_within_an_ignored_folder_does_not_count(ignoring: Repo) -> None:
    ignoring.commit("base", {"generated/a": "x\n" * 5})
    ignoring.git("mv", "generated/a", "generated/b")

    assert facts()["counted"] == []


@pytest.mark.slow
def test_removal_of_an_ignored_file_does_not_count(ignoring: Repo) -> None:
    ignoring.commit("base", {"generated/a": "x\n" * 50})
    ignoring.git("rm", "-q", "generated/a")

    assert rules(budget_of(staged=True)) == []


# Overrides

VARIABLE = "DIFF_BUDGET_OVERRIDE_REASON"


@pytest.fixture
def over(small: Repo) -> Repo:
    """A staged change of 11 lines, one too many."""
    small.stage("a", "x\n" * 11)
    return small


@pytest.mark.slow
def test_reason_in_the_environment_lifts_the_budget_and_is_shown(over: Repo) -> None:
    assert told(budget_of({VARIABLE: "generated client"}, staged=True)) == [
        ("DIF004", f"11 lines (limit 10); lifted by {VARIABLE}: generated client")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["", " ", "\t\n", "\u3000"], ids=repr)
def test_whitespace_is_no_reason(over: Repo, reason: str) -> None:
    assert rules(budget_of({VARIABLE: reason}, staged=True)) == ["DIF001"]


@pytest.mark.slow
def test_override_nobody_needed_is_shown_too(small: Repo) -> None:
    assert told(budget_of({VARIABLE: "left on"}, staged=True)) == [
        ("DIF004", f"within the budget, so this override is not needed: {VARIABLE}: left on")
    ]


@pytest.mark.slow
def test_override_passes_and_says_so(
    over: Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "generated\x1b[2J")
    code = main(["check", "diff-budget", "--staged"])

    assert (code, "DIF004 (note)" in (out := capsys.readouterr().out), "\x1b" in out) == (0, True, False)


@pytest.mark.slow
def test_override_lifts_no_unmeasurable_file(over: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchgate.checks.diff_budget.MAX_BYTES", 3)
    over.write(".gitattributes", "* -diff\n")

    assert "DIF003" in rules(budget_of({VARIABLE: "reason"}, staged=True))


TRAILER = "Diff-Budget-Override: a reason"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Diff-Budget-Override", "diff-budget-override", "DIFF-BUDGET-OVERRIDE"])
def test_trailer_in_the_range_lifts_the_budget_whatever_its_case(over: Repo, name: str) -> None:
    oid = over.commit(f"one\n\n{name}: a reason")[:12]
    over.commit("two")
    lifted = f"lifted by Diff-Budget-Override: a reason (commit {oid})"

    assert told(budget_of(base="HEAD~2")) == [("DIF004", f"11 lines (limit 10); {lifted}")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "message",
    [
        "one\n\nDiff-Budget-Override:",
        "one\n\nDiff-Budget-Override:   ",
        f"one\n\n{TRAILER}\nand a line that is none",
        f"{TRAILER}",
        "one\n\nWe could write Diff-Budget-Override: here.",
        "one\n\nA: b\u2028Diff-Budget-Override: forged",
    ],
    ids=repr,
)
def test_what_is_no_trailer_lifts_nothing(over: Repo, message: str) -> None:
    over.commit(message)

    assert rules(budget_of(base="HEAD~1")) == ["DIF001"]


@pytest.mark.slow
def test_trailer_before_the_range_lifts_nothing(over: Repo) -> None:
    over.git("stash", "-q")
    over.commit(f"earlier\n\n{TRAILER}")
    over.git("stash", "pop", "-q")
    over.commit("big", {"a": "x\n" * 11})

    assert rules(budget_of(base="HEAD~1")) == ["DIF001"]


@pytest.mark.slow
def test_trailer_of_a_commit_lifts_that_commit(over: Repo) -> None:
    over.commit(f"big\n\n{TRAILER}")

    assert rules(budget_of(commit="HEAD")) == ["DIF004"]


@pytest.mark.slow
def test_trailer_of_a_merged_commit_lifts_what_the_merge_brought_in(small: Repo) -> None:
    small.git("checkout", "-q", "-b", "feature")
    small.commit(f"feature\n\n{TRAILER}", {"base.txt": "feature\n"})
    small.git("checkout", "-q", "main")
    small.commit("main", {"base.txt": "main\n"})
    small.attempt("git", "merge", "feature")
    small.commit("merge", {"base.txt": "both\n" * 50})

    assert rules(budget_of(commit="HEAD")) == ["DIF004"]


@pytest.mark.slow
def test_folded_trailer_is_one_reason(over: Repo) -> None:
    over.commit("big\n\nDiff-Budget-Override: a long\n  reason")

    assert "a long reason" in told(budget_of(commit="HEAD"))[0][1]


@pytest.mark.slow
def test_reason_is_read_as_utf_8_whatever_the_settings(over: Repo) -> None:
    over.commit("big\n\nDiff-Budget-Override: geprüft")
    over.git("config", "i18n.logOutputEncoding", "latin1")

    assert "geprüft" in told(budget_of(commit="HEAD"))[0][1]


@pytest.mark.slow
def test_signatures_are_not_asked_for(over: Repo) -> None:
    over.commit(f"big\n\n{TRAILER}")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----"
    signed = re.sub(r"(?m)^(committer .*)$", rf"\1\n{signature}", over.git("cat-file", "commit", "HEAD"))
    oid = over.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=f"{signed}\n".encode())
    program = over.root.parent / "gpg"
    program.write_text(f"#!/bin/sh\necho 'Diff-Budget-Override: by gpg'\ntouch {over.root.parent / 'ran'}\n")
    program.chmod(0o755)
    over.git("config", "gpg.program", str(program))
    over.git("config", "log.showSignature", "true")
    budget_of(commit=oid)

    assert not (over.root.parent / "ran").exists()


@pytest.mark.slow
def test_override_can_be_turned_off(repo: Repo) -> None:
    configured(repo, LIMITS + 'override-variable = ""\noverride-trailer = ""\n')
    repo.commit(f"big\n\n{TRAILER}", {"a": "x\n" * 11})

    assert rules(budget_of({VARIABLE: "reason"}, commit="HEAD")) == ["DIF001"]


# First commits and first pushes


@pytest.mark.slow
def test_first_commit_counts_every_line(repo: Repo) -> None:
    repo.stage("a", "x\n" * 900)

    assert rules(budget_of(staged=True)) == ["DIF001"]


@pytest.mark.slow
def test_root_commit_counts_every_line(repo: Repo) -> None:
    repo.commit("root", {"a": "x\n" * 900})

    assert rules(budget_of(commit="HEAD")) == ["DIF001"]


@pytest.mark.slow
def test_first_push_has_nothing_to_be_measured_against(repo: Repo) -> None:
    repo.commit("root", {"a": "x\n" * 900})
    outcome = budget_of({"PRE_COMMIT_TO_REF": "HEAD"})

    assert [(finding.rule, finding.severity) for finding in outcome.findings] == [("DIF003", Severity.NOTE)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "env", [{"PRE_COMMIT_TO_REF": "HEAD"}, {"PRE_COMMIT": "1", "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main"}]
)
def test_first_push_has_the_usual_facts(repo: Repo, env: dict[str, str]) -> None:
    repo.commit("root", {"a": "x\n" * 900})
    told = budget_of({**env, "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main"}).facts

    assert (list(told), told["counted"]) == (KEYS, [])


# What others read

KEYS = ["files", "added", "removed", "lines", "counted", "ignored", "limits", "areas"]


@pytest.mark.slow
def test_facts_have_the_agreed_keys(over: Repo) -> None:
    assert list(facts()) == KEYS


@pytest.mark.slow
def test_facts_add_up(small: Repo) -> None:
    small.stage("base.txt", "other\nmore\n")
    small.git("mv", "orchgate.toml", "pyproject.toml")

    assert {key: facts()[key] for key in KEYS[:5]} == {
        "files": 2,
        "added": 2,
        "removed": 1,
        "lines": 3,
        "counted": [
            {"path": "base.txt", "added": 2, "removed": 1},
            {"path": "pyproject.toml", "added": 0, "removed": 0},
        ],
    }


@pytest.mark.slow
def test_json_report_carries_odd_names(small: Repo) -> None:
    small.write(b"\xff\n.txt", "x\n")
    small.git("add", "-A")
    (check,) = small.report("--staged", "diff-budget")["checks"]

    assert [row["path"] for row in check["facts"]["counted"]] == ["\\xff\n.txt"]


@pytest.mark.slow
def test_explain_lists_what_counted_what_did_not_and_the_base(
    ignoring: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    ignoring.stage("uv.lock", "1\n2\n")
    ignoring.stage("evil\x1b\n.txt", "1\n")
    main(["check", "diff-budget", "--staged", "--explain"])
    lines = capsys.readouterr().out.splitlines()

    assert [
        line in lines
        for line in (
            r"    path=evil\x1b\n.txt  added=1  removed=0",
            "    path=uv.lock  added=2  removed=0  why=**/*.lock",
            "  limits:",
        )
    ] + [f"base {ignoring.git('rev-parse', '--short=7', 'HEAD')}" in lines[-1]] == [True] * 4


# Merges, as values


def change(path: str, added: int | None, removed: int | None = 0) -> Change:
    return Change("M", path, None, "100644", "100644", "1" * 40, "2" * 40, added, removed)


def test_merge_counts_only_what_differs_from_every_parent() -> None:
    assert merged([(change("a", 1), change("b", 1)), (change("b", 1), change("c", 1))]) == (change("b", 1),)


def test_merge_takes_the_smallest_count() -> None:
    assert merged([(change("a", 5),), (change("a", 2, 1),), (change("a", 9),)]) == (change("a", 2, 1),)


def test_merge_prefers_a_count_to_none() -> None:
    assert merged([(change("a", None, None),), (change("a", 7),)]) == (change("a", 7),)


def test_merge_of_one_parent_is_its_change() -> None:
    assert merged([(change("a", 1),)]) == (change("a", 1),)
