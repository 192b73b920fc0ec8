"""Rewrites a configuration file so that it calls every key by its name of today; comments and layout stay.

Edits are made where the old names stand in the text. `tomlkit` would do as well, and would be one more dependency for
one command that is used once. What comes out is read again, and has to mean what the file meant before.
"""

from __future__ import annotations

from orchgate.config.faults import dotted, toml
from orchgate.config.load import INCONCLUSIVE, build, declared, renames
from orchgate.config.positions import Header, KeyValue, line_and_column, statements
from orchgate.config.source import Source
from orchgate.errors import ConfigError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.config.faults import At
    from orchgate.config.positions import TomlValue
    from orchgate.config.settings import Config

OLD_IGNORES = ("per-file-ignores",)
SEVERITY = ("severity", "PRF004")
_LEVELS = {"block": "error"}


class Replacement(NamedTuple):
    """What stands from `start` to `end` is replaced by `text`."""

    start: int
    end: int
    text: str


class Moving(NamedTuple):
    """A pair that goes to another table, as text behind the `=`."""

    table: At
    name: str
    text: str


class _Rewriting:
    """One pass over a text. `edits` change what stands there, `moving` goes elsewhere."""

    def __init__(self, source: Source) -> None:
        self.text = source.text
        self.below: At = source.below
        self.renames = renames(declared())
        self.severe = isinstance(found := source.table.get("severity"), dict) and SEVERITY[1] in found
        self.edits: list[Replacement] = []
        self.moving: list[Moving] = []
        self.ignores: list[str] = []
        self.newline = "\r\n" if "\r\n" in source.text else "\n"

    def own(self, path: At) -> At | None:
        """A path below our table; None for what is somebody else's."""
        depth = len(self.below)
        return path[depth:] if path[:depth] == self.below else None

    def line(self, start: int, end: int) -> tuple[int, int]:
        """From the start of a line to the start of the one after `end`."""
        begins = self.text.rfind("\n", 0, start) + 1
        ends = self.text.find("\n", end) + 1 or len(self.text)
        return begins, ends

    def refuse(self, at: int, what: str) -> ConfigError:
        line, column = line_and_column(self.text, at)
        return ConfigError(f"line {line}, column {column}: {what}", "rename it by hand")


def migrated(source: Source) -> str:
    """The text of a file with every old name replaced. Raises ConfigError where that cannot be done in place."""
    before = build(source)
    work = _Rewriting(source)
    table: At = ()
    for one in statements(source.text):
        if isinstance(one, Header):
            table = tuple(name.text for name in one.keys)
            _header(work, one)
        else:
            _pair(work, one, table, inside=False)
    text = _moved(work, _applied(source.text, work.edits))
    _require_same(source, before, text)
    return text


def _header(work: _Rewriting, header: Header) -> None:
    path = work.own(tuple(name.text for name in header.keys))
    if path is None or path[:1] != OLD_IGNORES:
        return
    if len(path) == 1:
        work.edits.append(Replacement(*work.line(header.start, header.end), ""))
    elif len(path) == 2:
        header_of_one = f"{_ignore_header(work)}{work.newline}paths = {toml([path[1]])}"
        work.edits.append(Replacement(header.start, header.end, header_of_one))
    else:
        raise work.refuse(header.start, f"{dotted(path)} cannot be rewritten here")


def _ignore_header(work: _Rewriting) -> str:
    return f"[[{dotted((*work.below, 'ignore'))}]]"


def _pair(work: _Rewriting, pair: KeyValue, table: At, *, inside: bool) -> None:
    """Looks at a pair and at those in its value; `inside` says that it is part of an inline table."""
    keys = tuple(name.text for name in pair.keys)
    path = work.own((*table, *keys))
    if path is not None and path[:1] == OLD_IGNORES:
        _old_ignore(work, pair, path, table, inside=inside)
        return
    if path is not None and (new := _new(work, path)) is not None:
        _rename(work, pair, path, new, table, inside=inside)
    _inner(work, pair.value, (*table, *keys))


def _inner(work: _Rewriting, value: TomlValue, path: At) -> None:
    for pair in value.pairs:
        _pair(work, pair, path, inside=True)
    for index, item in enumerate(value.items):
        _inner(work, item, (*path, index))


def _new(work: _Rewriting, path: At) -> At | None:
    if len(path) == 4 and path[:2] == ("performance", "metrics") and path[3] == "block":
        return (*path[:3], "fail-above")
    if path[-1] == "junit" and path[0] == "pipelines" and path[2:3] == ("stages",):
        return (*path[:-1], "results")
    return work.renames.get(path)


