"""How a key is declared: once, as the field of its table that code reads.

    class Settings(NamedTuple):
        max_files: int = key(Whole(), 25, "files a change may touch", REFUSED, MORE, governs=("DIF",))

gives the key `max-files`: how it is read, its default, its schema, its line in the page about keys, and what
loosening it would mean. A check declares the keys of its table in its own file; those of the tables that several
rooms read stand in `settings.py`. What a table holds is read from the file, else from the profile, else the default.
"""

from __future__ import annotations

import os
from functools import cache

from orchgate.config.faults import INVALID, Reading, dotted
from orchgate.config.kinds import Globs, ListOf, PathOrGlob, Record, Text
from orchgate.lib import lazy
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, TypeVar

    from orchgate.config.faults import At
    from orchgate.config.kinds import Kind

    T = TypeVar("T")

TEXTS = ListOf(Text())
GLOBS = Globs()
PATHS_OR_GLOBS = ListOf(PathOrGlob())
EXTEND = "extend-"  # and the name of a list: what is added to its default


class Role(Enum):
    """What a key decides. All but taste are limits: the base's value judges the change that edits it."""

    REFUSED = "what is refused"
    SEEN = "what is looked at"
    RUN = "what is run"
    TASTE = "taste"


class Looser(Enum):
    """Which way a key loosens the gate: more of it, fewer, any change, or none."""

    MORE = "more"
    FEWER = "fewer"
    CHANGE = "change"
    ONCE_SET = "once set"  # any change of what was set; nothing is looser where there was nothing
    NO = "no"


REFUSED, SEEN, RUN, TASTE = Role.REFUSED, Role.SEEN, Role.RUN, Role.TASTE
MORE, FEWER, CHANGE, ONCE_SET, NO = Looser.MORE, Looser.FEWER, Looser.CHANGE, Looser.ONCE_SET, Looser.NO


class Key(NamedTuple):
    """What is declared of one key.

    `governs` are the rules it can silence, or whole families of them such as "DOC" (CFG001). `moves` says that it names
    places: in the change that edits it the base's and the new ones count, because things move from one to the other.
    `was` is the dotted name it had. `common` says that what the top's key of the same name lists counts here, too.
    """

    kind: Kind
    default: object
    help: str
    role: Role
    looser: Looser = NO
    governs: tuple[str, ...] = ()
    moves: bool = False
    was: str = ""
    common: bool = False

    @property
    def extendable(self) -> bool:
        """Whether `extend-NAME` adds to what the list is without."""
        lists_texts = isinstance(self.kind, ListOf) and not isinstance(self.kind.item, Record)
        return lists_texts or isinstance(self.kind, Globs)


class Nested(NamedTuple):
    """A table inside of a table, and what it is."""

    table: Any
    help: str


def key(
    kind: Kind,
    default: object,
    help: str,  # noqa: A002 -- as argparse calls it
    role: Role,
    looser: Looser = NO,
    *,
    governs: tuple[str, ...] = (),
    moves: bool = False,
    was: str = "",
    common: bool = False,
) -> Any:
    """The declaration of a key, in place of its field's default."""
    return Key(kind, default, help, role, looser, governs, moves, was, common)


def nested(table: type, help: str) -> Any:  # noqa: A002 -- as `key` calls it
    """The declaration of a table inside of a table."""
    return Nested(table, help)


def fields(table: Any) -> Mapping[str, Key | Nested]:
    """What a table declares, by the name of the field."""
    declared: Mapping[str, Key | Nested] = table._field_defaults
    return declared


def every(table: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Key]]:
    """Every key of a table and of those inside of it, by its path."""
    for field, one in fields(table).items():
        name = field.replace("_", "-")
        if isinstance(one, Key):
            yield (*path, name), one
        else:
            yield from every(one.table, (*path, name))


def default(table: Any) -> Any:
    """A table in which nothing is set."""
    return table(
        **{name: one.default if isinstance(one, Key) else default(one.table) for name, one in fields(table).items()}
    )


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
    return lazy.module(f"{CHECKS}.{name.replace('-', '_')}").CHECK.keys


def of_checks() -> dict[str, type[NamedTuple]]:
    """The tables of all checks, which are imported for it."""
    return {name: table for name in check_ids() if (table := of_check(name)) is not None}


class Moved(NamedTuple):
    """A value under an old name, and where that stands."""

    at: At
    value: object


class Layers(NamedTuple):
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


class Tables(NamedTuple):
    """The tables of checks: those that are set, and what any other is read from (see Layers)."""

    values: Mapping[str, Any]
    presets: Mapping[str, object] = NO_TABLE
    common: Mapping[str, tuple[str, ...]] = {}

    def of(self, table: type[T]) -> T:
        """A check's table, by what declares it."""
        name = name_of(table)
        values: T = self.values[name] if name in self.values else self._unset(name, table)
        return values

    def unset(self, name: str) -> Any:
        """What a check's table says where the file has none."""
        return self._unset(name, of_check(name))

    def named(self, name: str) -> Any:
        """A check's table by its name, for those who need not know the check."""
        return self.values[name] if name in self.values else self.unset(name)

    def _unset(self, name: str, table: Any) -> Any:
        return read(table, (name,), NO_TABLE, self.presets.get(name, {}), Layers(Reading(), common=self.common))
