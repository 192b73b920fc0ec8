"""`orchgate hotspots` over a thousand runs: real ones of the other orchestrator where they are here, and our own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common import ORCHGATE, Row, commit, cost, environment, main, scratch, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNT = 1000
LIMIT_SECONDS = 2.0
TASK = "0001-bench"
HOTSPOTS = [ORCHGATE, "hotspots", TASK, "--output-format", "json"]
CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus")


def rows() -> Iterator[Row]:
    yield measured("our own, of five stages", own)
    if CORPUS.exists():
        yield measured("of the other orchestrator, with 63 KB of log", foreign)


def measured(what: str, make: Callable[[Path], None]) -> Row:
    with scratch() as root:
        write(root, ".gitignore", ".runs/\n")
        commit(root, "start")
        make(root)
        must_read(root)
        spent = cost(HOTSPOTS, root, times=3)
    figure = f"{spent.wall:.2f} s ({spent.cpu:.2f} s of CPU)"
    return Row(f"hotspots of {COUNT} runs {what}", figure, f"{LIMIT_SECONDS:.0f} s", spent.wall <= LIMIT_SECONDS)


def own(root: Path) -> None:
    stages = "".join(f'[[pipelines.bench.stages]]\nid = "s{number}"\nrun = ["true"]\n' for number in range(5))
    write(root, "orchgate.toml", stages)
    commit(root, "pipeline")
    run = [ORCHGATE, "run", "bench", "--task", TASK]
    subprocess.run(run, cwd=root, env=environment(), stdout=subprocess.DEVNULL, check=True)
    (folder,) = (root / ".runs" / TASK / "cli").iterdir()
    multiply(folder, folder.parent)


def foreign(root: Path) -> None:
    (folder,) = (CORPUS / "jan-diagnostics").glob(".runs/*/cli/*")
    multiply(folder, root / ".runs" / TASK / "cli")


def multiply(folder: Path, target: Path) -> None:
    """Copies of a run, each under an id of its own."""
    for number in range(COUNT - len(list(target.glob("*")))):
        shutil.copytree(folder, target / f"{folder.name[:-8]}{number:08x}")


def must_read(root: Path) -> None:
    """Runs that are passed over cost nothing."""
    done = subprocess.run(HOTSPOTS, cwd=root, env=environment(), stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout)
    if len(told["runs"]) != COUNT or any(run["missing"] or not run["wall_seconds"] for run in told["runs"]):
        sys.exit("not every run was read")


if __name__ == "__main__":
    main(rows)
