"""What /proc says of single processes: who their children are, and what memory they hold. No errors: some are gone."""

from __future__ import annotations

import os

_PAGE = os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Living and dead children of all threads of a process, those it was handed when their parents died among them."""
    found: list[int] = []
    for thread in _threads(pid):
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
        except (OSError, ValueError):
            continue
    return found


def tells_children() -> bool:
    """Whether this kernel lists the children of a process."""
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def _threads(pid: int) -> list[str]:
    folder = f"/proc/{pid}/task"
    try:
        # A folder has a link for each folder in it, and two of its own: listing them costs more than counting.
        return [str(pid)] if os.stat(folder).st_nlink == 3 else os.listdir(folder)
    except OSError:
        return []


def resident(pid: int) -> int:
    """Bytes of a process in memory, shared ones among them; 0 for a dead one, and where nobody tells."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def own_peak() -> int:
    """The most memory this program has held, in bytes; 0 where nobody tells."""
    try:
        with open("/proc/self/status", "rb") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(b"VmHWM:"))
    except (OSError, ValueError, StopIteration):
        return _own_peak_elsewhere()


def _own_peak_elsewhere() -> int:
    import resource
    import sys

    # Kibibytes everywhere but on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
