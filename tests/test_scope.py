"""Which change is judged: flags, hook runners, CI systems, the default branch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cli import main
from orchgate.errors import GitError, UsageError
from tests.repo import Repo, clone, init
from tests.scoping import files, scope_of, unknown

if TYPE_CHECKING:
    from pathlib import Path

ZEROS = "0" * 40


@pytest.fixture
def branched(repo: Repo) -> Repo:
    """`feature` left main at `base.txt` and added two commits; main went on by one."""
    repo.commit("base", {"base.txt": "base\n"})
    repo.git("checkout", "-q", "-b", "feature")
    repo.commit("one", {"one.txt": "1\n"})
    repo.commit("two", {"two.txt": "2\n"})
    repo.git("checkout", "-q", "main")
    repo.commit("elsewhere", {"main.txt": "m\n"})
    repo.git("checkout", "-q", "feature")
    return repo


@pytest.fixture
def merged(branched: Repo) -> Repo:
    """`feature` after merging main."""
    branched.git("merge", "-q", "--no-edit", "main")
    return branched


# Flags


@pytest.mark.slow
def test_staged_is_head_to_index(branched: Repo) -> None:
    branched.stage("staged.txt")
    branched.write("unstaged.txt")

    assert files(scope_of(staged=True)) == ["staged.txt"]


@pytest.mark.slow
def test_staged_reads_the_index_not_the_work_tree(branched: Repo) -> None:
    branched.stage("one.txt", "1\n2\n")
    branched.write("one.txt", "1\n2\n3\n4\n")

    assert [change.added for change in scope_of(staged=True).changes] == [1]


@pytest.mark.slow
def test_nothing_asked_for_is_the_index_against_the_fork_from_the_default_branch(branched: Repo) -> None:
    branched.stage("staged.txt")

    assert files(scope_of()) == ["one.txt", "staged.txt", "two.txt"]


@pytest.mark.slow
def test_a_base_means_the_fork_point(branched: Repo) -> None:
    assert files(scope_of(base="main")) == ["one.txt", "two.txt"]


@pytest.mark.slow
def test_the_head_is_the_checked_out_commit_unless_named(branched: Repo) -> None:
    assert files(scope_of(base="main", head="feature~1")) == ["one.txt"]


@pytest.mark.slow
def test_what_came_in_by_merging_is_not_yours(merged: Repo) -> None:
    assert files(scope_of(base="main")) == ["one.txt", "two.txt"]


@pytest.mark.slow
def test_commit_is_judged_against_its_parent(branched: Repo) -> None:
    assert files(scope_of(commit="feature")) == ["two.txt"]


@pytest.mark.slow
def test_root_commit_is_judged_against_nothing(branched: Repo) -> None:
    assert files(scope_of(commit="main~1")) == ["base.txt"]


@pytest.mark.slow
def test_merge_commit_is_judged_by_what_it_brought_into_its_line(merged: Repo) -> None:
    assert files(scope_of(commit="HEAD")) == ["main.txt"]


def conflict(repo: Repo) -> None:
    """Stops in a merge of main whose only conflict is about `base.txt`."""
    repo.commit("theirs", {"base.txt": "feature\n"})
    repo.git("checkout", "-q", "main")
    repo.commit("ours", {"base.txt": "main\n"})
    repo.git("checkout", "-q", "feature")
    assert repo.attempt("git", "merge", "main").code == 1


@pytest.mark.slow
def test_merge_commit_with_edits_of_its_own_shows_them(branched: Repo) -> None:
    conflict(branched)
    branched.commit("merge", {"base.txt": "both\n"})

    assert files(scope_of(commit="HEAD")) == ["base.txt", "main.txt"]


@pytest.mark.slow
def test_conflicted_merge_being_committed_is_judged_by_its_own_edits(branched: Repo) -> None:
    conflict(branched)
    branched.stage("base.txt", "both\n")

    assert files(scope_of(staged=True)) == ["base.txt"]


@pytest.mark.slow
def test_resolution_that_takes_one_side_changes_nothing(branched: Repo) -> None:
    conflict(branched)
    branched.stage("base.txt", "main\n")

    assert files(scope_of(staged=True)) == []


@pytest.mark.slow
def test_unresolved_conflict_cannot_be_checked(branched: Repo) -> None:
    conflict(branched)

    with pytest.raises(GitError, match=r"base\.txt is unmerged"):
        scope_of(staged=True)


@pytest.mark.slow
def test_octopus_merge_is_judged_by_all_that_it_brought_in(branched: Repo) -> None:
    branched.git("checkout", "-q", "-b", "third", "main~1")
    branched.commit("three", {"three.txt": "3\n"})
    branched.git("merge", "-q", "--no-edit", "main", "feature")

    assert files(scope_of(commit="HEAD")) == ["main.txt", "one.txt", "two.txt"]


@pytest.mark.slow
def test_all_files_judges_the_whole_tree(branched: Repo) -> None:
    assert scope_of(all_files=True).whole_tree


@pytest.mark.slow
def test_all_files_knows_the_change_too(branched: Repo) -> None:
    assert files(scope_of(all_files=True)) == ["one.txt", "two.txt"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [{"staged": True, "commit": "HEAD"}, {"all_files": True, "base": "main"}, {"staged": True, "head": "HEAD"}],
)
def test_two_scopes_exclude_each_other(branched: Repo, flags: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        scope_of(**flags)


@pytest.mark.slow
def test_a_head_alone_is_wrong_usage(branched: Repo) -> None:
    with pytest.raises(UsageError, match="--head needs --base"):
        scope_of(head="HEAD")


# Names of revisions


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--base", "--head", "--commit"])
@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_a_variable_that_nobody_set(branched: Repo, flag: str, name: str) -> None:
    assert branched.orchgate("check", f"{flag}={name}").code == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "nowhere",
        "--output=x",
        "-q",
        "^HEAD",
        "main..feature",
        "HEAD~99",
        "feature:one.txt",
        "a b",
        "\udcff",
        "@{u}",
        "main\n",
    ],
)
def test_what_names_no_commit_cannot_be_checked(branched: Repo, name: str) -> None:
    with pytest.raises(GitError, match="no commit"):
        scope_of(commit=name)


@pytest.mark.slow
def test_name_that_looks_like_an_option_writes_nothing(branched: Repo) -> None:
    before = branched.attempt("ls", "-a").out
    main(["check", "diff-budget", "--base=--output=x", "--head=--output=y"])

    assert branched.attempt("ls", "-a").out == before


@pytest.mark.slow
def test_missing_base_is_exit_3(branched: Repo) -> None:
    assert main(["check", "diff-budget", "--base", "origin/main"]) == 3


@pytest.mark.slow
def test_missing_base_names_the_command_that_mends_it(branched: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    branched.git("remote", "add", "origin", ".")
    main(["check", "diff-budget", "--base", "origin/main"])

    assert "hint: git fetch origin main:refs/remotes/origin/main" in capsys.readouterr().out


@pytest.mark.slow
def test_unknown_head_is_exit_3(branched: Repo) -> None:
    assert main(["check", "diff-budget", "--base", "main", "--head", "nowhere"]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-a", "-m", "annotated")])
def test_tag_stands_for_its_commit(branched: Repo, options: tuple[str, ...]) -> None:
    branched.git("tag", *options, "v1", "main")

    assert scope_of(base="v1").base == branched.git("rev-parse", "main~1")


@pytest.mark.slow
def test_tag_beside_a_branch_of_the_same_name_does_not_hide_the_default_branch(branched: Repo) -> None:
    branched.git("tag", "main", "feature")
    branched.git("tag", "feature", "main")

    assert files(scope_of()) == ["one.txt", "two.txt"]


@pytest.mark.slow
def test_abbreviated_id_is_enough(branched: Repo) -> None:
    assert files(scope_of(commit=branched.git("rev-parse", "--short", "feature"))) == ["two.txt"]


# Hook runners


@pytest.mark.slow
def test_index_of_a_commit_hook_means_staged(branched: Repo) -> None:
    branched.stage("staged.txt")

    assert files(scope_of({"GIT_INDEX_FILE": ".git/index"})) == ["staged.txt"]


@pytest.mark.slow
def test_pre_commit_alone_means_the_whole_tree(branched: Repo) -> None:
    assert scope_of({"PRE_COMMIT": "1"}).kind == "tree"


@pytest.mark.slow
def test_pre_commit_inside_a_commit_means_staged(branched: Repo) -> None:
    assert scope_of({"PRE_COMMIT": "1", "GIT_INDEX_FILE": ".git/index"}).kind == "staged"


def refs(source: str, to: str, **more: str) -> dict[str, str]:
    return {"PRE_COMMIT": "1", "PRE_COMMIT_FROM_REF": source, "PRE_COMMIT_TO_REF": to, **more}


@pytest.mark.slow
def test_pre_commit_refs_mean_a_range(branched: Repo) -> None:
    assert files(scope_of(refs("main", "feature~1"))) == ["one.txt"]


@pytest.mark.slow
def test_flags_beat_the_environment(branched: Repo) -> None:
    assert files(scope_of(refs("main", "feature"), commit="feature")) == ["two.txt"]


@pytest.mark.slow
def test_pre_commit_refs_beat_ci(branched: Repo) -> None:
    assert files(scope_of(refs("main", "feature~1", GITHUB_BASE_REF="main"))) == ["one.txt"]


@pytest.mark.slow
def test_pre_commit_push_of_a_branch_starts_at_the_remotes_default_branch(branched: Repo) -> None:
    branched.git("update-ref", "refs/remotes/origin/main", "main")
    push = {"PRE_COMMIT_REMOTE_NAME": "origin", "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/feature"}

    assert files(scope_of(refs("feature~1", "feature", **push))) == ["one.txt", "two.txt"]


@pytest.mark.slow
def test_pre_commit_push_to_the_default_branch_starts_at_what_the_remote_has(branched: Repo) -> None:
    branched.git("update-ref", "refs/remotes/origin/main", "main~1")
    push = {"PRE_COMMIT_REMOTE_NAME": "origin", "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main"}

    assert files(scope_of(refs("main~1", "main", **push))) == ["main.txt"]


@pytest.mark.slow
def test_pre_commit_first_push_judges_the_pushed_commit(branched: Repo) -> None:
    branched.stage("staged.txt")
    push = {
        "PRE_COMMIT": "1",
        "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main",
        "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main",
    }

    assert scope_of(push).head == branched.git("rev-parse", "main")


@pytest.mark.slow
def test_prek_root_push_names_only_the_head(repo: Repo) -> None:
    repo.commit("root", {"a.txt": "a\n"})

    assert scope_of({"PRE_COMMIT": "1", "PRE_COMMIT_TO_REF": "HEAD"}).base is None


@pytest.mark.slow
def test_prek_head_alone_starts_at_the_default_branch(branched: Repo) -> None:
    assert files(scope_of({"PRE_COMMIT_TO_REF": "feature"})) == ["one.txt", "two.txt"]


# CI systems


def event(repo: Repo, content: object) -> str:
    path = repo.root.parent / "event.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"GITHUB_BASE_REF": "main"},
        {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"},
        {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "{base}"},
        {"BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main"},
        {"SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main"},
        {"CHANGE_TARGET": "main"},
        {"BITBUCKET_PR_DESTINATION_BRANCH": "main", "BITBUCKET_PR_DESTINATION_COMMIT": "{main}"},
        {"PULL_BASE_SHA": "{main}"},
        {"DRONE_TARGET_BRANCH": "main", "DRONE_PULL_REQUEST": "7"},
        {"CIRRUS_BASE_BRANCH": "main", "CIRRUS_BASE_SHA": "{main}"},
    ],
    ids="+".join,
)
def test_pull_request_is_judged_from_the_fork_of_its_target(branched: Repo, variables: dict[str, str]) -> None:
    ids = {"main": branched.git("rev-parse", "main"), "base": branched.git("rev-parse", "main~1")}
    branched.git("checkout", "-q", "--detach")

    assert files(scope_of({name: value.format(**ids) for name, value in variables.items()})) == ["one.txt", "two.txt"]


@pytest.mark.slow
def test_remote_branch_is_preferred_to_a_stale_local_one(branched: Repo) -> None:
    branched.git("update-ref", "refs/remotes/origin/main", "feature~1")

    assert files(scope_of({"GITHUB_BASE_REF": "main"})) == ["two.txt"]


@pytest.mark.slow
def test_target_branch_that_is_not_here_is_named_with_the_command_that_brings_it(branched: Repo) -> None:
    branched.git("remote", "add", "up", ".")

    hint = unknown(scope_of({"GITHUB_BASE_REF": "release"})).hint
    assert hint == "git fetch up release:refs/remotes/up/release"


@pytest.mark.slow
def test_merge_group_is_judged_from_the_commit_in_its_event(branched: Repo) -> None:
    path = event(branched, {"merge_group": {"base_sha": branched.git("rev-parse", "feature~1")}})

    assert files(scope_of({"GITHUB_EVENT_NAME": "merge_group", "GITHUB_EVENT_PATH": path})) == ["two.txt"]


def pushed(repo: Repo, before: object) -> dict[str, str]:
    return {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": event(repo, {"before": before})}


@pytest.mark.slow
def test_push_to_the_default_branch_starts_at_what_it_was_before(branched: Repo) -> None:
    before = branched.git("rev-parse", "main~1")
    branched.git("checkout", "-q", "main")
    branched.git("update-ref", "refs/remotes/origin/main", "main")

    assert files(scope_of(pushed(branched, before))) == ["main.txt"]


@pytest.mark.slow
def test_push_to_a_feature_branch_leaves_out_what_it_merged(merged: Repo) -> None:
    before = merged.git("rev-parse", "HEAD^1")
    merged.git("update-ref", "refs/remotes/origin/main", "main")

    assert files(scope_of(pushed(merged, before))) == ["one.txt", "two.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CI_COMMIT_BEFORE_SHA", "DRONE_COMMIT_BEFORE", "CI_PREV_COMMIT_SHA"])
def test_pushes_elsewhere_name_the_commit_in_a_variable(branched: Repo, name: str) -> None:
    before = branched.git("rev-parse", "main~1")
    branched.git("checkout", "-q", "main")

    assert files(scope_of({name: before, "DRONE_TARGET_BRANCH": "main"})) == ["main.txt"]


@pytest.mark.slow
def test_new_branch_in_ci_starts_at_the_default_branch(branched: Repo) -> None:
    assert files(scope_of({"CI_COMMIT_BEFORE_SHA": ZEROS})) == ["one.txt", "two.txt"]


@pytest.mark.slow
def test_forced_push_of_a_feature_branch_starts_at_the_default_branch(branched: Repo) -> None:
    assert files(scope_of(pushed(branched, "1" * 40))) == ["one.txt", "two.txt"]


@pytest.mark.slow
def test_forced_push_of_the_default_branch_is_not_an_empty_change(branched: Repo) -> None:
    branched.git("remote", "add", "origin", ".")
    branched.git("fetch", "-q")
    branched.git("checkout", "-q", "main")

    assert unknown(scope_of(pushed(branched, "1" * 40))).hint == f"git fetch origin {'1' * 40}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        {"before": 5},
        {"before": "HEAD\0"},
        {"before": "\ud800"},
        {"before": "--output=x"},
        "[" * 99999,
    ],
    ids=lambda content: str(content)[:20],
)
def test_push_whose_event_says_nothing_has_no_base(branched: Repo, content: object) -> None:
    path = event(branched, content)

    assert "GITHUB_EVENT_PATH" in unknown(scope_of({"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": path})).message


@pytest.mark.slow
@pytest.mark.parametrize("path", ["nowhere", ""])
def test_push_without_its_event_has_no_base(branched: Repo, path: str) -> None:
    env = {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": path}

    assert "cannot be read" in unknown(scope_of(env)).message


@pytest.mark.slow
def test_event_that_nothing_depends_on_may_be_missing(branched: Repo) -> None:
    env = {"GITHUB_EVENT_NAME": "schedule", "GITHUB_EVENT_PATH": "nowhere"}

    assert files(scope_of(env)) == ["one.txt", "two.txt"]


# The default branch


@pytest.mark.slow
def test_origins_head_names_the_default_branch(branched: Repo) -> None:
    branched.git("update-ref", "refs/remotes/origin/stable", "feature~1")
    branched.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/stable")

    assert files(scope_of()) == ["two.txt"]


@pytest.mark.slow
def test_configuration_names_the_default_branch(branched: Repo) -> None:
    branched.git("branch", "stable", "feature~1")
    branched.git("checkout", "-q", "main")
    branched.commit("say it", {"orchgate.toml": 'default-branch = "stable"\n'})
    branched.git("checkout", "-q", "feature")

    assert files(scope_of()) == ["two.txt"]


@pytest.mark.slow
def test_a_default_branch_that_the_configuration_of_a_remotes_main_names_has_to_be_here(branched: Repo) -> None:
    branched.git("checkout", "-q", "main")
    branched.commit("say it", {"orchgate.toml": 'default-branch = "stable"\n'})
    branched.git("update-ref", "refs/remotes/origin/main", "main")
    branched.git("checkout", "-q", "feature")

    assert "names stable as the default branch, which is not here" in unknown(scope_of()).message


@pytest.mark.slow
def test_a_clone_of_one_branch_does_not_believe_it_that_it_is_the_default_one(branched: Repo) -> None:
    branched.git("checkout", "-q", "main")
    branched.commit("say it", {"orchgate.toml": 'default-branch = "main"\n'})
    branched.git("remote", "add", "-t", "main", "origin", "elsewhere")
    branched.git("update-ref", "refs/remotes/origin/main", "main")

    assert "its default branch is not known" in unknown(scope_of()).message


@pytest.mark.slow
def test_judged_tree_does_not_name_its_own_base(branched: Repo) -> None:
    branched.commit("mine", {"orchgate.toml": 'default-branch = "feature"\n'})

    assert files(scope_of()) == ["one.txt", "orchgate.toml", "two.txt"]


def test_only_branch_is_its_own_default(repo: Repo) -> None:
    repo.commit("a", {"a.txt": "a\n"})
    repo.git("branch", "-m", "main", "heads/odd")
    repo.stage("b.txt")

    assert files(scope_of()) == ["b.txt"]


@pytest.mark.slow
def test_unknown_default_branch_cannot_be_checked(branched: Repo) -> None:
    branched.git("branch", "-m", "main", "other")

    assert "--base BASE" in unknown(scope_of()).hint


@pytest.mark.slow
def test_unknown_default_branch_still_lets_the_whole_tree_be_judged(branched: Repo) -> None:
    branched.git("branch", "-m", "main", "other")

    assert main(["check", "documents", "--all-files"]) == 0


@pytest.mark.slow
def test_unrelated_histories_have_no_base(branched: Repo, tmp_path: Path) -> None:
    other = init(tmp_path / "other")
    other.commit("elsewhere", {"x.txt": "x\n"})
    branched.git("fetch", "-q", str(other.root), "main:strange")

    assert "unrelated histories" in unknown(scope_of(base="strange")).message


@pytest.mark.slow
def test_clone_knows_its_origins_default_branch(
    branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    branched.git("branch", "-m", "main", "stable")
    branched.git("checkout", "-q", "stable")
    cloned = clone(branched, tmp_path / "clone")
    cloned.git("checkout", "-q", "feature")
    monkeypatch.chdir(cloned.root)

    assert files(scope_of()) == ["one.txt", "two.txt"]
