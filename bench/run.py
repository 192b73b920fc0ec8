"""Prints every limit of the project with this machine's figure: `nox -s bench`, or `python bench/run.py [NAME …]`."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from common import line

HERE = Path(__file__).parent
HELPERS = ("common", "run", "shapes", "truth", "truth_recorded", "truth_situations", "truth_witness")  # or own tables


def main(names: list[str]) -> None:
    known = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in HELPERS)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}, Python {sys.version.split()[0]}; medians of several runs\n")
    for name in names or known:
        for row in importlib.import_module(name).rows():
            print(line(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
