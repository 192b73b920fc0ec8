"""What was there before a change is counted, and not charged to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cli import main
from orchgate.gate import documents
from orchgate.gate.whole import whole_tree
from tests.support import checked

if TYPE_CHECKING:
    from tests.repo import Repo

HUB = "docs/hub.md"
GONE = "".join(f"- [gone {number}](gone-{number}.md)\n" for number in range(5))
CHECKLIST = "tasks/tasks-0001-demo.md"
TICKED = "# Checklist\n\n- [x] {0}\n"
DUPLICATE = "# Notes\n\n## Log\n\na\n\n## Log\n\nb\n"


def charged(report: dict[str, Any]) -> list[str]:
    return [
        f"{one['rule']} {one['path']}: {one['message']}"
        for one in report["diagnostics"]
        if one["suppressed"] is None and not one["older"] and one["rule"] not in ("DOC001", "DOC002")
    ]


def older(report: dict[str, Any]) -> int:
    return sum(one["older"] for one in report["diagnostics"])


@pytest.fixture
def hub(repo: Repo) -> Repo:
    """A repository with five dead links in a document."""
    repo.commit(files={HUB: GONE, "docs/here.md": "# Here\n\n## Part\n\n[hub](hub.md)\n"})
    return repo


def test_a_clean_line_in_a_document_with_dead_links_lands(hub: Repo) -> None:
    hub.stage(HUB, GONE + "- a clean line\n")

    report = checked("--staged")

    assert (report["verdict"], charged(report), older(report)) == ("pass", [], 5)


def test_a_dead_link_beside_older_ones_is_the_only_one_that_is_charged(hub: Repo) -> None:
    hub.stage(HUB, "- [new](new.md)\n" + GONE)

    report = checked("--staged")

    assert (report["verdict"], older(report)) == ("fail", 5)
    assert charged(report) == ["EVD001 docs/hub.md: new.md does not exist in docs/"]


def test_strict_charges_everything(hub: Repo) -> None:
    hub.stage(HUB, GONE + "- a clean line\n")

    report = checked("--staged", "--strict")

    assert (report["verdict"], len(charged(report)), older(report)) == ("fail", 5, 0)


@pytest.mark.slow
def test_a_renamed_document_keeps_its_older_findings(hub: Repo) -> None:
    hub.git("mv", HUB, "docs/center.md")

    report = checked("--staged")

    # What the change breaks in the document that links to it is its own.
    assert (charged(report), older(report)) == (["EVD001 docs/here.md: hub.md does not exist in docs/"], 5)


@pytest.mark.slow
def test_a_renamed_and_edited_document_is_charged_for_the_edit(hub: Repo) -> None:
    hub.git("mv", HUB, "docs/center.md")
    hub.stage("docs/center.md", GONE + "- [new](new.md)\n")
    hub.stage("docs/here.md", "# Here\n")

    report = checked("--staged")

    assert (charged(report), older(report)) == (["EVD001 docs/center.md: new.md does not exist in docs/"], 5)


@pytest.mark.slow
def test_a_moved_paragraph_is_older(hub: Repo) -> None:
    first, *others = GONE.splitlines(keepends=True)
    hub.stage(HUB, "# Hub\n\n" + "".join(others) + "\nA paragraph.\n\n" + first)

    assert charged(checked("--staged")) == []


def test_what_moves_to_another_document_of_the_change_is_older(hub: Repo) -> None:
    first, *rest = GONE.splitlines(keepends=True)
    hub.stage("docs/other.md", "# Other\n\n" + first + "- [new](new.md)\n")
    hub.stage(HUB, "".join(rest))

    report = checked("--staged")

    assert (charged(report), older(report)) == (["EVD001 docs/other.md: new.md does not exist in docs/"], 5)


@pytest.mark.slow
def test_a_document_that_is_split_keeps_its_older_findings(hub: Repo) -> None:
    first, *rest = GONE.splitlines(keepends=True)
    hub.stage("docs/here.md", "# Here\n\n## Part\n")
    hub.git("rm", "--quiet", "--cached", HUB)
    hub.stage("docs/one.md", "# One\n\nMuch that was not there.\n\n" + first)
    hub.stage("docs/two.md", "# Two\n\n" + "".join(reversed(rest)))

    report = checked("--staged")

    assert (charged(report), older(report)) == ([], 5)


@pytest.mark.slow
def test_a_section_that_is_doubled_in_another_document_is_new(repo: Repo) -> None:
    one, two = "docs/PRD-one.md", "docs/PRD-two.md"
    repo.commit(files={one: DUPLICATE, two: "# Two\n"})
    repo.stage(one, "# One\n")
    repo.stage(two, DUPLICATE)

    assert any(line.startswith(f"DOC008 {two}") for line in charged(checked("--staged")))


def test_a_doubled_fault_is_new_once(hub: Repo) -> None:
    hub.stage(HUB, GONE + "- again: [gone](gone-3.md)\n- and again: [gone](gone-3.md)\n")

    report = checked("--staged")

    assert charged(report) == ["EVD001 docs/hub.md: gone-3.md does not exist in docs/"] * 2
    assert [one["line"] for one in report["diagnostics"] if not one["older"]] == [6, 7]


def test_a_fault_for_another_of_the_same_kind_is_new(hub: Repo) -> None:
    hub.stage(HUB, GONE.replace("gone-2", "new"))

    report = checked("--staged")

    assert (charged(report), older(report)) == (["EVD001 docs/hub.md: new.md does not exist in docs/"], 4)


def test_a_ticked_item_for_another_one_is_new(repo: Repo) -> None:
    repo.commit(files={CHECKLIST: TICKED.format("The tests pass")})
    repo.stage(CHECKLIST, TICKED.format("The build is green"))

    assert charged(checked("--staged")) == [f"EVD005 {CHECKLIST}: ticked without naming evidence"]


def test_a_copied_document_doubles_its_faults(hub: Repo) -> None:
    hub.stage("docs/copy.md", GONE)

    assert len(charged(checked("--staged"))) == 5


@pytest.mark.slow
def test_a_line_that_moves_to_another_document_takes_its_fault_along(hub: Repo) -> None:
    first, *others = GONE.splitlines(keepends=True)
    hub.stage(HUB, "".join(others))
    hub.stage("docs/here.md", "# Here\n\n## Part\n\n[hub](hub.md)\n" + first)
    once = charged(checked("--staged"))
    hub.stage("docs/copy.md", first)

    assert (once, len(charged(checked("--staged")))) == ([], 1)


@pytest.mark.slow
def test_documents_that_swap_names_keep_their_faults(hub: Repo) -> None:
    other = GONE.replace("gone", "lost")
    hub.commit(files={"docs/other.md": other})
    hub.stage(HUB, other)
    hub.stage("docs/other.md", GONE)

    report = checked("--staged")

    assert (charged(report), older(report)) == ([], 10)


@pytest.mark.slow
def test_a_fault_that_was_fixed_here_excuses_none_of_the_same_words_there(hub: Repo) -> None:
    """The link stays, and its target is written: nothing moved."""
    hub.stage("docs/gone-0.md", "# There\n")
    hub.stage(HUB, GONE + "\nmore\n")
    hub.stage("lib/notes.md", "[gone](gone-0.md)\n")

    assert charged(checked("--staged")) == ["EVD001 lib/notes.md: gone-0.md does not exist in lib/"]


def test_a_copy_is_new_where_the_original_is_ignored_from_now_on(hub: Repo) -> None:
    ignored = "<!-- orchgate: ignore[EVD001] it comes back -->\n[gone](gone-0.md)\n\n"
    hub.stage(HUB, ignored + GONE.partition("\n")[2])
    hub.stage("docs/copy.md", "[gone](gone-0.md)\n")

    assert charged(checked("--staged")) == ["EVD001 docs/copy.md: gone-0.md does not exist in docs/"]


@pytest.mark.slow
def test_a_command_that_moves_to_another_plan_is_older(repo: Repo) -> None:
    plan = "# Plan\n\n## Concrete Steps\n\n```bash\nmake gone\n```\n"
    repo.commit(files={"Makefile": "here:\n\ttrue\n", "docs/ACTION_PLAN-x.md": plan, "docs/ACTION_PLAN-y.md": "# Y\n"})
    repo.stage("docs/ACTION_PLAN-x.md", plan.replace("make gone", "make here"))
    repo.stage("docs/ACTION_PLAN-y.md", plan.replace("# Plan", "# Y"))

    assert charged(checked("commands", "--staged")) == []


def test_other_documents_are_looked_at_only_where_something_is_new(hub: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchgate.gate import older as module

    monkeypatch.delattr(module, "_Texts")
    hub.stage(HUB, GONE + "- a clean line\n")

    assert checked("--staged")["verdict"] == "pass"


def test_a_deleted_target_is_charged_where_it_was_linked(hub: Repo) -> None:
    hub.commit(files={HUB: GONE + "[here](here.md)\n"})
    hub.git("rm", "--quiet", "docs/here.md")

    assert charged(checked("--staged")) == ["EVD001 docs/hub.md: here.md does not exist in docs/"]


@pytest.mark.slow
def test_a_deleted_anchor_is_charged(hub: Repo) -> None:
    hub.commit(files={HUB: GONE + "[part](here.md#part)\n"})
    hub.stage("docs/here.md", "# Here\n")
    hub.stage(HUB, GONE + "[part](here.md#part)\n\nmore\n")

    report = checked("--staged")

    assert charged(report) == ["EVD013 docs/hub.md: here.md#part: docs/here.md has no heading or anchor #part"]


@pytest.mark.slow
def test_a_section_that_was_there_twice_may_not_be_there_three_times(repo: Repo) -> None:
    path = "docs/PRD-x.md"
    repo.commit(files={path: DUPLICATE})
    repo.stage(path, "# Notes\n\nMore.\n" + DUPLICATE.removeprefix("# Notes\n"))
    before = charged(checked("documents", "--staged"))
    repo.stage(path, DUPLICATE + "\n## Log\n\nc\n")

    assert (before, len(charged(checked("documents", "--staged")))) == ([], 1)


def test_fewer_of_a_doubled_section_are_older(repo: Repo) -> None:
    path = "docs/PRD-x.md"
    repo.commit(files={path: DUPLICATE + "\n## Log\n\nc\n"})
    repo.stage(path, DUPLICATE)

    assert charged(checked("documents", "--staged")) == []


def test_what_weighs_more_than_it_did_is_new(repo: Repo) -> None:
    """All boxes of its packet are ticked by this change: then the item without evidence is refused."""
    repo.commit(files={CHECKLIST: TICKED.format("The tests pass") + "- [ ] `docs/here.md` is written\n"})
    repo.stage(CHECKLIST, TICKED.format("The tests pass") + "- [x] `docs/here.md` is written\n")

    report = checked("evidence", "--staged")

    assert [one["rule"] for one in report["diagnostics"] if not one["older"]][:1] == ["EVD005"]


def test_whoever_edits_a_document_reviews_it(repo: Repo) -> None:
    """An overdue review is older as long as nobody edits the document: whose edit asks for it."""
    path = "docs/PRD-x.md"
    overdue = "---\nlast_review: 2001-01-01\n---\n# PRD\n"
    repo.commit(files={path: overdue})
    repo.stage(path, overdue + "\nmore\n")

    assert "DOC007" in [one["rule"] for one in checked("documents", "--staged")["diagnostics"] if not one["older"]]


def test_an_incomplete_packet_may_grow(repo: Repo) -> None:
    """It lacks a TECH_SPEC before and after; its first document is a new one."""
    repo.commit(files={"docs/ACTION_PLAN-x.md": "# Plan\n"})
    repo.stage("docs/PRD-x.md", "# PRD\n")

    report = checked("documents", "--staged")
    incomplete = [one for one in report["diagnostics"] if one["rule"] == "DOC001"]

    assert incomplete != []
    assert all(one["older"] for one in incomplete)


@pytest.mark.slow
def test_whoever_goes_on_with_an_incomplete_packet_is_asked_for_what_lacks(repo: Repo) -> None:
    repo.commit(files={"docs/PRD-x.md": "# PRD\n"})
    repo.stage("docs/PRD-x.md", "# PRD\n\nmore\n")

    rules = {(one["rule"], one["older"]) for one in checked("documents", "--staged")["diagnostics"]}

    assert rules == {("DOC001", False), ("DOC002", True)}


@pytest.mark.slow
def test_a_suppression_that_is_taken_back_leaves_a_new_finding(repo: Repo) -> None:
    link = "[gone](gone.md)\n"
    repo.commit(files={HUB: f"<!-- orchgate: ignore[EVD001] it moves -->\n{link}"})
    repo.stage(HUB, link)

    assert charged(checked("--staged")) == ["EVD001 docs/hub.md: gone.md does not exist in docs/"]


def test_everything_of_a_first_commit_is_new(repo: Repo) -> None:
    repo.stage(HUB, GONE)

    assert len(charged(checked("--staged"))) == 5


@pytest.mark.slow
def test_an_amended_commit_is_charged_for_what_it_adds_to_itself(hub: Repo) -> None:
    hub.commit(files={HUB: GONE + "[new](new.md)\n"})

    assert charged(checked("--commit", "HEAD")) == ["EVD001 docs/hub.md: new.md does not exist in docs/"]


@pytest.mark.slow
def test_a_branch_is_compared_with_where_it_left(hub: Repo) -> None:
    hub.git("checkout", "--quiet", "-b", "work")
    hub.commit(files={HUB: GONE + "[new](new.md)\n"})
    hub.commit(files={HUB: GONE + "[new](new.md)\n\nmore\n"})

    report = checked("--base", "main", "--head", "work")

    assert (charged(report), older(report)) == (["EVD001 docs/hub.md: new.md does not exist in docs/"], 5)


@pytest.mark.slow
def test_the_whole_tree_is_compared_with_the_base(hub: Repo) -> None:
    hub.git("checkout", "--quiet", "-b", "work")
    hub.commit(files={"docs/other.md": "[new](new.md)\n"})

    report = checked("--all-files")

    assert (charged(report), older(report)) == (["EVD001 docs/other.md: new.md does not exist in docs/"], 5)


@pytest.mark.slow
def test_what_both_sides_of_a_merge_had_is_older(hub: Repo) -> None:
    hub.git("checkout", "--quiet", "-b", "side")
    hub.commit(files={HUB: "[side](side.md)\n" + GONE})
    hub.git("checkout", "--quiet", "main")
    hub.commit(files={HUB: GONE + "[main](main.md)\n"})
    hub.git("merge", "--quiet", "--no-commit", "side")
    hub.stage(HUB, "[side](side.md)\n" + GONE + "[main](main.md)\n\n[both](both.md)\n")

    assert charged(checked("--staged")) == ["EVD001 docs/hub.md: both.md does not exist in docs/"]


@pytest.mark.slow
def test_a_document_that_was_left_in_conflict_is_compared_as_it_was(hub: Repo) -> None:
    hub.commit(files={HUB: "<<<<<<< ours\n" + GONE + "=======\n" + GONE + ">>>>>>> theirs\n"})
    hub.stage(HUB, GONE + "\nresolved\n")

    assert charged(checked("--staged")) == []


@pytest.mark.slow
def test_an_older_finding_does_not_count_as_refused_by_the_old_limits(hub: Repo) -> None:
    """CFG001 is an error only where the change itself holds what the old limits refuse."""
    hub.commit(files={"orchgate.toml": ""})
    hub.stage("orchgate.toml", '[severity]\nEVD001 = "off"\n')
    hub.stage(HUB, GONE + "clean\n")
    honest = checked("--staged")
    hub.stage(HUB, GONE + "[new](new.md)\n")

    assert (honest["verdict"], checked("--staged")["verdict"]) == ("warn", "fail")


@pytest.mark.slow
def test_a_tightened_configuration_charges_nobody_for_old_text(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": '[severity]\nEVD001 = "off"\n', HUB: GONE})
    repo.commit(files={"orchgate.toml": ""})
    repo.stage(HUB, GONE + "clean\n")

    report = checked("--staged")

    assert (report["verdict"], older(report)) == ("pass", 5)


def test_a_document_that_was_too_large_to_be_read_excuses_nothing(
    hub: Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.commit(files={HUB: GONE + "." * 200})
    hub.stage(HUB, GONE)
    monkeypatch.setattr(documents, "MAX_BYTES", 200)

    code = main(["check", "--staged"])

    printed = capsys.readouterr().out
    assert (code, printed.count("EVD001")) == (1, 6)
    assert "docs/hub.md:1:1: not compared with the base (is larger than 200 bytes" in printed


def test_a_base_that_is_not_here_is_no_pass(hub: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    oid = hub.git("rev-parse", f"HEAD:{HUB}")
    hub.stage(HUB, GONE + "clean\n")
    (hub.root / ".git" / "objects" / oid[:2] / oid[2:]).unlink()

    assert main(["check", "--staged"]) == 3
    assert "hint: objects are missing here" in capsys.readouterr().err


def test_a_clean_change_is_compared_with_nothing(hub: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchgate.gate import older as module

    monkeypatch.delattr(module, "Comparison")
    hub.stage("docs/clean.md", "# Clean\n")

    assert checked("--staged")["verdict"] == "pass"


def test_the_summary_counts_what_is_older(hub: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    hub.stage(HUB, GONE + "- a clean line\n")

    main(["check", "--staged"])

    assert "5 older findings" in capsys.readouterr().out


@pytest.mark.slow
def test_ignores_that_are_shown_are_shown_on_both_sides(repo: Repo) -> None:
    text = "<!-- orchgate: ignore[EVD001] it moves -->\n[gone](gone.md)\n"
    repo.commit(files={HUB: text})
    repo.stage(HUB, text + "\nclean\n")

    report = checked("--staged", "--no-ignores")

    assert (charged(report), older(report)) == ([], 1)


RUN = ".runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47/manifest.json"
CITED = f"# Notes\n\nA run: `{RUN}`\n"


def of_manifests(repo: Repo) -> list[tuple[str, bool]]:
    return [(one["rule"], one["older"]) for one in checked("manifests", "--staged")["diagnostics"]]


@pytest.mark.slow
def test_a_manifest_that_the_change_adds_was_not_in_the_base_by_being_on_disk(repo: Repo) -> None:
    repo.commit(files={"docs/notes.md": "# Notes\n"})
    repo.write(RUN, "{}")
    repo.stage(RUN, "{}")
    alone = of_manifests(repo)
    repo.stage("docs/notes.md", CITED)
    cited = of_manifests(repo)

    assert (alone, cited) == ([("MAN002", False)], [("MAN002", False)])


def test_a_manifest_that_was_cited_before_is_older(repo: Repo) -> None:
    repo.commit(files={RUN: "{}", "docs/notes.md": CITED})
    repo.stage("docs/notes.md", CITED + "\nmore\n")

    assert of_manifests(repo) == [("MAN002", True)]


@pytest.mark.slow
def test_a_manifest_that_is_cited_anew_is_the_change_s(repo: Repo) -> None:
    repo.commit(files={RUN: "{}", "docs/notes.md": "# Notes\n"})
    repo.stage("docs/notes.md", CITED)

    assert of_manifests(repo) == [("MAN002", False)]


@pytest.mark.slow
def test_a_manifest_that_is_edited_is_compared_with_what_it_was(repo: Repo) -> None:
    repo.commit(files={RUN: "{}"})
    repo.stage(RUN, "{ }")
    same = of_manifests(repo)
    repo.stage(RUN, "{")

    assert (same, of_manifests(repo)) == ([("MAN002", True)], [("MAN001", False)])


@pytest.mark.slow
def test_a_command_that_named_nothing_before_is_older(repo: Repo) -> None:
    plan = "# Plan\n\n## Concrete Steps\n\n```bash\nmake gone\n```\n"
    repo.commit(files={"Makefile": "here:\n\ttrue\n", "docs/ACTION_PLAN-x.md": plan})
    repo.stage("docs/ACTION_PLAN-x.md", plan + "\nmore\n")
    before = charged(checked("commands", "--staged"))
    repo.stage("docs/ACTION_PLAN-x.md", plan.replace("make gone", "make gone\nmake here"))
    repo.stage("Makefile", "there:\n\ttrue\n")

    assert (before, len(charged(checked("commands", "--staged")))) == ([], 1)


@pytest.mark.slow
def test_a_task_list_that_moves_is_looked_for_where_it_was(repo: Repo) -> None:
    index = '[{"id": "0001", "slug": "demo", "status": "done", "path": "tasks/tasks-0001-demo.md"}]\n'
    text = TICKED.format("The tests pass") + "- [ ] more\n"
    repo.commit(files={"orchgate.toml": "", "tasks/index.json": index, CHECKLIST: text})
    repo.git("mv", "tasks/index.json", "tasks/list.json")
    repo.stage("orchgate.toml", 'documents.task-index = "tasks/list.json"\n')
    repo.stage(CHECKLIST, text + "- [ ] and more\n")

    assert charged(checked("evidence", "--staged")) == []


@pytest.mark.slow
def test_a_large_tree_that_two_processes_judge_is_compared_too(hub: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_tree, "MANY_FILES", 1)
    monkeypatch.setattr(whole_tree, "cores", lambda: 2)
    hub.git("checkout", "--quiet", "-b", "work")
    hub.commit(files={HUB: GONE + "[new](new.md)\n"})

    report = checked("--all-files")

    assert (charged(report), older(report)) == (["EVD001 docs/hub.md: new.md does not exist in docs/"], 5)


def test_a_hook_may_be_strict(hub: Repo) -> None:
    hub.stage(HUB, GONE + "clean\n")

    assert (main(["hook", "pre-commit"]), main(["hook", "pre-commit", "--strict"])) == (0, 1)


@pytest.mark.slow
def test_ten_thousand_old_faults_of_one_kind_excuse_as_many() -> None:
    from orchgate.gate.suppressions import EarlierFaults, Fault

    fault = Fault("EVD001", (HUB, "docs/other.md"), "gone.md", 2)
    earlier = EarlierFaults([fault] * 10_000)

    assert [earlier.excuse([fault]) for _ in range(10_001)].count(True) == 10_000
    assert earlier.left == 0
    assert not earlier.excuse([fault])
