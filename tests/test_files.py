"""Whole files: made beside where git looks, put in place in one step, and nothing left of a writer that died."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from orchgate.lib import files, temporary
from tests.killing import TRACED, killed_at_each_step
from tests.repo import init

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo

LEFT = ".orchgate-0123456789abcdef.tmp"
WRITER = """
import sys
from orchgate.lib import files

for number in range(50):
    files.replace(sys.argv[1], (sys.argv[2] * 5000).encode(), sync=False)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def room(repo: Repo) -> Path:
    return repo.root / ".git/orchgate/writing"


def untracked(repo: Repo) -> str:
    return repo.git("status", "--porcelain", "--untracked-files=all")


@pytest.mark.parametrize("write", [files.replace, files.create])
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_a_new_file_has_what_the_user_s_mask_leaves(tmp_path: Path, write: Callable[..., None], mask: int) -> None:
    before = os.umask(mask)
    try:
        write(str(tmp_path / "a"), b"x")
        write(str(tmp_path / "b"), b"x", executable=True)
    finally:
        os.umask(before)

    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "b")] == [0o666 & ~mask, 0o777 & ~mask]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444])
def test_an_old_file_s_permissions_stay(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(mode)

    files.replace(str(tmp_path / "a"), b"new")

    assert ((tmp_path / "a").stat().st_mode & 0o777, (tmp_path / "a").read_bytes()) == (mode, b"new")


def test_a_file_without_its_run_bit_gets_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o640)

    files.replace(str(tmp_path / "a"), b"new", executable=True)

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750


def test_a_folder_s_group_is_handed_on(repo: Repo) -> None:
    groups = [group for group in (os.getgroups() if os.geteuid() else [12345]) if group != os.getegid()]
    if not groups:
        pytest.skip("this user is in one group only")
    os.chown(repo.root, -1, groups[0])
    repo.root.chmod(0o2775)

    files.replace(str(repo.root / "a"), b"x")

    assert (repo.root / "a").stat().st_gid == groups[0]


@pytest.mark.parametrize("shape", ["link", "dangling"])
def test_a_link_is_replaced_and_not_written_through(tmp_path: Path, shape: str) -> None:
    (tmp_path / "other").write_text("theirs")
    (tmp_path / "a").symlink_to("other" if shape == "link" else "nowhere")

    files.replace(str(tmp_path / "a"), b"x")

    assert ((tmp_path / "a").is_symlink(), (tmp_path / "other").read_text(), names(tmp_path)) == (
        False,
        "theirs",
        ["a", "other"],
    )


@pytest.mark.parametrize("shape", ["file", "folder", "link"])
def test_a_name_that_is_taken_is_never_overwritten(repo: Repo, shape: str) -> None:
    path = repo.root / "a"
    if shape == "file":
        path.write_text("theirs")
    elif shape == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")

    with pytest.raises(files.WriteError, match="File exists"):
        files.create(str(path), b"ours")

    assert (path.is_dir(), path.is_symlink(), names(room(repo))) == (shape == "folder", shape == "link", [])


def test_a_file_system_without_second_names_takes_new_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    files.create(str(tmp_path / "a"), b"x")
    with pytest.raises(files.WriteError, match="File exists"):
        files.create(str(tmp_path / "a"), b"y")

    assert ((tmp_path / "a").read_bytes(), names(tmp_path)) == (b"x", ["a"])


# Several writers


@pytest.mark.slow
def test_two_writers_of_one_file_never_publish_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    children = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "xyzw"]
    seen = set()
    while any(child.poll() is None for child in children):
        if path.exists():
            seen.add(path.read_text())

    assert ([child.returncode for child in children], names(tmp_path)) == ([0] * 4, ["a"])
    assert {(text[:1], len(text)) for text in seen | {path.read_text()}} <= {(letter, 5000) for letter in "xyzw"}


@pytest.mark.parametrize("inside", [True, False])
def test_one_that_is_swept_at_the_last_moment_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    made = init(tmp_path / "repo")
    if not inside:
        (made.root / ".git").rename(tmp_path / "elsewhere")
    real = os.rename
    swept: list[str] = []

    def after_a_sweep(source: str, target: str) -> None:
        if not swept:
            swept.append(source)
            os.unlink(source)
        real(source, target)

    monkeypatch.setattr(os, "rename", after_a_sweep)
    files.replace(str(made.root / "a"), b"x")

    assert ((made.root / "a").read_bytes(), len(swept)) == (b"x", 1)


