"""The gate's own run: a pipeline that every repository has, unless it defines one of that name itself.

Its stages are those of `templates/implementation-gate.toml` for which the repository has a command: a Makefile's
targets, a package.json's scripts, or what the usual tools of its language are called.
"""

from __future__ import annotations

import os
import sys

from orchgate.config.entries import SHIPPED
from orchgate.errors import Unreadable
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs.ids import METRICS, RUNS, ahead_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from orchgate.config.settings import PipelineSettings
    from orchgate.git.snapshot import Snapshot
    from orchgate.git.state import WorkTreeState

    Reader = Callable[[str], bytes | None]

NAME = SHIPPED
TEMPLATE = "implementation-gate.toml"
STEPS = ("build", "lint", "test")
_STAGE = "[[pipelines.implementation-gate.stages]]\n"
_MAX_BYTES = 1024 * 1024
_MANAGERS = (
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("package.json", "npm"),
)
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


class StepSuggestion(NamedTuple):
    """What a file at the top of a repository suggests, where it holds `word` (if any)."""

    marker: str
    step: str
    command: str
    word: str = ""


# In the order of preference; the first that fits a step wins.
_TOOLS = (
    StepSuggestion("noxfile.py", "test", "nox -s tests", "def tests("),
    StepSuggestion("noxfile.py", "lint", "nox -s lint", "def lint("),
    StepSuggestion("ruff.toml", "lint", "ruff check ."),
    StepSuggestion("pyproject.toml", "lint", "ruff check .", "[tool.ruff"),
    StepSuggestion("pytest.ini", "test", "pytest"),
    StepSuggestion("pyproject.toml", "test", "pytest"),
    StepSuggestion("go.mod", "build", "go build ./..."),
    StepSuggestion("go.mod", "lint", "go vet ./..."),
    StepSuggestion("go.mod", "test", "go test ./..."),
    StepSuggestion("Cargo.toml", "build", "cargo build"),
    StepSuggestion("Cargo.toml", "lint", "cargo clippy"),
    StepSuggestion("Cargo.toml", "test", "cargo test"),
)


def commands(read: Reader) -> dict[str, str]:
    """A command for each of the `STEPS` that a repository seems to have; `read` reads a file at its top."""
    found: dict[str, str] = {}
    for step, command in (*_targets(read), *_scripts(read), *_tools(read)):
        found.setdefault(step, command)
    return found


def _targets(read: Reader) -> Iterator[tuple[str, str]]:
    from orchgate.plan_commands.definitions import make_targets

    for name in _MAKEFILES:
        if content := read(name):
            defined = make_targets(name, content).defined
            yield from ((step, f"make {step}") for step in STEPS if step in defined)


def _scripts(read: Reader) -> Iterator[tuple[str, str]]:
    content = read("package.json")
    if not content:
        return
    from orchgate.plan_commands.definitions import npm_scripts

    try:
        defined = npm_scripts("package.json", content).defined
    except Unreadable:
        return  # npm itself will say what is wrong with it
    manager = next(name for lock, name in _MANAGERS if read(lock) is not None)
    yield from ((step, f"{manager} run {step}") for step in STEPS if step in defined)


def _tools(read: Reader) -> Iterator[tuple[str, str]]:
    for tool in _TOOLS:
        content = read(tool.marker)
        if content is not None and tool.word.encode() in content:
            yield tool.step, tool.command


def on_disk(root: str) -> Reader:
    """Reads the beginning of a file at the top of a work tree; None when there is none to be read."""

    def read(name: str) -> bytes | None:
        try:
            with open(files.open_regular(os.path.join(root, name)), "rb") as file:
                return file.read(_MAX_BYTES)
        except OSError:
            return None

    return read


def in_tree(tree: Snapshot) -> Reader:
    """Reads a file at the top of a tree; None when there is none to be read."""

    def read(name: str) -> bytes | None:
        try:
            return tree.find(name, _MAX_BYTES)
        except Unreadable:
            return None

    return read


