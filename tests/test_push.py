"""The native hooks, run by real git: every shape of a push to a bare remote, and commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.repo import ORCHGATE, Repo, Result, clone, init

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

BIG = "x\n" * 50
STRICT = "[diff-budget]\nmax-files = 3\nmax-lines = 10\n"


def install(repo: Repo, *hooks: str) -> None:
    for hook in hooks:
        path = repo.root / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec "{ORCHGATE}" hook {hook} "$@"\n')
        path.chmod(0o755)


@pytest.fixture
def remote(tmp_path: Path) -> Repo:
    return init(tmp_path / "remote.git", "--bare")


@pytest.fixture
def repo(repo: Repo, remote: Repo) -> Repo:
    """A clone whose main is on the remote, with a budget of 3 files and 10 lines and the pre-push hook."""
    repo.commit("base", {"orchgate.toml": STRICT, "base.txt": "base\n"})
    repo.git("remote", "add", "origin", str(remote.root))
    repo.git("push", "-q", "-u", "origin", "main")
    install(repo, "pre-push")
    return repo


def push(repo: Repo, *args: str) -> Result:
    return repo.attempt("git", "push", "origin", *args)


def branch(repo: Repo, name: str, content: str = "small\n", start: str = "main") -> str:
    repo.git("checkout", "-q", "-b", name, start)
    return repo.commit(name, {f"{name}.txt": content})


def tips(remote: Repo) -> set[str]:
    return set(remote.git("for-each-ref", "--format=%(refname:lstrip=2)").split())


# New, updated, forced, deleted


def test_new_branch_within_the_budget_is_pushed(repo: Repo, remote: Repo) -> None:
    branch(repo, "small")

    assert (push(repo, "small").code, tips(remote)) == (0, {"main", "small"})


def test_new_branch_over_the_budget_is_refused(repo: Repo, remote: Repo) -> None:
    branch(repo, "big", BIG)

    assert (push(repo, "big").code, tips(remote)) == (1, {"main"})


def test_refusal_says_why(repo: Repo) -> None:
    branch(repo, "big", BIG)

    assert "DIF001 50 lines (limit 10)" in push(repo, "big").out


def test_new_branch_without_new_commits_is_pushed(repo: Repo) -> None:
    assert push(repo, "main:copy").code == 0


def test_update_is_judged_as_a_whole_branch(repo: Repo) -> None:
    branch(repo, "feature", "1\n" * 8)
    push(repo, "feature")
    repo.commit("more", {"more.txt": "2\n" * 8})

    assert "16 lines (limit 10)" in push(repo, "feature").out


def test_update_of_the_default_branch_starts_at_what_the_remote_has(repo: Repo) -> None:
    repo.commit("one", {"one.txt": "1\n" * 8})
    first = push(repo, "main").code
    repo.commit("two", {"two.txt": "2\n" * 8})

    assert (first, push(repo, "main").code) == (0, 0)


def test_push_to_the_default_branch_over_the_budget_is_refused(repo: Repo) -> None:
    repo.commit("big", {"big.txt": BIG})

    assert push(repo, "HEAD:main").code == 1


def test_forced_push_is_judged_from_the_fork(repo: Repo) -> None:
    branch(repo, "feature", "old\n")
    push(repo, "feature")
    repo.git("reset", "-q", "--hard", "main")
    repo.commit("new", {"new.txt": BIG})

    assert "50 lines (limit 10)" in push(repo, "--force", "feature").out


def test_forced_push_over_an_object_that_is_not_here_is_judged_from_the_fork(
    repo: Repo, remote: Repo, tmp_path: Path
) -> None:
    other = clone(remote, tmp_path / "other")
    other.git("checkout", "-q", "-b", "feature")
    other.commit("theirs", {"theirs.txt": "t\n"})
    other.git("push", "-q", "origin", "feature")
    branch(repo, "feature")

    assert push(repo, "--force", "feature").code == 0


def test_forced_push_of_the_default_branch_over_an_unknown_object_is_judged(
    repo: Repo, remote: Repo, tmp_path: Path
) -> None:
    other = clone(remote, tmp_path / "other")
    other.commit("theirs", {"theirs.txt": "t\n"})
    other.git("push", "-q", "origin", "main")
    repo.commit("big", {"big.txt": BIG})

    assert push(repo, "--force", "main").code == 1


def test_deletion_is_not_judged(repo: Repo, remote: Repo) -> None:
    branch(repo, "feature")
    push(repo, "feature")
    told = push(repo, "--delete", "feature")

    assert (told.code, "a deletion, nothing to judge" in told.out, tips(remote)) == (0, True, {"main"})


def test_empty_push_succeeds(repo: Repo) -> None:
    assert push(repo, "main").code == 0


def test_two_refs_with_one_bad_are_refused_together(repo: Repo, remote: Repo) -> None:
    branch(repo, "small")
    branch(repo, "big", BIG)

    assert (push(repo, "small", "big").code, tips(remote)) == (1, {"main"})


@pytest.mark.parametrize("order", [("small", "big"), ("big", "small")])
def test_every_ref_is_named_whatever_the_order(repo: Repo, order: tuple[str, str]) -> None:
    branch(repo, "small")
    branch(repo, "big", BIG)
    out = push(repo, *order).out

    assert all(f"orchgate: refs/heads/{name} -> origin refs/heads/{name}" in out for name in order)


def test_what_came_in_by_merging_main_is_not_yours(repo: Repo) -> None:
    branch(repo, "feature")
    repo.git("checkout", "-q", "main")
    repo.commit("big", {"big.txt": BIG})
    repo.git("push", "-q", "--no-verify", "origin", "main")
    repo.git("checkout", "-q", "feature")
    repo.git("merge", "-q", "--no-edit", "main")

    assert push(repo, "feature").code == 0


# Tags and other objects


@pytest.mark.parametrize("options", [(), ("-a", "-m", "annotated")], ids=["light", "annotated"])
def test_tag_is_judged_by_its_commit(repo: Repo, options: tuple[str, ...]) -> None:
    branch(repo, "big", BIG)
    repo.git("tag", *options, "v1")

    assert push(repo, "v1").code == 1


def test_tag_of_what_is_on_the_remote_is_pushed(repo: Repo, remote: Repo) -> None:
    repo.git("tag", "-a", "-m", "release", "v1")

    assert (push(repo, "v1").code, tips(remote)) == (0, {"main", "v1"})


def test_tag_of_a_blob_has_nothing_to_judge(repo: Repo) -> None:
    repo.git("tag", "key", repo.git("rev-parse", "HEAD:base.txt"))
    told = push(repo, "key")

    assert (told.code, "not a commit, nothing to judge" in told.out) == (0, True)


def test_commit_named_by_an_expression_with_spaces_is_judged(repo: Repo) -> None:
    branch(repo, "feature")
    repo.commit("a message with spaces", {"big.txt": BIG})

    assert push(repo, "HEAD^{/a message with}:refs/heads/odd").code == 1


# Remotes


def test_first_push_of_a_repository_is_a_note(repo: Repo, tmp_path: Path) -> None:
    repo.git("remote", "remove", "origin")
    repo.commit("big", {"big.txt": BIG})
    init(tmp_path / "empty.git", "--bare")
    repo.git("remote", "add", "empty", str(tmp_path / "empty.git"))
    told = repo.attempt("git", "push", "empty", "main")

    assert (told.code, "pushed without a base" in told.out) == (0, True), told.out


def test_first_push_to_a_second_remote_counts_what_the_first_has_not(repo: Repo, tmp_path: Path) -> None:
    init(tmp_path / "empty.git", "--bare")
    repo.git("remote", "add", "empty", str(tmp_path / "empty.git"))
    first = repo.attempt("git", "push", "empty", "main").code
    repo.commit("big", {"big.txt": BIG})

    assert (first, repo.attempt("git", "push", "empty", "main:next").code) == (0, 1)


def test_first_push_of_a_feature_branch_starts_at_the_local_default_branch(repo: Repo, tmp_path: Path) -> None:
    init(tmp_path / "empty.git", "--bare")
    repo.git("remote", "add", "empty", str(tmp_path / "empty.git"))
    branch(repo, "big", BIG)

    assert repo.attempt("git", "push", "empty", "big").code == 1


def test_push_to_an_address_is_judged_from_origins_default_branch(repo: Repo, remote: Repo) -> None:
    branch(repo, "big", BIG)

    assert repo.attempt("git", "push", str(remote.root), "big").code == 1


def test_push_to_an_address_within_the_budget_is_pushed(repo: Repo, remote: Repo) -> None:
    branch(repo, "small")

    assert repo.attempt("git", "push", str(remote.root), "small").code == 0


def test_new_branch_starts_at_the_nearest_branch_of_the_remote(repo: Repo) -> None:
    repo.git("push", "-q", "--no-verify", "origin", "main:stable")
    repo.git("update-ref", "-d", "refs/remotes/origin/main")
    branch(repo, "feature")

    assert push(repo, "feature").code == 0


def test_unrelated_history_cannot_be_judged(repo: Repo) -> None:
    repo.git("checkout", "-q", "--orphan", "pages")
    repo.commit("pages")
    told = push(repo, "pages")

    assert (told.code, "unrelated histories" in told.out) == (1, True)


def test_unrelated_history_that_the_remote_has_is_judged_from_there(repo: Repo) -> None:
    repo.git("checkout", "-q", "--orphan", "pages")
    repo.commit("pages")
    repo.git("push", "-q", "--no-verify", "origin", "pages")
    repo.commit("more", {"more.txt": "m\n"})

    assert push(repo, "pages").code == 0


def test_push_from_a_linked_work_tree_is_judged(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "-q", "-b", "linked", str(tmp_path / "linked"))
    linked = Repo(tmp_path / "linked")
    linked.commit("big", {"big.txt": BIG})

    assert push(linked, "linked").code == 1


def test_push_judges_the_pushed_commit_not_the_index(repo: Repo) -> None:
    branch(repo, "feature")
    repo.stage("big.txt", BIG)

    assert push(repo, "feature").code == 0


def test_trailer_lifts_the_budget_of_a_push_and_is_shown(repo: Repo) -> None:
    branch(repo, "feature")
    repo.commit("big\n\nDiff-Budget-Override: generated, reviewed as a spec", {"big.txt": BIG})
    told = push(repo, "feature")

    assert (told.code, "lifted by Diff-Budget-Override: generated, reviewed as a spec (commit" in told.out) == (0, True)


def test_pushed_branch_cannot_raise_its_own_budget(repo: Repo) -> None:
    branch(repo, "feature", BIG)
    repo.commit("looser", {"orchgate.toml": "[diff-budget]\nmax-lines = 1000\n"})

    assert "limit 10" in push(repo, "feature").out


# The protocol


def refspecs(repo: Repo, number: int) -> list[str]:
    head = repo.git("rev-parse", "HEAD")
    updates = "".join(f"create refs/heads/{'long' * 40}/{n} {head}\n" for n in range(number))
    repo.git("update-ref", "--stdin", stdin=updates.encode())
    return ["refs/heads/long*:refs/heads/long*"]


def test_three_hundred_refs_and_an_early_failure_do_not_kill_git(repo: Repo) -> None:
    repo.commit("broken", {"orchgate.toml": "nonsense = \n"})
    told = push(repo, *refspecs(repo, 300))

    assert (told.code, "not valid TOML" in told.out) == (1, True)


def test_push_without_a_repository_to_judge_reads_its_input_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = tmp_path / "lines"
    lines.write_text(f"refs/heads/a {'1' * 40} refs/heads/a {'0' * 40}\n" * 5000)
    pipe = f'( cat "{lines}"; echo cat: $? >&2 ) | "{ORCHGATE}" hook pre-push origin x'

    assert "cat: 0" in Repo(tmp_path).attempt("sh", "-c", pipe).out


@pytest.mark.parametrize("line", ["garbage", "a b c", "refs/heads/a\tx y z"])
def test_line_that_is_not_gits_is_exit_3(repo: Repo, line: str) -> None:
    assert repo.attempt("sh", "-c", f'printf "{line}\\n" | "{ORCHGATE}" hook pre-push origin x').code == 3


def test_object_that_is_missing_is_exit_3(repo: Repo) -> None:
    line = f"refs/heads/a {'1' * 40} refs/heads/a {'0' * 40}"

    assert repo.attempt("sh", "-c", f'echo "{line}" | "{ORCHGATE}" hook pre-push origin x').code == 3


def hooked(repo: Repo, source: str) -> Result:
    """The pre-push hook with its standard input from a line of shell."""
    return repo.attempt("sh", "-c", f'{source} "{ORCHGATE}" hook pre-push origin x')


def test_empty_pipe_pushes_nothing(repo: Repo) -> None:
    assert hooked(repo, "printf '' |") == (0, "orchgate: nothing to push\n")


@pytest.mark.parametrize("source", ["</dev/null", "<orchgate.toml.empty", "<&-"])
def test_hook_that_was_told_nothing_could_not_check(repo: Repo, source: str) -> None:
    repo.write("orchgate.toml.empty", "")
    told = hooked(repo, f"exec {source};")

    assert (told.code, "use_stdin: true" in told.out) == (3, True)


def test_lines_may_come_from_a_file(repo: Repo) -> None:
    branch(repo, "big", BIG)
    oid = repo.git("rev-parse", "big")
    repo.write("lines", f"refs/heads/big {oid} refs/heads/big {'0' * 40}\n")

    assert hooked(repo, "exec <lines;").code == 1


def test_sha256_push_is_judged(tmp_path: Path) -> None:
    init(tmp_path / "far.git", "--bare", "--object-format=sha256")
    near = init(tmp_path / "near", "--object-format=sha256")
    near.commit("base", {"orchgate.toml": STRICT})
    near.git("remote", "add", "origin", str(tmp_path / "far.git"))
    near.git("push", "-q", "origin", "main")
    install(near, "pre-push")
    branch(near, "big", BIG)

    assert "50 lines (limit 10)" in push(near, "big").out


# Commits


@pytest.fixture
def committing(repo: Repo) -> Repo:
    install(repo, "pre-commit", "pre-merge-commit")
    return repo


def test_commit_over_the_budget_is_refused(committing: Repo) -> None:
    committing.stage("big.txt", BIG)

    assert committing.attempt("git", "commit", "-m", "big").code == 1


def test_commit_within_the_budget_succeeds(committing: Repo) -> None:
    committing.stage("small.txt")

    assert committing.attempt("git", "commit", "-m", "small").code == 0


def test_commit_of_everything_judges_the_temporary_index(committing: Repo) -> None:
    committing.write("base.txt", BIG)

    assert committing.attempt("git", "commit", "-a", "-m", "all").code == 1


def test_commit_of_one_path_judges_only_that_path(committing: Repo) -> None:
    committing.stage("big.txt", BIG)
    committing.write("base.txt", "small\n")

    assert committing.attempt("git", "commit", "-m", "one", "--", "base.txt").code == 0


def test_commit_of_one_big_path_is_refused(committing: Repo) -> None:
    committing.write("base.txt", BIG)

    assert committing.attempt("git", "commit", "-m", "one", "--", "base.txt").code == 1


def test_commit_from_a_sub_directory_is_judged(committing: Repo) -> None:
    committing.stage("sub/big.txt", BIG)

    assert committing.attempt("git", "commit", "-m", "big", cwd=committing.root / "sub").code == 1


def test_commit_of_a_path_in_a_sub_directory_is_judged(committing: Repo) -> None:
    committing.commit("small", {"sub/a.txt": "a\n"})
    committing.write("sub/a.txt", BIG)

    assert committing.attempt("git", "commit", "-m", "big", "--", "a.txt", cwd=committing.root / "sub").code == 1


def test_commit_with_settings_on_the_command_line_is_judged_without_them(committing: Repo) -> None:
    committing.stage("big.txt", BIG)

    assert committing.attempt("git", "-c", "diff.external=true", "commit", "-m", "big").code == 1


def test_first_commit_is_judged_against_nothing(tmp_path: Path) -> None:
    first = init(tmp_path / "first")
    install(first, "pre-commit")
    first.stage("orchgate.toml", STRICT)
    first.stage("big.txt", BIG)

    assert first.attempt("git", "commit", "-m", "first").code == 1


def test_amend_judges_what_it_adds(committing: Repo) -> None:
    committing.commit("big", {"big.txt": BIG})
    committing.stage("small.txt")

    assert committing.attempt("git", "commit", "--amend", "--no-edit").code == 0


@pytest.fixture
def forked(committing: Repo) -> Repo:
    """On main; `other` has a big commit that main has not."""
    branch(committing, "other", BIG)
    committing.commit("edit", {"base.txt": "theirs\n"})
    committing.git("checkout", "-q", "main")
    return committing


def test_clean_merge_brings_nothing_of_its_own(forked: Repo) -> None:
    forked.commit("elsewhere", {"elsewhere.txt": "e\n"})

    assert forked.attempt("git", "merge", "--no-edit", "other").code == 0


def test_conflicted_merge_is_judged_by_its_resolution(forked: Repo) -> None:
    forked.commit("ours", {"base.txt": "ours\n"})
    forked.attempt("git", "merge", "other")
    forked.stage("base.txt", "both\n")

    assert forked.attempt("git", "commit", "--no-edit").code == 0


def test_merge_that_carries_more_than_its_sides_is_refused(forked: Repo) -> None:
    forked.commit("ours", {"base.txt": "ours\n"})
    forked.attempt("git", "merge", "other")
    forked.stage("base.txt", BIG)

    assert forked.attempt("git", "commit", "--no-edit").code == 1


def test_squashed_merge_is_a_change_of_ones_own(forked: Repo) -> None:
    forked.git("merge", "-q", "--squash", "other")

    assert forked.attempt("git", "commit", "-m", "squashed").code == 1
