"""One at a time: a lock that the system takes from its holder when that one dies, and that says who holds it.

The file of a lock lies in the git folder and is there only while somebody holds it, or was killed holding it.
"""

from __future__ import annotations

import contextlib
import os
import time

from orchgate.errors import OrchgateError
from orchgate.lib import files, temporary
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0  # seconds with one holder; whoever comes after it is waited for anew
RECORDS = "records"  # the lock of `.orchgate`, for whoever changes a file there
_FOLDER = "locks"
_PAUSE = 0.02
_LONGEST = 200  # bytes that a holder says of itself


class Busy(OrchgateError):
    """Somebody else was at it for longer than anybody waits."""


class NoLocks(OrchgateError):
    """The file system knows no locks, so nobody can be alone."""


def take(descriptor: int, path: str, patience: float = PATIENCE) -> None:
    """Waits until an open file is ours alone, until it is closed. Raises Busy, NoLocks."""
    end = time.monotonic() + patience
    while not try_lock(descriptor, path):
        if time.monotonic() > end:
            owner = _owner(descriptor) or "another process"
            raise Busy(f"{path} is held by {owner}", "wait until that one has ended, then run this again")
        time.sleep(_PAUSE)


def try_lock(descriptor: int, path: str) -> bool:
    """Whether an open file is ours alone now, until it is closed. Raises NoLocks."""
    try:
        return temporary.try_lock(descriptor)
    except OSError as error:
        hint = "use a clone on a local disk, or mount this one with locks: NFS without nolock, with a lock service"
        raise NoLocks(f"{path}: this file system has no file locks: {error.strerror or error}", hint) from error


@contextlib.contextmanager
def held(root: str, name: str, doing: str, patience: float = PATIENCE) -> Iterator[None]:
    """Keeps every other process out that holds the same name for a work tree. `doing` is for those who wait.

    Where the git folder may not be written to, the work tree's own folder is locked. Raises Busy, NoLocks.
    """
    temporary.tidy(root)
    path = _place(root, name)
    if not path:
        with _folder(root, patience):
            yield
        return
    descriptor = _locked(path, patience)
    try:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            os.pwrite(descriptor, f"pid {os.getpid()} on {os.uname().nodename} since {since}: {doing}".encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)  # while it is ours: see `_locked`
        os.close(descriptor)


def _place(root: str, name: str) -> str:
    """Where the file of a lock may be made; "" for nowhere."""
    git = temporary.git_folder(os.path.join(root, name))
    if not git:
        return ""
    folder = os.path.join(git, temporary.FOLDER, _FOLDER)
    path = os.path.join(folder, name)
    try:
        os.makedirs(folder, exist_ok=True)
        os.close(open_lock(path))
    except OSError:
        return ""
    return path


def open_lock(path: str, mode: int = 0o666) -> int:
    """The descriptor of a file that is there to be locked, made if it is not there. Raises OSError."""
    # For writing, too: over NFS nothing else can be locked.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)


def _locked(path: str, patience: float) -> int:
    """A descriptor that holds the lock. Raises Busy, NoLocks, WriteError."""
    while True:
        try:
            descriptor = open_lock(path)
        except OSError as error:
            raise files.failure(path, error) from error
        try:
            take(descriptor, path, patience)
            # Whoever held it before has taken the file away: what we locked is nobody's any more.
            if temporary.is_at(descriptor, path):
                return descriptor
        except BaseException as error:
            if isinstance(error, NoLocks):  # so nobody holds it
                with contextlib.suppress(OSError):
                    os.unlink(path)
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextlib.contextmanager
def _folder(path: str, patience: float) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise files.failure(path, error) from error
    try:
        take(descriptor, path, patience)
        yield
    finally:
        os.close(descriptor)


def _owner(descriptor: int) -> str:
    """What the holder of a lock said of itself; "" for a file of another kind."""
    try:
        holder = os.pread(descriptor, _LONGEST, 0).decode("utf-8", "replace")
    except OSError:
        return ""
    return holder if holder.startswith("pid ") else ""
