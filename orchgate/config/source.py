"""Finds a tree's configuration file, parses it, and says where in it something stands."""

from __future__ import annotations

import re
from bisect import bisect_right

from orchgate.config.faults import MOST, as_toml, dotted
from orchgate.errors import ConfigError, Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchgate.config.faults import At, ConfigFault
    from orchgate.git.snapshot import Snapshot


_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_MOST_DIGITS = 18


def read(text: str) -> dict[str, object] | None:
    """What `tomllib.loads` makes of a text; None where that has to be asked."""
    top: dict[str, object] = {}
    table = top
    begun: set[tuple[bool, tuple[str, ...]]] = set()
    for line in text.split("\n"):
        words = line.strip(" \t")
        if not words.isprintable():
            return None
        if not words or words[0] == "#":
            continue
        if words[0] != "[":
            key, equals, written = words.partition("=")
            key, value = key.rstrip(" \t"), _value(written.strip(" \t")) if equals else None
            if value is None or not key or not _KEY.issuperset(key) or key in table:
                return None
            table[key] = value
            continue
        found = _begun(top, words, begun)
        if found is None:
            return None
        table = found
    return top


def _begun(top: dict[str, object], words: str, begun: set[tuple[bool, tuple[str, ...]]]) -> dict[str, object] | None:
    """The table that a line begins, one more of a list where it has two brackets; None where others must read it."""
    listed = words.startswith("[[")
    names = tuple((words[2:-2] if listed else words[1:-1]).split("."))
    if not words.endswith("]]" if listed else "]") or not all(name and _KEY.issuperset(name) for name in names):
        return None
    *above, last = names
    table = top
    for name in above:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            return None
        table = inner
    if ((listed, names) in begun) != (listed and last in table):
        return None
    begun.add((listed, names))
    if not listed:
        found = table.setdefault(last, {})
        return found if isinstance(found, dict) else None
    tables, new = table.setdefault(last, []), dict[str, object]()
    assert isinstance(tables, list)
    tables.append(new)
    return new


def _value(written: str) -> object:
    """None for what has to be read by others."""
    if written in ("true", "false"):
        return written == "true"
    if written.isascii() and written.isdigit() and len(written) <= _MOST_DIGITS:
        return int(written) if written == "0" or written[0] != "0" else None
    if written[:1] != "[" or written[-1:] != "]":
        return _text(written)
    parts = [part.strip(" \t") for part in written[1:-1].split(",")]
    if not parts[-1]:  # a comma may end the list
        parts.pop()
    texts = [_text(part) for part in parts]
    return None if None in texts else texts


def _text(written: str) -> str | None:
    inner = written[1:-1]
    if len(written) < 2 or written[0] not in "\"'" or written[-1] != written[0] or written[0] in inner:
        return None
    return None if "\\" in inner and written[0] == '"' else inner


# Finds a tree's configuration file, parses it, and says where in it something stands


FILE = "orchgate.toml"
PYPROJECT = "pyproject.toml"
NESTED = ("tool", "orchgate")
MAX_BYTES = 1024 * 1024
MAX_DOTS = 1000  # in one line: tomllib's time for a dotted key grows with the square of its parts
_LINK = "it is a symbolic link, which counts as its target's name: put the file itself there"
_PLACE = lazy(r" \(at line (\d+), column (\d+)\)$")  # how tomllib ends its messages, before Python 3.14 has attributes


class NoConfiguration(ConfigError):
    """The file that was named as the configuration is not there."""


