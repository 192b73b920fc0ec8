"""Every state a repository can be in: it works, or ends in exit 3 with what mends it. Nothing is written."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from orchgate.cli import main
from orchgate.errors import GitError
from orchgate.gate import session
from tests.repo import Repo, clone, init
from tests.scoping import budget_of, files, scope_of, unknown

pytestmark = pytest.mark.slow

BUDGET = ["check", "diff-budget"]
PROGRAMS = (
    "core.fsmonitor",
    "core.pager",
    "pager.diff",
    "diff.external",
    "diff.x.textconv",
    "diff.x.command",
    "core.editor",
)


@pytest.fixture
def branched(repo: Repo) -> Repo:
    """`feature` is one commit ahead of main."""
    repo.commit("base", {"base.txt": "base\n", "docs/PRD-x.md": "# PRD\n"})
    repo.git("checkout", "-q", "-b", "feature")
    repo.commit("one", {"one.txt": "1\n"})
    return repo


def shallow(source: Repo, root: Path, *options: str) -> Repo:
    made = Repo(root)
    source.git("clone", "-q", "--template=", "--depth=1", *options, f"file://{source.root}", str(root))
    return made


# Where HEAD is


def test_unborn_head_is_judged_against_nothing(repo: Repo) -> None:
    repo.stage("a.txt", "a\nb\n")

    assert [(change.path, change.added) for change in scope_of(staged=True).changes] == [("a.txt", 2)]


def test_unborn_head_without_a_flag_is_a_first_commit(repo: Repo) -> None:
    repo.stage("a.txt")

    assert (files(scope_of()), scope_of().origin) == (["a.txt"], "first commit")


def test_unborn_head_with_nothing_added_passes(repo: Repo) -> None:
    assert main([*BUDGET, "--staged"]) == 0


def test_head_without_its_commit_is_not_a_first_commit(branched: Repo) -> None:
    (branched.root / ".git" / "refs" / "heads" / "feature").write_text("1" * 40 + "\n")

    with pytest.raises(GitError, match="HEAD names 1111"):
        scope_of(staged=True)


def test_detached_head_works(branched: Repo) -> None:
    branched.git("checkout", "-q", "--detach")

    assert files(scope_of()) == ["one.txt"]


def test_detached_head_has_no_branch(branched: Repo) -> None:
    branched.git("checkout", "-q", "--detach")

    with session.opened() as repository:
        assert repository.branch == ""


def test_branch_beside_a_tag_of_its_name_keeps_its_name(branched: Repo) -> None:
    branched.git("tag", "feature")

    with session.opened() as repository:
        assert repository.branch == "feature"


# Shallow and partial clones


def test_shallow_clone_without_a_base_is_exit_3(
    branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shallow(branched, tmp_path / "clone").root)

    assert main(BUDGET) == 3


@pytest.mark.parametrize(
    "env", [{}, {"PRE_COMMIT": "1"}, {"GITHUB_BASE_REF": "main"}, {"PULL_BASE_SHA": "1" * 40}], ids=str
)
def test_shallow_clone_names_what_mends_it(
    branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]
) -> None:
    monkeypatch.chdir(shallow(branched, tmp_path / "clone").root)
    error = unknown(scope_of(env))

    assert (error.hint.startswith("git fetch --unshallow origin "), "fetch-depth: 0" in error.message) == (True, True)


def test_shallow_clone_of_two_branches_has_no_common_ancestor(
    branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    branched.git("checkout", "-q", "main")
    branched.commit("further", {"further.txt": "f\n"})
    branched.git("checkout", "-q", "feature")
    monkeypatch.chdir(shallow(branched, tmp_path / "clone", "--no-single-branch").root)

    assert "is cut off" in unknown(scope_of({"GITHUB_BASE_REF": "main"})).message


def test_commit_at_the_edge_of_a_shallow_clone_is_not_a_root(
    branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shallow(branched, tmp_path / "clone").root)

    with pytest.raises(GitError, match=r"the parent of \w+ is not here"):
        scope_of(commit="HEAD")


def test_staged_change_in_a_shallow_clone_works(
    branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloned = shallow(branched, tmp_path / "clone")
    cloned.stage("new.txt")
    monkeypatch.chdir(cloned.root)

    assert files(scope_of(staged=True)) == files(scope_of()) == ["new.txt"]


@pytest.fixture
def partial(branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A clone without the blobs of older commits, whose user allows every protocol."""
    branched.git("config", "uploadpack.allowFilter", "true")
    branched.commit("two", {"one.txt": "1\n2\n"})
    made = Repo(tmp_path / "partial")
    branched.git("clone", "-q", "--template=", "--filter=blob:none", f"file://{branched.root}", str(made.root))
    made.git("config", "protocol.file.allow", "always")
    monkeypatch.chdir(made.root)
    return made


