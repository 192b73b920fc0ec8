"""What kind of machine this is, and whether a recorded process still runs on it.

The kind is enough to tell whether two times may be compared, and never says which machine it is.
"""

from __future__ import annotations

import contextlib
import os
import sys

from orchgate.lib.files import open_regular, sha256_hex
from orchgate.lib.forks import cores
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Mapping

    from orchgate.runs.run import Run, RunnerProcess


UNKNOWN = "unknown"
GIB = 1 << 30
MIB = 1 << 20
UNLIMITED = 1 << 60  # bytes; version 1 of the control groups says "no limit" with a number beyond it
# The first processor is described in the first page, and the kernel makes the rest only for those who read on.
PAGE = 4096
CONTAINERS = ("kubepods", "docker", "containerd", "libpod", "lxc", "garden")


def fingerprint(root: str = "/", environ: Mapping[str, str] = os.environ) -> dict[str, object]:
    """The `machine` of a manifest, a plain dict. What the system does not say is "unknown".

    Nothing in it changes from one run to the next or names the host. `root` is where /proc and /sys are. No errors.
    """
    machine: dict[str, object] = {
        "cpu_model": _cpu_model(root),
        "cores": _cores(root),
        "memory_class": _memory_class(root),
        "system": f"{sys.platform}-{os.uname().machine}",
        "kernel": _kernel_class(os.uname().release),
        "python": _python(),
        "container": _container(root, environ),
    }
    return {"fingerprint": sha256_hex(ascii(tuple(machine.items())))[:16], **machine}


def _read(root: str, path: str) -> str:
    """The first page of a file as text; "" when there is none to be read."""
    with contextlib.suppress(OSError):
        # Not open(): these files are read at every run, and a FIFO in a made-up /proc must not stop it.
        descriptor = open_regular(os.path.join(root, path))
        try:
            return os.read(descriptor, PAGE).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
    return ""


def _clean(text: str) -> str:
    """One line of printable text of bounded length, runs of blanks as one."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))[:120]


def _cpu_model(root: str) -> str:
    fields: dict[str, str] = {}
    for line in _read(root, "proc/cpuinfo").split("\n"):
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip().lower(), _clean(value))
    for key in ("model name", "cpu model", "cpu", "uarch", "hardware"):  # x86, MIPS, POWER, RISC-V, older ARM
        if fields.get(key):
            return fields[key]
    if fields.get("cpu implementer") and fields.get("cpu part"):
        return f"ARM implementer {fields['cpu implementer']} part {fields['cpu part']}"
    return UNKNOWN


def _cores(root: str) -> float:
    """Cores this process may use at once: those it is bound to, or fewer where a quota grants less."""
    return max(round(min([float(cores()), *_quotas(root)]), 2), 0.01)


def _quotas(root: str) -> Iterator[float]:
    for folder in _groups(root, "cpu"):
        quota, _, period = _read(root, f"{folder}/cpu.max").partition(" ")
        if not period:
            quota = _read(root, f"{folder}/cpu.cfs_quota_us")
            period = _read(root, f"{folder}/cpu.cfs_period_us")
        granted, length = _number(quota), _number(period)
        if granted and length:
            yield granted / length


def _memory_class(root: str) -> str:
    limits = [limit for limit in (_total_memory(root), *_memory_limits(root)) if limit and limit < UNLIMITED]
    return _power_of_two(min(limits)) if limits else UNKNOWN


def _total_memory(root: str) -> int | None:
    for line in _read(root, "proc/meminfo").split("\n"):
        if line.startswith("MemTotal:"):
            kilobytes = _number(line[9:].strip().removesuffix("kB"))
            return kilobytes * 1024 if kilobytes else None
    with contextlib.suppress(ValueError, OSError):  # systems without /proc
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if root == "/" else None
    return None


def _memory_limits(root: str) -> Iterator[int | None]:
    for folder in _groups(root, "memory"):
        yield _number(_read(root, f"{folder}/memory.max"))
        yield _number(_read(root, f"{folder}/memory.limit_in_bytes"))


def _power_of_two(size: int) -> str:
    """The nearest power of two: a machine sold with 16 GiB shows a little less, and not the same less every time."""
    import math

    unit, name = (GIB, "GiB") if size >= GIB // 2**0.5 else (MIB, "MiB")
    return f"{2 ** max(0, round(math.log2(size / unit)))}{name}"


def _groups(root: str, controller: str) -> Iterator[str]:
    """Folders of the control groups this process is in, from its own up to the topmost, of either version."""
    for line in _read(root, "proc/self/cgroup").split("\n"):
        _, _, rest = line.partition(":")
        names, colon, group = rest.partition(":")
        if not colon or ".." in group:
            continue
        if not names:
            mounts: tuple[str, ...] = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
        elif controller in names.split(","):
            mounts = (f"sys/fs/cgroup/{names}", f"sys/fs/cgroup/{controller}")
        else:
            continue
        for mount in mounts:
            yield from _upwards(mount, group.strip("/"))


def _upwards(mount: str, group: str) -> Iterator[str]:
    while group:
        yield f"{mount}/{group}"
        group = group.rpartition("/")[0]
    yield mount


def _number(text: str) -> int | None:
    """A positive whole number; None for "max", for -1 and for whatever else stands for "no limit"."""
    text = text.strip()
    return int(text) or None if text.isascii() and text.isdigit() and len(text) < 20 else None


def _kernel_class(release: str) -> str:
    """`6.1` of `6.1.0-18-cloud-amd64`: updates within a series do not make a new machine."""
    parts = release.partition("-")[0].split(".")
    return ".".join(_clean(part) for part in parts[:2]) or UNKNOWN


def _python() -> str:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return version if sys.implementation.name == "cpython" else f"{sys.implementation.name} {version}"


def _container(root: str, environ: Mapping[str, str]) -> str | None:
    """The kind of container, None outside of one."""
    if named := _clean(_read(root, "run/systemd/container")):
        return named
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    for sign, kind in (("run/.containerenv", "podman"), (".dockerenv", "docker")):
        if os.path.lexists(os.path.join(root, sign)):
            return kind
    groups = _read(root, "proc/self/cgroup")
    return next((word for word in CONTAINERS if word in groups), None)


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
