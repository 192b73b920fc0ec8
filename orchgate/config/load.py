"""Finds a snapshot's configuration and turns it into a Config, errors with dotted paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.config.kinds import join, unknown_key, wrong
from orchgate.config.profiles import PROFILES
from orchgate.config.settings import Config, Ignore, Pipeline
from orchgate.config.table import FREE, SECTIONS, TABLE
from orchgate.errors import ConfigError, Unreadable
from orchgate.lib.inside import git_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.config.kinds import Kind
    from orchgate.config.settings import Documents, Performance
    from orchgate.config.shapes import Key
    from orchgate.git.snapshot import Snapshot

FILE = "orchgate.toml"
PYPROJECT = "pyproject.toml"
MAX_BYTES = 1024 * 1024
MAX_DOTS = 1000  # in one line: tomllib's time for a dotted key grows with the square of its parts


class Source(NamedTuple):
    """Where a configuration was found: the file ("" when there is none) and its raw table."""

    file: str
    table: Mapping[str, object]
    shadowed: bool = False  # both files have one and this is the first


def find(snapshot: Snapshot) -> Source:
    """The raw configuration of a tree. Raises ConfigError when a file is not TOML or cannot be read."""
    own = _toml(snapshot, FILE, _content(snapshot, FILE))
    if own is not None:
        return Source(FILE, own, shadowed=is_nested(snapshot))
    nested = _nested(snapshot)
    if nested is None:
        return Source("", {})
    if not isinstance(nested, dict):
        raise wrong("tool.orchgate", "a table", nested)
    return Source(PYPROJECT, nested)


def _nested(snapshot: Snapshot) -> object:
    """What `[tool.orchgate]` holds; None when it is not there. Raises ConfigError."""
    content = _content(snapshot, PYPROJECT)
    # Parsing somebody's large pyproject.toml costs milliseconds on every commit; looking for the word does not.
    project = _toml(snapshot, PYPROJECT, content) if content and b"orchgate" in content else None
    tool = project.get("tool") if project else None
    return tool.get("orchgate") if isinstance(tool, dict) else None


def project_of(snapshot: Snapshot) -> dict[str, object]:
    """All of a tree's pyproject.toml, empty when there is none. Raises ConfigError."""
    return _toml(snapshot, PYPROJECT, _content(snapshot, PYPROJECT)) or {}


def is_nested(snapshot: Snapshot) -> bool:
    """Whether pyproject.toml has a configuration that can be read."""
    try:
        return _nested(snapshot) is not None
    except ConfigError:  # a file we would not have read: its fault is not ours to report
        return False


def _content(snapshot: Snapshot, path: str) -> bytes | None:
    try:
        return snapshot.find(path, MAX_BYTES)
    except Unreadable as error:
        raise ConfigError(f"{path}: {error.message}", error.hint) from error


def _toml(snapshot: Snapshot, path: str, content: bytes | None) -> dict[str, object] | None:
    if content is None:
        return None
    if any(line.count(b".") > MAX_DOTS for line in content.split(b"\n")):
        raise ConfigError(f"{path}: a line has more than {MAX_DOTS} dots")
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8-sig"))  # editors on Windows begin files with a mark
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, an integer of thousands of digits, too deep
        entry = snapshot.entries.get(path)
        linked = entry is not None and entry.mode == "120000"
        hint = "it is a symbolic link, which counts as its target's name: put the file itself there" if linked else ""
        raise ConfigError(f"{path}: not valid TOML: {error}", hint) from error


def load(snapshot: Snapshot) -> Config:
    """The configuration of a tree, every key filled in. Raises ConfigError."""
    source = find(snapshot)
    try:
        return build(source)
    except ConfigError as error:
        raise ConfigError(error.message, error.hint or f"it stands in {source.file}") from error


def load_work_tree(root: str) -> Config:
    """The configuration as it is on disk, for verbs that judge no change. Raises ConfigError."""
    from orchgate.git.snapshot import WorkTree

    return load(WorkTree(root))


