"""The work trees of a comparison: one at each commit, what runs there, and what differs besides the code."""

from __future__ import annotations

import contextlib
import os
import posixpath
from functools import partial

from orchgate.errors import OrchgateError
from orchgate.git import worktree_cache as checkouts
from orchgate.lib import working_time
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runner import environment
from orchgate.runs.machine import fingerprint
from orchgate.runs.stages import Stage
from orchgate.speed import definition, sampling
from orchgate.speed.sampling import OutOfTime, Side
from orchgate.verdict import baseline, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.git.repository import Repository
    from orchgate.runs.run import Tool
    from orchgate.speed.definition import PipelineChange
    from orchgate.speed.sampling import MeasuredRun

COMMAND = "command"  # the id of the one stage that a command line is


@contextlib.contextmanager
def opened(
    repository: Repository,
    commits: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    pipeline: str = "",
    command: Sequence[str] = (),
    folder: str = "",
    prepare: Sequence[str] = (),
    defined_by: Sequence[str] = (),
) -> Iterator[tuple[Side, ...]]:
    """Sides for commits by label, in that order: `{"base": <hex id>, "head": <hex id>}`, or one of them.

    All of them run the pipeline as the first of them defines it (or as `defined_by` does, a label and a hex id), or all
    the same `command` in a `folder` of the tree. The work trees are ours alone until the block is left, and kept for
    the next time. Raises ConfigError (naming the side that defines the pipeline), GitError.
    """
    if command:
        stages = of_command(command, folder)
    else:
        label, commit = tuple(defined_by) or next(iter(commits.items()))
        stages = definition.read(repository, commit, pipeline, label).stages
    with contextlib.ExitStack() as stack:
        yield tuple(
            _side(
                repository,
                label,
                stack.enter_context(checkouts.checkout(repository, commit, _variant(prepare), environ)),
                stages,
            )
            for label, commit in commits.items()
        )


def of_command(command: Sequence[str], folder: str) -> tuple[Stage, ...]:
    """A command line as the one stage of a pipeline, in a folder of the tree."""
    return (Stage(COMMAND, COMMAND, tuple(command), cwd=folder),)


def _variant(prepare: Sequence[str]) -> str:
    """What a prepared tree depends on beside its files."""
    if not prepare:
        return ""
    from orchgate.runs.machine import fingerprint

    return ascii((fingerprint()["fingerprint"], *prepare))


def _side(repository: Repository, label: str, found: checkouts.Checkout, stages: tuple[Stage, ...]) -> Side:
    keep = None if found.prepared else partial(checkouts.keep, repository, found)
    return Side(label, found.commit, found.tree, found.root, found.scratch, stages, keep, found.lock)


# What differs besides the code, and may therefore explain a verdict


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
MACHINE = "machine type (the stored baseline is of another one)"
_DIRECT_URL = "direct_url.json"  # PEP 610
_MOST_BYTES = 64 * 1024


def differences(
    repository: Repository,
    sides: Sequence[Side],
    environ: Mapping[str, str],
    *,
    pipeline: str,
    variables: Sequence[str] = (),
) -> tuple[str, ...]:
    """Lock files, files that choose an interpreter, programs, `variables` of the definitions, and the machine class.

    Nothing where it is not known.
    """
    base, head = sides
    return (
        *of_trees(repository, base.commit, head.commit),
        *differing_programs(base, head, environ),
        *set_variables(variables),
        *other_machine(repository, base.commit, pipeline),
        *other_tools(repository, head, environ, base.commit, pipeline),
    )


def of_trees(repository: Repository, base: str, head: str) -> tuple[str, ...]:
    """Lock files and files that choose an interpreter. Nothing where git cannot tell."""
    try:
        changed = repository.changes(base, head)
    except OrchgateError:
        changed = ()
    return deciding_files(change.path for change in changed)


def deciding_files(paths: Iterable[str]) -> tuple[str, ...]:
    """Those of the changed paths that decide what other code runs, or what runs it."""
    known = sorted(paths)
    kinds = (LOCKS, INTERPRETERS)
    return tuple(path for kind in kinds for path in known if matches(posixpath.basename(path), kind))


