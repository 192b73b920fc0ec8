"""Where a file is written before it takes its place: a writer that is killed leaves nothing among the user's files.

That is a folder of our own in the git folder, which `git add` never sees. Where there is none, where it may not be
written to, or where it is on another file system, a hidden name beside the file has to do. Every writer holds a lock on
what it writes; what nobody holds was left by one that died, and goes with the next writer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time

from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def try_lock(descriptor: int) -> bool:
    """Whether the lock of an open file is ours now, until it is closed. Raises OSError where there are no locks."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(descriptor: int, path: str) -> bool:
    """Whether a path leads to an open file. Whoever held its lock before may have taken the file away."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


FOLDER = "orchgate"  # in the git folder: all that we keep there
PREFIX, SUFFIX = ".orchgate-", ".tmp"
LEFT_OVER_SECONDS = 3600.0  # where no lock tells who is alive
_ROOM = "writing"
_LONGEST = 4096  # bytes of a file that names a git folder
_MOST_EXCLUDED = 1 << 20  # bytes of git's own list of what it ignores


def git_folder(path: str) -> str:
    """The git folder of the work tree that a path lies in; "" where there is none, or a stranger's. Runs no git."""
    at = os.path.dirname(os.path.abspath(path))
    while True:
        try:
            found = _named(os.path.join(at, ".git"))
            owner = os.stat(found).st_uid
            os.stat(os.path.join(found, "HEAD"))
        except OSError:
            above = os.path.dirname(at)
            if above == at:
                return ""
            at = above
            continue
        # What lies in a folder that everybody may write to, such as /tmp, has to be ours.
        return found if owner in (os.geteuid(), os.stat(at).st_uid) else ""


def _named(dot_git: str) -> str:
    """The folder that `.git` is, or names. Raises OSError."""
    mode = os.stat(dot_git).st_mode
    if stat.S_ISDIR(mode):
        return dot_git
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), dot_git)
    with open(dot_git, "rb") as file:
        content = os.fsdecode(file.read(_LONGEST))
    return os.path.join(os.path.dirname(dot_git), content.removeprefix("gitdir:").strip())


def folders(path: str) -> Iterator[str]:
    """The folders in which a file may be written before it is renamed to `path`, the best first."""
    beside = os.path.dirname(path) or os.curdir
    git = git_folder(path)
    if git:
        room = os.path.join(git, FOLDER, _ROOM)
        with contextlib.suppress(OSError):
            os.makedirs(room, exist_ok=True)
            real = os.path.realpath(room) == os.path.join(os.path.realpath(git), FOLDER, _ROOM)
            if real and os.stat(room).st_dev == os.stat(beside).st_dev:
                yield from (room, beside)
                return
        _exclude(git)
    yield beside


def opened(folder: str) -> tuple[str, int, int]:
    """A new file's name, its descriptor, and another one that keeps sweepers off until it is closed. Raises OSError.

    Two, so that the file can be closed before it gets its name: whoever watches files would count a later close as
    another write of it.
    """
    _sweep(folder)
    while True:
        path = os.path.join(folder, f"{PREFIX}{os.urandom(8).hex()}{SUFFIX}")
        # As a new file is made, so that the user's mask decides.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        lock = _locked(path)
        if lock is not None:
            return path, descriptor, lock
        os.close(descriptor)  # somebody sweeps, and came before the lock


def _locked(path: str) -> int | None:
    """A descriptor that holds the lock of a file; None when a sweeper has it, or had."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    ours = True
    with contextlib.suppress(OSError):  # a file system without locks: then age protects it
        ours = try_lock(lock)
    if ours and os.fstat(lock).st_nlink:
        return lock
    os.close(lock)
    return None


def _exclude(git: str) -> None:
    """Lets git ignore what a writer that is killed leaves beside a file. No errors."""
    line = f"{PREFIX}*{SUFFIX}\n".encode("ascii")
    with contextlib.suppress(OSError):
        info = os.path.join(_shared(git), "info")
        os.makedirs(info, exist_ok=True)
        # Whoever shares the list between repositories by a link has not asked for this.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(os.path.join(info, "exclude"), flags, 0o666), "r+b", buffering=0) as file:
            there = file.read(_MOST_EXCLUDED)
            if line not in there.splitlines(keepends=True):
                torn = there and not there.endswith(b"\n")
                file.write(b"\n" + line if torn else line)


def _shared(git: str) -> str:
    """The git folder that all work trees of a repository share."""
    with contextlib.suppress(FileNotFoundError), open(os.path.join(git, "commondir"), "rb") as file:
        return os.path.join(git, os.fsdecode(file.read(_LONGEST)).rstrip("\n"))
    return git


def tidy(root: str) -> None:
    """Removes what dead writers of a work tree left: whoever comes next may find nothing to write. No errors."""
    git = git_folder(os.path.join(root, _ROOM))
    with contextlib.suppress(OSError):
        if git:
            _sweep(os.path.join(git, FOLDER, _ROOM))


def _sweep(folder: str) -> None:
    """Removes what dead writers left in a folder."""
    for name in os.listdir(folder):
        if name.startswith(PREFIX) and name.endswith(SUFFIX):
            with contextlib.suppress(OSError):  # another one sweeps, too
                _remove_left_over(os.path.join(folder, name))


def _remove_left_over(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        if os.lstat(path).st_mtime < time.time() - LEFT_OVER_SECONDS:
            os.unlink(path)
        return
    try:
        try:
            dead = try_lock(descriptor)
        except OSError:
            dead = os.fstat(descriptor).st_mtime < time.time() - LEFT_OVER_SECONDS
        if dead:
            os.unlink(path)
    finally:
        os.close(descriptor)
