"""What is wrong with a configuration: all of it, each with the place where it stands."""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

# The path of a key from the top: names of tables and keys, and numbers of an array's items.
MOST = 20  # faults that are shown
At: TypeAlias = tuple[str | int, ...]


class Invalid(Enum):
    """Stands for a value that cannot be used."""

    INVALID = "invalid"


INVALID = Invalid.INVALID


class ConfigFault(NamedTuple):
    """`of_key` says that the key itself is meant, not its value."""

    at: At
    message: str
    hint: str = ""
    of_key: bool = False


class Reading:
    """What is found on the way through one configuration: faults, and old names with the new ones."""

    def __init__(self) -> None:
        self.faults: list[ConfigFault] = []
        self.renamed: list[tuple[At, At]] = []

    def wrong(self, at: At, message: str, hint: str = "", *, of_key: bool = False) -> Invalid:
        self.faults.append(ConfigFault(at, message, hint, of_key))
        return INVALID

    def expected(self, at: At, what: str, value: object, hint: str = "") -> Invalid:
        return self.wrong(at, f"expected {what}, got {as_toml(value)}" if "`" not in what else f"expected {what}", hint)

    def unknown(self, at: At, key: str, known: Iterable[str], elsewhere: Callable[[], Mapping[str, At]] = dict) -> None:
        """An unknown key; `elsewhere` gives the keys of all tables by their last part: one of them may be meant."""
        hint = "" if self.full else _meant(at, key, known, elsewhere)
        self.wrong((*at, key), "unknown key", hint, of_key=True)

    def twice(self, old: At, new: At) -> None:
        self.wrong(old, f"is the old name of {dotted(new)}, which is set too", "keep one of them", of_key=True)

    @property
    def full(self) -> bool:
        """Whether so much is wrong that nobody will read more: no hints are looked for any longer."""
        return len(self.faults) >= MOST

    def within(self, at: At) -> bool:
        """Whether something is wrong below a path."""
        return any(fault.at[: len(at)] == at for fault in self.faults)


def _meant(at: At, key: str, known: Iterable[str], elsewhere: Callable[[], Mapping[str, At]]) -> str:
    import difflib

    name, own = key[:200].replace("_", "-"), list(known)
    own_paths = {one: (*at, one) for one in own}
    for cutoff, paths in ((0.8, own_paths), (0.8, elsewhere()), (0.6, own_paths)):
        if near := difflib.get_close_matches(name, list(paths), n=1, cutoff=cutoff):
            return f"did you mean `{dotted(paths[near[0]])}`?"
    listed = ", ".join(sorted(own))
    return f"known here: {listed}" if len(listed) < 200 else "`orchgate config keys` lists all keys"


def dotted(at: At) -> str:
    """A path as TOML writes it, the items of arrays by their number."""
    text = ""
    for part in at:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = quoted(clipped(part, 120))
            text += f".{shown}" if text else shown
    return text


def quoted(key: str) -> str:
    """A key as TOML writes it."""
    bare = key.replace("-", "").replace("_", "")
    return key if bare.isascii() and bare.isalnum() else toml(key)


def as_toml(value: object, limit: int = 60) -> str:
    """A value as TOML writes it, on one line, cut off after `limit` characters."""
    try:
        return clipped(toml(value), limit)
    except (RecursionError, ValueError):  # nested too deep, or an integer of thousands of digits
        return "a table" if isinstance(value, dict) else "an array" if isinstance(value, list) else "a huge number"


def toml(value: object) -> str:
    """All of a value as TOML writes it, on one line."""
    import json

    if hasattr(value, "_asdict"):
        value = {key.replace("_", "-"): item for key, item in value._asdict().items() if item not in (None, "", (), {})}
    if isinstance(value, dict):
        inner = ", ".join(f"{quoted(str(key))} = {toml(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, float):
        return repr(value)  # nan and inf as TOML has them
    if isinstance(value, str | int | bool) or value is None:
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)  # a date or a time


def clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
