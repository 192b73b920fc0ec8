"""JSON that others wrote: whatever is wrong with it is a ValueError, in every version of Python.

Objects are read into frozen values of ours, from whatever the JSON really holds. Every run makes such values, so they
must cost nothing to define: `msgspec` and `dataclasses` take longer to import than a short run takes, and a
`NamedTuple` needs 40 microseconds a field. Where speed of reading is all, use `msgspec`.

How deep a nesting makes `json` give up depends on the interpreter: 1,000 levels in 3.11, 10,000 in 3.13.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from orchgate.lib import files
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ClassVar, TypeVar

    _Read = TypeVar("_Read", bound="Value")

DEEPEST = 500  # levels of objects and arrays
_BRACKETS = lazy(rb"[\[\]{}]")
_BEGINNING = 64 * 1024  # bytes


class TooDeepError(ValueError):
    """JSON that is nested more deeply than anybody writes by hand or by program."""

    def __init__(self) -> None:
        super().__init__("nested too deeply")


def parse(data: bytes | str, **hooks: Any) -> Any:
    """The value that JSON holds, read with the `hooks` of `json.loads`. Raises ValueError, TooDeepError among them."""
    try:
        value = json.loads(data, **hooks)
    except RecursionError:
        raise TooDeepError from None
    except ValueError:
        if begins_deeper_than(data, DEEPEST):
            raise TooDeepError from None
        raise
    if isinstance(value, dict | list) and deeper_than(value, DEEPEST):
        raise TooDeepError
    return value


def deeper_than(value: dict[str, Any] | list[Any], limit: int) -> bool:
    """Whether containers that hold something are nested deeper than `limit`."""
    return keys_within(value, limit) is None


def keys_within(value: dict[str, Any] | list[Any], limit: int) -> int | None:
    """How many keys all objects have together; None where containers that hold something nest deeper than `limit`.

    Level by level: depth costs no stack.
    """
    keys = 0
    level: list[Any] = [value]
    for _ in range(limit):
        inner: list[Any] = []
        for outer in level:
            if type(outer) is dict:
                keys += len(outer)
                inner += outer.values()
            else:
                inner += outer
        level = [one for one in inner if one and (type(one) is dict or type(one) is list)]
        if not level:
            return keys
    return None


def begins_deeper_than(data: bytes | str, limit: int) -> bool:
    """Whether so many more brackets are opened than closed near the beginning of what is not valid JSON."""
    depth = 0
    for found in _BRACKETS.finditer(data[:_BEGINNING].encode() if isinstance(data, str) else data[:_BEGINNING]):
        depth += 1 if found[0] in b"[{" else -1
        if depth > limit:
            return True
    return False


def read(path: str, limit: int) -> Any:
    """The value in a regular file of at most `limit` bytes. Raises OSError, ValueError."""
    return parse(files.read(path, limit))


UNKNOWN_TIME = datetime.min.replace(tzinfo=UTC)  # stands for a moment that is needed, and not told
_NULL = type(None)

ValuePath = tuple[str | int, ...]
ValueFault = tuple[ValuePath, str]  # where something does not fit, and what is wrong with it


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


class _Kind(NamedTuple):
    """How JSON is read into fields of one annotation. `instead` stands for what is needed, and does not fit."""

    types: frozenset[type]
    expected: str
    instead: object = None
    convert: Callable[[Any, ValuePath, str, list[ValueFault]], object] | None = None


class _Fields(NamedTuple):
    """The fields of a class and their keys. `converted` are those that are not taken as they are."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    kinds: tuple[_Kind, ...]
    types: tuple[frozenset[type], ...]
    converted: tuple[tuple[str, str, Any], ...]


def read_value(
    cls: type[_Read],
    table: Mapping[str, Any],
    faults: list[ValueFault],
    at: ValuePath = (),
    given: Mapping[str, object] = {},
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
    def convert(value: dict[str, Any], path: ValuePath, key: str, faults: list[ValueFault]) -> Value | None:
        known = len(faults)
        made = read_value(cls, value, faults, (*path, key))
        return made if len(faults) == known else None  # half of it says nothing

    return _Kind(frozenset({dict, _NULL}), "an object", None, convert)


def _array(cls: type[Value]) -> _Kind:
    def convert(items: list[Any], path: ValuePath, key: str, faults: list[ValueFault]) -> tuple[Value, ...]:
        found = []
        for number, item in enumerate(items):
            if isinstance(item, dict):
                found.append(read_value(cls, item, faults, (*path, key, number)))
            else:
                faults.append(((*path, key, number), "expected an object"))
        return tuple(found)

    return _Kind(frozenset({list, tuple, _NULL}), "an array", None, convert)


def _moment(value: str, path: ValuePath, key: str, faults: list[ValueFault]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        faults.append(((*path, key), "is not a date and time that exists"))
        return None
    return moment


def _needed_moment(value: Any, path: ValuePath, key: str, faults: list[ValueFault]) -> datetime:
    return value if isinstance(value, datetime) else _moment(value, path, key, faults) or UNKNOWN_TIME


def _numbers(value: dict[str, Any], path: ValuePath, key: str, faults: list[ValueFault]) -> Mapping[str, float]:
    found = {name: number for name, number in value.items() if type(number) in (int, float)}
    if len(found) < len(value):
        faults.append(((*path, key), "expected numbers only"))
    return found


def _texts(value: dict[str, Any], path: ValuePath, key: str, faults: list[ValueFault]) -> Mapping[str, str]:
    found = {name: text for name, text in value.items() if type(text) is str}
    if len(found) < len(value):
        faults.append(((*path, key), "expected strings only"))
    return found


def _listed_texts(value: list[Any], path: ValuePath, key: str, faults: list[ValueFault]) -> tuple[str, ...]:
    found = tuple(text for text in value if type(text) is str)
    if len(found) < len(value):
        faults.append(((*path, key), "expected strings only"))
    return found


def _some_texts(
    value: dict[str, Any], path: ValuePath, key: str, faults: list[ValueFault]
) -> Mapping[str, str | None] | None:
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
    "tuple[str, ...]": _Kind(frozenset({list, tuple, _NULL}), "an array", None, _listed_texts),
    "Mapping[str, str | None] | None": _Kind(frozenset({dict, _NULL}), "an object", None, _some_texts),
}
