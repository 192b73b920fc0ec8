"""Where in the text of a JSON document a value stands. Asked only once something is wrong with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Path = tuple[str | int, ...]

_TOKEN = lazy(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{},:]|[^][{},:\s"]+', re.DOTALL)


def places(data: bytes) -> Iterator[tuple[Path, int]]:
    """Path and byte offset of every key and list item of a valid document, in order."""
    import json

    path: list[str | int] = []
    wants_key = False
    for token in _TOKEN.finditer(data):
        text = token[0]
        if text in b"]}":
            path.pop()
            wants_key = False
        elif text == b",":
            if isinstance(path[-1], int):
                path[-1] += 1
            else:
                wants_key = True
        elif text == b":":
            wants_key = False
        elif wants_key:
            path[-1] = json.loads(text)
            yield tuple(path), token.start()
        else:
            if path and isinstance(path[-1], int):
                yield tuple(path), token.start()
            if text in b"[{":
                wants_key = text == b"{"
                path.append("" if wants_key else 0)


def lines_of(data: bytes, wanted: Iterable[Path]) -> dict[Path, int]:
    """The line, from 1, of each path that is in the document."""
    missing = set(wanted)
    found: dict[Path, int] = {}
    line, counted = 1, 0
    for path, offset in places(data) if missing else ():
        if path in missing:
            line += data.count(b"\n", counted, offset)
            counted = offset
            found[path] = line
            missing.discard(path)
            if not missing:
                break
    return found


def line_of_repeated(data: bytes, name: str) -> int:
    """The line on which an object names a key again; 0 if none does."""
    seen: set[Path] = set()
    for path, offset in places(data):
        if path[-1] == name and path in seen:
            return data.count(b"\n", 0, offset) + 1
        seen.add(path)
    return 0


def dotted(path: Iterable[str | int]) -> str:
    """`("commands", 0, "status")` as `commands[0].status`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
