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
    """What a stage cost over all its attempts; None where no witness tells. Bytes of memory and of storage."""

    wall: float
    cpu: float
    rss: int | None
    tree: int | None
    written: int


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


class Group(NamedTuple):
    """One attempt of a stage: its first process, the moment it began, and its cgroup (None where there is none)."""

    pid: int
    began: float
    path: Path | None

    def processes(self) -> list[int]:
        if self.path is None:
            return []
        with contextlib.suppress(OSError):
            return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]
        return []

    def cpu(self) -> float | None:
        """Seconds that all its processes used, the dead ones included."""
        if self.path is None:
            return None
        if (usage := self.path / "cpuacct.usage").exists():
            return int(usage.read_text()) / 1e9
        used = re.search(r"usage_usec (\d+)", (self.path / "cpu.stat").read_text())
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
                for pid in _present(folder):
                    peak, size = _memory(pid)
                    self._rss[folder] = max(self._rss[folder], peak)
                    present += size
                self._tree[folder] = max(self._tree[folder], present)
                now = time.monotonic()
                self._seen |= {group.pid: now for group in groups(folder) if _lives(group.pid)}

    def truth(self, folder: Path) -> Truth:
        """What the stage of one folder cost; to be asked once it is over."""
        ends = {int(pid): (float(at), float(user) + float(system)) for pid, at, user, system in _rows(folder / "ended")}
        wall = cpu = 0.0
        told = list(_told(folder))
        for group in groups(folder):
            end, waited = ends.get(group.pid, (self._seen.get(group.pid, group.began), 0.0))
            wall += end - group.began
            used = group.cpu()
            cpu += waited if used is None else used
        if not all(group.path for group in groups(folder)):  # then the programs' own word is what there is
            cpu = max(cpu, sum(float(row[1]) for row in told))
        rss = max([self._rss[folder], *(int(row[2]) * 1024 for row in told)])
        return Truth(wall, cpu, rss or None, self._tree[folder] or None, sum(int(row[4]) for row in told))


def groups(folder: Path) -> list[Group]:
    return [
        Group(int(pid), float(began), Path(*path) if path else None) for pid, began, *path in _rows(folder / "began")
    ]


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


def _present(folder: Path) -> list[int]:
    found = [pid for group in groups(folder) for pid in group.processes()]
    return found or [int(row[0]) for row in _told(folder)]


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
    for group in (group for folder in folders for group in groups(folder)):
        for _ in range(100):
            for pid in group.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            with contextlib.suppress(OSError):
                if group.path:
                    group.path.rmdir()
                break
            time.sleep(0.02)
