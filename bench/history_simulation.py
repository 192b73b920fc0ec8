"""What a history of 10⁸ runs a year is made of: parts, sizes, listings, compaction, and what a question touches.

Who pushes when is a model (`history_model`), from which the numbers of parts and calls are computed. Sizes and times
are measured on parts that are really written, of runs that were really recorded, at sizes that fit here; what is said
of a whole year is computed from them with the growth that was measured. Rows of a model say `computed`.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import subprocess
import time
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import history_model as model
from common import ORCHGATE, PYTHON, Bench, Row, commit, environment, git, scratch, write
from history_segments import fetched
from history_segments import made as git_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from orchgate.history.segments import Line

SIZES = (1, 10, 100, 500, 5_000, 50_000)  # runs of a part
KEYS = 1_000  # names of one listing
SCHEDULES = {"never": None, "each week": 24 * 7, "each day": 24, "each hour": 1}
STAGES = 5
PUSHES = 200  # of five runs, to a remote
# Each push asks the remote what it has, as the command does; prints the CPU seconds of each, git's among them.
PUSH_EACH = """
import os
from orchgate.commands.history import workspace
from orchgate.history import collect
from orchgate.history.git_store import RemoteSegments
with workspace.here() as place:
    own = list(workspace.own_runs(place).runs.values())
    for at in range(0, len(own), 5):
        before = sum(os.times()[:4])
        with place.store.connect("origin") as connection:
            there = RemoteSegments(connection, "origin")
            collect.send(there, place.identity, own[at : at + 5])
            there.keep()
        print(sum(os.times()[:4]) - before)
"""
COSTS = ("wall_seconds", "user_seconds", "system_seconds", "max_rss_bytes", "read_bytes", "written_bytes")
NOISE = 0.1
CONFIG = """
[[pipelines.tests.stages]]
id = "stage-{number}"
run = [{python}, "-c", "print(sum(number * number for number in range({number}00_000)))"]
"""


@cache
def recorded() -> tuple[dict[str, Any], ...]:
    """Runs of five stages, as the program records them here."""
    with scratch() as root:
        python = json.dumps(PYTHON)
        write(root, "orchgate.toml", "".join(CONFIG.format(number=at, python=python) for at in range(1, STAGES + 1)))
        write(root, ".gitignore", "/.runs/\n")
        commit(root, "start")
        for _ in range(3):
            subprocess.run(
                [ORCHGATE, "run", "tests", "--task", "0001-x"], cwd=root, env=environment(), stdout=-3, check=True
            )
        lines = (root / ".runs" / "0001-x" / "metrics.json").read_text().splitlines()
        return tuple(map(json.loads, lines))


def runs(number: int) -> Iterator[Line]:
    """Runs such as the recorded ones, one after the other in one month, each of a commit of its own."""
    from orchgate.history import segments
    from orchgate.history.entries import read_line

    chance = random.Random(17)
    for at in range(number):
        started = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=at * 30 * 86400 / number)
        stages = [_other(stage, chance) for stage in chance.choice(recorded())["stages"]]
        entry = {
            **_other(recorded()[0], chance),
            "run_id": f"{started:%Y-%m-%dT%H-%M-%S}-{started.microsecond // 1000:03d}Z-{at:08x}",
            "started_at": f"{started:%Y-%m-%dT%H:%M:%S}.000Z",
            "completed_at": f"{started + timedelta(minutes=3):%Y-%m-%dT%H:%M:%S}.000Z",
            "commit": f"{chance.getrandbits(160):040x}",
            "tree": f"{chance.getrandbits(160):040x}",
            "stages": stages,
        }
        found = read_line(json.dumps(entry, separators=(",", ":")).encode())
        yield segments.line_of(found)  # type: ignore[arg-type]  # none of ours is at fault


def _other(spent: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    return {
        name: (type(value)(value * chance.lognormvariate(0, NOISE)) if name in COSTS else value)
        for name, value in spent.items()
    }


@cache
def sizes() -> dict[int, int]:
    """Bytes of a part by the number of its runs."""
    found = {}
    for number in SIZES:
        ((_, content),) = _parts(list(runs(number))).items()
        found[number] = len(content)
    return found


def size(number: int) -> float:
    """Bytes of a part of any number of runs, between those that were measured."""
    known = sizes()
    above = min((one for one in SIZES if one >= number), default=SIZES[-1])
    below = max((one for one in SIZES if one <= number), default=SIZES[0])
    if above == below:
        return known[above] * max(1.0, number / SIZES[-1])
    share = math.log(number / below) / math.log(above / below)
    return math.exp(math.log(known[below]) * (1 - share) + math.log(known[above]) * share)


def _parts(lines: list[Line]) -> dict[str, bytes]:
    """As a push writes them up to 500 runs, and compaction beyond."""
    from orchgate.history import parquet_parts, segments

    return segments.made("owner/name", "0" * 16, lines, ["0" * 64] if len(lines) > 500 else [], parquet_parts.PARQUET)


def part_rows() -> Iterator[Row]:
    """What a part takes, to be written, read and kept."""

    for number in SIZES:
        lines = list(runs(number))
        rounds, together = (5, 20) if number <= 500 else (1, 1)
        spent, parts = _timed(partial(_parts, lines), rounds)
        reading = _timed(partial(_read, [*parts.items()] * together), rounds)[0] / together
        figure = f"{sizes()[number] / number:,.0f} bytes a run"
        yield Row(f"part of {number:,} runs", figure, f"{spent * 1e3:,.0f} ms to write, {reading * 1e3:,.0f} to read")


def _read(parts: Iterable[tuple[str, bytes]]) -> int:
    from orchgate.history import parquet_parts

    return len(list(parquet_parts.PARQUET.parsed(parts)))


def _timed(act: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Median CPU seconds, and what came of it."""
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        found = act()
        spent.append(time.process_time() - start)
    return statistics.median(spent), found