class Source(NamedTuple):
    """Where a configuration was found: the file ("" when there is none), its table and its text.

    `below` is the path of the table in the file. `shadowed` says that there is another one, which does not count, and
    `named` that somebody named the file, so that the usual ones do not count. `shared` are the files that it extends,
    by what they are called; then `table` is what all of them say together, and `own` what this file says.
    """

    file: str
    table: Mapping[str, object]
    text: str = ""
    below: tuple[str, ...] = ()
    shadowed: bool = False
    named: bool = False
    shared: tuple[tuple[str, Source], ...] = ()
    own: Mapping[str, object] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The files of a tree that may hold the configuration, and those that it extends."""
        return (*((self.file,) if self.named else (FILE, PYPROJECT)), *(one.file for _, one in self.shared))


NOTHING = Source("", {})


def find(snapshot: Snapshot, file: str = "") -> Source:
    """The raw configuration of a tree; of the named file, if one is. Raises ConfigError where it cannot be read."""
    named = file or FILE
    own = _toml(snapshot, named, _content(snapshot, named))
    if own is not None:
        return Source(named, *own, (), shadowed=not file and is_nested(snapshot), named=bool(file))
    if file:
        raise NoConfiguration(f"{file}: the tree that is judged does not have this file")
    return _nested(snapshot) or NOTHING


def outside(path: str) -> Source:
    """A file that is part of no judged tree. Raises ConfigError."""
    from orchgate.lib import files

    try:
        content = files.read(path, MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", place=(path, 0, 0)) from error
    return Source(path, *parsed(path, content), named=True)


def unread_edit(judging: Source, root: str) -> str:
    """What a person edited and the gate does not read, in one line; "" where the file on disk says the same."""
    from orchgate.git.snapshot import WorkTree

    file, tree = judging.file or FILE, WorkTree(root)
    try:
        # Nearly always it is the same, byte for byte: then it is not parsed again at every commit.
        if (judging.named or file == FILE) and _content(tree, file) == judging.text.encode():
            return ""
        here = find(tree, judging.file if judging.named else "")
    except NoConfiguration:
        here = NOTHING
    except ConfigError as error:
        return f"the configuration of the work tree is not the one that judges, and cannot be read: {error.message}"
    if here.text == judging.text or here.table == (judging.table if judging.own is None else judging.own):
        return ""
    return f"{here.file or file} of the work tree differs from the one that judges; stage it for the next commit"


def _nested(snapshot: Snapshot) -> Source | None:
    """What `[tool.orchgate]` holds; None when it is not there. Raises ConfigError."""
    content = _content(snapshot, PYPROJECT)
    # Parsing somebody's large pyproject.toml costs milliseconds on every commit; looking for the word does not.
    found = _toml(snapshot, PYPROJECT, content) if content and b"orchgate" in content else None
    if found is None:
        return None
    tool = found[0].get("tool")
    table = tool.get("orchgate") if isinstance(tool, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        message = f"{PYPROJECT}: tool.orchgate: expected a table, got {as_toml(table)}"
        raise ConfigError(message, place=(PYPROJECT, 0, 0))
    return Source(PYPROJECT, table, found[1], NESTED)


def project_of(snapshot: Snapshot) -> dict[str, object]:
    """All of a tree's pyproject.toml, empty when there is none. Raises ConfigError."""
    found = _toml(snapshot, PYPROJECT, _content(snapshot, PYPROJECT))
    return found[0] if found else {}


def is_nested(snapshot: Snapshot) -> bool:
    """Whether pyproject.toml has a configuration that can be read."""
    try:
        return _nested(snapshot) is not None
    except ConfigError:  # a file we would not have read: its fault is not ours to report
        return False


def _content(snapshot: Snapshot, path: str) -> bytes | None:
    try:
        return snapshot.find(path, MAX_BYTES)
    except Unreadable as error:
        raise ConfigError(f"{path}: {error.message}", error.hint, place=(path, 0, 0)) from error


def _toml(snapshot: Snapshot, path: str, content: bytes | None) -> tuple[dict[str, object], str] | None:
    if content is None:
        return None

    def is_link() -> bool:  # asked about a fault only: on disk, the answer costs a walk through all folders
        from orchgate.git.snapshot import SYMLINK

        return b"\n" not in content and path in snapshot.entries and snapshot.entries[path].mode == SYMLINK

    return parsed(path, content, is_link)