def _rename(work: _Rewriting, pair: KeyValue, path: At, new: At, table: At, *, inside: bool) -> None:
    home = work.own(table) or ()
    start, end = pair.keys[0].start, pair.value.end
    if path == INCONCLUSIVE:
        _inconclusive(work, pair, inside=inside)
    elif new[: len(home)] == home:
        work.edits.append(Replacement(start, pair.keys[-1].end, dotted(new[len(home) :])))
    elif inside:
        raise work.refuse(start, f"{dotted(path)} is {dotted(new)} now, which is not in this table")
    else:
        first, last = work.line(start, end)
        work.moving.append(Moving(new[:-1], str(new[-1]), work.text[pair.value.start : last].rstrip()))
        work.edits.append(Replacement(first, last, ""))


def _inconclusive(work: _Rewriting, pair: KeyValue, *, inside: bool) -> None:
    start, end = pair.keys[0].start, pair.value.end
    if inside:
        raise work.refuse(start, f"{dotted(INCONCLUSIVE)} is {dotted(SEVERITY)} now, which is not in this table")
    first, last = work.line(start, end)
    level = _LEVELS.get(work.text[pair.value.start : end].strip("\"'"))
    if level and not work.severe:
        rest = work.text[end:last].rstrip()
        work.moving.append(Moving(SEVERITY[:1], SEVERITY[1], toml(level) + rest))
    work.edits.append(Replacement(first, last, ""))


def _old_ignore(work: _Rewriting, pair: KeyValue, path: At, table: At, *, inside: bool) -> None:
    if work.own(table) is not None and (work.own(table) or ())[:1] == OLD_IGNORES and len(work.own(table) or ()) == 2:
        return  # rules and reason below a header of their own stay as they are
    if len(path) == 1 and pair.value.pairs:
        entries = [(inner.keys[0].text, inner.value) for inner in pair.value.pairs if len(inner.keys) == 1]
    else:
        entries = [(str(path[1]), pair.value)] if len(path) == 2 else []
    if inside or not entries or any(not value.pairs for _, value in entries):
        raise work.refuse(pair.keys[0].start, f"{dotted(path)} cannot be rewritten here")
    blocks = [
        work.newline.join((_ignore_header(work), f"paths = {toml([glob])}", *_lines(work, value)))
        for glob, value in entries
    ]
    start, end = pair.keys[0].start, pair.value.end
    if work.own(table) == OLD_IGNORES:
        work.edits.append(Replacement(start, end, work.newline.join(blocks)))
    else:  # among other keys, where no table can begin
        first, last = work.line(start, end)
        work.ignores += [*blocks[:-1], blocks[-1] + work.text[end:last].rstrip()]
        work.edits.append(Replacement(first, last, ""))


def _lines(work: _Rewriting, value: TomlValue) -> Iterator[str]:
    for pair in value.pairs:
        yield work.text[pair.keys[0].start : pair.value.end]


def _applied(text: str, edits: list[Replacement]) -> str:
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _moved(work: _Rewriting, text: str) -> str:
    """The text with what goes to another table: behind that table's header, else at the end."""
    newline = work.newline
    for one in reversed(work.moving):
        table = (*work.below, *one.table)
        header = next(
            (
                header
                for header in statements(text)
                if isinstance(header, Header) and tuple(name.text for name in header.keys) == table
            ),
            None,
        )
        line = f"{dotted((one.name,))} = {one.text}{newline}"
        if header is None:
            text = f"{text.rstrip()}{newline}{newline}[{dotted(table)}]{newline}{line}".lstrip()
        else:
            at = text.find("\n", header.end) + 1 or len(text)
            text = text[:at] + ("" if text[:at].endswith("\n") else newline) + line + text[at:]
    for block in work.ignores:
        text = f"{text.rstrip()}{newline}{newline}{block}{newline}".lstrip()
    return text


def _require_same(source: Source, before: Config, text: str) -> None:
    """Raises ConfigError unless the new text is read as the old one was, and has no old name left."""
    import tomllib

    try:
        table = tomllib.loads(text)
        for name in source.below:
            inner = table[name]
            table = inner if isinstance(inner, dict) else {}
        after = build(Source(source.file, table, text, source.below))
    except (ValueError, KeyError, ConfigError) as error:
        raise ConfigError(f"{source.file}: cannot be rewritten in place: {error}", "rename the keys by hand") from error
    if after.renamed or _meaning(before) != _meaning(after):
        raise ConfigError(f"{source.file}: cannot be rewritten in place", "rename the keys by hand")


def _meaning(config: Config) -> Config:
    """A configuration without where it stands. A table that only held names of other tables says nothing."""
    values = {name: table for name, table in config.tables.values.items() if table != config.tables.unset(name)}
    tables = config.tables._replace(values=values)
    return config._replace(origins={}, renamed=(), source=Source("", {}), tables=tables)
