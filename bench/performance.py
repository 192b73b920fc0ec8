"""What a push waits for when its tree was already judged here: the whole check, answered from the record."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from common import ORCHGATE, Row, commit, cost, environment, main, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = f"""\
[performance]
pipeline = "bench"
[performance.metrics]
manifest-writes = {{ max = 1 }}
[[pipelines.bench.stages]]
id = "write"
run = ["{sys.executable}", "-I", "-S", "work.py"]
"""
# Judged by a counter, which no machine is too busy for.
WRITING = """\
import os
os.makedirs(".runs/0001-a/cli/r", exist_ok=True)
for _ in range(NUMBER):
    open(".runs/0001-a/cli/r/manifest.json", "w").close()
"""
CHECK = [ORCHGATE, "check", "performance", "--base", "HEAD~1"]


def rows() -> Iterator[Row]:
    with scratch() as root:
        for number in range(2000):
            write(root, f"src/{number}.txt", f"{number}\n")
        write(root, "orchgate.toml", CONFIG)
        write(root, "work.py", WRITING.replace("NUMBER", "1"))
        commit(root, "base")
        write(root, "work.py", WRITING.replace("NUMBER", "2"))
        commit(root, "head")
        # These go with the repository.
        os.environ |= {"ORCHGATE_TREES": str(root / ".git" / "trees"), "XDG_STATE_HOME": str(root / ".git" / "state")}
        subprocess.run(CHECK, cwd=root, env=environment(), stdout=subprocess.DEVNULL, check=False)
        yield answered(root, "performance check answered from the record")
        empty = cost([ORCHGATE, "check", "performance", "--base", "HEAD"], root, 11)
        yield Row("  nothing to measure", f"{empty.wall * 1000:.0f} ms", "", None)


def answered(root: Path, what: str) -> Row:
    found = cost(CHECK, root, 21)
    met = found.wall <= 0.120 and found.code == 1
    return Row(what, f"{found.wall * 1000:.0f} ms, {found.cpu * 1000:.0f} of CPU", "120 ms", met)


if __name__ == "__main__":
    main(rows)
