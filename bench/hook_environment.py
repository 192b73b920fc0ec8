"""What pre-commit installs for our hook: seconds, and megabytes by package. Needs a package registry."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from common import Row, environment, main, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).parent.parent
SHOWN = 12
LIMIT_BYTES = 100_000_000


def rows() -> Iterator[Row]:
    """As pre-commit does it: an environment of virtualenv, and pip in it."""
    with tempfile.TemporaryDirectory(prefix="orchgate-bench-") as folder:
        start = time.perf_counter()
        place = os.path.join(folder, "py_env")
        steps = (
            [sys.executable, "-m", "virtualenv", "--quiet", place],
            [os.path.join(place, "bin", "python"), "-m", "pip", "install", "--quiet", str(TOP)],
        )
        for argv in steps:
            done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=False)
            if done.returncode != 0:
                yield missing("environment of the hook", f"{argv[2]}: {done.stderr.strip().splitlines()[-1][:60]}")
                return
        seconds = time.perf_counter() - start
        (packages,) = Path(place).glob("lib/python*/site-packages")
        parts = sizes(packages)
        whole = _size(Path(place))
    yield Row(
        "environment of the hook, installed", f"{whole / 1e6:.0f} MB in {seconds:.0f} s", "100 MB", whole <= LIMIT_BYTES
    )
    for name, size in parts.most_common(SHOWN):
        yield Row(f"  {name}", f"{size / 1e6:.1f} MB")
    rest = whole - sum(size for _, size in parts.most_common(SHOWN))
    yield Row(f"  {max(len(parts) - SHOWN, 0)} other packages, and the environment itself", f"{rest / 1e6:.1f} MB")


def sizes(packages: Path) -> Counter[str]:
    """Bytes on disk of each package, compiled files included."""
    found: Counter[str] = Counter()
    for package in importlib.metadata.distributions(path=[str(packages)]):
        files = {Path(str(file.locate())) for file in package.files or ()}
        found[package.name] = sum(path.stat().st_size for path in files if path.is_file())
    return found


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink() and path.is_file())


if __name__ == "__main__":
    main(rows)
