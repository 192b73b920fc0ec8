"""Frozen values whose fields are those of an object in JSON, read from whatever the JSON really holds.

Every run makes such values, so they must cost nothing to define: `msgspec` and `dataclasses` take longer to import than
a short run takes, and a `NamedTuple` needs 40 microseconds a field. Where speed of reading is all, use `msgspec`.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNKNOWN_TIME = datetime.min.replace(tzinfo=UTC)  # stands for a moment that is needed, and not told
_NULL = type(None)

Path = tuple[str | int, ...]
Fault = tuple[Path, str]  # where something does not fit, and what is wrong with it


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Value:
    """To be derived from, with annotated fields. A field without a default has to be in the JSON.

    `keys` names the keys of fields that are called something else in JSON, "" for those that are not in it.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    keys: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        cls.fields = tuple(name for name, hint in cls.__annotations__.items() if "ClassVar" not in str(hint))

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def asdict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.fields}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and type(self) is type(other) and self.asdict() == other.asdict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.asdict().items())})"


_Read = TypeVar("_Read", bound=Value)


class _Kind(NamedTuple):
    """How JSON is read into fields of one annotation. `instead` stands for what is needed, and does not fit."""

    types: frozenset[type]
    expected: str
    instead: object = None
    convert: Callable[[Any, Path, str, list[Fault]], object] | None = None


class _Fields(NamedTuple):
    """The fields of a class and their keys. `converted` are those that are not taken as they are."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    kinds: tuple[_Kind, ...]
    types: tuple[frozenset[type], ...]
    converted: tuple[tuple[str, str, Any], ...]


def read(
    cls: type[_Read], table: Mapping[str, Any], faults: list[Fault], at: Path = (), given: Mapping[str, object] = {}
) -> _Read:
    """The value of an object in JSON, which is `at` a path, with `given` fields that are not in it.

    What is missing, or of another kind than it should be, counts as not told, and is added to the `faults`.
    """
    fields = _FIELDS.get(cls) or _fields(cls)
    found = list(map(table.get, fields.keys))
    if not all(map(frozenset.__contains__, fields.types, map(type, found))):
        for place, (key, kind) in enumerate(zip(fields.keys, fields.kinds, strict=True)):
            if type(found[place]) not in fields.types[place]:
                faults.append(((*at, key), _misfit(kind, found[place])))
                found[place] = kind.instead
    # What is null is left to the default of the class.
    values = {name: value for name, value in zip(fields.names, found, strict=False) if value is not None}
    for name, key, convert in fields.converted:
        if name in values:
            values[name] = convert(values[name], at, key, faults)
    made = object.__new__(cls)
    made.__dict__.update(values)
    made.__dict__.update(given)
    return made


def _misfit(kind: _Kind, value: object) -> str:
    if value is None:
        return "is missing"
    names = {list: "an array", dict: "an object", str: "a string", bool: "true or false"}
    return f"expected {kind.expected}, got {names.get(type(value), 'a number')}"


_FIELDS: dict[type, _Fields] = {}


def _fields(cls: type[Value]) -> _Fields:
    hints = {name: str(cls.__annotations__[name]) for name in cls.fields if cls.keys.get(name) != ""}
    kinds = tuple(_KINDS.get(hint) or _nested(cls, hint) for hint in hints.values())
    types = tuple(
        kind.types | {_NULL} if hasattr(cls, name) else kind.types for name, kind in zip(hints, kinds, strict=True)
    )
    keys = tuple(cls.keys.get(name, name) for name in hints)
    converted = [(name, key, kind.convert) for name, key, kind in zip(hints, keys, kinds, strict=True) if kind.convert]
    _FIELDS[cls] = found = _Fields(tuple(hints), keys, kinds, types, tuple(converted))
    return found


def _nested(cls: type[Value], hint: str) -> _Kind:
    """`Usage | None` or `tuple[Stage, ...]`: values of classes that stand beside this one."""
    name = hint.removesuffix(" | None").removeprefix("tuple[").removesuffix(", ...]")
    inner = getattr(sys.modules[cls.__module__], name)
    return _array(inner) if hint.startswith("tuple[") else _object(inner)


def _object(cls: type[Value]) -> _Kind:
    def convert(value: dict[str, Any], path: Path, key: str, faults: list[Fault]) -> Value | None:
        known = len(faults)
        made = read(cls, value, faults, (*path, key))
        return made if len(faults) == known else None  # half of it says nothing

    return _Kind(frozenset({dict, _NULL}), "an object", None, convert)


def _array(cls: type[Value]) -> _Kind:
    def convert(items: list[Any], path: Path, key: str, faults: list[Fault]) -> tuple[Value, ...]:
        found = []
        for number, item in enumerate(items):
            if isinstance(item, dict):
                found.append(read(cls, item, faults, (*path, key, number)))
            else:
                faults.append(((*path, key, number), "expected an object"))
        return tuple(found)

    return _Kind(frozenset({list, tuple, _NULL}), "an array", None, convert)


def _moment(value: str, path: Path, key: str, faults: list[Fault]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        faults.append(((*path, key), "is not a date and time that exists"))
        return None
    return moment


def _needed_moment(value: Any, path: Path, key: str, faults: list[Fault]) -> datetime:
    return value if isinstance(value, datetime) else _moment(value, path, key, faults) or UNKNOWN_TIME


def _numbers(value: dict[str, Any], path: Path, key: str, faults: list[Fault]) -> Mapping[str, float]:
    found = {name: number for name, number in value.items() if type(number) in (int, float)}
    if len(found) < len(value):
        faults.append(((*path, key), "expected numbers only"))
    return found


def _texts(value: dict[str, Any], path: Path, key: str, faults: list[Fault]) -> Mapping[str, str]:
    found = {name: text for name, text in value.items() if type(text) is str}
    if len(found) < len(value):
        faults.append(((*path, key), "expected strings only"))
    return found


def _some_texts(value: dict[str, Any], path: Path, key: str, faults: list[Fault]) -> Mapping[str, str | None] | None:
    if all(one is None or type(one) is str for one in value.values()):
        return value
    faults.append(((*path, key), "expected strings or null"))
    return None


_KINDS: Mapping[str, _Kind] = {
    "str": _Kind(frozenset({str}), "a string", ""),
    "str | None": _Kind(frozenset({str, _NULL}), "a string"),
    "int": _Kind(frozenset({int}), "a whole number", 0),
    "int | None": _Kind(frozenset({int, _NULL}), "a whole number"),
    "float | None": _Kind(frozenset({int, float, _NULL}), "a number"),
    "bool": _Kind(frozenset({bool}), "true or false", False),
    "bool | None": _Kind(frozenset({bool, _NULL}), "true or false"),
    "datetime": _Kind(frozenset({str}), "a date and time", UNKNOWN_TIME, _needed_moment),
    "datetime | None": _Kind(frozenset({str, _NULL}), "a date and time", None, _moment),
    "Mapping[str, float]": _Kind(frozenset({dict, _NULL}), "an object", None, _numbers),
    "Mapping[str, str]": _Kind(frozenset({dict, _NULL}), "an object", None, _texts),
    "Mapping[str, str | None] | None": _Kind(frozenset({dict, _NULL}), "an object", None, _some_texts),
}