def build(source: Source) -> Config:
    """A Config from a raw table. Raises ConfigError whose message starts with the dotted path of the key."""
    known = {**TABLE[""], **{name: None for name in TABLE if name}, **dict.fromkeys(FREE)}
    for name in source.table:
        if name not in known:
            raise unknown_key("", name, known)
    profile = str(TABLE[""]["profile"].kind.read(source.table.get("profile", "default"), "profile"))
    origins: dict[str, str] = {}
    # Each kind has read its own field, which no type checker can follow through a table.
    values: dict[str, Any] = {
        name.replace("-", "_") or "top": _section(name, source, profile, origins) for name in TABLE
    }
    free: dict[str, Any] = {
        name.replace("-", "_"): _free(key.kind, source.table.get(name, {}), PROFILES[profile].get(name, {}), name)
        for name, key in FREE.items()
    }
    config = Config(**values, **free, origins=origins, shadowed=source.shadowed)
    _cross_check(config)
    for name in FREE:
        preset = f"profile {profile}" if name in PROFILES[profile] else "default"
        origins[name] = source.file if name in source.table else preset
    return config


def _free(kind: Kind, table: object, preset: object, path: str) -> object:
    """A table with names of the user's choice; what the profile presets stays where the user names something else."""
    assert isinstance(preset, dict)
    return kind.read({**preset, **table} if isinstance(table, dict) else table, path)


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
    _check_places(config.documents)
    _check_benchmarks(config.performance)
    if config.performance.metrics:
        from orchgate.config import metric_names

        metric_names.check(config)
    for name, pipeline in config.pipelines.items():
        _check_stages(join("pipelines", name), pipeline)
    for pattern, ignore in config.per_file_ignores.items():
        _check_ignore(join("per-file-ignores", pattern), ignore)
    for index, root in enumerate(config.evidence.roots):
        if root.startswith("/") or ".." in root.split("/") or not root.strip("/."):
            raise wrong(f"evidence.roots[{index}]", "a folder inside the repository", root)
        if git_name(root):
            raise wrong(f"evidence.roots[{index}]", "a folder that is not git's own", root)


def _check_benchmarks(performance: Performance) -> None:
    file, form = performance.benchmarks
    for key, value, other in (("format", form, file), ("file", file, form)):
        if other and not value:
            raise ConfigError(f"performance.benchmarks.{key}: required key is missing")
    for name in performance.metrics:
        if name.startswith("benchmark:") and not file:
            raise ConfigError(
                f"{join('performance.metrics', name)}: no performance.benchmarks.file says where they are"
            )


def _check_places(documents: Documents) -> None:
    """Each place names its packet, and what every packet needs has a place."""
    for kind, places in documents.places.items():
        for index, place in enumerate(places):
            if "{slug}" not in place and "{task}" not in place:
                raise wrong(f"documents.{kind}[{index}]", "a path with {slug} or {task}", place)
            if not _is_inside(place):
                raise wrong(f"documents.{kind}[{index}]", "a path inside the repository", place)
    if documents.task_index and not _is_inside(documents.task_index):
        raise wrong("documents.task-index", "a path inside the repository", documents.task_index)
    for index, kind in enumerate(documents.required):
        if not documents.places["packets" if kind == "prd" else kind]:
            raise wrong(f"documents.required[{index}]", "a kind of document that has a place", kind)


def _is_inside(path: str) -> bool:
    """Whether a path can be one that git names: relative, and without empty parts or dots for parts."""
    return "\0" not in path and not {"", ".", ".."}.intersection(path.removeprefix("./").split("/"))


def _check_stages(path: str, pipeline: Pipeline) -> None:
    seen: set[str] = set()
    for index, stage in enumerate(pipeline.stages):
        if sum(map(bool, (stage.run, stage.shell, stage.pipeline))) != 1:
            raise ConfigError(f"{path}.stages[{index}]: expected one of run (a list), shell (a line), pipeline (an id)")
        if stage.id in seen:
            raise ConfigError(f"{path}.stages[{index}].id: {stage.id!r} is already a stage of this pipeline")
        seen.add(stage.id)
    for index, stage in enumerate(pipeline.stages):
        for need in stage.needs:
            if need not in seen:
                raise ConfigError(f"{path}.stages[{index}].needs: no stage {need!r} in this pipeline")
    _check_order(path, pipeline)


def _check_order(path: str, pipeline: Pipeline) -> None:
    if not any(stage.needs for stage in pipeline.stages):
        return
    import graphlib

    try:
        graphlib.TopologicalSorter({stage.id: stage.needs for stage in pipeline.stages}).prepare()
    except graphlib.CycleError as error:
        raise ConfigError(
            f"{path}.stages: no order of {', '.join(map(repr, error.args[1]))} meets their needs"
        ) from error


def _check_ignore(path: str, ignore: Ignore) -> None:
    if not ignore.reason.strip():
        raise ConfigError(f"{path}.reason: expected a reason, got an empty string")
    if not ignore.rules:
        raise ConfigError(f"{path}.rules: expected at least one rule")
