"""What tests have the workers of a cluster do, and the cluster: real `dask scheduler` and `dask worker` processes."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchgate.cluster.remote import Unfit
from orchgate.errors import OrchgateError
from tests.runs import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOP = Path(__file__).parent.parent


class Processes:
    """A scheduler and its workers, each a process of its own that the test may kill."""

    def __init__(self, folder: Path, *more: str, **variables: str) -> None:
        # A client of another test that could not connect, found inside the start of the next one, would wait for it.
        gc.collect()
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        words = ("--port", "0", "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file))
        self.scheduler = self._start("scheduler", (*words, *more), variables)
        self.address = str(json.loads(_content(file))["address"])

    def worker(self, *words: str, **variables: str) -> str:
        """Starts a worker; its address."""
        number = len(self.workers)
        contact = self.folder / f"worker-{number}.log"
        options: tuple[str, ...] = (
            "--no-nanny",
            "--no-dashboard",
            "--local-directory",
            str(self.folder / f"scratch-{number}"),
        )
        options += () if "--nthreads" in words else ("--nthreads", "1")
        self.workers.append(self._start("worker", (self.address, *options, *words), variables, contact))
        started = _content(contact, "Start worker at:").partition("Start worker at:")[2]
        return started.split()[0]

    def process_of(self, number: int) -> subprocess.Popen[bytes]:
        return self.workers[number]

    def _start(
        self, kind: str, words: tuple[str, ...], variables: Mapping[str, str], log: Path | None = None
    ) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "PYTHONPATH": str(TOP), "PYTHONWARNINGS": "ignore", **variables}
        with open(log or self.folder / f"{kind}.log", "wb") as output:
            return subprocess.Popen(
                (sys.executable, "-m", "dask", kind, *words), cwd=self.folder, env=environ, stdout=output, stderr=output
            )

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def _content(path: Path, wanted: str = "{") -> str:
    """The text of a file as soon as it holds what is wanted."""

    def whole() -> bool:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return wanted in text and (wanted != "{" or text.rstrip().endswith("}"))

    until(whole)
    return path.read_text(encoding="utf-8")


@contextlib.contextmanager
def processes(folder: Path, *more: str, **variables: str) -> Iterator[Processes]:
    started = Processes(folder, *more, **variables)
    try:
        yield started
    finally:
        started.end()


# What is done on workers


def doubled(number: int) -> int:
    return 2 * number


def slowly(number: int) -> int:
    time.sleep(0.2)
    return 2 * number


def kills_its_worker(number: int) -> int:
    if number == 1:
        os.kill(os.getppid(), signal.SIGKILL)
    return number


def kills_its_worker_once(spec: tuple[int, str]) -> int:
    """The first unit takes its worker along, once others are done."""
    number, marker = spec
    if number == 0 and not os.path.exists(marker):
        Path(marker).touch()
        time.sleep(2)
        os.kill(os.getppid(), signal.SIGKILL)
    return number


def fails_at_one(number: int) -> int:
    if number == 1:
        raise OrchgateError("one is refused")
    return number


def unfit_in(spec: tuple[int, str]) -> str:
    """The worker whose folder holds a name says that it cannot."""
    number, marker = spec
    if os.environ.get("MARKER") == marker:
        raise Unfit("it is marked")
    return f"{number} done"


def writes_to(path: str) -> int:
    """Fails as a full disk does where the path is /dev/full."""
    with open(path, "w", encoding="ascii") as file:
        file.write("x" * 100_000)
    return 1


def waits(path: str) -> Any:
    """Says which process waits here, and does so for long."""
    Path(path).write_text(str(os.getpid()), encoding="ascii")
    time.sleep(300)
