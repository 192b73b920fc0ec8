"""The TOML that most configurations consist of, read on every commit without `tomllib` and what that loads.

Tables, lists of tables, and keys with one value on their line: texts without escapes, whole numbers, true, false, lists
of texts. Of anything else, and of all that is wrong, nothing is known here: `tomllib` reads it, or says what is the
matter.
"""

from __future__ import annotations

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
