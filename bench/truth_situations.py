"""What bench/truth.py has recorded: process trees, memory and files of many shapes, and runs that are interrupted."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Rewrites a folder anew three times over, each time with ten files; then renames into folders that are new as well.
_REWRITES = """
import os, shutil
for number in range(3):
    shutil.rmtree("out/{0}", True)
    os.makedirs("out/{0}")
    for name in range(10):
        open(f"out/{0}/{{name}}", "w").write("x")
"""
_RENAMES = """
import os
for number in range(20):
    os.makedirs(f"out/{0}/{{number}}")
    for name in ("manifest", "state", "metrics"):
        open(f"out/{0}/{{number}}/{{name}}.tmp", "w").write("x")
        os.rename(f"out/{0}/{{number}}/{{name}}.tmp", f"out/{0}/{{number}}/{{name}}")
"""
_SMALL = "i=0; while [ $i -lt 500 ]; do echo $i > out/{0}-$i; i=$((i+1)); done"


class Situation(NamedTuple):
    """`line` is a shell line: {b} stands for `truth burn FOLDER`, {d} for the folder, {0} for a number of its own.

    `plain` is argv in the same words instead, with no shell around it. `way` is what is done to the run.
    `waited`: every process has a parent that waits for it, so that /usr/bin/time can be asked as well.
    """

    name: str
    line: str = ""
    plain: str = ""
    settings: Mapping[str, Any] = {}
    way: str = "run"
    waited: bool = False
    attempts: int = 1
    files: Mapping[str, str] = {}

    def argv(self, program: Path, folder: Path, number: int) -> list[str]:
        words = {"b": f"{program} burn {folder}", "d": str(folder), "python": sys.executable}
        if self.plain:
            command = shlex.split(self.plain.format(number, **words))
        else:
            command = ["/bin/sh", "-c", self.line.format(number, **words)]
        return [str(program), "stage", str(folder), *command]


def _python(script: str) -> str:
    return "{python} -S -E -c " + shlex.quote(script)


ALL = (
    Situation("single process", plain="{b} cpu 0.5 mem 40 hold 0.1", waited=True),
    Situation("threads", plain="{b} mem 20 threads 4 0.15", waited=True),
    Situation("fork and wait", plain="{b} child cpu 0.3 mem 30 hold 0.1 end wait cpu 0.2", waited=True),
    Situation(
        "make -j4",
        line="make --silent --jobs 4 --file {d}/Makefile",
        waited=True,
        files={"Makefile": "all: a b c d\na b c d:\n\t@{b} mem 20 cpu 0.15 hold 0.2\n.PHONY: all a b c d\n"},
    ),
    Situation("child by setsid", line="setsid {b} mem 30 cpu 0.5 touch {d}/done & {b} until {d}/done"),
    Situation("daemon (two forks)", plain="{b} daemon mem 30 cpu 0.5 touch {d}/done end until {d}/done"),
    Situation("nohup &", line="nohup {b} mem 30 cpu 0.5 touch {d}/done >/dev/null 2>&1 & {b} until {d}/done"),
    Situation("orphan", line="sh -c '{b} mem 30 cpu 0.5 touch {d}/done & exit'; {b} until {d}/done"),
    Situation("SIGCHLD ignored", plain="{b} ignore child mem 30 cpu 0.5 touch {d}/done end until {d}/done hold 0.05"),
    Situation("daemon under env -i", line="env -i {b} daemon mem 30 cpu 0.5 touch {d}/done end; {b} until {d}/done"),
    Situation("killed at stage's end", plain="{b} session mem 30 cpu 20 end hold 0.6"),
    Situation("shell pipeline", line="{b} mem 30 cpu 0.2 | {b} cpu 0.2 | {b} cpu 0.2", waited=True),
    Situation("xargs -P 4", line="printf '0.15\\n0.15\\n0.15\\n0.15\\n' | xargs -n 1 -P 4 {b} mem 20 cpu", waited=True),
    Situation("200 short processes", line="i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done", waited=True),
    Situation("exec chain", plain="{b} cpu 0.2 mem 40 exec sh -c 'exec {b} cpu 0.3 mem 20'", waited=True),
    Situation("300 MB", plain="{b} mem 300 hold 0.5", waited=True),
    Situation("120 MB in a child", plain="{b} child mem 120 hold 0.5 end wait", waited=True),
    Situation("4 x 50 MB at once", plain="{b}" + 4 * " child mem 50 hold 0.6 end" + " wait", waited=True),
    Situation("true", plain="true", waited=True),
    Situation("sleep", plain="sleep 0.6", waited=True),
    Situation("50 MB, synced", plain="{b} write {d}/data 50", waited=True),
    Situation("failing", plain="{b} cpu 0.5 exit 1"),
    Situation(
        "retried",
        line="{b} cpu 0.3; test -e {d}/once || {{ touch {d}/once; exit 1; }}",
        settings={"retries": 1},
        attempts=2,
    ),
    Situation("timed out", plain="{b} mem 30 cpu 20", settings={"timeout-seconds": 0.6}),
    Situation("killed and resumed", plain="{b} cpu 0.3 hold 1", way="resume"),
    Situation("stopped (SIGSTOP)", plain="{b} cpu 0.3 hold 1", way="stop"),
    Situation("suspended (SIGTSTP)", plain="{b} cpu 0.3 hold 1", way="suspend"),
    Situation("observed: 500 files", line=_SMALL, way="observe"),
    Situation("observed: rewrites", plain=_python(_REWRITES), way="observe"),
    Situation("observed: renames", plain=_python(_RENAMES), way="observe"),
    Situation("observed: daemon", plain="{b} daemon mem 30 cpu 0.5 touch {d}/done end until {d}/done", way="observe"),
)
