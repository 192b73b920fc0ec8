"""EVD012: a claim that a change adds is about the tree that lands, or says that it is about the one before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cli import main
from orchgate.gate import session
from orchgate.git.state import MOST, PendingStatus
from orchgate.runs.ids import new_run_id
from tests.journals import recorded
from tests.manifest_samples import january, own
from tests.repo import clone
from tests.support import checked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchgate.git.state import WorkTreeState
    from tests.repo import Repo

TASK = "0001-demo"
CHECKLIST = f"tasks/tasks-{TASK}.md"
TICKED = "- [x] Tests pass. Evidence: `{}`\n"


def state_of(repo: Repo) -> WorkTreeState:
    with session.opened() as repository, PendingStatus(repository, contents=True) as question:
        pass
    found = question.answer((".runs",))
    assert found is not None
    return found


class Story:
    """A packet, some code, and runs recorded on whatever lies in the work tree."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self._runs = 0
        files = {".gitignore": "/.runs/\nignored\n", "src/a.py": "x = 1\n", "lib/b.py": "y = 1\n"}
        repo.commit(files={**files, "docs/PRD-demo.md": "# PRD\n", CHECKLIST: "# Checklist\n"})

    def record(self, *, task: str = TASK, **changed: Any) -> str:
        """A run of what the work tree holds now; the path of its manifest."""
        self._runs += 1
        run_id = new_run_id(1_767_700_000 + self._runs)
        changed = {"git": state_of(self.repo)._asdict(), "pipeline_id": "tests"} | changed
        for name, data in recorded(own(task_id=task, run_id=run_id, **changed)).items():
            self.repo.write(f".runs/{task}/cli/{run_id}/{name}", data)
        for name in ("01-compile", "02-test"):
            self.repo.write(f".runs/{task}/cli/{run_id}/stages/{name}.log", "ok\n")
        return f".runs/{task}/cli/{run_id}/manifest.json"

    def claim(self, run: str, text: str = TICKED, path: str = CHECKLIST) -> None:
        """Adds a claim to a document and stages it."""
        full = self.repo.root / path
        self.repo.stage(path, (full.read_text() if full.exists() else "") + text.format(run))

    def said(self, *args: str) -> list[tuple[str, str]]:
        """Severity and message of each EVD012."""
        report = checked("evidence", *(args or ("--staged",)))
        assert all(one["rule"] == "EVD012" for one in report["diagnostics"]), report["diagnostics"]
        return [(one["severity"], one["message"]) for one in report["diagnostics"]]

    def severities(self, *args: str) -> list[str]:
        return [severity for severity, _ in self.said(*args)]


@pytest.fixture
def story(repo: Repo) -> Story:
    return Story(repo)


def move_submodule(story: Story, new_repo: Callable[[str], Repo]) -> None:
    """A submodule `sub` that is committed, and then on a commit of its own."""
    inner = new_repo("inner")
    inner.commit("inner", {"inner.txt": "a\n"})
    story.repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.root), "sub")
    story.repo.commit("with a submodule")
    story.repo.git("-C", "sub", "commit", "-q", "--allow-empty", "-m", "next")


# The tree that lands


def test_a_run_of_what_lands_is_fine(story: Story) -> None:
    story.claim(story.record())

    assert story.said() == []


@pytest.mark.slow
def test_a_run_on_changes_that_are_committed_with_the_claim_is_fine(story: Story) -> None:
    story.repo.write("src/a.py", "x = 2\n")
    story.repo.write("src/new.py", "z = 1\n")
    (story.repo.root / "lib/b.py").unlink()
    story.claim(story.record())
    story.repo.git("add", "--all")

    assert story.said() == []


@pytest.mark.slow
def test_documents_and_artifacts_may_change_after_the_run(story: Story) -> None:
    run = story.record()
    story.repo.stage("docs/more.md", "# More\n")
    story.claim(run)
    main(["evidence", "pin"])
    story.repo.git("add", ".orchgate")

    assert story.said() == []


@pytest.mark.slow
def test_a_run_of_older_code_is_refused_and_what_differs_is_listed(story: Story) -> None:
    run = story.record()
    story.repo.stage("src/a.py", "x = broken(\n")
    story.repo.stage("src/c.py")
    story.claim(run)

    assert story.said() == [
        ("error", f"{run} is a run of another tree than the tree that lands: src/a.py, src/c.py differ")
    ]


