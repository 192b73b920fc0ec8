"""Kinds of configuration values: each reads a TOML value, says what it expected, and gives its JSON schema."""

from __future__ import annotations

from orchgate.config.faults import INVALID, as_toml, clipped, dotted
from orchgate.lib import lazy
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchgate.config.faults import At, Reading


class Kind(Protocol):
    def read(self, value: object, at: At, reading: Reading) -> object:
        """The typed value; INVALID where there is none, with what is wrong in the reading's faults."""

    def schema(self) -> dict[str, object]:
        """JSON schema of what `read` accepts."""


class Text(NamedTuple):
    expected: str = "a string"

    def read(self, value: object, at: At, reading: Reading) -> object:
        return value if isinstance(value, str) else reading.expected(at, self.expected, value)

    def schema(self) -> dict[str, object]:
        return {"type": "string"}


class Flag:
    def read(self, value: object, at: At, reading: Reading) -> object:
        return value if isinstance(value, bool) else reading.expected(at, "true or false", value)

    def schema(self) -> dict[str, object]:
        return {"type": "boolean"}


class Whole(NamedTuple):
    """A whole number from `minimum` to `maximum`."""

    minimum: int = 0
    maximum: int = 2**53

    def read(self, value: object, at: At, reading: Reading) -> object:
        if isinstance(value, bool) or not isinstance(value, int) or not self.minimum <= value <= self.maximum:
            bounds = f"from {self.minimum} to {self.maximum}" if self.maximum < 2**53 else f"of {self.minimum} or more"
            return reading.expected(at, f"a whole number {bounds}", value)
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


class Number(NamedTuple):
    """A finite number from `minimum` to `maximum`; `what` names it: "a fraction", "seconds"."""

    minimum: float
    maximum: float
    what: str

    def read(self, value: object, at: At, reading: Reading) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.minimum <= value <= self.maximum:
            return reading.expected(at, f"{self.what} from {self.minimum:g} to {self.maximum:g}", value)
        return float(value)

    def schema(self) -> dict[str, object]:
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}


class Choice(NamedTuple):
    options: tuple[str, ...]

    def read(self, value: object, at: At, reading: Reading) -> object:
        if isinstance(value, str) and value in self.options:
            return value
        hint = nearest(value, self.options) if isinstance(value, str) and not reading.full else ""
        return reading.expected(at, "one of " + ", ".join(f'"{option}"' for option in self.options), value, hint)

    def schema(self) -> dict[str, object]:
        return {"enum": list(self.options)}


class ReplayPolicy:
    """How many of the runs that a change cites are replayed in CI, from none to all."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if isinstance(value, str) and self._form(value):
            return value
        return reading.expected(at, '"never", "cited" or "sample:N"', value)

    @staticmethod
    def _form(value: str) -> bool:
        number = value.removeprefix("sample:")
        return value in ("never", "cited") or (
            number != value and number.isascii() and number.isdigit() and len(number) < 5 and number[0] != "0"
        )

    @staticmethod
    def rank(value: str) -> float:
        """How much of it there is; a looser policy has less."""
        return {"never": 0.0, "cited": float("inf")}.get(value) or float(value.partition(":")[2] or 0)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": "^(?:never|cited|sample:[1-9][0-9]{0,3})$"}


class ListOf(NamedTuple):
    """An array; a single value stands for an array of one where `or_one` says so."""

    item: Kind
    or_one: bool = False

    def read(self, value: object, at: At, reading: Reading) -> object:
        if self.or_one and not isinstance(value, list):
            value = [value]
        if not isinstance(value, list):
            return reading.expected(at, array(at, value), value)
        items = tuple(self.item.read(item, (*at, index), reading) for index, item in enumerate(value))
        return tuple(item for item in items if item is not INVALID)

    def schema(self) -> dict[str, object]:
        listed: dict[str, object] = {"type": "array", "items": self.item.schema()}
        return {"anyOf": [self.item.schema(), listed]} if self.or_one else listed


def array(at: At, value: object) -> str:
    """What is expected in place of a value that is not an array, with the array that was probably meant."""
    meant = f"; write `{at[-1]} = [{as_toml(value, 40)}]`" if at and isinstance(value, str | int | float) else ""
    return f"an array{meant}"


class PathOrGlob:
    """One path, or one glob: nothing stands before it that a leading `!` could take back from."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        text = Path().read(value, at, reading)
        if isinstance(text, str) and text.startswith("!"):
            what = f"a leading ! takes back from a list of globs, and {as_toml(text)} stands alone"
            return reading.wrong(at, what, "name what is meant, without the !")
        return text

    def schema(self) -> dict[str, object]:
        return {"type": "string", "minLength": 1, "pattern": "^(?!!)"}


class Path:
    """A path or a glob: some text that a name in a repository can consist of."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if not isinstance(value, str):
            return reading.expected(at, "a string", value)
        if not value or "\0" in value or "\n" in value:
            return reading.expected(at, "a path or a glob", value)
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "string", "minLength": 1}


class Inner:
    """A path of one file or folder inside the tree, relative to its top."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if isinstance(value, str):
            parts = value.removeprefix("./").rstrip("/").split("/")
            if value.isprintable() and not {"", ".", ".."}.intersection(parts) and parts[0] != ".git":
                return "/".join(parts)
        return reading.expected(at, "a relative path inside the repository", value)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "minLength": 1, "pattern": "^(?!/)(?!(.*/)?\\.\\.(/|$))"}