def parsed(path: str, content: bytes, is_link: Callable[[], bool] = lambda: False) -> tuple[dict[str, object], str]:
    """A file's table and text. Raises ConfigError."""
    if any(line.count(b".") > MAX_DOTS for line in content.split(b"\n")):
        raise ConfigError(f"{path}: a line has more than {MAX_DOTS} dots", place=(path, 0, 0))
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode()  # editors on Windows begin files with a mark
        table = read(text)
        if table is None:
            import tomllib

            table = tomllib.loads(text)
        return table, text
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, an integer of thousands of digits, too deep
        hint = _LINK if is_link() else ""
        place = _PLACE.search(str(error))
        where = f"{path}:{place[1]}:{place[2]}" if place else path
        at = (path, int(place[1]), int(place[2])) if place else (path, 0, 0)
        raise ConfigError(f"{where}: not valid TOML: {_PLACE.sub('', str(error))}", hint, place=at) from error


class KeyPositions:
    """Where something stands in a configuration: line and column, (0, 0) where nobody knows."""

    def __init__(self, source: Source) -> None:
        from orchgate.config.positions import spans

        self.source = source
        self._shared = [KeyPositions(one) for _, one in reversed(source.shared)]
        self._below = source.below
        self._spans = spans(source.text) if source.text else {}
        self._starts = [match.end() for match in re.finditer("\n", source.text)]

    def of(self, at: At, *, key: bool = False) -> tuple[int, int]:
        """The place of a value, or of its `key`; of the nearest table around it where it is not there."""
        path = self._written(at)
        while path and path not in self._spans:
            path, key = path[:-1], True
        if len(path) <= len(self._below):
            return (0, 0)
        offset = self._spans[path].key if key else self._spans[path].value
        line = bisect_right(self._starts, offset)
        return line + 1, offset - (self._starts[line - 1] if line else 0) + 1

    def offset(self, at: At) -> int:
        """Where a value starts in the text; -1 where nobody knows."""
        span = self._spans.get((*self._below, *at))
        return -1 if span is None else span.value

    def has(self, at: At) -> bool:
        """Whether it stands in this file."""
        return self._written(at) in self._spans

    def _written(self, at: At) -> At:
        """The path of a key in the file, or of what adds to it where that is all there is."""
        path: At = (*self._below, *at)
        more: At = (*path[:-1], f"extend-{path[-1]}") if path else path
        return more if path not in self._spans and more in self._spans else path

    def whole(self, at: At, *, key: bool = False) -> tuple[str, int, int]:
        """The file of a value with its place: that of a shared one, where this one says nothing of it."""
        setter, own_at = (self, at) if at[:1] == ("extends",) else self._setter(at)
        return (setter.source.file, *setter.of(own_at, key=key))

    def _setter(self, at: At) -> tuple[KeyPositions, At]:
        """The places of the file that sets something, and its path there."""
        if at[:1] in (("ignore",), ("may-loosen",)) and len(at) > 1:  # those of all files, one after the other
            return self._of_all(int(at[1]), at)
        for depth in range(len(at), 0, -1):
            for one in (self, *self._shared):
                if one.has(at[:depth]):
                    return one, at
        return self, at

    def _of_all(self, index: int, at: At) -> tuple[KeyPositions, At]:
        for one in (self, *self._shared):
            source = one.source
            listed = (source.table if source.own is None else source.own).get(str(at[0]))
            number = len(listed) if isinstance(listed, list) else 0
            if index < number:
                return one, (at[0], index, *at[2:])
            index -= number
        return self, at


def error_of(source: Source, faults: Iterable[ConfigFault]) -> ConfigError:
    """One error that says all that is wrong, in the order of the file, each with its place."""
    places = KeyPositions(source)
    found = []
    for number, fault in enumerate(faults):
        file, line, column = places.whole(fault.at, key=fault.of_key)
        where = f"{file}:{line}:{column}: " if line else f"{file}: " if source.text else ""
        text = f"{where}{dotted(fault.at)}: {fault.message}"
        found.append((file != source.file, file, line, column, number, text, fault.hint))
    listed = [(text, hint, (file, line, column)) for _, file, line, column, _, text, hint in sorted(found)]
    (message, hint, place), *others = listed
    if len(others) >= MOST:
        others[MOST - 1 :] = [(f"and {len(others) - MOST + 1} more errors", "", (source.file, 0, 0))]
    return ConfigError(message, hint, tuple(others), place)
