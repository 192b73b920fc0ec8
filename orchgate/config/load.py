"""Finds a snapshot's configuration and turns it into a Config, errors with dotted paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.config.kinds import join, unknown_key, wrong
from orchgate.config.settings import (
    PER_FILE_IGNORES,
    PIPELINES,
    PROFILES,
    SECTIONS,
    SEVERITY,
    TABLE,
    Config,
    Ignore,
    Key,
    Pipeline,
)
from orchgate.errors import ConfigError, Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.snapshot import Snapshot

FILE = "orchgate.toml"
PYPROJECT = "pyproject.toml"
MAX_BYTES = 1024 * 1024
FREE_TABLES = {"pipelines": PIPELINES, "severity": SEVERITY, "per-file-ignores": PER_FILE_IGNORES}


class Source(NamedTuple):
    """Where a configuration was found: the file ("" when there is none) and its raw table."""

    file: str
    table: Mapping[str, object]
    shadowed: bool = False  # both files have one and this is the first


def find(snapshot: Snapshot) -> Source:
    """The raw configuration of a tree. Raises ConfigError when a file is not TOML or cannot be read."""
    own = _toml(FILE, _content(snapshot, FILE))
    content = _content(snapshot, PYPROJECT)
    # Parsing somebody's large pyproject.toml costs milliseconds on every commit; looking for the word does not.
    project = _toml(PYPROJECT, content) if content and b"orchgate" in content else None
    tool = project.get("tool", {}) if project else {}
    nested = tool.get("orchgate") if isinstance(tool, dict) else None
    if own is not None:
        return Source(FILE, own, shadowed=nested is not None)
    if nested is None:
        return Source("", {})
    if not isinstance(nested, dict):
        raise wrong("tool.orchgate", "a table", nested)
    return Source(PYPROJECT, nested)


def _content(snapshot: Snapshot, path: str) -> bytes | None:
    try:
        return snapshot.find(path, MAX_BYTES)
    except Unreadable as error:
        raise ConfigError(f"{path}: {error.message}", error.hint) from error


def _toml(path: str, content: bytes | None) -> dict[str, object] | None:
    if content is None:
        return None
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def load(snapshot: Snapshot) -> Config:
    """The configuration of a tree, every key filled in. Raises ConfigError."""
    return build(find(snapshot))


def build(source: Source) -> Config:
    """A Config from a raw table. Raises ConfigError whose message starts with the dotted path of the key."""
    known = {**TABLE[""], **{name: None for name in TABLE if name}, **{name: None for name in FREE_TABLES}}
    for name in source.table:
        if name not in known:
            raise unknown_key("", name, known)
    profile = str(TABLE[""]["profile"].kind.read(source.table.get("profile", "default"), "profile"))
    origins: dict[str, str] = {}
    values = {
        name.replace("-", "_") or "top": _section(name, source, profile, origins) for name in TABLE
    }
    free = {name.replace("-", "_"): kind.read(source.table.get(name, {}), name) for name, kind in FREE_TABLES.items()}
    config = Config(**values, **free, origins=origins)  # type: ignore[arg-type] -- each kind read its own field
    _cross_check(config)
    for name in FREE_TABLES:
        origins[name] = source.file if name in source.table else "default"
    return config


def _section(name: str, source: Source, profile: str, origins: dict[str, str]) -> object:
    table = source.table if name == "" else source.table.get(name, {})
    if not isinstance(table, dict):
        raise wrong(name, "a table", table)
    preset = PROFILES[profile].get(name, {}) if name else {}
    assert isinstance(preset, dict)
    keys = TABLE[name]
    if name:
        for key in table:
            if key not in keys:
                raise unknown_key(name, key, keys)
    values: dict[str, object] = {}
    for key, spec in keys.items():
        path = join(name, key)
        values[key.replace("-", "_")] = _value(spec, key, path, table, preset)
        origins[path] = source.file if key in table else f"profile {profile}" if key in preset else "default"
    return SECTIONS[name](**values)


def _value(spec: Key, key: str, path: str, table: Mapping[str, object], preset: Mapping[str, object]) -> object:
    if spec.default is None:  # a record whose own keys have defaults: the layers are merged key by key
        layers: dict[str, object] = {}
        for layer in (preset.get(key, {}), table.get(key, {})):
            if not isinstance(layer, dict):
                raise wrong(path, "a table", layer)
            layers.update(layer)
        return spec.kind.read(layers, path)
    if key in table:
        return spec.kind.read(table[key], path)
    if key in preset:
        return spec.kind.read(preset[key], path)
    return spec.default


def _cross_check(config: Config) -> None:
    for name, pipeline in config.pipelines.items():
        _check_stages(join("pipelines", name), pipeline)
    for pattern, ignore in config.per_file_ignores.items():
        _check_ignore(join("per-file-ignores", pattern), ignore)
    for index, root in enumerate(config.evidence.roots):
        if root.startswith("/") or ".." in root.split("/") or not root.strip("/."):
            raise wrong(f"evidence.roots[{index}]", "a folder inside the repository", root)


def _check_stages(path: str, pipeline: Pipeline) -> None:
    seen: set[str] = set()
    for index, stage in enumerate(pipeline.stages):
        if bool(stage.run) == bool(stage.shell):
            raise ConfigError(f"{path}.stages[{index}]: expected either run (a list) or shell (a line)")
        if stage.id in seen:
            raise ConfigError(f"{path}.stages[{index}].id: {stage.id!r} is already a stage of this pipeline")
        seen.add(stage.id)
    for index, stage in enumerate(pipeline.stages):
        for need in stage.needs:
            if need not in seen:
                raise ConfigError(f"{path}.stages[{index}].needs: no stage {need!r} in this pipeline")


def _check_ignore(path: str, ignore: Ignore) -> None:
    if not ignore.reason.strip():
        raise ConfigError(f"{path}.reason: expected a reason, got an empty string")
    if not ignore.rules:
        raise ConfigError(f"{path}.rules: expected at least one rule")
