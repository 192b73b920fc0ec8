"""Work trees of our own: made once, cleaned before they are used, never in the developer's way."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchgate.errors import GitError, OrchgateError
from orchgate.git import worktree, worktree_cache
from orchgate.git import worktree_cache as checkouts
from orchgate.git.repository import open_repository
from tests.repo import Repo, clone, init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.git.worktree_cache import Checkout

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def taken(repo: Repo, commit: str = "HEAD", variant: str = "") -> Iterator[Checkout]:
    repository = open_repository(str(repo.root), os.environ)
    try:
        with checkouts.checkout(repository, repository.require_commit(commit), variant, os.environ) as found:
            yield found
    finally:
        repository.close()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(worktree_cache.VARIABLE, str(tmp_path / "trees"))


@pytest.fixture
def two(repo: Repo) -> Repo:
    """Two commits: `a.txt` says one, then two; `made/` is ignored."""
    repo.commit(files={"a.txt": "one\n", ".gitignore": "made/\n"})
    repo.commit(files={"a.txt": "two\n"})
    return repo


def read(found: Checkout, name: str = "a.txt") -> str:
    return Path(found.root, name).read_text()


def test_has_the_files_of_its_commit(two: Repo) -> None:
    with taken(two, "HEAD~1") as base, taken(two) as head:
        assert (read(base), read(head)) == ("one\n", "two\n")


def test_paths_have_the_same_length_and_the_repository_s_name(two: Repo) -> None:
    with taken(two, "HEAD~1") as base, taken(two) as head:
        assert len(base.root) == len(head.root)
        assert {os.path.basename(base.root), os.path.basename(head.root)} == {"repo"}


def test_git_works_inside(two: Repo) -> None:
    with taken(two, "HEAD~1") as base:
        assert Repo(Path(base.root)).git("log", "--oneline").count("\n") == 0


def test_what_is_not_committed_stays_out(two: Repo) -> None:
    two.stage("a.txt", "staged\n")
    two.write("new.txt")

    with taken(two) as head:
        assert read(head) == "two\n"
        assert not Path(head.root, "new.txt").exists()


def test_index_and_work_tree_of_the_developer_stay_as_they_are(two: Repo) -> None:
    two.stage("a.txt", "staged\n")
    before = (two.root / ".git" / "index").read_bytes(), two.git("status", "--porcelain")

    with taken(two, "HEAD~1"):
        pass

    assert ((two.root / ".git" / "index").read_bytes(), two.git("status", "--porcelain")) == before


def test_a_tree_is_made_once(two: Repo) -> None:
    with taken(two) as first:
        inode = os.stat(first.root).st_ino

    with taken(two) as second:
        assert (second.root, os.stat(second.root).st_ino) == (first.root, inode)


def test_what_a_run_left_is_gone_the_next_time(two: Repo) -> None:
    with taken(two) as first:
        for name in ("a.txt", "left.txt", "made/by-hand/deep.txt"):
            Path(first.root, name).parent.mkdir(parents=True, exist_ok=True)
            Path(first.root, name).write_text("left\n")

    with taken(two) as second:
        assert sorted(os.listdir(second.root)) == [".git", ".gitignore", "a.txt"]
        assert read(second) == "two\n"


def test_what_was_prepared_stays(two: Repo) -> None:
    with taken(two, variant="pip") as first:
        Path(first.root, "made").mkdir()
        Path(first.root, "made", "library").write_text("x\n")
        checkouts.keep(open_repository(str(two.root), os.environ), first)

    with taken(two, variant="pip") as second:
        assert second.prepared
        assert read(second, "made/library") == "x\n"


def test_what_was_prepared_in_another_way_is_another_tree(two: Repo) -> None:
    with taken(two, variant="pip") as one, taken(two, variant="uv") as other:
        assert one.root != other.root


def test_a_commit_with_the_same_tree_shares_it(two: Repo) -> None:
    with taken(two) as first:
        root = first.root
    two.commit("nothing changed")

    with taken(two) as second:
        assert second.root == root
        assert Repo(Path(root)).git("rev-parse", "HEAD") == two.git("rev-parse", "HEAD")


def test_a_tree_in_use_is_nobody_else_s(two: Repo) -> None:
    with taken(two) as one, taken(two) as other:
        assert one.root != other.root
        assert len(one.root) == len(other.root)


def test_too_many_users_at_once_are_refused(two: Repo) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(worktree_cache.SLOTS):
            stack.enter_context(taken(two))

        with pytest.raises(GitError, match="10 other measurements use this tree"):
            stack.enter_context(taken(two))


def test_a_tree_half_made_is_made_again(two: Repo) -> None:
    with taken(two) as first:
        root = first.root
    Path(root).parent.joinpath("made.json").unlink()
    Path(root, "a.txt").write_text("torn")

    with taken(two) as second:
        assert read(second) == "two\n"


def test_a_tree_that_git_cannot_mend_is_made_again(two: Repo) -> None:
    with taken(two) as first:
        lock = Repo(Path(first.root)).git("rev-parse", "--git-path", "index.lock")
    Path(lock).write_text("")  # of a git that was killed

    with taken(two) as second:
        assert read(second) == "two\n"


def test_a_folder_that_was_removed_is_made_again(two: Repo) -> None:
    with taken(two) as first:
        root = first.root
    worktree_cache.erase(root)

    with taken(two) as second:
        assert (second.root, read(second)) == (root, "two\n")


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from orchgate.git import worktree, worktree_cache
from orchgate.git.repository import open_repository
repository = open_repository(".", os.environ)
with worktree_cache.checkout(repository, repository.require_commit("HEAD"), "", os.environ) as found:
    open(found.root + "/a.txt", "w").write("half")
    print(found.root, flush=True)
    sys.stdin.read()
"""


