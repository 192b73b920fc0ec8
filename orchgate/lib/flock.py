"""Locks on open files, which the system takes from a holder that dies."""

from __future__ import annotations

import os


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
