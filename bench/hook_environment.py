"""What is installed for our hook: by pip as pre-commit does it, by uv as prek does; megabytes by package, and whose.

Needs a package registry. Each installer works once with nothing that it kept, and once with what that left.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from common import Row, children, environment, main, missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOP = Path(__file__).parent.parent
SHOWN = 16
LIMIT_BYTES = 100_000_000
INSTALLERS = {
    "pip": (["{python}", "-m", "virtualenv", "--quiet"], ["{place}/bin/python", "-m", "pip", "install", "--quiet"]),
    "uv": (
        ["{python}", "-m", "uv", "venv", "--quiet", "--python", "{python}"],
        ["{python}", "-m", "uv", "pip", "install", "--quiet", "--python", "{place}/bin/python"],
    ),
}
IMPORT = re.compile(r"^\s*(?:import|from) (\w+)", re.MULTILINE)
NAME = re.compile(r"[\w.-]+")


def rows() -> Iterator[Row]:
    for installer in INSTALLERS:
        with tempfile.TemporaryDirectory(prefix="orchgate-bench-") as folder:
            place = Path(folder, "py_env")
            seconds, wrong = _installed(installer, place, folder)
            if wrong:
                yield missing(f"environment of the hook, by {installer}", wrong)
                continue
            whole = _size(place)
            first, again = (f"{wall:.0f} s ({cpu:.0f} of CPU)" for wall, cpu in seconds)
            figure = f"{whole / 1e6:.0f} MB in {first}, again in {again}"
            yield Row(f"environment of the hook, by {installer}", figure, "100 MB", whole <= LIMIT_BYTES)
            yield from _packages(place, whole)


def _installed(installer: str, place: Path, folder: str) -> tuple[list[tuple[float, float]], str]:
    """Seconds of the wall and of CPU with an empty cache, and with what is in it then; or what went wrong."""
    caches = {"PIP_CACHE_DIR": f"{folder}/pip", "UV_CACHE_DIR": f"{folder}/uv"}
    seconds: list[tuple[float, float]] = []
    for number in range(2):
        at = place if number else Path(folder, "first")
        start, before = time.perf_counter(), children()
        for step, last in zip(INSTALLERS[installer], (str(at), str(TOP)), strict=True):
            argv = [word.format(python=sys.executable, place=at) for word in step] + [last]
            done = subprocess.run(argv, env={**environment(), **caches}, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                return [], f"{argv[2]}: {(done.stderr.strip().splitlines() or ['failed'])[-1][:60]}"
        seconds.append((time.perf_counter() - start, children() - before))
    return seconds, ""


def _packages(place: Path, whole: int) -> Iterator[Row]:
    (packages,) = place.glob("lib/python*/site-packages")
    parts = sizes(packages)
    rooms = whose(packages)
    for name, size in parts.most_common(SHOWN):
        yield Row(f"  {name}", f"{size / 1e6:.1f} MB", rooms.get(name, ""))
    rest = whole - sum(size for _, size in parts.most_common(SHOWN))
    yield Row(f"  {max(len(parts) - SHOWN, 0)} other packages, and the environment itself", f"{rest / 1e6:.1f} MB")
    only = sum(size for name, size in parts.items() if rooms.get(name, "").startswith("commands/"))
    yield Row("  of these, what no check imports", f"{only / 1e6:.1f} MB")


def sizes(packages: Path) -> Counter[str]:
    """Bytes on disk of each package, compiled files included."""
    found: Counter[str] = Counter()
    for package in importlib.metadata.distributions(path=[str(packages)]):
        files = {Path(str(file.locate())) for file in package.files or ()}
        found[package.name] = sum(path.stat().st_size for path in files if path.is_file())
    return found


def whose(packages: Path) -> dict[str, str]:
    """The rooms of ours that import a package, or whose import it comes with."""
    importers = _importers()
    known = {_normal(one.name): one for one in importlib.metadata.distributions(path=[str(packages)])}
    found: dict[str, set[str]] = {}
    for name, one in known.items():
        modules = {str(file).split("/")[0].removesuffix(".py").partition(".")[0] for file in one.files or ()}
        found[name] = {room for module in modules for room in importers.get(module, ())}
    found["pre-commit"].add("commands/init")  # which starts it, and imports nothing of it
    for _ in range(5):  # what is needed by what is needed
        for name, one in known.items():
            lines = [line for line in one.requires or () if "extra ==" not in line]
            for need in (_normal(match[0]) for line in lines if (match := NAME.match(line))):
                if need in found and name != "orchgate":
                    found[need] |= found[name]
    shown = {name: rooms for name, rooms in found.items() if name != "orchgate"}
    return {known[name].name: ", ".join(sorted(rooms, key=_is_command)[:3]) for name, rooms in shown.items()}


def _is_command(room: str) -> tuple[bool, str]:
    """What a check or a run needs comes first."""
    return room.startswith("commands/"), room


def _importers() -> Mapping[str, set[str]]:
    """Which rooms import a module, by its first name; of commands, which one."""
    found: dict[str, set[str]] = {}
    for path in (TOP / "orchgate").rglob("*.py"):
        parts = path.relative_to(TOP / "orchgate").with_suffix("").parts
        room = "/".join(parts[:2]) if parts[0] == "commands" else parts[0]
        for module in IMPORT.findall(path.read_text(encoding="utf-8")):
            found.setdefault(module, set()).add(room)
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink() and path.is_file())


if __name__ == "__main__":
    main(rows)
