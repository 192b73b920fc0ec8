"""Exceptions: where an ignore comment reaches, what it needs, and that it is never silent."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchgate import registry
from orchgate.cli import main
from orchgate.config.settings import Ignore
from orchgate.gate import suppressions
from orchgate.gate.engine import CheckRun
from orchgate.markdown.document import Document
from orchgate.model import Finding, Location
from tests.support import checked, folder_context, write_tree
from tests.work import growth, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.repo import Repo

LINK = "[gone](gone.md)"
IGNORE = "<!-- orchgate: ignore[EVD001] the page moves next week -->"


def reaches(text: str) -> set[int]:
    """Lines on which the document's suppressions cover an EVD001; 0 is the whole file."""
    found = suppressions.Covering(suppressions.read(Document("a.md", text.encode())))
    lines = range(text.count("\n") + 2)
    return {line for line in lines if found.of(Finding("EVD001", Location("a.md", line), "m"))}


# Where it reaches

HEAD = "# Title\n\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (HEAD + f"text {IGNORE}\nnext\n", {3}),
        (HEAD + f"{IGNORE}\ntext\nnext\n", {3, 4}),
        (HEAD + f"{IGNORE}\n\n\ntext\nnext\n", {3, 6}),
        (HEAD + f"{IGNORE} text\nnext\n", {3}),
        (HEAD + f"  {IGNORE}\n  text\n", {3, 4}),
        (HEAD + f"- {IGNORE}\n  text\n", {3, 4}),
        (HEAD + f"> {IGNORE}\n> text\n", {3, 4}),
        (HEAD + "<!--\n  orchgate: ignore[EVD001]\n  the reason\n-->\ntext\nnext\n", {3, 7}),
        (HEAD + f"{IGNORE}\n<!-- another comment -->\ntext\nnext\n", {3, 5}),
        (HEAD + f"{IGNORE}\n{IGNORE}\n{IGNORE}\ntext\nnext\n", {3, 4, 5, 6}),
        (HEAD + f"text\n{IGNORE}\n", {4}),
        (HEAD + f"text\n{IGNORE}", {4}),
        (f"{IGNORE}\n\n# Title\n\ntext\n", {0, 1, 3}),
        (f"# Title {IGNORE}\n\ntext\n", {0, 1}),
        (f"{IGNORE}\ntext without a heading\n", {0, 1, 2}),
        (f"---\nid: x\n---\n{IGNORE}\n# Title\n", {0, 4, 5}),
        (HEAD + f"```\n{IGNORE}\ntext\n```\n", set()),
        (HEAD + f"`{IGNORE}`\ntext\n", set()),
        (HEAD + f"    {IGNORE}\n\ntext\n", set()),
        (HEAD + "<!-- orchgate: ignore[EVD001] -->\ntext\n", set()),
        (HEAD + "<!-- orchgate: ignore[EVD002] reason -->\ntext\n", set()),
        (HEAD + "<!-- orchgate: ignore[EVD002, EVD001 ] reason -->\ntext\n", {3, 4}),
        (HEAD + "<!--orchgate:ignore[EVD001]reason-->\ntext\n", {3, 4}),
        (HEAD + "<!-- orchgate: ignore[] reason -->\ntext\n", set()),
        (HEAD + "<!-- orchgate: ignore EVD001 reason -->\ntext\n", set()),
        (HEAD + "<!-- orchgate: ignore[evd001] reason -->\ntext\n", {3, 4}),
        (HEAD + "<!-- orchgate ignore[EVD001] reason -->\ntext\n", {3, 4}),
        (HEAD + "<!-- orchgate: ignore [EVD001]: reason -->\ntext\n", {3, 4}),
        (HEAD + "<!-- see orchgate: ignore[EVD001] reason -->\ntext\n", set()),
        (HEAD + f"{IGNORE}\r\ntext\r\n".replace("\r\n", "\n"), {3, 4}),
    ],
)
def test_comment_reaches_its_line_and_the_text_below(text: str, lines: set[int]) -> None:
    assert reaches(text) == lines


