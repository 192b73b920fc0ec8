"""What a history costs by the number of its runs: push, a push of one more, fetch, show, compact, and how it grows.

Runs of five stages, one a minute; CPU time of the program and of git. Segments are full but for those to be compacted,
of five runs each, as small pushes make them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from aggregate import build_own, own_entry
from common import ORCHGATE, PYTHON, Row, children, commit, environment, exponent, git, main, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNS = (1_000, 10_000, 50_000)
SHOWN, GROWTH = 3.0, 1.1  # seconds of CPU of the largest; exponent
ROUNDS = 3
TASK = "0001-bench"
VERBS = ("push", "push one more", "fetch", "show", "show by five", "verify")
MEASURED, EACH = (1_000, 10_000), 50  # runs with benchmarks, and how many each has
SMALL, LARGE = 1_000, 4_000  # segments to be compacted
# Pushes a segment for every five runs of a metrics file, all at once.
PUSH_SMALL = """
import sys
from orchgate.commands.history import workspace
from orchgate.history import segments
from orchgate.history.git_store import RemoteSegments
made = {}
with workspace.here() as place:
    own, (name, roots) = list(workspace.own_runs(place).runs.values()), place.identity
    for at in range(0, len(own), 5):
        made |= segments.made(name, roots, own[at : at + 5])
    with place.store.connect("origin") as connection:
        RemoteSegments(connection, "origin").add(made)
"""
ALL = "repository,pipeline,stage,week,machine"


class Place(NamedTuple):
    """A clone that has recorded runs, one that fetches them, and their remote."""

    own: Path
    other: Path
    remote: Path


def rows() -> Iterator[Row]:
    small: dict[str, float] = {}
    for number in RUNS:
        found = spent(number)
        for verb in VERBS:
            limit, met = "", None
            if verb == "show" and number == RUNS[-1]:
                limit, met = f"{SHOWN:g} s", found[verb] <= SHOWN
            yield Row(f"history of {number:,} runs, {verb}", f"{found[verb]:.2f} s of CPU", limit, met)
        if number == RUNS[1]:
            small = found
    for verb in VERBS:
        grown = exponent(small[verb], found[verb], RUNS[-1] / RUNS[1])
        yield Row(f"history {verb}: growth from {RUNS[1]:,}", f"{grown:.2f}", f"<= {GROWTH}", grown <= GROWTH)
    few, many = (benchmarks(number) for number in MEASURED)
    yield Row(f"history of {MEASURED[1]:,} runs with {EACH} benchmarks each, show by benchmark", f"{many:.2f} s of CPU")
    grown = exponent(few, many, MEASURED[1] / MEASURED[0])
    yield Row(
        f"history show by benchmark: growth from {MEASURED[0]:,}", f"{grown:.2f}", f"<= {GROWTH}", grown <= GROWTH
    )
    few, many = compacted(SMALL), compacted(LARGE)
    yield Row(f"history of {LARGE:,} segments of five runs, compact", f"{many:.2f} s of CPU")
    grown = exponent(few, many, LARGE / SMALL)
    yield Row(f"history compact: growth from {SMALL:,}", f"{grown:.2f}", f"<= {GROWTH}", grown <= GROWTH)


def benchmarks(number: int) -> float:
    """CPU seconds to show what so many runs measured, of the clone that recorded them."""
    draw = random.Random(3)
    with scratch() as root:
        place = made(root, number)
        file = place.own / ".runs" / TASK / "metrics.json"
        lines = file.read_bytes().splitlines()
        with file.open("wb") as whole:
            for line in lines:
                found = [{"name": f"tests/b.py::of[{n}]", "value": draw.lognormvariate(-9, 1)} for n in range(EACH)]
                whole.write(line[:-1] + b',"benchmarks":' + json.dumps(found).encode() + b"}\n")
        return median(place.own, "show", "--by", "benchmark")


def compacted(number: int) -> float:
    """CPU seconds for so many segments of five runs."""
    with scratch() as root:
        place = made(root, 5 * number)
        subprocess.run([PYTHON, "-c", PUSH_SMALL], cwd=place.own, env=environment(), check=True)
        once(place.other, "fetch")
        return once(place.other, "compact")


def spent(number: int) -> dict[str, float]:
    """CPU seconds by verb."""
    with scratch() as root:
        place = made(root, number)
        found = {"push": once(place.own, "push")}
        with (place.own / ".runs" / TASK / "metrics.json").open("ab") as file:
            file.write(own_entry(random.Random(2), number, 5).replace(b"-@@@", b"-fff"))
        found["push one more"] = once(place.own, "push")
        found["fetch"] = statistics.median(fetched(place) for _ in range(ROUNDS))
        found["show"] = median(place.other, "show", "--by", "pipeline,machine")
        found["show by five"] = median(place.other, "show", "--by", ALL)
        found["verify"] = median(place.other, "verify")
        return found


def made(root: Path, number: int) -> Place:
    place = Place(root / "own", root / "other", root / "remote.git")
    write(root, ".gitignore", "/.runs/\n")
    commit(root, "start")
    git(root, "clone", "--quiet", "--bare", ".", str(place.remote))
    for clone in (place.own, place.other):
        git(root, "clone", "--quiet", str(place.remote), str(clone))
    folder = place.own / ".runs" / TASK
    folder.mkdir(parents=True)
    build_own(folder, count=number, stages=5)
    return place


def fetched(place: Place) -> float:
    """By a clone that has nothing yet."""
    shutil.rmtree(place.other)
    git(place.remote, "clone", "--quiet", ".", str(place.other))
    return once(place.other, "fetch")


def once(cwd: Path, *words: str) -> float:
    before = children()
    done = subprocess.run([ORCHGATE, "history", *words], cwd=cwd, env=environment(), capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(os.fsdecode(done.stdout + done.stderr))
    return children() - before


def median(cwd: Path, *words: str) -> float:
    return statistics.median(once(cwd, *words) for _ in range(ROUNDS))


if __name__ == "__main__":
    main(rows)
