"""Whether a run that has not ended is still being run by somebody."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.lib.files import open_regular

if TYPE_CHECKING:
    import datetime

    from orchgate.runs.run import Run, RunnerProcess


def myself() -> RunnerProcess | None:
    """This process; None without /proc."""
    from orchgate.runs.run import RunnerProcess

    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            boot_id = stream.read().strip()
        with open("/proc/self/stat", "rb") as stat:
            ticks = int(stat.read().rpartition(b")")[2].split()[19])
        namespace = os.readlink("/proc/self/ns/pid")
        return RunnerProcess(pid=os.getpid(), start_ticks=ticks, boot_id=boot_id, pid_namespace=namespace)
    except (OSError, ValueError, IndexError):
        return None


def silence(run: Run, folder: str, now: datetime.datetime) -> datetime.timedelta | None:
    """How long ago an unfinished run gave its last sign of life; None when its process is seen alive.

    `folder` is the run's folder on disk, "" if there is none. Negative when the last sign is in the future.
    """
    if run.process is not None and is_alive(run.process):
        return None
    return now - max(run.last_sign_of_life, heartbeat(folder) or run.started_at)


def heartbeat(folder: str) -> datetime.datetime | None:
    """The time in a run's `.heartbeat` file: its writer renews it far more often than the manifest.

    Its content, never its mtime: a copy or a clone is younger than the run it holds.
    """
    if not folder:
        return None
    import datetime

    try:
        descriptor = open_regular(os.path.join(folder, ".heartbeat"), follow=False)
    except OSError:
        return None
    try:
        moment = datetime.datetime.fromisoformat(os.read(descriptor, 64).decode("ascii").strip())
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
    return moment if moment.tzinfo else None


def is_alive(process: RunnerProcess) -> bool:
    """Whether exactly this process runs on this machine; False also when nobody here can know."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            same_boot = stream.read().strip() == process.boot_id
        if not same_boot or os.readlink("/proc/self/ns/pid") != process.pid_namespace:
            return False
        with open(f"/proc/{process.pid}/stat", "rb") as stat:
            # The program's name, field 2, is in parentheses and may hold anything, spaces included.
            fields = stat.read().rpartition(b")")[2].split()
    except (OSError, ValueError):
        return False
    return fields[0] not in (b"Z", b"X") and int(fields[19]) == process.start_ticks
