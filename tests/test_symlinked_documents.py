"""A document that is a symbolic link is followed inside the tree, judged once, and named where it leads nowhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from tests.support import checked

if TYPE_CHECKING:
    from tests.repo import Repo

BROKEN = "# Note\n\n[a](gone.md)\n"
SOUND = "# Note\n\nText.\n"
PRD = "docs/PRD-demo.md"


def link(repo: Repo, path: str, target: str) -> None:
    full = repo.root / path
    full.parent.mkdir(parents=True, exist_ok=True)
    full.unlink(missing_ok=True)
    os.symlink(target, full)
    repo.git("add", "--", path)


def said(*args: str) -> list[tuple[str, str, str]]:
    return [(d["rule"], d["severity"], d["path"]) for d in checked(*args)["diagnostics"]]


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["--staged", "--all-files"])
@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("../elsewhere.md", "EVD004"),
        ("/etc/hostname", "EVD004"),
        ("missing.md", "EVD001"),
        ("docs", "EVD001"),
        (".", "EVD001"),
        ("..", "EVD004"),
        ("a.md", "EVD001"),
        (".git/config", "EVD001"),
        ("docs/../../x.md", "EVD004"),
        ("b.md/c.md", "EVD001"),
    ],
)
def test_a_link_that_leads_to_no_file_of_the_tree_is_refused(repo: Repo, scope: str, target: str, rule: str) -> None:
    repo.stage("docs/x.txt")
    repo.commit("start", {"a.md": SOUND, "b.md": SOUND})
    link(repo, "a.md", target)

    assert said(scope, "evidence") == [(rule, "error", "a.md")]


@pytest.mark.slow
def test_links_that_lead_in_a_circle_are_refused(repo: Repo) -> None:
    link(repo, "a.md", "b.md")
    link(repo, "b.md", "a.md")

    assert said("--staged", "evidence") == [("EVD001", "error", "a.md"), ("EVD001", "error", "b.md")]


@pytest.mark.slow
def test_a_very_long_link_is_named(repo: Repo) -> None:
    link(repo, "a.md", "x/" * 2000 + "y.md")

    assert said("--staged", "evidence") == [("EVD001", "error", "a.md")]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["CLAUDE.md", "./CLAUDE.md", "docs/guide.md", "docs/../CLAUDE.md", "docs/again.md"])
@pytest.mark.parametrize("scope", ["--staged", "--all-files"])
def test_a_link_to_a_sound_document_is_fine(repo: Repo, target: str, scope: str) -> None:
    repo.stage("CLAUDE.md", SOUND)
    repo.stage("docs/guide.md", SOUND)
    link(repo, "docs/again.md", "guide.md")
    link(repo, "AGENTS.md", target)

    assert main(["check", scope]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["--staged", "--all-files"])
def test_what_two_names_lead_to_is_reported_once(repo: Repo, scope: str) -> None:
    repo.stage("CLAUDE.md", BROKEN)
    link(repo, "AGENTS.md", "CLAUDE.md")
    link(repo, "docs/agents.md", "../AGENTS.md")

    assert said(scope, "evidence") == [("EVD001", "error", "CLAUDE.md")]


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["--staged", "--all-files"])
def test_what_is_no_document_by_its_name_is_judged_as_the_link(repo: Repo, scope: str) -> None:
    repo.stage("README", BROKEN)
    link(repo, "README.md", "README")

    assert said(scope, "evidence") == [("EVD001", "error", "README.md")]


@pytest.mark.slow
def test_what_is_excluded_is_judged_under_the_name_that_is_not(repo: Repo) -> None:
    repo.commit("start", {"orchgate.toml": "[evidence]\nexclude = ['old/']\n", "old/a.md": BROKEN})
    link(repo, "a.md", "old/a.md")

    assert said("--staged", "evidence") == [("EVD001", "error", "a.md")]


@pytest.mark.slow
def test_a_link_through_a_folder_that_is_a_link_is_followed(repo: Repo) -> None:
    repo.stage("real/x.txt", BROKEN)
    link(repo, "short", "real")
    link(repo, "a.md", "short/x.txt")

    assert said("--staged", "evidence") == [("EVD001", "error", "a.md")]


@pytest.mark.slow
def test_a_document_that_becomes_a_link_does_not_hide_what_it_says(repo: Repo) -> None:
    repo.commit("start", {"a.md": SOUND})
    repo.stage("hidden/a.txt", BROKEN)
    link(repo, "a.md", "hidden/a.txt")

    assert said("--staged", "evidence") == [("EVD001", "error", "a.md")]


@pytest.mark.slow
def test_taking_away_what_a_link_leads_to_is_the_fault_of_the_change(repo: Repo) -> None:
    repo.stage("real.md", SOUND)
    link(repo, "a.md", "real.md")
    repo.commit("start")
    repo.git("rm", "-q", "real.md")

    assert said("--staged", "evidence") == [("EVD001", "error", "a.md")]


@pytest.mark.slow
def test_a_link_that_led_nowhere_before_is_not_charged_to_another_change(repo: Repo) -> None:
    link(repo, "a.md", "nowhere.md")
    repo.commit("start", {"b.md": SOUND})
    repo.git("rm", "-q", "b.md")

    assert said("--staged", "evidence") == []


@pytest.mark.slow
def test_a_link_into_a_submodule_is_a_note(repo: Repo) -> None:
    head = repo.commit("start")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{head},lib")
    link(repo, "a.md", "lib/README.md")

    assert (said("--staged", "evidence"), main(["check", "--staged", "evidence"])) == ([("EVD001", "note", "a.md")], 0)


@pytest.mark.slow
def test_a_link_may_be_excluded(repo: Repo) -> None:
    repo.commit("start", {"orchgate.toml": "[evidence]\nexclude = ['a.md']\n"})
    link(repo, "a.md", "../b.md")

    assert said("--staged", "evidence") == []


@pytest.mark.slow
def test_an_anchor_in_a_document_behind_a_link_is_found(repo: Repo) -> None:
    repo.stage("real.md", "# Title\n\n## Here\n")
    link(repo, "link.md", "real.md")
    repo.stage("a.md", "[x](link.md#here) [y](link.md#gone)\n")

    assert [(d["rule"], d["column"]) for d in checked("--staged", "evidence")["diagnostics"]] == [("EVD013", 19)]


# Packets


def packet(repo: Repo) -> None:
    for path in (PRD, "docs/TECH_SPEC-demo.md", "docs/ACTION_PLAN-demo.md", "tasks/tasks-0001-demo.md"):
        repo.stage(path, SOUND)
    repo.stage("tasks/index.json", '{"items": [{"id": "0001", "slug": "demo", "status": "in progress"}]}')


def missing_sections(*args: str) -> set[str]:
    return {path for rule, _, path in said(*args, "documents") if rule == "DOC002"}


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["--staged", "--all-files"])
def test_a_required_document_behind_a_link_is_present(repo: Repo, scope: str) -> None:
    packet(repo)
    repo.stage("notes/prd.md", SOUND)
    link(repo, PRD, "../notes/prd.md")

    assert "DOC001" not in {rule for rule, *_ in said(scope, "documents")}


@pytest.mark.slow
def test_a_packet_document_behind_a_link_is_read(repo: Repo) -> None:
    packet(repo)
    titles = ("Summary", "Goals", "Non-Goals", "Metrics & Guardrails", "Approvals")
    repo.stage("notes/prd.md", "# PRD\n\n" + "".join(f"## {title}\n\nText.\n\n" for title in titles))
    link(repo, PRD, "../notes/prd.md")

    assert PRD not in missing_sections("--staged")


@pytest.mark.slow
def test_what_a_packet_document_leads_to_is_judged_when_it_changes(repo: Repo) -> None:
    packet(repo)
    repo.stage("notes/prd.md", SOUND)
    link(repo, PRD, "../notes/prd.md")
    repo.commit("start")
    repo.stage("notes/prd.md", SOUND + "more\n")

    assert PRD in missing_sections("--staged")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["../../out.md", "gone.md", "PRD-demo.md"])
def test_a_packet_document_that_leads_nowhere_cannot_be_checked(repo: Repo, target: str) -> None:
    packet(repo)
    link(repo, PRD, target)

    troubles = checked("--staged", "documents")["checks"][0]["troubles"]
    assert [trouble["path"] for trouble in troubles] == [PRD]


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["--staged", "--all-files"])
def test_a_checklist_behind_a_link_is_held_to_its_claims(repo: Repo, scope: str) -> None:
    packet(repo)
    repo.stage("notes/list.md", "# List\n\n- [x] it passes\n")
    link(repo, "tasks/tasks-0001-demo.md", "../notes/list.md")

    assert [(r, p) for r, _, p in said(scope, "evidence")] == [("EVD005", "tasks/tasks-0001-demo.md")]


@pytest.mark.slow
def test_the_commands_of_a_plan_behind_a_link_are_checked(repo: Repo) -> None:
    packet(repo)
    repo.stage("notes/plan.md", "# Plan\n\n## Steps\n\n```sh\ngit commit\n```\n")
    link(repo, "docs/ACTION_PLAN-demo.md", "../notes/plan.md")

    assert said("--staged", "commands") == [("CMD001", "error", "docs/ACTION_PLAN-demo.md")]


@pytest.mark.slow
def test_a_comment_in_what_two_names_lead_to_is_not_called_useless(repo: Repo) -> None:
    packet(repo)
    repo.stage("docs/PRD-other.md", SOUND + "\n<!-- orchgate: ignore[EVD001] later -->\n[a](gone.md)\n")
    link(repo, PRD, "PRD-other.md")

    assert "SUP002" not in {rule for rule, *_ in said("--all-files", "documents", "evidence")}
