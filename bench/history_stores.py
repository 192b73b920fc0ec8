"""What a history in a folder costs by the number of its runs, and how large it is; `history_segments` has that of git.

Runs of five stages, one a minute; CPU time of the program. A clone has pushed all of them when another one pushes one
more: in a clone that knows no part yet, as a job of CI, and in its own.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
from typing import TYPE_CHECKING

from aggregate import own_entry
from common import PYTHON, Row, environment, exponent, main, scratch
from history_segments import ROUNDS, TASK, made, once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from history_segments import Place

RUNS = (5_000, 50_000)
GROWTH = 1.1
VERBS = ("push", "push one more", "fetch", "show", "show again", "verify", "compact", "show compacted")
SMALL = 2_000  # parts of five runs, to be compacted
# As the one of git, into a folder.
PUSH_SMALL_PARTS = """
import sys
from orchgate.commands.history import workspace
from orchgate.history import segments
from orchgate.history.parquet_parts import PARQUET
made = {}
with workspace.here() as place:
    own, (name, roots) = list(workspace.own_runs(place).runs.values()), place.identity
    for at in range(0, len(own), 5):
        made |= segments.made(name, roots, own[at : at + 5], form=PARQUET)
    workspace.parts_of(place, workspace.address(place, sys.argv[1])).add(made)
"""


def rows() -> Iterator[Row]:
    small: dict[str, float] = {}
    for number in RUNS:
        found, sizes = spent(number)
        for verb in VERBS:
            yield Row(f"store of {number:,} runs, {verb}", f"{found[verb]:.2f} s of CPU")
        for what, size in sizes.items():
            yield Row(f"store of {number:,} runs, {what}", f"{size / number:.1f} bytes a run")
        if small:
            for verb in ("push", "fetch", "show", "verify"):
                grown = exponent(small[verb], found[verb], number / RUNS[0])
                yield Row(f"store {verb}: growth from {RUNS[0]:,}", f"{grown:.2f}", f"<= {GROWTH}", grown <= GROWTH)
        small = found
    yield Row(f"store of {SMALL:,} parts of five runs, compact", f"{compacted(SMALL):.2f} s of CPU")


def spent(number: int) -> tuple[dict[str, float], dict[str, int]]:
    """CPU seconds by verb, and bytes of the parts as they were pushed and compacted."""
    with scratch() as root:
        place, shared = made(root, number), root / "shared"
        shared.mkdir()
        found = {"push": once(place.own, "push", "--to", str(shared))}
        sizes = {"as pushed": size(shared)}
        found["push one more"] = one_more(place, shared, number)
        found["fetch"] = once(place.other, "fetch", "--from", str(shared))
        found["show"] = once(place.other, *_shown(shared))
        found["show again"] = statistics.median(once(place.other, *_shown(shared)) for _ in range(ROUNDS))
        found["verify"] = once(place.other, "verify", "--from", str(shared))
        found["compact"] = once(place.other, "compact", "--to", str(shared))
        found["show compacted"] = once(place.other, *_shown(shared))
        return found, {**sizes, "compacted": size(shared)}


def _shown(shared: Path) -> tuple[str, ...]:
    return ("show", "--from", str(shared), "--by", "pipeline,machine")


def one_more(place: Place, shared: Path, number: int) -> float:
    metrics = place.own / ".runs" / TASK / "metrics.json"
    with metrics.open("ab") as file:
        file.write(own_entry(random.Random(2), number, 5).replace(b"-@@@", b"-fff"))
    return once(place.own, "push", "--to", str(shared))


def size(shared: Path) -> int:
    return sum(path.stat().st_size for path in shared.rglob("*.parquet"))


def compacted(number: int) -> float:
    """CPU seconds for so many parts of five runs."""
    with scratch() as root:
        place, shared = made(root, 5 * number), root / "shared"
        shared.mkdir()
        argv = [PYTHON, "-c", PUSH_SMALL_PARTS, os.fspath(shared)]
        subprocess.run(argv, cwd=place.own, env=environment(), check=True)
        return once(place.other, "compact", "--to", str(shared))


if __name__ == "__main__":
    main(rows)
