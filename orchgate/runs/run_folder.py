"""Where a run begins: in a folder aside, which becomes the run's own together with its first event.

Whoever is killed before that leaves something that nobody takes for a run. The next run of the same task sweeps it: a
run that is about to begin holds the lock on its journal, and until it has that one a lock on the folder of them all.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from orchgate.lib import files
from orchgate.lib.flock import try_lock
from orchgate.lib.inside import require_real
from orchgate.runs.locate import JOURNAL, RUN_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = ".new"  # in the folder of a task
_TRIES = 100


@contextlib.contextmanager
def folder_for(task: str, run_id: str) -> Iterator[str]:
    """A new folder in which a run of a task begins. Nobody sweeps it within the block, in which its journal is locked.

    `task` is the task's folder, which is made. Raises WriteError, and OrchgateError for a link in the way.
    """
    files.make_folders(task)
    require_real(task, FOLDER)
    home = os.path.join(task, FOLDER)
    folder = os.path.join(home, run_id)
    lock = _made(home, folder)
    try:
        yield folder
    finally:
        os.close(lock)


def appear(folder: str, place: str) -> None:
    """Puts a run that has begun where it belongs. Raises WriteError."""
    files.make_folders(os.path.dirname(place))
    try:
        os.rename(folder, place)
        files.sync_folder(os.path.dirname(place))
    except OSError as error:
        raise files.failure(place, error) from error
    _leave(os.path.dirname(folder))


def drop(folder: str) -> None:
    """Removes a run that never began. No errors."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    _leave(os.path.dirname(folder))


def _leave(home: str) -> None:
    with contextlib.suppress(OSError):  # others are about to begin
        os.rmdir(home)


def _made(home: str, folder: str) -> int:
    """Makes a folder in one that anybody may take away while it is empty; the lock that keeps sweepers off."""
    for _ in range(_TRIES):
        lock = -1
        try:
            lock = _opened(home)
            _hold(lock, home)
            os.mkdir(folder)
            # Another one may have been put in its place before we made ours in it: our lock is on the old one.
            if os.path.samestat(os.fstat(lock), os.stat(home)):
                return lock
            os.rmdir(folder)
            os.close(lock)
        except OSError as error:
            if lock >= 0:
                os.close(lock)
            if error.errno != errno.ENOENT:
                raise files.failure(folder, error) from error
    raise files.WriteError(folder, "the folder it belongs to keeps being removed")


def _opened(home: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(home)
    return os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _hold(lock: int, home: str) -> None:
    """Locks the folder of all that is about to begin; who is alone there sweeps it first."""
    import fcntl

    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sweep(lock, home)
    fcntl.flock(lock, fcntl.LOCK_SH)


def _sweep(lock: int, home: str) -> None:
    """Removes what killed runners left in the folder that is locked, which may not be the one of that name any more."""
    import shutil

    with os.scandir(lock) as entries:
        left = [os.path.join(home, entry.name) for entry in entries if RUN_ID.fullmatch(entry.name)]
    for path in left:
        if not _is_held(os.path.join(path, JOURNAL)):
            shutil.rmtree(path, ignore_errors=True)


def _is_held(journal: str) -> bool:
    """Whether somebody alive has a journal's lock."""
    try:
        descriptor = files.open_regular(journal, follow=False)
    except OSError:
        return False
    try:
        return not try_lock(descriptor)
    except OSError:
        return True
    finally:
        os.close(descriptor)
