"""What recording costs: five stages of nothing, a thousand stages and runs, a gigabyte of output, a cached pipeline."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import ORCHGATE, Row, commit, cost, environment, main, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator

TASK = "0001-bench"
GIGABYTE = 1_000_000_000


def rows() -> Iterator[Row]:
    with scratch() as root:
        for number in range(100):
            write(root, f"src/{number}.txt", f"{number}\n")
        yield from few(root)
        yield from many(root)
        yield loud(root)
        yield repeated(root)
        yield cached(root)


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
    bare = cost(["true"], root, 11).wall
    define(root, 5, run=["true"])
    wall = cost(RUN, root, 21).wall
    yield Row("run of five stages of `true`, whole process", f"{wall * 1000:.0f} ms", "120 ms", wall <= 0.120)
    folder = newest(root)
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    writes = manifest["writes"]
    size = (folder / "manifest.json").stat().st_size
    entry = len((root / ".runs" / TASK / "metrics.json").read_bytes().splitlines()[-1]) + 1
    yield Row("  manifest writes", str(writes["manifest_writes"]), "exactly 2", writes["manifest_writes"] == 2)
    yield Row("  files written", str(writes["files"]), "12", writes["files"] <= 12)
    yield Row("  metrics entry", f"{entry} bytes", "2048 bytes", entry <= 2048)
    yield Row("  manifest", f"{size} bytes", "8192 bytes", size <= 8192)
    define(root, 105, run=["true"])
    more = (cost(RUN, root, 5).wall - wall) / 100
    yield Row("  each further stage", f"{more * 1000:.2f} ms ({bare * 1000:.2f} `true` itself)", "3 ms", more <= 0.003)


def many(root: Path) -> Iterator[Row]:
    define(root, 1000, run=["true"])
    seconds, memory = measured(root)
    yield Row("run of 1,000 stages", f"{seconds:.2f} s", "3 s", seconds <= 3.0)
    yield Row("  memory", f"{memory / 1e6:.0f} MB", "80 MB", memory <= 80_000_000)


def loud(root: Path) -> Row:
    define(root, 1, run=["head", "-c", str(GIGABYTE), "/dev/zero"])
    seconds, memory = measured(root)
    rate = GIGABYTE / seconds / 1e6
    met = rate >= 300 and memory <= 80_000_000
    return Row("stage printing 1 GB", f"{rate:.0f} MB/s, {memory / 1e6:.0f} MB", "300 MB/s, 80 MB", met)


def repeated(root: Path) -> Row:
    define(root, 1, run=["true"])
    _, few = measured(root, "--runs", "10")
    _, many = measured(root, "--runs", "1000")
    grown = (many - few) / 1e6
    return Row("1,000 repetitions, more memory than for 10", f"{grown:.1f} MB", "2 MB", grown <= 2.0)


def measured(root: Path, *options: str) -> tuple[float, int]:
    """Wall seconds of one run, and the most memory it or a stage of it took, in bytes."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    )
    start = time.perf_counter()
    argv = [str(Path(ORCHGATE).with_name("python")), "-c", script, *RUN, *options]
    memory = subprocess.run(argv, cwd=root, env=environment(), capture_output=True, check=True).stdout
    return time.perf_counter() - start, int(memory)


def cached(root: Path) -> Row:
    define(root, 5, run=["true"], inputs=["src/**"])
    wall = cost(RUN, root, 11).wall
    stages = json.loads((newest(root) / "manifest.json").read_text())["commands"]
    everything = all(stage["cached"] for stage in stages)
    return Row(
        "five cached stages, 100 inputs, whole process", f"{wall * 1000:.0f} ms", "150 ms", wall <= 0.150 and everything
    )


if __name__ == "__main__":
    main(rows)
