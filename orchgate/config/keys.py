"""How a key is declared: once, as the field of its table that code reads.

    class Settings(Light):
        max_files: int = key(Whole(), 25, "files a change may touch", REFUSED, MORE, governs=("DIF",))

gives the key `max-files`: how it is read, its default, its schema, its line in docs/configuration.md, and what
loosening it would mean. A check declares the keys of its table in its own file; those of the tables that several
rooms read stand in `settings.py`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from orchgate.config.kinds import Globs, ListOf, Path, Place, Record, Text
from orchgate.lib.light import Light

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.config.kinds import Kind

TEXTS = ListOf(Text())
GLOBS = Globs()
PLACES = ListOf(Place())
ONE_OR_MORE_PLACES = ListOf(Place(), or_one=True)
PATH = Path()
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


class Key(Light):
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


class Nested(Light):
    """A table inside of a table."""

    table: Any


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


def nested(table: type) -> Any:
    """The declaration of a table inside of a table."""
    return Nested(table)


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