def differing_programs(base: Side, head: Side, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Programs of the stages that are other files on head than on base, both outside of the tree that is measured."""
    names: dict[str, None] = {}
    for stage in base.stages:
        old, new = (_outside(side, stage, environ) for side in (base, head))
        if old != new:
            names[f"program {stage.argv[0]} ({_program_place(old)} -> {_program_place(new)})"] = None
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


def _program_place(path: str) -> str:
    return path or "in the tree, or not found"


def set_variables(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the environment that the definitions of the sides set differently; never their values."""
    return (f"environment {', '.join(names)}",) if names else ()


def other_machine(repository: Repository, base: str, pipeline: str) -> tuple[str, ...]:
    """Whether a stored baseline of the pipeline is only of other machines than this one."""
    try:
        data = repository.tree(base).find(baseline.PATH, baseline.MAX_BYTES)
        known = baseline.parse(data).records if data is not None else {}
    except OrchgateError:  # said where it is judged by
        return ()
    machines = {place[1] for place in known if place[0] == pipeline}
    return (MACHINE,) if machines and str(fingerprint()["fingerprint"]) not in machines else ()


def other_tools(
    repository: Repository, side: Side, environ: Mapping[str, str], base: str, pipeline: str
) -> tuple[str, ...]:
    """Tools that are other ones than those that the stored baseline was measured with, on machines such as this."""
    try:
        data = repository.tree(base).find(baseline.PATH, baseline.MAX_BYTES)
        known = baseline.parse(data).of(pipeline, str(fingerprint()["fingerprint"])) if data is not None else None
    except OrchgateError:  # said where it is judged by
        return ()
    if known is None or not known.tools:
        return ()
    from orchgate.tools import stored

    return stored.since(known.tools, started_tools(repository, side, environ))


def started_tools(repository: Repository, side: Side, environ: Mapping[str, str]) -> list[Tool]:
    """The tools that the stages of a side start, with those that its configuration declares."""
    from orchgate.config.load import load_work_tree
    from orchgate.runs.used_tools import UsedTools
    from orchgate.tools import stored
    from orchgate.tools.ask import ask

    used = UsedTools(side.root, repository)
    declared: tuple[str, ...] = ()
    with contextlib.suppress(OrchgateError):
        declared = load_work_tree(side.root).top.tools
    ask(declared, used, {**environ, **environment.NON_INTERACTIVE})
    return stored.now(used, ((stage, *environment.of_stage(environ, side.root, stage)) for stage in side.stages))


def editable_installs(root: str, environ: Mapping[str, str]) -> Iterator[str]:
    """A line for each package that the active virtual environment has from a folder at or below `root`. No errors."""
    for package, _ in editable_folders(root, environ):
        yield (
            f"{package} is installed from this work tree ({environ['VIRTUAL_ENV']}): Python may run its code on both "
            "sides; performance.setup can install each side's own"
        )


def editable_folders(root: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name and version of each package that is installed from a folder at or below `root`, and that folder."""
    venv = environ.get("VIRTUAL_ENV")
    for package, folder in _editable(venv) if venv else ():
        if f"{os.path.realpath(folder)}/".startswith(f"{os.path.realpath(root)}/"):
            yield package, folder


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


# What added stages cost: head runs its own definition once, after the comparison


SHARE = 0.2  # of the budget, which this run may take where the comparison used it up
NOT_MEASURED = "cost not measured"


def added_costs(
    repository: Repository,
    head: str,
    change: PipelineChange,
    *,
    environ: Mapping[str, str],
    prepare: Sequence[str],
    seconds: float,
) -> dict[str, str]:
    """By id of an added stage what it costs, in words; why it is not known where the run fails or takes too long.

    Raises KeyboardInterrupt as every measurement.
    """
    if not change.added:
        return {}
    assert change.head is not None  # or no stage would be known to be new
    sides = opened(repository, {"head": head}, environ=environ, pipeline=change.head.name, prepare=prepare)
    try:
        with sides as (side,):
            repository.blobs.close()  # what measures ends every process below it, git's answering one too
            ran = _measured_head(side, environ, prepare, seconds)
    except OutOfTime:
        return dict.fromkeys(change.added, f"{NOT_MEASURED}: a run takes more than {seconds:.3g} s")
    except OrchgateError as error:
        return dict.fromkeys(change.added, f"{NOT_MEASURED}: {error.message}")
    return {name: added_cost(name, ran) for name in change.added}


def _measured_head(side: Side, environ: Mapping[str, str], prepare: Sequence[str], seconds: float) -> MeasuredRun:
    """Raises OutOfTime, OrchgateError."""
    with sampling.open_harness([side], environ) as harness:
        if failed := sampling.prepare(harness, side, prepare, seconds):
            raise OrchgateError(f"{failed.subject} fails: {failed.detail}")
        ran = sampling.once(harness, side, working_time.now() + seconds)
        if harness.session.loop.signals:
            raise KeyboardInterrupt
        return ran


def added_cost(name: str, ran: MeasuredRun) -> str:
    """What a run says that one of its stages costs, in words."""
    if ran.failure:
        fails = ran.failure.stage == name
        return f"fails: {ran.failure.detail}" if fails else f"{NOT_MEASURED}: stage {ran.failure.stage} fails"
    cost = ran.stages.get(name, {})
    shown = (("cpu_seconds", "of CPU time"), ("wall_seconds", "in all"))
    return ", ".join(f"{words.amount(key, cost[key])} {what}" for key, what in shown if key in cost) or NOT_MEASURED
