"""Turns a tree's configuration into a Config: all that is wrong with it at once, each with its place."""

from __future__ import annotations

from orchgate.config import keys, profiles
from orchgate.config.entries import OLD_IGNORES
from orchgate.config.faults import Reading, as_toml
from orchgate.config.keys import EXTEND, Layers, Moved, Tables, every, fields
from orchgate.config.kinds import Choice
from orchgate.config.settings import SECTIONS, Config, Ignore, Top
from orchgate.config.source import Source, error_of, find, outside
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from orchgate.config.faults import At
    from orchgate.errors import ConfigError
    from orchgate.git.snapshot import Snapshot

    More = Callable[[Config, Reading], None]

PIPELINES: At = ("pipelines",)
MEASURED: At = ("performance", "pipeline")
INCONCLUSIVE = ("performance", "inconclusive")  # was what the severity of PRF004 says
PRF004 = "PRF004"
EXTENDS = "extends"
JOINED: tuple[At, ...] = (("ignore",), ("severity", PRF004))  # where the old name and the new one go together


class Limits(NamedTuple):
    """`config` is what judges. `accepted` is the base's: None where the change leaves it alone, or there is no base.

    `unread` says why the base's could not be read, "" when it could.
    """

    config: Config
    accepted: Config | None = None
    unread: str = ""


def load(snapshot: Snapshot, file: str = "", more: More | None = None) -> Config:
    """The configuration of a tree, every key filled in. Raises ConfigError.

    `file` is where it stands, if not in one of the usual files; `more` looks for faults that are seen from above.
    """
    return build(source_of(snapshot, file), more, exact=True)


def source_of(snapshot: Snapshot, file: str = "") -> Source:
    """The raw configuration of a tree, with those that it extends. Raises ConfigError."""
    source = find(snapshot, file)
    if not source.table.get(EXTENDS):
        return source
    from orchgate.config.shared.layers import layered

    return layered(source, snapshot)


def load_outside(path: str, more: More | None = None) -> Config:
    """A configuration that is part of no judged tree. Raises ConfigError."""
    return build(outside(path), more, exact=True)


def load_work_tree(root: str) -> Config:
    """The configuration as it is on disk, for verbs that judge no change. Raises ConfigError."""
    from orchgate.git.snapshot import WorkTree

    return load(WorkTree(root))


def floor(source: Source) -> Config | None:
    """What the shared files alone say, under the profile that is in force; None where none is extended.

    Raises ConfigError.
    """
    if not source.shared:
        return None
    from orchgate.config.shared.layers import over

    profile = {"profile": source.table["profile"]} if "profile" in source.table else {}
    return build(over(source.shared, Source(source.file, profile)))


def build(source: Source, more: More | None = None, *, exact: bool = False) -> Config:
    """A Config from a raw table. Raises ConfigError; `exact` also where it asks for another version of orchgate."""
    reading = Reading()
    if exact:
        _version(source)
    config = _read(source, reading)
    _cross_check(config, reading)
    if more is not None:
        more(config, reading)
    if reading.faults:
        raise error_of(source, reading.faults)
    return config._replace(renamed=tuple(reading.renamed))


def _version(source: Source) -> None:
    """Another version's configuration may hold anything: nothing else is said about it."""
    for _, one in source.shared:
        _version(one)
    table = source.table if source.own is None else source.own
    if table.get(EXTENDS) and not source.shared:
        raise _not_in_a_tree(source)
    wanted = table.get("required-version")
    if not isinstance(wanted, str) or not wanted:
        return
    from orchgate import __version__
    from orchgate.config.faults import ConfigFault
    from orchgate.config.names import admits

    reading = Reading()
    if fields(Top)["required_version"].kind.read(wanted, ("required-version",), reading) == wanted:  # type: ignore[union-attr]  # it is a key
        if admits(wanted, __version__):
            return
        message = f"asks for orchgate {wanted}, and this is {__version__}"
        reading.faults.append(ConfigFault(("required-version",), message, "install a version that it admits"))
        raise error_of(source, reading.faults)


def _not_in_a_tree(source: Source) -> ConfigError:
    reading = Reading()
    reading.wrong((EXTENDS,), "only the configuration of the tree that is judged can extend another", of_key=True)
    return error_of(source, reading.faults)


def _read(source: Source, reading: Reading) -> Config:
    profile = source.table.get("profile", "default")
    presets = profiles.presets(profile)
    raw = source.table
    moved = _moved(raw, reading)
    origins: dict[str, str] = {}
    layers = Layers(reading, presets, moved, {}, origins, source.file, f"profile {profile}", _everywhere)
    own = {name: raw[name] for name in raw if not name or (name not in SECTIONS and not _is_of_top(name))}
    top = _top({name: raw[name] for name in raw if name not in SECTIONS and name not in own}, layers)
    if top.exclude:
        layers = layers._replace(common={"exclude": top.exclude})
    # Each table is read into its own field, which no type checker can follow through a mapping.
    values: Any = {
        name: keys.read(table, (name,), raw.get(name, {}), presets.get(name, {}), layers)
        for name, table in SECTIONS.items()
        if name
    }
    for name in presets:
        if name not in SECTIONS and name not in own:
            preset = presets[name]
            assert isinstance(preset, dict)
            origins.update((f"{name}.{key}", layers.profile) for key in preset if name != "severity")
    of_checks = Tables(_of_checks(own, layers), presets, layers.common)
    if source.shared:
        from orchgate.config.shared.layers import tell_apart

        tell_apart(origins, source, moved)
    return Config(top, **values, tables=of_checks, origins=origins, source=source)


