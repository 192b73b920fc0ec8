"""Where each key and value of a TOML text stands: for messages that name the place, and for `orchgate config migrate`.

Only texts that `tomllib` has read are looked at, so this need not be a second judge of what is TOML, and only when
there is something to say about one.
"""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from orchgate.config.faults import At

_BLANK = lazy(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = lazy(r"[ \t]*")
_NAME = lazy(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""")
_STRING = lazy(
    r'''"""(?:\\[\s\S]|[^\\])*?"""(?:"{0,2})|\'\'\'[\s\S]*?\'\'\'(?:'{0,2})|"(?:\\.|[^"\\\n])*"|'[^'\n]*\''''
)
_SCALAR = lazy(r"[^,\]}#\r\n]+")


class Name(NamedTuple):
    """One part of a dotted key, as text and where it stands."""

    text: str
    start: int
    end: int


class TomlValue(NamedTuple):
    """A value: where it stands, and what it holds where it is an inline table or an array."""

    start: int
    end: int
    pairs: tuple[KeyValue, ...] = ()
    items: tuple[TomlValue, ...] = ()


class KeyValue(NamedTuple):
    keys: tuple[Name, ...]
    value: TomlValue


class Header(NamedTuple):
    """`[a.b]` or `[[a.b]]`, from its first bracket to behind its last."""

    keys: tuple[Name, ...]
    array: bool
    start: int
    end: int


def statements(text: str) -> Iterator[Header | KeyValue]:
    """The headers and pairs of a valid TOML text in order. Raises ValueError where it is none."""
    at = _match_end(_BLANK, text, 0)
    while at < len(text):
        if text[at] == "[":
            array = text.startswith("[[", at)
            keys, end = _keys(text, at + 1 + array)
            if not text.startswith("]]" if array else "]", end):
                raise ValueError(end)
            at, start = end + 1 + array, at
            yield Header(keys, array, start, at)
        else:
            pair, at = _pair(text, at)
            yield pair
        at = _match_end(_BLANK, text, at)


def _match_end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    if match is None:
        raise ValueError(at)
    return match.end()


def _keys(text: str, at: int) -> tuple[tuple[Name, ...], int]:
    """A dotted key, and where the next character of meaning stands."""
    names: list[Name] = []
    while True:
        start = _match_end(_SPACE, text, at)
        end = _match_end(_NAME, text, start)
        names.append(Name(_plain(text[start:end]), start, end))
        at = _match_end(_SPACE, text, end)
        if not text.startswith(".", at):
            return tuple(names), at
        at += 1


def _plain(name: str) -> str:
    if name[0] == "'":
        return name[1:-1]
    if name[0] != '"':
        return name
    import tomllib

    return str(tomllib.loads(f"name = {name}")["name"])


def _pair(text: str, at: int) -> tuple[KeyValue, int]:
    keys, at = _keys(text, at)
    if not text.startswith("=", at):
        raise ValueError(at)
    value = _value(text, _match_end(_SPACE, text, at + 1))
    return KeyValue(keys, value), value.end


def _value(text: str, at: int) -> TomlValue:
    if text[at : at + 1] in ('"', "'"):
        return TomlValue(at, _match_end(_STRING, text, at))
    if text[at : at + 1] == "[":
        return _array(text, at)
    if text[at : at + 1] == "{":
        return _inline(text, at)
    end = _match_end(_SCALAR, text, at)
    return TomlValue(at, at + len(text[at:end].rstrip()))


def _array(text: str, start: int) -> TomlValue:
    items: list[TomlValue] = []
    at = _match_end(_BLANK, text, start + 1)
    while not text.startswith("]", at):
        items.append(_value(text, at))
        at = _match_end(_BLANK, text, items[-1].end)
        if text.startswith(",", at):
            at = _match_end(_BLANK, text, at + 1)
        elif not text.startswith("]", at):
            raise ValueError(at)
    return TomlValue(start, at + 1, (), tuple(items))


def _inline(text: str, start: int) -> TomlValue:
    pairs: list[KeyValue] = []
    at = _match_end(_BLANK, text, start + 1)
    while not text.startswith("}", at):
        pair, end = _pair(text, at)
        pairs.append(pair)
        at = _match_end(_BLANK, text, end)
        if text.startswith(",", at):
            at = _match_end(_BLANK, text, at + 1)
        elif not text.startswith("}", at):
            raise ValueError(at)
    return TomlValue(start, at + 1, tuple(pairs))


class KeySpan(NamedTuple):
    """Where the last part of a key starts, and where its value does; both the header where it is a table's."""

    key: int
    value: int


def spans(text: str) -> dict[At, KeySpan]:
    """Where everything stands, by path from the top; empty for a text that cannot be followed."""
    found: dict[At, KeySpan] = {}
    counts: dict[At, int] = {}
    table: At = ()
    try:
        for one in statements(text):
            if isinstance(one, Header):
                table = _table(one, counts, found)
            else:
                _add(one, table, found)
    except (ValueError, RecursionError):
        return {}
    return found


def _table(header: Header, counts: dict[At, int], found: dict[At, KeySpan]) -> At:
    """The path of a header's table; arrays of tables are counted on the way."""
    path: At = ()
    for number, name in enumerate(header.keys, 1):
        path = (*path, name.text)
        found.setdefault(path, KeySpan(name.start, header.start))
        if number == len(header.keys) and header.array:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
            found.setdefault(path, KeySpan(name.start, header.start))
    return path


def _add(pair: KeyValue, table: At, found: dict[At, KeySpan]) -> None:
    path = table
    for name in pair.keys:
        path = (*path, name.text)
        found.setdefault(path, KeySpan(name.start, name.start))
    found[path] = KeySpan(pair.keys[-1].start, pair.value.start)
    _add_inner(pair.value, path, found)


def _add_inner(value: TomlValue, path: At, found: dict[At, KeySpan]) -> None:
    for pair in value.pairs:
        _add(pair, path, found)
    for index, item in enumerate(value.items):
        found[(*path, index)] = KeySpan(item.start, item.start)
        _add_inner(item, (*path, index), found)


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Both from 1, the column in characters."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
