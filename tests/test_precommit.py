"""The main story, with real git and real pre-commit: a commit that breaks a rule does not land, a good one does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.repo import ORCHGATE, PRE_COMMIT, Repo, clone, init

pytestmark = pytest.mark.slow

CONFIG = "[diff-budget]\nmax-files = 4\nmax-lines = 20\n"
HOOKS = f"""\
default_install_hook_types: [pre-commit, pre-merge-commit, pre-push]
repos:
  - repo: local
    hooks:
      - id: orchgate
        name: orchgate
        entry: {ORCHGATE} check
        language: system
        pass_filenames: false
        always_run: true
        require_serial: true
        verbose: true
        stages: [pre-commit, pre-merge-commit, pre-push, manual]
"""
SMALL = "one\n"
LARGE = "line\n" * 30


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))


@pytest.fixture
def gated(repo: Repo) -> Repo:
    """A repository with one commit whose hooks are installed by pre-commit itself."""
    repo.commit("Start", {"orchgate.toml": CONFIG, ".pre-commit-config.yaml": HOOKS, "a.txt": SMALL})
    wire(repo)
    return repo


def wire(repo: Repo) -> None:
    installed = repo.attempt(PRE_COMMIT, "install")
    assert installed.code == 0, installed.out


def head(repo: Repo) -> str:
    return repo.git("log", "-1", "--format=%s")


def test_a_commit_within_the_limits_lands(gated: Repo) -> None:
    gated.stage("b.txt", SMALL)

    assert gated.attempt("git", "commit", "-m", "Add b").code == 0


def test_a_commit_over_the_budget_does_not_land(gated: Repo) -> None:
    gated.stage("b.txt", LARGE)

    result = gated.attempt("git", "commit", "-m", "Add b")

    assert (result.code, "DIF001" in result.out, head(gated)) == (1, True, "Start")


def test_an_evidence_link_to_nowhere_does_not_land(gated: Repo) -> None:
    link = "- [x] Measured. Evidence: `.runs/0001-a/cli/2026-01-06T09-26-22-129Z-c2f9cb47/manifest.json`\n"
    gated.stage("tasks/tasks-0001-a.md", "# Task\n\n## Checklist\n" + link)

    result = gated.attempt("git", "commit", "-m", "Claim")

    assert (result.code, "EVD001" in result.out, head(gated)) == (1, True, "Start")


def test_the_override_is_shown_though_the_commit_lands(gated: Repo) -> None:
    gated.stage("b.txt", LARGE)

    result = gated.attempt("git", "commit", "-m", "Add b", env={"DIFF_BUDGET_OVERRIDE_REASON": "imported data"})

    assert (result.code, "DIF004" in result.out, "imported data" in result.out) == (0, True, True)


def test_commit_all_judges_the_temporary_index(gated: Repo) -> None:
    gated.write("a.txt", LARGE)

    assert gated.attempt("git", "commit", "-a", "-m", "Grow a").code == 1


def test_commit_of_one_path_leaves_what_else_is_staged_alone(gated: Repo) -> None:
    gated.stage("big.txt", LARGE)
    gated.write("a.txt", "two\n")

    result = gated.attempt("git", "commit", "-m", "Only a", "--", "a.txt")

    assert (result.code, head(gated)) == (0, "Only a")


def test_commit_of_one_path_judges_that_path(gated: Repo) -> None:
    gated.stage("b.txt", SMALL)
    gated.write("a.txt", LARGE)

    assert gated.attempt("git", "commit", "-m", "Only a", "--", "a.txt").code == 1


def test_amending_judges_what_is_added(gated: Repo) -> None:
    gated.commit("Second", {"b.txt": SMALL})
    gated.stage("b.txt", LARGE)

    assert gated.attempt("git", "commit", "--amend", "--no-edit").code == 1


def test_a_first_commit_is_judged(repo: Repo) -> None:
    repo.stage("orchgate.toml", CONFIG)
    repo.stage(".pre-commit-config.yaml", HOOKS)
    repo.stage("b.txt", LARGE)
    wire(repo)

    result = repo.attempt("git", "commit", "-m", "First")

    assert (result.code, "DIF001" in result.out) == (1, True)


def branch_with(repo: Repo, name: str, path: str, content: str) -> None:
    """A branch off the current commit with one commit past the hooks."""
    repo.git("switch", "--quiet", "-c", name)
    repo.commit(f"On {name}", {path: content})
    repo.git("switch", "--quiet", "main")


def test_what_a_clean_merge_brings_in_is_not_the_mergers(gated: Repo) -> None:
    branch_with(gated, "other", "big.txt", LARGE)
    gated.commit("Meanwhile", {"c.txt": SMALL})

    result = gated.attempt("git", "merge", "--no-edit", "other")

    assert (result.code, "orchgate" in result.out) == (0, True)


def test_a_resolved_conflict_is_judged_by_what_was_resolved(gated: Repo) -> None:
    branch_with(gated, "other", "a.txt", "theirs\n")
    branch_with(gated, "wide", "unrelated.txt", LARGE)
    gated.commit("Ours", {"a.txt": "ours\n"})
    gated.git("merge", "--quiet", "--no-verify", "--no-edit", "wide")
    assert gated.attempt("git", "merge", "other").code == 1
    gated.stage("a.txt", LARGE)
    refused = gated.attempt("git", "commit", "--no-edit")
    gated.stage("a.txt", "both\n")

    landed = gated.attempt("git", "commit", "--no-edit")

    assert (refused.code, landed.code) == (1, 0)


def test_a_rebase_goes_through(gated: Repo) -> None:
    branch_with(gated, "topic", "b.txt", SMALL)
    gated.commit("Meanwhile", {"c.txt": SMALL})
    gated.git("switch", "--quiet", "topic")

    result = gated.attempt("git", "rebase", "main")

    assert (result.code, gated.git("log", "--format=%s")) == (0, "On topic\nMeanwhile\nStart")


def test_a_linked_worktree_is_judged_by_its_own_index(gated: Repo, tmp_path: Path) -> None:
    gated.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    side = Repo(tmp_path / "side")
    side.stage("b.txt", LARGE)

    refused = side.attempt("git", "commit", "-m", "Big")
    side.stage("b.txt", SMALL)

    assert (refused.code, side.attempt("git", "commit", "-m", "Small").code) == (1, 0)


def test_a_submodule_is_judged_by_its_own_gate_and_its_bump_counts_little(gated: Repo, tmp_path: Path) -> None:
    library = init(tmp_path / "library")
    library.commit("Start", {"orchgate.toml": CONFIG, ".pre-commit-config.yaml": HOOKS})
    gated.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.root), "lib")
    added = gated.attempt("git", "commit", "-m", "Add the library")
    inner = Repo(gated.root / "lib")
    wire(inner)
    inner.stage("big.txt", LARGE)

    assert (added.code, inner.attempt("git", "commit", "-m", "Big").code) == (0, 1)


def test_a_commit_from_a_sub_directory_is_judged(gated: Repo) -> None:
    gated.stage("deep/down/b.txt", LARGE)

    assert gated.attempt("git", "commit", "-m", "Big", cwd=gated.root / "deep" / "down").code == 1


@pytest.fixture
def shared(gated: Repo, tmp_path: Path) -> Repo:
    """`gated` with a bare remote that has its first commit."""
    remote = init(tmp_path / "remote.git", "--bare")
    gated.git("remote", "add", "origin", str(remote.root))
    gated.git("push", "--quiet", "--no-verify", "-u", "origin", "main")
    return gated


def test_a_push_over_the_budget_is_refused(shared: Repo) -> None:
    shared.commit("Big", {"b.txt": LARGE})

    result = shared.attempt("git", "push", "origin", "main")

    assert (result.code, "DIF001" in result.out) == (1, True)


def test_a_push_judges_the_commit_not_the_work_tree(shared: Repo) -> None:
    shared.commit("Small", {"b.txt": SMALL})
    shared.write("b.txt", LARGE)

    assert shared.attempt("git", "push", "origin", "main").code == 0


def test_a_new_branch_is_judged_from_where_it_left_main(shared: Repo) -> None:
    shared.git("switch", "--quiet", "-c", "topic")
    shared.commit("Half", {"b.txt": "line\n" * 15})
    shared.commit("Other half", {"c.txt": "line\n" * 15})

    assert shared.attempt("git", "push", "origin", "topic").code == 1


def test_what_a_branch_merged_from_main_is_not_its_own(shared: Repo) -> None:
    branch_with(shared, "topic", "b.txt", SMALL)
    shared.commit("Large, landed long ago", {"big.txt": LARGE})
    shared.git("push", "--quiet", "--no-verify", "origin", "main")
    shared.git("switch", "--quiet", "topic")
    shared.git("merge", "--quiet", "--no-verify", "--no-edit", "main")

    assert shared.attempt("git", "push", "origin", "topic").code == 0


def test_a_deletion_a_tag_and_a_forced_push_go_through(shared: Repo) -> None:
    branch_with(shared, "topic", "b.txt", SMALL)
    first = shared.attempt("git", "push", "origin", "topic")
    shared.git("tag", "-a", "-m", "one", "v1", "main")
    tag = shared.attempt("git", "push", "origin", "v1")
    shared.git("switch", "--quiet", "topic")
    shared.git("commit", "--quiet", "--no-verify", "--amend", "-m", "Other words")
    forced = shared.attempt("git", "push", "--force", "origin", "topic")
    deleted = shared.attempt("git", "push", "origin", ":topic")

    assert [result.code for result in (first, tag, forced, deleted)] == [0, 0, 0, 0]


def test_a_push_of_two_refs_is_refused_for_the_one_pre_commit_names(shared: Repo) -> None:
    # pre-commit hands over only the first ref; the native hook judges every one (tests/test_push.py).
    branch_with(shared, "aaa-large", "big.txt", LARGE)
    branch_with(shared, "small", "b.txt", SMALL)

    assert shared.attempt("git", "push", "origin", "aaa-large", "small").code == 1


def test_run_all_files_in_a_clean_clone_passes(shared: Repo, tmp_path: Path) -> None:
    fresh = clone(Repo(tmp_path / "remote.git"), tmp_path / "fresh")

    result = fresh.attempt(PRE_COMMIT, "run", "--all-files", env={"CI": "true"})

    assert result.code == 0, result.out


def test_run_all_files_finds_what_no_commit_touches(shared: Repo) -> None:
    shared.commit("Past the gate", {"docs/guide.md": "[nowhere](missing.md)\n"})
    shared.commit("Later", {"c.txt": SMALL})

    result = shared.attempt(PRE_COMMIT, "run", "--all-files")

    assert (result.code, "docs/guide.md" in result.out) == (1, True)


def test_a_shallow_clone_in_ci_says_what_to_fetch(shared: Repo, tmp_path: Path) -> None:
    shared.commit("Second", {"b.txt": SMALL})
    shared.git("push", "--quiet", "--no-verify", "origin", "main")
    shared.git("clone", "--quiet", "--depth=1", f"file://{tmp_path}/remote.git", str(tmp_path / "fresh"))
    fresh = Repo(tmp_path / "fresh")

    result = fresh.attempt(PRE_COMMIT, "run", "--all-files", env={"CI": "true"})

    assert (result.code, "fetch-depth: 0" in result.out) == (1, True)


def test_our_hook_repository_installs_and_runs_as_pre_commit_does_it(gated: Repo) -> None:
    project = Path(__file__).parent.parent

    result = gated.attempt(PRE_COMMIT, "try-repo", str(project), "orchgate", "--all-files", "--verbose")

    assert (result.code, "orchgate: passed" in result.out) == (0, True), result.out
    assert os.path.exists(os.environ["PRE_COMMIT_HOME"])
