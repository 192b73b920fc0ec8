"""Reads the keys that a table declares, wherever that is: here, or in the file of the check that reads them."""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from orchgate.config.faults import INVALID, Reading, dotted
from orchgate.config.keys import EXTEND, Key, default, fields
from orchgate.config.kinds import Globs
from orchgate.lib.light import Light

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchgate.config.faults import At

T = TypeVar("T")
CHECKS = "orchgate.checks"
NO_TABLE: Mapping[str, object] = {}


def name_of(table: type) -> str:
    """The table of a check's keys is called as the file that declares them."""
    return table.__module__.rpartition(".")[2].replace("_", "-")


@cache
def check_ids() -> tuple[str, ...]:
    """Checks by the names of their files; nothing is imported."""
    folder = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "checks")
    return tuple(
        sorted(file[:-3].replace("_", "-") for file in os.listdir(folder) if file.endswith(".py") and file[0] != "_")
    )


def of_check(name: str) -> Any:
    """What declares the keys of a check; None where there is no such check, or it has no keys of its own."""
    if name not in check_ids():
        return None
    return importlib.import_module(f"{CHECKS}.{name.replace('-', '_')}").CHECK.keys


def of_checks() -> dict[str, Any]:
    """The tables of all checks, which are imported for it."""
    return {name: table for name in check_ids() if (table := of_check(name)) is not None}


class Moved(Light):
    """A value under an old name, and where that stands."""

    at: At
    value: object


class Layers(Light):
    """What the tables of a configuration are read from, and with.

    `presets` are the profile's values by table, `common` the lists of the top that count in several tables, by key.
    `elsewhere` gives every key's path by its last part.
    """

    reading: Reading
    presets: Mapping[str, object] = NO_TABLE
    moved: Mapping[At, Moved] = {}
    common: Mapping[str, tuple[str, ...]] = {}
    origins: dict[str, str] | None = None
    file: str = ""
    profile: str = ""
    elsewhere: Callable[[], Mapping[str, At]] = dict

    def note(self, path: At, origin: str) -> None:
        """Keeps where a value comes from."""
        if self.origins is not None:
            self.origins[dotted(path)] = origin


def read(table: Any, at: At, raw: object, preset: object, layers: Layers) -> Any:
    """A table's values: what the file says, else the profile, else the default."""
    if not isinstance(raw, dict):
        layers.reading.expected(at, "a table", raw)
        raw = NO_TABLE
    assert isinstance(preset, dict)
    if not (raw or preset or layers.moved or layers.common):
        return default(table)
    declared = fields(table)
    values: dict[str, object] = {}
    for field, one in declared.items():
        name = field.replace("_", "-")
        if isinstance(one, Key):
            values[field] = _value(one, (*at, name), raw, preset, layers)
        else:
            inner = raw.get(name, NO_TABLE) if isinstance(raw, dict) else NO_TABLE
            values[field] = read(one.table, (*at, name), inner, preset.get(name, {}), layers)
    _unknown(declared, at, raw, layers)
    return table(**values)


def _value(one: Key, path: At, own: Mapping[str, object], preset: Mapping[str, object], layers: Layers) -> Any:
    """A key's value; `own` is the table in the file and `preset` that of the profile."""
    name = str(path[-1])
    value: object = INVALID
    if name in own:
        value = one.kind.read(own[name], path, layers.reading)
        layers.note(path, layers.file)
    elif path in layers.moved:
        value = one.kind.read(layers.moved[path].value, layers.moved[path].at, layers.reading)
        layers.note(path, layers.file)
    elif name in preset:
        value = one.kind.read(preset[name], path, layers.reading)
        layers.note(path, layers.profile)
    if value is INVALID:  # or nothing is set
        value = one.default
    if own and (more := EXTEND + name) in own and one.extendable:
        value = _extended(one, value, own[more], (*path[:-1], more), layers)
        layers.note(path, layers.file)
    if one.common and (common := layers.common.get(name)):
        assert isinstance(value, tuple)
        value = tuple(dict.fromkeys((*common, *value)))
    return value


def _extended(one: Key, value: object, raw: object, at: At, layers: Layers) -> object:
    kind = Globs(extends=True) if isinstance(one.kind, Globs) else one.kind
    more = kind.read(raw, at, layers.reading)
    if not isinstance(more, tuple):
        return value
    assert isinstance(value, tuple)
    return tuple(dict.fromkeys((*value, *more)))


def _unknown(declared: Mapping[str, object], at: At, raw: Mapping[str, object], layers: Layers) -> None:
    olds = {old.at for old in layers.moved.values()}
    for key in raw:
        name = key.removeprefix(EXTEND)
        one = declared.get(name.replace("-", "_")) if "_" not in key else None
        known = isinstance(one, Key) and one.extendable if name != key else one is not None
        if not known and (*at, key) not in olds:
            names = [field.replace("_", "-") for field in declared]
            layers.reading.unknown(at, key, names, layers.elsewhere)


class Tables(Light):
    """The tables of checks: those that are set, and what any other is read from (see Layers)."""

    values: Mapping[str, Any]
    presets: Mapping[str, object] = NO_TABLE
    common: Mapping[str, tuple[str, ...]] = {}

    def of(self, table: type[T]) -> T:
        """A check's table, by what declares it."""
        name = name_of(table)
        return cast("T", self.values[name] if name in self.values else self._unset(name, table))

    def unset(self, name: str) -> Any:
        """What a check's table says where the file has none."""
        return self._unset(name, of_check(name))

    def named(self, name: str) -> Any:
        """A check's table by its name, for those who need not know the check."""
        return self.values[name] if name in self.values else self.unset(name)

    def _unset(self, name: str, table: Any) -> Any:
        return read(table, (name,), NO_TABLE, self.presets.get(name, {}), Layers(Reading(), common=self.common))
