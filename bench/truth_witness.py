"""What stages of `truth.c` cost by witnesses of their own: cgroups, the programs' own clocks, a sampler, strace."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAUSE = 0.004  # seconds between two looks at who is there and how large
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CALLS = "openat,open,creat,rename,renameat,renameat2,clone,clone3,fork,vfork"
_MADE = re.compile(r"(?:v?fork|clone3?)\(.*= \d+$")
_OPENED = re.compile(r'(?:openat|open|creat)\([^"]*"out/[^"]*", [^)]*O_(?:WRONLY|RDWR).*= \d+$')
_RENAMED = re.compile(r'rename(?:at2?)?\(.*, "out/[^"]*".*= 0$')
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>")


class Truth(NamedTuple):
    """What a stage cost over all its attempts; None where no witness tells. Bytes of memory and of storage.

    `attempts`: when each began and ended.
    """

    attempts: tuple[tuple[float, float], ...]
    cpu: float
    rss: int | None
    tree: int | None
    written: int

    @property
    def wall(self) -> float:
        return sum(end - began for began, end in self.attempts)


class Counts(NamedTuple):
    """What strace saw: processes (the first included), files closed after writing, and files renamed to."""

    processes: int
    written: int
    renamed: int


def compiled(folder: Path) -> Path | None:
    """The program that stages are made of; None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    program = folder / "truth"
    source = Path(__file__).with_name("truth.c")
    subprocess.run([compiler, "-O2", "-pthread", "-o", str(program), str(source)], check=True)
    return program


class Attempt(NamedTuple):
    """The first process of a stage, and the moment it began."""

    pid: int
    began: float


@contextlib.contextmanager
def place(folder: Path) -> Iterator[Path | None]:
    """A cgroup of the second version in which groups can be made; None where there is none.

    What is measured may well use groups of the first version, so those are left alone.
    """
    unified = Path("/sys/fs/cgroup")
    if (unified / "cgroup.controllers").exists():
        own = re.search(r"^0::(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
        top = unified / (own[1].strip("/") if own else "")
        yield top if os.access(top, os.W_OK) else None
        return
    top = folder / "cgroup"
    top.mkdir()
    mount = ["mount", "-t", "cgroup2", "none", str(top)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield top if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(top)], check=False)


def make_group(top: Path | None, folder: Path) -> None:
    """Gives the stage of a folder a cgroup of its own."""
    if top is not None:
        group = top / f"truth-{os.getpid()}-{folder.name}"
        with contextlib.suppress(OSError):
            group.mkdir()
            (folder / "group").write_text(str(group / "cgroup.procs"))


def _group(folder: Path) -> Path | None:
    with contextlib.suppress(OSError):
        return Path((folder / "group").read_text()).parent
    return None


def processes(folder: Path) -> list[int]:
    """Those of a stage that live; without cgroups those that keep a line of themselves."""
    group = _group(folder)
    if group is None:
        return [int(row[0]) for row in _told(folder)]
    return [int(pid) for (pid,) in _rows(group / "cgroup.procs")]


def _used(folder: Path) -> float | None:
    """Seconds of CPU that all its processes used, the dead ones included; None without cgroups."""
    group = _group(folder)
    used = re.search(r"usage_usec (\d+)", (group / "cpu.stat").read_text()) if group else None
    return int(used[1]) / 1e6 if used else None