def test_windows_line_ends_change_nothing() -> None:
    text = HEAD + f"{IGNORE}\n\ntext\nnext\n"

    assert reaches(text.replace("\n", "\r\n")) == reaches(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        (IGNORE + "\n") * 20_000,
        IGNORE * 20_000,
        "<!-- orchgate: ignore[" * 40_000,
        "<!-- orchgate:" + " " * 1_000_000 + "-->",
        "<!-- orchgate ignore" + " " * 1_000_000 + "-->",
        "<!-- orchgate" + "\n" * 1_000_000 + "ignore EVD001 -->",
        "orchgate " * 200_000,
        ("<!-- orchgate: ignore[EVD001] r -->" + "\n" * 40) * 20_000,
        "<!-- orchgate: ignore[EVD001] r\n" * 30_000,
    ],
    ids=[
        "stacked",
        "one-line",
        "unclosed",
        "spaces",
        "spaces-before-brackets",
        "spaces-before-ignore",
        "words",
        "gaps",
        "never-ends",
    ],
)
def test_comments_are_read_in_linear_time(text: str) -> None:
    document = Document("a.md", text.encode())

    with no_hang():
        suppressions.read(document)


# What a run says


def diagnostics(*args: str) -> list[tuple[str, str, int | None, str | None]]:
    return [
        (d["rule"], d["severity"], d["line"], d["suppressed"])
        for d in checked("--staged", *(args or ("evidence",)))["diagnostics"]
    ]


def report(*args: str) -> dict[str, Any]:
    return checked("--staged", *(args or ("evidence",)))


def test_a_suppressed_finding_stays_in_the_report_with_its_reason(repo: Repo) -> None:
    repo.stage("a.md", f"{HEAD}{IGNORE}\n{LINK}\n")

    assert diagnostics() == [("EVD001", "error", 4, "the page moves next week")]


@pytest.mark.slow
def test_a_suppressed_finding_does_not_count(repo: Repo) -> None:
    repo.stage("a.md", f"{HEAD}{IGNORE}\n{LINK}\n")

    assert main(["check", "--staged", "evidence"]) == 0


def test_a_suppressed_finding_is_counted_in_text_and_not_shown(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage("a.md", f"{HEAD}{IGNORE}\n{LINK}\n")
    main(["check", "--staged", "evidence"])

    out = capsys.readouterr().out

    assert out.count("\n") == 1
    assert " · 1 suppressed · " in out


@pytest.mark.slow
def test_no_ignores_shows_all(repo: Repo) -> None:
    repo.stage("a.md", f"{HEAD}{IGNORE}\n{LINK}\n")

    assert diagnostics("--no-ignores", "evidence") == [("EVD001", "error", 4, None)]


def test_only_the_named_rule_is_suppressed(repo: Repo) -> None:
    repo.stage("a.md", f"{HEAD}{IGNORE}\n{LINK} and [mine](/Users/ada/x.md)\n")

    assert [(rule, reason is None) for rule, _, _, reason in diagnostics()] == [("EVD001", False), ("EVD003", True)]


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["other repositories have this file", "the file was renamed", "a copy is planned"])
def test_the_words_of_a_reason_do_not_say_what_the_line_means(repo: Repo, reason: str) -> None:
    repo.stage("docs/a.md", f"<!-- orchgate: ignore[EVD001] {reason} -->\nSee `docs/gone.md` here.\n")

    assert [(rule, text) for rule, _, _, text in diagnostics()] == [("EVD001", reason)]


@pytest.mark.slow
def test_without_a_reason_nothing_is_suppressed_and_that_is_an_error(repo: Repo) -> None:
    repo.stage("a.md", f"{HEAD}<!-- orchgate: ignore[EVD001] -->\n{LINK}\n")

    assert diagnostics() == [("EVD001", "error", 4, None), ("SUP001", "error", 3, None)]


def test_an_unused_comment_is_a_warning(repo: Repo) -> None:
    repo.stage("a.md", f"{HEAD}{IGNORE}\ntext\n")

    assert diagnostics() == [("SUP002", "warning", 3, None)]


