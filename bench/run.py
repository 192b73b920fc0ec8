"""Every limit of the project with this machine's figure: `nox -s bench`, or `python bench/run.py [WORD …]`.

--list      what there is, and whether it is one of the limits
limits      only the table of limits
WORD …      the module or row of that name, or else all whose names hold the word: `nox -s bench -- staged`

What an input is missing for says so. bench/common.py says how to measure two programs in turn.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

from common import Bench, base, line, missing

HERE = Path(__file__).parent
# In the order of the table of limits; what is not named here comes after.
FIRST = (
    "start",
    "staged",
    "flat",
    "documents",
    "diff",
    "manifests",
    "runner",
    "aggregate",
    "pushes",
    "lock",
    "perf",
    "held_out",
    "hints",
)


class Listed(NamedTuple):
    module: str
    bench: Bench

    @property
    def name(self) -> str:
        return f"{self.module}: {self.bench.name}"


def main(args: list[str]) -> int:
    benches = list(_known())
    if "--help" in args or "-h" in args:
        print(__doc__)
        return 0
    if "--list" in args:
        for one in benches:
            print(f"{'limit' if one in _chosen(benches, ['limits']) else '':6} {one.name}")
        return 0
    chosen = _chosen(benches, args)
    if not chosen:
        print(f"no row matches {' '.join(args)}; python bench/run.py --list", file=sys.stderr)
        return 2
    print(_machine())
    for one in chosen:
        for row in one.bench.rows():
            print(line(row), flush=True)
    if args == ["limits"]:
        for name in sorted(set(FIRST) - {one.module for one in benches}):
            print(line(missing(name, f"no bench/{name}.py")))
    return 0


def _known() -> list[Listed]:
    modules = [path.stem for path in HERE.glob("*.py") if path.stem not in ("run", "common")]
    order = {name: at for at, name in enumerate(FIRST)}
    found = []
    for name in sorted(modules, key=lambda name: (order.get(name, len(order)), name)):
        module = importlib.import_module(name)
        alone = [Bench(name, module.rows)] if hasattr(module, "rows") else []
        found += [Listed(name, bench) for bench in getattr(module, "BENCHES", alone)]
    return found


def _chosen(benches: list[Listed], args: list[str]) -> list[Listed]:
    if not args:
        return benches
    if args == ["limits"]:
        marked = {one.module for one in benches if one.bench.limit}
        whole = set(FIRST) - marked  # a module that marks nothing is a limit as a whole
        return [one for one in benches if one.bench.limit or one.module in whole]
    exact = [one for one in benches if one.module in args or one.bench.name in args]
    return exact or [one for one in benches if any(word in one.name for word in args)]


def _machine() -> str:
    load, now = os.getloadavg()[0], time.strftime("%Y-%m-%d %H:%M")
    python = sys.version.split()[0]
    other = f"compared with {base()}" if base() else "BENCH_BASE names no program to compare with"
    return f"{os.cpu_count()} cores, load {load:.1f}, Python {python}, {now}; medians of several runs; {other}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
