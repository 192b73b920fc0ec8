"""The same work by others and by us, in turn: the origin's own scripts, DuckDB, check-jsonschema, and what runs hooks.

None of the origin's scripts keeps anything, so that they are compared with checks that use nothing that is kept.

The scripts need node, and BENCH_REAL=FOLDER, a clone of https://github.com/Kbediako/CO in which `npm ci` was run. The
others come with `nox -s bench -- peers`, or with pip: check-jsonschema, duckdb, pre-commit, prek.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import aggregate
import manifests
import shapes
import staged
from common import (
    ORCHGATE,
    PYTHON,
    REAL,
    Bench,
    Cost,
    Row,
    commit,
    costs,
    environment,
    git,
    main,
    missing,
    scratch,
    spread,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TREES = {"January": "1c7363cc6", "newest": "2e783bdd4"}
SCHEMA = "codex-manifest-2026-01"


class Pair(NamedTuple):
    """A script of the origin, and the checks of ours that ask about the same."""

    script: tuple[str, ...]
    ours: tuple[str, ...]

    @property
    def name(self) -> str:
        return next(word for word in self.script if word.startswith("scripts/")).removeprefix("scripts/")


PAIRS = (
    Pair(("scripts/diff-budget.mjs", "--dry-run"), ("diff-budget", "--staged")),
    Pair(("scripts/spec-guard.mjs", "--dry-run"), ("specs", "--staged")),
    Pair(("scripts/delegation-guard.mjs", "--dry-run"), ("evidence", "--staged")),
    Pair(("scripts/docs-freshness.mjs", "--check"), ("documents", "--all-files")),
    Pair(
        ("--loader", "ts-node/esm", "scripts/docs-hygiene.ts", "--check"),
        ("commands", "documents", "evidence", "--all-files"),
    ),
)


def origin(label: str, revision: str, rounds: int = 3) -> Iterator[Row]:
    what = f"{label} scripts of Kbediako/CO"
    if not shutil.which("node"):
        yield missing(what, "node")
        return
    if not REAL:
        yield missing(what, "BENCH_REAL names no clone")
        return
    with scratch() as root:
        staged.cloned(root, REAL, revision)
        modules = Path(REAL, "node_modules")
        if modules.is_dir():
            (root / "node_modules").symlink_to(modules.resolve())
            write(root, ".git/info/exclude", "node_modules\n")
        node, bare = costs([["node", "-e", ""], [PYTHON, "-c", "pass"]], root, rounds)
        yield Row(f"{label}: CPU of a start", f"node {node.cpu * 1000:.0f} ms, python {bare.cpu * 1000:.0f} ms")
        node_with_task = ["env", f"MCP_RUNNER_TASK_ID={_task(root)}", "node"]
        theirs = fresh = again = 0.0
        for pair in PAIRS:
            script, check = [*node_with_task, *pair.script], [ORCHGATE, "check", *pair.ours]
            if broken := _broken(script, root):
                yield missing(f"{label} {pair.name}", broken)
                continue
            their, first, kept = costs([script, [*check, "--no-cache"], check], root, rounds)
            theirs, fresh, again = theirs + their.cpu, fresh + first.cpu, again + kept.cpu
            yield _beside(f"{label} {pair.name} / check {' '.join(pair.ours)}", their, first)
            yield Row("  the same tree again", f"ours {kept.cpu:.2f} s")
        yield Row(f"{label}, all of them: CPU", f"{theirs:.2f} s, ours {fresh:.2f} s, {again:.2f} again")


def _task(root: Path) -> str:
    """A task of the repository: a script that is told of none ends before its work."""
    items: list[dict[str, str]] = json.loads((root / shapes.LIST).read_text())["items"]
    return items[-1]["id"]


def _broken(argv: list[str], root: Path) -> str:
    """Why a script says nothing of the tree: a module that is not installed. A refusal is an answer."""
    done = subprocess.run(argv, cwd=root, env=environment(), capture_output=True, text=True, check=False)
    found = [line for line in done.stderr.splitlines() if "ERR_MODULE_NOT_FOUND" in line or "Cannot find" in line]
    return f"npm ci in the clone ({found[0].strip()[:40]})" if found else ""


def _beside(what: str, theirs: Cost, mine: Cost) -> Row:
    """CPU of both; how ours compares, round by round."""
    ratios = [one / other for one, other in zip(mine.cpus, theirs.cpus, strict=True)]
    figure = f"{theirs.cpu:.2f} s, ours {mine.cpu:.2f} s"
    return Row(what, figure, f"{spread(ratios, 'x', 1)}", None)


def duckdb() -> Iterator[Row]:
    """Entries of the origin added up from scratch."""
    with scratch() as root:
        yield from aggregate.foreign_entries(root)


def jsonschema(count: int = 10_000) -> Iterator[Row]:
    program = _program("check-jsonschema")
    what = f"check-jsonschema / check manifests --all-files, {count:,} manifests"
    if not program:
        yield missing(what, "check-jsonschema")
        return
    with scratch() as root:
        write(root, ".gitignore", ".runs/\n")
        commit(root, "start")
        manifests.make_runs(root, count)
        schema = subprocess.run([ORCHGATE, "schema", SCHEMA], capture_output=True, check=True).stdout
        (root / ".git" / "schema.json").write_bytes(schema)
        files = [str(path.relative_to(root)) for path in sorted(root.glob(".runs/*/cli/*/manifest.json"))]
        their, our = costs([[program, "--schemafile", ".git/schema.json", *files], manifests.CHECK], root, 1)
        assert (their.code, our.code) == (0, 0), "both must pass"
    yield _beside(what, their, our)


def hooks(rounds: int = 11) -> Iterator[Row]:
    """What a hook runner adds to the same check: git calls each through its own hook."""
    ways = {"native hook": _native, "prek": _prek, "pre-commit": _pre_commit}
    with scratch() as top:
        alone = _repository(top / "alone")
        argvs, made = [["git", "-C", str(alone), "-c", f"alias.gate=!{ORCHGATE} check --staged", "gate"]], []
        for name, install in ways.items():
            root = _repository(top / name.replace(" ", "-"))
            if install(root):
                made.append(name)
                argvs.append(["git", "-C", str(root), "hook", "run", "pre-commit"])
        check, *others = costs(argvs, top, rounds)
        assert all(one.code == 0 for one in (check, *others)), "every hook must pass"
    yield Row("orchgate check --staged, called by git", spread(check.walls), f"{check.cpu * 1000:.0f} ms of CPU", None)
    for name in ways:
        if name not in made:
            yield missing(f"  {name} around it", name)
            continue
        one = others[made.index(name)]
        figure = f"{(one.wall - check.wall) * 1000:+.0f} ms"
        yield Row(f"  {name} around it", figure, f"{(one.cpu - check.cpu) * 1000:+.0f} ms of CPU", None)


def _repository(root: Path) -> Path:
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    write(root, "README.md", "# Read me\n")
    commit(root, "start")
    shapes.stage_a_line(root, ["README.md"])
    return root


def _native(root: Path) -> bool:
    hook = root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nexec {ORCHGATE} check --staged\n")
    hook.chmod(0o755)
    return True


def _pre_commit(root: Path, program: str = "pre-commit") -> bool:
    """One hook of the system's own language, so that no environment is made."""
    found = _program(program)
    if not found:
        return False
    hook = f"id: orchgate, name: orchgate, entry: {ORCHGATE} check --staged, language: system"
    more = "pass_filenames: false, always_run: true"
    write(root, ".pre-commit-config.yaml", f"repos: [{{repo: local, hooks: [{{{hook}, {more}}}]}}]\n")
    git(root, "add", ".pre-commit-config.yaml")
    subprocess.run([found, "install"], cwd=root, env=environment(), capture_output=True, check=True)
    return True


def _prek(root: Path) -> bool:
    return _pre_commit(root, "prek")


def _program(name: str) -> str:
    """Of this environment, or else of the system."""
    return shutil.which(name, path=os.path.dirname(sys.executable)) or shutil.which(name) or ""


BENCHES = (
    *(Bench(f"origin-{label}", partial(origin, label, revision)) for label, revision in TREES.items()),
    Bench("duckdb", duckdb),
    Bench("jsonschema", jsonschema),
    Bench("hooks", hooks),
)

if __name__ == "__main__":
    main(lambda: (row for bench in BENCHES for row in bench.rows()))
