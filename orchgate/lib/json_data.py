"""JSON that others wrote: whatever is wrong with it is a ValueError, in every version of Python.

How deep a nesting makes `json` give up depends on the interpreter: 1,000 levels in 3.11, 10,000 in 3.13.
"""

from __future__ import annotations

import json
from typing import Any

from orchgate.lib import files
from orchgate.lib.patterns import lazy

DEEPEST = 500  # levels of objects and arrays
_BRACKETS = lazy(rb"[\[\]{}]")
_BEGINNING = 64 * 1024  # bytes


class TooDeepError(ValueError):
    """JSON that is nested more deeply than anybody writes by hand or by program."""

    def __init__(self) -> None:
        super().__init__("nested too deeply")


def parse(data: bytes | str, **hooks: Any) -> Any:
    """The value that JSON holds, read with the `hooks` of `json.loads`. Raises ValueError, TooDeepError among them."""
    try:
        value = json.loads(data, **hooks)
    except RecursionError:
        raise TooDeepError from None
    except ValueError:
        if begins_deeper_than(data, DEEPEST):
            raise TooDeepError from None
        raise
    if isinstance(value, dict | list) and deeper_than(value, DEEPEST):
        raise TooDeepError
    return value


def deeper_than(value: dict[str, Any] | list[Any], limit: int) -> bool:
    """Whether containers that hold something are nested deeper than `limit`. Level by level: depth costs no stack."""
    level: list[Any] = [value]
    for _ in range(limit):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if inner and (type(inner) is dict or type(inner) is list)
        ]
    return bool(level)


def begins_deeper_than(data: bytes | str, limit: int) -> bool:
    """Whether so many more brackets are opened than closed near the beginning of what is not valid JSON."""
    depth = 0
    for found in _BRACKETS.finditer(data[:_BEGINNING].encode() if isinstance(data, str) else data[:_BEGINNING]):
        depth += 1 if found[0] in b"[{" else -1
        if depth > limit:
            return True
    return False


def read(path: str, limit: int) -> Any:
    """The value in a regular file of at most `limit` bytes. Raises OSError, ValueError."""
    return parse(files.read(path, limit))