class Witness(threading.Thread):
    """Looks at the stages of some folders, again and again, until it is told to stop."""

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(daemon=True)
        self.folders = folders
        self._over = threading.Event()
        self._rss = dict.fromkeys(folders, 0)
        self._tree = dict.fromkeys(folders, 0)
        self._seen: dict[int, float] = {}  # when a stage's first process was last there

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(PAUSE):
            for folder in self.folders:
                present = 0
                for pid in processes(folder):
                    peak, size = _memory(pid)
                    self._rss[folder] = max(self._rss[folder], peak)
                    present += size
                self._tree[folder] = max(self._tree[folder], present)
                now = time.monotonic()
                self._seen |= {one.pid: now for one in attempts(folder) if _lives(one.pid)}

    def truth(self, folder: Path) -> Truth:
        """What the stage of one folder cost; to be asked once it is over."""
        ends = {int(pid): (float(at), float(user) + float(system)) for pid, at, user, system in _rows(folder / "ended")}
        told = list(_told(folder))
        spans: list[tuple[float, float]] = []
        waited = 0.0
        for one in attempts(folder):
            end, seconds = ends.get(one.pid, (self._seen.get(one.pid, one.began), 0.0))
            spans.append((one.began, end))
            waited += seconds
        cpu = _used(folder)
        if cpu is None:  # then the programs' own word is what there is
            cpu = max(waited, sum(float(row[1]) for row in told))
        rss = max([self._rss[folder], *(int(row[2]) * 1024 for row in told)])
        tree = max(rss, self._tree[folder])
        return Truth(tuple(spans), cpu, rss or None, tree or None, sum(int(row[4]) for row in told))


def attempts(folder: Path) -> list[Attempt]:
    return [Attempt(int(pid), float(began)) for pid, began in _rows(folder / "began")]


def _rows(path: Path) -> list[list[str]]:
    with contextlib.suppress(OSError):
        return [line.split() for line in path.read_text().splitlines()]
    return []


def _told(folder: Path) -> Iterator[list[str]]:
    """The lines that the processes keep of themselves."""
    with contextlib.suppress(OSError):
        for line in (folder / "processes").read_bytes()[128:].split(b"\n"):
            if line.strip(b"\0 "):
                yield line.decode().split()


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
    return False


def _memory(pid: int) -> tuple[int, int]:
    """Bytes: the largest resident set of a process, and the present one."""
    with contextlib.suppress(OSError, IndexError):
        text = Path(f"/proc/{pid}/status").read_text()
        peak, now = (re.search(rf"{key}:\s+(\d+)", text) for key in ("VmHWM", "VmRSS"))
        return (int(peak[1]) * 1024, int(now[1]) * 1024) if peak and now else (0, 0)
    return 0, 0


def counted(argv: Sequence[str], cwd: Path, folder: Path, times: int) -> Counts | None:
    """Counts what a command does, by strace, outside of orchgate and in a twentieth of the time; None without it."""
    if shutil.which("strace") is None:
        return None
    (folder / "quick").touch()
    total = Counts(0, 0, 0)
    for _ in range(times):
        total = Counts(*(one + other for one, other in zip(total, _traced(argv, cwd, folder / "strace"), strict=True)))
    return total


def _traced(argv: Sequence[str], cwd: Path, log: Path) -> Counts:
    trace = ["strace", "-f", "-qq", "-s", "200", "-e", f"trace={_CALLS}", "-e", "signal=none", "-o", str(log)]
    subprocess.run([*trace, *argv], cwd=cwd, capture_output=True, check=False, timeout=120)
    calls = list(_whole(log.read_text(errors="replace").splitlines()))
    made = sum(bool(_MADE.match(call)) and "CLONE_THREAD" not in call for call in calls)
    opened = sum(bool(_OPENED.match(call)) for call in calls)
    return Counts(1 + made, opened, sum(bool(_RENAMED.match(call)) for call in calls))


def _whole(lines: Sequence[str]) -> Iterator[str]:
    """System calls, those put together again that another process's came between."""
    begun: dict[str, str] = {}
    for line in lines:
        pid, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[pid] = call.removesuffix("<unfinished ...>")
        elif resumed := _RESUMED.match(call):
            yield begun.pop(pid, "") + call[resumed.end() :]
        else:
            yield call


def end(folders: Sequence[Path]) -> None:
    """Ends what is left of some stages and removes their cgroups."""
    for folder in folders:
        for _ in range(100):
            left = [pid for pid in processes(folder) if _lives(pid)]
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            if not left:
                break
            time.sleep(0.02)
        if group := _group(folder):
            with contextlib.suppress(OSError):
                group.rmdir()