def text(found: Mapping[str, str], *, measured: bool, program: str = "orchgate") -> str:
    """The pipeline as it would stand in a configuration.

    `measured`: a pipeline is named under `[performance]`, so that there is something for the last stage to judge.
    """
    head, *stages = files.read_data("templates", TEMPLATE).split(_STAGE)
    kept = []
    for stage in stages:
        missing = [step for step in STEPS if "{" + step + "}" in stage and step not in found]
        if not missing and (measured or '"performance"' not in stage):
            kept.append(stage)
    ids = [stage.split('"')[1] for stage in kept]
    return head + "".join(_STAGE + _needs(_filled(stage, found, program), ids) for stage in kept)


def _filled(stage: str, found: Mapping[str, str], program: str) -> str:
    for step, command in found.items():
        stage = stage.replace("{" + step + "}", command)
    return stage.replace("{orchgate}", program.replace("\\", "\\\\").replace('"', '\\"'))


def _needs(stage: str, ids: list[str]) -> str:
    """A stage without what it needs from stages that are left out."""
    before, needs, after = stage.partition("needs = [")
    if not needs:
        return stage
    listed, _, rest = after.partition("]")
    left = [name for name in listed.split(", ") if name.strip('"') in ids]
    return f"{before}needs = [{', '.join(left)}]{rest}" if left else before + rest.removeprefix("\n")


def settings(read: Reader, *, measured: bool) -> PipelineSettings:
    """The shipped pipeline for a repository, as if its configuration defined it. Raises OrchgateError."""
    import tomllib

    from orchgate.config.entries import PIPELINES
    from orchgate.config.faults import Reading

    table = tomllib.loads(text(commands(read), measured=measured, program=_program()))
    found: Any = PIPELINES.read(table["pipelines"], ("pipelines",), Reading())
    pipeline: PipelineSettings = found[NAME]
    return pipeline


def _program() -> str:
    """This orchgate: a stage's PATH may hold another one, or none."""
    beside = os.path.join(os.path.dirname(sys.executable), "orchgate")
    return beside if os.access(beside, os.X_OK) else "orchgate"


LONGEST = 8 << 20  # bytes of a line that is read at once; no entry is that long


class Gate(NamedTuple):
    """`status`: passed, failed, absent (no run of this tree), or changed (no commit holds what is here)."""

    status: str
    tree: str | None
    run_id: str | None = None
    task_id: str | None = None


def gate_of(root: str, state: WorkTreeState | None) -> Gate:
    """The latest result of the gate for the tree that is checked out. No errors: unreadable entries do not count."""
    if state is None or state.tree is None:
        return Gate("absent", None)
    if state.dirty:
        return Gate("changed", state.tree)
    runs = [entry for entry in _entries(root) if entry.get("tree") == state.tree and not entry.get("dirty")]
    if not runs:
        return Gate("absent", state.tree)
    # Run ids begin with the time, which a wrong clock may have put into the future; a run that was resumed has
    # two entries, the later one further down.
    limit = ahead_from()
    ids = [str(entry.get("run_id")) for entry in runs]
    last = runs[max(range(len(runs)), key=lambda at: (ids[at] <= limit, ids[at], at))]
    status = "passed" if last.get("status") == "succeeded" else "failed"
    return Gate(status, state.tree, last.get("run_id"), last.get("task_id"))


def _entries(root: str) -> Iterator[Mapping[str, Any]]:
    """Entries of the gate's runs. Only lines that name it are looked into."""
    folder = os.path.join(root, RUNS)
    try:
        tasks = sorted(os.listdir(folder))
    except OSError:
        return
    named = f'"pipeline_id":"{NAME}"'.encode()
    for task in tasks:
        try:
            with open(files.open_regular(os.path.join(folder, task, METRICS)), "rb") as file:
                for line in iter(lambda: file.readline(LONGEST), b""):
                    if named in line and line.endswith(b"\n"):
                        yield from _parsed(line)
        except OSError:
            continue


def _parsed(line: bytes) -> Iterator[Mapping[str, Any]]:
    import json

    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict) and value.get("entry") == 1:
        yield value
