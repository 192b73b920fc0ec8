"""Reads the pipelines of a codex.orchestrator.json: stage sets, sub-pipelines, and keys we know nothing about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orchgate.config.faults import Reading, as_toml, clipped
from orchgate.config.kinds import Flag, MapOf, Number, Text, join
from orchgate.errors import ConfigError, Unreadable
from orchgate.runs.decode import ManifestError
from orchgate.runs.locate import read_file
from orchgate.runs.stages import Pipeline, Stage, check_startable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.config.kinds import Kind
    from orchgate.git.snapshot import Snapshot

FILE = "codex.orchestrator.json"
MAX_BYTES = 4 * 1024 * 1024
KINDS = ("command", "subpipeline", "stage-set")
MILLISECONDS = Number(1, 1e10, "milliseconds")


def load(root: str) -> dict[str, Pipeline]:
    """The pipelines of the file at the top of a work tree, by id; none when there is no such file.

    Raises ConfigError with the dotted path of what is wrong.
    """
    path = os.path.join(root, FILE)
    if not os.path.lexists(path):
        return {}
    try:
        content = read_file(path, MAX_BYTES)
    except (ManifestError, Unreadable) as error:
        raise ConfigError(f"{FILE} {error.message}") from error
    return _parsed(content)


def load_tree(tree: Snapshot) -> dict[str, Pipeline]:
    """As `load`, of a tree that nobody has checked out, inside of which a link is followed. Raises ConfigError."""
    try:
        content = tree.find(FILE, MAX_BYTES)
        if content is not None and not content.lstrip().startswith(b"{"):  # the target of a link looks like this
            from orchgate.references import symlinks

            content = tree.read(symlinks.target(tree, FILE), MAX_BYTES)
    except Unreadable as error:
        raise ConfigError(f"{FILE} {error.message}", error.hint) from error
    return {} if content is None else _parsed(content)


def _parsed(content: bytes) -> dict[str, Pipeline]:
    try:
        return parse(content)
    except ConfigError as error:
        raise ConfigError(error.message, error.hint or f"fix it in {FILE}") from error


def parse(content: bytes) -> dict[str, Pipeline]:
    """The pipelines in the bytes of such a file, by id. Raises ConfigError."""
    table = _json(content)
    sets = {name: _listed(stages, join("stageSets", name)) for name, stages in _table(table, "stageSets").items()}
    found: dict[str, Pipeline] = {}
    for index, entry in enumerate(_list(table.get("pipelines"), "pipelines")):
        path = f"pipelines[{index}]"
        pipeline = _pipeline(entry, path, sets)
        if pipeline.id in found:
            raise ConfigError(f"{path}.id: {pipeline.id!r} is already a pipeline of this file")
        found[pipeline.id] = pipeline
    return found


def _json(content: bytes) -> dict[str, Any]:
    import json

    try:
        table = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, an integer of thousands of digits, too deep
        raise ConfigError(f"{FILE}: not valid JSON: {clipped(str(error), 120)}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"{FILE}: expected one object, got {_kind(table)}")
    return table


def _pipeline(entry: object, path: str, sets: Mapping[str, list[Stage]]) -> Pipeline:
    table = _object(entry, path)
    name = _name(table, path)
    env = _env(table, path)
    stages = [
        stage._replace(env={**env, **stage.env})
        for index, item in enumerate(_list(table.get("stages"), f"{path}.stages"))
        for stage in _expanded(item, f"{path}.stages[{index}]", sets)
    ]
    title = str(_get(table, "title", Text(), path) or name)
    return Pipeline(name, title, tuple(_distinct(stages)), FILE, env, sequential=True)


def _expanded(item: object, path: str, sets: Mapping[str, list[Stage]]) -> list[Stage]:
    """One entry of a stage list: the stage itself, or all of the set it refers to."""
    table = _object(item, path)
    if table.get("kind") != "stage-set":
        return [_stage(table, path)]
    wanted = _required(table, "ref", path)
    if wanted not in sets:
        raise ConfigError(f"{path}.ref: there is no stage set {wanted!r}", "there are: " + (", ".join(sets) or "none"))
    return sets[wanted]


def _listed(stages: object, path: str) -> list[Stage]:
    """The stages of a set, which may not refer to another set."""
    places = ((item, f"{path}[{index}]") for index, item in enumerate(_list(stages, path)))
    return [_stage(_object(item, where), where) for item, where in places]


def _stage(table: dict[str, Any], path: str) -> Stage:
    kind = table.get("kind")
    if kind not in ("command", "subpipeline"):
        hint = "a stage set cannot refer to another one" if kind == "stage-set" else ""
        allowed = KINDS if path.startswith("pipelines") else KINDS[:2]
        expected = "one of " + ", ".join(f'"{word}"' for word in allowed)
        raise ConfigError(f"{path}.kind: expected {expected}, got {as_toml(kind)}", hint)
    name = _name(table, path)
    milliseconds = _get(table, "timeoutMs", MILLISECONDS, path)
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