def test_a_killed_user_leaves_no_lock(two: Repo) -> None:
    top = str(Path(__file__).parent.parent)
    child = subprocess.Popen([sys.executable, "-c", KILLED, top], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    root = child.stdout.readline().decode().strip()
    child.send_signal(signal.SIGKILL)
    child.communicate()

    with taken(two) as found:
        assert (found.root, read(found)) == (root, "two\n")


def test_no_hook_of_the_developer_runs(two: Repo, tmp_path: Path) -> None:
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        hook = two.root / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran-{name}'\n")
        hook.chmod(0o755)

    with taken(two, "HEAD~1"):
        assert [name for name in os.listdir(tmp_path) if name.startswith("ran-")] == []


def test_a_hook_s_variables_do_not_lead_astray(two: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    git_dir = two.root / ".git"
    for name, value in (("GIT_DIR", ".git"), ("GIT_INDEX_FILE", str(git_dir / "index")), ("GIT_PREFIX", "")):
        monkeypatch.setenv(name, value)
    before = (git_dir / "index").read_bytes()

    with taken(two, "HEAD~1") as base:
        assert read(base) == "one\n"
    assert (git_dir / "index").read_bytes() == before


def test_works_from_a_linked_work_tree(two: Repo, tmp_path: Path) -> None:
    two.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), "HEAD~1")

    with taken(Repo(tmp_path / "linked")) as head:
        assert read(head) == "one\n"


def test_works_in_a_bare_repository(two: Repo, tmp_path: Path) -> None:
    bare = clone(two, tmp_path / "bare.git", "--bare")

    with taken(bare) as head:
        assert read(head) == "two\n"


def test_works_in_a_submodule(two: Repo, new_repo: Callable[[str], Repo]) -> None:
    outer = new_repo("outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(two.root), "inner")

    with taken(Repo(outer.root / "inner"), "HEAD~1") as base:
        assert read(base) == "one\n"
    assert (outer.root / "inner" / "a.txt").read_text() == "two\n"


def test_a_submodule_is_an_empty_folder(two: Repo, new_repo: Callable[[str], Repo]) -> None:
    outer = new_repo("outer")
    outer.git("config", "submodule.recurse", "true")
    outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(two.root), "inner")
    outer.commit("with a submodule")

    with taken(outer) as head:
        assert os.listdir(os.path.join(head.root, "inner")) == []