def test_threads_of_one_process_do_not_meet(repo: Repo) -> None:
    path = str(repo.root / "a")
    threads = [threading.Thread(target=files.replace, args=(path, bytes([65 + n]) * 9000)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(set((repo.root / "a").read_bytes())), names(room(repo))) == (1, [])


# What is left behind


def test_a_file_is_written_where_git_does_not_look(repo: Repo) -> None:
    (repo.root / "docs").mkdir()

    assert next(temporary.folders(str(repo.root / "docs/a"))) == str(room(repo))


@pytest.mark.slow
def test_a_linked_work_tree_has_a_place_of_its_own(repo: Repo, tmp_path: Path) -> None:
    repo.commit()
    repo.git("worktree", "add", "-q", str(tmp_path / "linked"))

    assert next(temporary.folders(str(tmp_path / "linked/a"))) == str(
        repo.root / ".git/worktrees/linked/orchgate/writing"
    )


@pytest.mark.parametrize("shape", ["none", "file", "link", "empty"])
def test_without_a_git_folder_of_our_own_it_is_written_beside(tmp_path: Path, shape: str) -> None:
    made = init(tmp_path / "repo")
    inner = made.root / ".git/orchgate"
    if shape == "none":
        (made.root / ".git").rename(tmp_path / "elsewhere")
    elif shape == "file":
        inner.write_text("theirs")
    elif shape == "link":
        (tmp_path / "outside").mkdir()
        inner.symlink_to(tmp_path / "outside")
    else:
        (made.root / ".git/HEAD").unlink()

    files.replace(str(made.root / "a"), b"x")

    assert ((made.root / "a").read_bytes(), list(temporary.folders(str(made.root / "a")))) == (b"x", [str(made.root)])


def test_a_git_folder_on_another_file_system_is_of_no_use_and_no_harm(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(source: str, target: str) -> None:
        if os.path.dirname(source) != os.path.dirname(target):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        os.replace(source, target)

    monkeypatch.setattr(os, "rename", other)
    files.replace(str(repo.root / "a"), b"x")

    assert (names(repo.root), names(room(repo))) == ([".git", "a"], [])


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("listed", ["", "mine", "mine\n.orchgate-*.tmp\n"])
def test_what_a_dead_writer_left_beside_a_file_is_not_seen_by_git(
    repo: Repo, tmp_path: Path, listed: str, *, linked: bool
) -> None:
    repo.commit()
    (repo.root / ".git/info").mkdir(exist_ok=True)
    (repo.root / ".git/info/exclude").write_text(listed)
    root, git = repo.root, repo.root / ".git"
    if linked:
        root, git = tmp_path / "linked", repo.root / ".git/worktrees/linked"
        repo.git("worktree", "add", "-q", str(root))
    (git / "orchgate").write_text("there is no room")

    files.replace(str(root / "a"), b"x")
    (root / LEFT).write_text("half")

    assert repo.git("-C", str(root), "status", "--porcelain") == "?? a"


def test_a_file_that_git_does_not_see_is_named_once(repo: Repo) -> None:
    (repo.root / ".git/orchgate").write_text("there is no room")
    for _ in range(2):
        files.replace(str(repo.root / "a"), b"x")

    assert (repo.root / ".git/info/exclude").read_text().count(".orchgate-") == 1


@pytest.mark.parametrize("inside", [True, False])
def test_what_a_dead_writer_left_goes_with_the_next_one(tmp_path: Path, inside: bool) -> None:
    made = init(tmp_path / "repo")
    if not inside:
        (made.root / ".git").rename(tmp_path / "elsewhere")
    place = room(made) if inside else made.root
    place.mkdir(parents=True, exist_ok=True)
    (place / LEFT).write_text("half")

    files.replace(str(made.root / "a"), b"x")

    assert LEFT not in names(place)


def test_what_a_living_writer_is_at_stays(repo: Repo) -> None:
    room(repo).mkdir(parents=True)
    with (room(repo) / LEFT).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        files.replace(str(repo.root / "a"), b"x")

        assert names(room(repo)) == [LEFT]


@pytest.mark.parametrize(("hours", "left"), [(2, []), (0, [LEFT])])
def test_without_locks_age_tells_who_is_dead(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, hours: int, left: list[str]
) -> None:
    room(repo).mkdir(parents=True)
    (room(repo) / LEFT).write_text("half")
    then = (room(repo) / LEFT).stat().st_mtime - 3600 * hours
    os.utime(room(repo) / LEFT, (then, then))

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    files.replace(str(repo.root / "a"), b"x")

    assert ((repo.root / "a").read_bytes(), names(room(repo))) == (b"x", left)


@pytest.mark.slow
@TRACED
@pytest.mark.parametrize("verb", ["replace", "create"])
def test_a_writer_killed_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path: Path, verb: str) -> None:
    program = f"import sys; from orchgate.lib import files; files.{verb}(sys.argv[1], b'new' * 9)"
    for number, run in enumerate(killed_at_each_step(sys.executable, "-c", program, "a", every=1)):
        made = init(tmp_path / f"repo-{number}")
        if verb == "replace":
            (made.root / "a").write_text("old")
        run(made)
        path = made.root / "a"
        known = path.read_bytes() if path.exists() else b""
        assert known in ({b"old", b"new" * 9} if verb == "replace" else {b"", b"new" * 9})
        assert untracked(made) in {"", "?? a"}
        files.replace(str(made.root / "b"), b"x")
        assert names(room(made)) == []


# What refuses


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


@pytest.mark.slow
def test_a_file_that_may_not_grow_leaves_the_old_one_and_nothing_else(repo: Repo) -> None:
    (repo.root / "a").write_text("old")
    program = "import sys; from orchgate.lib import files; files.replace(sys.argv[1], b'x' * 99)"

    done = subprocess.run(
        [sys.executable, "-c", program, "a"], cwd=repo.root, capture_output=True, check=False, preexec_fn=limited
    )

    assert (b"cannot write a: File too large" in done.stderr, done.returncode) == (True, 1)
    assert ((repo.root / "a").read_text(), names(repo.root), names(room(repo))) == ("old", [".git", "a"], [])


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EROFS, "can only be read"),
        (errno.EACCES, "ls -ld"),
        (errno.EIO, ""),
    ],
)
def test_a_refusal_names_the_file_the_reason_and_what_to_do(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, code: int, hint: str
) -> None:
    (repo.root / "a").write_text("old")

    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(files.WriteError) as caught:
        files.replace(str(repo.root / "a"), b"new")

    assert caught.value.message == f"cannot write {repo.root / 'a'}: {os.strerror(code)}"
    assert hint in caught.value.hint
    assert ((repo.root / "a").read_text(), names(repo.root), names(room(repo))) == ("old", [".git", "a"], [])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_a_writer_gets_the_whole_file_and_then_its_end(repo: Repo, number: signal.Signals) -> None:
    program = (
        "import os, sys\nfrom orchgate.lib import files\n"
        f"sync = os.fsync\nos.fsync = lambda one: (os.kill(os.getpid(), {int(number)}), sync(one))\n"
        "files.replace(sys.argv[1], b'new')\nprint('went on')"
    )

    done = subprocess.run([sys.executable, "-c", program, "a"], cwd=repo.root, capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (-number, b"")
    assert ((repo.root / "a").read_bytes(), names(room(repo))) == (b"new", [])


def test_a_new_file_whose_name_cannot_be_synced_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files, "sync_folder", refuse)

    with pytest.raises(files.WriteError):
        files.create(str(tmp_path / "a"), b"x")

    assert os.listdir(tmp_path) == []


def test_folders_that_many_make_at_once_are_made_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "sync_folder", lambda _: None)  # which spreads the threads out
    for number in range(50):
        path = str(tmp_path / str(number) / "a" / "b")
        barrier = threading.Barrier(4)
        failed: list[Exception] = []

        def make(path: str = path, barrier: threading.Barrier = barrier, failed: list[Exception] = failed) -> None:
            barrier.wait()
            try:
                files.make_folders(path)
            except files.WriteError as error:
                failed.append(error)

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (os.path.isdir(path), failed) == (True, [])