@pytest.mark.slow
def test_a_run_of_older_code_is_refused_when_only_the_claim_is_committed(story: Story) -> None:
    run = story.record()
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.claim(run)

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_a_run_on_changes_that_were_left_out_is_refused(story: Story) -> None:
    story.repo.write("src/a.py", "x = 2\n")
    run = story.record()
    story.repo.git("checkout", "--quiet", "src/a.py")
    story.claim(run)

    assert story.severities() == ["error"]


def test_a_deletion_that_was_left_out_is_refused(story: Story) -> None:
    (story.repo.root / "lib/b.py").unlink()
    run = story.record()
    story.repo.git("checkout", "--quiet", "lib/b.py")
    story.claim(run)

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_a_staged_change_that_the_work_tree_took_back_is_no_difference(story: Story) -> None:
    story.repo.stage("src/a.py", "x = 2\n")
    story.repo.write("src/a.py", "x = 1\n")
    run = story.record()
    story.repo.git("add", "src/a.py")
    story.claim(run)

    assert story.said() == []


def test_a_file_that_became_executable_counts(story: Story) -> None:
    run = story.record()
    story.repo.git("update-index", "--chmod=+x", "src/a.py")
    story.claim(run)

    assert story.severities() == ["error"]


@pytest.mark.slow
@pytest.mark.parametrize("staged", [True, False])
def test_a_submodule_on_another_commit_is_fine_when_that_lands(
    story: Story, new_repo: Callable[[str], Repo], staged: bool
) -> None:
    move_submodule(story, new_repo)
    if staged:
        story.repo.git("add", "sub")
    story.claim(story.record())
    story.repo.git("add", "sub")

    assert story.said() == []


@pytest.mark.slow
def test_a_submodule_that_moved_and_stays_behind_is_refused(story: Story, new_repo: Callable[[str], Repo]) -> None:
    move_submodule(story, new_repo)
    story.claim(story.record())

    assert story.severities() == ["error"]


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["none", "dirty", "all"])
def test_a_submodule_with_changes_inside_is_refused(
    story: Story, new_repo: Callable[[str], Repo], setting: str
) -> None:
    move_submodule(story, new_repo)
    story.repo.git("config", "submodule.sub.ignore", setting)
    story.repo.write("sub/inner.txt", "changed\n")
    story.claim(story.record())
    story.repo.git("add", "sub")

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_files_that_only_lay_there_are_a_warning(story: Story) -> None:
    story.repo.write("helper.py")
    run = story.record()
    story.claim(run)

    assert story.said() == [("warning", f"{run} ran beside files that the tree that lands does not have: helper.py")]


@pytest.mark.slow
def test_files_that_git_ignores_do_not_count(story: Story) -> None:
    story.repo.write("ignored")
    story.claim(story.record())

    assert story.said() == []


@pytest.mark.slow
def test_an_untracked_file_that_lands_as_another_is_refused(story: Story) -> None:
    story.repo.write("helper.py", "one\n")
    run = story.record()
    story.repo.stage("helper.py", "two\n")
    story.claim(run)

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_very_many_uncommitted_files_cannot_be_compared(story: Story) -> None:
    for number in range(MOST + 1):
        story.repo.write(f"many/{number}")
    story.repo.git("add", "many")
    story.claim(story.record())

    assert story.said()[0][0] == "error"
    assert "more uncommitted changes than its manifest names" in story.said()[0][1]


@pytest.mark.slow
def test_odd_names_are_compared_like_others(story: Story) -> None:
    for name in (b"src/n\xe9.py", "src/é ü.py".encode(), b"src/a\nb.py", b"src/-"):
        story.repo.write(name)
    (story.repo.root / "src/link").symlink_to("a.py")
    run = story.record()
    story.repo.git("add", "--all")
    story.claim(run)

    assert story.said() == []


def test_a_run_of_a_tree_that_is_not_here_is_refused(story: Story) -> None:
    run = story.record(git={"commit": "a" * 40, "tree": "a" * 40, "dirty": False, "changed": {}, "untracked": {}})
    story.claim(run)

    assert story.said() == [("error", f"{run} is a run of tree aaaaaaaaaaaa, which is not in this repository")]