class OrNone(NamedTuple):
    """A kind of text, or an empty string for none."""

    kind: Kind

    def read(self, value: object, at: At, reading: Reading) -> object:
        return "" if value == "" else self.kind.read(value, at, reading)

    def schema(self) -> dict[str, object]:
        return {"anyOf": [{"const": ""}, self.kind.schema()]}


class Word(NamedTuple):
    """A name of letters, digits and some more characters, such as a trailer's or a variable's; `what` names it."""

    what: str
    more: str = ""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if isinstance(value, str):
            bare = "".join(character for character in value if character not in self.more)
            if value and (not bare or (bare.isascii() and bare.isalnum())):
                return value
        return reading.expected(at, self.what, value)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": f"^[A-Za-z0-9{self.more}]+$"}


class Globs(NamedTuple):
    """A list of globs, in which `!glob` takes back what entries before it matched; one that only does is refused.

    What extends a list may only take back.
    """

    extends: bool = False

    def read(self, value: object, at: At, reading: Reading) -> object:
        globs = ListOf(Path()).read(value, at, reading)
        if not isinstance(globs, tuple):
            return globs
        for index, glob in enumerate(globs):
            if glob in ("!", "!/"):
                return reading.expected((*at, index), "a glob after the !", glob)
        if globs and not self.extends and all(str(glob).startswith("!") for glob in globs):
            shown = clipped(", ".join(map(str, globs)), 60)
            what = f"{shown} {'take' if globs[1:] else 'takes'} back from a list that names nothing"
            return reading.wrong(at, what, 'put what it takes back from before it: "**" is everything')
        return globs

    def schema(self) -> dict[str, object]:
        some = {"contains": {"type": "string", "pattern": "^(?!!)"}}
        items = {"type": "string", "minLength": 1, "not": {"const": "!"}}
        return {"type": "array", "items": items} | ({} if self.extends else {"anyOf": [{"maxItems": 0}, some]})


class Loaded:
    """A kind by the name of its module and its own, of which few configurations have a value: it is loaded for one."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def read(self, value: object, at: At, reading: Reading) -> object:
        return self._kind().read(value, at, reading)

    def schema(self) -> dict[str, object]:
        return self._kind().schema()

    def _kind(self) -> Kind:
        kind: Kind = getattr(lazy.module(self._module), self._name)()
        return kind


class MapOf(NamedTuple):
    """A table with names of the user's choice."""

    value: Kind
    name: Kind = Text()

    def read(self, value: object, at: At, reading: Reading) -> object:
        if not isinstance(value, dict):
            return reading.expected(at, "a table", value)
        found: dict[str, object] = {}
        for key, item in value.items():
            if self.name.read(key, (*at, key), reading) is not INVALID:
                read = self.value.read(item, (*at, key), reading)
                if read is not INVALID:
                    found[key] = read
        return found

    def schema(self) -> dict[str, object]:
        names = {} if self.name == Text() else {"propertyNames": self.name.schema()}
        return {"type": "object", **names, "additionalProperties": self.value.schema()}


class Required(Enum):
    """Stands for the default of a key that has none."""

    REQUIRED = "required"


REQUIRED = Required.REQUIRED


class Record(NamedTuple):
    """A table with fixed keys, read into `build(**values)`.

    `keys` are kind and default by name, `help` says what they are, and `was` has old names of keys. `also` is what
    checks between the keys add to the schema, and `check` is such a check: it says what is wrong, and at which key.
    """

    build: Callable[..., object]
    keys: Mapping[str, tuple[Kind, object]]
    help: Mapping[str, str]
    was: Mapping[str, str] = {}
    also: Mapping[str, object] = {}
    check: Callable[[Mapping[str, object], At, Reading], None] | None = None

    def read(self, value: object, at: At, reading: Reading) -> object:
        if not isinstance(value, dict):
            return reading.expected(at, "a table", value)
        values: dict[str, object] = {}
        before = len(reading.faults)
        for key, item in value.items():
            name = self.was.get(key, key)
            if name not in self.keys:
                reading.unknown(at, key, self.keys)
            elif name != key and name in value:
                reading.twice((*at, key), (*at, name))
            else:
                if name != key:
                    reading.renamed.append(((*at, key), (*at, name)))
                values[name] = self.keys[name][0].read(item, (*at, key), reading)
        for key, (_, default) in self.keys.items():
            if key not in values and default is REQUIRED:
                reading.wrong((*at, key), "required key is missing")
        if len(reading.faults) == before and self.check is not None:
            self.check(values, at, reading)
        if len(reading.faults) > before:
            return INVALID
        filled = {key: values.get(key, default) for key, (_, default) in self.keys.items()}
        return self.build(**{key.replace("-", "_"): item for key, item in filled.items()})

    def schema(self) -> dict[str, object]:
        old = {key: {**self.keys[name][0].schema(), "deprecated": True} for key, name in self.was.items()}
        keys = {key: {**kind.schema(), "description": self.help[key]} for key, (kind, _) in self.keys.items()}
        return {
            "type": "object",
            "properties": keys | old,
            "required": [key for key, (_, default) in self.keys.items() if default is REQUIRED],
            "additionalProperties": False,
            **self.also,
        }


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint that names the likeliest of the known names; "" where none is like it."""
    import difflib

    near = difflib.get_close_matches(name[:200], list(known), n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else ""


def join(path: str, key: str) -> str:
    """The dotted path of a key, quoted where TOML would ask for quotes."""
    return f"{path}.{dotted((key,))}" if path else dotted((key,))
