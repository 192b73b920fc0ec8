"""Kinds of configuration values: each reads a TOML value, says what it expected, and gives its JSON schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from orchgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Kind(Protocol):
    def read(self, value: object, path: str) -> object:
        """The typed value. Raises ConfigError, whose message starts with the dotted `path`."""

    def schema(self) -> dict[str, object]:
        """JSON schema of what `read` accepts."""


def wrong(path: str, expected: str, value: object) -> ConfigError:
    return ConfigError(f"{path}: expected {expected}, got {_shown(value)}")


def _shown(value: object) -> str:
    try:
        shown = repr(value)
    except (RecursionError, ValueError):  # nested too deep, or an integer of thousands of digits
        return "a " + ("table" if isinstance(value, dict) else "list" if isinstance(value, list) else "huge number")
    return clipped(shown, 60)


def clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def unknown_key(path: str, key: str, known: Mapping[str, object]) -> ConfigError:
    import difflib

    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
    hint = f'did you mean "{near[0]}"?' if near else "known keys: " + ", ".join(sorted(known))
    return ConfigError(f"{join(path, key)}: unknown key", hint)


def join(path: str, key: str) -> str:
    """The dotted path of a key, quoted where TOML would ask for quotes."""
    bare = key.replace("-", "").replace("_", "")
    shown = clipped(key, 120)
    if not (bare.isascii() and bare.isalnum()):
        shown = '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{path}.{shown}" if path else shown


class Text(NamedTuple):
    expected: str = "a string"

    def read(self, value: object, path: str) -> str:
        if not isinstance(value, str):
            raise wrong(path, self.expected, value)
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "string"}


class Flag(NamedTuple):
    def read(self, value: object, path: str) -> bool:
        if not isinstance(value, bool):
            raise wrong(path, "true or false", value)
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "boolean"}


class Whole(NamedTuple):
    """A whole number from `minimum` to `maximum`."""

    minimum: int = 0
    maximum: int = 2**53

    def read(self, value: object, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.minimum <= value <= self.maximum:
            raise wrong(path, f"a whole number from {self.minimum} to {self.maximum}", value)
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


class Number(NamedTuple):
    """A finite number from `minimum` to `maximum`; `expected` names it: "a fraction", "seconds"."""

    minimum: float
    maximum: float
    expected: str

    def read(self, value: object, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.minimum <= value <= self.maximum:
            raise wrong(path, f"{self.expected} from {self.minimum:g} to {self.maximum:g}", value)
        return float(value)

    def schema(self) -> dict[str, object]:
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}


class Choice(NamedTuple):
    options: tuple[str, ...]

    def read(self, value: object, path: str) -> str:
        if value not in self.options:
            raise wrong(path, "one of " + ", ".join(f'"{option}"' for option in self.options), value)
        return str(value)

    def schema(self) -> dict[str, object]:
        return {"enum": list(self.options)}


class ListOf(NamedTuple):
    """A list; a single value stands for a list of one where `or_one` says so."""

    item: Kind
    or_one: bool = False

    def read(self, value: object, path: str) -> tuple[object, ...]:
        if self.or_one and not isinstance(value, list):
            value = [value]
        if not isinstance(value, list):
            raise wrong(path, "a list", value)
        return tuple(self.item.read(item, f"{path}[{index}]") for index, item in enumerate(value))

    def schema(self) -> dict[str, object]:
        listed: dict[str, object] = {"type": "array", "items": self.item.schema()}
        return {"anyOf": [self.item.schema(), listed]} if self.or_one else listed


class Place(NamedTuple):
    """One path, or one glob: nothing stands before it that a leading `!` could take back from."""

    def read(self, value: object, path: str) -> str:
        text = Text().read(value, path)
        if text.startswith("!"):
            raise ConfigError(f"{path}: a leading ! takes back from a list of globs, and {text!r} stands alone", _ALONE)
        return text

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": "^(?!!)"}


class Inner(NamedTuple):
    """A path of one file or folder inside the tree, relative to its top."""

    def read(self, value: object, path: str) -> str:
        text = Text().read(value, path)
        parts = text.removeprefix("./").rstrip("/").split("/")
        if not text.isprintable() or {"", ".", ".."}.intersection(parts) or parts[0] == ".git":
            raise wrong(path, "a relative path inside the repository", value)
        return "/".join(parts)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "minLength": 1, "pattern": "^(?!/)(?!(.*/)?\\.\\.(/|$))"}


class OrNone(NamedTuple):
    """A kind of text, or an empty string for none."""

    kind: Kind

    def read(self, value: object, path: str) -> object:
        return "" if value == "" else self.kind.read(value, path)

    def schema(self) -> dict[str, object]:
        return {"anyOf": [{"const": ""}, self.kind.schema()]}


_ALONE = "name what is meant, without the !"


class Globs(NamedTuple):
    """A list of globs, in which `!glob` takes back what entries before it matched; one that only does is refused."""

    def read(self, value: object, path: str) -> tuple[str, ...]:
        globs = tuple(str(item) for item in ListOf(Text()).read(value, path))
        for index, glob in enumerate(globs):
            if glob == "!":
                raise wrong(f"{path}[{index}]", "a glob after the !", glob)
        if globs and all(glob.startswith("!") for glob in globs):
            hint = 'put what it takes back from before it: "**" is everything'
            raise ConfigError(
                f"{path}: {clipped(', '.join(globs), 60)} takes back from a list that names nothing", hint
            )
        return globs

    def schema(self) -> dict[str, object]:
        some = {"contains": {"type": "string", "pattern": "^(?!!)"}}
        return {"type": "array", "items": {"type": "string", "not": {"const": "!"}}, "anyOf": [{"maxItems": 0}, some]}


class MapOf(NamedTuple):
    """A table with names of the user's choice; names that are globs stand alone, as a `Place` does."""

    value: Kind
    name: Kind = Text()

    def read(self, value: object, path: str) -> dict[str, object]:
        if not isinstance(value, dict):
            raise wrong(path, "a table", value)
        for key in value:
            self.name.read(key, join(path, key))
        return {key: self.value.read(item, join(path, key)) for key, item in value.items()}

    def schema(self) -> dict[str, object]:
        names = {} if self.name == Text() else {"propertyNames": self.name.schema()}
        return {"type": "object", **names, "additionalProperties": self.value.schema()}


class Record(NamedTuple):
    """A table with fixed keys, read into `build(**values)`; a key without a default is required.

    `also` is what load's own checks between the keys add to the schema.
    """

    build: Callable[..., object]
    keys: Mapping[str, Kind]
    defaults: Mapping[str, object] = {}
    also: Mapping[str, object] = {}

    def read(self, value: object, path: str) -> object:
        if not isinstance(value, dict):
            raise wrong(path, "a table", value)
        for key in value:
            if key not in self.keys:
                raise unknown_key(path, key, self.keys)
        values: dict[str, object] = {}
        for key, kind in self.keys.items():
            if key in value:
                values[key.replace("-", "_")] = kind.read(value[key], join(path, key))
            elif key in self.defaults:
                values[key.replace("-", "_")] = self.defaults[key]
            else:
                raise ConfigError(f"{join(path, key)}: required key is missing")
        return self.build(**values)

    def schema(self) -> dict[str, object]:
        return {
            "type": "object",
            "properties": {key: kind.schema() for key, kind in self.keys.items()},
            "required": [key for key in self.keys if key not in self.defaults],
            "additionalProperties": False,
            **self.also,
        }
