"""The pipelines a repository defines: `[pipelines]` of our own configuration, and those of codex.orchestrator.json.

Of the latter, stage sets and sub-pipelines are read, and keys we know nothing about are left alone.
"""

from __future__ import annotations

import os

from orchgate.config.entries import SHIPPED
from orchgate.config.faults import Reading, as_toml, clipped
from orchgate.config.kinds import Flag, MapOf, Number, Text, join
from orchgate.errors import ConfigError, Unreadable, UsageError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs.decode import ManifestError
from orchgate.runs.locate import read_file
from orchgate.runs.stages import Pipeline, Stage, check_startable, order, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from orchgate.config.kinds import Kind
    from orchgate.config.settings import Config, PipelineSettings, StageSettings
    from orchgate.git.snapshot import Snapshot


__all__ = ["MAX_NESTING", "MAX_STAGES", "Pipeline", "Stage", "find", "load_all", "load_tree", "nearest", "order"]

MAX_STAGES = 10_000  # with all sub-pipelines unfolded: two calls of two calls of … double at every step
MAX_NESTING = 16


def load_all(root: str, config: Config, wanted: str = "") -> dict[str, Pipeline]:
    """Every pipeline of a work tree by id, ours first.

    Ours wins where both files define one, and both before the one that is shipped. That one takes time to make: with
    the name of the only pipeline that is `wanted`, it is left out where it is not needed. Raises ConfigError.
    """
    return _all(config, load_codex(root), root, wanted)


def load_tree(tree: Snapshot, config: Config) -> dict[str, Pipeline]:
    """As `load_all`, of a tree that nobody has checked out; `config` is the tree's. Raises ConfigError."""
    return _all(config, load_codex_tree(tree), tree)


def _all(
    config: Config, others: Mapping[str, Pipeline], where: str | Snapshot, wanted: str = ""
) -> dict[str, Pipeline]:
    source = config.origins.get("pipelines") or "the configuration"
    own = {name: _own(name, settings, source) for name, settings in config.pipelines.items()}
    found = {**own, **{name: found for name, found in others.items() if name not in own}}
    if SHIPPED not in found and (wanted not in found or _is_called(SHIPPED, found)):
        from orchgate.runs.implementation_gate import in_tree, on_disk, settings

        read = on_disk(where) if isinstance(where, str) else in_tree(where)
        shipped = settings(read, measured=bool(config.performance.pipeline))
        found[SHIPPED] = _own(SHIPPED, shipped, "orchgate itself")
    return found


def _is_called(name: str, pipelines: Mapping[str, Pipeline]) -> bool:
    return any(stage.pipeline == name for one in pipelines.values() for stage in one.stages)


def _own(name: str, settings: PipelineSettings, source: str) -> Pipeline:
    path = join("pipelines", name)
    stages = tuple(
        _stage(stage, settings.env, f"{path}.stages[{index}]") for index, stage in enumerate(settings.stages)
    )
    return Pipeline(name, settings.title or name, stages, source, settings.env, max_parallel=settings.max_parallel)


def _stage(settings: StageSettings, env: Mapping[str, str], path: str) -> Stage:
    stage = Stage(
        id=settings.id,
        title=settings.title or settings.id,
        argv=settings.run,
        shell=settings.shell,
        env={**env, **settings.env},
        cwd=settings.cwd,
        timeout_seconds=settings.timeout_seconds,
        retries=settings.retries,
        retry_delay_seconds=settings.retry_delay_seconds,
        allow_failure=settings.allow_failure,
        needs=settings.needs,
        inputs=settings.inputs,
        results=settings.results,
        metrics=settings.metrics,
        summary_hint=settings.summary_hint,
        pipeline=settings.pipeline,
        outputs=settings.outputs,
    )
    check_startable(stage, path)
    return stage


