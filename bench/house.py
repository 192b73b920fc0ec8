"""The shape of the code in figures: rooms, names, importers, circles, lengths; at one revision, or at two side by side.

python bench/house.py                     this checkout
python bench/house.py v0.1.0 HEAD         two revisions, read from git
python bench/house.py --list names        what is behind a figure: names, importers, circles, dicts, functions
"""

from __future__ import annotations

import argparse
import ast
import io
import math
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

PACKAGE = "orchgate"
AIMS = {
    "modules": 170,
    "lines": 29_000,
    "files in the largest room": 16,
    "class names in several modules": 5,
    "modules with a single importer": 25,
    "import circles, types included": 0,
    "modules with dict[str, Any]": 12,
    "function lines, 95th percentile": 20,
    "function lines, longest": 45,
    "modules entered by a measured push": 80,
}


class House(NamedTuple):
    figures: dict[str, int]
    lists: dict[str, list[str]]


class Module(NamedTuple):
    name: str  # dotted, such as orchgate.git.call
    text: str
    tree: ast.Module


def modules(top: str) -> list[Module]:
    found = []
    for folder, _, files in os.walk(os.path.join(top, PACKAGE)):
        for file in files:
            if file.endswith(".py"):
                path = os.path.join(folder, file)
                with open(path, encoding="utf-8") as stream:
                    text = stream.read()
                dotted = os.path.relpath(path, top)[:-3].replace(os.sep, ".").removesuffix(".__init__")
                found.append(Module(dotted, text, ast.parse(text)))
    return sorted(found)


def imports(module: Module, known: set[str]) -> set[str]:
    """Modules of the package that a module imports, also inside functions and for type checkers only."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found & known


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other (Tarjan's strongly connected components of more than one)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in edges:
        if node not in index:
            visit(node)
    return found


def functions(found: list[Module]) -> list[tuple[int, str]]:
    return sorted(
        (node.end_lineno - node.lineno + 1, f"{module.name}.{node.name}")
        for module in found
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    )


def measured(top: str) -> House:
    found = modules(top)
    counted = [one for one in found if one.text.strip()]  # empty __init__ files are no modules to read
    known = {one.name for one in found}
    classes: dict[str, set[str]] = defaultdict(set)
    for one in found:
        for node in ast.walk(one.tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name].add(one.name)
    edges = {one.name: imports(one, known) - {one.name} for one in found}
    importers: dict[str, set[str]] = defaultdict(set)
    for name, others in edges.items():
        for other in others:
            importers[other].add(name)
    rooms = Counter(one.name.rsplit(".", 1)[0] for one in counted)
    repeated = {name: sorted(where) for name, where in classes.items() if len(where) > 1}
    single = {name: next(iter(who)) for name, who in importers.items() if len(who) == 1}
    loose = [one.name for one in counted if "dict[str, Any]" in one.text]
    lengths = functions(counted)
    round_trips = circles(edges)
    figures = {
        "modules": len(counted),
        "lines": sum(len(one.text.splitlines()) for one in counted),
        "files in the largest room": max(rooms.values()),
        "class names in several modules": len(repeated),
        "modules with a single importer": len(single),
        "import circles, types included": len(round_trips),
        "modules with dict[str, Any]": len(loose),
        "function lines, 95th percentile": lengths[math.ceil(0.95 * len(lengths)) - 1][0],
        "function lines, longest": lengths[-1][0],
    }
    return House(
        figures,
        {
            "rooms": [f"{room} {count}" for room, count in rooms.most_common()],
            "names": [f"{name}: {', '.join(where)}" for name, where in sorted(repeated.items())],
            "importers": [f"{name} <- {who}" for name, who in sorted(single.items())],
            "circles": [" <-> ".join(group) for group in round_trips],
            "dicts": loose,
            "functions": [f"{lines} {name}" for lines, name in lengths[:-21:-1]],
        },
    )


def entered_by_a_push(top: str) -> int | None:
    """Modules that `orchgate hook pre-push` enters when it measures, counted in a repository made for it."""
    with tempfile.TemporaryDirectory() as folder:
        line = _pushed(folder)
        argv = [sys.executable, "-X", "importtime", "-m", PACKAGE, "hook", "pre-push", "--", "origin", "../origin.git"]
        env = {**os.environ, "PYTHONPATH": top, "PYTHONSAFEPATH": "1", "XDG_STATE_HOME": os.path.join(folder, "state")}
        done = subprocess.run(
            argv, cwd=os.path.join(folder, "work"), input=line, capture_output=True, env=env, check=False, text=True
        )
    entered = {row.rsplit("|", 1)[-1].strip() for row in done.stderr.splitlines() if row.startswith("import time:")}
    ours = {name for name in entered if name.split(".")[0] == PACKAGE}
    return len(ours) if f"{PACKAGE}.speed.paired" in ours or "pairs in" in done.stdout + done.stderr else None


def _pushed(folder: str) -> str:
    """A work tree with a measured pipeline, and the line that git hands to the hook."""
    work = os.path.join(folder, "work")
    config = '[performance]\npipeline = "work"\n[[pipelines.work.stages]]\nid = "work"\nrun = ["sh", "work.sh"]\n'

    def git(*argv: str) -> str:
        name = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        return subprocess.run(
            ["git", *name, *argv], cwd=folder, capture_output=True, check=True, text=True
        ).stdout.strip()

    git("init", "--quiet", "--bare", "origin.git")
    git("init", "--quiet", "--initial-branch=main", "work")
    for number, text in enumerate(("true\n", "true # more\n")):
        for name, content in (("orchgate.toml", config), ("work.sh", text), (".gitignore", ".runs/\nout/\n")):
            with open(os.path.join(work, name), "w", encoding="utf-8") as stream:
                stream.write(content)
        git("-C", "work", "add", ".")
        git("-C", "work", "commit", "--quiet", "-m", f"commit {number}")
        if not number:
            git("-C", "work", "remote", "add", "origin", "../origin.git")
            git("-C", "work", "push", "--quiet", "origin", "main")
            git("-C", "work", "checkout", "--quiet", "-b", "topic")
    return f"refs/heads/topic {git('-C', 'work', 'rev-parse', 'topic')} refs/heads/topic {'0' * 40}\n"


def at(revision: str, folder: str) -> str:
    """The package as it is in a revision, unpacked into a folder."""
    archive = subprocess.run(
        ["git", "archive", revision, PACKAGE, "schemas", "templates"], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revisions", nargs="*", help="two revisions, or none for this checkout")
    parser.add_argument("--list", choices=["rooms", "names", "importers", "circles", "dicts", "functions"])
    args = parser.parse_args()
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with tempfile.TemporaryDirectory() as folder:
        tops = {name: at(name, os.path.join(folder, str(n))) for n, name in enumerate(args.revisions)} or {"now": top}
        houses = {name: measured(place) for name, place in tops.items()}
        if args.list:
            print("\n".join(list(houses.values())[-1].lists[args.list]))
            return
        for name, place in tops.items():
            if (entered := entered_by_a_push(place)) is not None:
                houses[name].figures["modules entered by a measured push"] = entered
    show(houses)


def show(houses: dict[str, House]) -> None:
    table = Table("figure", *houses, "aim")
    for row, aim in AIMS.items():
        cells = [f"{house.figures[row]:,}" if row in house.figures else "not seen" for house in houses.values()]
        table.add_row(escape(row), *cells, f"{aim:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