@pytest.mark.slow
def test_a_clone_that_is_cut_off_cannot_tell(story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = story.record()
    story.repo.commit(files={"docs/x.md": "# X\n"})
    story.claim(run)
    story.repo.git("add", "--force", ".runs")
    story.repo.commit("cited")
    shallow = clone(story.repo, tmp_path / "shallow", "--depth=2", "--no-local", "--no-single-branch")
    monkeypatch.chdir(shallow.root)

    report = checked("evidence", "--commit", "HEAD")

    assert report["verdict"] == "broken"
    assert "--unshallow" in report["checks"][0]["troubles"][0]["hint"]


@pytest.mark.slow
def test_a_run_outside_of_git_is_refused(story: Story) -> None:
    run = story.record(git=None)
    story.claim(run)

    assert story.said() == [("error", f"{run} ran outside of git, so that nobody knows of what")]


@pytest.mark.slow
def test_a_run_that_did_not_record_its_changes_is_refused(story: Story) -> None:
    state = state_of(story.repo)._asdict()
    run = story.record(git={key: state[key] for key in ("commit", "tree")} | {"dirty": True})
    story.claim(run)

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_a_run_before_the_first_commit_is_held_against_what_it_saw(repo: Repo) -> None:
    for path, text in {".gitignore": "/.runs/\n", "a.py": "x\n", "docs/PRD-demo.md": "# PRD\n"}.items():
        repo.stage(path, text)
    story = Story.__new__(Story)
    story.repo, story._runs = repo, 0
    run = story.record()
    story.claim(run)
    fine = story.said()
    repo.stage("a.py", "y\n")

    assert (fine, story.severities()) == ([], ["error"])


# What the pipeline depends on

INPUTS = """
[[pipelines.tests.stages]]
id = "a"
run = ["true"]
inputs = ["src/**"]
"""


@pytest.mark.slow
def test_what_a_pipeline_does_not_depend_on_may_change(story: Story) -> None:
    story.repo.commit(files={"orchgate.toml": INPUTS})
    run = story.record()
    story.repo.stage("lib/b.py", "y = 2\n")
    story.claim(run)

    assert story.said() == []


@pytest.mark.slow
def test_what_a_pipeline_depends_on_may_not(story: Story) -> None:
    story.repo.commit(files={"orchgate.toml": INPUTS})
    run = story.record()
    story.repo.stage("src/a.py", "x = 2\n")
    story.claim(run)

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_one_stage_without_inputs_depends_on_everything(story: Story) -> None:
    story.repo.commit(files={"orchgate.toml": INPUTS + '[[pipelines.tests.stages]]\nid = "b"\nrun = ["true"]\n'})
    run = story.record()
    story.repo.stage("lib/b.py", "y = 2\n")
    story.claim(run)

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_inputs_of_a_sub_pipeline_count(story: Story) -> None:
    outer = '[[pipelines.all.stages]]\nid = "t"\npipeline = "tests"\n'
    story.repo.commit(files={"orchgate.toml": INPUTS + outer})
    run = story.record(pipeline_id="all")
    story.repo.stage("lib/b.py", "y = 2\n")
    story.claim(run)
    fine = story.said()
    story.repo.stage("src/a.py", "x = 2\n")

    assert (fine, story.severities()) == ([], ["error"])


@pytest.mark.slow
def test_another_definition_of_the_pipeline_is_another_run(story: Story) -> None:
    story.repo.commit(files={"orchgate.toml": INPUTS})
    run = story.record()
    story.repo.commit(files={"orchgate.toml": INPUTS.replace('"true"', '"pytest"')})
    story.claim(run)

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_a_definition_that_cannot_be_read_is_another_one(story: Story) -> None:
    story.repo.commit(files={"orchgate.toml": "garbage ===\n"})
    run = story.record()
    story.repo.commit(files={"orchgate.toml": INPUTS})
    story.claim(run)

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_a_change_does_not_declare_its_own_inputs(story: Story) -> None:
    story.repo.commit(files={"orchgate.toml": INPUTS.replace('inputs = ["src/**"]\n', "")})
    run = story.record()
    story.repo.stage("orchgate.toml", INPUTS)
    story.repo.stage("lib/b.py", "y = 2\n")
    story.claim(run)

    assert story.severities() == ["error"]


# Before and after

BEFORE = [
    "- [x] Baseline recorded. Evidence: `{}`\n",
    "- [x] Before the change: `{}`\n",
    "- Evidence: `{}` (baseline)\n",
    "Before (2 of tests):\n\n- `{}`\n",
    "## Baseline\n\n- Manifest: `{}`\n",
    "| before | `{}` |\n",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", BEFORE)
def test_a_claim_about_before_is_held_to_the_base(story: Story, text: str) -> None:
    before = story.record()
    story.repo.stage("src/a.py", "x = 2\n")
    story.claim(before, text)

    assert story.said() == []


@pytest.mark.slow
@pytest.mark.parametrize("text", BEFORE)
def test_a_run_of_the_changed_code_is_no_baseline(story: Story, text: str) -> None:
    story.repo.stage("src/a.py", "x = 2\n")
    story.claim(story.record(), text)

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_both_on_one_line_are_told_apart(story: Story) -> None:
    before = story.record()
    story.repo.stage("src/a.py", "x = 2\n")
    after = story.record()
    story.claim(before, f"- [x] Faster. Evidence: before `{{}}`, after `{after}`\n")

    assert story.said() == []


@pytest.mark.slow
def test_both_on_one_line_are_not_taken_for_each_other(story: Story) -> None:
    before = story.record()
    story.repo.stage("src/a.py", "x = 2\n")
    after = story.record()
    story.claim(after, f"- [x] Faster. Evidence: before `{{}}`, after `{before}`\n")

    assert story.severities() == ["error", "error"]


@pytest.mark.slow
def test_before_is_where_the_branch_began_also_for_its_last_commit(story: Story) -> None:
    before = story.record()
    story.repo.git("checkout", "--quiet", "-b", "work")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.repo.commit(files={"src/a.py": "x = 3\n"})
    story.claim(before, BEFORE[0])

    assert story.said() == []


@pytest.mark.slow
def test_before_is_where_the_branch_began_also_after_a_merge(story: Story) -> None:
    before = story.record()
    story.repo.git("checkout", "--quiet", "-b", "work")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.repo.git("checkout", "--quiet", "main")
    story.repo.commit(files={"lib/b.py": "y = 2\n"})
    story.repo.git("checkout", "--quiet", "work")
    story.repo.git("merge", "--quiet", "main")
    story.claim(before, BEFORE[0])
    story.repo.commit("cited")

    assert story.said("--base", "main") == []


# What a change adds


@pytest.mark.slow
def test_a_claim_that_was_there_is_not_asked_again(story: Story) -> None:
    story.claim(story.record())
    story.repo.commit("cited")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.claim("", "\nA line more.\n")

    assert story.said() == []


@pytest.mark.slow
def test_a_claim_put_differently_is_not_asked_again(story: Story) -> None:
    run = story.record()
    story.claim(run)
    story.repo.commit("cited")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.repo.stage(CHECKLIST, f"# Checklist\n- [x] All tests pass. Evidence: `{run}`\n")

    assert story.said() == []


@pytest.mark.slow
def test_a_document_that_moved_brings_no_new_claims(story: Story) -> None:
    story.claim(story.record())
    story.repo.commit("cited")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.repo.git("mv", CHECKLIST, "tasks/old.md")

    assert story.said() == []


@pytest.mark.slow
def test_a_box_that_is_ticked_now_is_a_new_claim(story: Story) -> None:
    run = story.record()
    story.claim(run, "- [ ] Tests pass. Evidence: `{}`\n")
    story.repo.commit("planned")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.repo.stage(CHECKLIST, f"# Checklist\n{TICKED.format(run)}")

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_a_second_claim_on_the_same_run_is_new(story: Story) -> None:
    run = story.record()
    story.claim(run)
    story.repo.commit("cited")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.claim(run, "- [x] The gate is green. Evidence: `{}`\n")

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_a_baseline_that_becomes_the_result_is_a_new_claim(story: Story) -> None:
    run = story.record()
    story.claim(run, BEFORE[0])
    story.repo.commit("cited")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.repo.stage(CHECKLIST, f"# Checklist\n{TICKED.format(run)}")

    assert story.severities() == ["error"]


CLAIMS = [
    TICKED,
    "- [x] done: `{}`\n",
    "- Manifest: `{}`\n",
    "- [x] a. Evidence: [the run](../{})\n",
    "- [x] nothing failed. Evidence: `{}`\n",
    "- [x] logs in `{}`\n",
    "Diagnostics passed (`{}`).\n",
    "The suite is green, see `{}`\n",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", CLAIMS)
def test_a_claim_in_a_packet_is_asked(story: Story, text: str) -> None:
    run = story.record()
    story.repo.stage("src/a.py", "x = 2\n")
    story.claim(run, text)

    assert story.severities() == ["error"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        TICKED,
        "The suite is green: `{}`.\n",
        "`{}` passes.\n",
        "| tests | `{}` |\n",
        "Evidence: `{}`\n",
    ],
)
def test_a_claim_in_any_document_is_asked(story: Story, text: str) -> None:
    run = story.record()
    story.repo.stage("src/a.py", "x = 2\n")
    story.claim(run, text, "notes.md")

    assert story.severities() == ["error"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("notes.md", "A manifest looks like `{}`.\n"),
        ("notes.md", "See [one](./{}).\n"),
        (CHECKLIST, "- [ ] Tests pass. Evidence: `{}`\n"),
        (CHECKLIST, "Logs go where `{}` is.\n"),
        ("notes.md", "```\nTests pass: {}\n```\n"),
    ],
)
def test_what_claims_nothing_is_not_asked(story: Story, path: str, text: str) -> None:
    run = story.record()
    story.repo.stage("src/a.py", "x = 2\n")
    story.claim(run, text, path)

    assert story.said() == []


@pytest.mark.slow
@pytest.mark.parametrize("inner", ["stages/02-test.log", "events.jsonl", "", "{manifest.json,events.jsonl}"])
def test_a_file_of_the_run_stands_for_the_run(story: Story, inner: str) -> None:
    run = story.record()
    story.repo.stage("src/a.py", "x = 2\n")
    story.claim(run.replace("manifest.json", inner))

    assert story.severities() == ["error"]


def test_whoever_cites_a_failure_knowingly_is_not_asked(story: Story) -> None:
    run = story.record(status="failed", status_detail="x")
    story.repo.stage("src/a.py", "x = 2\n")
    story.claim(run, "- Failed attempt: `{}`\n")

    assert story.said() == []


# Ranges


@pytest.mark.slow
def test_code_that_changed_after_the_run_in_the_same_push_is_refused(story: Story) -> None:
    story.repo.git("checkout", "--quiet", "-b", "work")
    story.claim(story.record())
    story.repo.commit("cited")
    story.repo.commit(files={"src/a.py": "x = 2\n"})

    assert story.severities("--base", "main") == ["error"]


@pytest.mark.slow
def test_what_others_changed_meanwhile_does_not_count(story: Story) -> None:
    story.repo.git("checkout", "--quiet", "-b", "work")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.claim(story.record())
    story.repo.commit("cited")
    story.repo.git("checkout", "--quiet", "main")
    story.repo.commit(files={"lib/b.py": "y = 2\n"})
    story.repo.git("checkout", "--quiet", "work")
    story.repo.git("merge", "--quiet", "main")

    assert story.said("--base", "main") == []


@pytest.mark.slow
def test_what_others_changed_before_the_change_began_does_count(story: Story) -> None:
    run = story.record()
    story.repo.commit(files={"lib/b.py": "y = 2\n"})
    story.repo.git("checkout", "--quiet", "-b", "work")
    story.claim(run)
    story.repo.commit("cited")

    assert story.severities("--base", "main") == ["error"]


@pytest.mark.slow
def test_a_file_of_others_that_the_run_saw_otherwise_counts(story: Story) -> None:
    story.repo.git("checkout", "--quiet", "-b", "work")
    story.repo.write("lib/b.py", "y = 3\n")
    run = story.record()
    story.repo.git("checkout", "--quiet", "lib/b.py")
    story.claim(run)
    story.repo.commit("cited")
    story.repo.git("checkout", "--quiet", "main")
    story.repo.commit(files={"lib/b.py": "y = 2\n"})
    story.repo.git("checkout", "--quiet", "work")
    story.repo.git("merge", "--quiet", "main")

    assert story.severities("--base", "main") == ["error"]


@pytest.mark.slow
def test_the_whole_tree_asks_what_the_branch_adds(story: Story) -> None:
    story.repo.git("checkout", "--quiet", "-b", "work")
    run = story.record()
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.claim(run)
    story.repo.commit("cited")

    assert story.severities("--all-files") == ["error"]


@pytest.mark.slow
def test_the_whole_tree_asks_nothing_of_documents_that_the_branch_leaves_alone(story: Story) -> None:
    story.claim(story.record(), path="docs/PRD-demo.md")
    story.repo.git("commit", "-q", "-m", "claim")
    story.repo.commit("go on", {"src/a.py": "x = 2\n"})
    story.repo.git("checkout", "-q", "-b", "topic")
    story.repo.commit("elsewhere", {"docs/more.md": "# More\n"})

    assert story.said("--all-files") == []


# Pins, and manifests of others


@pytest.mark.slow
def test_a_clone_without_the_run_is_told_by_its_pin(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.repo.git("checkout", "--quiet", "-b", "work")
    story.repo.write("src/a.py", "x = 2\n")
    run = story.record()
    story.repo.git("add", "--all")
    story.claim(run)
    main(["evidence", "pin"])
    story.repo.git("add", "--all")
    story.repo.commit("cited")
    fresh = clone(story.repo, tmp_path / "fresh", "--branch", "work")
    monkeypatch.chdir(fresh.root)
    fine = Story.said(story, "--base", "origin/main")
    fresh.stage("src/a.py", "x = 3\n")
    fresh.commit("later")

    assert (fine, Story.severities(story, "--base", "origin/main")) == ([], ["error"])


def foreign(repo: Repo) -> str:
    import json

    run_id = "2026-01-06T09-26-22-129Z-c2f9cb47"
    document = january(task_id=TASK, run_id=run_id)
    repo.write(f".runs/{TASK}/cli/{run_id}/manifest.json", json.dumps(document))
    return f".runs/{TASK}/cli/{run_id}/manifest.json"


def test_a_manifest_that_names_no_tree_is_refused(story: Story) -> None:
    run = foreign(story.repo)
    story.claim(run)

    assert story.said() == [("error", f"{run} does not say of which tree it is")]


def test_a_manifest_that_names_no_tree_is_noted_where_it_is_expected(story: Story) -> None:
    story.repo.commit(files={"orchgate.toml": 'profile = "codex-orchestrator"\n'})
    story.claim(foreign(story.repo))

    assert story.severities() == ["note"]


def test_our_own_run_outside_of_git_is_refused_there_too(story: Story) -> None:
    story.repo.commit(files={"orchgate.toml": 'profile = "codex-orchestrator"\n'})
    story.claim(story.record(git=None))

    assert story.severities() == ["error"]


@pytest.mark.slow
def test_a_base_that_is_unknown_leaves_the_question_open(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.claim(story.record())
    story.repo.git("add", "--force", ".runs")
    story.repo.commit("cited")
    shallow = clone(story.repo, tmp_path / "shallow", "--depth=1", "--no-local")
    monkeypatch.chdir(shallow.root)

    assert checked("evidence", "--all-files")["verdict"] == "broken"


# With the real runner


@pytest.mark.slow
@pytest.mark.parametrize(("after", "code"), [("x = 2\n", 0), ("x = broken(\n", 1)])
def test_a_recorded_run_is_of_what_it_ran(repo: Repo, after: str, code: int) -> None:
    stage = '[[pipelines.tests.stages]]\nid = "a"\nrun = ["true"]\n'
    repo.commit(files={".gitignore": "/.runs/\n", "src/a.py": "x = 1\n", "orchgate.toml": stage, CHECKLIST: "# C\n"})
    repo.write("src/a.py", "x = 2\n")
    assert repo.orchgate("run", "tests", "--task", TASK).code == 0
    (folder,) = (repo.root / ".runs" / TASK / "cli").iterdir()
    repo.write("src/a.py", after)
    repo.write(CHECKLIST, TICKED.format(os.path.relpath(folder / "manifest.json", repo.root)))
    repo.git("add", "--all")

    assert repo.orchgate("check", "--staged", "evidence", "manifests").code == code


@pytest.mark.slow
def test_one_claim_that_becomes_two_in_two_documents_is_new(story: Story) -> None:
    run = story.record()
    story.claim(run)
    story.repo.commit("cited")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.claim("", "\nMore.\n")
    story.claim(run, TICKED, "notes.md")

    assert story.severities() == ["error"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("- [ ] Tests pass.\n  Evidence: `{}`\n", "- [x] Tests pass.\n  Evidence: `{}`\n"),
        ("## Baseline\n\n- Manifest: `{}`\n", "## Results\n\n- Manifest: `{}`\n"),
        ("Before (1 of tests):\n\n- `{}`\n", "After (1 of tests):\n\n- `{}`\n"),
    ],
)
def test_a_line_that_stays_becomes_a_claim_by_what_stands_above(story: Story, before: str, after: str) -> None:
    run = story.record()
    story.claim(run, before)
    story.repo.commit("before")
    story.repo.commit(files={"src/a.py": "x = 2\n"})
    story.repo.stage(CHECKLIST, "# Checklist\n" + after.format(run))

    assert story.severities() == ["error"]
