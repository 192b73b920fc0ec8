"""What recording costs: five stages of nothing, a thousand stages and runs, a gigabyte of output, a cached pipeline."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from common import (
    ORCHGATE,
    Bench,
    Row,
    children,
    commit,
    cost,
    costs,
    exponent,
    instructions,
    main,
    missing,
    peak,
    scratch,
    spread,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

TASK = "0001-bench"
GIGABYTE = 1_000_000_000
LARGE = 1000
STAGES = (5, 100, LARGE, 10_000)


def filled(*parts: Callable[[Path], Iterable[Row]]) -> Iterator[Row]:
    with scratch() as root:
        write(root, ".gitignore", "/.runs/\n")
        for number in range(100):
            write(root, f"src/{number}.txt", f"{number}\n")
        for part in parts:
            yield from part(root)


def define(root: Path, count: int, **stage: Any) -> None:
    """Makes one pipeline of equal stages the only one: a long configuration takes its own time to read."""
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in stage.items())
    lines = [f'[[pipelines.bench.stages]]\nid = "s{number}"\n{keys}\n' for number in range(count)]
    write(root, "orchgate.toml", "".join(lines))
    commit(root, "pipeline")


RUN = [ORCHGATE, "run", "bench", "--task", TASK]


def newest(root: Path) -> Path:
    return max((root / ".runs" / TASK / "cli").iterdir())


def few(root: Path) -> Iterator[Row]:
    define(root, 5, run=["true"])
    five, true = costs([RUN, ["true"]], root, 21)
    yield Row("run of 5 stages of `true`", spread(five.walls), "90 ms", five.wall <= 0.090)
    yield Row("  CPU", spread(five.cpus))
    folder = newest(root)
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    writes = manifest["writes"]
    size = (folder / "manifest.json").stat().st_size
    entry = len((root / ".runs" / TASK / "metrics.json").read_bytes().splitlines()[-1]) + 1
    yield Row("  manifest writes", str(writes["manifest_writes"]), "2", writes["manifest_writes"] == 2)
    yield Row("  files written", str(writes["files"]), "12", writes["files"] <= 12)
    yield Row("  metrics entry", f"{entry} bytes", "1536 bytes", entry <= 1536)
    yield Row("  manifest", f"{size} bytes", "8192 bytes", size <= 8192)
    less = instructions(RUN, root)
    define(root, 105, run=["true"])
    many = cost(RUN, root, 5)
    wall, cpu = (many.wall - five.wall) / 100, (many.cpu - five.cpu) / 100
    figure = f"{wall * 1000:.2f} ms, {cpu * 1000:.2f} of CPU"
    yield Row("  each further stage", figure, f"1.5 ms ({true.wall * 1000:.2f} `true` itself)", wall <= 0.0015)
    more = instructions(RUN, root)
    if less is None or more is None:
        yield missing("  instructions", "valgrind")
    else:
        yield Row("  instructions", f"{less / 1e6:,.0f} M, each stage {(more - less) / 1e8:.2f} M")


def many(root: Path) -> Iterator[Row]:
    """The same again and again: a stage costs as much whether it is the hundredth or the ten thousandth."""
    found: dict[int, float] = {}
    for number in STAGES:
        define(root, number, run=["true"])
        cpu_before = children()
        seconds, memory = peak(RUN, root)
        found[number] = children() - cpu_before
        limit = number * 0.002
        figure = f"{seconds:.2f} s, {found[number]:.2f} of CPU, {memory / 1e6:.0f} MB"
        if number < LARGE:
            yield Row(f"run of {number:,} stages", figure)
            continue
        yield Row(f"run of {number:,} stages", figure, f"{limit:.0f} s", seconds <= limit)
        bound = memory <= 80_000_000 if number == LARGE else None
        yield Row("  memory", f"{memory / 1e6:.0f} MB", "80 MB" if number == LARGE else "", bound)
    for fewer, more in pairwise(STAGES):
        # Among few, most of the time is the start: each costs less than the one before.
        grown = exponent(found[fewer], found[more], more / fewer)
        yield Row(f"growth, stages of a run: {fewer:,} and {more:,}", f"{grown:.2f}", "<= 1.1", grown <= 1.1)


def loud(root: Path) -> Iterator[Row]:
    define(root, 1, run=["head", "-c", str(GIGABYTE), "/dev/zero"])
    seconds, memory = peak(RUN, root)
    rate = GIGABYTE / seconds / 1e6
    met = rate >= 300 and memory <= 80_000_000
    yield Row("stage printing 1 GB", f"{rate:.0f} MB/s, {memory / 1e6:.0f} MB", "300 MB/s, 80 MB", met)


def repeated(root: Path) -> Iterator[Row]:
    define(root, 1, run=["true"])
    _, few = peak([*RUN, "--runs", "10"], root)
    _, many = peak([*RUN, "--runs", "1000"], root)
    grown = (many - few) / 1e6
    yield Row("1,000 repetitions, more memory than for 10", f"{grown:.1f} MB", "2 MB", grown <= 2.0)


def cached(root: Path) -> Iterator[Row]:
    define(root, 5, run=["true"], inputs=["src/**"])
    wall = cost(RUN, root, 11).wall
    stages = json.loads((newest(root) / "manifest.json").read_text())["commands"]
    everything = all(stage["cached"] for stage in stages)
    yield Row("five cached stages, 100 inputs", f"{wall * 1000:.0f} ms", "150 ms", wall <= 0.150 and everything)


BENCHES = (
    Bench("runner", partial(filled, few), limit=True),
    Bench("stages", partial(filled, many)),
    Bench("runner-output", partial(filled, loud, repeated, cached)),
)

if __name__ == "__main__":
    main(lambda: (row for bench in BENCHES for row in bench.rows()))