def year_rows() -> Iterator[Row]:
    """The model, with and without compaction."""
    import duckdb

    start = time.process_time()
    year = model.year(duckdb.connect())
    yield Row("computed: runs of a year", f"{year.runs:,}", f"{year.pushes:,} pushes")
    yield Row("computed: kept out, their clocks are ahead", f"{year.kept_out:,} runs")
    for name, every in SCHEDULES.items():
        done = model.compacted(year, every, size)
        what = f"computed: compacted {name}"
        yield Row(f"{what}, parts at the end", f"{done.parts:,}", f"{done.bytes / 1e9:,.1f} GB")
        calls = f"{_calls(done.most):,} calls list all"
        yield Row(f"{what}, parts at the worst hour", f"{done.most:,}", calls)
        calls = f"{_calls(done.most_in_prefix):,} calls"
        yield Row(f"{what}, of one repository and month then", f"{done.most_in_prefix:,}", calls)
        again = f"{done.written_bytes / 1e9:,.0f} GB in {done.written_parts:,} parts"
        yield Row(f"{what}, written again", again, f"{done.read_bytes / 1e9:,.0f} GB read")
    yield Row("the model itself", f"{time.process_time() - start:.0f} s of CPU")


def _calls(names: int) -> int:
    return math.ceil(names / KEYS)


def git_rows() -> Iterator[Row]:
    """The same in git: what pushes of five runs take, one by one, and what the remote holds after them."""
    with scratch() as root:
        place = git_place(root, 5 * PUSHES)
        done = subprocess.run(
            [PYTHON, "-c", PUSH_EACH], cwd=place.own, env=environment(), check=True, stdout=subprocess.PIPE, text=True
        )
        first, last = (statistics.median(map(float, part)) for part in _ends(done.stdout.split()))
        yield Row(
            f"git: the first pushes of {PUSHES}, the last ones", f"{first * 1e3:.0f} ms, {last * 1e3:.0f} ms of CPU"
        )
        loose = _bytes_in(place.remote)
        git(place.remote, "gc", "--quiet")
        packed = f"{_bytes_in(place.remote) / PUSHES:,.0f} when packed"
        yield Row(f"git: {PUSHES} pushes of five runs", f"{loose / PUSHES:,.0f} bytes a push", packed)
        yield Row("  fetched by a fresh clone", f"{1e3 * fetched(place):,.0f} ms of CPU")


def _ends(values: list[str]) -> tuple[list[str], list[str]]:
    return values[:20], values[-20:]


def _bytes_in(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


BENCHES = (
    Bench("history parts", part_rows),
    Bench("history year", year_rows),
    Bench("history in git", git_rows),
)