def find(pipelines: Mapping[str, Pipeline], name: str) -> Pipeline:
    """The pipeline of that name, once it is certain that it can be run with all the pipelines it calls.

    Raises UsageError for a name nobody defined, ConfigError for a pipeline that can never run.
    """
    if name not in pipelines:
        raise UsageError(f"there is no pipeline {name!r}", nearest(name, pipelines))
    _check_calls(pipelines, name)
    return pipelines[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the name that was probably meant, and all there are."""
    import difflib

    options = tuple(known)
    if not options:
        return "define one: [[pipelines.<name>.stages]] in orchgate.toml"
    near = difflib.get_close_matches(name[:200], [option[:200] for option in options], n=1, cutoff=0.6)
    listed = "there are: " + ", ".join(options)
    return f"did you mean {near[0]}? {listed}" if near else listed


def _check_calls(pipelines: Mapping[str, Pipeline], name: str) -> None:
    """Raises ConfigError unless every reachable pipeline exists, has stages, is in order, and comes to an end."""
    calls: dict[str, tuple[str, ...]] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in calls:
            calls[current] = _calls(pipelines, pipelines[current])
            waiting.extend(calls[current])
    sizes: dict[str, int] = {}
    depths: dict[str, int] = {}
    for current in _callees_first(calls, name):
        sizes[current] = len(pipelines[current].stages) + sum(sizes[called] for called in calls[current])
        depths[current] = 1 + max((depths[called] for called in calls[current]), default=0)
    path = join("pipelines", name)
    if sizes[name] > MAX_STAGES:
        raise ConfigError(f"{path}: unfolds to {sizes[name]} stages, limit {MAX_STAGES}")
    if depths[name] > MAX_NESTING:
        raise ConfigError(f"{path}: pipelines call each other {depths[name]} deep, limit {MAX_NESTING}")


def _calls(pipelines: Mapping[str, Pipeline], pipeline: Pipeline) -> tuple[str, ...]:
    """Ids of the pipelines that one calls."""
    if not pipeline.stages:
        raise ConfigError(f"{place(pipeline)}.stages: expected at least one stage", f"fix it in {pipeline.source}")
    order(pipeline)
    for stage in pipeline.stages:
        if stage.pipeline and stage.pipeline not in pipelines:
            message = f"{place(pipeline, stage)}.pipeline: there is no pipeline {stage.pipeline!r}"
            raise ConfigError(message, nearest(stage.pipeline, pipelines))
    return tuple(stage.pipeline for stage in pipeline.stages if stage.pipeline)


def _callees_first(calls: Mapping[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    if not calls[name]:
        return (name,)
    import graphlib

    try:
        return tuple(graphlib.TopologicalSorter(calls).static_order())
    except graphlib.CycleError as error:
        cycle = " -> ".join(map(repr, reversed(error.args[1])))
        raise ConfigError(f"{join('pipelines', name)}: pipelines call each other in a circle: {cycle}") from error


CODEX_FILE = "codex.orchestrator.json"
CODEX_MAX_BYTES = 4 * 1024 * 1024
_CODEX_KINDS = ("command", "subpipeline", "stage-set")
_MILLISECONDS = Number(1, 1e10, "milliseconds")


def load_codex(root: str) -> dict[str, Pipeline]:
    """The pipelines of the file at the top of a work tree, by id; none when there is no such file.

    Raises ConfigError with the dotted path of what is wrong.
    """
    path = os.path.join(root, CODEX_FILE)
    if not os.path.lexists(path):
        return {}
    try:
        content = read_file(path, CODEX_MAX_BYTES)
    except (ManifestError, Unreadable) as error:
        raise ConfigError(f"{CODEX_FILE} {error.message}") from error
    return _parsed(content)


def load_codex_tree(tree: Snapshot) -> dict[str, Pipeline]:
    """As `load`, of a tree that nobody has checked out, inside of which a link is followed. Raises ConfigError."""
    try:
        content = tree.find(CODEX_FILE, CODEX_MAX_BYTES)
        if content is not None and not content.lstrip().startswith(b"{"):  # the target of a link looks like this
            from orchgate.references import symlinks

            content = tree.read(symlinks.target(tree, CODEX_FILE), CODEX_MAX_BYTES)
    except Unreadable as error:
        raise ConfigError(f"{CODEX_FILE} {error.message}", error.hint) from error
    return {} if content is None else _parsed(content)


def _parsed(content: bytes) -> dict[str, Pipeline]:
    try:
        return parse_codex(content)
    except ConfigError as error:
        raise ConfigError(error.message, error.hint or f"fix it in {CODEX_FILE}") from error


def parse_codex(content: bytes) -> dict[str, Pipeline]:
    """The pipelines in the bytes of such a file, by id. Raises ConfigError."""
    table = _json(content)
    sets = {name: _listed(stages, join("stageSets", name)) for name, stages in _table(table, "stageSets").items()}
    found: dict[str, Pipeline] = {}
    for index, entry in enumerate(_list(table.get("pipelines"), "pipelines")):
        path = f"pipelines[{index}]"
        pipeline = _codex_pipeline(entry, path, sets)
        if pipeline.id in found:
            raise ConfigError(f"{path}.id: {pipeline.id!r} is already a pipeline of this file")
        found[pipeline.id] = pipeline
    return found


def _json(content: bytes) -> dict[str, Any]:
    import json

    try:
        table = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, an integer of thousands of digits, too deep
        raise ConfigError(f"{CODEX_FILE}: not valid JSON: {clipped(str(error), 120)}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"{CODEX_FILE}: expected one object, got {_kind(table)}")
    return table


def _codex_pipeline(entry: object, path: str, sets: Mapping[str, list[Stage]]) -> Pipeline:
    table = _object(entry, path)
    name = _name(table, path)
    env = _env(table, path)
    stages = [
        stage._replace(env={**env, **stage.env})
        for index, item in enumerate(_list(table.get("stages"), f"{path}.stages"))
        for stage in _expanded(item, f"{path}.stages[{index}]", sets)
    ]
    title = str(_get(table, "title", Text(), path) or name)
    return Pipeline(name, title, tuple(_distinct(stages)), CODEX_FILE, env, sequential=True)


def _expanded(item: object, path: str, sets: Mapping[str, list[Stage]]) -> list[Stage]:
    """One entry of a stage list: the stage itself, or all of the set it refers to."""
    table = _object(item, path)
    if table.get("kind") != "stage-set":
        return [_codex_stage(table, path)]
    wanted = _required(table, "ref", path)
    if wanted not in sets:
        raise ConfigError(f"{path}.ref: there is no stage set {wanted!r}", "there are: " + (", ".join(sets) or "none"))
    return sets[wanted]


def _listed(stages: object, path: str) -> list[Stage]:
    """The stages of a set, which may not refer to another set."""
    places = ((item, f"{path}[{index}]") for index, item in enumerate(_list(stages, path)))
    return [_codex_stage(_object(item, where), where) for item, where in places]


def _codex_stage(table: dict[str, Any], path: str) -> Stage:
    kind = table.get("kind")
    if kind not in ("command", "subpipeline"):
        hint = "a stage set cannot refer to another one" if kind == "stage-set" else ""
        allowed = _CODEX_KINDS if path.startswith("pipelines") else _CODEX_KINDS[:2]
        expected = "one of " + ", ".join(f'"{word}"' for word in allowed)
        raise ConfigError(f"{path}.kind: expected {expected}, got {as_toml(kind)}", hint)
    name = _name(table, path)
    milliseconds = _get(table, "timeoutMs", _MILLISECONDS, path)
    command = kind == "command"
    stage = Stage(
        id=name,
        title=str(_get(table, "title", Text(), path) or name),
        shell=_required(table, "command", path) if command else "",
        env=_env(table, path),
        cwd=str(_get(table, "cwd", Text(), path) or ""),
        timeout_seconds=milliseconds / 1000 if isinstance(milliseconds, float) else None,
        allow_failure=bool(_get(table, "allowFailure" if command else "optional", Flag(), path)),
        summary_hint=str(_get(table, "summaryHint", Text(), path) or ""),
        pipeline="" if command else _required(table, "pipeline", path),
    )
    check_startable(stage, path)
    return stage


def _distinct(stages: list[Stage]) -> Iterator[Stage]:
    """The stages with distinct ids: the other orchestrator lets one set stand twice in a pipeline."""
    taken = {stage.id for stage in stages}
    seen: set[str] = set()
    for stage in stages:
        if stage.id not in seen:
            seen.add(stage.id)
            yield stage
            continue
        number = next(number for number in range(2, len(stages) + 2) if f"{stage.id}-{number}" not in taken)
        taken.add(f"{stage.id}-{number}")
        yield stage._replace(id=f"{stage.id}-{number}")


def _env(table: dict[str, Any], path: str) -> dict[str, str]:
    read = _get(table, "env", MapOf(Text()), path)
    return read if isinstance(read, dict) else {}


def _name(table: dict[str, Any], path: str) -> str:
    name = _required(table, "id", path)
    if not name.strip():
        raise ConfigError(f"{path}.id: expected a name, got an empty one")
    return name


def _required(table: dict[str, Any], key: str, path: str) -> str:
    if table.get(key) is None:
        raise ConfigError(f"{path}.{key}: required key is missing")
    text = str(_read(Text(), table[key], f"{path}.{key}"))
    if not text.strip():
        raise ConfigError(f"{path}.{key}: expected some text, got an empty string")
    return text


def _get(table: dict[str, Any], key: str, kind: Kind, path: str) -> object:
    """A key's value; None when it is missing or null."""
    value = table.get(key)
    return None if value is None else _read(kind, value, f"{path}.{key}")


def _read(kind: Kind, value: object, path: str) -> object:
    """What a kind makes of a value. Raises ConfigError for the first thing that is wrong with it."""
    reading = Reading()
    found = kind.read(value, (), reading)
    if reading.faults:
        fault = reading.faults[0]
        where = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in fault.at)
        raise ConfigError(f"{path}{where}: {fault.message}", fault.hint)
    return found


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    return _object(table.get(key) or {}, key)


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected an object, got {as_toml(value)}")
    return value


def _list(value: object, path: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ConfigError(f"{path}: expected a list, got {as_toml(value)}")
    return value


def _kind(value: object) -> str:
    return {list: "a list", str: "a string", bool: "true or false", type(None): "null"}.get(type(value), "a number")