def test_an_unknown_rule_is_a_warning(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage("a.md", f"{HEAD}<!-- orchgate: ignore[EVD01] reason -->\ntext\n")
    main(["check", "--staged", "evidence"])

    assert "a.md:3:1: SUP002 (warning) there is no rule EVD01\n" in capsys.readouterr().out


@pytest.mark.parametrize("written", [": ignore[] reason", ": ignore reason", ": ignore", " ignore[] reason"])
def test_a_comment_that_names_no_rule_is_reported(repo: Repo, written: str) -> None:
    repo.stage("a.md", f"{HEAD}<!-- orchgate{written} -->\ntext\n")

    assert [(rule[:3], line) for rule, _, line, _ in diagnostics()] == [("SUP", 3)]


@pytest.mark.parametrize("written", [": ignore EVD001", " ignore evd001", ": ignore EVD001, EVD003"])
def test_a_comment_without_brackets_is_a_warning_that_says_how_to_write_it(
    repo: Repo, written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.stage("a.md", f"{HEAD}<!-- orchgate{written} the page moves -->\n{LINK}\n")
    main(["check", "--staged", "evidence"])

    out = capsys.readouterr().out
    assert "EVD001 gone.md does not exist" in out
    assert f"hint: write ignore[{written.partition('ignore ')[2].upper()}] and the reason\n" in out


@pytest.mark.slow
def test_a_sentence_about_ignoring_is_no_comment_of_ours(repo: Repo) -> None:
    repo.stage("a.md", f"{HEAD}<!-- orchgate ignore lists are set elsewhere; orchgate ignores it -->\ntext\n")

    assert diagnostics() == []


@pytest.mark.slow
def test_a_rule_of_a_check_that_did_not_run_is_neither_unknown_nor_unused(repo: Repo) -> None:
    repo.stage("a.md", f"{HEAD}<!-- orchgate: ignore[DOC002] reason -->\ntext\n")

    assert diagnostics() == []


def test_a_rule_that_only_a_later_check_reports_is_not_unused(repo: Repo) -> None:
    repo.stage(".gitattributes", "*.md -diff\n")
    repo.stage("a.md", "<!-- orchgate: ignore[DIF002] generated -->\n# Title\n")

    assert ("DIF002", "warning", None, "generated") in diagnostics("diff-budget")


def test_the_order_of_checks_does_not_lose_a_comment(repo: Repo) -> None:
    repo.stage(".gitattributes", "*.md -diff\n")
    repo.stage("a.md", f"<!-- orchgate: ignore[DIF002] generated -->\n# Title\n\n{IGNORE}\n{LINK}\n")

    assert {reason is None for *_, reason in diagnostics("diff-budget", "evidence")} == {False}


@pytest.mark.slow
def test_a_document_of_the_packet_that_the_change_does_not_touch_is_left_alone(repo: Repo) -> None:
    checklist = f"# Checklist\n\n{IGNORE}\n- [x] done, Evidence: [gone](gone.md)\n"
    repo.commit(files={"docs/PRD-slug.md": "# PRD: Slug\n", "tasks/tasks-0001-slug.md": checklist})
    repo.stage("docs/PRD-slug.md", "# PRD: Slug\n\nMore.\n")

    assert [d for d in report("documents", "evidence")["diagnostics"] if d["rule"].startswith("SUP")] == []


def test_suppressions_are_counted(repo: Repo) -> None:
    repo.stage("a.md", f"{HEAD}{IGNORE}\n{LINK}\n{IGNORE}\n{LINK}\n")

    assert report()["checks"][-1]["examined"] == {"suppressions": 2}


def test_a_whole_file_finding_is_suppressed_before_the_first_heading(repo: Repo) -> None:
    repo.stage("docs/PRD-slug.md", "<!-- orchgate: ignore[DOC001] a spike: no packet -->\n# PRD: Slug\n")

    assert {reason for rule, _, _, reason in diagnostics("documents") if rule == "DOC001"} == {"a spike: no packet"}


@pytest.mark.slow
def test_a_complaint_can_be_configured_like_any_rule(repo: Repo) -> None:
    repo.stage("orchgate.toml", "[severity]\nSUP002 = 'off'\n")
    repo.stage("a.md", f"{HEAD}{IGNORE}\ntext\n")

    assert diagnostics() == [("SUP002", "warning", 3, "severity.SUP002 is off")]


@pytest.mark.slow
def test_a_complaint_can_be_ignored_by_file(repo: Repo) -> None:
    repo.stage("orchgate.toml", "[per-file-ignores]\n'a.md' = { rules = ['SUP001'], reason = 'shows how not to' }\n")
    repo.stage("a.md", f"{HEAD}<!-- orchgate: ignore[EVD001] -->\ntext\n")

    assert diagnostics() == [("SUP001", "error", 3, "shows how not to")]


# Ignores of the configuration


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "suppressed"),
    [("old/**", True), ("**/*.md", True), ("old/", True), ("{old,new}/*.md", True), ("*.md", False), ("old", False)],
)
def test_per_file_ignores_match_whole_paths(repo: Repo, pattern: str, suppressed: bool) -> None:
    repo.stage("orchgate.toml", f"[per-file-ignores]\n'{pattern}' = {{ rules = ['EVD001'], reason = 'before' }}\n")
    repo.stage("old/a.md", f"# Title\n\n{LINK}\n")

    assert [reason for *_, reason in diagnostics()] == ["before" if suppressed else None]