def test_all_is_there_though_the_developer_sees_a_part(two: Repo) -> None:
    two.commit(files={"lib/b.txt": "b\n"})
    two.git("sparse-checkout", "set", "--cone", "lib")
    two.git("sparse-checkout", "set", "--no-cone", "/lib/")

    with taken(two) as found:
        assert sorted(os.listdir(found.root)) == [".git", ".gitignore", "a.txt", "lib"]


def test_filters_of_the_repository_apply(two: Repo) -> None:
    two.git("config", "filter.loud.smudge", "tr a-z A-Z")
    two.git("config", "filter.loud.clean", "tr A-Z a-z")
    two.commit(files={".gitattributes": "a.txt filter=loud\n", "a.txt": "three\n"})

    with taken(two) as head:
        assert read(head) == "THREE\n"


def test_a_cache_that_others_can_write_to_is_refused(two: Repo, tmp_path: Path) -> None:
    (tmp_path / "trees").mkdir(mode=0o777)
    (tmp_path / "trees").chmod(0o777)

    with pytest.raises(OrchgateError, match="only this user can write to"), taken(two):
        pass


def test_a_cache_that_is_a_link_is_refused(two: Repo, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "trees").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OrchgateError, match="only this user can write to"), taken(two):
        pass


def test_old_trees_go_and_git_forgets_them(two: Repo) -> None:
    for number in range(worktree_cache.MOST_SLOTS + 2):
        commit = two.commit(files={"a.txt": f"{number}\n"})
        with taken(two, commit):
            pass

    listed = two.git("worktree", "list", "--porcelain").count("worktree ")
    assert listed <= 1 + worktree_cache.MOST_SLOTS + 1


def test_a_tree_in_use_is_not_pruned(two: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worktree_cache, "MOST_SLOTS", 0)

    with taken(two) as first, taken(two, "HEAD~1"):
        assert read(first) == "two\n"


def test_trees_of_a_repository_that_is_gone_go(two: Repo, tmp_path: Path, new_repo: Callable[[str], Repo]) -> None:
    with taken(two) as found:
        room = Path(found.root).parent.parent
    two.root.rename(tmp_path / "moved")
    os.chdir(tmp_path)
    other = new_repo("other")
    other.commit(files={"b.txt": "x\n"})

    with taken(other):
        assert not room.exists()


def test_a_read_only_folder_of_a_run_goes_too(two: Repo) -> None:
    with taken(two) as first:
        deep = Path(first.root, "made", "module")
        deep.mkdir(parents=True)
        (deep / "file").write_text("x\n")
        deep.chmod(0o500)

    with taken(two) as second:
        assert not Path(second.root, "made").exists()


@pytest.mark.parametrize("lasts", [3, 1000])
def test_an_entry_that_another_process_is_writing_is_waited_for(
    two: Repo, lasts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = two.root / ".git" / "worktrees" / "other"
    entry.mkdir(parents=True)
    (entry / "gitdir").write_text("/gone/.git\n")
    (entry / "commondir").write_text("")  # git: failed to read …/commondir: Success
    (entry / "HEAD").write_text("")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == lasts:
            (entry / "commondir").write_text("../..\n")

    monkeypatch.setattr("orchgate.git.worktree_cache.time.sleep", pause)
    if lasts > worktree_cache.TRIES:
        with pytest.raises(GitError, match="commondir"), taken(two):
            pass
    else:
        with taken(two) as found:
            assert read(found) == "two\n"
    assert len(pauses) == min(lasts, worktree_cache.TRIES - 1)


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_the_index_says_how_large_a_work_tree_is(tmp_path: Path, object_format: str) -> None:
    made = init(tmp_path / "made", f"--object-format={object_format}")
    made.commit("start", {f"a/{'n' * number}é.txt": "x" * number for number in range(1, 40)})
    made.git("worktree", "add", "--quiet", "--detach", "../tree")
    width = 20 if object_format == "sha1" else 32

    assert worktree.indexed_bytes(str(tmp_path / "tree"), width) == worktree_cache.size(str(tmp_path / "tree")) - len(
        (tmp_path / "tree/.git").read_bytes()
    )
