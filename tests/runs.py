"""Small pipelines in small repositories, run by the real program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.runner import process_tree
from tests.repo import ORCHGATE, Repo, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TASK = "0001-demo"
PATIENCE = 120.0  # seconds, which only a hang takes: the machine may be busy


class Project(NamedTuple):
    """A repository with pipelines."""

    repo: Repo

    @property
    def root(self) -> Path:
        return self.repo.root

    def define(self, name: str = "demo", *stages: Mapping[str, Any], **settings: Any) -> None:
        """Adds a pipeline to orchgate.toml and commits it."""
        lines = [f"[pipelines.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
        for stage in stages:
            lines.append(f"[[pipelines.{name}.stages]]")
            lines += [f"{key} = {_toml(value)}" for key, value in stage.items()]
        path = self.root / "orchgate.toml"
        path.write_text((path.read_text() if path.exists() else "") + "\n".join(lines) + "\n")
        self.repo.git("add", "orchgate.toml")
        self.repo.commit(f"define {name}")

    def run(self, name: str = "demo", *options: str, env: Mapping[str, str] | None = None) -> Result:
        return self.repo.orchgate("run", name, "--task", TASK, *options, env=env)

    def start(self, name: str = "demo", *options: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [ORCHGATE, "run", name, "--task", TASK, *options],
            cwd=cwd or self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # The suite itself may run under nohup, whose wish the runner would respect.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509 -- the suite has no threads
        )

    def start_ignoring_hangups(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["nohup", ORCHGATE, "run", "demo", "--task", TASK],
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def folders(self) -> list[Path]:
        return sorted((self.root / ".runs" / TASK / "cli").glob("*"))

    def manifest(self) -> dict[str, Any]:
        """The manifest of the newest run."""
        return manifest(self.folders()[-1])

    def stages(self) -> dict[str, dict[str, Any]]:
        return {stage["id"]: stage for stage in self.manifest()["commands"]}

    def log(self, name: str) -> bytes:
        return (self.folders()[-1] / str(self.stages()[name]["log_path"])).read_bytes()

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / ".runs" / TASK / "metrics.json").read_text().splitlines()]

    def wait_for_output(self, text: bytes) -> None:
        """Until a stage of some run has said something."""
        until(lambda: any(text in log.read_bytes() for log in self.root.glob(".runs/*/cli/*/stages/*.log")))


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def living(word: str) -> list[int]:
    """Processes, apart from zombies, whose command line holds a word of the test's own."""
    found = []
    for pid, process in process_tree.everybody().items():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if not process.dead and os.fsencode(word) in line and pid != os.getpid():
            found.append(pid)
    return found


def stop(child: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> Result:
    """Signals a program and waits for its end."""
    child.send_signal(number)
    out, _ = child.communicate(timeout=PATIENCE)
    return Result(child.returncode, os.fsdecode(out))