def test_missing_blobs_of_a_partial_clone_are_exit_3(partial: Repo) -> None:
    assert main([*BUDGET, "--commit", "HEAD"]) == 3


def test_missing_blobs_of_a_partial_clone_are_not_fetched(partial: Repo) -> None:
    before = listing(partial.root)
    main([*BUDGET, "--commit", "HEAD"])

    assert listing(partial.root) == before


def test_partial_clone_names_what_mends_it(partial: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    main([*BUDGET, "--commit", "HEAD"])

    assert "git fetch --refetch --no-filter" in capsys.readouterr().err


def test_what_mends_a_partial_clone_mends_it(partial: Repo) -> None:
    partial.git("fetch", "-q", "--refetch", "--no-filter")

    assert files(scope_of(commit="HEAD")) == ["one.txt"]


def test_staged_change_in_a_partial_clone_works(partial: Repo) -> None:
    partial.stage("new.txt")

    assert files(scope_of(staged=True)) == ["new.txt"]


def test_lost_object_is_exit_3(branched: Repo) -> None:
    oid = branched.git("rev-parse", "HEAD:one.txt")
    (branched.root / ".git" / "objects" / oid[:2] / oid[2:]).unlink()

    assert main([*BUDGET, "--commit", "HEAD"]) == 3


def test_lost_configuration_is_exit_2_not_the_defaults(branched: Repo) -> None:
    branched.commit("strict", {"orchgate.toml": "[diff-budget]\nmax-lines = 0\n"})
    oid = branched.git("rev-parse", "HEAD:orchgate.toml")
    (branched.root / ".git" / "objects" / oid[:2] / oid[2:]).unlink()

    assert main([*BUDGET, "--base", "HEAD~1"]) == 2


# Work trees and places


def test_linked_work_tree_has_its_own_index(branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    branched.git("worktree", "add", "-q", str(tmp_path / "linked"), "main")
    linked = Repo(tmp_path / "linked")
    linked.stage("linked.txt")
    monkeypatch.chdir(linked.root)

    assert files(scope_of(staged=True)) == ["linked.txt"]


def test_merge_in_a_linked_work_tree_is_seen(branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    branched.git("worktree", "add", "-q", "-b", "third", str(tmp_path / "linked"), "main")
    linked = Repo(tmp_path / "linked")
    linked.commit("three", {"three.txt": "3\n"})
    linked.git("merge", "-q", "--no-commit", "feature")
    monkeypatch.chdir(linked.root)

    assert files(scope_of(staged=True)) == []


@pytest.fixture
def submodule(branched: Repo, new_repo: Repo, tmp_path: Path) -> Repo:
    """A submodule `sub` of the branched repository, committed there."""
    inner = init(tmp_path / "inner")
    inner.commit("inner", {"inner.txt": "i\n"})
    branched.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.root), "sub")
    branched.commit("with a submodule")
    return Repo(branched.root / "sub")


def test_inside_a_submodule_its_own_change_is_judged(submodule: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    submodule.stage("new.txt")
    monkeypatch.chdir(submodule.root)

    assert files(scope_of(staged=True)) == ["new.txt"]


def test_bumped_submodule_is_one_file(submodule: Repo, branched: Repo) -> None:
    submodule.commit("next", {"next.txt": "n\n"})
    branched.git("add", "sub")

    assert budget_of(staged=True).facts["counted"] == [{"path": "sub", "added": 1, "removed": 1}]


def test_dirty_submodule_is_not_part_of_the_commit(submodule: Repo) -> None:
    submodule.write("inner.txt", "dirty\n")

    assert files(scope_of(staged=True)) == []


@pytest.mark.parametrize("key", ["submodule.sub.ignore", "diff.ignoreSubmodules"])
def test_ignored_submodule_is_counted_all_the_same(submodule: Repo, branched: Repo, key: str) -> None:
    submodule.commit("next", {"next.txt": "n\n"})
    branched.git("add", "sub")
    branched.git("config", key, "all")

    assert files(scope_of(staged=True)) == ["sub"]


@pytest.fixture
def bare(branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    made = clone(branched, tmp_path / "bare.git", "--bare")
    monkeypatch.chdir(made.root)
    return made


def test_range_in_a_bare_repository_works(bare: Repo) -> None:
    assert files(scope_of(base="main", head="feature")) == ["one.txt"]


def test_bare_repository_without_a_flag_judges_its_head(bare: Repo) -> None:
    assert files(scope_of()) == ["one.txt"]


def test_bare_repository_has_nothing_staged(bare: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert (main([*BUDGET, "--staged"]), "a bare repository has no index" in capsys.readouterr().err) == (3, True)


def test_whole_tree_of_a_bare_repository_works(bare: Repo) -> None:
    assert main(["check", "--all-files", "documents"]) in (0, 1)


def test_sub_directory_judges_the_whole_repository(branched: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    branched.stage("top.txt")
    monkeypatch.chdir(branched.root / "docs")

    assert files(scope_of(staged=True)) == ["top.txt"]


@pytest.mark.parametrize(
    "name",
    ["a b", "a\nb", "a\n", "\n", "it's", 'say "hi"', "-dash", "tab\there", "back\\slash", "ä", "*", ":x", "\udcff"],
)
@pytest.mark.parametrize("options", [(), ("--bare",)], ids=["work tree", "bare"])
def test_repository_may_have_any_name(
    branched: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: tuple[str, ...]
) -> None:
    root = tmp_path / "odd" / name
    branched.git("clone", "-q", "--template=", "--no-local", *options, "--", ".", str(root))
    monkeypatch.chdir(root)

    assert files(scope_of(commit="HEAD")) == ["one.txt"]


def test_outside_a_repository_is_exit_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert (main(BUDGET), "git init" in capsys.readouterr().err) == (3, True)


def test_folder_that_is_gone_is_exit_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code = main(BUDGET)
    monkeypatch.chdir(tmp_path)

    assert code == 3


def test_repository_of_somebody_else_is_exit_3_with_gits_command(
    branched: Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    code = main(BUDGET)

    assert (code, f"safe.directory {branched.root}" in capsys.readouterr().err) == (3, True)


def test_missing_git_is_exit_3(branched: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main(BUDGET) == 3


def test_sha256_repository_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = init(tmp_path / "sha256", "--object-format=sha256")
    root = made.commit("root", {"a.txt": "a\n", "empty.txt": ""})
    made.stage("b.txt", "b\n")
    monkeypatch.chdir(made.root)

    assert (files(scope_of(staged=True)), files(scope_of(commit=root))) == (["b.txt"], ["a.txt", "empty.txt"])


# What git may say about a path, an object or the index


def test_replaced_commit_is_judged_as_it_will_be_pushed(branched: Repo) -> None:
    branched.commit("big", {"big.txt": "1\n" * 9})
    branched.git("replace", "HEAD", "HEAD~1")

    assert [change.added for change in scope_of(commit="HEAD").changes] == [9]


def test_replaced_blob_is_judged_as_it_will_be_pushed(branched: Repo) -> None:
    branched.git("replace", branched.git("rev-parse", "HEAD:one.txt"), branched.git("rev-parse", "HEAD:base.txt"))

    with session.opened() as repository:
        assert repository.tree("HEAD").read("one.txt") == b"1\n"


def test_grafted_history_is_judged_as_it_will_be_pushed(branched: Repo) -> None:
    branched.commit("two", {"two.txt": "2\n"})
    (branched.root / ".git" / "info").mkdir(exist_ok=True)
    (branched.root / ".git" / "info" / "grafts").write_text(
        f"{branched.git('rev-parse', 'main')} {branched.git('rev-parse', 'HEAD~1')}\n"
    )

    assert files(scope_of(base="main")) == ["one.txt", "two.txt"]


def test_author_cannot_write_a_parent(branched: Repo) -> None:
    tree, head = branched.git("rev-parse", "HEAD^{tree}"), branched.git("rev-parse", "HEAD")
    forged = f"tree {tree}\nauthor A\rparent {head} <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nm\n"
    oid = branched.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=forged.encode())

    assert len(files(scope_of(commit=oid))) == 3


def test_intent_to_add_is_not_part_of_the_commit(branched: Repo) -> None:
    branched.write("later.txt")
    branched.git("add", "-N", "later.txt")

    with session.opened() as repository:
        assert (files(scope_of(staged=True)), "later.txt" in repository.index.entries) == ([], False)


def test_empty_file_beside_an_intent_to_add_stays(branched: Repo) -> None:
    branched.write("later.txt")
    branched.git("add", "-N", "later.txt")
    branched.stage("empty.txt", "")

    with session.opened() as repository:
        assert "empty.txt" in repository.index.entries


def test_removed_file_that_is_meant_to_come_back_is_a_removal(branched: Repo) -> None:
    branched.git("rm", "-q", "--cached", "base.txt")
    branched.git("add", "-N", "base.txt")

    with session.opened() as repository:
        assert (files(scope_of(staged=True)), "base.txt" in repository.index.entries) == (["base.txt"], False)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_index_counts_whatever_git_was_told_about_the_work_tree(branched: Repo, flag: str) -> None:
    branched.stage("one.txt", "1\n2\n")
    branched.git("update-index", flag, "one.txt")
    branched.write("one.txt", "9\n9\n9\n9\n")

    assert [change.added for change in scope_of(staged=True).changes] == [1]


def test_sparse_checkout_lists_the_whole_tree(branched: Repo) -> None:
    branched.git("sparse-checkout", "set", "--cone", "--sparse-index", "nothing")

    with session.opened() as repository:
        assert ("docs/PRD-x.md" in repository.index.entries, files(scope_of(staged=True))) == (True, [])


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_every_version_of_the_index_is_read(branched: Repo, version: str) -> None:
    branched.stage("new.txt")
    branched.git("update-index", "--index-version", version)

    assert files(scope_of(staged=True)) == ["new.txt"]


def test_split_index_is_read(branched: Repo) -> None:
    branched.git("update-index", "--split-index")
    branched.stage("new.txt")

    assert files(scope_of(staged=True)) == ["new.txt"]


def test_unmerged_index_is_exit_3(branched: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    blob = branched.git("rev-parse", "HEAD:one.txt")
    stages = "".join(f"100644 {blob} {stage}\tone.txt\n" for stage in (1, 2, 3))
    branched.git("rm", "-q", "--cached", "one.txt")
    branched.git("update-index", "--index-info", stdin=stages.encode())

    assert (main([*BUDGET, "--staged"]), "git add" in capsys.readouterr().err) == (3, True)


def test_broken_index_is_exit_3(branched: Repo) -> None:
    (branched.root / ".git" / "index").write_bytes(b"DIRCgarbage")

    assert main([*BUDGET, "--staged"]) == 3


# What a hook's environment says


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("folder", ["", "docs"])
def test_another_index_is_honoured(
    branched: Repo, monkeypatch: pytest.MonkeyPatch, absolute: bool, folder: str
) -> None:
    other = branched.root / ".git" / "other"
    branched.git("read-tree", "HEAD", env={"GIT_INDEX_FILE": str(other)})
    branched.write("only-there.txt")
    branched.git("add", "only-there.txt", env={"GIT_INDEX_FILE": str(other)})
    monkeypatch.chdir(branched.root / folder)

    assert files(scope_of({"GIT_INDEX_FILE": str(other) if absolute else ".git/other"})) == ["only-there.txt"]


@pytest.mark.parametrize("variables", [{"GIT_DIR": ".git"}, {"GIT_DIR": ".git", "GIT_WORK_TREE": "."}], ids=str)
def test_relative_git_dir_of_a_hook_works(
    branched: Repo, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    branched.stage("new.txt")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert files(scope_of(staged=True)) == ["new.txt"]


def test_git_dir_from_outside_with_its_work_tree_works(branched: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    branched.stage("new.txt")
    monkeypatch.chdir(branched.root.parent)
    monkeypatch.setenv("GIT_DIR", "repo/.git")
    monkeypatch.setenv("GIT_WORK_TREE", "repo")

    assert files(scope_of(staged=True)) == ["new.txt"]


@pytest.mark.parametrize(
    "name", ["GIT_ICASE_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_LITERAL_PATHSPECS"]
)
def test_pathspec_settings_of_the_environment_change_nothing(
    branched: Repo, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    branched.stage("new.txt")
    monkeypatch.setenv(name, "1")

    assert files(scope_of(staged=True)) == ["new.txt"]


# Nothing is run and nothing is written


def listing(root: Path) -> dict[str, tuple[int, str]]:
    """Time of change and content of every file below a folder, `.git` included, but not of our own cache in it."""
    found: dict[str, tuple[int, str]] = {}
    for folder, inner, names in os.walk(root):
        if folder.endswith("/.git") and "orchgate" in inner:
            inner.remove("orchgate")
        for path in (Path(folder), *(Path(folder) / name for name in names)):
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = (path.lstat().st_mtime_ns, digest)
    return found


@pytest.mark.parametrize(
    "flags", [["--staged"], [], ["--all-files"], ["--commit", "HEAD"], ["--base", "main"]], ids=str
)
def test_check_writes_nothing(branched: Repo, flags: list[str]) -> None:
    branched.stage("docs/PRD-x.md", "# PRD — x\n\n[a](nowhere.md) `.runs/x/cli/y/manifest.json`\n")
    branched.write("one.txt", "dirty\n")
    os.utime(branched.root / "base.txt", (0, 0))  # git would like to refresh its index now
    (branched.root / ".git" / "orchgate").mkdir()
    before = listing(branched.root)
    main(["check", *flags])

    assert listing(branched.root) == before


def test_fsmonitor_and_other_programs_are_not_run(branched: Repo, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    program.chmod(0o755)
    branched.stage(".gitattributes", "* diff=x\n")
    branched.stage("new.txt")
    for key in PROGRAMS:
        branched.git("config", key, str(program))
    main(["check", "--staged"])
    main(["check", "--base", "main"])

    assert not (tmp_path / "ran").exists()
