"""What differs between two sides besides the code, and may therefore explain a verdict."""

from __future__ import annotations

import contextlib
import os
import posixpath
from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError
from orchgate.lib.globs import matches
from orchgate.runner import environment
from orchgate.runs.machine import fingerprint
from orchgate.verdict import baseline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.git.repository import Repository
    from orchgate.runs.stages import Stage
    from orchgate.speed.sampling import Side

SHOWN = 5
LOCKS = (
    "*.lock",  # Cargo, poetry, uv, yarn, Gemfile, composer, flake, pubspec, mix, Podfile, …
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "bun.lockb",
    "packages.lock.json",
    "go.sum",
    "go.work.sum",
    "gradle.lockfile",
    "conda-lock.yml",
    "pylock*.toml",
    "requirements*.txt",
    "constraints*.txt",
    "stack.yaml.lock",
    "cabal.project.freeze",
    "Package.resolved",
    "Manifest.toml",
)
INTERPRETERS = (
    ".python-version",
    ".node-version",
    ".nvmrc",
    ".ruby-version",
    ".java-version",
    ".go-version",
    ".tool-versions",
    "mise.toml",
    ".mise.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
    "global.json",
    ".sdkmanrc",
    "runtime.txt",
)
MACHINE = "machine class (the stored baseline is of another one)"
_DIRECT_URL = "direct_url.json"  # PEP 610
_MOST_BYTES = 64 * 1024


def between(repository: Repository, sides: Sequence[Side], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Lock files, files that choose an interpreter, and programs, in this order. Nothing where it cannot be told."""
    base, head = sides
    return (*of_trees(repository, base.commit, head.commit), *programs(base, head, environ))


def of_trees(repository: Repository, base: str, head: str) -> tuple[str, ...]:
    """Lock files and files that choose an interpreter. Nothing where git cannot tell."""
    try:
        changed = repository.changes(base, head)
    except OrchgateError:
        changed = ()
    return files(change.path for change in changed)


def files(paths: Iterable[str]) -> tuple[str, ...]:
    """Those of the changed paths that decide what other code runs, or what runs it."""
    known = sorted(paths)
    kinds = (LOCKS, INTERPRETERS)
    return tuple(path for kind in kinds for path in known if matches(posixpath.basename(path), kind))


def programs(base: Side, head: Side, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Programs of the stages that are other files on head than on base, both outside of the tree that is measured."""
    names: dict[str, None] = {}
    for stage in base.stages:
        old, new = (_outside(side, stage, environ) for side in (base, head))
        if old != new:
            names[f"program {stage.argv[0]} ({_told(old)} -> {_told(new)})"] = None
    return tuple(names)


def _outside(side: Side, stage: Stage, environ: Mapping[str, str]) -> str:
    """The file that a stage starts, by the end of all links; "" for one of the tree itself, and where none is found."""
    if not stage.argv:
        return ""
    cwd, env = environment.of_stage(environ, side.root, stage)
    program = stage.argv[0]
    folders = ("",) if os.path.dirname(program) else os.get_exec_path(env)
    paths = (os.path.join(cwd, folder, program) for folder in folders)
    found = next((path for path in paths if os.access(path, os.X_OK) and os.path.isfile(path)), "")
    real = os.path.realpath(found) if found else ""
    return "" if real.startswith(os.path.realpath(side.root) + os.sep) else real


def _told(path: str) -> str:
    return path or "of the tree, or not found"


def variables(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the environment that the definitions of the sides set differently; never their values."""
    return (f"environment {', '.join(names)}",) if names else ()


def machine(repository: Repository, base: str, pipeline: str) -> tuple[str, ...]:
    """Whether a stored baseline of the pipeline is only of other machines than this one."""
    try:
        data = repository.tree(base).find(baseline.PATH, baseline.MAX_BYTES)
        known = baseline.parse(data).records if data is not None else {}
    except OrchgateError:  # said where it is judged by
        return ()
    machines = {place[1] for place in known if place[0] == pipeline}
    return (MACHINE,) if machines and str(fingerprint()["fingerprint"]) not in machines else ()


def told(found: Sequence[str]) -> Iterator[str]:
    """`also differs: package-lock.json, .python-version, environment NODE_ENV`, bounded; nothing for nothing."""
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        yield f"also differs: {', '.join(found[:SHOWN])}{more}"


def editable_installs(root: str, environ: Mapping[str, str]) -> Iterator[str]:
    """A line for each package that the active virtual environment has from a folder at or below `root`. No errors."""
    venv = environ.get("VIRTUAL_ENV")
    for package, folder in _editable(venv) if venv else ():
        if f"{os.path.realpath(folder)}/".startswith(f"{os.path.realpath(root)}/"):
            yield (
                f"{package} is installed from this work tree ({venv}): Python may run its code on both sides; "
                "performance.setup can install each side's own"
            )


def _editable(venv: str) -> Iterator[tuple[str, str]]:
    """Name and version of each package that is used from a folder, and that folder."""
    for packages in _packages(os.path.join(venv, "lib")):
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(packages)):
                if name.endswith(".dist-info") and (folder := _source(os.path.join(packages, name, _DIRECT_URL))):
                    yield name.removesuffix(".dist-info"), folder


def _packages(lib: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(lib)):
            if name.startswith("python"):
                yield os.path.join(lib, name, "site-packages")


def _source(facts: str) -> str:
    """The folder an editable package comes from; "" for any other."""
    import json
    from urllib.parse import unquote

    try:
        with open(facts, encoding="utf-8") as file:
            found = json.loads(file.read(_MOST_BYTES))
        url, editable = found["url"], found.get("dir_info", {}).get("editable")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return unquote(url.removeprefix("file://")) if editable is True and str(url).startswith("file://") else ""