@pytest.mark.slow
def test_per_file_ignores_touch_only_their_rules(repo: Repo) -> None:
    repo.stage("orchgate.toml", "[per-file-ignores]\n'**' = { rules = ['EVD002'], reason = 'before' }\n")
    repo.stage("a.md", f"# Title\n\n{LINK}\n")

    assert [reason for *_, reason in diagnostics()] == [None]


def test_no_ignores_shows_what_the_configuration_hides(repo: Repo) -> None:
    repo.stage("orchgate.toml", "[per-file-ignores]\n'**' = { rules = ['EVD001'], reason = 'before' }\n")
    repo.stage("a.md", f"# Title\n\n{LINK}\n")

    assert main(["check", "--staged", "evidence", "--no-ignores"]) == 1


def test_the_comment_gives_the_reason_where_both_would(repo: Repo) -> None:
    repo.stage("orchgate.toml", "[per-file-ignores]\n'**' = { rules = ['EVD001'], reason = 'before' }\n")
    repo.stage("a.md", f"{HEAD}{IGNORE}\n{LINK}\n")

    assert diagnostics() == [("EVD001", "error", 4, "the page moves next week")]


# Many of them


def judged(text: str, config: str = "") -> int:
    """How many findings a judgement of the text has, suppressed ones and those about the comments among them."""
    root = Path(tempfile.mkdtemp())
    try:
        write_tree(root, {"a.md": text, "orchgate.toml": config})
        checks = registry.checks(["evidence"])
        ctx = folder_context(root)
        return len(CheckRun(checks, {check.id: check for check in checks}, ctx, ignores=True).report().diagnostics)
    finally:
        shutil.rmtree(root)


MANY_COMMENTS: dict[str, Callable[[int], str]] = {
    "used": lambda n: (f"{IGNORE}\n{LINK}\n\n") * n,
    "unused": lambda n: f"{IGNORE}\n" * n,
    "without-reason": lambda n: "<!-- orchgate: ignore[EVD001] -->\n" * n,
    "of-many-rules": lambda n: f"<!-- orchgate: ignore[{','.join(f'EVD{at:05}' for at in range(n))}] r -->\n",
    "above-many-findings": lambda n: f"{IGNORE}\n{LINK * n}\n",
    "of-the-whole-file": lambda n: f"{IGNORE}\n" * n + "# Title\n\n" + f"{LINK}\n" * n,
}


@pytest.mark.slow
@pytest.mark.parametrize("text", MANY_COMMENTS.values(), ids=MANY_COMMENTS)
def test_judging_many_comments_is_no_more_work_for_each(text: Callable[[int], str]) -> None:
    assert growth(lambda number: judged(text(number)), 60, 4) < 1.3


@pytest.mark.slow
def test_ten_thousand_comments_are_judged_in_linear_time() -> None:
    with no_hang():
        judged(f"{IGNORE}\n" * 10_000)


@pytest.mark.slow
def test_a_comment_that_names_ten_thousand_rules_is_judged_in_linear_time() -> None:
    with no_hang():
        judged(MANY_COMMENTS["of-many-rules"](30_000))


@pytest.mark.slow
def test_entries_of_per_file_ignores_are_looked_up_and_not_compared() -> None:
    ignores = [Ignore((f"n{at}.md",), ("EVD001",), f"r{at}") for at in range(50_000)]
    configured = suppressions.Configured(ignores)

    with no_hang():
        reasons = [configured.reason(Finding("EVD001", Location(one.paths[0]), "m")) for one in ignores]
    assert reasons == [one.reason for one in ignores]


def test_an_entry_may_name_a_family_of_rules() -> None:
    configured = suppressions.Configured([Ignore(("a.md", "b.md"), ("EVD", "DOC001"), "r")])

    told = {rule: configured.reason(Finding(rule, Location("b.md"), "m")) for rule in ("EVD001", "DOC001", "DOC002")}

    assert told == {"EVD001": "r", "DOC001": "r", "DOC002": None}


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (("a.md", "*.md"), 0),
        (("*.md", "a.md"), 0),
        (("b.md", "a.md", "*.md"), 1),
        (("b*", "{a,b}.md", "a.md"), 1),
        (("!a.md",), None),
        (("a.md/", "b.md"), None),
        (("[ab].md", "a.md"), 0),
        (("A.md",), None),
    ],
)
def test_the_first_entry_that_matches_gives_the_reason(entries: tuple[str, ...], reason: int | None) -> None:
    ignores = [Ignore((entry,), ("EVD001",), str(turn)) for turn, entry in enumerate(entries)]

    told = suppressions.Configured(ignores).reason(Finding("EVD001", Location("a.md"), "m"))

    assert told == (None if reason is None else str(reason))
