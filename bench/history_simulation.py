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
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import history_model as model
from common import ORCHGATE, PYTHON, Bench, Row, children, commit, environment, exponent, git, peak, scratch, write
from history_segments import fetched
from history_segments import made as git_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchgate.history.objects.shape import Objects
    from orchgate.history.segments import Line

SIZES = (1, 10, 100, 500, 5_000, 50_000)  # runs of a part
KEYS = 1_000  # names of one listing
SCHEDULES = {"never": None, "each week": 24 * 7, "each day": 24, "each hour": 1}
LARGE = 4 << 20  # bytes of a part that is joined no more
STAGES = 5
SLICES = (100_000, 300_000, 1_000_000)  # runs
WEEKS, LAST = ("--by", "week"), ("--by", "pipeline", "--since", "2025-12-01")
NAMES = 100_000
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
        done = model.compacted(year, every, size, LARGE)
        what = f"computed: compacted {name}"
        yield Row(f"{what}, parts at the end", f"{done.parts:,}", f"{done.bytes / 1e9:,.1f} GB")
        calls = f"{_calls(done.most):,} calls list all"
        yield Row(f"{what}, parts at the worst hour", f"{done.most:,}", calls)
        calls = f"{_calls(done.most_in_prefix):,} calls"
        yield Row(f"{what}, of one repository and month then", f"{done.most_in_prefix:,}", calls)
        again = f"{done.written_bytes / 1e9:,.0f} GB in {done.written_parts:,} parts"
        yield Row(f"{what}, written again", again, f"{done.read_bytes / 1e9:,.0f} GB read")
    yield Row("the model itself", f"{time.process_time() - start:.0f} s of CPU")


def touched_rows() -> Iterator[Row]:
    """What a question has to read of a year that was compacted each day; parts are found by repository and month."""
    import duckdb

    left = model.compacted(model.year(duckdb.connect()), SCHEDULES["each day"], size, LARGE).left
    questions: dict[str, Callable[[model.Group], bool]] = {
        "the last 30 days of all": lambda group: group.month >= 10,
        "the last 30 days of the largest repository": lambda group: group.month >= 10 and group.repository == 0,
        "a year of the smallest repository": lambda group: group.repository == model.REPOSITORIES - 1,
        "all": bool,
    }
    for question, concerns in questions.items():
        parts = sum((parts for group, parts in left.items() if concerns(group)), Counter[int]())
        runs = sum(number * count for number, count in parts.items())
        read = sum(count * size(number) for number, count in parts.items())
        figure = f"{parts.total():,} parts, {read / 1e9:,.2f} GB"
        yield Row(f"computed: {question}", figure, f"{runs:,} runs, {(1 + STAGES) * runs:,} rows")


def question_rows() -> Iterator[Row]:
    """What questions take at sizes that fit here, and how that grows."""
    from history_parts import make

    before: list[dict[str, float]] = []
    for number in SLICES:
        with scratch() as root, tempfile.TemporaryDirectory(prefix="orchgate-bench-") as folder:
            write(root, "orchgate.toml", '[history]\nrepository = "owner/name"\n')
            commit(root, "start")
            make(Path(folder), number)
            found = [_asked(root, Path(folder), *words) for words in (WEEKS, WEEKS, LAST)]
        first, again, last = found
        yield Row(f"{number:,} runs by week, the first time", f"{first['cpu']:.2f} s of CPU", f"{first['mb']:,.0f} MB")
        yield Row(f"{number:,} runs by week, again", f"{again['cpu']:.2f} s of CPU", f"{again['mb']:,.0f} MB")
        yield Row(f"{number:,} runs, the last month", f"{last['cpu']:.2f} s of CPU", f"{last['mb']:,.0f} MB")
        before.append({"first": first["cpu"], "again": again["cpu"]})
    for name in ("first", "again"):
        small, middle, large = (one[name] for one in before)
        times = SLICES[2] / SLICES[1]
        power = exponent(middle - small, large - middle, times)  # without what each start takes
        year = large * (model.RUNS / SLICES[-1]) ** max(power, 1)
        yield Row(f"computed: 10⁸ runs by week, {name}", f"{year:,.0f} s of CPU", f"grows with {power:.2f}")


def _asked(root: Path, folder: Path, *words: str) -> dict[str, float]:
    """As somebody asks who keeps in `root` what was fetched."""
    before = children()
    _, most = peak([ORCHGATE, "history", "show", "--from", str(folder), *words], root)
    return {"cpu": children() - before, "mb": most / 1e6}


def listing_rows() -> Iterator[Row]:
    """A folder with as many parts as there are in the worst hour of a year that is compacted each day."""
    from orchgate.history.objects.folders import FolderObjects
    from orchgate.history.objects.part_store import is_part

    with tempfile.TemporaryDirectory(prefix="orchgate-bench-") as folder:
        for at in range(NAMES):
            above = Path(folder, "v1", f"repo=owner%2Fname-{at % 20}", "month=2026-03")
            if at < 20:
                above.mkdir(parents=True)
            (above / f"0123456789abcdef-2026-03-01T00-00-00-000Z-{at:08x}-{at:064x}.parquet").touch()
        for prefix in ("v1/", "v1/repo=owner%2Fname-1/month=2026-03/"):
            spent, found = _timed(partial(_listed, FolderObjects(folder), prefix, is_part), 3)
            yield Row(f"list {found:,} names of a folder", f"{spent * 1e3:,.0f} ms of CPU")


def _listed(objects: Objects, prefix: str, is_part: Callable[[str], bool]) -> int:
    return sum(is_part(one.name) for one in objects.walk(prefix))


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
    Bench("history touched", touched_rows),
    Bench("history questions", question_rows),
    Bench("history listing", listing_rows),
    Bench("history in git", git_rows),
)