def _top(raw: Mapping[str, object], layers: Layers) -> Top:
    """The keys that stand in no table; what the profile presets of a severity stays where the file names another."""
    preset = layers.presets.get("severity", {})
    own = raw.get("severity", {})
    assert isinstance(preset, dict)
    if preset and isinstance(own, dict):
        raw = {**raw, "severity": {**preset, **own}}
    moved = layers.moved
    rest = {at: old for at, old in moved.items() if at not in JOINED}
    top: Top = keys.read(Top, (), raw, {}, layers._replace(moved=rest))
    if preset and not own:
        layers.note(("severity",), layers.profile)
    top = top._replace(severity={_rule(name): weight for name, weight in top.severity.items()})
    if old := moved.get(("ignore",)):
        top = top._replace(ignore=(*top.ignore, *_old_ignores(old, layers)))
    if old := moved.get(("severity", PRF004)):
        top = _old_inconclusive(top, old, layers)
    return top


def _is_of_top(name: str) -> bool:
    """Whether a name is that of a key that stands in no table."""
    return "_" not in name and name.removeprefix(EXTEND).replace("-", "_") in Top._fields


def _rule(name: str) -> str:
    """A rule or a family of rules in upper case; the name of a check as it is."""
    return name.upper() if name.isalnum() and name.lower() not in keys.check_ids() else name.lower()


def _old_ignores(old: Moved, layers: Layers) -> Iterator[Ignore]:
    found = OLD_IGNORES.read(old.value, old.at, layers.reading)
    layers.note(("ignore",), layers.file)
    if isinstance(found, dict):
        for pattern, ignore in found.items():
            yield ignore._replace(paths=(pattern,))


def _old_inconclusive(top: Top, old: Moved, layers: Layers) -> Top:
    found = Choice(("warn", "block")).read(old.value, old.at, layers.reading)
    if found != "block" or PRF004 in top.severity:
        return top
    layers.note(("severity",), layers.file)
    return top._replace(severity={**top.severity, PRF004: "error"})


def _of_checks(raw: Mapping[str, object], layers: Layers) -> dict[str, object]:
    """The tables of checks that the file has; anything else there is unknown."""
    found: dict[str, object] = {}
    olds = {old.at for old in layers.moved.values()}
    known = [*(field.replace("_", "-") for field in Top._fields), *filter(None, SECTIONS), *keys.check_ids()]
    for name, table in raw.items():
        declared = keys.of_check(name)
        if declared is not None:
            found[name] = keys.read(declared, (name,), table, layers.presets.get(name, {}), layers)
        elif (name,) not in olds:
            layers.reading.unknown((), name, known, _everywhere)
    return found


def _everywhere() -> Mapping[str, At]:
    """The path of every key that stands in a table, by its last part; of old names that of the new one."""
    olds = {str(old[-1]): new for old, new in reversed(renames(declared()).items())}
    names = {path[-1]: path for name, table in declared().items() if name for path, _ in every(table, (name,))}
    return {**olds, **names}


def declared() -> dict[str, type[NamedTuple]]:
    """What declares each table, by name: here, and in the files of checks."""
    return {**SECTIONS, **keys.of_checks()}


def _moved(raw: Mapping[str, object], reading: Reading) -> dict[At, Moved]:
    """Values under old names, by the new path. They are looked for only where a name is unknown."""
    if not any(_strange(name, table) for name, table in raw.items()):
        return {}
    found: dict[At, Moved] = {}
    known = {**SECTIONS, **{name: table for name in raw if (table := keys.of_check(name)) is not None}}
    for old, new in renames(known).items():
        value: object = raw
        for part in old:
            value = value.get(part, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is _ABSENT:
            continue
        if new not in JOINED and _has(raw, new):
            reading.twice(old, new)
        reading.renamed.append((old, new))
        found[new] = Moved(old, value)
    return found


_ABSENT = object()


def _has(raw: Mapping[str, object], path: At) -> bool:
    value: object = raw
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def _strange(name: str, table: object) -> bool:
    """Whether a table, or a key in it, is not known under this name."""
    known = (SECTIONS.get(name) if name else None) or (None if _is_of_top(name) else keys.of_check(name))
    if known is None:
        return not _is_of_top(name)
    if not isinstance(table, dict):
        return False
    names = fields(known)
    return any(key.removeprefix(EXTEND).replace("-", "_") not in names for key in table)


def renames(known: Mapping[str, Any]) -> dict[At, At]:
    """New paths by old ones, of all keys of some tables that had another name."""
    found: dict[At, At] = {}
    for name, table in known.items():
        for path, one in every(table, (name,) if name else ()):
            if one.was:
                found[tuple(one.was.split("."))] = path
    return {**found, INCONCLUSIVE: ("severity", PRF004)}


def _cross_check(config: Config, reading: Reading) -> None:
    """What keys say about each other."""
    documents, performance = config.documents, config.performance
    for index, kind in enumerate(documents.required):
        if not documents.places[kind] and not reading.within(("documents",)):
            reading.expected(("documents", "required", index), "a kind of document that has a place", kind)
    if performance.metrics or any(performance.benchmarks):
        from orchgate.config import metric_names

        metric_names.check(config, reading)
    for name, pipeline in config.pipelines.items():
        for number, stage in enumerate(pipeline.stages):
            if stage.pipeline == name:
                where: At = ("pipelines", name, "stages", number, "pipeline")
                reading.wrong(where, f"pipeline {as_toml(name)} calls itself")
    if config.signatures.required or config.signatures.roles:
        _check_signatures(config, reading)
    if config.source.shared:
        from orchgate.config.shared.layers import keep_weight

        keep_weight(config.source, reading)


def _check_signatures(config: Config, reading: Reading) -> None:
    if not reading.within(("signatures",)):
        from orchgate.config import signing

        signing.check(config.signatures, reading)
